//! The `$filter` of event lists, as far as Outlook evaluates it for a backup client.

use super::super::filter::exact_property;
use super::super::odata::unquote;
use crate::reply::Refusal;
use crate::store::event::Event;

/// One comparison.
#[derive(Debug)]
pub enum Filter {
    Uid(String),
    Property { id: String, value: String },
}

impl Filter {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if let Some((id, value)) = exact_property(text) {
            return Ok(Self::Property { id, value });
        }
        let uid = text.trim().strip_prefix("iCalUId eq ").and_then(unquote);
        uid.map(Self::Uid).ok_or_else(|| {
            let text = format!("The query filter contains one or more invalid nodes: {text}");
            Refusal::new(400, "ErrorInvalidUrlQueryFilter", &text)
        })
    }

    pub fn accepts(&self, event: &Event) -> bool {
        match self {
            Self::Uid(uid) => event.ical_uid == *uid,
            Self::Property { id, value } => {
                event.properties.iter().any(|(have, held)| have.eq_ignore_ascii_case(id) && held == value)
            }
        }
    }
}
