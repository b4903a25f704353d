//! What is shown of restores.

use std::time::Duration;

use indicatif::HumanDuration;

use crate::api::restores::{RestoreDetail, RestoreView};
use crate::cli::Session;
use crate::cli::exit::CliError;
use crate::cli::output::{bytes, count, time};

pub(super) async fn list(session: &Session, limit: u32) -> Result<(), CliError> {
    let page = session.client.list::<RestoreView>("restores", &[], limit).await?;
    let headers = [
        "id",
        "state",
        "requested (UTC)",
        "by",
        "chains",
        "chain",
        "point",
        "created",
        "updated",
        "there already",
        "failed",
    ];
    session.out.list(&page, &headers, |view| {
        let state = if view.dry_run { format!("{} (dry run)", view.state) } else { view.state.clone() };
        vec![
            view.id.to_string(),
            state,
            time(view.created_at),
            view.requested_by.clone(),
            count(view.chains),
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
    let (created, updated, skipped, failed) = if restore.dry_run {
        ("would create", "would update", "left alone", "refused")
    } else {
        ("created", "updated", "there already", "failed")
    };
    let others = if restore.chains > 1 { format!(" and {} more chains", restore.chains - 1) } else { String::new() };
    let along = [(restore.with_versions, "older versions"), (restore.with_permissions, "permissions")];
    let along: Vec<&str> = along.into_iter().filter_map(|(is_wanted, what)| is_wanted.then_some(what)).collect();
    let asked = restore.asked.as_ref();
    let fact = |told: fn(&crate::api::restores::AskedView) -> String| asked.map(told).unwrap_or_default();
    session.out.facts(
        view,
        &[
            ("restore", restore.id.to_string()),
            ("state", restore.state.clone()),
            ("dry run", if restore.dry_run { "nothing is written".to_owned() } else { String::new() }),
            ("point", format!("{} of chain {}{others}", restore.point, restore.chain_id)),
            ("into resource", restore.target_resource_id.to_string()),
            ("into folder", restore.target_folder.clone().unwrap_or_default()),
            ("along with items", along.join(", ")),
            ("on conflict", restore.on_conflict.replace('_', " ")),
            ("asked for", fact(|asked| format!("{} items, {}", count(asked.items), bytes(asked.bytes)))),
            (
                "takes about",
                fact(|asked| {
                    let time = HumanDuration(Duration::from_secs(asked.seconds));
                    let (requests, sent) = (count(asked.requests), bytes(asked.upload_bytes));
                    format!("{time} by Microsoft's limits: about {requests} requests, {sent} to send")
                }),
            ),
            (created, count(outcomes.created)),
            (updated, count(outcomes.updated)),
            (skipped, count(outcomes.skipped)),
            (failed, count(outcomes.failed)),
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
