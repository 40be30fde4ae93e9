//! What happens at the memory limit: the useful models stay, the limit is kept, and it is said.

use serde_json::json;
use tidewatch_model::config::AnalysisConfig;
use tidewatch_model::counts::MemoryStatus;
use tidewatch_model::engine::{Engine, Options};
use tidewatch_model::record::RecordBatch;

const START: i64 = 1_700_006_400;
const SPAN: i64 = 900;

fn noise(seed: i64) -> f64 {
    let mut z = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((z ^ (z >> 27)) >> 11) as f64 / (1u64 << 53) as f64
}

fn analysis() -> AnalysisConfig {
    let config = json!({
        "bucket_span": "15m",
        "detectors": [{"function": "mean", "field_name": "v", "partition_field_name": "host"}]
    });
    serde_json::from_value(config).expect("a valid analysis")
}

/// Feeds the records (host, value) of a bucket; gives the hosts told with a score of 50 and more.
fn feed(engine: &mut Engine, bucket: i64, records: &[(String, f64)]) -> Vec<String> {
    let mut batch = RecordBatch::new(2);
    for (host, value) in records {
        batch.begin();
        batch.set_number(0, *value);
        batch.set_text(1, host);
        batch.commit((START + bucket * SPAN) * 1_000);
    }
    let (mut row, mut told, mut results) = (0, Vec::new(), Vec::new());
    while row < batch.len() {
        row = engine.process(&batch, row, &mut results);
        let records = results.drain(..).flat_map(|result| result.records);
        let odd = records.filter(|record| record.record_score >= 50.0);
        told.extend(odd.filter_map(|r| Some(r.partition?.partition_field_value)));
    }
    told
}

#[test]
fn a_flood_of_passing_values_does_not_wash_the_lasting_ones_away() {
    const LASTING: i64 = 30;
    let limit = 400_000;
    let options = Options {
        memory_limit: limit,
        ..Options::default()
    };
    let mut engine = Engine::new(analysis(), options);
    let mut told = Vec::new();
    for bucket in 0..1_000 {
        let lasting = (0..LASTING).map(|host| {
            let odd = if bucket == 990 && host == 7 {
                20.0
            } else {
                0.0
            };
            (format!("host-{host}"), noise(bucket * 100 + host) + odd)
        });
        let passing = (0..20).map(|i| (format!("job-{bucket}-{i}"), noise(bucket + i)));
        let records: Vec<_> = lasting.chain(passing).collect();
        told.extend(feed(&mut engine, bucket, &records));
        let size = engine.size();
        assert!(size.model_bytes <= limit, "{size:?}");
    }
    assert_eq!(told, ["host-7"]);
    let size = engine.size();
    assert!(size.memory_status >= MemoryStatus::SoftLimit, "{size:?}");
    assert!(
        size.total_partition_field_count > LASTING as u64,
        "{size:?}"
    );
}

#[test]
fn models_that_may_not_grow_still_judge_and_newcomers_are_refused_and_counted() {
    let mut free = Engine::new(analysis(), Options::default());
    let hosts = |bucket: i64, odd: bool| -> Vec<(String, f64)> {
        (0..20)
            .map(|host| {
                let odd = if odd && host == 3 { 20.0 } else { 0.0 };
                (format!("host-{host}"), noise(bucket * 100 + host) + odd)
            })
            .collect()
    };
    feed(&mut free, 0, &hosts(0, false));
    // Room for all of them as they are born, and no more.
    let limit = free.size().model_bytes + 200;
    let options = Options {
        memory_limit: limit,
        ..Options::default()
    };
    let mut engine = Engine::new(analysis(), options);
    let mut told = Vec::new();
    for bucket in 0..600 {
        let mut records = hosts(bucket, bucket == 590);
        records.push(("late".to_owned(), 1.0));
        told.extend(feed(&mut engine, bucket, &records));
        assert!(engine.size().model_bytes <= limit);
    }
    assert!(told.contains(&"host-3".to_owned()), "{told:?}");
    let size = engine.size();
    assert_eq!(size.memory_status, MemoryStatus::HardLimit, "{size:?}");
    assert!(size.bucket_allocation_failures_count > 0 && size.model_bytes_exceeded > 0);
}

/// A job that counts the records of hosts, with an influencer, which waits for late ones.
fn late_analysis() -> AnalysisConfig {
    let config = json!({
        "bucket_span": "15m",
        "latency": "2h",
        "detectors": [{"function": "count", "partition_field_name": "host"}],
        "influencers": ["who"]
    });
    serde_json::from_value(config).expect("a valid analysis")
}

#[test]
fn a_slot_that_has_come_back_in_a_bucket_still_open_is_not_pruned() {
    let analysis = late_analysis();
    let schema = analysis.schema();
    let (host, who) = (schema.position("host"), schema.position("who"));
    let options = Options {
        prune_window: 86_400,
        ..Options::default()
    };
    let mut engine = Engine::new(analysis, options);
    let mut results = Vec::new();
    for bucket in 0..400 {
        let mut batch = RecordBatch::new(schema.fields.len());
        let mut add = |name: &str| {
            batch.begin();
            batch.set_text(host.expect("a column"), name);
            batch.set_text(who.expect("a column"), "someone");
            batch.commit((START + bucket * SPAN) * 1_000);
        };
        add("always");
        // The guest is away for more than the window, and then comes while the buckets before are still open.
        if !(20..121).contains(&bucket) {
            add("guest");
        }
        if bucket < 20 {
            add("another");
        }
        let mut row = 0;
        while row < batch.len() {
            row = engine.process(&batch, row, &mut results);
        }
    }
    let size = engine.size();
    assert_eq!(size.total_partition_field_count, 2, "{size:?}");
}

#[test]
fn values_beyond_number_in_one_bucket_keep_to_the_limit() {
    let detectors = [
        json!({"function": "count"}),
        json!({"function": "distinct_count", "field_name": "who"}),
    ];
    for detector in detectors {
        let config =
            json!({"bucket_span": "15m", "detectors": [detector], "influencers": ["whose"]});
        let analysis: AnalysisConfig = serde_json::from_value(config).expect("valid");
        let schema = analysis.schema();
        let limit = 300_000;
        let options = Options {
            memory_limit: limit,
            ..Options::default()
        };
        let mut engine = Engine::new(analysis, options);
        let mut batch = RecordBatch::new(schema.fields.len());
        for i in 0..20_000 {
            batch.begin();
            for column in 0..schema.fields.len() {
                batch.set_text(column, &format!("{i}{}", "x".repeat(100)));
            }
            batch.commit(START * 1_000);
        }
        assert_eq!(engine.process(&batch, 0, &mut Vec::new()), batch.len());
        let size = engine.size();
        assert!(size.model_bytes <= limit, "{size:?}");
        // The bucket is part of what is saved.
        let saved = engine.save().len() as u64;
        assert!((limit / 10..limit).contains(&saved), "{saved}");
    }
}
