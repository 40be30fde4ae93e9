//! Boxes about points: for each dimension the least and the greatest value.

/// Values that are worked on side by side.
const WIDE: usize = 8;

/// Widens a box so that it holds a point. All have the same length.
#[inline]
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
#[inline]
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
    let (mut sum, mut wide) = (outside.iter().sum::<f32>(), width.iter().sum::<f32>());
    for ((&low, &high), &x) in low.iter().zip(high).zip(point) {
        sum += beyond(low, high, x);
        wide += high - low;
    }
    (sum, wide)
}

/// How far a value lies outside of an interval.
#[inline]
pub fn beyond(low: f32, high: f32, x: f32) -> f32 {
    greatest(greatest(low - x, x - high), 0.0)
}

// Of `min` and `max` more is asked than of these, which are one instruction: no value here is NaN.
#[inline]
fn least(a: f32, b: f32) -> f32 {
    if b < a { b } else { a }
}

#[inline]
fn greatest(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}
