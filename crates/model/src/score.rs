//! The score of a probability: 0 to 100, where numbers keep their meaning from series to series.

/// Knots of the curve: `-log10` of a probability, and its score. They were set on labelled synthetic series (seasonal,
/// skewed, counts, batches, shifting, drifting): 50 is where precision and recall balance, what scores 75 or more is
/// nearly always real, and below 25 chance alone is at work every few weeks.
const KNOTS: [(f64, f64); 9] = [
    (1.3, 0.0),
    (2.0, 1.0),
    (3.0, 10.0),
    (3.6, 25.0),
    (4.2, 50.0),
    (5.3, 75.0),
    (7.0, 90.0),
    (9.0, 96.0),
    (13.0, 100.0),
];

/// The score of a probability that the bar after an alarm has let pass: a fixed function, falling in the probability.
pub fn score(probability: f64) -> f64 {
    let surprise = -probability.max(1e-300).log10();
    let mut last = KNOTS[0];
    if surprise <= last.0 {
        return 0.0;
    }
    for knot in KNOTS {
        if surprise < knot.0 {
            return last.1 + (surprise - last.0) / (knot.0 - last.0) * (knot.1 - last.1);
        }
        last = knot;
    }
    last.1
}

/// The probability of a score above 0: what [`score`] turns back into it.
pub fn probability_of(score: f64) -> f64 {
    let mut last = KNOTS[0];
    for knot in KNOTS {
        if score <= knot.1 && knot.1 > last.1 {
            let share = (score - last.1) / (knot.1 - last.1);
            return 10f64.powf(-(last.0 + share * (knot.0 - last.0)));
        }
        last = knot;
    }
    10f64.powf(-last.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_knots() {
        assert_eq!(score(1.0), 0.0);
        assert_eq!(score(0.05 + 1e-3), 0.0);
        assert_eq!(score(0.0), 100.0);
        for (surprise, expected) in KNOTS {
            assert!((score(10f64.powf(-surprise)) - expected).abs() < 1e-6);
        }
        for i in 1..=100 {
            assert!((score(probability_of(f64::from(i))) - f64::from(i)).abs() < 1e-6);
        }
    }

    #[test]
    fn a_rarer_value_scores_higher() {
        let mut last = 0.0;
        for i in 0..3_000 {
            let now = score(10f64.powf(f64::from(-i) / 100.0));
            assert!((0.0..=100.0).contains(&now) && now >= last);
            last = now;
        }
    }
}
