//! What of a contact must come back, and clearing contacts of a rehearsal.

use futures_util::future::BoxFuture;
use serde_json::json;

use super::Contacts;
use super::person::Person;
use super::restore::photo;
use super::target::{at, top_folder};
use crate::features::rehearsing::{NotCounted, Portrait, Rehearsing, print_of};
use crate::features::{RestoreError, Source, StoredItem};
use crate::graph::{GraphError, IMMUTABLE_IDS, Outlook};

const NOT_COUNTED: [NotCounted; 3] = [
    NotCounted { field: "fields that somebody gave a name of their own", properties: &[] },
    NotCounted {
        field: "ids, change key, created and last modified time",
        properties: &["id", "changeKey", "parentFolderId", "createdDateTime", "lastModifiedDateTime"],
    },
    NotCounted { field: "distribution lists", properties: &[] },
];
const STAYS: &str = "the contacts lie in Deleted Items until Exchange empties it or somebody does";

impl Rehearsing for Contacts {
    fn portrait(&self, item: &StoredItem) -> Result<Portrait, RestoreError> {
        let person = Person::of(&item.json()?);
        let mut portrait = Portrait::default();
        for (name, value) in person.fields {
            match name {
                "categories" => portrait.note("categories", "", value),
                name => portrait.note("all fields of Graph v1.0", name, value),
            }
        }
        for (id, (_, value)) in person.extended {
            portrait.note("fields that Graph has no name for", &id, json!(value));
        }
        if let Some(photo) = photo(item)? {
            portrait.note("photo", "", print_of(photo));
        }
        Ok(portrait)
    }

    fn not_counted(&self) -> &'static [NotCounted] {
        &NOT_COUNTED
    }

    fn clear<'a>(
        &'a self,
        target: Source<'a>,
        top: &'a str,
    ) -> BoxFuture<'a, Result<Option<&'static str>, RestoreError>> {
        Box::pin(clear(target, top))
    }
}

async fn clear(target: Source<'_>, top: &str) -> Result<Option<&'static str>, RestoreError> {
    let Some(folder) = top_folder(target, top).await? else { return Ok(None) };
    let endpoint = at(target, Outlook::ContactFolder { folder: &folder });
    match target.graph.delete(endpoint).prefer(IMMUTABLE_IDS).done().await {
        Ok(()) => Ok(Some(STAYS)),
        Err(GraphError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::StoredContent;
    use crate::ids::ItemKey;

    #[test]
    fn a_field_a_named_property_and_a_photo_are_told_apart_and_ids_do_not_count() {
        let drawn = |id: &str, title: &str, pager: &str, photo: &'static [u8]| {
            let properties = json!({
                "id": id, "changeKey": id, "jobTitle": title, "categories": ["Red"],
                "singleValueExtendedProperties": [{"id": "String 0x3A21", "value": pager}],
            });
            let item = StoredItem {
                key: ItemKey::of("c"),
                kind: super::super::KIND_CONTACT,
                properties: properties.to_string().into(),
                content: StoredContent::Whole(photo.into()),
            };
            Contacts.portrait(&item).unwrap()
        };
        let stored = drawn("a", "Pilot", "1", b"photo");

        let found = stored.likeness(&drawn("b", "Cook", "2", b"another"));

        let named = found.named();
        let expected = [
            ("all fields of Graph v1.0", "jobTitle"),
            ("fields that Graph has no name for", "string 0x3a21"),
            ("photo", ""),
        ];
        assert_eq!((found.n_fields, named), (4, expected.to_vec()));
        assert!(stored.likeness(&drawn("b", "Pilot", "1", b"photo")).differences.is_empty());
    }
}
