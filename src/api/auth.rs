//! Who calls, and whether the role allows it. Wrapped around every route by `routes`, never by a handler.

use std::future::{Ready, ready};
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest};

use super::Shared;
use super::error::ApiError;
use crate::access::{self, Caller, Permission};

const NO_TOKEN: &str = "this needs an API token: send \"Authorization: Bearer …\"";
const BAD_TOKEN: &str = "the token is not known here, or has expired";

/// The admin behind a request, for handlers that write down who asked.
pub struct Admin(pub Caller);

impl FromRequest for Admin {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Caller>().cloned();
        ready(caller.map(Self).ok_or(ApiError::Unauthorized(NO_TOKEN)))
    }
}

/// Finds out who calls; refuses whoever has no valid token.
pub async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let app = request.app_data::<Data<Shared>>().expect("the server shares its App with every request").clone();
    let token = bearer(request.headers()).ok_or(ApiError::Unauthorized(NO_TOKEN))?.to_owned();
    let caller = access::authenticate(&app.db, &token).await.map_err(ApiError::from)?;
    let caller = caller.ok_or(ApiError::Unauthorized(BAD_TOKEN))?;
    let (asked, admin) = (Instant::now(), caller.admin);
    request.extensions_mut().insert(caller);
    let response = next.call(request).await?;
    let route = response.request().match_pattern().unwrap_or_default();
    let (method, status) = (response.request().method(), response.status().as_u16());
    tracing::debug!(%admin, %method, route, status, duration_ms = asked.elapsed().as_millis() as u64, "request answered");
    Ok(response)
}

/// Lets pass who may do this.
pub async fn require(
    permission: Permission,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let refused = match request.extensions().get::<Caller>() {
        None => Some(ApiError::Unauthorized(NO_TOKEN)),
        Some(caller) if caller.may(permission) => None,
        Some(caller) => Some(ApiError::Forbidden(format!(
            "the role {} of \"{}\" does not include \"{}\"",
            caller.role,
            caller.name,
            permission.as_str()
        ))),
    };
    match refused {
        Some(error) => Err(error.into()),
        None => next.call(request).await,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_bearer_token_is_found_in_any_letter_case_and_nothing_else_is_taken() {
        let header = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(text));
            headers
        };

        assert_eq!(bearer(&header("Bearer kodo_x")), Some("kodo_x"));
        assert_eq!(bearer(&header("bearer  kodo_x")), Some("kodo_x"));
        assert_eq!(bearer(&header("Basic a29kbzp4")), None);
        assert_eq!(bearer(&header("Bearer ")), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
