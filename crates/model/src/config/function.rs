//! The detector functions.

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::series::{Link, Side};

/// What a detector computes of the records of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    Count,
    Sum,
    Mean,
    Min,
    Max,
}

/// A detector function: what it computes, which side of it is unusual, and whether a bucket without records is a zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct Function(&'static FunctionKind);

#[derive(Debug, PartialEq, Eq)]
struct FunctionKind {
    name: &'static str,
    metric: Metric,
    side: Side,
    zeros: bool,
}

const fn function(name: &'static str, metric: Metric, side: Side, zeros: bool) -> FunctionKind {
    FunctionKind {
        name,
        metric,
        side,
        zeros,
    }
}

static FUNCTIONS: [FunctionKind; 20] = [
    function("count", Metric::Count, Side::Both, true),
    function("low_count", Metric::Count, Side::Low, true),
    function("high_count", Metric::Count, Side::High, true),
    function("non_zero_count", Metric::Count, Side::Both, false),
    function("low_non_zero_count", Metric::Count, Side::Low, false),
    function("high_non_zero_count", Metric::Count, Side::High, false),
    function("sum", Metric::Sum, Side::Both, true),
    function("low_sum", Metric::Sum, Side::Low, true),
    function("high_sum", Metric::Sum, Side::High, true),
    function("non_null_sum", Metric::Sum, Side::Both, false),
    function("low_non_null_sum", Metric::Sum, Side::Low, false),
    function("high_non_null_sum", Metric::Sum, Side::High, false),
    function("mean", Metric::Mean, Side::Both, false),
    function("low_mean", Metric::Mean, Side::Low, false),
    function("high_mean", Metric::Mean, Side::High, false),
    function("avg", Metric::Mean, Side::Both, false),
    function("low_avg", Metric::Mean, Side::Low, false),
    function("high_avg", Metric::Mean, Side::High, false),
    // A minimum is unusual when it is low, a maximum when it is high.
    function("min", Metric::Min, Side::Low, false),
    function("max", Metric::Max, Side::High, false),
];

/// Functions of Elasticsearch that this engine has no model for yet: refused by name.
const NOT_YET: [&str; 21] = [
    "distinct_count",
    "low_distinct_count",
    "high_distinct_count",
    "info_content",
    "low_info_content",
    "high_info_content",
    "median",
    "low_median",
    "high_median",
    "varp",
    "low_varp",
    "high_varp",
    "metric",
    "rare",
    "freq_rare",
    "time_of_day",
    "time_of_week",
    "lat_long",
    "dc",
    "low_dc",
    "high_dc",
];

impl Function {
    pub fn name(self) -> &'static str {
        self.0.name
    }

    pub fn metric(self) -> Metric {
        self.0.metric
    }

    pub fn side(self) -> Side {
        self.0.side
    }

    /// A bucket without records is a value of zero, not a missing one.
    pub fn zeros(self) -> bool {
        self.0.zeros
    }

    pub fn needs_field(self) -> bool {
        self.0.metric != Metric::Count
    }

    /// The base name that results carry as `function_description`.
    pub fn description(self) -> &'static str {
        match self.0.metric {
            Metric::Count => "count",
            Metric::Sum => "sum",
            Metric::Mean => "mean",
            Metric::Min => "min",
            Metric::Max => "max",
        }
    }

    /// Where the modelling of its values starts.
    pub fn link(self) -> Link {
        match self.0.metric {
            Metric::Count => Link::Root,
            _ => Link::Identity,
        }
    }
}

impl TryFrom<String> for Function {
    type Error = ConfigError;

    fn try_from(given: String) -> Result<Self, ConfigError> {
        let lower = given.to_ascii_lowercase();
        let name = match lower.as_str() {
            "nzc" => "non_zero_count",
            "low_nzc" => "low_non_zero_count",
            "high_nzc" => "high_non_zero_count",
            name => name,
        };
        if let Some(kind) = FUNCTIONS.iter().find(|kind| kind.name == name) {
            return Ok(Self(kind));
        }
        if NOT_YET.contains(&name) {
            return Err(ConfigError::bad_request(format!(
                "Function '{name}' is not supported by this version of tidewatch"
            )));
        }
        Err(ConfigError::illegal_argument(format!(
            "Unknown function '{given}'"
        )))
    }
}

impl From<Function> for &'static str {
    fn from(function: Function) -> Self {
        function.name()
    }
}
