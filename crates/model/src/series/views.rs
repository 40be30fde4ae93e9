//! What the views of one bucket come to together.

/// An unusual half day needs no corroboration, but is a further chance to be unusual.
const DAY_ALONE: f64 = 4.0;

/// How far `z` is below and above.
pub fn sides(z: f64) -> [f64; 2] {
    [(-z).max(0.0), z.max(0.0)]
}

/// One probability from the four views. A bucket and a spell are two chances to be unusual; the shape corroborates
/// them, since what is far out *and* was never seen before is an event, and what is far out again and again is not.
/// The exponents and factors are such that the result is about uniform on clean series of many families
/// ([`super::odds`] sees to the rest); the shape knows no sides, so it adds at most as much as it corroborates.
pub fn together(single: f64, multiple: f64, shape: f64, half_day: f64) -> f64 {
    let far = (1.7 * single).min(3.5 * multiple).min(1.0);
    let shape = shape.max(far * far);
    let both = far.powf(0.75) * shape.powf(0.375);
    both.min(2.0 * far).min(DAY_ALONE * half_day).min(1.0)
}
