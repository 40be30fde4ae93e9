//! Numbers that look like chance and follow from what they are for.

/// A sequence of them.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of one tree's step.
    pub fn of(seed: u64, tree: usize, step: u64) -> Self {
        let tree = (tree as u64).wrapping_mul(0xd1b5_4a32_d192_ed03);
        // Mixed, so that the sequences of steps are no pieces of one; once for all trees of a step.
        Self(mix(seed ^ mix(step)) ^ tree)
    }

    /// From 0 on and below 1.
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mix(self.0) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The finaliser of splitmix64 (Steele, Lea and Flood 2014, OOPSLA).
pub fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
