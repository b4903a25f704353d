//! `kodo tenant`: credentials come from files, the environment or a prompt.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::segment;
use super::exit::CliError;
use super::output::{self, time_or_dash};
use super::{Limit, Session};
use crate::api::Ref;
use crate::api::tenants::{TenantChecked, TenantView};
use crate::config;
use crate::secret::Secret;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a tenant with the app registration that has access to it
    Add(Add),
    /// Replace the credential, such as a client secret that has expired
    Renew(Renew),
    /// Try the credentials and permissions against Microsoft
    Check { tenant: Ref },
    /// List tenants
    List(Limit),
}

#[derive(Debug, Args)]
pub struct Add {
    /// How the tenant is called here
    name: String,
    /// The organization it belongs to; may be left out where there is only one
    #[arg(long)]
    organization: Option<Ref>,
    /// Directory (tenant) id of Entra, or one of its domain names
    #[arg(long, value_name = "ID")]
    entra_tenant_id: String,
    /// Application (client) id of the app registration
    #[arg(long, value_name = "ID")]
    client_id: String,
    #[command(flatten)]
    credential: CredentialFiles,
}

#[derive(Debug, Args)]
pub struct Renew {
    tenant: Ref,
    /// Application (client) id, if it is another than before or the tenant was rebuilt from a storage
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    #[command(flatten)]
    credential: CredentialFiles,
}

#[derive(Debug, Args)]
struct CredentialFiles {
    /// File with the client secret [default: KODO_CLIENT_SECRET, else asked for]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["certificate_file", "private_key_file"])]
    secret_file: Option<PathBuf>,
    /// PEM file with the certificate of the app registration, instead of a secret
    #[arg(long, value_name = "FILE", requires = "private_key_file")]
    certificate_file: Option<PathBuf>,
    /// PEM file with the certificate's private key
    #[arg(long, value_name = "FILE", requires = "certificate_file")]
    private_key_file: Option<PathBuf>,
}

pub async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::Add(add) => {
            let added: TenantView = session.client.post("tenants", &body(add)?).await?;
            let line = format!("tenant {} added: {}\nnext: kodo tenant check {}", added.id, added.name, added.id);
            session.out.done(&added, &line)
        }
        Command::Renew(Renew { tenant, client_id, credential }) => {
            let path = format!("tenants/{}/credential", segment(&tenant.to_path()));
            let mut body = credential.body()?;
            body["client_id"] = json!(client_id);
            let renewed: TenantView = session.client.post(&path, &body).await?;
            let line = format!("tenant {} has a new credential\nnext: kodo tenant check {}", renewed.name, renewed.id);
            session.out.done(&renewed, &line)
        }
        Command::Check { tenant } => check(session, &tenant).await,
        Command::List(Limit { limit }) => {
            let page = session.client.list::<TenantView>("tenants", &[], limit).await?;
            session.out.list(&page, &["id", "name", "entra tenant", "state", "checked", "detail"], |view| {
                vec![
                    view.id.to_string(),
                    view.name.clone(),
                    view.entra_tenant_id.clone(),
                    view.state.clone(),
                    time_or_dash(view.checked_at),
                    view.state_detail.clone().unwrap_or_default(),
                ]
            })
        }
    }
}

async fn check(session: &Session, tenant: &Ref) -> Result<(), CliError> {
    let path = format!("tenants/{}/check", segment(&tenant.to_path()));
    let view: TenantChecked = session.client.post(&path, &json!({})).await?;
    let checked = &view.tenant;
    session.out.facts(
        &view,
        &[
            ("tenant", format!("{} ({})", checked.name, checked.id)),
            ("state", checked.state.clone()),
            ("detail", checked.state_detail.clone().unwrap_or_default()),
            ("limits", view.limits.join("; ")),
        ],
    )?;
    if checked.state == "ready" {
        return Ok(());
    }
    let detail = checked.state_detail.as_ref().unwrap_or(&checked.state);
    Err(CliError::Failed(format!("tenant {} is not ready: {detail}", checked.name)))
}

fn body(add: Add) -> Result<Value, CliError> {
    let mut body = add.credential.body()?;
    body["organization"] = json!(add.organization);
    body["name"] = json!(add.name);
    body["entra_tenant_id"] = json!(add.entra_tenant_id);
    body["client_id"] = json!(add.client_id);
    Ok(body)
}

impl CredentialFiles {
    fn body(&self) -> Result<Value, CliError> {
        match (&self.certificate_file, &self.private_key_file) {
            (Some(certificate), Some(key)) => {
                let (certificate, key) = (read(certificate)?, read(key)?);
                Ok(json!({ "certificate": { "certificate": certificate.expose(), "private_key": key.expose() } }))
            }
            _ => Ok(json!({ "client_secret": client_secret(self.secret_file.as_deref())?.expose() })),
        }
    }
}

fn client_secret(file: Option<&Path>) -> Result<Secret<String>, CliError> {
    let given = match (file, config::client_env().client_secret) {
        (Some(file), _) => read(file)?,
        (None, Some(secret)) => secret,
        (None, None) if std::io::stdin().is_terminal() => {
            output::remark("client secret (not shown):")?;
            Secret::new(rpassword::read_password().context("cannot read the client secret")?)
        }
        (None, None) => {
            return Err(CliError::Usage(
                "there is no client secret: give --secret-file, set KODO_CLIENT_SECRET, or run this in a terminal"
                    .to_owned(),
            ));
        }
    };
    let trimmed = Secret::new(given.expose().trim().to_owned());
    if trimmed.expose().is_empty() {
        return Err(CliError::Usage("the client secret is empty".to_owned()));
    }
    Ok(trimmed)
}

fn read(file: &Path) -> Result<Secret<String>, CliError> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Secret::new(text))
}
