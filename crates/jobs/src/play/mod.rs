//! Jobs as the Google Play Developer Reporting API shows them: a job whose `custom_settings.play` names a metric of an
//! app has that metric's anomalies there. An anomaly is a run of points of one series that came out worse than
//! expected, on end.
//!
//! `settings` is what a job says, `metrics` what Google has, `timeline` the points in time, `marks` what of results is a
//! point, `run` the points that belong together, `list` the anomalies in their order, `rows` the values, of which some
//! are wanted by a `condition`, `freshness` how far all go, `read` the results of a job that they are made from.

mod condition;
mod freshness;
mod list;
mod marks;
mod metrics;
mod read;
mod rows;
mod run;
mod settings;
mod timeline;

pub use condition::Condition;
pub use list::{Anomaly, Asked, Listed, Spot};
pub use marks::Bounds;
pub use metrics::{METRIC_SETS, MetricSet};
pub use rows::{Row, RowSpot, Rows, RowsAsked};
pub use settings::{Play, Worse};
pub use timeline::{Period, Timeline};
