//! Finds a period that is neither a day nor a week in the recent values of a series.

/// The lag, in buckets, at which `values` (oldest first, NaN where there was none) repeat themselves best, when they
/// do so clearly: the highest local peak of the autocorrelation (Box & Jenkins, Time Series Analysis, 2.1.5) that is at
/// least `MIN_CORRELATION`, and holds at twice the lag as well.
pub fn find(values: &[f32]) -> Option<usize> {
    const MIN_CORRELATION: f64 = 0.5;
    let known: Vec<f64> = values
        .iter()
        .map(|&v| f64::from(v))
        .filter(|v| !v.is_nan())
        .collect();
    if known.len() < 64 || known.len() * 10 < values.len() * 9 {
        return None;
    }
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    // A straight line correlates with itself at any lag: take it out first.
    let middle = (values.len() as f64 - 1.0) / 2.0;
    let (mut cross, mut square) = (0.0, 0.0);
    for (i, &v) in values.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
        cross += (i as f64 - middle) * (f64::from(v) - mean);
        square += (i as f64 - middle).powi(2);
    }
    let slope = cross / square;
    let centred: Vec<f32> = values
        .iter()
        .enumerate()
        .map(|(i, &v)| {
            if v.is_nan() {
                0.0
            } else {
                (f64::from(v) - mean - slope * (i as f64 - middle)) as f32
            }
        })
        .collect();
    // In units of the largest, so that no square leaves single precision.
    let largest = centred.iter().fold(0.0, |most: f32, v| most.max(v.abs()));
    if largest <= f32::EPSILON * mean.abs() as f32 {
        return None;
    }
    let centred: Vec<f32> = centred.iter().map(|v| v / largest).collect();
    let variance = centred.iter().map(|v| v * v).sum::<f32>();
    if variance <= f32::EPSILON {
        return None;
    }
    let correlation = |lag: usize| -> f64 {
        let n = centred.len() - lag;
        let sum: f32 = centred[..n]
            .iter()
            .zip(&centred[lag..])
            .map(|(a, b)| a * b)
            .sum();
        f64::from(sum / variance) * centred.len() as f64 / n as f64
    };
    let lags: Vec<f64> = (0..=centred.len() / 3 + 1).map(correlation).collect();
    // Past the first dip, where neighbours stop being alike.
    let first = (1..lags.len()).find(|&lag| lags[lag] < 0.2)?;
    let peak = (first.max(4)..lags.len() - 1)
        .filter(|&lag| lags[lag] >= lags[lag - 1] && lags[lag] >= lags[lag + 1])
        .max_by(|&a, &b| lags[a].total_cmp(&lags[b]))?;
    // A multiple of the true period is as good a peak: take the shortest that is nearly as high.
    let shortest = (first.max(4)..=peak)
        .filter(|&lag| lags[lag] >= lags[lag - 1] && lags[lag] >= lags[lag + 1])
        .find(|&lag| lags[lag] > 0.9 * lags[peak])?;
    let holds = |lag: usize| {
        lags.get(2 * lag)
            .is_none_or(|&twice| twice > 0.7 * lags[lag])
    };
    (lags[shortest] >= MIN_CORRELATION && holds(shortest)).then_some(shortest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeating_shape_is_found_and_noise_is_not() {
        // Mixed well (murmur3's finalizer): a plain multiple of the index would have a period of its own.
        let noise = |i: u32| {
            let mut h = (i ^ (i >> 16)).wrapping_add(1).wrapping_mul(0x85eb_ca6b);
            h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
            f64::from((h ^ (h >> 16)) & 0xffff) / 65_536.0 - 0.5
        };
        let wave: Vec<f32> = (0..512)
            .map(|i| (if i % 37 < 9 { 10.0 } else { 2.0 } + noise(i)) as f32)
            .collect();
        assert_eq!(find(&wave), Some(37));
        let flat: Vec<f32> = (0..512).map(|i| noise(i) as f32).collect();
        assert_eq!(find(&flat), None);
        let slope: Vec<f32> = (0..512).map(|i| i as f32).collect();
        assert_eq!(find(&slope), None);
    }
}
