//! `kodo run`.

use clap::Subcommand;
use serde_json::json;

use super::exit::CliError;
use super::output::{bytes, count, or_dash, time, time_or_dash};
use super::{Limit, Session, progress};
use crate::api::runs::RunView;
use crate::ids::RunId;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List runs, newest first
    List(Limit),
    /// Show one run
    Show {
        run: RunId,
        /// Wait until the run is done
        #[arg(long)]
        wait: bool,
    },
    /// Cancel what is left of a run
    Cancel { run: RunId },
}

pub async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::List(Limit { limit }) => {
            let page = session.client.list::<RunView>("runs", &[], limit).await?;
            session.out.list(&page, &["id", "schedule", "state", "started (UTC)", "tasks", "items", "size"], |view| {
                vec![
                    view.id.to_string(),
                    view.schedule_id.map_or_else(|| view.reason.clone(), |id| id.to_string()),
                    view.state.clone(),
                    time(view.created_at),
                    format!("{}/{}", view.progress.tasks.ended(), view.progress.tasks.total()),
                    count(view.progress.items_done),
                    bytes(view.progress.bytes_done),
                ]
            })
        }
        Command::Cancel { run } => {
            let view: RunView = session.client.post(&format!("runs/{run}/cancel"), &json!({})).await?;
            let line = match view.state.as_str() {
                "running" => format!("run {run} is being stopped"),
                state => format!("run {run} is {state}"),
            };
            session.out.done(&view, &line)
        }
        Command::Show { run, wait: true } => progress::wait_for_run(session, run).await,
        Command::Show { run, wait: false } => {
            let view: RunView = session.client.get(&format!("runs/{run}"), &[]).await?;
            show(session, &view)
        }
    }
}

pub fn show(session: &Session, view: &RunView) -> Result<(), CliError> {
    let progress = &view.progress;
    let tasks = progress.tasks;
    session.out.facts(
        view,
        &[
            ("run", view.id.to_string()),
            ("state", view.state.clone()),
            ("schedule", or_dash(view.schedule_id)),
            ("started (UTC)", time(view.created_at)),
            ("finished (UTC)", time_or_dash(view.finished_at)),
            (
                "tasks",
                format!(
                    "{} succeeded, {} failed, {} cancelled, {} running, {} queued",
                    tasks.succeeded, tasks.failed, tasks.cancelled, tasks.leased, tasks.queued
                ),
            ),
            (
                "left out",
                if view.skipped > 0 { format!("{} being backed up already", view.skipped) } else { String::new() },
            ),
            ("gone", if view.gone > 0 { format!("{} no longer in the directory", view.gone) } else { String::new() }),
            (
                "not applicable",
                view.not_applicable.filter(|n| *n > 0).map_or_else(String::new, |n| {
                    format!("{n} resources do not have the feature: \"kodo point chains\" says why")
                }),
            ),
            ("items", count(progress.items_done)),
            ("size", bytes(progress.bytes_done)),
            ("issues", count(progress.issues)),
        ],
    )
}
