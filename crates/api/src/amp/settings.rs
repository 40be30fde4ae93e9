//! `[amp]` of the settings, and the workspaces that there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidewatch_datafeed::source::{Endpoint, RemoteWrite, Secret, SourceSettings};
use tidewatch_model::units::{Memory, TimeSpan};
use tokio::sync::Mutex;

/// What may be set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmpSettings {
    /// As ARNs name it [default: us-east-1]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Twelve digits, as ARNs have them [default: 000000000000]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Whose signatures are taken; where there are none, none is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Key>,
    /// Detectors that a workspace may have [default: 500]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_detectors: Option<usize>,
    /// Of each detector's job [default: 64mb]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_memory_limit: Option<String>,
    /// How much of the past a detector learns from at first [default: 14d]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<String>,
    /// Where what is found is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_write: Option<Endpoint>,
}

/// One who may sign requests.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    pub access_key_id: String,
    pub secret_access_key: Secret,
    /// Of a key that is lent for some time: requests must have it, and those of other keys none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Secret>,
    /// The only workspaces that it is for; all where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspaces: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("amp.{0}")]
pub struct InvalidAmp(String);

/// What the service needs beside jobs and datafeeds. Clones share it.
#[derive(Clone)]
pub struct Amp(Arc<Inner>);

struct Inner {
    region: String,
    account: String,
    keys: Vec<Key>,
    max_detectors: usize,
    memory: Memory,
    history: i64,
    /// The names of the sources by the workspaces that they are.
    workspaces: BTreeMap<String, String>,
    /// The source of all other workspaces.
    other: Option<String>,
    remote_write: Option<RemoteWrite>,
    /// Held while detectors come, go or change: one at a time.
    changing: Mutex<()>,
}

impl Amp {
    /// # Errors
    /// What is wrong in the settings.
    pub fn new(
        settings: &AmpSettings,
        sources: &BTreeMap<String, SourceSettings>,
    ) -> Result<Self, InvalidAmp> {
        let invalid = |told: String| Err(InvalidAmp(told));
        let region = settings.region.as_deref().unwrap_or("us-east-1");
        let account = settings.account.as_deref().unwrap_or("000000000000");
        let is_region = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if region.is_empty() || !region.bytes().all(is_region) {
            return invalid(format!("region: [{region}] is no region"));
        }
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return invalid(format!("account: [{account}] has not twelve digits"));
        }
        let memory = settings.model_memory_limit.as_deref().unwrap_or("64mb");
        let Some(memory) = Memory::parse(memory).ok().filter(|m| m.as_mebibytes() > 0) else {
            return invalid(format!("model_memory_limit: [{memory}] is no size"));
        };
        let history = settings.history.as_deref().unwrap_or("14d");
        let parsed = TimeSpan::parse(history).ok();
        let Some(parsed) = parsed.filter(|span| span.as_secs() > 0) else {
            return invalid(format!("history: [{history}] is no time"));
        };
        let remote_write = settings.remote_write.as_ref().map(RemoteWrite::new);
        let remote_write = remote_write
            .transpose()
            .map_err(|told| InvalidAmp(format!("remote_write.{told}")))?;
        let mut workspaces = BTreeMap::new();
        let mut others = Vec::new();
        for (name, source) in sources {
            let SourceSettings::Prometheus(endpoint) = source else {
                continue;
            };
            let Some(workspace) = &endpoint.workspace else {
                others.push(name.clone());
                continue;
            };
            if workspaces.insert(workspace.clone(), name.clone()).is_some() {
                let told = format!("workspace [{workspace}] is of several sources");
                return invalid(told);
            }
        }
        Ok(Self(Arc::new(Inner {
            region: region.to_owned(),
            account: account.to_owned(),
            keys: settings.keys.clone(),
            max_detectors: settings.max_detectors.unwrap_or(500),
            memory,
            history: parsed.as_secs().saturating_mul(1_000),
            workspaces,
            // Of several nobody could say which is meant.
            other: others.pop().filter(|_| others.is_empty()),
            remote_write,
            changing: Mutex::default(),
        })))
    }

    /// The name of the source that a workspace is.
    pub fn source(&self, workspace_id: &str) -> Option<&str> {
        let named = self.0.workspaces.get(workspace_id);
        named.or(self.0.other.as_ref()).map(String::as_str)
    }

    /// The workspaces that sources are said to be.
    pub fn configured(&self) -> impl Iterator<Item = &String> {
        self.0.workspaces.keys()
    }

    /// Whether there is a source for workspaces that no source is said to be.
    pub fn takes_others(&self) -> bool {
        self.0.other.is_some()
    }

    /// Of a detector.
    pub fn arn(&self, workspace_id: &str, detector_id: &str) -> String {
        self.arn_of(&format!("anomalydetector/{workspace_id}/{detector_id}"))
    }

    pub fn workspace_arn(&self, workspace_id: &str) -> String {
        self.arn_of(&format!("workspace/{workspace_id}"))
    }

    fn arn_of(&self, resource: &str) -> String {
        let Inner {
            region, account, ..
        } = &*self.0;
        format!("arn:aws:aps:{region}:{account}:{resource}")
    }

    pub fn keys(&self) -> &[Key] {
        &self.0.keys
    }

    pub fn max_detectors(&self) -> usize {
        self.0.max_detectors
    }

    pub fn memory(&self) -> Memory {
        self.0.memory
    }

    /// Milliseconds.
    pub fn history(&self) -> i64 {
        self.0.history
    }

    pub fn remote_write(&self) -> Option<&RemoteWrite> {
        self.0.remote_write.as_ref()
    }

    pub async fn changing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.changing.lock().await
    }
}
