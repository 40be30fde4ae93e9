//! Results that stand for more of them: of each stretch of time the worst.

use std::collections::{BTreeMap, BTreeSet};

use super::result::{EntityField, Told};

/// What is kept of the results of several entities, so many a stretch of time.
pub struct Sample {
    /// Epoch milliseconds.
    start: i64,
    /// Milliseconds.
    stretch: i64,
    /// The most entities that are kept.
    entities: usize,
    seen: BTreeSet<Vec<EntityField>>,
    kept: BTreeMap<(i64, Vec<EntityField>), Told>,
}

impl Sample {
    /// Of a range of intervals, epoch milliseconds: at most `most` results of so many entities.
    pub fn new((start, end): (i64, i64), interval: i64, entities: usize, most: usize) -> Self {
        let entities = entities.max(1);
        let each = i64::try_from(most / entities).unwrap_or(i64::MAX).max(1);
        let interval = interval.max(1);
        // The first and the last interval may be cut.
        let start = start - start.rem_euclid(interval);
        let intervals = (end.saturating_sub(start) + interval - 1) / interval;
        let together = intervals / each + i64::from(intervals % each > 0);
        Self {
            start,
            stretch: together.max(1).saturating_mul(interval),
            entities,
            seen: BTreeSet::new(),
            kept: BTreeMap::new(),
        }
    }

    pub fn take(&mut self, told: Told) {
        if !self.seen.contains(&told.entity) {
            if self.seen.len() >= self.entities {
                return;
            }
            self.seen.insert(told.entity.clone());
        }
        let stretch = told.timestamp.saturating_sub(self.start) / self.stretch;
        let key = (stretch, told.entity.clone());
        let is_worse = |before: &Told| told.anomaly_grade > before.anomaly_grade;
        if self.kept.get(&key).is_none_or(is_worse) {
            self.kept.insert(key, told);
        }
    }

    /// By time and entity.
    pub fn told(self) -> Vec<Told> {
        self.kept.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MINUTE: i64 = 60_000;

    fn told(minute: i64, who: &str, grade: f64) -> Told {
        let told = json!({
            "timestamp": minute * MINUTE, "bucket_span": 60, "is_interim": false, "anomaly_score": 1.0,
            "anomaly_grade": grade, "confidence": 1.0, "threshold": 1.0, "updates": minute,
            "entity": [{"name": "who", "value": who}]
        });
        Told::read(&told.to_string()).expect("a result")
    }

    fn taken(minutes: i64, entities: usize, most: usize) -> Vec<(i64, String, f64)> {
        let mut sample = Sample::new((0, minutes * MINUTE), MINUTE, entities, most);
        for minute in 0..minutes {
            for who in ["a", "b", "c"] {
                let grade = f64::from(u8::from(minute % 50 == 17 && who == "b"));
                sample.take(told(minute, who, grade));
            }
        }
        let all = sample.told().into_iter();
        all.map(|told| {
            let minute = told.timestamp / MINUTE;
            (minute, told.entity[0].value.clone(), told.anomaly_grade)
        })
        .collect()
    }

    #[test]
    fn few_results_are_all_told_and_of_many_the_worst_of_each_stretch() {
        let all = taken(98, 2, 200);
        assert_eq!(all.len(), 196);
        assert_eq!(all[34], (17, "a".to_owned(), 0.0));
        assert_eq!(all[35], (17, "b".to_owned(), 1.0));
        assert!(all.iter().all(|(_, who, _)| who != "c"));
        let some = taken(10_000, 3, 1_000);
        assert!((900..=1_000).contains(&some.len()), "{}", some.len());
        let anomalies = some.iter().filter(|(_, _, grade)| *grade > 0.0);
        assert_eq!(anomalies.count(), 200);
    }
}
