//! `kodo point`, and how commands say which chain they mean.

use clap::{Args, Subcommand};

use super::exit::CliError;
use super::output::{bytes, count, time, time_or_dash};
use super::{Limit, Session, coverage, progress};
use crate::api::Ref;
use crate::api::points::{ChainView, DeletePointBody, PointView};
use crate::api::tenants::TaskStarted;
use crate::ids::{ChainId, FeatureName, PointNumber};

/// Which chain: by its id, or as a feature of a user.
#[derive(Clone, Debug, Args)]
pub struct Chosen {
    /// Whose data, by id or address
    #[arg(long, value_name = "USER", required_unless_present = "chain")]
    pub user: Option<Ref>,
    /// Which data
    #[arg(long, default_value = "mailbox", conflicts_with = "chain")]
    pub feature: FeatureName,
    /// The chain, instead of user and feature
    #[arg(long, conflicts_with = "user")]
    pub chain: Option<ChainId>,
}

impl Chosen {
    pub fn query(&self) -> Vec<(&'static str, String)> {
        match (&self.chain, &self.user) {
            (Some(chain), _) => vec![("chain", chain.to_string())],
            (None, user) => {
                let user = user.iter().map(|user| ("resource", user.to_path()));
                user.chain([("feature", self.feature.to_string())]).collect()
            }
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the restore points of a user's data, newest first
    List {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        limit: Limit,
    },
    /// Give up one restore point for good; the newest one stays
    Delete {
        #[command(flatten)]
        chosen: Chosen,
        #[arg(long)]
        point: PointNumber,
        /// Wait until what only it needed is deleted
        #[arg(long)]
        wait: bool,
    },
    /// List what is protected: one chain for each feature of a user and storage
    Chains {
        /// Of this user only, by id or address
        #[arg(long)]
        user: Option<Ref>,
        #[command(flatten)]
        limit: Limit,
    },
}

pub async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::List { chosen, limit } => {
            let page = session.client.list::<PointView>("points", &chosen.query(), limit.limit).await?;
            let headers =
                ["point", "state", "sealed (UTC)", "items", "added", "changed", "removed", "issues", "stored"];
            session.out.list(&page, &headers, |view| {
                vec![
                    view.number.to_string(),
                    view.state.clone(),
                    time_or_dash(view.sealed_at),
                    count(view.items),
                    count(view.added),
                    count(view.changed),
                    count(view.removed),
                    count(view.issues),
                    bytes(view.bytes_stored),
                ]
            })
        }
        Command::Delete { chosen, point, wait } => {
            let (chain, resource) = (chosen.chain, chosen.user);
            let feature = chain.is_none().then_some(chosen.feature);
            let body = DeletePointBody { chain, resource, feature, point };
            let started: TaskStarted = session.client.post("points/delete", &body).await?;
            if wait {
                return progress::wait_for_task(session, started.task_id).await;
            }
            session.out.done(&started, &format!("task {} queued", started.task_id))
        }
        Command::Chains { user, limit } => {
            let query: Vec<_> = user.map(|user| ("resource", user.to_path())).into_iter().collect();
            let page = session.client.list::<ChainView>("chains", &query, limit.limit).await?;
            session.out.list(&page, &["chain", "resource", "feature", "state", "last point", "of (UTC)"], |view| {
                vec![
                    view.id.to_string(),
                    view.resource_id.to_string(),
                    view.feature.to_string(),
                    match &view.state_detail {
                        Some(why) => format!("{}: {why}", coverage::state_text(&view.state, view.exceptions)),
                        None => coverage::state_text(&view.state, view.exceptions),
                    },
                    view.last_point.map_or_else(|| "-".to_owned(), |number| number.to_string()),
                    view.sealed_at.map_or_else(|| "-".to_owned(), time),
                ]
            })
        }
    }
}
