use serde_json::{Value, json};

use super::*;

fn parse(mapping: Value) -> Mapping {
    Mapping::parse(&mapping, Limits::default()).unwrap()
}

fn refused(before: &Mapping, addition: Value) -> String {
    before
        .merge(&addition, Limits::default())
        .unwrap_err()
        .reason
}

#[test]
fn mappings_are_printed_as_they_were_given() {
    let given = json!({
        "dynamic": "strict",
        "date_detection": false,
        "dynamic_templates": [{"s": {"match_mapping_type": "string", "mapping": {"type": "keyword"}}}],
        "_meta": {"a": 1},
        "runtime": {"r": {"type": "long", "script": {"source": "emit(1)"}}},
        "properties": {
            "@timestamp": {"type": "date", "format": "epoch_second"},
            "a": {"properties": {"b": {"type": "long"}, "c": {"dynamic": "false", "type": "object"}}},
            "l": {"type": "alias", "path": "a.b"},
            "m": {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}},
            "n": {"type": "nested", "properties": {"x": {"type": "ip"}}},
            "s": {"type": "scaled_float", "scaling_factor": 100.0}
        }
    });
    let mapping = parse(given.clone());
    assert_eq!(Value::from(mapping.to_json()), given);
    assert_eq!(parse(given), mapping);
    assert_eq!(mapping.find("l").unwrap().field.path, "a.b");
    assert_eq!(
        mapping.find("m.keyword").unwrap().field.place(),
        Place::Words
    );
    assert_eq!(mapping.nested_of("n.x"), Some("n"));
    assert_eq!(mapping.nested_of("a.b"), None);

    // Defaults go without saying, and names with dots are objects.
    let mapping = parse(
        json!({"properties": {"a.b": {"type": "keyword", "index": "true", "doc_values": true}}}),
    );
    assert_eq!(
        Value::from(mapping.to_json()),
        json!({"properties": {"a": {"properties": {"b": {"type": "keyword"}}}}})
    );
}

#[test]
fn flattened_fields_have_their_keys() {
    let mapping = parse(json!({"properties": {"o": {"properties": {"f": {"type": "flattened"}}}}}));
    let found = mapping.find("o.f.a.b").unwrap();
    assert_eq!(
        (found.field.path.as_str(), found.path.as_str()),
        ("o.f", "o.f.a.b")
    );
    assert!(mapping.find("o.g").is_none());
}

#[test]
fn wrong_mappings_are_refused() {
    let none = Mapping::default();
    for (mapping, reason) in [
        (
            json!({"properties": {"x": {"type": "foo"}}}),
            "Failed to parse mapping: The mapper type [foo] declared on field [x] does not exist. It might have been \
             created within a future version or requires a plugin to be installed. Check the documentation.",
        ),
        (
            json!({"properties": {"x": {"type": "keyword", "foo": 1}}}),
            "Failed to parse mapping: unknown parameter [foo] on mapper [x] of type [keyword]",
        ),
        (
            json!({"properties": {"x": {"index": false}}}),
            "Failed to parse mapping: No type specified for field [x]",
        ),
        (
            json!({"foo": "bar"}),
            "Failed to parse mapping: Root mapping definition has unsupported parameters:  [foo : bar]",
        ),
        (
            json!({"properties": {"x": {"type": "scaled_float"}}}),
            "Failed to parse mapping: Field [scaling_factor] is required",
        ),
        (
            json!({"properties": {"x": {"type": "date", "format": "bbb"}}}),
            "Failed to parse mapping: Invalid format: [bbb]",
        ),
        (
            json!({"properties": {"x": {"type": "text", "analyzer": "german"}}}),
            "Failed to parse mapping: analyzer [german] has not been configured in mappings",
        ),
        (
            json!({"properties": {"x": {"type": "alias", "path": "y"}}}),
            "Invalid [path] value [y] for field alias [x]: an alias must refer to an existing field in the mappings.",
        ),
    ] {
        assert_eq!(refused(&none, mapping), reason);
    }
}

#[test]
fn mappings_grow_and_dont_change() {
    let before = parse(
        json!({"properties": {"x": {"type": "long"}, "o": {"properties": {"k": {"type": "keyword"}}}}}),
    );
    for (addition, reason) in [
        (
            json!({"x": {"type": "keyword"}}),
            "mapper [x] cannot be changed from type [long] to [keyword]",
        ),
        (
            json!({"o.k": {"type": "text"}}),
            "mapper [o.k] cannot be changed from type [keyword] to [text]",
        ),
        (
            json!({"x": {"type": "long", "index": false}}),
            "Mapper for [x] conflicts with existing mapper:\n\tCannot update parameter [index] from [true] to [false]",
        ),
        (
            json!({"o": {"type": "long"}}),
            "can't merge a non object mapping [o] with an object mapping",
        ),
        (
            json!({"x": {"properties": {}}}),
            "can't merge a non object mapping [x] with an object mapping",
        ),
        (
            json!({"o": {"type": "nested"}}),
            "can't merge a non-nested mapping [o] with a nested mapping",
        ),
    ] {
        assert_eq!(refused(&before, json!({"properties": addition})), reason);
    }
    let after = before
        .merge(&json!({"dynamic": false, "properties": {"o.l": {"type": "long"}, "x": {"type": "long", "coerce": false}}}), Limits::default())
        .unwrap();
    assert!(after.find("o.l").is_some() && after.find("o.k").is_some());
    assert!(!after.find("x").unwrap().field.coerce);
    assert_eq!(after.tree().root.dynamic, Dynamic::False);

    let limits = Limits {
        fields: 2,
        depth: 2,
        ..Limits::default()
    };
    let reason = Mapping::parse(&json!({"properties": {"a.b.c": {"type": "long"}}}), limits)
        .unwrap_err()
        .reason;
    assert_eq!(reason, "Limit of total fields [2] has been exceeded");
    let limits = Limits { depth: 2, ..limits };
    let reason = Mapping::parse(
        &json!({"properties": {"a": {"properties": {"b": {"type": "object"}}}}}),
        limits,
    )
    .unwrap_err()
    .reason;
    assert_eq!(
        reason,
        "Limit of mapping depth [2] has been exceeded due to object field [a.b]"
    );
}
