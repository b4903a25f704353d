//! Delta of the folder tree: all levels flat, folder changes only.

use super::Call;
use super::delta::stale;
use super::odata::Query;
use super::token::{Phase, WalkToken};
use super::view::folder_json;
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
    if token.epoch != mailbox.epoch || struck.is_some() {
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
    let (query, prefer) = (&call.query, &call.request.prefer);
    let Some(text) = query.skip_token.as_ref().or(query.delta_token.as_ref()) else {
        return Ok(WalkToken {
            mailbox: mailbox.guid.clone(),
            epoch: mailbox.epoch,
            upto: mailbox.seq(),
            immutable: prefer.immutable,
            had_page_size: prefer.page_size.is_some(),
            select: query.select.clone(),
            include_hidden: query.include_hidden,
            ..WalkToken::listing(0)
        });
    };
    let token = WalkToken::decode(text).filter(|token| {
        token.mailbox == mailbox.guid && token.folder == 0 && token.ends_round == query.delta_token.is_some()
    });
    let Some(mut token) = token else {
        call.violation("token_misused", "a token of another mailbox or kind");
        return Err(Refusal::new(400, "SyncStateInvalid", "The sync state does not belong to this request."));
    };
    if !query.beside_token().is_empty() {
        call.violation("options_beside_token", format!("{:?} beside a token", query.beside_token()));
    }
    if token.immutable && !prefer.immutable || token.had_page_size && prefer.page_size.is_none() {
        call.violation("prefer_dropped", "the walk began with a Prefer that this page lacks");
    }
    if token.ends_round {
        token.upto = mailbox.seq();
        token.ends_round = false;
    }
    Ok(token)
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
                    return Some(json!({
                        "@odata.type": "#microsoft.graph.mailFolder",
                        "id": ids::folder_id(&mailbox.guid, change.folder),
                        "@removed": {"reason": "deleted"},
                    }));
                }
                shown(change.folder)
            })
            .collect(),
    }
}
