//! From a tenant's sealed credentials to the client that uses them, and whether they work.

use anyhow::Context;
use serde::Deserialize;

use super::limits;
use super::workshop::Workshop;
use crate::db::Db;
use crate::graph::{Credential, GraphClient, GraphConfig, GraphError, Problem, Severity, TenantCredentials};
use crate::ids::TenantId;
use crate::secret::Secret;
use crate::tenants;

/// What keeps KODO from its work in a tenant, each with its remedy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantFindings {
    /// No backup is possible.
    pub blocking: Vec<String>,
    /// Backups work, restores do not, or not everywhere.
    pub limits: Vec<String>,
}

/// Why a check came to no finding.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The tenant or its credentials cannot be read here.
    #[error("{0:#}")]
    Here(anyhow::Error),
    #[error("Microsoft could not be asked: {0}")]
    There(GraphError),
}

/// How a certificate credential is kept, sealed: JSON with both PEM texts.
#[derive(Deserialize)]
struct CertificatePem {
    certificate: String,
    private_key: Secret<String>,
}

/// A client with these credentials, which shares the limits of the tenant with every other one.
pub(super) fn client(
    db: &Db,
    config: &GraphConfig,
    tenant: TenantId,
    held: tenants::TenantCredentials,
) -> anyhow::Result<GraphClient> {
    let (client, desk) = GraphClient::sharing(config, credentials(held)?)?;
    tokio::spawn(limits::share(db.clone(), tenant, desk));
    Ok(client)
}

fn credentials(held: tenants::TenantCredentials) -> anyhow::Result<TenantCredentials> {
    let text = std::str::from_utf8(held.credential.expose()).context("the credential is not text")?;
    let credential = match held.kind {
        tenants::CredentialKind::Secret => Credential::Secret(Secret::new(text.to_owned())),
        tenants::CredentialKind::Certificate => {
            let pem: CertificatePem =
                serde_json::from_str(text).context("the stored certificate is not understood; give it again")?;
            Credential::Certificate { certificate_pem: pem.certificate, private_key_pem: pem.private_key }
        }
    };
    Ok(TenantCredentials { entra_tenant_id: held.entra_tenant_id, client_id: held.client_id, credential })
}

impl Workshop {
    /// Refuses credentials of the wrong shape, before they are stored.
    pub fn accepts(&self, held: tenants::TenantCredentials) -> anyhow::Result<()> {
        GraphClient::new(&self.graph, credentials(held)?).map(drop)
    }

    /// Obtains a token and probes what the app may do. Takes as long as Microsoft takes.
    pub async fn check(&self, tenant: TenantId) -> Result<TenantFindings, CheckError> {
        let held = tenants::credentials(&self.db, &self.sealer, tenant).await.map_err(CheckError::Here)?;
        let client = client(&self.db, &self.graph, tenant, held).map_err(CheckError::Here)?;
        let problems = client.check().await.map_err(CheckError::There)?;
        let (blocking, limits): (Vec<Problem>, Vec<Problem>) =
            problems.into_iter().partition(|problem| problem.severity == Severity::Blocks);
        let texts = |problems: Vec<Problem>| problems.into_iter().map(|problem| problem.text).collect();
        Ok(TenantFindings { blocking: texts(blocking), limits: texts(limits) })
    }
}
