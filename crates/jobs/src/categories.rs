//! What is told of categories: their definitions as documents, and changes of their quality.

use serde_json::{Map, Value, json};
use tidewatch_model::categorize::{CategorizationStatus, CategoryDefinition};
use tidewatch_store::{AnnotationRow, ResultKind, ResultRow};

use crate::live;

/// The rows of definitions. `partition_field`: of a job whose partitions have categories of their own.
pub fn rows(
    job_id: &str,
    partition_field: Option<&str>,
    definitions: Vec<CategoryDefinition>,
) -> Vec<ResultRow> {
    let row = |definition: CategoryDefinition| ResultRow {
        kind: ResultKind::Category,
        timestamp: i64::from(definition.category_id),
        seq: 0,
        score: 0.0,
        is_interim: false,
        doc: live::json(&document(job_id, partition_field, definition)),
    };
    definitions.into_iter().map(row).collect()
}

fn document(
    job_id: &str,
    partition_field: Option<&str>,
    definition: CategoryDefinition,
) -> Map<String, Value> {
    let mut doc = Map::new();
    doc.insert("job_id".to_owned(), job_id.into());
    doc.insert("category_id".to_owned(), definition.category_id.into());
    let partition = partition_field.zip(definition.partition);
    if let Some((field, value)) = &partition {
        doc.insert("partition_field_name".to_owned(), (*field).into());
        doc.insert("partition_field_value".to_owned(), value.as_str().into());
    }
    doc.insert("terms".to_owned(), definition.terms.into());
    doc.insert("regex".to_owned(), definition.regex.into());
    let length = definition.max_matching_length;
    doc.insert("max_matching_length".to_owned(), length.into());
    doc.insert("examples".to_owned(), definition.examples.into());
    doc.insert("num_matches".to_owned(), definition.num_matches.into());
    doc.insert("result_type".to_owned(), "category_definition".into());
    let id = definition.category_id.to_string();
    doc.insert("mlcategory".to_owned(), id.into());
    // A field's name and value are said once more, unless the name is taken.
    if let Some((field, value)) = partition {
        doc.entry(field).or_insert_with(|| value.into());
    }
    doc
}

/// A change of the quality of a job's categories, or of those of a partition.
pub struct StatusChange {
    pub status: CategorizationStatus,
    /// Field and value.
    pub partition: Option<(String, String)>,
    /// When it was seen, in the time of the records, epoch milliseconds.
    pub time: i64,
}

impl StatusChange {
    pub fn message(&self) -> String {
        let status = match self.status {
            CategorizationStatus::Ok => "ok",
            CategorizationStatus::Warn => "warn",
        };
        let partition = match &self.partition {
            Some((field, value)) => format!(" for '{field}' '{value}'"),
            None => String::new(),
        };
        format!("Categorization status changed to '{status}'{partition}")
    }

    pub fn annotation(&self, job_id: &str) -> AnnotationRow {
        let time = self.time;
        let mut doc = json!({
            "annotation": self.message(), "create_time": time, "create_username": "_xpack", "timestamp": time,
            "end_timestamp": time, "job_id": job_id, "modified_time": time, "modified_username": "_xpack",
            "type": "annotation", "event": "categorization_status_change"
        });
        let value = self.partition.as_ref().map_or("", |(_, value)| value);
        if let Some((field, value)) = &self.partition {
            doc["partition_field_name"] = field.as_str().into();
            doc["partition_field_value"] = value.as_str().into();
        }
        AnnotationRow {
            job_id: job_id.to_owned(),
            annotation_id: format!("categorization_status_change_{time}_{value}"),
            timestamp: time,
            doc: doc.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_status_is_annotated_where_and_when_it_was_seen() {
        let change = |partition: Option<(&str, &str)>| StatusChange {
            status: CategorizationStatus::Warn,
            partition: partition.map(|(field, value)| (field.to_owned(), value.to_owned())),
            time: 1_000,
        };
        let whole = change(None).annotation("j");
        let of_partition = change(Some(("host", "a"))).annotation("j");
        assert_ne!(whole.annotation_id, of_partition.annotation_id);
        let doc: Value = serde_json::from_str(&of_partition.doc).expect("JSON");
        assert_eq!(
            doc["annotation"],
            "Categorization status changed to 'warn' for 'host' 'a'"
        );
        assert_eq!(
            (&doc["timestamp"], &doc["partition_field_value"]),
            (&json!(1_000), &json!("a"))
        );
        assert_eq!(
            change(None).message(),
            "Categorization status changed to 'warn'"
        );
    }

    #[test]
    fn a_partition_is_said_once_more_unless_its_name_is_taken() {
        let definition = CategoryDefinition {
            category_id: 7,
            partition: Some("a".to_owned()),
            terms: "link up".to_owned(),
            regex: ".*?link.+?up.*".to_owned(),
            max_matching_length: 7,
            examples: vec!["link up".to_owned()],
            num_matches: 3,
        };
        let of = |field| rows("j", Some(field), vec![definition.clone()]).remove(0);
        let doc: Value = serde_json::from_str(&of("host").doc).expect("JSON");
        assert_eq!(
            (&doc["host"], &doc["mlcategory"], of("host").timestamp),
            (&json!("a"), &json!("7"), 7)
        );
        let doc: Value = serde_json::from_str(&of("terms").doc).expect("JSON");
        assert_eq!(doc["terms"], "link up");
    }
}
