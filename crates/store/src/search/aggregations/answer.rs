//! What is told in the end, as Elasticsearch tells it.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::composite;
use super::keys::{Key, Lexicon, Tag};
use super::metrics::{Number, Places, median_deviation, percentile};
use super::node::{Ends, Info, Node, State};
use super::parse::too_many;
use super::pipeline;
use super::{Histogram, Kind, MOST_BUCKETS, Metric, Order, Steps, Terms};
use crate::dates::Zone;
use crate::query::FieldType;
use crate::search::Target;
use crate::search::error::Result;
use crate::search::hits;

type Object = Map<String, Value>;

/// A part that no document is in.
const NONE: u32 = u32::MAX;

struct Teller<'t> {
    targets: &'t [&'t Target],
    buckets: usize,
}

/// `aggregations` of an answer.
pub(super) fn answer(
    nodes: &mut [Node<'_>],
    targets: &[&Target],
    typed_keys: bool,
) -> Result<Object> {
    let mut teller = Teller {
        targets,
        buckets: 0,
    };
    let told = teller.all(nodes, 0)?;
    Ok(match typed_keys {
        true => typed(nodes, told),
        false => told,
    })
}

/// A part on its way to the answer.
struct Part {
    key: Key,
    number: u32,
    count: u64,
    inner: Object,
}

impl Teller<'_> {
    fn all(&mut self, nodes: &mut [Node<'_>], owner: u32) -> Result<Object> {
        let mut answers = Map::new();
        for node in nodes.iter_mut() {
            if let Kind::Pipeline(_) = node.of.kind {
                continue;
            }
            let mut told = self.one(node, owner)?;
            if let Some(meta) = &node.of.meta {
                told.shift_insert(0, "meta".to_owned(), meta.clone());
            }
            answers.insert(node.of.name.clone(), told.into());
        }
        for node in nodes {
            if let Kind::Pipeline(of) = &node.of.kind
                && !of.of.is_within()
            {
                let told = pipeline::beside(of, &answers);
                answers.insert(node.of.name.clone(), told);
            }
        }
        Ok(answers)
    }

    fn count_bucket(&mut self) -> Result<()> {
        self.buckets += 1;
        match self.buckets > MOST_BUCKETS {
            true => Err(too_many(self.buckets)),
            false => Ok(()),
        }
    }

    fn one(&mut self, node: &mut Node<'_>, owner: u32) -> Result<Object> {
        match &node.of.kind {
            Kind::Metric(metric, _) => Ok(measured(node, metric, owner)),
            Kind::TopHits(search) => self.top_hits(search, &mut node.state, owner),
            Kind::Terms(terms) => self.terms(terms, node, owner),
            Kind::DateHistogram(histogram) => {
                let rounding = histogram.rounding;
                let start = |number: f64| Key::whole(rounding.start(number as i64));
                let next = |key: Key| Key::whole(rounding.next(key.as_whole()));
                let parts = self.histogram(histogram, node, owner, &start, &next)?;
                let format = node.infos[0].as_ref().map(|info| info.format.clone());
                let format = format
                    .or_else(|| histogram.values.format.clone())
                    .unwrap_or_default();
                let text = |key: Key| format.format(key.as_whole(), rounding.zone);
                Ok(told_parts(parts, histogram.keyed, &|key| {
                    (Some(text(key)), key.as_whole().into())
                }))
            }
            Kind::Histogram(histogram) => {
                let Steps { interval, .. } = histogram.rounding;
                let steps = histogram.rounding;
                let start = |number: f64| Key::fraction(steps.start(number));
                // By whole steps: adding them up would not meet the parts that there are.
                let next =
                    |key: Key| Key::fraction(steps.start(key.as_fraction() + interval * 1.5));
                let parts = self.histogram(histogram, node, owner, &start, &next)?;
                let keyed = histogram.keyed;
                Ok(told_parts(parts, keyed, &|key| {
                    let number = key.as_fraction();
                    (keyed.then(|| format!("{number:?}")), number.into())
                }))
            }
            Kind::Composite(of) => {
                let State::Composite(state) = &node.state else {
                    return Ok(Map::new());
                };
                let page = state.page(of, &node.lexicons);
                let mut told = Map::new();
                if let Some((last, ..)) = page.last() {
                    let key = composite::told(of, &node.infos, &node.lexicons, last);
                    told.insert("after_key".to_owned(), key.into());
                }
                let mut buckets = Vec::with_capacity(page.len());
                for (key, number, count) in page {
                    self.count_bucket()?;
                    let key = composite::told(of, &node.infos, &node.lexicons, &key);
                    let mut bucket = Map::from_iter([
                        ("key".to_owned(), key.into()),
                        ("doc_count".to_owned(), count.into()),
                    ]);
                    bucket.extend(self.all(&mut node.subs, number)?);
                    buckets.push(Value::Object(bucket));
                }
                told.insert("buckets".to_owned(), buckets.into());
                Ok(told)
            }
            Kind::Filter(_) | Kind::Missing(_) => self.counted(node, owner),
            Kind::Filters {
                filters,
                keyed,
                other,
            } => {
                let parts = u32::try_from(filters.len()).unwrap_or(NONE - 1) + 1;
                let mut names: Vec<&str> = filters.iter().map(|(name, _)| name.as_str()).collect();
                names.extend(other.as_deref());
                let mut named = Map::new();
                let mut listed = Vec::new();
                for (number, name) in (0..).zip(names) {
                    self.count_bucket()?;
                    let at = within(owner, parts, number);
                    let told = Value::Object(self.counted(node, at)?);
                    match keyed {
                        true => {
                            named.insert(name.to_owned(), told);
                        }
                        false => listed.push(told),
                    }
                }
                let buckets = if *keyed { named.into() } else { listed.into() };
                Ok(Map::from_iter([("buckets".to_owned(), buckets)]))
            }
            Kind::Range { .. } => self.range(node, owner),
            Kind::Pipeline(_) => Ok(Map::new()),
        }
    }

    /// A part whose number is known.
    fn counted(&mut self, node: &mut Node<'_>, number: u32) -> Result<Object> {
        let count = match &node.state {
            State::Counts(counts) => counts.get(number as usize).copied().unwrap_or_default(),
            _ => 0,
        };
        let mut told = Map::from_iter([("doc_count".to_owned(), count.into())]);
        told.extend(self.all(&mut node.subs, number)?);
        Ok(told)
    }

    fn range(&mut self, node: &mut Node<'_>, owner: u32) -> Result<Object> {
        let Kind::Range {
            ranges,
            keyed,
            is_date,
            zone,
            ..
        } = &node.of.kind
        else {
            return Ok(Map::new());
        };
        let format = node.infos[0]
            .as_ref()
            .map(|info| info.format.clone())
            .unwrap_or_default();
        let text = |end: f64| match is_date {
            true => format.format(end as i64, *zone),
            false => format!("{end:?}"),
        };
        let parts = u32::try_from(node.ranges.len()).unwrap_or(NONE);
        let mut all = Vec::new();
        for (number, (span, ends)) in (0..).zip(ranges.iter().zip(node.ranges.clone())) {
            self.count_bucket()?;
            let [from, to] = ends;
            let end = |end: Option<f64>| end.map_or_else(|| "*".to_owned(), text);
            let key = match &span.key {
                Some(key) => key.clone(),
                None => format!("{}-{}", end(from), end(to)),
            };
            let mut bucket = Map::new();
            for (name, value) in [("from", from), ("to", to)] {
                if let Some(value) = value {
                    bucket.insert(name.to_owned(), value.into());
                    if *is_date {
                        bucket.insert(format!("{name}_as_string"), text(value).into());
                    }
                }
            }
            bucket.extend(self.counted(node, within(owner, parts, number))?);
            all.push((ends, key, bucket));
        }
        // From the lowest up.
        let low = |end: Option<f64>| end.unwrap_or(f64::NEG_INFINITY);
        let high = |end: Option<f64>| end.unwrap_or(f64::INFINITY);
        all.sort_by(|(a, ..), (b, ..)| {
            let from = low(a[0]).total_cmp(&low(b[0]));
            from.then(high(a[1]).total_cmp(&high(b[1])))
        });
        let buckets: Value = match keyed {
            true => all
                .into_iter()
                .map(|(_, key, bucket)| (key, Value::Object(bucket)))
                .collect::<Object>()
                .into(),
            false => all
                .into_iter()
                .map(|(_, key, mut bucket)| {
                    bucket.shift_insert(0, "key".to_owned(), key.into());
                    Value::Object(bucket)
                })
                .collect(),
        };
        Ok(Map::from_iter([("buckets".to_owned(), buckets)]))
    }

    /// Numbers and the like of the parts' insides.
    fn fill(&mut self, node: &mut Node<'_>, parts: &mut [Part]) -> Result<()> {
        for part in parts.iter_mut() {
            part.inner = self.all(&mut node.subs, part.number)?;
        }
        for sub in &node.subs {
            let Kind::Pipeline(of) = &sub.of.kind else {
                continue;
            };
            if !of.of.is_within() {
                continue;
            }
            let numbers: Vec<(u64, Option<f64>)> = parts
                .iter()
                .map(|part| {
                    let number = pipeline::number(&part.inner, Some(part.count), &of.path);
                    (part.count, number)
                })
                .collect();
            for (part, told) in parts.iter_mut().zip(pipeline::within(of, &numbers)) {
                if let Some(told) = told {
                    part.inner.insert(sub.of.name.clone(), told);
                }
            }
        }
        Ok(())
    }

    fn terms(&mut self, terms: &Terms, node: &mut Node<'_>, owner: u32) -> Result<Object> {
        let mut parts = parts(node, owner);
        let all: u64 = parts.iter().map(|part| part.count).sum();
        parts.retain(|part| part.count >= terms.min_doc_count);
        let by_inner = terms
            .order
            .iter()
            .any(|(by, _)| matches!(by, Order::Path(_)));
        if by_inner {
            self.fill(node, &mut parts)?;
        }
        sort(&mut parts, &terms.order, &node.lexicons[0]);
        let most = terms.size.min(MOST_BUCKETS + 1);
        parts.truncate(most);
        let shown: u64 = parts.iter().map(|part| part.count).sum();
        for _ in &parts {
            self.count_bucket()?;
        }
        if !by_inner {
            self.fill(node, &mut parts)?;
        }
        let info = node.infos[0].clone();
        let lexicon = &node.lexicons[0];
        let told = told_parts(parts, false, &|key| of_key(key, info.as_ref(), lexicon));
        let mut answer = Map::from_iter([
            ("doc_count_error_upper_bound".to_owned(), 0.into()),
            ("sum_other_doc_count".to_owned(), (all - shown).into()),
        ]);
        answer.extend(told);
        Ok(answer)
    }

    fn histogram<R>(
        &mut self,
        histogram: &Histogram<R>,
        node: &mut Node<'_>,
        owner: u32,
        start: &dyn Fn(f64) -> Key,
        next: &dyn Fn(Key) -> Key,
    ) -> Result<Vec<Part>> {
        let mut found = parts(node, owner);
        let lexicon = Lexicon::default();
        found.sort_by(|a, b| a.key.order(b.key, &lexicon));
        if histogram.min_doc_count == 0 {
            found = without_gaps(found, node.extended, start, next)?;
        }
        found.retain(|part| part.count >= histogram.min_doc_count);
        for _ in &found {
            self.count_bucket()?;
        }
        self.fill(node, &mut found)?;
        sort(&mut found, &histogram.order, &lexicon);
        Ok(found)
    }

    fn top_hits(
        &mut self,
        search: &crate::search::Search,
        state: &mut State<'_>,
        owner: u32,
    ) -> Result<Object> {
        let State::Hits { tops, bounds, .. } = state else {
            return Ok(Map::new());
        };
        let (page, count) = match tops.get_mut(owner as usize) {
            Some((top, count)) => (top.take_page(), *count),
            None => (Vec::new(), 0),
        };
        let told = hits::told_page(search, self.targets, bounds, page)?;
        let best = told.iter().filter_map(|hit| hit.score).reduce(f32::max);
        let hits = json!({
            "total": {"value": count, "relation": "eq"}, "max_score": best,
            "hits": serde_json::to_value(&told).unwrap_or_default()
        });
        Ok(Map::from_iter([("hits".to_owned(), hits)]))
    }
}

/// The number of a part that follows from that of the part further out.
fn within(owner: u32, parts: u32, number: u32) -> u32 {
    match owner {
        NONE => NONE,
        owner => owner.saturating_mul(parts).saturating_add(number),
    }
}

fn parts(node: &mut Node<'_>, owner: u32) -> Vec<Part> {
    let State::Buckets(buckets) = &mut node.state else {
        return Vec::new();
    };
    let parts = buckets.within(owner).into_iter();
    parts
        .map(|(key, number, count)| Part {
            key,
            number,
            count,
            inner: Map::new(),
        })
        .collect()
}

/// The parts with those of no document between them, and as far as the bounds go.
fn without_gaps(
    parts: Vec<Part>,
    bounds: Option<Ends>,
    start: &dyn Fn(f64) -> Key,
    next: &dyn Fn(Key) -> Key,
) -> Result<Vec<Part>> {
    let lexicon = Lexicon::default();
    let is_before = |a: Key, b: Key| a.order(b, &lexicon) == Ordering::Less;
    let [min, max] = bounds.unwrap_or_default();
    let mut at = min.map(start);
    let mut all: Vec<Part> = Vec::new();
    let fill = |all: &mut Vec<Part>, at: &mut Option<Key>, end: Key| {
        while let Some(key) = at.filter(|at| is_before(*at, end)) {
            if all.len() > MOST_BUCKETS {
                return Err(too_many(all.len()));
            }
            all.push(Part {
                key,
                number: NONE,
                count: 0,
                inner: Map::new(),
            });
            *at = Some(next(key)).filter(|next| is_before(key, *next));
        }
        Ok(())
    };
    for part in parts {
        fill(&mut all, &mut at, part.key)?;
        let after = next(part.key);
        at = match at {
            Some(at) if is_before(after, at) => Some(at),
            _ => Some(after),
        };
        all.push(part);
    }
    if let Some(max) = max {
        // Without any part and a first bound, there is only the last.
        at = at.or(Some(start(max)));
        fill(&mut all, &mut at, next(start(max)))?;
    }
    Ok(all)
}

/// Orders parts; the key decides among equals.
fn sort(parts: &mut [Part], order: &[(Order, bool)], lexicon: &Lexicon) {
    parts.sort_by(|a, b| {
        let each = order.iter().map(|(by, descending)| {
            let order = match by {
                Order::Count => a.count.cmp(&b.count),
                Order::Key => a.key.order(b.key, lexicon),
                Order::Path(path) => {
                    let of = |part: &Part| pipeline::number(&part.inner, Some(part.count), path);
                    // What is missing goes last, whichever way.
                    return match (of(a), of(b)) {
                        (Some(a), Some(b)) if *descending => b.total_cmp(&a),
                        (Some(a), Some(b)) => a.total_cmp(&b),
                        (a, b) => b.is_some().cmp(&a.is_some()),
                    };
                }
            };
            if *descending { order.reverse() } else { order }
        });
        each.fold(Ordering::Equal, Ordering::then)
            .then_with(|| a.key.order(b.key, lexicon))
    });
}

/// A key as text, where it has one, and as it is.
fn of_key(key: Key, info: Option<&Info>, lexicon: &Lexicon) -> (Option<String>, Value) {
    let value = key.json(lexicon);
    let text = match (info, key.tag) {
        (Some(info), Tag::Whole) if info.of.is_date() => {
            Some(info.format.format(key.as_whole(), Zone::Utc))
        }
        (Some(info), Tag::Whole) if info.of == FieldType::Bool => Some((value == 1).to_string()),
        (_, Tag::Truth) => Some((value == 1).to_string()),
        _ => None,
    };
    (text, value)
}

fn told_parts(
    parts: Vec<Part>,
    keyed: bool,
    key: &dyn Fn(Key) -> (Option<String>, Value),
) -> Object {
    let mut named = Map::new();
    let mut listed = Vec::with_capacity(parts.len());
    for part in parts {
        let (text, value) = key(part.key);
        let name = match (&text, &value) {
            (Some(text), _) => text.clone(),
            (None, value) => value.to_string(),
        };
        let mut told = Map::new();
        // A number's text is only the name of the part.
        if let Some(text) = text
            && !value.is_f64()
        {
            told.insert("key_as_string".to_owned(), text.into());
        }
        told.insert("key".to_owned(), value);
        told.insert("doc_count".to_owned(), part.count.into());
        told.extend(part.inner);
        match keyed {
            true => {
                named.insert(name, told.into());
            }
            false => listed.push(Value::Object(told)),
        }
    }
    let buckets = if keyed { named.into() } else { listed.into() };
    Map::from_iter([("buckets".to_owned(), buckets)])
}

fn measured(node: &mut Node<'_>, metric: &Metric, owner: u32) -> Object {
    let at = owner as usize;
    let info = node.infos[0].as_ref();
    let has_format = matches!(&node.of.kind, Kind::Metric(_, values) if values.format.is_some());
    let format = info
        .filter(|info| info.of.is_date() || has_format)
        .map(|info| &info.format);
    let text = |number: f64| Some(format?.format(number as i64, Zone::Utc));
    let one = |value: Value| Map::from_iter([("value".to_owned(), value)]);
    match &mut node.state {
        State::Numbers(numbers) => {
            let number = numbers.get(at).copied().unwrap_or_else(Number::default);
            number.told(metric, &text)
        }
        State::Distinct(distinct) => {
            let count = distinct.get(at).map_or(0, super::metrics::Distinct::count);
            one(count.into())
        }
        State::Places(places) => {
            let places = places.get(at).copied().unwrap_or_else(Places::default);
            places.told(metric)
        }
        State::Lists(lists) => {
            let mut none = Vec::new();
            let list = lists.get_mut(at).unwrap_or(&mut none);
            list.sort_by(f64::total_cmp);
            match metric {
                Metric::Percentiles { percents, keyed } => {
                    let of =
                        |percent: &f64| percentile(list, *percent).map_or(Value::Null, Value::from);
                    let mut named = Map::new();
                    let mut listed = Vec::new();
                    for percent in percents {
                        let value = of(percent);
                        let text = value.as_f64().and_then(text);
                        if *keyed {
                            let name = format!("{percent:?}");
                            if let Some(text) = text {
                                named.insert(name.clone(), value);
                                named.insert(format!("{name}_as_string"), text.into());
                            } else {
                                named.insert(name, value);
                            }
                        } else {
                            listed.push(json!({"key": percent, "value": value}));
                        }
                    }
                    let values = if *keyed { named.into() } else { listed.into() };
                    Map::from_iter([("values".to_owned(), values)])
                }
                _ => one(median_deviation(list).map_or(Value::Null, Value::from)),
            }
        }
        _ => Map::new(),
    }
}

/// Names with the types of what they name.
fn typed(nodes: &[Node<'_>], told: Object) -> Object {
    let mut all = Map::new();
    for (name, mut value) in told {
        let Some(node) = nodes.iter().find(|node| node.of.name == name) else {
            all.insert(name, value);
            continue;
        };
        let kind = match (&node.of.kind, node.infos.first()) {
            (Kind::Terms(_), Some(Some(info))) => match info.of {
                FieldType::Number => {
                    let is_whole = value["buckets"][0]["key"].is_i64();
                    if is_whole { "lterms" } else { "dterms" }
                }
                FieldType::Date | FieldType::DateNanos | FieldType::Bool => "lterms",
                _ => "sterms",
            },
            (Kind::Terms(_), _) => "umterms",
            (kind, _) => kind.type_name(),
        };
        let within = |part: &mut Value| {
            if let Value::Object(inner) = part {
                *inner = typed(&node.subs, std::mem::take(inner));
            }
        };
        match value.get_mut("buckets") {
            Some(Value::Array(parts)) => parts.iter_mut().for_each(within),
            Some(Value::Object(parts)) => parts.values_mut().for_each(within),
            _ if !node.subs.is_empty() => within(&mut value),
            _ => {}
        }
        all.insert(format!("{kind}#{name}"), value);
    }
    all
}
