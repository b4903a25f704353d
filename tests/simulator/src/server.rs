//! HTTP: takes requests off the wire, sends them to login, Graph, uploads or control, and writes
//! the answer, whole or broken as the fault plan wants.

use crate::app::App;
use crate::clock::http_date;
use crate::contract;
use crate::control;
use crate::gate::{self, Delivery, Passage};
use crate::login;
use crate::outgoing::{Breakage, Outgoing, Pieces};
use crate::reply::{Payload, Refusal, Reply, RequestIds};
use crate::request::Request;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

/// Nothing Graph takes is larger; what comes beyond is read and thrown away.
const BODY_MAX: usize = 64 * 1024 * 1024;
const JSON: &str = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";

pub async fn handle(http: HttpRequest, payload: web::Payload, app: web::Data<App>) -> HttpResponse {
    let uri = http.uri();
    let raw_path = uri.path().to_owned();
    let method = http.method().as_str().to_owned();
    let mut request = Request::new(&method, &raw_path, uri.query().unwrap_or_default(), http.headers().clone());
    match request.segments.first().map(String::as_str) {
        Some("control") => {
            request.body = read_body(payload).await.whole();
            control::answer(app.into_inner(), &request)
        }
        Some("v1.0" | "api" | "beta" | "personal") => graph(&app, request, payload, &raw_path).await,
        _ => other(&app, request, payload).await,
    }
}

async fn graph(app: &App, mut request: Request, payload: web::Payload, raw_path: &str) -> HttpResponse {
    let ids = gate::request_ids(app, &request);
    let length = request.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
    let admitted = gate::admit(app, &request, raw_path, length);
    let body = read_body(payload).await;
    if matches!(body, Body::Broken) {
        // Whoever sent it is gone, perhaps killed: a service acts on no half of a request, and nobody reads its answer.
        return HttpResponse::BadRequest().finish();
    }
    let whole = matches!(body, Body::Whole(_));
    request.body = body.whole();
    let bytes_in = if whole { request.body.len() as u64 } else { length };
    if whole {
        contract::watch_request(app, &request, admitted.is_ok());
    }
    let (template, delivery, running) = match (admitted, whole) {
        (Err(refusal), _) => ("refused".to_owned(), Delivery::Whole(refusal.into_reply(&ids)), None),
        (Ok(admitted), false) => {
            (template_of(&admitted.passage), Delivery::Whole(Refusal::too_large().into_reply(&ids)), admitted.running)
        }
        (Ok(admitted), true) => {
            let delivery = gate::answer(app, &admitted, &request, &ids).await;
            (template_of(&admitted.passage), delivery, admitted.running)
        }
    };
    let route = format!("{} {template}", request.method);
    let (reply, breakage) = match delivery {
        Delivery::Whole(reply) => {
            contract::watch_answer(app, &request, &reply);
            (reply, Breakage::None)
        }
        Delivery::Injected(reply) => (reply, Breakage::None),
        Delivery::Cut(reply) => (reply, Breakage::Cut),
        Delivery::Reset => (Reply::empty(200), Breakage::Reset),
    };
    let status = if breakage == Breakage::Reset { 0 } else { reply.status };
    let (builder, pieces) = into_http(app, reply, Some(&ids));
    app.watch.count(&route, status, bytes_in, pieces.len());
    respond(builder, Outgoing::new(pieces, breakage, running))
}

fn template_of(passage: &Passage) -> String {
    match passage {
        Passage::Graph { target, .. } => target.template.clone(),
        Passage::Upload => "uploadUrl".to_owned(),
        Passage::Download(_) => "downloadUrl".to_owned(),
        Passage::DriveUpload(_) => "fragmentUrl".to_owned(),
    }
}

async fn other(app: &App, mut request: Request, payload: web::Payload) -> HttpResponse {
    request.body = read_body(payload).await.whole();
    let words: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let reply = match (request.method.as_str(), words.as_slice()) {
        ("POST", [tenant, "oauth2", "v2.0", "token"]) => login::token(app, tenant, &request),
        _ => {
            app.violation("unknown_route", &request.method, &request.path, "no such route");
            Reply::empty(404)
        }
    };
    let route = if reply.status == 404 { "other" } else { "POST /{tenant}/oauth2/v2.0/token" };
    let (builder, pieces) = into_http(app, reply, None);
    app.watch.count(route, 0, request.body.len() as u64, pieces.len());
    respond(builder, Outgoing::new(pieces, Breakage::None, None))
}

/// What came of a request's body.
enum Body {
    Whole(Bytes),
    TooLong,
    /// The connection ended within it.
    Broken,
}

impl Body {
    /// Nothing, if it is not whole.
    fn whole(self) -> Bytes {
        match self {
            Self::Whole(bytes) => bytes,
            Self::TooLong | Self::Broken => Bytes::new(),
        }
    }
}

async fn read_body(mut payload: web::Payload) -> Body {
    let mut whole = BytesMut::new();
    let mut too_long = false;
    while let Some(chunk) = payload.next().await {
        let Ok(chunk) = chunk else { return Body::Broken };
        too_long |= whole.len() + chunk.len() > BODY_MAX;
        if !too_long {
            whole.extend_from_slice(&chunk);
        }
    }
    if too_long { Body::TooLong } else { Body::Whole(whole.freeze()) }
}

fn into_http(app: &App, reply: Reply, ids: Option<&RequestIds>) -> (HttpResponseBuilder, Pieces) {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = HttpResponseBuilder::new(status);
    let mut typed = |content_type: &str| {
        if let Ok(value) = HeaderValue::from_str(content_type) {
            builder.insert_header((header::CONTENT_TYPE, value));
        }
    };
    let pieces = match reply.body {
        Payload::Empty => Pieces::whole(Bytes::new()),
        Payload::Json(value) => {
            typed(JSON);
            Pieces::whole(Bytes::from(serde_json::to_vec(&value).unwrap_or_default()))
        }
        Payload::Raw { content_type, bytes } => {
            typed(&content_type);
            Pieces::whole(bytes)
        }
        Payload::Pieces { content_type, len, reader, spoiled } => {
            typed(&content_type);
            Pieces::read(reader, len, spoiled)
        }
    };
    builder.insert_header((header::DATE, http_date(app.clock.now())));
    if let Some(ids) = ids {
        builder.insert_header((header::CACHE_CONTROL, "no-store, no-cache"));
        builder.insert_header(("Strict-Transport-Security", "max-age=31536000"));
        builder.insert_header(("request-id", ids.request.as_str()));
        builder.insert_header(("x-ms-ags-diagnostic", r#"{"ServerInfo":{"DataCenter":"Simulated"}}"#));
        if let Ok(value) = HeaderValue::from_str(&ids.client) {
            builder.insert_header(("client-request-id", value));
        }
    }
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(&value)) {
            builder.insert_header((name, value));
        }
    }
    (builder, pieces)
}

fn respond(mut builder: HttpResponseBuilder, body: Outgoing) -> HttpResponse {
    builder.body(body)
}
