mod delta;
mod download;
mod edits;
mod items;
mod units;
mod writes;

use crate::Tenant;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `/users/{u}/drive` of the first ordinary user.
fn home(tenant: &Tenant) -> String {
    format!("/users/{}/drive", tenant.user())
}

/// The items of the fingerprint by path.
fn truth(tenant: &Tenant) -> BTreeMap<String, Value> {
    let text = tenant.simulator.drive_fingerprint(&tenant.user()).expect("a fingerprint");
    let whole: Value = serde_json::from_slice(&text).expect("JSON");
    let items = whole["items"].as_array().expect("items").clone();
    items.into_iter().map(|item| (item["path"].as_str().expect("a path").to_owned(), item)).collect()
}

/// The first item of which this is true, with its path.
fn find(tenant: &Tenant, wanted: impl Fn(&Value) -> bool) -> Value {
    truth(tenant).into_values().find(wanted).expect("such an item")
}

/// The path of an item below `/v1.0`.
fn item(tenant: &Tenant, found: &Value) -> String {
    format!("{}/items/{}", home(tenant), found["id"].as_str().expect("an id"))
}

fn edit(tenant: &Tenant, wanted: Value) -> Value {
    tenant.simulator.drive_edit(&tenant.user(), wanted).expect("edited")
}

fn faults(tenant: &Tenant, rules: Value) {
    let plan = json!({"seed": 5, "rules": rules});
    tenant.simulator.set_faults(serde_json::from_value(plan).expect("a plan"));
}

/// Follows a walk to its end: all entries, and the delta link.
async fn walk(tenant: &Tenant, start: &str) -> (Vec<Value>, String) {
    let mut url = start.to_owned();
    let mut all = Vec::new();
    loop {
        let answer = tenant.get(&url).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        all.extend(answer.values().iter().cloned());
        match answer.body["@odata.nextLink"].as_str() {
            Some(next) => url = next.to_owned(),
            None => {
                let link = answer.body["@odata.deltaLink"].as_str().expect("a delta link");
                return (all, link.to_owned());
            }
        }
    }
}

/// What a client knows after applying entries in their order: the last of an id counts.
#[derive(Default)]
struct Copy(BTreeMap<String, Value>);

impl Copy {
    fn apply(&mut self, entries: &[Value]) {
        for entry in entries {
            let id = entry["id"].as_str().expect("an id").to_owned();
            match entry.get("deleted") {
                Some(_) => self.0.remove(&id),
                None => self.0.insert(id, entry.clone()),
            };
        }
    }

    fn path(&self, id: &str) -> String {
        let entry = &self.0[id];
        match entry["parentReference"]["id"].as_str() {
            None => String::new(),
            Some(parent) => {
                let above = self.path(parent);
                let name = entry["name"].as_str().expect("a name");
                if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") }
            }
        }
    }

    /// Paths of everything, size and hash of files, comparable with the truth.
    fn lines(&self) -> Vec<(String, Value, Value)> {
        let line = |(id, entry): (&String, &Value)| {
            let size = entry.get("file").map_or(Value::Null, |_| entry["size"].clone());
            (self.path(id), size, entry["file"]["hashes"]["quickXorHash"].clone())
        };
        let mut all: Vec<_> = self.0.iter().map(line).collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }
}

fn true_lines(tenant: &Tenant) -> Vec<(String, Value, Value)> {
    let line = |(path, item): (String, Value)| (path, item["size"].clone(), item["quickXorHash"].clone());
    truth(tenant).into_iter().map(line).collect()
}
