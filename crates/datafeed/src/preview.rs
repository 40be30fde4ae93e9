//! What a datafeed would give its job, without giving it.

use std::sync::Arc;

use serde_json::{Map, Value};
use tidewatch_jobs::config::{Job, NewJob};
use tidewatch_jobs::{JobError, Result};

use crate::config::{DatafeedConfig, NewDatafeed};
use crate::feeds::Feeds;
use crate::run::refused;
use crate::source::{Source, Window};

/// What is previewed is under these names where there are none.
const PREVIEW_ID: &str = "preview_id";
const PREVIEW_JOB_ID: &str = "preview_job_id";

/// What a preview is asked for: a datafeed that there is, or one that there could be, with its job or for one that there
/// is.
#[derive(Debug, Default)]
pub struct PreviewRequest {
    pub datafeed_id: Option<String>,
    pub datafeed: Option<NewDatafeed>,
    pub job: Option<NewJob<NewDatafeed>>,
    /// Epoch milliseconds; all times where there are none.
    pub start: Option<i64>,
    pub end: Option<i64>,
}

impl Feeds {
    /// The first records that a datafeed finds: at most one page of them.
    ///
    /// # Errors
    /// 400 where it isn't clear what is asked for, 404 without the datafeed, the job or the index.
    pub async fn preview(&self, request: PreviewRequest) -> Result<Vec<Map<String, Value>>> {
        let window = Window {
            start: request.start.unwrap_or(0),
            end: request.end.unwrap_or(i64::MAX),
        };
        let (datafeed, job) = self.previewed(request)?;
        let source = self.source(&datafeed, &job)?;
        source.check().await.map_err(refused)?;
        let size = datafeed.scroll_size.max(1) as usize;
        source.preview(window, size).await.map_err(refused)
    }

    /// A job that isn't, and what its datafeed would read: the source has been asked whether it can be.
    ///
    /// # Errors
    /// What is wrong with the job or its datafeed, and what the source refuses.
    pub async fn trial(&self, job: NewJob<NewDatafeed>) -> Result<(Job, Arc<dyn Source>)> {
        let request = PreviewRequest {
            job: Some(job),
            ..PreviewRequest::default()
        };
        let (datafeed, job) = self.previewed(request)?;
        let source = self.source(&datafeed, &job)?;
        source.check().await.map_err(refused)?;
        Ok((job, source))
    }

    fn previewed(&self, request: PreviewRequest) -> Result<(DatafeedConfig, Job)> {
        let refuse = |reason: &str| Err(JobError::illegal_argument(reason));
        let (mut datafeed, mut job) = (request.datafeed, request.job);
        if let Some(datafeed) = &mut datafeed {
            datafeed.datafeed_id = Some(PREVIEW_ID.to_owned());
            if datafeed.job_id.is_none() && job.is_none() {
                return refuse(
                    "[datafeed_config.job_id] must be set or a [job_config] must be provided",
                );
            }
            datafeed
                .job_id
                .get_or_insert_with(|| PREVIEW_JOB_ID.to_owned());
        }
        if let Some(job) = &mut job {
            job.job_id = Some(PREVIEW_JOB_ID.to_owned());
            match (&mut datafeed, job.datafeed_config.take()) {
                (None, None) => {
                    return refuse(
                        "[datafeed_config] must be present when a [job_config.datafeed_config] is not present",
                    );
                }
                (Some(_), Some(_)) => {
                    return refuse(
                        "[datafeed_config] must not be present when a [job_config.datafeed_config] is present",
                    );
                }
                (None, Some(own)) => {
                    datafeed = Some(NewDatafeed {
                        datafeed_id: Some(PREVIEW_JOB_ID.to_owned()),
                        job_id: Some(PREVIEW_JOB_ID.to_owned()),
                        ..own
                    });
                }
                (Some(_), None) => {}
            }
        }
        let datafeed = match (request.datafeed_id, datafeed) {
            (Some(_), Some(_)) => {
                return refuse(
                    "[datafeed_id] cannot be supplied when either [job_config] or [datafeed_config] is present",
                );
            }
            (Some(datafeed_id), None) => DatafeedConfig::clone(&*self.get(&datafeed_id)?),
            (None, Some(datafeed)) => datafeed.build()?,
            (None, None) => return refuse("[datafeed_config] must not be null."),
        };
        let jobs = &self.0.jobs;
        let job = match job {
            Some(job) => job.build(PREVIEW_JOB_ID, jobs.now(), None)?,
            None => jobs.get(&datafeed.job_id)?,
        };
        datafeed.fits(&job)?;
        Ok((datafeed, job))
    }
}
