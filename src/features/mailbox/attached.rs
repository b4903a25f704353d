//! The names of the files that are attached to a message, from its text. Pure.
//!
//! Only the headers that can carry a name are read, wherever they stand: to take a message apart for its names alone
//! would cost more than to store it.

use memchr::memmem;

use crate::features::Content;

/// Names of one message.
const NAMES_MAX: usize = 50;
/// A header longer than this is cut.
const HEADER_BYTES_MAX: usize = 4 << 10;
/// What is looked through of a message too large for memory: its beginning.
const SPOOLED_BYTES: usize = 256 << 10;

/// The names in the content of a message, as far as it can be looked through.
pub(super) fn names_in(content: &Content) -> Vec<String> {
    match content {
        Content::Mime(mime) => names(mime),
        Content::Spooled { file, bytes } => {
            use std::os::unix::fs::FileExt;
            let mut beginning = vec![0; SPOOLED_BYTES.min(usize::try_from(*bytes).unwrap_or(SPOOLED_BYTES))];
            // It was written a moment ago. Whoever stores it hears of what is wrong with it.
            match file.read_at(&mut beginning, 0) {
                Ok(n_read) => names(&beginning[..n_read]),
                Err(_) => Vec::new(),
            }
        }
        Content::Raw(_) | Content::Stream(_) => Vec::new(),
    }
}

/// The names that headers give to the parts of a message, each once.
fn names(mime: &[u8]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let headers = memmem::find_iter(mime, b"\nContent-").chain(memmem::find_iter(mime, b"\ncontent-"));
    for at in headers {
        let header = unfolded(&mime[at + 1..]);
        if let Some(name) = name_of(header).filter(|name| !names.contains(name)) {
            names.push(name);
        }
        if names.len() == NAMES_MAX {
            break;
        }
    }
    names
}

/// A header with its continuations.
fn unfolded(rest: &[u8]) -> &[u8] {
    let rest = &rest[..rest.len().min(HEADER_BYTES_MAX)];
    let mut end = 0;
    for newline in memchr::memchr_iter(b'\n', rest) {
        end = newline + 1;
        if !matches!(rest.get(end), Some(b' ' | b'\t')) {
            return &rest[..end];
        }
    }
    &rest[..end.max(rest.len())]
}

fn name_of(header: &[u8]) -> Option<String> {
    let kind = header.split(|byte| *byte == b':').next()?;
    let carries_names = kind.eq_ignore_ascii_case(b"Content-Disposition") || kind.eq_ignore_ascii_case(b"Content-Type");
    if !carries_names || memmem::find(header, b"ame").is_none() {
        return None;
    }
    // A message of nothing but this header: whatever encoding the name has, the parser knows it.
    let mut text = Vec::with_capacity(header.len() + 4);
    text.extend_from_slice(header);
    text.extend_from_slice(b"\r\n\r\n");
    let parsed = mail_parser::MessageParser::default().parse(&text)?;
    let part = parsed.parts.first()?;
    let name = mail_parser::MimeHeaders::attachment_name(part)?.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_whatever_way_they_are_written() {
        let mime = b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
            Content-Type: application/pdf; name=\"plan.pdf\"\r\nContent-Disposition: attachment;\r\n filename=\"plan.pdf\"\r\n\r\n\
            name=none\r\n--b\r\nContent-Type: image/png\r\n\
            content-disposition: attachment; filename*=utf-8''Gr%C3%B6%C3%9Fe.png\r\n\r\nx\r\n--b\r\n\
            Content-Type: text/plain;\r\n\tname=\"=?utf-8?Q?=C3=9Cbersicht.txt?=\"\r\n\r\nx\r\n--b--\r\n";

        let mut found = names(mime);

        found.sort();
        assert_eq!(found, ["Gr\u{f6}\u{df}e.png", "plan.pdf", "\u{dc}bersicht.txt"]);
    }

    #[test]
    fn a_message_without_attachments_and_one_that_is_cut_have_no_names() {
        for mime in [
            &b"Subject: name\r\n\r\nContent-Disposition is a word"[..],
            b"\nContent-Type",
            b"\nContent-Type: text/plain; charset=utf-8\r\n",
            b"\nContent-Disposition: attachment; filename=",
            b"",
        ] {
            assert_eq!(names(mime), Vec::<String>::new(), "{}", mime.escape_ascii());
        }
    }
}
