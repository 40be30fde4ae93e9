//! A model that slots share, of whatever it may be: what the members of a population do, times, or places.

use serde::{Deserialize, Serialize};

use super::{Judged, Key, Lane, Point};
use crate::circle::Circle;
use crate::config::Metric;
use crate::crowd::{self, Crowd};
use crate::gather::Accumulator;
use crate::place::{self, Place};
use crate::series::{Finding, Side};

const DAY: i64 = 86_400;
/// Bytes that finding a pool takes.
const ENTRY_BYTES: u64 = 32;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Model {
    Crowd(Box<Crowd>),
    Circle(Box<Circle>),
    Place(Box<Place>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    model: Model,
    /// Seconds that its clock is ahead.
    ahead: i64,
}

/// The value of a slot in a bucket.
#[derive(Clone, Copy)]
pub struct Value {
    pub slot: u32,
    pub key: Key,
    pub value: Point,
}

/// What a pool made of a bucket, to be learnt.
pub enum Seen {
    Crowd(Vec<(u32, f64)>, crowd::Seen),
    Circle(Vec<(f64, Finding)>),
    Place(Vec<(place::Point, place::Located)>),
}

impl Seen {
    /// Leaves out the values that are not kept.
    pub fn retain(&mut self, keep: &[bool]) {
        fn among<T>(list: &mut Vec<T>, keep: &[bool]) {
            let mut keep = keep.iter();
            list.retain(|_| keep.next() != Some(&false));
        }
        match self {
            Self::Crowd(values, seen) => {
                among(values, keep);
                seen.retain(keep);
            }
            Self::Circle(seen) => among(seen, keep),
            Self::Place(seen) => among(seen, keep),
        }
    }
}

impl Pool {
    pub fn new(lane: &Lane) -> Self {
        let model = match lane.metric {
            Metric::Place => Model::Place(Box::default()),
            metric => match period(metric) {
                Some(period) => Model::Circle(Box::new(Circle::new(period))),
                None => Model::Crowd(Box::new(Crowd::new(lane.span, metric.link()))),
            },
        };
        Self { model, ahead: 0 }
    }

    /// Bytes of one without members.
    pub fn newborn_bytes(metric: Metric) -> u64 {
        let bytes = match metric {
            Metric::Place => Place::newborn_bytes(),
            metric => period(metric).map_or_else(Crowd::newborn_bytes, Circle::newborn_bytes),
        };
        (bytes + size_of::<Self>()) as u64 + ENTRY_BYTES
    }

    /// Judges the values of a bucket, by their over values.
    pub fn judge(&self, bucket: i64, side: Side, values: &[Value]) -> (Vec<Judged>, Seen) {
        match &self.model {
            Model::Crowd(crowd) => {
                let numbers = values.iter().map(|v| (v.key.over, v.value.values()[0]));
                let numbers: Vec<(u32, f64)> = numbers.collect();
                let seen = crowd.judge(bucket + self.ahead, &numbers, side);
                let each = values.iter().zip(&seen.findings);
                let judged = each
                    .map(|(value, &found)| Judged::new(value.slot, value.key, value.value, found));
                (judged.collect(), Seen::Crowd(numbers, seen))
            }
            Model::Circle(circle) => {
                let ahead = self.ahead as f64;
                let judge = |value: &Value| {
                    let into = value.value.values()[0] + ahead;
                    let found = circle.judge(into);
                    let told = Finding {
                        typical: (found.typical - ahead).rem_euclid(circle.period() as f64),
                        lower: found.lower - ahead,
                        upper: found.upper - ahead,
                        ..found
                    };
                    let judged = Judged::new(value.slot, value.key, value.value, told);
                    (judged, (into, found))
                };
                let (judged, seen) = values.iter().map(judge).unzip();
                (judged, Seen::Circle(seen))
            }
            Model::Place(place) => {
                let judge = |value: &Value| {
                    let point = point(value.value);
                    let found = place.judge(point);
                    (located(value, &found), (point, found))
                };
                let (judged, seen) = values.iter().map(judge).unzip();
                (judged, Seen::Place(seen))
            }
        }
    }

    pub fn learn(&mut self, bucket: i64, seen: &Seen) {
        match (&mut self.model, seen) {
            (Model::Crowd(crowd), Seen::Crowd(values, seen)) => crowd.learn(values, seen),
            (Model::Circle(circle), Seen::Circle(seen)) => seen
                .iter()
                .for_each(|(into, found)| circle.learn(bucket, *into, found)),
            (Model::Place(place), Seen::Place(seen)) => seen
                .iter()
                .for_each(|(point, found)| place.learn(*point, found)),
            _ => {}
        }
    }

    /// How a number of a member would be judged; `None` for what is no number.
    pub fn peek(&self, bucket: i64, member: u32, value: f64, side: Side) -> Option<Finding> {
        match &self.model {
            Model::Crowd(crowd) => Some(crowd.peek(bucket + self.ahead, member, value, side)),
            Model::Circle(_) | Model::Place(_) => None,
        }
    }

    pub fn shift_clock(&mut self, seconds: i64) {
        let shifted = self.ahead.saturating_add(seconds);
        self.ahead = shifted.clamp(-366 * DAY, 366 * DAY);
    }

    /// Keeps the members that `keep` says.
    pub fn retain(&mut self, keep: impl FnMut(u32) -> bool) {
        if let Model::Crowd(crowd) = &mut self.model {
            crowd.retain(keep);
        }
    }

    /// Gives members the numbers that they have now.
    pub fn rename(&mut self, new: impl FnMut(u32) -> u32) {
        if let Model::Crowd(crowd) = &mut self.model {
            crowd.rename(new);
        }
    }
}

/// Seconds all round, of what is a time.
fn period(metric: Metric) -> Option<i64> {
    match metric {
        Metric::TimeOfDay => Some(DAY),
        Metric::TimeOfWeek => Some(7 * DAY),
        _ => None,
    }
}

fn point(value: Point) -> place::Point {
    match value {
        Point::Pair([lat, lon]) => place::Point { lat, lon },
        Point::One(lat) => place::Point { lat, lon: 0.0 },
    }
}

fn located(value: &Value, found: &place::Located) -> Judged {
    // Bounds are of the distance, km.
    let finding = Finding::alone(found.probability, [0.0, 0.0, found.usual]);
    let place::Point { lat, lon } = found.typical;
    Judged {
        typical: Point::Pair([lat, lon]),
        ..Judged::new(value.slot, value.key, value.value, finding)
    }
}

/// The value of a slot's bucket, if it has one.
pub fn value(metric: Metric, found: &Accumulator) -> Option<Point> {
    if metric == Metric::Place {
        return found.pair().map(Point::Pair);
    }
    let Some(period) = period(metric) else {
        return found.value(metric).map(Point::One);
    };
    let [sine, cosine] = found.pair()?;
    let turn = sine.atan2(cosine) / std::f64::consts::TAU;
    let period = period as f64;
    Some(Point::One((turn.rem_euclid(1.0) * period).round() % period))
}
