//! Past results under new bounds: the scores in their documents are replaced where they stand, and nothing else.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use tidewatch_model::normalise::{Curves, Renormalisation};
use tidewatch_store::{Rescoring, ResultKind};

use crate::live::json;

#[derive(Deserialize)]
struct Bucket<'d> {
    #[serde(borrow)]
    anomaly_score: &'d RawValue,
    #[serde(borrow)]
    bucket_influencers: Vec<BucketInfluencer<'d>>,
}

#[derive(Deserialize)]
struct BucketInfluencer<'d> {
    #[serde(borrow)]
    influencer_field_name: Cow<'d, str>,
    #[serde(borrow)]
    initial_anomaly_score: &'d RawValue,
    #[serde(borrow)]
    anomaly_score: &'d RawValue,
}

#[derive(Deserialize)]
struct Record<'d> {
    detector_index: usize,
    #[serde(borrow)]
    initial_record_score: &'d RawValue,
    #[serde(borrow)]
    record_score: &'d RawValue,
}

#[derive(Deserialize)]
struct Influencer<'d> {
    #[serde(borrow)]
    influencer_field_name: Cow<'d, str>,
    #[serde(borrow)]
    initial_influencer_score: &'d RawValue,
    #[serde(borrow)]
    influencer_score: &'d RawValue,
}

/// The rescoring that does what several renormalisations do one after the other; none for none. What a result gets
/// depends on its initial score and the last of them that holds it, and on nothing else.
pub fn rescoring(renormalisations: Vec<Renormalisation>) -> Option<Rescoring> {
    let all = &renormalisations;
    let is_in = |kind: ResultKind| {
        all.iter().any(|each| match kind {
            ResultKind::Bucket => each.kinds.buckets,
            ResultKind::Record => each.kinds.records,
            ResultKind::Influencer => each.kinds.influencers,
            ResultKind::ModelPlot | ResultKind::Category | ResultKind::Forest => false,
        })
    };
    let kinds = [
        ResultKind::Bucket,
        ResultKind::Record,
        ResultKind::Influencer,
    ];
    Some(Rescoring {
        kinds: kinds.into_iter().filter(|kind| is_in(*kind)).collect(),
        from: all.iter().map(|each| each.from).min()?,
        before: all.iter().map(|each| each.before).max()?,
        floor: all.iter().map(|each| each.floor).fold(100.0, f64::min),
        rescore: Arc::new(move |kind, timestamp, doc| {
            let mut latest_first = renormalisations.iter().rev();
            let of = latest_first.find(|of| (of.from..of.before).contains(&timestamp))?;
            rescored(kind, doc, &of.curves)
        }),
    })
}

/// The new score of a document and its new text, where it changes. A document that is none of ours stays.
fn rescored(kind: ResultKind, doc: &str, curves: &Curves) -> Option<(f64, String)> {
    let mut edits = Edits { doc, edits: vec![] };
    let score = match kind {
        ResultKind::Bucket => {
            let bucket: Bucket<'_> = serde_json::from_str(doc).ok()?;
            let mut highest = 0.0f64;
            for of in &bucket.bucket_influencers {
                let initial = number(of.initial_anomaly_score)?;
                let score = curves.bucket_influencer(&of.influencer_field_name, initial);
                edits.replace(of.anomaly_score, score);
                highest = highest.max(score);
            }
            edits.replace(bucket.anomaly_score, highest);
            highest
        }
        ResultKind::Record => {
            let record: Record<'_> = serde_json::from_str(doc).ok()?;
            let initial = number(record.initial_record_score)?;
            let score = curves.record(record.detector_index, initial);
            edits.replace(record.record_score, score);
            score
        }
        ResultKind::Influencer => {
            let of: Influencer<'_> = serde_json::from_str(doc).ok()?;
            let initial = number(of.initial_influencer_score)?;
            let score = curves.influencer(&of.influencer_field_name, initial);
            edits.replace(of.influencer_score, score);
            score
        }
        ResultKind::ModelPlot | ResultKind::Category | ResultKind::Forest => return None,
    };
    edits.text().map(|text| (score, text))
}

/// The number that was written, to the last bit.
fn number(text: &RawValue) -> Option<f64> {
    text.get().parse().ok()
}

/// New text for parts of a document.
struct Edits<'d> {
    doc: &'d str,
    edits: Vec<(Range<usize>, String)>,
}

impl Edits<'_> {
    fn replace(&mut self, part: &RawValue, score: f64) {
        let (part, score) = (part.get(), json(&score));
        if part != score {
            // A part borrows from the document: their addresses tell its place.
            let from = part.as_ptr() as usize - self.doc.as_ptr() as usize;
            self.edits.push((from..from + part.len(), score));
        }
    }

    /// None where nothing changes.
    fn text(mut self) -> Option<String> {
        if self.edits.is_empty() {
            return None;
        }
        self.edits.sort_by_key(|(part, _)| part.start);
        let mut text = String::with_capacity(self.doc.len() + 20);
        let mut from = 0;
        for (part, score) in self.edits {
            text.push_str(&self.doc[from..part.start]);
            text.push_str(&score);
            from = part.end;
        }
        text.push_str(&self.doc[from..]);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tidewatch_model::engine::{Engine, Options};
    use tidewatch_model::record::RecordBatch;
    use tidewatch_model::results::{BucketResults, Document};

    use super::*;

    /// What hourly counts give, one in ten hours with a burst, from the second week on; and what it changes.
    fn noisy() -> (Vec<BucketResults>, Vec<Renormalisation>) {
        let config = json!({
            "bucket_span": "1h", "influencers": ["host"],
            "detectors": [{"function": "high_sum", "field_name": "v"}]
        });
        let analysis = serde_json::from_value(config).expect("valid");
        let mut engine = Engine::new(analysis, Options::default());
        let mut batch = RecordBatch::new(2);
        for hour in 0..700i64 {
            batch.begin();
            let noise = (hour.wrapping_mul(6_364_136_223_846_793_005) >> 40).rem_euclid(100) as f64;
            let burst = if hour > 168 && hour % 10 == 0 {
                1e4 * (hour as f64)
            } else {
                0.0
            };
            batch.set_number(0, 1_000.0 + noise + burst);
            batch.set_display(1, "a \"host\"");
            batch.commit(1_700_006_400_000 + hour * 3_600_000);
        }
        let mut results = Vec::new();
        let mut row = 0;
        while row < batch.len() {
            let mut some = Vec::new();
            row = engine.process(&batch, row, &mut some);
            results.append(&mut some);
        }
        let told = results
            .iter_mut()
            .filter_map(|of| of.renormalisation.take());
        let told = told.map(|of| *of).collect();
        (results, told)
    }

    #[test]
    fn documents_keep_all_but_their_scores() {
        let (results, told) = noisy();
        let last = told.last().expect("a renormalisation").clone();
        let end = last.before;
        let rescoring = rescoring(told).expect("something to do");
        let mut changed = 0;
        for results in results.iter().filter(|of| of.bucket.timestamp < end) {
            let document = Document {
                job_id: "j",
                result_type: "bucket",
                result: &results.bucket,
            };
            let doc = json(&document);
            let Some((score, new)) =
                (rescoring.rescore)(ResultKind::Bucket, results.bucket.timestamp, &doc)
            else {
                continue;
            };
            changed += 1;
            let mut expected = results.bucket.clone();
            expected.anomaly_score = score;
            for of in &mut expected.bucket_influencers {
                of.anomaly_score = last
                    .curves
                    .bucket_influencer(&of.influencer_field_name, of.initial_anomaly_score);
            }
            let document = Document {
                job_id: "j",
                result_type: "bucket",
                result: &expected,
            };
            assert_eq!(new, json(&document));
            assert!(score <= results.bucket.initial_anomaly_score);
            let again = (rescoring.rescore)(ResultKind::Bucket, results.bucket.timestamp, &new);
            assert_eq!(again, None);
        }
        assert!(changed > 3, "{changed} of {}", results.len());
    }

    #[test]
    fn the_last_that_holds_a_result_counts() {
        let (_, told) = noisy();
        let [first, .., last] = &told[..] else {
            panic!("too few")
        };
        let mut first = first.clone();
        let at = last.before - 3_600_000;
        (first.from, first.before) = (0, i64::MAX);
        let score = (1..100).map(f64::from).find(|&score| {
            let [one, two] = [&first, last].map(|of| of.curves.record(0, score));
            one != two && two < score
        });
        let score = score.expect("one that is bounded anew");
        let doc = json!({
            "initial_record_score": score, "record_score": score, "detector_index": 0, "host": ["\u{1F409} \\"]
        });
        let alone =
            |of: &Renormalisation| rescored(ResultKind::Record, &doc.to_string(), &of.curves);
        let both = rescoring(vec![first.clone(), last.clone()]).expect("something");
        let rescore = |time| (both.rescore)(ResultKind::Record, time, &doc.to_string());
        assert_eq!(rescore(at), alone(last));
        assert_eq!(rescore(last.before), alone(&first));
        assert_eq!(rescore(last.from - 1), alone(&first));
        let (score, text) = alone(last).expect("bounded");
        let mut expected = doc.clone();
        expected["record_score"] = Value::from(score);
        assert_eq!(text, expected.to_string());
        assert!(rescoring(Vec::new()).is_none());
        assert_eq!(rescored(ResultKind::Record, "{}", &last.curves), None);
    }
}
