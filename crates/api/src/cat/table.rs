//! A table of `_cat`: which columns are shown, how values are written, how they are sorted and aligned.

use std::cmp::Ordering;

use chrono::DateTime;
use serde_json::{Map, Value};
use tidewatch_jobs::matches;
use tidewatch_model::units::{Memory, TimeSpan};

use super::Display;
use crate::error::{ApiError, Result};

/// A column, shown where nothing else is asked for if `shown`.
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub description: &'static str,
    pub shown: bool,
    /// Values stand at its right.
    pub right: bool,
}

impl Column {
    pub const fn new(
        name: &'static str,
        aliases: &'static [&'static str],
        description: &'static str,
    ) -> Self {
        Self {
            name,
            aliases,
            description,
            shown: false,
            right: false,
        }
    }

    pub const fn shown(mut self) -> Self {
        self.shown = true;
        self
    }

    pub const fn right(mut self) -> Self {
        self.right = true;
        self
    }

    fn fits(&self, pattern: &str) -> bool {
        matches(pattern, self.name) || self.aliases.iter().any(|alias| matches(pattern, alias))
    }
}

/// A value. How it is written depends on what it is, and on the units that were asked for.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub enum Cell {
    None,
    Text(String),
    Count(u64),
    Number(f64),
    Bytes(u64),
    Millis(i64),
    /// Epoch milliseconds.
    Date(i64),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<T> From<Option<T>> for Cell
where
    Cell: From<T>,
{
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Self::from)
    }
}

impl Cell {
    /// None for nothing.
    fn write(&self, display: &Display) -> Option<String> {
        Some(match self {
            Self::None => return None,
            Self::Text(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            Self::Number(number) => format!("{number:?}"),
            Self::Bytes(bytes) => {
                let shift = match display.bytes.as_deref() {
                    Some("b") => 0,
                    Some("k" | "kb") => 10,
                    Some("m" | "mb") => 20,
                    Some("g" | "gb") => 30,
                    Some("t" | "tb") => 40,
                    Some("p" | "pb") => 50,
                    _ => return Some(Memory { bytes: *bytes }.human()),
                };
                (bytes >> shift).to_string()
            }
            Self::Millis(millis) => {
                let millis = *millis;
                let amount = match display.time.as_deref() {
                    Some("nanos") => i128::from(millis) * 1_000_000,
                    Some("micros") => i128::from(millis) * 1_000,
                    Some("ms") => i128::from(millis),
                    Some("s") => i128::from(millis / 1_000),
                    Some("m") => i128::from(millis / 60_000),
                    Some("h") => i128::from(millis / 3_600_000),
                    Some("d") => i128::from(millis / 86_400_000),
                    _ => return Some(TimeSpan::millis(millis).human()),
                };
                amount.to_string()
            }
            Self::Date(millis) => {
                let time = DateTime::from_timestamp_millis(*millis)?;
                time.format("%a %b %d %H:%M:%S UTC %Y").to_string()
            }
        })
    }
}

/// Columns, and a value for each of them in every row.
pub struct Table {
    pub columns: Vec<&'static Column>,
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// The columns to show, and what they are called there: the name, or the alias that was asked for. Of an alias of two
    /// columns the second is meant, as in Elasticsearch; a name that no column has is passed over.
    fn headings(&self, asked: Option<&str>) -> Vec<(usize, String)> {
        let columns = || self.columns.iter().enumerate();
        let Some(asked) = asked else {
            let shown = columns().filter(|(_, column)| column.shown);
            return shown
                .map(|(i, column)| (i, column.name.to_owned()))
                .collect();
        };
        let mut headings: Vec<(usize, String)> = Vec::new();
        for name in asked.split(',').filter(|name| !name.is_empty()) {
            let found: Vec<(usize, String)> = match name.contains('*') {
                true => columns()
                    .filter(|(_, column)| column.fits(name))
                    .map(|(i, column)| (i, column.name.to_owned()))
                    .collect(),
                false => columns()
                    .find(|(_, column)| column.name == name)
                    .or_else(|| columns().rfind(|(_, column)| column.aliases.contains(&name)))
                    .map(|(i, _)| (i, name.to_owned()))
                    .into_iter()
                    .collect(),
            };
            for heading in found {
                if !headings.contains(&heading) {
                    headings.push(heading);
                }
            }
        }
        headings
    }

    /// Sorts the rows by columns, each of which may end in `:asc` or `:desc`.
    ///
    /// # Errors
    /// `illegal_argument_exception` where there is no such column.
    pub fn sort(&mut self, asked: Option<&str>) -> Result<()> {
        let mut keys = Vec::new();
        for key in asked
            .unwrap_or_default()
            .split(',')
            .filter(|key| !key.is_empty())
        {
            let (name, reverse) = match key.strip_suffix(":desc") {
                Some(name) => (name, true),
                None => (key.strip_suffix(":asc").unwrap_or(key), false),
            };
            let mut columns = self.columns.iter();
            let at = columns.position(|column| column.name == name).or_else(|| {
                self.columns
                    .iter()
                    .rposition(|column| column.aliases.contains(&name))
            });
            let at = at.ok_or_else(|| {
                ApiError::illegal_argument(format!("Unable to sort by unknown sort key `{name}`"))
            })?;
            keys.push((at, reverse));
        }
        let compare = |a: &Vec<Cell>, b: &Vec<Cell>| {
            let mut orders = keys.iter().map(|(at, reverse)| {
                let order = a[*at].partial_cmp(&b[*at]).unwrap_or(Ordering::Equal);
                if *reverse { order.reverse() } else { order }
            });
            orders
                .find(|order| order.is_ne())
                .unwrap_or(Ordering::Equal)
        };
        self.rows.sort_by(compare);
        Ok(())
    }

    /// The rows as objects of texts.
    pub fn json(&self, display: &Display) -> Value {
        let headings = self.headings(display.h.as_deref());
        let object = |row: &Vec<Cell>| {
            let fields = headings.iter().map(|(i, name)| {
                let value = row[*i].write(display).map_or(Value::Null, Value::String);
                (name.clone(), value)
            });
            Value::Object(fields.collect::<Map<_, _>>())
        };
        Value::Array(self.rows.iter().map(object).collect())
    }

    /// A line a row, its values one above the other.
    pub fn text(&self, display: &Display) -> String {
        let headings = self.headings(display.h.as_deref());
        let mut lines: Vec<Vec<String>> = Vec::new();
        if display.v {
            lines.push(headings.iter().map(|(_, name)| name.clone()).collect());
        }
        for row in &self.rows {
            let values = headings
                .iter()
                .map(|(i, _)| row[*i].write(display).unwrap_or_default());
            lines.push(values.collect());
        }
        let right: Vec<bool> = headings
            .iter()
            .map(|(i, _)| self.columns[*i].right)
            .collect();
        aligned(&lines, &right, " ", false)
    }

    /// A line a column: its name, its aliases and what it tells.
    pub fn help(&self) -> String {
        let line = |column: &&Column| {
            vec![
                column.name.to_owned(),
                column.aliases.join(","),
                column.description.to_owned(),
            ]
        };
        let lines: Vec<Vec<String>> = self.columns.iter().map(line).collect();
        aligned(&lines, &[false; 3], " | ", true)
    }
}

/// Pads all texts to the widest of their columns; the last column at its left is padded only where `last` says so.
fn aligned(lines: &[Vec<String>], right: &[bool], between: &str, last: bool) -> String {
    let width = |column: usize| {
        let widths = lines.iter().map(|line| line[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..right.len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        for (i, value) in line.iter().enumerate() {
            let is_last = i + 1 == line.len();
            let padding = " ".repeat(widths[i] - value.chars().count());
            if right[i] {
                text += &padding;
            }
            text += value;
            if !right[i] && (last || !is_last) {
                text += &padding;
            }
            if !is_last {
                text += between;
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    static ID: Column = Column::new("id", &[], "who").shown();
    static STATE: Column = Column::new("state", &["s"], "how").shown().right();
    static SIZE: Column = Column::new("model.bytes", &["mb", "modelBytes"], "how much").shown();
    static TIME: Column = Column::new("model.time", &["mt"], "how long");
    static LAST: Column = Column::new("data.last", &["dl"], "when");

    fn table() -> Table {
        let row = |id: &str, state: &str, bytes, millis, date| {
            vec![
                id.into(),
                state.into(),
                Cell::Bytes(bytes),
                Cell::Millis(millis),
                date,
            ]
        };
        Table {
            columns: vec![&ID, &STATE, &SIZE, &TIME, &LAST],
            rows: vec![
                row("a", "closed", 9 << 10, 1_500, Cell::None),
                row(
                    "bcd",
                    "open",
                    1536 << 10,
                    90_000,
                    Cell::Date(1_403_481_600_000),
                ),
            ],
        }
    }

    #[test]
    fn texts_stand_above_each_other() {
        let mut display = Display::default();
        assert_eq!(table().text(&display), "a   closed 9kb\nbcd   open 1.5mb\n");
        display.v = true;
        assert_eq!(
            table().text(&display),
            "id   state model.bytes\na   closed 9kb\nbcd   open 1.5mb\n"
        );
        display.h = Some("mb,nothing,id,s".to_owned());
        display.bytes = Some("k".to_owned());
        assert_eq!(
            table().text(&display),
            "mb   id       s\n9    a   closed\n1536 bcd   open\n"
        );
        let none = Table {
            rows: Vec::new(),
            ..table()
        };
        assert_eq!(none.text(&Display::default()), "");
    }

    #[test]
    fn objects_have_texts_and_nulls() {
        let mut display = Display {
            h: Some("id,model.*,m*,dl".to_owned()),
            ..Display::default()
        };
        assert_eq!(
            table().json(&display),
            json!([
                {"id": "a", "model.bytes": "9kb", "model.time": "1.5s", "dl": null},
                {"id": "bcd", "model.bytes": "1.5mb", "model.time": "1.5m", "dl": "Mon Jun 23 00:00:00 UTC 2014"}
            ])
        );
        display.h = Some("mt".to_owned());
        display.time = Some("s".to_owned());
        assert_eq!(table().json(&display), json!([{"mt": "1"}, {"mt": "90"}]));
    }

    #[test]
    fn rows_are_sorted_by_values() {
        let mut table = table();
        let ids = |table: &Table| {
            let display = Display {
                h: Some("id".to_owned()),
                ..Display::default()
            };
            table.text(&display)
        };
        table.sort(Some("mb:desc")).expect("fine");
        assert_eq!(ids(&table), "bcd\na\n");
        table.sort(Some("dl")).expect("fine");
        assert_eq!(ids(&table), "a\nbcd\n");
        table.sort(Some("state:desc,id:asc")).expect("fine");
        assert_eq!(ids(&table), "bcd\na\n");
        let error = table.sort(Some("id,wild:desc")).expect_err("refused").0;
        assert_eq!(error.reason, "Unable to sort by unknown sort key `wild`");
    }

    #[test]
    fn help_tells_of_all_columns() {
        assert_eq!(
            table().help(),
            "id          |               | who     \n\
             state       | s             | how     \n\
             model.bytes | mb,modelBytes | how much\n\
             model.time  | mt            | how long\n\
             data.last   | dl            | when    \n"
        );
    }
}
