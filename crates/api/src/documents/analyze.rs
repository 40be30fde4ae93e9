//! `_analyze`: what an analyzer makes of a text.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde_json::{Map, Value, json};
use tidewatch_model::categorize::{Analysis, Analyzer};
use tidewatch_model::config::AnalyzerConfig;

use crate::error::{ApiError, Result, json_response};
use crate::params::Params;
use crate::{ApiState, body};

/// Between the tokens of two texts there is room for so many, as in Lucene.
const GAP: usize = 100;
/// Tokens of one answer, as in Elasticsearch.
const MOST: usize = 10_000;

pub async fn anywhere(uri: Uri, body: Body) -> Result<Response> {
    analyze(&uri, body).await
}

pub async fn within(
    State(state): State<ApiState>,
    Path(index): Path<String>,
    uri: Uri,
    body: Body,
) -> Result<Response> {
    super::named::single(&state, &index).await?;
    analyze(&uri, body).await
}

async fn analyze(uri: &Uri, body: Body) -> Result<Response> {
    Params::new(uri)?.finish()?;
    let bytes = body::read(body).await?;
    let said: Map<String, Value> = serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::parse(format!("Failed to parse request body: {error}")))?;
    let (mut parts, mut named, mut texts) = (Map::new(), None, None);
    for (name, value) in said {
        match name.as_str() {
            "text" => texts = Some(texts_of(value)?),
            "analyzer" => named = Some(value),
            "tokenizer" | "filter" | "char_filter" => {
                parts.insert(name, value);
            }
            other => {
                return Err(super::bad_request(
                    "x_content_parse_exception",
                    format!("[1:1] [analyze_request] unknown field [{other}]"),
                ));
            }
        }
    }
    let Some(texts) = texts else {
        return Err(tidewatch_jobs::JobError::invalid_request(&["text is missing"]).into());
    };
    let config = match (named, parts.is_empty()) {
        (Some(named), true) => named,
        (None, true) => "standard".into(),
        (None, false) => {
            // Filters without a tokenizer have the whole text as their token.
            parts.entry("tokenizer").or_insert_with(|| "keyword".into());
            parts.into()
        }
        (Some(_), false) => {
            return Err(ApiError::illegal_argument(
                "tokenizer/filter/char_filter cannot be used with analyzer",
            ));
        }
    };
    let config = AnalyzerConfig::try_from(config)
        .map_err(|error| ApiError(tidewatch_jobs::JobError::from(error)))?;
    let analyzer = Analyzer::new(&config).map_err(ApiError::illegal_argument)?;
    let tokens = tokens(&analyzer, &texts)?;
    Ok(json_response(
        StatusCode::OK,
        json!({"tokens": tokens}).to_string(),
    ))
}

fn texts_of(value: Value) -> Result<Vec<String>> {
    let values = match value {
        Value::Array(values) => values,
        value => vec![value],
    };
    let one = |value: Value| match value {
        Value::String(text) => Ok(text),
        other => Err(ApiError::illegal_argument(format!(
            "[text] is no text: [{other}]"
        ))),
    };
    values.into_iter().map(one).collect()
}

/// The tokens of texts, one behind the other. Offsets are in UTF-16, as clients of a Java server know them.
fn tokens(analyzer: &Analyzer, texts: &[String]) -> Result<Vec<Value>> {
    let mut analysis = Analysis::default();
    let mut tokens = Vec::new();
    let (mut offset, mut position) = (0, 0);
    for text in texts {
        analyzer.analyze(text, &mut analysis);
        let units = units(text);
        let at = |byte: usize| {
            units
                .get(byte)
                .or(units.last())
                .copied()
                .unwrap_or_default()
        };
        let mut places = Vec::new();
        analysis.places(&mut places);
        // Where what the char filters left begins, and where it ends.
        let first = analysis.spans().next().zip(places.first());
        let begin = first.map_or(0, |(span, (start, _))| span.start - start);
        let end = begin + analysis.text().len();
        let mut last = None;
        for (token, span) in analysis.tokens().zip(analysis.spans()) {
            // What was cut off behind the text belongs to its last token.
            let to = if span.end == end {
                text.len()
            } else {
                span.end
            };
            tokens.push(json!({
                "token": token, "start_offset": offset + at(span.start), "end_offset": offset + at(to),
                "type": "word", "position": position + span.position
            }));
            last = Some(span.position);
        }
        if tokens.len() > MOST {
            return Err(ApiError::illegal_argument(format!(
                "The number of tokens produced by calling _analyze has exceeded the allowed maximum of [{MOST}]. This \
                 limit can be set by changing the [index.analyze.max_token_count] index level setting."
            )));
        }
        offset += at(text.len()) + 1;
        position += last.map_or(0, |last| last + 1) + GAP;
    }
    Ok(tokens)
}

/// Of each byte of a text, and of its end, how many UTF-16 units stand before it.
fn units(text: &str) -> Vec<usize> {
    let mut places = Vec::with_capacity(text.len() + 1);
    let mut units = 0;
    for c in text.chars() {
        places.extend(std::iter::repeat_n(units, c.len_utf8()));
        units += c.len_utf16();
    }
    places.push(units);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(texts: &[&str]) -> Vec<(String, u64, u64, u64)> {
        let config = json!({"char_filter": ["first_non_blank_line"], "tokenizer": "ml_standard"});
        let config = AnalyzerConfig::try_from(config).expect("an analyzer");
        let analyzer = Analyzer::new(&config).expect("known");
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let tokens = tokens(&analyzer, &texts).expect("tokens");
        let number = |token: &Value, name: &str| token[name].as_u64().expect("a number");
        tokens
            .iter()
            .map(|token| {
                (
                    token["token"].as_str().expect("a text").to_owned(),
                    number(token, "start_offset"),
                    number(token, "end_offset"),
                    number(token, "position"),
                )
            })
            .collect()
    }

    #[test]
    fn tokens_have_places_in_the_text_that_was_given() {
        let expected = |tokens: &[(&str, u64, u64, u64)]| -> Vec<(String, u64, u64, u64)> {
            tokens
                .iter()
                .map(|(token, a, b, c)| ((*token).to_owned(), *a, *b, *c))
                .collect()
        };
        // The end of what is left is the end of all.
        assert_eq!(
            told(&[" \n\nlink up\nmore", "17 links"]),
            expected(&[("link", 3, 7, 0), ("up", 8, 15, 1), ("links", 19, 24, 103)])
        );
        assert_eq!(told(&["𝄞 tür"]), expected(&[("tür", 3, 6, 0)]));
        assert_eq!(told(&[""]), []);
    }
}
