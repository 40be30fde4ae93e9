//! Random numbers of tests: the same on every machine.

/// splitmix64 (Steele, Lea & Flood 2014, OOPSLA, p. 453).
pub struct Noise(pub u64);

impl Noise {
    /// On (0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 + 1e-17
    }

    /// By Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let (r, angle) = (self.uniform(), self.uniform());
        (-2.0 * r.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// Poisson of mean `mean`, by Knuth's product.
    pub fn count(&mut self, mean: f64) -> f64 {
        let (mut n, mut product) = (0.0, self.uniform());
        while product > (-mean).exp() {
            product *= self.uniform();
            n += 1.0;
        }
        n
    }
}
