//! A part of a document over the whole of it
//!
//! What the part doesn't name stays as it was written, byte for byte: numbers too that no double holds.

use serde_json::{Map, Value};

use super::json::{Json, Result, Token};

/// A document with a part put over it, objects member by member and all else whole; None where nothing would change.
pub fn merged(source: &str, part: &Map<String, Value>) -> Result<Option<String>> {
    let mut json = Json::new(source);
    let mut changed = false;
    let mut out = String::with_capacity(source.len());
    if json.value()? == Token::Object {
        object(&mut json, part, &mut out, &mut changed)?;
    }
    Ok(changed.then_some(out))
}

/// An object that has begun.
fn object(
    json: &mut Json<'_>,
    part: &Map<String, Value>,
    out: &mut String,
    changed: &mut bool,
) -> Result<()> {
    let mut first = true;
    let mut met = Vec::new();
    out.push('{');
    while let Some(key) = json.key(&mut first)? {
        put_key(out, &key.text, met.is_empty());
        let token = json.value()?;
        let start = json.token_start();
        match (part.get(key.text.as_ref()), &token) {
            (Some(Value::Object(below)), Token::Object) => object(json, below, out, changed)?,
            (over, _) => {
                json.skip(&token)?;
                let before = &json.text()[start..json.position()];
                match over {
                    Some(over) if !is_same(before, over) => {
                        *changed = true;
                        out.push_str(&over.to_string());
                    }
                    _ => out.push_str(before),
                }
            }
        }
        met.push(key.text);
    }
    let mut is_first = met.is_empty();
    for (key, value) in part {
        if !met.iter().any(|met| met == key) {
            *changed = true;
            put_key(out, key, is_first);
            is_first = false;
            out.push_str(&value.to_string());
        }
    }
    out.push('}');
    Ok(())
}

/// Whether a value is the one that is written. A part came through the same reader as the written one does here, which
/// may be off by the last digit of a double.
fn is_same(written: &str, value: &Value) -> bool {
    serde_json::to_string(value).is_ok_and(|text| text == written)
        || serde_json::from_str::<Value>(written).ok().as_ref() == Some(value)
}

fn put_key(out: &mut String, key: &str, first: bool) {
    if !first {
        out.push(',');
    }
    out.push_str(&Value::from(key).to_string());
    out.push(':');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn over(source: &str, part: Value) -> Option<String> {
        merged(source, part.as_object().unwrap()).unwrap()
    }

    #[test]
    fn parts_go_over_documents() {
        let source = r#"{"a": {"b": 387541938.58717155, "c": [1, 2]}, "d": 123456789012345678901234567890, "{": 0}"#;
        assert_eq!(
            over(source, json!({"a": {"c": [3], "n": null}, "new": "x\n"})).unwrap(),
            r#"{"a":{"b":387541938.58717155,"c":[3],"n":null},"d":123456789012345678901234567890,"{":0,"new":"x\n"}"#
        );
        assert_eq!(
            over(source, json!({"a": {"b": 387541938.58717155, "c": [1, 2]}})),
            None
        );
        assert_eq!(over(source, json!({})), None);
        assert_eq!(
            over(r#"{"a":{}}"#, json!({"a": {"x": {}}})).unwrap(),
            r#"{"a":{"x":{}}}"#
        );
        assert_eq!(
            over(r#"{"a":{"b":1}}"#, json!({"a": 5})).unwrap(),
            r#"{"a":5}"#
        );
        assert_eq!(over("{}", json!({"a": 1})).unwrap(), r#"{"a":1}"#);
        assert_eq!(
            over(r#"{"a":"{"}"#, json!({"b": 1})).unwrap(),
            r#"{"a":"{","b":1}"#
        );
    }
}
