//! `/coverage` and `/resources/{resource}/coverage`: what is protected, how much of it, and what is not.

use std::collections::{BTreeMap, HashMap};

use actix_web::web::{Data, Json, Path};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::error::ApiResult;
use super::points::{ChainView, shown_state};
use super::reference::Ref;
use super::resolve;
use crate::catalog::coverage::{self, Coverage, Covered};
use crate::catalog::issues::IssueCounts;
use crate::catalog::{self, Chain};
use crate::db::Conn;
use crate::features::{self, REGISTRY};
use crate::ids::{ChainId, ContainerId, OrganizationId, ResourceId, TenantId};
use crate::tenants::{self, ResourceFilter, ResourceState};

/// Chains that one resource can have: features times storages.
const CHAINS_MAX: u32 = 1_000;
/// Containers that are shown of a chain, those first whose counts differ.
const CONTAINERS_SHOWN: usize = 1_000;
/// Folders within folders; more are a ring.
const DEPTH_MAX: usize = 400;
/// Resources that are looked at together.
const RESOURCES_TOGETHER: u32 = 1_000;

/// One resource: its features, those never backed up included.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CoverageView {
    pub resource_id: ResourceId,
    pub address: String,
    /// `active`, `disabled` or `deleted`.
    pub resource_state: String,
    pub features: Vec<FeatureCoverage>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FeatureCoverage {
    pub feature: String,
    /// As that of a chain; `unprotected` where there is none.
    pub state: String,
    pub chain: Option<ChainView>,
    /// What the newest restore point holds.
    pub items: u64,
    pub bytes: u64,
    /// What the service counted in the containers that it counts; `null`: it counts none of them.
    pub service_items: Option<u64>,
    /// Those first whose counts differ.
    pub containers: Vec<ContainerCoverage>,
    /// How many there are, shown or not.
    pub n_containers: u64,
    pub passed_over: Vec<PassedOverView>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ContainerCoverage {
    pub id: ContainerId,
    /// Names from the top, with slashes between.
    pub path: String,
    pub hidden: bool,
    /// What is directly in it.
    pub items: u64,
    pub bytes: u64,
    /// How many items the service counted when the last backup began; `null`: it does not count.
    pub service_items: Option<u64>,
    /// Items that could not be captured.
    pub exceptions: u64,
    /// The service counts other than items and exceptions together.
    pub differs: bool,
}

/// What the owner has and the chain leaves out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PassedOverView {
    pub name: String,
    pub why: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TotalsView {
    pub organizations: Vec<OrganizationTotals>,
    pub tenants: Vec<TenantTotals>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrganizationTotals {
    pub organization_id: OrganizationId,
    pub resources: u64,
    pub gone: u64,
    pub features: BTreeMap<String, FeatureTotals>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TenantTotals {
    pub tenant_id: TenantId,
    pub organization_id: OrganizationId,
    pub name: String,
    /// In the directory now.
    pub resources: u64,
    /// No longer in the directory; what was backed up stays.
    pub gone: u64,
    pub features: BTreeMap<String, FeatureTotals>,
}

/// Resources by the state of a feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureTotals {
    /// Without exceptions.
    pub protected: u64,
    pub protected_with_exceptions: u64,
    /// Never backed up to the end, or being rebuilt.
    pub unprotected: u64,
    pub not_applicable: u64,
    /// Items that could not be captured.
    pub exceptions: u64,
    /// The oldest of the newest restore points.
    pub oldest_sealed_at: Option<DateTime<Utc>>,
}

/// How one feature of a resource stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FeatureState {
    pub feature: String,
    /// As that of a chain.
    pub state: String,
    pub exceptions: u64,
    pub sealed_at: Option<DateTime<Utc>>,
}

pub async fn of_resource(app: Data<Shared>, resource: Path<String>) -> ApiResult<Json<CoverageView>> {
    let resource = resolve::resource(&app, &Ref::of(&resource)).await?;
    let chains = resolve::chains(&app, Some(resource.id), ChainId::new(0), CHAINS_MAX).await?;
    let mut features = Vec::with_capacity(chains.len());
    for chain in chains {
        let read = move |conn: &mut Conn| Ok((coverage::of_chain(conn, &chain)?, chain.clone()));
        let (coverage, chain) = app.db.run("read what a chain covers", read).await?;
        features.push(FeatureCoverage::new(chain, coverage));
    }
    let missing = REGISTRY.iter().filter(|known| !features.iter().any(|shown| shown.feature == known.name()));
    features.extend(missing.map(|feature| FeatureCoverage::none(feature.name())).collect::<Vec<_>>());
    Ok(Json(CoverageView {
        resource_id: resource.id,
        address: resource.address,
        resource_state: resource.state.as_str().to_owned(),
        features,
    }))
}

pub async fn totals(app: Data<Shared>) -> ApiResult<Json<TotalsView>> {
    let mut view = TotalsView::default();
    for tenant in tenants::list_tenants(&app.db, None).await? {
        let totals = of_tenant(&app, &tenant).await?;
        let of_organization = view.organizations.iter_mut().find(|one| one.organization_id == tenant.organization);
        match of_organization {
            Some(sum) => sum.add(&totals),
            None => view.organizations.push(OrganizationTotals {
                organization_id: tenant.organization,
                resources: totals.resources,
                gone: totals.gone,
                features: totals.features.clone(),
            }),
        }
        view.tenants.push(totals);
    }
    Ok(Json(view))
}

async fn of_tenant(app: &Shared, tenant: &tenants::TenantView) -> ApiResult<TenantTotals> {
    let mut totals = TenantTotals {
        tenant_id: tenant.id,
        organization_id: tenant.organization,
        name: tenant.name.clone(),
        resources: 0,
        gone: 0,
        features: REGISTRY.iter().map(|feature| (feature.name().to_owned(), FeatureTotals::default())).collect(),
    };
    let mut after = None;
    loop {
        let filter = ResourceFilter::default();
        let page = tenants::list_resources(&app.db, tenant.id, filter, after, RESOURCES_TOGETHER).await?;
        let Some(last) = page.last() else { return Ok(totals) };
        after = Some(last.id);
        let living: Vec<ResourceId> =
            page.iter().filter(|one| one.state != ResourceState::Deleted).map(|one| one.id).collect();
        totals.gone += (page.len() - living.len()) as u64;
        totals.resources += living.len() as u64;
        let states = states(app, living).await?;
        states.values().flatten().for_each(|state| {
            if let Some(sum) = totals.features.get_mut(&state.feature) {
                sum.count(state);
            }
        });
    }
}

/// How every feature of these resources stands. Of several storages the one counts that was sealed last.
pub async fn states(app: &Shared, resources: Vec<ResourceId>) -> ApiResult<HashMap<ResourceId, Vec<FeatureState>>> {
    let wanted = resources.clone();
    let read = move |conn: &mut Conn| {
        let chains = catalog::chains::of_resources(conn, &wanted)?;
        let ids: Vec<ChainId> = chains.iter().map(|chain| chain.id).collect();
        Ok((chains, catalog::issues::counts_of(conn, &ids)?))
    };
    let (chains, issues) = app.db.run("read how resources stand", read).await?;
    let mut newest: HashMap<(ResourceId, &str), &Chain> = HashMap::new();
    for chain in &chains {
        let best = newest.entry((chain.key.resource, chain.key.feature.as_str())).or_insert(chain);
        if best.sealed_at < chain.sealed_at {
            *best = chain;
        }
    }
    let state = |resource: ResourceId, feature: &str| match newest.get(&(resource, feature)) {
        None => FeatureState::none(feature),
        Some(chain) => FeatureState::new(chain, issues.get(&chain.id).copied().unwrap_or_default()),
    };
    let of = |id: ResourceId| (id, REGISTRY.iter().map(|feature| state(id, feature.name())).collect());
    Ok(resources.into_iter().map(of).collect())
}

impl FeatureState {
    fn new(chain: &Chain, issues: IssueCounts) -> Self {
        Self {
            feature: chain.key.feature.to_string(),
            state: shown_state(chain, issues).to_owned(),
            exceptions: issues.open,
            sealed_at: chain.sealed_at,
        }
    }

    fn none(feature: &str) -> Self {
        Self { feature: feature.to_owned(), state: "unprotected".to_owned(), exceptions: 0, sealed_at: None }
    }
}

impl OrganizationTotals {
    fn add(&mut self, tenant: &TenantTotals) {
        self.resources += tenant.resources;
        self.gone += tenant.gone;
        for (feature, more) in &tenant.features {
            self.features.entry(feature.clone()).or_default().add(more);
        }
    }
}

impl FeatureTotals {
    fn count(&mut self, state: &FeatureState) {
        let (mut one, sealed_at) = (Self::default(), state.sealed_at);
        match state.state.as_str() {
            "protected" => (one.protected, one.oldest_sealed_at) = (1, sealed_at),
            "protected_with_exceptions" => (one.protected_with_exceptions, one.oldest_sealed_at) = (1, sealed_at),
            "not_applicable" => one.not_applicable = 1,
            _ => one.unprotected = 1,
        }
        one.exceptions = state.exceptions;
        self.add(&one);
    }

    fn add(&mut self, more: &Self) {
        self.protected += more.protected;
        self.protected_with_exceptions += more.protected_with_exceptions;
        self.unprotected += more.unprotected;
        self.not_applicable += more.not_applicable;
        self.exceptions += more.exceptions;
        self.oldest_sealed_at = [self.oldest_sealed_at, more.oldest_sealed_at].into_iter().flatten().min();
    }
}

impl FeatureCoverage {
    fn new(chain: Chain, coverage: Coverage) -> Self {
        let Coverage { containers, passed_over, issues } = coverage;
        let n_containers = containers.len() as u64;
        let counted: Vec<u64> = containers.iter().filter_map(|one| one.n_service).collect();
        // Older versions of a file are no files.
        let is_thing = |one: &&Covered| !features::holds_parts(chain.key.feature.as_str(), &one.container.graph_id);
        let items = containers.iter().filter(is_thing).map(|one| one.held.items).sum();
        let bytes = containers.iter().map(|one| one.held.bytes).sum();
        Self {
            feature: chain.key.feature.to_string(),
            state: shown_state(&chain, issues).to_owned(),
            chain: Some(ChainView::new(chain, issues)),
            items,
            bytes,
            service_items: (!counted.is_empty()).then(|| counted.iter().sum()),
            containers: shown(&containers),
            n_containers,
            passed_over: passed_over.into_iter().map(|one| PassedOverView { name: one.name, why: one.why }).collect(),
        }
    }

    fn none(feature: &str) -> Self {
        Self {
            feature: feature.to_owned(),
            state: "unprotected".to_owned(),
            chain: None,
            items: 0,
            bytes: 0,
            service_items: None,
            containers: Vec::new(),
            n_containers: 0,
            passed_over: Vec::new(),
        }
    }
}

fn shown(all: &[Covered]) -> Vec<ContainerCoverage> {
    let by_id: HashMap<ContainerId, &Covered> = all.iter().map(|one| (one.container.id, one)).collect();
    let mut shown: Vec<ContainerCoverage> = all.iter().map(|one| container(one, &by_id)).collect();
    shown.sort_by(|a, b| b.differs.cmp(&a.differs).then_with(|| a.path.cmp(&b.path)));
    shown.truncate(CONTAINERS_SHOWN);
    shown
}

fn container(covered: &Covered, by_id: &HashMap<ContainerId, &Covered>) -> ContainerCoverage {
    let mut names = vec![covered.container.name.as_str()];
    let mut above = covered.container.parent;
    while let Some(parent) = above.and_then(|id| by_id.get(&id)).filter(|_| names.len() < DEPTH_MAX) {
        names.push(&parent.container.name);
        above = parent.container.parent;
    }
    names.reverse();
    ContainerCoverage {
        id: covered.container.id,
        path: names.join("/"),
        hidden: covered.container.hidden,
        items: covered.held.items,
        bytes: covered.held.bytes,
        service_items: covered.n_service,
        exceptions: covered.n_issues,
        differs: covered.differs(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(state: &str, exceptions: u64, day: u32) -> FeatureState {
        let sealed_at = chrono::NaiveDate::from_ymd_opt(2026, 1, day).and_then(|date| date.and_hms_opt(0, 0, 0));
        let sealed_at = sealed_at.map(|at| at.and_utc());
        FeatureState { feature: "mailbox".to_owned(), state: state.to_owned(), exceptions, sealed_at }
    }

    #[test]
    fn totals_tell_states_apart_and_the_oldest_protection() {
        let mut totals = FeatureTotals::default();

        for one in [
            state("protected", 0, 5),
            state("protected_with_exceptions", 3, 4),
            state("not_applicable", 1, 1),
            state("unprotected", 0, 2),
            state("rebuilding", 0, 3),
        ] {
            totals.count(&one);
        }

        assert_eq!((totals.protected, totals.protected_with_exceptions), (1, 1));
        assert_eq!((totals.not_applicable, totals.unprotected), (1, 2));
        assert_eq!(totals.exceptions, 4);
        assert_eq!(totals.oldest_sealed_at, state("protected", 0, 4).sealed_at, "what is not protected has no age");
    }
}
