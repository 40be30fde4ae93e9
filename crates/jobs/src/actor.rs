//! The actor of an open job: it owns the engine, lends it to the CPU threads step by step, and has written what comes of
//! it. One step is written while the next is at work; whoever sent a command hears of it once all of it is written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use serde::Serialize;
use tidewatch_model::categorize::CategorizationStatus;
use tidewatch_model::counts::{DataCounts, ModelSize};
use tidewatch_model::engine::{Engine, Flush};
use tidewatch_model::record::RecordBatch;
use tidewatch_model::results::{Annotation, BucketResults, Document};
use tidewatch_store::{AnnotationRow, Rescoring, ResultKind, ResultRow, ResultWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};

use crate::categories::{self, StatusChange};
use crate::error::{JobError, Result};
use crate::live::{Live, json};
use crate::pool::{Panicked, Pool};
use crate::recorder::{Findings, Recorder};
use crate::rescore::rescoring;
use crate::runner::{Applied, Command, Request, Saved, not_open};

pub(crate) struct Actor {
    pub recorder: Recorder,
    pub pool: Pool,
    /// Away while the pool has it; lost when an analysis panicked, or its results could not be written.
    pub engine: Option<Box<Engine>>,
    pub applied: i64,
    pub journal_bytes: u64,
    pub checkpoint_bytes: u64,
    pub live: Arc<RwLock<Live>>,
    /// What is being written, if anything is.
    pub writing: Option<JoinHandle<Result<()>>>,
    pub has_interim: bool,
    /// Interim results are not in the journal: what is done again leaves those of buckets that stay open.
    pub replays: bool,
}

/// A command on its way through the engine, in steps that each close a bounded number of buckets.
enum Work {
    Records { batch: RecordBatch, row: usize },
    Flush(Flush),
}

/// What one step gave.
struct Step {
    rows: Vec<ResultRow>,
    annotations: Vec<AnnotationRow>,
    rescoring: Option<Rescoring>,
    buckets: u64,
    took: Duration,
    size: Option<ModelSize>,
    categories: Vec<ResultRow>,
    statuses: Vec<StatusChange>,
}

impl Actor {
    #[tracing::instrument(name = "job", skip_all, fields(job_id = %self.recorder.job_id))]
    pub async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Request>,
        on_failure: Box<dyn FnOnce(String) + Send>,
    ) {
        loop {
            tokio::select! {
                biased;
                request = inbox.recv() => match request {
                    Some(request) => self.serve(request).await,
                    None => break,
                },
                // A failure has taken the engine.
                _ = self.written(), if self.writing.is_some() => {}
            }
            if self.engine.is_none() {
                // The rest of the queue is told by its replies being dropped.
                inbox.close();
                let _ = self.written().await;
                on_failure("the analysis ended unexpectedly; see the log".to_owned());
                return;
            }
        }
        let _ = self.written().await;
    }

    async fn serve(&mut self, request: Request) {
        match request {
            Request::Apply {
                seq,
                bytes,
                command,
                reply,
            } => {
                // A replay is no new data: it comes by another way.
                if matches!(command, Command::Records(_)) {
                    self.live.write().last_data_time = Some(self.recorder.clock.now());
                }
                let result = self.apply(command).await;
                self.applied = seq;
                self.journal_bytes += bytes;
                self.answer(reply, result);
                if self.engine.is_some() && self.journal_bytes >= self.checkpoint_bytes {
                    // A failure leaves the journal longer, and nothing lost.
                    if let Err(error) = self.checkpoint().await {
                        tracing::warn!(%error, "the state could not be saved");
                    }
                }
            }
            Request::Interim { start, end, reply } => {
                let _ = reply.send(self.interim(start, end).await);
            }
            Request::Look { look } => {
                // The looker hears of a failure by its reply being dropped.
                if self.written().await.is_ok() {
                    let _ = self.compute(|engine| look(engine)).await;
                }
            }
            Request::Checkpoint { reply } => {
                let _ = reply.send(self.checkpoint().await);
            }
        }
    }

    /// Tells what came of a command, once all of it is written.
    fn answer(&mut self, reply: oneshot::Sender<Result<Applied>>, outcome: Result<Applied>) {
        match (outcome, self.writing.take()) {
            (Ok(applied), Some(writing)) => {
                self.writing = Some(tokio::spawn(async move {
                    let written = ended(writing).await;
                    let _ = reply.send(written.clone().map(|()| applied));
                    written
                }));
            }
            (outcome, writing) => {
                self.writing = writing;
                let _ = reply.send(outcome);
            }
        }
    }

    /// Waits until nothing is being written. What could not be written ends the engine.
    async fn written(&mut self) -> Result<()> {
        let Some(writing) = &mut self.writing else {
            return Ok(());
        };
        // Whoever stops waiting here leaves it as it is.
        let outcome = ended(writing).await;
        self.writing = None;
        if outcome.is_err() {
            self.engine = None;
        }
        outcome
    }

    pub async fn replay(&mut self) -> Result<()> {
        self.replays = true;
        loop {
            let entries = self
                .recorder
                .store
                .read_journal(&self.recorder.job_id, self.applied, 16)
                .await?;
            if entries.is_empty() {
                self.written().await?;
                self.replays = false;
                return Ok(());
            }
            for (seq, payload) in entries {
                let command = postcard::from_bytes(&payload).map_err(|error| {
                    JobError::internal(format!("the journal can't be read: {error}"))
                })?;
                self.apply(command).await?;
                self.applied = seq;
                self.journal_bytes += payload.len() as u64;
            }
        }
    }

    async fn apply(&mut self, command: Command) -> Result<Applied> {
        let before = self.engine()?.counts().clone();
        match command {
            Command::Configure(options) => self.engine()?.configure(options),
            Command::Plot(plot) => self.engine()?.plot(plot),
            Command::Categorize(options) => self.engine()?.configure_categories(options),
            Command::Rules(rules) => self.engine()?.set_rules(rules),
            Command::Renormalise(window) => self.engine()?.renormalise(window),
            Command::Annotate(changes) => self.engine()?.annotate(changes),
            Command::Forest(config) => self.engine()?.configure_forests(config),
            Command::Forget { start, end } => self.engine()?.forget(start, end),
            Command::Records(batch) => {
                self.engine()?.count_input(&batch);
                self.work(Work::Records { batch, row: 0 }).await?;
            }
            Command::Flush(flush) => self.work(Work::Flush(flush)).await?,
        }
        self.outcome(&before)
    }

    fn outcome(&mut self, before: &DataCounts) -> Result<Applied> {
        let engine = self.engine()?;
        Ok(Applied {
            counts: engine.counts().since(before),
            last_finalized_bucket_end: engine.last_finalized_bucket_end(),
        })
    }

    async fn work(&mut self, work: Work) -> Result<()> {
        let mut work = work;
        let mut done = false;
        while !done {
            let (job_id, now) = (self.recorder.job_id.clone(), self.recorder.clock.now());
            let step = self.compute(move |engine| {
                let begun = Instant::now();
                let mut results = Vec::new();
                let done = match &mut work {
                    Work::Records { batch, row } => {
                        *row = engine.process(batch, *row, &mut results);
                        *row >= batch.len()
                    }
                    Work::Flush(flush) => engine.flush(flush, &mut results),
                };
                let took = begun.elapsed();
                // Whoever flushes may look at the counts.
                let counts = matches!(&work, Work::Flush(_));
                let told = results
                    .iter_mut()
                    .filter_map(|of| of.renormalisation.take());
                let told = told.map(|told| *told).collect();
                let step = Step {
                    rescoring: rescoring(told),
                    categories: categories_of(&job_id, engine, counts),
                    statuses: status_changes_of(engine),
                    buckets: results.len() as u64,
                    took,
                    size: (!results.is_empty()).then(|| engine.size()),
                    annotations: annotations(&job_id, &results, now),
                    rows: rows(&job_id, &mut results, took),
                };
                (work, done, step)
            });
            let step_result;
            (work, done, step_result) = step.await?;
            self.write(step_result).await?;
        }
        Ok(())
    }

    /// Begins to write what a step gave, once what the step before gave is written.
    async fn write(&mut self, step: Step) -> Result<()> {
        let span = self.engine()?.analysis().span();
        let counts = self.engine()?.counts().clone();
        let final_end = self.engine()?.last_finalized_bucket_end();
        let job_id = &self.recorder.job_id;
        let (documents, memory) = {
            let mut live = self.live.write();
            live.counts = counts;
            live.log_time = self.recorder.clock.now();
            live.size_log_time = live.log_time;
            live.timing
                .add(step.buckets, step.took.as_secs_f64() * 1e3, span);
            let before = live.size.memory_status;
            if let Some(size) = step.size {
                live.basis.add(&size);
                live.size = size;
            }
            (live.documents(job_id), (before, live.size.clone()))
        };
        let statuses = step.statuses.iter();
        let statuses = statuses.map(|change| change.annotation(job_id));
        let write = ResultWrite {
            delete_interim: match self.has_interim && !step.rows.is_empty() {
                true if self.replays => final_end,
                true => Some(i64::MAX),
                false => None,
            },
            rows: step.rows.into_iter().chain(step.categories).collect(),
            rescoring: step.rescoring,
            stats: documents,
            annotations: (step.annotations.into_iter()).chain(statuses).collect(),
        };
        if write.delete_interim.is_some() && !self.replays {
            self.has_interim = false;
        }
        let findings = Findings {
            write,
            memory,
            statuses: step.statuses,
        };
        self.written().await?;
        let recorder = self.recorder.clone();
        let record = async move { recorder.record(findings).await };
        self.writing = Some(tokio::spawn(record));
        Ok(())
    }

    /// Writes results at once.
    async fn keep(&mut self, write: ResultWrite) -> Result<()> {
        self.written().await?;
        let kept = self.recorder.keep(write).await;
        if kept.is_err() {
            self.engine = None;
        }
        kept
    }

    async fn interim(&mut self, start: Option<i64>, end: Option<i64>) -> Result<Applied> {
        let job_id = self.recorder.job_id.clone();
        let rows = self.compute(move |engine| {
            let begun = Instant::now();
            let mut results = engine.interim();
            results.retain(|result| {
                let time = result.bucket.timestamp;
                start.is_none_or(|start| time >= start) && end.is_none_or(|end| time < end)
            });
            rows(&job_id, &mut results, begun.elapsed())
        });
        let rows = rows.await?;
        let write = ResultWrite {
            delete_interim: Some(i64::MAX),
            rows,
            ..ResultWrite::default()
        };
        self.has_interim = true;
        self.keep(write).await?;
        let counts = self.engine()?.counts().clone();
        self.outcome(&counts)
    }

    async fn checkpoint(&mut self) -> Result<Saved> {
        // The journal is cut by it: nothing may be missing of what the engine found.
        self.written().await?;
        let job_id = self.recorder.job_id.clone();
        let saved =
            self.compute(move |engine| (categories_of(&job_id, engine, true), engine.save()));
        let (categories, state) = saved.await?;
        if !categories.is_empty() {
            let write = ResultWrite {
                rows: categories,
                ..ResultWrite::default()
            };
            self.keep(write).await?;
        }
        let Recorder { store, job_id, .. } = &self.recorder;
        store
            .save_checkpoint(job_id, self.applied, state.clone())
            .await?;
        self.journal_bytes = 0;
        Ok(Saved {
            state,
            live: self.live.read().clone(),
        })
    }

    fn engine(&mut self) -> Result<&mut Engine> {
        self.engine
            .as_deref_mut()
            .ok_or_else(|| not_open(&self.recorder.job_id))
    }

    /// Lends the engine to the pool. A panic there loses it: half done, it must not go on.
    async fn compute<T: Send + 'static>(
        &mut self,
        task: impl FnOnce(&mut Engine) -> T + Send + 'static,
    ) -> Result<T> {
        let job_id = &self.recorder.job_id;
        let mut engine = self.engine.take().ok_or_else(|| not_open(job_id))?;
        let outcome = self.pool.run(move || {
            let value = task(&mut engine);
            (engine, value)
        });
        match outcome.await {
            Ok((engine, value)) => {
                self.engine = Some(engine);
                Ok(value)
            }
            Err(panicked @ Panicked(_)) => {
                tracing::error!(%job_id, %panicked, "the job has failed");
                Err(JobError::internal(panicked.to_string()))
            }
        }
    }
}

/// What came of a task that writes.
async fn ended(
    writing: impl Future<Output = std::result::Result<Result<()>, JoinError>>,
) -> Result<()> {
    let panicked = |error: JoinError| Err(JobError::internal(error.to_string()));
    writing.await.unwrap_or_else(panicked)
}

/// The categories with new definitions; with `counts`, also those that only matched more messages.
fn categories_of(job_id: &str, engine: &mut Engine, counts: bool) -> Vec<ResultRow> {
    let definitions = engine.take_categories(counts);
    categories::rows(job_id, engine.analysis().category_partition(), definitions)
}

fn status_changes_of(engine: &mut Engine) -> Vec<StatusChange> {
    let statuses = engine.take_category_statuses();
    let field = engine.analysis().category_partition();
    let time = engine.counts().latest_record_timestamp.unwrap_or_default();
    let change = |(value, status): (Option<String>, CategorizationStatus)| StatusChange {
        status,
        partition: field.map(str::to_owned).zip(value),
        time,
    };
    statuses.into_iter().map(change).collect()
}

/// The annotations of results. Their ids follow from the data: a replay writes them again.
fn annotations(job_id: &str, results: &[BucketResults], now: i64) -> Vec<AnnotationRow> {
    let of_bucket = |result: &BucketResults| {
        let each = result.annotations.iter().enumerate();
        let rows = each.map(|(number, annotation)| {
            let Annotation {
                timestamp, event, ..
            } = *annotation;
            let document = AnnotationDocument {
                job_id,
                kind: "annotation",
                create_time: now,
                create_username: "_xpack",
                modified_time: now,
                modified_username: "_xpack",
                annotation,
            };
            AnnotationRow {
                job_id: job_id.to_owned(),
                annotation_id: format!("{event}_{timestamp}_{number}"),
                timestamp,
                doc: json(&document),
            }
        });
        rows.collect::<Vec<_>>()
    };
    results.iter().flat_map(of_bucket).collect()
}

/// An annotation as Elasticsearch stores it.
#[derive(Serialize)]
struct AnnotationDocument<'a> {
    job_id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    annotation: &'a Annotation,
    create_time: i64,
    create_username: &'static str,
    modified_time: i64,
    modified_username: &'static str,
}

/// The documents of results, each bucket's share of the time taken among them.
fn rows(job_id: &str, results: &mut [BucketResults], took: Duration) -> Vec<ResultRow> {
    let millis = (took.as_millis() as u64)
        .checked_div(results.len() as u64)
        .unwrap_or(0);
    let mut rows = Vec::new();
    for result in results {
        result.bucket.processing_time_ms = millis;
        for influencer in &mut result.bucket.bucket_influencers {
            influencer.job_id = job_id.to_owned();
        }
        let (timestamp, is_interim) = (result.bucket.timestamp, result.bucket.is_interim);
        let mut add = |kind, seq: usize, score, doc| {
            rows.push(ResultRow {
                kind,
                timestamp,
                seq: seq as i32,
                score,
                is_interim,
                doc,
            });
        };
        let bucket = Document {
            job_id,
            result_type: "bucket",
            result: &result.bucket,
        };
        add(
            ResultKind::Bucket,
            0,
            result.bucket.anomaly_score,
            json(&bucket),
        );
        for (seq, record) in result.records.iter().enumerate() {
            let document = Document {
                job_id,
                result_type: "record",
                result: record,
            };
            add(
                ResultKind::Record,
                seq,
                record.record_score,
                json(&document),
            );
        }
        for (seq, influencer) in result.influencers.iter().enumerate() {
            let document = Document {
                job_id,
                result_type: "influencer",
                result: influencer,
            };
            add(
                ResultKind::Influencer,
                seq,
                influencer.influencer_score,
                json(&document),
            );
        }
        for (seq, plot) in result.model_plots.iter().enumerate() {
            let document = Document {
                job_id,
                result_type: "model_plot",
                result: plot,
            };
            add(ResultKind::ModelPlot, seq, 0.0, json(&document));
        }
        for (seq, forest) in result.forests.iter().enumerate() {
            let document = Document {
                job_id,
                result_type: "forest",
                result: forest,
            };
            let score = 100.0 * forest.anomaly_grade;
            add(ResultKind::Forest, seq, score, json(&document));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidewatch_model::engine::Options;
    use tidewatch_store::{JobRow, Store};

    use super::*;
    use crate::clock::Clock;
    use crate::cluster::Cluster;
    use crate::settings::Settings;

    async fn actor(store: &Store) -> Actor {
        let row = JobRow {
            job_id: "j".to_owned(),
            config: "{}".to_owned(),
            state: "opened".to_owned(),
            reason: None,
            opened_order: Some(1),
        };
        store.insert_job(&row).await.expect("inserted");
        let analysis =
            serde_json::from_value(json!({"detectors": [{"function": "count"}]})).expect("valid");
        let cluster = Cluster::load(store, Settings::of_tests()).await;
        let cluster = cluster.expect("nothing is stored");
        Actor {
            recorder: Recorder {
                job_id: "j".into(),
                store: store.clone(),
                cluster: Arc::new(cluster),
                clock: Clock::default(),
            },
            pool: Pool::new(1).expect("threads"),
            engine: Some(Box::new(Engine::new(analysis, Options::default()))),
            applied: 0,
            journal_bytes: 0,
            checkpoint_bytes: u64::MAX,
            live: Arc::default(),
            writing: None,
            has_interim: false,
            replays: false,
        }
    }

    /// The way to a running actor, and what it tells when it has failed.
    fn begin(actor: Actor) -> (mpsc::Sender<Request>, oneshot::Receiver<String>) {
        let (requests, inbox) = mpsc::channel(4);
        let (failed, told) = oneshot::channel();
        tokio::spawn(actor.run(
            inbox,
            Box::new(|reason| failed.send(reason).expect("awaited")),
        ));
        (requests, told)
    }

    #[tokio::test]
    async fn a_panic_ends_the_job_and_tells() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path())
            .await
            .expect("the store opens");
        let mut actor = actor(&store).await;
        let outcome: Result<()> = actor.compute(|_| panic!("a wrong number")).await;
        assert!(outcome.expect_err("told").reason.contains("a wrong number"));

        let (requests, told) = begin(actor);
        let (reply, refused) = oneshot::channel();
        requests
            .send(Request::Checkpoint { reply })
            .await
            .expect("taken");
        assert_eq!(
            refused
                .await
                .expect("answered")
                .map(|_| ())
                .expect_err("refused")
                .status,
            409
        );
        assert!(told.await.expect("told").contains("ended unexpectedly"));
        store.close().await;
    }

    #[tokio::test]
    async fn what_cannot_be_written_ends_the_job_and_is_told_to_all_who_wait() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path())
            .await
            .expect("the store opens");
        let actor = actor(&store).await;
        store.close().await;
        let (requests, told) = begin(actor);
        let mut replies = Vec::new();
        for seq in [1, 2] {
            let (reply, receiver) = oneshot::channel();
            let command = Command::Flush(Flush::default());
            let apply = Request::Apply {
                seq,
                bytes: 0,
                command,
                reply,
            };
            requests.send(apply).await.expect("taken");
            replies.push(receiver);
        }
        // Nothing else comes: it finds out by itself.
        assert!(told.await.expect("told").contains("ended unexpectedly"));
        for reply in replies {
            // The second may have been in the queue still.
            assert!(!matches!(reply.await, Ok(Ok(_))));
        }
        assert!(requests.is_closed());
    }
}
