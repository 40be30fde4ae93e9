//! What a run of a datafeed does: all that its configuration, its job and the settings say, in the units in which it
//! is used.

/// How a long search is cut into shorter ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunks {
    /// By how dense the documents are: about ten pages of `page` documents each.
    Auto {
        page: u64,
    },
    /// Milliseconds.
    Manual {
        span: i64,
    },
    Off,
}

/// Times are epoch milliseconds, spans milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub datafeed_id: String,
    pub job_id: String,
    /// When it was started: a run that goes on after a restart of the server keeps it.
    pub started_at: i64,
    /// Where to begin, if the job has not come further.
    pub start: i64,
    /// Where to end; none for what goes on in real time.
    pub end: Option<i64>,
    /// How often is asked for new documents.
    pub frequency: i64,
    /// How long after a moment its documents are all there.
    pub query_delay: i64,
    pub bucket_span: i64,
    pub chunks: Chunks,
    /// Of the histogram of aggregations: windows begin and end with one of its buckets.
    pub interval: Option<i64>,
    /// Searches in real time without a record after which a datafeed that never saw one stops.
    pub max_empty_searches: Option<u32>,
    /// How much of the past is looked at for late documents; none: not at all.
    pub check_window: Option<i64>,
    /// How often.
    pub check_interval: i64,
    /// Whether late documents are counted in, by taking the job back to before them.
    pub reprocess_late_data: bool,
}

impl Plan {
    /// The end of what can be read by now: what is younger than the query delay may still come.
    pub(crate) fn end_of_look_back(&self, now: i64) -> i64 {
        self.floor(self.end.unwrap_or(now.saturating_sub(self.query_delay)))
    }

    /// The end of a window in real time: a multiple of the frequency.
    pub(crate) fn end_in_real_time(&self, now: i64) -> i64 {
        let until = now.saturating_sub(self.query_delay);
        self.floor(until.div_euclid(self.frequency) * self.frequency)
    }

    /// When the next search in real time is due: with the query delay over, and a moment for a clock that is late.
    pub(crate) fn next_search(&self, now: i64) -> i64 {
        const MOMENT: i64 = 100;
        let frequency = self.frequency;
        let next = now.saturating_add(frequency).div_euclid(frequency) * frequency;
        next + self.query_delay % frequency + MOMENT
    }

    /// The first moment from `time` on at which a window may begin.
    pub(crate) fn ceil(&self, time: i64) -> i64 {
        match self.interval {
            Some(interval) => -(time.saturating_neg().div_euclid(interval)) * interval,
            None => time,
        }
    }

    pub(crate) fn floor(&self, time: i64) -> i64 {
        match self.interval {
            Some(interval) => time.div_euclid(interval) * interval,
            None => time,
        }
    }

    /// How often a day is searched.
    pub(crate) fn searches_a_day(&self) -> u64 {
        (86_400_000 / self.frequency.max(1)).max(1) as u64
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn plan() -> Plan {
        Plan {
            datafeed_id: "d".to_owned(),
            job_id: "j".to_owned(),
            started_at: 0,
            start: 0,
            end: None,
            frequency: 60_000,
            query_delay: 90_000,
            bucket_span: 300_000,
            chunks: Chunks::Auto { page: 1_000 },
            interval: None,
            max_empty_searches: None,
            check_window: None,
            check_interval: 900_000,
            reprocess_late_data: false,
        }
    }

    #[test]
    fn a_search_is_due_when_the_delay_of_the_next_interval_is_over() {
        let plan = plan();
        let next = plan.next_search(600_000);
        assert_eq!(next, 660_000 + 30_000 + 100);
        assert_eq!(plan.end_in_real_time(next), 600_000);
        assert_eq!(plan.next_search(next), next + 60_000);
        assert_eq!(plan.end_of_look_back(600_000), 510_000);
        assert_eq!(plan.searches_a_day(), 1_440);
    }

    #[test]
    fn windows_over_aggregations_hold_whole_buckets_of_them() {
        let plan = Plan {
            interval: Some(100_000),
            frequency: 200_000,
            ..plan()
        };
        let ceiled = [-1, 0, 1, 100_000].map(|time| plan.ceil(time));
        assert_eq!(ceiled, [0, 0, 100_000, 100_000]);
        assert_eq!(plan.end_of_look_back(645_000), 500_000);
        assert_eq!(plan.end_in_real_time(690_000), 600_000);
    }
}
