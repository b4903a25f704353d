//! The golden stores as `docs/FORMAT.md` describes them: read by a script that knows nothing else, and compared.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use super::golden::{RECOVERY_KEY_FILE, blobs, folder, open, packs, put_together};
use super::*;
use crate::ids::BlobId;
use crate::repository::record::{CursorState, Location, Record};

const STORES: [&str; 4] = ["encrypted", "plain", "aligned", super::golden_kinds::NAME];
const MODULES: &str = "import blake3, cbor2, cryptography, zstandard";

fn python(arguments: &[&str]) -> Option<std::process::Output> {
    Command::new("python3").args(arguments).output().ok()
}

fn place(place: Location) -> String {
    format!("{}/{}", hex::encode(place.pack.as_bytes()), hex::encode(place.blob.as_bytes()))
}

/// A record by the names that `docs/FORMAT.md` gives to kinds and keys, an absent value as null.
fn named(record: &Record) -> (&'static str, Value) {
    match record {
        Record::PointBegin(point) => ("point begins", json!({ "when": point.started_ms })),
        Record::Container(container) => (
            "container",
            json!({
                "id": container.graph_id, "parent": container.parent, "name": container.name,
                "hidden": container.hidden, "well_known": container.well_known,
            }),
        ),
        Record::ContainerGone(gone) => ("container gone", json!({ "id": gone.graph_id })),
        Record::Item(item) => (
            "item",
            json!({
                "container": item.container, "id": item.graph_id, "kind": item.kind, "flags": item.flags,
                "change_tag": item.change_tag, "name": item.name, "party": item.party, "time_s": item.time_s,
                "bytes": item.bytes, "properties": place(item.properties), "content": item.content.map(place),
                "refs": item.refs.iter().map(|id| hex::encode(id.as_bytes())).collect::<String>(),
                "parent": item.parent.map(|parent| hex::encode(parent.0.as_bytes())),
            }),
        ),
        Record::ItemGone(gone) => ("item gone", json!({ "item": hex::encode(gone.item.as_bytes()) })),
        Record::Cursor(cursor) => {
            let state = match &cursor.state {
                CursorState::None => json!([0, []]),
                CursorState::Since(token) => json!([1, [token]]),
                CursorState::Resume(link) => json!([2, [link]]),
            };
            let point = cursor.full_walk_point;
            ("cursor", json!({ "container": cursor.container, "state": state, "full_walk_point": point }))
        }
        Record::Issue(issue) => (
            "issue",
            json!({
                "container": issue.container, "id": issue.graph_id, "name": issue.name, "reason": issue.reason,
                "message": issue.message, "attempts": issue.attempts, "when": issue.at_ms, "skipped": issue.skipped,
            }),
        ),
        Record::IssueResolved(solved) => ("issue resolved", json!({ "item": hex::encode(solved.item.as_bytes()) })),
        Record::PointSeal(seal) => (
            "point sealed",
            json!({
                "when": seal.sealed_ms, "items": seal.n_items, "added": seal.n_added, "changed": seal.n_changed,
                "removed": seal.n_removed, "issues": seal.n_issues, "bytes_read": seal.bytes_read,
                "bytes_stored": seal.bytes_stored,
            }),
        ),
        Record::Expire(expire) => ("expired", json!({ "points": expire.points })),
        Record::Compacted(moved) => {
            ("compacted", json!({ "old": hex::encode(moved.old.as_bytes()), "new": hex::encode(moved.new.as_bytes()) }))
        }
    }
}

fn chain_of(chain: &ChainIdentity) -> Value {
    json!({
        "tenant": chain.entra_tenant_id, "resource": chain.resource_graph_id, "resource_kind": chain.resource_kind,
        "name": chain.resource_name, "address": chain.address, "feature": chain.feature,
    })
}

/// Keys whose value would be null are left out on disk.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
        }
        other => other,
    }
}

/// What the script prints of a store, by our own reading.
async fn read(name: &str) -> Value {
    let store = open(name).await;
    let (mut entries, mut known, mut uids) = (Vec::new(), HashMap::<BlobId, Vec<u8>>::new(), Vec::new());
    for pack in packs(&store).await {
        uids.push(pack.uid.to_string());
        entries.extend(store.read_pack(pack.uid).await.unwrap().records.entries);
        known.extend(blobs(&store, pack.uid));
    }
    uids.sort();
    entries.sort_by_key(|entry| (entry.point, entry.seq));
    let items: Vec<Value> = entries
        .iter()
        .filter_map(|entry| match &entry.record {
            Record::Item(item) => Some(item),
            _ => None,
        })
        .map(|item| {
            let content = item.content.map(|place| put_together(&store, &known[&place.blob], &known));
            json!({
                "name": item.name,
                "properties": String::from_utf8(known[&item.properties.blob].clone()).unwrap(),
                "content": content.map(|content| blake3::hash(&content).to_hex().to_string()),
            })
        })
        .collect();
    let records: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let (kind, body) = named(&entry.record);
            json!({
                "kind": kind, "chain": entry.chain.as_deref().map(chain_of), "point": entry.point.get(),
                "sequence": entry.seq, "body": without_nulls(body),
            })
        })
        .collect();
    let ids: BTreeMap<String, String> = known
        .iter()
        .map(|(id, plain)| (hex::encode(id.as_bytes()), blake3::hash(plain).to_hex().to_string()))
        .collect();
    let description = store.description();
    json!({
        "store": description.store.to_string(), "layout": description.layout,
        "encrypted": description.crypto == Crypto::Aes256Gcm, "packs": uids, "blobs": ids, "records": records,
        "items": items,
    })
}

#[tokio::test]
async fn a_reader_made_from_the_description_of_the_format_alone_reads_the_same() {
    if python(&["-c", MODULES]).is_none_or(|output| !output.status.success()) {
        println!(
            "skipped: there is no python3 that can \"{MODULES}\" (pip install blake3 cbor2 cryptography zstandard)"
        );
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/read_format1.py");
    for name in STORES {
        let key = std::fs::read_to_string(folder(name).join(RECOVERY_KEY_FILE)).unwrap_or_default();
        let output = python(&[script.to_str().unwrap(), folder(name).to_str().unwrap(), key.trim()]).unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));

        let printed: Value = serde_json::from_slice(&output.stdout).unwrap();

        assert_eq!(printed, read(name).await, "{name}");
    }
}
