//! Fields that are asked for beside the source.

use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;
use serde_json::{Map, Value};
use tantivy::{DocAddress, SegmentOrdinal};

use super::error::{Result, fault};
use super::values::{FieldValues, Scalar};
use super::view::View;
use crate::dates::{DateFormat, Zone};
use crate::query::{self, Field, FieldType, Schema, values, wildcard};

/// The columns that have been opened for a page of a target's documents.
#[derive(Default)]
pub(super) struct Columns(FxHashMap<SegmentOrdinal, FxHashMap<String, FieldValues>>);

impl Columns {
    fn of(&mut self, view: &View, segment: SegmentOrdinal, path: &str) -> Result<&mut FieldValues> {
        let opened = self.0.entry(segment).or_default();
        Ok(match opened.entry(path.to_owned()) {
            Entry::Occupied(column) => column.into_mut(),
            Entry::Vacant(place) => place.insert(FieldValues::open(view, segment, path)?),
        })
    }
}

/// A field by its name or a pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub field: String,
    /// How its dates are written.
    pub format: Option<DateFormat>,
}

impl Asked {
    /// A list of names, or of objects with a name and a format.
    ///
    /// # Errors
    /// For what is neither, and for formats that aren't known.
    pub fn parse(name: &str, json: &Value) -> Result<Vec<Self>> {
        let wrong = || {
            fault(
                "parsing_exception",
                format!("[{name}] expects a list of fields, found [{json}]"),
            )
        };
        let one = |value: &Value| {
            let field = value
                .as_str()
                .or(value["field"].as_str())
                .ok_or_else(wrong)?;
            let format = match value.get("format").and_then(Value::as_str) {
                None | Some("use_field_mapping") => None,
                Some(text) => Some(format(text)?),
            };
            Ok(Self {
                field: field.to_owned(),
                format,
            })
        };
        match json {
            Value::Array(all) => all.iter().map(one).collect(),
            value => Ok(vec![one(value)?]),
        }
    }

    /// Adds the values that a result has of it.
    pub(super) fn of_result(
        &self,
        source: &Value,
        schema: &dyn Schema,
        fields: &mut Map<String, Value>,
    ) {
        let names: Vec<&str> = match self.field.contains('*') {
            true => {
                let all = source.as_object().into_iter().flat_map(Map::keys);
                all.map(String::as_str)
                    .filter(|name| wildcard(&self.field, name))
                    .collect()
            }
            false => vec![&self.field],
        };
        for name in names {
            let field = schema.field(name);
            let mut found = Vec::new();
            values(source, name, &mut |value| {
                if !value.is_object() {
                    found.push(self.shown(field.as_ref(), value.clone()));
                }
                false
            });
            if !found.is_empty() {
                fields.insert(name.to_owned(), found.into());
            }
        }
    }

    /// Adds the values that a document has of it in its source; of a runtime field, those that are computed.
    pub(super) fn of_source(
        &self,
        view: &View,
        source: &Value,
        address: DocAddress,
        columns: &mut Columns,
        fields: &mut Map<String, Value>,
    ) -> Result<()> {
        for path in self.paths(view) {
            if view.runtime.contains_key(&path) {
                self.of_column(view, &path, address, columns, fields)?;
                continue;
            }
            let Some(field) = view.field(&path) else {
                continue;
            };
            let mut shown = Vec::new();
            values(source, &view.in_source(&path), &mut |value| {
                let value = query::as_field(&field, value);
                shown.extend(value.map(|value| self.shown(Some(&field), value)));
                false
            });
            if !shown.is_empty() {
                fields.insert(path, shown.into());
            }
        }
        Ok(())
    }

    /// Adds the values that a document has of it in columns.
    pub(super) fn of_columns(
        &self,
        view: &View,
        address: DocAddress,
        columns: &mut Columns,
        fields: &mut Map<String, Value>,
    ) -> Result<()> {
        for path in self.paths(view) {
            self.of_column(view, &path, address, columns, fields)?;
        }
        Ok(())
    }

    fn of_column(
        &self,
        view: &View,
        path: &str,
        address: DocAddress,
        columns: &mut Columns,
        fields: &mut Map<String, Value>,
    ) -> Result<()> {
        let field = view.field(path);
        let column = columns.of(view, address.segment_ord, path)?;
        column.hold(address.doc_id)?;
        let mut shown = Vec::new();
        column.each(address.doc_id, &mut |value: Scalar<'_>| {
            shown.push(self.shown(field.as_ref(), value.json()));
        })?;
        if !shown.is_empty() {
            fields.insert(path.to_owned(), shown.into());
        }
        Ok(())
    }

    fn paths(&self, view: &View) -> Vec<String> {
        match self.field.contains('*') {
            true => view.matching(&self.field),
            false => vec![self.field.clone()],
        }
    }

    fn shown(&self, field: Option<&Field>, value: Value) -> Value {
        let Some(field) = field else {
            return value;
        };
        let format = self.format.as_ref().unwrap_or(&field.format);
        match (field.of, value.as_i64()) {
            (FieldType::Date, Some(millis)) => format.format(millis, Zone::Utc).into(),
            (FieldType::DateNanos, Some(nanos)) => format.format_nanos(nanos, Zone::Utc).into(),
            _ => value,
        }
    }
}

/// # Errors
/// For one that isn't known.
pub(super) fn format(text: &str) -> Result<DateFormat> {
    DateFormat::new(text).ok_or_else(|| {
        fault(
            "illegal_argument_exception",
            format!("Invalid format: [{text}]: Unknown pattern"),
        )
    })
}
