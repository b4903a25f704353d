//! The formats of text that Graph's types have.

use super::model::Format;

pub fn fits(text: &str, format: Format) -> bool {
    match format {
        Format::Free | Format::Binary => true,
        Format::DateTime => is_date_time(text),
        Format::Date => is_date(text),
        Format::Time => is_time(text),
        Format::Uuid => uuid::Uuid::parse_str(text).is_ok() && text.len() == 36,
        Format::Uri => text.split_once("://").is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty()),
        Format::Base64 => is_base64(text),
    }
}

/// `Edm.DateTimeOffset`: a zone is obligatory.
fn is_date_time(text: &str) -> bool {
    chrono::DateTime::parse_from_rfc3339(text).is_ok() && text.as_bytes().get(10) == Some(&b'T')
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

fn is_time(text: &str) -> bool {
    chrono::NaiveTime::parse_from_str(text, "%H:%M:%S%.f").is_ok()
}

/// OData writes `Edm.Binary` in the alphabet for URLs, Outlook in the other one.
fn is_base64(text: &str) -> bool {
    let content = text.trim_end_matches('=');
    let padding = text.len() - content.len();
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    padding <= 2
        && content.len() % 4 != 1
        && (padding == 0 || text.len().is_multiple_of(4))
        && content.as_bytes().iter().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_take_what_graph_writes_and_refuse_the_rest() {
        for (format, text, expected) in [
            (Format::DateTime, "2026-01-02T03:04:05Z", true),
            (Format::DateTime, "2026-01-02T03:04:05.1234567Z", true),
            (Format::DateTime, "2026-01-02T03:04:05+02:00", true),
            (Format::DateTime, "2026-01-02T03:04:05", false),
            (Format::DateTime, "2026-01-02 03:04:05Z", false),
            (Format::DateTime, "2026-13-02T03:04:05Z", false),
            (Format::Date, "2026-01-02", true),
            (Format::Date, "2026-1-2", false),
            (Format::Time, "09:00:00.0000000", true),
            (Format::Time, "9 o'clock", false),
            (Format::Uuid, "efb87545-963c-4e0d-99df-69c6916d9eb0", true),
            (Format::Uuid, "efb87545", false),
            (Format::Uri, "https://graph.microsoft.com/v1.0", true),
            (Format::Uri, "/relative", false),
            (Format::Base64, "YWJj", true),
            (Format::Base64, "YQ==", true),
            (Format::Base64, "YQ", true),
            (Format::Base64, "Y", false),
            (Format::Base64, "YW Jj", false),
        ] {
            assert_eq!(fits(text, format), expected, "{format:?} {text}");
        }
    }
}
