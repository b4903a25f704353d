//! Delta of the messages of one folder: a full walk first, then only what the folder's log says.

use super::filter::Filter;
use super::odata::Query;
use super::token::{Area, Phase, WalkToken};
use super::view::Shown;
use super::walk::{self, Place, removed, stale};
use super::{Call, folders};
use crate::faults::FaultKind;
use crate::locks::read;
use crate::reply::{Answer, Refusal, Reply};
use crate::store::changes::{Delta, Fold};
use crate::store::folder::Changed;
use crate::store::ids::{self, IdKind};
use crate::store::{Found, Mailbox};
use serde_json::{Value, json};

const PAGE: usize = 10;

pub fn page(call: &Call) -> Answer {
    let user = call.user()?;
    let folder = folders::wanted(call, user)?;
    let token = open_token(call, folder)?;
    let (method, path) = (&call.request.method, &call.request.path);
    let faults = call.app.faults();
    if faults.strike(&[FaultKind::ExpireDelta], method, path).is_some() {
        call.app.watch.fault("expire_delta");
        return Err(stale(token.upto));
    }
    let limits = call.app.limits();
    let size = call.request.prefer.page_size.or(call.query.top).unwrap_or(PAGE).clamp(1, limits.page_size_max);
    let blank = !token.after_blank && faults.strike(&[FaultKind::EmptyPages], method, path).is_some();
    let (deltas, next, guid) = {
        let mailbox = read(&user.mailbox);
        let (deltas, next) = if blank {
            (Vec::new(), WalkToken { after_blank: true, ..token.clone() })
        } else {
            read_page(&mailbox, &token, size, call.request.prefer.kind())
        };
        (deltas, next, mailbox.guid.clone())
    };
    let mut value = render(call, &guid, &token, deltas, limits.partial_updates)?;
    if !value.is_empty() && faults.strike(&[FaultKind::DuplicateEntries], method, path).is_some() {
        call.app.watch.fault("duplicate_entries");
        value.push(value[0].clone());
    }
    let first = token.phase == Phase::Enumerate { cursor: 0 };
    if first && !blank && faults.strike(&[FaultKind::RemovedFirst], method, path).is_some() {
        call.app.watch.fault("removed_first");
        let ghost = ids::item_id(&guid, call.request.prefer.kind(), u64::MAX >> 8, 1);
        value.insert(0, removed("message", &ghost));
    }
    if blank {
        call.app.watch.fault("empty_pages");
    }
    Ok(Reply::ok(finish(call, folder, &guid, value, &next)))
}

/// The link that continues, in the form Graph writes it.
fn finish(call: &Call, folder: u32, guid: &str, value: Vec<Value>, next: &WalkToken) -> Value {
    let (name, option) =
        if next.ends_round { ("@odata.deltaLink", "$deltatoken") } else { ("@odata.nextLink", "$skiptoken") };
    let folder_id = ids::folder_id(guid, folder);
    let user = crate::request::encode(&call.target.user_name.replace('\'', "''"));
    let link =
        call.url(&format!("/users('{user}')/mailFolders('{folder_id}')/messages/delta?{option}={}", next.encode()));
    let mut out = json!({"@odata.context": call.context("Collection(message)"), "value": value});
    out[name] = json!(link);
    out
}

fn open_token(call: &Call, folder: u32) -> Result<WalkToken, Refusal> {
    let mailbox = read(&call.user()?.mailbox);
    let place =
        Place { guid: &mailbox.guid, epoch: mailbox.epoch, seq: mailbox.seq(), area: Area::Mail, container: folder };
    match walk::open(call, &place)? {
        Some(token) => Ok(token),
        None => start(call, &place),
    }
}

fn start(call: &Call, place: &Place) -> Result<WalkToken, Refusal> {
    let (query, prefer) = (&call.query, &call.request.prefer);
    query.check_select(&super::view::MESSAGE_PROPERTIES, "message")?;
    if query.top.is_some() && prefer.page_size.is_some() {
        call.violation("top_and_page_size", "$top together with odata.maxpagesize");
    }
    if let Some(text) = &query.filter
        && !Filter::parse(text)?.is_received_since()
    {
        return Err(Refusal::new(
            400,
            "ErrorInvalidUrlQueryFilter",
            "Change tracking knows 'receivedDateTime ge' only.",
        ));
    }
    let expand =
        query.all.iter().find(|(name, _)| name.eq_ignore_ascii_case("$expand")).map(|(_, value)| value.clone());
    Ok(WalkToken {
        change_type: query.change_type.clone(),
        filter: query.filter.clone(),
        expand,
        ..walk::begin(call, place)
    })
}

fn read_page(mailbox: &Mailbox, token: &WalkToken, size: usize, kind: IdKind) -> (Vec<Delta>, WalkToken) {
    let after = WalkToken { after_blank: false, ..token.clone() };
    let done = WalkToken { phase: Phase::Changes { from: token.upto, offset: 0 }, ends_round: true, ..after.clone() };
    match token.phase {
        Phase::Enumerate { cursor } => {
            let mut found = mailbox.items_after(token.folder, cursor, size + 1);
            let more = found.len() > size;
            found.truncate(size);
            let next = match found.last() {
                Some(last) if more => WalkToken { phase: Phase::Enumerate { cursor: last.item }, ..after },
                _ => done,
            };
            (found.into_iter().map(|found| Delta::Present { found, changed: Changed::ALL }).collect(), next)
        }
        Phase::Changes { from, offset } => {
            let all = mailbox.changes(token.folder, from, token.upto, Fold::of(kind));
            let more = all.len() > offset + size;
            let next =
                if more { WalkToken { phase: Phase::Changes { from, offset: offset + size }, ..after } } else { done };
            (all.into_iter().skip(offset).take(size).collect(), next)
        }
    }
}

fn render(
    call: &Call,
    guid: &str,
    token: &WalkToken,
    deltas: Vec<Delta>,
    partial: bool,
) -> Result<Vec<Value>, Refusal> {
    let mut query = Query { select: token.select.clone(), ..Query::default() };
    if let Some(expand) = &token.expand {
        query.expand = Query::parse(&format!("$expand={}", crate::request::encode(expand)))?.expand;
    }
    let filter = token.filter.as_deref().map(Filter::parse).transpose()?;
    let only = token.change_type.as_deref();
    let full_walk = matches!(token.phase, Phase::Enumerate { .. });
    let mut out = Vec::with_capacity(deltas.len());
    for delta in deltas {
        match delta {
            Delta::Removed { item, incarnation } if only.is_none_or(|only| only == "deleted") => {
                out.push(removed("message", &ids::item_id(guid, call.request.prefer.kind(), item, incarnation)));
            }
            Delta::Removed { .. } => {}
            Delta::Present { found, changed } => {
                let update = !changed.has(Changed::ALL);
                let kind = if update { "updated" } else { "created" };
                if !full_walk && only.is_some_and(|only| only != kind) {
                    continue;
                }
                out.extend(entry(call, guid, &found, &query, filter.as_ref(), (update && partial).then_some(changed)));
            }
        }
    }
    Ok(out)
}

fn entry(
    call: &Call,
    guid: &str,
    found: &Found,
    query: &Query,
    filter: Option<&Filter>,
    partial: Option<Changed>,
) -> Option<Value> {
    let message = found.message();
    if filter.is_some_and(|filter| !filter.accepts(&message)) {
        return None;
    }
    let shown = Shown { mailbox: guid, found, message: &message, prefer: &call.request.prefer };
    let mut out = match partial {
        Some(changed) => shown.partial(query, changed),
        None => shown.json(query),
    };
    out.entry("@odata.type").or_insert_with(|| json!("#microsoft.graph.message"));
    Some(Value::Object(out))
}
