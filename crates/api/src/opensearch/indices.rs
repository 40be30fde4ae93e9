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
    let mut found = Vec::new();
    for dialect in [Dialect::OpenSearch, Dialect::SearchGuard] {
        if name.starts_with(dialect.indices()) {
            found.extend(given(state, dialect, name).await?);
            // The results are all in one here, whatever their days.
            let index = results::index_of_today(state, dialect);
            if name.starts_with(dialect.results_index()) || matches(name, &index) {
                found.extend(results::targets(state, dialect, |own| own.is_none())?);
            }
        }
        let prefix = dialect.result_index_prefix();
        if prefix.is_some_and(|prefix| name.starts_with(prefix)) {
            let is_meant = |own: Option<&str>| own.is_some_and(|own| matches(name, own));
            found.extend(results::targets(state, dialect, is_meant)?);
        }
    }
    Ok((!found.is_empty()).then_some(found))
}

/// The indices, but for those of results, that a name or a pattern means.
async fn given(state: &ApiState, dialect: Dialect, name: &str) -> Result<Vec<Target>> {
    let mut all = Vec::new();
    if matches(name, dialect.detectors_index()) {
        all.push(Given::detectors(state, dialect, false)?);
    }
    if matches(name, dialect.jobs_index()) {
        all.push(Given::jobs(state, dialect)?);
    }
    if matches(name, dialect.state_index()) {
        all.push(Given::tasks(state, dialect, false)?);
    }
    if matches(name, dialect.checkpoints_index()) {
        all.push(Given::checkpoints(state, dialect).await?);
    }
    Ok(all.into_iter().map(|given| given.target().0).collect())
}
