//! `/exports/{export}/download`: an archive that is written while it is sent, and lies nowhere.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, ContentEncoding};
use actix_web::web::{Data, Path};
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::Shared;
use super::content_rules::{self, Asking};
use super::error::{ApiError, ApiResult};
use super::exports::found;
use crate::access::audit::Action;
use crate::catalog::{self, Chain};
use crate::clock;
use crate::db::Db;
use crate::exports::{self, Export, ExportState};
use crate::files::{Archive, ArchiveError, Chosen, Layout, Part, Plan, Properties, Sink, SinkError, Written};
use crate::ids::ExportId;
use crate::queue::work::{self, ExportLayout};
use crate::secret::Secret;

/// Pieces that wait to be sent, of some 256 KiB each.
const PIECES_WAITING_MAX: usize = 4;
/// Downloads at once: each compresses on a thread that answers requests.
pub const DOWNLOADS_MAX: usize = 4;
/// The longest time in which a client takes nothing.
const STALL_MAX: Duration = Duration::from_secs(600);

type Sent = Result<Bytes, ArchiveError>;

pub async fn download(app: Data<Shared>, asking: Asking, export: Path<ExportId>) -> ApiResult<HttpResponse> {
    let export = found(&app, *export).await?;
    if let Some(path) = &export.path {
        return Err(ApiError::Unprocessable(format!(
            "export {} is written to {}/{} by an agent: take it from there, or start one without a directory",
            export.id, path.directory, path.file
        )));
    }
    if exports::state(&export, None, clock::now()).0 == ExportState::Expired {
        return Err(ApiError::Unprocessable(format!("export {} has expired: start another", export.id)));
    }
    let plan = plan(&app, &export).await?;
    let permit = app.downloads.clone().try_acquire_owned();
    let permit = permit.map_err(|_| {
        ApiError::Unavailable(format!("{DOWNLOADS_MAX} exports are being downloaded: try again when one has ended"))
    })?;
    asking.note(&app, Action::DownloadExport, json!({ "export": export.id })).await?;
    let (sender, receiver) = mpsc::channel::<Sent>(PIECES_WAITING_MAX);
    actix_web::rt::spawn(write(app.db.clone(), plan, sender, permit));
    let body = stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    Ok(HttpResponse::Ok()
        .content_type("application/zip")
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"kodo-export-{}.zip\"", export.id)))
        // It is somebody's mail: no cache keeps it, and no proxy changes it.
        .insert_header((CACHE_CONTROL, "no-store, no-transform"))
        .insert_header(ContentEncoding::Identity)
        .streaming(body))
}

/// Writes until the end, or until nobody reads any more. An error breaks the answer off, so that nobody takes what came
/// for the whole.
async fn write(db: Db, plan: Plan, sender: mpsc::Sender<Sent>, permit: OwnedSemaphorePermit) {
    let mut sink = Channel(sender);
    match Archive::write(&db, &plan, &mut sink).await {
        Ok(written) => {
            let (n_items, n_bytes) = (written.items, written.bytes);
            tracing::info!(n_items, n_bytes, n_not_written = written.not_written, "export downloaded");
        }
        Err(ArchiveError::Sink(SinkError::Closed)) => tracing::info!("a download of an export was given up"),
        Err(err) => {
            tracing::error!(error = %err, "a download of an export broke off");
            // Nobody left to hear it is nobody to tell.
            drop(sink.0.send(Err(err)).await);
        }
    }
    drop(permit);
}

struct Channel(mpsc::Sender<Sent>);

impl Sink for Channel {
    async fn put(&mut self, bytes: Bytes) -> Result<(), SinkError> {
        // Who takes nothing for so long holds up others.
        match tokio::time::timeout(STALL_MAX, self.0.send(Ok(bytes))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(SinkError::Closed),
        }
    }

    async fn hear(&mut self, _: Written) -> Result<(), SinkError> {
        Ok(())
    }
}

async fn plan(app: &Shared, export: &Export) -> ApiResult<Plan> {
    let mut parts = Vec::with_capacity(export.parts.len());
    for part in &export.parts {
        let (id, point) = (part.chain, part.point);
        let read = move |conn: &mut crate::db::Conn| {
            Ok((catalog::chains::get(conn, id)?, catalog::points::get(conn, id, point)?))
        };
        let (chain, row) = app.db.run("read a restore point", read).await?;
        let chain: Chain = chain.ok_or_else(|| ApiError::not_found("chain", id))?;
        content_rules::check(app, &chain).await?;
        if row.is_none_or(|row| row.state.closed().is_some()) {
            return Err(ApiError::Unprocessable(format!("point {point} of chain {id} was given up meanwhile")));
        }
        let reader = app.readers.open(app, chain.key.storage).await?;
        let chosen = export.selection.as_ref();
        let chosen = chosen.map(|all| Chosen { containers: all.containers.clone(), items: all.items.clone() });
        parts.push(Part { chain, point, top: part.folder.clone(), reader, chosen });
    }
    Ok(Plan {
        parts,
        layout: match export.form.layout {
            ExportLayout::ItemFiles => Layout::ItemFiles,
            ExportLayout::FolderFiles => Layout::FolderFiles,
        },
        properties: if export.form.properties { Properties::Beside } else { Properties::LeftOut },
        passphrase: passphrase(app, export)?,
        about: json!({ "export": export.id, "requested_by": export.requested_by, "parts": export.parts }),
        at: export.created_at,
    })
}

fn passphrase(app: &Shared, export: &Export) -> ApiResult<Option<Secret<String>>> {
    let Some(sealed) = &export.passphrase_sealed else {
        let lost = format!("export {} was to be encrypted, and its passphrase is gone: start another", export.id);
        return if export.is_encrypted { Err(ApiError::Unprocessable(lost)) } else { Ok(None) };
    };
    let plain = app.sealer.open(work::EXPORT_PASSPHRASE, sealed).map_err(|err| ApiError::internal(&err))?;
    let text = String::from_utf8(plain.expose().clone());
    let text = text.map_err(|_| ApiError::internal(&anyhow::anyhow!("a sealed passphrase is no text")))?;
    Ok(Some(Secret::new(text)))
}
