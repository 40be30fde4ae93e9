//! All sources: the embedded index, and those that the settings name. A datafeed's `indices` choose one.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewatch_jobs::Jobs;

use super::files::FilesSource;
use super::index::Embedded;
use super::prometheus::Prometheus;
use super::remote::{Remote, Server};
use super::settings::{Directory, SourceSettings};
use super::wanted::Wanted;
use super::{Result, Source, SourceError};
use crate::config::PROMQL;

/// The settings of a source that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sources.{name}: {reason}")]
pub struct InvalidSource {
    pub name: String,
    pub reason: String,
}

/// What can be read from. Clones share it.
#[derive(Clone)]
pub struct Sources(Arc<Inner>);

struct Inner {
    named: BTreeMap<String, Named>,
    /// Whose indices are the embedded ones; none where there is no server.
    jobs: Option<Jobs>,
}

enum Named {
    Cluster(Arc<Server>),
    Prometheus(Arc<Prometheus>),
    Files(Directory),
}

impl Named {
    /// # Errors
    /// What is wrong in the settings.
    fn new(settings: &SourceSettings) -> std::result::Result<Self, String> {
        Ok(match settings {
            SourceSettings::Elasticsearch(endpoint) | SourceSettings::OpenSearch(endpoint) => {
                Self::Cluster(Arc::new(Server::new(endpoint)?))
            }
            SourceSettings::Prometheus(endpoint) => {
                Self::Prometheus(Arc::new(Prometheus::new(endpoint)?))
            }
            SourceSettings::Files(directory) if directory.path.is_dir() => {
                Self::Files(directory.clone())
            }
            SourceSettings::Files(directory) => {
                return Err(format!(
                    "path: {} is no directory",
                    directory.path.display()
                ));
            }
        })
    }
}

/// Which source a datafeed's `indices` are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place<'a> {
    /// The embedded index.
    Here,
    /// The source that the settings have by this name.
    Named(&'a str),
}

impl Sources {
    /// Checks the settings of all sources; nothing is connected to.
    ///
    /// # Errors
    /// [`InvalidSource`] with what is wrong in the settings of the first one that can't be used.
    pub fn new(
        settings: &BTreeMap<String, SourceSettings>,
        jobs: Option<Jobs>,
    ) -> std::result::Result<Self, InvalidSource> {
        let named = settings.iter().map(|(name, settings)| {
            let checked = check_name(name).and_then(|()| Named::new(settings));
            match checked {
                Ok(named) => Ok((name.clone(), named)),
                Err(reason) => Err(InvalidSource {
                    name: name.clone(),
                    reason,
                }),
            }
        });
        Ok(Self(Arc::new(Inner {
            named: named.collect::<std::result::Result<_, _>>()?,
            jobs,
        })))
    }

    /// The source that a datafeed reads from; nothing is asked of it yet.
    ///
    /// # Errors
    /// Refused where there is no such source, or it can't do what the datafeed wants.
    pub fn open(&self, mut wanted: Wanted) -> Result<Box<dyn Source>> {
        let (place, indices) = place(&wanted.indices)?;
        let named = match place {
            Place::Here => None,
            Place::Named(name) => match self.0.named.get_key_value(name) {
                Some(named) => Some(named),
                None => return Err(no_such_remote_cluster(name)),
            },
        };
        wanted.indices = indices;
        let is_promql = wanted.query.contains_key(PROMQL);
        if is_promql && !matches!(named, Some((_, Named::Prometheus(_)))) {
            return Err(SourceError::refused(
                400,
                "a [promql] query is asked of a source of kind [prometheus]",
            ));
        }
        match named {
            None => match &self.0.jobs {
                Some(jobs) => Ok(Box::new(Embedded::new(jobs.clone(), wanted))),
                None => Err(SourceError::refused(400, "there is no embedded index here")),
            },
            Some((_, Named::Cluster(server))) => Ok(Box::new(Remote::new(server.clone(), wanted))),
            Some((_, Named::Prometheus(server))) => Ok(Box::new(server.source(wanted)?)),
            Some((name, Named::Files(directory))) => {
                let format = wanted.written_time.clone();
                Ok(Box::new(FilesSource::open(
                    name, directory, &wanted, format,
                )?))
            }
        }
    }
}

/// A name that can stand before the colon of an index.
fn check_name(name: &str) -> std::result::Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match name.chars().all(fits) && name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        true => Ok(()),
        false => Err("a name of a source has letters, digits, - and _".to_owned()),
    }
}

/// The one source that `indices` name, and the names without it.
///
/// # Errors
/// Refused where they are of several sources.
pub fn place(indices: &[String]) -> Result<(Place<'_>, Vec<String>)> {
    let mut found: Option<Place> = None;
    let mut names = Vec::with_capacity(indices.len());
    for index in indices {
        let (place, name) = split(index);
        if found.as_ref().is_some_and(|found| *found != place) {
            return Err(SourceError::refused(
                400,
                format!(
                    "a datafeed reads from one source, but its indices [{}] are of several",
                    indices.join(",")
                ),
            ));
        }
        found = Some(place);
        names.push(name.to_owned());
    }
    Ok((found.unwrap_or(Place::Here), names))
}

/// The name before the first colon. Date math has colons of its own: `<logs-{now/d{yyyy|+12:00}}>`.
fn split(index: &str) -> (Place<'_>, &str) {
    match index.split_once(':') {
        Some((name, rest)) if !name.contains('<') => (Place::Named(name), rest),
        _ => (Place::Here, index),
    }
}

fn no_such_remote_cluster(name: &str) -> SourceError {
    SourceError::Refused {
        status: 404,
        kind: "no_such_remote_cluster_exception",
        reason: format!("no such remote cluster: [{name}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_of_one_source() {
        let indices = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        let given: Vec<String> = indices(&["prod:web-*", "prod:a:b"]);
        assert_eq!(
            place(&given),
            Ok((Place::Named("prod"), indices(&["web-*", "a:b"])))
        );
        let given: Vec<String> = indices(&["<logs-{now/d{yyyy|+12:00}}>", "web"]);
        assert_eq!(place(&given), Ok((Place::Here, given.clone())));
        let given: Vec<String> = indices(&["prod:web", "web"]);
        assert!(place(&given).is_err());
    }
}
