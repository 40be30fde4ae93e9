//! Jobs as the Google Play Developer Reporting API shows them: a job whose `custom_settings.play` names a metric of an
//! app has that metric's anomalies there. An anomaly is a run of points of one series that came out worse than
//! expected, on end.
//!
//! `settings` is what a job says, `timeline` the points in time, `marks` what of results is a point, `run` the points
//! that belong together, `list` the anomalies in their order, `freshness` how far they go, `read` the results of a job that they are made from.

mod freshness;
mod list;
mod marks;
mod read;
mod run;
mod settings;
mod timeline;

pub use list::{Anomaly, Asked, Listed, Spot};
pub use marks::Bounds;
pub use settings::{METRIC_SETS, MetricSet, Play, Worse};
pub use timeline::{Period, Timeline};
