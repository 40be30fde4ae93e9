//! Refusals of an analysis, in Elasticsearch's terms.

/// Why an analysis is refused, with Elasticsearch's words and its kind of exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub kind: ErrorKind,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// `status_exception`
    BadRequest,
    /// `illegal_argument_exception`
    IllegalArgument,
    /// `parse_exception`
    Parse,
}

/// Stands between kind and reason in [`ConfigError`]'s display: serde carries errors as text alone, and the wire
/// needs both parts again on the other side.
const SEPARATOR: char = '\u{1f}';

impl ConfigError {
    pub fn bad_request(reason: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::BadRequest,
            reason: reason.into(),
        }
    }

    pub fn illegal_argument(reason: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::IllegalArgument,
            reason: reason.into(),
        }
    }

    /// A text that is none of an enumeration's names, in the words that Elasticsearch's clients have always read.
    pub fn no_constant(enumeration: &str, text: &str) -> Self {
        Self::illegal_argument(format!(
            "No enum constant org.elasticsearch.xpack.core.ml.job.config.{enumeration}.{}",
            text.to_uppercase()
        ))
    }

    pub fn parse(reason: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Parse,
            reason: reason.into(),
        }
    }

    /// Finds an error again in the text that serde made of it.
    pub fn from_display(text: &str) -> Option<Self> {
        let (kind, reason) = text.split_once(SEPARATOR)?;
        let kind = match kind {
            "status_exception" => ErrorKind::BadRequest,
            "parse_exception" => ErrorKind::Parse,
            _ => ErrorKind::IllegalArgument,
        };
        Some(Self {
            kind,
            reason: reason.to_owned(),
        })
    }

    pub fn type_name(&self) -> &'static str {
        match self.kind {
            ErrorKind::BadRequest => "status_exception",
            ErrorKind::IllegalArgument => "illegal_argument_exception",
            ErrorKind::Parse => "parse_exception",
        }
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{SEPARATOR}{}", self.type_name(), self.reason)
    }
}

impl std::error::Error for ConfigError {}
