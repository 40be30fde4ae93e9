use serde_json::{Value, json};

use super::super::error::Refusal;
use super::super::gate::Gate;
use super::super::mapping::Limits;
use super::*;

/// Reads a document, growing the mapping as an index does. Its paths and values, and the mapping then.
fn read(mapping: &Value, document: &str) -> Result<(Vec<(String, String)>, Value), Refusal> {
    let mut mapping = Mapping::parse(mapping, Limits::default()).unwrap();
    loop {
        let parsed = walk(document, "1", &mapping)?;
        if !parsed.growth.is_empty() {
            mapping = mapping.grown(parsed.growth, Limits::default())?;
            continue;
        }
        let json = mapping.to_json().into();
        let document = Document {
            id: "1".into(),
            routing: None,
            source: document.into(),
            values: parsed.values,
            seq_no: 0,
            version: 1,
            batch: Arc::new(Batch {
                mapping: Arc::new(mapping),
                hold: Arc::new(Gate::new(1).enter(0)),
            }),
        };
        let mut values = Vec::new();
        for (field, part) in tantivy::Document::iter_fields_and_values(&document) {
            if let Part::Paths(paths) = part {
                let root = PHYSICAL.schema.get_field_name(field);
                values.extend(paths.map(|(path, value)| (format!("{root}:{path}"), shown(&value))));
            }
        }
        return Ok((values, json));
    }
}

fn shown(part: &Part<'_>) -> String {
    let Part::Leaf(leaf) = part else {
        panic!("{part:?}");
    };
    match leaf {
        ReferenceValueLeaf::Str(text) => (*text).to_owned(),
        ReferenceValueLeaf::I64(number) => number.to_string(),
        ReferenceValueLeaf::F64(number) => format!("{number:?}"),
        ReferenceValueLeaf::Bool(is) => is.to_string(),
        other => panic!("{other:?}"),
    }
}

fn values(properties: Value, document: &str) -> String {
    let (values, _) = read(&json!({"properties": properties}), document).unwrap();
    let values: Vec<_> = values
        .iter()
        .map(|(path, value)| format!("{path}={value}"))
        .collect();
    values.join(" ")
}

fn mapped(mapping: Value, document: &str) -> Value {
    read(&mapping, document).unwrap().1["properties"].clone()
}

#[test]
fn values_of_every_kind() {
    for (definition, value, expected) in [
        (
            json!({"type": "keyword"}),
            r#"["a\nb", 1.50, true, null]"#,
            "k:x=a\nb k:x=1.50 k:x=true",
        ),
        (
            json!({"type": "keyword", "ignore_above": 3}),
            r#"["abcd", "é😀"]"#,
            "k:x=é😀",
        ),
        (
            json!({"type": "keyword", "null_value": "none"}),
            "null",
            "k:x=none",
        ),
        (
            json!({"type": "keyword", "index": false, "doc_values": false}),
            r#""a""#,
            "",
        ),
        (
            json!({"type": "text", "fields": {"k": {"type": "keyword"}}}),
            r#""A\tB""#,
            "k:_field_names=x k:x.k=A\tB t:x=A\tB",
        ),
        (
            json!({"type": "long"}),
            r#"[1, "2", 3.7]"#,
            "n:x=1 n:x=2 n:x=3",
        ),
        (
            json!({"type": "unsigned_long"}),
            "18446744073709551615",
            "n:x=9223372036854775807",
        ),
        (json!({"type": "float"}), "0.1", "n:x=0.10000000149011612"),
        (
            json!({"type": "double", "null_value": 2}),
            r#"[1, null]"#,
            "n:x=1.0 n:x=2.0",
        ),
        (
            json!({"type": "boolean"}),
            r#"[true, "false", ""]"#,
            "k:x=true k:x=false k:x=false",
        ),
        (
            json!({"type": "date"}),
            r#"["1970-01-01T00:00:01Z", 15000, 1971]"#,
            "n:x=1000 n:x=15000 n:x=31536000000",
        ),
        (
            json!({"type": "date_nanos"}),
            r#""1970-01-01T00:00:01.000000001Z""#,
            "n:x=1000000001",
        ),
        (
            json!({"type": "ip"}),
            r#""10.0.0.1""#,
            "k:x=00000000000000000000ffff0a000001",
        ),
        (
            json!({"type": "long", "ignore_malformed": true}),
            r#"["a", 1, {"b": 2}]"#,
            "n:x=1",
        ),
        (
            json!({"type": "geo_point"}),
            r#"[{"lat": 1, "lon": "2"}, "3,4"]"#,
            "n:x.lat=1.0 n:x.lon=2.0 n:x.lat=3.0 n:x.lon=4.0",
        ),
        (
            json!({"type": "geo_point"}),
            "[2, 1]",
            "n:x.lat=1.0 n:x.lon=2.0",
        ),
        (
            json!({"type": "flattened"}),
            r#"{"a": {"b": [1, "c"]}, "d": null}"#,
            "k:x=1 k:x.a.b=1 k:x=c k:x.a.b=c",
        ),
        (json!({"type": "constant_keyword"}), r#""a""#, "k:x=a"),
        (
            json!({"type": "nested", "properties": {"y": {"type": "long"}}}),
            r#"[{"y": 1}, {"y": 2}]"#,
            "n:x.y=1 n:x.y=2",
        ),
        (json!({"enabled": false}), r#"{"a": [1, {}]}"#, ""),
    ] {
        assert_eq!(
            values(json!({"x": definition}), &format!(r#"{{"x": {value}}}"#)),
            expected,
            "{definition}"
        );
    }
    assert_eq!(
        values(
            json!({"a": {"type": "keyword", "copy_to": "all"}, "all": {"type": "text"}}),
            r#"{"a": "v"}"#
        ),
        "k:a=v k:_field_names=all t:all=v"
    );
    // A path may be written either way, and an array may hold objects.
    let o = json!({"o": {"properties": {"a": {"properties": {"b": {"type": "long"}}}}}});
    assert_eq!(
        values(o, r#"{"o.a.b": 1, "o": [{"a": {"b": 2}}, {"a.b": 3}]}"#),
        "n:o.a.b=1 n:o.a.b=2 n:o.a.b=3"
    );
}

#[test]
fn mappings_are_made_from_documents() {
    let text =
        json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}});
    assert_eq!(
        mapped(
            json!({}),
            r#"{"a": 1, "b": 1.5, "c": true, "d": "2024-01-01", "e": "2024/01/01", "f": "x", "g": "1",
            "h": null, "i": [], "j": [null, 2], "k": {"l": {"m": 1}}, "n.o": 1, "p": {}}"#
        ),
        json!({
            "a": {"type": "long"}, "b": {"type": "float"}, "c": {"type": "boolean"}, "d": {"type": "date"},
            "e": {"type": "date", "format": "yyyy/MM/dd HH:mm:ss||yyyy/MM/dd||epoch_millis"}, "f": text, "g": text,
            "j": {"type": "long"}, "k": {"properties": {"l": {"properties": {"m": {"type": "long"}}}}},
            "n": {"properties": {"o": {"type": "long"}}}, "p": {"type": "object"}
        })
    );
    assert_eq!(
        mapped(json!({"dynamic": false}), r#"{"a": 1, "b": {"c": 1}}"#),
        Value::Null
    );
    let templates = json!([
        {"ids": {"match": "*_id", "match_mapping_type": "long", "mapping": {"type": "keyword"}}},
        {"deep": {"path_match": "o.*", "mapping": {"type": "{dynamic_type}", "index": false}}},
        {"strings": {"match_mapping_type": "string", "unmatch": "t*", "mapping": {"type": "keyword"}}}
    ]);
    assert_eq!(
        mapped(
            json!({"dynamic_templates": templates}),
            r#"{"a_id": 1, "s": "x", "t": "x", "o": {"n": 2}}"#
        ),
        json!({
            "a_id": {"type": "keyword"}, "s": {"type": "keyword"}, "t": text,
            "o": {"properties": {"n": {"type": "long", "index": false}}}
        })
    );
    let (_, mapping) = read(
        &json!({"dynamic": "runtime"}),
        r#"{"a": 1, "b": {"c": "x"}}"#,
    )
    .unwrap();
    assert_eq!(
        mapping["runtime"],
        json!({"a": {"type": "long"}, "b.c": {"type": "keyword"}})
    );
}

#[test]
fn wrong_documents_are_refused_in_elasticsearchs_words() {
    let refusal = |mapping: Value, document: &str| {
        read(&json!({"properties": mapping}), document).unwrap_err()
    };
    let long = refusal(json!({"x": {"type": "long"}}), r#"{"y": 1, "x": "abc"}"#);
    assert_eq!(long.kind, "document_parsing_exception");
    assert_eq!(
        long.reason,
        "[1:15] failed to parse field [x] of type [long] in document with id '1'. Preview of field's value: 'abc'"
    );
    let cause = long.caused_by.unwrap();
    assert_eq!(
        (cause.kind, cause.reason.as_str()),
        ("illegal_argument_exception", "For input string: \"abc\"")
    );
    for (mapping, document, reason, cause) in [
        (
            json!({"x": {"type": "date"}}),
            "{\n \"x\": \"abc\"}",
            "[2:7] failed to parse field [x] of type [date] in document with id '1'. Preview of field's value: 'abc'",
            "failed to parse date field [abc] with format [strict_date_optional_time||epoch_millis]",
        ),
        (
            json!({"x": {"type": "keyword"}}),
            r#"{"x": {"a": 1}}"#,
            "[1:7] failed to parse field [x] of type [keyword] in document with id '1'. Preview of field's value: '{a=1}'",
            "Can't get text on a START_OBJECT at 1:7",
        ),
        (
            json!({"x": {"type": "ip"}}),
            r#"{"x": "1.2.3"}"#,
            "[1:7] failed to parse field [x] of type [ip] in document with id '1'. Preview of field's value: '1.2.3'",
            "'1.2.3' is not an IP string literal.",
        ),
        (
            json!({}),
            r#"{"x": 1, "x": 2}"#,
            "[1:10] failed to parse: [1:14] Duplicate field 'x'",
            "[1:14] Duplicate field 'x'",
        ),
    ] {
        let refusal = refusal(mapping, document);
        assert_eq!(refusal.reason, reason);
        assert_eq!(refusal.caused_by.unwrap().reason, cause);
    }
    for (mapping, document, reason) in [
        (
            json!({"x": {"properties": {"a": {"type": "long"}}}}),
            r#"{"x": 1}"#,
            "[1:7] object mapping for [x] tried to parse field [x] as object, but found a concrete value",
        ),
        (
            json!({"x": {"type": "long"}}),
            r#"{"x.y": 1}"#,
            "[1:9] Could not dynamically add mapping for field [x.y]. Existing mapping for [x] must be of type object \
             but found [long].",
        ),
        (json!({}), "", "[-1:-1] failed to parse, document is empty"),
        (
            json!({}),
            "[]",
            "[1:1] Malformed content, must start with an object",
        ),
        (
            json!({}),
            r#"{"a.": 1}"#,
            "[1:2] failed to parse: field name starting or ending with a [.] makes object resolution ambiguous: [a.]",
        ),
    ] {
        assert_eq!(refusal(mapping, document).reason, reason);
    }
    let own = read(&json!({"dynamic": false}), r#"{"_id": "a"}"#).unwrap_err();
    assert_eq!(
        own.reason,
        "[1:9] failed to parse field [_id] of type [_id] in document with id '1'. Preview of field's value: 'a'"
    );
    assert!(own.caused_by.unwrap().reason.contains("metadata field"));
    assert!(read(&json!({}), r#"{"o": {"_id": "a"}}"#).is_ok());
    let strict = read(&json!({"dynamic": "strict"}), r#"{"x": 1}"#).unwrap_err();
    assert_eq!(
        (strict.kind, strict.reason.as_str()),
        (
            "strict_dynamic_mapping_exception",
            "[1:7] mapping set to strict, dynamic introduction of [x] within [_doc] is not allowed"
        )
    );
    // Elements of one field must be alike, and then nothing is mapped.
    assert!(read(&json!({}), r#"{"x": [1, "a"]}"#).is_err());
    // However deep a document is, it is read or refused.
    let deep = format!("{}1{}", r#"{"a":"#.repeat(400), "}".repeat(400));
    assert!(
        read(&json!({}), &deep)
            .unwrap_err()
            .reason
            .starts_with("Limit of mapping depth [20]")
    );
    assert!(read(&json!({"dynamic": false}), &"[".repeat(5000)).is_err());
}
