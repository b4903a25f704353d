//! From what a caller names to what it is: ids are looked up, names are searched, doubt is an error.

use super::Shared;
use super::error::{ApiError, ApiResult};
use super::readers::storage_error;
use super::reference::Ref;
use crate::catalog::{self, Chain};
use crate::db::DbError;
use crate::ids::{ChainId, FeatureName, OrganizationId, PointNumber, ResourceId, ScheduleId, StorageId, TenantId};
use crate::scheduler::PolicyView;
use crate::tenants::{self, OrganizationView, ResourceView, TenantView};
use crate::{features, repository};

const NAME_CHARS_MAX: usize = 190;
/// Chains that one resource can have: features times storages.
pub const CHAINS_MAX: u32 = 1_000;

/// A name as it may be given to something: not empty, not all digits, nothing invisible.
pub fn checked_name(what: &str, name: &str) -> ApiResult<String> {
    let name = name.trim();
    let fits = (1..=NAME_CHARS_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if !fits {
        return Err(ApiError::Unprocessable(format!("the {what}'s name must have 1 to {NAME_CHARS_MAX} characters")));
    }
    if name.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ApiError::Unprocessable(format!(
            "the {what}'s name cannot be digits alone: it would be taken for an id"
        )));
    }
    Ok(name.to_owned())
}

/// The one of `all` that is meant. Letter case does not matter, unless it tells two apart.
pub fn pick<'a, T>(
    what: &str,
    wanted: &Ref,
    all: &'a [T],
    id: impl Fn(&T) -> u32,
    name: impl Fn(&T) -> &str,
) -> ApiResult<&'a T> {
    let found = match wanted {
        Ref::Id(wanted) => all.iter().find(|one| id(one) == *wanted),
        Ref::Name(wanted) => all
            .iter()
            .find(|one| name(one) == wanted)
            .or_else(|| all.iter().find(|one| name(one).to_lowercase() == wanted.to_lowercase())),
    };
    found.ok_or_else(|| ApiError::not_found(what, wanted))
}

/// The one that is meant, or the only one there is.
pub fn pick_or_only<'a, T>(
    what: &str,
    wanted: Option<&Ref>,
    all: &'a [T],
    id: impl Fn(&T) -> u32,
    name: impl Fn(&T) -> &str,
) -> ApiResult<&'a T> {
    match (wanted, all) {
        (Some(wanted), all) => pick(what, wanted, all, id, name),
        (None, [only]) => Ok(only),
        (None, []) => Err(ApiError::Unprocessable(format!("there is no {what} yet: add one first"))),
        (None, several) => {
            let names: Vec<&str> = several.iter().take(10).map(name).collect();
            Err(ApiError::Unprocessable(format!("which {what}? there are {}: {}", several.len(), names.join(", "))))
        }
    }
}

pub async fn organization(app: &Shared, wanted: Option<&Ref>) -> ApiResult<OrganizationId> {
    let all = tenants::list_organizations(&app.db).await?;
    let organization: &OrganizationView =
        pick_or_only("organization", wanted, &all, |one| one.id.get(), |one| &one.name)?;
    Ok(organization.id)
}

pub async fn tenant(app: &Shared, wanted: &Ref) -> ApiResult<TenantView> {
    if let Ref::Id(id) = wanted {
        return found("tenant", wanted, tenants::get_tenant(&app.db, TenantId::new(*id)).await);
    }
    let all = tenants::list_tenants(&app.db, None).await?;
    pick("tenant", wanted, &all, |one| one.id.get(), |one| &one.name).cloned()
}

/// The resource with this id, address, directory id or name. Several of that name are an error.
pub async fn resource(app: &Shared, wanted: &Ref) -> ApiResult<ResourceView> {
    let text = match wanted {
        Ref::Id(id) => return found("resource", wanted, tenants::get_resource(&app.db, ResourceId::new(*id)).await),
        Ref::Name(text) => text,
    };
    let mut matching = Vec::new();
    for tenant in tenants::list_tenants(&app.db, None).await? {
        matching.extend(tenants::find_resources(&app.db, tenant.id, text).await?);
    }
    match matching.len() {
        1 => Ok(matching.remove(0)),
        0 => Err(ApiError::NotFound(format!(
            "there is no resource {wanted}: list them, or sync the tenant's resources first"
        ))),
        n => {
            let ids: Vec<String> = matching.iter().take(10).map(|one| one.id.to_string()).collect();
            Err(ApiError::Unprocessable(format!("{n} resources are called {wanted}; give an id: {}", ids.join(", "))))
        }
    }
}

/// Resources by what they are called, in the order given; all of one tenant, where one is named.
pub async fn resource_ids(app: &Shared, tenant: Option<TenantId>, named: &[Ref]) -> ApiResult<Vec<ResourceId>> {
    let mut ids = Vec::with_capacity(named.len());
    for wanted in named {
        let resource = resource(app, wanted).await?;
        if tenant.is_some_and(|tenant| tenant != resource.tenant) {
            return Err(ApiError::Unprocessable(format!("resource {wanted} belongs to another tenant")));
        }
        ids.push(resource.id);
    }
    Ok(ids)
}

pub async fn storage(app: &Shared, wanted: &Ref) -> ApiResult<StorageId> {
    let all = repository::list_storages(&app.db).await.map_err(storage_error)?;
    pick("storage", wanted, &all, |one| one.id.get(), |one| &one.name).map(|one| one.id)
}

pub async fn policy(app: &Shared, wanted: Option<&Ref>) -> ApiResult<PolicyView> {
    let all = app.scheduler.policies(None).await?;
    pick_or_only("policy", wanted, &all, |one| one.id.get(), |one| &one.name).cloned()
}

pub async fn schedule(app: &Shared, wanted: &Ref) -> ApiResult<ScheduleId> {
    let all = app.scheduler.schedules(None).await?;
    pick("schedule", wanted, &all, |one| one.id.get(), |one| &one.name).map(|one| one.id)
}

/// Refuses features that this version does not have.
pub fn check_features(wanted: &[FeatureName]) -> ApiResult<()> {
    if wanted.is_empty() {
        return Err(ApiError::Unprocessable(format!("name at least one feature: {}", known_features())));
    }
    match wanted.iter().find(|name| features::find(name.as_str()).is_none()) {
        None => Ok(()),
        Some(name) => {
            Err(ApiError::Unprocessable(format!("there is no feature \"{name}\"; there is {}", known_features())))
        }
    }
}

fn known_features() -> String {
    features::REGISTRY.iter().map(|feature| feature.name()).collect::<Vec<_>>().join(", ")
}

/// How a request names a chain.
pub struct ChainWanted<'a> {
    pub chain: Option<ChainId>,
    pub resource: Option<&'a Ref>,
    pub feature: Option<&'a FeatureName>,
}

/// The chain that is named, or the one of a resource and feature; among several storages, the one sealed last.
pub async fn chain(app: &Shared, wanted: ChainWanted<'_>) -> ApiResult<Chain> {
    match wanted {
        ChainWanted { chain: Some(id), resource: None, feature: None } => {
            let found = app.db.run("read a chain", move |conn| catalog::chains::get(conn, id)).await?;
            found.ok_or_else(|| ApiError::not_found("chain", id))
        }
        ChainWanted { chain: None, resource: Some(named), feature: Some(feature) } => {
            let resource = resource(app, named).await?.id;
            let all = chains(app, Some(resource), ChainId::new(0), CHAINS_MAX).await?;
            let of_feature = all.into_iter().filter(|chain| chain.key.feature == *feature);
            of_feature.max_by_key(|chain| chain.sealed_at).ok_or_else(|| {
                ApiError::NotFound(format!("{feature} of resource {named} was never backed up: back it up first"))
            })
        }
        _ => Err(ApiError::BadRequest("name either a chain, or a resource and a feature".to_owned())),
    }
}

pub async fn chains(app: &Shared, resource: Option<ResourceId>, after: ChainId, limit: u32) -> ApiResult<Vec<Chain>> {
    let read = move |conn: &mut crate::db::Conn| catalog::chains::list(conn, resource, after, limit);
    Ok(app.db.run("list chains", read).await?)
}

/// The sealed point of this number, or the newest.
pub async fn sealed_point(app: &Shared, chain: &Chain, wanted: Option<PointNumber>) -> ApiResult<PointNumber> {
    if chain.last_point == 0 {
        return Err(ApiError::NotFound(format!("chain {} has no restore point yet", chain.id)));
    }
    let newest = PointNumber::new(chain.last_point);
    let Some(number) = wanted else { return Ok(newest) };
    let id = chain.id;
    let point = app.db.run("read a restore point", move |conn| catalog::points::get(conn, id, number)).await?;
    match point {
        Some(point) => match point.state.closed() {
            None => Ok(number),
            Some(why) => Err(ApiError::Unprocessable(format!("point {number} of chain {id} {why}"))),
        },
        None => Err(ApiError::NotFound(format!("chain {id} has no point {number}; the newest is {newest}"))),
    }
}

fn found<T>(what: &str, wanted: &Ref, outcome: Result<T, DbError>) -> ApiResult<T> {
    match outcome {
        Err(DbError::NotFound) => Err(ApiError::not_found(what, wanted)),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [(u32, &str); 3] = [(1, "Nightly"), (2, "weekly"), (3, "nightly")];

    fn picked(wanted: Option<&str>, all: &[(u32, &str)]) -> ApiResult<u32> {
        let wanted: Option<Ref> = wanted.map(|text| text.parse().unwrap());
        pick_or_only("policy", wanted.as_ref(), all, |one| one.0, |one| one.1).map(|one| one.0)
    }

    #[test]
    fn the_only_one_need_not_be_named() {
        assert_eq!(picked(None, &ALL[..1]).unwrap(), 1);
        assert!(picked(None, &ALL).unwrap_err().to_string().contains("which policy? there are 3"));
        assert!(picked(None, &[]).is_err());
    }

    #[test]
    fn letter_case_matters_only_where_it_tells_two_apart() {
        assert_eq!(picked(Some("nightly"), &ALL).unwrap(), 3);
        assert_eq!(picked(Some("WEEKLY"), &ALL).unwrap(), 2);
        assert_eq!(picked(Some("2"), &ALL).unwrap(), 2);
        assert!(picked(Some("yearly"), &ALL).is_err());
    }

    #[test]
    fn a_name_that_could_be_an_id_is_refused() {
        assert_eq!(checked_name("policy", " nightly ").unwrap(), "nightly");
        for bad in ["", "  ", "42", "a\u{7}b"] {
            assert!(checked_name("policy", bad).is_err(), "{bad:?}");
        }
    }
}
