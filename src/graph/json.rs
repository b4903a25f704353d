//! Graph's JSON as it really comes: Exchange lets control characters and half surrogate pairs through.

use std::borrow::Cow;

use serde_json::Value;

/// Why a body is not JSON.
#[derive(Debug)]
pub(super) enum BadJson {
    /// It ends too early: the transfer was cut.
    CutShort,
    Malformed(String),
}

/// Parses a body; what strict JSON forbids inside strings is escaped first, so that one odd subject does not cost a
/// page of items.
pub(super) fn parse(body: &[u8]) -> Result<Value, BadJson> {
    let strict = match serde_json::from_slice(body) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if strict.is_eof() {
        return Err(BadJson::CutShort);
    }
    let text = String::from_utf8_lossy(body);
    serde_json::from_str(&repaired(&text)).map_err(|error| {
        if error.is_eof() { BadJson::CutShort } else { BadJson::Malformed(format!("the body is not JSON: {strict}")) }
    })
}

/// Escapes control characters inside strings and replaces half surrogate pairs by U+FFFD.
fn repaired(text: &str) -> Cow<'_, str> {
    let mut fixed = String::with_capacity(text.len() + 64);
    let mut in_string = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let step = match c {
            '"' => {
                in_string = !in_string;
                1
            }
            '\\' if in_string => {
                let (escape, length) = escape(rest);
                fixed.push_str(escape);
                rest = &rest[length..];
                continue;
            }
            c if in_string && c < ' ' => {
                fixed.push_str(&format!("\\u{:04x}", u32::from(c)));
                rest = &rest[1..];
                continue;
            }
            c => c.len_utf8(),
        };
        fixed.push_str(&rest[..step]);
        rest = &rest[step..];
    }
    Cow::Owned(fixed)
}

/// The escape sequence at the start of `text`, made valid, and how many bytes of `text` it stands for.
fn escape(text: &str) -> (&str, usize) {
    let unit = |at: usize| text.get(at..at + 6).filter(|e| e.starts_with("\\u")).and_then(|e| code_unit(&e[2..]));
    match unit(0) {
        Some(0xD800..=0xDBFF) => match unit(6) {
            Some(0xDC00..=0xDFFF) => (&text[..12], 12),
            _ => ("\\ufffd", 6),
        },
        Some(0xDC00..=0xDFFF) => ("\\ufffd", 6),
        Some(_) => (&text[..6], 6),
        None => {
            let length = text.chars().take(2).map(char::len_utf8).sum();
            (&text[..length], length)
        }
    }
}

fn code_unit(hex: &str) -> Option<u16> {
    u16::from_str_radix(hex, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_in_a_string_survive_as_characters() {
        let body = b"{\"value\":\n[{\"subject\":\"a\x01b\tc\\\"\x02\"}]}";

        let json = parse(body).unwrap();

        assert_eq!(json["value"][0]["subject"], "a\u{1}b\tc\"\u{2}");
    }

    #[test]
    fn half_a_surrogate_pair_becomes_the_replacement_character() {
        let json = parse(br#"{"a":"x\ud83dy","b":"\ud83d\ude00","c":"\ude00"}"#).unwrap();

        assert_eq!(json["a"], "x\u{fffd}y");
        assert_eq!(json["b"], "\u{1f600}");
        assert_eq!(json["c"], "\u{fffd}");
    }

    #[test]
    fn a_body_that_ends_too_early_is_cut_not_malformed() {
        assert!(matches!(parse(br#"{"value":[{"id":"a"#), Err(BadJson::CutShort)));
        assert!(matches!(parse(b""), Err(BadJson::CutShort)));
        assert!(matches!(parse(b"<html></html>"), Err(BadJson::Malformed(_))));
    }

    #[test]
    fn bytes_that_are_not_utf8_do_not_cost_the_page() {
        let json = parse(b"{\"a\":\"gr\xfcn\"}").unwrap();

        assert_eq!(json["a"], "gr\u{fffd}n");
    }
}
