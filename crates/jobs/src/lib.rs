//! A job and its life: configuration, validation, update, opening and closing, the runner with its journal, model
//! snapshots and their retention. It knows nothing of HTTP.

mod actor;
mod attached;
pub mod calendars;
mod categories;
mod clock;
pub mod cluster;
pub mod config;
pub mod documents;
mod entry;
mod error;
mod expire;
mod expression;
mod feeding;
pub mod filters;
mod forecasts;
pub mod foresee;
pub mod health;
mod life;
mod live;
pub mod maintenance;
mod manager;
mod overall;
mod overview;
pub mod play;
mod pool;
mod recorder;
mod removal;
mod rescore;
pub mod retention;
mod revert;
mod rewind;
mod room;
mod rules;
mod runner;
mod settings;
mod snapshot_upgrade;
mod snapshots;
pub mod stats;
pub mod tasks;
pub mod update;
mod upgrade;
pub mod usage;

pub use attached::Attached;
pub use clock::{Clock, iso};
pub use entry::{BlockReason, Blocked, State};
pub use error::{About, JobError, Result};
pub use expire::ExpiredRequest;
pub use expression::{matches, pick};
pub use feeding::{Position, Standing};
pub use forecasts::{Figures, ForecastFigures, ForecastRequest, ForecastStats, ModelForecast};
pub use life::Opening;
pub use live::json;
pub use manager::{FlushRequest, Jobs};
pub use overall::{OverallBucket, OverallRequest};
pub use overview::JobStats;
pub use pool::Pool;
pub use revert::RevertRequest;
pub use rewind::{Rewind, Rewound};
pub use runner::{Applied, not_open};
pub use settings::Settings;
pub use snapshot_upgrade::{UpgradeState, UpgradeStats};
pub use snapshots::ModelSnapshot;

/// The name of the one node, and its id.
pub const NODE_NAME: &str = "tidewatch";
