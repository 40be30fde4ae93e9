//! Scripts: the part of Painless that datafeeds, queries and aggregations use, as a small safe expression language.
//!
//! A script is parsed once to a tree, and evaluated without I/O over one [`Document`]. Source, nesting, steps, strings
//! and regular expressions are bounded. What isn't supported is refused by name when it is compiled.

mod context;
mod document;
mod error;
mod names;
mod number;
mod output;
mod parse;
mod run;
mod syntax;
mod token;
mod value;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

pub use context::{Context, Kind};
pub use document::{Document, Field, FieldValue, NoField, Nothing};
pub use error::{Fault, Place, ScriptError};

use run::Run;
use syntax::Program;
use token::Wrong;

/// Bytes of a script's source.
const SOURCE: usize = 16 << 10;

pub type Result<T> = std::result::Result<T, ScriptError>;

/// A script that was compiled for a context. It can be used by many threads at once.
#[derive(Debug)]
pub struct Script {
    source: String,
    lang: &'static str,
    context: Context,
    /// An object.
    params: Value,
    program: Program,
}

impl Script {
    /// Reads a script as requests have it: its source alone, or an object with `source`, `lang` and `params`.
    ///
    /// # Errors
    /// [`ScriptError`]: the object is malformed, the language isn't known, or the script can't be compiled.
    pub fn read(json: &Value, context: Context) -> Result<Self> {
        let object = match json {
            Value::String(source) => return Self::new(source, "painless", Map::new(), context),
            Value::Object(object) => object,
            other => {
                let reason = format!("[script] expected a text or an object, and not [{other}]");
                return Err(malformed(reason));
            }
        };
        let (mut source, mut lang, mut params) = (None, "painless", Map::new());
        for (name, value) in object {
            match (name.as_str(), value) {
                ("source" | "inline", Value::String(text)) => source = Some(text),
                ("lang", Value::String(name)) => lang = name,
                ("params", Value::Object(given)) => params = given.clone(),
                ("params", Value::Null) => {}
                ("options", Value::Object(options)) => {
                    let other = options.keys().find(|name| *name != "content_type");
                    if let Some(name) = other {
                        return Err(malformed(format!("[script] unknown option [{name}]")));
                    }
                }
                ("id" | "stored", _) => {
                    let reason =
                        "stored scripts are not supported: [source] must have the script itself";
                    return Err(ScriptError::outside("illegal_argument_exception", reason));
                }
                ("source" | "inline" | "lang" | "params" | "options", _) => {
                    return Err(malformed(format!(
                        "[script] failed to parse field [{name}]"
                    )));
                }
                _ => return Err(malformed(format!("[script] unknown field [{name}]"))),
            }
        }
        match source {
            Some(source) => Self::new(source, lang, params, context),
            None => Err(ScriptError::outside(
                "illegal_argument_exception",
                "must specify either [source] for an inline script or [id] for a stored script",
            )),
        }
    }

    /// Compiles a script.
    ///
    /// # Errors
    /// [`ScriptError`]: the language isn't known, or the script can't be compiled.
    pub fn new(
        source: &str,
        lang: &str,
        params: Map<String, Value>,
        context: Context,
    ) -> Result<Self> {
        let lang = match lang {
            "painless" => "painless",
            "expression" => "expression",
            other => {
                let reason = format!("script_lang not supported [{other}]");
                return Err(ScriptError::outside("illegal_argument_exception", reason));
            }
        };
        if source.len() > SOURCE {
            let reason = format!(
                "exceeded max allowed inline script size in bytes [{SOURCE}] with size [{}] for script [{}...]",
                source.len(),
                &source[..source.floor_char_boundary(64)]
            );
            return Err(ScriptError::outside("illegal_argument_exception", reason));
        }
        let program = match lang {
            "expression" => parse::formula(source, context, &params),
            _ => parse::painless(source, context),
        };
        let program = program
            .map_err(|(at, fault)| ScriptError::within("compile error", source, lang, at, fault))?;
        Ok(Self {
            source: source.to_owned(),
            lang,
            context,
            params: Value::Object(params),
            program,
        })
    }

    /// The fields that the script names, in the order of [`Field::at`].
    pub fn fields(&self) -> &[String] {
        &self.program.fields
    }

    /// Whether it looks at what was written, not at columns alone.
    pub fn uses_source(&self) -> bool {
        self.program.uses_source
    }

    pub fn context(&self) -> Context {
        self.context
    }

    /// What a script of [`Context::Value`] returns. Numbers that JSON has none for are texts, dates as well.
    ///
    /// # Errors
    /// [`ScriptError`] where the script fails.
    pub fn value(&self, document: &dyn Document) -> Result<Value> {
        let mut run = self.run(&self.params, document, "");
        let value = run.execute().map_err(|wrong| self.failed(*wrong))?;
        match value {
            Some(value) => run
                .output(&value, 0)
                .map_err(|fault| self.failed((0, fault))),
            None => Ok(Value::Null),
        }
    }

    /// Whether a script of [`Context::Filter`] holds.
    ///
    /// # Errors
    /// [`ScriptError`] where the script fails.
    pub fn holds(&self, document: &dyn Document) -> Result<bool> {
        let mut run = self.run(&self.params, document, "");
        let value = run.execute().map_err(|wrong| self.failed(*wrong))?;
        Ok(matches!(value, Some(value::Value::Bool(true))))
    }

    /// The values of the runtime field `name`, ascending, behind those in `values`.
    ///
    /// # Errors
    /// [`ScriptError`] where the script fails; `values` are as they were.
    pub fn emit(
        &self,
        name: &str,
        document: &dyn Document,
        values: &mut Vec<FieldValue>,
    ) -> Result<()> {
        let mut run = self.run(&self.params, document, name);
        run.execute().map_err(|wrong| self.failed(*wrong))?;
        let mut emitted = std::mem::take(&mut run.emitted);
        if emitted.len() > 1 {
            emitted.sort_by(FieldValue::order);
        }
        values.append(&mut emitted);
        Ok(())
    }

    /// What a script of [`Context::Number`] makes of numbers: they are parameters, beside its own. None where it
    /// returns nothing.
    ///
    /// # Errors
    /// [`ScriptError`] where the script fails, or returns no number.
    pub fn number(&self, numbers: &[(&str, f64)]) -> Result<Option<f64>> {
        let mut params = self.params.as_object().cloned().unwrap_or_default();
        for (name, number) in numbers {
            params.insert((*name).to_owned(), output::number(*number));
        }
        let params = Value::Object(params);
        let mut run = self.run(&params, &Nothing, "");
        let value = run.execute().map_err(|wrong| self.failed(*wrong))?;
        match value {
            None | Some(value::Value::Null) => Ok(None),
            Some(value) => match value.number() {
                Some(number) => Ok(Some(number.double())),
                None => {
                    let class = value.class();
                    let reason = format!("class {class} cannot be cast to class java.lang.Number");
                    Err(self.failed((0, Fault::cast(reason))))
                }
            },
        }
    }

    fn run<'a>(&'a self, params: &'a Value, document: &'a dyn Document, emits: &'a str) -> Run<'a> {
        let kind = match self.context {
            Context::Runtime(kind) => Some(kind),
            _ => None,
        };
        Run::new(&self.program, params, document, emits, kind)
    }

    fn failed(&self, (at, fault): Wrong) -> ScriptError {
        ScriptError::within("runtime error", &self.source, self.lang, at, fault)
    }
}

fn malformed(reason: String) -> ScriptError {
    ScriptError::outside("x_content_parse_exception", reason)
}
