//! Reading a drive: the drive itself, items one by one, children, versions.

use super::token::{DriveToken, Phase};
use super::view::{Shown, check_select, identity, site_url};
use super::{ItemAt, bad_request, item_not_found, owner};
use crate::app::{App, User};
use crate::clock::iso;
use crate::faults::FaultKind;
use crate::graph::Call;
use crate::graph::token::{open, seal};
use crate::locks::read;
use crate::reply::{Answer, Refusal, Reply};
use crate::store::drive::Drive;
use crate::store::drive::item::{File, Item, Version};
use crate::store::message::Person;
use serde_json::{Map, Value, json};

const CHILDREN_PAGE: usize = 200;
const CHILDREN_TOP_MAX: usize = 1000;
const QUOTA: u64 = 1024 * 1024 * 1024 * 1024;

/// How much fits into a drive.
pub fn quota(app: &App) -> u64 {
    match read(&app.limits).drive_quota_bytes {
        0 => QUOTA,
        bytes => bytes,
    }
}

pub fn drive(call: &Call) -> Answer {
    let mut out = drive_json(call, owner(call)?);
    out.insert("@odata.context".into(), json!(call.context("drives/$entity")));
    Ok(Reply::ok(Value::Object(out)))
}

pub fn drives(call: &Call) -> Answer {
    let value = [Value::Object(drive_json(call, owner(call)?))];
    Ok(Reply::ok(json!({"@odata.context": call.context("drives"), "value": value})))
}

fn drive_json(call: &Call, user: &User) -> Map<String, Value> {
    let profile = user.profile();
    let drive = read(&user.drive);
    let root = drive.items().next();
    let used = root.map_or(0, |item| item.size);
    let at = |when: fn(&Item) -> i64| iso(root.map_or(profile.created, when));
    let person = Person { name: profile.display_name.clone(), address: profile.principal_name.clone() };
    let quota = quota(call.app);
    let all = json!({
        "id": drive.id,
        "driveType": "business",
        "name": "OneDrive",
        "description": "",
        "webUrl": site_url(call.app, user),
        "createdDateTime": at(|item| item.created),
        "lastModifiedDateTime": at(|item| item.touched),
        "createdBy": {"user": {"displayName": "System Account"}},
        "owner": identity(&person),
        "quota": {"deleted": 0, "remaining": quota.saturating_sub(used), "state": "normal", "total": quota, "used": used},
    });
    let mut out = Map::new();
    if let Value::Object(all) = all {
        out.extend(all.into_iter().filter(|(name, _)| call.query.wants(name)));
    }
    out
}

/// The item of the path.
pub fn wanted<'a>(call: &Call, drive: &'a Drive) -> Result<&'a Item, Refusal> {
    let item = match &call.target.drive.item {
        ItemAt::Root => drive.items().next(),
        ItemAt::Id(id) => drive.by_id(id),
        ItemAt::Path(path) => drive.by_path(path),
        ItemAt::Below { id, path } => {
            let folder = if id == "root" { drive.items().next() } else { drive.by_id(id) };
            folder.and_then(|folder| drive.below(folder.number, path))
        }
    };
    let item = item.ok_or_else(item_not_found)?;
    let (method, path) = (&call.request.method, &call.request.path);
    let faults = call.app.faults();
    if !faults.is_empty() && faults.strike_item(FaultKind::Vanish, method, path, &drive.id_of(item.number)).is_some() {
        call.app.watch.fault("vanish");
        return Err(item_not_found());
    }
    Ok(item)
}

pub fn one(call: &Call) -> Answer {
    check_select(&call.query)?;
    let user = owner(call)?;
    let drive = read(&user.drive);
    let item = wanted(call, &drive)?;
    let shown = Shown { call, user, drive: &drive, query: &call.query, in_delta: false };
    let mut out = shown.item(item);
    out.insert("@odata.context".into(), json!(call.context("drives/items/$entity")));
    Ok(Reply::ok(Value::Object(out)))
}

/// In the order of their names, and by offset: whoever writes meanwhile makes a reader miss some.
pub fn children(call: &Call) -> Answer {
    let user = owner(call)?;
    let drive = read(&user.drive);
    let parent = wanted(call, &drive)?;
    let token = listing(call, &drive, parent.number)?;
    let Phase::Children { offset } = token.phase else {
        return Err(bad_request("The skip token is not valid."));
    };
    let query = crate::graph::odata::Query { select: token.select.clone(), ..call.query.clone() };
    check_select(&query)?;
    let size = token.top.unwrap_or(CHILDREN_PAGE).clamp(1, CHILDREN_TOP_MAX);
    let shown = Shown { call, user, drive: &drive, query: &query, in_delta: false };
    let value: Vec<Value> =
        drive.children(parent.number).skip(offset).take(size).map(|item| Value::Object(shown.item(item))).collect();
    let mut out = json!({"@odata.context": call.context("drives/items/children"), "value": value});
    if offset + size < drive.child_count(parent.number) {
        let next = DriveToken { phase: Phase::Children { offset: offset + size }, ..token };
        let path = format!("/drives/{}/items/{}/children", drive.id, drive.id_of(parent.number));
        out["@odata.nextLink"] = json!(call.url(&format!("{path}?$skiptoken={}", seal(&next))));
    }
    Ok(Reply::ok(out))
}

fn listing(call: &Call, drive: &Drive, parent: u64) -> Result<DriveToken, Refusal> {
    let Some(text) = &call.query.skip_token else {
        return Ok(DriveToken {
            drive: drive.id.clone(),
            parent,
            epoch: 0,
            phase: Phase::Children { offset: 0 },
            upto: 0,
            ends_round: false,
            had_page_size: false,
            top: call.query.top.or(call.request.prefer.page_size),
            select: call.query.select.clone(),
            after_blank: false,
        });
    };
    open::<DriveToken>(text).filter(|token| token.drive == drive.id && token.parent == parent).ok_or_else(|| {
        call.violation("token_misused", "a skip token of another folder, or none of ours");
        bad_request("The skip token is not valid.")
    })
}

pub fn versions(call: &Call) -> Answer {
    let user = owner(call)?;
    let drive = read(&user.drive);
    let item = wanted(call, &drive)?;
    let file = item.file().ok_or_else(|| bad_request("Only files have versions."))?;
    let shown = Shown { call, user, drive: &drive, query: &call.query, in_delta: false };
    let mut value = vec![shown.version(&current(item, file), true)];
    value.extend(file.older.iter().rev().map(|version| shown.version(version, false)));
    Ok(Reply::ok(json!({"@odata.context": call.context("Collection(driveItemVersion)"), "value": value})))
}

pub fn version(call: &Call) -> Answer {
    let user = owner(call)?;
    let drive = read(&user.drive);
    let item = wanted(call, &drive)?;
    let file = item.file().ok_or_else(|| bad_request("Only files have versions."))?;
    let number = version_number(call)?;
    let shown = Shown { call, user, drive: &drive, query: &call.query, in_delta: false };
    if number == file.version {
        return Ok(Reply::ok(shown.version(&current(item, file), true)));
    }
    let version = file.older.iter().find(|version| version.number == number).ok_or_else(item_not_found)?;
    Ok(Reply::ok(shown.version(version, false)))
}

/// The 3 of `3.0` in the path.
pub fn version_number(call: &Call) -> Result<u32, Refusal> {
    let text = call.target.drive.version.as_deref().unwrap_or_default();
    text.strip_suffix(".0").and_then(|major| major.parse().ok()).ok_or_else(item_not_found)
}

fn current(item: &Item, file: &File) -> Version {
    Version { number: file.version, at: item.modified, by: item.editor.clone(), content: file.content.clone() }
}
