//! `/items`: one item of a restore point, its properties and its content.

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY};
use actix_web::web::{Data, Json, Path};
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Shared;
use super::browse::ItemView;
use super::content_rules::{self, Asking};
use super::error::{ApiError, ApiResult};
use super::issues::parse_key;
use super::moment::PointWanted;
use super::readers::storage_error;
use super::resolve::{self, ChainWanted};
use crate::access::audit::Action;
use crate::catalog::{self, Chain, ContentRef, VersionRow};
use crate::ids::{ChainId, PointNumber};
use crate::repository::{Pieces, Reader, StoreError};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ItemDetail {
    #[serde(flatten)]
    pub item: ItemView,
    /// As Microsoft Graph gave them.
    pub properties: serde_json::Value,
}

/// Chain, point (by its number or by a moment) and item.
pub type ItemPath = Path<(ChainId, PointWanted, String)>;

pub async fn show(app: Data<Shared>, path: ItemPath) -> ApiResult<Json<ItemDetail>> {
    let (chain, _, row) = find(&app, &path).await?;
    content_rules::check(&app, &chain).await?;
    let reader = app.readers.open(&app, chain.key.storage).await?;
    let properties = properties(&reader, &row).await?;
    Ok(Json(ItemDetail { item: ItemView::new(chain.key.feature.as_str(), row), properties }))
}

/// The properties of a version, as they were stored.
pub async fn properties(reader: &Reader, row: &VersionRow) -> ApiResult<serde_json::Value> {
    let ContentRef { pack, blob } = row.version.properties;
    let json = reader.read(pack, blob).await.map_err(storage_error)?;
    serde_json::from_slice(&json)
        .map_err(|err| ApiError::internal(&anyhow::Error::new(err).context("stored properties are not JSON")))
}

/// The message itself, or what else the item's content is, exactly as it was stored. It breaks off where the storage
/// does.
pub async fn content(app: Data<Shared>, asking: Asking, path: ItemPath) -> ApiResult<HttpResponse> {
    let (chain, point, row) = find(&app, &path).await?;
    content_rules::check(&app, &chain).await?;
    let Some(ContentRef { pack, blob }) = row.version.content else {
        return Err(ApiError::NotFound(format!("item {} has no content, only properties", row.version.key)));
    };
    let details = json!({ "chain": chain.id, "point": point, "item": row.version.key.to_string() });
    asking.note(&app, Action::DownloadItem, details).await?;
    let pieces = app.readers.open(&app, chain.key.storage).await?.pieces(pack, blob).await.map_err(storage_error)?;
    let bytes = pieces.bytes();
    let (content_type, ending) = match chain.key.feature.as_str() {
        // The attachments of an event are a bundle, which mail programs read.
        "mailbox" | "calendar" => ("message/rfc822", "eml"),
        _ => ("application/octet-stream", "bin"),
    };
    Ok(HttpResponse::Ok()
        .content_type(content_type)
        // A message is somebody else's markup: never shown by a browser as a page of ours.
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{}.{ending}\"", row.version.key)))
        .insert_header((CONTENT_SECURITY_POLICY, "sandbox"))
        .no_chunking(bytes)
        .streaming(pieces_body(pieces)))
}

/// Content as the body of an answer. It breaks off where the storage does.
pub(super) fn pieces_body(pieces: Pieces) -> impl Stream<Item = Result<Bytes, StoreError>> {
    stream::try_unfold(pieces, |mut pieces: Pieces| async move {
        let next: Option<Bytes> = pieces.next().await?;
        Ok(next.map(|piece| (piece, pieces)))
    })
}

/// The version that a path means, and the point in which it is.
pub async fn find(app: &Shared, path: &(ChainId, PointWanted, String)) -> ApiResult<(Chain, PointNumber, VersionRow)> {
    let (chain, point, key) = (path.0, path.1, parse_key(&path.2)?);
    let wanted = ChainWanted { chain: Some(chain), resource: None, feature: None };
    let chain = resolve::chain(app, wanted).await?;
    let (id, point) = (chain.id, point.resolve(app, &chain).await?);
    let found = app.db.run("read an item", move |conn| catalog::items::get(conn, id, point, key)).await?;
    let row = found.ok_or_else(|| ApiError::NotFound(format!("point {point} of chain {id} holds no item {key}")))?;
    Ok((chain, point, row))
}
