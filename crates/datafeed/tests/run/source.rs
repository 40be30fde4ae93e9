//! A source that a test writes: documents in a Vec, that may fail, wait, and grow while it is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use tidewatch_datafeed::source::{
    Open, Page, Pages, Result, Source, SourceError, Summary, Wanted, Window,
};
use tidewatch_model::record::RecordBatch;
use tokio::sync::{Semaphore, watch};

/// One document: its time, the series it is of, its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Doc(pub i64, pub u8, pub f64);

/// What is shared by all sources that are opened of it. Clones are the same.
#[derive(Clone)]
pub struct Script(Arc<Inner>);

struct Inner {
    docs: Mutex<Vec<Doc>>,
    /// Records of a page, at least: it goes on to the end of its millisecond.
    page: usize,
    /// The error that every call gives now.
    error: Mutex<Option<SourceError>>,
    panics: Mutex<bool>,
    /// Whether it says nothing when it is checked.
    silent: Mutex<bool>,
    paces_itself: Mutex<bool>,
    /// Calls that are let through; without a limit at first.
    gate: Semaphore,
    gated: Mutex<bool>,
    /// Calls that stand at the gate.
    standing: watch::Sender<usize>,
    /// Calls that have come as far as the gate.
    calls: watch::Sender<usize>,
    /// Windows that were read.
    windows: Mutex<Vec<Window>>,
}

impl Script {
    pub fn new(docs: Vec<Doc>, page: usize) -> Self {
        let script = Self(Arc::new(Inner {
            docs: Mutex::default(),
            page,
            error: Mutex::default(),
            panics: Mutex::default(),
            silent: Mutex::default(),
            paces_itself: Mutex::default(),
            gate: Semaphore::new(0),
            gated: Mutex::default(),
            standing: watch::Sender::new(0),
            calls: watch::Sender::new(0),
            windows: Mutex::default(),
        }));
        script.add(docs);
        script
    }

    pub fn add(&self, docs: Vec<Doc>) {
        let mut all = self.0.docs.lock();
        all.extend(docs);
        // Stable: those of a millisecond stay in the order in which they came.
        all.sort_by_key(|doc| doc.0);
    }

    pub fn fail(&self, error: Option<SourceError>) {
        *self.0.error.lock() = error;
    }

    pub fn panic(&self) {
        *self.0.panics.lock() = true;
    }

    pub fn silence(&self, silent: bool) {
        *self.0.silent.lock() = silent;
    }

    pub fn pace(&self) {
        *self.0.paces_itself.lock() = true;
    }

    /// Lets `calls` more calls through, then none.
    pub fn let_through(&self, calls: usize) {
        *self.0.gated.lock() = true;
        self.0.gate.add_permits(calls);
    }

    /// Waits until a call stands at the gate that is the `number`th of all.
    pub async fn stands(&self, number: usize) {
        let mut calls = self.0.calls.subscribe();
        let _ = calls.wait_for(|calls| *calls >= number).await;
    }

    /// Whether somebody waits to be let through.
    pub fn is_stood_at(&self) -> bool {
        *self.0.standing.borrow() > 0
    }

    pub fn calls(&self) -> usize {
        *self.0.calls.borrow()
    }

    pub fn windows(&self) -> Vec<Window> {
        self.0.windows.lock().clone()
    }

    async fn call(&self) -> Result<()> {
        self.0.calls.send_modify(|calls| *calls += 1);
        let gated = *self.0.gated.lock();
        if gated {
            let _standing = AtGate::new(&self.0.standing);
            self.0.gate.acquire().await.expect("open").forget();
        }
        assert!(!*self.0.panics.lock(), "the source has a fault");
        self.0.error.lock().clone().map_or(Ok(()), Err)
    }

    fn within(&self, window: Window) -> Vec<Doc> {
        let docs = self.0.docs.lock();
        let within = docs
            .iter()
            .filter(|doc| (window.start..window.end).contains(&doc.0));
        within.copied().collect()
    }
}

/// Somebody at the gate, until let through or gone.
struct AtGate<'s>(&'s watch::Sender<usize>);

impl<'s> AtGate<'s> {
    fn new(standing: &'s watch::Sender<usize>) -> Self {
        standing.send_modify(|standing| *standing += 1);
        Self(standing)
    }
}

impl Drop for AtGate<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|standing| *standing -= 1);
    }
}

impl Open for Script {
    fn open(&self, wanted: Wanted) -> Result<Box<dyn Source>> {
        let wanted = Arc::new(wanted);
        Ok(Box::new(Scripted {
            script: self.clone(),
            wanted,
        }))
    }
}

struct Scripted {
    script: Script,
    wanted: Arc<Wanted>,
}

impl Source for Scripted {
    fn check(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            let silent = *self.script.0.silent.lock();
            if silent {
                std::future::pending::<()>().await;
            }
            self.script.0.error.lock().clone().map_or(Ok(()), Err)
        })
    }

    fn summary(&self, window: Window) -> BoxFuture<'_, Result<Summary>> {
        Box::pin(async move {
            self.script.call().await?;
            let docs = self.script.within(window);
            Ok(Summary {
                earliest: docs.first().map(|doc| doc.0),
                latest: docs.last().map(|doc| doc.0),
                documents: docs.len() as u64,
            })
        })
    }

    fn paces_itself(&self) -> bool {
        *self.script.0.paces_itself.lock()
    }

    fn read(&self, window: Window) -> BoxFuture<'_, Result<Box<dyn Pages>>> {
        Box::pin(async move {
            self.script.0.windows.lock().push(window);
            let pages: Box<dyn Pages> = Box::new(Reading {
                script: self.script.clone(),
                wanted: self.wanted.clone(),
                left: self.script.within(window),
                end: window.end,
            });
            Ok(pages)
        })
    }

    fn counts(&self, window: Window, span: i64) -> BoxFuture<'_, Result<Vec<(i64, u64)>>> {
        Box::pin(async move {
            self.script.call().await?;
            let mut counts = BTreeMap::new();
            for doc in self.script.within(window) {
                *counts.entry(doc.0.div_euclid(span) * span).or_default() += 1;
            }
            Ok(counts.into_iter().collect())
        })
    }

    fn preview(&self, _: Window, _: usize) -> BoxFuture<'_, Result<Vec<Map<String, Value>>>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

struct Reading {
    script: Script,
    wanted: Arc<Wanted>,
    left: Vec<Doc>,
    end: i64,
}

impl Pages for Reading {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Page>>> {
        Box::pin(async move {
            self.script.call().await?;
            if self.left.is_empty() {
                return Ok(None);
            }
            let mut taken = self.script.0.page.min(self.left.len());
            while self
                .left
                .get(taken)
                .is_some_and(|next| next.0 == self.left[taken - 1].0)
            {
                taken += 1;
            }
            let rest = self.left.split_off(taken);
            let docs = std::mem::replace(&mut self.left, rest);
            let until = self.left.first().map_or(self.end, |next| next.0);
            Ok(Some(Page {
                batch: self.batch(&docs),
                until,
            }))
        })
    }
}

impl Reading {
    fn batch(&self, docs: &[Doc]) -> RecordBatch {
        let schema = self.wanted.projection.schema();
        let column = |name: &str| schema.position(name);
        let mut batch = RecordBatch::new(schema.fields.len());
        for Doc(time, series, value) in docs {
            batch.begin();
            if let Some(column) = column("v") {
                batch.set_number(column, *value);
            }
            if let Some(column) = column("p") {
                batch.set_text(column, if *series == 0 { "even" } else { "odd" });
            }
            batch.input.records += 1;
            batch.commit(*time);
        }
        batch
    }
}
