//! Finds in a message what is worth storing by itself: attachments, decoded, and long bodies.
//!
//! The same attachment in a thousand mailboxes, and in OneDrive, is the same bytes only once base64 is undone. Nothing
//! here has to understand a message: whatever is malformed stays text, and every decoded part has been encoded again
//! and compared before it is trusted, so that the message always comes back byte for byte.

use std::ops::Range;

use memchr::{memchr, memmem};

use super::base64_text::{Base64Lines, decode_exactly};

/// Parts shorter than this stay in the skeleton.
pub const PART_BYTES_MIN: usize = 2 << 10;
/// Messages within messages within multiparts; deeper ones stay text.
const DEPTH_MAX: u32 = 12;
/// Parts of one message that are looked at by themselves.
const PARTS_MAX: usize = 10_000;
/// The longest boundary that is believed (RFC 2046 allows 70).
const BOUNDARY_BYTES_MAX: usize = 250;

/// A part that is stored by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where its text lies in the message.
    pub text: Range<usize>,
    /// Its decoded content, when the text is base64 that can be made again exactly.
    pub decoded: Option<(Base64Lines, Vec<u8>)>,
}

/// The parts worth storing by themselves, in order and apart from each other.
pub fn split(message: &[u8]) -> Vec<Part> {
    let mut walk = Walk { message, parts: Vec::new() };
    walk.entity(0..message.len(), DEPTH_MAX);
    walk.parts
}

struct Walk<'a> {
    message: &'a [u8],
    parts: Vec<Part>,
}

impl Walk<'_> {
    fn entity(&mut self, range: Range<usize>, depth: u32) {
        let Some(body_at) = body_start(&self.message[range.clone()]) else { return };
        let headers = Headers::read(&self.message[range.start..range.start + body_at]);
        let body = range.start + body_at..range.end;
        if depth > 0
            && let Some(boundary) = headers.boundary()
        {
            for part in parts_between(&self.message[body.clone()], &boundary) {
                if self.parts.len() >= PARTS_MAX {
                    return;
                }
                self.entity(body.start + part.start..body.start + part.end, depth - 1);
            }
            return;
        }
        let encoded = headers.encoding() == b"base64";
        if depth > 0 && headers.is_message() && !encoded {
            self.entity(body, depth - 1);
        } else {
            self.leaf(body, encoded);
        }
    }

    fn leaf(&mut self, body: Range<usize>, encoded: bool) {
        let trimmed = self.message[body.clone()].trim_ascii_end().len();
        let text = body.start..body.start + trimmed;
        if text.len() < PART_BYTES_MIN {
            return;
        }
        let decoded = if encoded { decode_exactly(&self.message[text.clone()]) } else { None };
        self.parts.push(Part { text, decoded });
    }
}

/// Where the body begins: behind the first empty line.
fn body_start(entity: &[u8]) -> Option<usize> {
    if entity.starts_with(b"\r\n") {
        return Some(2);
    }
    if entity.starts_with(b"\n") {
        return Some(1);
    }
    let mut at = 0;
    while let Some(end) = line_end(entity, at) {
        let line = &entity[at..end];
        if line == b"\n" || line == b"\r\n" {
            return Some(end);
        }
        at = end;
    }
    None
}

/// The end of the line that begins at `at`, its newline included; `None` for a last line without one.
fn line_end(text: &[u8], at: usize) -> Option<usize> {
    memchr(b'\n', text.get(at..)?).map(|n| at + n + 1)
}

/// The two header fields that tell how a body is built, lower case where case means nothing.
#[derive(Default)]
struct Headers {
    content_type: Vec<u8>,
    transfer_encoding: Vec<u8>,
}

impl Headers {
    fn read(block: &[u8]) -> Self {
        let mut headers = Self::default();
        let mut at = 0;
        while at < block.len() {
            let mut end = line_end(block, at).unwrap_or(block.len());
            while matches!(block.get(end), Some(b' ' | b'\t')) {
                end = line_end(block, end).unwrap_or(block.len());
            }
            headers.field(&block[at..end]);
            at = end;
        }
        headers
    }

    fn field(&mut self, field: &[u8]) {
        let Some(colon) = field.iter().position(|b| *b == b':') else { return };
        let value = field[colon + 1..].trim_ascii().to_vec();
        match field[..colon].trim_ascii().to_ascii_lowercase().as_slice() {
            b"content-type" => self.content_type = value,
            b"content-transfer-encoding" => self.transfer_encoding = value,
            _ => {}
        }
    }

    fn media_type(&self) -> Vec<u8> {
        let end = self.content_type.iter().position(|b| *b == b';').unwrap_or(self.content_type.len());
        self.content_type[..end].trim_ascii().to_ascii_lowercase()
    }

    fn is_message(&self) -> bool {
        self.media_type() == b"message/rfc822"
    }

    fn encoding(&self) -> Vec<u8> {
        self.transfer_encoding.to_ascii_lowercase()
    }

    /// The boundary of a multipart, with the two hyphens in front.
    fn boundary(&self) -> Option<Vec<u8>> {
        if !self.media_type().starts_with(b"multipart/") {
            return None;
        }
        let lower = self.content_type.to_ascii_lowercase();
        let name = b"boundary=";
        let at = lower.windows(name.len()).position(|window| window == name)? + name.len();
        let value = &self.content_type[at..];
        let boundary = match value.strip_prefix(b"\"") {
            Some(quoted) => &quoted[..quoted.iter().position(|b| *b == b'"')?],
            None => {
                let end = value.iter().position(|b| b.is_ascii_whitespace() || *b == b';').unwrap_or(value.len());
                &value[..end]
            }
        };
        let believed = !boundary.is_empty() && boundary.len() <= BOUNDARY_BYTES_MAX;
        believed.then(|| [b"--", boundary].concat())
    }
}

/// The ranges between the delimiter lines of a multipart body.
fn parts_between(body: &[u8], delimiter: &[u8]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut open: Option<usize> = None;
    let mut at = 0;
    let finder = memmem::Finder::new(delimiter);
    while parts.len() < PARTS_MAX
        && let Some(found) = finder.find(&body[at..]).map(|n| at + n)
    {
        let end = line_end(body, found).unwrap_or(body.len());
        let begins_line = found == 0 || body[found - 1] == b'\n';
        let rest = body[found + delimiter.len()..end].trim_ascii_end();
        let closing = rest == b"--";
        if begins_line && (rest.is_empty() || closing) {
            parts.extend(open.map(|start| start..found));
            open = (!closing).then_some(end);
            if closing {
                return parts;
            }
        }
        at = end;
    }
    // A message that was cut off before its last delimiter still has parts.
    parts.extend(open.map(|start| start..body.len()));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::base64_text::Base64Text;
    use base64_simd::STANDARD;
    use proptest::prelude::*;

    fn attachment(content: &[u8], width: usize, eol: &str) -> String {
        let digits = STANDARD.encode_to_string(content);
        let lines: Vec<_> = digits.as_bytes().chunks(width).map(|line| String::from_utf8_lossy(line)).collect();
        lines.join(eol)
    }

    fn message(encoded: &str) -> Vec<u8> {
        let body = "long text ".repeat(400);
        format!(
            "Subject: x\r\nContent-Type: multipart/mixed;\r\n\tboundary=\"b 1\"\r\n\r\npreamble\r\n--b 1\r\nContent-Type: \
             text/plain\r\n\r\n{body}\r\n--b 1\r\nContent-Transfer-Encoding: BASE64\r\n\r\n{encoded}\r\n\r\n--b 1--\r\nend\r\n"
        )
        .into_bytes()
    }

    #[test]
    fn attachments_come_out_decoded_and_bodies_as_they_are() {
        let content: Vec<u8> = (0..5000u32).map(|n| (n * 7 % 251) as u8).collect();
        for (width, eol) in [(76, "\r\n"), (72, "\n"), (63, "\r\n"), (100_000, "\r\n")] {
            let message = message(&attachment(&content, width, eol));

            let parts = split(&message);

            assert_eq!(parts.len(), 2, "width {width}");
            assert!(message[parts[0].text.clone()].starts_with(b"long text long") && parts[0].decoded.is_none());
            assert_eq!(parts[1].decoded.as_ref().unwrap().1, content);
        }
    }

    #[test]
    fn base64_that_cannot_be_made_again_stays_text() {
        let good = attachment(&[7; 4000], 76, "\r\n");
        let spoiled = [
            good.replacen("\r\n", "\n", 1),
            good.replacen("\r\n", " \r\n", 3),
            good.replacen("Bwc", "B!c", 1),
            format!("{}=", good),
        ];
        for text in spoiled {
            let message = message(&text);
            let parts = split(&message);
            assert_eq!(parts.len(), 2);
            assert!(parts[1].decoded.is_none());
        }
    }

    #[test]
    fn messages_in_messages_are_walked_to_a_bound() {
        let mut text = format!("Content-Transfer-Encoding: base64\r\n\r\n{}", attachment(&[1; 3000], 76, "\r\n"));
        for depth in 0..40 {
            let decoded = split(text.as_bytes()).into_iter().filter(|part| part.decoded.is_some()).count();
            assert_eq!(decoded, usize::from(depth <= DEPTH_MAX), "depth {depth}");
            text = format!("Content-Type: message/rfc822\r\n\r\n{text}");
        }
    }

    proptest! {
        #[test]
        fn parts_of_any_bytes_are_in_order_and_decode_exactly(
            content in proptest::collection::vec(any::<u8>(), 0..6000),
            width in 1usize..120,
            flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut message = message(&attachment(&content, width, "\r\n"));
            for (at, byte) in flips {
                let at = at.index(message.len());
                message[at] = byte;
            }
            message.truncate(cut.index(message.len()) + 1);

            let mut end = 0;
            for part in split(&message) {
                prop_assert!(part.text.start >= end && part.text.end <= message.len());
                end = part.text.end;
                if let Some((lines, decoded)) = part.decoded {
                    let mut again = Vec::new();
                    let mut text = Base64Text::new(lines);
                    for piece in decoded.chunks(1000) {
                        text.push(piece, &mut again);
                    }
                    text.finish(&mut again);
                    prop_assert_eq!(&again[..], &message[part.text]);
                }
            }
        }
    }
}
