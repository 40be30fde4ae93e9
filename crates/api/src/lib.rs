//! The wire: Elasticsearch's machine-learning API, with what its clients ask beside it. One file a resource; nothing
//! here decides anything about jobs.

pub mod amp;
mod annotations;
mod answer;
mod body;
mod calendars;
mod cat;
mod categories;
mod cluster;
mod content;
mod data;
mod datafeeds;
mod dates;
mod documents;
mod error;
mod escape;
mod estimate;
mod filter;
mod filters;
mod forecasts;
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod gone;
mod grok;
mod human;
mod jobs;
mod linger;
mod media;
mod metrics;
mod model_plots;
mod near;
mod nodes;
pub mod opensearch;
mod overall;
mod params;
mod play;
mod query;
mod results;
mod retention;
mod settings;
mod snapshots;
#[cfg(test)]
mod storm;
mod tasks;
mod token;
mod upgrade;
mod usage;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{delete, get, post, put};
use tidewatch_datafeed::Feeds;
use tidewatch_jobs::Jobs;
use tower_http::decompression::RequestDecompressionLayer;

/// The version of Elasticsearch whose API this is.
pub const VERSION: &str = "9.2.0";
/// What clients must find in every answer to believe it.
pub const PRODUCT: &str = "Elasticsearch";

#[derive(Clone)]
pub struct ApiState {
    pub jobs: Jobs,
    pub feeds: Feeds,
    pub identity: Arc<Identity>,
    pub amp: amp::Amp,
    pub opensearch: opensearch::OpenSearch,
}

/// How the server names itself; the same after a restart.
#[derive(Debug, Clone)]
pub struct Identity {
    pub cluster_uuid: String,
    pub node_id: String,
    pub ephemeral_id: String,
    /// Where it listens.
    pub address: String,
    /// Bytes of memory of the machine that jobs may use.
    pub machine_memory: u64,
}

impl Identity {
    /// The identity kept in the store, made at its first start.
    pub async fn load(jobs: &Jobs, address: String) -> tidewatch_jobs::Result<Self> {
        let store = jobs.store();
        let cluster_uuid = match store.meta("cluster_uuid").await? {
            Some(id) => id,
            None => {
                let id = uuid::Uuid::new_v4().simple().to_string();
                store.set_meta("cluster_uuid", &id).await?;
                id
            }
        };
        let node_id = jobs.tasks().node_id().to_owned();
        let ephemeral_id = uuid::Uuid::new_v4().simple().to_string();
        let machine_memory = jobs.settings().node_memory.bytes;
        Ok(Self {
            cluster_uuid,
            node_id,
            ephemeral_id,
            address,
            machine_memory,
        })
    }
}

/// All routes.
pub fn router(state: ApiState) -> Router {
    let elasticsearch = elasticsearch(state.clone());
    // Other dialects have their own manners; what they don't know is Elasticsearch's.
    Router::new()
        .merge(amp::routes(&state, elasticsearch.clone()))
        .layer(DefaultBodyLimit::disable())
        .with_state(state)
        .fallback_service(elasticsearch)
        .layer(middleware::from_fn(linger::read_rest))
}

fn elasticsearch(state: ApiState) -> Router {
    const JOB: &str = "/_ml/anomaly_detectors/{job_id}";
    let job = |rest: &str| format!("{JOB}{rest}");
    let routes = Router::new()
        .route("/", get(cluster::root))
        .route("/healthz", get(cluster::healthz))
        .route("/_cluster/health", get(cluster::health))
        .route("/_cluster/health/{index}", get(cluster::health))
        .route("/_license", get(cluster::license))
        .route("/_xpack", get(cluster::xpack))
        .route("/_ml/info", get(cluster::ml_info))
        .route("/_ml/anomaly_detectors", get(jobs::get_all))
        .route("/_ml/anomaly_detectors/_validate", post(jobs::validate))
        .route(
            "/_ml/anomaly_detectors/_validate/detector",
            post(jobs::validate_detector),
        )
        .route("/_ml/anomaly_detectors/_stats", get(jobs::all_stats))
        .route(JOB, put(jobs::create).get(jobs::get).delete(jobs::delete))
        .route(&job("/_update"), post(jobs::update))
        .route(&job("/_open"), post(jobs::open))
        .route(&job("/_close"), post(jobs::close))
        .route(&job("/_flush"), post(jobs::flush))
        .route(&job("/_reset"), post(jobs::reset))
        .route(&job("/_stats"), get(jobs::stats))
        .route(&job("/_data"), post(data::post))
        .route(
            &job("/_forecast"),
            post(forecasts::forecast).delete(forecasts::delete_all),
        )
        .route(&job("/_forecast/{forecast_id}"), delete(forecasts::delete))
        .route(&job("/results/forecasts"), get(forecasts::list))
        .route(
            &job("/results/forecasts/{forecast_id}"),
            get(forecasts::points),
        )
        .route(
            &job("/results/buckets"),
            get(results::buckets).post(results::buckets),
        )
        .route(
            &job("/results/buckets/{timestamp}"),
            get(results::bucket).post(results::bucket),
        )
        .route(
            &job("/results/records"),
            get(results::records).post(results::records),
        )
        .route(
            &job("/results/influencers"),
            get(results::influencers).post(results::influencers),
        )
        .route(&job("/results/model_plots"), get(model_plots::get))
        .route(
            &job("/results/categories"),
            get(categories::all).post(categories::all),
        )
        .route(
            &job("/results/categories/{category_id}"),
            get(categories::one).post(categories::one),
        )
        .route(
            &job("/results/overall_buckets"),
            get(overall::buckets).post(overall::buckets),
        )
        .route(&job("/annotations"), get(annotations::get))
        .merge(resources())
        .merge(cat::routes())
        .merge(datafeeds::routes())
        .merge(estimate::routes())
        .merge(nodes::routes())
        .merge(opensearch::routes(&state))
        .merge(usage::routes())
        .merge(documents::routes())
        .merge(retention::routes())
        .merge(snapshots::routes())
        .merge(tasks::routes())
        .merge(settings::routes())
        .route_layer(middleware::from_fn_with_state(
            state.clone(),
            upgrade::guard,
        ))
        .fallback(answer::no_handler)
        .layer(middleware::from_fn(answer::speak))
        // Bodies have their own limits; an upload has none.
        .layer(DefaultBodyLimit::disable())
        .layer(RequestDecompressionLayer::new().gzip(true))
        .with_state(state.clone());
    // Dialects with other conventions than Elasticsearch's.
    Router::new()
        .merge(play::routes())
        .with_state(state)
        .fallback_service(routes)
        .layer(middleware::from_fn(answer::sign))
}

/// Filters and calendars.
fn resources() -> Router<ApiState> {
    const CALENDAR: &str = "/_ml/calendars/{calendar_id}";
    let calendar = |rest: &str| format!("{CALENDAR}{rest}");
    Router::new()
        .route("/_ml/filters", get(filters::get_all))
        .route(
            "/_ml/filters/{filter_id}",
            put(filters::create)
                .get(filters::get)
                .delete(filters::delete),
        )
        .route("/_ml/filters/{filter_id}/_update", post(filters::update))
        .route(
            "/_ml/calendars",
            get(calendars::get_all).post(calendars::get_all),
        )
        .route(
            CALENDAR,
            put(calendars::create)
                .get(calendars::get)
                .post(calendars::get)
                .delete(calendars::delete),
        )
        .route(
            &calendar("/jobs/{job_id}"),
            put(calendars::add_jobs).delete(calendars::remove_jobs),
        )
        .route(
            &calendar("/events"),
            get(calendars::events).post(calendars::add_events),
        )
        .route(
            &calendar("/events/{event_id}"),
            delete(calendars::delete_event),
        )
}
