//! Documents in the order of their times, read from columns: what datafeeds are fed with.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;

use tantivy::columnar::ColumnValues;
use tantivy::{DocAddress, DocId, SegmentOrdinal, TERMINATED};

use super::error::{Result, illegal};
use super::matches::{Docs, Matches};
use super::values::{FieldValues, Scalar};
use super::view::View;
use super::zones::Zones;
use super::{Target, now};
use crate::index::{Kind, Values};
use crate::query::Dsl;

/// Documents of a segment that are held and sorted at a time.
const MOST_HELD: usize = 1 << 19;

/// What there is in a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Epoch milliseconds; none where there are no documents.
    pub earliest: Option<i64>,
    pub latest: Option<i64>,
    pub documents: u64,
}

/// What is read.
#[derive(Debug, Clone)]
pub struct Scan<'s> {
    pub query: &'s Dsl,
    /// A field of dates; documents without a time are not read.
    pub time_field: &'s str,
    /// Epoch milliseconds, from the first up to, not including, the last.
    pub window: Range<i64>,
    /// Fields whose values are asked for: of columns, of runtime fields, or of the source.
    pub fields: &'s [String],
}

/// Begins to read: documents ordered by their time, their index and the order of writing. It may take long and blocks:
/// it belongs on a thread of its own, as reading the rows does.
///
/// # Errors
/// For a query that can't be read, a time field that is none, and targets that aren't user's indices.
pub fn scan(targets: &[Target], what: &Scan<'_>) -> Result<Rows> {
    let mut indices: Vec<(&View, Option<&Dsl>)> = documents(targets)?;
    indices.sort_by(|a, b| a.0.name().cmp(b.0.name()));
    let now = now();
    let mut rows = Rows {
        cursors: Vec::new(),
        queue: BinaryHeap::new(),
        pending: None,
    };
    for (number, (view, filter)) in indices.into_iter().enumerate() {
        let is_nanos = of_dates(view, what.time_field)?;
        let queries: Vec<&Dsl> = std::iter::once(what.query).chain(filter).collect();
        let matches = Arc::new(Matches::new(view, &queries, now, false)?);
        for segment in segments(view) {
            let cursor = Cursor::open(view, &matches, segment, number, is_nanos, what)?;
            rows.cursors.extend(cursor);
        }
    }
    for at in 0..rows.cursors.len() {
        rows.push(at)?;
    }
    Ok(rows)
}

/// The first and last time of a window, and how many documents it has. It blocks.
///
/// # Errors
/// As for [`scan`].
pub fn summary(
    targets: &[Target],
    query: &Dsl,
    time_field: &str,
    window: Range<i64>,
) -> Result<Summary> {
    let now = now();
    let mut all = Summary::default();
    for (view, filter) in documents(targets)? {
        let is_nanos = of_dates(view, time_field)?;
        let queries: Vec<&Dsl> = std::iter::once(query).chain(filter).collect();
        let matches = Matches::new(view, &queries, now, false)?;
        for segment in segments(view) {
            let Some(time) = Time::open(view, segment, time_field, is_nanos)? else {
                continue;
            };
            let mut docs = matches.of(view, segment)?;
            while docs.doc() != TERMINATED {
                if let Some(time) = time.first(docs.doc())
                    && window.contains(&time)
                {
                    all.documents += 1;
                    all.earliest = Some(all.earliest.map_or(time, |first| first.min(time)));
                    all.latest = Some(all.latest.map_or(time, |last| last.max(time)));
                }
                docs.advance();
            }
        }
        view.check()?;
    }
    Ok(all)
}

pub(super) fn segments(view: &View) -> impl Iterator<Item = SegmentOrdinal> + use<> {
    0..u32::try_from(view.reader.searcher.segment_readers().len()).unwrap_or(u32::MAX)
}

fn documents(targets: &[Target]) -> Result<Vec<(&View, Option<&Dsl>)>> {
    let each = targets.iter().map(|target| match target {
        Target::Documents { view, filter } => Ok((view, filter.as_ref())),
        Target::Results { source, .. } | Target::Made { source, .. } => illegal(format!(
            "index [{}] holds results, which no datafeed reads",
            source.index
        )),
    });
    each.collect()
}

/// Whether the times of a field are nanoseconds.
fn of_dates(view: &View, field: &str) -> Result<bool> {
    match view
        .mapping()
        .find(field)
        .map(|found| found.field.kind.clone())
    {
        // An index that knows nothing of it has no such documents.
        None | Some(Kind::Date) => Ok(false),
        Some(Kind::DateNanos) => Ok(true),
        Some(kind) => illegal(format!(
            "datafeed time field [{field}] has type [{}]; it must be a date",
            kind.name()
        )),
    }
}

/// The times of a segment.
struct Time {
    column: Values<i64>,
    is_nanos: bool,
}

impl Time {
    fn open(
        view: &View,
        segment: SegmentOrdinal,
        field: &str,
        is_nanos: bool,
    ) -> Result<Option<Self>> {
        Ok(match FieldValues::open(view, segment, field)? {
            FieldValues::I64(column) => Some(Self { column, is_nanos }),
            _ => None,
        })
    }

    #[inline]
    fn millis(&self, time: i64) -> i64 {
        match self.is_nanos {
            true => time.div_euclid(1_000_000),
            false => time,
        }
    }

    #[inline]
    fn first(&self, doc: DocId) -> Option<i64> {
        self.column.first(doc).map(|time| self.millis(time))
    }

    /// The first document that isn't before a time, of a column that ascends.
    fn find(&self, time: i64) -> DocId {
        let values = &self.column.values;
        let (mut low, mut high) = (0, values.num_vals());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.millis(values.get_val(middle)) < time {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low
    }
}

/// Documents of one segment, on their way.
struct Cursor {
    view: View,
    matches: Arc<Matches>,
    segment: SegmentOrdinal,
    /// Its index, by name.
    number: usize,
    time: Time,
    seq_nos: Arc<dyn ColumnValues<u64>>,
    fields: Vec<FieldValues>,
    order: Order,
    /// The next documents: times, numbers of writing, and where they are; the last comes first.
    next: Vec<(i64, u64, DocId)>,
}

enum Order {
    /// They stand in the order of their times already.
    Ascending { docs: Docs, end: DocId },
    /// What is left of the window is to be read and sorted.
    Sorted { zones: Arc<Zones>, left: Range<i64> },
}

impl Cursor {
    fn open(
        view: &View,
        matches: &Arc<Matches>,
        segment: SegmentOrdinal,
        number: usize,
        is_nanos: bool,
        what: &Scan<'_>,
    ) -> Result<Option<Self>> {
        let Some(time) = Time::open(view, segment, what.time_field, is_nanos)? else {
            return Ok(None);
        };
        let (first, last) = (
            time.millis(time.column.min_value()),
            time.millis(time.column.max_value()),
        );
        let window = what.window.start.max(first)..what.window.end.min(last.saturating_add(1));
        if window.is_empty() {
            return Ok(None);
        }
        let zones = Zones::of(view, segment, what.time_field, &time.column);
        let order = match zones.ascends {
            true => {
                let mut docs = matches.of(view, segment)?;
                docs.seek(time.find(window.start));
                let end = time.find(window.end);
                Order::Ascending { docs, end }
            }
            false => Order::Sorted {
                zones,
                left: window,
            },
        };
        let fields: Result<Vec<FieldValues>> = what
            .fields
            .iter()
            .map(|path| FieldValues::open(view, segment, path))
            .collect();
        Ok(Some(Self {
            view: view.clone(),
            matches: Arc::clone(matches),
            segment,
            number,
            time,
            seq_nos: view.reader.seq_nos(segment)?,
            fields: fields?,
            order,
            next: Vec::new(),
        }))
    }

    /// Reads more documents, all of a time. None are left when there are none after it.
    fn fill(&mut self) -> Result<()> {
        match &mut self.order {
            Order::Ascending { docs, end } => {
                while docs.doc() < *end {
                    let time = self.time.first(docs.doc()).unwrap_or_default();
                    if self.next.first().is_some_and(|(first, ..)| *first != time) {
                        break;
                    }
                    self.next
                        .push((time, self.seq_nos.get_val(docs.doc()), docs.doc()));
                    docs.advance();
                }
            }
            Order::Sorted { zones, left } => {
                let (zones, left) = (Arc::clone(zones), left.clone());
                let left = self.collect(&zones, left)?;
                self.order = Order::Sorted { zones, left };
            }
        }
        self.next.sort_unstable_by(|a, b| b.cmp(a));
        self.view.check()
    }

    /// Collects the first documents of a window, and says what is left of it.
    fn collect(&mut self, zones: &Zones, window: Range<i64>) -> Result<Range<i64>> {
        let done = window.end..window.end;
        if window.is_empty() {
            return Ok(done);
        }
        // What isn't before this is left for the next time.
        let mut end = window.end;
        let mut docs = self.matches.of(&self.view, self.segment)?;
        // Where the next block begins.
        let mut block = 0;
        while docs.doc() != TERMINATED {
            let doc = docs.doc();
            if doc >= block {
                let near = zones.next(doc, |zone| {
                    self.time.millis(*zone.start()) < end
                        && window.start <= self.time.millis(*zone.end())
                });
                if near != doc {
                    docs.seek(near);
                    continue;
                }
                block = zones.end(doc);
            }
            if let Some(time) = self.time.first(doc)
                && window.start <= time
                && time < end
            {
                self.next.push((time, self.seq_nos.get_val(doc), doc));
                // All of one millisecond are held together, however many they are.
                if self.next.len() >= 2 * MOST_HELD && end - window.start > 1 {
                    let (_, middle, _) = self.next.select_nth_unstable(MOST_HELD);
                    end = middle.0.max(window.start + 1);
                    self.next.retain(|(time, ..)| *time < end);
                }
            }
            docs.advance();
        }
        Ok(end..window.end)
    }
}

/// Documents in their order.
pub struct Rows {
    cursors: Vec<Cursor>,
    /// Time, index, number of writing, and the cursor, first first.
    queue: BinaryHeap<Reverse<(i64, usize, u64, usize)>>,
    /// The cursor whose document was shown.
    pending: Option<usize>,
}

impl Rows {
    /// The time of the next row, epoch milliseconds.
    ///
    /// # Errors
    /// For files that can't be read, and scripts that fail.
    pub fn next_time(&mut self) -> Result<Option<i64>> {
        self.settle()?;
        Ok(self.queue.peek().map(|Reverse((time, ..))| *time))
    }

    /// The next row; none at the end.
    ///
    /// # Errors
    /// As for [`next_time`](Self::next_time).
    #[expect(clippy::should_implement_trait, reason = "a row borrows from the rows")]
    pub fn next(&mut self) -> Result<Option<Row<'_>>> {
        self.settle()?;
        let Some(Reverse((time, .., at))) = self.queue.pop() else {
            return Ok(None);
        };
        self.pending = Some(at);
        let cursor = &mut self.cursors[at];
        let doc = cursor.next.last().map_or(TERMINATED, |(.., doc)| *doc);
        Ok(Some(Row { time, doc, cursor }))
    }

    fn settle(&mut self) -> Result<()> {
        if let Some(at) = self.pending.take() {
            self.cursors[at].next.pop();
            self.push(at)?;
        }
        Ok(())
    }

    fn push(&mut self, at: usize) -> Result<()> {
        let cursor = &mut self.cursors[at];
        while cursor.next.is_empty() {
            cursor.fill()?;
            let is_done = match &cursor.order {
                Order::Ascending { docs, end } => docs.doc() >= *end,
                Order::Sorted { left, .. } => left.is_empty(),
            };
            if is_done {
                break;
            }
        }
        if let Some((time, seq_no, _)) = cursor.next.last() {
            self.queue
                .push(Reverse((*time, cursor.number, *seq_no, at)));
        }
        Ok(())
    }
}

/// A document.
pub struct Row<'r> {
    /// Epoch milliseconds.
    pub time: i64,
    doc: DocId,
    cursor: &'r mut Cursor,
}

impl Row<'_> {
    /// Shows the values of a field, by its place in [`Scan::fields`]. Words come in the order of the words.
    ///
    /// # Errors
    /// For files that can't be read, and scripts that fail.
    pub fn each(&mut self, field: usize, take: &mut dyn FnMut(Scalar<'_>)) -> Result<()> {
        let Some(values) = self.cursor.fields.get_mut(field) else {
            return Ok(());
        };
        values.hold(self.doc)?;
        values.each(self.doc, take)
    }

    /// The index that has it.
    pub fn index(&self) -> &str {
        self.cursor.view.name()
    }

    /// The document's id, and the document as it was sent.
    ///
    /// # Errors
    /// For files that can't be read.
    pub fn document(&self) -> Result<crate::index::Hit> {
        let address = DocAddress::new(self.cursor.segment, self.doc);
        Ok(self.cursor.view.reader.document(address)?)
    }
}
