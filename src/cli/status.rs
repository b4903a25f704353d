//! `kodo status`.

use super::exit::CliError;
use super::output::{count, print, time};
use super::rehearsal::score;
use super::{Session, agent, storage};
use crate::api::Page;
use crate::api::search::unsearched;
use crate::api::status::StatusView;

pub async fn run(session: &Session) -> Result<(), CliError> {
    let view: StatusView = session.client.get("status", &[]).await?;
    let (tasks, chains) = (view.tasks, view.chains);
    session.out.facts(
        &view,
        &[
            ("kodo", view.version.clone()),
            ("tasks", format!("{} running, {} queued", count(tasks.leased), count(tasks.queued))),
            (
                "chains",
                format!(
                    "{} protected ({} with exceptions), {} not yet, {} not applicable",
                    count(chains.protected),
                    count(chains.with_exceptions),
                    count(chains.unprotected),
                    count(chains.not_applicable)
                ),
            ),
            ("open issues", count(view.open_issues)),
            ("search", unsearched(chains.unsearched).unwrap_or_default()),
            ("last rehearsal", rehearsal(&view)),
            ("space", storage::space_warnings(&view.storages)),
        ],
    )?;
    if session.out.json {
        return Ok(());
    }
    print("")?;
    let agents = Page::of_all(view.agents);
    session.out.list(&agents, &agent::HEADERS, agent::row)?;
    print("")?;
    let storages = Page::of_all(view.storages);
    session.out.list(&storages, &storage::HEADERS, storage::row)
}

/// How faithful restores were when that was tried last.
fn rehearsal(view: &StatusView) -> String {
    match &view.rehearsal {
        Some(last) => format!("{} on {} (UTC)", score(&last.total), time(last.finished_at)),
        None => "never: kodo rehearsal start".to_owned(),
    }
}
