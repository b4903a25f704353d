//! Rehearsals of restores: what of an item must come back, field by field, and how a sandbox is cleared.
//!
//! A feature draws a portrait of an item: all that a restore must bring back of it, under the names of docs/FIDELITY.md.
//! It is drawn in the same way of what the backup holds and of what was read back, and the two are compared here. What
//! nobody can bring back is in no portrait, and each feature says what that is.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use mail_parser::decoders::html::html_to_text;
use serde_json::{Value, json};

use super::{RestoreError, Source, StoredItem, text};

/// Rehearsing restores of a feature.
pub trait Rehearsing: Send + Sync {
    /// Of an item of a backup, or of one that was read back. Pure.
    fn portrait(&self, item: &StoredItem) -> Result<Portrait, RestoreError>;

    /// What is in no portrait.
    fn not_counted(&self) -> &'static [NotCounted];

    /// Deletes what was restored into the new folder `top` at the top, and nothing else. Says what stays all the same.
    /// Repeats safely.
    fn clear<'a>(
        &'a self,
        target: Source<'a>,
        top: &'a str,
    ) -> BoxFuture<'a, Result<Option<&'static str>, RestoreError>>;
}

/// What does not come back, or not as it was, by the word of docs/FIDELITY.md: it is no loss.
#[derive(Clone, Copy, Debug)]
pub struct NotCounted {
    /// As docs/FIDELITY.md calls it.
    pub field: &'static str,
    /// The properties that tell of it.
    pub properties: &'static [&'static str],
}

/// All that a restore must bring back of one item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Portrait(BTreeMap<Trait, Value>);

/// One field, or one of several properties that go by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trait {
    /// As docs/FIDELITY.md calls it.
    pub field: &'static str,
    /// The property, where the field has several; never anything of its content.
    pub part: String,
}

/// How two portraits differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Likeness {
    /// Fields that either of them has.
    pub n_fields: u64,
    pub differences: Vec<Trait>,
}

impl Portrait {
    /// Notes a field. One that is empty is none.
    pub(super) fn note(&mut self, field: &'static str, part: &str, value: Value) {
        let is_empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(all) => all.is_empty(),
            Value::Object(all) => all.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        if !is_empty {
            self.0.insert(Trait { field, part: part.to_owned() }, value);
        }
    }

    pub fn n_fields(&self) -> u64 {
        self.0.len() as u64
    }

    /// Compares it with the portrait of what came back. A field that came from nowhere is a difference too.
    pub fn likeness(&self, back: &Self) -> Likeness {
        let surplus = back.0.keys().filter(|one| !self.0.contains_key(*one));
        let lost = self.0.iter().filter(|(one, value)| back.0.get(*one) != Some(*value)).map(|(one, _)| one);
        let n_surplus = surplus.clone().count() as u64;
        Likeness { n_fields: self.n_fields() + n_surplus, differences: lost.chain(surplus).cloned().collect() }
    }
}

#[cfg(test)]
impl Likeness {
    /// The differences, as tests name them.
    pub fn named(&self) -> Vec<(&str, &str)> {
        self.differences.iter().map(|one| (one.field, one.part.as_str())).collect()
    }
}

/// What people read of a text. Exchange writes HTML in its own way.
pub(super) fn legible(is_html: bool, text: &str) -> Value {
    let read = if is_html { html_to_text(text) } else { text.to_owned() };
    json!(read.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The same of a body as Graph writes it.
pub(super) fn legible_body(body: &Value) -> Value {
    legible(body["contentType"] != "text", text(&body["content"]))
}

/// Content, short.
pub(super) fn print_of(content: &[u8]) -> Value {
    json!(blake3::hash(content).to_hex().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::REGISTRY;

    fn portrait(fields: &[(&'static str, &str, Value)]) -> Portrait {
        let mut portrait = Portrait::default();
        fields.iter().for_each(|(field, part, value)| portrait.note(field, part, value.clone()));
        portrait
    }

    #[test]
    fn a_field_that_is_lost_changed_or_new_is_a_difference_and_an_empty_one_is_none() {
        let stored = portrait(&[
            ("subject", "", json!("a")),
            ("recipients", "ccRecipients", json!(["b"])),
            ("categories", "", json!([])),
            ("read state", "", json!(false)),
        ]);
        let back =
            portrait(&[("subject", "", json!("other")), ("read state", "", json!(false)), ("flag", "", json!(1))]);

        let found = stored.likeness(&back);

        assert_eq!((stored.n_fields(), found.n_fields), (3, 4));
        assert_eq!(found.named(), [("recipients", "ccRecipients"), ("subject", ""), ("flag", "")]);
        assert_eq!(stored.likeness(&stored), Likeness { n_fields: 3, differences: Vec::new() });
    }

    #[test]
    fn the_same_text_in_other_html_reads_the_same() {
        let ours = legible(true, "<p>Agenda &amp; more</p>");

        assert_eq!(
            legible(true, "<html><head><meta a=b></head><body>\r\n<p>Agenda &amp;\nmore</p></body></html>"),
            ours
        );
        assert_ne!(legible(true, "<p>Other</p>"), ours);
        assert_eq!(legible(false, " a\r\n b "), json!("a b"));
    }

    /// The names in the first column of the tables of a feature's section.
    fn fidelity(section: &str) -> Vec<String> {
        let text = include_str!("../../docs/FIDELITY.md");
        let of_section = text.split("\n## ").find(|part| part.to_lowercase().starts_with(section)).unwrap();
        let rows = of_section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        let mut names = Vec::new();
        for row in rows {
            names.push(row.to_owned());
            names.extend(row.split(':').next().map(str::to_owned));
            names.extend(row.split(", ").map(str::to_owned));
        }
        names
    }

    #[test]
    fn what_is_not_counted_goes_by_the_names_of_the_fidelity_table() {
        for feature in REGISTRY {
            let names = fidelity(feature.name());
            for passed_by in feature.rehearsing().unwrap().not_counted() {
                assert!(names.iter().any(|name| name == passed_by.field), "{}: {}", feature.name(), passed_by.field);
            }
        }
    }
}
