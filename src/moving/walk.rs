//! Through any number of results by pages of an API that looks no further than ten thousand of them: each page begins
//! at the last moment of the one before.

use serde_json::Value;

use super::cluster::WINDOW;
use super::http::Failure;
use super::kind::Kind;
use super::source::{Stretch, Taker};

#[derive(Default)]
pub struct Question {
    pub stretch: Stretch,
    pub size: usize,
    pub newest_first: bool,
    /// Of this score and more, the lowest first, instead of by time
    pub at_least: Option<f64>,
}

impl Question {
    pub fn parameters(&self) -> String {
        let mut parameters = format!("size={}", self.size);
        for (name, bound) in [("start", self.stretch.start), ("end", self.stretch.end)] {
            if let Some(bound) = bound {
                parameters.push_str(&format!("&{name}={bound}"));
            }
        }
        parameters
    }
}

pub struct Page {
    /// Of all that was asked for, not of the page.
    pub count: u64,
    pub documents: Vec<Value>,
}

impl Page {
    fn is_last(&self) -> bool {
        self.count <= self.documents.len() as u64
    }
}

/// How a page is had.
pub type Ask<'a> = dyn FnMut(&Question) -> Result<Page, Failure> + 'a;

/// Gives everything of a stretch to `take`, by time; says how many couldn't be reached.
pub fn by_time(
    kind: Kind,
    mut stretch: Stretch,
    size: usize,
    ask: &mut Ask<'_>,
    take: &mut Taker<'_>,
) -> anyhow::Result<Option<String>> {
    let mut lost = 0;
    loop {
        let mut page = ask(&Question {
            stretch,
            size,
            ..Question::default()
        })?;
        let last = page.documents.last().and_then(time_of);
        let (false, Some(last)) = (page.is_last(), last) else {
            take(page.documents)?;
            return Ok((lost > 0).then(|| {
                format!("{lost} of moments with more than {WINDOW} of one score can't be reached")
            }));
        };
        let whole = page
            .documents
            .partition_point(|document| time_of(document).is_some_and(|time| time < last));
        if whole == 0 {
            lost += one_moment(kind, last, ask, take)?;
            stretch.start = Some(last + 1);
        } else {
            page.documents.truncate(whole);
            take(page.documents)?;
            stretch.start = Some(last);
        }
    }
}

/// Everything of one millisecond, by score where it is too much for a page; how many couldn't be reached.
fn one_moment(
    kind: Kind,
    time: i64,
    ask: &mut Ask<'_>,
    take: &mut Taker<'_>,
) -> anyhow::Result<u64> {
    let mut question = Question {
        stretch: Stretch {
            start: Some(time),
            end: Some(time + 1),
        },
        size: WINDOW,
        ..Question::default()
    };
    let page = ask(&question)?;
    if page.is_last() {
        take(page.documents)?;
        return Ok(0);
    }
    let Some(score) = kind.score() else {
        let lost = page.count - page.documents.len() as u64;
        take(page.documents)?;
        return Ok(lost);
    };
    let score_of = |document: &Value| document[score].as_f64().unwrap_or(0.0);
    let mut lost = 0;
    question.at_least = Some(0.0);
    loop {
        let mut page = ask(&question)?;
        let highest = page.documents.last().map(score_of);
        let (false, Some(highest)) = (page.is_last(), highest) else {
            take(page.documents)?;
            return Ok(lost);
        };
        let whole = page
            .documents
            .partition_point(|document| score_of(document) < highest);
        if whole == 0 {
            // All of one score: no page goes past them, and they are as good as each other.
            question.at_least = Some(highest.next_up());
            let above = ask(&Question {
                stretch: question.stretch,
                size: 0,
                ..question
            })?;
            lost += page.count - above.count - page.documents.len() as u64;
        } else {
            page.documents.truncate(whole);
            question.at_least = Some(highest);
        }
        take(page.documents)?;
    }
}

fn time_of(document: &Value) -> Option<i64> {
    document["timestamp"].as_i64()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Answers as the APIs do.
    fn answer(all: &[Value], question: &Question) -> Page {
        let mut found: Vec<Value> = all
            .iter()
            .filter(|document| {
                let time = time_of(document).expect("a time");
                question.stretch.start.is_none_or(|start| time >= start)
                    && question.stretch.end.is_none_or(|end| time < end)
                    && question.at_least.is_none_or(|least| {
                        document["record_score"].as_f64().expect("a score") >= least
                    })
            })
            .cloned()
            .collect();
        found.sort_by(|one, other| {
            let field = if question.at_least.is_some() {
                "record_score"
            } else {
                "timestamp"
            };
            one[field]
                .as_f64()
                .expect("a number")
                .total_cmp(&other[field].as_f64().expect("a number"))
        });
        let count = found.len() as u64;
        found.truncate(question.size);
        Page {
            count,
            documents: found,
        }
    }

    fn walked(all: &[Value], size: usize) -> (Vec<u64>, Option<String>) {
        let mut ids = Vec::new();
        let lost = by_time(
            Kind::Record,
            Stretch::default(),
            size,
            &mut |question| Ok(answer(all, question)),
            &mut |documents| {
                ids.extend(
                    documents
                        .iter()
                        .map(|document| document["id"].as_u64().expect("an id")),
                );
                Ok(())
            },
        )
        .expect("walked");
        ids.sort_unstable();
        (ids, lost)
    }

    #[test]
    fn nothing_is_missed_and_nothing_comes_twice() {
        let all: Vec<Value> = (0..25_000u64)
            .map(|id| {
                // Fifty a moment, and one moment with far more than a page of whatever size holds.
                let time = if id < 12_500 {
                    777 * 60_000
                } else {
                    id / 50 * 60_000
                };
                json!({"id": id, "timestamp": time, "record_score": (id % 1_000) as f64 / 10.0})
            })
            .collect();
        for size in [499, WINDOW] {
            let (ids, lost) = walked(&all, size);
            assert_eq!(lost, None);
            assert!(ids.iter().copied().eq(0..25_000), "{size}: {}", ids.len());
        }
    }

    #[test]
    fn what_no_page_reaches_is_told() {
        let all: Vec<Value> = (0..10_500u64)
            .map(|id| json!({"id": id, "timestamp": 60_000, "record_score": if id < 10_200 { 0.0 } else { 3.5 }}))
            .collect();
        let (ids, lost) = walked(&all, 100);
        assert_eq!(ids.len(), 10_300);
        assert!(lost.expect("lost").starts_with("200 of moments"));
    }
}
