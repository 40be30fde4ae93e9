//! From what the series found in one bucket to its results: records, influencers, bucket.

use std::collections::BTreeMap;

use crate::aggregate::{joint, raw_score, record_score};
use crate::config::{AnalysisConfig, Metric};
use crate::detector::{DetectorState, Member, NO_SPLIT};
use crate::engine::PlotOptions;
use crate::gather::{InfluenceKey, OpenBucket};
use crate::intern::Interner;
use crate::results::{
    Bucket, BucketInfluencer, BucketResults, ByField, Echoed, Explanation, Influencer, ModelPlot,
    PartitionField, Record, RecordInfluencer,
};
use crate::score::score;
use crate::series::Finding;

/// Less unusual values are not told.
const MAX_PROBABILITY: f64 = 0.02;
/// Records that a bucket may have, as in Elasticsearch.
const MAX_RECORDS: usize = 500;
/// Least share in a record's surprise that makes a value an influencer of it.
const MIN_INFLUENCE: f64 = 0.4;
/// Values told for one influencer field of one record.
const MAX_VALUES: usize = 10;

/// A value that was unusual enough to be told.
struct Surprise {
    detector: usize,
    member: usize,
    actual: f64,
    probability: f64,
    finding: Finding,
}

/// The results of one bucket in the making.
pub struct Reporter<'a> {
    analysis: &'a AnalysisConfig,
    plot: &'a PlotOptions,
    names: &'a Interner,
    start: i64,
    is_interim: bool,
    judged: usize,
    surprises: Vec<Surprise>,
    plots: Vec<ModelPlot>,
}

impl<'a> Reporter<'a> {
    pub fn new(
        analysis: &'a AnalysisConfig,
        plot: &'a PlotOptions,
        names: &'a Interner,
        start: i64,
        is_interim: bool,
    ) -> Self {
        Self {
            analysis,
            plot,
            names,
            start,
            is_interim,
            judged: 0,
            surprises: Vec::new(),
            plots: Vec::new(),
        }
    }

    /// Takes what one series made of its value. `probability` is what the recent peak has left of the finding's.
    pub fn see(
        &mut self,
        detector: usize,
        number: usize,
        member: &Member,
        value: f64,
        probability: f64,
        finding: Finding,
    ) {
        self.judged += 1;
        if probability < MAX_PROBABILITY {
            self.surprises.push(Surprise {
                detector,
                member: number,
                actual: value,
                probability,
                finding,
            });
        }
        if self.plot.enabled && !self.is_interim && self.is_plotted(member) {
            let (by, partition) = self.split_fields(detector, member);
            self.plots.push(ModelPlot {
                timestamp: self.start * 1_000,
                bucket_span: self.analysis.span(),
                detector_index: detector,
                by,
                partition,
                model_feature: model_feature(self.analysis.detectors[detector].function.metric()),
                model_lower: finding.lower,
                model_upper: finding.upper,
                model_median: finding.typical,
                actual: Some(value),
            });
        }
    }

    pub fn finish(mut self, bucket: &OpenBucket, detectors: &[DetectorState]) -> BucketResults {
        // Ties are told in the order of detectors and series.
        self.surprises
            .sort_by(|a, b| a.probability.total_cmp(&b.probability));
        let least: Vec<f64> = self
            .surprises
            .iter()
            .map(|surprise| surprise.probability)
            .collect();
        let probability = joint(&least, self.judged);
        self.surprises.truncate(MAX_RECORDS);

        let influences = self.influences(bucket, detectors);
        let records = self
            .surprises
            .iter()
            .zip(&influences)
            .map(|(surprise, of)| self.record(surprise, of, detectors));
        let records = records.collect();
        let influencers = self.influencers(&influences);
        let mut bucket_influencers = Vec::new();
        bucket_influencers.extend(self.bucket_influencer("bucket_time", probability));
        for (field, name) in self.analysis.influencers.iter().enumerate() {
            let mut least: Vec<f64> = self
                .surprises
                .iter()
                .zip(&influences)
                .filter_map(|(surprise, of)| {
                    let strongest = of
                        .iter()
                        .filter(|i| i.field == field)
                        .map(|i| i.influence)
                        .fold(0.0, f64::max);
                    (strongest > 0.0).then(|| surprise.probability.powf(strongest))
                })
                .collect();
            least.sort_by(f64::total_cmp);
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
            },
            records,
            influencers,
            model_plots: self.plots,
        }
    }

    /// For each surprise, the influencer values that had a share in it.
    fn influences(&self, bucket: &OpenBucket, detectors: &[DetectorState]) -> Vec<Vec<Influence>> {
        if self.surprises.is_empty() || self.analysis.influencers.is_empty() {
            return self.surprises.iter().map(|_| Vec::new()).collect();
        }
        let sorted = |number: usize| {
            let mut keys: Vec<InfluenceKey> = bucket.detectors[number]
                .influences
                .keys()
                .copied()
                .collect();
            keys.sort_unstable();
            keys
        };
        let keys: Vec<Vec<InfluenceKey>> = (0..detectors.len()).map(sorted).collect();
        let of = |surprise: &Surprise| {
            let member = &detectors[surprise.detector].members[surprise.member];
            let mut found = Vec::new();
            for (field, name) in self.analysis.influencers.iter().enumerate() {
                match self.split_value(surprise.detector, member, name) {
                    Some(value) => found.push(Influence {
                        field,
                        value: value.to_owned(),
                        influence: 1.0,
                    }),
                    None => {
                        let keys = &keys[surprise.detector];
                        let from = keys.partition_point(|key| {
                            *key < (surprise.member as u32, field as u32, 0)
                        });
                        let of_field = keys[from..]
                            .iter()
                            .take_while(|k| (k.0, k.1) == (surprise.member as u32, field as u32));
                        found.extend(self.shares(surprise, member, bucket, of_field));
                    }
                }
            }
            found
        };
        self.surprises.iter().map(of).collect()
    }

    /// The share of each value of an influencer field: how much of the surprise goes when its records go.
    fn shares<'k>(
        &self,
        surprise: &Surprise,
        member: &Member,
        bucket: &OpenBucket,
        keys: impl Iterator<Item = &'k InfluenceKey> + Clone,
    ) -> Vec<Influence> {
        let function = self.analysis.detectors[surprise.detector].function;
        let gathered = &bucket.detectors[surprise.detector];
        let whole = gathered.get(surprise.member);
        let judge = |value: f64| {
            member
                .series
                .peek(self.start, value, function.side())
                .probability
                .max(1e-300)
                .ln()
        };
        let all = judge(surprise.actual);
        let alone = keys.clone().nth(1).is_none();
        let mut shares: Vec<Influence> = keys
            .filter_map(|key| {
                let rest = whole.without(&gathered.influences[key], function.metric());
                let influence = match rest.and_then(|rest| rest.value(function.metric())) {
                    Some(_) if alone && surprise.actual > surprise.finding.typical => 1.0,
                    Some(value) if all < 0.0 => (1.0 - judge(value) / all).clamp(0.0, 1.0),
                    Some(_) => 0.0,
                    None => 1.0,
                };
                let value = || bucket.names.name(key.2).to_owned();
                (influence >= MIN_INFLUENCE).then(|| Influence {
                    field: key.1 as usize,
                    value: value(),
                    influence,
                })
            })
            .collect();
        shares.sort_by(|a, b| {
            b.influence
                .total_cmp(&a.influence)
                .then_with(|| a.value.cmp(&b.value))
        });
        shares.truncate(MAX_VALUES);
        shares
    }

    fn record(
        &self,
        surprise: &Surprise,
        influences: &[Influence],
        detectors: &[DetectorState],
    ) -> Record {
        let detector = &self.analysis.detectors[surprise.detector];
        let member = &detectors[surprise.detector].members[surprise.member];
        let Finding {
            single,
            multiple,
            typical,
            lower,
            upper,
            ..
        } = surprise.finding;
        let record_score = record_score(surprise.probability, self.judged);
        let (by, partition) = self.split_fields(surprise.detector, member);
        let mut echoed = Echoed::default();
        if let Some(by) = &by {
            echoed.add(&by.by_field_name, [by.by_field_value.clone()]);
        }
        if let Some(partition) = &partition {
            echoed.add(
                &partition.partition_field_name,
                [partition.partition_field_value.clone()],
            );
        }
        let mut influencers: Vec<RecordInfluencer> = Vec::new();
        for influence in influences {
            let name = &self.analysis.influencers[influence.field];
            echoed.add(name, [influence.value.clone()]);
            match influencers
                .last_mut()
                .filter(|last| last.influencer_field_name == *name)
            {
                Some(last) => last.influencer_field_values.push(influence.value.clone()),
                None => influencers.push(RecordInfluencer {
                    influencer_field_name: name.clone(),
                    influencer_field_values: vec![influence.value.clone()],
                }),
            }
        }
        let (ln_single, ln_multiple) = (single.max(1e-300).ln(), multiple.max(1e-300).ln());
        let most = ln_single.min(ln_multiple);
        let impact = if most < 0.0 {
            5.0 * (ln_single - ln_multiple) / -most
        } else {
            0.0
        };
        let digits = |p: f64| (-p.max(1e-300).log10()).round().clamp(0.0, 5.0) as u8;
        Record {
            probability: surprise.finding.probability,
            multi_bucket_impact: (impact.clamp(-5.0, 5.0) * 100.0).round() / 100.0,
            record_score,
            initial_record_score: record_score,
            bucket_span: self.analysis.span(),
            detector_index: surprise.detector,
            is_interim: self.is_interim,
            timestamp: self.start * 1_000,
            by,
            partition,
            function: detector.function.name(),
            function_description: detector.function.description(),
            typical: vec![typical],
            actual: vec![surprise.actual],
            field_name: detector.field_name.clone(),
            influencers,
            anomaly_score_explanation: Explanation {
                anomaly_type: if surprise.actual < typical {
                    "dip"
                } else {
                    "spike"
                },
                single_bucket_impact: digits(single),
                multi_bucket_impact: digits(multiple),
                lower_confidence_bound: lower,
                typical_value: typical,
                upper_confidence_bound: upper,
            },
            echoed,
        }
    }

    fn influencers(&self, influences: &[Vec<Influence>]) -> Vec<Influencer> {
        let mut blamed: BTreeMap<(usize, &str), Vec<f64>> = BTreeMap::new();
        for (surprise, influences) in self.surprises.iter().zip(influences) {
            for Influence {
                field,
                value,
                influence,
            } in influences
            {
                blamed
                    .entry((*field, value))
                    .or_default()
                    .push(surprise.probability.powf(*influence));
            }
        }
        let among = (self.judged as f64).sqrt().ceil() as usize;
        let result = |((field, value), mut least): ((usize, &str), Vec<f64>)| {
            least.sort_by(f64::total_cmp);
            let probability = joint(&least, among.max(least.len()));
            let influencer_score = score(probability);
            let mut echoed = Echoed::default();
            echoed.add(&self.analysis.influencers[field], [value.to_owned()]);
            Influencer {
                influencer_field_name: self.analysis.influencers[field].clone(),
                influencer_field_value: value.to_owned(),
                influencer_score,
                initial_influencer_score: influencer_score,
                probability,
                bucket_span: self.analysis.span(),
                is_interim: self.is_interim,
                timestamp: self.start * 1_000,
                echoed,
            }
        };
        let mut influencers: Vec<Influencer> = blamed
            .into_iter()
            .map(result)
            .filter(|influencer| influencer.influencer_score > 0.0)
            .collect();
        influencers.sort_by(|a, b| a.probability.total_cmp(&b.probability));
        influencers
    }

    /// None where there is nothing to tell.
    fn bucket_influencer(&self, name: &str, probability: f64) -> Option<BucketInfluencer> {
        let anomaly_score = score(probability);
        (anomaly_score > 0.0).then(|| BucketInfluencer {
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

    /// The value of a field that splits the detector.
    fn split_value(&self, detector: usize, member: &Member, field: &str) -> Option<&'a str> {
        let detector = &self.analysis.detectors[detector];
        let of = |name: &Option<String>, id: u32| {
            (name.as_deref() == Some(field) && id != NO_SPLIT).then(|| self.names.name(id))
        };
        of(&detector.partition_field_name, member.partition)
            .or_else(|| of(&detector.by_field_name, member.by))
    }

    fn split_fields(
        &self,
        detector: usize,
        member: &Member,
    ) -> (Option<ByField>, Option<PartitionField>) {
        let detector = &self.analysis.detectors[detector];
        let name = |id: u32| {
            if id == NO_SPLIT {
                String::new()
            } else {
                self.names.name(id).to_owned()
            }
        };
        let by = detector.by_field_name.as_ref().map(|field| ByField {
            by_field_name: field.clone(),
            by_field_value: name(member.by),
        });
        let partition = detector
            .partition_field_name
            .as_ref()
            .map(|field| PartitionField {
                partition_field_name: field.clone(),
                partition_field_value: name(member.partition),
            });
        (by, partition)
    }

    fn is_plotted(&self, member: &Member) -> bool {
        let terms = &self.plot.terms;
        let named =
            |id: u32| id != NO_SPLIT && terms.iter().any(|term| term == self.names.name(id));
        terms.is_empty() || named(member.partition) || named(member.by)
    }
}

/// An influencer value with its share in a surprise, 0 to 1.
struct Influence {
    field: usize,
    value: String,
    influence: f64,
}

fn model_feature(metric: Metric) -> &'static str {
    match metric {
        Metric::Count => "'count per bucket by person'",
        Metric::Sum => "'bucket sum by person'",
        Metric::Mean => "'arithmetic mean value by person'",
        Metric::Min => "'minimum value by person'",
        Metric::Max => "'maximum value by person'",
    }
}
