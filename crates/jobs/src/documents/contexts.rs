//! What is held for clients between their requests: points in time, and scrolls on their way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;
use tidewatch_model::units::TimeSpan;
use tidewatch_store::search::{Search, Target};

use crate::error::{JobError, Result};

/// Scrolls that may be open at once, and points in time: each keeps segments from going away.
const MOST: usize = 500;
/// The longest that one may be held without being asked for.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A scroll on its way.
#[derive(Debug)]
pub struct Scroll {
    pub targets: Vec<Target>,
    /// The search of the next page.
    pub search: Search,
    pub total: u64,
    /// Fields of `sort` that were not asked for, at its end.
    pub added: usize,
    /// What the last page ended with; none where there is no more.
    pub after: Option<Vec<Value>>,
}

/// What is held.
#[derive(Debug, Clone)]
pub enum Context {
    Point(Arc<Vec<Target>>),
    /// One page after the other.
    Scroll(Arc<tokio::sync::Mutex<Scroll>>),
}

/// A context, as those who ask for all of them are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub id: String,
    /// Epoch milliseconds.
    pub created: i64,
    pub keep_alive: Duration,
}

struct Held {
    context: Context,
    indices: Vec<String>,
    created: i64,
    keep_alive: Duration,
    until: Instant,
}

#[derive(Default)]
struct State {
    next: u64,
    held: BTreeMap<u64, Held>,
}

/// All that is held. Clones share it.
#[derive(Clone)]
pub struct Contexts {
    /// Told apart from the ones of another start.
    run: Arc<str>,
    state: Arc<Mutex<State>>,
}

impl Default for Contexts {
    fn default() -> Self {
        Self {
            run: uuid::Uuid::new_v4().simple().to_string().into(),
            state: Arc::default(),
        }
    }
}

impl Contexts {
    /// Holds something until it was not asked for so long, and says by which id it is asked for.
    ///
    /// # Errors
    /// There are too many, or it is asked to be held for too long.
    pub fn open(
        &self,
        context: Context,
        indices: Vec<String>,
        keep_alive: Duration,
        now: i64,
    ) -> Result<String> {
        check_keep_alive(keep_alive)?;
        let number = {
            let mut state = self.state.lock();
            state.sweep();
            let is_scroll = matches!(context, Context::Scroll(_));
            let alike = |held: &&Held| matches!(held.context, Context::Scroll(_)) == is_scroll;
            if state.held.values().filter(alike).count() >= MOST {
                return Err(too_many(is_scroll));
            }
            state.next += 1;
            let number = state.next;
            let held = Held {
                context,
                indices,
                created: now,
                keep_alive,
                until: Instant::now() + keep_alive,
            };
            state.held.insert(number, held);
            number
        };
        let contexts = self.clone();
        tokio::spawn(async move {
            while let Some(left) = contexts.left(number) {
                tokio::time::sleep(left).await;
            }
        });
        Ok(format!("{}{number:016x}", self.run))
    }

    /// How long something is held still; what is held too long goes.
    fn left(&self, number: u64) -> Option<Duration> {
        let mut state = self.state.lock();
        state.sweep();
        let held = state.held.get(&number)?;
        Some(held.until.saturating_duration_since(Instant::now()))
    }

    /// What is held by an id, and for how long from now on, where that is said.
    ///
    /// # Errors
    /// Nothing is, or it is asked to be held for too long.
    pub fn get(&self, id: &str, keep_alive: Option<Duration>) -> Result<Context> {
        if let Some(keep_alive) = keep_alive {
            check_keep_alive(keep_alive)?;
        }
        let missing = || missing(number_of(id));
        let number = self.number(id).ok_or_else(missing)?;
        let mut state = self.state.lock();
        state.sweep();
        let held = state.held.get_mut(&number).ok_or_else(missing)?;
        held.keep_alive = keep_alive.unwrap_or(held.keep_alive);
        held.until = Instant::now() + held.keep_alive;
        Ok(held.context.clone())
    }

    /// Lets go of what is held by an id, and says whether there was something.
    pub fn close(&self, id: &str) -> bool {
        let Some(number) = self.number(id) else {
            return false;
        };
        let mut state = self.state.lock();
        state.sweep();
        state.held.remove(&number).is_some()
    }

    /// Lets go of all scrolls, or of all points in time, and says which there were.
    pub fn close_all(&self, scrolls: bool) -> Vec<String> {
        let ids: Vec<String> = self.all(scrolls).into_iter().map(|told| told.id).collect();
        ids.into_iter().filter(|id| self.close(id)).collect()
    }

    /// All scrolls, or all points in time.
    pub fn all(&self, scrolls: bool) -> Vec<Told> {
        let mut state = self.state.lock();
        state.sweep();
        let alike =
            |(_, held): &(&u64, &Held)| matches!(held.context, Context::Scroll(_)) == scrolls;
        let told = |(number, held): (&u64, &Held)| Told {
            id: format!("{}{number:016x}", self.run),
            created: held.created,
            keep_alive: held.keep_alive,
        };
        state.held.iter().filter(alike).map(told).collect()
    }

    /// Lets go of what an index is part of: it is gone.
    pub fn forget(&self, index: &str) {
        let mut state = self.state.lock();
        state
            .held
            .retain(|_, held| !held.indices.iter().any(|name| name == index));
    }

    /// The number in an id of this start.
    fn number(&self, id: &str) -> Option<u64> {
        let (run, _) = id.split_at_checked(self.run.len())?;
        (run == &*self.run).then(|| number_of(id)).flatten()
    }
}

/// Whether a text can be an id at all.
pub fn is_id(id: &str) -> bool {
    id.len() == 48 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn number_of(id: &str) -> Option<u64> {
    u64::from_str_radix(id.get(32..)?, 16).ok()
}

impl State {
    fn sweep(&mut self) {
        let now = Instant::now();
        self.held.retain(|_, held| held.until > now);
    }
}

fn check_keep_alive(keep_alive: Duration) -> Result<()> {
    if keep_alive > LONGEST {
        return Err(JobError::illegal_argument(format!(
            "Keep alive for request ({}) is too large. It must be less than (24h). This limit can be set by changing the \
             [search.max_keep_alive] cluster level setting.",
            TimeSpan::millis(i64::try_from(keep_alive.as_millis()).unwrap_or(i64::MAX)).human()
        )));
    }
    Ok(())
}

fn too_many(scrolls: bool) -> JobError {
    match scrolls {
        true => JobError::new(
            429,
            "too_many_scroll_contexts_exception",
            format!(
                "Trying to create too many scroll contexts. Must be less than or equal to: [{MOST}]. This limit can be \
                 set by changing the [search.max_open_scroll_context] setting."
            ),
        ),
        false => JobError::new(
            429,
            "es_rejected_execution_exception",
            format!("at most [{MOST}] points in time are open at once"),
        ),
    }
}

/// That nothing is held by an id.
fn missing(number: Option<u64>) -> JobError {
    let reason = format!(
        "No search context found for id [{}]",
        number.unwrap_or_default()
    );
    let cause = JobError::new(404, "search_context_missing_exception", reason);
    JobError::new(404, "search_phase_execution_exception", "all shards failed").because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn point(contexts: &Contexts, keep_alive: Duration) -> Result<String> {
        let point = Context::Point(Arc::default());
        contexts.open(point, vec!["logs".to_owned()], keep_alive, 7)
    }

    #[tokio::test]
    async fn what_is_held_goes_when_nobody_asks_for_it() {
        let contexts = Contexts::default();
        let gone = point(&contexts, Duration::ZERO).expect("held");
        let stays = point(&contexts, MINUTE).expect("held");
        assert!(is_id(&gone));
        let error = contexts.get(&gone, None).expect_err("gone");
        assert_eq!(
            (error.status, error.kind),
            (404, "search_phase_execution_exception")
        );
        assert_eq!(
            error.cause.expect("a cause").reason,
            "No search context found for id [1]"
        );
        contexts.get(&stays, Some(MINUTE * 2)).expect("held");
        assert_eq!(contexts.all(false)[0].keep_alive, MINUTE * 2);
        assert!(contexts.get(&stays, Some(LONGEST * 2)).is_err());
        let other = Contexts::default();
        assert!(other.get(&stays, None).is_err(), "of another start");
        contexts.forget("other");
        assert!(contexts.close(&stays) && !contexts.close(&stays));
        point(&contexts, MINUTE).expect("held");
        contexts.forget("logs");
        assert!(contexts.all(false).is_empty());
    }

    #[tokio::test]
    async fn only_so_many_are_held() {
        let contexts = Contexts::default();
        for _ in 0..MOST {
            point(&contexts, MINUTE).expect("held");
        }
        assert_eq!(point(&contexts, MINUTE).expect_err("full").status, 429);
        assert_eq!(contexts.close_all(true).len(), 0);
        assert_eq!(contexts.close_all(false).len(), MOST);
        point(&contexts, MINUTE).expect("held");
    }
}
