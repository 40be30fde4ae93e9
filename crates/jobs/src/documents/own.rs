//! Indices of users: where a document goes, and how an index comes to be and goes.

use std::sync::Arc;

use tidewatch_store::index::{self, AliasAction, Creation, IndexError, Refusal};

use super::closed::index_closed;
use super::datemath;
use super::indices::{Family, Index};
use super::resolve::Meant;
use crate::error::{JobError, Result};
use crate::manager::Jobs;

/// Where a document is written.
#[derive(Clone)]
pub enum Destination {
    Internal(Index),
    Own(Arc<index::Index>),
}

/// What is there of a name to write to.
enum Named {
    Internal(Index),
    Own(Arc<index::Index>),
    Alias(Arc<index::Index>),
    Nothing,
}

/// What there is no index of.
pub fn no_such_index(name: &str) -> JobError {
    let reason = format!("no such index [{name}]");
    JobError::new(404, "index_not_found_exception", reason).about(name, "_na_")
}

impl From<Refusal> for JobError {
    fn from(refusal: Refusal) -> Self {
        let mut error = JobError::new(refusal.status(), refusal.kind, refusal.reason);
        if let Some(index) = refusal.index {
            error = error.about(&index.name, &index.uuid);
        }
        match refusal.caused_by {
            Some(cause) => error.because((*cause).into()),
            None => error,
        }
    }
}

impl From<IndexError> for JobError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Refused(refusal) => refusal.into(),
            IndexError::Store(error) => error.into(),
            error => {
                tracing::error!(%error, "an index failed");
                Self::internal(error.to_string())
            }
        }
    }
}

impl Destination {
    pub fn name(&self) -> &str {
        match self {
            Self::Internal(index) => &index.name,
            Self::Own(index) => index.name(),
        }
    }
}

impl Jobs {
    /// Where a document goes that is written to a name. An index that isn't there is made if `makes`; whether it was
    /// comes with the answer.
    ///
    /// # Errors
    /// A name that none can have, or that means several indices; a closed index; with `must_be_alias`, a name that is
    /// none.
    pub async fn destination(
        &self,
        name: &str,
        makes: bool,
        must_be_alias: bool,
    ) -> Result<(Destination, bool)> {
        let name = &*datemath::resolve(name, self.settings().clock.now())?;
        let mut made = false;
        let destination = match self.named_to_write(name)? {
            Named::Alias(index) => Destination::Own(index),
            Named::Internal(index) if !must_be_alias || index.name != name => {
                Destination::Internal(index)
            }
            _ if must_be_alias => {
                let reason = format!(
                    "no such index [{name}] and [require_alias] request flag is [true] and [{name}] is not an alias"
                );
                return Err(
                    JobError::new(404, "index_not_found_exception", reason).about(name, "_na_")
                );
            }
            Named::Internal(index) => Destination::Internal(index),
            Named::Own(index) => Destination::Own(index),
            Named::Nothing if makes => {
                let indices = self.store().indices();
                match indices.create(name, Creation::default()).await {
                    Ok(index) => {
                        made = true;
                        Destination::Own(index)
                    }
                    // Someone else may have been faster.
                    Err(error) => Destination::Own(indices.get(name).ok_or(error)?),
                }
            }
            Named::Nothing => return Err(no_such_index(name)),
        };
        if let Destination::Own(index) = &destination {
            self.check_open(index).await?;
        }
        Ok((destination, made))
    }

    async fn check_open(&self, index: &Arc<index::Index>) -> Result<()> {
        let closed = self.closed_names().await?;
        if closed.iter().any(|name| name == index.name()) {
            let meant = Meant::Own {
                index: index.clone(),
                only: Vec::new(),
            };
            return Err(index_closed(&meant));
        }
        Ok(())
    }

    fn named_to_write(&self, name: &str) -> Result<Named> {
        if let Some(index) = self.index_to_write(name) {
            return Ok(Named::Internal(index));
        }
        let indices = self.store().indices();
        if let Some(index) = indices.get(name) {
            return Ok(Named::Own(index));
        }
        let of_alias = indices.with_alias(name);
        let writes = |index: &Arc<index::Index>| {
            let aliases = index.aliases();
            aliases.get(name).and_then(|alias| alias.is_write_index)
        };
        if of_alias.is_empty() {
            return Ok(Named::Nothing);
        }
        let mut to_write = of_alias.iter().filter(|index| match of_alias.len() {
            1 => writes(index) != Some(false),
            _ => writes(index) == Some(true),
        });
        match to_write.next() {
            Some(index) => Ok(Named::Alias(index.clone())),
            None => Err(JobError::illegal_argument(format!(
                "no write index is defined for alias [{name}]. The write index may be explicitly disabled using \
                 is_write_index=false or the alias points to multiple indices without one being designated as a write \
                 index"
            ))),
        }
    }

    /// Makes an index of a user's, or an internal one, whose ways are settled. Its name, as a date in it means it.
    pub async fn create_index(&self, name: &str, creation: Creation) -> Result<String> {
        let name = &*datemath::resolve(name, self.settings().clock.now())?;
        if Family::of(name).is_none() {
            let aliases = creation.aliases.as_object();
            for alias in aliases.into_iter().flat_map(|aliases| aliases.keys()) {
                check_alias(alias)?;
            }
            self.store().indices().create(name, creation).await?;
            return Ok(name.to_owned());
        }
        let index = self
            .index_to_write(name)
            .ok_or_else(|| no_such_index(name))?;
        if !self.store().create_index(&index.name).await? {
            let reason = format!("index [{name}] already exists");
            return Err(JobError::already_exists(reason).about(name, "_na_"));
        }
        Ok(name.to_owned())
    }

    /// Deletes an index with its documents.
    pub async fn delete_index(&self, index: &Meant) -> Result<()> {
        match index {
            Meant::Internal(index) => self.delete_internal_index(index).await,
            Meant::Own { index, .. } => {
                self.store().indices().delete(index.name()).await?;
                self.contexts().forget(index.name());
                // One of its name to come is open.
                Ok(self.store().open_index(index.name()).await?)
            }
        }
    }

    /// Does all of these actions on aliases of users' indices, or none.
    pub async fn update_aliases(&self, actions: Vec<AliasAction>) -> Result<()> {
        for action in &actions {
            if let AliasAction::Add { alias, .. } = action {
                check_alias(alias)?;
            }
        }
        let removed: Vec<String> = actions
            .iter()
            .filter_map(|action| match action {
                AliasAction::RemoveIndex { index } => Some(index.clone()),
                _ => None,
            })
            .collect();
        self.store().indices().update_aliases(actions).await?;
        for name in removed {
            self.contexts().forget(&name);
            self.store().open_index(&name).await?;
        }
        Ok(())
    }
}

/// The names of internal indices and their aliases are the server's own.
fn check_alias(alias: &str) -> Result<()> {
    match Family::of(alias) {
        None => Ok(()),
        Some(_) => {
            let reason =
                format!("Invalid alias name [{alias}]: it is one of the internal indices'");
            Err(JobError::new(400, "invalid_alias_name_exception", reason).about(alias, "_na_"))
        }
    }
}
