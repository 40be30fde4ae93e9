//! Jobs over a store of their own, by a clock that the test turns.

use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidewatch_jobs::config::NewJob;
use tidewatch_jobs::update::JobUpdate;
use tidewatch_jobs::{Clock, Jobs, Settings};
use tidewatch_model::record::RecordBatch;
use tidewatch_model::units::Memory;
use tidewatch_store::{NotificationRow, Store};

/// Noon of a day, where the clock begins.
pub const NOON: i64 = 1_700_049_600_000;
pub const DAY: i64 = 86_400_000;

pub async fn start(directory: &TempDir) -> Jobs {
    let store = Store::open(directory.path())
        .await
        .expect("the store opens");
    let settings = Settings {
        max_open_jobs: 10,
        node_memory: Memory::mebibytes(500),
        max_model_memory_limit: None,
        threads: 2,
        checkpoint_journal_bytes: 1 << 20,
        background_persist_interval: Duration::from_secs(3 * 3_600),
        maintenance: cron::Schedule::from_str("0 30 0 * * *").expect("a cron expression"),
        clock: Clock::standing(NOON),
    };
    Jobs::start(store, settings).await.expect("jobs start")
}

/// Turns the clock on.
pub fn turn(jobs: &Jobs, seconds: u64) {
    jobs.settings().clock.advance(Duration::from_secs(seconds));
}

/// Waits, turning the clock a minute on each time, until `there` gives something.
pub async fn until<T>(jobs: &Jobs, what: &str, mut there: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..20_000 {
        if let Some(found) = there().await {
            return found;
        }
        turn(jobs, 60);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("waited in vain: {what}");
}

pub async fn create(jobs: &Jobs, id: &str, config: Value) {
    let config = serde_json::from_value::<NewJob>(config).expect("readable");
    jobs.create(id, config).await.expect("created");
}

pub async fn update(jobs: &Jobs, id: &str, update: Value) {
    jobs.update(id, read_update(update)).await.expect("updated");
}

pub fn read_update(update: Value) -> JobUpdate {
    serde_json::from_value(update).expect("readable")
}

/// Two series, one of which jumps now and then, with all that is written of them.
pub fn series() -> Value {
    json!({
        "analysis_config": {
            "bucket_span": "1h",
            "detectors": [{"function": "mean", "field_name": "v", "partition_field_name": "p"}],
            "influencers": ["p"]
        },
        "data_description": {},
        "model_plot_config": {"enabled": true, "annotations_enabled": true},
        "analysis_limits": {"model_memory_limit": "50mb"}
    })
}

/// Counts of messages by their category.
pub fn messages() -> Value {
    json!({
        "analysis_config": {
            "bucket_span": "1h",
            "detectors": [{"function": "count", "by_field_name": "mlcategory"}],
            "categorization_field_name": "message"
        },
        "data_description": {},
        "analysis_limits": {"model_memory_limit": "50mb"}
    })
}

/// Four records an hour, a function of their time: values with a day's shape, that jump every fourth day; messages, of
/// which there are new ones every hundred hours.
pub async fn append(jobs: &Jobs, id: &str, hours: Range<i64>) {
    let schema = jobs.get(id).expect("there").analysis_config.schema();
    let mut batch = RecordBatch::new(schema.fields.len());
    for hour in hours {
        for part in 0..4i64 {
            let time = NOON - 60 * DAY + hour * 3_600_000 + part * 600_000;
            let noise = (time.wrapping_mul(6_364_136_223_846_793_005) >> 40).rem_euclid(1_000);
            let jump = if hour % 96 == 90 && part % 2 == 0 {
                300
            } else {
                0
            };
            let shape = if (8..18).contains(&(hour % 24)) {
                30
            } else {
                0
            };
            batch.begin();
            for (column, field) in schema.fields.iter().enumerate() {
                match field.name.as_str() {
                    "v" => {
                        batch.set_number(column, (100 + shape + jump) as f64 + noise as f64 / 50.0)
                    }
                    "p" => batch.set_display(column, part % 2),
                    "message" => batch.set_text(column, &message(hour, part)),
                    _ => {}
                }
            }
            batch.input.records += 1;
            batch.commit(time);
        }
    }
    let applied = jobs.append(id, batch).await.expect("accepted");
    applied.await.expect("answered").expect("analysed");
}

fn message(hour: i64, part: i64) -> String {
    let thing = ["apple", "boat", "cloud", "drum", "eagle"][(hour / 100 % 5) as usize];
    match part {
        0 => format!("opened the {thing} for reading after {hour} tries"),
        1 => format!("connection to server {hour} was refused"),
        _ => "nothing happened at all".to_owned(),
    }
}

pub async fn notifications(jobs: &Jobs, id: &str) -> Vec<String> {
    // They are on their way: what is written after them is there after them.
    jobs.store().set_meta("test", "").await.expect("written");
    let rows: Vec<NotificationRow> = jobs.store().notifications(Some(id)).await.expect("read");
    rows.into_iter().map(|row| row.message).collect()
}
