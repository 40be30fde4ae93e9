//! The invariants of the engine: whatever the batching, wherever a restart falls, the results are the same; numbers
//! stay in their ranges; memory stays under its limit.

use proptest::prelude::*;
use serde_json::json;
use tidewatch_model::config::AnalysisConfig;
use tidewatch_model::engine::{Engine, Flush, Options};
use tidewatch_model::record::{RecordBatch, Schema};
use tidewatch_model::results::BucketResults;

/// One made-up record: seconds since the one before (negative: late), host, value.
type Raw = (i64, u8, f64);

fn analysis(latency: &str) -> AnalysisConfig {
    serde_json::from_value(json!({
        "bucket_span": "1m",
        "latency": latency,
        "detectors": [
            {"function": "count"},
            {"function": "mean", "field_name": "v", "partition_field_name": "host"},
            {"function": "high_sum", "field_name": "v", "by_field_name": "host"},
            {"function": "min", "field_name": "v"},
            {"function": "non_zero_count", "partition_field_name": "host"},
            {"function": "median", "field_name": "v", "by_field_name": "host"},
            {"function": "varp", "field_name": "v"},
            {"function": "metric", "field_name": "v"},
            {"function": "distinct_count", "field_name": "zone"},
            {"function": "info_content", "field_name": "zone", "partition_field_name": "host"}
        ],
        "influencers": ["host", "zone"],
        "multivariate_by_fields": true
    }))
    .expect("a valid analysis")
}

/// All that is not a series of its own for each split value.
fn kinds(latency: &str) -> AnalysisConfig {
    serde_json::from_value(json!({
        "bucket_span": "1m",
        "latency": latency,
        "detectors": [
            {"function": "count", "over_field_name": "host"},
            {"function": "metric", "field_name": "v", "by_field_name": "zone", "over_field_name": "host"},
            {"function": "median", "field_name": "v", "over_field_name": "host", "exclude_frequent": "over"},
            {"function": "high_distinct_count", "field_name": "zone", "over_field_name": "host"},
            {"function": "rare", "by_field_name": "host", "partition_field_name": "zone"},
            {"function": "rare", "by_field_name": "page", "over_field_name": "host", "exclude_frequent": "all"},
            {"function": "freq_rare", "by_field_name": "page", "over_field_name": "host"},
            {"function": "time_of_day", "by_field_name": "host"},
            {"function": "time_of_week", "over_field_name": "host"},
            {"function": "lat_long", "field_name": "place", "over_field_name": "host"},
            {"function": "lat_long", "field_name": "place", "partition_field_name": "zone"}
        ],
        "influencers": ["host", "page"]
    }))
    .expect("a valid analysis")
}

fn fill(batch: &mut RecordBatch, schema: &Schema, time: &mut i64, &(step, host, value): &Raw) {
    *time += step * 1_000;
    batch.begin();
    let column = |name| schema.position(name).expect("a field of the analysis");
    batch.set_number(column("v"), value);
    batch.set_display(column("host"), format_args!("host-{host}"));
    batch.set_display(column("zone"), format_args!("zone-{}", host % 2));
    let seconds = time.div_euclid(1_000);
    if let Some(page) = schema.position("page") {
        batch.set_display(page, format_args!("/{}", seconds % 7 * i64::from(host)));
        let place = format_args!("{},{}", value.clamp(-90.0, 90.0), seconds % 181);
        batch.set_display(column("place"), place);
    }
    batch.input.records += 1;
    batch.commit(*time);
}

/// Runs records through engines in batches of the given sizes, in turn, saved and restored after every `restart`-th.
fn run(
    raw: &[Raw],
    sizes: &[usize],
    restart: usize,
    analysis: AnalysisConfig,
    limit: u64,
) -> (Vec<BucketResults>, Engine) {
    let options = Options {
        memory_limit: limit,
        ..Options::default()
    };
    let schema = analysis.schema();
    let mut engine = Engine::new(analysis.clone(), options.clone());
    let (mut time, mut results, mut rest) = (1_700_000_000_000, Vec::new(), raw);
    for (number, size) in sizes.iter().cycle().enumerate() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at((*size).min(rest.len()));
        rest = later;
        let mut batch = RecordBatch::new(schema.fields.len());
        now.iter()
            .for_each(|raw| fill(&mut batch, &schema, &mut time, raw));
        engine.count_input(&batch);
        let mut row = 0;
        while row < batch.len() {
            let mut some = Vec::new();
            row = engine.process(&batch, row, &mut some);
            results.append(&mut some);
        }
        if restart > 0 && number % restart == 0 {
            engine = Engine::restore(analysis.clone(), &engine.save()).expect("restores");
        }
        assert!(
            limit == 0 || engine.size().model_bytes <= limit,
            "{:?}",
            engine.size()
        );
    }
    // Past the latest record, which need not be the last.
    let end = time.max(engine.counts().latest_record_timestamp.unwrap_or(0)) + 600_000;
    loop {
        let mut some = Vec::new();
        let done = engine.flush(
            &Flush {
                advance_time: Some(end),
                skip_time: None,
            },
            &mut some,
        );
        results.append(&mut some);
        if done {
            break;
        }
    }
    (results, engine)
}

fn records() -> impl Strategy<Value = Vec<Raw>> {
    let value = prop_oneof![
        20 => 0.0..100.0f64,
        2 => -1e6..1e6f64,
        1 => prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL
    ];
    let step = prop_oneof![30 => 0i64..40, 2 => -200i64..0, 1 => 0i64..5_000];
    prop::collection::vec((step, 0u8..5, value), 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn batching_and_restarts_change_nothing(
        raw in records(),
        sizes in prop::collection::vec(1usize..90, 1..6),
        restart in 0usize..4,
        latency in prop_oneof![Just("0s"), Just("90s"), Just("5m")],
        all: bool,
    ) {
        let analysis = if all { kinds(latency) } else { analysis(latency) };
        let (whole, one) = run(&raw, &[raw.len()], 0, analysis.clone(), 0);
        let (parts, other) = run(&raw, &sizes, restart, analysis, 0);
        prop_assert_eq!(serde(&whole), serde(&parts));
        prop_assert_eq!(one.counts(), other.counts());
        prop_assert!(one.save() == other.save(), "the states differ");
    }

    #[test]
    fn numbers_stay_in_their_ranges(raw in records(), all: bool) {
        let analysis = if all { kinds("0s") } else { analysis("0s") };
        let (results, engine) = run(&raw, &[64], 0, analysis, 0);
        let counts = engine.counts();
        prop_assert_eq!(counts.input_record_count, raw.len() as u64);
        prop_assert_eq!(
            counts.processed_record_count + counts.out_of_order_timestamp_count + counts.invalid_date_count,
            counts.input_record_count
        );
        let mut last = i64::MIN;
        for result in &results {
            prop_assert!(result.bucket.timestamp > last, "time runs backwards");
            last = result.bucket.timestamp;
            prop_assert!((0.0..=100.0).contains(&result.bucket.anomaly_score));
            for record in &result.records {
                prop_assert!((0.0..=1.0).contains(&record.probability));
                prop_assert!((0.0..=100.0).contains(&record.record_score));
                prop_assert!(record.typical.iter().chain(&record.actual).all(|x| x.is_finite()));
                let why = record.anomaly_score_explanation.deviation();
                if let Some(bounds) = why.and_then(|why| why.bounds.as_ref()) {
                    prop_assert!(bounds.lower_confidence_bound.is_finite());
                    prop_assert!(bounds.upper_confidence_bound.is_finite());
                }
            }
            for influencer in &result.influencers {
                prop_assert!((0.0..=1.0).contains(&influencer.probability));
                prop_assert!((0.0..=100.0).contains(&influencer.influencer_score));
            }
        }
        let events: u64 = results.iter().map(|result| result.bucket.event_count).sum();
        prop_assert_eq!(events, counts.processed_record_count, "a record is in no bucket, or in two");
    }

    #[test]
    fn memory_stays_under_its_limit_also_after_restarts(
        raw in records(),
        limit in 20_000u64..200_000,
        all: bool,
    ) {
        let analysis = if all { kinds("0s") } else { analysis("0s") };
        let (whole, one) = run(&raw, &[50], 0, analysis.clone(), limit);
        let (parts, other) = run(&raw, &[50], 1, analysis, limit);
        prop_assert_eq!(serde(&whole), serde(&parts));
        prop_assert_eq!(one.size(), other.size());
    }
}

fn serde(results: &[BucketResults]) -> Vec<String> {
    let mut lines = Vec::new();
    for result in results {
        lines.push(json!(result.bucket).to_string());
        lines.extend(
            result
                .records
                .iter()
                .map(|record| json!(record).to_string()),
        );
        lines.extend(
            result
                .influencers
                .iter()
                .map(|influencer| json!(influencer).to_string()),
        );
    }
    lines
}

#[test]
fn a_flush_finishes_buckets_and_a_skip_leaves_them_out() {
    let analysis: AnalysisConfig =
        serde_json::from_value(json!({"bucket_span": "1h", "detectors": [{"function": "count"}]}))
            .expect("valid");
    let mut engine = Engine::new(analysis, Options::default());
    let mut batch = RecordBatch::new(0);
    for time in [1_403_481_600_000, 1_403_481_700_000] {
        batch.begin();
        batch.commit(time);
    }
    let mut results = Vec::new();
    assert_eq!(engine.process(&batch, 0, &mut results), 2);
    assert_eq!(engine.last_finalized_bucket_end(), Some(1_403_481_600_000));
    engine.flush(
        &Flush {
            skip_time: Some(1_403_488_700_000),
            advance_time: None,
        },
        &mut results,
    );
    assert_eq!(engine.last_finalized_bucket_end(), Some(1_403_488_800_000));
    assert!(results.is_empty());
    engine.flush(
        &Flush {
            advance_time: Some(1_403_488_800_000 + 2 * 3_600_000),
            skip_time: None,
        },
        &mut results,
    );
    assert_eq!(results.len(), 2);
}

#[test]
fn a_leap_in_time_costs_no_empty_buckets() {
    let (results, _) = run(
        &[
            (0, 0, 1.0),
            (1, 0, 1.0),
            (4_000_000_000, 0, 1.0),
            (60, 0, 1.0),
        ],
        &[4],
        0,
        analysis("0s"),
        0,
    );
    assert!(results.len() < 20, "{}", results.len());
}

#[test]
fn a_latency_without_end_costs_no_time() {
    let leaps = [
        (0, 0, 1.0),
        (4_000_000_000, 0, 1.0),
        (8_000_000_000, 0, 1.0),
    ];
    let (results, _) = run(&leaps, &[3], 0, analysis("100000d"), 0);
    assert!(results.len() < 1_000, "{}", results.len());
}
