//! Settings: from flags, else the environment, else a file, else defaults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, Serialize};
use tidewatch_api::amp::{Amp, AmpSettings};
use tidewatch_datafeed::source::{SourceSettings, Sources};
use tidewatch_jobs::Clock;
use tidewatch_model::units::Memory;

/// What may be set. Each flag has its twin in the environment and in the file (TOML).
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:9200]
    #[arg(long, env = "TIDEWATCH_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Directory that holds everything [default: tidewatch-data]
    #[arg(long, env = "TIDEWATCH_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Jobs that may be open at once [default: 512]
    #[arg(long, env = "TIDEWATCH_MAX_OPEN_JOBS", value_name = "N")]
    pub max_open_jobs: Option<usize>,
    /// Memory for the models of all open jobs [default: 30 % of the machine's]
    #[arg(long, env = "TIDEWATCH_NODE_MEMORY", value_name = "SIZE")]
    pub node_memory: Option<String>,
    /// The highest model_memory_limit that a job may have [default: none]
    #[arg(long, env = "TIDEWATCH_MAX_MODEL_MEMORY_LIMIT", value_name = "SIZE")]
    pub max_model_memory_limit: Option<String>,
    /// CPU threads that analyse [default: one a core]
    #[arg(long, env = "TIDEWATCH_THREADS", value_name = "N")]
    pub threads: Option<usize>,
    /// Size of a job's journal at which its state is saved and the journal cut [default: 64mb]
    #[arg(long, env = "TIDEWATCH_CHECKPOINT_JOURNAL_BYTES", value_name = "SIZE")]
    pub checkpoint_journal_bytes: Option<String>,
    /// Time between model snapshots of an open job that sets none [default: 3h]
    #[arg(
        long,
        env = "TIDEWATCH_BACKGROUND_PERSIST_INTERVAL",
        value_name = "TIME"
    )]
    pub background_persist_interval: Option<String>,
    /// When expired results and snapshots are deleted: a cron expression with seconds, local time
    /// [default: 0 30 0 * * *]
    #[arg(long, env = "TIDEWATCH_MAINTENANCE", value_name = "CRON")]
    pub maintenance: Option<String>,
    /// What is logged to standard error [default: info]
    #[arg(long, env = "TIDEWATCH_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// Whether late documents are counted in by going back before them, where a job doesn't say [default: false]
    #[arg(long, env = "TIDEWATCH_REPROCESS_LATE_DATA", value_name = "BOOL")]
    pub reprocess_late_data: Option<bool>,
    /// What datafeeds read from beside the server's own indices, by name. In the file alone: `[sources.<name>]`
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, SourceSettings>,
    /// Of the anomaly detectors of Amazon Managed Prometheus. In the file alone: `[amp]`
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amp: Option<AmpSettings>,
}

/// Settings with every gap filled.
pub struct InForce {
    pub listen: String,
    pub data_dir: PathBuf,
    pub log: String,
    pub jobs: tidewatch_jobs::Settings,
    pub reprocess_late_data: bool,
    pub sources: BTreeMap<String, SourceSettings>,
    pub amp: Amp,
}

impl Settings {
    /// These, over what a file says.
    pub fn over_file(self, file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = file else { return Ok(self) };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("can't read {}", path.display()))?;
        let file: Self = toml::from_str(&text)
            .with_context(|| format!("can't understand {}", path.display()))?;
        Ok(self.or(file))
    }

    fn or(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            data_dir: self.data_dir.or(other.data_dir),
            max_open_jobs: self.max_open_jobs.or(other.max_open_jobs),
            node_memory: self.node_memory.or(other.node_memory),
            max_model_memory_limit: self.max_model_memory_limit.or(other.max_model_memory_limit),
            threads: self.threads.or(other.threads),
            checkpoint_journal_bytes: self
                .checkpoint_journal_bytes
                .or(other.checkpoint_journal_bytes),
            background_persist_interval: self
                .background_persist_interval
                .or(other.background_persist_interval),
            maintenance: self.maintenance.or(other.maintenance),
            log: self.log.or(other.log),
            reprocess_late_data: self.reprocess_late_data.or(other.reprocess_late_data),
            sources: match self.sources.is_empty() {
                true => other.sources,
                false => self.sources,
            },
            amp: self.amp.or(other.amp),
        }
    }

    /// These, with the defaults where nothing is set.
    pub fn with_defaults(self) -> Self {
        let default = Self {
            listen: Some("127.0.0.1:9200".to_owned()),
            data_dir: Some("tidewatch-data".into()),
            max_open_jobs: Some(512),
            node_memory: Some(default_node_memory().to_string()),
            max_model_memory_limit: None,
            threads: Some(std::thread::available_parallelism().map_or(1, std::num::NonZero::get)),
            checkpoint_journal_bytes: Some("64mb".to_owned()),
            background_persist_interval: Some("3h".to_owned()),
            maintenance: Some("0 30 0 * * *".to_owned()),
            log: Some("info".to_owned()),
            reprocess_late_data: Some(false),
            sources: BTreeMap::new(),
            amp: None,
        };
        self.or(default)
    }

    pub fn in_force(self) -> anyhow::Result<InForce> {
        let all = self.with_defaults();
        let memory = |name: &str, text: Option<String>| {
            text.map(|text| {
                Memory::parse(&text).with_context(|| format!("{name}: [{text}] is no size"))
            })
            .transpose()
        };
        let set = "every setting but one has a default";
        let maintenance = all.maintenance.context(set)?;
        let interval = all.background_persist_interval.context(set)?;
        let jobs = tidewatch_jobs::Settings {
            max_open_jobs: all.max_open_jobs.context(set)?,
            node_memory: memory("node_memory", all.node_memory)?.context(set)?,
            max_model_memory_limit: memory("max_model_memory_limit", all.max_model_memory_limit)?,
            threads: all.threads.context(set)?,
            checkpoint_journal_bytes: memory(
                "checkpoint_journal_bytes",
                all.checkpoint_journal_bytes,
            )?
            .context(set)?
            .bytes,
            background_persist_interval: persist_interval(&interval)?,
            maintenance: cron::Schedule::from_str(&maintenance)
                .with_context(|| format!("maintenance: [{maintenance}] is no cron expression"))?,
            clock: Clock::default(),
        };
        // What is wrong is told before anything is begun.
        Sources::new(&all.sources, None)?;
        let amp = Amp::new(&all.amp.unwrap_or_default(), &all.sources)?;
        Ok(InForce {
            listen: all.listen.context(set)?,
            data_dir: all.data_dir.context(set)?,
            log: all.log.context(set)?,
            jobs,
            reprocess_late_data: all.reprocess_late_data.context(set)?,
            sources: all.sources,
            amp,
        })
    }
}

fn persist_interval(text: &str) -> anyhow::Result<Duration> {
    humantime::parse_duration(text)
        .with_context(|| format!("background_persist_interval: [{text}] is no time"))
}

/// Elasticsearch's share of the machine: 30 %.
fn default_node_memory() -> Memory {
    let total = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
    Memory::mebibytes(total.map_or(4096, |kib| kib / 1024 * 3 / 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why settings are.
    fn refused(settings: Settings) -> String {
        let refused = settings.in_force().err();
        refused.expect("refused").to_string()
    }

    #[test]
    fn flags_win_over_the_file() {
        let file: Settings = toml::from_str("max_open_jobs = 3\nthreads = 7").expect("TOML");
        let flags = Settings {
            threads: Some(1),
            ..Settings::default()
        };
        let all = flags.or(file).in_force().expect("valid");
        assert_eq!((all.jobs.max_open_jobs, all.jobs.threads), (3, 1));
        assert!(
            toml::from_str::<Settings>("max_open_job = 3").is_err(),
            "a wrong name is told"
        );
    }

    #[test]
    fn sources_have_names_and_their_secrets_are_not_printed() {
        let text = r#"
            threads = 7
            [sources.prod]
            kind = "elasticsearch"
            url = ["https://a:9200", "https://b:9200"]
            api_key = "id:sesame"
            [sources.metrics]
            kind = "prometheus"
            url = "http://localhost:9090"
            [sources.logs]
            kind = "files"
            path = "/"
        "#;
        let settings: Settings = toml::from_str(text).expect("TOML");
        let printed = toml::to_string(&settings).expect("TOML");
        assert!(printed.contains("[sources.prod]") && printed.contains("https://b:9200"));
        assert!(!printed.contains("sesame") && !format!("{settings:?}").contains("sesame"));
        let flags = Settings::default().or(settings).in_force().expect("valid");
        assert_eq!(flags.sources.len(), 3);
        let unknown =
            |kind: &str| format!("[sources.x]\nkind = \"{kind}\"\nurl = \"http://a\"\nkey = 1");
        let wrong: Settings =
            toml::from_str("[sources.x]\nkind = 'opensearch'\nurl = 'a:9200'").expect("TOML");
        let told = refused(wrong);
        assert!(told.starts_with("sources.x: url: [a:9200]"), "{told}");
        for text in [unknown("elasticsearch"), unknown("splunk")] {
            assert!(toml::from_str::<Settings>(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn wrong_values_are_told() {
        let maintenance = Settings {
            maintenance: Some("at night".into()),
            ..Settings::default()
        };
        assert!(refused(maintenance).contains("[at night] is no cron expression"));
        let memory = Settings {
            node_memory: Some("much".into()),
            ..Settings::default()
        };
        assert!(refused(memory).contains("[much] is no size"));
    }
}
