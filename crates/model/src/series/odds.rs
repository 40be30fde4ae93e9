//! What the probabilities of a series come to.

use serde::{Deserialize, Serialize};

fn par(k: usize, d: f64) -> f64 { std::env::var(format!("Q{k}")).ok().and_then(|v| v.parse().ok()).unwrap_or(d) }
pub fn parc(k: usize, d: f64) -> f64 {
    use std::sync::OnceLock;
    static C: [OnceLock<f64>; 100] = [const { OnceLock::new() }; 100];
    *C[k].get_or_init(|| par(k, d))
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Odds {
    share: f32,
    excess: f32,
    run: u32,
}

impl Default for Odds {
    fn default() -> Self {
        Self { share: parc(1, 0.05) as f32, excess: 1.0, run: 0 }
    }
}

impl Odds {
    pub fn of(&self, p: f64) -> f64 {
        if parc(0, 1.0) == 0.0 { return p; }
        let p0 = parc(1, 0.05);
        let share = f64::from(self.share).clamp(p0 * parc(8, 0.0), p0 * parc(9, 1.0));
        let excess = f64::from(self.excess).clamp(parc(10, 0.0), parc(11, 1.0));
        if p >= p0 {
            p.powf(share.ln() / p0.ln())
        } else {
            share * (p / p0).powf(1.0 / excess)
        }
    }
    pub fn learn(&mut self, p: f64, n: f64, weight: f64) {
        let p0 = parc(1, 0.05);
        let n = n.min(parc(2, 10000.0));
        let over = p < p0;
        self.run = if over { self.run + 1 } else { 0 };
        let w = weight.powf(parc(7, 0.0)) / f64::from(self.run.max(1)).powf(parc(5, 0.5));
        let rate = w / (n + parc(3, 1000.0));
        self.share += (rate * (f64::from(u8::from(over)) - f64::from(self.share))) as f32;
        if over {
            let cap = parc(6, 6.0);
            let e = (p0 / p).ln().min(cap) / (1.0 - (-cap).exp());
            self.excess += (w / (n * p0 + parc(4, 100.0)) * (e - f64::from(self.excess))) as f32;
        }
    }
}
