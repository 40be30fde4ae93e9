//! The rules of the job, where the engine asks them.

use super::Engine;
use crate::detector::{Lane, Ruling};
use crate::results::Annotation;
use crate::rules::{RuleSet, Rules};

impl Engine {
    /// Takes other rules for the buckets that are still to close.
    pub fn set_rules(&mut self, rules: RuleSet) {
        let rules = Rules::from(rules);
        self.state
            .shifted
            .retain(|(_, shift)| rules.has_shift(shift));
        self.state.rules = rules;
    }

    pub(super) fn ruling(&self, lane: &Lane, bucket: i64) -> Option<Ruling<'_>> {
        Ruling::of(&self.state.rules, &self.state.names, lane, bucket)
    }

    /// Moves the clocks that rules and events move from this bucket on: each once, whatever has been learnt since.
    pub(super) fn shift_clocks(&mut self, bucket: i64) -> Vec<Annotation> {
        let mut told = Vec::new();
        for detector in 0..self.analysis.detectors.len() {
            for shift in self.state.rules.shifts(detector, bucket) {
                let made = (detector, shift);
                if self.state.shifted.contains(&made) {
                    continue;
                }
                let shift = &made.1;
                let ruling = Ruling {
                    rules: &self.state.rules,
                    names: &self.state.names,
                };
                let lanes = self.lanes.iter().zip(&mut self.state.lanes);
                for (_, state) in lanes.filter(|(lane, _)| lane.detector == detector) {
                    state.shift_clock(shift.seconds(), &|key| {
                        ruling.rules.concerns(shift, &ruling.case(bucket, key))
                    });
                }
                told.push(Annotation {
                    timestamp: bucket * 1_000,
                    end_timestamp: (bucket + self.analysis.span()) * 1_000,
                    annotation: format!(
                        "The clock of the models was shifted by [{}] seconds",
                        shift.seconds()
                    ),
                    event: "model_change",
                    detector_index: detector,
                    by: None,
                    partition: None,
                });
                self.state.shifted.push(made);
            }
        }
        told
    }
}
