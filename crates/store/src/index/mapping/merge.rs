//! A mapping that grows: what may be changed of a field, and how much there may be

use std::sync::Arc;

use serde_json::{Map, Value};

use super::params::plain;
use super::parse::cannot_merge;
use super::{Field, Kind, Limits, Object, Parts};
use crate::index::error::Refusal;

type Result<T> = std::result::Result<T, Refusal>;

/// Parameters that a field may be given anew.
const CHANGEABLE: [&str; 16] = [
    "boost",
    "coerce",
    "copy_to",
    "depth_limit",
    "eager_global_ordinals",
    "fielddata",
    "fielddata_frequency_filter",
    "ignore_above",
    "ignore_malformed",
    "ignore_z_value",
    "meta",
    "norms",
    "path",
    "search_analyzer",
    "search_quote_analyzer",
    "time_series_metric",
];

/// Both, the addition over what was there.
pub fn merged(before: &Parts, addition: Parts) -> Result<Parts> {
    let mut parts = before.clone();
    for (path, object) in addition.objects {
        if parts.fields.contains_key(&path) {
            return Err(cannot_merge(&path));
        }
        let object = match parts.objects.get(&path) {
            Some(before) => Arc::new(merged_object(before, &object)?),
            None => object,
        };
        parts.objects.insert(path, object);
    }
    for (path, field) in addition.fields {
        if parts.objects.contains_key(&path) {
            return Err(cannot_merge(&path));
        }
        if let Some(before) = parts.fields.get(&path) {
            check_change(before, &field)?;
        }
        parts.fields.insert(path, field);
    }
    for (name, value) in addition.runtime {
        if value.is_null() {
            parts.runtime.shift_remove(&name);
        } else {
            parts.runtime.insert(name, value);
        }
    }
    parts.root.extend(addition.root);
    parts.detection = Arc::new(parts.detection.merged(&addition.detection));
    for field in parts.fields.values() {
        check_target(&parts, field)?;
    }
    Ok(parts)
}

fn merged_object(before: &Object, addition: &Object) -> Result<Object> {
    let path = &before.path;
    if before.nested != addition.nested && !path.is_empty() && !is_mention(addition) {
        return Err(Refusal::illegal_argument(format!(
            "can't merge a non-nested mapping [{path}] with a nested mapping"
        )));
    }
    if before.disabled != addition.disabled && !is_mention(addition) {
        return Err(Refusal::mapper_parsing(format!(
            "the [enabled] parameter can't be updated for the object mapping [{}]",
            if path.is_empty() { "_doc" } else { path }
        )));
    }
    let mut object = before.clone();
    object.dynamic = addition.dynamic.or(before.dynamic);
    object
        .given
        .extend(addition.given.iter().map(|(k, v)| (k.clone(), v.clone())));
    Ok(object)
}

/// An object that is only on the way to something.
fn is_mention(object: &Object) -> bool {
    object.dynamic.is_none() && !object.nested && !object.disabled
}

fn check_change(before: &Field, after: &Field) -> Result<()> {
    let constant = matches!(
        (&before.kind, &after.kind),
        (
            Kind::ConstantKeyword { value: None },
            Kind::ConstantKeyword { .. }
        )
    );
    if before.kind.name() != after.kind.name() || before.parent != after.parent {
        return Err(Refusal::illegal_argument(format!(
            "mapper [{}] cannot be changed from type [{}] to [{}]",
            before.path,
            before.kind.name(),
            after.kind.name()
        )));
    }
    let names = before.given.keys().chain(
        after
            .given
            .keys()
            .filter(|name| !before.given.contains_key(*name)),
    );
    let changes: String = names
        .filter(|name| !CHANGEABLE.contains(&name.as_str()))
        .filter(|name| before.given.get(*name) != after.given.get(*name))
        .filter(|name| !(constant && *name == "value"))
        .map(|name| {
            format!(
                "\n\tCannot update parameter [{name}] from [{}] to [{}]",
                shown(&before.given, name),
                shown(&after.given, name)
            )
        })
        .collect();
    if changes.is_empty() {
        return Ok(());
    }
    Err(Refusal::illegal_argument(format!(
        "Mapper for [{}] conflicts with existing mapper:{changes}",
        before.path
    )))
}

/// The value of a parameter, or its default.
fn shown(given: &Map<String, Value>, name: &str) -> String {
    match (given.get(name), name) {
        (Some(value), _) => plain(value),
        (None, "index" | "doc_values") => "true".to_owned(),
        (None, "store") => "false".to_owned(),
        (None, "format") => super::dates::DEFAULT.to_owned(),
        (None, "analyzer") => "default".to_owned(),
        (None, _) => "null".to_owned(),
    }
}

/// Where an alias leads and what is copied to must be there.
fn check_target(parts: &Parts, field: &Field) -> Result<()> {
    if let Kind::Alias { path } = &field.kind {
        let reason = if *path == field.path {
            "an alias cannot refer to itself."
        } else if let Some(target) = parts.fields.get(path) {
            if matches!(target.kind, Kind::Alias { .. }) {
                "an alias cannot refer to another alias."
            } else {
                return Ok(());
            }
        } else {
            "an alias must refer to an existing field in the mappings."
        };
        return Err(Refusal::mapper_parsing(format!(
            "Invalid [path] value [{path}] for field alias [{}]: {reason}",
            field.path
        )));
    }
    for target in &field.copy_to {
        if parts.objects.contains_key(target) {
            return Err(Refusal::illegal_argument(format!(
                "Cannot copy to field [{target}] since it is mapped as an object"
            )));
        }
        if parts.fields.get(target).is_some_and(|f| f.parent.is_some()) {
            return Err(Refusal::illegal_argument(format!(
                "[copy_to] may not be used to copy to a multi-field: [{target}]"
            )));
        }
    }
    Ok(())
}

pub fn check_limits(parts: &Parts, limits: Limits, adding: usize) -> Result<()> {
    // The root is no field.
    let fields = parts.fields.len() + parts.objects.len() + parts.runtime.len();
    let fields = fields.saturating_sub(usize::from(parts.objects.contains_key("")));
    if fields > limits.fields {
        let adding = match adding {
            0 => String::new(),
            adding => format!(" while adding new fields [{adding}]"),
        };
        return Err(Refusal::illegal_argument(format!(
            "Limit of total fields [{}] has been exceeded{adding}",
            limits.fields
        )));
    }
    let mut nested = 0;
    for object in parts.objects.values().filter(|o| !o.path.is_empty()) {
        nested += usize::from(object.nested);
        if object.path.matches('.').count() + 2 > limits.depth {
            return Err(Refusal::illegal_argument(format!(
                "Limit of mapping depth [{}] has been exceeded due to object field [{}]",
                limits.depth, object.path
            )));
        }
    }
    if nested > limits.nested {
        return Err(Refusal::illegal_argument(format!(
            "Limit of nested fields [{}] has been exceeded",
            limits.nested
        )));
    }
    Ok(())
}
