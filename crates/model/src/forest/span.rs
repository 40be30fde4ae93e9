//! Boxes about points: for each dimension the least and the greatest value.

/// Values that are worked on side by side.
const WIDE: usize = 8;

/// The same values, with a length that the compiler knows if `N` isn't 0: loops over them are straight code then.
#[inline(always)]
pub fn known<const N: usize>(values: &[f32]) -> &[f32] {
    if N > 0 { &values[..N] } else { values }
}

/// Widens a box so that it holds some points.
#[inline(always)]
pub fn cover<'p, const N: usize>(
    low: &mut [f32],
    high: &mut [f32],
    points: impl Iterator<Item = &'p [f32]>,
) {
    if N == 0 {
        return points
            .into_iter()
            .for_each(|point| stretch(low, high, point));
    }
    // Kept out of memory on the way.
    let (Some(lows), Some(highs)) = (low.first_chunk_mut::<N>(), high.first_chunk_mut::<N>())
    else {
        return;
    };
    let (mut least_of, mut greatest_of) = (*lows, *highs);
    for point in points {
        let point = known::<N>(point);
        for i in 0..N {
            least_of[i] = least(least_of[i], point[i]);
            greatest_of[i] = greatest(greatest_of[i], point[i]);
        }
    }
    (*lows, *highs) = (least_of, greatest_of);
}

/// Widens a box so that it holds a point. All have the same length.
#[inline(always)]
pub fn stretch(low: &mut [f32], high: &mut [f32], point: &[f32]) {
    let (lows, low) = low.as_chunks_mut::<WIDE>();
    let (highs, high) = high.as_chunks_mut::<WIDE>();
    let (points, point) = point.as_chunks::<WIDE>();
    for ((low, high), point) in lows.iter_mut().zip(highs).zip(points) {
        for i in 0..WIDE {
            low[i] = least(low[i], point[i]);
            high[i] = greatest(high[i], point[i]);
        }
    }
    for ((low, high), &x) in low.iter_mut().zip(high).zip(point) {
        *low = least(*low, x);
        *high = greatest(*high, x);
    }
}

/// How far a point lies outside of a box, and how wide the box is: sums over the dimensions.
#[inline(always)]
pub fn measure(low: &[f32], high: &[f32], point: &[f32]) -> (f32, f32) {
    let (lows, low) = low.as_chunks::<WIDE>();
    let (highs, high) = high.as_chunks::<WIDE>();
    let (points, point) = point.as_chunks::<WIDE>();
    let (mut outside, mut width) = ([0.0; WIDE], [0.0; WIDE]);
    for ((low, high), point) in lows.iter().zip(highs).zip(points) {
        for i in 0..WIDE {
            outside[i] += beyond(low[i], high[i], point[i]);
            width[i] += high[i] - low[i];
        }
    }
    let (mut sum, mut wide) = (total(outside), total(width));
    for ((&low, &high), &x) in low.iter().zip(high).zip(point) {
        sum += beyond(low, high, x);
        wide += high - low;
    }
    (sum, wide)
}

/// A sum by halves: shorter than one by one.
#[inline(always)]
fn total(of: [f32; WIDE]) -> f32 {
    let [a, b, c, d, e, f, g, h] = of;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// How far a value lies outside of an interval.
#[inline(always)]
pub fn beyond(low: f32, high: f32, x: f32) -> f32 {
    greatest(greatest(low - x, x - high), 0.0)
}

// Of `min` and `max` more is asked than of these, which are one instruction: no value here is NaN.
#[inline(always)]
fn least(a: f32, b: f32) -> f32 {
    if b < a { b } else { a }
}

#[inline(always)]
fn greatest(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}
