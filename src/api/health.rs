//! Whether the process lives and can do its work. Open to everybody, and so without a single detail.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, ServiceConfig, get};
use serde::{Deserialize, Serialize};

use super::Shared;
use crate::queue::agents;

/// The answer of `/readyz`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    pub database: bool,
    /// At least one agent sent a heartbeat lately.
    pub agents: bool,
}

pub fn configure(service: &mut ServiceConfig) {
    service.route("/healthz", get().to(alive)).route("/readyz", get().to(ready));
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("alive\n")
}

async fn ready(app: Data<Shared>) -> HttpResponse {
    let ready = match agents::list(&app.db).await {
        Ok(agents) => Ready { database: true, agents: agents.iter().any(|agent| agent.online) },
        Err(_) => Ready { database: false, agents: false },
    };
    let status = if ready.database && ready.agents { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    HttpResponse::build(status).json(ready)
}
