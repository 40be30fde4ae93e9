//! Fields that may be left out but not be null, as Elasticsearch's parsers have most of theirs.

use serde::{Deserialize, Deserializer};

/// For fields that are named with `default`.
pub fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
