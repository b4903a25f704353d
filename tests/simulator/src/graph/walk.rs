//! What all walks by delta have in common: the token is judged, a page is cut, faults disturb it,
//! and a link says where it goes on.

use super::Call;
use super::token::{Area, Phase, WalkToken};
use crate::faults::FaultKind;
use crate::reply::{Answer, Refusal, Reply};
use serde_json::{Value, json};

const PAGE: usize = 10;

/// What a token is bound to.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub guid: &'a str,
    pub epoch: u32,
    pub seq: u64,
    pub area: Area,
    pub container: u32,
}

/// The token of this request; none if the walk begins with it.
pub fn open(call: &Call, place: &Place) -> Result<Option<WalkToken>, Refusal> {
    let (query, prefer) = (&call.query, &call.request.prefer);
    let Some(text) = query.skip_token.as_ref().or(query.delta_token.as_ref()) else {
        return Ok(None);
    };
    let Some(mut token) = WalkToken::decode(text) else {
        call.violation("token_misused", "a token that was never handed out");
        return Err(Refusal::new(400, "ErrorInvalidSyncStateData", "The sync state data is invalid."));
    };
    let ours = (token.mailbox.as_str(), token.area, token.folder) == (place.guid, place.area, place.container);
    if !ours || token.ends_round != query.delta_token.is_some() {
        call.violation("token_misused", "a token of another folder, mailbox or kind");
        return Err(Refusal::new(400, "SyncStateInvalid", "The sync state does not belong to this request."));
    }
    if !query.beside_token().is_empty() {
        call.violation("options_beside_token", format!("{:?} beside a token", query.beside_token()));
    }
    if token.immutable && !prefer.immutable {
        call.violation("prefer_dropped", "the walk began with IdType=\"ImmutableId\", this page came without");
    }
    if token.had_page_size && prefer.page_size.is_none() {
        call.violation("prefer_dropped", "the walk began with odata.maxpagesize, this page came without");
    }
    if token.epoch != place.epoch {
        return Err(stale(token.upto));
    }
    if token.ends_round {
        token.upto = place.seq;
        token.ends_round = false;
    }
    Ok(Some(token))
}

pub fn begin(call: &Call, place: &Place) -> WalkToken {
    WalkToken {
        mailbox: place.guid.to_owned(),
        area: place.area,
        folder: place.container,
        epoch: place.epoch,
        upto: place.seq,
        immutable: call.request.prefer.immutable,
        had_page_size: call.request.prefer.page_size.is_some(),
        select: call.query.select.clone(),
        ..WalkToken::listing(0)
    }
}

pub fn stale(generation: u64) -> Refusal {
    let text = format!(
        "The sync state generation is not found; generation={generation};[highest={0}][{0}].",
        generation + 1000
    );
    Refusal::new(410, "SyncStateNotFound", &text)
}

/// Options that a delta of this kind does not take.
pub fn refuse_options(call: &Call, refused: &[&str]) -> Result<(), Refusal> {
    let given = call.query.all.iter().find(|(name, _)| refused.iter().any(|no| no.eq_ignore_ascii_case(name)));
    match given {
        None => Ok(()),
        Some((name, _)) => {
            let text = format!("The following parameters are not supported with change tracking: '{name}'.");
            Err(Refusal::new(400, "ErrorInvalidUrlQuery", &text))
        }
    }
}

pub fn removed(type_name: &str, id: &str) -> Value {
    json!({"@odata.type": format!("#microsoft.graph.{type_name}"), "id": id, "@removed": {"reason": "deleted"}})
}

/// One walk over rows that are already chosen.
pub struct Walk<'a> {
    pub token: WalkToken,
    pub type_name: &'static str,
    /// The path that the next link continues.
    pub path: &'a str,
    /// The id of something that was never there.
    pub ghost: String,
}

impl Walk<'_> {
    /// Cuts the page out of `(key, row)` in the order of their keys, or of their changes.
    pub fn page<R>(self, call: &Call, rows: Vec<(u64, R)>, render: impl Fn(R) -> Value) -> Answer {
        let (method, path) = (&call.request.method, &call.request.path);
        let faults = call.app.faults();
        if faults.strike(&[FaultKind::ExpireDelta], method, path).is_some() {
            call.app.watch.fault("expire_delta");
            return Err(stale(self.token.upto));
        }
        let max = call.app.limits().page_size_max;
        let size = call.request.prefer.page_size.or(call.query.top).unwrap_or(PAGE).clamp(1, max);
        let first = self.token.phase == Phase::Enumerate { cursor: 0 };
        let blank = !self.token.after_blank && faults.strike(&[FaultKind::EmptyPages], method, path).is_some();
        let (value, next) = if blank {
            call.app.watch.fault("empty_pages");
            (Vec::new(), WalkToken { after_blank: true, ..self.token.clone() })
        } else {
            let (rows, next) = cut(&self.token, rows, size);
            (rows.into_iter().map(render).collect(), next)
        };
        let mut value: Vec<Value> = value;
        if !value.is_empty() && faults.strike(&[FaultKind::DuplicateEntries], method, path).is_some() {
            call.app.watch.fault("duplicate_entries");
            value.push(value[0].clone());
        }
        if first && !blank && faults.strike(&[FaultKind::RemovedFirst], method, path).is_some() {
            call.app.watch.fault("removed_first");
            value.insert(0, removed(self.type_name, &self.ghost));
        }
        let (name, option) =
            if next.ends_round { ("@odata.deltaLink", "$deltatoken") } else { ("@odata.nextLink", "$skiptoken") };
        let user = crate::request::encode(&call.target.user_name.replace('\'', "''"));
        let context = call.context(&format!("Collection({})", self.type_name));
        let mut out = json!({"@odata.context": context, "value": value});
        out[name] = json!(call.url(&format!("/users('{user}')/{}?{option}={}", self.path, next.encode())));
        Ok(Reply::ok(out))
    }
}

fn cut<R>(token: &WalkToken, rows: Vec<(u64, R)>, size: usize) -> (Vec<R>, WalkToken) {
    let after = WalkToken { after_blank: false, ..token.clone() };
    let done = WalkToken { phase: Phase::Changes { from: token.upto, offset: 0 }, ends_round: true, ..after.clone() };
    let (skipped, from) = match token.phase {
        Phase::Enumerate { cursor } => (rows.partition_point(|(key, _)| *key <= cursor), None),
        Phase::Changes { from, offset } => (offset, Some(from)),
    };
    let more = rows.len() > skipped + size;
    let page: Vec<(u64, R)> = rows.into_iter().skip(skipped).take(size).collect();
    let next = match (page.last(), from) {
        (Some((key, _)), None) if more => WalkToken { phase: Phase::Enumerate { cursor: *key }, ..after },
        (Some(_), Some(from)) if more => WalkToken { phase: Phase::Changes { from, offset: skipped + size }, ..after },
        _ => done,
    };
    (page.into_iter().map(|(_, row)| row).collect(), next)
}
