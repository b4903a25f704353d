//! What an archive says of itself, in its last file.

use serde::Serialize;
use serde_json::{Value, json};

use super::Written;
use crate::catalog::VersionRow;

pub(super) const NAME: &str = "kodo-export.json";
/// As many are named; the counts are of all.
const NAMED_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Report {
    not_written: Vec<Told>,
    remarks: Vec<Told>,
    n_remarks: u64,
}

#[derive(Debug, Serialize)]
struct Told {
    key: String,
    folder: String,
    name: String,
    why: String,
}

impl Told {
    fn of(folder: &str, row: &VersionRow, why: String) -> Self {
        Self { key: row.version.key.to_string(), folder: folder.to_owned(), name: row.version.name.clone(), why }
    }
}

impl Report {
    pub(super) fn not_written(&mut self, folder: &str, row: &VersionRow, why: String) {
        if self.not_written.len() < NAMED_MAX {
            self.not_written.push(Told::of(folder, row, why));
        }
    }

    pub(super) fn remark(&mut self, folder: &str, row: &VersionRow, why: String) {
        self.n_remarks += 1;
        if self.remarks.len() < NAMED_MAX {
            self.remarks.push(Told::of(folder, row, why));
        }
    }

    pub(super) fn to_json(&self, about: &Value, written: Written) -> Vec<u8> {
        let report = json!({
            "about": about,
            "items": written.items,
            "not_written": written.not_written,
            "not_written_items": self.not_written,
            "remarks": self.n_remarks,
            "remarks_on_items": self.remarks,
        });
        serde_json::to_vec_pretty(&report).unwrap_or_default()
    }
}
