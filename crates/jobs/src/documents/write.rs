//! Writing documents to an index, whichever it is.

use serde_json::{Map, Value};
use tidewatch_store::index::{Done, Effect, Op, Write};

use super::own::Destination;
use super::{Incoming, Index};
use crate::error::{JobError, Result};
use crate::manager::Jobs;

/// What became of one write.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Also where one was made up.
    pub id: String,
    pub result: Result<Done>,
}

/// Internal documents have no versions: there is but the last of each.
fn done(effect: Effect) -> Done {
    Done {
        effect,
        version: 1,
        seq_no: 0,
        primary_term: 1,
    }
}

impl Jobs {
    /// Does the writes in their order, and says of each what became of it. What is done is durable when this returns.
    ///
    /// # Errors
    /// Nothing could be written at all.
    pub async fn write(&self, to: &Destination, writes: Vec<Write>) -> Result<Vec<Outcome>> {
        match to {
            Destination::Internal(index) => self.write_internal(index, writes).await,
            Destination::Own(index) => {
                let name = index.name();
                let uuid = index.uuid();
                let told = |error: JobError| match (error.kind, &error.about) {
                    ("version_conflict_engine_exception" | "document_missing_exception", None) => {
                        error.about(name, uuid)
                    }
                    _ => error,
                };
                let outcomes = index.write(writes).await?;
                Ok(outcomes
                    .into_iter()
                    .map(|outcome| Outcome {
                        id: outcome.id,
                        result: outcome
                            .result
                            .map_err(|refusal| told(JobError::from(refusal))),
                    })
                    .collect())
            }
        }
    }

    async fn write_internal(&self, index: &Index, writes: Vec<Write>) -> Result<Vec<Outcome>> {
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(writes.len());
        // What waits to be written together, each with the place of its outcome.
        let mut waiting: Vec<(usize, Incoming)> = Vec::new();
        for write in writes {
            let id = write
                .id
                .clone()
                .unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
            let incoming = incoming(index, &id, &write);
            let at = outcomes.len();
            outcomes.push(Outcome {
                id: id.clone(),
                result: Ok(done(Effect::Created)),
            });
            match incoming {
                Err(error) => outcomes[at].result = Err(error),
                Ok(Some(incoming)) => waiting.push((at, incoming)),
                Ok(None) => {
                    // What stands before it is there when it goes.
                    self.settle(&mut waiting, &mut outcomes).await?;
                    let gone = self.delete_documents(index, vec![id]).await?;
                    outcomes[at].result = Ok(done(match gone == [true] {
                        true => Effect::Deleted,
                        false => Effect::NotFound,
                    }));
                }
            }
        }
        self.settle(&mut waiting, &mut outcomes).await?;
        Ok(outcomes)
    }

    async fn settle(
        &self,
        waiting: &mut Vec<(usize, Incoming)>,
        outcomes: &mut [Outcome],
    ) -> Result<()> {
        let (places, documents): (Vec<usize>, Vec<Incoming>) = waiting.drain(..).unzip();
        if documents.is_empty() {
            return Ok(());
        }
        let written = self.write_documents(documents).await?;
        for (at, written) in places.into_iter().zip(written) {
            outcomes[at].result = written.map(|is_new| match is_new {
                true => done(Effect::Created),
                false => done(Effect::Updated),
            });
        }
        Ok(())
    }
}

/// The document of a write to an internal index; none for a deletion.
fn incoming(index: &Index, id: &str, write: &Write) -> Result<Option<Incoming>> {
    let has_conditions =
        write.if_seq_no.is_some() || write.if_primary_term.is_some() || write.version.is_some();
    if has_conditions {
        return Err(JobError::illegal_argument(format!(
            "documents of the internal index [{}] have no versions to compare with",
            index.name
        )));
    }
    let only_new = match &write.op {
        Op::Delete => return Ok(None),
        Op::Index => false,
        Op::Create => true,
        Op::Update(_) => {
            return Err(JobError::illegal_argument(format!(
                "[update] is not supported in the internal index [{}]: send the whole document by [index]",
                index.name
            )));
        }
    };
    Ok(Some(Incoming {
        index: index.clone(),
        id: id.to_owned(),
        only_new,
        source: source(&write.source)?,
    }))
}

/// The fields of a document.
fn source(bytes: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let reason = format!("[{line}:{column}] failed to parse: {error}");
        JobError::new(400, "document_parsing_exception", reason)
    })
}
