//! The settings of the cluster: what clients set while it runs, over what it was started with. They act at once.

mod known;

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tidewatch_model::units::{Memory, TimeSpan};
use tidewatch_store::Store;
use tokio::sync::Mutex;

use crate::error::{JobError, Result};
use crate::manager::Jobs;
use crate::settings::Settings;

/// Where the store has what outlasts a restart.
const KEY: &str = "cluster";
/// What the memory of the server's settings is a percentage of its machine's.
const USUAL_PERCENT: u64 = 30;

/// Settings by name, as text.
pub type Texts = BTreeMap<String, String>;
/// Changes of settings: none takes one back, and a name may end in `*` then.
pub type Changes = BTreeMap<String, Option<String>>;

/// What the store keeps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    settings: Texts,
    upgrade_mode: bool,
}

#[derive(Debug, Default)]
struct Values {
    kept: Kept,
    transient: Texts,
}

/// The settings in force.
#[derive(Debug)]
pub struct Cluster {
    /// Of the start.
    base: Settings,
    values: RwLock<Values>,
    /// Held while they change.
    changing: Mutex<()>,
}

impl Cluster {
    /// Those of a start, and what the store keeps.
    pub(crate) async fn load(store: &Store, base: Settings) -> Result<Self> {
        let kept = match store.meta(KEY).await? {
            Some(text) => serde_json::from_str(&text).map_err(|error| {
                JobError::internal(format!("the cluster's settings can't be read: {error}"))
            })?,
            None => Kept::default(),
        };
        let transient = Texts::new();
        Ok(Self {
            base,
            values: RwLock::new(Values { kept, transient }),
            changing: Mutex::default(),
        })
    }

    /// What was set to outlast a restart.
    pub fn persistent(&self) -> Texts {
        self.values.read().kept.settings.clone()
    }

    /// What was set until the next start.
    pub fn transient(&self) -> Texts {
        self.values.read().transient.clone()
    }

    /// What is in force of all that nobody has set.
    pub fn defaults(&self) -> Texts {
        let values = self.values.read();
        let is_set = |name: &str| {
            values.transient.contains_key(name) || values.kept.settings.contains_key(name)
        };
        let unset = known::KNOWN.iter().filter(|known| !is_set(known.name));
        unset
            .map(|known| (known.name.to_owned(), self.default(known.name)))
            .collect()
    }

    fn default(&self, name: &str) -> String {
        match name {
            known::MAX_OPEN_JOBS => self.base.max_open_jobs.to_string(),
            known::MAX_MODEL_MEMORY_LIMIT => self
                .base
                .max_model_memory_limit
                .map_or("0b".to_owned(), |max| max.to_string()),
            name => known::known(name).map_or_else(String::new, |known| known.default.to_owned()),
        }
    }

    /// What is in force of one: what is transient goes first.
    fn text(&self, name: &str) -> String {
        let values = self.values.read();
        let set = values
            .transient
            .get(name)
            .or_else(|| values.kept.settings.get(name));
        set.cloned().unwrap_or_else(|| self.default(name))
    }

    fn number(&self, name: &str) -> u64 {
        // What isn't a number was refused.
        self.text(name).parse().unwrap_or_default()
    }

    /// Jobs that may be open at once.
    pub fn max_open_jobs(&self) -> usize {
        usize::try_from(self.number(known::MAX_OPEN_JOBS)).unwrap_or(usize::MAX)
    }

    /// The highest `model_memory_limit` that a job may ask for.
    pub fn max_model_memory_limit(&self) -> Option<Memory> {
        known::bytes(&self.text(known::MAX_MODEL_MEMORY_LIMIT)).filter(|max| max.bytes > 0)
    }

    /// Memory for all open jobs. The start's is what the usual percentage of the machine comes to.
    pub fn node_memory(&self) -> Memory {
        let usual = self.base.node_memory.bytes;
        match self.number(known::MEMORY_PERCENT) {
            USUAL_PERCENT => self.base.node_memory,
            percent => Memory {
                bytes: usual / USUAL_PERCENT * percent,
            },
        }
    }

    /// Whether every job may wait for room: there may be more nodes than the one that there is.
    pub fn is_lazy(&self) -> bool {
        self.number(known::MAX_LAZY_NODES) > 1
    }

    /// Whether jobs may be opened at all.
    pub fn may_assign(&self) -> bool {
        !self.text(known::ALLOCATION).eq_ignore_ascii_case("none")
    }

    /// Whether indices are deleted by their names alone, never by a pattern.
    pub fn destructive_requires_name(&self) -> bool {
        self.text(known::DESTRUCTIVE) == "true"
    }

    /// Times that results are tried to be written again.
    pub fn result_retries(&self) -> u32 {
        u32::try_from(self.number(known::RESULT_RETRIES)).unwrap_or(u32::MAX)
    }

    /// After how long without data an open job is closed; none: never.
    pub fn idle_close(&self) -> Option<Duration> {
        let span = TimeSpan::parse(&self.text(known::IDLE_CLOSE)).ok()?;
        (!span.is_negative()).then(|| span.as_duration())
    }

    /// How often datafeeds look for late documents.
    pub fn delayed_data_check(&self) -> Duration {
        let span = TimeSpan::parse(&self.text(known::DELAYED_DATA_CHECK));
        // What is no time was refused.
        span.map_or(Duration::from_secs(900), TimeSpan::as_duration)
    }

    /// Whether OpenSearch's detectors may be asked for anything.
    pub fn has_detectors(&self) -> bool {
        self.text(known::DETECTORS) == "true"
    }

    /// Detectors of OpenSearch's that there may be.
    pub fn max_detectors(&self) -> usize {
        usize::try_from(self.number(known::MAX_DETECTORS)).unwrap_or(usize::MAX)
    }

    /// Those of them that may have categories.
    pub fn max_category_detectors(&self) -> usize {
        usize::try_from(self.number(known::MAX_CATEGORY_DETECTORS)).unwrap_or(usize::MAX)
    }

    pub fn upgrade_mode(&self) -> bool {
        self.values.read().kept.upgrade_mode
    }
}

impl Jobs {
    pub fn cluster(&self) -> &Cluster {
        &self.0.cluster
    }

    /// Changes settings: all of them, or with one that is refused none. Gives what is set now of what was changed, the
    /// persistent and the transient.
    pub async fn change_settings(
        &self,
        persistent: Changes,
        transient: Changes,
    ) -> Result<(Texts, Texts)> {
        if persistent.is_empty() && transient.is_empty() {
            return Err(JobError::invalid_request(&["no settings to update"]));
        }
        let cluster = &self.0.cluster;
        let _changing = cluster.changing.lock().await;
        let (mut kept, mut now) = {
            let values = cluster.values.read();
            (values.kept.clone(), values.transient.clone())
        };
        change("transient", &mut now, &transient)?;
        change("persistent", &mut kept.settings, &persistent)?;
        self.keep(&kept).await?;
        let set = |changes: Changes| -> Texts {
            changes
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect()
        };
        *cluster.values.write() = Values {
            kept,
            transient: now,
        };
        // There may be more room than before.
        self.let_in_waiting();
        Ok((set(persistent), set(transient)))
    }

    async fn keep(&self, kept: &Kept) -> Result<()> {
        if *kept == self.0.cluster.values.read().kept {
            return Ok(());
        }
        Ok(self.store().set_meta(KEY, &crate::live::json(kept)).await?)
    }

    /// Upgrade mode: open jobs stand still while it is on, and refuse what would change them; when it ends, they go on
    /// where they were.
    pub async fn set_upgrade_mode(&self, enabled: bool) -> Result<()> {
        let cluster = &self.0.cluster;
        let _changing = cluster.changing.lock().await;
        let mut kept = cluster.values.read().kept.clone();
        if kept.upgrade_mode == enabled {
            return Ok(());
        }
        kept.upgrade_mode = enabled;
        if !enabled {
            // Everybody else is refused until all of them run again.
            self.go_on().await;
        }
        self.keep(&kept).await?;
        cluster.values.write().kept = kept;
        match enabled {
            true => self.stand_still().await,
            false => self.let_in_waiting(),
        }
        self.0.steps.send_replace(());
        Ok(())
    }
}

fn change(scope: &str, settings: &mut Texts, changes: &Changes) -> Result<()> {
    for (name, value) in changes {
        match (name.strip_suffix('*'), value) {
            (Some(prefix), None) => settings.retain(|name, _| !name.starts_with(prefix)),
            _ => known::check(scope, name, value.as_deref())?,
        }
        match value {
            Some(value) => drop(settings.insert(name.clone(), value.clone())),
            None => drop(settings.remove(name)),
        }
    }
    Ok(())
}
