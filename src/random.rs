//! Random numbers that are the same on every machine.

/// Marsaglia's xorshift64* (2003, Journal of Statistical Software 8(14)).
pub struct Random(u64);

impl Random {
    /// `state` must not be 0, which the generator can't leave.
    pub fn new(state: u64) -> Self {
        debug_assert_ne!(state, 0);
        Self(state)
    }

    /// One of many generators of a seed. Seeds and numbers are small and near each other: they are mixed first, as
    /// splitmix64 does, or the first draws would be alike.
    pub fn stream(seed: u64, number: u64) -> Self {
        let mix = |x: u64| {
            let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^ (x >> 31)
        };
        Self(mix(mix(seed).wrapping_add(number)).max(1))
    }

    /// From 0, below 1.
    pub fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// By Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (v * std::f64::consts::TAU).cos()
    }

    /// Of mean 1.
    pub fn exponential(&mut self) -> f64 {
        -(1.0 - self.uniform()).ln()
    }

    /// By Knuth: means are small here.
    pub fn poisson(&mut self, mean: f64) -> u32 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.uniform(), 0);
        while product > limit {
            product *= self.uniform();
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(mut draw: impl FnMut() -> f64) -> f64 {
        (0..20_000).map(|_| draw()).sum::<f64>() / 20_000.0
    }

    #[test]
    fn draws_have_their_means() {
        let mut random = Random::stream(1, 1);
        assert!((mean(|| random.uniform()) - 0.5).abs() < 0.01);
        assert!(mean(|| random.normal()).abs() < 0.03);
        assert!((mean(|| random.normal().powi(2)) - 1.0).abs() < 0.05);
        assert!((mean(|| random.exponential()) - 1.0).abs() < 0.03);
        assert!((mean(|| f64::from(random.poisson(4.0))) - 4.0).abs() < 0.08);
    }

    #[test]
    fn streams_differ() {
        let first = |seed, number| Random::stream(seed, number).uniform();
        assert_eq!(first(3, 4), first(3, 4));
        assert!((first(3, 4) - first(3, 5)).abs() > 1e-6);
        assert!((first(3, 4) - first(4, 3)).abs() > 1e-6);
    }
}
