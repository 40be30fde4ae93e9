//! What the views of one bucket come to together.

/// An unusual half day needs no corroboration, but is a further chance to be unusual.
const DAY_ALONE: f64 = 4.0;

/// How far `z` is below and above.
pub fn sides(z: f64) -> [f64; 2] {
    [(-z).max(0.0), z.max(0.0)]
}

/// One probability from the four views. A bucket and a spell are two chances to be unusual; the shape corroborates
/// them, since what is far out *and* was never seen before is an event, and what is far out again and again is not.
/// The exponents and factors are such that the result is uniform on clean series of many families; the shape knows no
/// sides, so it adds at most as much as it corroborates.
pub fn together(single: f64, multiple: f64, shape: f64, half_day: f64) -> f64 {
    let far = (super::odds::parc(30, 1.7) * single).min(super::odds::parc(31, 4.0) * multiple).min(1.0);
    let shape = shape.max(far * far);
    let both = super::odds::parc(34, 1.0) * far.powf(super::odds::parc(32, 0.75)) * shape.powf(super::odds::parc(33, 0.375));
    both.min(super::odds::parc(35, 2.0) * far).min(super::odds::parc(36, DAY_ALONE) * half_day).min(1.0)
}
