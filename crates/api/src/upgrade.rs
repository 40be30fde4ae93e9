//! What is refused while upgrade mode is on.

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tidewatch_jobs::JobError;

use crate::ApiState;
use crate::error::ApiError;

/// Refuses what would change jobs, or what belongs to them.
pub async fn guard(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    if state.jobs.cluster().upgrade_mode()
        && let Some(path) = request.extensions().get::<MatchedPath>()
        && let Some(action) = refused(request.method(), path.as_str())
    {
        let error = JobError::no_room(format!(
            "Cannot perform cluster:admin/xpack/ml/{action} action while upgrade mode is enabled"
        ));
        return ApiError(error).into_response();
    }
    next.run(request).await
}

/// Elasticsearch's name of a change, less what all names begin with; none for what may go on. A reset refuses for itself.
fn refused(method: &Method, path: &str) -> Option<&'static str> {
    let path = path.strip_prefix("/_ml/")?;
    Some(match (method.as_str(), path) {
        ("PUT", "anomaly_detectors/{job_id}") => "job/put",
        ("DELETE", "anomaly_detectors/{job_id}") => "job/delete",
        ("POST", "anomaly_detectors/{job_id}/_update") => "job/update",
        ("POST", "anomaly_detectors/{job_id}/_open") => "job/open",
        ("POST", "anomaly_detectors/{job_id}/_close") => "job/close",
        ("POST", "anomaly_detectors/{job_id}/_flush") => "job/flush",
        ("POST", "anomaly_detectors/{job_id}/_data") => "job/data/post",
        ("POST", "anomaly_detectors/{job_id}/_forecast") => "job/forecast",
        (
            "DELETE",
            "anomaly_detectors/{job_id}/_forecast"
            | "anomaly_detectors/{job_id}/_forecast/{forecast_id}",
        ) => "job/forecast/delete",
        ("DELETE", "anomaly_detectors/{job_id}/model_snapshots/{snapshot_id}") => {
            "job/model_snapshots/delete"
        }
        ("POST", "anomaly_detectors/{job_id}/model_snapshots/{snapshot_id}/_update") => {
            "job/model_snapshots/update"
        }
        ("POST", "anomaly_detectors/{job_id}/model_snapshots/{snapshot_id}/_revert") => {
            "job/model_snapshots/revert"
        }
        ("POST", "anomaly_detectors/{job_id}/model_snapshots/{snapshot_id}/_upgrade") => {
            "job/model_snapshots/upgrade"
        }
        ("DELETE", "_delete_expired_data" | "_delete_expired_data/{job_id}") => {
            "delete_expired_data"
        }
        ("PUT", "datafeeds/{datafeed_id}") => "datafeeds/put",
        ("POST", "datafeeds/{datafeed_id}/_update") => "datafeeds/update",
        ("DELETE", "datafeeds/{datafeed_id}") => "datafeeds/delete",
        ("POST", "datafeeds/{datafeed_id}/_start") => "datafeed/start",
        ("POST", "datafeeds/{datafeed_id}/_stop") => "datafeed/stop",
        ("PUT", "filters/{filter_id}") => "filters/put",
        ("POST", "filters/{filter_id}/_update") => "filters/update",
        ("DELETE", "filters/{filter_id}") => "filters/delete",
        ("PUT", "calendars/{calendar_id}") => "calendars/put",
        ("DELETE", "calendars/{calendar_id}") => "calendars/delete",
        ("PUT" | "DELETE", "calendars/{calendar_id}/jobs/{job_id}") => "calendars/jobs/update",
        ("POST", "calendars/{calendar_id}/events") => "calendars/events/post",
        ("DELETE", "calendars/{calendar_id}/events/{event_id}") => "calendars/events/delete",
        _ => return None,
    })
}
