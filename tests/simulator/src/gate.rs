//! What every request passes before its area answers it: who asks, for what, may they, is it too
//! much, and does the fault plan have something in store.

use crate::app::{App, Grant};
use crate::clock::{http_date, iso};
use crate::faults::{FaultBody, FaultKind, FaultRule, RetryAfterForm};
use crate::graph::drive::{self, download};
use crate::graph::{self, Target, users};
use crate::locks::lock;
use crate::login::grant_of;
use crate::reply::{Headers, Payload, Refusal, Reply, RequestIds};
use crate::request::Request;
use crate::throttle::Running;
use crate::{units, upload};
use bytes::Bytes;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request that may go on, with what it holds while it runs.
pub struct Admitted {
    pub passage: Passage,
    pub running: Option<Running>,
    /// What the answer tells of the client's budget.
    pub headers: Headers,
}

pub enum Passage {
    Graph { grant: Arc<Grant>, target: Target },
    Upload,
    Download(download::Ticket),
    DriveUpload(Arc<Mutex<drive::upload::Session>>),
}

impl Passage {
    /// Notes a `Retry-After` with whoever keeps count of this client.
    fn fence(&self, app: &App, seconds: u64) {
        let now_ms = app.clock.now_ms();
        match self {
            Self::Graph { grant, target } if matches!(target.route, graph::Route::Drive(_)) => {
                app.sharepoint.fence(&grant.client_id, now_ms, seconds);
            }
            Self::Graph { grant, target } => {
                if let Some(user) = &target.user {
                    user.gates.fence(&grant.client_id, now_ms, seconds);
                }
            }
            Self::Download(ticket) => app.sharepoint.fence(&ticket.client_id, now_ms, seconds),
            Self::DriveUpload(session) => app.sharepoint.fence(&lock(session).client_id, now_ms, seconds),
            Self::Upload => {}
        }
    }

    fn is_sharepoint(&self) -> bool {
        match self {
            Self::Graph { target, .. } => matches!(target.route, graph::Route::Drive(_)),
            Self::Download(_) | Self::DriveUpload(_) => true,
            Self::Upload => false,
        }
    }
}

/// How the answer leaves the house.
pub enum Delivery {
    Whole(Reply),
    /// The answer of a fault, which Graph itself need not give.
    Injected(Reply),
    /// The connection drops before a byte is sent.
    Reset,
    /// The connection drops in the middle of the body.
    Cut(Reply),
}

/// Everything that can be judged from the head of the request.
pub fn admit(app: &App, request: &Request, raw_path: &str, body_len: u64) -> Result<Admitted, Refusal> {
    watch_manners(app, request, raw_path);
    let upload = request.segments.first().is_some_and(|s| s == "api");
    if upload {
        let running = match upload::owner(app, request) {
            Some(owner) => enter(app, request, &owner.user_id, &owner.client_id, body_len)?,
            None => None,
        };
        return Ok(Admitted { passage: Passage::Upload, running, headers: Headers::new() });
    }
    if drive::upload::is_upload(request) {
        let (session, headers) = drive::upload::admit(app, request)?;
        return Ok(Admitted { passage: Passage::DriveUpload(session), running: None, headers });
    }
    if request.segments.first().is_some_and(|s| s == "personal") {
        let (ticket, headers) = download::admit(app, request)?;
        return Ok(Admitted { passage: Passage::Download(ticket), running: None, headers });
    }
    let grant = grant_of(app, request.header("authorization")).ok_or_else(|| {
        Refusal::new(401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.")
    })?;
    let target =
        (request.segments.first().map(String::as_str) == Some("v1.0")).then(|| graph::find_target(request)).flatten();
    let Some(mut target) = target else {
        let (kind, reason) = graph::unknown_reason(request);
        app.violation(kind, &request.method, &request.path, reason);
        return Err(Refusal::unknown_route(request.segments.last().map_or("", String::as_str)));
    };
    let (roles, code) = graph::needed_roles(target.route, &request.method);
    if !grant.has_any(roles) {
        let text = match code {
            "ErrorAccessDenied" => "Access is denied. Check credentials and try again.",
            "accessDenied" => "Access denied",
            _ => "Insufficient privileges to complete the operation.",
        };
        return Err(Refusal::new(403, code, text));
    }
    let mut running = None;
    if !target.user_name.is_empty() && target.route != graph::Route::UsersDelta {
        let user = users::resolve(app, &target.user_name)?;
        if graph::is_mail(target.route) {
            graph::check_mailbox(&user)?;
            running = enter(app, request, &user.id, &grant.client_id, body_len)?;
        }
        target.user = Some(user);
    }
    let headers = match target.route {
        graph::Route::Drive(_) => drive::admit(app, request, &grant.client_id, &mut target)?,
        graph::Route::Users | graph::Route::UsersDelta | graph::Route::User => {
            units::charge_directory(app, request, &grant.client_id, units::directory_cost(&request.raw_query))?
        }
        _ => Headers::new(),
    };
    Ok(Admitted { passage: Passage::Graph { grant, target }, running, headers })
}

fn enter(app: &App, request: &Request, user: &str, client: &str, body_len: u64) -> Result<Option<Running>, Refusal> {
    let Some(user) = app.user(user) else {
        return Ok(None);
    };
    let limits = app.limits();
    let (entered, offence) = user.gates.enter(client, &limits, app.clock.now_ms(), body_len);
    if let Some((kind, reason)) = offence {
        app.violation(kind, &request.method, &request.path, reason);
    }
    entered.map(Some).map_err(|throttled| {
        Refusal::new(429, "ApplicationThrottled", throttled.message).retry_after(throttled.retry_after_seconds)
    })
}

fn watch_manners(app: &App, request: &Request, raw_path: &str) {
    let violation = |kind, reason: String| app.violation(kind, &request.method, &request.path, reason);
    let agent = request.header("user-agent").unwrap_or_default();
    if !is_decorated(agent) {
        violation("user_agent", format!("User-Agent '{agent}' is not of the form NONISV|Company|App/1.0"));
    }
    if raw_path.contains("//") {
        violation("double_slash", raw_path.to_owned());
    }
    if request.segments.first().is_some_and(|s| s == "beta") {
        violation("beta", "the beta endpoint is not for production".into());
    }
}

fn is_decorated(agent: &str) -> bool {
    let mut parts = agent.split('|');
    let kind = parts.next().unwrap_or_default();
    let company = parts.next().unwrap_or_default();
    let app = parts.next().unwrap_or_default();
    ["NONISV", "ISV"].contains(&kind)
        && !company.is_empty()
        && app.split_once('/').is_some_and(|(n, v)| !n.is_empty() && !v.is_empty())
}

/// Answers an admitted request whose body has been read.
pub async fn answer(app: &App, admitted: &Admitted, request: &Request, ids: &RequestIds) -> Delivery {
    const BEFORE: [FaultKind; 2] = [FaultKind::Status, FaultKind::Reset];
    let limits_latency = crate::locks::read(&app.limits).latency_ms;
    if limits_latency > 0 {
        tokio::time::sleep(Duration::from_millis(limits_latency)).await;
    } else {
        // Lets requests that arrived at the same time begin too, else a fast simulator would
        // never see how many the client runs at once.
        tokio::task::yield_now().await;
    }
    let faults = app.faults();
    let (method, path) = (request.method.as_str(), graph_path(request));
    if let Some(rule) = faults.strike(&[FaultKind::DelayMs], method, path) {
        app.watch.fault(rule.kind.name());
        tokio::time::sleep(Duration::from_millis(rule.ms.unwrap_or(100))).await;
    }
    if let Some(rule) = faults.strike(&BEFORE, method, path) {
        app.watch.fault(rule.kind.name());
        return match rule.kind {
            FaultKind::Reset => Delivery::Reset,
            _ => Delivery::Injected(fault_reply(app, admitted, &rule, ids)),
        };
    }
    let forgetful = faults.strike(&[FaultKind::ForgetProperty], method, path).and_then(|rule| {
        let forgetful = request.without(rule.code.as_deref().unwrap_or_default())?;
        app.watch.fault(rule.kind.name());
        Some(forgetful)
    });
    let heard = forgetful.as_ref().unwrap_or(request);
    let answer = match &admitted.passage {
        Passage::Graph { grant, target } => graph::answer(app, grant, target, heard),
        Passage::Upload => upload::answer(app, request),
        Passage::Download(ticket) => download::answer(app, request, ticket),
        Passage::DriveUpload(session) => drive::upload::answer(app, request, session),
    };
    let mut reply = answer.unwrap_or_else(|refusal| refusal.into_reply(ids));
    reply.headers.extend(admitted.headers.iter().cloned());
    if let Some(applied) = request.prefer.applied() {
        reply = reply.with("Preference-Applied", applied);
    }
    let mut spoiled = false;
    if reply.status < 300 && !faults.is_empty() {
        if faults.strike(&[FaultKind::ControlCharacters], method, path).is_some() {
            app.watch.fault("control_characters");
            reply = with_control_characters(reply);
            spoiled = true;
        }
        if faults.strike(&[FaultKind::CutBody], method, path).is_some() {
            app.watch.fault("cut_body");
            return Delivery::Cut(reply);
        }
    }
    if spoiled { Delivery::Injected(reply) } else { Delivery::Whole(reply) }
}

fn graph_path(request: &Request) -> &str {
    request.path.strip_prefix("/v1.0").unwrap_or(&request.path)
}

fn fault_reply(app: &App, admitted: &Admitted, rule: &FaultRule, ids: &RequestIds) -> Reply {
    let status = rule.status.unwrap_or(503);
    let sharepoint = admitted.passage.is_sharepoint();
    let default_code = match status {
        429 if sharepoint => "activityLimitReached",
        404 if sharepoint => "itemNotFound",
        410 if sharepoint => "resyncChangesApplyDifferences",
        500 if sharepoint => "generalException",
        429 => "ApplicationThrottled",
        401 => "InvalidAuthenticationToken",
        404 => "ErrorItemNotFound",
        410 => "SyncStateNotFound",
        503 => "serviceNotAvailable",
        504 => "UnknownError",
        _ => "ErrorInternalServerError",
    };
    let code = rule.code.as_deref().unwrap_or(default_code);
    let mut reply = match rule.body {
        FaultBody::Json => {
            let text = "The service is not available at this moment.";
            let refusal = match status {
                429 if sharepoint => Refusal::new(status, code, text).inner("throttledRequest"),
                503 if sharepoint => Refusal::new(status, code, "Server Too Busy"),
                _ => Refusal::new(status, code, text),
            };
            refusal.into_reply(ids)
        }
        FaultBody::Empty => Reply::empty(status),
        FaultBody::Html => {
            let page = "<html><head><title>Service unavailable</title></head><body><h2>Our services aren't available right now</h2></body></html>";
            let mut reply = Reply::raw("text/html", Bytes::from_static(page.as_bytes()));
            reply.status = status;
            reply
        }
    };
    if let Some(seconds) = rule.retry_after {
        let value = match rule.retry_after_form {
            RetryAfterForm::Seconds => seconds.to_string(),
            RetryAfterForm::Date => http_date(app.clock.now() + seconds as i64),
        };
        reply = reply.with("Retry-After", value);
        admitted.passage.fence(app, seconds);
    }
    reply
}

// Outlook has been seen to put raw control characters into strings, which strict parsers refuse.
fn with_control_characters(mut reply: Reply) -> Reply {
    if let Payload::Json(value) = &reply.body {
        let text = value.to_string();
        let spoiled = text.replacen("\"subject\":\"", "\"subject\":\"\u{1}\u{b}", usize::MAX);
        let spoiled = if spoiled == text { text.replacen("\":\"", "\":\"\u{1}", 1) } else { spoiled };
        reply.body = Payload::Raw { content_type: "application/json".into(), bytes: spoiled.into() };
    }
    reply
}

pub fn request_ids(app: &App, request: &Request) -> RequestIds {
    let id = uuid::Uuid::new_v4().to_string();
    RequestIds {
        client: request.header("client-request-id").map_or_else(|| id.clone(), str::to_owned),
        request: id,
        date: iso(app.clock.now()),
    }
}
