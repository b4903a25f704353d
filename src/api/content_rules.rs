//! Whether content may be handed out, and that it is written down who got it.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use serde_json::Value;

use super::Shared;
use super::error::{ApiError, ApiResult};
use crate::access::Caller;
use crate::access::audit::{self, Action};
use crate::catalog::Chain;
use crate::scheduler::ContentDownload;

/// Who asks for content, and from where.
pub struct Asking {
    pub caller: Caller,
    address: String,
}

impl FromRequest for Asking {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // What a proxy says of a client is what the client said: the peer is what is known.
        let address = request.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default();
        let caller = request.extensions().get::<Caller>().cloned();
        ready(caller.map(|caller| Self { caller, address }).ok_or(ApiError::Unauthorized("this needs an API token")))
    }
}

impl Asking {
    /// Writes down what is about to be done; when that fails, it must not be done.
    pub async fn note(&self, app: &Shared, action: Action, details: Value) -> ApiResult<()> {
        Ok(audit::note(&app.db, &self.caller, &self.address, action, details).await?)
    }
}

/// Refuses content of a chain whose policy forbids to hand it out. A chain without a policy has nobody to forbid it.
pub async fn check(app: &Shared, chain: &Chain) -> ApiResult<()> {
    let Some(policy) = chain.policy else { return Ok(()) };
    let policy = app.scheduler.policy(policy).await?;
    match policy.content_download {
        ContentDownload::Allowed => Ok(()),
        ContentDownload::Forbidden => Err(ApiError::Forbidden(format!(
            "the policy \"{}\" forbids to hand out content of chain {}: it can be restored, and not looked at",
            policy.name, chain.id
        ))),
    }
}
