//! The files of one index: tantivy's, and the translog

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tantivy::directory::MmapDirectory;
use tantivy::directory::error::LockError;
use tantivy::indexer::IndexWriterOptions;
use tantivy::store::Compressor;
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{IndexReader, IndexSettings, IndexWriter, ReloadPolicy, Searcher, TantivyError};
use tokio::sync::watch;

use super::applier::{self, Job};
use super::document::{Batch, Document, walk};
use super::error::{IndexError, Result};
use super::gate::Gate;
use super::lookup::{Lookup, term_of};
use super::mapping::Mapping;
use super::recent::RecentWrites;
use super::schema::{PHYSICAL, STANDARD};
use super::seats::Seats;
use super::tokenizer::Standard;
use super::translog::{Change, Translog, sync_dir};
use crate::StoreError;

/// What a writer may hold before it writes a segment.
const HEAP: usize = 64 << 20;
/// How long another process, or a thread that ends, may have the files.
const LOCKED: Duration = Duration::from_secs(20);

/// What all indices share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Documents on their way to tantivy.
    pub gate: Arc<Gate>,
    pub seats: Arc<Seats>,
}

/// The order of writing: whoever has it is the only one who writes.
pub struct Order {
    pub next_seq_no: u64,
    pub translog: Translog,
    /// Counts what was appended to the translog.
    pub appended: u64,
    pub recent: RecentWrites,
    /// To the thread that gives documents to tantivy, while there is one.
    queue: Option<(mpsc::Sender<Job>, thread::JoinHandle<()>)>,
}

impl Order {
    /// The thread ends.
    pub fn leave(&mut self) {
        self.queue = None;
    }
}

pub struct Shard {
    pub name: String,
    dir: PathBuf,
    tantivy: tantivy::Index,
    reader: IndexReader,
    pub shared: Shared,
    pub order: Mutex<Order>,
    /// What is committed.
    pub lookup: RwLock<Arc<Lookup>>,
    /// What searches see.
    visible: RwLock<Searcher>,
    /// All writes before this `seq_no` are seen by searches.
    pub seen: watch::Sender<u64>,
    /// Up to where somebody waits for searches to see.
    pub wanted: AtomicU64,
    /// None: refreshed only when asked.
    pub refresh_interval: Mutex<Option<Duration>>,
    /// How many appended were synced.
    synced: tokio::sync::Mutex<u64>,
    failure: Mutex<Option<IndexError>>,
    closed: AtomicBool,
}

impl Shard {
    /// Whether a directory has the files of an index.
    pub fn exists(dir: &Path) -> bool {
        dir.join("segments").join("meta.json").exists()
    }

    /// Makes the directory of a new index.
    pub fn create(dir: &Path) -> Result<()> {
        let io = |error| IndexError::from(StoreError::io(dir, error));
        let segments = dir.join("segments");
        fs::create_dir_all(&segments).map_err(io)?;
        let mut settings = IndexSettings {
            docstore_compression: Compressor::Lz4,
            // There are other threads enough.
            docstore_compress_dedicated_thread: false,
            ..IndexSettings::default()
        };
        settings.docstore_blocksize = 16 << 10;
        tantivy::Index::builder()
            .schema(PHYSICAL.schema.clone())
            .settings(settings)
            .create_in_dir(&segments)?;
        sync_dir(&segments).map_err(io)?;
        sync_dir(dir).map_err(io)?;
        if let Some(above) = dir.parent() {
            sync_dir(above).map_err(io)?;
        }
        Ok(())
    }

    /// Opens an index and does again what the last commit doesn't hold.
    pub fn open(
        name: &str,
        dir: &Path,
        mapping: &Arc<Mapping>,
        shared: Shared,
    ) -> Result<Arc<Self>> {
        let directory = MmapDirectory::open(dir.join("segments")).map_err(TantivyError::from)?;
        let tantivy = tantivy::Index::open(directory)?;
        tantivy
            .tokenizers()
            .register(STANDARD, TextAnalyzer::from(Standard::default()));
        let committed = tantivy
            .load_metas()?
            .payload
            .and_then(|payload| payload.parse::<u64>().ok());
        let (translog, next_seq_no) = replay(dir, &tantivy, committed, mapping, &shared)?;
        let reader = tantivy
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(16)
            .try_into()?;
        let searcher = reader.searcher();
        Ok(Arc::new(Self {
            name: name.to_owned(),
            dir: dir.to_owned(),
            tantivy,
            reader,
            shared,
            order: Mutex::new(Order {
                next_seq_no,
                translog,
                appended: 0,
                recent: RecentWrites::default(),
                queue: None,
            }),
            lookup: RwLock::new(Arc::new(Lookup::new(searcher.clone())?)),
            visible: RwLock::new(searcher),
            seen: watch::Sender::new(next_seq_no),
            wanted: AtomicU64::new(0),
            refresh_interval: Mutex::new(None),
            synced: tokio::sync::Mutex::new(0),
            failure: Mutex::new(None),
            closed: AtomicBool::new(false),
        }))
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether nothing can be written any more.
    pub fn has_failed(&self) -> bool {
        self.failure.lock().is_some()
    }

    /// Why nothing can be written any more, if it can't.
    pub fn check(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed.into());
        }
        match &*self.failure.lock() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// A write that can be neither done nor undone: from now on nothing is written until the index is opened again, and
    /// what was answered is in the translog.
    pub fn fail(&self, error: &IndexError) {
        tracing::error!(index = self.name, %error, "nothing can be written to the index any more");
        self.failure.lock().get_or_insert_with(|| error.clone());
        // Those who wait look again.
        self.seen.send_modify(|_| {});
    }

    /// Sends a job to the thread that gives documents to tantivy, and starts one if there is none.
    pub fn send(self: &Arc<Self>, order: &mut Order, job: Job) -> Result<()> {
        if let Some((queue, _)) = &order.queue {
            if queue.send(job).is_ok() {
                return Ok(());
            }
            // It ended without leaving: what made it is said by now, unless it panicked.
            let error = IndexError::from(TantivyError::ErrorInThread("it is gone".to_owned()));
            self.fail(&error);
            return Err(error);
        }
        let (queue, jobs) = mpsc::channel();
        let shard = self.clone();
        let handle = thread::Builder::new()
            .name("index".to_owned())
            .spawn(move || applier::run(&shard, &jobs))
            .map_err(|error| StoreError::io(&self.dir, error))?;
        // The receiver is in the thread.
        let _ = queue.send(job);
        order.queue = Some((queue, handle));
        Ok(())
    }

    /// Refuses writes from now on, and has what there is committed. Give the thread that does it to wait for.
    pub fn close(&self) -> Option<thread::JoinHandle<()>> {
        self.closed.store(true, Ordering::Release);
        self.seen.send_modify(|_| {});
        let (queue, handle) = self.order.lock().queue.take()?;
        // If it has ended there is nothing to commit.
        let _ = queue.send(Job::Close);
        Some(handle)
    }

    /// Makes durable what was appended up to a count. One sync is enough for all that wait.
    pub async fn sync(&self, appended: u64) -> Result<()> {
        let mut synced = self.synced.lock().await;
        if *synced >= appended {
            return Ok(());
        }
        let (file, written) = {
            let order = self.order.lock();
            (order.translog.file(), order.appended)
        };
        let outcome = tokio::task::spawn_blocking(move || file.sync_data()).await;
        let outcome = outcome.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        if let Err(error) = outcome {
            let error = StoreError::io(&self.dir, error).into();
            // What the system has lost it doesn't tell twice.
            self.fail(&error);
            return Err(error);
        }
        *synced = written;
        Ok(())
    }

    /// A writer, which nobody else has.
    pub fn writer(&self) -> Result<IndexWriter<Document>> {
        open_writer(&self.tantivy)
    }

    /// Takes up a commit: look-ups find it, and searches too if `publish`.
    pub fn take_up(&self, publish: bool) -> Result<()> {
        self.reader.reload()?;
        let searcher = self.reader.searcher();
        *self.lookup.write() = Arc::new(Lookup::new(searcher.clone())?);
        if publish {
            *self.visible.write() = searcher;
        }
        Ok(())
    }

    pub fn visible(&self) -> Searcher {
        self.visible.read().clone()
    }
}

fn open_writer(tantivy: &tantivy::Index) -> Result<IndexWriter<Document>> {
    let options = IndexWriterOptions::builder()
        .num_worker_threads(1)
        .num_merge_threads(1)
        .memory_budget_per_thread(HEAP)
        .build();
    let begun = std::time::Instant::now();
    loop {
        match tantivy.writer_with_options(options.clone()) {
            // A store that was let go may still be at it.
            Err(TantivyError::LockFailure(LockError::LockBusy, _)) if begun.elapsed() < LOCKED => {
                thread::sleep(Duration::from_millis(20));
            }
            other => return Ok(other?),
        }
    }
}

/// Gives tantivy what the translog has beyond the last commit. The translog is empty afterwards.
fn replay(
    dir: &Path,
    tantivy: &tantivy::Index,
    committed: Option<u64>,
    mapping: &Arc<Mapping>,
    shared: &Shared,
) -> Result<(Translog, u64)> {
    let mut writer: Option<IndexWriter<Document>> = None;
    let mut last = committed;
    let io = |error| IndexError::from(StoreError::io(dir, error));
    let mut translog = Translog::open(dir, committed, |frame, _| {
        let writer = match &mut writer {
            Some(writer) => writer,
            none => none.insert(open_writer(tantivy).map_err(Stop::Index)?),
        };
        last = Some(frame.seq_no);
        match frame.change {
            Change::Delete => {
                writer.delete_term(term_of(frame.id));
            }
            Change::Put {
                source,
                routing,
                replaces,
            } => {
                if replaces {
                    writer.delete_term(term_of(frame.id));
                }
                // It was read by this mapping, or one that has grown to it.
                let parsed = walk(source, frame.id, mapping).unwrap_or_else(|error| {
                    tracing::error!(id = frame.id, %error, "a document of the translog can't be read: it is kept");
                    Default::default()
                });
                let document = Document {
                    id: frame.id.into(),
                    routing: routing.map(Into::into),
                    source: source.into(),
                    values: parsed.values,
                    seq_no: frame.seq_no,
                    version: frame.version,
                    batch: Arc::new(Batch {
                        mapping: mapping.clone(),
                        hold: Arc::new(shared.gate.enter(source.len())),
                    }),
                };
                writer.add_document(document).map_err(|error| Stop::Index(error.into()))?;
            }
        }
        Ok(())
    })
    .map_err(|stop: Stop| match stop {
        Stop::Index(error) => error,
        Stop::Io(error) => io(error),
    })?;
    if let (Some(mut writer), Some(last)) = (writer, last) {
        let mut commit = writer.prepare_commit()?;
        commit.set_payload(&last.to_string());
        commit.commit()?;
        writer.wait_merging_threads()?;
    }
    if let Some(last) = last {
        translog.clear(last).map_err(io)?;
    }
    Ok((translog, last.map_or(0, |last| last + 1)))
}

/// What ends the reading of a translog.
enum Stop {
    Index(IndexError),
    Io(std::io::Error),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}
