//! `filter_path`: the parts of an answer that a client wants.

use serde_json::Value;
use tidewatch_jobs::matches;

/// Patterns over the paths of an answer: names joined by dots, `*` for any text within a name, `**` for any names. A dot
/// behind a backslash is one of the name.
pub struct Filter {
    wanted: Vec<Vec<String>>,
    unwanted: Vec<Vec<String>>,
}

impl Filter {
    /// Characters of a filter: more is nobody's wish.
    pub const LONGEST: usize = 2_000;

    /// None when nothing is filtered.
    pub fn parse(text: &str) -> Option<Self> {
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        for pattern in text
            .split(',')
            .map(str::trim)
            .filter(|pattern| !pattern.is_empty())
        {
            match pattern.strip_prefix('-') {
                Some(pattern) => unwanted.push(names(pattern)),
                None => wanted.push(names(pattern)),
            }
        }
        (!wanted.is_empty() || !unwanted.is_empty()).then_some(Self { wanted, unwanted })
    }

    pub fn apply(&self, answer: Value) -> Value {
        let mut answer = answer;
        if !self.unwanted.is_empty() {
            drop_unwanted(&mut answer, &borrowed(&self.unwanted));
        }
        if self.wanted.is_empty() {
            return answer;
        }
        keep_wanted(&answer, &borrowed(&self.wanted))
            .unwrap_or_else(|| Value::Object(Default::default()))
    }
}

fn names(pattern: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        let name = names.len() - 1;
        match char {
            '\\' if chars.next_if_eq(&'.').is_some() => names[name].push('.'),
            '.' => names.push(String::new()),
            char => names[name].push(char),
        }
    }
    names
}

fn borrowed(patterns: &[Vec<String>]) -> Vec<&[String]> {
    patterns.iter().map(Vec::as_slice).collect()
}

/// What is left of patterns below a name, each once; an empty one has been matched in full.
fn below<'a>(patterns: &[&'a [String]], name: &str) -> Vec<&'a [String]> {
    let mut left: Vec<&[String]> = Vec::new();
    let mut add = |rest: &'a [String]| {
        if !left.iter().any(|known| std::ptr::eq(*known, rest)) {
            left.push(rest);
        }
    };
    for &pattern in patterns {
        // `**` stands for no name, or for one more.
        let mut pattern = pattern;
        while let Some((first, rest)) = pattern.split_first()
            && first == "**"
        {
            add(pattern);
            pattern = rest;
        }
        if let Some((first, rest)) = pattern.split_first()
            && matches(first, name)
        {
            add(rest);
        }
    }
    left
}

fn is_matched(patterns: &[&[String]]) -> bool {
    patterns
        .iter()
        .any(|pattern| pattern.iter().all(|name| name == "**"))
}

fn keep_wanted(value: &Value, patterns: &[&[String]]) -> Option<Value> {
    match value {
        Value::Object(fields) => {
            let kept: serde_json::Map<String, Value> = fields
                .iter()
                .filter_map(|(name, value)| {
                    let left = below(patterns, name);
                    let kept = if is_matched(&left) {
                        Some(value.clone())
                    } else {
                        keep_wanted(value, &left)
                    };
                    Some((name.clone(), kept?))
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        // The elements of a list have no names of their own.
        Value::Array(values) => {
            let kept: Vec<Value> = values
                .iter()
                .filter_map(|value| keep_wanted(value, patterns))
                .collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => None,
    }
}

fn drop_unwanted(value: &mut Value, patterns: &[&[String]]) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| {
                let left = below(patterns, name);
                let stays = !is_matched(&left);
                if stays && !left.is_empty() {
                    drop_unwanted(value, &left);
                }
                stays
            });
        }
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| drop_unwanted(value, patterns)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_are_kept_and_left_out() {
        let answer = json!({"count": 2, "jobs": [
            {"job_id": "a", "data_counts": {"bucket_count": 1, "input_bytes": 5}, "state": "opened"},
            {"job_id": "b", "data_counts": {"bucket_count": 2, "input_bytes": 6}, "state": "closed"}
        ]});
        let filtered = |text: &str| Filter::parse(text).expect("a filter").apply(answer.clone());
        assert_eq!(
            filtered("jobs.job_id,jobs.data*.bucket_count"),
            json!({"jobs": [
                {"job_id": "a", "data_counts": {"bucket_count": 1}}, {"job_id": "b", "data_counts": {"bucket_count": 2}}
            ]})
        );
        assert_eq!(
            filtered("**.state"),
            json!({"jobs": [{"state": "opened"}, {"state": "closed"}]})
        );
        assert_eq!(filtered("jobs.**.**")["jobs"], answer["jobs"]);
        assert_eq!(filtered("-jobs"), json!({"count": 2}));
        assert_eq!(
            filtered("jobs,-jobs.data_counts,-**.state"),
            json!({"jobs": [{"job_id": "a"}, {"job_id": "b"}]})
        );
        assert_eq!(filtered("nothing"), json!({}));
        let dotted = Filter::parse("a\\.b.c").expect("a filter");
        assert_eq!(
            dotted.apply(json!({"a.b": {"c": 1}, "a": 2})),
            json!({"a.b": {"c": 1}})
        );
        assert!(Filter::parse("").is_none());
    }
}
