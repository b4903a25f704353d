//! HTTP only: what `/api/v1` understands and answers.
//!
//! Owns: the listener and its certificate, who may call what (one table of routes), requests and answers as JSON,
//! problem+json errors, paging. Does not own: any rule of the product and any query; a handler reads the request,
//! calls one function of a module below, and maps what it returns.
//!
//! Invariants: no route of `/api/v1` without an entry in [`routes::ROUTES`], and so none without a token; a secret
//! that came in is never given out; unknown fields are refused; every listing is paged and bounded.

mod config;
mod error;
mod page;
mod tls;

pub use config::ServerConfig;
pub use error::Problem;
pub use page::Page;
pub use tls::generated_cert;
