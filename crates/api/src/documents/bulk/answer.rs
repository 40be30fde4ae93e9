//! What is said of a document that was written.

use std::fmt::Write as _;

use tidewatch_jobs::JobError;
use tidewatch_jobs::documents::Outcome;
use tidewatch_store::index::{Done, Effect};

use crate::error::details;

/// The HTTP status of what was done.
pub fn status(effect: Effect) -> u16 {
    match effect {
        Effect::Created => 201,
        Effect::NotFound => 404,
        Effect::Updated | Effect::Deleted | Effect::Noop => 200,
    }
}

/// Text in JSON.
pub fn quote(to: &mut String, text: &str) {
    if text
        .bytes()
        .all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
    {
        to.push('"');
        to.push_str(text);
        to.push('"');
    } else {
        // A string is always written.
        to.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

/// The fields that tell of a document that was written, without the brackets around them. `forced`: it was refreshed at
/// once.
pub fn written(to: &mut String, index: &str, id: &str, done: &Done, forced: bool) {
    to.push_str("\"_index\":");
    quote(to, index);
    to.push_str(",\"_id\":");
    quote(to, id);
    let copies = u8::from(done.effect != Effect::Noop);
    let forced = if forced && copies > 0 {
        ",\"forced_refresh\":true"
    } else {
        ""
    };
    // Writing to a string can't fail.
    let _ = write!(
        to,
        ",\"_version\":{},\"result\":\"{}\"{forced},\"_shards\":{{\"total\":{copies},\"successful\":{copies},\
         \"failed\":0}},\"_seq_no\":{},\"_primary_term\":{}",
        done.version,
        done.effect.name(),
        done.seq_no,
        done.primary_term
    );
}

/// An item of a bulk's answer. `get`: what an update shows of the document.
pub fn item(
    to: &mut String,
    action: &str,
    index: &str,
    outcome: &Outcome,
    forced: bool,
    get: Option<&str>,
) {
    let _ = write!(to, "{{\"{action}\":{{");
    match &outcome.result {
        Ok(done) => {
            written(to, index, &outcome.id, done, forced);
            if let Some(get) = get {
                let _ = write!(to, ",\"get\":{get}");
            }
            let _ = write!(to, ",\"status\":{}}}}}", status(done.effect));
        }
        Err(error) => failed(to, index, Some(&outcome.id), error),
    }
}

/// What is said in the place of a document that was refused, up to the brackets around its action.
fn failed(to: &mut String, index: &str, id: Option<&str>, error: &JobError) {
    to.push_str("\"_index\":");
    quote(to, index);
    to.push_str(",\"_id\":");
    match id {
        Some(id) => quote(to, id),
        None => to.push_str("null"),
    }
    let _ = write!(
        to,
        ",\"status\":{},\"error\":{}}}}}",
        error.status,
        details(error)
    );
}

/// An item for a document that has no place to go to.
pub fn refused(to: &mut String, action: &str, index: &str, id: Option<&str>, error: &JobError) {
    let _ = write!(to, "{{\"{action}\":{{");
    failed(to, index, id, error);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn items_are_json() {
        let done = Done {
            effect: Effect::Created,
            version: 1,
            seq_no: 7,
            primary_term: 1,
        };
        let mut outcome = Outcome {
            id: "a\"\n\u{1}é".to_owned(),
            result: Ok(done),
        };
        let told = |outcome: &Outcome, get: Option<&str>| -> Value {
            let mut text = String::new();
            item(&mut text, "index", "logs", outcome, true, get);
            serde_json::from_str(&text).expect(&text)
        };
        assert_eq!(
            told(&outcome, Some("{\"found\":true}")),
            json!({"index": {
                "_index": "logs", "_id": "a\"\n\u{1}é", "_version": 1, "result": "created", "forced_refresh": true,
                "_shards": {"total": 1, "successful": 1, "failed": 0}, "_seq_no": 7, "_primary_term": 1,
                "get": {"found": true}, "status": 201
            }})
        );
        outcome.result =
            Err(JobError::new(409, "version_conflict_engine_exception", "r").about("logs", "u"));
        assert_eq!(
            told(&outcome, None)["index"]["error"],
            json!({"type": "version_conflict_engine_exception", "reason": "r", "index_uuid": "u", "shard": "0",
                   "index": "logs"})
        );
        let mut text = String::new();
        refused(&mut text, "create", "_x", None, &JobError::parse("p"));
        let told: Value = serde_json::from_str(&text).expect(&text);
        assert_eq!(told["create"]["_id"], Value::Null);
    }
}
