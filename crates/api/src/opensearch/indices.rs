//! The indices that detectors, their jobs, tasks, models and results are said to be in, as any search may name them.

use tidewatch_jobs::matches;
use tidewatch_store::search::Target;

use super::dialect::Dialect;
use super::results;
use super::search::Given;
use crate::ApiState;
use crate::error::Result;

/// What an expression of indices means, where all that it names is of detectors. None: it is for others to say.
pub async fn targets(state: &ApiState, expression: &str) -> Result<Option<Vec<Target>>> {
    let mut targets: Vec<Target> = Vec::new();
    for name in expression.split(',').map(str::trim) {
        let Some(found) = named(state, name).await? else {
            return Ok(None);
        };
        for target in found {
            if !targets.iter().any(|known| known.index() == target.index()) {
                targets.push(target);
            }
        }
    }
    Ok(Some(targets))
}

async fn named(state: &ApiState, name: &str) -> Result<Option<Vec<Target>>> {
    for dialect in [Dialect::OpenSearch, Dialect::SearchGuard] {
        let given = if name == dialect.detectors_index() {
            Some(Given::detectors(state, dialect, false)?)
        } else if name == dialect.state_index() {
            Some(Given::tasks(state, dialect, false)?)
        } else if name == dialect.jobs_index() {
            Some(Given::jobs(state, dialect)?)
        } else if name == dialect.checkpoints_index() {
            Some(Given::checkpoints(state, dialect).await?)
        } else {
            None
        };
        if let Some(given) = given {
            let (target, _) = given.target();
            return Ok(Some(vec![target]));
        }
        // All of them are one here, whatever their days.
        if name.starts_with(dialect.results_index()) {
            let is_common = |index: Option<&str>| index.is_none();
            return results::targets(state, dialect, is_common).map(Some);
        }
        let prefix = dialect.result_index_prefix();
        if prefix.is_some_and(|prefix| name.starts_with(prefix)) {
            let is_meant = |index: Option<&str>| index.is_some_and(|index| matches(name, index));
            let found = results::targets(state, dialect, is_meant)?;
            return Ok((!found.is_empty()).then_some(found));
        }
    }
    Ok(None)
}
