//! From what the lanes found in one bucket to its results: records, influencers, bucket.

mod influence;

use crate::aggregate::{joint, raw_score, record_score};
use crate::config::{AnalysisConfig, Metric};
use crate::detector::{
    Closed, Closing, Judged, Key, Lane, LaneState, MAX_PROBABILITY, NO_SPLIT, Point,
};
use crate::gather::OpenBucket;
use crate::intern::Interner;
use crate::normalise::BUCKET_TIME;
use crate::results::{
    Annotation, Bounds, Bucket, BucketInfluencer, BucketResults, ByField, Cause, Deviation, Echoed,
    Explanation, GeoResults, ModelPlot, OverField, PartitionField, Rarity, Record,
};
use crate::score::score;
use crate::series::Change;
use crate::workers::Alone;

use influence::Influence;

/// Records that a bucket may have, as in Elasticsearch.
const MAX_RECORDS: usize = 500;
/// Causes that a record tells.
const MAX_CAUSES: usize = 10;
/// Changes of models that a bucket tells of: a step that all of a large job's series take needs no thousand notes.
const MAX_CHANGES: usize = 20;

/// A value that was unusual enough to be told.
struct Surprise {
    lane: usize,
    judged: Judged,
}

/// The results of one bucket in the making.
pub struct Reporter<'a> {
    analysis: &'a AnalysisConfig,
    lanes: &'a [Lane],
    names: &'a Interner,
    start: i64,
    is_interim: bool,
    judged: usize,
    surprises: Vec<Surprise>,
    plots: Vec<ModelPlot>,
    annotations: Vec<Annotation>,
}

impl<'a> Reporter<'a> {
    pub fn new(
        analysis: &'a AnalysisConfig,
        lanes: &'a [Lane],
        names: &'a Interner,
        start: i64,
        is_interim: bool,
    ) -> Self {
        Self {
            analysis,
            lanes,
            names,
            start,
            is_interim,
            judged: 0,
            surprises: Vec::new(),
            plots: Vec::new(),
            annotations: Vec::new(),
        }
    }

    /// The bucket as a lane sees it, nothing plotted.
    fn closing(&self, lane: usize) -> Closing<'a> {
        Closing {
            lane: &self.lanes[lane],
            bucket: self.start,
            plotted: None,
            workers: &Alone,
            ruling: None,
        }
    }

    /// Takes what the values of a lane came to.
    pub fn see(&mut self, lane: usize, closing: &Closing<'_>, closed: Closed) {
        self.judged += closed.judged;
        let changes = closed.changes.iter();
        let changes = changes.map(|&(key, change)| self.model_change(lane, key, change));
        let changes: Vec<Annotation> = changes
            .take(MAX_CHANGES.saturating_sub(self.annotations.len()))
            .collect();
        self.annotations.extend(changes);
        for judged in closed.told {
            let plotted = if judged.causes.is_empty() {
                std::slice::from_ref(&judged)
            } else {
                &judged.causes
            };
            for judged in plotted.iter().filter(|judged| closing.plots(judged.key)) {
                self.plots.extend(self.model_plot(lane, judged));
            }
            if judged.probability < MAX_PROBABILITY {
                self.surprises.push(Surprise { lane, judged });
            }
        }
    }

    fn model_change(&self, lane: usize, key: Key, change: Change) -> Annotation {
        let Change::Level { from, to } = change;
        let index = self.lanes[lane].detector;
        let Splits { by, partition, .. } = self.split_fields(index, key);
        Annotation {
            timestamp: self.start * 1_000,
            end_timestamp: (self.start + self.analysis.span()) * 1_000,
            annotation: format!("The level has changed from [{from:.4}] to [{to:.4}]"),
            event: "model_change",
            detector_index: index,
            by,
            partition,
        }
    }

    /// None for what is no line in time: a place, or whether something was there.
    fn model_plot(&self, lane: usize, judged: &Judged) -> Option<ModelPlot> {
        let Lane {
            detector, metric, ..
        } = self.lanes[lane];
        if matches!(metric, Metric::Place | Metric::Presence) {
            return None;
        }
        let Splits {
            by,
            over,
            partition,
        } = self.split_fields(detector, judged.key);
        Some(ModelPlot {
            timestamp: self.start * 1_000,
            bucket_span: self.analysis.span(),
            detector_index: detector,
            by,
            over,
            partition,
            model_feature: metric.feature(),
            model_lower: judged.finding.lower,
            model_upper: judged.finding.upper,
            model_median: judged.finding.typical,
            actual: judged.actual.values().first().copied(),
        })
    }

    pub fn finish(mut self, bucket: &OpenBucket, states: &[LaneState]) -> BucketResults {
        // Ties are told in the order of lanes and slots.
        self.surprises
            .sort_by(|a, b| a.judged.probability.total_cmp(&b.judged.probability));
        let each = self.surprises.iter();
        let least: Vec<f64> = each.map(|surprise| surprise.judged.probability).collect();
        let probability = joint(&least, self.judged);
        self.surprises.truncate(MAX_RECORDS);

        let influences = self.influences(bucket, states);
        let each = self.surprises.iter().zip(&influences);
        let records = each.map(|(surprise, of)| self.record(surprise, of));
        let records = records.collect();
        let influencers = self.influencers(&influences);
        let mut bucket_influencers = Vec::new();
        bucket_influencers.extend(self.bucket_influencer(BUCKET_TIME, probability));
        for (field, name) in self.analysis.influencers.iter().enumerate() {
            let least = self.of_field(&influences, field);
            if !least.is_empty() {
                // No part of a bucket is odder than the whole.
                let of_field = joint(&least, self.judged).max(probability);
                bucket_influencers.extend(self.bucket_influencer(name, of_field));
            }
        }
        let anomaly_score = score(probability);
        BucketResults {
            bucket: Bucket {
                timestamp: self.start * 1_000,
                anomaly_score,
                bucket_span: self.analysis.span(),
                initial_anomaly_score: anomaly_score,
                event_count: bucket.events as u64,
                is_interim: self.is_interim,
                bucket_influencers,
                processing_time_ms: 0,
                scheduled_events: Vec::new(),
            },
            records,
            influencers,
            model_plots: self.plots,
            annotations: self.annotations,
            forests: Vec::new(),
            renormalisation: None,
        }
    }

    fn record(&self, surprise: &Surprise, influences: &[Influence]) -> Record {
        let Lane {
            detector: index,
            metric,
            ..
        } = self.lanes[surprise.lane];
        let detector = &self.analysis.detectors[index];
        let judged = &surprise.judged;
        let Judged {
            key,
            probability,
            finding,
            correlated,
            ..
        } = *judged;
        let record_score = record_score(probability, self.judged);
        let Splits {
            by,
            over,
            partition,
        } = self.split_fields(index, key);
        let of_by = by.iter().map(|by| (&by.by_field_name, &by.by_field_value));
        let of_over = over
            .iter()
            .map(|of| (&of.over_field_name, &of.over_field_value));
        let of_partition = partition
            .iter()
            .map(|of| (&of.partition_field_name, &of.partition_field_value));
        let splits = of_by.chain(of_over).chain(of_partition);
        let mut echoed = echo(splits.map(|(name, value)| (name.as_str(), value.as_str())));
        let influencers = self.record_influencers(influences, &mut echoed);
        let alone = judged.causes.is_empty();
        let told = |point: &Point| Vec::from(if alone { point.values() } else { &[] });
        Record {
            probability: finding.probability,
            multi_bucket_impact: multi_bucket_impact(finding.single, finding.multiple),
            record_score,
            initial_record_score: record_score,
            bucket_span: self.analysis.span(),
            detector_index: index,
            is_interim: self.is_interim,
            timestamp: self.start * 1_000,
            by,
            over,
            correlated_by_field_value: correlated.map(|by| self.names.name(by).to_owned()),
            partition,
            function: detector.function.name(),
            function_description: metric.description(),
            typical: told(&judged.typical),
            actual: told(&judged.actual),
            geo_results: geo(judged).filter(|_| alone),
            field_name: detector.field_name.clone(),
            causes: self.causes(index, metric, judged),
            influencers,
            anomaly_score_explanation: explain(judged),
            echoed,
        }
    }

    /// What made a member of a population stand out, the least likely first and at least that.
    fn causes(&self, detector: usize, metric: Metric, judged: &Judged) -> Vec<Cause> {
        let config = &self.analysis.detectors[detector];
        let causes = judged.causes.iter().enumerate();
        let unlikely = causes.filter(|(i, cause)| *i == 0 || cause.probability < MAX_PROBABILITY);
        let cause = |(_, cause): (usize, &Judged)| {
            let Splits {
                by,
                over,
                partition,
            } = self.split_fields(detector, cause.key);
            Cause {
                probability: cause.probability,
                by,
                over,
                partition,
                function: config.function.name(),
                function_description: metric.description(),
                typical: cause.typical.values().to_vec(),
                actual: cause.actual.values().to_vec(),
                geo_results: geo(cause),
                field_name: config.field_name.clone(),
            }
        };
        unlikely.take(MAX_CAUSES).map(cause).collect()
    }

    /// None where there is nothing to tell.
    fn bucket_influencer(&self, name: &str, probability: f64) -> Option<BucketInfluencer> {
        let anomaly_score = score(probability);
        (anomaly_score > 0.0).then(|| BucketInfluencer {
            job_id: String::new(),
            result_type: "bucket_influencer",
            influencer_field_name: name.to_owned(),
            initial_anomaly_score: anomaly_score,
            anomaly_score,
            raw_anomaly_score: raw_score(probability),
            probability,
            timestamp: self.start * 1_000,
            bucket_span: self.analysis.span(),
            is_interim: self.is_interim,
        })
    }

    /// The split fields of a result. One that tells of all by values of a member has none.
    fn split_fields(&self, detector: usize, key: Key) -> Splits {
        let detector = &self.analysis.detectors[detector];
        let named = |field: &Option<String>, id: u32| {
            let value = (id != NO_SPLIT).then(|| self.names.name(id).to_owned());
            field.clone().zip(value)
        };
        Splits {
            by: named(&detector.by_field_name, key.by).map(|(field, value)| ByField {
                by_field_name: field,
                by_field_value: value,
            }),
            over: named(&detector.over_field_name, key.over).map(|(field, value)| OverField {
                over_field_name: field,
                over_field_value: value,
            }),
            partition: named(&detector.partition_field_name, key.partition).map(
                |(field, value)| PartitionField {
                    partition_field_name: field,
                    partition_field_value: value,
                },
            ),
        }
    }
}

struct Splits {
    by: Option<ByField>,
    over: Option<OverField>,
    partition: Option<PartitionField>,
}

/// Fields and values said once more at the top of a result.
fn echo<'f>(fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> Echoed {
    let mut echoed = Echoed::default();
    for (field, value) in fields {
        echoed.add(field, [value.to_owned()]);
    }
    echoed
}

/// -5 where the bucket alone is unusual, 5 where only several together are.
fn multi_bucket_impact(single: f64, multiple: f64) -> f64 {
    let (single, multiple) = (single.max(1e-300).ln(), multiple.max(1e-300).ln());
    let most = single.min(multiple);
    if most >= 0.0 {
        return 0.0;
    }
    let impact = 5.0 * (single - multiple) / -most;
    (impact.clamp(-5.0, 5.0) * 100.0).round() / 100.0
}

fn geo(judged: &Judged) -> Option<GeoResults> {
    let (Point::Pair(actual), Point::Pair(typical)) = (judged.actual, judged.typical) else {
        return None;
    };
    let told = |[lat, lon]: [f64; 2]| format!("{lat},{lon}");
    Some(GeoResults {
        actual_point: told(actual),
        typical_point: told(typical),
    })
}

fn explain(judged: &Judged) -> Explanation {
    if let Some(rarity) = judged.rarity {
        return Explanation::Rarity(Rarity {
            by_field_first_occurrence: rarity.first,
            by_field_relative_rarity: rarity.relative,
        });
    }
    let finding = judged.finding;
    let digits = |p: f64| (-p.max(1e-300).log10()).round().clamp(0.0, 5.0) as u8;
    let below = matches!(
        (judged.actual, judged.typical),
        (Point::One(actual), Point::One(typical)) if actual < typical
    );
    Explanation::Deviation(Deviation {
        anomaly_type: if below { "dip" } else { "spike" },
        single_bucket_impact: digits(finding.single),
        multi_bucket_impact: digits(finding.multiple),
        anomaly_characteristics_impact: digits(finding.shape),
        anomaly_length: finding.length.max(1),
        bounds: matches!(judged.actual, Point::One(_)).then_some(Bounds {
            lower_confidence_bound: finding.lower,
            typical_value: finding.typical,
            upper_confidence_bound: finding.upper,
        }),
    })
}
