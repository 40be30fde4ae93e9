//! The mappings of the internal indices: what their fields hold.

use serde_json::{Map, Value, json};
use tidewatch_store::query::FieldType;

use super::indices::Family;
use super::schema::{Field, Type};
use super::shapes;

/// Texts that are looked at by their words.
const TEXTS: [&str; 2] = ["annotation", "message"];

impl Family {
    fn shapes(self) -> &'static [&'static [Field]] {
        match self {
            Self::Results => &[
                shapes::BUCKET,
                shapes::RECORD,
                shapes::INFLUENCER,
                shapes::MODEL_PLOT,
                shapes::CATEGORY,
                shapes::FOREST,
                shapes::DATA_COUNTS,
                shapes::MODEL_SIZE_STATS,
                shapes::TIMING_STATS,
                shapes::MODEL_SNAPSHOT,
                shapes::FORECAST,
                shapes::FORECAST_SERIES,
                shapes::FORECAST_POINT,
            ],
            Self::Annotations => &[shapes::ANNOTATION],
            Self::Notifications => &[shapes::NOTIFICATION],
            Self::State => &[],
        }
    }

    /// `properties` of the mapping: those of the documents that have a place, by name.
    pub fn properties(self) -> Map<String, Value> {
        let mut properties = Map::new();
        for shape in self.shapes() {
            add(&mut properties, shape);
        }
        properties.sort_keys();
        properties
    }
}

fn add(properties: &mut Map<String, Value>, fields: &[Field]) {
    for field in fields {
        let mapped = match field.of {
            Type::Object(inner) | Type::Objects(inner) => {
                let mut within = Map::new();
                add(&mut within, inner);
                json!({"properties": within})
            }
            Type::Text if TEXTS.contains(&field.name) => json!({"type": "text"}),
            of => json!({"type": of.name()}),
        };
        properties.entry(field.name).or_insert(mapped);
    }
}

/// What a field holds in the internal indices, by its path.
pub fn type_of(path: &str) -> FieldType {
    if TEXTS.contains(&path) {
        return FieldType::Text;
    }
    let families = [Family::Results, Family::Annotations, Family::Notifications];
    let mut shapes = families.iter().flat_map(|family| family.shapes());
    match shapes.find_map(|shape| find(shape, path)) {
        Some(Type::Date) => FieldType::Date,
        Some(Type::Double | Type::Doubles | Type::Long | Type::Longs) => FieldType::Number,
        Some(Type::Bool | Type::Bools) => FieldType::Bool,
        _ => FieldType::Keyword,
    }
}

fn find(fields: &[Field], path: &str) -> Option<Type> {
    let (head, rest) = match path.split_once('.') {
        Some((head, rest)) => (head, Some(rest)),
        None => (path, None),
    };
    let field = fields.iter().find(|field| field.name == head)?;
    match (rest, field.of) {
        (None, of) => Some(of),
        (Some(rest), Type::Object(inner) | Type::Objects(inner)) => find(inner, rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_typed_by_their_paths() {
        for (path, expected) in [
            ("timestamp", FieldType::Date),
            ("latest_record_time_stamp", FieldType::Date),
            ("record_score", FieldType::Number),
            ("causes.actual", FieldType::Number),
            ("bucket_influencers.is_interim", FieldType::Bool),
            ("annotation", FieldType::Text),
            ("airline", FieldType::Keyword),
        ] {
            assert_eq!(type_of(path), expected, "{path}");
        }
        let properties = Family::Results.properties();
        assert_eq!(
            properties["model_size_stats"]["properties"]["log_time"]["type"],
            "date"
        );
        assert_eq!(properties["job_id"]["type"], "keyword");
    }
}
