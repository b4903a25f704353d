//! Delta of a whole drive: every item first, then only what its log says happened since.

use super::items::wanted;
use super::token::{DriveToken, Phase, is_token};
use super::view::{Shown, check_select};
use super::{bad_request, owner};
use crate::clock::parse_iso;
use crate::dice::hash;
use crate::faults::FaultKind;
use crate::graph::Call;
use crate::graph::odata::Query;
use crate::graph::token::{open, seal};
use crate::locks::read;
use crate::reply::{Answer, Refusal, Reply};
use crate::store::drive::changes::Changed;
use crate::store::drive::{Drive, ROOT};
use serde_json::{Value, json};

const PAGE: usize = 200;
/// One item of so many comes before the others of its page, be its parent among them or not.
const EARLY: u64 = 9;

pub fn page(call: &Call) -> Answer {
    let user = owner(call)?;
    let drive = read(&user.drive);
    if wanted(call, &drive)?.number != ROOT {
        return Err(bad_request("Delta is supported on the root of a business drive only."));
    }
    let token = open_token(call, &drive)?;
    let (method, path) = (&call.request.method, &call.request.path);
    let faults = call.app.faults();
    let struck = |kind: FaultKind| {
        let rule = faults.strike(&[kind], method, path);
        if rule.is_some() {
            call.app.watch.fault(kind.name());
        }
        rule
    };
    let expired = struck(FaultKind::ExpireDelta);
    if expired.is_some() || token.epoch != drive.epoch {
        return Err(stale(call, &drive, &token, expired.and_then(|rule| rule.code)));
    }
    let query = Query { select: token.select.clone(), ..Query::default() };
    check_select(&query)?;
    if !token.after_blank && struck(FaultKind::EmptyPages).is_some() {
        let next = DriveToken { after_blank: true, ..token };
        return Ok(Reply::ok(finish(call, &drive, Vec::new(), &next)));
    }
    let size = token.top.or(call.request.prefer.page_size).unwrap_or(PAGE);
    let (changed, next) = read_page(&drive, &token, size.clamp(1, call.app.limits().page_size_max));
    let shown = Shown { call, user, drive: &drive, query: &query, in_delta: true };
    let mut value: Vec<Value> = changed.iter().map(|one| entry(&shown, one)).collect();
    if struck(FaultKind::DuplicateEntries).is_some() {
        add_outdated(&shown, &mut value);
    }
    if token.phase == (Phase::Enumerate { cursor: 0 }) && struck(FaultKind::RemovedFirst).is_some() {
        value.insert(0, shown.deleted(u64::MAX));
    }
    Ok(Reply::ok(finish(call, &drive, value, &next)))
}

/// Both ways Graph spells a token in a link: a nextLink in the path, a deltaLink in the query.
fn finish(call: &Call, drive: &Drive, value: Vec<Value>, next: &DriveToken) -> Value {
    let mut out = json!({"@odata.context": call.context("Collection(driveItem)"), "value": value});
    let (id, sealed) = (&drive.id, seal(next));
    if next.ends_round {
        out["@odata.deltaLink"] = json!(call.url(&format!("/drives('{id}')/root/delta?token={sealed}")));
    } else {
        out["@odata.nextLink"] = json!(call.url(&format!("/drives('{id}')/root/delta(token='{sealed}')")));
    }
    out
}

fn open_token(call: &Call, drive: &Drive) -> Result<DriveToken, Refusal> {
    let (query, page_size) = (&call.query, call.request.prefer.page_size);
    let in_query = query.all.iter().find(|(name, _)| is_token(name)).map(|(_, value)| value);
    let start = |phase, ends_round| DriveToken {
        drive: drive.id.clone(),
        parent: 0,
        epoch: drive.epoch,
        phase,
        upto: drive.seq(),
        ends_round,
        had_page_size: page_size.is_some(),
        top: query.top,
        select: query.select.clone(),
        after_blank: false,
    };
    let text = match call.target.drive.token.as_ref().or(in_query) {
        None => return Ok(start(Phase::Enumerate { cursor: 0 }, false)),
        Some(text) if text.eq_ignore_ascii_case("latest") => {
            return Ok(start(Phase::Changes { from: drive.seq(), offset: 0 }, false));
        }
        Some(text) => text,
    };
    if let Some(moment) = parse_iso(text) {
        return Ok(start(Phase::Changes { from: drive.seq_at(moment), offset: 0 }, false));
    }
    let Some(mut token) = open::<DriveToken>(text) else {
        call.violation("token_misused", "a token that was never handed out");
        return Err(bad_request("The provided token is malformed."));
    };
    if token.drive != drive.id || token.parent != 0 {
        call.violation("token_misused", "a token of another drive or of a listing");
        return Err(bad_request("The provided token does not belong to this drive."));
    }
    let beside: Vec<&str> = query.all.iter().map(|(name, _)| name.as_str()).filter(|name| !is_token(name)).collect();
    if !beside.is_empty() {
        call.violation("options_beside_token", format!("{beside:?} beside a token"));
    }
    if token.had_page_size && page_size.is_none() {
        call.violation("prefer_dropped", "the walk began with a page size that this page lacks");
    }
    if token.ends_round {
        token.upto = drive.seq();
        token.ends_round = false;
    }
    Ok(token)
}

fn read_page(drive: &Drive, token: &DriveToken, size: usize) -> (Vec<Changed>, DriveToken) {
    let (mut changed, phase) = match token.phase {
        Phase::Changes { from, offset } => {
            let all = drive.changes(from, token.upto);
            let part: Vec<Changed> = all.iter().skip(offset).take(size).copied().collect();
            let more = all.len() > offset + size;
            (with_parents(drive, part), more.then_some(Phase::Changes { from, offset: offset + size }))
        }
        Phase::Enumerate { cursor } => enumerate(drive, cursor, size),
        // A listing's token has a parent and was refused before.
        Phase::Children { .. } => (Vec::new(), None),
    };
    changed.sort_by_key(|one| !hash(&[drive.salt(), one.item]).is_multiple_of(EARLY));
    let next = DriveToken { after_blank: false, ..token.clone() };
    let next = match phase {
        Some(phase) => DriveToken { phase, ..next },
        None => DriveToken { phase: Phase::Changes { from: token.upto, offset: 0 }, ends_round: true, ..next },
    };
    (changed, next)
}

fn enumerate(drive: &Drive, cursor: u64, size: usize) -> (Vec<Changed>, Option<Phase>) {
    let items = drive.items_after(cursor, size + 1);
    let numbers = items.iter().take(size).map(|item| item.number);
    let page: Vec<Changed> = numbers.map(|item| Changed { item, sharing: false }).collect();
    let last = page.last().map_or(cursor, |changed| changed.item);
    (page, (items.len() > size).then_some(Phase::Enumerate { cursor: last }))
}

/// The folders above a changed item come along, on every page again.
fn with_parents(drive: &Drive, part: Vec<Changed>) -> Vec<Changed> {
    let mut all: Vec<Changed> = Vec::with_capacity(part.len() * 2);
    for changed in &part {
        let gone = drive.last_parent(changed.item).filter(|parent| drive.item(*parent).is_some());
        let mut above = gone.map_or_else(
            || drive.ancestors(changed.item),
            |parent| {
                let mut above = vec![parent];
                above.extend(drive.ancestors(parent));
                above
            },
        );
        above.reverse();
        for item in above {
            if !all.iter().chain(&part).any(|have| have.item == item) {
                all.push(Changed { item, sharing: false });
            }
        }
    }
    all.extend(part);
    all
}

fn entry(shown: &Shown, changed: &Changed) -> Value {
    let Some(item) = shown.drive.item(changed.item) else {
        return shown.deleted(changed.item);
    };
    let mut out = shown.item(item);
    out.insert("@odata.type".into(), json!("#microsoft.graph.driveItem"));
    let asked = shown.call.request.headers.get_all("prefer").filter_map(|value| value.to_str().ok());
    if changed.sharing && asked.into_iter().any(|value| value.to_lowercase().contains("deltashowsharingchanges")) {
        out.insert("@microsoft.graph.sharedChanged".into(), json!("True"));
    }
    Value::Object(out)
}

/// What a file looked like before, ahead of what it looks like now: the last of an id counts.
fn add_outdated(shown: &Shown, value: &mut Vec<Value>) {
    let Some(at) = value.iter().position(|entry| entry.get("file").is_some()) else {
        return;
    };
    let mut outdated = value[at].clone();
    let name = outdated["name"].as_str().unwrap_or_default().to_owned();
    outdated["name"] = json!(format!("Outdated {name}"));
    outdated["size"] = json!(1);
    outdated["eTag"] = json!("\"{00000000-0000-0000-0000-000000000000},0\"");
    outdated["file"]["hashes"]["quickXorHash"] = json!("AAAAAAAAAAAAAAAAAQAAAAAAAAA=");
    outdated["parentReference"]["id"] = json!(shown.drive.id_of(ROOT));
    value.insert(at, outdated);
}

/// The two kinds of expiry, as the code or as the code within, and where to begin anew.
fn stale(call: &Call, drive: &Drive, token: &DriveToken, wanted: Option<String>) -> Refusal {
    let text = "Resync required. Replace any local items with the server's version if you are sure.";
    let kinds = ["resyncChangesApplyDifferences", "resyncChangesUploadDifferences"];
    let kind = kinds[drive.epoch as usize / 2 % kinds.len()];
    let refusal = match wanted {
        Some(code) => Refusal::new(410, &code, text),
        None if drive.epoch.is_multiple_of(2) => Refusal::new(410, kind, text),
        None => Refusal::new(410, "resyncRequired", text).inner(kind),
    };
    let select = token.select.as_ref().map(|names| format!("?$select={}", names.join(","))).unwrap_or_default();
    refusal.with("Location", call.url(&format!("/drives/{}/root/delta{select}", drive.id)))
}
