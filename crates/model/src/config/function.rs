//! The detector functions.

use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::series::{Link, Side};

/// What is computed of the records of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    Count,
    Sum,
    Mean,
    Min,
    Max,
    Median,
    /// Of the population: `varp`.
    Variance,
    /// Distinct values of a field.
    Distinct,
    /// Bytes that the distinct values of a field compress to.
    Information,
    /// Seconds into the day, or the week, UTC.
    TimeOfDay,
    TimeOfWeek,
    /// A latitude and a longitude.
    Place,
    /// Whether a by value was there at all.
    Presence,
}

impl Metric {
    /// The base name that results carry as `function_description`.
    pub fn description(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
            Self::Median => "median",
            Self::Variance => "varp",
            Self::Distinct => "distinct_count",
            Self::Information => "info_content",
            Self::TimeOfDay | Self::TimeOfWeek => "time",
            Self::Place => "lat_long",
            Self::Presence => "rare",
        }
    }

    /// The name that model plots and forecasts carry as `model_feature`.
    pub fn feature(self) -> &'static str {
        match self {
            Self::Count => "'count per bucket by person'",
            Self::Sum => "'bucket sum by person'",
            Self::Mean => "'arithmetic mean value by person'",
            Self::Min => "'minimum value by person'",
            Self::Max => "'maximum value by person'",
            Self::Median => "'median value by person'",
            Self::Variance => "'variance of values by person'",
            Self::Distinct => "'unique count per bucket by person'",
            Self::Information => "'information content of value per bucket by person'",
            Self::TimeOfDay => "'time-of-day per bucket by person'",
            Self::TimeOfWeek => "'time-of-week per bucket by person'",
            Self::Place => "'mean lat/long by person'",
            Self::Presence => "'indicator per bucket of person'",
        }
    }

    /// Where the modelling of its values starts.
    pub fn link(self) -> Link {
        match self {
            Self::Count | Self::Distinct => Link::Root,
            _ => Link::Identity,
        }
    }

    /// The field is read as a number, not as text.
    pub fn is_numeric(self) -> bool {
        !matches!(self, Self::Distinct | Self::Information | Self::Place)
    }

    /// It grows with the records of the bucket, so that an unfinished bucket has too little of it.
    pub fn adds_up(self) -> bool {
        matches!(
            self,
            Self::Count | Self::Sum | Self::Distinct | Self::Information
        )
    }
}

/// A detector function: what it computes, which side of that is unusual, and whether a bucket without records is a zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub struct Function(&'static FunctionKind);

#[derive(Debug, PartialEq, Eq)]
struct FunctionKind {
    name: &'static str,
    features: &'static [(Metric, Side)],
    zeros: bool,
}

/// The three sides of a function: `name`, `low_name`, `high_name`.
macro_rules! sided {
    ($metric:ident, $zeros:literal, $name:literal, $low:literal, $high:literal) => {
        [
            FunctionKind {
                name: $name,
                features: &[(Metric::$metric, Side::Both)],
                zeros: $zeros,
            },
            FunctionKind {
                name: $low,
                features: &[(Metric::$metric, Side::Low)],
                zeros: $zeros,
            },
            FunctionKind {
                name: $high,
                features: &[(Metric::$metric, Side::High)],
                zeros: $zeros,
            },
        ]
    };
}

const fn plain(name: &'static str, features: &'static [(Metric, Side)]) -> FunctionKind {
    FunctionKind {
        name,
        features,
        zeros: false,
    }
}

static SIDED: [[FunctionKind; 3]; 10] = [
    sided!(Count, true, "count", "low_count", "high_count"),
    sided!(
        Count,
        false,
        "non_zero_count",
        "low_non_zero_count",
        "high_non_zero_count"
    ),
    sided!(
        Distinct,
        false,
        "distinct_count",
        "low_distinct_count",
        "high_distinct_count"
    ),
    sided!(
        Information,
        false,
        "info_content",
        "low_info_content",
        "high_info_content"
    ),
    sided!(Sum, true, "sum", "low_sum", "high_sum"),
    sided!(
        Sum,
        false,
        "non_null_sum",
        "low_non_null_sum",
        "high_non_null_sum"
    ),
    sided!(Mean, false, "mean", "low_mean", "high_mean"),
    sided!(Mean, false, "avg", "low_avg", "high_avg"),
    sided!(Median, false, "median", "low_median", "high_median"),
    sided!(Variance, false, "varp", "low_varp", "high_varp"),
];

static PLAIN: [FunctionKind; 8] = [
    // A minimum is unusual when it is low, a maximum when it is high.
    plain("min", &[(Metric::Min, Side::Low)]),
    plain("max", &[(Metric::Max, Side::High)]),
    plain(
        "metric",
        &[
            (Metric::Min, Side::Low),
            (Metric::Max, Side::High),
            (Metric::Mean, Side::Both),
        ],
    ),
    plain("rare", &[(Metric::Presence, Side::Low)]),
    plain("freq_rare", &[(Metric::Presence, Side::High)]),
    plain("time_of_day", &[(Metric::TimeOfDay, Side::Both)]),
    plain("time_of_week", &[(Metric::TimeOfWeek, Side::Both)]),
    plain("lat_long", &[(Metric::Place, Side::Both)]),
];

impl Function {
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// What it computes, each with the side that is unusual: one thing, but for `metric`.
    pub fn features(self) -> &'static [(Metric, Side)] {
        self.0.features
    }

    /// The first of them.
    pub fn metric(self) -> Metric {
        self.0.features[0].0
    }

    /// A bucket without records is a value of zero, not a missing one.
    pub fn zeros(self) -> bool {
        self.0.zeros
    }

    pub fn needs_field(self) -> bool {
        !matches!(
            self.metric(),
            Metric::Count | Metric::TimeOfDay | Metric::TimeOfWeek | Metric::Presence
        )
    }

    /// Only for by values.
    pub fn needs_by(self) -> bool {
        self.metric() == Metric::Presence
    }

    /// Only for populations.
    pub fn needs_over(self) -> bool {
        self.name() == "freq_rare"
    }

    /// Never for populations.
    pub fn refuses_over(self) -> bool {
        self.metric() == Metric::Count && !self.zeros()
    }

    /// It needs neither a field nor something that splits.
    pub fn stands_alone(self) -> bool {
        matches!(
            self.metric(),
            Metric::Count | Metric::TimeOfDay | Metric::TimeOfWeek
        )
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
            "dc" => "distinct_count",
            "low_dc" => "low_distinct_count",
            "high_dc" => "high_distinct_count",
            name => name,
        };
        SIDED
            .iter()
            .flatten()
            .chain(&PLAIN)
            .find(|kind| kind.name == name)
            .map(Self)
            .ok_or_else(|| ConfigError::illegal_argument(format!("Unknown function '{given}'")))
    }
}

impl From<Function> for &'static str {
    fn from(function: Function) -> Self {
        function.name()
    }
}
