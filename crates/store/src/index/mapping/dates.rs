//! How the dates of a field are written

/// `format` of a date field: one or more formats, the first that reads a text wins.
#[derive(Debug, Clone, PartialEq)]
pub struct DateFormats {
    /// As given: `strict_date_optional_time||epoch_millis`.
    pub pattern: String,
}

impl Default for DateFormats {
    fn default() -> Self {
        Self {
            pattern: "strict_date_optional_time||epoch_millis".to_owned(),
        }
    }
}
