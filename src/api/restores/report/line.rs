//! One line of a report. Pure.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::naming::Named;
use crate::catalog::{Outcome, OutcomeRow};
use crate::ids::{ChainId, FeatureName, ResourceId};

const HEADER: [&str; 11] =
    ["outcome", "feature", "resource", "target", "folder", "name", "time", "bytes", "remark", "chain", "key"];

/// What became of one item.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReportLine {
    /// `created`, `updated`, `skipped` or `failed`; of a dry run `would_create`, `would_update`, `skipped` or `refused`.
    pub outcome: String,
    pub feature: Option<FeatureName>,
    pub resource_id: Option<ResourceId>,
    pub target_resource_id: ResourceId,
    /// Where it was, names with slashes between. Empty, as is the name, when the restore point is not kept any more.
    pub folder: String,
    pub name: String,
    pub time: Option<DateTime<Utc>>,
    pub bytes: u64,
    pub remark: Option<String>,
    pub chain_id: ChainId,
    pub key: String,
}

/// How a report calls an outcome.
pub fn called(outcome: Outcome, dry_run: bool) -> &'static str {
    match outcome {
        Outcome::Created if dry_run => "would_create",
        Outcome::Updated if dry_run => "would_update",
        Outcome::Failed if dry_run => "refused",
        told => told.as_str(),
    }
}

impl ReportLine {
    pub(super) fn new(dry_run: bool, target: ResourceId, row: OutcomeRow, named: Named) -> Self {
        Self {
            outcome: called(row.outcome, dry_run).to_owned(),
            feature: named.feature,
            resource_id: named.resource,
            target_resource_id: target,
            folder: named.folder,
            name: named.name,
            time: named.time,
            bytes: row.bytes,
            remark: row.remark,
            chain_id: row.chain,
            key: row.key.to_string(),
        }
    }

    pub(super) fn json(&self, text: &mut String) {
        text.push_str(&serde_json::to_string(self).expect("a line is plain data"));
        text.push('\n');
    }

    pub(super) fn csv(&self, text: &mut String) {
        let shown = |value: Option<String>| value.unwrap_or_default();
        let fields = [
            self.outcome.clone(),
            shown(self.feature.as_ref().map(ToString::to_string)),
            shown(self.resource_id.map(|id| id.to_string())),
            self.target_resource_id.to_string(),
            self.folder.clone(),
            self.name.clone(),
            shown(self.time.map(|time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string())),
            self.bytes.to_string(),
            shown(self.remark.clone()),
            self.chain_id.to_string(),
            self.key.clone(),
        ];
        write_csv(&fields, text);
    }
}

pub(super) fn csv_header(text: &mut String) {
    write_csv(&HEADER, text);
}

fn write_csv(fields: &[impl AsRef<str>], text: &mut String) {
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        quote(field.as_ref(), text);
    }
    text.push_str("\r\n");
}

/// A subject that begins like a formula is one to a spreadsheet, and somebody else wrote it: an apostrophe before it
/// makes it text.
fn quote(field: &str, text: &mut String) {
    text.push('"');
    if field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        text.push('\'');
    }
    for c in field.chars() {
        match c {
            '"' => text.push_str("\"\""),
            '\0' => {}
            c => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_text_in_a_spreadsheet() {
        let quoted = |field: &str| {
            let mut text = String::new();
            quote(field, &mut text);
            text
        };

        assert_eq!(quoted("Lunch, \"today\""), "\"Lunch, \"\"today\"\"\"");
        assert_eq!(quoted("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        for formula in ["+1", "-1", "@SUM(A1)", "\tx", "\rx"] {
            assert_eq!(quoted(formula), format!("\"'{formula}\""));
        }
        assert_eq!(quoted("two\r\nlines"), "\"two\r\nlines\"");
        assert_eq!(quoted(""), "\"\"");
    }

    #[test]
    fn a_dry_run_says_what_would_be_done() {
        for outcome in [Outcome::Created, Outcome::Updated, Outcome::Skipped, Outcome::Failed] {
            assert_eq!(called(outcome, false), outcome.as_str());
        }
        assert_eq!(called(Outcome::Created, true), "would_create");
        assert_eq!(called(Outcome::Skipped, true), "skipped");
        assert_eq!(called(Outcome::Failed, true), "refused");
    }
}
