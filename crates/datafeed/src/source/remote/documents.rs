//! Documents of a window in the order of time, a page at a time, out of a point in time or a scroll.

use futures_util::future::BoxFuture;
use reqwest::Method;
use serde_json::{Value, json};
use tidewatch_model::record::RecordBatch;

use super::answer::{Answer, Hit};
use super::server::{Failure, Hold, Outcome};
use super::{MAX_PAGE, Remote};
use crate::json::Projector;
use crate::source::{Page, Pages, Result, SourceError, Window};

/// How long the server keeps what is being read, from page to page: a job that is behind takes its time.
const KEEP: &str = "10m";
/// Times in a row that what the server should have kept may be gone.
const LOSSES: u32 = 3;

/// The pages of a window of documents.
pub(super) struct Documents {
    remote: Remote,
    window: Window,
    /// Every document before this time has been given.
    next: i64,
    cursor: Option<Cursor>,
    /// The server has been told to keep what there is, where it can be told beforehand.
    is_begun: bool,
    /// The rest is read by scroll.
    by_scroll: bool,
    /// Documents that are asked for at a time.
    size: usize,
    losses: u32,
    is_over: bool,
    projector: Projector,
    /// Records of the last time that was seen: more of them may come.
    open: RecordBatch,
    open_time: i64,
}

/// What the server keeps, and the place in it.
enum Cursor {
    Exact { pit: String, after: Option<Value> },
    ByTime { pit: String, after: Option<i64> },
    Scroll { id: String },
}

impl Documents {
    pub async fn open(remote: Remote, window: Window) -> Result<Self> {
        let projection = &remote.0.fields().await?.projection;
        let mut documents = Self {
            next: window.start,
            cursor: None,
            is_begun: false,
            by_scroll: false,
            size: remote.0.wanted.page_size,
            losses: 0,
            is_over: window.start >= window.end,
            projector: Projector::new(projection),
            open: projection.batch(),
            open_time: i64::MIN,
            remote,
            window,
        };
        if !documents.is_over {
            // The window is as it is now, whenever the first page is asked for.
            documents.begin().await?;
        }
        Ok(documents)
    }

    /// Has the server keep what there is now. A scroll gives its first page only when that is asked for, and begins
    /// then.
    async fn begin(&mut self) -> Outcome<()> {
        if self.is_begun {
            return Ok(());
        }
        let inner = &self.remote.0;
        let hold = match self.by_scroll {
            true => Hold::Scroll,
            false => inner.server.hold().await?,
        };
        let id = |body: &[u8]| {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            let id = body["id"].as_str().or(body["pit_id"].as_str());
            id.map(str::to_owned).ok_or_else(|| {
                let what = "the point in time that was opened has no id".to_owned();
                Failure::Source(SourceError::Unavailable(what))
            })
        };
        let opensearch = inner.server.version().await?.is_opensearch();
        let open = match opensearch {
            true => inner.path(
                "_search/point_in_time",
                &[
                    ("keep_alive", KEEP),
                    ("allow_partial_pit_creation", "false"),
                ],
            ),
            false => inner.path("_pit", &[("keep_alive", KEEP)]),
        };
        let ask = || inner.server.ask(Method::POST, &open, None);
        self.cursor = match hold {
            Hold::Exact => Some(Cursor::Exact {
                pit: id(&ask().await?)?,
                after: None,
            }),
            Hold::ByTime => Some(Cursor::ByTime {
                pit: id(&ask().await?)?,
                after: None,
            }),
            Hold::Scroll => None,
        };
        self.is_begun = true;
        Ok(())
    }

    /// The next answer.
    async fn ask(&mut self) -> Outcome<Vec<u8>> {
        self.begin().await?;
        let inner = &self.remote.0;
        let fields = inner.fields().await.map_err(Failure::Source)?;
        if let Some(Cursor::Scroll { id }) = &self.cursor {
            let body = json!({"scroll": KEEP, "scroll_id": id});
            return inner
                .server
                .ask(Method::POST, "/_search/scroll", Some(&body))
                .await;
        }
        let window = Window {
            start: self.next,
            end: self.window.end,
        };
        let mut body = inner.query(window).await?;
        body.extend(fields.ask(&inner.wanted));
        body.insert("size".to_owned(), self.size.into());
        body.insert("track_total_hits".to_owned(), false.into());
        let mut sort = vec![inner.sort(fields)];
        let place = match &self.cursor {
            Some(Cursor::Exact { pit, after }) => {
                sort.push(json!({"_shard_doc": "asc"}));
                Some((pit, after.clone()))
            }
            Some(Cursor::ByTime { pit, after }) => Some((pit, after.map(|time| json!([time])))),
            _ => None,
        };
        body.insert("sort".to_owned(), sort.into());
        let whole = ("allow_partial_search_results", "false");
        let path = match place {
            Some((pit, after)) => {
                body.insert("pit".to_owned(), json!({"id": pit, "keep_alive": KEEP}));
                if let Some(after) = after {
                    body.insert("search_after".to_owned(), after);
                }
                format!("/_search?{}={}", whole.0, whole.1)
            }
            // With the total, which a scroll must know.
            None => {
                body.insert("track_total_hits".to_owned(), true.into());
                inner.path("_search", &[("scroll", KEEP), whole])
            }
        };
        inner
            .server
            .ask(Method::POST, &path, Some(&body.into()))
            .await
    }

    async fn page(&mut self) -> Result<Option<Page>> {
        while !self.is_over {
            let taken = match self.ask().await {
                Ok(body) => self.take(&body).await.map_err(Failure::Source),
                Err(failure) => Err(failure),
            };
            let batch = match taken {
                Ok(batch) => batch,
                Err(failure) => {
                    self.lose(failure)?;
                    continue;
                }
            };
            self.losses = 0;
            if self.is_over {
                self.release();
            }
            if batch.input.records == 0 {
                continue;
            }
            self.next = if self.is_over {
                self.window.end
            } else {
                self.next.max(self.open_time)
            };
            return Ok(Some(Page {
                batch,
                until: self.next,
            }));
        }
        Ok(None)
    }

    /// What follows begins anew behind what has been given: at once where the server no longer knows what was being
    /// read, and else when the next page is asked for. A scroll may have gone on unheard.
    fn lose(&mut self, failure: Failure) -> Result<()> {
        let is_lost = matches!(&failure, Failure::Refused(refusal) if refusal.is_lost);
        self.release();
        self.is_begun = false;
        self.open.clear();
        self.open_time = i64::MIN;
        self.losses += 1;
        if !is_lost || self.losses > LOSSES {
            return Err(failure.into());
        }
        tracing::debug!(
            datafeed = self.remote.0.wanted.datafeed_id,
            "what was being read is gone from the server and is begun again"
        );
        Ok(())
    }

    /// Reads the documents of an answer, moves the place, and gives the records of the times that are complete.
    async fn take(&mut self, body: &[u8]) -> Result<RecordBatch> {
        let answer = Answer::read(body)?;
        let hits = &answer.hits.hits;
        let projection = self.remote.0.fields().await?.projection.clone();
        let mut whole = projection.batch();
        for hit in hits {
            self.read(hit, &projection, &mut whole)?;
        }
        // Only a search that has no more gives less than it was asked for.
        self.is_over = hits.len() < self.size;
        let mut last_sort = None;
        if let Some(sort) = hits.last().and_then(|hit| hit.sort) {
            last_sort = serde_json::from_str::<Value>(sort.get()).ok();
        }
        let newer = answer.pit_id.clone();
        match &mut self.cursor {
            Some(Cursor::Exact { pit, after }) => {
                *after = last_sort;
                *pit = newer.unwrap_or_else(|| std::mem::take(pit));
                self.is_over |= after.is_none();
            }
            Some(Cursor::ByTime { pit, after }) => {
                *pit = newer.unwrap_or_else(|| std::mem::take(pit));
                if !self.is_over {
                    // The documents of the last time are read again, with those that follow.
                    self.open.clear();
                    *after = Some(self.open_time - 1);
                    if whole.is_empty() {
                        self.widen();
                    } else {
                        self.size = self.remote.0.wanted.page_size;
                    }
                    return Ok(whole);
                }
            }
            Some(Cursor::Scroll { id }) => {
                if let Some(newer) = &answer.scroll_id {
                    id.clone_from(newer);
                }
            }
            None => {
                let id = answer.scroll_id.clone();
                self.cursor = id.map(|id| Cursor::Scroll { id });
                if self.cursor.is_none() && !self.is_over {
                    return Err(SourceError::Unavailable("the scroll has no id".to_owned()));
                }
            }
        }
        if self.is_over {
            self.open.order();
            whole.append(&mut self.open);
        }
        Ok(whole)
    }

    /// A page of one millisecond, which may have more: the largest page is asked for, and if that doesn't do, a scroll.
    fn widen(&mut self) {
        if self.size < MAX_PAGE {
            self.size = MAX_PAGE;
            return;
        }
        self.release();
        self.size = self.remote.0.wanted.page_size;
        self.by_scroll = true;
        self.next = self.open_time;
        self.open_time = i64::MIN;
    }

    fn read(
        &mut self,
        hit: &Hit,
        projection: &crate::Projection,
        whole: &mut RecordBatch,
    ) -> Result<()> {
        let Self {
            projector,
            open,
            open_time,
            ..
        } = self;
        projector.row.clear();
        let mut bytes = 0;
        for part in [hit.fields, hit.source].into_iter().flatten() {
            let part = part.get().as_bytes();
            bytes += part.len() as u64;
            if !projector.add(projection, part) {
                let what = "a document can't be understood".to_owned();
                return Err(SourceError::Unavailable(what));
            }
        }
        if let Some(time) = projector.row.time() {
            if time < *open_time {
                let what = "the documents don't come in the order of time".to_owned();
                return Err(SourceError::Unavailable(what));
            }
            if time > *open_time {
                open.order();
                whole.append(open);
                *open_time = time;
            }
        }
        projector.row.deliver(projection, open);
        open.input.bytes += bytes;
        Ok(())
    }

    /// Tells the server that it need not keep anything any longer; nobody waits for that.
    fn release(&mut self) {
        if let (Some(cursor), Ok(runtime)) =
            (self.cursor.take(), tokio::runtime::Handle::try_current())
        {
            let remote = self.remote.clone();
            runtime.spawn(async move { forget(&remote, cursor).await });
        }
    }
}

async fn forget(remote: &Remote, cursor: Cursor) {
    let server = &remote.0.server;
    let opensearch = match server.version().await {
        Ok(version) => version.is_opensearch(),
        Err(_) => return,
    };
    let (path, body) = match cursor {
        Cursor::Scroll { id } => ("/_search/scroll", json!({"scroll_id": [id]})),
        Cursor::Exact { pit, .. } | Cursor::ByTime { pit, .. } if opensearch => {
            ("/_search/point_in_time", json!({"pit_id": [pit]}))
        }
        Cursor::Exact { pit, .. } | Cursor::ByTime { pit, .. } => ("/_pit", json!({"id": pit})),
    };
    // It forgets by itself, only later.
    let _ = server.ask(Method::DELETE, path, Some(&body)).await;
}

impl Drop for Documents {
    fn drop(&mut self) {
        self.release();
    }
}

impl Pages for Documents {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Page>>> {
        Box::pin(self.page())
    }
}
