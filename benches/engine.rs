//! How fast records become results, and what a series weighs: `cargo bench --bench engine`.
//!
//! Elastic's engine (9.5), one core of a machine like the one that these were written on: 127,000 records a CPU second
//! on one series (10 s apart, mean, 5 m buckets); 6,000 to 8,400 series-bucket updates a CPU second and 25 to 29 KB a
//! series with 1,000 to 10,000 partitions. Allocations are counted as well: the way of a record allocates nothing.

use std::fmt::Write;
use std::sync::Arc;

use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher};
use serde_json::{Value, json};
use tidewatch_datafeed::{NdjsonReader, Projection};
use tidewatch_model::config::AnalysisConfig;
use tidewatch_model::engine::{Engine, Options};
use tidewatch_model::record::RecordBatch;
use tidewatch_model::results::BucketResults;
use tidewatch_model::time_format::TimeFormat;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const START: i64 = 1_700_006_400;

fn main() {
    divan::main();
    weigh();
}

fn analysis(config: Value) -> AnalysisConfig {
    serde_json::from_value(config).expect("a valid analysis")
}

fn one_series() -> AnalysisConfig {
    analysis(json!({"bucket_span": "5m", "detectors": [{"function": "mean", "field_name": "v"}]}))
}

fn partitions() -> AnalysisConfig {
    analysis(json!({
        "bucket_span": "5m", "detectors": [{"function": "mean", "field_name": "v", "partition_field_name": "p"}]
    }))
}

/// A daily wave with noise: the same on every machine.
fn value(time: i64, salt: i64) -> f64 {
    let noise = ((time + 7_919 * salt).wrapping_mul(0x9e37_79b9_7f4a_7c15u64 as i64) >> 40) as f64
        / (1 << 23) as f64;
    100.0 + 20.0 * (time as f64 / 86_400.0 * std::f64::consts::TAU).sin() + 5.0 * noise
}

fn process(engine: &mut Engine, batch: &RecordBatch, results: &mut Vec<BucketResults>) {
    engine.count_input(batch);
    let mut row = 0;
    while row < batch.len() {
        row = engine.process(batch, row, results);
        results.clear();
    }
}

/// Records of one series, 10 s apart.
fn stream(from: i64, count: i64) -> RecordBatch {
    let mut batch = RecordBatch::new(1);
    for record in 0..count {
        let time = START + (from + record) * 10;
        batch.begin();
        batch.set_number(0, value(time, 0));
        batch.input.records += 1;
        batch.commit(time * 1_000);
    }
    batch
}

/// One record of each partition, at the start of a bucket.
fn round(bucket: i64, partitions: i64) -> RecordBatch {
    let mut batch = RecordBatch::new(2);
    for partition in 0..partitions {
        batch.begin();
        batch.set_number(0, value(START + bucket * 300, partition));
        batch.set_display(1, format_args!("partition-{partition}"));
        batch.input.records += 1;
        batch.commit((START + bucket * 300) * 1_000);
    }
    batch
}

/// 4,096 records, parsed before, after a day of others.
#[divan::bench(sample_count = 50)]
fn records_of_one_series(bencher: Bencher) {
    const COUNT: i64 = 4_096;
    let mut engine = Engine::new(one_series(), Options::default());
    let mut results = Vec::new();
    process(&mut engine, &stream(0, 8_640), &mut results);
    let mut from = 8_640;
    bencher
        .counter(ItemsCount::new(COUNT as u64))
        .with_inputs(|| {
            from += COUNT;
            stream(from - COUNT, COUNT)
        })
        .bench_local_refs(|batch| process(&mut engine, batch, &mut results));
}

/// The same from NDJSON on.
#[divan::bench(sample_count = 50)]
fn records_of_one_series_from_json(bencher: Bencher) {
    const COUNT: i64 = 4_096;
    let analysis = one_series();
    let projection = Arc::new(Projection::new(
        analysis.schema(),
        "time".to_owned(),
        TimeFormat::Epoch,
    ));
    let mut engine = Engine::new(analysis, Options::default());
    let mut results = Vec::new();
    process(&mut engine, &stream(0, 8_640), &mut results);
    let mut reader = NdjsonReader::new(projection.clone());
    let mut batch = projection.batch();
    let mut from = 8_640;
    let mut lines = |count: i64| {
        let mut text = String::new();
        for record in from..from + count {
            let time = START + record * 10;
            writeln!(
                text,
                "{{\"time\":{time},\"v\":{:.3},\"host\":\"web-1\",\"status\":200}}",
                value(time, 0)
            )
            .expect("a String takes all");
        }
        from += count;
        text
    };
    let bytes = lines(COUNT).len() as u64;
    bencher
        .counter(ItemsCount::new(COUNT as u64))
        .counter(BytesCount::new(bytes))
        .with_inputs(|| lines(COUNT))
        .bench_local_refs(|text| {
            let mut bytes = text.as_bytes();
            while reader.push(&mut bytes, &mut batch) {
                process(&mut engine, &batch, &mut results);
                batch.clear();
            }
            process(&mut engine, &batch, &mut results);
            batch.clear();
        });
}

/// One bucket of many partitions: gathered, judged and learnt. A day has been learnt before.
#[divan::bench(args = [1_000, 10_000], sample_count = 40)]
fn bucket_updates(bencher: Bencher, count: i64) {
    let mut engine = Engine::new(partitions(), Options::default());
    let mut results = Vec::new();
    let warm = if count > 1_000 { 60 } else { 288 };
    for bucket in 0..warm {
        process(&mut engine, &round(bucket, count), &mut results);
    }
    let mut bucket = warm;
    bencher
        .counter(ItemsCount::new(count as u64))
        .with_inputs(|| {
            bucket += 1;
            round(bucket - 1, count)
        })
        .bench_local_refs(|batch| process(&mut engine, batch, &mut results));
}

/// What a series takes in memory and in a snapshot, after three weeks.
fn weigh() {
    for (span, buckets) in [(300i64, 6_048i64), (900, 2_016), (3_600, 504)] {
        let config = json!({"bucket_span": format!("{span}s"), "detectors": [
            {"function": "mean", "field_name": "v", "partition_field_name": "p"}
        ]});
        let mut engine = Engine::new(analysis(config), Options::default());
        let mut results = Vec::new();
        for bucket in 0..buckets {
            let mut batch = RecordBatch::new(2);
            for partition in 0..20 {
                let time = START + bucket * span;
                batch.begin();
                batch.set_number(0, value(time, partition));
                batch.set_display(1, partition);
                batch.commit(time * 1_000);
            }
            process(&mut engine, &batch, &mut results);
        }
        println!(
            "bucket span {span} s: {} bytes a series counted against the limit, {} bytes in a snapshot",
            engine.size().model_bytes / 20,
            engine.save().len() / 20
        );
    }
}
