//! Delta of the folder tree: all levels flat, folder changes only.

use super::Call;
use super::odata::Query;
use super::token::{Area, Phase, WalkToken};
use super::view::folder_json;
use super::walk::{self, Place, removed, stale};
use crate::faults::FaultKind;
use crate::locks::read;
use crate::reply::{Answer, Refusal, Reply};
use crate::store::folder::TOP;
use crate::store::{Mailbox, ids};
use serde_json::{Value, json};

const PAGE: usize = 100;

pub fn page(call: &Call) -> Answer {
    let user = call.user()?;
    let mailbox = read(&user.mailbox);
    let token = open_token(call, &mailbox)?;
    let struck = call.app.faults().strike(&[FaultKind::ExpireDelta], &call.request.method, &call.request.path);
    if struck.is_some() {
        call.app.watch.fault("expire_delta");
        return Err(stale(token.upto));
    }
    let size = call.request.prefer.page_size.unwrap_or(PAGE).max(1);
    let query = Query { select: token.select.clone(), ..Query::default() };
    let all = entries(&mailbox, &token, &query);
    let offset = match token.phase {
        Phase::Enumerate { cursor } => cursor as usize,
        Phase::Changes { offset, .. } => offset,
    };
    let more = all.len() > offset + size;
    let next = if more {
        let phase = match token.phase {
            Phase::Enumerate { .. } => Phase::Enumerate { cursor: (offset + size) as u64 },
            Phase::Changes { from, .. } => Phase::Changes { from, offset: offset + size },
        };
        WalkToken { phase, ends_round: false, ..token }
    } else {
        WalkToken { phase: Phase::Changes { from: token.upto, offset: 0 }, ends_round: true, ..token }
    };
    let value: Vec<Value> = all.into_iter().skip(offset).take(size).collect();
    let (name, option) = if more { ("@odata.nextLink", "$skiptoken") } else { ("@odata.deltaLink", "$deltatoken") };
    let user_name = crate::request::encode(&call.target.user_name.replace('\'', "''"));
    let mut out = json!({"@odata.context": call.context("Collection(mailFolder)"), "value": value});
    out[name] = json!(call.url(&format!("/users('{user_name}')/mailFolders/delta?{option}={}", next.encode())));
    Ok(Reply::ok(out))
}

fn open_token(call: &Call, mailbox: &Mailbox) -> Result<WalkToken, Refusal> {
    let place = Place { guid: &mailbox.guid, epoch: mailbox.epoch, seq: mailbox.seq(), area: Area::Mail, container: 0 };
    let begin = || WalkToken { include_hidden: call.query.include_hidden, ..walk::begin(call, &place) };
    Ok(walk::open(call, &place)?.unwrap_or_else(begin))
}

fn entries(mailbox: &Mailbox, token: &WalkToken, query: &Query) -> Vec<Value> {
    let shown = |id: u32| {
        let folder = mailbox.folder(id)?;
        let visible = id != TOP && mailbox.is_visible(id) && (token.include_hidden || !folder.hidden);
        visible.then(|| Value::Object(folder_json(mailbox, folder, query)))
    };
    match token.phase {
        Phase::Enumerate { .. } => mailbox.folders().filter_map(|f| shown(f.id)).collect(),
        Phase::Changes { from, .. } => mailbox
            .folder_changes(from, token.upto)
            .iter()
            .filter_map(|change| {
                if change.removed || mailbox.folder(change.folder).is_none() {
                    return Some(removed("mailFolder", &ids::folder_id(&mailbox.guid, change.folder)));
                }
                shown(change.folder)
            })
            .collect(),
    }
}
