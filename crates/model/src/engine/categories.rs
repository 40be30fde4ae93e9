//! Categories in the engine: a record is given the category of its message before it is gathered.

use std::fmt::Write;

use super::Engine;
use crate::categorize::{
    CategorizationOptions, CategorizationStatus, Categorizers, CategoryDefinition, State,
};
use crate::config::AnalysisConfig;
use crate::record::Record;

#[derive(Debug, Clone)]
pub(super) struct Categories {
    categorizers: Categorizers,
    message: usize,
    partition: Option<usize>,
    /// Behind the last of the records' own.
    pub column: usize,
    /// The category of the record at hand; empty for none.
    text: String,
}

impl Categories {
    /// None for a job that has no categories.
    pub fn new(analysis: &AnalysisConfig, state: Option<State>) -> Option<Self> {
        let config = analysis.categorization.as_ref()?;
        let schema = analysis.schema();
        let categorizers = match state {
            Some(state) => Categorizers::with_state(config, state),
            None => Categorizers::new(config),
        };
        let partition = analysis.category_partition();
        Some(Self {
            // An analysis exists only with an analyzer that was tried.
            categorizers: categorizers
                .unwrap_or_else(|error| unreachable!("an analyzer that can't be built: {error}")),
            message: schema.position(&config.field_name)?,
            partition: partition.and_then(|name| schema.position(name)),
            column: schema.fields.len(),
            text: String::new(),
        })
    }

    pub fn state(&self) -> &State {
        self.categorizers.state()
    }

    pub fn bytes(&self) -> u64 {
        self.categorizers.bytes()
    }

    pub fn categorizers(&self) -> &Categorizers {
        &self.categorizers
    }

    /// Finds the category of a record. Returns whether there was no room for it.
    fn categorize(&mut self, record: &Record<'_>, room: u64) -> bool {
        self.text.clear();
        let Some(message) = record.text(self.message) else {
            return false;
        };
        let partition = self.partition.map(|column| record.text(column));
        // Without its partition there is nothing that the record could count for.
        if partition == Some(None) {
            return false;
        }
        let failed = self.categorizers.failed();
        if let Some(category) = self
            .categorizers
            .categorize(partition.flatten(), message, room)
        {
            // Writing to a string can't fail.
            let _ = write!(self.text, "{category}");
        }
        self.categorizers.failed() > failed
    }
}

impl Engine {
    /// Takes other settings of the categories for what comes next.
    pub fn configure_categories(&mut self, options: CategorizationOptions) {
        if let Some(categories) = &mut self.categories {
            categories.categorizers.configure(options);
        }
    }

    /// Definitions of categories that changed since they were last taken; with `counts`, also of those that only matched
    /// more messages.
    pub fn take_categories(&mut self, counts: bool) -> Vec<CategoryDefinition> {
        let categories = self.categories.as_mut();
        categories.map_or(Vec::new(), |c| c.categorizers.take_changed(counts))
    }

    /// The definitions of all categories, as they are now.
    pub fn categories(&self) -> Vec<CategoryDefinition> {
        let categories = self.categories.as_ref();
        categories.map_or(Vec::new(), |c| c.categorizers.definitions())
    }

    /// Partition values, where partitions have categories of their own, whose status is another than when this was last
    /// asked.
    pub fn take_category_statuses(&mut self) -> Vec<(Option<String>, CategorizationStatus)> {
        let categories = self.categories.as_mut();
        categories.map_or(Vec::new(), |c| c.categorizers.take_statuses())
    }

    /// Puts a record, with its category when the job has categories, into an open bucket.
    pub(super) fn gather_with_category(&mut self, record: &Record<'_>, place: usize) {
        if self.categories.is_none() {
            return self.gather(record, place);
        }
        let room = match self.state.options.memory_limit {
            0 => u64::MAX,
            limit => limit.saturating_sub(self.reserved_bytes()),
        };
        let mut text = String::new();
        if let Some(categories) = &mut self.categories {
            self.state.refused |= categories.categorize(record, room);
            text = std::mem::take(&mut categories.text);
        }
        let category = (!text.is_empty()).then_some(text.as_str());
        self.gather(&record.with_category(category), place);
        if let Some(categories) = &mut self.categories {
            categories.text = text;
        }
        self.state.peak_bytes = self.state.peak_bytes.max(self.bytes());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::counts::MemoryStatus;
    use crate::engine::{Flush, Options};
    use crate::record::RecordBatch;
    use crate::results::BucketResults;

    const START: i64 = 1_700_006_400;

    fn analysis(per_partition: bool) -> AnalysisConfig {
        let detector = match per_partition {
            true => {
                json!({"function": "count", "by_field_name": "mlcategory", "partition_field_name": "host"})
            }
            false => json!({"function": "count", "by_field_name": "mlcategory"}),
        };
        let config = json!({
            "bucket_span": "1h", "categorization_field_name": "message", "detectors": [detector],
            "per_partition_categorization": {"enabled": per_partition}, "influencers": ["mlcategory", "host"]
        });
        serde_json::from_value(config).expect("valid")
    }

    /// Ten days with the same messages each hour, but in the last, when one of them comes often.
    fn messages(analysis: &AnalysisConfig) -> RecordBatch {
        let schema = analysis.schema();
        let column = |name: &str| schema.position(name).expect("a column");
        let mut batch = RecordBatch::new(schema.fields.len());
        for n in 0..2_400 {
            let mut add = |message: String| {
                batch.begin();
                batch.set_text(column("message"), &message);
                batch.set_text(column("host"), if n % 2 == 0 { "a" } else { "b" });
                batch.commit((START + n * 360) * 1_000);
            };
            add(format!("connection from 10.0.0.{} closed", n % 200));
            add(format!("disk usage is {n} percent"));
            if n >= 2_390 {
                (0..40).for_each(|i| add(format!("login failed for id {i}")));
                (0..40).for_each(|i| add(format!("connection from 10.1.0.{i} closed")));
            }
        }
        batch
    }

    fn run(
        engine: &mut Engine,
        batch: &RecordBatch,
        rows: std::ops::Range<usize>,
    ) -> Vec<BucketResults> {
        let mut results = Vec::new();
        let mut part = RecordBatch::new(engine.analysis().schema().fields.len());
        for row in rows {
            let record = batch.record(row);
            part.begin();
            for column in 0..engine.analysis().schema().fields.len() {
                if let Some(text) = record.text(column) {
                    part.set_text(column, text);
                }
            }
            part.commit(record.time);
        }
        let mut row = 0;
        while row < part.len() {
            row = engine.process(&part, row, &mut results);
        }
        results
    }

    fn finish(engine: &mut Engine, results: &mut Vec<BucketResults>) {
        let flush = Flush {
            advance_time: Some((START + 2_400 * 360) * 1_000),
            skip_time: None,
        };
        while !engine.flush(&flush, results) {}
    }

    #[test]
    fn records_are_counted_by_the_category_of_their_message() {
        let analysis = analysis(false);
        let batch = messages(&analysis);
        let mut engine = Engine::new(analysis, Options::default());
        let mut results = run(&mut engine, &batch, 0..batch.len());
        finish(&mut engine, &mut results);
        let last = results.last().expect("buckets");
        let record = last.records.first().expect("an anomaly");
        let by = record.by.as_ref().expect("split by category");
        assert_eq!(
            (by.by_field_name.as_str(), by.by_field_value.as_str()),
            ("mlcategory", "1")
        );
        assert_eq!(record.actual, [410.0]);
        assert!(record.record_score > 50.0, "{record:?}");
        let influencers = last
            .influencers
            .iter()
            .map(|i| i.influencer_field_name.as_str());
        assert!(
            influencers.clone().any(|name| name == "mlcategory"),
            "{:?}",
            last.influencers
        );
        let categories = engine.size().categories;
        assert_eq!(
            (
                categories.total_category_count,
                categories.categorized_doc_count
            ),
            (3, 5_600)
        );
        assert_eq!(engine.take_categories(false).len(), 3);
        assert_eq!(engine.take_categories(true), []);
        assert_eq!(engine.categories().len(), 3);
    }

    #[test]
    fn a_restart_between_two_records_changes_nothing() {
        for per_partition in [false, true] {
            let analysis = analysis(per_partition);
            let batch = messages(&analysis);
            let mut whole = Engine::new(analysis.clone(), Options::default());
            let mut results = run(&mut whole, &batch, 0..batch.len());
            finish(&mut whole, &mut results);

            let mut parts = Engine::new(analysis.clone(), Options::default());
            let mut others = run(&mut parts, &batch, 0..4_801);
            let mut parts = Engine::restore(analysis, &parts.save()).expect("restores");
            others.extend(run(&mut parts, &batch, 4_801..batch.len()));
            finish(&mut parts, &mut others);
            assert_eq!(results, others);
            let partitions: Vec<_> = whole
                .take_categories(false)
                .into_iter()
                .map(|d| d.partition)
                .collect();
            assert_eq!(partitions.len(), if per_partition { 6 } else { 3 });
            assert_eq!(
                partitions.iter().flatten().count(),
                if per_partition { 6 } else { 0 }
            );
        }
    }

    #[test]
    fn categories_keep_to_the_memory_limit() {
        let analysis = analysis(false);
        let schema = analysis.schema();
        let options = Options {
            memory_limit: 200_000,
            ..Options::default()
        };
        let words = [
            "open", "close", "read", "write", "send", "wait", "stop", "start", "load", "save",
        ];
        let mut batch = RecordBatch::new(schema.fields.len());
        for n in 0..10_000 {
            let word = |place: u32| words[n / 10_usize.pow(place) % 10];
            batch.begin();
            let message = format!("{} {} {} {}", word(0), word(1), word(2), word(3));
            batch.set_text(schema.position("message").expect("a column"), &message);
            batch.commit(START * 1_000 + n as i64);
        }
        let mut engine = Engine::new(analysis, options);
        engine.process(&batch, 0, &mut Vec::new());
        let size = engine.size();
        assert!(size.categories.failed_category_count > 5_000, "{size:?}");
        assert!(
            size.peak_model_bytes <= 200_000 && size.categories.total_category_count > 20,
            "{size:?}"
        );
        assert_eq!(size.memory_status, MemoryStatus::HardLimit);
    }
}
