//! What of a drive a policy wants, where it chooses by paths.
//!
//! Delta reports a folder that moved and nothing of what is below it. So a folder that crosses a border between what is
//! wanted and what is not has everything walked once: see [`tells_of_more`].

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::PATHS;
use super::changes::{change, is_excluded, walk_error};
use super::facets::{content_half, content_tag, is, kept, skip_reason};
use super::places::{Folders, Trail};
use super::rules::{Rules, Standing, Verdict};
use crate::features::entries::{self, is_removed};
use crate::features::{Change, KnownVersion, Next, OneDriveOptions, PassedOver, RemoteItem, Source, WalkError};
use crate::graph::GraphError;

/// Marks a folder that a walk over changes met: whether it is older than the walk before.
const OLDER: &str = "@kodo.older";
/// How far Microsoft's clock may be from this machine's. A folder that is younger by less than this is taken for an older
/// one, which costs a walk and loses nothing.
const CLOCKS_APART_S: i64 = 600;
const POLICY: &str = "the policy leaves it out";

/// The changes of a page, as the rules want them; `None` when an entry has no id.
pub(super) async fn changes(
    source: Source<'_>,
    drive: &str,
    rules: &Rules,
    trail: &Trail,
    (value, next): (Vec<Value>, &Next),
) -> Result<Option<Vec<Change>>, WalkError> {
    let mut folders = trail.folders();
    if folders.learn(&value) && trail.since.is_none() {
        // What is below a folder that moved while everything is walked was judged by where it was.
        return Err(WalkError::Expired);
    }
    let mut standings: HashMap<String, Option<Standing>> = HashMap::with_capacity(value.len());
    for entry in value.iter().filter(|entry| is_placed(entry)) {
        let Some(id) = entry["id"].as_str() else { continue };
        let standing = folders.standing(source, drive, rules, entry).await.map_err(walk_error)?;
        standings.insert(id.to_owned(), standing);
    }
    if matches!(next, Next::Page(_)) {
        trail.remember(folders);
    }
    let options = &source.options.onedrive;
    Ok(entries::read(value, |id, mut entry| {
        // One that does not say where it is will be judged when it is read.
        if !is_placed(&entry) {
            return Some(change(id, entry, options));
        }
        let standing = standings.get(&id).and_then(Option::as_ref);
        match standing.map(|standing| place(&mut entry, standing)) {
            Some(true) => {
                if let Some(since) = trail.since.filter(|_| is_folder(&entry)) {
                    entry[OLDER] = Value::Bool(is_older(&entry, since));
                }
                Some(change(id, entry, options))
            }
            Some(false) if trail.since.is_some() && is_folder(&entry) => Some(Change::LeftOut { id }),
            Some(false) | None => Some(Change::Removed { id }),
        }
    }))
}

/// Whether the policy wants an item that was read by its id; marks it as a walk would.
pub(super) async fn is_wanted(source: Source<'_>, drive: &str, entry: &mut Value) -> Result<bool, GraphError> {
    let options = &source.options.onedrive;
    if is_excluded(entry, options) {
        return Ok(false);
    }
    let Some(rules) = Rules::of(options) else { return Ok(true) };
    let standing = Folders::default().standing(source, drive, &rules, entry).await?;
    Ok(standing.is_some_and(|standing| place(entry, &standing)))
}

/// Whether an item that stands so is wanted; marks a folder below which not everything is.
fn place(entry: &mut Value, standing: &Standing) -> bool {
    match standing.verdict() {
        Verdict::LeftOut => false,
        Verdict::Leads if !is_folder(entry) => false,
        Verdict::Wanted | Verdict::Leads => {
            if let Some(mark) = standing.mark().filter(|_| is_folder(entry)) {
                entry[PATHS] = Value::String(mark);
            }
            true
        }
    }
}

/// Whether a folder came to where other things are wanted, and what it holds with it. A folder that is as young as the
/// changes has its contents reported, whereas an older one that is not known moved in.
pub(super) fn tells_of_more(item: &RemoteItem, known: Option<&KnownVersion>) -> bool {
    let Some(entry) = &item.properties else { return false };
    let Some(older) = entry[OLDER].as_bool() else { return false };
    match known {
        None => older,
        Some(known) => content_half(known.change_tag) != content_tag(&kept(entry.clone())),
    }
}

/// What the choices leave out, for people.
pub(super) fn passed_over(options: &OneDriveOptions) -> Vec<PassedOver> {
    let told = |name: String, why: &str| PassedOver { name, why: why.to_owned() };
    let mut all: Vec<PassedOver> = Vec::new();
    if !options.include_paths.is_empty() {
        let wanted = options.include_paths.join(", ");
        all.push(told("everything else in the drive".to_owned(), &format!("the policy includes only {wanted}")));
    }
    all.extend(options.exclude_paths.iter().map(|path| told(path.trim_matches(['/', '\\']).to_owned(), POLICY)));
    let extensions = options.exclude_extensions.iter();
    all.extend(extensions.map(|extension| told(format!("*.{}", extension.trim_start_matches('.')), POLICY)));
    all
}

/// Whether an entry says where it is, and is still there.
fn is_placed(entry: &Value) -> bool {
    let placed = is(entry, "root") || entry["parentReference"]["id"].is_string();
    placed && entry["name"].is_string() && !is(entry, "deleted") && !is_removed(entry)
}

/// A folder that is captured: a notebook is none, whatever it holds.
fn is_folder(entry: &Value) -> bool {
    (is(entry, "folder") || is(entry, "root")) && !is(entry, "remoteItem") && skip_reason(entry).is_none()
}

fn is_older(entry: &Value, since: i64) -> bool {
    let created = entry["createdDateTime"].as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    created.is_none_or(|created| created.to_utc() < since_with_slack(since))
}

fn since_with_slack(since: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(since.saturating_add(CLOCKS_APART_S), 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
