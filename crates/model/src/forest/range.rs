//! How far a value may be from what is expected of it without being an anomaly.

use super::entity::{Entity, Rule};

/// The values that are no anomaly, in the feature's own unit; both ends are among them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    pub lower: f64,
    pub upper: f64,
}

impl Range {
    /// About an expected value. `unrest`: how values have moved since, in units.
    pub fn of(
        entity: &Entity,
        rule: &Rule<'_>,
        feature: usize,
        expected: f64,
        unrest: f64,
    ) -> Self {
        let scale = &entity.scales[feature];
        let noise = scale.noise().max(unrest * scale.unit());
        let near = rule.config.near_expected(feature);
        let [below, above] = rule.sides[feature];
        let down = expected - near.below.max(noise);
        let up = expected + near.above.max(noise);
        Self {
            lower: match below {
                true => down.min(-farthest(-expected, near.below_ratio)),
                false => f64::MIN,
            },
            upper: match above {
                true => up.max(farthest(expected, near.above_ratio)),
                false => f64::MAX,
            },
        }
    }

    pub fn has(&self, value: f64) -> bool {
        (self.lower..=self.upper).contains(&value)
    }
}

/// The greatest `x` from `expected` on that is no more than the share `ratio` of itself above it.
fn farthest(expected: f64, ratio: f64) -> f64 {
    if expected < 0.0 {
        expected / (1.0 + ratio)
    } else if ratio < 1.0 {
        expected / (1.0 - ratio)
    } else {
        f64::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_the_value() {
        for (expected, ratio) in [(10.0, 0.2), (-10.0, 0.2), (3.0, 0.9), (0.0, 0.5)] {
            let most: f64 = farthest(expected, ratio);
            assert!((most - expected - ratio * most.abs()).abs() < 1e-9);
            let more = most + 0.1;
            assert!(more - expected > ratio * more.abs(), "{expected} {ratio}");
        }
        assert_eq!(farthest(10.0, 1.0), f64::MAX);
    }
}
