//! A query with its defaults filled in, as OpenSearch writes one that it has read.

use serde_json::{Map, Value, json};

/// Queries within queries that are looked at.
const DEPTH: usize = 30;

/// A query as it is told; what isn't known is told as it was given.
pub fn told(query: &Value) -> Value {
    tell(query, DEPTH)
}

/// The query of a detector that names none.
pub fn all() -> Value {
    json!({"match_all": {"boost": 1.0}})
}

fn tell(query: &Value, depth: usize) -> Value {
    let Some((kind, body)) = single(query).filter(|_| depth > 0) else {
        return query.clone();
    };
    let told = match (kind.as_str(), body) {
        ("match_all" | "match_none" | "exists" | "ids", Value::Object(body)) => {
            Some(with_boost(body.clone()))
        }
        ("bool", Value::Object(body)) => Some(bool_query(body, depth - 1)),
        ("range", body) => of_field(body, range),
        ("term" | "prefix", body) => of_field(body, |said| valued(said, "value")),
        ("wildcard", body) => of_field(body, |said| valued(said, "wildcard")),
        ("terms", Value::Object(body)) => Some(with_boost(body.clone())),
        ("match", body) => of_field(body, |said| queried(said, match_defaults())),
        ("match_phrase", body) => of_field(body, |said| queried(said, phrase_defaults())),
        _ => None,
    };
    match told {
        Some(told) => json!({kind: told}),
        None => query.clone(),
    }
}

/// An object's only field.
fn single(value: &Value) -> Option<(&String, &Value)> {
    let object = value.as_object()?;
    object.iter().next().filter(|_| object.len() == 1)
}

fn of_field(body: &Value, tell: impl Fn(&Value) -> Option<Map<String, Value>>) -> Option<Value> {
    let (field, said) = single(body)?;
    Some(json!({field: with_boost(tell(said)?)}))
}

/// The boost stands last.
fn with_boost(mut body: Map<String, Value>) -> Value {
    let boost = body.shift_remove("boost").and_then(|boost| boost.as_f64());
    body.insert("boost".to_owned(), json!(boost.unwrap_or(1.0)));
    Value::Object(body)
}

fn bool_query(body: &Map<String, Value>, depth: usize) -> Value {
    let mut told = Map::new();
    for clause in ["must", "filter", "must_not", "should"] {
        let all: Vec<Value> = match body.get(clause) {
            Some(Value::Array(all)) => all.iter().map(|one| tell(one, depth)).collect(),
            Some(one @ Value::Object(_)) => vec![tell(one, depth)],
            _ => continue,
        };
        if !all.is_empty() {
            told.insert(clause.to_owned(), all.into());
        }
    }
    let given = body.get("adjust_pure_negative").cloned();
    told.insert(
        "adjust_pure_negative".to_owned(),
        given.unwrap_or(Value::Bool(true)),
    );
    if let Some(least) = body.get("minimum_should_match") {
        // A text always.
        let least = least
            .as_str()
            .map_or_else(|| least.to_string(), str::to_owned);
        told.insert("minimum_should_match".to_owned(), least.into());
    }
    if let Some(boost) = body.get("boost") {
        told.insert("boost".to_owned(), boost.clone());
    }
    with_boost(told)
}

/// The bounds in their old form.
fn range(said: &Value) -> Option<Map<String, Value>> {
    let said = said.as_object()?;
    let mut told = json!({"from": null, "to": null, "include_lower": true, "include_upper": true});
    for (name, value) in said {
        let (bound, includes) = match name.as_str() {
            "gt" => ("from", Some(("include_lower", false))),
            "gte" => ("from", Some(("include_lower", true))),
            "lt" => ("to", Some(("include_upper", false))),
            "lte" => ("to", Some(("include_upper", true))),
            other => (other, None),
        };
        told[bound] = value.clone();
        if let Some((name, includes)) = includes {
            told[name] = includes.into();
        }
    }
    match told {
        Value::Object(told) => Some(told),
        _ => None,
    }
}

fn valued(said: &Value, name: &str) -> Option<Map<String, Value>> {
    let said = match said {
        Value::Object(said) => said.clone(),
        said => Map::from_iter([(name.to_owned(), said.clone())]),
    };
    let value = said.get(name).or(said.get("value"))?.clone();
    let mut told = Map::from_iter([(name.to_owned(), value)]);
    let rest = said.into_iter().filter(|(field, _)| field != "value");
    told.extend(rest);
    Some(told)
}

fn match_defaults() -> Value {
    json!({
        "query": null, "operator": "OR", "prefix_length": 0, "max_expansions": 50, "fuzzy_transpositions": true,
        "lenient": false, "zero_terms_query": "NONE", "auto_generate_synonyms_phrase_query": true
    })
}

fn phrase_defaults() -> Value {
    json!({"query": null, "slop": 0, "zero_terms_query": "NONE"})
}

/// A text that is looked for, over what it is looked for by where nothing is said.
fn queried(said: &Value, mut told: Value) -> Option<Map<String, Value>> {
    match said {
        Value::Object(said) => {
            for (name, value) in said {
                told[name] = value.clone();
            }
        }
        said => told["query"] = said.clone(),
    }
    match told {
        Value::Object(told) => Some(told),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tidewatch_store::query::{Context, Dsl, Loose};

    use super::*;

    #[test]
    fn defaults_are_told() {
        for (given, expected) in [
            (json!({"match_all": {}}), all()),
            (
                json!({"bool": {"filter": [{"range": {"value": {"gt": 1}}}], "adjust_pure_negative": true, "boost": 1}}),
                json!({"bool": {
                    "filter": [{"range": {"value": {
                        "from": 1, "to": null, "include_lower": false, "include_upper": true, "boost": 1.0
                    }}}],
                    "adjust_pure_negative": true, "boost": 1.0
                }}),
            ),
            (
                json!({"bool": {"must": {"exists": {"field": "value"}}}}),
                json!({"bool": {
                    "must": [{"exists": {"field": "value", "boost": 1.0}}], "adjust_pure_negative": true, "boost": 1.0
                }}),
            ),
            (
                json!({"term": {"host": "a"}}),
                json!({"term": {"host": {"value": "a", "boost": 1.0}}}),
            ),
            (
                json!({"bool": {"should": [{"match_phrase": {"host": "a b"}}], "minimum_should_match": 1}}),
                json!({"bool": {
                    "should": [{"match_phrase": {"host": {
                        "query": "a b", "slop": 0, "zero_terms_query": "NONE", "boost": 1.0
                    }}}],
                    "adjust_pure_negative": true, "minimum_should_match": "1", "boost": 1.0
                }}),
            ),
            (
                json!({"geo_distance": {"distance": "1km"}}),
                json!({"geo_distance": {"distance": "1km"}}),
            ),
        ] {
            assert_eq!(told(&given), expected, "{given}");
        }
    }

    /// Dashboards send back what they were told.
    #[test]
    fn what_is_told_can_be_asked_and_stays_as_it_is() {
        let schema = Loose(|_| tidewatch_store::query::FieldType::Keyword);
        for given in [
            json!({"bool": {"should": [{"range": {"value": {"gte": 1, "lt": 5}}}], "minimum_should_match": 1}}),
            json!({"wildcard": {"host": "a*"}}),
            json!({"prefix": {"host": {"value": "a"}}}),
            json!({"terms": {"host": ["a", "b"]}}),
            json!({"match": {"message": "failed"}}),
            json!({"match_phrase": {"message": {"query": "it failed", "slop": 1}}}),
            json!({"bool": {"must_not": [{"match_all": {}}]}}),
        ] {
            let told = told(&given);
            assert_eq!(super::told(&told), told);
            let query = Dsl::new(told.clone()).expect("a query");
            query
                .read(&Context::new(&schema))
                .unwrap_or_else(|error| panic!("{told}: {error:?}"));
        }
    }
}
