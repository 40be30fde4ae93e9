//! Boxes about points: for each dimension the least and the greatest value.

use wide::f32x4;

/// Values that are worked on side by side: what fits a register of any processor.
const WIDE: usize = 4;

/// The same values, with a length that the compiler knows if `N` isn't 0: loops over them are straight code then.
#[inline(always)]
pub fn known<const N: usize>(values: &[f32]) -> &[f32] {
    if N > 0 { &values[..N] } else { values }
}

/// Widens a box so that it holds a point. All have the same length.
#[inline(always)]
pub fn stretch(low: &mut [f32], high: &mut [f32], point: &[f32]) {
    let (lows, low) = low.as_chunks_mut::<WIDE>();
    let (highs, high) = high.as_chunks_mut::<WIDE>();
    let (points, point) = point.as_chunks::<WIDE>();
    for ((low, high), &x) in lows.iter_mut().zip(highs).zip(points) {
        let x = f32x4::new(x);
        *low = f32x4::new(*low).fast_min(x).to_array();
        *high = f32x4::new(*high).fast_max(x).to_array();
    }
    for ((low, high), &x) in low.iter_mut().zip(high).zip(point) {
        *low = least(*low, x);
        *high = greatest(*high, x);
    }
}

/// Whether a point lies in a box and on none of its sides.
#[inline(always)]
pub fn is_within(low: &[f32], high: &[f32], point: &[f32]) -> bool {
    let each = low.iter().zip(high).zip(point);
    // Without a branch for each.
    each.fold(true, |is, ((low, high), x)| is & (low < x) & (x < high))
}

/// How far a point lies outside of a box, and how wide the box is: sums over the dimensions. None if it is inside.
#[inline(always)]
pub fn measure(low: &[f32], high: &[f32], point: &[f32]) -> Option<(f32, f32)> {
    let (lows, low) = low.as_chunks::<WIDE>();
    let (highs, high) = high.as_chunks::<WIDE>();
    let (points, point) = point.as_chunks::<WIDE>();
    let (mut outside, mut width) = (f32x4::ZERO, f32x4::ZERO);
    for ((&low, &high), &x) in lows.iter().zip(highs).zip(points) {
        let (low, high, x) = (f32x4::new(low), f32x4::new(high), f32x4::new(x));
        outside += (low - x).fast_max(x - high).fast_max(f32x4::ZERO);
        width += high - low;
    }
    let (mut more, mut wider) = (0.0, 0.0);
    for ((&low, &high), &x) in low.iter().zip(high).zip(point) {
        more += beyond(low, high, x);
        wider += high - low;
    }
    // Before the sums are known, which takes longer.
    let is_outside = outside.simd_gt(f32x4::ZERO).any() || more > 0.0;
    is_outside.then(|| (total(outside) + more, total(width) + wider))
}

/// A sum by halves: shorter than one by one.
#[inline(always)]
fn total(of: f32x4) -> f32 {
    let [a, b, c, d] = of.to_array();
    (a + c) + (b + d)
}

/// How far a value lies outside of an interval.
#[inline(always)]
pub fn beyond(low: f32, high: f32, x: f32) -> f32 {
    greatest(greatest(low - x, x - high), 0.0)
}

// Of `min` and `max` more is asked than of these, which are one instruction: no value here is NaN.
#[inline(always)]
pub fn least(a: f32, b: f32) -> f32 {
    if b < a { b } else { a }
}

#[inline(always)]
pub fn greatest(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// Where a value is, first.
pub fn find(values: &[f32], value: f32) -> Option<usize> {
    // Sixteen are looked at without a branch.
    let has = |values: &[f32]| values.iter().fold(false, |has, &x| has | (x == value));
    let at = values.chunks(16).position(has)? * 16;
    let among = values[at..].iter().position(|&x| x == value)?;
    Some(at + among)
}

/// The greatest of some values.
pub fn greatest_of(values: &[f32]) -> f32 {
    let (wide, rest) = values.as_chunks::<16>();
    let mut found = [f32::NEG_INFINITY; 16];
    for values in wide {
        for (found, &value) in found.iter_mut().zip(values) {
            *found = greatest(*found, value);
        }
    }
    let all = found.iter().chain(rest);
    all.fold(f32::NEG_INFINITY, |a, &b| greatest(a, b))
}
