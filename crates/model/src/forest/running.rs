//! Mean and deviation of what comes, the older of less weight.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Running {
    weight: f64,
    mean: f64,
    /// Sum of the squared deviations.
    squares: f64,
}

impl Running {
    /// Takes a value; what came before loses the share `decay` of its weight (West 1979, Communications of the ACM 22,
    /// p. 532).
    pub fn add(&mut self, value: f64, decay: f64) {
        self.weight = self.weight * (1.0 - decay) + 1.0;
        let away = value - self.mean;
        self.mean += away / self.weight;
        self.squares = self.squares * (1.0 - decay) + away * (value - self.mean);
    }

    pub fn mean(&self) -> f64 {
        self.mean
    }

    pub fn deviation(&self) -> f64 {
        match self.weight > 0.0 {
            true => (self.squares / self.weight).max(0.0).sqrt(),
            false => 0.0,
        }
    }
}
