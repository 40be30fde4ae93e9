//! What of a job's results is a value that came out worse than expected.

use serde::Deserialize;

use super::settings::{Play, Worse};

/// What values belong to: a detector, and the fields and values that it is split by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Series {
    pub detector: usize,
    pub dimensions: Vec<(String, String)>,
}

/// Where 95 % of the values were expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    pub lower: f64,
    pub upper: f64,
}

/// A value that is worse than expected.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    pub value: f64,
    /// None where the result doesn't tell.
    pub bounds: Option<Bounds>,
    /// So unusual that it makes an anomaly of the run that it is part of.
    pub is_anchor: bool,
}

impl Mark {
    /// The two as one: the worse value counts.
    pub fn join(&mut self, other: &Self, worse: Worse) {
        let is_anchor = self.is_anchor || other.is_anchor;
        let told_better = self.bounds.is_none() && other.value == self.value;
        if worse.is(other.value, self.value) || told_better {
            self.clone_from(other);
        }
        self.is_anchor = is_anchor;
    }
}

/// A record, one of the causes of a record, or a point of the model plot.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Doc {
    detector_index: usize,
    partition_field_name: Option<String>,
    partition_field_value: Option<String>,
    by_field_name: Option<String>,
    by_field_value: Option<String>,
    over_field_name: Option<String>,
    over_field_value: Option<String>,
    record_score: f64,
    actual: Option<Actual>,
    typical: Vec<f64>,
    anomaly_score_explanation: Explanation,
    causes: Vec<Doc>,
    model_lower: Option<f64>,
    model_upper: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Actual {
    One(f64),
    Several(Vec<f64>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Explanation {
    lower_confidence_bound: Option<f64>,
    upper_confidence_bound: Option<f64>,
}

impl Doc {
    fn series(self, detector: usize) -> Series {
        let fields = [
            (self.partition_field_name, self.partition_field_value),
            (self.by_field_name, self.by_field_value),
            (self.over_field_name, self.over_field_value),
        ];
        let fields = fields.into_iter();
        Series {
            detector,
            dimensions: fields.filter_map(|(name, value)| name.zip(value)).collect(),
        }
    }

    /// The value, if it is worse than what was expected of it.
    fn mark(&self, worse: Worse) -> Option<Mark> {
        let value = match self.actual.as_ref()? {
            Actual::One(value) => *value,
            Actual::Several(values) => *values.first()?,
        };
        let told = &self.anomaly_score_explanation;
        let lower = self.model_lower.or(told.lower_confidence_bound);
        let upper = self.model_upper.or(told.upper_confidence_bound);
        let bounds = lower
            .zip(upper)
            .map(|(lower, upper)| Bounds { lower, upper });
        // A record is out of its bounds, or of a spell that is as a whole; a plot tells of any value.
        let expected = match (self.typical.first(), worse) {
            (Some(typical), _) => *typical,
            (None, Worse::Up) => bounds?.upper,
            (None, Worse::Down) => bounds?.lower,
        };
        worse.is(value, expected).then_some(Mark {
            value,
            bounds,
            is_anchor: false,
        })
    }
}

/// The values of a result, a JSON text, that are worse than expected. A text of another shape, as may have been written
/// from outside, has none.
pub fn read(text: &str, play: &Play, detectors: &[usize]) -> Vec<(Series, Mark)> {
    let Ok(mut doc) = serde_json::from_str::<Doc>(text) else {
        return Vec::new();
    };
    let detector = doc.detector_index;
    if !detectors.contains(&detector) {
        return Vec::new();
    }
    let is_anchor = doc.model_upper.is_none() && doc.record_score >= play.min_score;
    let told = match std::mem::take(&mut doc.causes) {
        causes if causes.is_empty() => vec![doc],
        causes => causes,
    };
    let marks = told.into_iter().filter_map(|doc| {
        let mark = doc.mark(play.worse)?;
        Some((doc.series(detector), Mark { is_anchor, ..mark }))
    });
    marks.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn marks(worse: Worse, doc: Value) -> Vec<(Series, Mark)> {
        let play = Play {
            app: "a".to_owned(),
            metric_set: "crashRateMetricSet".to_owned(),
            metric: "crashRate".to_owned(),
            worse,
            min_score: 25.0,
        };
        read(&doc.to_string(), &play, &[1])
    }

    fn series(dimensions: &[(&str, &str)]) -> Series {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Series {
            detector: 1,
            dimensions: dimensions.iter().map(owned).collect(),
        }
    }

    #[test]
    fn records_and_plots_are_marks_where_they_got_worse() {
        let record = json!({
            "detector_index": 1, "record_score": 25.0, "actual": [3.0], "typical": [1.0], "by_field_name": "b",
            "by_field_value": "x", "partition_field_name": "p", "partition_field_value": "y",
            "anomaly_score_explanation": {"lower_confidence_bound": 0.5, "typical_value": 1.0, "upper_confidence_bound": 1.5}
        });
        let bounds = |lower, upper| Some(Bounds { lower, upper });
        let mark = Mark {
            value: 3.0,
            bounds: bounds(0.5, 1.5),
            is_anchor: true,
        };
        assert_eq!(
            marks(Worse::Up, record.clone()),
            [(series(&[("p", "y"), ("b", "x")]), mark)]
        );
        assert_eq!(marks(Worse::Down, record.clone()), []);
        let mut other = record;
        other["detector_index"] = 0.into();
        assert_eq!(marks(Worse::Up, other), []);

        let plot = |actual: f64| json!({"detector_index": 1, "actual": actual, "model_lower": 1.0, "model_upper": 2.0});
        let mark = Mark {
            value: 0.9,
            bounds: bounds(1.0, 2.0),
            is_anchor: false,
        };
        assert_eq!(marks(Worse::Down, plot(0.9)), [(series(&[]), mark)]);
        assert_eq!(marks(Worse::Down, plot(1.1)), []);
        assert_eq!(marks(Worse::Up, plot(1.9)), []);
        for odd in [
            json!({"detector_index": 1}),
            json!({"detector_index": "1"}),
            json!([1]),
        ] {
            assert_eq!(marks(Worse::Up, odd), []);
        }
    }

    #[test]
    fn what_a_member_of_a_population_did_stands_with_its_causes() {
        let cause = |by: &str, actual: f64| {
            json!({
                "over_field_name": "o", "over_field_value": "m", "by_field_name": "b", "by_field_value": by,
                "actual": [actual], "typical": [5.0]
            })
        };
        let found = marks(
            Worse::Up,
            json!({
                "detector_index": 1, "record_score": 10.0, "over_field_name": "o", "over_field_value": "m",
                "causes": [cause("x", 9.0), cause("y", 2.0)]
            }),
        );
        let mark = Mark {
            value: 9.0,
            bounds: None,
            is_anchor: false,
        };
        assert_eq!(found, [(series(&[("b", "x"), ("o", "m")]), mark)]);
    }
}
