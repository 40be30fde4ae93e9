//! The index beside a result index of a detector's own, whose documents have all in flat fields.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tidewatch_store::query::{Field, FieldType, Schema, wildcard};

use super::detector::Detector;
use super::fields::{Fields, OF_RESULTS};

/// What the flat fields begin with that have a value a feature.
const OF_FEATURES: [&str; 4] = [
    "feature_data_",
    "relevant_attribution_",
    "expected_values_",
    "past_value_",
];
const OF_CATEGORIES: &str = "entity_";

impl Detector {
    /// The name of the flat index, if there is one.
    pub fn flat_index(&self) -> Option<String> {
        let own = self.result_index.as_ref()?;
        let is_wanted = self.flatten_custom_result_index == Some(true);
        is_wanted.then(|| format!("{own}_flattened_{}", self.name).to_lowercase())
    }
}

/// Adds the flat fields to a result: they are called by names, not by ids.
pub fn flatten(result: &mut Value) {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let data = list(&result["feature_data"]);
    let name_of = |id: &Value| -> Option<String> {
        let feature = data.iter().find(|feature| feature["feature_id"] == *id)?;
        feature["feature_name"].as_str().map(str::to_owned)
    };
    let expected = list(&result["expected_values"]);
    let expected = expected.iter().flat_map(|one| list(&one["value_list"]));
    let lists = [
        data.clone(),
        list(&result["relevant_attribution"]),
        expected.collect(),
        list(&result["past_values"]),
    ];
    let mut flat = Map::new();
    for (start, values) in OF_FEATURES.iter().zip(lists) {
        for value in values {
            if let Some(name) = name_of(&value["feature_id"]) {
                flat.insert(format!("{start}{name}"), value["data"].clone());
            }
        }
    }
    for field in list(&result["entity"]) {
        if let Some(name) = field["name"].as_str() {
            flat.insert(format!("{OF_CATEGORIES}{name}"), field["value"].clone());
        }
    }
    if let Value::Object(result) = result {
        result.extend(flat);
    }
}

/// The fields of flat results.
pub struct FlatFields {
    usual: Fields,
    flat: BTreeMap<String, FieldType>,
}

impl FlatFields {
    pub fn of<'d>(detectors: impl Iterator<Item = &'d Detector>) -> Self {
        let mut flat = BTreeMap::new();
        for detector in detectors {
            for feature in detector.enabled() {
                let fields = OF_FEATURES.iter();
                flat.extend(fields.map(|start| {
                    (
                        format!("{start}{}", feature.feature_name),
                        FieldType::Number,
                    )
                }));
            }
            let categories = detector.categories().iter();
            flat.extend(
                categories.map(|name| (format!("{OF_CATEGORIES}{name}"), FieldType::Keyword)),
            );
        }
        Self {
            usual: OF_RESULTS,
            flat,
        }
    }
}

impl Schema for FlatFields {
    fn field(&self, path: &str) -> Option<Field> {
        match self.flat.get(path) {
            Some(FieldType::Number) => Some(Field::new(FieldType::Number, "double")),
            Some(of) => Some(Field::new(*of, "keyword")),
            None => self.usual.field(path),
        }
    }

    fn matching(&self, pattern: &str) -> Vec<String> {
        let flat = self.flat.keys().filter(|name| wildcard(pattern, name));
        let mut all = self.usual.matching(pattern);
        all.extend(flat.cloned());
        all
    }

    fn in_source(&self, path: &str) -> String {
        self.usual.in_source(path)
    }

    fn is_object(&self, path: &str) -> bool {
        self.usual.is_object(path)
    }

    fn is_nested(&self, path: &str) -> bool {
        self.usual.is_nested(path)
    }
}
