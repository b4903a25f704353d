//! What verifications found, with the names of users and items.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::catalog::damage::{self, After, Mark, MarkRow};
use crate::catalog::{Chain, VersionRow, chains, items};
use crate::db::{Conn, Db, DbError};
use crate::ids::{ChainId, PackUid, ResourceId, StorageId};
use crate::repository::verify;
use crate::tenants::{self, ResourceView};

/// One version of an item that lost something.
#[derive(Clone, Debug)]
pub struct Finding {
    pub mark: Mark,
    pub found_at: DateTime<Utc>,
    /// What the damaged pack is called on the storage.
    pub pack: Option<PackUid>,
    /// What is wrong with the pack, and where.
    pub what: String,
    pub chain: Option<Chain>,
    pub resource: Option<ResourceView>,
    /// `None`: written anew or expired since.
    pub version: Option<VersionRow>,
}

/// Findings of a storage in the order of chain, item and point, behind `after`.
pub async fn findings(db: &Db, storage: StorageId, after: Option<After>, limit: u32) -> Result<Vec<Finding>, DbError> {
    let read = move |conn: &mut Conn| {
        let marks = damage::list(conn, storage, after, limit)?;
        let mut chains: HashMap<ChainId, Option<Chain>> = HashMap::new();
        let mut found = Vec::with_capacity(marks.len());
        for MarkRow { mark, found_at } in marks {
            let chain = match chains.get(&mark.chain) {
                Some(chain) => chain.clone(),
                None => chains::get(conn, mark.chain)?,
            };
            chains.insert(mark.chain, chain.clone());
            let versions = items::versions(conn, mark.chain, &[mark.key])?;
            let version = versions.into_iter().find(|row| mark.means(row));
            let pack = verify::pack_uid(conn, storage, mark.pack)?;
            let what = verify::find_damaged(conn, &[mark.pack])?.into_iter().next().map(|row| row.what);
            let what = what.unwrap_or_else(|| "it cannot be put together".to_owned());
            found.push(Finding { mark, found_at, pack, what, chain, resource: None, version });
        }
        Ok(found)
    };
    let mut found = db.run("read findings", read).await?;
    let mut resources: HashMap<ResourceId, ResourceView> = HashMap::new();
    for finding in &mut found {
        let Some(id) = finding.chain.as_ref().map(|chain| chain.key.resource) else { continue };
        let resource = match resources.get(&id) {
            Some(known) => known.clone(),
            None => tenants::get_resource(db, id).await?,
        };
        finding.resource = Some(resource.clone());
        resources.insert(id, resource);
    }
    Ok(found)
}
