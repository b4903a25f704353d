//! `/organizations`: administrative homes.

use actix_web::web::{Data, Json, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::answer::{Created, taken};
use super::error::ApiResult;
use super::page::{Page, PageQuery};
use super::resolve::checked_name;
use crate::ids::OrganizationId;
use crate::tenants;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OrganizationView {
    pub id: OrganizationId,
    pub name: String,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOrganization {
    pub name: String,
}

impl From<tenants::OrganizationView> for OrganizationView {
    fn from(organization: tenants::OrganizationView) -> Self {
        Self { id: organization.id, name: organization.name, created_at: organization.created_at }
    }
}

pub async fn list(app: Data<Shared>, query: Query<PageQuery>) -> ApiResult<Json<Page<OrganizationView>>> {
    let all = tenants::list_organizations(&app.db).await?;
    Ok(Json(query.page_of_all(app.rows_max, all, |one| one.id, OrganizationView::from)?))
}

pub async fn add(app: Data<Shared>, body: Json<NewOrganization>) -> ApiResult<Created<OrganizationView>> {
    let name = checked_name("organization", &body.name)?;
    let id = tenants::add_organization(&app.db, &name).await.map_err(|err| taken("organization", &name, err))?;
    Ok(Created(tenants::get_organization(&app.db, id).await?.into()))
}
