//! Base64 as messages have it: in lines, undone only when it can be made again to the byte.

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
    let mut decoding = Decoding {
        digits: [0; STRETCH_DIGITS],
        n_digits: 0,
        again: [0; STRETCH_DIGITS],
        decoded: Vec::with_capacity(text.len() / 4 * GROUP + GROUP),
    };
    each_line(text, lines, |line| decoding.push(line))?;
    Some((lines, decoding.finish()?))
}

/// Hands over the lines of a text without their ends; `None` unless every line but the last is as wide as the layout says
/// and ends as it says, or when `take` wants no more.
fn each_line(text: &[u8], lines: Base64Lines, mut take: impl FnMut(&[u8]) -> Option<()>) -> Option<()> {
    let width = lines.width as usize;
    if width == 0 {
        return take(text);
    }
    let end: &[u8] = if lines.crlf { b"\r\n" } else { b"\n" };
    let mut rest = text;
    while rest.len() > width {
        let (line, after) = rest.split_at(width);
        take(line)?;
        rest = after.strip_prefix(end)?;
    }
    // A text whose last line is full has no line end behind it: it was trimmed.
    if rest.is_empty() { None } else { take(rest) }
}

/// Digits on their way to what they stand for, a stretch at a time.
struct Decoding {
    digits: [u8; STRETCH_DIGITS],
    n_digits: usize,
    /// What they were decoded to, encoded again.
    again: [u8; STRETCH_DIGITS],
    decoded: Vec<u8>,
}

impl Decoding {
    fn push(&mut self, digits: &[u8]) -> Option<()> {
        let mut digits = digits;
        while !digits.is_empty() {
            // Only now is it sure that this stretch is not the last one, in which the digits may end early.
            if self.n_digits == STRETCH_DIGITS && self.decode()? != STRETCH {
                return None;
            }
            let n_fit = digits.len().min(STRETCH_DIGITS - self.n_digits);
            self.digits[self.n_digits..self.n_digits + n_fit].copy_from_slice(&digits[..n_fit]);
            self.n_digits += n_fit;
            digits = &digits[n_fit..];
        }
        Some(())
    }

    /// Decodes what is there; returns how many bytes that were, if they encode to the very same digits.
    fn decode(&mut self) -> Option<usize> {
        let digits = &self.digits[..std::mem::take(&mut self.n_digits)];
        let before = self.decoded.len();
        STANDARD.decode_append(digits, &mut self.decoded).ok()?;
        let plain = &self.decoded[before..];
        (STANDARD.encode(plain, self.again[..].as_out()) == digits).then_some(plain.len())
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        self.decode()?;
        Some(self.decoded)
    }
}

/// Bytes that four digits stand for.
const GROUP: usize = 3;
/// Bytes that are encoded or decoded at once: they and their digits stay in the processor's cache.
const STRETCH: usize = 4096 * GROUP;
const STRETCH_DIGITS: usize = STRETCH / GROUP * 4;

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
        let mut digits = [0; STRETCH_DIGITS];
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

#[cfg(test)]
mod tests {
    use super::*;

    fn content(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|n| (n * 7 % 251) as u8).collect()
    }

    fn in_lines(digits: &str, width: usize) -> String {
        let lines: Vec<_> = digits.as_bytes().chunks(width).map(String::from_utf8_lossy).collect();
        lines.join("\r\n")
    }

    #[test]
    fn texts_of_any_length_and_width_are_undone() {
        for bytes in (1..5).chain(STRETCH - 4..STRETCH + 5).chain(3 * STRETCH - 2..3 * STRETCH + 3) {
            let digits = STANDARD.encode_to_string(content(bytes));
            for width in [76, 63, STRETCH_DIGITS, 1 << 20] {
                let (_, decoded) = decode_exactly(in_lines(&digits, width).as_bytes()).unwrap();
                assert_eq!(decoded, content(bytes), "{bytes} bytes in lines of {width}");
            }
        }
    }

    #[test]
    fn digits_behind_an_end_are_not_undone() {
        for bytes in [1, STRETCH - 1, STRETCH - 2, 2 * STRETCH - 1] {
            let ended = STANDARD.encode_to_string(content(bytes));
            for more in ["QQ==", "QUJD"] {
                for width in [76, 1 << 20] {
                    assert_eq!(decode_exactly(in_lines(&format!("{ended}{more}"), width).as_bytes()), None, "{bytes}");
                }
            }
        }
    }
}
