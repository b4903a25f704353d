//! `kodo agent`.

use clap::Subcommand;

use super::exit::CliError;
use super::output::time;
use super::{Limit, Session};
use crate::api::agents::AgentView;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List agents
    List(Limit),
}

pub const HEADERS: [&str; 7] = ["id", "name", "host", "version", "state", "busy", "heartbeat (UTC)"];

pub async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    let Command::List(Limit { limit }) = command;
    let page = session.client.list::<AgentView>("agents", &[], limit).await?;
    session.out.list(&page, &HEADERS, row)
}

pub fn row(view: &AgentView) -> Vec<String> {
    vec![
        view.id.to_string(),
        view.name.clone(),
        view.host.clone(),
        view.version.clone(),
        if view.online { view.state.clone() } else { format!("{}, offline", view.state) },
        format!("{}/{}", view.busy, view.workers),
        time(view.heartbeat_at),
    ]
}
