//! A series as the first format of the saved state has it: the layout must never change, since that format is not
//! self-describing. What is read becomes a series of today.

use serde::Deserialize;

use super::bar::Bar;
use super::day::Days;
use super::grow::Phase;
use super::link::Link;
use super::odds::Odds;
use super::outlook::Outlook;
use super::predict::Predictors;
use super::recent::{RECENT, Recent};
use super::row::Row;
use super::season::{COUNT, Table};
use super::seasons::Seasons;
use super::shape::{PIECES, Shapes};
use super::sums::Sums;
use super::tail::Tail;

const SEASONS: usize = 6;
const RATES: usize = 4;

#[derive(Debug, Deserialize)]
pub struct Series {
    span: i64,
    link: Link1,
    seen: u32,
    negative: bool,
    last: i64,
    predictors: Predictors1,
    width: [f32; 2],
    spread: Option<Table1>,
    sums: Sums1,
    days: Days1,
    tails: [[Tail1; 2]; 2],
    shapes: Shapes1,
    run: i32,
    flagged: bool,
    flags: f32,
    bar: Bar1,
    recent: Recent1,
}

#[derive(Debug, Deserialize)]
enum Link1 {
    Identity,
    Root,
    Log { offset: f64 },
}

#[derive(Debug, Deserialize)]
struct Predictors1 {
    learnt: u32,
    _day: f32,
    variation: f32,
    _slow: f32,
    _forget: f32,
    daily: Option<Table1>,
    classes: Option<[Table1; 2]>,
    weekly: Option<Table1>,
    found: Option<Table1>,
    predictors: [[Predictor1; RATES]; SEASONS],
    firm: [f64; SEASONS],
}

#[derive(Debug, Deserialize)]
struct Predictor1 {
    level: f64,
    slope: f32,
    width: f32,
    evidence: f32,
}

#[derive(Debug, Deserialize)]
struct Table1 {
    period: i64,
    _offset: i64,
    width: i64,
    values: Vec<f32>,
    visits: Vec<u8>,
}

#[derive(Debug, Deserialize)]
struct Sums1 {
    width: f32,
    sums: [f32; 3],
    widths: [f32; 3],
    off: i32,
}

#[derive(Debug, Deserialize)]
struct Days1 {
    seen: u32,
    width: f32,
    mean: f32,
    wide: f32,
    off: i32,
    tails: [Tail1; 2],
}

#[derive(Debug, Deserialize)]
struct Tail1 {
    threshold: f32,
    pace: f32,
    seen: u32,
    excesses: f32,
    sums: [f32; 3],
    evidence: [f32; 3],
    peak: f32,
    peak_weight: f32,
}

#[derive(Debug, Deserialize)]
struct Shapes1 {
    seen: u32,
    last: [i8; 8],
    pieces: Vec<[i8; 8]>,
    matched: Vec<u32>,
    tail: Tail1,
}

#[derive(Debug, Deserialize)]
struct Bar1 {
    height: f32,
    alarms: f32,
    since: u32,
}

#[derive(Debug, Deserialize)]
struct Recent1 {
    values: Vec<f32>,
    head: usize,
}

impl From<Series> for super::Series {
    fn from(old: Series) -> Self {
        let filled = Phase::is_filled(old.seen, old.span);
        let predictors = old.predictors.taken_up(old.span, old.spread, filled);
        Self {
            span: old.span,
            link: match old.link {
                Link1::Identity => Link::Identity,
                Link1::Root => Link::Root,
                Link1::Log { offset } => Link::Log { offset },
            },
            seen: old.seen,
            negative: old.negative,
            last: old.last,
            width: old.width,
            sums: Sums {
                width: old.sums.width,
                sums: old.sums.sums,
                widths: old.sums.widths,
                off: old.sums.off,
            },
            days: filled.then(|| Box::new(old.days.into())),
            tails: old.tails.map(|both| both.map(Tail::from)),
            shapes: (old.shapes.seen > 0).then(|| Box::new(old.shapes.into())),
            run: old.run,
            flagged: old.flagged,
            flags: old.flags,
            bar: Bar {
                height: old.bar.height,
                alarms: old.bar.alarms,
                since: old.bar.since,
            },
            odds: Odds::default(),
            recent: Some(Box::new(old.recent.into())),
            outlook: Outlook::late(),
            phase: Phase::taken_up(old.seen, old.last, old.span),
            ahead: 0,
            predictors,
        }
    }
}

impl Predictors1 {
    fn taken_up(self, span: i64, spread: Option<Table1>, seasonal: bool) -> Predictors {
        let [[ref slow, ..], ..] = self.predictors;
        let origin = slow.level;
        let row = |season: usize| {
            let old = &self.predictors[season];
            Row {
                levels: std::array::from_fn(|rate| (old[rate].level - origin) as f32),
                widths: std::array::from_fn(|rate| old[rate].width),
                evidence: std::array::from_fn(|rate| old[rate].evidence),
                slope: old[1].slope,
                firm: (self.firm[season] - origin) as f32,
                far: old[0].width,
            }
        };
        let plain = row(0);
        let rows = std::array::from_fn(|season| row(season + 1));
        let whole = self.found.is_some() || self.daily.is_some() || self.weekly.is_some();
        let seasons = (seasonal && whole).then(|| {
            let mut seasons = Seasons::empty();
            seasons.complete(span, plain, 0.0);
            let fill = |table: &mut Option<Table>, old: Option<Table1>| {
                if let (Some(table), Some(old)) = (table, old) {
                    old.carry(table, false);
                }
            };
            fill(&mut seasons.daily, self.daily);
            fill(&mut seasons.weekly, self.weekly);
            fill(&mut seasons.spread, spread);
            seasons.found = self.found.and_then(|old| old.taken_up(span, 512));
            if let (Some(table), Some([workday, weekend])) = (&mut seasons.classes, self.classes) {
                workday.carry(table, false);
                weekend.carry(table, true);
            }
            seasons.rows = rows;
            seasons.all_used(self.learnt);
            Box::new(seasons)
        });
        Predictors {
            learnt: self.learnt,
            variation: self.variation,
            origin,
            plain,
            seasons,
        }
    }
}

impl Table1 {
    fn taken_up(self, span: i64, most: i64) -> Option<Table> {
        let mut table = Table::new(self.period, 1, span, most)?;
        self.carry(&mut table, false);
        Some(table)
    }

    /// Carries what it holds to a table of slots that are as wide or wider: their means.
    fn carry(&self, table: &mut Table, second: bool) {
        let slots = self.values.iter().zip(&self.visits).enumerate();
        let slots = slots.filter(|(_, (_, visits))| **visits & COUNT > 0);
        let (mut slot, mut sum, mut count) = (None, 0.0, 0.0);
        for (place, (&value, &visits)) in slots {
            let new = table.slot_of(place as i64 * self.width, second);
            if slot != Some(new) {
                (slot, sum, count) = (Some(new), 0.0, 0.0);
            }
            sum += f64::from(value);
            count += 1.0;
            table.carry(new, sum / count, visits);
        }
    }
}

impl From<Tail1> for Tail {
    fn from(old: Tail1) -> Self {
        Self {
            threshold: old.threshold,
            pace: old.pace,
            seen: old.seen,
            excesses: old.excesses,
            sums: old.sums,
            evidence: old.evidence,
            peak: old.peak,
            peak_weight: old.peak_weight,
        }
    }
}

impl From<Days1> for Days {
    fn from(old: Days1) -> Self {
        Self {
            seen: old.seen,
            width: old.width,
            mean: old.mean,
            wide: old.wide,
            off: old.off,
            tails: old.tails.map(Tail::from),
        }
    }
}

impl From<Shapes1> for Shapes {
    fn from(old: Shapes1) -> Self {
        let mut pieces: Vec<_> = old.matched.into_iter().zip(old.pieces).collect();
        pieces.sort_by_key(|&(matched, _)| std::cmp::Reverse(matched));
        pieces.truncate(PIECES);
        let mut shapes = Self {
            seen: old.seen,
            last: old.last,
            known: pieces.len() as u8,
            tail: old.tail.into(),
            ..Self::default()
        };
        let places = shapes.pieces.as_flattened_mut();
        for (place, (_, piece)) in places.iter_mut().zip(pieces) {
            *place = piece;
        }
        shapes
    }
}

impl From<Recent1> for Recent {
    fn from(old: Recent1) -> Self {
        let (newer, older) = old.values.split_at(old.head.min(old.values.len()));
        let values = [older, newer].concat();
        let mut recent = if values.len() < RECENT / 5 {
            Self::default()
        } else {
            Self::of(RECENT)
        };
        let mut missed = 0;
        for value in &values[values.len().saturating_sub(RECENT)..] {
            if value.is_nan() {
                missed += 1;
            } else {
                recent.push(missed, f64::from(*value));
                missed = 0;
            }
        }
        recent
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Series as Today, Side};

    /// The state after thirty days of [`value`], written by the release that had this format.
    const SAVED: &[u8] = include_bytes!("../../tests/fixtures/format-1.series");

    fn value(hour: i64) -> f64 {
        let mixed = hour.wrapping_mul(6_364_136_223_846_793_005) >> 40;
        let open = (8..18).contains(&(hour % 24));
        1_000.0 + mixed.rem_euclid(1_000) as f64 / 100.0 + if open { 100.0 } else { 0.0 }
    }

    #[test]
    fn what_was_learnt_is_known() {
        let (old, rest): (super::Series, _) = postcard::take_from_bytes(SAVED).expect("readable");
        assert!(rest.is_empty());
        let mut series = Today::from(old);
        let weight = series.bytes();
        for hour in 720..744 {
            let jump = if hour == 740 { 40.0 } else { 0.0 };
            let time = 1_700_006_400 + hour * 3_600;
            let found = series.follow(time, value(hour) + jump, Side::Both);
            assert!(
                (found.typical - value(hour)).abs() < 15.0,
                "{hour}: {found:?}"
            );
            if hour <= 740 {
                assert_eq!(found.probability < 2e-3, jump > 0.0, "{hour}: {found:?}");
            }
        }
        assert!(weight <= 3_600, "{weight}");
    }
}
