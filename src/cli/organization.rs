//! `kodo organization`.

use clap::Subcommand;

use super::exit::CliError;
use super::output::time;
use super::{Limit, Session};
use crate::api::organizations::{NewOrganization, OrganizationView};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add an organization
    Add { name: String },
    /// List organizations
    List(Limit),
}

pub async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::Add { name } => {
            let added: OrganizationView = session.client.post("organizations", &NewOrganization { name }).await?;
            session.out.done(&added, &format!("organization {} added: {}", added.id, added.name))
        }
        Command::List(Limit { limit }) => {
            let page = session.client.list::<OrganizationView>("organizations", &[], limit).await?;
            session.out.list(&page, &["id", "name", "created"], |view| {
                vec![view.id.to_string(), view.name.clone(), time(view.created_at)]
            })
        }
    }
}
