//! What the records of one slot in one bucket add up to.

use serde::{Deserialize, Serialize};

use crate::config::Metric;

/// Two sums beside the counts; what they hold depends on the metric: see [`Accumulator::add`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Accumulator {
    /// Events.
    pub count: f64,
    /// Events that had a value.
    pub valued: f64,
    pub a: f64,
    pub b: f64,
}

impl Accumulator {
    pub const EMPTY: Self = Self {
        count: 0.0,
        valued: 0.0,
        a: 0.0,
        b: 0.0,
    };

    /// Adds a record that stands for `events`; its value is their mean, or their sum where sums are wanted.
    /// A place is the value and `second`, a time of day is given by its angle's sine and cosine.
    pub fn add(&mut self, metric: Metric, value: Option<f64>, second: f64, events: f64) {
        self.count += events;
        let Some(value) = value else { return };
        let first = self.valued == 0.0;
        self.valued += events;
        match metric {
            Metric::Count | Metric::Presence | Metric::Median => {}
            // One more distinct value, or none.
            Metric::Distinct | Metric::Information | Metric::Sum => self.a += value,
            Metric::Mean => self.a += value * events,
            Metric::Min if first => self.a = value,
            Metric::Min => self.a = self.a.min(value),
            Metric::Max if first => self.a = value,
            Metric::Max => self.a = self.a.max(value),
            Metric::Variance => {
                // Mean and sum of squared deviations (West 1979, Communications of the ACM 22, p. 532).
                let away = value - self.a;
                self.a += away * events / self.valued;
                self.b += away * (value - self.a) * events;
            }
            Metric::TimeOfDay | Metric::TimeOfWeek | Metric::Place => {
                self.a += value * events;
                self.b += second * events;
            }
        }
    }

    /// The value of the bucket; `None` where there is none, where sums ran out of range, and for what these sums can't
    /// tell.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        let value = match metric {
            Metric::Count => self.count,
            _ if self.valued <= 0.0 => return None,
            Metric::Sum | Metric::Min | Metric::Max | Metric::Distinct => self.a,
            // Once they have been settled: see `Gathered::settle`.
            Metric::Median | Metric::Information => self.a,
            Metric::Mean => self.a / self.valued,
            Metric::Variance => (self.b / self.valued).max(0.0),
            Metric::Presence | Metric::TimeOfDay | Metric::TimeOfWeek | Metric::Place => {
                return None;
            }
        };
        value.is_finite().then_some(value)
    }

    /// The mean of both sums: a place, or a direction on the circle.
    pub fn pair(&self) -> Option<[f64; 2]> {
        let pair = [self.a / self.valued, self.b / self.valued];
        (self.valued > 0.0 && pair.iter().all(|x| x.is_finite())).then_some(pair)
    }

    /// What remains when `part` is taken out. Extremes can't be taken out: a part that holds the extreme leaves none.
    pub fn without(&self, part: &Self, metric: Metric) -> Option<Self> {
        let valued = self.valued - part.valued;
        let mut rest = Self {
            count: self.count - part.count,
            valued,
            a: self.a - part.a,
            b: self.b - part.b,
        };
        match metric {
            Metric::Min | Metric::Max if part.valued > 0.0 && part.a == self.a => return None,
            Metric::Min | Metric::Max => rest.a = self.a,
            Metric::Variance if valued > 0.0 => {
                rest.a = (self.a * self.valued - part.a * part.valued) / valued;
                let apart = rest.a - part.a;
                rest.b -= apart * apart * valued * part.valued / self.valued;
            }
            _ => {}
        }
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(metric: Metric, values: &[(f64, f64)]) -> Accumulator {
        let mut all = Accumulator::EMPTY;
        for &(value, events) in values {
            all.add(metric, Some(value), 0.0, events);
        }
        all
    }

    #[test]
    fn metrics_of_a_bucket() {
        let values = [(2.0, 1.0), (5.0, 3.0)];
        let expected = [
            (Metric::Count, 4.0),
            (Metric::Mean, 17.0 / 4.0),
            (Metric::Sum, 7.0),
            (Metric::Min, 2.0),
            (Metric::Max, 5.0),
            (Metric::Variance, (2.25 * 2.25 + 3.0 * 0.75 * 0.75) / 4.0),
        ];
        for (metric, expected) in expected {
            assert_eq!(
                of(metric, &values).value(metric),
                Some(expected),
                "{metric:?}"
            );
            assert_eq!(
                Accumulator::EMPTY.value(metric),
                (metric == Metric::Count).then_some(0.0)
            );
        }
        let mut none = Accumulator::EMPTY;
        none.add(Metric::Mean, None, 0.0, 1.0);
        assert_eq!((none.value(Metric::Mean), none.count), (None, 1.0));
    }

    #[test]
    fn a_part_can_be_taken_out() {
        let values = [(2.0, 1.0), (4.0, 2.0), (-5.0, 3.0)];
        for metric in [Metric::Sum, Metric::Mean, Metric::Variance, Metric::Count] {
            let rest = of(metric, &values).without(&of(metric, &values[2..]), metric);
            let rest = rest.and_then(|rest| rest.value(metric)).expect("a rest");
            let expected = of(metric, &values[..2]).value(metric).expect("values");
            assert!(
                (rest - expected).abs() < 1e-9,
                "{metric:?} {rest} {expected}"
            );
        }
        let all = of(Metric::Min, &values);
        assert_eq!(
            all.without(&of(Metric::Min, &values[2..]), Metric::Min),
            None
        );
        let rest = all.without(&of(Metric::Min, &values[..1]), Metric::Min);
        assert_eq!(rest.and_then(|r| r.value(Metric::Min)), Some(-5.0));
    }

    #[test]
    fn sums_beyond_the_range_are_no_value() {
        let all = of(Metric::Sum, &[(1e308, 1.0), (1e308, 1.0)]);
        assert_eq!(all.value(Metric::Sum), None);
    }
}
