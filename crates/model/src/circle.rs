//! Times of day and of week: where on a circle things happen.
//!
//! The times of the past are a histogram on the circle, fading slowly: any number of habits, of any shape. How far out a
//! time is, is how far one must look to either side to find a share of the past; in units of what is usual, this is a
//! statistic that a `Tail` calibrates. It grows with the distance from all habits, so that the middle of the night
//! is odder than a quarter of an hour too late, and it is the same all round when things happen at any time.

use serde::{Deserialize, Serialize};

use crate::series::{DAY, Finding, Tail};

/// Slots of a histogram: ten minutes of a day, half hours of a week.
const DAY_SLOTS: usize = 144;
const WEEK_SLOTS: usize = 336;
/// Share of the past of a day that is looked for; of a week the third part.
const NEAR: f64 = 0.06;
/// Values, at least, that are looked for.
const NEAR_LEAST: f64 = 1.0;
/// Periods after which the past has faded to 1/e.
const MEMORY: f64 = 30.0;
/// Periods that only fill the histogram, and values after them before times are judged.
const WARM_PERIODS: i64 = 2;
const WARM: u32 = 16;
const FLAGGED: f64 = 3e-4;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Circle {
    /// Seconds all round.
    period: i64,
    slots: Vec<f32>,
    total: f64,
    /// Weight of the next value: what comes weighs ever more, instead of all the rest less.
    unit: f64,
    /// Of the buckets of the first and of the last value, epoch seconds.
    first: i64,
    last: i64,
    /// Values that taught the tail.
    seen: u32,
    /// Mean distance looked, slots.
    reach: f64,
    tail: Tail,
    flags: f32,
}

impl Circle {
    /// A circle of so many seconds: a day or a week.
    pub fn new(period: i64) -> Self {
        Self {
            period,
            slots: vec![0.0; slots(period)],
            total: 0.0,
            unit: 1.0,
            first: 0,
            last: 0,
            seen: 0,
            reach: 0.0,
            tail: Tail::new(2.0, [-4.0, 0.0, 0.0], 1.0),
            flags: 0.0,
        }
    }

    /// Seconds all round.
    pub fn period(&self) -> i64 {
        self.period
    }

    /// Judges a time, seconds into the period; so are typical and bounds, and the bounds may lie beyond its ends.
    pub fn judge(&self, into: f64) -> Finding {
        let place = self.place(into);
        let reach = self.reach(place);
        let mut probability = 1.0;
        if self.seen >= WARM {
            let n = f64::from(self.seen);
            // No sample of n can tell of odds much beyond its size.
            let floor = (0.1 / n).powi(2) / n.sqrt();
            probability = self.tail.probability(self.statistic(reach)).max(floor);
        }
        let width = self.period as f64 / self.slots.len() as f64;
        let typical = self.nearest_mode(place) * width;
        let reach = 2.0 * self.reach.max(1.0) * width;
        let bounds = [typical - reach, typical, typical + reach];
        Finding::alone(probability, bounds.map(f64::round))
    }

    /// Learns a time that was judged, seconds into the period, of the bucket at `time`. Buckets must not go back.
    pub fn learn(&mut self, time: i64, into: f64, judged: &Finding) {
        if self.total == 0.0 {
            (self.first, self.last) = (time, time);
        }
        let place = self.place(into);
        let reach = self.reach(place);
        if self.total > 0.0 && time - self.first >= WARM_PERIODS * self.period {
            if self.seen > 0 {
                let flagged = judged.probability < FLAGGED && self.seen >= WARM;
                let weight = self.weight(flagged);
                self.tail.learn(self.statistic(reach), weight);
            }
            self.seen = self.seen.saturating_add(1);
            let rate = 1.0 / f64::from(self.seen.min(200));
            let most = if self.seen < 8 {
                f64::INFINITY
            } else {
                8.0 * self.reach
            };
            self.reach += rate * (reach.min(most) - self.reach);
        }
        let passed = (time - self.last).max(0) as f64 / self.period as f64;
        self.last = self.last.max(time);
        self.unit *= (passed / MEMORY).min(200.0).exp();
        // Before it is too much for a slot.
        if self.unit > 1e6 {
            self.rescale();
        }
        // Split between the two slots that it lies nearest to.
        let n = self.slots.len();
        let at = place - 0.5;
        let share = at - at.floor();
        let left = (at.floor() as i64).rem_euclid(n as i64) as usize;
        self.slots[left] += (self.unit * (1.0 - share)) as f32;
        self.slots[(left + 1) % n] += (self.unit * share) as f32;
        self.total += self.unit;
    }

    fn rescale(&mut self) {
        for slot in &mut self.slots {
            *slot = (f64::from(*slot) / self.unit) as f32;
        }
        self.total = self.slots.iter().map(|&w| f64::from(w)).sum();
        self.unit = 1.0;
    }

    /// How much a time counts in the tail: an anomaly hardly, unless anomalies are what there is.
    fn weight(&mut self, flagged: bool) -> f64 {
        self.flags *= 0.99;
        if !flagged {
            return 1.0;
        }
        self.flags += 1.0;
        (0.1 * f64::from(self.flags)).clamp(0.1, 1.0)
    }

    fn place(&self, into: f64) -> f64 {
        let period = self.period as f64;
        into.rem_euclid(period) / period * self.slots.len() as f64
    }

    fn statistic(&self, reach: f64) -> f64 {
        reach / self.reach.max(0.25)
    }

    /// How far to both sides of a place, in slots, there is a share [`NEAR`] of the past.
    fn reach(&self, place: f64) -> f64 {
        let near = if self.period > DAY { NEAR / 3.0 } else { NEAR };
        let wanted = (near * self.total).max(NEAR_LEAST * self.unit);
        let n = self.slots.len();
        let at = place as usize % n;
        let within = place - place.floor();
        // Parts of its own slot on the left and on the right, and then whole slots.
        let own = f64::from(self.slots[at]);
        let mut found = 0.0;
        let mut edge = [within, 1.0 - within];
        let mut weights = [own, own];
        let mut next = [at, at];
        let mut reach = 0.0;
        for _ in 0..2 * n {
            let step = edge[0].min(edge[1]);
            let gain = step * (weights[0] + weights[1]);
            if found + gain >= wanted {
                return reach + step * (wanted - found) / gain;
            }
            (found, reach) = (found + gain, reach + step);
            if reach >= n as f64 / 2.0 {
                break;
            }
            for side in 0..2 {
                edge[side] -= step;
                if edge[side] <= 0.0 {
                    next[side] = (next[side] + if side == 0 { n - 1 } else { 1 }) % n;
                    weights[side] = f64::from(self.slots[next[side]]);
                    edge[side] = 1.0;
                }
            }
        }
        n as f64 / 2.0
    }

    /// The middle of the nearest slot that has more than its share and than its neighbours, on the way to either side.
    fn nearest_mode(&self, place: f64) -> f64 {
        let n = self.slots.len();
        let at = place as usize % n;
        let smooth = |i: usize| {
            let [a, b, c] = [i + n - 1, i, i + 1].map(|i| f64::from(self.slots[i % n]));
            a + 2.0 * b + c
        };
        let least = 4.0 * self.total / n as f64;
        let is_mode = |i: usize| {
            let here = smooth(i);
            here >= least.min(1e300)
                && here > 0.0
                && here >= smooth(i + n - 1)
                && here >= smooth(i + 1)
        };
        for distance in 0..=n / 2 {
            for i in [at + distance, at + n - distance] {
                if is_mode(i % n) {
                    return (i % n) as f64 + 0.5;
                }
            }
        }
        place
    }

    /// Bytes of one of so many seconds.
    pub fn newborn_bytes(period: i64) -> usize {
        size_of::<Self>() + slots(period) * size_of::<f32>()
    }
}

fn slots(period: i64) -> usize {
    if period > DAY { WEEK_SLOTS } else { DAY_SLOTS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Noise;

    const WEEK: i64 = 7 * DAY;
    const START: i64 = 1_699_999_200;

    /// Log-ins of a day: three about nine, two about half past five, minutes wide.
    fn office(noise: &mut Noise) -> f64 {
        if noise.uniform() < 0.6 {
            9.0 * 3_600.0 + 1_200.0 * noise.normal()
        } else {
            17.5 * 3_600.0 + 600.0 * noise.normal()
        }
    }

    fn observe(circle: &mut Circle, time: i64) -> Finding {
        let into = time.rem_euclid(circle.period) as f64;
        let found = circle.judge(into);
        circle.learn(time, into, &found);
        found
    }

    fn judge(circle: &Circle, time: i64) -> Finding {
        circle.judge(time.rem_euclid(circle.period) as f64)
    }

    fn shares(period: i64, per_day: usize, draw: impl Fn(&mut Noise) -> f64) -> [f64; 2] {
        let (mut below, mut all) = ([0.0; 2], 0.0);
        for seed in 0..8 {
            let mut noise = Noise(seed);
            let mut circle = Circle::new(period);
            for day in 0..400 {
                let mut times: Vec<i64> = (0..per_day).map(|_| draw(&mut noise) as i64).collect();
                times.sort_unstable();
                for time in times {
                    let found = observe(&mut circle, START + day * DAY + time);
                    if day >= 60 {
                        all += 1.0;
                        below[0] += f64::from(u8::from(found.probability < 1e-2));
                        below[1] += f64::from(u8::from(found.probability < 1e-3));
                    }
                }
            }
        }
        below.map(|n| n / all)
    }

    #[test]
    fn probabilities_are_honest_on_stationary_times() {
        let honest = |name: &str, [one, few]: [f64; 2]| {
            println!("{name}: {one:.5} {few:.6}");
            assert!((0.005..0.02).contains(&one), "{name}: {one}");
            assert!(few < 0.002, "{name}: {few}");
        };
        honest("office", shares(DAY, 10, office));
        honest("office, week", shares(WEEK, 10, office));
        honest(
            "one habit",
            shares(DAY, 4, |n| 12.0 * 3_600.0 + 3_000.0 * n.normal()),
        );
        let always = shares(DAY, 10, |n| n.uniform() * DAY as f64);
        println!("always {always:?}");
        assert!(always[0] < 0.02 && always[1] < 0.002, "{always:?}");
    }

    #[test]
    fn the_middle_of_the_night_is_told() {
        for period in [DAY, WEEK] {
            let mut noise = Noise(4);
            let mut circle = Circle::new(period);
            for day in 0..30 {
                let mut times: Vec<i64> = (0..10).map(|_| office(&mut noise) as i64).collect();
                times.sort_unstable();
                for time in times {
                    let found = observe(&mut circle, START + day * DAY + time);
                    assert!(found.probability > 5e-5, "{period} {day} {time}: {found:?}");
                }
            }
            let night = START + 30 * DAY + 3 * 3_600;
            let found = judge(&circle, night);
            assert!(found.probability < 2e-5, "{period}: {}", found.probability);
            let nine = (START + 9 * 3_600).rem_euclid(DAY) as f64;
            assert!(
                (found.typical.rem_euclid(DAY as f64) - nine).abs() < 3_000.0 || period == WEEK
            );
            let noon = judge(&circle, START + 30 * DAY + 13 * 3_600);
            assert!(noon.probability < 1e-3 && noon.probability >= found.probability);
        }
    }

    #[test]
    fn a_gap_of_many_years_leaves_numbers() {
        for period in [DAY, WEEK] {
            let (mut circle, mut noise) = (Circle::new(period), Noise(5));
            for day in (0..30).chain(1_000_000..1_000_060) {
                let time = START + day * DAY + office(&mut noise) as i64;
                let found = observe(&mut circle, time);
                assert!((0.0..=1.0).contains(&found.probability), "{day} {found:?}");
                assert!(circle.slots.iter().all(|slot| slot.is_finite()), "{day}");
            }
            let night = judge(&circle, START + 1_000_060 * DAY + 3 * 3_600);
            assert!(night.probability < 0.05 || period == WEEK, "{night:?}");
        }
    }

    #[test]
    fn a_weekly_habit_is_known_and_what_breaks_it_is_told() {
        let mut circle = Circle::new(WEEK);
        let mut noise = Noise(9);
        let mut told = 0;
        for day in 0..70 {
            if (day % 7) < 5 {
                for _ in 0..4 {
                    let time = START + day * DAY + 32_400 + (900.0 * noise.normal()) as i64;
                    told += usize::from(observe(&mut circle, time).probability < 1e-4);
                }
            }
        }
        assert!(told <= 1, "{told}");
        let weekend = judge(&circle, START + 75 * DAY + 32_400);
        let weekday = judge(&circle, START + 72 * DAY + 32_400);
        assert!(
            weekend.probability < 1e-4 && weekday.probability > 0.05,
            "{weekend:?} {weekday:?}"
        );
        assert!(Circle::newborn_bytes(WEEK) < 2_048);
    }
}
