//! How fast documents are written: log lines of about 300 bytes, as `_bulk` gives them to the index, durable and findable.
//!
//! `cargo bench -p tidewatch-store`

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use serde_json::{Value, json};
use tidewatch_store::Store;
use tidewatch_store::index::{Creation, Write};

const DOCUMENTS: usize = 200_000;
/// In one request.
const BATCH: usize = 5_000;

fn main() {
    divan::main();
}

/// Log lines: a time, words from few values, a message and three numbers.
fn lines() -> Vec<String> {
    const LEVELS: [&str; 4] = ["INFO", "INFO", "WARN", "ERROR"];
    const VERBS: [&str; 6] = [
        "accepted",
        "forwarded",
        "retried",
        "rejected",
        "completed",
        "queued",
    ];
    // A fixed sequence: the same lines every time.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    (0..DOCUMENTS)
        .map(|n| {
            let (host, service) = (random(50), random(12));
            let verb = VERBS[usize::try_from(random(6)).unwrap_or(0)];
            let level = LEVELS[usize::try_from(random(4)).unwrap_or(0)];
            format!(
                r#"{{"@timestamp":"2024-03-01T{:02}:{:02}:{:02}.{:03}Z","level":"{level}","host":"web-{host:02}.example.com","service":"checkout-{service}","message":"request {:016x} {verb} by upstream pool {} after {} attempts, client 10.{}.{}.{} path /api/v1/orders/{}","status":{},"bytes":{},"duration_ms":{}.{:03}}}"#,
                n / 3_600_000 % 24,
                n / 60_000 % 60,
                n / 1000 % 60,
                n % 1000,
                random(u64::MAX),
                random(9),
                random(4),
                random(256),
                random(256),
                random(256),
                random(100_000),
                200 + random(4) * 100,
                random(100_000),
                random(900),
                random(1000),
            )
        })
        .collect()
}

fn write_all(bencher: Bencher, mappings: &Value) {
    let lines = lines();
    let bytes: usize = lines.iter().map(String::len).sum();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    bencher
        .counter(ItemsCount::new(DOCUMENTS))
        .counter(BytesCount::new(bytes))
        .with_inputs(|| {
            let batches: Vec<Vec<Write>> = lines
                .chunks(BATCH)
                .map(|lines| {
                    lines
                        .iter()
                        .map(|line| Write {
                            source: line.clone().into(),
                            ..Write::default()
                        })
                        .collect()
                })
                .collect();
            (tempfile::tempdir().expect("a directory"), batches)
        })
        .bench_values(|(dir, batches)| {
            runtime.block_on(async {
                let store = Store::open(dir.path()).await.expect("a store");
                let creation = Creation {
                    mappings: mappings.clone(),
                    ..Creation::default()
                };
                let index = store
                    .indices()
                    .create("logs", creation)
                    .await
                    .expect("an index");
                for batch in batches {
                    let outcomes = index.write(batch).await.expect("written");
                    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()));
                }
                index.refresh().await.expect("refreshed");
                assert_eq!(index.stats().expect("stats").documents, DOCUMENTS as u64);
                store.close().await;
            });
            dir
        });
}

/// Every field mapped as a log's usually is.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn mapped(bencher: Bencher) {
    let keyword = json!({"type": "keyword"});
    let mappings = json!({"properties": {
        "@timestamp": {"type": "date"}, "level": keyword, "host": keyword, "service": keyword,
        "message": {"type": "text"}, "status": {"type": "long"}, "bytes": {"type": "long"},
        "duration_ms": {"type": "double"}
    }});
    write_all(bencher, &mappings);
}

/// Nothing mapped: every text is a text and a keyword.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn dynamic(bencher: Bencher) {
    write_all(bencher, &Value::Null);
}
