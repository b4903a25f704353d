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
use crate::graph::{Credential, GraphClient, GraphError, Severity, TenantCredentials};
use crate::ids::{OrganizationId, TaskId, TenantId};
use crate::queue::work::{self, SyncWork};
use crate::queue::{NewTask, Priority, TaskFilter, TaskKind};
use crate::secret::Secret;
use crate::tenants::{self, CredentialKind, NewTenant, TenantState};

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
    // Credentials of the wrong shape are found out before they are stored; nothing is sent yet.
    GraphClient::new(&app.graph, graph_credentials(held(&tenant))?)
        .map_err(|err| ApiError::Unprocessable(format!("{err:#}")))?;
    let id =
        tenants::add_tenant(&app.db, &app.sealer, tenant).await.map_err(|err| match err.downcast::<DbError>() {
            Ok(err) => taken("tenant", &name, err),
            Err(err) => ApiError::internal(&err),
        })?;
    Ok(Created(tenants::get_tenant(&app.db, id).await?.into()))
}

/// Obtains a token and probes what the app may do; notes the result. Takes as long as Microsoft takes.
pub async fn check(app: Data<Shared>, tenant: Path<String>) -> ApiResult<Json<TenantView>> {
    let tenant = resolve::tenant(&app, &Ref::of(&tenant)).await?.id;
    let held = tenants::credentials(&app.db, &app.sealer, tenant).await.map_err(|err| ApiError::internal(&err))?;
    let client = GraphClient::new(&app.graph, graph_credentials(held)?);
    let problems = match client {
        Ok(client) => client.check().await.map_err(not_asked)?,
        Err(err) => return Err(ApiError::Unprocessable(format!("{err:#}"))),
    };
    let blocking: Vec<String> =
        problems.into_iter().filter(|problem| problem.severity == Severity::Blocks).map(|one| one.text).collect();
    let state = if blocking.is_empty() { TenantState::Ready } else { TenantState::Failing(blocking.join("; ")) };
    tenants::set_state(&app.db, tenant, state).await?;
    Ok(Json(tenants::get_tenant(&app.db, tenant).await?.into()))
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

fn graph_credentials(held: tenants::TenantCredentials) -> ApiResult<TenantCredentials> {
    let unreadable = || ApiError::Unprocessable("the stored credential cannot be read; give it again".to_owned());
    let text = std::str::from_utf8(held.credential.expose()).map_err(|_| unreadable())?;
    let credential = match held.kind {
        CredentialKind::Secret => Credential::Secret(Secret::new(text.to_owned())),
        CredentialKind::Certificate => {
            let pem: CertificateBody = serde_json::from_str(text).map_err(|_| unreadable())?;
            Credential::Certificate { certificate_pem: pem.certificate, private_key_pem: pem.private_key }
        }
    };
    Ok(TenantCredentials { entra_tenant_id: held.entra_tenant_id, client_id: held.client_id, credential })
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

fn not_asked(err: GraphError) -> ApiError {
    ApiError::Upstream(format!("Microsoft could not be asked: {err}"))
}
