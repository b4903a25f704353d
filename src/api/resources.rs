//! `/resources`: the users that have data.

use actix_web::web::{Data, Json, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::coverage::{self, FeatureState};
use super::error::ApiResult;
use super::page::{Page, PageQuery};
use super::reference::Ref;
use super::{Shared, resolve};
use crate::ids::{ResourceId, TenantId};
use crate::tenants::{self, ResourceFilter};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ResourceView {
    pub id: ResourceId,
    pub tenant_id: TenantId,
    pub kind: String,
    pub name: String,
    pub address: String,
    /// `active`, `disabled` or `deleted`.
    pub state: String,
    /// The last time that the directory listed it.
    pub seen_at: DateTime<Utc>,
    /// How each feature stands.
    pub features: Vec<FeatureState>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceQuery {
    tenant: Option<Ref>,
    /// A part of the name or address.
    text: Option<String>,
    limit: Option<u32>,
    cursor: Option<String>,
}

impl ResourceView {
    fn new(resource: tenants::ResourceView, features: Vec<FeatureState>) -> Self {
        Self {
            id: resource.id,
            tenant_id: resource.tenant,
            kind: resource.kind,
            name: resource.name,
            address: resource.address,
            state: resource.state.as_str().to_owned(),
            seen_at: resource.seen_at,
            features,
        }
    }
}

/// Tenant by tenant, and in each in the order of the ids.
pub async fn list(app: Data<Shared>, query: Query<ResourceQuery>) -> ApiResult<Json<Page<ResourceView>>> {
    let page = PageQuery::new(query.limit, query.cursor.clone());
    let (rows, after) = (page.rows(app.rows_max)?, page.after::<(TenantId, ResourceId)>()?);
    let wanted = match &query.tenant {
        Some(wanted) => Some(resolve::tenant(&app, wanted).await?.id),
        None => None,
    };
    let filter = ResourceFilter { text: query.text.clone(), ..ResourceFilter::default() };
    let read = read(&app, wanted, &filter, after, rows + 1).await?;
    let mut states = coverage::states(&app, read.iter().map(|one| one.id).collect()).await?;
    let view = |one: tenants::ResourceView| {
        let features = states.remove(&one.id).unwrap_or_default();
        ResourceView::new(one, features)
    };
    Ok(Json(Page::cut(read, rows, |one| (one.tenant, one.id), view)))
}

async fn read(
    app: &Shared,
    wanted: Option<TenantId>,
    filter: &ResourceFilter,
    after: Option<(TenantId, ResourceId)>,
    limit: u32,
) -> ApiResult<Vec<tenants::ResourceView>> {
    let mut ids: Vec<TenantId> = match wanted {
        Some(id) => vec![id],
        None => tenants::list_tenants(&app.db, None).await?.into_iter().map(|tenant| tenant.id).collect(),
    };
    ids.sort_unstable();
    let mut found = Vec::new();
    for id in ids.into_iter().filter(|id| after.is_none_or(|(last, _)| *id >= last)) {
        let behind = after.filter(|(last, _)| *last == id).map(|(_, resource)| resource);
        let missing = limit - found.len() as u32;
        found.extend(tenants::list_resources(&app.db, id, filter.clone(), behind, missing).await?);
        if found.len() as u32 >= limit {
            break;
        }
    }
    Ok(found)
}
