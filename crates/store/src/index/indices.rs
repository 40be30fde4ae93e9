//! The catalogue of indices

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;
use serde_json::Value;
use sqlx::SqlitePool;
use tokio::sync::{Mutex, mpsc};

use super::aliases::{self, Alias, AliasAction};
use super::catalogue::{Catalogue, IndexRow};
use super::engine::{Identity, Index};
use super::error::{IndexError, Refusal, Result};
use super::gate::Gate;
use super::mapping::{Limits, Mapping};
use super::names::{check_alias, check_index, new_uuid};
use super::seats::Seats;
use super::settings::Settings;
use super::shard::{Shard, Shared};
use crate::StoreError;
use crate::writer::Command;

/// Bytes of documents on their way to tantivy, of all indices.
const UNDER_WAY: usize = 48 << 20;
/// Indices that are written to at a time; each has a heap of its own.
const WRITERS: usize = 4;

/// All indices. Clones share them.
#[derive(Clone)]
pub struct Indices(Arc<Inner>);

struct Inner {
    /// Of all indices; each has a directory in it, by its uuid.
    dir: PathBuf,
    catalogue: Catalogue,
    shared: Shared,
    indices: RwLock<BTreeMap<String, Arc<Index>>>,
    /// Whoever changes what indices or aliases there are is alone.
    changing: Mutex<()>,
}

/// The body of `PUT /{index}`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Creation {
    pub mappings: Value,
    pub settings: Value,
    pub aliases: Value,
}

impl Indices {
    /// Opens all indices of the catalogue. Directories that aren't in it are removed: their creation was not finished, or
    /// their deletion.
    pub(crate) async fn open(
        data_dir: &Path,
        queue: &mpsc::Sender<Command>,
        readers: &SqlitePool,
    ) -> crate::Result<Self> {
        let dir = data_dir.join("indices");
        let rows = Catalogue::all(readers).await?;
        let catalogue = Catalogue::new(queue);
        let shared = Shared {
            gate: Gate::new(UNDER_WAY),
            seats: Seats::new(WRITERS),
        };
        let inner = Arc::new(Inner {
            dir,
            catalogue,
            shared,
            indices: RwLock::default(),
            changing: Mutex::default(),
        });
        let opening = inner.clone();
        let opened = tokio::task::spawn_blocking(move || opening.open_all(rows)).await;
        opened.map_err(|_| StoreError::Closed)??;
        Ok(Self(inner))
    }

    /// Creates an index. Refused: a name that is none or is taken, a mapping or a setting that is none.
    pub async fn create(&self, name: &str, creation: Creation) -> Result<Arc<Index>> {
        check_index(name)?;
        let settings = Settings::parse(&creation.settings)?;
        let mapping = Mapping::parse(&creation.mappings, settings.limits)?;
        let aliases = aliases::parse(&creation.aliases)?;
        let (inner, name) = (self.0.clone(), name.to_owned());
        // A caller that goes away doesn't stop it half-way.
        spawned(async move {
            let _alone = inner.changing.lock().await;
            inner.check_free(&name)?;
            for alias in aliases.keys() {
                inner.check_alias_free(alias, &BTreeSet::new())?;
                if *alias == name {
                    return Err(taken_by_index(alias).into());
                }
            }
            let identity = Identity {
                uuid: new_uuid(),
                created: now(),
                settings,
                mapping,
                aliases,
                name,
            };
            inner.create(identity).await
        })
        .await
    }

    /// Deletes an index; readers of it go on. Refused where there is none.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.update_aliases(vec![AliasAction::RemoveIndex {
            index: name.to_owned(),
        }])
        .await
    }

    pub fn get(&self, name: &str) -> Option<Arc<Index>> {
        self.0.indices.read().get(name).cloned()
    }

    /// All of them by name.
    pub fn all(&self) -> Vec<Arc<Index>> {
        self.0.indices.read().values().cloned().collect()
    }

    /// The indices that have an alias, by name.
    pub fn with_alias(&self, alias: &str) -> Vec<Arc<Index>> {
        let indices = self.0.indices.read();
        indices
            .values()
            .filter(|index| index.aliases().contains_key(alias))
            .cloned()
            .collect()
    }

    /// Does all of the actions, or none.
    pub async fn update_aliases(&self, actions: Vec<AliasAction>) -> Result<()> {
        let inner = self.0.clone();
        spawned(async move {
            let _alone = inner.changing.lock().await;
            inner.update_aliases(actions).await
        })
        .await
    }

    /// Commits what there is and lets the files go. Later writes fail.
    pub(crate) async fn close(&self) {
        let indices = self.all();
        let closed = tokio::task::spawn_blocking(move || {
            let threads: Vec<_> = indices.iter().filter_map(|index| index.close()).collect();
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("the thread of an index ended badly");
                }
            }
        });
        if closed.await.is_err() {
            tracing::error!("the indices were not closed");
        }
    }
}

impl Inner {
    fn path(&self, uuid: &str) -> PathBuf {
        self.dir.join(uuid)
    }

    fn open_all(&self, rows: Vec<IndexRow>) -> crate::Result<()> {
        fs::create_dir_all(&self.dir).map_err(|e| StoreError::io(&self.dir, e))?;
        let known: HashSet<_> = rows.iter().map(|row| row.uuid.clone()).collect();
        let entries = fs::read_dir(&self.dir).map_err(|e| StoreError::io(&self.dir, e))?;
        for entry in entries.flatten() {
            if entry
                .file_name()
                .to_str()
                .is_none_or(|name| !known.contains(name))
            {
                remove(&entry.path());
            }
        }
        for row in rows {
            let identity = identity(&row);
            let dir = self.path(&row.uuid);
            let index = Index::open(identity, &dir, self.catalogue.clone(), self.shared.clone());
            self.indices.write().insert(row.name, index);
        }
        Ok(())
    }

    /// Refuses a name that an index or an alias has.
    fn check_free(&self, name: &str) -> Result<(), Refusal> {
        let indices = self.indices.read();
        if let Some(index) = indices.get(name) {
            return Err(Refusal::new(
                "resource_already_exists_exception",
                format!("index [{name}/{}] already exists", index.uuid()),
            )
            .about(name, index.uuid()));
        }
        if indices
            .values()
            .any(|index| index.aliases().contains_key(name))
        {
            return Err(Refusal::new(
                "invalid_index_name_exception",
                format!("Invalid index name [{name}], already exists as alias"),
            )
            .about(name, "_na_"));
        }
        Ok(())
    }

    /// Refuses an alias with the name of an index, but for those that go.
    fn check_alias_free(&self, alias: &str, going: &BTreeSet<String>) -> Result<(), Refusal> {
        if self.indices.read().contains_key(alias) && !going.contains(alias) {
            return Err(taken_by_index(alias));
        }
        Ok(())
    }

    async fn create(self: &Arc<Self>, identity: Identity) -> Result<Arc<Index>> {
        let name = identity.name.clone();
        let row = IndexRow {
            uuid: identity.uuid.clone(),
            name: name.clone(),
            created: identity.created,
            settings: Value::from(identity.settings.to_flat()).to_string(),
            mappings: Value::from(identity.mapping.to_json()).to_string(),
            aliases: aliases_text(&identity.aliases),
        };
        let inner = self.clone();
        let index = tokio::task::spawn_blocking(move || {
            let dir = inner.path(&identity.uuid);
            Shard::create(&dir)?;
            Ok::<_, IndexError>(Index::open(
                identity,
                &dir,
                inner.catalogue.clone(),
                inner.shared.clone(),
            ))
        })
        .await
        .map_err(|_| StoreError::Closed)??;
        self.catalogue.insert(row).await?;
        self.indices.write().insert(name, index.clone());
        Ok(index)
    }

    async fn update_aliases(&self, actions: Vec<AliasAction>) -> Result<()> {
        let going: BTreeSet<String> = actions
            .iter()
            .filter_map(|action| match action {
                AliasAction::RemoveIndex { index } => Some(index.clone()),
                _ => None,
            })
            .collect();
        let mut changed: BTreeMap<String, BTreeMap<String, Alias>> = BTreeMap::new();
        for action in actions {
            let (AliasAction::Add { index: name, .. }
            | AliasAction::Remove { index: name, .. }
            | AliasAction::RemoveIndex { index: name }) = &action;
            let index = self
                .indices
                .read()
                .get(name)
                .cloned()
                .ok_or_else(|| Refusal::no_such_index(name))?;
            let aliases = changed
                .entry(name.clone())
                .or_insert_with(|| (*index.aliases()).clone());
            match action {
                AliasAction::Add {
                    alias, settings, ..
                } => {
                    check_alias(&alias)?;
                    self.check_alias_free(&alias, &going)?;
                    aliases.insert(alias, settings);
                }
                AliasAction::Remove {
                    alias, must_exist, ..
                } => {
                    if aliases.remove(&alias).is_none() && must_exist {
                        return Err(Refusal::new(
                            "aliases_not_found_exception",
                            format!("aliases [{alias}] missing"),
                        )
                        .into());
                    }
                }
                AliasAction::RemoveIndex { .. } => {}
            }
        }
        changed.retain(|name, _| !going.contains(name));
        self.check_write_indices(&changed, &going)?;

        let uuid_of = |name: &String| self.indices.read().get(name).map(|i| i.uuid().to_owned());
        let texts = changed
            .iter()
            .filter_map(|(name, aliases)| Some((uuid_of(name)?, aliases_text(aliases))))
            .collect();
        let removed: Vec<String> = going.iter().filter_map(uuid_of).collect();
        self.catalogue.change(texts, removed.clone()).await?;
        let gone: Vec<_> = {
            let mut indices = self.indices.write();
            for (name, aliases) in changed {
                if let Some(index) = indices.get(&name) {
                    index.set_aliases(aliases);
                }
            }
            going
                .iter()
                .filter_map(|name| indices.remove(name))
                .collect()
        };
        let dirs: Vec<_> = removed.iter().map(|uuid| self.path(uuid)).collect();
        let removal = tokio::task::spawn_blocking(move || {
            for thread in gone.iter().filter_map(|index| index.close()) {
                if thread.join().is_err() {
                    tracing::error!("the thread of a deleted index ended badly");
                }
            }
            // Readers keep their files open; what is left over goes at the next start.
            for dir in dirs {
                remove(&dir);
            }
        });
        removal.await.map_err(|_| StoreError::Closed)?;
        Ok(())
    }

    /// An alias has one index to write to.
    fn check_write_indices(
        &self,
        changed: &BTreeMap<String, BTreeMap<String, Alias>>,
        going: &BTreeSet<String>,
    ) -> Result<(), Refusal> {
        let mut writing: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, index) in &*self.indices.read() {
            if going.contains(name) {
                continue;
            }
            let current = index.aliases();
            for (alias, settings) in changed.get(name).unwrap_or(&current) {
                if settings.is_write_index == Some(true) {
                    writing.entry(alias.clone()).or_default().push(name.clone());
                }
            }
        }
        match writing.iter().find(|(_, names)| names.len() > 1) {
            Some((alias, names)) => Err(Refusal::new(
                "illegal_state_exception",
                format!(
                    "alias [{alias}] has more than one write index [{}]",
                    names.join(",")
                ),
            )),
            None => Ok(()),
        }
    }
}

fn taken_by_index(alias: &str) -> Refusal {
    Refusal::new(
        "invalid_alias_name_exception",
        format!(
            "Invalid alias name [{alias}]: an index or data stream exists with the same name as the alias"
        ),
    )
}

/// What a row says. One that can't be read is said so, and its index can still be deleted.
fn identity(row: &IndexRow) -> Identity {
    fn read<T: Default>(row: &IndexRow, what: &str, value: std::result::Result<T, String>) -> T {
        value.unwrap_or_else(|error| {
            tracing::error!(index = row.name, what, error, "the catalogue can't be read");
            T::default()
        })
    }
    let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|e| e.to_string());
    let settings =
        json(&row.settings).and_then(|settings| Settings::parse(&settings).map_err(|e| e.reason));
    // What there is may be more than today's limits.
    let unlimited = Limits {
        fields: usize::MAX,
        depth: usize::MAX,
        nested: usize::MAX,
        ..settings
            .as_ref()
            .map_or_else(|_| Limits::default(), |s| s.limits)
    };
    let mapping = json(&row.mappings)
        .and_then(|mapping| Mapping::parse(&mapping, unlimited).map_err(|e| e.reason));
    let aliases = serde_json::from_str(&row.aliases).map_err(|e| e.to_string());
    Identity {
        name: row.name.clone(),
        uuid: row.uuid.clone(),
        created: row.created,
        settings: read(row, "settings", settings),
        mapping: read(row, "mappings", mapping),
        aliases: read(row, "aliases", aliases),
    }
}

fn aliases_text(aliases: &BTreeMap<String, Alias>) -> String {
    aliases
        .iter()
        .map(|(name, alias)| (name.clone(), Value::from(alias.to_json())))
        .collect::<Value>()
        .to_string()
}

fn remove(dir: &Path) {
    if let Err(error) = fs::remove_dir_all(dir) {
        tracing::warn!(dir = %dir.display(), %error, "the directory of an index that is gone can't be removed");
    }
}

fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Runs to its end, whatever becomes of the caller.
async fn spawned<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(StoreError::Closed.into()),
        },
    }
}
