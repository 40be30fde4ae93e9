//! Mappings to JSON

use serde_json::{Map, Value};

use super::Parts;

/// A whole mapping.
pub fn mapping(parts: &Parts) -> Map<String, Value> {
    let mut root = parts.root.clone();
    if let Some(object) = parts.objects.get("") {
        root.extend(object.given.clone());
    }
    root.extend(parts.detection.given.clone());
    if !parts.runtime.is_empty() {
        root.insert("runtime".to_owned(), parts.runtime.clone().into());
    }
    // Parents come before what is below them.
    for object in parts.objects.values().filter(|o| !o.path.is_empty()) {
        put(&mut root, &object.path, object.given.clone());
    }
    for field in parts.fields.values() {
        match &field.parent {
            None => put(&mut root, &field.path, field.given.clone()),
            Some(parent) => {
                let above = find(&mut root, parent).and_then(|above| below(above, "fields"));
                if let Some(above) = above {
                    let name = &field.path[parent.len() + 1..];
                    above.insert(name.to_owned(), field.given.clone().into());
                }
            }
        }
    }
    mark_empty(&mut root);
    sort(&mut root);
    root
}

/// The object at a key, made if it isn't there.
fn below<'a>(map: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    map.entry(key)
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()
}

fn find<'a>(root: &'a mut Map<String, Value>, path: &str) -> Option<&'a mut Map<String, Value>> {
    path.split('.').try_fold(root, |map, name| {
        map.get_mut("properties")?
            .as_object_mut()?
            .get_mut(name)?
            .as_object_mut()
    })
}

fn put(root: &mut Map<String, Value>, path: &str, given: Map<String, Value>) {
    let (above, name) = match path.rsplit_once('.') {
        Some((parent, name)) => (find(root, parent), name),
        None => (Some(root), path),
    };
    if let Some(properties) = above.and_then(|above| below(above, "properties")) {
        properties.insert(name.to_owned(), given.into());
    }
}

/// An object without properties is told by its type.
fn mark_empty(object: &mut Map<String, Value>) {
    let Some(Value::Object(properties)) = object.get_mut("properties") else {
        return;
    };
    for definition in properties.values_mut().filter_map(Value::as_object_mut) {
        if !definition.contains_key("type") && !definition.contains_key("properties") {
            definition.insert("type".to_owned(), "object".into());
        }
        mark_empty(definition);
    }
}

fn sort(object: &mut Map<String, Value>) {
    for key in ["properties", "fields"] {
        if let Some(Value::Object(children)) = object.get_mut(key) {
            children.sort_keys();
            for child in children.values_mut().filter_map(Value::as_object_mut) {
                sort(child);
            }
        }
    }
}
