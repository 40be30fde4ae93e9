//! Query parameters, each of which must be known.

use std::str::FromStr;

use axum::http::Uri;

use crate::error::{ApiError, Result};
use crate::filter::Filter;

/// Taken by every endpoint.
const COMMON: [&str; 7] = [
    "pretty",
    "human",
    "error_trace",
    "filter_path",
    "format",
    "source",
    "source_content_type",
];

/// The parameters of a request; taking one removes it, and [`Params::finish`] refuses what is left.
pub struct Params {
    path: String,
    given: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Params {
    pub fn new(uri: &Uri) -> Result<Self> {
        let query: axum::extract::Query<Vec<(String, String)>> =
            axum::extract::Query::try_from_uri(uri)
                .map_err(|_| ApiError::illegal_argument("the query string can't be decoded"))?;
        let mut given = query.0;
        let too_long = |(name, value): &(String, String)| {
            name == "filter_path" && value.len() > Filter::LONGEST
        };
        if given.iter().any(too_long) {
            return Err(ApiError::illegal_argument(format!(
                "[filter_path] cannot be longer than [{}] characters",
                Filter::LONGEST
            )));
        }
        given.retain(|(name, _)| !COMMON.contains(&name.as_str()));
        Ok(Self {
            path: uri.path().to_owned(),
            given,
            known: Vec::new(),
        })
    }

    pub fn take(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let at = self.given.iter().position(|(given, _)| given == name)?;
        Some(self.given.remove(at).1)
    }

    /// `true`, `false`, or nothing for true.
    pub fn take_bool(&mut self, name: &'static str) -> Result<Option<bool>> {
        match self.take(name).as_deref() {
            None => Ok(None),
            Some("true" | "") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(ApiError::illegal_argument(format!(
                "Failed to parse value [{other}] as only [true] or [false] are allowed."
            ))),
        }
    }

    pub fn take_number<T: FromStr>(&mut self, name: &'static str, kind: &str) -> Result<Option<T>> {
        let parse = |text: String| {
            text.parse().map_err(|_| {
                ApiError::illegal_argument(format!(
                    "Failed to parse {kind} parameter [{name}] with value [{text}]"
                ))
            })
        };
        self.take(name).map(parse).transpose()
    }

    /// Refuses parameters that nobody took.
    pub fn finish(self) -> Result<()> {
        let mut names: Vec<&str> = self.given.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let told: Vec<String> = names
            .iter()
            .map(|name| match nearest(name, &self.known) {
                Some(known) => format!("[{name}] -> did you mean [{known}]?"),
                None => format!("[{name}]"),
            })
            .collect();
        match told.len() {
            0 => Ok(()),
            n => Err(ApiError::illegal_argument(format!(
                "request [{}] contains unrecognized parameter{}: {}",
                self.path,
                if n == 1 { "" } else { "s" },
                told.join(", ")
            ))),
        }
    }
}

/// The known name that a wrong one may have meant: at most a third of it is wrong.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = known
        .iter()
        .map(|known| (distance(name, known), *known))
        .min()?;
    (near.0 * 3 <= name.len().max(3)).then_some(near.1)
}

/// Levenshtein's distance, in bytes. Names are short; longer ones are not compared.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 100 {
        return usize::MAX / 4;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_parameters_are_named() {
        let uri: Uri = "/_ml/info?pretty&forse=true".parse().expect("a URI");
        let mut params = Params::new(&uri).expect("decodes");
        assert_eq!(params.take_bool("force").expect("fine"), None);
        let error = params.finish().expect_err("refused").0;
        assert_eq!(
            error.reason,
            "request [/_ml/info] contains unrecognized parameter: [forse] -> did you mean [force]?"
        );
    }
}
