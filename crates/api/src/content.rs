//! JSON as Elasticsearch's parsers read it: a refusal tells where it is, which parser it was, and which field.

use std::collections::HashSet;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use tidewatch_jobs::JobError;

use crate::body;
use crate::error::ApiError;
use crate::near;
use crate::token::{Kind, Tokens};

/// Why a value can't be read. Only its object can say the first two: it knows the field.
#[derive(Debug)]
pub enum Failure {
    /// The value is of a kind that the field doesn't take.
    Kind,
    Unknown(String, &'static [&'static str]),
    Told(Box<JobError>),
}

impl Failure {
    pub fn told(error: JobError) -> Self {
        Self::Told(Box::new(error))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kind => f.write_str("a value of another kind"),
            Self::Unknown(field, _) => write!(f, "unknown field [{field}]"),
            Self::Told(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

impl de::Error for Failure {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        let text = message.to_string();
        // Of enums that take several kinds of values, serde tells no more.
        if text.starts_with("data did not match any variant of untagged enum") {
            return Self::Kind;
        }
        Self::told(body::cause(&text))
    }

    fn invalid_type(_: Unexpected, _: &dyn de::Expected) -> Self {
        Self::Kind
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::Unknown(field.to_owned(), expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::told(JobError::illegal_argument(format!("Required [{field}]")))
    }
}

type Result<T> = std::result::Result<T, Failure>;

/// The value at the current token, for the parser of a name.
pub struct Content<'r, 'b> {
    pub tokens: &'r mut Tokens<'b>,
    pub parser: &'r str,
    /// The parser of the whole body.
    pub root: &'r str,
}

/// Numbers may stand in strings, and whole numbers have no more than a fraction of nothing.
macro_rules! number {
    ($method:ident, $visit:ident, $type:ty, $name:literal) => {
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            let text = match self.tokens.kind {
                Kind::Number => self.tokens.raw().to_owned(),
                Kind::String => self.tokens.string()?,
                _ => return Err(Failure::Kind),
            };
            if let Ok(number) = text.parse::<$type>() {
                return visitor.$visit(number);
            }
            let refused = match text.parse::<f64>() {
                Err(_) => return Err(Failure::told(ApiError::number_format(&text).0)),
                Ok(number) if number.fract() != 0.0 => {
                    format!(
                        concat!("{} cannot be converted to ", $name, " without data loss"),
                        text
                    )
                }
                Ok(number) => match number as $type {
                    whole if whole as f64 == number => return visitor.$visit(whole),
                    _ => format!(
                        "Value [{text}] is out of range for {}",
                        $name.to_lowercase()
                    ),
                },
            };
            Err(Failure::told(JobError::illegal_argument(refused)))
        }
    };
}

impl<'de> Deserializer<'de> for Content<'_, '_> {
    type Error = Failure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.tokens.kind {
            Kind::StartObject => visitor.visit_map(Fields::of(self, false)),
            Kind::StartArray => visitor.visit_seq(Elements {
                of: self,
                form: Form::List,
            }),
            Kind::String => visitor.visit_string(self.tokens.string()?),
            Kind::True => visitor.visit_bool(true),
            Kind::False => visitor.visit_bool(false),
            Kind::Null => visitor.visit_unit(),
            Kind::Number => match self.tokens.raw() {
                text if let Ok(number) = text.parse() => visitor.visit_i64(number),
                text if let Ok(number) = text.parse() => visitor.visit_u64(number),
                text => match text.parse::<f64>() {
                    Ok(number) if number.is_finite() => visitor.visit_f64(number),
                    _ => Err(Failure::told(JobError::illegal_argument(format!(
                        "Value [{text}] is out of range for a number"
                    )))),
                },
            },
            Kind::EndObject | Kind::EndArray | Kind::End => Err(Failure::Kind),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.tokens.kind != Kind::String {
            return self.deserialize_any(visitor);
        }
        match self.tokens.string()?.as_str() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            text => Err(Failure::told(ApiError::no_bool(text).0)),
        }
    }

    number!(deserialize_i32, visit_i32, i32, "Integer");
    number!(deserialize_u32, visit_u32, u32, "Integer");
    number!(deserialize_i64, visit_i64, i64, "Long");
    number!(deserialize_u64, visit_u64, u64, "Long");

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.tokens.kind != Kind::String {
            return self.deserialize_any(visitor);
        }
        let text = self.tokens.string()?;
        let number = text
            .parse()
            .map_err(|_| Failure::told(ApiError::number_format(&text).0))?;
        visitor.visit_f64(number)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.tokens.kind {
            Kind::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.tokens.kind {
            Kind::StartObject => visitor.visit_map(Fields::of(self, true)),
            _ => Err(Failure::Kind),
        }
    }

    /// One object or text does for a list of one.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let form = match self.tokens.kind {
            Kind::StartArray => Form::List,
            Kind::StartObject | Kind::String => Form::Single,
            _ => return Err(Failure::Kind),
        };
        visitor.visit_seq(Elements { of: self, form })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.tokens.kind {
            Kind::String => {
                let text: de::value::StringDeserializer<Failure> =
                    de::IntoDeserializer::into_deserializer(self.tokens.string()?);
                visitor.visit_enum(text)
            }
            _ => Err(Failure::Kind),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map identifier
        ignored_any
    }
}

/// The fields of an object.
struct Fields<'r, 'b> {
    of: Content<'r, 'b>,
    /// Whether there is a parser for each field, or the object is taken as it is.
    parsed: bool,
    names: HashSet<String>,
    name: String,
}

impl<'r, 'b> Fields<'r, 'b> {
    fn of(of: Content<'r, 'b>, parsed: bool) -> Self {
        Self {
            of,
            parsed,
            names: HashSet::new(),
            name: String::new(),
        }
    }
}

impl<'de> MapAccess<'de> for Fields<'_, '_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        self.of.tokens.advance()?;
        if self.of.tokens.kind == Kind::EndObject {
            return Ok(None);
        }
        let name = self.of.tokens.string()?;
        if !self.names.insert(name.clone()) {
            return Err(self
                .of
                .tokens
                .malformed(&format!("Duplicate field '{name}'")));
        }
        self.name.clone_from(&name);
        let at = self.of.tokens.place();
        let parser = self.of.parser;
        let name: de::value::StringDeserializer<Failure> =
            de::IntoDeserializer::into_deserializer(name);
        match seed.deserialize(name) {
            Err(Failure::Unknown(field, known)) => {
                self.of.tokens.advance()?;
                let hint = near::meant(&field, known)
                    .map_or(String::new(), |known| format!(" did you mean {known}?"));
                Err(Failure::told(body::x_content(format!(
                    "{at} [{parser}] unknown field [{field}]{hint}"
                ))))
            }
            read => read.map(Some),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        self.of.tokens.advance()?;
        let (at, kind) = (self.of.tokens.place(), self.of.tokens.kind);
        if !self.parsed {
            let value = Content {
                tokens: self.of.tokens,
                ..self.of
            };
            return seed.deserialize(value);
        }
        let name = self.name.as_str();
        let Content { parser, root, .. } = self.of;
        let value = Content {
            tokens: self.of.tokens,
            parser: body::parser_of(name, root),
            root,
        };
        seed.deserialize(value).map_err(|failure| match failure {
            Failure::Kind => Failure::told(body::x_content(format!(
                "{at} [{parser}] {name} doesn't support values of type: {}",
                kind.name()
            ))),
            Failure::Unknown(field, _) => Failure::told(JobError::illegal_argument(format!(
                "unknown field [{field}]"
            ))),
            Failure::Told(error) => {
                let at = self.of.tokens.place();
                let reason = format!("{at} [{parser}] failed to parse field [{name}]");
                Failure::told(body::x_content(reason).because(body::of_field(*error, name)))
            }
        })
    }
}

/// The elements of a list, or one that stands for a list.
struct Elements<'r, 'b> {
    of: Content<'r, 'b>,
    form: Form,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    List,
    Single,
    Ended,
}

impl<'de> SeqAccess<'de> for Elements<'_, '_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        match self.form {
            Form::List => self.of.tokens.advance()?,
            Form::Single => self.form = Form::Ended,
            Form::Ended => return Ok(None),
        }
        if self.form == Form::List && self.of.tokens.kind == Kind::EndArray {
            return Ok(None);
        }
        let element = Content {
            tokens: self.of.tokens,
            ..self.of
        };
        seed.deserialize(element).map(Some)
    }
}
