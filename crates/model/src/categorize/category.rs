//! One category: the skeleton its messages have, and what is told of it.

use serde::{Deserialize, Serialize};

use super::analyzer::Analysis;
use super::skeleton::{Piece, VALUE, is_fixed};

/// Bytes of an example.
const MAX_EXAMPLE: usize = 1_000;
const ELLIPSIS: &str = "...";
/// Between terms, which may hold blanks.
const BETWEEN: char = '\0';
/// Least share of a message's words that a category must have in common with it.
const SIMILAR: f64 = 0.7;

/// A category as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryDefinition {
    pub category_id: u32,
    /// The value of the partition field, when partitions have categories of their own.
    pub partition: Option<String>,
    /// The tokens that all messages of the category have, in order.
    pub terms: String,
    pub regex: String,
    /// Bytes. Longer messages are none of the category's.
    pub max_matching_length: u64,
    pub examples: Vec<String>,
    pub num_matches: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Category {
    pub id: u32,
    pub matches: u64,
    /// [`VALUE`] wherever messages differ.
    pieces: Box<[Piece]>,
    terms: Box<str>,
    longest: u32,
    /// Sorted, each once.
    examples: Vec<Box<str>>,
    /// The definition is no more what was told of it.
    pub changed: bool,
    /// Matches when the definition was last told.
    pub told: u64,
}

impl Category {
    pub fn new(id: u32, pieces: &[Piece]) -> Self {
        Self {
            id,
            matches: 0,
            pieces: pieces.into(),
            terms: Box::default(),
            longest: 0,
            examples: Vec::new(),
            changed: true,
            told: 0,
        }
    }

    /// The most bytes that a new category for the message takes.
    pub fn most(message: &str, pieces: &[Piece], analysis: &Analysis) -> u64 {
        let terms: usize = analysis.tokens().map(|token| token.len() + 1).sum();
        (size_of::<Self>() + size_of_val(pieces) + terms) as u64 + Self::example_bytes(message)
    }

    fn example_bytes(message: &str) -> u64 {
        (message.len().min(MAX_EXAMPLE) + size_of::<Box<str>>()) as u64
    }

    pub fn bytes(&self) -> u64 {
        let examples: usize = self.examples.iter().map(|example| example.len()).sum();
        (size_of::<Self>()
            + size_of_val(&*self.pieces)
            + self.terms.len()
            + examples
            + self.examples.capacity() * size_of::<Box<str>>()) as u64
    }

    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// How much of a message's skeleton is that of the category, in [0, 1]; None when their fixed pieces differ. A
    /// piece that is a value in one of them alone counts half.
    pub fn similarity(&self, pieces: &[Piece]) -> Option<f64> {
        if pieces.len() != self.pieces.len() {
            return None;
        }
        let (mut same, mut all) = (0_u32, 0_u32);
        for (&own, &other) in self.pieces.iter().zip(pieces) {
            if own == other {
                let words = if own == VALUE { 0 } else { 2 };
                same += words;
                all += words;
            } else if is_fixed(own) || is_fixed(other) {
                return None;
            } else {
                same += u32::from(own == VALUE || other == VALUE);
                all += 2;
            }
        }
        Some(if all == 0 {
            1.0
        } else {
            f64::from(same) / f64::from(all)
        })
    }

    pub fn is_similar(similarity: f64) -> bool {
        similarity >= SIMILAR
    }

    /// Takes a message in. `examples`: how many are kept; none is added for which there is no `room` (bytes). Returns
    /// whether terms, examples or lengths changed.
    pub fn add(
        &mut self,
        message: &str,
        pieces: &[Piece],
        analysis: &Analysis,
        examples: usize,
        room: u64,
    ) -> bool {
        let mut changed = false;
        if self.matches == 0 {
            self.terms = joined(analysis.tokens());
            changed = true;
        } else if !is_subsequence(&self.terms, analysis) {
            self.terms = common(&self.terms, analysis);
            changed = true;
        }
        for (own, other) in self.pieces.iter_mut().zip(pieces) {
            if own != other {
                *own = VALUE;
            }
        }
        self.matches += 1;
        if message.len() as u32 > self.longest {
            self.longest = message.len() as u32;
            changed = true;
        }
        if self.examples.len() < examples && Self::example_bytes(message) <= room {
            let example = example(message);
            if let Err(place) = self
                .examples
                .binary_search_by(|known| (**known).cmp(&*example))
            {
                self.examples.reserve_exact(1);
                self.examples.insert(place, example.into());
                changed = true;
            }
        }
        self.changed |= changed;
        changed
    }

    pub fn definition(&self, partition: Option<&str>) -> CategoryDefinition {
        CategoryDefinition {
            category_id: self.id,
            partition: partition.map(str::to_owned),
            terms: self.terms.replace(BETWEEN, " "),
            regex: regex(terms(&self.terms)),
            // A tenth longer than the longest seen.
            max_matching_length: u64::from(self.longest) * 11 / 10,
            examples: self
                .examples
                .iter()
                .map(|example| example.to_string())
                .collect(),
            num_matches: self.matches,
        }
    }
}

fn joined<'a>(tokens: impl Iterator<Item = &'a str>) -> Box<str> {
    let mut terms = String::new();
    for token in tokens {
        if !terms.is_empty() {
            terms.push(BETWEEN);
        }
        terms += token;
    }
    terms.into()
}

fn terms(joined: &str) -> impl Iterator<Item = &str> {
    joined.split(BETWEEN).filter(|term| !term.is_empty())
}

fn is_subsequence(joined: &str, analysis: &Analysis) -> bool {
    let mut tokens = analysis.tokens();
    terms(joined).all(|term| tokens.any(|token| token == term))
}

/// The longest common subsequence of terms and tokens; the earlier terms where there are several.
fn common(joined_terms: &str, analysis: &Analysis) -> Box<str> {
    let own: Vec<&str> = terms(joined_terms).collect();
    let width = analysis.len() + 1;
    // Lengths of the longest for what follows a term and a token.
    let mut longest = vec![0_u16; (own.len() + 1) * width];
    for (i, term) in own.iter().enumerate().rev() {
        for j in (0..analysis.len()).rev() {
            longest[i * width + j] = match *term == analysis.token(j) {
                true => longest[(i + 1) * width + j + 1] + 1,
                false => longest[(i + 1) * width + j].max(longest[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j, mut kept) = (0, 0, Vec::new());
    while i < own.len() && j < analysis.len() {
        if own[i] == analysis.token(j) {
            kept.push(own[i]);
            (i, j) = (i + 1, j + 1);
        } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    joined(kept.into_iter())
}

/// Matches what has the terms in order, with something between them.
fn regex<'a>(terms: impl Iterator<Item = &'a str>) -> String {
    let mut regex = String::from(".*");
    for (index, term) in terms.enumerate() {
        regex += if index == 0 { "?" } else { ".+?" };
        for c in term.chars() {
            if ".^$|?*+()[]{}\\".contains(c) {
                regex.push('\\');
            }
            regex.push(c);
        }
    }
    if regex.len() > 2 {
        regex += ".*";
    }
    regex
}

fn example(message: &str) -> std::borrow::Cow<'_, str> {
    if message.len() <= MAX_EXAMPLE {
        return message.into();
    }
    let end = message.floor_char_boundary(MAX_EXAMPLE - ELLIPSIS.len());
    format!("{}{ELLIPSIS}", &message[..end]).into()
}
