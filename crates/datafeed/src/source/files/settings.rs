//! What is said of a source of files in the settings.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[sources.<name>]` of kind `files`. What isn't said of the format is taken from a file's name, or else from what
/// it begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// The directory whose files are read, and nothing outside of it.
    pub path: PathBuf,
    /// Of all of its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Between the values of a CSV row: one ASCII character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// The names of the columns of CSV files that have no header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
}

/// How the records of a file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Csv,
    Tsv,
    Ndjson,
    Parquet,
}

impl Format {
    /// By the end of a name, before that of a compression: `a.csv.gz` is CSV.
    pub fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let compression = [".gz", ".zst", ".zstd"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        match compression.unwrap_or(&name).rsplit_once('.')?.1 {
            "csv" => Some(Self::Csv),
            "tsv" | "tab" => Some(Self::Tsv),
            "ndjson" | "jsonl" | "json" => Some(Self::Ndjson),
            "parquet" | "pq" => Some(Self::Parquet),
            _ => None,
        }
    }
}

impl Directory {
    /// Refuses what can't be meant.
    pub fn check(&self) -> Result<(), String> {
        if self.path.as_os_str().is_empty() {
            return Err("[path] is empty".to_owned());
        }
        if let Some(delimiter) = self.delimiter
            && (!delimiter.is_ascii() || matches!(delimiter, '"' | '\n' | '\r'))
        {
            return Err(format!(
                "[delimiter] must be one ASCII character, and no quote or line end, but was [{delimiter}]"
            ));
        }
        if self.columns.as_ref().is_some_and(Vec::is_empty) {
            return Err("[columns] is empty".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_format() {
        for (name, format) in [
            ("a.csv", Some(Format::Csv)),
            ("a.TSV.gz", Some(Format::Tsv)),
            ("a.b.jsonl.zst", Some(Format::Ndjson)),
            ("a.parquet", Some(Format::Parquet)),
            ("a.log.1", None),
            ("a.gz", None),
            ("csv", None),
        ] {
            assert_eq!(Format::of_name(name), format, "{name}");
        }
    }

    #[test]
    fn wrong_settings_are_told() {
        let settings = Directory {
            path: "x".into(),
            ..Directory::default()
        };
        assert_eq!(settings.check(), Ok(()));
        for delimiter in ['é', '"'] {
            let wrong = Directory {
                delimiter: Some(delimiter),
                ..settings.clone()
            };
            assert!(
                wrong
                    .check()
                    .is_err_and(|reason| reason.contains("[delimiter]"))
            );
        }
    }
}
