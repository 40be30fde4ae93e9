//! How well log messages are grouped: the 2,000-line sets of Loghub, by the measure of their benchmark.
//!
//! Zhu et al., "Tools and benchmarks for automated log parsing", ICSE-SEIP 2019: a message counts as right when its
//! category holds exactly the messages with its event id. The sets are not part of this repository.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use tidewatch_model::categorize::Categorizers;
use tidewatch_model::config::{AnalyzerConfig, CategorizationConfig, PerPartition};

const SUFFIX: &str = "_2k.log_structured.csv";

#[derive(Debug, Serialize)]
pub struct Grouping {
    set: String,
    messages: usize,
    events: usize,
    categories: usize,
    /// Share of the messages that are grouped as they should be.
    accuracy: f64,
}

/// Categorises every set below a directory, each with new categorizers and all with the same configuration. Returns
/// what was found, by name, and the time that it took.
pub fn group(directory: &Path) -> anyhow::Result<(Vec<Grouping>, Duration)> {
    let mut sets = Vec::new();
    find(directory, &mut sets)?;
    sets.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    anyhow::ensure!(
        !sets.is_empty(),
        "no *{SUFFIX} below {}",
        directory.display()
    );
    let (mut found, mut took) = (Vec::new(), Duration::ZERO);
    for path in sets {
        let messages = read(&path).with_context(|| format!("reading {}", path.display()))?;
        let mut categorizers = Categorizers::new(&configuration()).map_err(anyhow::Error::msg)?;
        let started = Instant::now();
        let given = messages
            .iter()
            .map(|(content, _)| categorizers.categorize(None, content, u64::MAX));
        let given: Vec<Option<u32>> = given.collect();
        took += started.elapsed();
        let events: Vec<&str> = messages.iter().map(|(_, event)| event.as_str()).collect();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        found.push(Grouping {
            set: name.trim_end_matches(SUFFIX).to_owned(),
            messages: messages.len(),
            events: groups(&events).len(),
            categories: groups(&given).len(),
            accuracy: accuracy(&events, &given),
        });
    }
    Ok((found, took))
}

pub fn print(out: &mut impl Write, found: &[Grouping], took: Duration) -> std::io::Result<()> {
    writeln!(
        out,
        "{:<14} {:>8} {:>7} {:>10} {:>9}",
        "set", "messages", "events", "categories", "accuracy"
    )?;
    for set in found {
        writeln!(
            out,
            "{:<14} {:>8} {:>7} {:>10} {:>9.4}",
            set.set, set.messages, set.events, set.categories, set.accuracy
        )?;
    }
    let messages: usize = found.iter().map(|set| set.messages).sum();
    let mean = found.iter().map(|set| set.accuracy).sum::<f64>() / found.len() as f64;
    writeln!(
        out,
        "{:<14} {messages:>8} {:>7} {:>10} {mean:>9.4}",
        "mean", "", ""
    )?;
    writeln!(
        out,
        "{:.0} messages/s, new categories included",
        messages as f64 / took.as_secs_f64()
    )
}

fn configuration() -> CategorizationConfig {
    CategorizationConfig {
        field_name: "message".to_owned(),
        analyzer: AnalyzerConfig::standard(&[]),
        per_partition: PerPartition::default(),
    }
}

fn find(directory: &Path, sets: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, sets)?;
        } else if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().ends_with(SUFFIX))
        {
            sets.push(path);
        }
    }
    Ok(())
}

/// Contents and event ids.
fn read(path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut reader = csv::Reader::from_path(path)?;
    let headers = reader.byte_headers()?;
    let column = |name: &str| {
        let place = headers.iter().position(|header| header == name.as_bytes());
        place.with_context(|| format!("no column {name}"))
    };
    let (content, event) = (column("Content")?, column("EventId")?);
    let mut messages = Vec::new();
    for record in reader.byte_records() {
        let record = record?;
        let text =
            |column| String::from_utf8_lossy(record.get(column).unwrap_or_default()).into_owned();
        messages.push((text(content), text(event)));
    }
    Ok(messages)
}

/// The places of each label, in the order of their first one.
fn groups<L: std::hash::Hash + Eq>(labels: &[L]) -> Vec<Vec<usize>> {
    let (mut places, mut groups): (HashMap<&L, usize>, Vec<Vec<usize>>) = Default::default();
    for (place, label) in labels.iter().enumerate() {
        let group = *places.entry(label).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(place);
    }
    groups
}

fn accuracy<A: std::hash::Hash + Eq, B: std::hash::Hash + Eq>(truth: &[A], given: &[B]) -> f64 {
    let given: std::collections::HashSet<Vec<usize>> = groups(given).into_iter().collect();
    let right = groups(truth)
        .into_iter()
        .filter(|group| given.contains(group));
    right.map(|group| group.len()).sum::<usize>() as f64 / truth.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_right_when_its_group_is_exactly_that_of_its_event() {
        assert_eq!(accuracy(&["a", "a", "b", "c"], &[1, 1, 2, 3]), 1.0);
        assert_eq!(accuracy(&["a", "a", "b", "c"], &[1, 1, 2, 2]), 0.5);
        assert_eq!(accuracy(&["a", "a", "b", "c"], &[1, 4, 2, 3]), 0.5);
    }

    #[test]
    fn sets_are_found_and_measured() {
        let directory = tempfile::tempdir().expect("a directory");
        let set = directory.path().join("Some");
        std::fs::create_dir(&set).expect("made");
        let csv = "LineId,Content,EventId\n1,\"link 1, up\",E1\n2,\"link 2, up\",E1\n3,link down,E2\n4,link lost,E2\n";
        std::fs::write(set.join("Some_2k.log_structured.csv"), csv).expect("written");
        let (found, _) = group(directory.path()).expect("measured");
        assert_eq!(
            (found[0].set.as_str(), found[0].events, found[0].categories),
            ("Some", 2, 3)
        );
        assert_eq!(found[0].accuracy, 0.5);
    }
}
