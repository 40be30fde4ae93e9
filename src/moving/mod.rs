//! `tidewatch import` and `tidewatch export`: jobs with all that belongs to them, from Elasticsearch or tidewatch or
//! files into tidewatch or files.

mod cluster;
mod definitions;
mod export;
mod files;
mod http;
mod import;
mod kind;
mod plan;
mod progress;
mod report;
mod search;
mod source;
mod values_id;
mod walk;
mod writer;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use cluster::Cluster;
use http::{Login, Remote, Trust};
use progress::Progress;
use report::{Doing, Report};
use source::Source;

/// Everything was done but what the report tells of.
const INCOMPLETE: u8 = 3;

/// How to speak to the source.
#[derive(Args)]
struct Access {
    /// An API key for the source: as Elasticsearch gives it encoded, or `id:key`
    #[arg(
        long,
        env = "TIDEWATCH_SOURCE_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    api_key: Option<String>,
    /// A user of the source
    #[arg(
        long,
        env = "TIDEWATCH_SOURCE_USER",
        hide_env_values = true,
        requires = "password",
        conflicts_with = "api_key"
    )]
    user: Option<String>,
    #[arg(long, env = "TIDEWATCH_SOURCE_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// A file with the certificates (PEM) of whom to trust to vouch for the source, such as Elasticsearch's http_ca.crt
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Believe any certificate
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
}

impl Access {
    fn to(&self, url: &str) -> anyhow::Result<Cluster> {
        let login = match (&self.api_key, &self.user, &self.password) {
            (Some(key), ..) => Some(Login::ApiKey(key.clone())),
            (None, Some(user), Some(password)) => Some(Login::Password {
                user: user.clone(),
                password: password.clone(),
            }),
            _ => None,
        };
        let trust = match &self.ca {
            _ if self.insecure => Trust::Anyone,
            Some(path) => Trust::in_file(path)?,
            None => Trust::Public,
        };
        Cluster::meet(Remote::new(url, login, trust)?)
    }
}

/// Take jobs over, with what belongs to them: calendars with their events, filters, datafeeds, results
///
/// A second run finds what is there and goes on. Ends with 0 when everything is there, with 3 when the report tells of
/// something that isn't, with 1 when it broke off.
#[derive(Args)]
pub struct Import {
    /// Elasticsearch (7.17, 8 or 9) or tidewatch by its address, or a file or directory with answers of its APIs
    #[arg(long, value_name = "URL|PATH")]
    from: String,
    #[command(flatten)]
    access: Access,
    /// Jobs, groups and wildcards in a comma list
    #[arg(long, default_value = "_all", value_name = "EXPR")]
    jobs: String,
    /// The tidewatch server that takes them
    #[arg(long, default_value = "http://127.0.0.1:9200", value_name = "URL")]
    to: String,
    /// Write nothing; tell what would be taken
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Write jobs with what belongs to them to files, as the APIs give it
///
/// `tidewatch import --from DIR` takes them in again. Ends with 0 when everything was written, with 3 when the report
/// tells of something that wasn't, with 1 when it broke off.
#[derive(Args)]
pub struct Export {
    /// tidewatch or Elasticsearch (7.17, 8 or 9)
    #[arg(long, default_value = "http://127.0.0.1:9200", value_name = "URL")]
    from: String,
    #[command(flatten)]
    access: Access,
    /// Jobs, groups and wildcards in a comma list
    #[arg(long, default_value = "_all", value_name = "EXPR")]
    jobs: String,
    /// The directory for the files; those of an earlier export are replaced
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl Import {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let target = || {
            Cluster::meet(Remote::new(&self.to, None, Trust::Public)?)
                .context("the server to import into")
        };
        let (source, target): (Box<dyn Source>, Cluster) = if is_url(&self.from) {
            let (source, target) = (self.access.to(&self.from)?, target()?);
            // Its annotations would be there twice.
            if source.is(&target) {
                bail!("{} and {} are one server", self.from, self.to);
            }
            (Box::new(source), target)
        } else {
            (Box::new(files::Files::open(self.from.as_ref())?), target()?)
        };
        if !target.is_tidewatch() {
            bail!("{} isn't tidewatch; only tidewatch is written to", self.to);
        }
        let doing = if self.dry_run {
            Doing::DryRun
        } else {
            Doing::Import
        };
        let mut import = import::Import {
            source: source.as_ref(),
            target: &target,
            report: Report::new(source.name(), target.name(), doing),
        };
        let outcome = import.run(&self.jobs, &Progress::default());
        ended(&import.report, outcome, self.json)
    }
}

impl Export {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let source = self.access.to(&self.from)?;
        let to = format!("the files of {}", self.to.display());
        let mut export = export::Export {
            source: &source,
            directory: &self.to,
            report: Report::new(source.name(), &to, Doing::Export),
        };
        let outcome = export.run(&self.jobs, &Progress::default());
        ended(&export.report, outcome, self.json)
    }
}

fn is_url(text: &str) -> bool {
    text.contains("://")
}

fn ended(report: &Report, outcome: anyhow::Result<()>, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        print!("{report}");
    }
    outcome.context("broken off; the same command goes on from here")?;
    Ok(if report.is_complete() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(INCOMPLETE)
    })
}
