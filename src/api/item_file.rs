//! `/items/…/file`: one item as a file that other programs open.

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY};
use actix_web::web::Data;
use serde_json::json;

use super::Shared;
use super::content_rules::{self, Asking};
use super::error::{ApiError, ApiResult};
use super::items::{ItemPath, find, pieces_body};
use super::readers::storage_error;
use crate::access::audit::Action;
use crate::features;
use crate::files::{Properties, Source, render};

/// A message or a file of a drive as it was stored; an event as .ics, a contact as .vcf; what has no such form as JSON.
/// Folders are exported.
pub async fn file(app: Data<Shared>, asking: Asking, path: ItemPath) -> ApiResult<HttpResponse> {
    let (chain, point, row) = find(&app, &path).await?;
    content_rules::check(&app, &chain).await?;
    let (feature, key) = (chain.key.feature.as_str(), row.version.key);
    if features::is_folder(feature, row.version.kind) {
        return Err(ApiError::Unprocessable(format!("item {key} is a folder: export it with what is below it")));
    }
    let details = json!({ "chain": chain.id, "point": point, "item": key.to_string() });
    asking.note(&app, Action::DownloadItem, details).await?;
    let reader = app.readers.open(&app, chain.key.storage).await?;
    let rendered = render(&reader, feature, &row, Properties::LeftOut).await.map_err(storage_error)?;
    let Some(file) = rendered.files.into_iter().next() else {
        return Err(ApiError::NotFound(format!("item {key} has no form as a file")));
    };
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(file.media_type)
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename*=UTF-8''{}", encoded(&file.name))))
        .insert_header((CONTENT_SECURITY_POLICY, "sandbox"));
    Ok(match file.source {
        Source::Made(bytes) => answer.body(bytes),
        Source::Stored(content) => {
            let pieces = reader.pieces(content.pack, content.blob).await.map_err(storage_error)?;
            answer.no_chunking(pieces.bytes()).streaming(pieces_body(pieces))
        }
    })
}

/// A name as a header can carry it (RFC 8187).
fn encoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
