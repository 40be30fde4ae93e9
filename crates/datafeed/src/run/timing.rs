//! How long searches take: `timing_stats` of a datafeed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

const HOUR: i64 = 3_600_000;

/// What is stored; the wire has the averages beside it, see [`Shown`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimingStats {
    pub job_id: String,
    pub search_count: u64,
    /// Buckets that were closed by what the searches gave.
    pub bucket_count: u64,
    pub total_search_time_ms: f64,
    pub exponential_average_calculation_context: HourlyAverage,
}

/// Search time an hour of the data, the hours gone weighing less and less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HourlyAverage {
    /// Of the hour at hand.
    pub incremental_metric_value_ms: f64,
    /// Of the data, epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_exponential_average_ms: Option<f64>,
}

/// `timing_stats` of the wire. Averages a bucket are absent before the first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    pub job_id: String,
    pub search_count: u64,
    pub bucket_count: u64,
    pub total_search_time_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_search_time_per_bucket_ms: Option<f64>,
    pub exponential_average_search_time_per_hour_ms: f64,
    pub exponential_average_calculation_context: HourlyAverage,
}

impl TimingStats {
    pub fn new(job_id: &str) -> Self {
        Self {
            job_id: job_id.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn searched(&mut self, took: Duration) {
        // As Elasticsearch, which counts whole ones.
        let millis = took.as_millis() as f64;
        self.search_count += 1;
        self.total_search_time_ms += millis;
        self.exponential_average_calculation_context
            .incremental_metric_value_ms += millis;
    }

    /// What the records of a search came to: buckets, and the time of the latest of them.
    pub(crate) fn analysed(&mut self, buckets: u64, latest: Option<i64>) {
        self.bucket_count += buckets;
        if let Some(latest) = latest {
            self.exponential_average_calculation_context.reach(latest);
        }
    }

    pub fn shown(&self) -> Shown {
        let (buckets, total) = (self.bucket_count, self.total_search_time_ms);
        let context = self.exponential_average_calculation_context;
        Shown {
            job_id: self.job_id.clone(),
            search_count: self.search_count,
            bucket_count: buckets,
            total_search_time_ms: total,
            average_search_time_per_bucket_ms: (buckets > 0).then(|| total / buckets as f64),
            exponential_average_search_time_per_hour_ms: context.now(),
            exponential_average_calculation_context: context,
        }
    }
}

impl HourlyAverage {
    fn now(&self) -> f64 {
        let (Some(before), Some(latest)) =
            (self.previous_exponential_average_ms, self.latest_timestamp)
        else {
            return self.incremental_metric_value_ms;
        };
        let kept = (-(latest.rem_euclid(HOUR) as f64) / HOUR as f64).exp();
        kept * before + (1.0 - kept) * self.incremental_metric_value_ms
    }

    fn reach(&mut self, latest: i64) {
        if let Some(before) = self.latest_timestamp
            && latest.div_euclid(HOUR) > before.div_euclid(HOUR)
        {
            self.previous_exponential_average_ms = Some(self.now());
            self.incremental_metric_value_ms = 0.0;
        }
        self.latest_timestamp = self.latest_timestamp.max(Some(latest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_those_of_elasticsearch() {
        let mut stats = TimingStats::new("j");
        let mut hour = |at: i64, millis: u64| {
            stats.searched(Duration::from_millis(millis));
            stats.analysed(2, Some(at));
            stats.shown()
        };
        let first = hour(HOUR / 2, 100);
        assert_eq!(first.exponential_average_search_time_per_hour_ms, 100.0);
        assert_eq!(first.average_search_time_per_bucket_ms, Some(50.0));
        // The hour before becomes the average; of the new one nothing has been searched yet.
        let second = hour(HOUR, 300);
        assert_eq!(second.exponential_average_search_time_per_hour_ms, 400.0);
        let third = hour(2 * HOUR - 1, 80);
        let kept = (-(HOUR - 1) as f64 / HOUR as f64).exp();
        let expected = kept * 400.0 + (1.0 - kept) * 80.0;
        assert!((third.exponential_average_search_time_per_hour_ms - expected).abs() < 1e-9);
        assert_eq!(third.search_count, 3);
        assert_eq!(
            TimingStats::new("j")
                .shown()
                .average_search_time_per_bucket_ms,
            None
        );
    }
}
