//! The time of day. Nothing that the engine finds depends on it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Local, SecondsFormat};
use parking_lot::Mutex;
use tokio::sync::watch;

/// The longest sleep without a look at the system's clock, which may be set, or stand still with its machine.
const LOOK: Duration = Duration::from_secs(60);

/// What tells the time: the system, or whoever turns it. Clones tell the same.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<Standing>>);

#[derive(Debug)]
struct Standing {
    hand: watch::Sender<i64>,
    /// Until when each sleeps.
    sleepers: Mutex<Vec<i64>>,
}

impl Clock {
    /// A clock that stands still until it is turned. Epoch milliseconds.
    pub fn standing(at: i64) -> Self {
        Self(Some(Arc::new(Standing {
            hand: watch::Sender::new(at),
            sleepers: Mutex::default(),
        })))
    }

    /// Sets a standing clock, and wakes who has slept long enough by it. The system's goes its own way.
    pub fn set(&self, to: i64) {
        if let Some(standing) = &self.0 {
            standing.hand.send_replace(to);
        }
    }

    /// Turns a standing clock on.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().saturating_add(millis(by)));
    }

    /// Epoch milliseconds.
    pub fn now(&self) -> i64 {
        match &self.0 {
            Some(standing) => *standing.hand.borrow(),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, millis),
        }
    }

    /// How many sleep by a standing clock whose time has not come: what it moves is at rest when all do.
    pub fn sleepers(&self) -> usize {
        let now = self.now();
        self.0.as_ref().map_or(0, |standing| {
            let sleepers = standing.sleepers.lock();
            sleepers.iter().filter(|until| **until > now).count()
        })
    }

    /// The same where the machine stands.
    pub fn local(&self) -> DateTime<Local> {
        DateTime::from_timestamp_millis(self.now())
            .unwrap_or_default()
            .with_timezone(&Local)
    }

    /// Sleeps until this clock shows `until` or more, in epoch milliseconds.
    pub async fn sleep_until(&self, until: i64) {
        if let Some(standing) = &self.0 {
            let _sleeper = Sleeper::new(standing, until);
            // It can't fail: the clock that sleeps here is one of the senders.
            let mut hand = standing.hand.subscribe();
            let _ = hand.wait_for(|now| *now >= until).await;
            return;
        }
        loop {
            let left = until.saturating_sub(self.now());
            let Ok(left @ 1..) = u64::try_from(left) else {
                return;
            };
            tokio::time::sleep(Duration::from_millis(left).min(LOOK)).await;
        }
    }
}

/// Who sleeps by a standing clock, until it is dropped.
struct Sleeper<'c>(&'c Standing, i64);

impl<'c> Sleeper<'c> {
    fn new(clock: &'c Standing, until: i64) -> Self {
        clock.sleepers.lock().push(until);
        Self(clock, until)
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        let mut sleepers = self.0.sleepers.lock();
        if let Some(at) = sleepers.iter().position(|until| *until == self.1) {
            sleepers.swap_remove(at);
        }
    }
}

/// Epoch milliseconds as Elasticsearch writes a time in messages: `2024-01-31T12:00:00.000Z`.
pub fn iso(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis).map_or(millis.to_string(), |time| {
        time.to_rfc3339_opts(SecondsFormat::Millis, true)
    })
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_sleeps_wakes_when_the_clock_is_turned_far_enough() {
        let clock = Clock::standing(1_000);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep_until(86_401_000).await;
                clock.now()
            }
        });
        tokio::task::yield_now().await;
        assert_eq!(clock.sleepers(), 1);
        clock.advance(Duration::from_millis(86_399_999));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished(), "a moment is missing");
        clock.advance(Duration::from_millis(1));
        assert_eq!(clock.sleepers(), 0);
        assert_eq!(sleeper.await.expect("awake"), 86_401_000);
    }
}
