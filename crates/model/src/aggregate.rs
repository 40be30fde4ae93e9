//! From the probabilities of many series to that of the bucket, and to scores.

use crate::score::score;

/// The probability that the `k` least of `of` independent probabilities are as small as they are, for the `k` that
/// is most telling: one wild series, or many odd ones together. `least` is sorted, the smallest first.
///
/// For each `k` it is the chance that a Poisson law of mean `of * p_k` gives `k` or more, the limit of the binomial
/// law of the k-th order statistic (David & Nagaraja 2003, Order Statistics, 2.1). Looking at several `k` costs a
/// factor, the number of looks that `of` allows.
pub fn joint(least: &[f64], of: usize) -> f64 {
    let mut best = 1.0f64;
    let mut looks = 0.0;
    let mut k = 1;
    while k <= of.max(1) {
        looks += 1.0;
        if let Some(p) = least.get(k - 1) {
            best = best.min(poisson_tail(k, of as f64 * p));
        }
        // Later looks are further apart, and alike: each counts for half.
        k *= 4;
        looks = f64::min(looks, 3.0);
    }
    (best * looks).min(1.0)
}

/// The score that Elasticsearch's engine gives a probability before it is set against the job's history: 0 above 0.05,
/// 1 at 1e-4, 50 at 1e-50, 100 at the least number.
pub fn raw_score(probability: f64) -> f64 {
    const LARGE: f64 = 0.05;
    const SMALL: f64 = 1e-4;
    const TINY: f64 = 1e-50;
    let p = probability.max(f64::MIN_POSITIVE);
    if p >= LARGE {
        0.0
    } else if p >= SMALL {
        (1.0 / p - 1.0 / LARGE) / (1.0 / SMALL - 1.0 / LARGE)
    } else if p >= TINY {
        1.0 + 49.0 * (p / SMALL).ln() / (TINY / SMALL).ln()
    } else {
        50.0 + 50.0 * (p / TINY).ln() / (f64::MIN_POSITIVE / TINY).ln()
    }
}

/// P(X >= k) of a Poisson law, k >= 1.
fn poisson_tail(k: usize, mean: f64) -> f64 {
    if mean <= 0.0 {
        return 0.0;
    }
    if k == 1 {
        return -(-mean).exp_m1();
    }
    if mean >= k as f64 {
        return 1.0;
    }
    let ln_factorial: f64 = (2..=k).map(|i| (i as f64).ln()).sum();
    let mut term = (k as f64 * mean.ln() - mean - ln_factorial).exp();
    let (mut sum, mut i) = (0.0, k as f64);
    while term > sum * 1e-15 && term > 0.0 {
        sum += term;
        i += 1.0;
        term *= mean / i;
    }
    sum.min(1.0)
}

/// The score of one record among `of` series: one odd series among many is less of a surprise, but an operator wants
/// to see it still, so that only the root of their number counts.
pub fn record_score(probability: f64, of: usize) -> f64 {
    score((probability * (of.max(1) as f64).sqrt()).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_series_is_itself() {
        assert!((joint(&[1e-6], 1) - 1e-6).abs() < 1e-9);
        assert_eq!(joint(&[], 1), 1.0);
    }

    #[test]
    fn many_odd_series_tell_more_than_one() {
        let one = joint(&[1e-3], 100);
        let many = joint(&[1e-3; 16], 100);
        assert!(many < one * 1e-6, "{many} {one}");
        assert!(joint(&[0.01], 1_000) > 0.9);
    }

    #[test]
    fn poisson_tails_are_right() {
        // 1 - e^-2 (1 + 2 + 2 + 4/3)
        assert!((poisson_tail(4, 2.0) - 0.142_876_539_501_453).abs() < 1e-12);
        assert!((poisson_tail(1, 0.5) - 0.393_469_340_287_367).abs() < 1e-12);
    }
}
