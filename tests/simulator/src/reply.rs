//! Answers before they become HTTP: a reply, or a refusal in the error shape of Graph.

use crate::store::drive::content::Reader;
use bytes::Bytes;
use serde_json::{Value, json};

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Headers,
    pub body: Payload,
}

#[derive(Debug)]
pub enum Payload {
    Empty,
    Json(Value),
    Raw {
        content_type: String,
        bytes: Bytes,
    },
    /// Too large to be made whole; with `spoiled` its first byte is wrong.
    Pieces {
        content_type: String,
        len: u64,
        reader: Reader,
        spoiled: bool,
    },
}

pub type Headers = Vec<(&'static str, String)>;

pub type Answer = Result<Reply, Refusal>;

impl Reply {
    pub fn json(status: u16, value: Value) -> Self {
        Self { status, headers: Vec::new(), body: Payload::Json(value) }
    }

    pub fn ok(value: Value) -> Self {
        Self::json(200, value)
    }

    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Payload::Empty }
    }

    pub fn raw(content_type: &str, bytes: Bytes) -> Self {
        Self { status: 200, headers: Vec::new(), body: Payload::Raw { content_type: content_type.to_owned(), bytes } }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// An error answer of Graph. `code` is what clients branch on.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
    /// A nested error with a more telling code, as SharePoint has it.
    pub inner_code: Option<&'static str>,
    pub retry_after_seconds: Option<u64>,
    pub headers: Headers,
}

impl Refusal {
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
            inner_code: None,
            retry_after_seconds: None,
            headers: Headers::new(),
        }
    }

    pub fn inner(mut self, code: &'static str) -> Self {
        self.inner_code = Some(code);
        self
    }

    pub fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    pub fn item_not_found() -> Self {
        Self::new(404, "ErrorItemNotFound", "The specified object was not found in the store.")
    }

    pub fn bad_id() -> Self {
        Self::new(400, "ErrorInvalidIdMalformed", "Id is malformed.")
    }

    pub fn bad_request(message: &str) -> Self {
        Self::new(400, "ErrorInvalidRequest", message)
    }

    pub fn bad_query(message: &str) -> Self {
        Self::new(400, "ErrorInvalidUrlQuery", message)
    }

    pub fn bad_body(message: &str) -> Self {
        Self::new(400, "UnableToDeserializePostBody", message)
    }

    pub fn too_large() -> Self {
        Self::new(413, "RequestEntityTooLarge", "The request entity is larger than the limit of 4 MB.")
    }

    pub fn unknown_route(path: &str) -> Self {
        Self::new(400, "BadRequest", &format!("Resource not found for the segment '{path}'."))
    }

    pub fn method() -> Self {
        Self::new(405, "ErrorInvalidRequest", "The OData request is not supported.")
    }

    pub fn into_reply(self, ids: &RequestIds) -> Reply {
        let mut body = json!({"error": {
            "code": self.code,
            "message": self.message,
            "innerError": {
                "date": ids.date.trim_end_matches('Z'),
                "request-id": ids.request,
                "client-request-id": ids.client,
            },
        }});
        if let Some(code) = self.inner_code {
            body["error"]["innerError"]["code"] = json!(code);
        }
        let mut reply = Reply::json(self.status, body);
        reply.headers = self.headers;
        match self.retry_after_seconds {
            Some(seconds) => reply.with("Retry-After", seconds.to_string()),
            None => reply,
        }
    }
}

/// What ties an answer to its request.
#[derive(Debug, Clone)]
pub struct RequestIds {
    pub request: String,
    pub client: String,
    pub date: String,
}
