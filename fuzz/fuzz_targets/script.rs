#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use tidewatch_store::script::{Context, Document, Field, FieldValue, Kind, NoField, Script};

/// A document that has something of every type.
struct Varied(Value);

impl Document for Varied {
    fn values(&self, field: Field<'_>, values: &mut Vec<FieldValue>) -> Result<(), NoField> {
        match field.name {
            "n" => values.extend([FieldValue::Long(-7), FieldValue::Long(i64::MAX)]),
            "d" => values.push(FieldValue::Double(2.5)),
            "b" => values.push(FieldValue::Bool(true)),
            "k" => values.push(FieldValue::Text("GET /é😀?x=1".into())),
            "t" => values.push(FieldValue::Date(1_709_211_907_250)),
            "none" => {}
            _ => return Err(NoField::Unmapped),
        }
        Ok(())
    }

    fn source(&self) -> Option<&Value> {
        Some(&self.0)
    }
}

fuzz_target!(|source: &str| {
    let document = Varied(json!({"a": {"b": [1, 2.5, "x", null]}}));
    for lang in ["painless", "expression"] {
        let read = |context| Script::new(source, lang, Map::new(), context);
        if let Ok(script) = read(Context::Value) {
            let _ = script.value(&document);
        }
        if let Ok(script) = read(Context::Filter) {
            let _ = script.holds(&document);
        }
        if let Ok(script) = read(Context::Number) {
            let _ = script.number(&[("n", 1.5)]);
        }
        if let Ok(script) = read(Context::Runtime(Kind::Keyword)) {
            let _ = script.emit("f", &document, &mut Vec::new());
        }
    }
});
