//! `kodo issue`.

use clap::Subcommand;

use super::exit::CliError;
use super::output::time;
use super::point::Chosen;
use super::{Limit, Session};
use crate::api::issues::IssueView;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List items that could not be backed up, and why
    List {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        limit: Limit,
    },
}

pub async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    let Command::List { chosen, limit } = command;
    let page = session.client.list::<IssueView>("issues", &chosen.query(), limit.limit).await?;
    session.out.list(&page, &["item", "name", "reason", "attempts", "last (UTC)", "message"], |view| {
        vec![
            view.key.clone(),
            view.name.clone(),
            view.reason.clone(),
            view.attempts.to_string(),
            time(view.last_at),
            view.message.clone(),
        ]
    })
}
