//! The command line of tidewatch.

mod demo;
mod detect;
mod eval;
mod moving;
mod random;
mod serve;
mod settings;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use settings::Settings;

#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve {
        /// A file with settings (TOML)
        #[arg(long, env = "TIDEWATCH_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Print the settings that are in force, as a settings file
    Config {
        /// A file with settings (TOML)
        #[arg(long, env = "TIDEWATCH_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Analyse files, a remote index or Prometheus, without a server
    Detect(Box<detect::Detect>),
    /// Make three weeks of web traffic with incidents, and find them through a server of its own
    Demo(demo::Demo),
    Import(moving::Import),
    Export(moving::Export),
    /// Measure detection on made-up series whose anomalies are known
    Eval(eval::Eval),
}

fn main() -> anyhow::Result<ExitCode> {
    match run(Cli::parse().command) {
        // Whoever read the output has read enough.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        outcome => outcome,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| {
        cause.downcast_ref().is_some_and(broken)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|error| error.io_error_kind() == Some(std::io::ErrorKind::BrokenPipe))
    })
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Import(import) => return import.run(),
        Command::Export(export) => return export.run(),
        Command::Serve { config, settings } => {
            let settings = settings.over_file(config.as_deref())?.in_force()?;
            log_to_stderr(&settings.log)?;
            runtime()?.block_on(async {
                let server = serve::Server::start(settings).await?;
                println!("tidewatch listening on http://{}", server.address);
                std::io::stdout().flush()?;
                let stop = async {
                    if let Err(error) = serve::asked_to_end().await {
                        tracing::error!(%error, "signals can't be heard");
                    }
                };
                server.run(stop).await
            })?;
        }
        Command::Config { config, settings } => {
            let settings = settings.over_file(config.as_deref())?;
            settings.clone().in_force()?;
            print!("{}", toml::to_string(&settings.with_defaults())?);
        }
        Command::Detect(detect) => detect.run()?,
        Command::Demo(demo) => demo.run()?,
        Command::Eval(eval) => eval.run()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn log_to_stderr(filter: &str) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(filter).with_context(|| format!("log: [{filter}] is no filter"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Where stderr is a file on a disk that is full, telling of that would panic.
        .log_internal_errors(false)
        .init();
    Ok(())
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}
