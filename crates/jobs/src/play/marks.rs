//! What a job's results tell of values, and which of them came out worse than expected.

use serde::Deserialize;
use tidewatch_store::ResultKind;

use super::settings::{Play, Worse};

/// What values belong to: a detector, and the fields and values that it is split by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Series {
    pub detector: usize,
    pub dimensions: Vec<(String, String)>,
}

/// Where values were expected: 95 % of them, or all that a forest finds usual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    pub lower: f64,
    pub upper: f64,
}

impl Bounds {
    /// The one that is crossed when things get worse.
    pub fn worse(self, worse: Worse) -> f64 {
        match worse {
            Worse::Up => self.upper,
            Worse::Down => self.lower,
        }
    }
}

/// A value that may be part of an anomaly.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    pub value: f64,
    /// None where the result doesn't tell.
    pub bounds: Option<Bounds>,
    /// Worse than expected. Else it is unusual all the same: part of an anomaly that its forest expects to go on.
    pub is_out: bool,
    /// So unusual that it makes an anomaly of the run that it is part of.
    pub is_anchor: bool,
}

impl Mark {
    /// The two as one: the worse value counts, beside what was expected of one that came out worse than that.
    pub fn join(&mut self, other: &Self, worse: Worse) {
        let is_anchor = self.is_anchor || other.is_anchor;
        let told_better = self.bounds.is_none() && other.value == self.value;
        let bounds = match (self.is_out, other.is_out) {
            (true, false) => Some(self.bounds),
            (false, true) => Some(other.bounds),
            _ => None,
        };
        let is_out = self.is_out || other.is_out;
        if worse.is(other.value, self.value) || told_better {
            self.clone_from(other);
        }
        self.bounds = bounds.unwrap_or(self.bounds);
        (self.is_out, self.is_anchor) = (is_out, is_anchor);
    }
}

/// What a result tells of one value.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub series: Series,
    pub value: f64,
    /// What was expected, where the result was made because the value isn't that.
    typical: Option<f64>,
    bounds: Option<Bounds>,
    /// 0 to 100; 0 for what is told of any value.
    score: f64,
    /// A forest finds it unusual together with those before.
    is_unusual: bool,
}

impl Told {
    /// The value, if it may be part of an anomaly.
    pub fn mark(&self, play: &Play) -> Option<Mark> {
        // A record is out of its bounds, or of a spell that is as a whole; others tell of any value.
        let bound = self.bounds.map(|bounds| bounds.worse(play.worse));
        let expected = self.typical.or(bound);
        let is_out = expected.is_some_and(|expected| play.worse.is(self.value, expected));
        (is_out || self.is_unusual).then_some(Mark {
            value: self.value,
            bounds: self.bounds,
            is_out,
            is_anchor: is_out && self.typical.is_some() && self.score >= play.min_score,
        })
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
    fn told(self, detector: usize, score: f64) -> Option<Told> {
        let value = match self.actual? {
            Actual::One(value) => value,
            Actual::Several(values) => *values.first()?,
        };
        let explained = self.anomaly_score_explanation;
        let lower = self.model_lower.or(explained.lower_confidence_bound);
        let upper = self.model_upper.or(explained.upper_confidence_bound);
        let bounds = lower.zip(upper);
        let fields = [
            (self.partition_field_name, self.partition_field_value),
            (self.by_field_name, self.by_field_value),
            (self.over_field_name, self.over_field_value),
        ];
        let fields = fields.into_iter();
        Some(Told {
            series: Series {
                detector,
                dimensions: fields.filter_map(|(name, value)| name.zip(value)).collect(),
            },
            value,
            typical: self.typical.first().copied(),
            bounds: bounds.map(|(lower, upper)| Bounds { lower, upper }),
            score,
            is_unusual: false,
        })
    }
}

/// What a forest said of a bucket. Its features are the job's detectors.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Forest {
    entity: Vec<Field>,
    values: Vec<f64>,
    imputed: Vec<bool>,
    lower: Vec<f64>,
    upper: Vec<f64>,
    past_values: Vec<f64>,
    anomaly_score: f64,
    /// 0 while there is no score.
    threshold: f64,
}

#[derive(Debug, Deserialize)]
struct Field {
    name: String,
    value: String,
}

impl Forest {
    fn told(&self, detector: usize) -> Option<Told> {
        let value = *self.values.get(detector)?;
        let is_measured = !self.imputed.get(detector).copied().unwrap_or_default();
        // What was found late tells what was expected of an earlier value: its record has that one.
        let is_of_now = self.past_values.is_empty();
        let bounds = self.lower.get(detector).zip(self.upper.get(detector));
        let bounds = bounds.filter(|_| is_of_now);
        let fields = self.entity.iter();
        is_measured.then(|| Told {
            series: Series {
                detector,
                dimensions: fields
                    .map(|field| (field.name.clone(), field.value.clone()))
                    .collect(),
            },
            value,
            typical: None,
            bounds: bounds.map(|(&lower, &upper)| Bounds { lower, upper }),
            score: 0.0,
            is_unusual: self.threshold > 0.0 && self.anomaly_score > self.threshold,
        })
    }
}

/// What results of a kind, JSON texts, tell of the values of some detectors. A text of another shape, as may have been
/// written from outside, tells nothing.
pub fn read(kind: ResultKind, text: &str, detectors: &[usize]) -> Vec<Told> {
    match kind {
        ResultKind::Forest => {
            let forest: Forest = serde_json::from_str(text).unwrap_or_default();
            let told = detectors
                .iter()
                .filter_map(|&detector| forest.told(detector));
            told.collect()
        }
        _ => serde_json::from_str(text)
            .map(|doc| told(doc, detectors))
            .unwrap_or_default(),
    }
}

fn told(mut doc: Doc, detectors: &[usize]) -> Vec<Told> {
    let (detector, score) = (doc.detector_index, doc.record_score);
    if !detectors.contains(&detector) {
        return Vec::new();
    }
    let told = match std::mem::take(&mut doc.causes) {
        causes if causes.is_empty() => vec![doc],
        causes => causes,
    };
    let told = told.into_iter();
    told.filter_map(|doc| doc.told(detector, score)).collect()
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
        let told = read(ResultKind::Record, &doc.to_string(), &[1]).into_iter();
        let marks = told.filter_map(|told| Some((told.series.clone(), told.mark(&play)?)));
        marks.collect()
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
            is_out: true,
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
            is_out: true,
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
    fn a_forest_tells_of_each_feature() {
        let told = |doc: Value| read(ResultKind::Forest, &doc.to_string(), &[0, 1]);
        let doc = json!({
            "entity": [{"name": "p", "value": "y"}], "values": [5.0, 7.0], "imputed": [true, false],
            "expected": [1.0, 6.0], "lower": [0.0, 5.5], "upper": [2.0, 6.5], "anomaly_score": 1.2, "threshold": 1.1
        });
        let seven = Told {
            series: series(&[("p", "y")]),
            value: 7.0,
            typical: None,
            bounds: Some(Bounds {
                lower: 5.5,
                upper: 6.5,
            }),
            score: 0.0,
            is_unusual: true,
        };
        assert_eq!(told(doc.clone()), std::slice::from_ref(&seven));
        let mut late = doc;
        late["past_values"] = json!([5.0, 9.0]);
        let unknown = Told {
            bounds: None,
            ..seven
        };
        assert_eq!(told(late), [unknown]);
        assert_eq!(told(json!({"values": [1.0], "imputed": [false]})).len(), 1);
        assert_eq!(told(json!("x")), []);
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
            is_out: true,
            is_anchor: false,
        };
        assert_eq!(found, [(series(&[("b", "x"), ("o", "m")]), mark)]);
    }
}
