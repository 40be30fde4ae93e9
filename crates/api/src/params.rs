//! Query parameters, each of which must be known.

use axum::body::Body;
use axum::http::Uri;
use serde::de::DeserializeOwned;

use crate::error::{ApiError, Result};
use crate::{body, escape, near};

/// Taken by every endpoint.
const COMMON: [&str; 5] = ["pretty", "human", "error_trace", "filter_path", "format"];

/// The parameters of a request. An endpoint's are the fields of a struct, which its body may give instead.
pub struct Params {
    path: String,
    /// In the order of the query string.
    given: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Params {
    pub fn new(uri: &Uri) -> Result<Self> {
        let mut given = escape::pairs(uri.query().unwrap_or_default())?;
        given.retain(|(name, _)| !COMMON.contains(&name.as_str()));
        Ok(Self {
            path: escape::decode(uri.path(), false)?,
            given,
            known: COMMON.to_vec(),
        })
    }

    /// The value of a parameter; of one that was given again, the last.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let (taken, left) = std::mem::take(&mut self.given)
            .into_iter()
            .partition(|(given, _)| given == name);
        self.given = left;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().next_back().map(|(_, value)| value)
    }

    /// Parameters of Elasticsearch's that mean nothing here.
    pub fn ignore(mut self, names: &[&'static str]) -> Self {
        self.known.extend(names);
        self.given
            .retain(|(name, _)| !names.contains(&name.as_str()));
        self
    }

    /// A parameter of tidewatch's own, which may stand beside a body.
    pub fn flag(&mut self, name: &'static str) -> Result<bool> {
        match self.take(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true" | "") => Ok(true),
            Some(other) => Err(ApiError::no_bool(other)),
        }
    }

    /// All parameters, as the fields of a struct; a field `page` is `from` and `size` here.
    pub fn read<T: DeserializeOwned>(mut self) -> Result<T> {
        let read = T::deserialize(&mut self)?;
        self.finish()?;
        Ok(read)
    }

    /// The fields of a struct from the body; without a body, from the parameters.
    /// With a body no parameter of the struct is one.
    pub async fn body_or<T: DeserializeOwned>(
        mut self,
        body: Body,
        parser: &'static str,
    ) -> Result<T> {
        match self.body_or_source(body).await? {
            Some(bytes) => {
                let read = body::parse(&bytes, parser)?;
                self.finish()?;
                Ok(read)
            }
            None => self.read(),
        }
    }

    /// A body that must be there, where there are no parameters.
    pub async fn body<T: DeserializeOwned>(
        mut self,
        body: Body,
        parser: &'static str,
    ) -> Result<T> {
        let bytes = self.body_or_source(body).await?;
        let bytes = bytes.ok_or_else(|| ApiError::parse("request body is required"))?;
        let read = body::parse(&bytes, parser)?;
        self.finish()?;
        Ok(read)
    }

    /// The body, which clients that can't send one put into the query.
    async fn body_or_source(&mut self, body: Body) -> Result<Option<Vec<u8>>> {
        let bytes = body::read(body).await?;
        if !is_blank(&bytes) {
            return Ok(Some(bytes.to_vec()));
        }
        let Some(source) = self.take("source") else {
            return Ok(None);
        };
        let kind = self.take("source_content_type").ok_or_else(|| {
            ApiError::invalid("source and source_content_type parameters are required")
        })?;
        match crate::media::is_json(&kind) {
            true => Ok(Some(source.into_bytes())),
            false => Err(ApiError::invalid(&format!(
                "Unknown value for source_content_type [{kind}]"
            ))),
        }
    }

    /// Refuses parameters that nobody took.
    pub fn finish(self) -> Result<()> {
        let mut names: Vec<&str> = self.given.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let told: Vec<String> = names
            .iter()
            .map(|name| match near::meant(name, &self.known) {
                Some(known) => format!("[{name}] -> did you mean {known}?"),
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

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use tidewatch_model::units::TimeSpan;

    use super::*;
    use crate::results::Page;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Asked {
        force: Option<bool>,
        allow_no_match: bool,
        top_n: Option<i32>,
        score: Option<f64>,
        timeout: Option<TimeSpan>,
        sort: Option<String>,
        page: Option<Page>,
    }

    fn params(query: &str) -> Params {
        let uri: Uri = format!("/_ml/x?{query}").parse().expect("a URI");
        Params::new(&uri).expect("decodes")
    }

    fn refused(query: &str) -> String {
        let read = params(query).read::<Asked>();
        read.expect_err("refused").0.reason
    }

    #[test]
    fn parameters_are_the_fields_of_a_struct() {
        let asked: Asked = params(
            "force&allow_no_match=false&top_n=2&score=.5&timeout=1m&sort=a&sort=b&size=7&pretty",
        )
        .read()
        .expect("fine");
        let expected = Asked {
            force: Some(true),
            allow_no_match: false,
            top_n: Some(2),
            score: Some(0.5),
            timeout: TimeSpan::parse("1m").ok(),
            sort: Some("b".to_owned()),
            page: Some(Page {
                from: None,
                size: Some(7),
            }),
        };
        assert_eq!(asked, expected);
        assert_eq!(params("").read::<Asked>().ok(), Some(Asked::default()));
    }

    #[test]
    fn bad_values_are_refused_in_elasticsearchs_words() {
        for (query, reason) in [
            (
                "force=maybe",
                "Failed to parse value [maybe] as only [true] or [false] are allowed.",
            ),
            (
                "top_n=x",
                "Failed to parse int parameter [top_n] with value [x]",
            ),
            (
                "from=99999999999",
                "Failed to parse int parameter [from] with value [99999999999]",
            ),
            ("score=x", "For input string: \"x\""),
            (
                "timeout=8w",
                "failed to parse setting [timeout] with value [8w] as a time value: unit is missing or unrecognized",
            ),
        ] {
            assert_eq!(refused(query), reason);
        }
    }

    #[test]
    fn unknown_parameters_are_named() {
        assert_eq!(
            refused("forse=true"),
            "request [/_ml/x] contains unrecognized parameter: [forse] -> did you mean [force]?"
        );
        assert_eq!(
            refused("zzz=1&siz=1&prett"),
            "request [/_ml/x] contains unrecognized parameters: [prett] -> did you mean [pretty]?, \
             [siz] -> did you mean [size]?, [zzz]"
        );
    }

    #[tokio::test]
    async fn a_body_stands_for_all_parameters() {
        let asked = |query: &str, body: &'static str| {
            let params = params(query);
            async move { params.body_or::<Asked>(Body::from(body), "asked").await }
        };
        let read = asked("", r#"{"page": {"size": 3}}"#).await.expect("fine");
        assert_eq!(read.page.and_then(|page| page.size), Some(3));
        let error = asked("force=true", "{}").await.expect_err("refused").0;
        assert_eq!(
            error.reason,
            "request [/_ml/x] contains unrecognized parameter: [force]"
        );
        let read = asked("force=true", " \n").await.expect("fine");
        assert_eq!(read.force, Some(true));
        let source = "source=%7B%22top_n%22%3A4%7D";
        let read = asked(
            &format!("{source}&source_content_type=application/json"),
            "",
        );
        assert_eq!(read.await.expect("fine").top_n, Some(4));
        let error = asked(source, "").await.expect_err("refused").0;
        assert_eq!(
            (error.kind, error.reason.as_str()),
            (
                "validation_exception",
                "Validation Failed: 1: source and source_content_type parameters are required;"
            )
        );
    }
}
