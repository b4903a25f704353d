//! `kodo task`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::exit::CliError;
use super::output::{bytes, count, or_dash, time, time_or_dash};
use super::{Limit, Session};
use crate::api::tasks::TaskView;
use crate::ids::{RestoreId, RunId, TaskId};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List tasks, newest first
    List(List),
    /// Show one task
    Show { task: TaskId },
    /// Cancel a task, running or not
    Cancel { task: TaskId },
}

#[derive(Debug, Args)]
pub struct List {
    /// Of this run only
    #[arg(long)]
    run: Option<RunId>,
    /// Of this restore only
    #[arg(long, conflicts_with = "run")]
    restore: Option<RestoreId>,
    /// queued, leased, succeeded, failed or cancelled
    #[arg(long)]
    state: Option<String>,
    #[command(flatten)]
    limit: Limit,
}

pub async fn run(session: &Session, command: Command) -> Result<(), CliError> {
    match command {
        Command::List(list) => self::list(session, list).await,
        Command::Show { task } => {
            let view: TaskView = session.client.get(&format!("tasks/{task}"), &[]).await?;
            show(session, &view)
        }
        Command::Cancel { task } => {
            let view: TaskView = session.client.post(&format!("tasks/{task}/cancel"), &json!({})).await?;
            let line = match view.state.as_str() {
                "leased" => format!("task {task} is being stopped"),
                state => format!("task {task} is {state}"),
            };
            session.out.done(&view, &line)
        }
    }
}

async fn list(session: &Session, list: List) -> Result<(), CliError> {
    let mut query = Vec::new();
    query.extend(list.run.map(|run| ("run", run.to_string())));
    query.extend(list.restore.map(|restore| ("restore", restore.to_string())));
    query.extend(list.state.map(|state| ("state", state)));
    let page = session.client.list::<TaskView>("tasks", &query, list.limit.limit).await?;
    session.out.list(&page, &["id", "kind", "state", "resource", "phase", "items", "size", "remark"], |view| {
        vec![
            view.id.to_string(),
            view.kind.clone(),
            view.state.clone(),
            or_dash(view.resource_id),
            view.phase.clone(),
            count(view.items_done),
            bytes(view.bytes_done),
            view.waits_for.clone().or_else(|| view.last_error.clone()).unwrap_or_default(),
        ]
    })
}

pub fn show(session: &Session, view: &TaskView) -> Result<(), CliError> {
    session.out.facts(
        view,
        &[
            ("task", view.id.to_string()),
            ("kind", view.kind.clone()),
            ("state", view.state.clone()),
            ("run", or_dash(view.run_id)),
            ("restore", or_dash(view.restore_id)),
            ("resource", or_dash(view.resource_id)),
            ("agent", or_dash(view.agent_id)),
            ("attempts", view.attempts.to_string()),
            ("phase", view.phase.clone()),
            ("waits for", view.waits_for.clone().unwrap_or_default()),
            ("items", format!("{} of {}", count(view.items_done), or_dash(view.items_total.map(count)))),
            ("size", bytes(view.bytes_done)),
            ("issues", count(view.issues)),
            (
                "summary",
                view.result
                    .as_ref()
                    .and_then(|result| Some(result["summary"].as_str()?.to_owned()))
                    .unwrap_or_default(),
            ),
            ("created (UTC)", time(view.created_at)),
            ("started (UTC)", time_or_dash(view.started_at)),
            ("finished (UTC)", time_or_dash(view.finished_at)),
            ("last error", view.last_error.clone().unwrap_or_default()),
        ],
    )
}
