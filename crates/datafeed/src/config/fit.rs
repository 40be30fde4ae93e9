//! What a datafeed and its job must agree on.

use tidewatch_jobs::config::Job;
use tidewatch_model::config::ConfigError;
use tidewatch_model::units::TimeSpan;

use super::DatafeedConfig;

/// Buckets that a check for late documents may look at.
const MOST_BUCKETS: i128 = 10_000;

impl DatafeedConfig {
    /// Refuses a datafeed that its job can't take records from: asked when either of them is made, changed or started.
    ///
    /// # Errors
    /// 400 in Elasticsearch's words.
    pub fn fits(&self, job: &Job) -> Result<(), ConfigError> {
        let analysis = &job.analysis_config;
        let refuse = |reason: String| Err(ConfigError::bad_request(reason));
        if analysis
            .latency
            .is_some_and(|latency| latency.as_secs() > 0)
        {
            return refuse("A job configured with datafeed cannot support latency".to_owned());
        }
        let bucket_span = analysis.bucket_span;
        if let Some(histogram) = self.histogram() {
            if analysis
                .summary_count_field_name
                .as_deref()
                .unwrap_or_default()
                .is_empty()
            {
                return refuse(
                    "A job configured with a datafeed with aggregations must set summary_count_field_name; use \
                     doc_count or suitable alternative"
                        .to_owned(),
                );
            }
            let interval = TimeSpan::millis(histogram.interval);
            let span = TimeSpan::millis(bucket_span.as_secs().saturating_mul(1_000));
            if millis(interval) > millis(span) {
                return refuse(format!(
                    "Aggregation interval [{interval}] must be less than or equal to the bucket_span [{span}]"
                ));
            }
            if millis(span) % millis(interval).max(1) != 0 {
                return refuse(format!(
                    "Aggregation interval [{interval}] must be a divisor of the bucket_span [{span}]"
                ));
            }
            if let Some(frequency) = self.frequency
                && millis(frequency) % millis(interval).max(1) != 0
            {
                return refuse(format!(
                    "Datafeed frequency [{}] must be a multiple of the aggregation interval [{interval}]",
                    frequency.human()
                ));
            }
        }
        let check = &self.delayed_data_check_config;
        if let Some(window) = check.check_window.filter(|_| check.enabled) {
            if millis(window) < millis(bucket_span) {
                return refuse(format!(
                    "delayed_data_check_config: check_window [{}] must be greater than the bucket_span [{}]",
                    window.human(),
                    bucket_span.human()
                ));
            }
            if millis(window) > millis(bucket_span) * MOST_BUCKETS {
                return refuse(format!(
                    "delayed_data_check_config: check_window [{}] must be less than 10,000x the bucket_span [{}]",
                    window.human(),
                    bucket_span.human()
                ));
            }
        }
        let time_field = &job.data_description.time_field;
        match self.runtime_mappings.contains_key(time_field) {
            true => refuse(format!(
                "data_description.time_field [{time_field}] cannot be a runtime field"
            )),
            false => Ok(()),
        }
    }
}

fn millis(span: TimeSpan) -> i128 {
    span.as_duration().as_millis() as i128
}
