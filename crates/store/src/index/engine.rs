//! One index

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::aliases::Alias;
use super::applier::Job;
use super::catalogue::{Catalogue, Column};
use super::document::{Parsed, walk};
use super::error::{IndexError, Result};
use super::mapping::Mapping;
use super::names::MadeUpIds;
use super::reader::Reader;
use super::settings::Settings;
use super::shard::{Shard, Shared};
use super::write::{Outcome, Stored, Write};
use super::{Refusal, writing};
use crate::StoreError;

/// One index.
pub struct Index {
    name: String,
    uuid: String,
    created: i64,
    settings: RwLock<Arc<Settings>>,
    aliases: RwLock<Arc<BTreeMap<String, Alias>>>,
    mapping: RwLock<Arc<Mapping>>,
    /// Whoever grows the mapping, or changes the settings, is alone.
    changing: Mutex<()>,
    catalogue: Catalogue,
    /// Its files, or why they can't be used.
    shard: RwLock<Result<Arc<Shard>>>,
    repair: Repair,
    /// For documents that have none.
    pub(super) made_up_ids: MadeUpIds,
}

/// How soon files that could not be used are opened again. Tests don't wait.
const PATIENCE: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 5_000 });

/// What files are opened again with, once a disk was full or has failed.
struct Repair {
    dir: PathBuf,
    shared: Shared,
    index: Weak<Index>,
    state: Mutex<RepairState>,
}

struct RepairState {
    /// When the files were opened last.
    begun: Instant,
    /// What opened them last, or is opening them. It may have panicked.
    going_on: Option<JoinHandle<()>>,
    /// The index is closed: its files stay so.
    is_over: bool,
}

/// What the catalogue says of an index.
pub(super) struct Identity {
    pub name: String,
    pub uuid: String,
    pub created: i64,
    pub settings: Settings,
    pub mapping: Mapping,
    pub aliases: BTreeMap<String, Alias>,
}

/// How much there is in an index, as of its last refresh.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    pub documents: u64,
    /// Replaced and deleted documents that still take up space.
    pub deleted: u64,
    /// On the disk.
    pub bytes: u64,
    pub segments: u64,
}

/// The primary term of every write: there is one copy of an index, and it never moves.
pub(super) const PRIMARY_TERM: u64 = 1;

impl Index {
    /// Opens its files. What is wrong with them is said by whoever wants them.
    pub(super) fn open(
        identity: Identity,
        dir: &Path,
        catalogue: Catalogue,
        shared: Shared,
    ) -> Arc<Self> {
        let mapping = Arc::new(identity.mapping);
        let open = || {
            if !Shard::exists(dir) {
                tracing::warn!(
                    index = identity.name,
                    "the files of the index are gone: it begins anew"
                );
                Shard::create(dir)?;
            }
            Shard::open(&identity.name, dir, &mapping, shared.clone())
        };
        let shard = open();
        match &shard {
            Ok(shard) => *shard.refresh_interval.lock() = identity.settings.refresh_interval,
            Err(error) => {
                tracing::error!(index = identity.name, %error, "the index can't be opened");
            }
        }
        Arc::new_cyclic(|index| Self {
            name: identity.name,
            uuid: identity.uuid,
            created: identity.created,
            settings: RwLock::new(Arc::new(identity.settings)),
            aliases: RwLock::new(Arc::new(identity.aliases)),
            mapping: RwLock::new(mapping),
            changing: Mutex::new(()),
            catalogue,
            shard: RwLock::new(shard),
            repair: Repair {
                dir: dir.to_owned(),
                shared,
                index: index.clone(),
                state: Mutex::new(RepairState {
                    begun: Instant::now(),
                    going_on: None,
                    is_over: false,
                }),
            },
            made_up_ids: MadeUpIds::new(),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// When it was created: epoch milliseconds.
    pub fn created(&self) -> i64 {
        self.created
    }

    /// The settings that were given, and those that are always there, by whole name.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.read().clone()
    }

    /// The settings as Elasticsearch prints them, by whole name: also what isn't given by anyone.
    pub fn flat_settings(&self) -> Map<String, Value> {
        let mut flat = self.settings().to_flat();
        let mut put = |name: &str, value: String| flat.insert(name.to_owned(), value.into());
        put("index.creation_date", self.created.to_string());
        put("index.provided_name", self.name.clone());
        put("index.uuid", self.uuid.clone());
        flat.sort_keys();
        flat
    }

    /// Its other names, ascending.
    pub fn aliases(&self) -> Arc<BTreeMap<String, Alias>> {
        self.aliases.read().clone()
    }

    pub(super) fn set_aliases(&self, aliases: BTreeMap<String, Alias>) {
        *self.aliases.write() = Arc::new(aliases);
    }

    /// Whether wildcards leave it out unless they ask for hidden ones.
    pub fn is_hidden(&self) -> bool {
        self.settings.read().hidden
    }

    pub fn mapping(&self) -> Arc<Mapping> {
        self.mapping.read().clone()
    }

    /// Adds to the mapping: `{"properties": {..}, "dynamic": .., ..}`. Durable when it returns.
    pub async fn put_mapping(self: &Arc<Self>, addition: Value) -> Result<()> {
        let index = self.clone();
        blocking(move |handle| {
            let _alone = index.changing.lock();
            let limits = index.settings().limits;
            let mapping = index.mapping().merge(&addition, limits)?;
            index.keep_mapping(mapping, handle)
        })
        .await
    }

    /// Changes settings that may be changed, in any of Elasticsearch's forms. Durable when it returns.
    pub async fn put_settings(self: &Arc<Self>, changes: Value) -> Result<()> {
        let index = self.clone();
        blocking(move |handle| {
            let _alone = index.changing.lock();
            let settings = index.settings().changed(&changes)?;
            let flat = settings.to_flat();
            handle.block_on(index.catalogue.set(&index.uuid, Column::Settings, &flat))?;
            let shard = index.shard()?;
            *shard.refresh_interval.lock() = settings.refresh_interval;
            *index.settings.write() = Arc::new(settings);
            let mut order = shard.order.lock();
            // A thread that waits for its next refresh learns of the new interval.
            shard.send(&mut order, Job::Wake)
        })
        .await
    }

    fn keep_mapping(&self, mapping: Mapping, handle: &Handle) -> Result<()> {
        if mapping != *self.mapping() {
            let json = mapping.to_json();
            handle.block_on(self.catalogue.set(&self.uuid, Column::Mappings, &json))?;
            *self.mapping.write() = Arc::new(mapping);
        }
        Ok(())
    }

    /// Reads a document that the mapping must grow for. What it grows by is durable when it returns.
    pub(super) fn grow(
        &self,
        source: &str,
        id: &str,
        handle: &Handle,
    ) -> Result<(Arc<Mapping>, Parsed)> {
        let _alone = self.changing.lock();
        let limits = self.settings().limits;
        let mut mapping = self.mapping();
        loop {
            let parsed = walk(source, id, &mapping)?;
            if parsed.growth.is_empty() {
                // The document is right: only now does its growth count.
                if !Arc::ptr_eq(&mapping, &self.mapping()) {
                    let json = mapping.to_json();
                    handle.block_on(self.catalogue.set(&self.uuid, Column::Mappings, &json))?;
                    *self.mapping.write() = mapping.clone();
                }
                return Ok((mapping, parsed));
            }
            let grown = mapping.grown(parsed.growth, limits)?;
            if grown == *mapping {
                // What nothing comes of is left in the source.
                let mut parsed = walk(source, id, &mapping)?;
                parsed.growth = Default::default();
                return Ok((mapping, parsed));
            }
            mapping = Arc::new(grown);
        }
    }

    /// Its files. Where they have failed they are opened again by and by, and the failure is told until they are.
    pub(super) fn shard(&self) -> Result<Arc<Shard>> {
        let shard = self.shard.read().clone();
        let has_failed = match &shard {
            Ok(shard) => shard.has_failed(),
            Err(_) => true,
        };
        if has_failed {
            self.open_again();
        }
        shard
    }

    /// Opens the files again on a thread of its own, if it isn't too soon.
    fn open_again(&self) {
        let mut state = self.repair.state.lock();
        let is_going_on = state.going_on.as_ref().is_some_and(|t| !t.is_finished());
        if is_going_on || state.is_over || state.begun.elapsed() < PATIENCE {
            return;
        }
        let index = self.repair.index.clone();
        let again = move || {
            if let Some(index) = index.upgrade() {
                index.replace_shard();
            }
        };
        let thread = std::thread::Builder::new().name("index".to_owned());
        match thread.spawn(again) {
            Ok(thread) => state.going_on = Some(thread),
            Err(error) => {
                tracing::error!(index = self.name, %error, "the index can't be opened again");
            }
        }
        state.begun = Instant::now();
    }

    fn replace_shard(&self) {
        let Repair { dir, shared, .. } = &self.repair;
        let opened = {
            let failed = self.shard.read().clone();
            // Nobody appends to a translog that is being read, and its thread lets the files go.
            let mut order = failed.as_ref().ok().map(|shard| shard.order.lock());
            if let Some(order) = &mut order {
                order.leave();
            }
            Shard::open(&self.name, dir, &self.mapping(), shared.clone())
        };
        let mut state = self.repair.state.lock();
        state.begun = Instant::now();
        match opened {
            // It has no thread yet.
            Ok(_) if state.is_over => {}
            Ok(shard) => {
                *shard.refresh_interval.lock() = self.settings().refresh_interval;
                *self.shard.write() = Ok(shard);
                tracing::info!(index = self.name, "the index is open again");
            }
            Err(error) => {
                tracing::warn!(index = self.name, %error, "the index can't be opened again yet");
            }
        }
    }

    /// Writes documents, in their order, and answers each. Durable when it returns; found by searches after a refresh.
    ///
    /// # Errors
    /// Only where nothing could be written. What is wrong with one document is in its outcome.
    pub async fn write(self: &Arc<Self>, writes: Vec<Write>) -> Result<Vec<Outcome>> {
        let index = self.clone();
        let written = blocking(move |handle| {
            let shard = index.shard()?;
            let (outcomes, appended) = writing::write(&index, &shard, writes, handle)?;
            Ok((shard, outcomes, appended))
        });
        let (shard, outcomes, appended) = written.await?;
        shard.sync(appended).await?;
        Ok(outcomes)
    }

    /// The document with an id as it is now, refreshed or not.
    pub async fn get(self: &Arc<Self>, id: &str) -> Result<Option<Stored>> {
        let (index, id) = (self.clone(), id.to_owned());
        blocking(move |_| writing::stored(&*index.shard()?, &id)).await
    }

    /// Makes what was written until now findable.
    pub async fn refresh(self: &Arc<Self>) -> Result<()> {
        let shard = self.shard()?;
        shard.check()?;
        let target = {
            let mut order = shard.order.lock();
            let target = order.next_seq_no;
            if *shard.seen.borrow() < target {
                shard.wanted.fetch_max(target, Ordering::AcqRel);
                shard.send(&mut order, Job::Wake)?;
            }
            target
        };
        wait_until_seen(&shard, target).await
    }

    /// Returns at the next refresh by the clock, or makes one where there is none: `refresh=wait_for`.
    pub async fn refreshed(self: &Arc<Self>) -> Result<()> {
        let shard = self.shard()?;
        if shard.refresh_interval.lock().is_none() {
            return self.refresh().await;
        }
        let target = shard.order.lock().next_seq_no;
        wait_until_seen(&shard, target).await
    }

    /// What was refreshed, as it is at this moment.
    ///
    /// # Errors
    /// Where the index has failed: what was acknowledged since can't be seen, and is not to be passed over.
    pub fn reader(self: &Arc<Self>) -> Result<Reader> {
        let shard = self.shard()?;
        shard.check()?;
        Ok(Reader {
            index: self.clone(),
            mapping: self.mapping(),
            searcher: shard.visible(),
        })
    }

    /// How much there is. The bytes are asked of the file system.
    pub fn stats(&self) -> Result<Stats> {
        let shard = self.shard()?;
        let searcher = shard.visible();
        let segments = searcher.segment_readers();
        Ok(Stats {
            documents: searcher.num_docs(),
            deleted: segments
                .iter()
                .map(|s| u64::from(s.num_deleted_docs()))
                .sum(),
            bytes: size(shard.dir()),
            segments: segments.len() as u64,
        })
    }

    /// The `seq_no` of the last write that there was; None before the first.
    pub fn max_seq_no(&self) -> Result<Option<u64>> {
        Ok(self.shard()?.order.lock().next_seq_no.checked_sub(1))
    }

    /// Refuses writes from now on; the thread that commits what there is can be waited for.
    pub(super) fn close(&self) -> Option<std::thread::JoinHandle<()>> {
        self.repair.state.lock().is_over = true;
        self.shard.read().as_ref().ok()?.close()
    }

    /// As errors name it.
    pub(super) fn about(&self, refusal: Refusal) -> Refusal {
        refusal.about(&self.name, &self.uuid)
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.close();
    }
}

async fn wait_until_seen(shard: &Shard, target: u64) -> Result<()> {
    let mut seen = shard.seen.subscribe();
    loop {
        if *seen.borrow_and_update() >= target {
            return Ok(());
        }
        shard.check()?;
        // The shard has the sender.
        let _ = seen.changed().await;
    }
}

/// Runs what uses the CPU or the disk where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&Handle) -> Result<T> + Send + 'static,
) -> Result<T> {
    let handle = Handle::current();
    match tokio::task::spawn_blocking(move || work(&handle)).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime goes down.
            Err(_) => Err(StoreError::Closed.into()),
        },
    }
}

/// The bytes of the files below a directory.
fn size(dir: &Path) -> u64 {
    std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => size(&entry.path()),
            Ok(data) => data.len(),
            // It is gone already.
            Err(_) => 0,
        })
        .sum()
}

impl From<std::io::Error> for IndexError {
    fn from(error: std::io::Error) -> Self {
        tantivy::TantivyError::from(error).into()
    }
}
