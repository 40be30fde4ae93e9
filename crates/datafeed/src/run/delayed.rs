//! Documents that came after their bucket was closed: they are looked for, told of, and where that is wanted counted
//! in.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use tidewatch_jobs::{JobError, Rewind, iso};
use tidewatch_store::{AnnotationRow, ResultKind, ResultQuery, Sort};

use super::life::{Life, Trouble};
use super::problems::Told;
use crate::source::Window;

const EVENT: &str = "delayed_data";

/// Late documents by the start of their bucket.
type Missing = BTreeMap<i64, u64>;

#[derive(Debug, Default)]
pub(super) struct Delayed {
    /// When was looked last.
    looked: Option<i64>,
    /// What is told of in the last annotation; none before it is known.
    told: Option<Note>,
    /// Notes in a row that went on with the one before.
    in_a_row: u64,
    /// What there was of a bucket in the source when the job was last taken back for it: if no more has come since,
    /// that does not help.
    counted_in: BTreeMap<i64, u64>,
    /// What is being counted in.
    replaying: Missing,
}

/// An annotation that tells of late documents.
#[derive(Debug, Clone, Default, PartialEq)]
struct Note {
    id: String,
    text: String,
    /// From the start of the first bucket to the end of the last, milliseconds.
    start: i64,
    end: i64,
    created: i64,
    missing: Missing,
}

impl Life {
    /// Looks for late documents where that is due. `true`: the job was taken back to before them, and is to be sent
    /// again what has been since.
    pub(super) async fn check_for_late_documents(&mut self) -> Result<bool, Trouble> {
        let Some(check) = self.plan.check_window else {
            return Ok(false);
        };
        let now = self.jobs.now();
        let interval = self.plan.check_interval.min(check);
        let is_due = self
            .delayed
            .looked
            .is_none_or(|looked| now > looked.saturating_add(interval));
        if !is_due && self.delayed.replaying.is_empty() {
            return Ok(false);
        }
        let position = self.jobs.position(&self.plan.job_id).await?;
        let since = self.delayed.looked.map_or(0, |looked| now - looked);
        let end = position.final_bucket_end;
        let window = end.and_then(|end| checked_window(end, check, since, self.plan.bucket_span));
        let Some(window) = window else {
            self.delayed.looked = Some(now);
            return Ok(false);
        };
        let counts = self.source.counts(window, self.plan.bucket_span).await?;
        let counts: BTreeMap<i64, u64> = counts.into_iter().collect();
        let missing = missing(self.event_counts(window).await?, &counts);
        self.delayed.looked = Some(now);
        let counted = std::mem::take(&mut self.delayed.replaying);
        if !counted.is_empty() {
            self.tell_counted_in(&counted).await?;
        }
        if self.plan.reprocess_late_data && self.go_back(&missing, &counts).await? {
            return Ok(true);
        }
        if !missing.is_empty() {
            self.tell_missing(missing).await?;
        }
        Ok(false)
    }

    /// Documents that the final buckets of a window had, by their start.
    async fn event_counts(&self, window: Window) -> Result<Vec<(i64, u64)>, JobError> {
        #[derive(Deserialize)]
        struct Bucket {
            timestamp: i64,
            event_count: u64,
        }
        let buckets = (window.end - window.start) / self.plan.bucket_span;
        let query = ResultQuery {
            job_id: self.plan.job_id.clone(),
            kind: ResultKind::Bucket,
            start: Some(window.start),
            end: Some(window.end),
            exclude_interim: true,
            size: buckets,
            sort: Sort::Timestamp,
            descending: false,
            min_score: 0.0,
            from: 0,
        };
        let page = self.jobs.results(&query).await?;
        let read = |doc: &String| serde_json::from_str::<Bucket>(doc);
        let buckets: Result<Vec<Bucket>, _> = page.docs.iter().map(read).collect();
        let buckets = buckets.map_err(|error| JobError::internal(error.to_string()))?;
        let counts = buckets
            .into_iter()
            .map(|bucket| (bucket.timestamp, bucket.event_count));
        Ok(counts.collect())
    }

    /// Takes the job back to before the first bucket that lacks documents which can be counted in.
    async fn go_back(
        &mut self,
        missing: &Missing,
        counts: &BTreeMap<i64, u64>,
    ) -> Result<bool, Trouble> {
        let Some(reading) = self.reading else {
            return Ok(false);
        };
        let is_new = |bucket: &i64| self.delayed.counted_in.get(bucket) < counts.get(bucket);
        let before: Vec<i64> = missing.keys().copied().filter(is_new).collect();
        if before.is_empty() {
            return Ok(false);
        }
        let to = Rewind {
            before,
            since: reading.since,
            from_empty: reading.from_empty,
        };
        let (jobs, job_id) = (self.jobs.clone(), self.plan.job_id.clone());
        let rewind = async move { jobs.rewind(&job_id, to).await };
        let Some(rewound) = self.undisturbed.run(rewind).await? else {
            return Ok(false);
        };
        let within = counts.range(rewound.before..);
        self.delayed.counted_in = within.map(|(bucket, count)| (*bucket, *count)).collect();
        self.delayed.replaying = missing.clone().split_off(&rewound.before);
        let to = match rewound.snapshot_id {
            Some(id) => format!("model snapshot [{id}]"),
            None => "its beginning".to_owned(),
        };
        let (late, before) = (grouped(total(&self.delayed.replaying)), iso(rewound.before));
        let message = format!(
            "Datafeed found {late} late documents and counts them in: the job is taken back to {to}, and all since \
             then is read again; first bucket with late documents [{before}]"
        );
        self.tell(("info", message.as_str())).await;
        // What was told of them is undone with the rest.
        self.delayed.told = None;
        Ok(true)
    }

    /// Late documents that are counted in.
    async fn tell_counted_in(&mut self, counted: &Missing) -> Result<(), JobError> {
        let text = format!(
            "Datafeed has counted in {} documents that came late",
            grouped(total(counted))
        );
        self.tell(("info", text.as_str())).await;
        let mut note = self.note(counted.clone());
        note.id = format!("late_data_{}", note.start);
        note.text = text;
        self.store_note(&note).await
    }

    /// Late documents that are left out: a warning, and an annotation that grows while it goes on.
    async fn tell_missing(&mut self, missing: Missing) -> Result<(), JobError> {
        let before = match self.delayed.told.take() {
            Some(told) => Some(told),
            None => self.newest_note().await?,
        };
        let mut note = self.note(missing);
        let goes_on = before.filter(|before| before.start <= note.end && note.start <= before.end);
        let is_first = goes_on.is_none();
        if let Some(before) = &goes_on {
            let mut all = before.missing.clone();
            all.append(&mut note.missing);
            note = Note {
                id: before.id.clone(),
                created: before.created,
                start: before.start.min(note.start),
                end: before.end.max(note.end),
                missing: all,
                ..note
            };
        }
        let last = note
            .missing
            .last_key_value()
            .map_or(note.start, |(last, _)| *last);
        note.text = format!(
            "Datafeed has missed {} documents due to ingest latency, latest bucket with missing data is [{}]. Consider \
             increasing query_delay and investigate the cause of high latency in your ingestion process.",
            grouped(total(&note.missing)),
            iso(last)
        );
        let is_known = goes_on.is_some_and(|before| {
            (&before.text, before.start, before.end) == (&note.text, note.start, note.end)
        });
        if !is_known {
            self.delayed.in_a_row = if is_first {
                0
            } else {
                self.delayed.in_a_row + 1
            };
            if is_to_be_told(self.delayed.in_a_row) {
                let told: Option<Told> = Some(("warning", note.text.clone()));
                self.tell(told).await;
            }
            self.store_note(&note).await?;
        }
        self.delayed.told = Some(note);
        Ok(())
    }

    fn note(&self, missing: Missing) -> Note {
        let start = missing.first_key_value().map_or(0, |(start, _)| *start);
        let last = missing.last_key_value().map_or(0, |(last, _)| *last);
        Note {
            id: format!("{EVENT}_{start}"),
            text: String::new(),
            start,
            end: last + self.plan.bucket_span,
            created: self.jobs.now(),
            missing,
        }
    }

    async fn store_note(&self, note: &Note) -> Result<(), JobError> {
        let (job_id, now) = (&self.plan.job_id, self.jobs.now());
        let row = AnnotationRow {
            job_id: job_id.clone(),
            annotation_id: note.id.clone(),
            timestamp: note.start,
            doc: json!({
                "annotation": note.text, "create_time": note.created, "create_username": "_xpack",
                "timestamp": note.start, "end_timestamp": note.end, "job_id": job_id, "modified_time": now,
                "modified_username": "_xpack", "type": "annotation", "event": EVENT
            })
            .to_string(),
        };
        Ok(self.jobs.store().annotate(&row).await?)
    }

    /// The newest annotation of late documents that are left out, of a run before.
    async fn newest_note(&self) -> Result<Option<Note>, JobError> {
        #[derive(Deserialize)]
        struct Kept {
            annotation: String,
            timestamp: i64,
            end_timestamp: i64,
            create_time: i64,
        }
        let rows = self.jobs.store().annotations(&self.plan.job_id).await?;
        let is_ours = |row: &&AnnotationRow| row.annotation_id.starts_with(EVENT);
        let newest = rows.iter().rev().find(is_ours);
        Ok(newest.and_then(|row| {
            let kept: Kept = serde_json::from_str(&row.doc).ok()?;
            Some(Note {
                id: row.annotation_id.clone(),
                text: kept.annotation,
                start: kept.timestamp,
                end: kept.end_timestamp,
                created: kept.create_time,
                missing: Missing::new(),
            })
        }))
    }
}

/// The final buckets that are looked at: those that ended within `check` before the end, or would have when was looked
/// last, `since` ago. So what came late by less than `check` is found, however rarely is looked. All in milliseconds.
fn checked_window(final_end: i64, check: i64, since: i64, span: i64) -> Option<Window> {
    let floor = |time: i64| time.div_euclid(span) * span;
    let end = floor(final_end);
    let start = floor(end.saturating_sub(check).saturating_sub(since.max(0)));
    (start < end).then_some(Window { start, end })
}

/// Of the buckets that had events, those of which there is more now. Documents may also be gone.
fn missing(events: Vec<(i64, u64)>, counts: &BTreeMap<i64, u64>) -> Missing {
    let late = events.into_iter().filter_map(|(bucket, events)| {
        let now = counts.get(&bucket).copied().unwrap_or_default();
        (now > events).then(|| (bucket, now - events))
    });
    late.collect()
}

fn total(missing: &Missing) -> u64 {
    missing.values().sum()
}

/// The first few in a row are told, then fewer and fewer.
fn is_to_be_told(in_a_row: u64) -> bool {
    match in_a_row {
        0..3 => true,
        3..100 => in_a_row.is_multiple_of(10),
        _ => in_a_row.is_multiple_of(100),
    }
}

/// As Elasticsearch writes numbers into messages: `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_late_is_found_however_rarely_is_looked() {
        const SPAN: i64 = 100;
        for (check, interval) in [(200, 50), (200, 200), (200, 1_000), (1_000, 70)] {
            let looks: Vec<i64> = (0..40).map(|n| 10_000 + n * interval).collect();
            // Just before each look but the first, a document of a bucket that ended less than the check ago.
            for pair in looks.windows(2) {
                for came in pair[0] + 1..=pair[1] {
                    for late in [0, check - SPAN - 1] {
                        let bucket = (came - late).div_euclid(SPAN) * SPAN - SPAN;
                        let window = checked_window(pair[1], check, interval, SPAN);
                        let window = window.expect("there are buckets");
                        assert!(
                            (window.start..window.end).contains(&bucket),
                            "{check} {interval} {came} {late}"
                        );
                    }
                }
            }
        }
        assert_eq!(
            checked_window(250, 100, 0, SPAN),
            Some(Window {
                start: 100,
                end: 200
            })
        );
        assert_eq!(checked_window(50, 0, 0, SPAN), None);
    }

    #[test]
    fn what_is_missing_is_what_there_is_more_now() {
        let counts = [(0, 5), (100, 3), (200, 9), (300, 1)].into();
        let events = vec![(0, 5), (100, 4), (200, 2), (400, 7)];
        assert_eq!(missing(events, &counts), [(200, 7)].into());
    }

    #[test]
    fn numbers_have_their_thousands_apart() {
        let texts = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
        let told: Vec<u64> = (0..300).filter(|row| is_to_be_told(*row)).collect();
        assert_eq!(told[..5], [0, 1, 2, 10, 20]);
        assert_eq!(told[told.len() - 2..], [100, 200]);
    }
}
