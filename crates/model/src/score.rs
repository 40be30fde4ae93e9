//! The score of a probability.

/// 0..100; the same for every job, so that a score means the same everywhere.
pub fn score(probability: f64) -> f64 {
    const KNOTS: [(f64, f64); 9] = [
        (1.3, 0.0),
        (2.0, 1.0),
        (3.0, 10.0),
        (4.0, 35.0),
        (5.0, 60.0),
        (6.0, 75.0),
        (8.0, 90.0),
        (10.0, 96.0),
        (14.0, 100.0),
    ];
    let odds = -probability.max(1e-300).log10();
    if odds <= KNOTS[0].0 {
        return 0.0;
    }
    for pair in KNOTS.windows(2) {
        if odds <= pair[1].0 {
            return pair[0].1
                + (odds - pair[0].0) / (pair[1].0 - pair[0].0) * (pair[1].1 - pair[0].1);
        }
    }
    100.0
}
