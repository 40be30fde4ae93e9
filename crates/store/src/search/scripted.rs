//! Runtime fields: of a script, or read from the source.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use tantivy::{DocAddress, DocId, SegmentOrdinal};

use super::error::{Result, SearchError, illegal, refuse};
use super::values::{Datum, FieldValues, Scalar};
use super::view::{Computed, Runtime, RuntimeFields, View};
use crate::dates::DateFormat;
use crate::query::{self, Field, FieldType, Schema};
use crate::script::{self, Context, Document, FieldValue, Kind, NoField, Script};

/// Runtime fields that read one another.
const DEPTH: usize = 5;

/// The field of a mapping's `runtime` section, or of a request's `runtime_mappings`.
#[derive(Debug)]
struct Scripted {
    name: String,
    field: Field,
    kind: Kind,
    /// Without, the values of the source are meant.
    script: Option<Arc<Script>>,
}

/// Runtime fields by their definitions: path to `{"type": .., "script": .., "format": ..}`. A null is no field.
///
/// # Errors
/// For what is malformed or not supported, for a script that can't be compiled, and for fields that read themselves.
pub fn runtime_fields(definitions: &Map<String, Value>) -> Result<RuntimeFields> {
    let mut fields = BTreeMap::new();
    for (name, definition) in definitions {
        if !definition.is_null() {
            fields.insert(name.clone(), Scripted::parse(name, definition)?);
        }
    }
    for name in fields.keys() {
        check_circle(&fields, &mut vec![name])?;
    }
    let runtime = fields.into_iter().map(|(name, field)| {
        let field: Arc<dyn Runtime> = Arc::new(field);
        (name, field)
    });
    Ok(runtime.collect())
}

/// The way from a field to those that it reads.
fn check_circle<'f>(fields: &'f BTreeMap<String, Scripted>, way: &mut Vec<&'f str>) -> Result<()> {
    let script = way
        .last()
        .and_then(|name| fields.get(*name)?.script.as_ref());
    for read in script.into_iter().flat_map(|script| script.fields()) {
        if !fields.contains_key(read) {
            continue;
        }
        let is_circle = way.contains(&read.as_str());
        if is_circle || way.len() >= DEPTH {
            let told = format!("{} -> {read}", way.join(" -> "));
            let what = match is_circle {
                true => "Cyclic dependency detected while resolving runtime fields",
                false => "Field requires resolving too many dependent fields",
            };
            return illegal(format!("{what}: {told}"));
        }
        way.push(read);
        check_circle(fields, way)?;
        way.pop();
    }
    Ok(())
}

impl Scripted {
    fn parse(name: &str, definition: &Value) -> Result<Self> {
        let Some(definition) = definition.as_object() else {
            return refuse(
                "mapper_parsing_exception",
                format!(
                    "Expected map for runtime field [{name}] definition but got [{definition}]"
                ),
            );
        };
        let malformed = |reason: String| refuse("mapper_parsing_exception", reason);
        let Some(type_name) = definition.get("type").and_then(Value::as_str) else {
            return malformed(format!("No type specified for runtime field [{name}]"));
        };
        let Some(kind) = Kind::of(type_name) else {
            return malformed(match type_name {
                "composite" | "geo_point" | "geo_shape" | "lookup" => {
                    format!("runtime fields of type [{type_name}] are not supported: [{name}]")
                }
                _ => format!(
                    "The mapper type [{type_name}] declared on runtime field [{name}] does not exist. It might have \
                     been created within a future version or requires a plugin to be installed. Check the documentation."
                ),
            });
        };
        let mut format = DateFormat::default();
        let mut script = None;
        for (parameter, value) in definition {
            match (parameter.as_str(), value) {
                ("type" | "meta", _) => {}
                ("script", Value::Null) => {}
                ("script", value) => {
                    let read = Script::read(value, Context::Runtime(kind))?;
                    script = Some(Arc::new(read));
                }
                ("format", Value::String(text)) if kind == Kind::Date => {
                    format = super::asked::format(text)?;
                }
                // Where a script fails, its document is refused, unless it is to go on without.
                ("on_script_error", Value::String(text)) if text == "fail" => {}
                _ => {
                    return malformed(format!(
                        "unknown parameter [{parameter}] on runtime field [{name}] of type [{type_name}]"
                    ));
                }
            }
        }
        let (of, type_name) = match kind {
            Kind::Keyword => (FieldType::Keyword, "keyword"),
            Kind::Long => (FieldType::Number, "long"),
            Kind::Double => (FieldType::Number, "double"),
            Kind::Boolean => (FieldType::Bool, "boolean"),
            Kind::Date => (FieldType::Date, "date"),
            Kind::Ip => (FieldType::Ip, "ip"),
        };
        Ok(Self {
            name: name.to_owned(),
            field: Field {
                format,
                ..Field::new(of, type_name)
            },
            kind,
            script,
        })
    }
}

impl Runtime for Scripted {
    fn field(&self) -> Field {
        self.field.clone()
    }

    fn open(&self, view: &View, segment: SegmentOrdinal) -> Result<Box<dyn Computed>> {
        Ok(match &self.script {
            Some(script) => Box::new(Emitting {
                name: self.name.clone(),
                script: script.clone(),
                reading: Reading::open(view, segment, script)?,
                emitted: Vec::new(),
            }),
            None => Box::new(FromSource {
                view: view.clone(),
                segment,
                name: self.name.clone(),
                field: self.field.clone(),
                kind: self.kind,
            }),
        })
    }
}

/// What a script looks at in a segment.
struct Reading {
    view: View,
    segment: SegmentOrdinal,
    /// Those that the script names.
    columns: Vec<Option<Column>>,
}

struct Column {
    values: FieldValues,
    of: FieldType,
}

impl Column {
    fn open(
        view: &View,
        segment: SegmentOrdinal,
        name: &str,
    ) -> std::result::Result<Self, NoColumn> {
        let field = view
            .field(name)
            .ok_or(NoColumn::Script(NoField::Unmapped))?;
        if field.of == FieldType::Text {
            let index = view.name();
            return Err(NoColumn::Script(NoField::Refused(format!(
                "Fielddata is disabled on [{name}] in [{index}]. Text fields are not optimised for operations that \
                 require per-document field data like aggregations and sorting, so these operations are disabled by \
                 default. Please use a keyword field instead. Alternatively, set fielddata=true on [{name}] in order \
                 to load field data by uninverting the inverted index. Note that this can use significant memory."
            ))));
        }
        if !field.has_column || field.of == FieldType::Point {
            let kind = field.type_name;
            return Err(NoColumn::Script(NoField::Refused(format!(
                "Can't load fielddata on [{name}] because fielddata is unsupported on fields of type [{kind}]. Use doc \
                 values instead."
            ))));
        }
        Ok(Self {
            values: FieldValues::open(view, segment, name)?,
            of: field.of,
        })
    }

    fn read(&mut self, doc: DocId, values: &mut Vec<FieldValue>) -> Result<()> {
        let of = self.of;
        self.values.hold(doc)?;
        self.values.each(doc, &mut |value| {
            values.push(match value {
                Scalar::I64(value) if of == FieldType::Date => FieldValue::Date(value),
                Scalar::I64(value) if of == FieldType::DateNanos => FieldValue::DateNanos(value),
                Scalar::I64(value) => FieldValue::Long(value),
                Scalar::U64(value) => FieldValue::Long(value.cast_signed()),
                Scalar::F64(value) => FieldValue::Double(value),
                Scalar::Bool(value) => FieldValue::Bool(value),
                Scalar::Str(value) => FieldValue::Text(value.into()),
                Scalar::Point(..) => return,
            });
        })
    }
}

enum NoColumn {
    Script(NoField),
    Search(SearchError),
}

impl From<SearchError> for NoColumn {
    fn from(error: SearchError) -> Self {
        Self::Search(error)
    }
}

impl Reading {
    fn open(view: &View, segment: SegmentOrdinal, script: &Script) -> Result<Self> {
        let mut columns = Vec::new();
        for name in script.fields() {
            columns.push(match Column::open(view, segment, name) {
                Ok(column) => Some(column),
                // It is told when the script asks for it, which it may not.
                Err(NoColumn::Script(_)) => None,
                Err(NoColumn::Search(error)) => return Err(error),
            });
        }
        Ok(Self {
            view: view.clone(),
            segment,
            columns,
        })
    }

    /// Runs a script over a document.
    fn run<T>(
        &mut self,
        doc: DocId,
        run: impl FnOnce(&dyn Document) -> script::Result<T>,
    ) -> Result<T> {
        let looked = Looked {
            view: &self.view,
            address: DocAddress::new(self.segment, doc),
            columns: RefCell::new(&mut self.columns),
            source: OnceCell::new(),
            failure: RefCell::new(None),
        };
        let result = run(&looked);
        match looked.failure.into_inner() {
            Some(error) => Err(error),
            None => Ok(result?),
        }
    }
}

/// A document while a script looks at it.
struct Looked<'r> {
    view: &'r View,
    address: DocAddress,
    columns: RefCell<&'r mut Vec<Option<Column>>>,
    source: OnceCell<Option<Value>>,
    /// What kept a value from being read.
    failure: RefCell<Option<SearchError>>,
}

impl Looked<'_> {
    fn fail(&self, error: SearchError) {
        self.failure.borrow_mut().get_or_insert(error);
    }
}

impl Document for Looked<'_> {
    fn values(
        &self,
        field: script::Field<'_>,
        values: &mut Vec<FieldValue>,
    ) -> std::result::Result<(), NoField> {
        let doc = self.address.doc_id;
        let mut columns = self.columns.borrow_mut();
        let known = field
            .at
            .and_then(|at| columns.get_mut(at))
            .and_then(Option::as_mut);
        let read = match known {
            Some(column) => column.read(doc, values),
            // A runtime field could read the one that is computed.
            None if field.at.is_none() && self.view.runtime.contains_key(field.name) => {
                let reason = format!(
                    "runtime field [{}] must be named in the script as it is",
                    field.name
                );
                return Err(NoField::Refused(reason));
            }
            None => match Column::open(self.view, self.address.segment_ord, field.name) {
                Ok(mut column) => column.read(doc, values),
                Err(NoColumn::Script(why)) => return Err(why),
                Err(NoColumn::Search(error)) => Err(error),
            },
        };
        if let Err(error) = read {
            self.fail(error);
        }
        Ok(())
    }

    fn source(&self) -> Option<&Value> {
        let read = || match self.view.reader.source(self.address) {
            Ok(source) => serde_json::from_slice(&source).ok(),
            Err(error) => {
                self.fail(error.into());
                None
            }
        };
        self.source.get_or_init(read).as_ref()
    }
}

/// The values that a script emits.
struct Emitting {
    name: String,
    script: Arc<Script>,
    reading: Reading,
    emitted: Vec<FieldValue>,
}

impl Computed for Emitting {
    fn values(&mut self, doc: DocId, out: &mut Vec<Datum>) -> Result<()> {
        let Self {
            name,
            script,
            reading,
            emitted,
        } = self;
        reading.run(doc, |document| script.emit(name, document, emitted))?;
        out.extend(emitted.drain(..).map(|value| match value {
            FieldValue::Bool(value) => Datum::Bool(value),
            FieldValue::Long(value) | FieldValue::Date(value) | FieldValue::DateNanos(value) => {
                Datum::I64(value)
            }
            FieldValue::Double(value) => Datum::F64(value),
            FieldValue::Text(text) => Datum::Str(text.to_string()),
        }));
        Ok(())
    }
}

/// The values that were written, whether they are mapped or not.
struct FromSource {
    view: View,
    segment: SegmentOrdinal,
    name: String,
    field: Field,
    kind: Kind,
}

impl Computed for FromSource {
    fn values(&mut self, doc: DocId, out: &mut Vec<Datum>) -> Result<()> {
        let source = self
            .view
            .reader
            .source(DocAddress::new(self.segment, doc))?;
        let source: Value = serde_json::from_slice(&source).unwrap_or_default();
        query::values(&source, &self.name, &mut |value| {
            let value = query::as_field(&self.field, value);
            out.extend(
                value
                    .as_ref()
                    .and_then(Datum::of)
                    .map(|datum| match (self.kind, datum) {
                        (Kind::Long, Datum::F64(value)) => Datum::I64(value as i64),
                        (Kind::Double, Datum::I64(value)) => Datum::F64(value as f64),
                        (Kind::Double, Datum::U64(value)) => Datum::F64(value as f64),
                        (_, datum) => datum,
                    }),
            );
            false
        });
        Ok(())
    }
}

/// A field of `script_fields`: whatever its script returns; texts, numbers and truths are values. It is put beside the
/// runtime fields by a name that no query has, since queries don't know it.
#[derive(Debug)]
struct Returned(Arc<Script>);

/// The path under which a view has a script field.
pub fn script_field_path(name: &str) -> String {
    format!("\u{0}{name}")
}

/// Adds the fields of `script_fields`: name to `{"script": .., "ignore_failure": ..}`.
///
/// # Errors
/// For what is malformed, and for a script that can't be compiled.
pub fn add_script_fields(
    runtime: &mut RuntimeFields,
    definitions: &Map<String, Value>,
) -> Result<()> {
    for (name, definition) in definitions {
        let mut script = None;
        for (parameter, value) in definition.as_object().into_iter().flatten() {
            match (parameter.as_str(), value) {
                ("script", value) => script = Some(Script::read(value, Context::Value)?),
                ("ignore_failure", Value::Bool(false)) => {}
                _ => {
                    return refuse(
                        "parsing_exception",
                        format!("[{parameter}] is not supported in [script_fields]: [{name}]"),
                    );
                }
            }
        }
        let Some(script) = script else {
            return refuse(
                "parsing_exception",
                format!("[script_fields] expects a [script] for [{name}]"),
            );
        };
        runtime.insert(
            script_field_path(name),
            Arc::new(Returned(Arc::new(script))),
        );
    }
    Ok(())
}

impl Runtime for Returned {
    fn field(&self) -> Field {
        Field::new(FieldType::Keyword, "keyword")
    }

    fn open(&self, view: &View, segment: SegmentOrdinal) -> Result<Box<dyn Computed>> {
        Ok(Box::new(Returning {
            script: self.0.clone(),
            reading: Reading::open(view, segment, &self.0)?,
        }))
    }
}

struct Returning {
    script: Arc<Script>,
    reading: Reading,
}

impl Computed for Returning {
    fn values(&mut self, doc: DocId, out: &mut Vec<Datum>) -> Result<()> {
        let script = &self.script;
        let value = self.reading.run(doc, |document| script.value(document))?;
        match &value {
            Value::Array(values) => out.extend(values.iter().filter_map(Datum::of)),
            value => out.extend(Datum::of(value)),
        }
        Ok(())
    }
}
