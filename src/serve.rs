//! The server: from settings to a listening socket, and to a clean stop.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tidewatch_api::opensearch::OpenSearch;
use tidewatch_api::{ApiState, Identity};
use tidewatch_datafeed::Feeds;
use tidewatch_datafeed::source::Sources;
use tidewatch_jobs::{Jobs, maintenance};
use tidewatch_store::Store;
use tokio::net::TcpListener;

use crate::settings::InForce;

/// How long open connections may go on after a stop was asked for.
const GRACE: Duration = Duration::from_secs(5);

/// A server that is ready.
pub struct Server {
    jobs: Jobs,
    feeds: Feeds,
    listener: TcpListener,
    router: axum::Router,
    pub address: SocketAddr,
}

impl Server {
    /// Takes up the data directory: when this returns, every job that was open is open again, and every datafeed that
    /// was started goes on.
    pub async fn start(settings: InForce) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(&settings.listen)
            .await
            .with_context(|| format!("can't listen on {}", settings.listen))?;
        let address = listener.local_addr()?;
        let store = Store::open(&settings.data_dir).await?;
        let jobs = Jobs::start(store, settings.jobs).await?;
        let sources = Sources::new(&settings.sources, Some(jobs.clone()))?;
        let feeds = Feeds::start(
            jobs.clone(),
            Arc::new(sources),
            settings.reprocess_late_data,
        )
        .await?;
        let identity = Arc::new(Identity::load(&jobs, address.to_string()).await?);
        let state = ApiState {
            jobs: jobs.clone(),
            feeds: feeds.clone(),
            identity,
            amp: settings.amp,
            opensearch: OpenSearch::default(),
        };
        let router = tidewatch_api::router(state.clone());
        tokio::spawn(tidewatch_api::opensearch::go_on(state.clone()));
        tokio::spawn(tidewatch_api::amp::run(state));
        tokio::spawn(maintenance::run(jobs.clone()));
        Ok(Self {
            jobs,
            feeds,
            listener,
            router,
            address,
        })
    }

    /// Serves until `stop` is ready, then lets requests end and saves the jobs.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
        let asked = async move {
            stop.await;
            let _ = stopping.send(());
        };
        let serving = axum::serve(self.listener, self.router)
            .with_graceful_shutdown(asked)
            .into_future();
        tokio::pin!(serving);
        let patience = async {
            // A serving that ends by itself drops the sender: then there is nothing to wait for.
            if stopped.await.is_ok() {
                tokio::time::sleep(GRACE).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            result = &mut serving => result?,
            () = patience => tracing::info!("connections were still open and are dropped"),
        }
        self.feeds.shut_down().await;
        self.jobs.shut_down().await;
        Ok(())
    }
}

/// Ready when the process is asked to end.
pub async fn asked_to_end() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
