//! Every answer that is not a success: one enum, told as RFC 9457 problem+json.

use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde::{Deserialize, Serialize};

use crate::db::{DbError, TxError};

/// What a handler returns.
pub type ApiResult<T> = Result<T, ApiError>;

/// Why a request was not done, told apart by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The request cannot be read: malformed JSON, an unknown field, a bad cursor.
    #[error("{0}")]
    BadRequest(String),
    #[error("{0}")]
    Unauthorized(&'static str),
    #[error("{0}")]
    Forbidden(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{method} is not something that {path} does")]
    MethodNotAllowed { method: String, path: String },
    /// It stands against what is there already.
    #[error("{0}")]
    Conflict(String),
    #[error("the body of the request is larger than {bytes_max} bytes (server.body_bytes_max)")]
    TooLarge { bytes_max: usize },
    /// Well formed, but it cannot be done as asked.
    #[error("{0}")]
    Unprocessable(String),
    /// Microsoft refused, or cannot be reached.
    #[error("{0}")]
    Upstream(String),
    /// The database or the storage cannot be reached now.
    #[error("{0}")]
    Unavailable(String),
    /// A defect. The log has the details, the answer only a number to find them by.
    #[error("kodo failed inside; the log has the details under incident {incident}")]
    Internal { incident: uuid::Uuid },
}

/// The body of an answer that is not a success.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// A stable name of the kind of problem, for scripts.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
}

pub const PROBLEM_JSON: &str = "application/problem+json";

impl ApiError {
    /// Logs a defect and hides it behind a number.
    pub fn internal(err: &anyhow::Error) -> Self {
        let incident = uuid::Uuid::new_v4();
        tracing::error!(%incident, error = format!("{err:#}"), "a request failed inside");
        Self::Internal { incident }
    }

    pub fn not_found(what: &str, name: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("there is no {what} {name}"))
    }

    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad-request", "The request cannot be read"),
            Self::Unauthorized(_) => (StatusCode::UNAUTHORIZED, "unauthorized", "A valid token is needed"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "The role does not allow this"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::MethodNotAllowed { .. } => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed here")
            }
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict", "In conflict with what exists"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large"),
            Self::Unprocessable(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", "This cannot be done as asked")
            }
            Self::Upstream(_) => (StatusCode::BAD_GATEWAY, "upstream", "Microsoft did not do it"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now"),
            Self::Internal { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "An error inside kodo"),
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.kind().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, kind, title) = self.kind();
        let problem = Problem {
            kind: format!("urn:kodo:problem:{kind}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.to_string(),
        };
        let mut response = HttpResponse::build(status);
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        let body = serde_json::to_string(&problem).expect("a problem is plain text and a number");
        response.insert_header(ContentType(PROBLEM_JSON.parse().expect("a media type"))).body(body)
    }
}

impl From<DbError> for ApiError {
    fn from(err: DbError) -> Self {
        match err {
            DbError::Unreachable(_) | DbError::Contended(_) | DbError::Lost(_) | DbError::TooManyStatements(_) => {
                Self::Unavailable(err.to_string())
            }
            DbError::CommitUnknown(_) => Self::Unavailable(format!("{err}; look before you repeat the request")),
            DbError::Duplicate(_) => Self::Conflict(err.to_string()),
            DbError::NotFound => Self::NotFound("what was asked for does not exist".to_owned()),
            DbError::Query(_) => Self::internal(&anyhow::Error::new(err)),
        }
    }
}

impl From<TxError<Self>> for ApiError {
    fn from(err: TxError<Self>) -> Self {
        match err {
            TxError::Db(err) => err.into(),
            TxError::Refused(err) => err,
        }
    }
}

/// How actix-web's own extractors report that a request cannot be read.
pub fn unreadable_json(err: actix_web::error::JsonPayloadError, _: &HttpRequest) -> actix_web::Error {
    use actix_web::error::JsonPayloadError as Json;
    match err {
        Json::OverflowKnownLength { limit, .. } | Json::Overflow { limit } => ApiError::TooLarge { bytes_max: limit },
        Json::ContentType => ApiError::BadRequest("the content type is not application/json".to_owned()),
        Json::Deserialize(err) => ApiError::BadRequest(format!("the body is not what is expected here: {err}")),
        other => ApiError::BadRequest(format!("the body cannot be read: {other}")),
    }
    .into()
}

pub fn unreadable_query(err: actix_web::error::QueryPayloadError, _: &HttpRequest) -> actix_web::Error {
    ApiError::BadRequest(format!("the query is not what is expected here: {err}")).into()
}

pub fn unreadable_path(_: actix_web::error::PathError, request: &HttpRequest) -> actix_web::Error {
    ApiError::NotFound(format!("there is nothing at {}", request.path())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn a_problem_has_the_four_members_of_the_standard() {
        let response = ApiError::not_found("tenant", 7).error_response();

        assert_eq!(response.status(), 404);
        assert_eq!(response.headers().get("content-type").unwrap(), PROBLEM_JSON);
        let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
        let problem: Problem = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem.kind, "urn:kodo:problem:not-found");
        assert_eq!((problem.status, problem.detail.as_str()), (404, "there is no tenant 7"));
    }

    #[actix_web::test]
    async fn a_defect_does_not_tell_its_details() {
        let error = ApiError::internal(&anyhow::anyhow!("column secret_sauce is missing"));

        assert!(!error.to_string().contains("secret_sauce"));
        assert_eq!(error.status_code(), 500);
    }
}
