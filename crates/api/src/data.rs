//! Uploads: a stream of records of any length, in constant memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use tidewatch_datafeed::{NdjsonReader, Projection};
use tidewatch_jobs::config::Job;
use tidewatch_jobs::stats::DataCountsDoc;
use tidewatch_jobs::{Applied, JobError, Jobs};
use tidewatch_model::counts::DataCounts;
use tidewatch_model::record::RecordBatch;
use tidewatch_model::time_format::TimeFormat;
use tokio::sync::oneshot;

use crate::error::{ApiError, Result};
use crate::jobs::{Text, accepted};
use crate::params::Params;
use crate::{ApiState, dates, media};

const DEPRECATED: &str = "Posting data directly to anomaly detection jobs is deprecated, in a future major version it \
                          will be compulsory to use a datafeed";
/// Batches of one upload that may wait for the engine.
const AHEAD: usize = 4;
/// Records of a slow upload are taken after so long, however few they are.
const LINGER: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    reset_start: Option<Text>,
    reset_end: Option<Text>,
}

pub async fn post(
    State(state): State<ApiState>,
    Path(job_id): Path<String>,
    uri: Uri,
    body: Body,
) -> Response {
    let mut response = posted(&state, &job_id, &uri, body).await.into_response();
    media::warn(&mut response, DEPRECATED);
    response
}

async fn posted(state: &ApiState, job_id: &str, uri: &Uri, body: Body) -> Result<Response> {
    let asked: Asked = Params::new(uri)?.read()?;
    let reset = dates::range(asked.reset_start, asked.reset_end)?;
    let job = state.jobs.open_job(job_id)?;
    if let (Some(start), Some(end)) = reset {
        state.jobs.forget(job_id, start, end).await?;
    }
    let mut upload = Upload::new(state.jobs.clone(), &job)?;
    let outcome = upload.take(body).await;
    // What has been accepted is answered for, also when the rest could not be read.
    let counts = upload.finish().await?;
    outcome?;
    let now = chrono::Utc::now().timestamp_millis();
    let document = DataCountsDoc::new(job_id, &counts, Some(now), now);
    Ok(accepted(&json!(document)))
}

/// One upload on its way.
struct Upload {
    jobs: Jobs,
    job_id: String,
    projection: Arc<Projection>,
    batch: RecordBatch,
    waiting: VecDeque<oneshot::Receiver<tidewatch_jobs::Result<Applied>>>,
    counts: DataCounts,
}

impl Upload {
    fn new(jobs: Jobs, job: &Job) -> Result<Self> {
        let description = &job.data_description;
        let format = TimeFormat::new(&description.time_format)
            .map_err(|error| ApiError::illegal_argument(error.to_string()))?;
        let projection = Arc::new(Projection::new(
            job.analysis_config.schema(),
            description.time_field.clone(),
            format,
        ));
        Ok(Self {
            counts: jobs.counts(&job.job_id)?,
            jobs,
            job_id: job.job_id.clone(),
            batch: projection.batch(),
            projection,
            waiting: VecDeque::new(),
        })
    }

    async fn take(&mut self, body: Body) -> Result<()> {
        let mut stream = body.into_data_stream();
        let mut reader = NdjsonReader::new(self.projection.clone());
        loop {
            let chunk = match tokio::time::timeout(LINGER, stream.next()).await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(_) => {
                    self.send().await?;
                    continue;
                }
            };
            // A record that was cut off with the connection is no record: the reader is left with it.
            let chunk = chunk.map_err(|error| {
                ApiError::parse(format!("the request body could not be read: {error}"))
            })?;
            let mut bytes = &chunk[..];
            while reader.push(&mut bytes, &mut self.batch) {
                self.send().await?;
            }
        }
        while reader.finish(&mut self.batch) {
            self.send().await?;
        }
        Ok(())
    }

    /// Hands the batch to the job. A job that is behind slows this down, and so the client.
    async fn send(&mut self) -> Result<()> {
        if self.batch.input.records == 0 && self.batch.input.bytes == 0 {
            return Ok(());
        }
        let batch = std::mem::replace(&mut self.batch, self.projection.batch());
        while self.waiting.len() >= AHEAD {
            self.settle().await?;
        }
        self.waiting
            .push_back(self.jobs.append(&self.job_id, batch).await?);
        Ok(())
    }

    async fn settle(&mut self) -> Result<()> {
        if let Some(receiver) = self.waiting.pop_front() {
            let gone = |_| {
                JobError::conflict(format!(
                    "Cannot perform requested action because job [{}] is not open",
                    self.job_id
                ))
            };
            self.counts += receiver.await.map_err(gone)??.counts;
        }
        Ok(())
    }

    /// Sends what is left and waits until all has been analysed: what this upload counted.
    async fn finish(mut self) -> Result<DataCounts> {
        self.send().await?;
        while !self.waiting.is_empty() {
            self.settle().await?;
        }
        Ok(self.counts)
    }
}
