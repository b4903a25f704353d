//! `/tenants`: Entra tenants, the credentials KODO has for them, and whether these work.

use actix_web::web::{Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::answer::{Accepted, Created, taken};
use super::error::{ApiError, ApiResult};
use super::page::{Page, PageQuery};
use super::reference::Ref;
use super::resolve::checked_name;
use super::{Shared, resolve};
use crate::db::DbError;
use crate::ids::{OrganizationId, TaskId, TenantId};
use crate::queue::work::{self, SyncWork};
use crate::queue::{NewTask, Priority, TaskFilter, TaskKind};
use crate::secret::Secret;
use crate::tenants::{self, CredentialKind, NewTenant, TenantState};
use crate::workers::CheckError;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TenantView {
    pub id: TenantId,
    pub organization_id: OrganizationId,
    pub name: String,
    pub entra_tenant_id: String,
    pub client_id: String,
    /// `secret` or `certificate`; the credential itself is never given out.
    pub credential_kind: String,
    /// `unchecked`, `ready` or `failing`.
    pub state: String,
    /// What to fix when it is failing.
    pub state_detail: Option<String>,
    pub checked_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTenantBody {
    /// May be left out where there is only one.
    pub organization: Option<Ref>,
    pub name: String,
    pub entra_tenant_id: String,
    pub client_id: String,
    pub client_secret: Option<Secret<String>>,
    pub certificate: Option<CertificateBody>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateBody {
    /// PEM
    pub certificate: String,
    /// PEM
    pub private_key: Secret<String>,
}

/// A new credential, in place of the one that expired.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialBody {
    /// Of another app registration, or of a tenant that was rebuilt from a storage; else as it was.
    pub client_id: Option<String>,
    pub client_secret: Option<Secret<String>>,
    pub certificate: Option<CertificateBody>,
}

/// What a check found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TenantChecked {
    #[serde(flatten)]
    pub tenant: TenantView,
    /// What will not work although the rest does, such as restoring with a permission to read alone.
    pub limits: Vec<String>,
}

/// A task was queued.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaskStarted {
    pub task_id: TaskId,
}

/// Open tasks among which a sync that is under way already is looked for.
const OPEN_TASKS_SEARCHED: u32 = 1_000;

impl From<tenants::TenantView> for TenantView {
    fn from(tenant: tenants::TenantView) -> Self {
        let state = tenant.state.as_str().to_owned();
        let state_detail = match tenant.state {
            TenantState::Unchecked | TenantState::Ready => None,
            TenantState::Failing(detail) => Some(detail),
        };
        Self {
            id: tenant.id,
            organization_id: tenant.organization,
            name: tenant.name,
            entra_tenant_id: tenant.entra_tenant_id,
            client_id: tenant.client_id,
            credential_kind: tenant.credential_kind,
            state,
            state_detail,
            checked_at: tenant.checked_at,
            created_at: tenant.created_at,
        }
    }
}

pub async fn list(app: Data<Shared>, query: Query<PageQuery>) -> ApiResult<Json<Page<TenantView>>> {
    let all = tenants::list_tenants(&app.db, None).await?;
    Ok(Json(query.page_of_all(app.rows_max, all, |one| one.id, TenantView::from)?))
}

pub async fn add(app: Data<Shared>, body: Json<NewTenantBody>) -> ApiResult<Created<TenantView>> {
    let body = body.into_inner();
    let name = checked_name("tenant", &body.name)?;
    let organization = resolve::organization(&app, body.organization.as_ref()).await?;
    let (credential_kind, credential) = credential(body.client_secret, body.certificate)?;
    let tenant = NewTenant {
        organization,
        name: name.clone(),
        entra_tenant_id: directory_word("entra_tenant_id", &body.entra_tenant_id, 190)?,
        client_id: directory_word("client_id", &body.client_id, 64)?,
        credential_kind,
        credential,
    };
    accepted(&app, held(&tenant))?;
    let id =
        tenants::add_tenant(&app.db, &app.sealer, tenant).await.map_err(|err| match err.downcast::<DbError>() {
            Ok(err) => taken("tenant", &name, err),
            Err(err) => ApiError::internal(&err),
        })?;
    Ok(Created(tenants::get_tenant(&app.db, id).await?.into()))
}

/// Replaces the credential; the tenant is unchecked until it is checked again.
pub async fn replace_credential(
    app: Data<Shared>,
    tenant: Path<String>,
    body: Json<CredentialBody>,
) -> ApiResult<Json<TenantView>> {
    let CredentialBody { client_id, client_secret, certificate } = body.into_inner();
    let tenant = resolve::tenant(&app, &Ref::of(&tenant)).await?;
    let client_id = directory_word("client_id", client_id.as_deref().unwrap_or(&tenant.client_id), 64)?;
    let (kind, credential) = credential(client_secret, certificate)?;
    let held = tenants::TenantCredentials {
        entra_tenant_id: tenant.entra_tenant_id,
        client_id: client_id.clone(),
        kind,
        credential: credential.clone(),
    };
    accepted(&app, held)?;
    tenants::replace_credential(&app.db, &app.sealer, tenant.id, client_id, kind, credential)
        .await
        .map_err(|err| ApiError::internal(&err))?;
    Ok(Json(tenants::get_tenant(&app.db, tenant.id).await?.into()))
}

/// Obtains a token and probes what the app may do; notes the result. Takes as long as Microsoft takes.
pub async fn check(app: Data<Shared>, tenant: Path<String>) -> ApiResult<Json<TenantChecked>> {
    let tenant = resolve::tenant(&app, &Ref::of(&tenant)).await?.id;
    let found = app.workshop.check(tenant).await.map_err(not_checked)?;
    let state = match found.blocking.as_slice() {
        [] => TenantState::Ready,
        blocking => TenantState::Failing(blocking.join("; ")),
    };
    tenants::set_state(&app.db, tenant, state).await?;
    let tenant = tenants::get_tenant(&app.db, tenant).await?.into();
    Ok(Json(TenantChecked { tenant, limits: found.limits }))
}

/// Queues the sync of the tenant's resources, or answers with the one that is under way.
pub async fn sync(app: Data<Shared>, tenant: Path<String>) -> ApiResult<Accepted<TaskStarted>> {
    let tenant = resolve::tenant(&app, &Ref::of(&tenant)).await?;
    let sync = SyncWork { tenant: tenant.id };
    let task = NewTask {
        kind: TaskKind::SyncResources,
        priority: Priority::Manual,
        organization: tenant.organization,
        tenant: Some(tenant.id),
        resource: None,
        run: None,
        restore: None,
        exclusive_key: None,
        open_key: Some(sync.open_key()),
        work: work::to_json(&sync),
    };
    app.queue.enqueue(vec![task]).await?;
    let filter = TaskFilter { organization: Some(tenant.organization), ..TaskFilter::default() };
    let newest = app.queue.list(filter, None, OPEN_TASKS_SEARCHED).await?;
    let is_it = |task: &&crate::queue::TaskView| {
        task.kind == TaskKind::SyncResources.as_str() && task.tenant == Some(tenant.id)
    };
    match newest.iter().find(is_it) {
        Some(task) => Ok(Accepted(TaskStarted { task_id: task.id })),
        None => Err(ApiError::Conflict(format!("a sync of tenant {} is queued already", tenant.id))),
    }
}

fn credential(
    secret: Option<Secret<String>>,
    certificate: Option<CertificateBody>,
) -> ApiResult<(CredentialKind, Secret<Vec<u8>>)> {
    match (secret, certificate) {
        (Some(secret), None) => {
            let secret = Secret::new(secret.expose().trim().as_bytes().to_vec());
            if secret.expose().is_empty() {
                return Err(ApiError::Unprocessable("client_secret is empty".to_owned()));
            }
            Ok((CredentialKind::Secret, secret))
        }
        (None, Some(pem)) => Ok((CredentialKind::Certificate, pem.to_stored())),
        _ => Err(ApiError::Unprocessable("give either client_secret or certificate".to_owned())),
    }
}

impl CertificateBody {
    /// As it is kept, sealed: JSON with both PEM texts.
    fn to_stored(&self) -> Secret<Vec<u8>> {
        let json = serde_json::json!({ "certificate": self.certificate, "private_key": self.private_key.expose() });
        Secret::new(json.to_string().into_bytes())
    }
}

fn held(tenant: &NewTenant) -> tenants::TenantCredentials {
    tenants::TenantCredentials {
        entra_tenant_id: tenant.entra_tenant_id.clone(),
        client_id: tenant.client_id.clone(),
        kind: tenant.credential_kind,
        credential: tenant.credential.clone(),
    }
}

/// Credentials of the wrong shape are found out before they are stored.
fn accepted(app: &Shared, held: tenants::TenantCredentials) -> ApiResult<()> {
    app.workshop.accepts(held).map_err(|err| ApiError::Unprocessable(format!("{err:#}")))
}

/// Ids and domains are letters, digits, dots and dashes; anything else is a slip of the hand.
fn directory_word(field: &str, text: &str, bytes_max: usize) -> ApiResult<String> {
    let text = text.trim();
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    if text.is_empty() || text.len() > bytes_max || !plain {
        return Err(ApiError::Unprocessable(format!("{field} is not an id or a domain name of Entra: \"{text}\"")));
    }
    Ok(text.to_owned())
}

fn not_checked(err: CheckError) -> ApiError {
    match err {
        CheckError::Here(err) => ApiError::internal(&err),
        CheckError::There(_) => ApiError::Upstream(err.to_string()),
    }
}
