//! The fields that an analysis reads.

use super::{AnalysisConfig, ConfigError, MLCATEGORY};
use crate::record::Schema;
use crate::units::TimeSpan;

impl AnalysisConfig {
    /// Seconds.
    pub fn span(&self) -> i64 {
        self.bucket_span.as_secs()
    }

    /// Seconds.
    pub fn latency(&self) -> i64 {
        self.latency.map_or(0, TimeSpan::as_secs)
    }

    /// The fields that the analysis reads, the summary count aside: those that `processed_field_count` counts.
    pub fn analysis_fields(&self) -> Vec<&str> {
        let mut fields: Vec<&str> = Vec::new();
        let of_detectors = self.detectors.iter().flat_map(|detector| {
            [
                &detector.field_name,
                &detector.by_field_name,
                &detector.over_field_name,
                &detector.partition_field_name,
            ]
            .into_iter()
            .flatten()
        });
        for name in of_detectors
            .chain(&self.influencers)
            .chain(&self.summary_count_field_name)
        {
            // A record is given its category; it doesn't bring it.
            let given = self.categorization.is_some() && name == MLCATEGORY;
            if !given && !fields.contains(&name.as_str()) {
                fields.push(name);
            }
        }
        if let Some(categorization) = &self.categorization
            && !fields.contains(&categorization.field_name.as_str())
        {
            fields.push(&categorization.field_name);
        }
        fields
    }

    /// The columns of the records that the analysis wants. The category is none of them.
    pub fn schema(&self) -> Schema {
        let mut schema = Schema::default();
        let is_read = |name: &&String| self.categorization.is_none() || *name != MLCATEGORY;
        for detector in &self.detectors {
            if let Some(name) = &detector.field_name {
                let numeric = detector.function.metric().is_numeric();
                schema.column(name, numeric, !numeric);
            }
            for name in [
                &detector.by_field_name,
                &detector.over_field_name,
                &detector.partition_field_name,
            ]
            .into_iter()
            .flatten()
            .filter(is_read)
            {
                schema.column(name, false, true);
            }
        }
        for name in self.influencers.iter().filter(is_read) {
            schema.column(name, false, true);
        }
        if let Some(categorization) = &self.categorization {
            schema.column(&categorization.field_name, false, true);
        }
        if let Some(name) = &self.summary_count_field_name {
            schema.column(name, true, false);
        }
        schema
    }

    /// `a` and `a.b` can't both be fields: one would be an object, the other a value.
    pub(super) fn check_nested_names(&self) -> Result<(), ConfigError> {
        let mut fields = self.analysis_fields();
        fields.sort_unstable();
        for (i, a) in fields.iter().enumerate() {
            if let Some(b) = fields[i + 1..]
                .iter()
                .find(|b| b.starts_with(a) && b[a.len()..].starts_with('.'))
            {
                refuse!("Fields [{a}] and [{b}] cannot both be used in the same analysis_config");
            }
        }
        Ok(())
    }
}
