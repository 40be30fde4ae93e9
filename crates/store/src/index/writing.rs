//! The way of a write: read by the mapping, decided on, appended to the translog, given to tantivy

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::applier::{Job, Operation};
use super::document::{Batch, Document, Values, walk};
use super::engine::{Index, PRIMARY_TERM};
use super::error::{IndexError, Refusal, Result};
use super::lookup::Lookup;
use super::names::check_id;
use super::recent::Recent;
use super::shard::{Order, Shard};
use super::translog::{Change, Frame, Frames};
use super::update::merged;
use super::write::{Done, Effect, Op, Outcome, Stored, Update, Versioned, Write};

/// So many documents, or bytes of them, are read and written in one go.
const RUN: usize = 2000;
const RUN_BYTES: usize = 4 << 20;

/// A write that is ready to be decided on.
struct Ready {
    id: Box<str>,
    /// Nobody else has the id.
    made_up: bool,
    routing: Option<Box<str>>,
    conditions: Conditions,
    /// None: a deletion.
    document: Option<(Box<str>, Values, Arc<Batch>)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Conditions {
    create: bool,
    seq_no: Option<u64>,
    primary_term: Option<u64>,
    version: Option<Versioned>,
}

/// A document as writes see it.
#[derive(Debug, Clone, Copy)]
struct Current {
    seq_no: u64,
    version: u64,
    live: bool,
}

/// Does writes in their order. Answers with their outcomes, and with what must be synced before they are told.
pub fn write(
    index: &Arc<Index>,
    shard: &Arc<Shard>,
    writes: Vec<Write>,
    handle: &Handle,
) -> Result<(Vec<Outcome>, u64)> {
    shard.check()?;
    let mut outcomes = Vec::with_capacity(writes.len());
    let mut appended = 0;
    let mut writes = writes.into_iter().peekable();
    while let Some(write) = writes.next() {
        if let Op::Update(update) = &write.op {
            let outcome = update_one(index, shard, &write, update, handle, &mut appended)?;
            outcomes.push(outcome);
            continue;
        }
        let mut bytes = write.source.len();
        let mut run = vec![write];
        while run.len() < RUN
            && bytes < RUN_BYTES
            && let Some(next) = writes.next_if(|next| !matches!(next.op, Op::Update(_)))
        {
            bytes += next.source.len();
            run.push(next);
        }
        appended = write_run(index, shard, &run, bytes, handle, &mut outcomes)?.max(appended);
    }
    Ok((outcomes, appended))
}

fn write_run(
    index: &Arc<Index>,
    shard: &Arc<Shard>,
    run: &[Write],
    bytes: usize,
    handle: &Handle,
    outcomes: &mut Vec<Outcome>,
) -> Result<u64> {
    // Documents are numbered by the mapping that they were read by, so one that has grown begins another batch.
    let mut batch = Arc::new(Batch {
        mapping: index.mapping(),
        hold: Arc::new(shard.shared.gate.enter(bytes)),
    });
    let ready: Vec<_> = run
        .iter()
        .map(|write| prepare(index, write, &mut batch, handle))
        .collect::<Result<_>>()?;
    drop(batch);
    decide(index, shard, ready, outcomes)
}

/// A refused write, with its id.
struct Refused(String, Refusal);

/// Reads a write. The batch has the mapping to read by.
fn prepare(
    index: &Arc<Index>,
    write: &Write,
    batch: &mut Arc<Batch>,
    handle: &Handle,
) -> Result<Result<Ready, Refused>> {
    let made_up = write.id.is_none();
    let id = match &write.id {
        Some(id) => id.clone(),
        None => index.made_up_ids.next(),
    };
    let refused = |id: &str, refusal| Ok(Err(Refused(id.to_owned(), refusal)));
    if let Err(refusal) = check_id(&id) {
        return refused(&id, refusal);
    }
    if write.routing.is_none() && batch.mapping.routing_required() {
        let refusal = Refusal::new(
            "routing_missing_exception",
            format!("routing is required for [{}]/[{id}]", index.name()),
        );
        return refused(&id, index.about(refusal));
    }
    let document = if matches!(write.op, Op::Delete) {
        None
    } else {
        match read(index, &write.source, &id, batch, handle) {
            Ok(document) => Some(document),
            Err(IndexError::Refused(refusal)) => return refused(&id, refusal),
            Err(error) => return Err(error),
        }
    };
    Ok(Ok(Ready {
        id: id.into(),
        made_up,
        routing: write.routing.as_deref().map(Into::into),
        conditions: Conditions {
            create: matches!(write.op, Op::Create),
            seq_no: write.if_seq_no,
            primary_term: write.if_primary_term,
            version: write.version,
        },
        document,
    }))
}

fn read(
    index: &Arc<Index>,
    source: &[u8],
    id: &str,
    batch: &mut Arc<Batch>,
    handle: &Handle,
) -> Result<(Box<str>, Values, Arc<Batch>)> {
    let source = str::from_utf8(source).map_err(|error| {
        let reason = format!("Invalid UTF-8 at byte {}", error.valid_up_to());
        let cause = Refusal::new("x_content_parse_exception", reason.clone());
        Refusal::new(
            "document_parsing_exception",
            format!("[1:1] failed to parse: {reason}"),
        )
        .because(cause)
    })?;
    let mut parsed = walk(source, id, &batch.mapping)?;
    if !parsed.growth.is_empty() {
        let mapping;
        (mapping, parsed) = index.grow(source, id, handle)?;
        if !Arc::ptr_eq(&mapping, &batch.mapping) {
            *batch = Arc::new(Batch {
                mapping,
                hold: batch.hold.clone(),
            });
        }
    }
    Ok((source.into(), parsed.values, batch.clone()))
}

/// Decides on writes, appends those that are done to the translog and sends them on. What was appended so far is to be
/// synced.
fn decide(
    index: &Arc<Index>,
    shard: &Arc<Shard>,
    ready: Vec<Result<Ready, Refused>>,
    outcomes: &mut Vec<Outcome>,
) -> Result<u64> {
    let mut order = shard.order.lock();
    shard.check()?;
    let mut run = Run {
        index,
        lookup: shard.lookup.read().clone(),
        order: &mut order,
        frames: Frames::default(),
        operations: Vec::with_capacity(ready.len()),
        undo: Vec::with_capacity(ready.len()),
    };
    let (first_seq_no, begun) = (run.order.next_seq_no, outcomes.len());
    let done = ready
        .into_iter()
        .try_for_each(|item| {
            outcomes.push(run.one(item)?);
            Ok(())
        })
        .and_then(|()| run.append());
    let (undo, operations) = (run.undo, run.operations);
    if let Err(error) = done {
        // Nothing was written: it is as if nothing had been asked.
        for (id, before) in undo.into_iter().rev() {
            order.recent.undo(&id, before);
        }
        order.next_seq_no = first_seq_no;
        outcomes.truncate(begun);
        if order.translog.is_torn {
            shard.fail(&error);
        }
        return Err(error);
    }
    if !operations.is_empty() {
        let sent = shard.send(&mut order, Job::Apply(operations));
        // The translog has them and tantivy has not.
        sent.inspect_err(|error| shard.fail(error))?;
    }
    Ok(order.appended)
}

/// Writes that are done together.
struct Run<'a> {
    index: &'a Arc<Index>,
    lookup: Arc<Lookup>,
    order: &'a mut Order,
    frames: Frames,
    operations: Vec<Operation>,
    /// What was known of their ids before.
    undo: Vec<(Box<str>, Option<Recent>)>,
}

impl Run<'_> {
    fn one(&mut self, item: Result<Ready, Refused>) -> Result<Outcome> {
        let item = match item {
            Ok(item) => item,
            Err(Refused(id, refusal)) => {
                let result = Err(refusal);
                return Ok(Outcome { id, result });
            }
        };
        let before = if item.made_up {
            None
        } else {
            current(self.order, &self.lookup, &item.id)?
        };
        let id = String::from(&*item.id);
        let result = match check(&item.conditions, &id, before) {
            Ok(version) => Ok(self.accept(item, before.is_some_and(|before| before.live), version)),
            Err(refusal) => Err(self.index.about(refusal)),
        };
        Ok(Outcome { id, result })
    }

    fn accept(&mut self, item: Ready, replaces: bool, version: u64) -> Done {
        let seq_no = self.order.next_seq_no;
        self.order.next_seq_no += 1;
        let change = match &item.document {
            Some((source, ..)) => Change::Put {
                source,
                routing: item.routing.as_deref(),
                replaces,
            },
            None => Change::Delete,
        };
        let at = self.frames.push(&Frame {
            seq_no,
            version,
            id: &item.id,
            change,
        });
        let place = item.document.is_some().then(|| {
            let place = self.order.translog.place(at);
            Box::new((place, item.routing.clone()))
        });
        let recent = Recent {
            seq_no,
            version,
            place,
        };
        let before = self.order.recent.put(&item.id, recent);
        self.undo.push((item.id.clone(), before));
        let effect = match (&item.document, replaces) {
            (Some(_), true) => Effect::Updated,
            (Some(_), false) => Effect::Created,
            (None, true) => Effect::Deleted,
            (None, false) => Effect::NotFound,
        };
        match item.document {
            Some((source, values, batch)) => self.operations.push(Operation::Put {
                document: Document {
                    id: item.id,
                    routing: item.routing,
                    source,
                    values,
                    seq_no,
                    version,
                    batch,
                },
                replaces,
            }),
            None if replaces => self.operations.push(Operation::Delete(item.id)),
            None => {}
        }
        Done {
            effect,
            version,
            seq_no,
            primary_term: PRIMARY_TERM,
        }
    }

    fn append(&mut self) -> Result<()> {
        if !self.frames.is_empty() {
            self.order.translog.append(&self.frames)?;
            self.order.appended += 1;
        }
        Ok(())
    }
}

/// What there is with an id: the last write of it, perhaps its deletion.
fn current(order: &Order, lookup: &Lookup, id: &str) -> Result<Option<Current>> {
    if let Some(recent) = order.recent.get(id) {
        return Ok(Some(Current {
            seq_no: recent.seq_no,
            version: recent.version,
            live: recent.place.is_some(),
        }));
    }
    if let Some(located) = lookup.find(id)? {
        return Ok(Some(Current {
            seq_no: located.seq_no,
            version: located.version,
            live: true,
        }));
    }
    Ok(order.recent.tombstone(id).map(|(seq_no, version)| Current {
        seq_no,
        version,
        live: false,
    }))
}

fn conflict(id: &str, reason: &str) -> Refusal {
    Refusal::new(
        "version_conflict_engine_exception",
        format!("[{id}]: version conflict, {reason}"),
    )
}

/// Whether a write may be done, and the version that it makes.
fn check(conditions: &Conditions, id: &str, current: Option<Current>) -> Result<u64, Refusal> {
    let live = current.filter(|current| current.live);
    if let Some(wanted) = conditions.seq_no {
        let term = conditions.primary_term.unwrap_or(PRIMARY_TERM);
        let wanted_is = format!("required seqNo [{wanted}], primary term [{term}].");
        match live {
            None => {
                return Err(conflict(
                    id,
                    &format!("{wanted_is} but no document was found"),
                ));
            }
            Some(live) if live.seq_no != wanted || term != PRIMARY_TERM => {
                return Err(conflict(
                    id,
                    &format!(
                        "{wanted_is} current document has seqNo [{}] and primary term [{PRIMARY_TERM}]",
                        live.seq_no
                    ),
                ));
            }
            Some(_) => {}
        }
    }
    if conditions.create
        && let Some(live) = live
    {
        let reason = format!(
            "document already exists (current version [{}])",
            live.version
        );
        return Err(conflict(id, &reason));
    }
    match (conditions.version, current) {
        (None, None) => Ok(1),
        (None, Some(current)) => Ok(current.version + 1),
        (Some(Versioned::External(version)), Some(current)) if current.version >= version => {
            Err(conflict(
                id,
                &format!(
                    "current version [{}] is higher or equal to the one provided [{version}]",
                    current.version
                ),
            ))
        }
        (Some(Versioned::ExternalOrEqual(version)), Some(current)) if current.version > version => {
            Err(conflict(
                id,
                &format!(
                    "current version [{}] is higher than the one provided [{version}]",
                    current.version
                ),
            ))
        }
        (Some(Versioned::External(version) | Versioned::ExternalOrEqual(version)), _) => {
            Ok(version)
        }
    }
}

/// The document with an id as it is now.
pub fn stored(shard: &Shard, id: &str) -> Result<Option<Stored>> {
    let recent = shard.order.lock().recent.get(id).cloned();
    if let Some(recent) = recent {
        let Some(place) = recent.place else {
            return Ok(None);
        };
        let (place, routing) = *place;
        return Ok(Some(Stored {
            source: place.read()?.into(),
            routing: routing.map(String::from),
            version: recent.version,
            seq_no: recent.seq_no,
            primary_term: PRIMARY_TERM,
        }));
    }
    // What isn't recent any more is in the commit that look-ups have by now.
    let lookup = shard.lookup.read().clone();
    let Some(located) = lookup.find(id)? else {
        return Ok(None);
    };
    let hit = super::reader::document(&lookup.searcher, located.address)?;
    Ok(Some(Stored {
        source: hit.source.into(),
        routing: hit.routing,
        version: located.version,
        seq_no: located.seq_no,
        primary_term: PRIMARY_TERM,
    }))
}

/// An update: what there is, with the change over it, is written if nobody else wrote in between.
fn update_one(
    index: &Arc<Index>,
    shard: &Arc<Shard>,
    write: &Write,
    update: &Update,
    handle: &Handle,
    appended: &mut u64,
) -> Result<Outcome> {
    let id = write.id.clone().unwrap_or_default();
    let refused = |refusal: Refusal| {
        Ok(Outcome {
            id: id.clone(),
            result: Err(refusal),
        })
    };
    let none = Map::new();
    let mut retries = update.retry_on_conflict;
    loop {
        let before = stored(shard, &id)?;
        let (source, conditions): (Bytes, _) = match &before {
            None => match (&update.upsert, &update.doc) {
                (_, Some(doc)) if update.doc_as_upsert => (text_of(doc).into(), None),
                (Some(upsert), _) => (text_of(upsert).into(), None),
                _ => {
                    let refusal = Refusal::new(
                        "document_missing_exception",
                        format!("[{id}]: document missing"),
                    );
                    return refused(index.about(refusal));
                }
            },
            Some(before) => {
                let current = Current {
                    seq_no: before.seq_no,
                    version: before.version,
                    live: true,
                };
                let wanted = Conditions {
                    seq_no: write.if_seq_no,
                    primary_term: write.if_primary_term,
                    ..Conditions::default()
                };
                if let Err(refusal) = check(&wanted, &id, Some(current)) {
                    return refused(index.about(refusal));
                }
                let part = update.doc.as_ref().unwrap_or(&none);
                // It was JSON when it was written.
                let merged = str::from_utf8(&before.source)
                    .ok()
                    .and_then(|source| merged(source, part).ok())
                    .flatten();
                let source = match merged {
                    Some(source) => source.into(),
                    None if !update.detect_noop => before.source.clone(),
                    None => {
                        return Ok(Outcome {
                            id,
                            result: Ok(Done {
                                effect: Effect::Noop,
                                version: before.version,
                                seq_no: before.seq_no,
                                primary_term: before.primary_term,
                            }),
                        });
                    }
                };
                (source, Some(before.seq_no))
            }
        };
        let whole = Write {
            op: if conditions.is_some() {
                Op::Index
            } else {
                Op::Create
            },
            id: Some(id.clone()),
            source,
            routing: write
                .routing
                .clone()
                .or_else(|| before.and_then(|before| before.routing)),
            if_seq_no: conditions,
            if_primary_term: conditions.map(|_| PRIMARY_TERM),
            version: None,
        };
        let mut outcomes = Vec::new();
        let bytes = whole.source.len();
        *appended = write_run(index, shard, &[whole], bytes, handle, &mut outcomes)?.max(*appended);
        let Some(outcome) = outcomes.pop() else {
            return refused(Refusal::illegal_argument("the update came to nothing"));
        };
        match &outcome.result {
            Err(refusal) if refusal.kind == "version_conflict_engine_exception" && retries > 0 => {
                retries -= 1;
            }
            _ => return Ok(outcome),
        }
    }
}

fn text_of(object: &Map<String, Value>) -> String {
    // It has no part that isn't JSON.
    serde_json::to_string(object).unwrap_or_default()
}
