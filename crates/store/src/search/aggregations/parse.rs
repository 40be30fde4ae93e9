//! Aggregations, read from JSON.

use serde_json::{Map, Value};

use super::*;
use crate::dates::millis;
use crate::search::asked::{self, Asked};
use crate::search::error::{Result, fault, illegal, refuse};
use crate::search::shown::Shown;
use crate::search::sort::Key;

const DEPTH: usize = 20;
/// Sources that are read for a terms aggregation on its own: hints.
const HINTS: [&str; 6] = [
    "shard_size",
    "shard_min_doc_count",
    "execution_hint",
    "collect_mode",
    "show_term_doc_count_error",
    "value_type",
];

type Object = Map<String, Value>;

impl Aggregation {
    /// `aggs` of a body.
    ///
    /// # Errors
    /// For what is malformed, and by its name for a kind that isn't known.
    pub fn parse(json: &Value) -> Result<Vec<Self>> {
        Self::parse_all(json, None, 0)
    }

    fn parse_all(json: &Value, parent: Option<&str>, depth: usize) -> Result<Vec<Self>> {
        let Value::Object(all) = json else {
            return refuse("parsing_exception", "Expected [START_OBJECT] under [aggs]");
        };
        if depth >= DEPTH {
            return illegal(format!("aggregations are nested deeper than [{DEPTH}]"));
        }
        all.iter()
            .map(|(name, said)| Self::parse_one(name, said, parent, depth))
            .collect()
    }

    fn parse_one(name: &str, said: &Value, parent: Option<&str>, depth: usize) -> Result<Self> {
        if name.contains(['[', ']', '>']) {
            return refuse(
                "parsing_exception",
                format!(
                    "Invalid aggregation name [{name}]. Aggregation names can contain any character except '[', ']', and '>'"
                ),
            );
        }
        let (mut kind, mut subs, mut meta) = (None::<(&str, &Value)>, None, None);
        let Value::Object(said) = said else {
            return refuse(
                "parsing_exception",
                format!(
                    "Aggregation definition for [{name} starts with a [{said}], expected a [START_OBJECT]."
                ),
            );
        };
        for (key, body) in said {
            match key.as_str() {
                "aggs" | "aggregations" => subs = Some(body),
                "meta" => meta = Some(body.clone()),
                of => {
                    if let Some((first, _)) = kind {
                        return refuse(
                            "parsing_exception",
                            format!(
                                "Found two aggregation type definitions in [{name}]: [{first}] and [{of}]"
                            ),
                        );
                    }
                    kind = Some((of, body));
                }
            }
        }
        let Some((of, body)) = kind else {
            return refuse(
                "parsing_exception",
                format!("Missing definition for aggregation [{name}]"),
            );
        };
        if let (Some(parent), "composite") = (parent, of) {
            return illegal(format!(
                "[composite] aggregation cannot be used with a parentAggregation of type: [{parent}]"
            ));
        }
        let kind = Kind::parse(name, of, body)?;
        let subs = match subs {
            Some(subs) => Self::parse_all(subs, Some(of), depth + 1)?,
            None => Vec::new(),
        };
        if matches!(
            kind,
            Kind::Metric(..) | Kind::TopHits(_) | Kind::Pipeline(_)
        ) && !subs.is_empty()
        {
            return refuse(
                "aggregation_initialization_exception",
                format!("Aggregator [{name}] of type [{of}] cannot accept sub-aggregations"),
            );
        }
        Ok(Self {
            name: name.to_owned(),
            kind,
            subs,
            meta,
        })
    }
}

/// What is said of one aggregation, and which of it was read.
struct Said<'v> {
    of: &'v str,
    map: &'v Object,
}

impl<'v> Said<'v> {
    fn new(of: &'v str, body: &'v Value, known: &[&str]) -> Result<Self> {
        let Value::Object(map) = body else {
            return refuse(
                "parsing_exception",
                format!("Expected [START_OBJECT] but got [{body}] for [{of}]"),
            );
        };
        let is_known = |key: &str| known.contains(&key) || (of == "terms" && HINTS.contains(&key));
        match map.keys().find(|key| !is_known(key)) {
            Some(unknown) if unknown == "script" => illegal(format!(
                "[script] is not supported in [{of}]; use a runtime field"
            )),
            Some(unknown) => refuse(
                "x_content_parse_exception",
                format!("[1:1] [{of}] unknown field [{unknown}]"),
            ),
            None => Ok(Self { of, map }),
        }
    }

    fn get(&self, name: &str) -> Option<&'v Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Option<&'v str> {
        self.get(name).and_then(Value::as_str)
    }

    fn wrong<T>(&self, name: &str, value: &Value) -> Result<T> {
        refuse(
            "x_content_parse_exception",
            format!(
                "[1:1] [{}] {name} doesn't support values of type: {value}",
                self.of
            ),
        )
    }

    fn count(&self, name: &str, default: u64) -> Result<u64> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => {
                let text = value.as_str().and_then(|text| text.parse().ok());
                match value.as_i64().or(text) {
                    Some(number) if number >= 0 => Ok(number.unsigned_abs()),
                    Some(number) => illegal(format!(
                        "[{name}] must be greater than or equal to 0. Found [{number}] in [{}]",
                        self.of
                    )),
                    None => self.wrong(name, value),
                }
            }
        }
    }

    fn number(&self, name: &str) -> Result<Option<f64>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => {
                let text = value.as_str().and_then(|text| text.parse().ok());
                match value.as_f64().or(text) {
                    Some(number) => Ok(Some(number)),
                    None => self.wrong(name, value),
                }
            }
        }
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(value) => match value.as_str().map(str::parse) {
                Some(Ok(flag)) => Ok(flag),
                _ => self.wrong(name, value),
            },
        }
    }

    fn values(&self) -> Result<Values> {
        let Some(field) = self.text("field") else {
            return illegal(format!(
                "Required one of fields [field, script], but none were specified. [{}]",
                self.of
            ));
        };
        Ok(Values {
            field: field.to_owned(),
            missing: self.get("missing").cloned(),
            format: self.text("format").map(asked::format).transpose()?,
        })
    }

    fn zone(&self) -> Result<Zone> {
        let Some(text) = self.get("time_zone") else {
            return Ok(Zone::Utc);
        };
        let text = text.as_str().unwrap_or_default();
        Zone::parse(text).ok_or_else(|| {
            fault(
                "illegal_argument_exception",
                format!("Unknown time-zone ID: {text}"),
            )
        })
    }

    fn rounding(&self) -> Result<Rounding> {
        let named = |name: &str| self.text(name);
        let unparsed = |text: &str| {
            fault(
                "illegal_argument_exception",
                format!(
                    "The supplied interval [{text}] could not be parsed as a calendar interval."
                ),
            )
        };
        let interval = match (named("fixed_interval"), named("calendar_interval"), self.get("interval")) {
            (Some(_), Some(_), _) => {
                return illegal("Cannot use [fixed_interval] with [calendar_interval] configuration option.");
            }
            (Some(text), ..) => Interval::fixed(text).ok_or_else(|| {
                fault(
                    "illegal_argument_exception",
                    format!(
                        "failed to parse setting [date_histogram.fixedInterval] with value [{text}] as a time value: unit \
                         is missing or unrecognized"
                    ),
                )
            })?,
            (_, Some(text), _) => Interval::calendar(text).ok_or_else(|| unparsed(text))?,
            (.., Some(Value::String(text))) => Interval::either(text).ok_or_else(|| unparsed(text))?,
            (.., Some(Value::Number(millis))) => match millis.as_i64() {
                Some(millis) if millis > 0 => Interval::Millis(millis),
                _ => return illegal("[interval] must be 1 or greater for aggregation [date_histogram]"),
            },
            _ => {
                return illegal("Invalid interval specified, must be non-null and non-empty");
            }
        };
        let offset = match self.get("offset") {
            None => 0,
            Some(Value::Number(number)) => number.as_i64().unwrap_or_default(),
            Some(text) => {
                let text = text.as_str().unwrap_or_default();
                millis(text).ok_or_else(|| {
                    fault(
                        "illegal_argument_exception",
                        format!("failed to parse setting [offset] with value [{text}] as a time value: unit is missing or unrecognized"),
                    )
                })?
            }
        };
        Ok(Rounding {
            interval,
            zone: self.zone()?,
            offset,
        })
    }

    fn steps(&self) -> Result<Steps> {
        let interval = self.number("interval")?.unwrap_or(0.0);
        if !(interval > 0.0 && interval.is_finite()) {
            return illegal(format!(
                "[interval] must be >0 for histogram aggregation [{}]",
                self.of
            ));
        }
        Ok(Steps {
            interval,
            offset: self.number("offset")?.unwrap_or(0.0),
        })
    }

    fn order(&self, default: (Order, bool)) -> Result<Vec<(Order, bool)>> {
        let mut order = Vec::new();
        let each = match self.get("order") {
            None => return Ok(vec![default]),
            Some(Value::Array(all)) => &all[..],
            Some(one) => std::slice::from_ref(one),
        };
        for one in each {
            let Value::Object(one) = one else {
                return self.wrong("order", one);
            };
            for (by, direction) in one {
                let descending = match direction.as_str().map(str::to_ascii_lowercase).as_deref() {
                    Some("asc") => false,
                    Some("desc") => true,
                    _ => {
                        return refuse(
                            "parsing_exception",
                            format!("Unknown order direction [{direction}]"),
                        );
                    }
                };
                let by = match by.as_str() {
                    "_count" => Order::Count,
                    "_key" | "_term" | "_time" => Order::Key,
                    path => Order::Path(path.to_owned()),
                };
                order.push((by, descending));
            }
        }
        if order.is_empty() {
            order.push(default);
        }
        Ok(order)
    }

    fn bounds(&self, name: &str) -> Result<Option<[Option<Value>; 2]>> {
        let Some(said) = self.get(name) else {
            return Ok(None);
        };
        let end = |which: &str| match said.get(which) {
            None | Some(Value::Null) => Ok(None),
            Some(value @ (Value::Number(_) | Value::String(_))) => Ok(Some(value.clone())),
            Some(other) => refuse(
                "x_content_parse_exception",
                format!("[1:1] [{name}] {which} doesn't support values of type: {other}"),
            ),
        };
        Ok(Some([end("min")?, end("max")?]))
    }

    fn chosen(&self, name: &str) -> Result<Option<Chosen>> {
        Ok(match self.get(name) {
            None => None,
            Some(Value::String(pattern)) => Some(Chosen::Pattern(Pattern::new(pattern, false)?)),
            Some(Value::Array(values)) => {
                let text = |value: &Value| match value {
                    Value::String(text) => text.clone(),
                    value => value.to_string(),
                };
                Some(Chosen::Values(values.iter().map(text).collect()))
            }
            Some(value) => return self.wrong(name, value),
        })
    }

    fn min_doc_count(&self, default: u64) -> Result<u64> {
        self.count("min_doc_count", default)
    }
}

const HISTOGRAM: [&str; 13] = [
    "field",
    "missing",
    "min_doc_count",
    "order",
    "extended_bounds",
    "hard_bounds",
    "keyed",
    "format",
    "offset",
    "interval",
    "fixed_interval",
    "calendar_interval",
    "time_zone",
];

impl Kind {
    fn parse(name: &str, of: &str, body: &Value) -> Result<Self> {
        let metric = ["field", "missing", "format"];
        let plain = |kind: Metric| -> Result<Self> {
            let said = Said::new(of, body, &metric)?;
            Ok(Self::Metric(kind, said.values()?))
        };
        Ok(match of {
            "max" => plain(Metric::Max)?,
            "min" => plain(Metric::Min)?,
            "avg" => plain(Metric::Avg)?,
            "sum" => plain(Metric::Sum)?,
            "value_count" => plain(Metric::ValueCount)?,
            "stats" => plain(Metric::Stats)?,
            "extended_stats" => {
                let said = Said::new(of, body, &["field", "missing", "format", "sigma"])?;
                let sigma = said.number("sigma")?.unwrap_or(2.0);
                Self::Metric(Metric::ExtendedStats(sigma), said.values()?)
            }
            "cardinality" => {
                let known = [
                    "field",
                    "missing",
                    "precision_threshold",
                    "rehash",
                    "execution_hint",
                ];
                Self::Metric(Metric::Cardinality, Said::new(of, body, &known)?.values()?)
            }
            "percentiles" => percentiles(&Said::new(
                of,
                body,
                &[
                    "field", "missing", "percents", "keyed", "tdigest", "hdr", "format",
                ],
            )?)?,
            "median_absolute_deviation" => {
                let known = ["field", "missing", "compression", "format"];
                let values = Said::new(of, body, &known)?.values()?;
                Self::Metric(Metric::MedianAbsoluteDeviation, values)
            }
            "geo_centroid" => plain(Metric::GeoCentroid)?,
            "geo_bounds" => {
                let values =
                    Said::new(of, body, &["field", "missing", "wrap_longitude"])?.values()?;
                Self::Metric(Metric::GeoBounds, values)
            }
            "top_hits" => top_hits(&Said::new(
                of,
                body,
                &[
                    "size",
                    "from",
                    "sort",
                    "_source",
                    "docvalue_fields",
                    "fields",
                    "version",
                    "seq_no_primary_term",
                    "track_scores",
                    "explain",
                    "stored_fields",
                ],
            )?)?,
            "terms" => terms(&Said::new(
                of,
                body,
                &[
                    "field",
                    "missing",
                    "size",
                    "order",
                    "min_doc_count",
                    "include",
                    "exclude",
                    "format",
                ],
            )?)?,
            "date_histogram" => {
                let said = Said::new(of, body, &HISTOGRAM)?;
                let rounding = said.rounding()?;
                Self::DateHistogram(Box::new(histogram(&said, rounding)?))
            }
            "histogram" => {
                let said = Said::new(of, body, &HISTOGRAM[..10])?;
                let steps = said.steps()?;
                Self::Histogram(Box::new(histogram(&said, steps)?))
            }
            "composite" => composite(name, &Said::new(of, body, &["sources", "size", "after"])?)?,
            "filter" => Self::Filter(Dsl::new(body.clone())?),
            "filters" => filters(&Said::new(
                of,
                body,
                &["filters", "other_bucket", "other_bucket_key", "keyed"],
            )?)?,
            "range" | "date_range" => range(&Said::new(
                of,
                body,
                &["field", "missing", "ranges", "keyed", "format", "time_zone"],
            )?)?,
            "missing" => Self::Missing(Said::new(of, body, &["field", "missing"])?.values()?),
            other => match pipeline(other, body)? {
                Some(pipeline) => Self::Pipeline(pipeline),
                None => {
                    return refuse(
                        "parsing_exception",
                        format!("Unknown aggregation type [{other}]"),
                    );
                }
            },
        })
    }

    /// The start of the name that `typed_keys` gives it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Metric(metric, _) => match metric {
                Metric::Max => "max",
                Metric::Min => "min",
                Metric::Avg => "avg",
                Metric::Sum => "sum",
                Metric::ValueCount => "value_count",
                Metric::Stats => "stats",
                Metric::ExtendedStats(_) => "extended_stats",
                Metric::Cardinality => "cardinality",
                Metric::Percentiles { .. } => "tdigest_percentiles",
                Metric::MedianAbsoluteDeviation => "median_absolute_deviation",
                Metric::GeoCentroid => "geo_centroid",
                Metric::GeoBounds => "geo_bounds",
            },
            Self::TopHits(_) => "top_hits",
            Self::Terms(_) => "sterms",
            Self::DateHistogram(_) => "date_histogram",
            Self::Histogram(_) => "histogram",
            Self::Composite(_) => "composite",
            Self::Filter(_) => "filter",
            Self::Filters { .. } => "filters",
            Self::Range { is_date: true, .. } => "date_range",
            Self::Range { .. } => "range",
            Self::Missing(_) => "missing",
            Self::Pipeline(pipeline) => match pipeline.of {
                PipelineKind::Derivative => "derivative",
                PipelineKind::CumulativeSum | PipelineKind::SerialDiff(_) => "simple_value",
                PipelineKind::MaxBucket | PipelineKind::MinBucket => "bucket_metric_value",
                PipelineKind::AvgBucket | PipelineKind::SumBucket => "simple_value",
                PipelineKind::StatsBucket => "stats_bucket",
            },
        }
    }
}

fn percentiles(said: &Said<'_>) -> Result<Kind> {
    let percents = match said.get("percents") {
        None => vec![1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0],
        Some(Value::Array(all)) => {
            let mut percents: Vec<f64> = all.iter().filter_map(Value::as_f64).collect();
            if percents.is_empty() {
                return illegal("[percents] must not be empty");
            }
            if let Some(wrong) = percents
                .iter()
                .find(|percent| !(0.0..=100.0).contains(*percent))
            {
                return illegal(format!(
                    "percent must be in [0,100], got [{wrong:?}]: [percentiles]"
                ));
            }
            percents.sort_by(f64::total_cmp);
            percents.dedup();
            percents
        }
        Some(value) => return said.wrong("percents", value),
    };
    let kind = Metric::Percentiles {
        percents,
        keyed: said.flag("keyed", true)?,
    };
    Ok(Kind::Metric(kind, said.values()?))
}

fn top_hits(said: &Said<'_>) -> Result<Kind> {
    let mut search = Search {
        size: i64::try_from(said.count("size", 3)?).unwrap_or(i64::MAX),
        from: i64::try_from(said.count("from", 0)?).unwrap_or(i64::MAX),
        version: said.flag("version", false)?,
        seq_no_primary_term: said.flag("seq_no_primary_term", false)?,
        track_scores: said.flag("track_scores", false)?,
        window: 100,
        ..Search::default()
    };
    if let Some(sort) = said.get("sort") {
        search.sort = Key::parse(sort)?;
    }
    if let Some(source) = said.get("_source") {
        search.source = Shown::parse(source)?;
    }
    if let Some(fields) = said.get("docvalue_fields") {
        search.docvalue_fields = Asked::parse("docvalue_fields", fields)?;
    }
    if let Some(fields) = said.get("fields") {
        search.fields = Asked::parse("fields", fields)?;
    }
    let reach = search.from.saturating_add(search.size);
    if reach > search.window {
        return illegal(format!(
            "Top hits result window is too large, the top hits aggregator [top_hits]'s from + size must be less than or \
             equal to: [100] but was [{reach}]. This limit can be set by changing the [index.max_inner_result_window] \
             index level setting."
        ));
    }
    Ok(Kind::TopHits(Box::new(search)))
}

fn terms(said: &Said<'_>) -> Result<Kind> {
    let size = said.count("size", 10)?;
    if size == 0 {
        return illegal("[size] must be greater than 0. Found [0] in [terms]");
    }
    Ok(Kind::Terms(Box::new(Terms {
        values: said.values()?,
        size: usize::try_from(size).unwrap_or(usize::MAX),
        order: said.order((Order::Count, true))?,
        min_doc_count: said.min_doc_count(1)?,
        include: said.chosen("include")?,
        exclude: said.chosen("exclude")?,
    })))
}

fn histogram<R>(said: &Said<'_>, rounding: R) -> Result<Histogram<R>> {
    Ok(Histogram {
        values: said.values()?,
        rounding,
        min_doc_count: said.min_doc_count(0)?,
        order: said.order((Order::Key, false))?,
        extended: said.bounds("extended_bounds")?,
        hard: said.bounds("hard_bounds")?,
        keyed: said.flag("keyed", false)?,
    })
}

fn filters(said: &Said<'_>) -> Result<Kind> {
    let mut filters = Vec::new();
    let mut keyed = true;
    match said.get("filters") {
        Some(Value::Object(named)) => {
            for (name, query) in named {
                filters.push((name.clone(), Dsl::new(query.clone())?));
            }
        }
        Some(Value::Array(all)) => {
            keyed = false;
            for query in all {
                filters.push((String::new(), Dsl::new(query.clone())?));
            }
        }
        _ => return illegal("[filters] cannot be empty."),
    }
    let name = said.text("other_bucket_key");
    let other = said.flag("other_bucket", name.is_some())?;
    Ok(Kind::Filters {
        filters,
        keyed: keyed && said.flag("keyed", true)?,
        other: other.then(|| name.unwrap_or("_other_").to_owned()),
    })
}

fn range(said: &Said<'_>) -> Result<Kind> {
    let Some(Value::Array(ranges)) = said.get("ranges") else {
        return illegal(format!(
            "No [ranges] specified for the [{}] aggregation",
            said.of
        ));
    };
    let mut spans = Vec::new();
    for range in ranges {
        let Value::Object(range) = range else {
            return said.wrong("ranges", range);
        };
        let get = |name: &str| range.get(name).filter(|value| !value.is_null()).cloned();
        spans.push(Span {
            key: get("key").and_then(|key| key.as_str().map(str::to_owned)),
            from: get("from"),
            to: get("to"),
        });
    }
    if spans.is_empty() {
        return illegal(format!(
            "No [ranges] specified for the [{}] aggregation",
            said.of
        ));
    }
    Ok(Kind::Range {
        values: said.values()?,
        ranges: spans,
        keyed: said.flag("keyed", false)?,
        is_date: said.of == "date_range",
        zone: said.zone()?,
    })
}

fn composite(name: &str, said: &Said<'_>) -> Result<Kind> {
    let each = match said.get("sources") {
        Some(Value::Array(sources)) => &sources[..],
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => return illegal("Composite [sources] cannot be null or empty"),
    };
    let mut sources: Vec<Source> = Vec::new();
    for source in each {
        let named = source.as_object().filter(|named| named.len() == 1);
        let Some((name, body)) = named.and_then(|named| named.iter().next()) else {
            return said.wrong("sources", source);
        };
        let Some((of, body)) = body.as_object().and_then(|body| body.iter().next()) else {
            return said.wrong("sources", body);
        };
        sources.push(composite_source(name, of, body)?);
    }
    if sources.is_empty() {
        return illegal("Composite [sources] cannot be null or empty");
    }
    let size = said.count("size", 10)?;
    if size == 0 {
        return illegal(format!(
            "[size] must be greater than 0. Found [0] in [{name}]"
        ));
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > MOST_BUCKETS {
        return Err(too_many(size));
    }
    let after = match said.get("after") {
        None => None,
        Some(Value::Object(after)) => {
            if after.len() != sources.len() {
                return illegal(format!(
                    "[after] has {} value(s) but [sources] has {}",
                    after.len(),
                    sources.len()
                ));
            }
            let value = |source: &Source| match after.get(&source.name) {
                Some(Value::Null) if !source.missing_bucket => {
                    illegal(format!("Invalid value for [{}]: null", source.name))
                }
                Some(value) => Ok(value.clone()),
                None => illegal(format!("Missing value for [after.{}]", source.name)),
            };
            Some(sources.iter().map(value).collect::<Result<Vec<Value>>>()?)
        }
        Some(value) => return said.wrong("after", value),
    };
    Ok(Kind::Composite(Box::new(Composite {
        sources,
        size,
        after,
    })))
}

fn composite_source(name: &str, of: &str, body: &Value) -> Result<Source> {
    let known = [
        "field",
        "missing_bucket",
        "missing_order",
        "order",
        "interval",
        "fixed_interval",
        "calendar_interval",
        "time_zone",
        "format",
        "offset",
        "value_type",
    ];
    let said = Said::new(of, body, &known)?;
    let kind = match of {
        "terms" => SourceKind::Terms,
        "date_histogram" => SourceKind::DateHistogram(said.rounding()?),
        "histogram" => SourceKind::Histogram(said.steps()?),
        other => {
            return refuse("parsing_exception", format!("invalid source type: {other}"));
        }
    };
    let descending = match said.text("order").map(str::to_ascii_lowercase).as_deref() {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(other) => return illegal(format!("Unknown SortOrder [{other}]")),
    };
    let missing_first = match said.text("missing_order") {
        None | Some("default") => !descending,
        Some("first") => true,
        Some("last") => false,
        Some(other) => return illegal(format!("Unknown MissingOrder [{other}]")),
    };
    Ok(Source {
        name: name.to_owned(),
        values: said.values()?,
        of: kind,
        descending,
        missing_bucket: said.flag("missing_bucket", false)?,
        missing_first,
    })
}

fn pipeline(of: &str, body: &Value) -> Result<Option<Pipeline>> {
    let kind = match of {
        "derivative" => PipelineKind::Derivative,
        "cumulative_sum" => PipelineKind::CumulativeSum,
        "serial_diff" => PipelineKind::SerialDiff(1),
        "max_bucket" => PipelineKind::MaxBucket,
        "min_bucket" => PipelineKind::MinBucket,
        "avg_bucket" => PipelineKind::AvgBucket,
        "sum_bucket" => PipelineKind::SumBucket,
        "stats_bucket" => PipelineKind::StatsBucket,
        _ => return Ok(None),
    };
    let said = Said::new(of, body, &["buckets_path", "gap_policy", "format", "lag"])?;
    let Some(path) = said.text("buckets_path") else {
        return refuse(
            "parsing_exception",
            format!("Missing required field [buckets_path] for [{of}] aggregation"),
        );
    };
    let of = match kind {
        PipelineKind::SerialDiff(_) => {
            PipelineKind::SerialDiff(usize::try_from(said.count("lag", 1)?).unwrap_or(1).max(1))
        }
        kind => kind,
    };
    Ok(Some(Pipeline {
        of,
        path: path.to_owned(),
        insert_zeros: said.text("gap_policy") == Some("insert_zeros"),
    }))
}

pub(super) fn too_many(found: usize) -> crate::search::SearchError {
    fault(
        "too_many_buckets_exception",
        format!(
            "Trying to create too many buckets. Must be less than or equal to: [{MOST_BUCKETS}] but was [{found}]. This \
             limit can be set by changing the [search.max_buckets] cluster level setting."
        ),
    )
}
