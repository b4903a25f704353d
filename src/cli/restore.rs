//! `kodo restore`.

use clap::{Args, Subcommand};

use super::exit::CliError;
use super::output::{bytes, count, time};
use super::point::Chosen;
use super::{Limit, Session, progress};
use crate::api::Ref;
use crate::api::browse::BrowseView;
use crate::api::restores::{NewRestoreBody, RestoreDetail, RestoreStarted, RestoreView};
use crate::ids::{PointNumber, RestoreId};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Restore {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: Start,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List restores, newest first
    List(Limit),
    /// Show one restore and what it could not bring back
    Show {
        restore: RestoreId,
        /// Wait until it is done
        #[arg(long)]
        wait: bool,
    },
}

#[derive(Debug, Args)]
struct Start {
    #[command(flatten)]
    chosen: Chosen,
    /// As of this restore point [default: the newest]
    #[arg(long)]
    point: Option<PointNumber>,
    /// Into this user's data instead, by id or address
    #[arg(long, value_name = "USER")]
    to_user: Option<Ref>,
    /// Into a new folder at the top, instead of where each item was
    #[arg(long, value_name = "FOLDER")]
    to_folder: Option<String>,
    /// Only what is directly in this folder, such as Inbox/Projects; of a drive all that is below it; can be repeated
    #[arg(long = "folder", value_name = "PATH")]
    folders: Vec<String>,
    /// Only this item, by its key; can be repeated
    #[arg(long = "item", value_name = "KEY")]
    items: Vec<String>,
    /// Wait until it is done
    #[arg(long)]
    wait: bool,
}

pub async fn run(session: &Session, restore: Restore) -> Result<(), CliError> {
    match restore.command {
        None => start(session, restore.start).await,
        Some(Command::List(Limit { limit })) => list(session, limit).await,
        Some(Command::Show { restore, wait: true }) => progress::wait_for_restore(session, restore).await,
        Some(Command::Show { restore, wait: false }) => {
            let view: RestoreDetail = session.client.get(&format!("restores/{restore}"), &[]).await?;
            show(session, &view)
        }
    }
}

async fn start(session: &Session, start: Start) -> Result<(), CliError> {
    let mut body = NewRestoreBody {
        point: start.point,
        target_resource: start.to_user,
        target_folder: start.to_folder,
        ..NewRestoreBody::default()
    };
    if !start.items.is_empty() {
        body.items = Some(start.items);
    }
    for path in start.folders {
        let mut query = start.chosen.query();
        query.extend(start.point.map(|point| ("point", point.to_string())));
        query.extend([("path", path), ("limit", "1".to_owned())]);
        let place: BrowseView = session.client.get("browse", &query).await?;
        match place.folders.last() {
            Some(folder) => body.items.get_or_insert_default().push(folder.key.clone()),
            None => {
                let containers = body.containers.get_or_insert_default();
                containers.extend(place.path.last().map(|container| container.id));
            }
        }
        // The point that the folders were looked up in is the one to restore, even when a newer is sealed meanwhile.
        body.point = Some(place.point);
    }
    match start.chosen.chain {
        Some(chain) => body.chain = Some(chain),
        None => {
            body.resource = start.chosen.user;
            body.feature = Some(start.chosen.feature);
        }
    }
    let started: RestoreStarted = session.client.post("restores", &body).await?;
    if start.wait {
        return progress::wait_for_restore(session, started.restore_id).await;
    }
    let line = format!("restore {0} queued\nnext: kodo restore show {0} --wait", started.restore_id);
    session.out.done(&started, &line)
}

async fn list(session: &Session, limit: u32) -> Result<(), CliError> {
    let page = session.client.list::<RestoreView>("restores", &[], limit).await?;
    let headers =
        ["id", "state", "requested (UTC)", "by", "chain", "point", "created", "updated", "there already", "failed"];
    session.out.list(&page, &headers, |view| {
        vec![
            view.id.to_string(),
            view.state.clone(),
            time(view.created_at),
            view.requested_by.clone(),
            view.chain_id.to_string(),
            view.point.to_string(),
            count(view.outcomes.created),
            count(view.outcomes.updated),
            count(view.outcomes.skipped),
            count(view.outcomes.failed),
        ]
    })
}

pub fn show(session: &Session, view: &RestoreDetail) -> Result<(), CliError> {
    let (restore, outcomes) = (&view.restore, &view.restore.outcomes);
    session.out.facts(
        view,
        &[
            ("restore", restore.id.to_string()),
            ("state", restore.state.clone()),
            ("point", format!("{} of chain {}", restore.point, restore.chain_id)),
            ("into resource", restore.target_resource_id.to_string()),
            ("into folder", restore.target_folder.clone().unwrap_or_default()),
            ("created", count(outcomes.created)),
            ("updated", count(outcomes.updated)),
            ("there already", count(outcomes.skipped)),
            ("failed", count(outcomes.failed)),
            ("size", bytes(outcomes.bytes)),
            ("last error", restore.last_error.clone().unwrap_or_default()),
        ],
    )?;
    if session.out.json || view.remarks.items.is_empty() {
        return Ok(());
    }
    session.out.list(&view.remarks, &["item", "outcome", "remark"], |outcome| {
        vec![outcome.key.clone(), outcome.outcome.clone(), outcome.remark.clone().unwrap_or_default()]
    })
}
