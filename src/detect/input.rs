//! Where the records come from: files, a stream, or a server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use clap::Args;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use tidewatch_datafeed::config::IndicesOptions;
use tidewatch_datafeed::source::files::{self, Directory, FilesSource, Sample};
use tidewatch_datafeed::source::{
    Endpoint, Page, Pages, Secret, Source, SourceError, SourceSettings, Sources, Urls, Wanted,
    Window,
};
use tidewatch_datafeed::{FileReader, FileSource, Projection};
use tidewatch_jobs::config::Job;
use tidewatch_model::time_format::TimeFormat;

use super::{guess, projection};

/// The name under which a server stands among the sources.
const SERVER: &str = "server";

/// What is asked of a source, and how it is reached.
#[derive(Args)]
#[command(next_help_heading = "Reading")]
pub(super) struct Reading {
    /// Only what Elasticsearch's query takes (JSON)
    #[arg(long, value_name = "JSON", conflicts_with = "promql")]
    query: Option<String>,
    /// A PromQL query: its labels are fields, and its samples the field `value`
    #[arg(long)]
    promql: Option<String>,
    /// Time between the samples of a PromQL query; a divisor of the bucket span [default: the bucket span]
    #[arg(long, requires = "promql")]
    step: Option<String>,
    /// The first time to read: epoch milliseconds or ISO 8601 [default: the first there is]
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// The time before which it ends [default: the last there is]
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    /// Name at the server
    #[arg(long, env = "TIDEWATCH_SOURCE_USER")]
    user: Option<String>,
    #[arg(
        long,
        env = "TIDEWATCH_SOURCE_PASSWORD",
        hide_env_values = true,
        requires = "user"
    )]
    password: Option<String>,
    /// An API key of Elasticsearch: encoded, or id:api_key
    #[arg(long, env = "TIDEWATCH_SOURCE_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    #[arg(long, env = "TIDEWATCH_SOURCE_BEARER_TOKEN", hide_env_values = true)]
    bearer_token: Option<String>,
    /// A file (PEM) with the certificate authorities to trust instead of the public ones
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Trust whoever answers
    #[arg(long)]
    insecure: bool,
}

/// A source before it is known what is read of it.
pub(super) enum Input {
    /// Absolute paths, and the beginning of the first file.
    Files(Vec<String>, Box<Sample>),
    /// Records as they come, which can't be read twice.
    Stream(Box<FileSource>),
    Server {
        url: String,
        indices: Vec<String>,
    },
}

impl Input {
    pub fn find(sources: &[String], reading: &Reading) -> anyhow::Result<Self> {
        let is_url =
            |source: &String| source.starts_with("http://") || source.starts_with("https://");
        if let [url] = sources
            && is_url(url)
        {
            return Self::server(url, reading.promql.is_some());
        }
        ensure!(
            !sources.iter().any(is_url),
            "one address is read alone, without other sources"
        );
        ensure!(
            reading.promql.is_none(),
            "--promql needs the address of a Prometheus"
        );
        if let [one] = sources
            && (one == "-" || is_stream(one))
        {
            ensure!(
                reading.query.is_none() && reading.start.is_none() && reading.end.is_none(),
                "--query, --start and --end need a source that can be read more than once"
            );
            let stream = FileSource::open(one, None);
            return Ok(Self::Stream(Box::new(
                stream.with_context(|| format!("can't read {one}"))?,
            )));
        }
        let paths = sources.iter().map(|source| absolute(source));
        let paths: Vec<String> = paths.collect::<anyhow::Result<_>>()?;
        for (source, path) in sources.iter().zip(&paths) {
            let found = files::named(std::slice::from_ref(path))
                .with_context(|| format!("can't read {source}"))?;
            ensure!(
                !found.is_empty(),
                "can't read {source}: there is no such file"
            );
        }
        let directory = Directory::default();
        for file in files::named(&paths)? {
            let sample = Sample::open(&directory, &file);
            if let Some(sample) =
                sample.with_context(|| format!("can't read {}", file.display()))?
            {
                return Ok(Self::Files(paths, Box::new(sample)));
            }
        }
        bail!("there is nothing in {}", sources.join(", "))
    }

    fn server(address: &str, is_prometheus: bool) -> anyhow::Result<Self> {
        let (url, indices) = if is_prometheus {
            (address, "*")
        } else {
            let start = address.find("//").map_or(0, |at| at + 2);
            let path = address[start..].find('/').map(|at| start + at);
            let parts = path.and_then(|_| address.trim_end_matches('/').rsplit_once('/'));
            parts
                .filter(|(url, _)| url.len() >= start)
                .with_context(|| {
                    format!("{address} names no index: add one, such as {address}/web-*")
                })?
        };
        Ok(Self::Server {
            url: url.to_owned(),
            indices: indices.split(',').map(str::to_owned).collect(),
        })
    }

    pub fn time_field(&self) -> anyhow::Result<String> {
        match self {
            Self::Files(_, sample) => guess::time_field(&sample.fields()?),
            Self::Stream(stream) => guess::time_field(stream.fields()),
            Self::Server { .. } => Ok("@timestamp".to_owned()),
        }
    }

    pub fn time_format(&self, job: &Job) -> anyhow::Result<String> {
        match self {
            Self::Files(_, sample) => guess::time_format(sample, job),
            Self::Stream(_) => bail!(
                "the format of the time can't be guessed from standard input: say it with --time-format"
            ),
            // As servers give it.
            Self::Server { .. } => Ok("epoch_ms".to_owned()),
        }
    }

    /// The records, and the first and the last time where they are known.
    pub async fn read(
        self,
        job: &Job,
        reading: &Reading,
    ) -> anyhow::Result<(Box<dyn Pages>, Option<(i64, i64)>)> {
        let projection = projection(job, &job.data_description.time_format)?;
        let is_server = matches!(self, Self::Server { .. });
        let source: Box<dyn Source> = match self {
            Self::Stream(stream) => {
                let reader = stream.project(projection.clone());
                let pages = Stream { reader, projection };
                return Ok((Box::new(pages), None));
            }
            Self::Files(paths, _) => {
                let (directory, query) = (Directory::default(), reading.query()?);
                Box::new(FilesSource::whole(&directory, &paths, &query, projection)?)
            }
            Self::Server { url, indices } => {
                let source = reading.server(url, indices, job, projection)?;
                source.check().await?;
                source
            }
        };
        let asked = reading.window(is_server)?;
        let summary = source.summary(asked).await?;
        let span = summary.earliest.zip(summary.latest);
        let window = match span {
            Some((first, last)) if is_server => Window {
                start: first,
                end: last.saturating_add(1),
            },
            // There may be damage behind the last record: that is told.
            _ => asked,
        };
        Ok((source.read(window).await?, span))
    }
}

impl Reading {
    fn query(&self) -> anyhow::Result<Map<String, Value>> {
        match &self.query {
            Some(text) => serde_json::from_str(text).context("--query is no JSON object"),
            None => Ok(Map::new()),
        }
    }

    /// Everything that isn't left out; of a server, what is there by now.
    fn window(&self, is_server: bool) -> anyhow::Result<Window> {
        let time = |text: &Option<String>, name: &str| match text {
            None => Ok(None),
            Some(text) => {
                let millis = text
                    .parse()
                    .ok()
                    .or_else(|| TimeFormat::Iso8601.parse(text));
                let millis = millis.with_context(|| format!("--{name}: [{text}] is no time"))?;
                Ok::<_, anyhow::Error>(Some(millis))
            }
        };
        Ok(Window {
            start: time(&self.start, "start")?.unwrap_or(if is_server { 0 } else { i64::MIN }),
            end: time(&self.end, "end")?.unwrap_or_else(|| match is_server {
                true => chrono::Utc::now().timestamp_millis(),
                false => i64::MAX,
            }),
        })
    }

    fn server(
        &self,
        url: String,
        indices: Vec<String>,
        job: &Job,
        projection: Projection,
    ) -> anyhow::Result<Box<dyn Source>> {
        let secret = |text: &Option<String>| text.as_deref().map(Secret::new);
        let endpoint = Endpoint {
            url: Urls(vec![url]),
            username: self.user.clone(),
            password: secret(&self.password),
            api_key: secret(&self.api_key),
            bearer_token: secret(&self.bearer_token),
            ca: self.ca.clone(),
            insecure: self.insecure,
            ..Endpoint::default()
        };
        let (settings, query) = match &self.promql {
            None => {
                let mut query = self.query()?;
                if query.is_empty() {
                    query.insert("match_all".to_owned(), json!({}));
                }
                (SourceSettings::Elasticsearch(endpoint), query)
            }
            Some(promql) => {
                let mut said = json!({"query": promql});
                if let Some(step) = &self.step {
                    said["step"] = step.as_str().into();
                }
                let query = Map::from_iter([("promql".to_owned(), said)]);
                (SourceSettings::Prometheus(endpoint), query)
            }
        };
        let settings = BTreeMap::from([(SERVER.to_owned(), settings)]);
        let analysis = &job.analysis_config;
        let wanted = Wanted {
            datafeed_id: job.job_id.clone(),
            indices: indices
                .iter()
                .map(|index| format!("{SERVER}:{index}"))
                .collect(),
            query,
            aggregations: None,
            runtime_mappings: Map::new(),
            script_fields: Map::new(),
            indices_options: IndicesOptions::default(),
            histogram: None,
            page_size: 5_000,
            written_time: projection.time_format().clone(),
            projection: Arc::new(Projection::new(
                projection.schema().clone(),
                projection.time_field(),
                TimeFormat::EpochMs,
            )),
            bucket_span: analysis.span() * 1_000,
            summary_is_doc_count: analysis.summary_count_field_name.as_deref() == Some("doc_count"),
        };
        Ok(Sources::new(&settings, None)?.open(wanted)?)
    }
}

/// Neither a file nor a directory: it can be read once.
fn is_stream(path: &str) -> bool {
    std::fs::metadata(path).is_ok_and(|it| !it.is_file() && !it.is_dir())
}

/// A path as it is below the root, what stands for names left as it is.
fn absolute(path: &str) -> anyhow::Result<String> {
    let wild = path.find(['*', '?']).filter(|_| !Path::new(path).exists());
    let known = match wild {
        None => path.len(),
        Some(at) => path[..at].rfind('/').map_or(0, |slash| slash + 1),
    };
    let (known, names) = path.split_at(known);
    let directory = if known.is_empty() { "." } else { known };
    let real = Path::new(directory).canonicalize();
    let real = real.with_context(|| format!("can't read {path}"))?;
    let real = real
        .to_str()
        .with_context(|| format!("{path} is no text"))?;
    Ok(match names {
        "" => real.to_owned(),
        names => format!("{}/{names}", real.trim_end_matches('/')),
    })
}

/// Records in the order in which they come.
struct Stream {
    reader: FileReader,
    projection: Projection,
}

impl Pages for Stream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Page>, SourceError>> {
        Box::pin(async move {
            let mut batch = self.projection.batch();
            let more = self.reader.next_batch(&mut batch).map_err(|error| {
                SourceError::Unavailable(format!("it can't be read on: {error}"))
            })?;
            // Nothing is known of what comes.
            let until = i64::MIN;
            let is_last = !more && batch.input.records == 0;
            Ok((!is_last).then_some(Page { batch, until }))
        })
    }
}
