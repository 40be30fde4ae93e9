//! Aggregations: one value of the values of a group.

use std::collections::BTreeMap;

use super::{Labels, Metric, NAME};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregation {
    Sum,
    Avg,
    Max,
    Min,
    Count,
    Group,
    Stddev,
    Stdvar,
    Quantile,
    Topk,
    Bottomk,
}

pub const AGGREGATIONS: [(&str, Aggregation); 11] = [
    ("sum", Aggregation::Sum),
    ("avg", Aggregation::Avg),
    ("max", Aggregation::Max),
    ("min", Aggregation::Min),
    ("count", Aggregation::Count),
    ("group", Aggregation::Group),
    ("stddev", Aggregation::Stddev),
    ("stdvar", Aggregation::Stdvar),
    ("quantile", Aggregation::Quantile),
    ("topk", Aggregation::Topk),
    ("bottomk", Aggregation::Bottomk),
];

/// Which labels make up a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grouping {
    By(Vec<String>),
    Without(Vec<String>),
}

impl Grouping {
    fn key(&self, metric: &Metric) -> Labels {
        match self {
            Self::By(labels) => metric.only(|name| labels.iter().any(|label| label == name)),
            Self::Without(labels) => {
                metric.only(|name| name != NAME && labels.iter().all(|label| label != name))
            }
        }
    }
}

impl Aggregation {
    pub fn has_parameter(self) -> bool {
        matches!(self, Self::Quantile | Self::Topk | Self::Bottomk)
    }

    /// The groups of a vector, by their labels.
    pub fn of(
        self,
        grouping: &Grouping,
        parameter: f64,
        vector: Vec<(Metric, f64)>,
    ) -> Vec<(Metric, f64)> {
        let mut groups: BTreeMap<Labels, Vec<(Metric, f64)>> = BTreeMap::new();
        for (metric, value) in vector {
            let group = groups.entry(grouping.key(&metric)).or_default();
            group.push((metric, value));
        }
        if matches!(self, Self::Topk | Self::Bottomk) {
            // NaN is less than a first.
            let most = parameter.max(0.0) as usize;
            let groups = groups.into_values();
            return groups.flat_map(|group| self.ends(group, most)).collect();
        }
        let each = groups.into_iter().map(|(labels, group)| {
            let values: Vec<f64> = group.into_iter().map(|(_, value)| value).collect();
            (Metric::new(labels), self.one(parameter, values))
        });
        each.collect()
    }

    /// The greatest, or the least, of a group. What is no number comes last.
    fn ends(self, mut group: Vec<(Metric, f64)>, most: usize) -> Vec<(Metric, f64)> {
        group.sort_by(|(_, one), (_, other)| {
            let order = match self {
                Self::Topk => other.total_cmp(one),
                _ => one.total_cmp(other),
            };
            one.is_nan().cmp(&other.is_nan()).then(order)
        });
        group.truncate(most);
        group
    }

    /// Of at least one value.
    fn one(self, parameter: f64, values: Vec<f64>) -> f64 {
        match self {
            Self::Sum => values.iter().sum(),
            Self::Avg => mean(&values),
            Self::Max => values.iter().copied().fold(f64::NAN, f64::max),
            Self::Min => values.iter().copied().fold(f64::NAN, f64::min),
            Self::Count => values.len() as f64,
            Self::Group | Self::Topk | Self::Bottomk => 1.0,
            Self::Stddev => variance(&values).sqrt(),
            Self::Stdvar => variance(&values),
            Self::Quantile => quantile(parameter, values),
        }
    }
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of the values themselves, not of what they are a sample of.
pub fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares = values.iter().map(|value| (value - mean) * (value - mean));
    squares.sum::<f64>() / values.len() as f64
}

/// Between the two values that are next to it.
pub fn quantile(share: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || share.is_nan() {
        return f64::NAN;
    } else if share < 0.0 {
        return f64::NEG_INFINITY;
    } else if share > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(f64::total_cmp);
    let rank = share * (values.len() - 1) as f64;
    let (lower, part) = (rank.floor() as usize, rank.fract());
    let upper = (lower + 1).min(values.len() - 1);
    values[lower] * (1.0 - part) + values[upper] * part
}
