//! Every request and every answer against Microsoft's published contract, while the simulator runs.
//!
//! What a client sends and the contract does not know is a violation `off_contract`; what the simulator
//! answers and Graph could not is a breach, the simulator's own fault. Injected faults are exempt. It
//! looks at the outermost door only, so no area can forget it.
//!
//! Why no library for JSON Schema: the contract is OData written down as OpenAPI 3.0. Unknown names must
//! be refused across inheritance, `@odata.type` chooses the type, annotations hang on property names,
//! `$select` and `$expand` name properties, and a finding must say which property of which type it is
//! about, not that "no alternative of anyOf fits". A library would need the schemas rewritten into
//! closed ones per type and side, and everything but the innermost check would be here all the same.

mod exceptions;
mod format;
mod model;
mod query;
mod routes;
mod value;

use self::model::{Body, Contract, Format, Operation, Shape, Slot};
use self::value::{Finding, Side};
use crate::app::App;
use crate::graph::drive;
use crate::reply::{Payload, Reply};
use crate::request::Request;
use crate::watch::Breach;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::OnceLock;

const JSON: &str = "application/json";

/// Compiled when first needed, for all tenants of this process.
fn contract() -> &'static Contract {
    static COMPILED: OnceLock<Contract> = OnceLock::new();
    COMPILED.get_or_init(Contract::compiled)
}

/// Judges a request whose body has been read. `routed`: the simulator knows this path; of one that it
/// does not know the log tells already.
pub fn watch_request(app: &App, request: &Request, routed: bool) {
    if !app.options.contract || !is_graph(request) {
        return;
    }
    let found = match find(request) {
        Found::Operation(template, operation) => request_findings(template, operation, request),
        Found::NoPath if routed => vec![Finding::new("path", "the contract has no such path")],
        Found::NoPath => Vec::new(),
        Found::NoMethod(template) => vec![Finding::new("method", format!("no such method of {template}"))],
    };
    for finding in found {
        let reason = format!("{}: {} {}", finding.kind, finding.pointer, finding.reason);
        app.violation("off_contract", &request.method, &request.path, reason);
    }
}

/// Judges an answer that leaves whole and unspoiled.
pub fn watch_answer(app: &App, request: &Request, reply: &Reply) {
    if !app.options.contract {
        return;
    }
    let (route, found) = if is_graph(request) {
        match find(request) {
            Found::Operation(template, operation) => {
                (template, answer_findings(template, Some(operation), request, reply))
            }
            Found::NoMethod(template) => (template, answer_findings(template, None, request, reply)),
            Found::NoPath => ("", answer_findings("", None, request, reply)),
        }
    } else if is_outlook_upload(request) {
        ("uploadUrl", upload_findings(reply, "outlookUploadProgress"))
    } else if drive::upload::is_upload(request) {
        let whole = matches!((request.method.as_str(), reply.status), ("PUT", 200 | 201));
        let of = if whole { "microsoft.graph.driveItem" } else { "microsoft.graph.uploadSession" };
        ("fragmentUrl", upload_findings(reply, of))
    } else {
        return;
    };
    for Finding { kind, pointer, reason } in found {
        let route = format!("{} {route} {}", request.method, reply.status);
        app.watch.breach(Breach { kind, route, pointer, reason });
    }
}

fn is_graph(request: &Request) -> bool {
    request.segments.first().is_some_and(|version| version == "v1.0")
}

fn is_outlook_upload(request: &Request) -> bool {
    matches!(request.segments.as_slice(), [api, _, users, ..] if api == "api" && users == "Users")
}

enum Found {
    Operation(&'static str, &'static Operation),
    NoMethod(&'static str),
    NoPath,
}

fn find(request: &Request) -> Found {
    let Some(item) = routes::find(contract(), &request.segments[1..]) else {
        return Found::NoPath;
    };
    match item.operations.get(&request.method) {
        Some(operation) => Found::Operation(&item.template.text, operation),
        None => Found::NoMethod(&item.template.text),
    }
}

fn request_findings(template: &str, operation: &Operation, request: &Request) -> Vec<Finding> {
    let mut found = query::check(contract(), template, operation, request);
    let Some(body) = &operation.request else {
        if !request.body.is_empty() {
            found.push(Finding::new("body", "a body where none is expected"));
        }
        return found;
    };
    if request.body.is_empty() {
        // Nothing at all is the content of an empty file.
        if body.required && body.contents.iter().any(|(kind, _)| kind == JSON) {
            found.push(Finding::new("body", "the body is missing"));
        }
        return found;
    }
    let kind = media_type(request.content_type());
    match content(body, kind) {
        Some(slot) if kind == JSON => match serde_json::from_slice(&request.body) {
            Ok(value) => found.extend(value::check(contract(), slot, &value, Side::Request)),
            Err(error) => found.push(Finding::new("body", format!("not JSON: {error}"))),
        },
        Some(_) => {}
        None => found.push(Finding::new("content_type", format!("'{kind}' is not taken here"))),
    }
    found
}

fn answer_findings(template: &str, operation: Option<&Operation>, request: &Request, reply: &Reply) -> Vec<Finding> {
    if reply.status >= 400 {
        return error_findings(reply);
    }
    let Some(operation) = operation else {
        return vec![Finding::new("status", "a success of what the contract does not have")];
    };
    let Some(body) = operation.answers.get(&reply.status) else {
        if exceptions::is_extra_status(&request.method, template, reply.status) {
            return Vec::new();
        }
        return vec![Finding::new("status", format!("{} is no answer of this operation", reply.status))];
    };
    match (body, &reply.body) {
        (None, Payload::Empty) => Vec::new(),
        (None, Payload::Json(_) | Payload::Raw { .. } | Payload::Pieces { .. }) => {
            vec![Finding::new("body", "a body where none is promised")]
        }
        (Some(_), Payload::Empty) => vec![Finding::new("body", "no body where one is promised")],
        (Some(body), Payload::Json(value)) => match content(body, JSON) {
            Some(slot) => value::check(contract(), slot, value, Side::Answer),
            None => vec![Finding::new("content_type", "JSON where something else is promised")],
        },
        (Some(body), Payload::Raw { content_type, bytes }) => raw_findings(body, media_type(content_type), bytes),
        (Some(body), Payload::Pieces { content_type, .. }) => raw_findings(body, media_type(content_type), b""),
    }
}

fn raw_findings(body: &Body, kind: &str, bytes: &[u8]) -> Vec<Finding> {
    match content(body, kind) {
        Some(slot) if kind == JSON => match serde_json::from_slice::<Value>(bytes) {
            Ok(value) => value::check(contract(), slot, &value, Side::Answer),
            Err(error) => vec![Finding::new("body", format!("not JSON: {error}"))],
        },
        Some(_) => Vec::new(),
        None => vec![Finding::new("content_type", format!("'{kind}' is not promised"))],
    }
}

fn error_findings(reply: &Reply) -> Vec<Finding> {
    let kind: Cow<'_, str> = match &reply.body {
        Payload::Json(value) => return named("ODataError", value),
        Payload::Empty => "".into(),
        Payload::Raw { content_type, .. } | Payload::Pieces { content_type, .. } => media_type(content_type).into(),
    };
    match exceptions::is_other_error(reply.status, &kind) {
        true => Vec::new(),
        false => vec![Finding::new("body", format!("an error {} without the error object", reply.status))],
    }
}

/// An upload URL is no operation of the contract, but its answers have a form.
fn upload_findings(reply: &Reply, of: &str) -> Vec<Finding> {
    match &reply.body {
        Payload::Json(value) if reply.status >= 400 => named("ODataError", value),
        Payload::Json(value) => named(of, value),
        Payload::Empty | Payload::Raw { .. } | Payload::Pieces { .. } => Vec::new(),
    }
}

fn named(name: &str, value: &Value) -> Vec<Finding> {
    let id = contract().type_ids[name];
    value::check(contract(), &Slot { shape: Shape::Object(id), nullable: false }, value, Side::Answer)
}

/// The slot for a content type. Bytes may be of any type: an attachment has its own.
fn content<'a>(body: &'a Body, kind: &str) -> Option<&'a Slot> {
    let exact = body.contents.iter().find(|(known, _)| known == kind);
    let binary = || body.contents.iter().find(|(_, slot)| matches!(slot.shape, Shape::Text(Format::Binary)));
    exact.or_else(binary).map(|(_, slot)| slot)
}

fn media_type(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}
