//! Parameters, those that all of Google's methods take among them, and tokens of pages.

use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{PlayError, Result, response};
use super::fields::Mask;
use crate::escape;

/// Taken by every method, and of no meaning here: who asks is not looked at.
const COMMON: [&str; 9] = [
    "access_token",
    "oauth_token",
    "key",
    "callback",
    "quotaUser",
    "userIp",
    "uploadType",
    "upload_protocol",
    "$.xgafv",
];

/// The parameters of a request that nobody has taken.
pub struct Params(Vec<(String, String)>);

/// How the answer is to look.
#[derive(Default)]
pub struct Look {
    pub compact: bool,
    fields: Option<Mask>,
}

impl Look {
    /// Refuses parts that the answers of a method, whose shape is told as `fields` are, never have.
    pub fn check(&self, shape: &str) -> Result<()> {
        match &self.fields {
            Some(mask) => mask.check(&Mask::parse(shape)?),
            None => Ok(()),
        }
    }

    pub fn response(&self, value: Value) -> Response {
        let value = match &self.fields {
            Some(mask) => mask.apply(value),
            None => value,
        };
        response(StatusCode::OK, &value, !self.compact)
    }
}

impl Params {
    pub fn new(query: &str) -> Result<Self> {
        let mut given = escape::pairs(query)?;
        given.retain(|(name, _)| !COMMON.contains(&name.as_str()));
        Ok(Self(given))
    }

    /// The last value of a parameter, by either of its names.
    fn take(&mut self, names: &[&str]) -> Option<String> {
        let taken = self
            .0
            .extract_if(.., |(name, _)| names.contains(&name.as_str()));
        taken.last().map(|(_, value)| value)
    }

    /// A parameter's text; an empty one is none.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.take(&[name]).filter(|text| !text.is_empty())
    }

    pub fn look(&mut self) -> Result<Look> {
        for name in ["alt", "$alt"] {
            match self.text(name).as_deref() {
                None | Some("json") => {}
                Some(other) => {
                    return Err(PlayError::bad(
                        name,
                        format!("[{other}] is not spoken, only json"),
                    ));
                }
            }
        }
        let pretty = self.take(&["prettyPrint", "$prettyPrint"]);
        let fields = self.take(&["fields", "$fields"]);
        let fields = fields.filter(|text| !text.is_empty());
        Ok(Look {
            compact: matches!(pretty.as_deref(), Some("false" | "0")),
            fields: match fields {
                Some(text) => Some(Mask::parse(&text)?),
                None => None,
            },
        })
    }

    /// How many are wanted: 0 is the usual, more than `most` is as many.
    pub fn page_size(&mut self, usual: usize, most: usize) -> Result<usize> {
        let Some(text) = self.take(&["pageSize", "page_size"]) else {
            return Ok(usual);
        };
        let size = text
            .parse()
            .map_err(|_| PlayError::mistyped("page_size", "TYPE_INT32", &text))?;
        page_size(size, usual, most)
    }

    /// What the token of a page holds, if there is one and it was given to such a request.
    pub fn page<T: DeserializeOwned>(&mut self, request: &Value) -> Result<Option<T>> {
        let token = self.take(&["pageToken", "page_token"]);
        held(token, request)
    }

    /// Refuses what nobody took.
    pub fn finish(self) -> Result<()> {
        match self.0.first() {
            Some((name, _)) => Err(PlayError::unknown_parameter(name)),
            None => Ok(()),
        }
    }
}

/// How many are wanted: 0 is the usual, more than `most` is as many.
pub fn page_size(size: i32, usual: usize, most: usize) -> Result<usize> {
    match usize::try_from(size) {
        Ok(0) => Ok(usual),
        Ok(size) => Ok(size.min(most)),
        Err(_) => Err(PlayError::bad("page_size", format!("{size} is negative"))),
    }
}

/// What the token of a page holds, if there is one and it was given to such a request.
pub fn held<T: DeserializeOwned>(token: Option<String>, request: &Value) -> Result<Option<T>> {
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return Ok(None);
    };
    let wrong = |told: &str| PlayError::bad("page_token", told);
    let bytes = URL_SAFE_NO_PAD.decode(&token).ok();
    let held: Option<(Value, T)> = bytes.and_then(|held| serde_json::from_slice(&held).ok());
    let (given_to, held) = held.ok_or_else(|| wrong("it is no token of this method"))?;
    match given_to == *request {
        true => Ok(Some(held)),
        false => Err(wrong(
            "all other parameters must be those of the request that gave it",
        )),
    }
}

/// The token of the page that goes on from what is held.
pub fn token<T: Serialize>(request: &Value, held: &T) -> Option<String> {
    let text = serde_json::to_vec(&(request, held)).ok()?;
    Some(URL_SAFE_NO_PAD.encode(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn params(query: &str) -> Params {
        Params::new(query).expect("decodes")
    }

    fn size(query: &str) -> std::result::Result<usize, String> {
        let mut params = params(query);
        let size = params.page_size(10, 100).map_err(|error| error.message)?;
        params.finish().map_err(|error| error.message)?;
        Ok(size)
    }

    #[test]
    fn sizes_are_read_coerced_or_refused() {
        assert_eq!(size("key=k&$.xgafv=2"), Ok(10));
        assert_eq!(size("pageSize=0"), Ok(10));
        assert_eq!(size("pageSize=3&page_size=4"), Ok(4));
        assert_eq!(size("pageSize=5000"), Ok(100));
        let refused = |query| size(query).expect_err("refused");
        assert_eq!(
            refused("pageSize=-1"),
            "Invalid value for page_size: -1 is negative"
        );
        assert_eq!(
            refused("pageSize=3000000000"),
            "Invalid value at 'page_size' (TYPE_INT32), \"3000000000\""
        );
        assert!(refused("pagesize=3").contains("Unknown name \"pagesize\""));
    }

    #[test]
    fn a_token_is_bound_to_its_request() {
        let request = json!({"parent": "apps/-", "filter": "é", "pageSize": 3});
        let token = token(&request, &("job", 7)).expect("a token");
        let page = |token: &str, request: &Value| {
            let page = params(&format!("pageToken={token}")).page::<(String, i64)>(request);
            page.map_err(|error| error.message)
        };
        assert_eq!(page(&token, &request), Ok(Some(("job".to_owned(), 7))));
        assert_eq!(page("", &request), Ok(None));
        let other = json!({"parent": "apps/-", "filter": "é", "pageSize": 4});
        assert_eq!(
            page(&token, &other),
            Err("Invalid value for page_token: all other parameters must be those of the request that gave it".into())
        );
        for bad in ["T2", "%7B%7D", &token[1..]] {
            assert_eq!(
                page(bad, &request),
                Err("Invalid value for page_token: it is no token of this method".into())
            );
        }
    }
}
