//! Where everything comes from.

use serde_json::Value;

use super::definitions::Definitions;
use super::kind::Kind;

/// A stretch of time in milliseconds, its end left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stretch {
    pub start: Option<i64>,
    pub end: Option<i64>,
}

impl Stretch {
    /// Whether a document's time is in it.
    pub fn holds(self, document: &Value) -> bool {
        match document["timestamp"].as_i64() {
            Some(time) => {
                self.start.is_none_or(|start| time >= start)
                    && self.end.is_none_or(|end| time < end)
            }
            None => true,
        }
    }
}

/// Takes documents as they come, some at a time.
pub type Taker<'a> = dyn FnMut(Vec<Value>) -> anyhow::Result<()> + 'a;

pub trait Source {
    /// What it is, and where.
    fn name(&self) -> &str;

    /// All that is defined there.
    fn definitions(&self) -> anyhow::Result<Definitions>;

    /// How many final documents there are, where that can be asked.
    fn count(&self, job_id: &str, kind: Kind, stretch: Stretch) -> anyhow::Result<Option<u64>>;

    /// Gives every final document of a kind to `take`; says what couldn't be read of them, and why.
    fn read(
        &self,
        job_id: &str,
        kind: Kind,
        stretch: Stretch,
        take: &mut Taker<'_>,
    ) -> anyhow::Result<Option<String>>;
}
