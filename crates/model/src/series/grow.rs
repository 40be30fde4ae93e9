//! How a series grows into what its values call for, a step at a time, and gives back what it has no use for.
//!
//! A new series keeps a few values and has no seasons. Those are taken up once the values fill a day, and folded from
//! the values kept, so that they start as if they had been there. After some weeks what is hardly used is dropped, and
//! tried again now and then: a season may come late.

use serde::{Deserialize, Serialize};

use super::day::Days;
use super::link::Link;
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
/// Days until unused seasons are dropped: at first, and when they are tried again.
const FIRST_TRIAL: i64 = 21;
const TRIAL: i64 = 9;
/// Days from one look at the use of seasons to the next, and from a drop to the next trial.
const REVIEW: i64 = 7;
const REST: i64 = 28;
/// No verdict on a season with less buckets than this.
const BUCKETS: i64 = 100;
/// Widths by the hour that differ by less say nothing.
const EVEN: f64 = 0.15;
const HOURS: i64 = 24;

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
        let (phase, room) = (&self.phase, self.recent.room());
        let choice = CHOICES.get(usize::from(phase.choices));
        if choice.is_some_and(|&at| self.seen >= at) {
            return Some(Step::Link);
        }
        if room < RECENT && phase.looks < LOOKS {
            if room < SOME && self.seen >= KEEP_SOME {
                return Some(Step::Keep(SOME));
            }
            if self.seen >= KEEP_ALL && self.recent.is_dense() {
                return Some(Step::Keep(RECENT));
            }
        }
        if self.shapes.is_none() && self.seen >= WARM {
            return Some(Step::Shapes);
        }
        let filled = i64::from(self.seen) >= (DAY / self.span).clamp(FEWEST, RECENT as i64);
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

    fn look_is_due(&self) -> bool {
        let looks = usize::from(self.phase.looks);
        self.recent.room() == RECENT
            && looks < usize::from(LOOKS)
            && self.recent.known() as usize >= RECENT * (looks + 2) / 2
    }

    /// Bytes of the next step of growth that the series would like to take; 0 when it wants nothing.
    pub fn wants(&self) -> usize {
        let bytes = match self.next_step() {
            None => return 0,
            // At most one table more, of a third of the values.
            Some(Step::Link) => 0,
            Some(Step::Period) => Table::bytes_of(RECENT as i64 / 3 * self.span, 1, self.span, 512),
            Some(Step::Keep(room)) => Recent::bytes_of(room) - self.recent.bytes(),
            Some(Step::Shapes) => Shapes::bytes(),
            Some(Step::Seasons) => self.missing(),
            Some(Step::Days) => allocated(size_of::<Days>()),
            Some(Step::Trial) => self.missing() + Recent::bytes_of(RECENT) - self.recent.bytes(),
        };
        bytes.max(1)
    }

    fn missing(&self) -> usize {
        let spread = if self.spread.is_none() {
            Table::bytes_of(DAY, 1, self.span, HOURS)
        } else {
            0
        };
        spread + self.predictors.missing_bytes(self.span)
    }

    /// Takes the step that the series wants. What is taken up starts with what the kept values tell.
    pub fn grow(&mut self) {
        match self.next_step() {
            None => {}
            Some(Step::Link) => {
                self.phase.choices += 1;
                self.choose_link();
            }
            Some(Step::Keep(room)) => self.recent.grow(room),
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
                    self.recent.free();
                }
            }
            Some(Step::Trial) => self.try_again(),
        }
    }

    /// A series that has learnt the recent values over again, with the views that this one has.
    fn replayed(&self, link: Link, seasons: bool) -> Self {
        let mut again = Self::new(self.span, link);
        again.recent.free();
        again.shapes = self.shapes.as_ref().map(|_| Box::default());
        again.days = self
            .days
            .as_ref()
            .map(|_| Box::new(Days::after(0, 0.0, self.span)));
        if seasons {
            again.predictors.complete(self.span);
            again.spread = Table::new(DAY, 1, self.span, HOURS);
        }
        let first = self.last - (self.recent.len() as i64 - 1) * self.span;
        let values = self.recent.in_order().enumerate();
        for (i, value) in values.filter(|(_, value)| !value.is_nan()) {
            let time = first + i as i64 * self.span;
            let judged = again.judge(time, value, Side::Both);
            again.learn(time, value, &judged);
        }
        again
    }

    /// Starts over from the recent values under another link, when they ask for one.
    fn choose_link(&mut self) {
        if self.recent.len() == 0 {
            return;
        }
        let recent: Vec<f32> = self.recent.in_order().map(|value| value as f32).collect();
        let link = Link::choose(&recent, self.link);
        if link == self.link {
            return;
        }
        let again = self.replayed(link, self.predictors.seasons.is_some());
        *self = Self {
            seen: self.seen,
            negative: self.negative,
            bar: self.bar,
            recent: std::mem::take(&mut self.recent),
            phase: self.phase,
            ..again
        };
    }

    fn find_period(&mut self) {
        let link = self.link;
        let scaled = self.recent.in_order().map(|value| link.apply(value));
        // Where a bucket had no value there is no number.
        let scaled: Vec<f32> = self
            .recent
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
            self.predictors
                .adopt(lag as i64 * self.span, self.span, self.last, values);
        }
    }

    fn take_up(&mut self) {
        self.start_trial(FIRST_TRIAL);
        if self.recent.len() < FEWEST as usize {
            self.predictors.complete(self.span);
            self.spread = Table::new(DAY, 1, self.span, HOURS);
            return;
        }
        let again = self.replayed(self.link, true);
        self.spread = again.spread;
        self.predictors.take_over(again.predictors);
    }

    fn try_again(&mut self) {
        self.start_trial(TRIAL);
        self.phase.looks = 0;
        self.recent = Recent::of(RECENT);
        self.predictors.complete(self.span);
        if self.spread.is_none() {
            self.spread = Table::new(DAY, 1, self.span, HOURS);
        }
    }

    fn start_trial(&mut self, days: i64) {
        let today = self.last.div_euclid(DAY);
        let review = today + days.max(BUCKETS * self.span / DAY);
        let day = |day: i64| i32::try_from(day).unwrap_or(i32::MAX);
        self.phase.started = true;
        (self.phase.review, self.phase.trial) = (day(review), day(review + REST));
    }

    /// Gives back what has hardly been used.
    pub(super) fn shrink(&mut self) {
        let today = self.last.div_euclid(DAY);
        if !self.phase.started || today < i64::from(self.phase.review) {
            return;
        }
        let before = self.predictors.bytes();
        self.predictors.thin();
        self.spread.take_if(|spread| spread.size() < EVEN);
        let day = |day: i64| i32::try_from(day).unwrap_or(i32::MAX);
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

    fn heap_bytes(&self) -> usize {
        self.recent.bytes()
            + self.predictors.bytes()
            + self.spread.as_ref().map_or(0, Table::bytes)
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
            + Table::bytes_of(DAY, 1, span, HOURS)
            + Predictors::new().missing_bytes(span)
            + Table::bytes_of(RECENT as i64 / 3 * span, 1, span, 512)
    }
}
