//! How a series grows into what its values call for, a step at a time, and gives back what it has no use for.
//!
//! A new series keeps a few values and has no seasons. Those are taken up once the values fill a day, and folded from
//! the values kept, so that they start as if they had been there. After some weeks what is hardly used is dropped, and
//! tried again now and then: a season may come late.

use serde::{Deserialize, Serialize};

use super::day::Days;
use super::link::Link;
use super::outlook;
use super::period;
use super::predict::Predictors;
use super::recent::{RECENT, Recent};
use super::season::{DAY, Table, allocated};
use super::shape::Shapes;
use super::{Series, Side, WARM};

/// Values in which the link is chosen again.
const CHOICES: [u32; 3] = [48, 192, RECENT as u32];
/// Values after which more are kept: some, then all, unless the series is sparse.
const SOME: usize = 48;
const KEEP_SOME: u32 = 12;
const KEEP_ALL: u32 = 40;
/// How often a period is looked for, each half a ring after the last, before the values are given back.
const LOOKS: u8 = 3;
/// Fewer values show no day.
const FEWEST: i64 = 8;
/// With more it is time, even where buckets are so short that they fill no day.
const ENOUGH: i64 = 96;
/// Days until unused seasons are dropped: at first, and when they are tried again.
const FIRST_TRIAL: i64 = 21;
const TRIAL: i64 = 9;
/// Days from one look at the use of seasons to the next, and from a drop to the next trial.
const REVIEW: i64 = 7;
const REST: i64 = 28;
/// No verdict on a season with less buckets than this.
const BUCKETS: i64 = 100;

/// Where a series stands between taking up and giving back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Choices of the link made.
    pub choices: u8,
    /// Looks for a period made since there is a ring.
    pub looks: u8,
    /// Whether seasons were ever taken up.
    pub started: bool,
    /// Days since the epoch of the next review, and of the next trial.
    pub review: i32,
    pub trial: i32,
}

impl Phase {
    /// Whether so many values fill a day, or are enough to fold.
    pub fn is_filled(seen: u32, span: i64) -> bool {
        i64::from(seen) >= (DAY / span).clamp(FEWEST, ENOUGH)
    }

    /// Where a series stands that has had seasons, and all else, from its start to `last`.
    pub fn taken_up(seen: u32, last: i64, span: i64) -> Self {
        let mut phase = Self {
            choices: CHOICES.iter().filter(|&&at| seen >= at).count() as u8,
            ..Self::default()
        };
        if Self::is_filled(seen, span) {
            phase.start_trial(FIRST_TRIAL, last, span);
        }
        phase
    }

    fn start_trial(&mut self, days: i64, last: i64, span: i64) {
        let review = last.div_euclid(DAY) + days.max(BUCKETS * span / DAY);
        self.started = true;
        (self.review, self.trial) = (day(review), day(review + REST));
    }
}

fn day(day: i64) -> i32 {
    i32::try_from(day).unwrap_or(i32::MAX)
}

enum Step {
    Link,
    Keep(usize),
    Shapes,
    Seasons,
    Days,
    Period,
    /// All that is missing once more.
    Trial,
}

impl Series {
    fn next_step(&self) -> Option<Step> {
        let phase = &self.phase;
        let choice = CHOICES.get(usize::from(phase.choices));
        if choice.is_some_and(|&at| self.seen >= at) {
            return Some(Step::Link);
        }
        if let Some(recent) = &self.recent
            && recent.room() < RECENT
        {
            if recent.room() < SOME && self.seen >= KEEP_SOME {
                return Some(Step::Keep(SOME));
            }
            if self.seen >= KEEP_ALL && recent.is_dense() {
                return Some(Step::Keep(RECENT));
            }
        }
        if self.shapes.is_none() && self.seen >= WARM {
            return Some(Step::Shapes);
        }
        let filled = Phase::is_filled(self.seen, self.span);
        if filled && !phase.started && !self.predictors.is_complete(self.span) {
            return Some(Step::Seasons);
        }
        if filled && self.days.is_none() {
            return Some(Step::Days);
        }
        if self.look_is_due() {
            return Some(Step::Period);
        }
        let today = self.last.div_euclid(DAY);
        (phase.started && today >= i64::from(phase.trial)).then_some(Step::Trial)
    }

    /// Values and gaps that are kept.
    fn kept(&self) -> usize {
        self.recent.as_ref().map_or(0, |recent| recent.len())
    }

    fn look_is_due(&self) -> bool {
        let looks = usize::from(self.phase.looks);
        self.recent.as_ref().is_some_and(|recent| {
            recent.room() == RECENT && recent.known() as usize >= RECENT * (looks + 2) / 2
        })
    }

    /// Bytes of the next step of growth that the series would like to take; 0 when it wants nothing.
    pub fn wants(&self) -> usize {
        let bytes = match self.next_step() {
            None => return 0,
            // Starting over takes seasons up again that had been given back.
            Some(Step::Link) if self.predictors.seasons.is_some() => {
                self.predictors.missing_bytes(self.span)
            }
            Some(Step::Link) => 0,
            // At most one table more, of a third of the values.
            Some(Step::Period) => {
                let longest = RECENT as i64 / 3 * self.span;
                self.predictors.period_bytes(longest, self.span)
            }
            Some(Step::Keep(room)) => Recent::bytes_of(room) - self.recent_bytes(),
            Some(Step::Shapes) => Shapes::bytes(),
            Some(Step::Seasons) => self.predictors.missing_bytes(self.span),
            Some(Step::Days) => allocated(size_of::<Days>()),
            Some(Step::Trial) => {
                self.predictors.missing_bytes(self.span) + Recent::bytes_of(RECENT)
                    - self.recent_bytes()
            }
        };
        bytes.max(1)
    }

    /// Takes the step that the series wants. What is taken up starts with what the kept values tell.
    pub fn grow(&mut self) {
        match self.next_step() {
            None => {}
            Some(Step::Link) => {
                self.phase.choices += 1;
                self.choose_link();
            }
            Some(Step::Keep(room)) => {
                if let Some(recent) = &mut self.recent {
                    recent.grow(room);
                }
            }
            Some(Step::Shapes) => self.shapes = Some(Box::default()),
            Some(Step::Seasons) => self.take_up(),
            Some(Step::Days) => {
                let width = f64::from(self.width[1]);
                self.days = Some(Box::new(Days::after(self.seen, width, self.span)));
            }
            Some(Step::Period) => {
                self.phase.looks += 1;
                self.find_period();
                if self.phase.looks == LOOKS {
                    self.recent = None;
                }
            }
            Some(Step::Trial) => self.try_again(),
        }
    }

    /// A series that has learnt the recent values over again, with the views that this one has.
    fn replayed(&self, link: Link, seasons: bool) -> Self {
        let mut again = Self::new(self.span, link);
        again.recent = None;
        again.ahead = self.ahead;
        again.shapes = self.shapes.as_ref().map(|_| Box::default());
        again.days = self
            .days
            .as_ref()
            .map(|_| Box::new(Days::after(0, 0.0, self.span)));
        if seasons {
            again.predictors.complete(self.span);
        }
        let first = self.last - (self.kept() as i64 - 1) * self.span;
        let values = self
            .recent
            .iter()
            .flat_map(|recent| recent.in_order())
            .enumerate();
        for (i, value) in values.filter(|(_, value)| !value.is_nan()) {
            let time = first + i as i64 * self.span;
            let judged = again.judge(time, value, Side::Both);
            again.learn(time, value, &judged);
        }
        again
    }

    /// Starts over from the recent values under another link, when they ask for one.
    fn choose_link(&mut self) {
        let Some(recent) = &self.recent else {
            return;
        };
        let recent: Vec<f32> = recent.in_order().map(|value| value as f32).collect();
        let link = Link::choose(&recent, self.link);
        if link == self.link {
            return;
        }
        let again = self.replayed(link, self.predictors.seasons.is_some());
        *self = Self {
            seen: self.seen,
            negative: self.negative,
            bar: self.bar,
            recent: self.recent.take(),
            phase: self.phase,
            ..again
        };
    }

    fn find_period(&mut self) {
        let Some(recent) = &self.recent else {
            return;
        };
        let link = self.link;
        let scaled = recent.in_order().map(|value| link.apply(value));
        // Where a bucket had no value there is no number.
        let scaled: Vec<f32> = recent
            .in_order()
            .zip(scaled)
            .map(|(value, scaled)| {
                if value.is_nan() {
                    f32::NAN
                } else {
                    scaled as f32
                }
            })
            .collect();
        if let Some(lag) = period::find(&scaled) {
            let values = scaled
                .iter()
                .map(|&v| (!v.is_nan()).then_some(f64::from(v)));
            self.predictors.adopt(
                lag as i64 * self.span,
                self.span,
                self.clock(self.last),
                values,
            );
        }
    }

    fn take_up(&mut self) {
        self.phase.start_trial(FIRST_TRIAL, self.last, self.span);
        if self.kept() < FEWEST as usize {
            self.predictors.complete(self.span);
            return;
        }
        let again = self.replayed(self.link, true);
        self.outlook.take_over(&again.outlook);
        self.predictors.take_over(again.predictors);
    }

    fn try_again(&mut self) {
        self.phase.start_trial(TRIAL, self.last, self.span);
        self.phase.looks = 0;
        self.recent = Some(Box::new(Recent::of(RECENT)));
        self.predictors.complete_on_trial(self.span);
    }

    /// Gives back what has hardly been used.
    pub(super) fn shrink(&mut self) {
        let today = self.last.div_euclid(DAY);
        if !self.phase.started || today < i64::from(self.phase.review) {
            return;
        }
        let before = self.predictors.bytes();
        let worth = outlook::worth(self.predictors.far_errors());
        self.predictors.thin(self.span, &worth);
        self.phase.review = day(today + REVIEW);
        if self.predictors.bytes() < before {
            self.phase.trial = self.phase.trial.max(day(today + REST));
        }
    }

    /// Bytes that a series takes when it starts, its own included.
    pub fn newborn_bytes() -> usize {
        size_of::<Self>() + Recent::default().bytes()
    }

    /// Bytes that the series takes now, with what the allocator keeps beside its allocations.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.heap_bytes()
    }

    fn recent_bytes(&self) -> usize {
        self.recent.as_ref().map_or(0, |recent| recent.bytes())
    }

    fn heap_bytes(&self) -> usize {
        self.recent_bytes()
            + self.predictors.bytes()
            + self.shapes.as_ref().map_or(0, |_| Shapes::bytes())
            + self
                .days
                .as_ref()
                .map_or(0, |_| allocated(size_of::<Days>()))
    }

    /// Bytes that a series may come to take.
    pub fn full_bytes(span: i64) -> usize {
        size_of::<Self>()
            + Recent::bytes_of(RECENT)
            + Shapes::bytes()
            + allocated(size_of::<Days>())
            + Predictors::new().missing_bytes(span)
            + Table::bytes_of(RECENT as i64 / 3 * span, 1, span, 512)
    }
}
