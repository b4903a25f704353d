//! `kodo storage verifications` and `kodo storage findings`.

use clap::Args;

use super::client::segment;
use super::exit::CliError;
use super::output::{bytes, count, time, time_or_dash};
use super::{Limit, Session};
use crate::api::Ref;
use crate::api::findings::{FindingView, VerificationView};

#[derive(Debug, Args)]
pub struct Of {
    /// The storage, by id or name
    storage: Ref,
    #[command(flatten)]
    limit: Limit,
}

/// What was looked at, and which packs were damaged.
pub async fn verifications(session: &Session, of: &Of) -> Result<(), CliError> {
    let path = format!("storages/{}/verifications", segment(&of.storage.to_path()));
    let page = session.client.list::<VerificationView>(&path, &[], of.limit.limit).await?;
    let headers = ["task", "level", "started (UTC)", "finished (UTC)", "packs", "size", "damaged packs"];
    session.out.list(&page, &headers, |view| {
        let damaged = view.damaged_packs.iter().map(|pack| format!("{} ({})", pack.pack, pack.what));
        vec![
            view.task_id.to_string(),
            view.level.to_string(),
            time(view.started_at),
            time_or_dash(view.finished_at),
            count(view.packs),
            bytes(view.bytes),
            damaged.collect::<Vec<_>>().join("; "),
        ]
    })
}

/// Which items of whom have lost something.
pub async fn findings(session: &Session, of: &Of) -> Result<(), CliError> {
    let path = format!("storages/{}/findings", segment(&of.storage.to_path()));
    let page = session.client.list::<FindingView>(&path, &[], of.limit.limit).await?;
    let headers = ["user", "feature", "item", "name", "points", "state", "found (UTC)", "damage"];
    session.out.list(&page, &headers, |view| {
        let to = view.to_point.map_or_else(|| "now".to_owned(), |to| (to.get() - 1).to_string());
        vec![
            view.address.clone(),
            view.feature.clone(),
            view.key.clone(),
            view.name.clone(),
            format!("{} to {to}", view.from_point),
            view.state.clone(),
            time(view.found_at),
            format!("pack {}: {}", view.pack.as_deref().unwrap_or("-"), view.what),
        ]
    })
}
