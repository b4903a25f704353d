//! Answers other than 200: something was created, or its work was begun.

use actix_web::body::BoxBody;
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::Serialize;

use super::error::ApiError;
use crate::db::DbError;

/// 201 with what was created.
pub struct Created<T>(pub T);

/// 202 with the id under which the work can be watched.
pub struct Accepted<T>(pub T);

impl<T: Serialize> Responder for Created<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Created().json(self.0)
    }
}

impl<T: Serialize> Responder for Accepted<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        HttpResponse::Accepted().json(self.0)
    }
}

/// What a unique key says when something of this name exists.
pub fn taken(what: &str, name: &str, err: DbError) -> ApiError {
    match err {
        DbError::Duplicate(_) => ApiError::Conflict(format!("there is a {what} named \"{name}\" already")),
        other => other.into(),
    }
}
