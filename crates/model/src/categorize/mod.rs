//! Categories of log messages: the `mlcategory` of a record.
//!
//! Messages that were written by the same statement of a program belong to one category, whatever values stand in
//! them. A category is described by the tokens that all its messages have.

mod analyzer;
mod categorizer;
mod category;
mod classic;
mod html;
mod pattern;
mod skeleton;
mod tokenizer;
mod words;

#[cfg(test)]
mod tests;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::config::CategorizationConfig;
use categorizer::{Categorizer, Limits};
use skeleton::{Memo, Piece, Rules};

pub use analyzer::{Analysis, Analyzer};
pub use categorizer::{CategorizationStatus, CategorizerStats};
pub use category::CategoryDefinition;
pub use tokenizer::Span;

/// Characters of a message that are looked at.
const MAX_MESSAGE: usize = 1_001;

/// Whether a pattern can be a categorization filter; says why not.
pub fn check_pattern(pattern: &str) -> Result<(), String> {
    pattern::compile(pattern, None).map(|_| ())
}

/// Settings of a run. They are part of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategorizationOptions {
    /// How many a category keeps at most.
    pub examples: u32,
    /// A partition whose status becomes `warn` is given up.
    pub stop_on_warn: bool,
}

impl Default for CategorizationOptions {
    fn default() -> Self {
        Self {
            examples: 4,
            stop_on_warn: false,
        }
    }
}

/// The categories of a job, or of each of its partitions. Category ids are unique in the job and count from 1.
#[derive(Debug, Clone)]
pub struct Categorizers {
    analyzer: Analyzer,
    state: State,
    by_partition: FxHashMap<String, usize>,
    bytes: u64,
    failed: u64,
    memo: Memo,
    analysis: Analysis,
    pieces: Vec<Piece>,
    places: Vec<(usize, usize)>,
}

/// All that restored categorizers need to go on as if they had never stopped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    options: CategorizationOptions,
    last_id: u32,
    partitions: Vec<Partition>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Partition {
    /// None when the job has no partitions.
    value: Option<String>,
    categorizer: Categorizer,
    /// The status that was last told.
    told: CategorizationStatus,
}

impl Partition {
    fn bytes(&self) -> u64 {
        let value = self
            .value
            .as_ref()
            .map_or(0, |value| 2 * value.len() + size_of::<String>());
        (size_of::<Self>() + value) as u64
    }
}

impl Categorizers {
    /// Fails when the analyzer can't be used, which a configuration that was checked excludes.
    pub fn new(config: &CategorizationConfig) -> Result<Self, String> {
        let options = CategorizationOptions {
            stop_on_warn: config.per_partition.stop_on_warn == Some(true),
            ..CategorizationOptions::default()
        };
        let state = State {
            options,
            ..State::default()
        };
        Self::with_state(config, state)
    }

    pub fn with_state(config: &CategorizationConfig, state: State) -> Result<Self, String> {
        let name =
            |(index, partition): (usize, &Partition)| Some((partition.value.clone()?, index));
        let partitions = state.partitions.iter();
        let bytes = partitions
            .map(|partition| partition.bytes() + partition.categorizer.bytes())
            .sum::<u64>();
        Ok(Self {
            bytes: bytes + Memo::BYTES,
            failed: 0,
            analyzer: Analyzer::new(&config.analyzer)?,
            by_partition: state
                .partitions
                .iter()
                .enumerate()
                .filter_map(name)
                .collect(),
            state,
            memo: Memo::default(),
            analysis: Analysis::default(),
            pieces: Vec::new(),
            places: Vec::new(),
        })
    }

    /// Takes other settings for what comes next. A partition that was given up stays so.
    pub fn configure(&mut self, options: CategorizationOptions) {
        self.state.options = options;
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// The category of a message, for which up to `room` bytes may be used. None when it needs a new category and there
    /// is no room for it, or when its partition was given up.
    pub fn categorize(&mut self, partition: Option<&str>, message: &str, room: u64) -> Option<u32> {
        let (message, is_whole) = cut(message);
        let before = self.bytes;
        let Some(index) = self.partition(partition, room) else {
            self.failed += 1;
            return None;
        };
        let room = room - (self.bytes - before);
        if self.state.partitions[index].categorizer.stopped {
            return None;
        }
        self.analyzer.analyze(message, &mut self.analysis);
        self.places.clear();
        let selective = self.analyzer.is_selective();
        if selective {
            self.analysis.places(&mut self.places);
        }
        let rules = Rules {
            fold_case: self.analyzer.folds_case(),
            stopped: self.analyzer.stopped(),
            kept: selective.then_some(&self.places),
        };
        self.pieces.clear();
        let text = match is_whole {
            true => self.analysis.text(),
            false => whole_words(self.analysis.text()),
        };
        skeleton::skeleton(text, rules, &mut self.memo, &mut self.pieces);
        let categorizer = &mut self.state.partitions[index].categorizer;
        let limits = Limits {
            room,
            examples: self.state.options.examples as usize,
            last_id: &mut self.state.last_id,
        };
        let before = categorizer.bytes();
        let category = categorizer.categorize(message, &self.pieces, &self.analysis, limits);
        self.bytes = self.bytes - before + categorizer.bytes();
        self.failed += u64::from(category.is_none());
        categorizer.stopped =
            self.state.options.stop_on_warn && categorizer.status() == CategorizationStatus::Warn;
        category
    }

    /// Index of a partition, which is made when there is room for it.
    fn partition(&mut self, value: Option<&str>, room: u64) -> Option<usize> {
        let known = match value {
            Some(value) => self.by_partition.get(value).copied(),
            None => self
                .state
                .partitions
                .iter()
                .position(|partition| partition.value.is_none()),
        };
        if known.is_some() {
            return known;
        }
        let partition = Partition {
            value: value.map(str::to_owned),
            categorizer: Categorizer::default(),
            told: CategorizationStatus::Ok,
        };
        if partition.bytes() > room {
            return None;
        }
        let index = self.state.partitions.len();
        if let Some(value) = &partition.value {
            self.by_partition.insert(value.clone(), index);
        }
        self.bytes += partition.bytes();
        self.state.partitions.push(partition);
        Some(index)
    }

    /// Definitions that changed since they were last taken; with `counts`, also of categories that only matched more
    /// messages.
    pub fn take_changed(&mut self, counts: bool) -> Vec<CategoryDefinition> {
        let mut changed = Vec::new();
        for partition in &mut self.state.partitions {
            partition
                .categorizer
                .take_changed(partition.value.as_deref(), counts, &mut changed);
        }
        changed
    }

    /// All definitions.
    pub fn definitions(&self) -> Vec<CategoryDefinition> {
        let partitions = self.state.partitions.iter();
        partitions
            .flat_map(|p| p.categorizer.definitions(p.value.as_deref()))
            .collect()
    }

    /// Partitions whose status is another than when this was last asked.
    pub fn take_statuses(&mut self) -> Vec<(Option<String>, CategorizationStatus)> {
        let mut statuses = Vec::new();
        for partition in &mut self.state.partitions {
            let status = partition.categorizer.status();
            if std::mem::replace(&mut partition.told, status) != status {
                statuses.push((partition.value.clone(), status));
            }
        }
        statuses
    }

    /// Times that there was no room for a message's category, since these were built.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Of all partitions together.
    pub fn stats(&self) -> CategorizerStats {
        let mut sum = CategorizerStats::default();
        for (_, stats) in self.partition_stats() {
            sum.add(&stats);
        }
        sum
    }

    pub fn partition_stats(&self) -> impl Iterator<Item = (Option<&str>, CategorizerStats)> {
        let partitions = self.state.partitions.iter();
        partitions.map(|partition| (partition.value.as_deref(), partition.categorizer.stats()))
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// The part of a message that is looked at, and whether that is all of it.
fn cut(message: &str) -> (&str, bool) {
    if message.len() <= MAX_MESSAGE {
        return (message, true);
    }
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => (&message[..end], false),
        None => (message, true),
    }
}

/// Without the last word, which may be half of one.
fn whole_words(text: &str) -> &str {
    text.rfind(' ').map_or(text, |end| &text[..end])
}
