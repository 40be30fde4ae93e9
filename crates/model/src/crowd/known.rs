//! What is known of one member of a population: how far it is off the others, and for how long it has been.

use serde::{Deserialize, Serialize};

/// Values after which a member's past has faded to 1/e.
const MEMORY: f32 = 50.0;
/// Values that a member must have shown before its own mean tells anything of its width, or against the others'.
const OWN: f32 = 3.0;
/// Squared standard errors by which a mean must be off before it is believed for itself.
const DOUBT: f64 = 4.0;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Known {
    pub id: u32,
    /// Values seen, up to [`MEMORY`].
    seen: f32,
    /// Mean deviation from what was expected of the population.
    mean: f32,
}

impl Known {
    pub fn new(id: u32) -> Self {
        Self {
            id,
            seen: 0.0,
            mean: 0.0,
        }
    }

    pub fn start_over(&mut self) {
        *self = Self::new(self.id);
    }

    /// Learns a deviation; what is further than `cut` from the mean so far counts as that far.
    pub fn learn(&mut self, deviation: f64, cut: f64) {
        self.seen = (self.seen + 1.0).min(MEMORY);
        let error = (deviation - f64::from(self.mean)).clamp(-cut, cut);
        self.mean += (error / f64::from(self.seen)) as f32;
    }
}

/// How wide values are: about the population, and about each member's own mean; mean absolute deviations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Widths {
    /// Values behind each.
    seen: [f32; 2],
    total: f32,
    own: f32,
}

impl Widths {
    /// Of a sample of deviations.
    pub fn of(deviations: impl Iterator<Item = f64>) -> Self {
        let (mut n, mut sum) = (0.0f32, 0.0f64);
        for deviation in deviations {
            n += 1.0;
            sum += deviation.abs();
        }
        Self {
            seen: [n, 0.0],
            total: (sum / f64::from(n).max(1.0)) as f32,
            own: 0.0,
        }
    }

    /// The width about a member's own mean, at least `least`.
    pub fn within(&self, least: f64) -> f64 {
        let [all, own] = self.seen.map(f64::from);
        let (total, within) = (
            f64::from(self.total),
            f64::from(self.own).min(f64::from(self.total)),
        );
        // While few members are known by themselves, the width of all stands in.
        let known = own / (own + 20.0);
        if all == 0.0 {
            least
        } else {
            (known * within + (1.0 - known) * total).max(least)
        }
    }

    /// A member's effect, and the variance that its doubt adds (squared mean absolute deviations).
    ///
    /// Effects vary between members as much as values are wider about the population than about each member: the best
    /// guess is the member's mean, shrunk by the ratio of these variances (Robinson 1991, Statistical Science 6, p. 15).
    /// A mean that is far out is also believed for itself, the more the further (James & Stein's positive part: Efron &
    /// Morris 1973, JASA 68, p. 117): one member may be another than all the others.
    pub fn effect(&self, known: Option<&Known>, least: f64) -> (f64, f64) {
        let within = self.within(least).powi(2);
        let between = (f64::from(self.total).powi(2) - within).max(0.0);
        let Some(known) = known else {
            return (0.0, between);
        };
        let (n, mean) = (f64::from(known.seen), f64::from(known.mean));
        let shrunk = n * between / (n * between + within).max(f64::MIN_POSITIVE);
        let own = if known.seen >= OWN {
            (1.0 - DOUBT * within / (n * mean * mean).max(f64::MIN_POSITIVE)).max(0.0)
        } else {
            0.0
        };
        (mean * shrunk.max(own), between * (1.0 - shrunk))
    }

    /// Learns a deviation from the population and the error that was left of it for its member, both cut at `cut`.
    pub fn learn(&mut self, known: &Known, raw: f64, error: f64, cut: f64, memory: f64) {
        let step = |seen: &mut f32, mean: &mut f32, value: f64| {
            *seen = (*seen + 1.0).min(memory as f32);
            *mean += (value.abs().min(cut) - f64::from(*mean)) as f32 / *seen;
        };
        step(&mut self.seen[0], &mut self.total, raw);
        if known.seen >= OWN {
            step(&mut self.seen[1], &mut self.own, error);
        }
    }
}
