//! What scripts are for.

/// The type of a runtime field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Keyword,
    Long,
    Double,
    Boolean,
    Date,
    Ip,
}

impl Kind {
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "keyword" => Self::Keyword,
            "long" => Self::Long,
            "double" => Self::Double,
            "boolean" => Self::Boolean,
            "date" => Self::Date,
            "ip" => Self::Ip,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::Long => "long",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Ip => "ip",
        }
    }
}

/// Who runs a script, which decides what it may use and what comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// `script_fields`, and the scripts of aggregations: any value.
    Value,
    /// A runtime field: values by `emit`.
    Runtime(Kind),
    /// A query: yes or no.
    Filter,
    /// Pipeline aggregations and scores: a number.
    Number,
}
