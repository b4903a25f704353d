//! Reads the users of a tenant from its directory.

use serde_json::json;

use super::task::{Control, Done, TaskError};
use super::workshop::Workshop;
use crate::graph::DirectoryUser;
use crate::queue::Progress;
use crate::queue::work::SyncWork;
use crate::tenants::{self, ResourceKind, ResourceState, SeenResource};

/// Pages of 999 users: more than the largest directory that Entra allows.
const PAGES_MAX: u32 = 2_000;

/// Brings the tenant's resources up to date; those the directory no longer has are marked deleted, never dropped.
pub async fn run(workshop: &Workshop, control: &Control) -> Result<Done, TaskError> {
    let work: SyncWork = control.work()?;
    let graph = workshop.graph(work.tenant).await?;
    let mark = tenants::begin_sync(&workshop.db).await?;
    let mut n_seen = 0;
    let mut next = None;
    for _ in 0..PAGES_MAX {
        let page = graph.users(next.as_deref()).await?;
        let seen: Vec<SeenResource> = page.users.into_iter().filter_map(seen).collect();
        n_seen += seen.len() as u64;
        tenants::store_seen(&workshop.db, work.tenant, mark, seen).await?;
        let phase = "reading the directory".to_owned();
        control.report(Progress { phase, items_done: n_seen, ..Progress::default() }).await?;
        next = page.next;
        if next.is_none() {
            let deleted = tenants::finish_sync(&workshop.db, work.tenant, mark).await?;
            return Ok(Done::new(json!({ "resources": n_seen, "deleted": deleted }), 0));
        }
    }
    Err(TaskError::permanent(format!("the directory has more than {PAGES_MAX} pages of users")))
}

/// Guests have their mailbox elsewhere; everybody else may have one here.
fn seen(user: DirectoryUser) -> Option<SeenResource> {
    if user.user_type.as_deref() == Some("Guest") {
        return None;
    }
    // A shared mailbox is a user whose sign-in is blocked and who needs no licence.
    let shared = !user.account_enabled && !user.is_licensed;
    Some(SeenResource {
        kind: if shared { ResourceKind::SharedMailbox } else { ResourceKind::User },
        state: if user.account_enabled || shared { ResourceState::Active } else { ResourceState::Disabled },
        name: user.display_name,
        address: user.user_principal_name,
        graph_id: user.id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(account_enabled: bool, is_licensed: bool, user_type: Option<&str>) -> DirectoryUser {
        DirectoryUser {
            id: "u".to_owned(),
            display_name: "Room 1".to_owned(),
            user_principal_name: "room1@contoso.com".to_owned(),
            mail: None,
            account_enabled,
            user_type: user_type.map(str::to_owned),
            is_licensed,
            has_exchange_plan: false,
            has_sharepoint_plan: false,
            on_premises_sync: false,
        }
    }

    #[test]
    fn shared_mailboxes_rooms_and_equipment_are_protected_like_people() {
        let of = |user| seen(user).map(|seen| (seen.kind, seen.state));

        for user_type in [Some("Member"), None] {
            let shared = Some((ResourceKind::SharedMailbox, ResourceState::Active));
            assert_eq!(of(user(false, false, user_type)), shared);
            // A room with a licence has its sign-in blocked all the same.
            assert_eq!(of(user(false, true, user_type)), Some((ResourceKind::User, ResourceState::Disabled)));
            assert_eq!(of(user(true, true, user_type)), Some((ResourceKind::User, ResourceState::Active)));
        }
        assert_eq!(of(user(true, false, Some("Guest"))), None);
    }
}
