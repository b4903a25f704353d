//! `kodo search` and `kodo versions`.

use chrono::{DateTime, Utc};
use clap::Args;

use super::client::segment;
use super::exit::CliError;
use super::output::{bytes, time, time_or_dash};
use super::point::Chosen;
use super::{Limit, Session};
use crate::api::Ref;
use crate::api::browse::BrowseView;
use crate::api::search::SearchHit;
use crate::api::versions::VersionView;
use crate::ids::FeatureName;

#[derive(Debug, Args)]
pub struct Search {
    /// Words that must all be there: in the subject or name, sender, organiser, recipients, names of attachments
    words: Vec<String>,
    /// All resources of this organization [default: the only one]
    #[arg(long, conflicts_with = "user")]
    organization: Option<Ref>,
    /// Only this user's, by id or address
    #[arg(long, value_name = "USER")]
    user: Option<Ref>,
    /// Only this kind of data
    #[arg(long)]
    feature: Option<FeatureName>,
    /// A part of the address of the sender, the organiser, the contact
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Words of a recipient or attendee
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// Words of the name of an attachment
    #[arg(long, value_name = "NAME")]
    attachment: Option<String>,
    /// What the file's name ends with, such as pdf
    #[arg(long, value_name = "ENDING")]
    extension: Option<String>,
    /// A part of the path of the folder
    #[arg(long, value_name = "PATH")]
    folder: Option<String>,
    /// Received, begun or changed not before this moment, such as 2026-11-25T00:00:00Z
    #[arg(long, value_name = "MOMENT")]
    since: Option<DateTime<Utc>>,
    /// Received, begun or changed not after this moment
    #[arg(long, value_name = "MOMENT")]
    until: Option<DateTime<Utc>>,
    /// At least so many bytes
    #[arg(long, value_name = "BYTES")]
    bytes_min: Option<u64>,
    /// At most so many bytes
    #[arg(long, value_name = "BYTES")]
    bytes_max: Option<u64>,
    /// As of the newest restore points that were sealed by this moment [default: the newest]
    #[arg(long, value_name = "MOMENT")]
    as_of: Option<DateTime<Utc>>,
    /// Only what was there before and is not any more
    #[arg(long)]
    deleted: bool,
    #[command(flatten)]
    limit: Limit,
}

#[derive(Debug, Args)]
pub struct Versions {
    /// The item's key, as "kodo ls" and "kodo search" list it
    item: String,
    #[command(flatten)]
    chosen: Chosen,
    #[command(flatten)]
    limit: Limit,
}

pub async fn search(session: &Session, search: Search) -> Result<(), CliError> {
    let words = search.words.join(" ");
    let moment = |moment: DateTime<Utc>| moment.to_rfc3339();
    let asked = [
        ("q", Some(words).filter(|words| !words.is_empty())),
        ("organization", search.organization.map(|organization| organization.to_path())),
        ("resource", search.user.map(|user| user.to_path())),
        ("feature", search.feature.map(|feature| feature.to_string())),
        ("from", search.from),
        ("to", search.to),
        ("attachment", search.attachment),
        ("extension", search.extension),
        ("folder", search.folder),
        ("since", search.since.map(moment)),
        ("until", search.until.map(moment)),
        ("bytes_min", search.bytes_min.map(|bytes| bytes.to_string())),
        ("bytes_max", search.bytes_max.map(|bytes| bytes.to_string())),
        ("as_of", search.as_of.map(moment)),
        ("deleted_only", search.deleted.then(|| "true".to_owned())),
    ];
    let query: Vec<_> = asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let page = session.client.list::<SearchHit>("search", &query, search.limit.limit).await?;
    session.out.list(&page, &["time (UTC)", "size", "whose", "folder", "item", "chain", "point", "key"], |hit| {
        let party = if hit.item.party.is_empty() { String::new() } else { format!(" <{}>", hit.item.party) };
        let deleted = if hit.deleted { " (deleted)" } else { "" };
        vec![
            time(hit.item.time),
            bytes(hit.item.bytes),
            hit.address.clone(),
            format!("{}:{}", hit.feature, hit.folder),
            format!("{}{party}{deleted}", hit.item.name),
            hit.chain_id.to_string(),
            hit.point.to_string(),
            hit.item.key.clone(),
        ]
    })
}

pub async fn versions(session: &Session, versions: Versions) -> Result<(), CliError> {
    let mut query = versions.chosen.query();
    query.push(("limit", "1".to_owned()));
    // Browsing the top answers which chain is meant.
    let place: BrowseView = session.client.get("browse", &query).await?;
    let path = format!("versions/{}/{}", place.chain_id, segment(&versions.item));
    let page = session.client.list::<VersionView>(&path, &[], versions.limit.limit).await?;
    session.out.list(&page, &["points", "since (UTC)", "changed", "size", "flags", "folder", "name"], |version| {
        let item = &version.item;
        let until = item.to_point.map(|to| (to.get() - 1).to_string()).unwrap_or_default();
        vec![
            format!("{}-{until}", item.from_point),
            time_or_dash(version.at),
            version.changes.join(", "),
            bytes(item.bytes),
            item.flags.join(", "),
            version.folder.clone(),
            item.name.clone(),
        ]
    })
}
