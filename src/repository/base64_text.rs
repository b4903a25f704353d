//! Base64 as messages have it: in lines, undone only when it can be made again to the byte.

use std::borrow::Cow;

use base64_simd::{AsOut, STANDARD};
use memchr::memchr;

/// How the base64 text of a part was laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base64Lines {
    /// Characters in a line; 0: all in one.
    pub width: u32,
    pub crlf: bool,
}

impl Base64Lines {
    /// How long the text of that many bytes is.
    pub fn encoded_bytes(self, plain: u64) -> u64 {
        let digits = plain.div_ceil(GROUP as u64) * 4;
        let width = u64::from(self.width);
        // A last line that is full has no line end behind it.
        let line_ends = digits.saturating_sub(1).checked_div(width).unwrap_or(0);
        digits + line_ends * if self.crlf { 2 } else { 1 }
    }
}

/// Decodes base64 that is laid out evenly; `None` unless encoding it again gives the very same text.
pub fn decode_exactly(text: &[u8]) -> Option<(Base64Lines, Vec<u8>)> {
    let lines = match memchr(b'\n', text) {
        None => Base64Lines { width: 0, crlf: false },
        Some(newline) => {
            let crlf = text[..newline].ends_with(b"\r");
            let width = newline - usize::from(crlf);
            if width == 0 {
                return None;
            }
            Base64Lines { width: u32::try_from(width).ok()?, crlf }
        }
    };
    let digits = without_line_ends(text, lines)?;
    let decoded = STANDARD.decode_to_vec(&digits).ok()?;
    (STANDARD.encode_to_string(&decoded).as_bytes() == &*digits).then_some((lines, decoded))
}

/// The digits alone; `None` unless every line but the last is as wide as the layout says and ends as it says.
fn without_line_ends(text: &[u8], lines: Base64Lines) -> Option<Cow<'_, [u8]>> {
    let width = lines.width as usize;
    if width == 0 {
        return Some(Cow::Borrowed(text));
    }
    let end: &[u8] = if lines.crlf { b"\r\n" } else { b"\n" };
    let mut digits = Vec::with_capacity(text.len());
    let mut rest = text;
    while rest.len() > width {
        let (line, after) = rest.split_at(width);
        digits.extend_from_slice(line);
        rest = after.strip_prefix(end)?;
    }
    // A text whose last line is full has no line end behind it: it was trimmed.
    digits.extend_from_slice(rest);
    (!rest.is_empty()).then_some(Cow::Owned(digits))
}

/// Bytes that four digits stand for.
const GROUP: usize = 3;
/// Bytes that are encoded at once: they and their digits stay in the processor's cache.
const STRETCH: usize = 4096 * GROUP;

/// Encodes content piece by piece into lines of base64.
pub struct Base64Text {
    lines: Base64Lines,
    /// Bytes that wait for the rest of their group of three.
    waiting: Vec<u8>,
    column: usize,
}

impl Base64Text {
    pub fn new(lines: Base64Lines) -> Self {
        Self { lines, waiting: Vec::new(), column: 0 }
    }

    pub fn push(&mut self, content: &[u8], out: &mut Vec<u8>) {
        let mut content = content;
        if !self.waiting.is_empty() {
            let missing = (GROUP - self.waiting.len()).min(content.len());
            self.waiting.extend_from_slice(&content[..missing]);
            content = &content[missing..];
            if self.waiting.len() < GROUP {
                return;
            }
            let group = std::mem::take(&mut self.waiting);
            self.write(&group, out);
        }
        let (groups, rest) = content.split_at(content.len() / GROUP * GROUP);
        self.write(groups, out);
        self.waiting.extend_from_slice(rest);
    }

    pub fn finish(mut self, out: &mut Vec<u8>) {
        let rest = std::mem::take(&mut self.waiting);
        self.write(&rest, out);
    }

    fn write(&mut self, content: &[u8], out: &mut Vec<u8>) {
        let mut digits = [0; STRETCH / GROUP * 4];
        for stretch in content.chunks(STRETCH) {
            let encoded = STANDARD.encode(stretch, digits[..].as_out());
            self.write_digits(encoded, out);
        }
    }

    fn write_digits(&mut self, digits: &[u8], out: &mut Vec<u8>) {
        let mut digits = digits;
        let width = self.lines.width as usize;
        if width == 0 {
            out.extend_from_slice(digits);
            return;
        }
        while !digits.is_empty() {
            if self.column == width {
                out.extend_from_slice(if self.lines.crlf { b"\r\n" } else { b"\n" });
                self.column = 0;
            }
            let n = digits.len().min(width - self.column);
            out.extend_from_slice(&digits[..n]);
            self.column += n;
            digits = &digits[n..];
        }
    }
}
