//! The second half of a rehearsal: what a restore of samples made in the sandbox is read back from the service, compared
//! with the backup field by field, and deleted again.
//!
//! The first half is a restore like any other, whose end is waited for. What is compared and what is cleared is committed
//! chain by chain, so that an attempt after a kill goes on where the last one stopped. A rehearsal that is cancelled
//! compares nothing more and still clears its sandbox.

mod comparing;

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;

use self::comparing::compare;
use super::place::item_error;
use super::{Control, Done, TaskError};
use crate::catalog;
use crate::catalog::rehearsals::{self, Score};
use crate::db::{Conn, QueryResult, TxError};
use crate::features;
use crate::ids::ChainId;
use crate::queue::work::{RehearsePart, RehearseWork};
use crate::queue::{self, LeaseLost, Outcome, Progress};
use crate::workers::workshop::Workshop;

/// How often the end of the restore is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(3);

pub async fn run(workshop: &Workshop, control: &Control) -> Result<Done, TaskError> {
    let work: RehearseWork = control.work()?;
    let restore = work.restore;
    let ended = move |conn: &mut Conn| queue::ended_of_restore(conn, restore);
    if workshop.db.run("look for the end of a restore", ended).await?.is_none() {
        let why = format!("restore {restore} is still at work");
        return Err(TaskError::Snooze { after: LOOK_EVERY, why });
    }
    let rehearsing = Rehearsing { workshop, control, work };
    rehearsing.compare_all().await?;
    rehearsing.clear_all().await?;
    rehearsing.finish().await
}

struct Rehearsing<'a> {
    workshop: &'a Workshop,
    control: &'a Control,
    work: RehearseWork,
}

impl Rehearsing<'_> {
    async fn compare_all(&self) -> Result<(), TaskError> {
        let done = self.parts_with(|score| score.compared.is_some()).await?;
        for (at, part) in self.work.parts.iter().enumerate().filter(|(_, part)| !done.contains(&part.chain)) {
            if self.is_cancelled().await? {
                return Ok(());
            }
            self.report("comparing", at).await?;
            let Some((compared, differences)) = compare(self, part).await? else { return Ok(()) };
            let (rehearsal, chain) = (self.work.rehearsal, part.chain);
            self.commit("commit a comparison", move |conn| {
                rehearsals::put_compared(conn, rehearsal, chain, &compared, &differences)
            })
            .await?;
        }
        Ok(())
    }

    async fn clear_all(&self) -> Result<(), TaskError> {
        let done = self.parts_with(|score| score.is_cleared).await?;
        for (at, part) in self.work.parts.iter().enumerate().filter(|(_, part)| !done.contains(&part.chain)) {
            self.report("clearing the sandbox", at).await?;
            let stays = self.clear(part).await?;
            let (rehearsal, chain) = (self.work.rehearsal, part.chain);
            self.commit("note that a sandbox is cleared", move |conn| {
                rehearsals::put_cleared(conn, rehearsal, chain, stays.as_deref())
            })
            .await?;
        }
        Ok(())
    }

    /// What stays of a part, if something does.
    async fn clear(&self, part: &RehearsePart) -> Result<Option<String>, TaskError> {
        let chain = self.chain(part.chain).await?;
        let feature = features::find(chain.key.feature.as_str()).and_then(|feature| feature.rehearsing());
        let Some(feature) = feature else { return Ok(Some(not_known(&chain))) };
        let outcome = match self.workshop.subject(self.work.sandbox).await {
            Ok(sandbox) => match feature.clear(sandbox.source(), &part.folder).await {
                Ok(stays) => return Ok(stays.map(str::to_owned)),
                Err(err) => item_error(err),
            },
            Err(err) => Err(err),
        };
        // What nobody can do is told; the next part may fare better.
        let why = lasting(outcome)?;
        Ok(Some(format!("\"{}\" could not be deleted: {why}", part.folder)))
    }

    async fn chain(&self, id: ChainId) -> Result<catalog::Chain, TaskError> {
        let found = self.workshop.db.run("read a chain", move |conn| catalog::chains::get(conn, id)).await?;
        found.ok_or_else(|| TaskError::permanent(format!("chain {id} does not exist any more")))
    }

    async fn scores(&self) -> Result<Vec<Score>, TaskError> {
        let rehearsal = self.work.rehearsal;
        Ok(self.workshop.db.run("read scores", move |conn| rehearsals::scores(conn, rehearsal)).await?)
    }

    async fn parts_with(&self, is: impl Fn(&Score) -> bool) -> Result<HashSet<ChainId>, TaskError> {
        Ok(self.scores().await?.iter().filter(|score| is(score)).map(|score| score.chain).collect())
    }

    async fn is_cancelled(&self) -> Result<bool, TaskError> {
        let rehearsal = self.work.rehearsal;
        let found = self.workshop.db.run("read a rehearsal", move |conn| rehearsals::get(conn, rehearsal)).await?;
        Ok(found.is_none_or(|found| found.cancel_requested))
    }

    async fn commit(
        &self,
        what: &'static str,
        work: impl Fn(&mut Conn) -> QueryResult<()> + Send + 'static,
    ) -> Result<(), TaskError> {
        let lease = self.control.lease();
        let committed = self.workshop.db.transaction(what, move |conn| -> Result<(), TxError<LeaseLost>> {
            queue::assert_held(conn, &lease)?;
            queue::made_progress_in(conn, &lease)?;
            Ok(work(conn)?)
        });
        Ok(committed.await?)
    }

    async fn report(&self, phase: &str, parts_done: usize) -> Result<(), TaskError> {
        let progress = Progress {
            phase: phase.to_owned(),
            items_done: parts_done as u64,
            items_total: Some(self.work.parts.len() as u64),
            ..Progress::default()
        };
        self.control.report(progress).await
    }

    /// Ends the rehearsal and its task together.
    async fn finish(&self) -> Result<Done, TaskError> {
        let (mut n_fields, mut n_back) = (0, 0);
        for compared in self.scores().await?.into_iter().filter_map(|score| score.compared) {
            n_fields += compared.n_fields;
            n_back += compared.n_back;
        }
        let result = json!({ "fields": n_fields, "fields_back": n_back }).to_string();
        let (lease, rehearsal) = (self.control.lease(), self.work.rehearsal);
        let outcome = Outcome::Succeeded { result, n_issues: n_fields.saturating_sub(n_back) };
        let ended = self.workshop.db.transaction("end a rehearsal", move |conn| -> Result<(), TxError<LeaseLost>> {
            queue::finish_in(conn, &lease, &outcome)?;
            Ok(rehearsals::finish(conn, rehearsal)?)
        });
        ended.await?;
        Ok(Done::Recorded)
    }
}

fn not_known(chain: &catalog::Chain) -> String {
    format!("this version of kodo does not rehearse the feature \"{}\"", chain.key.feature)
}

/// Why something can never be done; what another attempt may do goes on as an error.
fn lasting(outcome: Result<String, TaskError>) -> Result<String, TaskError> {
    match outcome {
        Ok(why) | Err(TaskError::Permanent(why)) => Ok(why),
        Err(err) => Err(err),
    }
}
