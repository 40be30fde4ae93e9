//! Query parameters as a source of serde's: a struct is read from them as it is from a body.

use serde::de::value::StringDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use tidewatch_jobs::JobError;

use crate::body;
use crate::error::ApiError;
use crate::params::Params;

/// What is an object in a body, and flat in a query.
const PAGE: &str = "page";
const OF_PAGE: [&str; 2] = ["from", "size"];

impl de::Error for ApiError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(body::cause(&message.to_string()))
    }
}

impl<'de> Deserializer<'de> for &mut Params {
    type Error = ApiError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ApiError> {
        Err(de::Error::custom("parameters are read into a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ApiError> {
        let mut taken: Vec<(&'static str, Given)> = Vec::new();
        let mut take = |name| Some((name, Given::Text(name, self.take(name)?)));
        for field in fields {
            if *field == PAGE {
                let page: Vec<_> = OF_PAGE.into_iter().filter_map(&mut take).collect();
                if !page.is_empty() {
                    taken.push((PAGE, Given::Group(page)));
                }
            } else {
                taken.extend(take(field));
            }
        }
        visitor.visit_map(Fields::of(taken))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

enum Given {
    /// A parameter's name and value.
    Text(&'static str, String),
    Group(Vec<(&'static str, Given)>),
}

struct Fields {
    left: std::vec::IntoIter<(&'static str, Given)>,
    next: Option<(&'static str, Given)>,
}

impl Fields {
    fn of(given: Vec<(&'static str, Given)>) -> Self {
        Self {
            left: given.into_iter(),
            next: None,
        }
    }
}

impl<'de> MapAccess<'de> for Fields {
    type Error = ApiError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ApiError> {
        self.next = self.left.next();
        let name = self.next.as_ref().map(|(name, _)| *name);
        name.map(|name| seed.deserialize(name.into_deserializer()))
            .transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ApiError> {
        let (name, given) = self
            .next
            .take()
            .ok_or_else(|| <ApiError as de::Error>::custom("a value without a name"))?;
        seed.deserialize(given)
            .map_err(|ApiError(error)| ApiError(body::of_field(error, name)))
    }
}

/// A number's kind is in Elasticsearch's words.
macro_rules! number {
    ($method:ident, $visit:ident, $kind:literal) => {
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ApiError> {
            let Self::Text(name, text) = self else {
                return self.deserialize_any(visitor);
            };
            let number = text.trim().parse().map_err(|_| {
                JobError::illegal_argument(format!(
                    "Failed to parse {} parameter [{name}] with value [{text}]",
                    $kind
                ))
                .because(ApiError::number_format(&text).0)
            })?;
            visitor.$visit(number)
        }
    };
}

impl<'de> Deserializer<'de> for Given {
    type Error = ApiError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ApiError> {
        match self {
            Self::Text(_, text) => visitor.visit_string(text),
            Self::Group(given) => visitor.visit_map(Fields::of(given)),
        }
    }

    /// Nothing is true.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ApiError> {
        match &self {
            Self::Text(_, text) => match text.as_str() {
                "true" | "" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                text => Err(ApiError::no_bool(text)),
            },
            Self::Group(_) => self.deserialize_any(visitor),
        }
    }

    number!(deserialize_i32, visit_i32, "int");
    number!(deserialize_i64, visit_i64, "long");
    number!(deserialize_f32, visit_f32, "float");

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ApiError> {
        match self {
            Self::Text(_, text) => {
                let number = text
                    .trim()
                    .parse()
                    .map_err(|_| ApiError::number_format(&text))?;
                visitor.visit_f64(number)
            }
            Self::Group(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ApiError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ApiError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ApiError> {
        match self {
            Self::Text(_, text) => {
                let text: StringDeserializer<ApiError> = text.into_deserializer();
                visitor.visit_enum(text)
            }
            Self::Group(_) => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        struct identifier ignored_any
    }
}
