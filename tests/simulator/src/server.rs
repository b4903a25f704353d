//! HTTP: takes requests off the wire, sends them to login, Graph, uploads or control, and writes
//! the answer, whole or broken as the fault plan wants.

use crate::app::App;
use crate::clock::http_date;
use crate::contract;
use crate::control;
use crate::gate::{self, Delivery, Passage};
use crate::login;
use crate::reply::{Payload, Refusal, Reply, RequestIds};
use crate::request::Request;
use crate::throttle::Running;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Nothing Graph takes is larger; what comes beyond is read and thrown away.
const BODY_MAX: usize = 16 * 1024 * 1024;
const JSON: &str = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";

pub async fn handle(http: HttpRequest, payload: web::Payload, app: web::Data<App>) -> HttpResponse {
    let uri = http.uri();
    let raw_path = uri.path().to_owned();
    let method = http.method().as_str().to_owned();
    let mut request = Request::new(&method, &raw_path, uri.query().unwrap_or_default(), http.headers().clone());
    match request.segments.first().map(String::as_str) {
        Some("control") => {
            request.body = read_body(payload).await.unwrap_or_default();
            control::answer(app.into_inner(), &request)
        }
        Some("v1.0" | "api" | "beta") => graph(&app, request, payload, &raw_path).await,
        _ => other(&app, request, payload).await,
    }
}

async fn graph(app: &App, mut request: Request, payload: web::Payload, raw_path: &str) -> HttpResponse {
    let ids = gate::request_ids(app, &request);
    let length = request.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
    let admitted = gate::admit(app, &request, raw_path, length);
    let body = read_body(payload).await;
    let bytes_in = body.as_ref().map_or(length, |b| b.len() as u64);
    let whole = body.is_some();
    request.body = body.unwrap_or_default();
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
    let (builder, bytes) = into_http(app, reply, Some(&ids));
    app.watch.count(&route, status, bytes_in, bytes.len() as u64);
    respond(builder, Outgoing::new(bytes, breakage, running))
}

fn template_of(passage: &Passage) -> String {
    match passage {
        Passage::Graph { target, .. } => target.template.clone(),
        Passage::Upload => "uploadUrl".to_owned(),
    }
}

async fn other(app: &App, mut request: Request, payload: web::Payload) -> HttpResponse {
    request.body = read_body(payload).await.unwrap_or_default();
    let words: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let reply = match (request.method.as_str(), words.as_slice()) {
        ("POST", [tenant, "oauth2", "v2.0", "token"]) => login::token(app, tenant, &request),
        _ => {
            app.violation("unknown_route", &request.method, &request.path, "no such route");
            Reply::empty(404)
        }
    };
    let route = if reply.status == 404 { "other" } else { "POST /{tenant}/oauth2/v2.0/token" };
    let (builder, bytes) = into_http(app, reply, None);
    app.watch.count(route, 0, request.body.len() as u64, bytes.len() as u64);
    respond(builder, Outgoing::new(bytes, Breakage::None, None))
}

async fn read_body(mut payload: web::Payload) -> Option<Bytes> {
    let mut whole = BytesMut::new();
    let mut too_long = false;
    while let Some(Ok(chunk)) = payload.next().await {
        too_long |= whole.len() + chunk.len() > BODY_MAX;
        if !too_long {
            whole.extend_from_slice(&chunk);
        }
    }
    (!too_long).then(|| whole.freeze())
}

fn into_http(app: &App, reply: Reply, ids: Option<&RequestIds>) -> (HttpResponseBuilder, Bytes) {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = HttpResponseBuilder::new(status);
    let bytes = match reply.body {
        Payload::Empty => Bytes::new(),
        Payload::Json(value) => {
            builder.insert_header((header::CONTENT_TYPE, JSON));
            Bytes::from(serde_json::to_vec(&value).unwrap_or_default())
        }
        Payload::Raw { content_type, bytes } => {
            if let Ok(value) = HeaderValue::from_str(&content_type) {
                builder.insert_header((header::CONTENT_TYPE, value));
            }
            bytes
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
    (builder, bytes)
}

fn respond(mut builder: HttpResponseBuilder, body: Outgoing) -> HttpResponse {
    builder.body(body)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breakage {
    None,
    Cut,
    Reset,
}

/// A body that may break, and that holds the mailbox's place until it is written.
struct Outgoing {
    bytes: Bytes,
    size: u64,
    breakage: Breakage,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
    done: bool,
    _running: Option<Running>,
}

impl Outgoing {
    fn new(bytes: Bytes, breakage: Breakage, running: Option<Running>) -> Self {
        let size = match breakage {
            Breakage::Reset => 1,
            Breakage::None | Breakage::Cut => bytes.len() as u64,
        };
        Self { bytes, size, breakage, pause: None, done: false, _running: running }
    }
}

fn broken() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, "broken by the fault plan")
}

impl MessageBody for Outgoing {
    type Error = std::io::Error;

    fn size(&self) -> BodySize {
        if self.size == 0 { BodySize::Sized(0) } else { BodySize::Sized(self.size) }
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if let Some(pause) = &mut self.pause {
            return pause.as_mut().poll(cx).map(|()| Some(Err(broken())));
        }
        if self.done {
            return Poll::Ready(None);
        }
        match self.breakage {
            Breakage::Reset => Poll::Ready(Some(Err(broken()))),
            Breakage::None => {
                self.done = true;
                let bytes = std::mem::take(&mut self.bytes);
                Poll::Ready(if bytes.is_empty() { None } else { Some(Ok(bytes)) })
            }
            Breakage::Cut => {
                // The pause lets the first half reach the client before the connection goes.
                self.pause = Some(Box::pin(tokio::time::sleep(Duration::from_millis(20))));
                let half = self.bytes.len() / 2;
                Poll::Ready(Some(Ok(self.bytes.slice(..half))))
            }
        }
    }
}
