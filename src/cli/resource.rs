//! `kodo resource`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::client::segment;
use super::exit::CliError;
use super::{Limit, Session, coverage, progress};
use crate::api::Ref;
use crate::api::resources::ResourceView;
use crate::api::tenants::TaskStarted;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read the users of a tenant from its directory
    Sync {
        tenant: Ref,
        /// Wait until it is done
        #[arg(long)]
        wait: bool,
    },
    /// List resources
    List(List),
}

#[derive(Debug, Args)]
pub struct List {
    /// Of this tenant only
    #[arg(long)]
    tenant: Option<Ref>,
    /// A part of the name or address
    text: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

pub async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::Sync { tenant, wait } => sync(session, &tenant, wait).await,
        Command::List(list) => {
            let mut query = Vec::new();
            query.extend(list.tenant.map(|tenant| ("tenant", tenant.to_path())));
            query.extend(list.text.map(|text| ("text", text)));
            let page = session.client.list::<ResourceView>("resources", &query, list.limit.limit).await?;
            session.out.list(&page, &["id", "address", "name", "kind", "state", "features"], |view| {
                vec![
                    view.id.to_string(),
                    view.address.clone(),
                    view.name.clone(),
                    view.kind.clone(),
                    view.state.clone(),
                    standing(view),
                ]
            })
        }
    }
}

/// Features that stand alike are named together.
fn standing(view: &ResourceView) -> String {
    let mut alike: Vec<(String, Vec<&str>)> = Vec::new();
    for feature in &view.features {
        let state = coverage::state_text(&feature.state, feature.exceptions);
        match alike.iter_mut().find(|(known, _)| *known == state) {
            Some((_, names)) => names.push(&feature.feature),
            None => alike.push((state, vec![&feature.feature])),
        }
    }
    let told: Vec<String> = alike.iter().map(|(state, names)| format!("{}: {state}", names.join(", "))).collect();
    told.join("; ")
}

async fn sync(session: &Session, tenant: &Ref, wait: bool) -> Result<(), CliError> {
    let path = format!("tenants/{}/sync", segment(&tenant.to_path()));
    let started: TaskStarted = session.client.post(&path, &json!({})).await?;
    if wait {
        return progress::wait_for_task(session, started.task_id).await;
    }
    session.out.done(&started, &format!("task {} queued", started.task_id))
}
