//! Drive items as JSON, as a business drive writes them.

use super::download;
use crate::app::User;
use crate::clock::iso;
use crate::graph::Call;
use crate::graph::odata::Query;
use crate::reply::Refusal;
use crate::request::encode;
use crate::store::drive::item::{File, Grant, Item, Kind, Pointer, Version};
use crate::store::drive::{Drive, ROOT, ids};
use crate::store::message::Person;
use serde_json::{Map, Value, json};

const KNOWN: [&str; 38] = [
    "id",
    "name",
    "size",
    "eTag",
    "cTag",
    "webUrl",
    "webDavUrl",
    "createdBy",
    "createdDateTime",
    "lastModifiedBy",
    "lastModifiedDateTime",
    "parentReference",
    "fileSystemInfo",
    "root",
    "folder",
    "file",
    "package",
    "remoteItem",
    "shared",
    "malware",
    "deleted",
    "specialFolder",
    "description",
    "pendingOperations",
    "publication",
    "sharepointIds",
    "audio",
    "bundle",
    "image",
    "location",
    "photo",
    "video",
    "searchResult",
    "content",
    "content.downloadUrl",
    "@microsoft.graph.downloadUrl",
    "@content.downloadUrl",
    "*",
];
pub const DOWNLOAD_URL: &str = "@microsoft.graph.downloadUrl";

/// A drive as one request sees it.
pub struct Shown<'a> {
    pub call: &'a Call<'a>,
    pub user: &'a User,
    pub drive: &'a Drive,
    pub query: &'a Query,
    /// Delta tells neither paths nor cTags.
    pub in_delta: bool,
}

pub fn check_select(query: &Query) -> Result<(), Refusal> {
    for name in query.select.iter().flatten() {
        if !KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            let text = format!(
                "Parsing OData Select and Expand failed: Could not find a property named '{name}' on type 'microsoft.graph.driveItem'."
            );
            return Err(Refusal::new(400, "BadRequest", &text));
        }
    }
    Ok(())
}

impl Shown<'_> {
    pub fn item(&self, item: &Item) -> Map<String, Value> {
        let mut out = Map::new();
        for (name, value) in self.properties(item) {
            if self.query.wants(name) {
                out.insert(name.to_owned(), value);
            }
        }
        for (name, value) in self.facets(item) {
            if self.query.wants(name) {
                out.insert(name.to_owned(), value);
            }
        }
        // The id comes along, wanted or not.
        out.insert("id".into(), json!(self.drive.id_of(item.number)));
        if self.wants_url()
            && let Some(url) = self.download_url(item)
        {
            out.insert(DOWNLOAD_URL.into(), json!(url));
        }
        out
    }

    /// What is left of an item that was deleted.
    pub fn deleted(&self, number: u64) -> Value {
        let parent = self.drive.last_parent(number).unwrap_or(ROOT);
        json!({
            "@odata.type": "#microsoft.graph.driveItem",
            "id": self.drive.id_of(number),
            "size": 0,
            "deleted": {"state": "deleted"},
            "parentReference": {"driveType": "business", "driveId": self.drive.id, "id": self.drive.id_of(parent)},
        })
    }

    fn properties(&self, item: &Item) -> Vec<(&'static str, Value)> {
        let guid = self.drive.guid_of(item.number);
        let mut all = vec![
            ("name", json!(item.name)),
            ("size", json!(item.size)),
            ("eTag", json!(e_tag(&guid, item.revision))),
            ("webUrl", json!(self.web_url(item))),
            ("createdDateTime", json!(iso(item.created))),
            ("lastModifiedDateTime", json!(iso(item.touched))),
            ("createdBy", identity(&item.author)),
            ("lastModifiedBy", identity(&item.editor)),
            ("parentReference", self.parent_reference(item)),
            (
                "fileSystemInfo",
                json!({"createdDateTime": iso(item.created), "lastModifiedDateTime": iso(item.modified)}),
            ),
        ];
        if !self.in_delta {
            let version = item.file().map_or(1, |file| file.version);
            all.push(("cTag", json!(format!("\"c:{{{guid}}},{version}\""))));
        }
        if let Some(text) = &item.description {
            all.push(("description", json!(text)));
        }
        all
    }

    fn facets(&self, item: &Item) -> Vec<(&'static str, Value)> {
        let mut all = Vec::new();
        let count = self.drive.child_count(item.number);
        if item.number == ROOT {
            all.push(("root", json!({})));
        }
        match &item.kind {
            Kind::Folder { special } => {
                all.push(("folder", json!({"childCount": count})));
                if let Some(name) = special {
                    all.push(("specialFolder", json!({"name": name})));
                }
            }
            Kind::Notebook => all.push(("package", json!({"type": "oneNote"}))),
            Kind::Shortcut(pointer) => all.push(("remoteItem", self.remote(item, pointer))),
            Kind::File(file) => {
                let hashes = json!({"quickXorHash": file.content.quick_xor()});
                all.push(("file", json!({"mimeType": file.mime, "hashes": hashes})));
                if let Some(find) = file.malware {
                    all.push(("malware", json!({"description": find})));
                }
            }
        }
        if let Some(permission) = item.permissions.first() {
            let scope = match permission.grant {
                Grant::Person(_) => "users",
                Grant::Link { scope } => scope,
            };
            all.push(("shared", json!({"scope": scope, "owner": identity(&item.author)})));
        }
        all
    }

    fn parent_reference(&self, item: &Item) -> Value {
        let mut out = json!({
            "driveType": "business", "driveId": self.drive.id, "siteId": ids::site_guid(self.drive.salt()),
        });
        if item.parent == 0 {
            return out;
        }
        out["id"] = json!(self.drive.id_of(item.parent));
        let path = self.drive.path(item.parent);
        out["name"] = json!(path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("Documents"));
        if !self.in_delta {
            let below = path.split('/').filter(|name| !name.is_empty()).map(|name| format!("/{}", encode(name)));
            out["path"] = json!(format!("/drives/{}/root:{}", self.drive.id, below.collect::<String>()));
        }
        out
    }

    fn remote(&self, item: &Item, pointer: &Pointer) -> Value {
        json!({
            "id": pointer.item,
            "name": item.name,
            "size": 0,
            "folder": {"childCount": 0},
            "createdBy": identity(&pointer.owner),
            "lastModifiedDateTime": iso(item.modified),
            "fileSystemInfo": {"createdDateTime": iso(item.created), "lastModifiedDateTime": iso(item.modified)},
            "parentReference": {"driveType": "business", "driveId": pointer.drive},
            "shared": {"scope": "users", "owner": identity(&pointer.owner)},
        })
    }

    fn web_url(&self, item: &Item) -> String {
        let path: Vec<String> = self.drive.path(item.number).split('/').map(encode).collect();
        format!("{}/{}", site_url(self.call.app, self.user), path.join("/")).trim_end_matches('/').to_owned()
    }

    fn wants_url(&self) -> bool {
        match &self.query.select {
            None => true,
            Some(names) => names.iter().any(|name| {
                [DOWNLOAD_URL, "@content.downloadUrl", "content.downloadUrl"]
                    .iter()
                    .any(|u| u.eq_ignore_ascii_case(name))
            }),
        }
    }

    /// Only of what can be downloaded: neither empty files nor those with a virus have one.
    fn download_url(&self, item: &Item) -> Option<String> {
        let file: &File = item.file().filter(|file| file.malware.is_none() && file.content.len() > 0)?;
        let ticket = download::Ticket::new(self.call, self.drive, item.number, None);
        (!file.is_note()).then(|| download::url(self.call.app, self.user, self.drive, &ticket))
    }

    pub fn version(&self, version: &Version, current: bool) -> Value {
        let mut out = json!({
            "id": format!("{}.0", version.number),
            "lastModifiedDateTime": iso(version.at),
            "lastModifiedBy": identity(&version.by),
            "size": version.content.len(),
        });
        if current {
            out["publication"] = json!({"level": "published", "versionId": format!("{}.0", version.number)});
        }
        out
    }
}

pub fn e_tag(guid: &str, revision: u64) -> String {
    format!("\"{{{guid}}},{revision}\"")
}

pub fn identity(person: &Person) -> Value {
    match person.address.strip_prefix("app:") {
        // An app that acts for nobody is a user of its own kind to SharePoint.
        Some(id) => {
            json!({"application": {"id": id, "displayName": person.name}, "user": {"displayName": "SharePoint App"}})
        }
        None => json!({"user": user(person)}),
    }
}

pub fn user(person: &Person) -> Value {
    let id = crate::company::populate::guid(&[crate::dice::hash_text(&person.address)]);
    json!({"email": person.address, "id": id, "displayName": person.name})
}

/// Where the library of a user is in a browser.
pub fn site_url(app: &crate::app::App, user: &User) -> String {
    let host = app.world.domain.split('.').next().unwrap_or_default();
    format!("https://{host}-my.sharepoint.com/personal/{}/Documents", site_name(user))
}

/// `anna_albrecht_contoso7_example`, as SharePoint names a personal site.
pub fn site_name(user: &User) -> String {
    user.profile().principal_name.replace(|c: char| !c.is_ascii_alphanumeric(), "_").to_lowercase()
}
