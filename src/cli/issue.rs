//! `kodo issue`.

use clap::Subcommand;

use super::exit::CliError;
use super::output::{count, time};
use super::point::Chosen;
use super::{Limit, Session};
use crate::api::issues::{IssueView, RetryBody, RetryView};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List items that could not be backed up, why, and when they are tried again
    List {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        limit: Limit,
    },
    /// Have the next backup try again, also what was skipped or is not due
    Retry {
        #[command(flatten)]
        chosen: Chosen,
        /// Only this item, by its key
        #[arg(long, value_name = "KEY")]
        item: Option<String>,
    },
}

pub async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::List { chosen, limit } => list(session, &chosen, &limit).await,
        Command::Retry { chosen, item } => {
            let (chain, resource) = (chosen.chain, chosen.user);
            let feature = chain.is_none().then_some(chosen.feature);
            let body = RetryBody { chain, resource, feature, item };
            let view: RetryView = session.client.post("issues/retry", &body).await?;
            session.out.done(&view, &format!("the next backup tries {} items again", count(view.items)))
        }
    }
}

async fn list(session: &Session, chosen: &Chosen, limit: &Limit) -> Result<(), CliError> {
    let page = session.client.list::<IssueView>("issues", &chosen.query(), limit.limit).await?;
    session.out.list(
        &page,
        &["item", "name", "reason", "attempts", "first (UTC)", "last (UTC)", "next try", "message"],
        |view| {
            vec![
                view.key.clone(),
                view.name.clone(),
                view.reason.clone(),
                view.attempts.to_string(),
                time(view.first_at),
                time(view.last_at),
                next_try(view.next_in_runs),
                view.message.clone(),
            ]
        },
    )
}

fn next_try(in_runs: Option<u32>) -> String {
    match in_runs {
        None => "when the service reports it anew".to_owned(),
        Some(1) => "next run".to_owned(),
        Some(runs) => format!("in {runs} runs"),
    }
}
