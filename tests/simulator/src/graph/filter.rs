//! The `$filter` of message lists, as far as Outlook evaluates it for a backup client.

use super::odata::unquote;
use super::view::property_value;
use crate::clock::parse_iso;
use crate::reply::Refusal;
use crate::store::message::Message;

/// A disjunction of conjunctions.
#[derive(Debug)]
pub struct Filter(Vec<Vec<Atom>>);

#[derive(Debug)]
enum Atom {
    InternetId(String),
    Subject(String),
    Flag { name: FlagName, wanted: bool },
    Time { sent: bool, order: Order, at: i64 },
    Property { id: String, value: Wanted },
}

#[derive(Debug, Clone, Copy)]
enum FlagName {
    Read,
    Draft,
    HasAttachments,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Ge,
    Gt,
    Le,
    Lt,
    Eq,
}

#[derive(Debug)]
enum Wanted {
    Exactly(String),
    Present,
}

impl Filter {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        split_words(text, " or ")
            .iter()
            .map(|all| split_words(all, " and ").iter().map(|atom| Atom::parse(atom)).collect())
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub fn accepts(&self, message: &Message) -> bool {
        self.0.iter().any(|all| all.iter().all(|atom| atom.accepts(message)))
    }

    /// If only these Message-IDs can pass: look them up instead of reading every message.
    pub fn only_internet_ids(&self) -> Option<Vec<&str>> {
        self.0
            .iter()
            .map(|all| {
                all.iter().find_map(|atom| match atom {
                    Atom::InternetId(id) => Some(id.as_str()),
                    Atom::Subject(_) | Atom::Flag { .. } | Atom::Time { .. } | Atom::Property { .. } => None,
                })
            })
            .collect()
    }

    /// True if only messages with a property that a client set can pass.
    pub fn needs_property(&self) -> bool {
        self.0.iter().all(|all| all.iter().any(|atom| matches!(atom, Atom::Property { .. })))
    }

    /// If one extended property decides: its id, and the value that it must have, if any will not do.
    pub fn only_property(&self) -> Option<(&str, Option<&str>)> {
        match self.0.as_slice() {
            [all] => match all.as_slice() {
                [Atom::Property { id, value: Wanted::Exactly(value) }] => Some((id, Some(value))),
                [Atom::Property { id, value: Wanted::Present }] => Some((id, None)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Delta knows `receivedDateTime ge|gt` only.
    pub fn is_received_since(&self) -> bool {
        matches!(self.0.as_slice(), [all] if matches!(all.as_slice(), [Atom::Time { sent: false, order: Order::Ge | Order::Gt, .. }]))
    }
}

impl Atom {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let text = text.trim();
        let text = if text.starts_with('(') && text.ends_with(')') { &text[1..text.len() - 1] } else { text };
        if let Some(inner) = text.strip_prefix("singleValueExtendedProperties/any(") {
            return Self::parse_property(inner.strip_suffix(')').unwrap_or(inner));
        }
        let mut words = text.splitn(3, ' ');
        let (Some(name), Some(order), Some(value)) = (words.next(), words.next(), words.next()) else {
            return Err(unsupported(text));
        };
        let flag = |name| match value.trim() {
            "true" => Ok(Self::Flag { name, wanted: order == "eq" }),
            "false" => Ok(Self::Flag { name, wanted: order != "eq" }),
            _ => Err(unsupported(text)),
        };
        let quoted = || unquote(value).filter(|_| order == "eq").ok_or_else(|| unsupported(text));
        match name {
            "internetMessageId" => Ok(Self::InternetId(quoted()?)),
            "subject" => Ok(Self::Subject(quoted()?)),
            "isRead" => flag(FlagName::Read),
            "isDraft" => flag(FlagName::Draft),
            "hasAttachments" => flag(FlagName::HasAttachments),
            "receivedDateTime" | "sentDateTime" => {
                let order = match order {
                    "ge" => Order::Ge,
                    "gt" => Order::Gt,
                    "le" => Order::Le,
                    "lt" => Order::Lt,
                    "eq" => Order::Eq,
                    _ => return Err(unsupported(text)),
                };
                let at = parse_iso(value.trim()).ok_or_else(|| unsupported(text))?;
                Ok(Self::Time { sent: name == "sentDateTime", order, at })
            }
            _ => Err(unsupported(text)),
        }
    }

    // ep: ep/id eq 'X' and ep/value eq 'Y'
    fn parse_property(text: &str) -> Result<Self, Refusal> {
        let (variable, rest) = text.split_once(':').ok_or_else(|| unsupported(text))?;
        let variable = variable.trim();
        let (mut id, mut value) = (None, None);
        for part in split_words(rest, " and ") {
            let part = part.trim();
            if let Some(wanted) = part.strip_prefix(&format!("{variable}/id eq ")) {
                id = unquote(wanted);
            } else if let Some(wanted) = part.strip_prefix(&format!("{variable}/value eq ")) {
                value = unquote(wanted).map(Wanted::Exactly);
            } else if part == format!("{variable}/value ne null") {
                value = Some(Wanted::Present);
            } else {
                return Err(unsupported(part));
            }
        }
        match (id, value) {
            (Some(id), Some(value)) => Ok(Self::Property { id, value }),
            _ => Err(unsupported(text)),
        }
    }

    fn accepts(&self, message: &Message) -> bool {
        match self {
            Self::InternetId(id) => message.internet_message_id == *id,
            Self::Subject(subject) => message.subject.eq_ignore_ascii_case(subject),
            Self::Flag { name, wanted } => {
                let have = match name {
                    FlagName::Read => message.is_read,
                    FlagName::Draft => message.is_draft,
                    FlagName::HasAttachments => message.has_attachments(),
                };
                have == *wanted
            }
            Self::Time { sent, order, at } => {
                let have = if *sent { message.sent } else { message.received };
                match order {
                    Order::Ge => have >= *at,
                    Order::Gt => have > *at,
                    Order::Le => have <= *at,
                    Order::Lt => have < *at,
                    Order::Eq => have == *at,
                }
            }
            Self::Property { id, value } => match (property_value(message, id), value) {
                (Some(have), Wanted::Exactly(wanted)) => have == *wanted,
                (Some(_), Wanted::Present) => true,
                (None, Wanted::Exactly(_) | Wanted::Present) => false,
            },
        }
    }
}

/// The id and the wanted value, if this asks for a property with exactly that value.
pub fn exact_property(text: &str) -> Option<(String, String)> {
    match Atom::parse(text) {
        Ok(Atom::Property { id, value: Wanted::Exactly(value) }) => Some((id, value)),
        Ok(_) | Err(_) => None,
    }
}

fn unsupported(text: &str) -> Refusal {
    Refusal::new(
        400,
        "ErrorInvalidUrlQueryFilter",
        &format!("The query filter contains one or more invalid nodes: {text}"),
    )
}

/// Splits at a word that is not inside quotes or parentheses.
fn split_words(text: &str, word: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let (mut depth, mut quoted, mut start) = (0, false, 0);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 && !quoted && at >= start && text[at..].starts_with(word) {
            parts.push(text[start..at].to_owned());
            start = at + word.len();
        }
    }
    parts.push(text[start..].to_owned());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_filter_with_a_guid_reads() {
        let filter = Filter::parse(
            "singleValueExtendedProperties/any(ep: ep/id eq 'String {66f5a359-4659-4830-9070-00047ec6ac6e} Name xyz' and ep/value eq 'a''b')",
        )
        .expect("a valid filter");
        let mut message = Message::default();
        assert!(!filter.accepts(&message));
        message.set_property("String {66f5a359-4659-4830-9070-00047ec6ac6e} Name xyz", "a'b");
        assert!(filter.accepts(&message));
    }

    #[test]
    fn what_outlook_cannot_filter_is_refused() {
        assert!(Filter::parse("contains(subject,'x')").is_err());
        assert!(Filter::parse("isRead eq false and receivedDateTime ge 2026-01-01T00:00:00Z").is_ok());
    }
}
