//! `kodo policy`.

use clap::{Args, Subcommand};

use super::exit::CliError;
use super::{Limit, Session};
use crate::api::Ref;
use crate::api::policies::{NewPolicyBody, PolicyView};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a policy
    Add(Add),
    /// List policies
    List(Limit),
}

#[derive(Debug, Args)]
pub struct Add {
    name: String,
    /// Where backups are kept
    #[arg(long)]
    storage: Ref,
    /// May be left out where there is only one
    #[arg(long)]
    organization: Option<Ref>,
}

pub async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::Add(add) => {
            let body = NewPolicyBody { organization: add.organization, name: add.name, storage: add.storage };
            let added: PolicyView = session.client.post("policies", &body).await?;
            session.out.done(&added, &format!("policy {} added: {}", added.id, added.name))
        }
        Command::List(Limit { limit }) => {
            let page = session.client.list::<PolicyView>("policies", &[], limit).await?;
            session.out.list(&page, &["id", "name", "organization", "storage"], |view| {
                vec![
                    view.id.to_string(),
                    view.name.clone(),
                    view.organization_id.to_string(),
                    view.storage_id.to_string(),
                ]
            })
        }
    }
}
