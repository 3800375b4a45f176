//! What purges would hit, were they carried out: nothing is published, numbered or journaled.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::{Asked, PurgeFault, Purger, Refused};
use crate::object::PurgeCommand;
use crate::store::Survey;

/// How long a survey looks at what is stored: from what it has seen by then it estimates.
const SURVEY_MAX: Duration = Duration::from_secs(5);

impl Purger {
    /// Tells what each of the purges would hit beyond what earlier ones have. One at a time: it
    /// reads what is stored.
    ///
    /// # Errors
    /// The first purge that could not be carried out, or what keeps all from being looked at.
    pub async fn survey(
        &self,
        commands: &[PurgeCommand],
        asked: &Asked,
    ) -> Result<Survey, Refused> {
        let named = self.resolve(commands, asked)?;
        let rules: Vec<_> = named.into_iter().map(|named| named.rule).collect();
        // Held until the survey has ended, whoever waits for it.
        let turn = self.survey.clone().try_acquire_owned().map_err(|_| PurgeFault::Surveying)?;
        let (store, clock) = (Arc::clone(&self.parts.store), self.parts.clock);
        let looks_max = self.parts.config.scan as u64;
        let end = clock() + SURVEY_MAX;
        let survey = spawn_blocking(move || {
            let survey = store.survey(&rules, looks_max, &|| clock() < end);
            drop(turn);
            survey
        });
        survey.await.map_err(|error| PurgeFault::Survey(error.to_string()).into())
    }
}
