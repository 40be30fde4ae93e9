//! What a job says in `custom_settings.play`.

use serde::Deserialize;
use tidewatch_model::config::{AnalysisConfig, Detector, Metric};

use super::metrics::METRIC_SETS;
use crate::config::{Job, ModelPlotConfig};
use crate::error::{JobError, Result};

const LONGEST_APP: usize = 255;
/// From here on Elasticsearch's own views call an anomaly major.
const MIN_SCORE: f64 = 50.0;

/// Which of a job's anomalies are shown, and as what.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Play {
    /// The app's package name.
    pub app: String,
    pub metric_set: String,
    pub metric: String,
    pub worse: Worse,
    /// A record must have this score, 0 to 100, for its run to be an anomaly.
    #[serde(default = "min_score")]
    pub min_score: f64,
}

fn min_score() -> f64 {
    MIN_SCORE
}

/// Where a metric goes when things get worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Worse {
    Up,
    Down,
}

impl Worse {
    /// Whether `a` is worse than `b`.
    pub fn is(self, a: f64, b: f64) -> bool {
        match self {
            Self::Up => a > b,
            Self::Down => a < b,
        }
    }
}

impl Play {
    /// The detectors that have the metric: those of a field of its name, or the only one.
    ///
    /// # Errors
    /// Where there is none, or none whose results are values that can be better or worse.
    pub fn detectors(&self, analysis: &AnalysisConfig) -> Result<Vec<usize>> {
        let detectors = &analysis.detectors;
        let named: Vec<&Detector> = detectors
            .iter()
            .filter(|detector| detector.field_name.as_deref() == Some(&self.metric))
            .collect();
        let having = match (named.is_empty(), detectors.as_slice()) {
            (false, _) => named,
            (true, [only]) => vec![only],
            (true, _) => {
                return Err(refused(&format!(
                    "no detector has a field [{}], which tells them apart where there are several",
                    self.metric
                )));
            }
        };
        match having.iter().find(|detector| !has_value(detector)) {
            Some(detector) => Err(refused(&format!(
                "function [{}] has no value that could get better or worse",
                detector.function.name()
            ))),
            None => Ok(having.iter().map(|d| d.detector_index).collect()),
        }
    }

    fn check(&self, analysis: &AnalysisConfig) -> Result<()> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
        let app = self.app.as_bytes();
        if !app.first().is_some_and(u8::is_ascii_alphabetic)
            || !app.iter().all(|byte| is_word(*byte))
            || app.len() > LONGEST_APP
        {
            return Err(refused(&format!(
                "app [{}] is no package name: letters, digits, dots and underscores, a letter first, at most \
                 {LONGEST_APP}",
                self.app
            )));
        }
        let set = METRIC_SETS.iter().find(|set| set.name == self.metric_set);
        let Some(set) = set else {
            let names: Vec<&str> = METRIC_SETS.iter().map(|set| set.name).collect();
            return Err(refused(&format!(
                "unknown metric_set [{}], expected one of [{}]",
                self.metric_set,
                names.join(", ")
            )));
        };
        if !set.metrics.contains(&self.metric.as_str()) {
            return Err(refused(&format!(
                "unknown metric [{}] of [{}], expected one of [{}]",
                self.metric,
                set.name,
                set.metrics.join(", ")
            )));
        }
        if !(0.0..=100.0).contains(&self.min_score) {
            return Err(refused(&format!(
                "min_score [{}] must be from 0 to 100",
                self.min_score
            )));
        }
        self.detectors(analysis).map(|_| ())
    }
}

fn has_value(detector: &Detector) -> bool {
    !matches!(
        detector.function.metric(),
        Metric::TimeOfDay | Metric::TimeOfWeek | Metric::Place | Metric::Presence
    )
}

fn refused(reason: &str) -> JobError {
    JobError::illegal_argument(format!("custom_settings.play: {reason}"))
}

impl Job {
    /// What it says of itself to Google's API. None where it says nothing, or what was never checked.
    pub fn play(&self) -> Option<Play> {
        self.read_play()?.ok()
    }

    fn read_play(&self) -> Option<serde_json::Result<Play>> {
        let told = self.custom_settings.as_ref()?.get("play")?;
        (!told.is_null()).then(|| Play::deserialize(told))
    }

    /// Refuses settings of a new job, or settings that are new, which can't be followed. A job that is to be seen, and
    /// says nothing of a model plot, has one from now on: records tell of an event once, and no value that is usual.
    /// True if so.
    pub(crate) fn take_over_play(&mut self) -> Result<bool> {
        match self.read_play() {
            None => return Ok(false),
            Some(Ok(play)) => play.check(&self.analysis_config)?,
            Some(Err(error)) => return Err(refused(&error.to_string())),
        }
        // Forests tell of any value as they are.
        let plots = self.model_plot_config.is_none() && self.forest().is_none();
        if plots {
            self.model_plot_config = Some(ModelPlotConfig {
                enabled: true,
                terms: None,
                annotations_enabled: true,
            });
        }
        Ok(plots)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::NewJob;

    fn build(detectors: Value, play: Value) -> Result<Job> {
        let new: NewJob = serde_json::from_value(json!({
            "analysis_config": {"bucket_span": "1h", "detectors": detectors},
            "data_description": {},
            "custom_settings": {"play": play},
        }))
        .expect("readable");
        new.build("job", 0, None)
    }

    fn play(changes: Value) -> Value {
        let mut play = json!({
            "app": "com.example.shop", "metric_set": "crashRateMetricSet", "metric": "crashRate", "worse": "up"
        });
        for (name, value) in changes.as_object().expect("an object") {
            play[name] = value.clone();
        }
        play
    }

    #[test]
    fn the_detectors_of_a_metric_are_those_of_its_field_or_the_only_one() {
        let found = |detectors: Value| {
            let job = build(detectors, play(json!({})))?;
            job.play().expect("there").detectors(&job.analysis_config)
        };
        let own = json!({"function": "mean", "field_name": "crashRate"});
        let split =
            json!({"function": "mean", "field_name": "crashRate", "by_field_name": "countryCode"});
        let count = json!({"function": "count"});
        let rare = json!({"function": "rare", "by_field_name": "countryCode"});
        assert_eq!(found(json!([count, own, split])).expect("fine"), [1, 2]);
        assert_eq!(found(json!([count])).expect("fine"), [0]);
        let refused = |detectors| found(detectors).expect_err("refused").reason;
        assert_eq!(
            refused(json!([count, rare])),
            "custom_settings.play: no detector has a field [crashRate], which tells them apart where there are several"
        );
        assert_eq!(
            refused(json!([rare])),
            "custom_settings.play: function [rare] has no value that could get better or worse"
        );
    }

    #[test]
    fn a_job_that_is_seen_has_a_model_plot_unless_it_says_otherwise() {
        let plot = |settings: Value, plot: Value| {
            let mut body = json!({
                "analysis_config": {"detectors": [{"function": "count"}]}, "data_description": {},
                "custom_settings": settings
            });
            if !plot.is_null() {
                body["model_plot_config"] = plot;
            }
            let new: NewJob = serde_json::from_value(body).expect("readable");
            let job = new.build("job", 0, None).expect("fine");
            json!(job.model_plot_config)
        };
        let on = json!({"enabled": true, "annotations_enabled": true});
        let seen = json!({"play": play(json!({}))});
        assert_eq!(plot(seen.clone(), Value::Null), on);
        assert_eq!(plot(seen, json!({"enabled": false}))["enabled"], false);
        let forest = json!({"play": play(json!({})), "engine": "random_cut_forest"});
        for settings in [forest, json!({"other": 1})] {
            assert_eq!(plot(settings, Value::Null), Value::Null);
        }
    }

    #[test]
    fn settings_that_cannot_be_followed_are_refused() {
        for (changes, told) in [
            (json!({"app": "-"}), "app [-] is no package name"),
            (json!({"app": "a/b"}), "app [a/b] is no package name"),
            (
                json!({"metric_set": "crashRate"}),
                "unknown metric_set [crashRate], expected one of [crashRateMetricSet, ",
            ),
            (
                json!({"metric": "anrRate"}),
                "unknown metric [anrRate] of [crashRateMetricSet], expected one of [crashRate, ",
            ),
            (
                json!({"worse": "left"}),
                "unknown variant `left`, expected `up` or `down`",
            ),
            (json!({"wrose": "up"}), "unknown field `wrose`"),
            (
                json!({"min_score": 101}),
                "min_score [101] must be from 0 to 100",
            ),
        ] {
            let error = build(json!([{"function": "count"}]), play(changes)).expect_err(told);
            assert_eq!(
                (error.status, error.kind),
                (400, "illegal_argument_exception")
            );
            assert!(
                error.reason.starts_with("custom_settings.play: "),
                "{}",
                error.reason
            );
            assert!(error.reason.contains(told), "{}", error.reason);
        }
        let job = build(json!([{"function": "count"}]), Value::Null).expect("says nothing");
        assert_eq!(job.play(), None);
        let error =
            build(json!([{"function": "count"}]), json!("com.example")).expect_err("no object");
        assert!(
            error
                .reason
                .starts_with("custom_settings.play: invalid type: string"),
            "{}",
            error.reason
        );
    }
}
