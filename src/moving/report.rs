//! What was taken, what not, and why: for people, and as JSON.

use std::fmt;

use serde::Serialize;

use super::kind::Kind;

#[derive(Serialize)]
pub struct Report {
    pub from: String,
    pub to: String,
    pub doing: Doing,
    pub definitions: Vec<Definition>,
    pub results: Vec<Results>,
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Doing {
    Import,
    /// Nothing is written: the report says what would be.
    DryRun,
    Export,
}

impl Doing {
    /// What becomes of definitions and of documents.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Import => ("taken", "new"),
            Self::DryRun => ("to take", "to read"),
            Self::Export => ("written", "written"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Taken,
    /// It is there already, and says the same.
    WasThere,
    /// It isn't there now, or what is there says something else.
    NotTaken,
}

#[derive(Serialize)]
pub struct Definition {
    /// job, datafeed, filter, calendar, ...
    pub what: &'static str,
    pub id: String,
    pub outcome: Outcome,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
}

/// What became of one kind of a job's results.
#[derive(Serialize)]
pub struct Results {
    pub job_id: String,
    pub kind: &'static str,
    /// Documents that were written and weren't there before; of a dry run, those that would be read.
    pub new: u64,
    /// Those that were there and were written again.
    pub again: u64,
    /// Those that an earlier run had brought and that can't have changed.
    pub skipped: u64,
    pub not_taken: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
}

impl Results {
    pub fn of(job_id: &str, kind: Kind) -> Self {
        Self {
            job_id: job_id.to_owned(),
            kind: kind.plural(),
            new: 0,
            again: 0,
            skipped: 0,
            not_taken: 0,
            why: Vec::new(),
        }
    }

    fn is_worth_a_line(&self) -> bool {
        self.new + self.again + self.skipped + self.not_taken > 0 || !self.why.is_empty()
    }

    fn is_complete(&self) -> bool {
        self.not_taken == 0 && self.why.is_empty()
    }
}

impl Report {
    pub fn new(from: &str, to: &str, doing: Doing) -> Self {
        Self {
            from: from.to_owned(),
            to: to.to_owned(),
            doing,
            definitions: Vec::new(),
            results: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub fn tell(&mut self, what: &'static str, id: &str, outcome: Outcome, why: Vec<String>) {
        self.definitions.push(Definition {
            what,
            id: id.to_owned(),
            outcome,
            why,
        });
    }

    /// Whether everything that was asked for is there now.
    pub fn is_complete(&self) -> bool {
        let taken = |one: &Definition| one.outcome != Outcome::NotTaken;
        self.definitions.iter().all(taken) && self.results.iter().all(Results::is_complete)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "From {} to {}", self.from, self.to)?;
        let (taken, _) = self.doing.words();
        let mut told: Vec<&str> = Vec::new();
        for definition in &self.definitions {
            if told.contains(&definition.what) {
                continue;
            }
            told.push(definition.what);
            let of = |outcome| {
                let same =
                    |one: &&Definition| one.what == definition.what && one.outcome == outcome;
                self.definitions.iter().filter(same).count()
            };
            let counts = [
                (of(Outcome::Taken), taken),
                (of(Outcome::WasThere), "there already"),
                (of(Outcome::NotTaken), "not"),
            ];
            let counts: Vec<String> = counts
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}"))
                .collect();
            writeln!(
                f,
                "  {:<12}{}",
                format!("{}s", definition.what),
                counts.join(", ")
            )?;
        }
        self.results_to(f)?;
        self.losses_to(f)?;
        for note in &self.notes {
            write!(f, "\n{note}\n")?;
        }
        Ok(())
    }
}

impl Report {
    fn results_to(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, new) = self.doing.words();
        let mut job_id = "";
        for results in self
            .results
            .iter()
            .filter(|results| results.is_worth_a_line())
        {
            if job_id != results.job_id {
                job_id = &results.job_id;
                write!(f, "\n{job_id}\n")?;
            }
            let counts = [
                (results.new, new),
                (results.again, "written again"),
                (results.skipped, "there already"),
                (results.not_taken, "not taken"),
            ];
            let counts: Vec<String> = counts
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}"))
                .collect();
            let counts = if counts.is_empty() {
                "not taken".to_owned()
            } else {
                counts.join(", ")
            };
            writeln!(f, "  {:<18}{counts}", results.kind)?;
            for why in &results.why {
                writeln!(f, "    {why}")?;
            }
        }
        Ok(())
    }

    fn losses_to(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lost = self
            .definitions
            .iter()
            .filter(|definition| !definition.why.is_empty())
            .peekable();
        if lost.peek().is_some() {
            writeln!(f, "\nNot taken, or not as it is at the source:")?;
        }
        for definition in lost {
            writeln!(f, "  {} {}", definition.what, definition.id)?;
            for why in &definition.why {
                writeln!(f, "    {why}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_and_gives_reasons() {
        let mut report = Report::new("there", "here", Doing::Import);
        report.tell("job", "a", Outcome::Taken, Vec::new());
        report.tell("job", "b", Outcome::WasThere, Vec::new());
        assert!(report.is_complete());
        report.tell("job", "c", Outcome::NotTaken, vec!["because".to_owned()]);
        report.results.push(Results {
            new: 3,
            again: 2,
            ..Results::of("a", Kind::Bucket)
        });
        report.results.push(Results::of("a", Kind::Record));
        assert!(!report.is_complete());
        assert_eq!(
            report.to_string(),
            "From there to here\n  jobs        1 taken, 1 there already, 1 not\n\na\n  \
             buckets           3 new, 2 written again\n\n\
             Not taken, or not as it is at the source:\n  job c\n    because\n"
        );
    }
}
