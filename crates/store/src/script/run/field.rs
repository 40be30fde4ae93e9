//! The fields of the document, and what runtime fields emit.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, FixedOffset};

use super::super::context::Kind;
use super::super::document::{Field, FieldValue, NoField};
use super::super::error::Fault;
use super::super::value::Value;
use super::{EMITTED, EMITTED_CHARS, Loaded, Plain, Run};

fn problem(name: &str, problem: NoField) -> Fault {
    match problem {
        NoField::Unmapped => Fault::argument(format!("No field found for [{name}] in mapping")),
        NoField::Refused(reason) => Fault::argument(reason),
    }
}

pub(super) fn no_value() -> Fault {
    Fault::new(
        "illegal_state_exception",
        "A document doesn't have a value for a field! Use doc[<field>].size()==0 to check if a document is missing a field!",
    )
}

fn zoned(time: Option<DateTime<chrono::Utc>>) -> Plain<DateTime<FixedOffset>> {
    time.map(|time| time.fixed_offset())
        .ok_or_else(|| Fault::argument("the date is out of range"))
}

impl<'a> Run<'a> {
    /// Reads a field that the script names; its place among those that were read.
    pub(super) fn named(&mut self, at: usize) -> Plain<usize> {
        self.load(Ok(at), false)
    }

    pub(super) fn named_or_none(&mut self, at: usize) -> Plain<usize> {
        self.load(Ok(at), true)
    }

    pub(super) fn unnamed(&mut self, name: &Arc<str>) -> Plain<usize> {
        self.load(Err(name.clone()), false)
    }

    pub(super) fn unnamed_or_none(&mut self, name: &Arc<str>) -> Plain<usize> {
        self.load(Err(name.clone()), true)
    }

    /// `lenient` where a field that isn't there is one without values.
    fn load(&mut self, field: std::result::Result<usize, Arc<str>>, lenient: bool) -> Plain<usize> {
        let known = |loaded: &Loaded| loaded.field == field && (lenient || !loaded.missing);
        if let Some(place) = self.loaded.iter().position(known) {
            return Ok(place);
        }
        let program = self.program;
        let (name, at) = match &field {
            Ok(at) => (program.fields[*at].as_str(), Some(*at)),
            Err(name) => (
                &**name,
                program.fields.iter().position(|field| **field == **name),
            ),
        };
        let mut values = Vec::new();
        let missing = match self.document.values(Field { name, at }, &mut values) {
            Ok(()) => false,
            Err(NoField::Unmapped) if lenient => true,
            Err(why) => return Err(problem(name, why)),
        };
        self.take((values.len() + 1) * size_of::<FieldValue>())?;
        self.loaded.push(Loaded {
            field,
            values,
            missing,
        });
        Ok(self.loaded.len() - 1)
    }

    pub(super) fn has_field(&mut self, name: &str) -> bool {
        let at = self.program.fields.iter().position(|field| field == name);
        self.document
            .values(Field { name, at }, &mut Vec::new())
            .is_ok()
    }

    pub(super) fn field_size(&self, place: usize) -> usize {
        self.loaded[place].values.len()
    }

    pub(super) fn field_value(&self, place: usize, at: usize) -> Plain<Option<Value<'a>>> {
        let Some(value) = self.loaded[place].values.get(at) else {
            return Ok(None);
        };
        Ok(Some(match value {
            FieldValue::Bool(value) => Value::Bool(*value),
            FieldValue::Long(number) => Value::long(*number),
            FieldValue::Double(number) => Value::double(*number),
            FieldValue::Text(text) => Value::Text(text.clone()),
            FieldValue::Date(millis) => {
                Value::Zoned(zoned(DateTime::from_timestamp_millis(*millis))?)
            }
            FieldValue::DateNanos(nanos) => {
                Value::Zoned(zoned(Some(DateTime::from_timestamp_nanos(*nanos)))?)
            }
        }))
    }

    pub(super) fn field_values(&mut self, place: usize) -> Plain<Vec<Value<'a>>> {
        let count = self.field_size(place);
        self.work(count)?;
        let values = (0..count).filter_map(|at| self.field_value(place, at).transpose());
        values.collect()
    }

    /// A value of the runtime field that the script is of.
    pub(super) fn emit(&mut self, value: Value<'a>) -> Plain<()> {
        let field = self.emits;
        if self.emitted.len() >= EMITTED {
            let count = EMITTED + 1;
            return Err(Fault::argument(format!(
                "Runtime field [{field}] is emitting [{count}] values while the maximum number of values allowed is [{EMITTED}]"
            )));
        }
        let value = match value {
            Value::Bool(value) => FieldValue::Bool(value),
            Value::Text(text) if self.kind == Some(Kind::Ip) => {
                let address: IpAddr = text.parse().map_err(|_| {
                    Fault::argument(format!("'{text}' is not an IP string literal."))
                })?;
                FieldValue::Text(address.to_canonical().to_string().into())
            }
            Value::Text(text) => {
                self.emitted_chars += text.len();
                if self.emitted_chars > EMITTED_CHARS {
                    let count = self.emitted_chars;
                    return Err(Fault::argument(format!(
                        "Runtime field [{field}] is emitting [{count}] characters while the maximum number of values allowed is [{EMITTED_CHARS}]"
                    )));
                }
                FieldValue::Text(text)
            }
            Value::Null => {
                return Err(Fault::new(
                    "null_pointer_exception",
                    "Cannot invoke \"String.length()\" because \"v\" is null",
                ));
            }
            other => match (other.number(), self.kind) {
                (Some(number), Some(Kind::Double)) => FieldValue::Double(number.double()),
                (Some(number), Some(Kind::Date)) => FieldValue::Date(number.long()),
                (Some(number), _) => FieldValue::Long(number.long()),
                (None, _) => {
                    let reason = format!("cannot emit [{}]", other.class());
                    return Err(Fault::cast(reason));
                }
            },
        };
        self.emitted.push(value);
        Ok(())
    }
}
