//! The metrics that Google documents.

/// A set of metrics, by its resource's name, with the metrics that Google documents for it.
#[derive(Debug)]
pub struct MetricSet {
    pub name: &'static str,
    pub metrics: &'static [&'static str],
}

impl MetricSet {
    /// Whether it tells users of one kind from those of another: all but the errors, which are counted as reports.
    pub fn has_cohorts(&self) -> bool {
        self.name != ERRORS
    }
}

const ERRORS: &str = "errorCountMetricSet";

pub const METRIC_SETS: [MetricSet; 10] = [
    MetricSet {
        name: "crashRateMetricSet",
        metrics: &[
            "crashRate",
            "crashRate7dUserWeighted",
            "crashRate28dUserWeighted",
            "userPerceivedCrashRate",
            "userPerceivedCrashRate7dUserWeighted",
            "userPerceivedCrashRate28dUserWeighted",
            "distinctUsers",
        ],
    },
    MetricSet {
        name: "anrRateMetricSet",
        metrics: &[
            "anrRate",
            "anrRate7dUserWeighted",
            "anrRate28dUserWeighted",
            "userPerceivedAnrRate",
            "userPerceivedAnrRate7dUserWeighted",
            "userPerceivedAnrRate28dUserWeighted",
            "distinctUsers",
        ],
    },
    MetricSet {
        name: "excessiveWakeupRateMetricSet",
        metrics: &[
            "excessiveWakeupRate",
            "excessiveWakeupRate7dUserWeighted",
            "excessiveWakeupRate28dUserWeighted",
            "distinctUsers",
        ],
    },
    MetricSet {
        name: "stuckBackgroundWakelockRateMetricSet",
        metrics: &[
            "stuckBgWakelockRate",
            "stuckBgWakelockRate7dUserWeighted",
            "stuckBgWakelockRate28dUserWeighted",
            "distinctUsers",
        ],
    },
    MetricSet {
        name: "slowRenderingRateMetricSet",
        metrics: &[
            "slowRenderingRate20Fps",
            "slowRenderingRate20Fps7dUserWeighted",
            "slowRenderingRate20Fps28dUserWeighted",
            "slowRenderingRate30Fps",
            "slowRenderingRate30Fps7dUserWeighted",
            "slowRenderingRate30Fps28dUserWeighted",
            "distinctUsers",
        ],
    },
    MetricSet {
        name: "slowStartRateMetricSet",
        metrics: &[
            "slowStartRate",
            "slowStartRate7dUserWeighted",
            "slowStartRate28dUserWeighted",
            "distinctUsers",
        ],
    },
    MetricSet {
        name: "lmkRateMetricSet",
        metrics: &[
            "userPerceivedLmkRate",
            "userPerceivedLmkRate7dUserWeighted",
            "userPerceivedLmkRate28dUserWeighted",
            "distinctUsers",
        ],
    },
    MetricSet {
        name: ERRORS,
        metrics: &["errorReportCount", "distinctUsers"],
    },
    MetricSet {
        name: "anonRssAndSwapMemoryUsageMetricSet",
        metrics: &[
            "anonRssAndSwapMemoryUsageP50",
            "anonRssAndSwapMemoryUsageP75",
            "anonRssAndSwapMemoryUsageP90",
            "anonRssAndSwapMemoryUsageP95",
            "anonRssAndSwapMemoryUsageP99",
            "distinctUsers",
        ],
    },
    MetricSet {
        name: "bitmapMemoryUsageMetricSet",
        metrics: &[
            "bitmapMemoryUsageP50",
            "bitmapMemoryUsageP75",
            "bitmapMemoryUsageP90",
            "bitmapMemoryUsageP95",
            "bitmapMemoryUsageP99",
            "distinctUsers",
        ],
    },
];
