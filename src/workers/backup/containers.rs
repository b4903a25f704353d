//! Brings the catalog's containers up to date before they are walked.

use std::collections::HashMap;

use super::ledger::Ledger;
use super::walk::ANEW_MAX;
use super::{Backup, Counted, End};
use crate::catalog::chains::{self, PassedOver};
use crate::catalog::{Container, ContainerState, containers, issues};
use crate::db::TxError;
use crate::features::{self, ContainerChanges, Cursor, RemoteContainer, WalkError};
use crate::graph::GraphError;
use crate::ids::ContainerId;
use crate::queue;

/// Containers of one chain. Exchange refuses more than 10,000 folders well before this.
const CONTAINERS_MAX: u32 = 50_000;

/// Reads what changed among the containers, writes it in the open point, and returns those that exist now.
pub async fn refresh(backup: &Backup<'_>, ledger: &mut Ledger<'_>) -> Result<Vec<Counted>, End> {
    let chain = backup.chain;
    let db = &backup.workshop.db;
    let (known, list) = db
        .run("read containers", move |conn| {
            let list = containers::identify(conn, chain, containers::LIST)?;
            Ok((containers::present(conn, chain, CONTAINERS_MAX)?, containers::cursors(conn, list)?))
        })
        .await?;
    let changes = list_changes(backup, list.since.map(Cursor)).await?;
    let removed = vanished(&known, &changes);
    for container in &removed {
        ledger.recorder().container_gone(container);
        ledger.close_container(container.id).await?;
    }
    if !removed.is_empty() {
        // The token that is written below will not report them again.
        ledger.flush().await?;
    }
    let counts: HashMap<String, u64> =
        changes.present.iter().filter_map(|remote| Some((remote.id.clone(), remote.n_items?))).collect();
    let present = write(backup, &changes, removed).await?;
    ledger.know(&present);
    // All that are new in this point: an attempt that was interrupted may have written rows and no record.
    for container in present.iter().filter(|container| container.from == backup.point) {
        ledger.recorder().container(container);
    }
    if let Some(cursor) = &changes.cursor {
        ledger.recorder().list_cursor(&cursor.0);
    }
    let counted = |container: Container| {
        let n_items = counts.get(&container.graph_id).copied();
        (container, n_items)
    };
    Ok(present.into_iter().map(counted).collect())
}

/// How many items a first walk will meet; `None` when some containers are only asked for changes, or the service does
/// not count their items.
pub fn expected_items(containers: &[Counted]) -> Option<u64> {
    let first = containers.iter().all(|(container, _)| container.cursors.since.is_none());
    first.then(|| containers.iter().map(|(_, n_items)| *n_items).sum()).flatten()
}

async fn list_changes(backup: &Backup<'_>, since: Option<Cursor>) -> Result<ContainerChanges, End> {
    let source = backup.subject.source();
    let mut listed = backup.feature.containers(source, since.as_ref()).await;
    for _ in 0..ANEW_MAX {
        // The token of a long listing may expire before its end, too.
        if !matches!(listed, Err(WalkError::Expired)) {
            break;
        }
        listed = backup.feature.containers(source, None).await;
    }
    listed.map_err(|err| match err {
        // Not one of them is missing, but what they would be in: the owner is gone, or has this no more.
        WalkError::Graph(err @ GraphError::NotFound { .. }) => End::NotApplicable(err.to_string()),
        err => End::of(err),
    })
}

/// The known containers that are gone now.
fn vanished(known: &[Container], changes: &ContainerChanges) -> Vec<Container> {
    let gone = |container: &&Container| {
        if changes.whole {
            !changes.present.iter().any(|remote| remote.id == container.graph_id)
        } else {
            changes.removed.contains(&container.graph_id)
        }
    };
    known.iter().filter(gone).cloned().collect()
}

/// Writes the changes; returns all containers that exist now.
async fn write(
    backup: &Backup<'_>,
    changes: &ContainerChanges,
    removed: Vec<Container>,
) -> Result<Vec<Container>, End> {
    let (lease, chain, point) = (backup.control.lease(), backup.chain, backup.point);
    let cursor = changes.cursor.clone().map(|cursor| cursor.0);
    let present = changes.present.clone();
    let passed_over = changes.passed_over.as_ref().map(|all| all.iter().map(PassedOver::from).collect::<Vec<_>>());
    let written = backup.workshop.db.transaction("write containers", move |conn| {
        queue::assert_held(conn, &lease)?;
        for container in &removed {
            containers::close(conn, point, container.id)?;
            containers::forget_cursors(conn, container.id)?;
            issues::resolve_in(conn, chain, container.id)?;
        }
        if let Some(passed_over) = &passed_over {
            chains::set_passed_over(conn, chain, passed_over)?;
        }
        let mut ids: HashMap<&str, ContainerId> = HashMap::new();
        for remote in &present {
            ids.insert(&remote.id, containers::identify(conn, chain, &remote.id)?);
        }
        for remote in &present {
            let parent = match remote.parent.as_deref() {
                None => None,
                Some(parent) => match ids.get(parent) {
                    Some(id) => Some(*id),
                    // An incremental listing names only what changed; the parent was written earlier.
                    None => Some(containers::identify(conn, chain, parent)?),
                },
            };
            let id = ids[remote.id.as_str()];
            containers::put(conn, chain, point, id, &state(remote, parent))?;
        }
        if let Some(cursor) = &cursor {
            let list = containers::identify(conn, chain, containers::LIST)?;
            containers::move_cursor(conn, list, &crate::catalog::CursorUpdate::Done(cursor.clone()))?;
        }
        Ok::<_, TxError<queue::LeaseLost>>(containers::present(conn, chain, CONTAINERS_MAX)?)
    });
    Ok(written.await.map_err(super::TaskError::from)?)
}

impl From<&features::PassedOver> for PassedOver {
    fn from(told: &features::PassedOver) -> Self {
        Self { name: told.name.clone(), why: told.why.clone() }
    }
}

fn state(remote: &RemoteContainer, parent: Option<ContainerId>) -> ContainerState {
    ContainerState {
        graph_id: remote.id.clone(),
        parent,
        name: remote.name.clone(),
        hidden: remote.hidden,
        well_known: remote.well_known.clone(),
        n_items: remote.n_items,
    }
}
