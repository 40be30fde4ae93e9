//! JSON as people write it into documents.

use serde_json::Value;

/// A block of lines as JSON. What stands for "and so on" is left out, a comma that is missing is put in, one that is too
/// much is taken away.
#[track_caller]
pub fn read(block: &str) -> Value {
    let is_meant = |line: &&str| !matches!(line.trim(), "" | "..." | "...,");
    let lines: Vec<&str> = block.lines().filter(is_meant).collect();
    let mut text = String::new();
    for (place, line) in lines.iter().enumerate() {
        let line = line.trim();
        let next = lines.get(place + 1).map_or("", |next| next.trim());
        let ends = next.starts_with(['}', ']']);
        let goes_on = next.starts_with(['"', '{', '[']);
        let is_open = line.ends_with(['{', '[', ',', ':']);
        match line.strip_suffix(',').filter(|_| ends) {
            Some(line) => text.push_str(line),
            None => text.push_str(line),
        }
        if goes_on && !is_open {
            text.push(',');
        }
        text.push('\n');
    }
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// How many more brackets a line opens than it closes, outside of texts.
pub fn depth(line: &str) -> i32 {
    let (mut depth, mut is_text) = (0, false);
    for c in line.chars() {
        match c {
            '"' => is_text = !is_text,
            '{' | '[' if !is_text => depth += 1,
            '}' | ']' if !is_text => depth -= 1,
            _ => {}
        }
    }
    depth
}

#[test]
fn what_people_write_is_read() {
    let block =
        "{\n  \"a\": [\n    ...\n    {\"b\": 1}\n    {\"c\": 2},\n    ...\n  ]\n  \"d\": {\n  }\n}";
    assert_eq!(
        read(block),
        serde_json::json!({"a": [{"b": 1}, {"c": 2}], "d": {}})
    );
    assert_eq!(depth(r#"{"a": ["}"#), 2);
}
