//! A window read in chunks, page by page.

use std::sync::Arc;
use std::time::Instant;

use super::{Chunks, Plan, Shown};
use crate::source::{Page, Pages, Result, Source, Summary, Window};

/// The shortest chunk, milliseconds: a window that is no longer is read as it is.
const SHORTEST: i64 = 60_000;
/// Pages that a chunk is meant to have.
const PAGES: i128 = 10;

pub(super) struct Reader<'a> {
    source: &'a dyn Source,
    plan: &'a Plan,
    shown: &'a Shown,
    /// What is left of the window after the chunk at hand.
    rest: Window,
    /// Length of a chunk; none where it must be found first.
    span: Option<i64>,
    chunk: Option<Chunk>,
}

struct Chunk {
    pages: Box<dyn Pages>,
    is_empty: bool,
}

impl<'a> Reader<'a> {
    pub fn new(
        source: &'a Arc<dyn Source>,
        plan: &'a Plan,
        shown: &'a Shown,
        window: Window,
    ) -> Self {
        let length = window.end.saturating_sub(window.start);
        let is_read_at_once = match plan.chunks {
            Chunks::Off => true,
            Chunks::Auto { .. } => length <= SHORTEST || source.paces_itself(),
            Chunks::Manual { .. } => length <= SHORTEST,
        };
        Self {
            source: &**source,
            plan,
            shown,
            rest: window,
            span: is_read_at_once.then_some(length),
            chunk: None,
        }
    }

    /// The next page with anything in it; `None` at the end of the window.
    pub async fn next(&mut self) -> Result<Option<Page>> {
        loop {
            let Some(chunk) = &mut self.chunk else {
                if !self.begin_chunk().await? {
                    return Ok(None);
                }
                continue;
            };
            let begun = Instant::now();
            let page = chunk.pages.next().await?;
            self.shown.searched(begun.elapsed());
            match page {
                Some(page) if page.batch.input.records == 0 && page.batch.is_empty() => {}
                Some(page) => {
                    chunk.is_empty = false;
                    return Ok(Some(page));
                }
                None => {
                    if chunk.is_empty && self.plan.chunks != Chunks::Off {
                        // There is a gap: it is jumped over.
                        self.span = None;
                    }
                    self.chunk = None;
                }
            }
        }
    }

    /// `false`: the window has no more.
    async fn begin_chunk(&mut self) -> Result<bool> {
        if self.rest.start >= self.rest.end {
            return Ok(false);
        }
        let span = match self.span {
            Some(span) => span,
            None => {
                let begun = Instant::now();
                let summary = self.source.summary(self.rest).await?;
                self.shown.searched(begun.elapsed());
                let (Some(earliest), 1..) = (summary.earliest, summary.documents) else {
                    self.rest.start = self.rest.end;
                    return Ok(false);
                };
                self.rest.start = self.plan.floor(earliest).max(self.rest.start);
                let span = self.span_of(&summary);
                self.span = Some(span);
                span
            }
        };
        let end = self.rest.start.saturating_add(span).min(self.rest.end);
        let window = Window {
            start: self.rest.start,
            end,
        };
        self.shown.searches(window);
        let pages = self.source.read(window).await?;
        self.rest.start = end;
        self.chunk = Some(Chunk {
            pages,
            is_empty: true,
        });
        Ok(true)
    }

    fn span_of(&self, summary: &Summary) -> i64 {
        let rest = self.rest.end - self.rest.start;
        let span = match self.plan.chunks {
            Chunks::Off => rest,
            Chunks::Manual { span } => span,
            Chunks::Auto { page } => {
                let times = summary.latest.zip(summary.earliest);
                let spread = times.map_or(0, |(latest, earliest)| latest.saturating_sub(earliest));
                match i128::from(summary.documents) {
                    0 => rest,
                    _ if spread <= 0 => rest,
                    documents => {
                        let span = PAGES * i128::from(page) * i128::from(spread) / documents;
                        i64::try_from(span).unwrap_or(i64::MAX).max(SHORTEST)
                    }
                }
            }
        };
        self.plan.ceil(span).max(1)
    }
}
