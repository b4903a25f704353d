//! Sits at the desk of a tenant's client: what all agents know of the tenant's limits stands in the database, and every
//! request to what they share is settled there before it leaves.
//!
//! While the database does not answer, what was heard waits here, and so do requests to drives and directory: to send
//! without knowing what another agent was asked for would break a promise.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use crate::db::{Db, DbError};
use crate::graph::{Desk, Fence, Matter, Moment, Question, Scope, Settled, Stored};
use crate::ids::TenantId;
use crate::tenants::scopes::{self, ScopeState};

/// Scopes of one tenant that are settled at once.
const SCOPES_AT_ONCE: usize = 4;
/// The pause before what could not be settled is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Works for as long as the client lives.
pub(super) async fn share(db: Db, tenant: TenantId, desk: Desk) {
    while let Some(mut round) = desk.next().await {
        let matters = std::mem::take(&mut round.matters);
        let settled = stream::iter(matters).map(|(scope, matter)| {
            let question = desk.question(&scope, &matter);
            settle(&db, tenant, scope, matter, question)
        });
        let failed: Vec<_> = settled.buffer_unordered(SCOPES_AT_ONCE).filter_map(|kept| async { kept }).collect().await;
        if failed.is_empty() {
            round.done();
        } else {
            desk.put_back(failed, round);
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }
}

/// Settles one scope. What could not be settled is returned.
async fn settle(
    db: &Db,
    tenant: TenantId,
    scope: Scope,
    matter: Matter,
    question: Question,
) -> Option<(Scope, Matter)> {
    match answer(db, tenant, scope.to_string(), question).await {
        Ok(settled) => {
            matter.answer(settled);
            None
        }
        Err(err) => {
            tracing::warn!(tenant.id = %tenant, error = %err, "the limits of a tenant cannot be agreed on");
            Some((scope, matter))
        }
    }
}

async fn answer(db: &Db, tenant: TenantId, name: String, question: Question) -> Result<Settled, DbError> {
    if question.only_reads() {
        let (found, now) = scopes::read(db, tenant, name).await?;
        return Ok(question.settle(stored(found), now));
    }
    let change = move |found: ScopeState, now: Moment| {
        let settled = question.settle(stored(found), now);
        let Stored { fence, used, forget_at } = settled.stored.clone();
        (ScopeState { fence: fence.map(|fence| (fence.until, fence.reason)), used, forget_at }, settled)
    };
    scopes::change(db, tenant, name, change).await
}

fn stored(found: ScopeState) -> Stored {
    let fence = found.fence.map(|(until, reason)| Fence { until, reason });
    Stored { fence, used: found.used, forget_at: found.forget_at }
}
