//! A store with a job and its datafeed, by a clock that the test turns.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidewatch_datafeed::Feeds;
use tidewatch_datafeed::config::NewDatafeed;
use tidewatch_datafeed::run::{DatafeedState, StartRequest, Status, StopRequest};
use tidewatch_jobs::config::NewJob;
use tidewatch_jobs::{Clock, Jobs, Settings, State};
use tidewatch_model::units::Memory;
use tidewatch_store::Store;
use tidewatch_store::{ResultKind, ResultQuery, Sort};

use crate::source::{Doc, Script};

/// Noon of a day, where the clock begins.
pub const NOON: i64 = 1_700_049_600_000;
pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;

/// A server without its wire.
pub struct Server {
    pub jobs: Jobs,
    pub feeds: Feeds,
    script: Script,
}

impl Server {
    pub async fn start(directory: &Path, script: &Script, now: i64) -> Self {
        Self::start_with(directory, script, now, false).await
    }

    pub async fn start_with(directory: &Path, script: &Script, now: i64, reprocess: bool) -> Self {
        let store = Store::open(directory).await.expect("the store opens");
        let settings = Settings {
            max_open_jobs: 1,
            node_memory: Memory::mebibytes(500),
            max_model_memory_limit: None,
            threads: 2,
            checkpoint_journal_bytes: 20_000,
            background_persist_interval: Duration::from_secs(3 * 3_600),
            maintenance: cron::Schedule::from_str("0 30 0 * * *").expect("a cron expression"),
            clock: Clock::standing(now),
        };
        let jobs = Jobs::start(store, settings).await.expect("jobs start");
        let feeds = Feeds::start(jobs.clone(), Arc::new(script.clone()), reprocess);
        let feeds = feeds.await.expect("datafeeds start");
        Self {
            jobs,
            feeds,
            script: script.clone(),
        }
    }

    /// The job `j`, open, with the datafeed `d`.
    pub async fn create(&self, datafeed: Value) {
        self.create_job("j", json!({})).await;
        self.create_feed(datafeed).await;
        self.jobs.open("j").await.expect("opened");
    }

    pub async fn create_job(&self, id: &str, more: Value) {
        let mut job = json!({
            "analysis_config": {
                "bucket_span": "15m",
                "detectors": [
                    {"function": "mean", "field_name": "v", "partition_field_name": "p"},
                    {"function": "high_count"}
                ],
                "influencers": ["p"]
            },
            "data_description": {"time_format": "epoch_ms"},
            "analysis_limits": {"model_memory_limit": "50mb"}
        });
        for (name, value) in more.as_object().expect("an object") {
            job[name] = value.clone();
        }
        let job = serde_json::from_value::<NewJob>(job).expect("readable");
        self.jobs.create(id, job).await.expect("created");
    }

    pub async fn create_feed(&self, more: Value) {
        let mut feed = json!({
            "job_id": "j", "indices": ["i"], "query_delay": "60s", "frequency": "5m"
        });
        for (name, value) in more.as_object().expect("an object") {
            feed[name] = value.clone();
        }
        let feed = serde_json::from_value::<NewDatafeed>(feed).expect("readable");
        self.feeds.create("d", feed).await.expect("created");
    }

    pub async fn begin(&self, start: i64, end: Option<i64>) {
        self.feeds
            .start_feed("d", request(start, end))
            .await
            .expect("started");
    }

    pub async fn stop(&self) {
        self.feeds.stop_feeds("d", stop()).await.expect("stopped");
    }

    pub fn status(&self) -> Status {
        self.feeds.status(&self.feeds.get("d").expect("there"))
    }

    pub async fn has_stopped(&self) {
        until("the datafeed has stopped", async || {
            self.status().state == DatafeedState::Stopped
        })
        .await;
    }

    /// Turns the clock on until the datafeed has read up to `time`.
    pub async fn reads_until(&self, time: i64) {
        until("the datafeed has read on", async || {
            let read = self
                .feeds
                .runs()
                .first()
                .and_then(|run| run.figures().read_until);
            if read.is_some_and(|read| read >= time) {
                return true;
            }
            self.turn(30_000).await;
            false
        })
        .await;
        // The flush after it, and what else belongs to the cycle.
        self.is_quiet().await;
    }

    /// Turns the clock, once what it moves has come to rest.
    pub async fn turn(&self, millis: u64) {
        self.rests().await;
        self.jobs
            .settings()
            .clock
            .advance(Duration::from_millis(millis));
    }

    /// Waits until the datafeed sleeps by the clock, stands at the gate, or doesn't run.
    async fn rests(&self) {
        until("all rests", async || {
            let sleepers = self.jobs.settings().clock.sleepers();
            let is_open = self
                .jobs
                .standing("j")
                .is_ok_and(|job| job.state == State::Opened);
            let runs = is_open
                && self
                    .feeds
                    .get("d")
                    .is_ok_and(|feed| self.feeds.status(&feed).state == DatafeedState::Started);
            sleepers > 0 || !runs || self.script.is_stood_at()
        })
        .await;
    }

    /// Waits until all rests, and nothing has been told or written for a while.
    pub async fn is_quiet(&self) {
        self.rests().await;
        let mut before = None;
        let mut same = 0;
        while same < 5 {
            tokio::time::sleep(Duration::from_millis(4)).await;
            let counts = self.jobs.stats("_all", true).expect("there")[0]
                .data_counts
                .clone();
            let now = (
                counts.counts,
                counts.log_time,
                self.feeds.runs().first().map(|run| run.figures()),
                self.told().await.len(),
            );
            let now = format!("{now:?}");
            same = if before.as_ref() == Some(&now) {
                same + 1
            } else {
                0
            };
            before = Some(now);
        }
    }

    pub async fn told(&self) -> Vec<String> {
        // They are on their way: what is written after them is there after them.
        self.jobs
            .store()
            .set_meta("test", "")
            .await
            .expect("written");
        let rows = self
            .jobs
            .store()
            .notifications(Some("j"))
            .await
            .expect("read");
        rows.into_iter().map(|row| row.message).collect()
    }

    pub async fn tells(&self, message: &str) {
        until(message, async || {
            let told = self.told().await;
            told.iter().any(|told| told.contains(message))
        })
        .await;
    }

    /// Buckets and records without what depends on the time of day.
    pub async fn results(&self) -> Vec<String> {
        let mut all = Vec::new();
        for kind in [
            ResultKind::Bucket,
            ResultKind::Record,
            ResultKind::Influencer,
        ] {
            let query = ResultQuery {
                job_id: "j".into(),
                kind,
                start: None,
                end: None,
                min_score: 0.0,
                exclude_interim: true,
                sort: Sort::Timestamp,
                descending: false,
                from: 0,
                size: 100_000,
            };
            let page = self.jobs.results(&query).await.expect("read");
            all.extend(page.docs.into_iter().map(|doc| {
                let mut doc: Value = serde_json::from_str(&doc).expect("JSON");
                doc.as_object_mut()
                    .expect("an object")
                    .remove("processing_time_ms");
                doc.to_string()
            }));
        }
        all
    }

    /// Starts and event counts of the final buckets.
    pub async fn event_counts(&self) -> Vec<(i64, u64)> {
        let results = self.results().await;
        let buckets = results
            .iter()
            .map(|doc| serde_json::from_str(doc).expect("JSON"));
        let buckets = buckets.filter(|doc: &Value| doc["result_type"] == "bucket");
        let count = |doc: Value| {
            (
                doc["timestamp"].as_i64().expect("a time"),
                doc["event_count"].as_u64().expect("a count"),
            )
        };
        buckets.map(count).collect()
    }

    pub async fn end(self) {
        self.feeds.shut_down().await;
        self.jobs.shut_down().await;
    }
}

pub fn request(start: i64, end: Option<i64>) -> StartRequest {
    StartRequest {
        start,
        end,
        timeout: Duration::from_secs(60),
    }
}

pub fn stop() -> StopRequest {
    StopRequest {
        allow_no_match: true,
        force: false,
        timeout: Duration::from_secs(60),
        close_job: false,
    }
}

pub async fn until(what: &str, mut there: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(180);
    while Instant::now() < deadline {
        if there().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("waited in vain: {what}");
}

/// Documents of a stretch of time, a function of it: about one every `every` milliseconds, some of the same time, with
/// a jump now and then.
pub fn docs(from: i64, to: i64, every: i64) -> Vec<Doc> {
    let mut docs = Vec::new();
    let mut time = from;
    while time < to {
        let noise = (time.wrapping_mul(6_364_136_223_846_793_005) >> 40).rem_euclid(1_000);
        let jump = if time.div_euclid(HOUR) % 11 == 7 {
            40.0
        } else {
            0.0
        };
        for copy in 0..1 + noise % 2 {
            docs.push(Doc(
                time,
                (copy + noise / 7 % 2) as u8 % 2,
                100.0 + jump + noise as f64 / 50.0,
            ));
        }
        time += every / 2 + noise * every / 1_000;
    }
    docs
}

/// What the store has on its disk now, as a SIGKILL would leave it. Nothing may be written meanwhile.
pub fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        if path.is_file() && name != "tidewatch.lock" {
            std::fs::copy(&path, to.join(name)).expect("copied");
        }
    }
}

/// A stop by force.
pub struct StopNow;

impl From<StopNow> for StopRequest {
    fn from(_: StopNow) -> Self {
        Self {
            force: true,
            ..stop()
        }
    }
}

impl Server {
    /// Turns the clock on until something is told.
    pub async fn tells_turning(&self, message: &str) {
        until(message, async || {
            self.turn(60_000).await;
            let told = self.told().await;
            told.iter().any(|told| told.contains(message))
        })
        .await;
    }

    /// Deletes all model snapshots that can be.
    pub async fn drop_snapshots(&self) {
        for snapshot in self.jobs.snapshots("j").await.expect("read") {
            let store = self.jobs.store();
            let id = &snapshot.snapshot_id;
            let gone = store.delete_snapshot("j", id, "", tidewatch_store::Retained::Go);
            gone.await.expect("deleted");
        }
    }
}
