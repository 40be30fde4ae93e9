//! The aggregations of a datafeed: one histogram over time, and what is asked of each of its buckets.

use serde_json::{Map, Value};
use tidewatch_jobs::JobError;
use tidewatch_model::config::ConfigError;
use tidewatch_model::units::TimeSpan;

use super::ChunkingConfig;

/// Buckets of the histogram that one search asks for.
const BUCKETS_AT_ONCE: i64 = 1_000;
/// Aggregations within aggregations.
const DEPTH: usize = 30;

type Result<T> = std::result::Result<T, ConfigError>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistogramKind {
    Histogram,
    DateHistogram,
    Composite,
}

/// The histogram of a datafeed's aggregations.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    pub kind: HistogramKind,
    /// Names of the aggregations from the top down to it, itself last.
    pub path: Vec<String>,
    /// Milliseconds; more than nothing.
    pub interval: i64,
    /// The field that it is over.
    pub field: String,
}

impl Histogram {
    pub(super) fn default_chunking(&self) -> Result<ChunkingConfig> {
        // A composite aggregation comes in pages as it is.
        if self.kind == HistogramKind::Composite {
            return Ok(ChunkingConfig::off());
        }
        let span = self.interval.saturating_mul(BUCKETS_AT_ONCE);
        Ok(ChunkingConfig::manual(TimeSpan::millis(span)))
    }
}

/// Aggregations side by side, as far as a datafeed looks at them.
pub(super) struct Aggregations<'a> {
    aggregations: Vec<Aggregation<'a>>,
    /// Whether there are any that work on what others give.
    has_pipelines: bool,
}

struct Aggregation<'a> {
    name: &'a str,
    kind: &'a str,
    said: &'a Map<String, Value>,
    below: Aggregations<'a>,
}

/// What works on what other aggregations give, and stands beside a histogram without being one.
const PIPELINES: [&str; 21] = [
    "avg_bucket",
    "bucket_correlation",
    "bucket_count_ks_test",
    "bucket_script",
    "bucket_selector",
    "bucket_sort",
    "change_point",
    "cumulative_cardinality",
    "cumulative_sum",
    "derivative",
    "extended_stats_bucket",
    "inference",
    "max_bucket",
    "min_bucket",
    "moving_fn",
    "moving_percentiles",
    "normalize",
    "percentiles_bucket",
    "serial_diff",
    "stats_bucket",
    "sum_bucket",
];

/// What else there is in Elasticsearch.
const KINDS: [&str; 58] = [
    "adjacency_matrix",
    "auto_date_histogram",
    "avg",
    "boxplot",
    "cardinality",
    "cartesian_bounds",
    "cartesian_centroid",
    "categorize_text",
    "children",
    "composite",
    "date_histogram",
    "date_range",
    "diversified_sampler",
    "extended_stats",
    "filter",
    "filters",
    "frequent_item_sets",
    "geo_bounds",
    "geo_centroid",
    "geo_distance",
    "geo_line",
    "geohash_grid",
    "geohex_grid",
    "geotile_grid",
    "global",
    "histogram",
    "ip_prefix",
    "ip_range",
    "matrix_stats",
    "max",
    "median_absolute_deviation",
    "min",
    "missing",
    "multi_terms",
    "nested",
    "parent",
    "percentile_ranks",
    "percentiles",
    "random_sampler",
    "range",
    "rare_terms",
    "rate",
    "reverse_nested",
    "sampler",
    "scripted_metric",
    "significant_terms",
    "significant_text",
    "stats",
    "string_stats",
    "sum",
    "t_test",
    "terms",
    "time_series",
    "top_hits",
    "top_metrics",
    "value_count",
    "variable_width_histogram",
    "weighted_avg",
];

fn token(value: &Value) -> &'static str {
    match value {
        Value::Null => "VALUE_NULL",
        Value::Bool(_) => "VALUE_BOOLEAN",
        Value::Number(_) => "VALUE_NUMBER",
        Value::String(_) => "VALUE_STRING",
        Value::Array(_) => "START_ARRAY",
        Value::Object(_) => "START_OBJECT",
    }
}

fn refuse<T>(reason: impl Into<String>) -> Result<T> {
    Err(ConfigError::bad_request(reason))
}

/// Aggregations as they are read: well-formed, of kinds that there are.
///
/// # Errors
/// 400 with what is malformed as its cause.
pub(super) fn check_form(given: &Map<String, Value>) -> std::result::Result<(), JobError> {
    let unparsable = |kind, reason| {
        let cause = JobError::new(400, kind, reason);
        JobError::bad_request("Datafeed aggregations are not parsable").because(cause)
    };
    if given.is_empty() {
        return Err(unparsable("exception", "aggs cannot be empty".to_owned()));
    }
    parse(given, DEPTH)
        .map(drop)
        .map_err(|reason| unparsable("parsing_exception", reason))
}

fn parse(
    given: &Map<String, Value>,
    depth: usize,
) -> std::result::Result<Aggregations<'_>, String> {
    if depth == 0 {
        return Err(format!("aggregations are nested more than {DEPTH} deep"));
    }
    let mut all = Aggregations {
        aggregations: Vec::new(),
        has_pipelines: false,
    };
    for (name, said) in given {
        if name.is_empty() || name.contains(['[', ']', '>']) {
            return Err(format!(
                "Invalid aggregation name [{name}]. Aggregation names can contain any character except '[', ']', and \
                 '>'"
            ));
        }
        let Value::Object(said) = said else {
            return Err(format!(
                "Aggregation definition for [{name} starts with a [{}], expected a [START_OBJECT].",
                token(said)
            ));
        };
        let mut found: Option<(&str, &Map<String, Value>)> = None;
        let mut below: Option<Aggregations<'_>> = None;
        for (field, value) in said {
            let Value::Object(value) = value else {
                return Err(format!(
                    "Expected [START_OBJECT] under [{field}], but got a [{}] in [{name}]",
                    token(value)
                ));
            };
            match field.as_str() {
                "meta" => {}
                "aggs" | "aggregations" => {
                    if below.replace(parse(value, depth - 1)?).is_some() {
                        return Err(format!(
                            "Found two sub aggregation definitions under [{name}]"
                        ));
                    }
                }
                kind => {
                    if let Some((first, _)) = found {
                        return Err(format!(
                            "Found two aggregation type definitions in [{name}]: [{first}] and [{kind}]"
                        ));
                    }
                    if !KINDS.contains(&kind) && !PIPELINES.contains(&kind) {
                        return Err(format!("Unknown aggregation type [{kind}]"));
                    }
                    found = Some((kind, value));
                }
            }
        }
        let Some((kind, said)) = found else {
            return Err(format!("Missing definition for aggregation [{name}]"));
        };
        if PIPELINES.contains(&kind) {
            all.has_pipelines = true;
            continue;
        }
        all.aggregations.push(Aggregation {
            name,
            kind,
            said,
            below: below.unwrap_or(Aggregations {
                aggregations: Vec::new(),
                has_pipelines: false,
            }),
        });
    }
    Ok(all)
}

impl<'a> Aggregations<'a> {
    pub(super) fn read(given: &'a Map<String, Value>) -> Result<Self> {
        parse(given, DEPTH).map_err(ConfigError::bad_request)
    }

    /// The histogram that a datafeed's aggregations need: alone at the end of a chain from the top.
    pub(super) fn histogram(&self) -> Result<Histogram> {
        let (path, found) = self.find()?;
        let kind = found.histogram_kind();
        Ok(Histogram {
            kind: kind.unwrap_or(HistogramKind::Histogram),
            path: path.into_iter().map(str::to_owned).collect(),
            interval: found.interval()?,
            field: found.time_field().unwrap_or_default().to_owned(),
        })
    }

    fn find(&self) -> Result<(Vec<&'a str>, &Aggregation<'a>)> {
        let (mut path, mut level) = (Vec::new(), self);
        loop {
            let found = match level.aggregations.as_slice() {
                [] => return refuse("A date_histogram (or histogram) aggregation is required"),
                [one] => one,
                _ => {
                    return refuse(
                        "The date_histogram (or histogram) aggregation cannot have sibling aggregations",
                    );
                }
            };
            path.push(found.name);
            if found.histogram_kind().is_some() {
                return Ok((path, found));
            }
            level = &found.below;
        }
    }

    /// The rules that hold for the aggregations of any datafeed, in Elasticsearch's order.
    pub(super) fn check(&self) -> Result<()> {
        if self.aggregations.is_empty() {
            return refuse("A date_histogram (or histogram) aggregation is required");
        }
        if let Some(composite) = self.aggregations.iter().find(|a| a.kind == "composite") {
            if self.aggregations.len() > 1 {
                return refuse(composite_alone(composite.name));
            }
            composite.check_sources()?;
        }
        let (_, histogram) = self.find()?;
        if histogram.kind == "composite" && self.has_pipelines {
            return refuse(
                "when using composite aggregations, top level pipeline aggregations are not supported",
            );
        }
        histogram.below.check_no_histogram()?;
        histogram.below.check_no_composite()?;
        histogram.check_latest_time()?;
        if histogram.interval()? <= 0 {
            return refuse("Aggregation interval must be greater than 0");
        }
        Ok(())
    }

    fn check_no_histogram(&self) -> Result<()> {
        self.aggregations.iter().try_for_each(|aggregation| {
            if aggregation.histogram_kind().is_some() {
                return refuse(
                    "Aggregations can only have 1 date_histogram or histogram aggregation",
                );
            }
            aggregation.below.check_no_histogram()
        })
    }

    fn check_no_composite(&self) -> Result<()> {
        self.aggregations.iter().try_for_each(|aggregation| {
            if aggregation.kind == "composite" {
                return refuse(composite_alone(aggregation.name));
            }
            aggregation.below.check_no_composite()
        })
    }
}

fn composite_alone(name: &str) -> String {
    format!(
        "Composite aggregation [{name}] must be the only composite agg and should be the only top level aggregation"
    )
}

impl Aggregation<'_> {
    fn histogram_kind(&self) -> Option<HistogramKind> {
        match self.kind {
            "histogram" => Some(HistogramKind::Histogram),
            "date_histogram" => Some(HistogramKind::DateHistogram),
            "composite" if self.date_sources().next().is_some() => Some(HistogramKind::Composite),
            _ => None,
        }
    }

    /// Names and contents of the sources of a composite aggregation that are over time.
    fn date_sources(&self) -> impl Iterator<Item = (&str, &Map<String, Value>)> {
        let sources = self.said.get("sources").and_then(Value::as_array);
        let named = sources.into_iter().flatten().filter_map(Value::as_object);
        named.flatten().filter_map(|(name, source)| {
            let said = source.get("date_histogram")?.as_object()?;
            Some((name.as_str(), said))
        })
    }

    fn check_sources(&self) -> Result<()> {
        let mut sources = self.date_sources();
        let (Some((name, source)), None) = (sources.next(), sources.next()) else {
            return refuse(format!(
                "Composite aggregation [{}] must have exactly one date_histogram source",
                self.name
            ));
        };
        if source.get("missing_bucket").is_some_and(is_true) {
            return refuse(format!(
                "Datafeed composite aggregation [{}] date_histogram [{name}] source does not support missing_buckets",
                self.name
            ));
        }
        let order = source.get("order").and_then(Value::as_str);
        if order.is_some_and(|order| !order.eq_ignore_ascii_case("asc")) {
            return refuse(format!(
                "Datafeed composite aggregation [{}] date_histogram [{name}] must be sorted in ascending order",
                self.name
            ));
        }
        Ok(())
    }

    /// What a histogram says of time: its own fields, or those of its source.
    fn over_time(&self) -> &Map<String, Value> {
        match self.kind {
            "composite" => self
                .date_sources()
                .next()
                .map_or(self.said, |(_, said)| said),
            _ => self.said,
        }
    }

    fn time_field(&self) -> Option<&str> {
        self.over_time().get("field").and_then(Value::as_str)
    }

    /// Of each bucket the latest time must be known: it is the time of its records.
    fn check_latest_time(&self) -> Result<()> {
        let field = self.time_field();
        let is_latest = |aggregation: &Aggregation<'_>| {
            aggregation.kind == "max"
                && aggregation.said.get("field").and_then(Value::as_str) == field
        };
        match field.is_some() && self.below.aggregations.iter().any(is_latest) {
            true => Ok(()),
            false => refuse(format!(
                "Date histogram must have nested max aggregation for time_field [{}]",
                field.unwrap_or("null")
            )),
        }
    }

    /// Milliseconds.
    fn interval(&self) -> Result<i64> {
        let said = self.over_time();
        if self.kind == "histogram" {
            let interval = said.get("interval");
            return match interval.and_then(number) {
                Some(interval) => Ok(interval as i64),
                None => refuse("[interval] must be >0 for histogram aggregation"),
            };
        }
        if let Some(zone) = said.get("time_zone").filter(|zone| !zone.is_null())
            && !zone.as_str().is_some_and(is_utc)
        {
            return refuse("ML requires date_histogram.time_zone to be UTC");
        }
        let text = |name: &str| said.get(name).and_then(Value::as_str);
        match (text("calendar_interval"), text("fixed_interval")) {
            (Some(calendar), _) => calendar_interval(calendar),
            (None, Some(fixed)) => TimeSpan::parse(fixed)
                .map(|span| i64::try_from(span.as_duration().as_millis()).unwrap_or(i64::MAX))
                .map_err(|_| {
                    ConfigError::illegal_argument(format!(
                        "failed to parse setting [date_histogram.fixedInterval] with value [{fixed}] as a time value: \
                         unit is missing or unrecognized"
                    ))
                }),
            (None, None) => Err(ConfigError::illegal_argument(
                "Must specify an interval for date_histogram",
            )),
        }
    }
}

fn is_true(value: &Value) -> bool {
    value.as_bool() == Some(true) || value.as_str() == Some("true")
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_f64(),
    }
}

fn is_utc(zone: &str) -> bool {
    const NAMES: [&str; 13] = [
        "UTC",
        "Z",
        "GMT",
        "UT",
        "Etc/UTC",
        "Etc/GMT",
        "Etc/UCT",
        "Etc/Zulu",
        "UCT",
        "Zulu",
        "Universal",
        "Greenwich",
        "Etc/Universal",
    ];
    let offset = zone.strip_prefix(['+', '-']);
    let is_nothing =
        |offset: &str| !offset.is_empty() && offset.bytes().all(|byte| matches!(byte, b'0' | b':'));
    NAMES.contains(&zone) || offset.is_some_and(is_nothing)
}

/// Of calendar units those that are as long as a number of days, hours or less always is.
fn calendar_interval(text: &str) -> Result<i64> {
    let seconds = match text {
        "second" | "1s" => 1,
        "minute" | "1m" => 60,
        "hour" | "1h" => 3_600,
        "day" | "1d" => 86_400,
        "week" | "1w" => 7 * 86_400,
        "month" | "1M" | "quarter" | "1q" | "year" | "1y" => {
            return refuse(format!(
                "When specifying a date_histogram calendar interval [{text}], ML does not accept intervals longer \
                 than a week because of variable lengths of periods greater than a week"
            ));
        }
        _ => {
            return Err(ConfigError::illegal_argument(format!(
                "The supplied interval [{text}] could not be parsed as a calendar interval."
            )));
        }
    };
    Ok(seconds * 1_000)
}
