//! Mappings from JSON

use std::sync::Arc;

use serde_json::{Map, Value};

use super::dynamic::Detection;
use super::params::{Params, boolean, plain};
use super::{DateFormats, Dynamic, Field, Kind, Limits, Object, Parts};
use crate::index::error::Refusal;

type Result<T> = std::result::Result<T, Refusal>;

/// Types that Elasticsearch has and that are not here.
const UNSUPPORTED: [&str; 23] = [
    "aggregate_metric_double",
    "completion",
    "date_range",
    "dense_vector",
    "double_range",
    "float_range",
    "geo_shape",
    "histogram",
    "integer_range",
    "ip_range",
    "join",
    "long_range",
    "murmur3",
    "passthrough",
    "percolator",
    "point",
    "rank_feature",
    "rank_features",
    "search_as_you_type",
    "semantic_text",
    "shape",
    "sparse_vector",
    "token_count",
];

/// Longer names and paths would not fit a term.
const NAME_BYTES: usize = 2048;

/// What a whole mapping says.
pub fn parts(mapping: &Value, limits: Limits) -> Result<Parts> {
    let empty = Map::new();
    let mapping = match mapping {
        Value::Null => &empty,
        Value::Object(mapping) => mapping,
        other => {
            return Err(Refusal::mapper_parsing(format!(
                "Expected map for mapping but got a {}",
                class(other)
            )));
        }
    };
    let mut parts = Parts::default();
    let mut params = Params::new(mapping);
    let mut root = Object::default();
    object_params(&mut root, &mut params)?;
    parts.detection = Arc::new(Detection::parse(&mut params)?);
    if let Some(meta) = params.take("_meta") {
        params.given.insert("_meta".to_owned(), meta.clone());
    }
    if let Some(source) = params.take("_source") {
        check_source(source)?;
    }
    if let Some(routing) = params.take("_routing") {
        let required = routing.get("required").map_or(Ok(false), boolean)?;
        if required {
            params.given.insert("_routing".to_owned(), routing.clone());
        }
    }
    if let Some(runtime) = params.take("runtime") {
        let Value::Object(runtime) = runtime else {
            return Err(Refusal::mapper_parsing(
                "[runtime] must be a map type".to_owned(),
            ));
        };
        for (name, definition) in runtime {
            check_runtime(name, definition)?;
        }
        parts.runtime = runtime.clone();
    }
    let properties = params.take("properties");
    if let Some(left) = params.left() {
        return Err(Refusal::mapper_parsing(format!(
            "Root mapping definition has unsupported parameters: {left}"
        )));
    }
    parts.root = params.given;
    parts.objects.insert(String::new(), Arc::new(root));
    if let Some(properties) = properties {
        object_properties("", properties, limits, &mut parts)?;
    }
    Ok(parts)
}

fn class(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "class java.lang.Boolean",
        Value::Number(_) => "class java.lang.Integer",
        Value::String(_) => "class java.lang.String",
        Value::Array(_) => "class java.util.ArrayList",
        Value::Object(_) => "class java.util.LinkedHashMap",
    }
}

fn check_source(source: &Value) -> Result<()> {
    for (name, value) in source.as_object().into_iter().flatten() {
        let plain = match name.as_str() {
            "enabled" => boolean(value)?,
            "mode" => value == "stored",
            "includes" | "excludes" => value.as_array().is_some_and(Vec::is_empty),
            _ => false,
        };
        if !plain {
            return Err(Refusal::mapper_parsing(format!(
                "[_source] with [{name}: {}] is not supported: a document is kept as it was sent",
                super::params::plain(value)
            )));
        }
    }
    Ok(())
}

fn check_runtime(name: &str, definition: &Value) -> Result<()> {
    const TYPES: [&str; 9] = [
        "boolean",
        "composite",
        "date",
        "double",
        "geo_point",
        "ip",
        "keyword",
        "long",
        "lookup",
    ];
    let Some(definition) = definition.as_object() else {
        return Err(Refusal::mapper_parsing(format!(
            "Expected map for runtime field [{name}] definition but got a {}",
            class(definition)
        )));
    };
    match definition.get("type").and_then(Value::as_str) {
        Some(kind) if TYPES.contains(&kind) => Ok(()),
        Some(kind) => Err(Refusal::mapper_parsing(format!(
            "The mapper type [{kind}] declared on runtime field [{name}] does not exist. It might have been created \
             within a future version or requires a plugin to be installed. Check the documentation."
        ))),
        None => Err(Refusal::mapper_parsing(format!(
            "No type specified for runtime field [{name}]"
        ))),
    }
}

fn object_params(object: &mut Object, params: &mut Params) -> Result<()> {
    if let Some(dynamic) = params.take("dynamic") {
        object.dynamic = Some(match plain(dynamic).as_str() {
            "true" => Dynamic::True,
            "false" => Dynamic::False,
            "strict" => Dynamic::Strict,
            "runtime" => Dynamic::Runtime,
            other => {
                return Err(Refusal::illegal_argument(format!(
                    "No enum constant org.elasticsearch.index.mapper.ObjectMapper.Dynamic.{}",
                    other.to_uppercase()
                )));
            }
        });
        object
            .given
            .insert("dynamic".to_owned(), plain(dynamic).into());
    }
    if let Some(enabled) = params.take("enabled") {
        object.disabled = !boolean(enabled)?;
        if object.disabled {
            object.given.insert("enabled".to_owned(), false.into());
        }
    }
    if let Some(subobjects) = params.take("subobjects")
        && !matches!(boolean(subobjects), Ok(true))
    {
        return Err(Refusal::mapper_parsing(format!(
            "[subobjects: {}] is not supported",
            plain(subobjects)
        )));
    }
    Ok(())
}

fn object_properties(
    path: &str,
    properties: &Value,
    limits: Limits,
    parts: &mut Parts,
) -> Result<()> {
    let properties = match properties {
        Value::Object(properties) => properties,
        Value::Array(none) if none.is_empty() => return Ok(()),
        _ => return Err(Refusal::mapper_parsing("properties must be a map type")),
    };
    for (name, definition) in properties {
        let Value::Object(definition) = definition else {
            return Err(Refusal::mapper_parsing(format!(
                "Expected map for property [fields] on field [{name}] but got a {}",
                class(definition)
            )));
        };
        check_name(name)?;
        let whole = join(path, name);
        // A name with dots is a way through objects.
        for (dot, _) in name.match_indices('.') {
            let parent = join(path, &name[..dot]);
            put_object(
                parts,
                Object {
                    path: parent,
                    ..Object::default()
                },
            )?;
        }
        property(&whole, definition, limits, parts)?;
    }
    Ok(())
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Refusal::illegal_argument(
            "field name cannot be an empty string",
        ));
    }
    check_parts(name)?;
    if name.len() > NAME_BYTES {
        return Err(Refusal::illegal_argument(format!(
            "Field name [{}...] is longer than {NAME_BYTES} bytes",
            name.chars().take(64).collect::<String>()
        )));
    }
    Ok(())
}

/// The rules of a name of a document's field.
pub fn check_parts(name: &str) -> Result<()> {
    for part in name.split('.') {
        if part.trim().is_empty() {
            let reason = if part.is_empty() {
                format!(
                    "field name starting or ending with a [.] makes object resolution ambiguous: [{name}]"
                )
            } else {
                format!("field name cannot contain only whitespace: ['{name}']")
            };
            return Err(Refusal::illegal_argument(reason));
        }
    }
    // They divide paths and terms in the files below.
    if name.bytes().any(|b| b < 2) {
        return Err(Refusal::illegal_argument(format!(
            "field name [{name}] has a character that is not supported: U+0000 or U+0001"
        )));
    }
    Ok(())
}

pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn put_object(parts: &mut Parts, object: Object) -> Result<()> {
    if parts.fields.contains_key(&object.path) {
        return Err(cannot_merge(&object.path));
    }
    let path = object.path.clone();
    let plain = object.dynamic.is_none() && !object.nested && !object.disabled;
    if !(plain && parts.objects.contains_key(&path)) {
        parts.objects.insert(path, Arc::new(object));
    }
    Ok(())
}

/// Of a field and an object with the same path.
pub fn cannot_merge(path: &str) -> Refusal {
    Refusal::illegal_argument(format!(
        "can't merge a non object mapping [{path}] with an object mapping"
    ))
}

/// One property: an object with what is below it, or a field with its multi-fields.
fn property(
    path: &str,
    definition: &Map<String, Value>,
    limits: Limits,
    parts: &mut Parts,
) -> Result<()> {
    let name = path.rsplit_once('.').map_or(path, |(_, name)| name);
    let kind = match definition.get("type") {
        Some(kind) => plain(kind),
        None if definition.is_empty()
            || ["properties", "enabled", "dynamic", "subobjects"]
                .iter()
                .any(|key| definition.contains_key(*key)) =>
        {
            "object".to_owned()
        }
        None => {
            return Err(Refusal::mapper_parsing(format!(
                "No type specified for field [{name}]"
            )));
        }
    };
    if kind == "object" || kind == "nested" {
        let mut params = Params::new(definition);
        params.take("type");
        let mut object = Object {
            path: path.to_owned(),
            nested: kind == "nested",
            ..Object::default()
        };
        if object.nested {
            object.given.insert("type".to_owned(), "nested".into());
            // A nested object's fields are its parents' too, here.
            params.keep("include_in_parent");
            params.keep("include_in_root");
        }
        object_params(&mut object, &mut params)?;
        object.given.append(&mut params.given);
        let properties = params.take("properties");
        if let Some(left) = params.left() {
            return Err(Refusal::mapper_parsing(format!(
                "Mapping definition for [{name}] has unsupported parameters: {left}"
            )));
        }
        put_object(parts, object)?;
        if let Some(properties) = properties {
            object_properties(path, properties, limits, parts)?;
        }
        return Ok(());
    }
    put_field(path, &kind, definition, None, limits, parts)
}

/// A field, and its multi-fields.
fn put_field(
    path: &str,
    kind: &str,
    definition: &Map<String, Value>,
    parent: Option<&str>,
    limits: Limits,
    parts: &mut Parts,
) -> Result<()> {
    let name = path.rsplit_once('.').map_or(path, |(_, name)| name);
    if parts.objects.contains_key(path) {
        return Err(cannot_merge(path));
    }
    let mut params = Params::new(definition);
    params.take("type");
    params.given.insert("type".to_owned(), kind.into());
    let subs = params.take("fields");
    let kind = read_kind(path, kind, &mut params)?;
    let mut field = Field {
        path: path.to_owned(),
        index: true,
        doc_values: true,
        ignore_above: usize::MAX,
        ignore_malformed: limits.ignore_malformed,
        coerce: limits.coerce,
        null_value: None,
        format: DateFormats::default(),
        copy_to: Vec::new(),
        fielddata: false,
        parent: parent.map(str::to_owned),
        given: Map::new(),
        kind,
    };
    common_params(&mut field, &mut params)?;
    kind_params(&mut field, &mut params)?;
    params.finish(path, field.kind.name())?;
    if parent.is_some() && !field.copy_to.is_empty() {
        return Err(Refusal::mapper_parsing(format!(
            "copy_to in multi fields is not allowed. Found the copy_to in field [{name}] which is within a multi \
             field."
        )));
    }
    field.given = params.given;
    parts.fields.insert(path.to_owned(), Arc::new(field));

    if let Some(subs) = subs {
        if parent.is_some() {
            return Err(Refusal::mapper_parsing(format!(
                "Encountered a multi-field [{name}] which itself contains a multi-field. Defining chained multi-fields \
                 is not supported."
            )));
        }
        let Value::Object(subs) = subs else {
            return Err(Refusal::mapper_parsing(format!(
                "expected map for property [fields] on field [{name}] but got a {}",
                class(subs)
            )));
        };
        for (sub, definition) in subs {
            check_name(sub)?;
            if sub.contains('.') {
                return Err(Refusal::mapper_parsing(format!(
                    "Field name [{sub}] which is a multi field of [{name}] cannot contain '.'"
                )));
            }
            let Value::Object(definition) = definition else {
                return Err(Refusal::mapper_parsing(format!(
                    "illegal field [{sub}], only fields can be specified inside fields"
                )));
            };
            let Some(kind) = definition.get("type").map(plain) else {
                return Err(Refusal::mapper_parsing(format!(
                    "no type specified for property [{sub}]"
                )));
            };
            if matches!(kind.as_str(), "object" | "nested" | "alias") {
                return Err(Refusal::mapper_parsing(format!(
                    "Type [{kind}] cannot be used in multi field"
                )));
            }
            put_field(
                &join(path, sub),
                &kind,
                definition,
                Some(path),
                limits,
                parts,
            )?;
        }
    }
    Ok(())
}

fn read_kind(path: &str, kind: &str, params: &mut Params) -> Result<Kind> {
    let name = path.rsplit_once('.').map_or(path, |(_, name)| name);
    Ok(match kind {
        "keyword" => Kind::Keyword,
        "constant_keyword" => Kind::ConstantKeyword {
            value: params.text("value"),
        },
        "wildcard" => Kind::Wildcard,
        "text" => Kind::Text,
        "match_only_text" => Kind::MatchOnlyText,
        "long" => Kind::Long,
        "integer" => Kind::Integer,
        "short" => Kind::Short,
        "byte" => Kind::Byte,
        "unsigned_long" => Kind::UnsignedLong,
        "double" => Kind::Double,
        "float" => Kind::Float,
        "half_float" => Kind::HalfFloat,
        "scaled_float" => {
            let factor = params.take("scaling_factor");
            let Some(factor) = factor else {
                return Err(Refusal::mapper_parsing(
                    "Field [scaling_factor] is required",
                ));
            };
            let number = match factor {
                Value::Number(number) => number.as_f64(),
                Value::String(text) => text.parse().ok(),
                _ => None,
            };
            let Some(scaling_factor) = number.filter(|factor| factor.is_finite() && *factor > 0.0)
            else {
                return Err(Refusal::illegal_argument(format!(
                    "[scaling_factor] must be a positive number, got [{}]",
                    plain(factor)
                )));
            };
            params
                .given
                .insert("scaling_factor".to_owned(), scaling_factor.into());
            Kind::ScaledFloat { scaling_factor }
        }
        "boolean" => Kind::Boolean,
        "date" => Kind::Date,
        "date_nanos" => Kind::DateNanos,
        "ip" => Kind::Ip,
        "binary" => Kind::Binary,
        "flattened" => Kind::Flattened {
            depth_limit: params
                .number("depth_limit")?
                .map_or(20, |limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        },
        "geo_point" => Kind::GeoPoint,
        "alias" => match params.text("path") {
            Some(path) => Kind::Alias { path },
            None => {
                return Err(Refusal::mapper_parsing(format!(
                    "The [path] property must be specified for field [{name}]."
                )));
            }
        },
        "version" => {
            return Err(Refusal::mapper_parsing(format!(
                "The mapper type [version] declared on field [{name}] is not supported"
            )));
        }
        kind if UNSUPPORTED.contains(&kind) => {
            return Err(Refusal::mapper_parsing(format!(
                "The mapper type [{kind}] declared on field [{name}] is not supported"
            )));
        }
        kind => {
            return Err(Refusal::mapper_parsing(format!(
                "The mapper type [{kind}] declared on field [{name}] does not exist. It might have been created \
                 within a future version or requires a plugin to be installed. Check the documentation."
            )));
        }
    })
}

/// What every field may be given.
fn common_params(field: &mut Field, params: &mut Params) -> Result<()> {
    if matches!(field.kind, Kind::Alias { .. }) {
        return Ok(());
    }
    if let Some(meta) = params.take("meta") {
        let Some(entries) = meta.as_object() else {
            return Err(Refusal::mapper_parsing(format!(
                "[meta] must be an object, got {}[{}] for field [{}]",
                class(meta).rsplit('.').next().unwrap_or_default(),
                plain(meta),
                field.path
            )));
        };
        if !entries.is_empty() {
            params.given.insert("meta".to_owned(), meta.clone());
        }
    }
    if let Some(copy_to) = params.take("copy_to") {
        field.copy_to = match copy_to {
            Value::Array(paths) => paths.iter().map(plain).collect(),
            one => vec![plain(one)],
        };
        params.given.insert(
            "copy_to".to_owned(),
            field.copy_to.iter().map(String::as_str).collect(),
        );
    }
    if params.take("script").is_some() {
        return Err(Refusal::mapper_parsing(format!(
            "[script] of field [{}] is not supported: use a runtime field",
            field.path
        )));
    }
    Ok(())
}

fn kind_params(field: &mut Field, params: &mut Params) -> Result<()> {
    let columns = |field: &mut Field, params: &mut Params| -> Result<()> {
        field.doc_values = params.bool("doc_values", true)?;
        field.index = params.bool("index", true)?;
        params.bool("store", false)?;
        Ok(())
    };
    match field.kind.clone() {
        Kind::Keyword | Kind::Flattened { .. } => {
            columns(field, params)?;
            read_ignore_above(field, params)?;
            for name in [
                "norms",
                "similarity",
                "eager_global_ordinals",
                "index_options",
                "split_queries_on_whitespace",
                "time_series_dimension",
            ] {
                params.keep(name);
            }
            if let Some(normalizer) = params.take("normalizer") {
                return Err(Refusal::mapper_parsing(format!(
                    "normalizer [{}] not found for field [{}]",
                    plain(normalizer),
                    field.path
                )));
            }
        }
        Kind::Wildcard => {
            read_ignore_above(field, params)?;
        }
        Kind::Text | Kind::MatchOnlyText => {
            field.doc_values = false;
            field.index = params.bool("index", true)?;
            field.fielddata = params.bool("fielddata", false)?;
            params.bool("store", false)?;
            for name in ["analyzer", "search_analyzer", "search_quote_analyzer"] {
                if let Some(analyzer) = params.text(name)
                    && !matches!(analyzer.as_str(), "standard" | "default")
                {
                    return Err(Refusal::mapper_parsing(format!(
                        "{name} [{analyzer}] has not been configured in mappings"
                    )));
                }
            }
            for name in [
                "norms",
                "similarity",
                "eager_global_ordinals",
                "index_options",
                "index_phrases",
                "index_prefixes",
                "fielddata_frequency_filter",
                "position_increment_gap",
                "term_vector",
            ] {
                params.keep(name);
            }
            return Ok(());
        }
        Kind::Long
        | Kind::Integer
        | Kind::Short
        | Kind::Byte
        | Kind::UnsignedLong
        | Kind::Double
        | Kind::Float
        | Kind::HalfFloat
        | Kind::ScaledFloat { .. } => {
            columns(field, params)?;
            read_malformed(field, params)?;
            if let Some(coerce) = params.take("coerce") {
                field.coerce = boolean(coerce)?;
                params
                    .given
                    .insert("coerce".to_owned(), field.coerce.into());
            }
            params.keep("time_series_dimension");
            params.keep("time_series_metric");
            params.keep("on_script_error");
        }
        Kind::Boolean | Kind::Ip => {
            columns(field, params)?;
            read_malformed(field, params)?;
            params.keep("time_series_dimension");
            params.keep("on_script_error");
        }
        Kind::Date | Kind::DateNanos => {
            columns(field, params)?;
            read_malformed(field, params)?;
            params.keep("locale");
            params.keep("on_script_error");
            if let Some(format) = params.text("format") {
                field.format = DateFormats::new(&format).map_err(|_| {
                    Refusal::illegal_argument(format!("Invalid format: [{format}]"))
                })?;
            } else if field.kind == Kind::DateNanos {
                field.format = DateFormats::new("strict_date_optional_time_nanos||epoch_millis")
                    .unwrap_or_default();
            }
        }
        Kind::GeoPoint => {
            columns(field, params)?;
            read_malformed(field, params)?;
            params.keep("ignore_z_value");
        }
        Kind::Binary => {
            field.index = false;
            field.doc_values = false;
            params.bool("doc_values", false)?;
            params.bool("store", false)?;
        }
        Kind::ConstantKeyword { .. } => {}
        Kind::Alias { .. } => {
            field.index = false;
            field.doc_values = false;
        }
    }
    if let Some(null_value) = params.take("null_value")
        && !null_value.is_null()
    {
        field.null_value = Some(null_value.clone());
        params
            .given
            .insert("null_value".to_owned(), null_value.clone());
    }
    Ok(())
}

fn read_ignore_above(field: &mut Field, params: &mut Params) -> Result<()> {
    if let Some(limit) = params.number("ignore_above")? {
        field.ignore_above = usize::try_from(limit).unwrap_or(usize::MAX);
    }
    Ok(())
}

fn read_malformed(field: &mut Field, params: &mut Params) -> Result<()> {
    if let Some(ignore) = params.take("ignore_malformed") {
        field.ignore_malformed = boolean(ignore)?;
        params
            .given
            .insert("ignore_malformed".to_owned(), field.ignore_malformed.into());
    }
    Ok(())
}
