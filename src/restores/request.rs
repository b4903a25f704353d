//! What makes a request to restore acceptable, and what each of its parts comes to.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::{Folder, Moment, NewPart, NewRestore, SELECTED_MAX, StartError};
use crate::catalog::{self, Chain};
use crate::db::{Conn, Db, DbError};
use crate::ids::{ChainId, OrganizationId, PointNumber, ResourceId, TenantId};
use crate::queue::work::RestoreSelection;
use crate::tenants::{self, ResourceState, ResourceView, TenantView};

/// Chains that one restore may be about.
pub const PARTS_MAX: usize = 5_000;
const FOLDER_CHARS_MAX: usize = 200;

/// A part that can be done.
pub(super) struct Ready {
    pub chain: Chain,
    pub point: PointNumber,
    pub target: Target,
    pub folder: Option<String>,
    pub selection: Option<RestoreSelection>,
}

/// Where a part goes.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub resource: ResourceId,
    pub tenant: TenantId,
    pub organization: OrganizationId,
}

/// The parts that can be done, and why others are left out that nobody named themselves.
pub(super) async fn ready(db: &Db, request: &NewRestore) -> Result<(Vec<Ready>, Vec<String>), StartError> {
    check(request)?;
    let (mut parts, mut left_out) = (Vec::new(), Vec::new());
    for part in &request.parts {
        match ready_part(db, request, part).await {
            Ok(ready) => parts.push(ready),
            Err(StartError::Refused(why)) if part.may_be_left_out => left_out.push(why),
            Err(err) => return Err(err),
        }
    }
    let Some(first) = parts.first() else {
        return Err(refused(left_out.into_iter().next().unwrap_or_else(|| "nothing was named to restore".to_owned())));
    };
    if parts.iter().any(|part| part.target.organization != first.target.organization) {
        return Err(refused("a restore is about one organization: name the users of one alone".to_owned()));
    }
    check_targets(&parts)?;
    Ok((parts, left_out))
}

async fn ready_part(db: &Db, request: &NewRestore, part: &NewPart) -> Result<Ready, StartError> {
    let id = part.chain;
    let chain =
        db.run("read a chain", move |conn| catalog::chains::get(conn, id)).await?.ok_or(StartError::NoChain(id))?;
    let mut selection = request.selection.clone();
    let point = match request.deleted_between {
        None => point_at(db, &chain, part.point).await?,
        Some((from, to)) => {
            let point = point_at(db, &chain, Moment::At(from)).await?;
            let later = point_at(db, &chain, Moment::At(to)).await?;
            if later <= point {
                return Err(refused(format!("no backup of chain {id} ended between {from} and {to}")));
            }
            selection.get_or_insert_default().gone_at = Some(later);
            point
        }
    };
    if let Some(selection) = &selection {
        check_containers(db, &chain, point, selection).await?;
    }
    let folder = match &request.folder {
        Folder::InPlace => None,
        Folder::Named(name) => Some(name.clone()),
        Folder::OfPoint => Some(format!("Restored {}", sealed_at(db, id, point).await?.format("%Y-%m-%d %H:%M"))),
    };
    let target = target(db, &chain, part.target).await?;
    Ok(Ready { chain, point, target, folder, selection })
}

/// A folder name stands for what one point held: which moment it was is told by when it was sealed.
async fn sealed_at(db: &Db, chain: ChainId, point: PointNumber) -> Result<DateTime<Utc>, StartError> {
    let read = move |conn: &mut Conn| catalog::points::get(conn, chain, point);
    let row = db.run("read a restore point", read).await?;
    Ok(row.and_then(|row| row.sealed_at).ok_or(DbError::NotFound)?)
}

async fn point_at(db: &Db, chain: &Chain, wanted: Moment) -> Result<PointNumber, StartError> {
    let (id, last) = (chain.id, chain.last_point);
    if last == 0 {
        return Err(refused(format!("chain {id} has no restore point yet: back it up first")));
    }
    let number = match wanted {
        Moment::Newest => return Ok(PointNumber::new(last)),
        Moment::Point(number) => number,
        Moment::At(at) => {
            let found = db.run("find a restore point", move |conn| catalog::points::at_moment(conn, id, at)).await?;
            return found.ok_or_else(|| {
                refused(format!("chain {id} has no restore point that ended by {at}: \"kodo point list\" tells which"))
            });
        }
    };
    match db.run("read a restore point", move |conn| catalog::points::get(conn, id, number)).await? {
        Some(point) => match point.state.closed() {
            None => Ok(number),
            Some(why) => Err(refused(format!("point {number} of chain {id} {why}"))),
        },
        None => Err(refused(format!("chain {id} has no point {number}; the newest is {last}"))),
    }
}

/// A container that the point does not hold would bring nothing back, in silence.
async fn check_containers(
    db: &Db,
    chain: &Chain,
    point: PointNumber,
    selection: &RestoreSelection,
) -> Result<(), StartError> {
    if selection.containers.is_empty() {
        return Ok(());
    }
    let id = chain.id;
    let read = move |conn: &mut Conn| catalog::containers::as_of(conn, id, point);
    let held: HashSet<_> = db.run("read containers", read).await?.into_iter().map(|one| one.id).collect();
    match selection.containers.iter().find(|container| !held.contains(container)) {
        None => Ok(()),
        Some(missing) => Err(refused(format!(
            "point {point} of chain {id} holds no container {missing}: \"kodo ls\" shows which it holds"
        ))),
    }
}

/// The target, which must be there and belong to the organization that the data is of.
async fn target(db: &Db, chain: &Chain, wanted: Option<ResourceId>) -> Result<Target, StartError> {
    let (source, _) = resource(db, chain.key.resource).await?;
    let (tenant, view) = resource(db, wanted.unwrap_or(chain.key.resource)).await?;
    if view.state == ResourceState::Deleted {
        return Err(refused(format!("resource {} is gone from its directory: name another target resource", view.id)));
    }
    if tenant.organization != source.organization {
        return Err(refused(format!(
            "resource {} belongs to another organization than the data: it is not restored there",
            view.id
        )));
    }
    Ok(Target { resource: view.id, tenant: tenant.id, organization: tenant.organization })
}

pub(super) async fn resource(db: &Db, id: ResourceId) -> Result<(TenantView, ResourceView), StartError> {
    let view = match tenants::get_resource(db, id).await {
        Err(DbError::NotFound) => return Err(StartError::NoResource(id)),
        other => other?,
    };
    Ok((tenants::get_tenant(db, view.tenant).await?, view))
}

/// In place, the data of two people would be mixed for good.
fn check_targets(parts: &[Ready]) -> Result<(), StartError> {
    let mut taken = HashMap::new();
    for part in parts.iter().filter(|part| part.folder.is_none()) {
        let key = &part.chain.key;
        if let Some(other) = taken.insert((part.target.resource, &key.feature), key.resource)
            && other != key.resource
        {
            return Err(refused(format!(
                "the {} of resources {other} and {} would both go into resource {}: name a target for each, or a folder",
                key.feature, key.resource, part.target.resource
            )));
        }
    }
    Ok(())
}

pub(super) fn check(request: &NewRestore) -> Result<(), StartError> {
    if let Folder::Named(folder) = &request.folder {
        let fits = (1..=FOLDER_CHARS_MAX).contains(&folder.chars().count())
            && !folder.trim().is_empty()
            && !folder.chars().any(char::is_control);
        if !fits {
            return Err(refused(format!("the target folder has 1 to {FOLDER_CHARS_MAX} characters")));
        }
    }
    if request.parts.len() > PARTS_MAX {
        let n = request.parts.len();
        return Err(refused(format!("a restore is about {PARTS_MAX} chains at most, not {n}: name fewer users")));
    }
    if request.deleted_between.is_some_and(|(from, to)| from >= to) {
        return Err(refused("of the two moments the earlier stands first".to_owned()));
    }
    let Some(selection) = &request.selection else { return Ok(()) };
    if request.parts.len() > 1 {
        return Err(refused(
            "containers and items can be chosen of one chain alone: name one user and feature".to_owned(),
        ));
    }
    let n_selected = selection.containers.len() + selection.items.len();
    if (1..=SELECTED_MAX).contains(&n_selected) {
        return Ok(());
    }
    Err(refused(format!("a selection names 1 to {SELECTED_MAX} containers and items, not {n_selected}")))
}

pub(super) fn refused(why: String) -> StartError {
    StartError::Refused(why)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::clock;

    fn request(folder: Option<&str>, selection: Option<RestoreSelection>) -> NewRestore {
        let folder = folder.map_or(Folder::InPlace, |name| Folder::Named(name.to_owned()));
        NewRestore { folder, selection, ..NewRestore::of(ChainId::new(1)) }
    }

    #[test]
    fn a_selection_of_nothing_is_refused_rather_than_taken_for_everything() {
        assert!(check(&request(None, None)).is_ok());
        assert!(check(&request(None, Some(RestoreSelection::default()))).is_err());
    }

    #[test]
    fn a_folder_name_must_be_one() {
        assert!(check(&request(Some("Restored 2026-11-23"), None)).is_ok());
        for bad in ["", "  ", "a\nb", &"x".repeat(201)] {
            assert!(check(&request(Some(bad), None)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_chosen_of_several_chains_and_moments_in_the_wrong_order_are_refused() {
        let selection = RestoreSelection { containers: vec![crate::ids::ContainerId::new(1)], ..Default::default() };
        let mut several = request(None, Some(selection));
        assert!(check(&several).is_ok());
        several.parts.push(NewPart::of(ChainId::new(2)));
        assert!(check(&several).unwrap_err().to_string().contains("one chain alone"));

        let now = clock::now();
        let turned = NewRestore { deleted_between: Some((now, now - TimeDelta::hours(1))), ..request(None, None) };
        assert!(check(&turned).unwrap_err().to_string().contains("earlier"));
    }
}
