//! What goes wrong in a run, told when it is new, and how long is waited before the next try.

use std::time::Duration;

/// Searches in a row without a record after which that is told.
const EMPTY_SEARCHES: u64 = 10;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is to be told: a level and a message.
pub(super) type Told = (&'static str, String);

/// Searches and what became of them.
#[derive(Debug)]
pub(super) struct Problems {
    searches_a_day: u64,
    /// The text of the last one, which isn't told again.
    last: Option<String>,
    /// In the last try.
    has_any: bool,
    empty: u64,
    /// Before the next try after another failure.
    pause: Duration,
}

impl Problems {
    pub fn new(searches_a_day: u64) -> Self {
        Self {
            searches_a_day,
            last: None,
            has_any: false,
            empty: 0,
            pause: FIRST_PAUSE,
        }
    }

    /// The source gave nothing, or the job took nothing: `what` begins the message.
    pub fn failed(&mut self, what: &str, why: &str) -> Option<Told> {
        self.has_any = true;
        let text = format!("{what}: {why}");
        if self.last.as_ref() == Some(&text) {
            return None;
        }
        self.last = Some(text.clone());
        Some(("error", text))
    }

    /// How long to wait after a failure: twice as long each time, up to a minute.
    pub fn pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (2 * pause).min(LONGEST_PAUSE);
        pause
    }

    /// A try went well.
    pub fn succeeded(&mut self) -> Option<Told> {
        self.pause = FIRST_PAUSE;
        self.last = None;
        let recovered = std::mem::take(&mut self.has_any);
        recovered.then(|| {
            let message = "Datafeed has recovered data extraction and analysis";
            ("info", message.to_owned())
        })
    }

    /// A search gave no record.
    pub fn found_nothing(&mut self) -> Option<Told> {
        self.empty += 1;
        let is_due = self.empty == EMPTY_SEARCHES || self.empty.is_multiple_of(self.searches_a_day);
        is_due.then(|| {
            let message = "Datafeed has been retrieving no data for a while";
            ("warning", message.to_owned())
        })
    }

    /// How many searches in a row gave no record.
    pub fn empty_searches(&self) -> u64 {
        self.empty
    }

    /// A search gave records.
    pub fn found_some(&mut self) -> Option<Told> {
        let was_told = std::mem::take(&mut self.empty) >= EMPTY_SEARCHES;
        was_told.then(|| {
            let message = "Datafeed has started retrieving data again";
            ("info", message.to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_when_it_is_new_and_when_it_is_over() {
        let mut problems = Problems::new(1_440);
        assert_eq!(problems.succeeded(), None);
        let told = problems.failed("Datafeed is encountering errors extracting data", "gone");
        let text = "Datafeed is encountering errors extracting data: gone";
        assert_eq!(told, Some(("error", text.to_owned())));
        assert_eq!(
            problems.failed("Datafeed is encountering errors extracting data", "gone"),
            None
        );
        assert!(
            problems
                .failed("Datafeed is encountering errors extracting data", "late")
                .is_some()
        );
        let seconds = |problems: &mut Problems| problems.pause().as_secs();
        assert_eq!(
            [(); 8].map(|()| seconds(&mut problems)),
            [1, 2, 4, 8, 16, 32, 60, 60]
        );
        assert!(
            problems
                .succeeded()
                .is_some_and(|(level, _)| level == "info")
        );
        assert_eq!(problems.succeeded(), None);
        assert_eq!(seconds(&mut problems), 1);
    }

    #[test]
    fn long_silence_is_told_once_a_day() {
        let mut problems = Problems::new(24);
        let told: Vec<u64> = (1..=60)
            .filter(|_| problems.found_nothing().is_some())
            .collect();
        assert_eq!(told, [10, 24, 48]);
        assert_eq!(problems.empty_searches(), 60);
        assert!(problems.found_some().is_some());
        assert!(problems.found_some().is_none());
    }
}
