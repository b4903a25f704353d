//! A drive as one canonical JSON document: one item per line in the order of paths, with all that
//! a client can see of it and the hashes of its content.

use crate::app::User;
use crate::clock::iso;
use crate::locks::read;
use crate::store::drive::Drive;
use crate::store::drive::content::Content;
use crate::store::drive::item::{File, Grant, Item, Kind, Permission};
use serde_json::{Value, json};

pub fn whole(user: &User) -> Vec<u8> {
    let drive = read(&user.drive);
    let mut lines: Vec<(String, Value)> =
        drive.items().map(|item| (drive.path(item.number), describe(&drive, item))).collect();
    lines.sort_by(|(one, _), (other, _)| one.cmp(other));
    let lines: Vec<String> = lines.into_iter().map(|(_, line)| line.to_string()).collect();
    let head = json!({"id": drive.id, "state": drive.state});
    format!("{{\"drive\":{head},\n\"items\":[\n{}\n]}}\n", lines.join(",\n")).into_bytes()
}

fn describe(drive: &Drive, item: &Item) -> Value {
    let kind = match item.kind {
        Kind::Folder { .. } => "folder",
        Kind::File(_) => "file",
        Kind::Notebook => "package",
        Kind::Shortcut(_) => "shortcut",
    };
    let mut out = json!({
        "id": drive.id_of(item.number),
        "parentId": (item.parent != 0).then(|| drive.id_of(item.parent)),
        "path": drive.path(item.number),
        "name": item.name,
        "kind": kind,
        // A folder is not told of anew when something leaves it, so nobody can know its size.
        "size": item.file().map(|file| file.content.len()),
        "created": iso(item.created),
        "modified": iso(item.modified),
        "createdBy": item.author.address,
        "lastModifiedBy": item.editor.address,
        "description": item.description,
        "shared": item.permissions.iter().map(permission).collect::<Vec<_>>(),
    });
    match &item.kind {
        Kind::File(file) => describe_file(&mut out, file),
        Kind::Folder { special } => out["specialFolder"] = json!(special),
        Kind::Shortcut(pointer) => out["remote"] = json!({"driveId": pointer.drive, "id": pointer.item}),
        Kind::Notebook => {}
    }
    out
}

fn describe_file(out: &mut Value, file: &File) {
    out["mimeType"] = json!(file.mime);
    out["quickXorHash"] = json!(file.content.quick_xor());
    out["blake3"] = json!(file.content.blake3());
    // Of what SharePoint rewrote when it arrived: what was sent.
    let sent = |content: &std::sync::Arc<Content>| json!({"size": content.len(), "blake3": content.blake3()});
    out["sent"] = json!(file.content.sent().map(sent));
    out["malware"] = json!(file.malware);
    out["downloadable"] = json!(file.malware.is_none() && !file.is_note());
    let version = |number: u32, at: i64, content: &std::sync::Arc<Content>| {
        json!({
            "id": format!("{number}.0"), "modified": iso(at),
            "size": content.len(), "quickXorHash": content.quick_xor(),
        })
    };
    // Newest first, without the current one, as a client lists them.
    let older: Vec<Value> =
        file.older.iter().rev().map(|older| version(older.number, older.at, &older.content)).collect();
    out["version"] = json!(format!("{}.0", file.version));
    out["olderVersions"] = json!(older);
}

fn permission(permission: &Permission) -> Value {
    let role = if permission.may_write { "write" } else { "read" };
    match &permission.grant {
        Grant::Person(person) => json!({"role": role, "person": person.address}),
        Grant::Link { scope } => json!({"role": role, "link": scope}),
    }
}
