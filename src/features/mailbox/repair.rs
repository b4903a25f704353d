//! Mending mail that a program wrote badly, before it is given up: multiparts that are never closed, and a multipart
//! whose header is missing. Pure.

use bytes::Bytes;
use mail_parser::{Message, MimeHeaders, PartType};

/// Multiparts that are looked at; ordinary mail has three.
const BOUNDARIES_MAX: usize = 20;

/// `raw` with the closing lines that are missing at its end; `None` when none is.
pub(super) fn closed(message: &Message<'_>, raw: &Bytes) -> Option<Bytes> {
    let multiparts = message.parts.iter().filter(|part| matches!(part.body, PartType::Multipart(_)));
    let boundaries = multiparts.filter_map(|part| part.content_type()?.attribute("boundary")).take(BOUNDARIES_MAX);
    let mut open: Vec<String> = boundaries.map(|boundary| format!("--{boundary}--")).collect();
    open.retain(|end| !contains(raw, end.as_bytes()));
    if open.is_empty() {
        return None;
    }
    let mut mended = raw.to_vec();
    // The innermost multipart was begun last and is closed first.
    for end in open.iter().rev() {
        mended.extend_from_slice(format!("\r\n{end}\r\n").as_bytes());
    }
    Some(mended.into())
}

/// A text that begins with a boundary line, given the header that it must have had.
pub(super) fn headed(raw: &Bytes) -> Option<Bytes> {
    let text = raw.trim_ascii_start();
    let line = text.strip_prefix(b"--")?.split(|byte| *byte == b'\n').next()?;
    let boundary = std::str::from_utf8(line).ok()?.trim_end();
    let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
    if boundary.is_empty() || boundary.len() > 70 || !boundary.chars().all(plain) {
        return None;
    }
    // A text and its HTML are two forms of one body; anything else are parts of different content.
    let kind = if part_types(text, boundary) == ["text/plain", "text/html"] { "alternative" } else { "mixed" };
    let mut mended =
        format!("MIME-Version: 1.0\r\nContent-Type: multipart/{kind}; boundary=\"{boundary}\"\r\n\r\n").into_bytes();
    mended.extend_from_slice(text);
    Some(mended.into())
}

/// The types of the parts between these boundary lines.
fn part_types(text: &[u8], boundary: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let line = format!("--{boundary}\r\n");
    let parts = text.split(line.as_str()).skip(1);
    let kind = |part: &str| {
        let head = part.split("\r\n\r\n").next().unwrap_or_default();
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-type:"))?;
        Some(line[13..].split(';').next()?.trim().to_ascii_lowercase())
    };
    parts.map(|part| kind(part).unwrap_or_default()).collect()
}

/// Boundaries stand at the beginning of lines, which keeps this fast on long mail.
fn contains(text: &[u8], line: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').any(|candidate| candidate.starts_with(line))
}
