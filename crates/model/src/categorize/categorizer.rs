//! The categories of one stream of messages.
//!
//! Messages with the same fixed pieces at the same places are candidates for one category; among those, the one whose
//! names are most alike takes the message, when they are alike enough. A message's category is decided when it comes.
//! The grouping by skeleton is in the spirit of Drain (He et al., "Drain: an online log parsing approach with fixed
//! depth tree", ICWS 2017), with a word list in the place of a tree.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::analyzer::Analysis;
use super::category::{Category, CategoryDefinition};
use super::skeleton::{self, Piece};

/// Categories with the same fixed pieces. When so many names have been seen, there will be more of them: they are taken
/// for values from then on.
const CROWD: usize = 16;
/// Messages before anything is said about the quality of the categories.
const MIN_MESSAGES: u64 = 100;
/// Bytes that the index takes for a category.
const INDEX_BYTES: u64 = 48;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CategorizationStatus {
    #[default]
    Ok,
    Warn,
}

/// How categorisation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CategorizerStats {
    pub categorized_doc_count: u64,
    pub total_category_count: u64,
    /// Categories with more than 1 % of the messages.
    pub frequent_category_count: u64,
    /// Categories with one message.
    pub rare_category_count: u64,
    /// Categories that can match nothing any more, as others are preferred. There are none: a message goes to the most
    /// alike category, and no other is as like a category's own first message as itself.
    pub dead_category_count: u64,
    /// Times that there was no memory for a new category.
    pub failed_category_count: u64,
    pub categorization_status: CategorizationStatus,
}

impl CategorizerStats {
    /// Sums, and the worse of the statuses.
    pub fn add(&mut self, other: &Self) {
        self.categorized_doc_count += other.categorized_doc_count;
        self.total_category_count += other.total_category_count;
        self.frequent_category_count += other.frequent_category_count;
        self.rare_category_count += other.rare_category_count;
        self.dead_category_count += other.dead_category_count;
        self.failed_category_count += other.failed_category_count;
        self.categorization_status = self.categorization_status.max(other.categorization_status);
    }
}

/// The room there is for more, in bytes, the examples a category keeps, and the last category id that was given.
pub(super) struct Limits<'a> {
    pub room: u64,
    pub examples: usize,
    pub last_id: &'a mut u32,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Saved")]
pub(super) struct Categorizer {
    categories: Vec<Category>,
    messages: u64,
    failed: u64,
    /// A partition that was given up.
    pub stopped: bool,
    #[serde(skip)]
    derived: Derived,
}

#[derive(Deserialize)]
struct Saved {
    categories: Vec<Category>,
    messages: u64,
    failed: u64,
    stopped: bool,
}

/// What follows from the categories.
#[derive(Debug, Clone, Default, PartialEq)]
struct Derived {
    /// Indices of the categories with the same fixed pieces, oldest first.
    by_key: FxHashMap<u64, Vec<u32>>,
    bytes: u64,
    /// Of one message.
    rare: u64,
    most_matches: u64,
    /// Indices of those with a changed definition.
    changed: Vec<u32>,
}

impl From<Saved> for Categorizer {
    fn from(saved: Saved) -> Self {
        let mut derived = Derived::default();
        for (index, category) in saved.categories.iter().enumerate() {
            let key = skeleton::key(category.pieces());
            derived.by_key.entry(key).or_default().push(index as u32);
            derived.bytes += category.bytes() + INDEX_BYTES;
            derived.rare += u64::from(category.matches == 1);
            derived.most_matches = derived.most_matches.max(category.matches);
            if category.changed {
                derived.changed.push(index as u32);
            }
        }
        let Saved {
            categories,
            messages,
            failed,
            stopped,
        } = saved;
        Self {
            categories,
            messages,
            failed,
            stopped,
            derived,
        }
    }
}

impl Categorizer {
    pub fn bytes(&self) -> u64 {
        self.derived.bytes
    }

    /// The category of a message. None when it needs a new one for which there is no room.
    pub fn categorize(
        &mut self,
        message: &str,
        pieces: &[Piece],
        analysis: &Analysis,
        limits: Limits<'_>,
    ) -> Option<u32> {
        let key = skeleton::key(pieces);
        let index = match self.find(key, pieces) {
            Some(index) => index,
            None => {
                if limits.room < Category::most(message, pieces, analysis) + INDEX_BYTES {
                    self.failed += 1;
                    return None;
                }
                *limits.last_id = limits.last_id.saturating_add(1);
                self.insert(key, Category::new(*limits.last_id, pieces))
            }
        };
        let category = &mut self.categories[index];
        let known = category.matches > 0;
        let (before, was_changed) = (category.bytes(), known && category.changed);
        // A new category's room was looked for above.
        let room = if known { limits.room } else { u64::MAX };
        let told_anew = category.add(message, pieces, analysis, limits.examples, room);
        let (id, matches) = (category.id, category.matches);
        self.messages += 1;
        let derived = &mut self.derived;
        if told_anew {
            derived.bytes = derived.bytes - before + category.bytes();
            if !was_changed {
                derived.changed.push(index as u32);
            }
        }
        match matches {
            1 => derived.rare += 1,
            2 => derived.rare -= 1,
            _ => {}
        }
        derived.most_matches = derived.most_matches.max(matches);
        Some(id)
    }

    /// Index of the category that takes such a message.
    fn find(&self, key: u64, pieces: &[Piece]) -> Option<usize> {
        let candidates = self.derived.by_key.get(&key)?;
        let mut best: Option<(usize, f64)> = None;
        for &index in candidates {
            let similarity = self.categories[index as usize].similarity(pieces);
            if let Some(similarity) = similarity
                && best.is_none_or(|(_, best)| similarity > best)
            {
                best = Some((index as usize, similarity));
                if similarity >= 1.0 {
                    break;
                }
            }
        }
        let (index, similarity) = best?;
        (Category::is_similar(similarity) || candidates.len() >= CROWD).then_some(index)
    }

    fn insert(&mut self, key: u64, category: Category) -> usize {
        let index = self.categories.len();
        self.derived
            .by_key
            .entry(key)
            .or_default()
            .push(index as u32);
        self.derived.bytes += category.bytes() + INDEX_BYTES;
        self.categories.push(category);
        index
    }

    pub fn status(&self) -> CategorizationStatus {
        let (total, messages) = (self.categories.len() as u64, self.messages);
        let poor = total == 1
            || self.derived.rare * 10 > total * 9
            || total * 2 > messages
            || self.derived.most_matches * 100 <= messages;
        match messages >= MIN_MESSAGES && poor {
            true => CategorizationStatus::Warn,
            false => CategorizationStatus::Ok,
        }
    }

    /// Looks at each category.
    pub fn stats(&self) -> CategorizerStats {
        let frequent = self
            .categories
            .iter()
            .filter(|category| category.matches * 100 > self.messages);
        CategorizerStats {
            categorized_doc_count: self.messages,
            total_category_count: self.categories.len() as u64,
            frequent_category_count: frequent.count() as u64,
            rare_category_count: self.derived.rare,
            dead_category_count: 0,
            failed_category_count: self.failed,
            categorization_status: self.status(),
        }
    }

    pub fn definitions(&self, partition: Option<&str>) -> impl Iterator<Item = CategoryDefinition> {
        let categories = self.categories.iter();
        categories.map(move |category| category.definition(partition))
    }

    /// Appends the definitions that changed since they were last taken, with `counts` also those whose number of
    /// messages did.
    pub fn take_changed(
        &mut self,
        partition: Option<&str>,
        counts: bool,
        taken: &mut Vec<CategoryDefinition>,
    ) {
        let mut take = |category: &mut Category| {
            category.changed = false;
            category.told = category.matches;
            taken.push(category.definition(partition));
        };
        let mut changed = std::mem::take(&mut self.derived.changed);
        changed.sort_unstable();
        match counts {
            true => {
                let counted = self
                    .categories
                    .iter_mut()
                    .filter(|c| c.changed || c.told != c.matches);
                counted.for_each(take);
            }
            false => changed
                .iter()
                .for_each(|index| take(&mut self.categories[*index as usize])),
        }
    }
}
