//! The directory: organization, users, their delta, and mailbox settings.

use super::odata::Query;
use super::token::{Phase, WalkToken};
use super::{Call, user_not_found};
use crate::app::{MailboxState, Profile, User, UserKind};
use crate::clock::iso;
use crate::locks::read;
use crate::reply::{Answer, Refusal, Reply};
use serde_json::{Map, Value, json};
use std::sync::Arc;

const DEFAULT: [&str; 10] = [
    "displayName",
    "givenName",
    "surname",
    "userPrincipalName",
    "mail",
    "jobTitle",
    "businessPhones",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
];
const KNOWN: [&str; 24] = [
    "id",
    "displayName",
    "givenName",
    "surname",
    "userPrincipalName",
    "mail",
    "jobTitle",
    "department",
    "accountEnabled",
    "userType",
    "assignedLicenses",
    "assignedPlans",
    "onPremisesSyncEnabled",
    "createdDateTime",
    "deletedDateTime",
    "businessPhones",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "mailNickname",
    "proxyAddresses",
    "companyName",
    "usageLocation",
    "otherMails",
];
const EXCHANGE_PLAN: &str = "efb87545-963c-4e0d-99df-69c6916d9eb0";
const E3: &str = "05e9a617-0261-4cee-bb44-138d3ef5d965";

pub fn organization(call: &Call) -> Answer {
    let app = call.app;
    Ok(Reply::ok(json!({
        "@odata.context": call.context("organization"),
        "value": [{
            "id": app.tenant_id,
            "displayName": "Contoso Simulated",
            "countryLetterCode": "DE",
            "preferredLanguage": "en",
            "tenantType": "AAD",
            "createdDateTime": "2019-03-01T08:00:00Z",
            "verifiedDomains": [{
                "capabilities": "Email, OfficeCommunicationsOnline", "isDefault": true, "isInitial": true,
                "name": app.world.domain, "type": "Managed",
            }],
        }],
    })))
}

pub fn list(call: &Call) -> Answer {
    call.query.check_select(&KNOWN, "user")?;
    let keep = wanted_kind(call)?;
    let size = match call.query.top {
        Some(top) if top == 0 || top > 999 => {
            return Err(Refusal::new(
                400,
                "Request_UnsupportedQuery",
                "Invalid page size specified: must be between 1 and 999 inclusive.",
            ));
        }
        top => top.unwrap_or(100),
    };
    let skip = match &call.query.skip_token {
        None => 0,
        Some(token) => WalkToken::decode(token)
            .and_then(|token| match token.phase {
                Phase::Enumerate { cursor } => Some(cursor as usize),
                Phase::Changes { .. } => None,
            })
            .ok_or_else(|| {
                Refusal::new(400, "Directory_ExpiredPageToken", "The specified page token value has expired.")
            })?,
    };
    let users: Vec<Arc<User>> = read(&call.app.directory).users.clone();
    let kept: Vec<&Arc<User>> = users.iter().filter(|user| keep(&read(&user.profile))).collect();
    let page: Vec<Value> =
        kept.iter().skip(skip).take(size).map(|user| Value::Object(user_json(user, &call.query))).collect();
    let mut out = json!({"@odata.context": call.context("users"), "value": page});
    if call.query.count {
        out["@odata.count"] = json!(kept.len());
    }
    if skip + size < kept.len() {
        let token = WalkToken::listing((skip + size) as u64).encode();
        let rest = call.query.without(&["$skiptoken"]);
        let joint = if rest.is_empty() { String::new() } else { format!("{rest}&") };
        out["@odata.nextLink"] = json!(call.url(&format!("/users?{joint}$skiptoken={token}")));
    }
    Ok(Reply::ok(out))
}

/// The few filters on users that the directory takes, as a test on the profile.
fn wanted_kind(call: &Call) -> Result<fn(&Profile) -> bool, Refusal> {
    let eventual = call.request.header("consistencylevel").is_some_and(|v| v.eq_ignore_ascii_case("eventual"));
    Ok(match call.query.filter.as_deref().map(str::trim) {
        None => |_| true,
        Some("userType ne 'Guest'") if eventual && call.query.count => |p| p.kind != UserKind::Guest,
        Some("userType ne 'Guest'") => {
            let text = "Operator 'ne' needs $count=true and the header ConsistencyLevel: eventual.";
            return Err(Refusal::new(400, "Request_UnsupportedQuery", text));
        }
        Some("userType eq 'Guest'") => |p| p.kind == UserKind::Guest,
        Some("userType eq 'Member'") => |p| p.kind != UserKind::Guest,
        Some("accountEnabled eq true") => |p| enabled(p),
        Some(_) => {
            return Err(Refusal::new(400, "Request_UnsupportedQuery", "Unsupported Query."));
        }
    })
}

pub fn one(call: &Call) -> Answer {
    call.query.check_select(&KNOWN, "user")?;
    let user = call.user()?;
    let mut out = user_json(user, &call.query);
    out.insert("@odata.context".into(), json!(call.context("users/$entity")));
    Ok(Reply::ok(Value::Object(out)))
}

/// Directory delta: everything at once, then what changed.
pub fn delta(call: &Call) -> Answer {
    let query = &call.query;
    let directory_seq = read(&call.app.directory).seq;
    let given = query.delta_token.as_ref().or(query.skip_token.as_ref());
    let (from, select) = match given {
        None => (None, query.select.clone()),
        Some(text) if text == "latest" => (Some(directory_seq), query.select.clone()),
        Some(text) => {
            let token = WalkToken::decode(text)
                .ok_or_else(|| Refusal::new(400, "Directory_ExpiredPageToken", "The token is not valid."))?;
            if !query.beside_token().is_empty() {
                call.violation("options_beside_token", format!("{:?} beside a token", query.beside_token()));
            }
            match token.phase {
                Phase::Changes { from, .. } => (Some(from), token.select),
                Phase::Enumerate { .. } => {
                    return Err(Refusal::new(400, "Directory_ExpiredPageToken", "Wrong token."));
                }
            }
        }
    };
    let shape = Query { select: select.clone(), ..Query::default() };
    let value = match from {
        None => {
            let users = read(&call.app.directory).users.clone();
            users.iter().map(|user| Value::Object(user_json(user, &shape))).collect()
        }
        Some(from) => changed_users(call, from, &shape),
    };
    let mut token = WalkToken::listing(0);
    token.phase = Phase::Changes { from: directory_seq, offset: 0 };
    token.select = select;
    Ok(Reply::ok(json!({
        "@odata.context": call.context("users"),
        "value": Value::Array(value),
        "@odata.deltaLink": call.url(&format!("/users/delta?$deltatoken={}", token.encode())),
    })))
}

fn changed_users(call: &Call, from: u64, shape: &Query) -> Vec<Value> {
    let directory = read(&call.app.directory);
    let mut seen = std::collections::BTreeMap::new();
    for change in directory.log.iter().filter(|change| change.seq > from) {
        seen.insert(change.user_id.clone(), change.removed);
    }
    seen.into_iter()
        .map(|(id, removed)| match directory.find(&id) {
            Some(user) if !removed => Value::Object(user_json(&user, shape)),
            _ => json!({"id": id, "@removed": {"reason": "changed"}}),
        })
        .collect()
}

fn enabled(p: &Profile) -> bool {
    !matches!(p.kind, UserKind::Shared | UserKind::Room)
}

fn user_json(user: &User, query: &Query) -> Map<String, Value> {
    let mut all = Map::new();
    all.insert("id".into(), json!(user.id));
    for (name, value) in properties(&user.profile()) {
        let wanted = match &query.select {
            None => DEFAULT.contains(&name),
            Some(_) => query.wants(name),
        };
        if wanted {
            all.insert(name.into(), value);
        }
    }
    all
}

fn properties(p: &Profile) -> [(&'static str, Value); 23] {
    let licensed = p.kind == UserKind::Member && p.mailbox != MailboxState::Unlicensed;
    let mail = (p.mailbox != MailboxState::Unlicensed || p.kind == UserKind::Guest).then(|| p.principal_name.clone());
    let text = |s: &str| if s.is_empty() { Value::Null } else { json!(s) };
    [
        ("displayName", json!(p.display_name)),
        ("givenName", text(&p.given_name)),
        ("surname", text(&p.surname)),
        ("userPrincipalName", json!(p.principal_name)),
        ("mail", json!(mail)),
        ("jobTitle", text(&p.job_title)),
        ("department", text(&p.department)),
        ("accountEnabled", json!(enabled(p))),
        ("userType", json!(if p.kind == UserKind::Guest { "Guest" } else { "Member" })),
        ("assignedLicenses", if licensed { json!([{"skuId": E3, "disabledPlans": []}]) } else { json!([]) }),
        (
            "assignedPlans",
            if licensed {
                json!([{"assignedDateTime": iso(p.created), "capabilityStatus": "Enabled", "service": "exchange", "servicePlanId": EXCHANGE_PLAN}])
            } else {
                json!([])
            },
        ),
        ("onPremisesSyncEnabled", if p.mailbox == MailboxState::OnPremises { json!(true) } else { Value::Null }),
        ("createdDateTime", json!(iso(p.created))),
        ("deletedDateTime", Value::Null),
        ("businessPhones", json!([])),
        ("mobilePhone", Value::Null),
        ("officeLocation", Value::Null),
        ("preferredLanguage", Value::Null),
        ("mailNickname", json!(p.principal_name.split('@').next())),
        ("proxyAddresses", json!([format!("SMTP:{}", p.principal_name)])),
        ("companyName", json!("Contoso Simulated")),
        ("usageLocation", json!("DE")),
        ("otherMails", json!([])),
    ]
}

/// The user of a path, for the gate that runs before the handlers.
pub fn resolve(call_app: &crate::app::App, name: &str) -> Result<Arc<User>, Refusal> {
    call_app.user(name).ok_or_else(|| user_not_found(name))
}
