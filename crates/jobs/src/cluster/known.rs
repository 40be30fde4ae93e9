//! The settings of a cluster that are known: what each takes, and what it is where nobody sets it.

use tidewatch_model::units::{Memory, TimeSpan};

use crate::error::{JobError, Result};

/// A setting that may be changed while the server runs.
pub struct Known {
    pub name: &'static str,
    pub kind: Kind,
    pub default: &'static str,
}

/// What a setting takes.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Whole {
        least: i64,
        most: i64,
    },
    Number {
        least: f64,
    },
    Bytes,
    /// At least as many seconds; -1 is fine where the least is below nought.
    Time {
        least: i64,
    },
    Flag,
    OneOf(&'static [&'static str]),
    Text,
}

use Kind::{Bytes, Flag, Number, OneOf, Text, Time, Whole};

pub const MAX_OPEN_JOBS: &str = "xpack.ml.max_open_jobs";
pub const MAX_MODEL_MEMORY_LIMIT: &str = "xpack.ml.max_model_memory_limit";
pub const MAX_LAZY_NODES: &str = "xpack.ml.max_lazy_ml_nodes";
pub const MEMORY_PERCENT: &str = "xpack.ml.max_machine_memory_percent";
pub const RESULT_RETRIES: &str = "xpack.ml.persist_results_max_retries";
pub const DELAYED_DATA_CHECK: &str = "xpack.ml.delayed_data_check_freq";
pub const IDLE_CLOSE: &str = "xpack.ml.idle_job_auto_close_timeout";
pub const DESTRUCTIVE: &str = "action.destructive_requires_name";
pub const DETECTORS: &str = "plugins.anomaly_detection.enabled";
pub const MAX_DETECTORS: &str = "plugins.anomaly_detection.max_anomaly_detectors";
pub const MAX_CATEGORY_DETECTORS: &str =
    "plugins.anomaly_detection.max_multi_entity_anomaly_detectors";
pub const ALLOCATION: &str = "cluster.persistent_tasks.allocation.enable";

const fn count(name: &'static str, least: i64, most: i64, default: &'static str) -> Known {
    Known {
        name,
        kind: Whole { least, most },
        default,
    }
}

const fn other(name: &'static str, kind: Kind, default: &'static str) -> Known {
    Known {
        name,
        kind,
        default,
    }
}

const INT: i64 = i32::MAX as i64;

/// By name. Those that mean nothing to one process with one store are kept and shown, as their clients expect.
pub const KNOWN: [Known; 27] = [
    other(DESTRUCTIVE, Flag, "true"),
    other(ALLOCATION, OneOf(&["all", "none"]), "all"),
    other(
        "cluster.persistent_tasks.allocation.recheck_interval",
        Time { least: 10 },
        "30s",
    ),
    other("cluster.routing.allocation.enable", Text, "all"),
    other("indices.recovery.max_bytes_per_sec", Bytes, "40mb"),
    other(DETECTORS, Flag, "true"),
    count(MAX_DETECTORS, 0, 10_000, "1000"),
    count(MAX_CATEGORY_DETECTORS, 0, 10_000, "10"),
    other(DELAYED_DATA_CHECK, Time { least: 1 }, "15m"),
    other("xpack.ml.enable_config_migration", Flag, "true"),
    other(IDLE_CLOSE, Time { least: -1 }, "48h"),
    other("xpack.ml.job_open_retry_timeout", Time { least: 0 }, "60m"),
    count("xpack.ml.max_anomaly_records", 1, INT, "500"),
    count("xpack.ml.max_inference_processors", 1, INT, "50"),
    count(MAX_LAZY_NODES, 0, INT, "0"),
    count(MEMORY_PERCENT, 5, 200, "30"),
    other("xpack.ml.max_ml_node_size", Bytes, "0b"),
    other(MAX_MODEL_MEMORY_LIMIT, Bytes, "0b"),
    count(MAX_OPEN_JOBS, 1, 512, "512"),
    other(
        "xpack.ml.nightly_maintenance_requests_per_second",
        Number { least: -1.0 },
        "-1.0",
    ),
    other(
        "xpack.ml.nightly_maintenance_rollover_jobs_indices",
        Flag,
        "true",
    ),
    count("xpack.ml.node_concurrent_job_allocations", 0, INT, "2"),
    count(RESULT_RETRIES, 0, 50, "20"),
    other("xpack.ml.process_connect_timeout", Time { least: 5 }, "10s"),
    other("xpack.ml.results_index_rollover_max_size", Bytes, "50gb"),
    other(
        "xpack.ml.trained_models.adaptive_allocations.scale_to_zero_time",
        Time { least: 60 },
        "24h",
    ),
    other("xpack.ml.use_auto_machine_memory_percent", Flag, "false"),
];

/// Settings that only a start sets, so that they are told apart from those that aren't there.
const FIXED: [&str; 6] = [
    "cluster.name",
    "node.name",
    "xpack.ml.autodetect_process",
    "xpack.ml.enabled",
    "xpack.ml.inference_model.cache_size",
    "xpack.ml.min_disk_space_off_heap",
];

const LEVELS: [&str; 8] = [
    "off", "fatal", "error", "warn", "info", "debug", "trace", "all",
];

pub fn known(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

/// Whether it sets how much is logged.
pub fn is_logger(name: &str) -> bool {
    name.strip_prefix("logger.")
        .is_some_and(|of| !of.is_empty())
}

/// Checks a new value; none takes the setting back. `scope` is `transient` or `persistent`.
///
/// # Errors
/// An illegal argument, in Elasticsearch's words.
pub fn check(scope: &str, name: &str, value: Option<&str>) -> Result<()> {
    let no = |what: String| Err(JobError::illegal_argument(what));
    if is_logger(name) {
        return match value {
            Some(level) if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) => no(format!(
                "Unknown level constant [{}].",
                level.to_ascii_uppercase()
            )),
            _ => Ok(()),
        };
    }
    let Some(known) = known(name) else {
        return match FIXED.contains(&name) {
            true => no(format!(
                "{scope} setting [{name}], not dynamically updateable"
            )),
            false => no(format!("{scope} setting [{name}], not recognized")),
        };
    };
    value.map_or(Ok(()), |value| known.kind.check(name, value))
}

impl Kind {
    fn check(self, name: &str, value: &str) -> Result<()> {
        let refused = |what: String| Err(JobError::illegal_argument(what));
        let unreadable = || {
            refused(format!(
                "Failed to parse value [{value}] for setting [{name}]"
            ))
        };
        match self {
            Whole { least, most } => match value.parse::<i32>().map(i64::from) {
                Err(_) => unreadable(),
                Ok(n) if n < least => refused(format!(
                    "Failed to parse value [{value}] for setting [{name}] must be >= {least}"
                )),
                Ok(n) if n > most => refused(format!(
                    "Failed to parse value [{value}] for setting [{name}] must be <= {most}"
                )),
                Ok(_) => Ok(()),
            },
            Number { least } => match value.parse::<f64>() {
                Ok(n) if n < least => refused(format!(
                    "Failed to parse value [{value}] for setting [{name}] must be >= {least:.1}"
                )),
                Ok(n) if n.is_finite() => Ok(()),
                _ => unreadable(),
            },
            Bytes => match bytes(value) {
                Some(_) => Ok(()),
                None => refused(format!(
                    "failed to parse setting [{name}] with value [{value}] as a size in bytes: unit is missing or \
                     unrecognized"
                )),
            },
            Time { least } => match TimeSpan::parse(value) {
                Err(error) => refused(format!(
                    "failed to parse setting [{name}] with value [{value}] as a time value: {error}"
                )),
                Ok(span) if span.is_negative() && least >= 0 || span.as_secs() < least => {
                    refused(format!(
                        "failed to parse value [{value}] for setting [{name}], must be >= [{least}s]"
                    ))
                }
                Ok(_) => Ok(()),
            },
            Flag if matches!(value, "true" | "false") => Ok(()),
            Flag => refused(format!(
                "Failed to parse value [{value}] as only [true] or [false] are allowed."
            )),
            OneOf(known) if known.contains(&value.to_ascii_lowercase().as_str()) => Ok(()),
            OneOf(_) => refused(format!("Illegal value [{value}] for [{name}]")),
            Text => Ok(()),
        }
    }
}

/// A size; without a unit only nought and -1 are ones. -1 is none.
pub fn bytes(text: &str) -> Option<Memory> {
    match text.trim() {
        "0" | "-1" => Some(Memory { bytes: 0 }),
        text if text.ends_with(|last: char| last.is_ascii_alphabetic()) => Memory::parse(text).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_refused_in_elasticsearchs_words() {
        let refused = |name, value| {
            check("transient", name, Some(value))
                .expect_err(value)
                .reason
        };
        assert_eq!(
            refused("xpack.ml.nonsense", "1"),
            "transient setting [xpack.ml.nonsense], not recognized"
        );
        assert_eq!(
            refused("xpack.ml.enabled", "false"),
            "transient setting [xpack.ml.enabled], not dynamically updateable"
        );
        assert_eq!(
            refused(MAX_OPEN_JOBS, "many"),
            "Failed to parse value [many] for setting [xpack.ml.max_open_jobs]"
        );
        assert_eq!(
            refused(MAX_OPEN_JOBS, "0"),
            "Failed to parse value [0] for setting [xpack.ml.max_open_jobs] must be >= 1"
        );
        assert_eq!(
            refused(MAX_OPEN_JOBS, "513"),
            "Failed to parse value [513] for setting [xpack.ml.max_open_jobs] must be <= 512"
        );
        assert_eq!(
            refused(MAX_MODEL_MEMORY_LIMIT, "12"),
            "failed to parse setting [xpack.ml.max_model_memory_limit] with value [12] as a size in bytes: unit is \
             missing or unrecognized"
        );
        assert_eq!(
            refused("xpack.ml.process_connect_timeout", "1s"),
            "failed to parse value [1s] for setting [xpack.ml.process_connect_timeout], must be >= [5s]"
        );
        assert!(
            refused(IDLE_CLOSE, "8w").contains("as a time value: unit is missing or unrecognized")
        );
        assert_eq!(
            refused(ALLOCATION, "some"),
            "Illegal value [some] for [cluster.persistent_tasks.allocation.enable]"
        );
        assert_eq!(
            refused("logger.x", "loud"),
            "Unknown level constant [LOUD]."
        );
        for (name, value) in [
            (IDLE_CLOSE, "-1"),
            (ALLOCATION, "NONE"),
            (MAX_MODEL_MEMORY_LIMIT, "9gb"),
            ("logger.org.elasticsearch.xpack.ml", "TRACE"),
            ("xpack.ml.nightly_maintenance_requests_per_second", "-1"),
        ] {
            check("persistent", name, Some(value)).expect(name);
            check("persistent", name, None).expect(name);
        }
    }

    #[test]
    fn every_default_is_a_value_of_its_setting() {
        for known in &KNOWN {
            known
                .kind
                .check(known.name, known.default)
                .expect(known.name);
        }
        assert!(KNOWN.is_sorted_by_key(|known| known.name));
    }
}
