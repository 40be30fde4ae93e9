//! When a case does not apply: `skip` and `requires`, of the runner's features and of the server's.

use serde_json::Value;

use super::suite::{object, text, texts};

/// What this runner can do of what cases may ask for.
const FEATURES: [&str; 14] = [
    "headers",
    "warnings",
    "warnings_regex",
    "allowed_warnings",
    "allowed_warnings_regex",
    "contains",
    "close_to",
    "arbitrary_key",
    "stash_in_key",
    "stash_in_path",
    "stash_path_replace",
    "embedded_stash_key",
    "default_shards",
    "yaml",
];

#[derive(Default, Clone)]
pub struct Skip {
    reason: Option<String>,
    /// Ranges of versions for which it is skipped.
    versions: Vec<(Version, Version)>,
    /// The least version that it is for.
    from: Version,
}

type Version = [u32; 3];

impl Skip {
    pub fn merge(&mut self, other: Self) {
        self.reason = self.reason.take().or(other.reason);
        self.versions.extend(other.versions);
        self.from = self.from.max(other.from);
    }

    /// Why it does not apply to a server of this version, if so.
    pub fn reason(&self, version: &str) -> Option<String> {
        let version = parse_version(version).unwrap_or_default();
        let outside = |(from, to): &(Version, Version)| (*from..=*to).contains(&version);
        match &self.reason {
            Some(reason) => Some(reason.clone()),
            None if version < self.from => Some(format!("for versions from {:?}", self.from)),
            None => self
                .versions
                .iter()
                .any(outside)
                .then(|| "not for this version".to_owned()),
        }
    }

    fn because(&mut self, reason: impl Into<String>) {
        self.reason.get_or_insert(reason.into());
    }

    fn runner_features(&mut self, features: &Value) -> Result<(), String> {
        for feature in texts(features)? {
            if !FEATURES.contains(&feature.as_str()) {
                self.because(format!("the runner has no {feature}"));
            }
        }
        Ok(())
    }

    pub fn unless_skipped(&mut self, content: &Value) -> Result<(), String> {
        for (key, value) in object(content)? {
            match key.as_str() {
                "reason" | "known_issues" | "capabilities" => {}
                "features" | "test_runner_features" => self.runner_features(value)?,
                "version" if value == "all" => self.because("skipped for every version"),
                "version" => {
                    for range in text(value)?.split(',') {
                        self.versions.push(parse_range(range)?);
                    }
                }
                // Features by name are of clusters on their way from one version to another: there is none here.
                "cluster_features" => {
                    for feature in texts(value)? {
                        if let Some(version) = since(&feature) {
                            self.versions.push((version, [u32::MAX; 3]));
                        }
                    }
                }
                "awaits_fix" => self.because(format!("waits for {value}")),
                "os" => {}
                other => return Err(format!("unknown key {other} in skip")),
            }
        }
        Ok(())
    }

    pub fn requires(&mut self, content: &Value) -> Result<(), String> {
        for (key, value) in object(content)? {
            match key.as_str() {
                "reason" => {}
                "test_runner_features" => self.runner_features(value)?,
                "cluster_features" => {
                    for feature in texts(value)? {
                        match since(&feature) {
                            Some(version) => self.from = self.from.max(version),
                            None => self.because(format!("the server has no feature {feature}")),
                        }
                    }
                }
                "capabilities" => self.because("asks for a capability that a server announces"),
                other => return Err(format!("unknown key {other} in requires")),
            }
        }
        Ok(())
    }

    /// Whether a file is for a server that one runs oneself.
    pub fn environment(&mut self, content: &Value) -> Result<(), String> {
        for (key, value) in object(content)? {
            match key.as_str() {
                "stack" if value == false => self.because("not for one's own server"),
                "stack" | "serverless" => {}
                other => return Err(format!("unknown key {other} in requires")),
            }
        }
        Ok(())
    }
}

/// The version that `gte_v8.12.0` stands for.
fn since(feature: &str) -> Option<Version> {
    parse_version(feature.strip_prefix("gte_v")?)
}

fn parse_version(text: &str) -> Option<Version> {
    let mut version = Version::default();
    let plain = text.trim().split('-').next()?;
    for (place, part) in version.iter_mut().zip(plain.split('.')) {
        *place = part.parse().ok()?;
    }
    Some(version)
}

/// `7.1.0 - 7.99.99`, either end open.
fn parse_range(text: &str) -> Result<(Version, Version), String> {
    let (from, to) = text.split_once('-').ok_or("a range has a hyphen")?;
    let end = |text: &str, open| match text.trim() {
        "" => Ok(open),
        version => parse_version(version).ok_or_else(|| format!("no version: {version}")),
    };
    Ok((end(from, [0; 3])?, end(to, [u32::MAX; 3])?))
}
