//! What purges would hit, were they carried out: nothing is published, numbered or journaled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::{Asked, PurgeFault, Purger, Refused};
use crate::net::worker::off_loop;
use crate::object::{PurgeCommand, PurgeRule};
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
        self.look(rules, turn).await
    }

    /// The same of purges of the log that is followed, some of which may name nothing here. Waits
    /// for its turn.
    ///
    /// # Errors
    /// What keeps all from being looked at.
    pub(super) async fn survey_followed(
        &self,
        commands: &[PurgeCommand],
    ) -> Result<Survey, Refused> {
        let resolve = |command| (self.parts.resolve)(command).ok().map(|named| named.rule);
        let rules: Vec<_> = commands.iter().map(resolve).collect();
        let turn = self.survey.clone().acquire_owned().await;
        let turn = turn.map_err(|_| PurgeFault::Surveying)?;
        let mut survey = self.look(rules.iter().flatten().cloned().collect(), turn).await?;
        let mut known = survey.hits.into_iter();
        let hit = |rule: &Option<_>| rule.as_ref().and_then(|_| known.next()).unwrap_or_default();
        survey.hits = rules.iter().map(hit).collect();
        Ok(survey)
    }

    async fn look(
        &self,
        rules: Vec<PurgeRule>,
        turn: OwnedSemaphorePermit,
    ) -> Result<Survey, Refused> {
        let (store, clock) = (Arc::clone(&self.parts.store), self.parts.clock);
        let looks_max = self.parts.config.scan as u64;
        let end = clock() + SURVEY_MAX;
        let survey = off_loop(move || {
            let survey = store.survey(&rules, looks_max, &|| clock() < end);
            drop(turn);
            survey
        });
        survey.await.map_err(|error| PurgeFault::Survey(error.to_string()).into())
    }
}
