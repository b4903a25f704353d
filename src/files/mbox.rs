//! Several messages in one file: mbox, in the variant that can be undone (mboxrd).

use chrono::{DateTime, Utc};

const FROM: &[u8] = b"From ";

/// One message on its way into an mbox. Lines that begin like a separator, behind any number of `>`, get one more.
#[derive(Debug)]
pub struct Mboxed {
    /// The beginning of a line that may become one: `>` or parts of "From ".
    pending: Vec<u8>,
    at_line_start: bool,
    last: u8,
}

impl Mboxed {
    /// Begins a message that was received at `time`.
    pub fn begin(time: DateTime<Utc>, out: &mut Vec<u8>) -> Self {
        // The address of the sender is of no use to anybody who reads the header, and some have a space in it.
        out.extend_from_slice(format!("From MAILER-DAEMON {}\n", time.format("%a %b %e %H:%M:%S %Y")).as_bytes());
        Self { pending: Vec::new(), at_line_start: true, last: b'\n' }
    }

    pub fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for &byte in bytes {
            self.last = byte;
            if !self.at_line_start {
                out.push(byte);
                self.at_line_start = byte == b'\n';
                continue;
            }
            self.pending.push(byte);
            let quotes = self.pending.iter().take_while(|byte| **byte == b'>').count();
            let rest = &self.pending[quotes..];
            if rest == FROM {
                out.push(b'>');
            } else if FROM.starts_with(rest) {
                // A line of so many quotes is not one that somebody takes for a separator.
                if self.pending.len() < QUOTES_MAX {
                    continue;
                }
            }
            out.append(&mut self.pending);
            self.at_line_start = byte == b'\n';
        }
    }

    /// Ends the message: an empty line stands between it and the next.
    pub fn end(mut self, out: &mut Vec<u8>) {
        out.append(&mut self.pending);
        if self.last != b'\n' {
            out.push(b'\n');
        }
        out.push(b'\n');
    }
}

/// Quotes in front of a separator that are looked through.
const QUOTES_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn boxed(messages: &[Vec<u8>], piece: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for message in messages {
            let mut writing = Mboxed::begin(DateTime::UNIX_EPOCH, &mut out);
            message.chunks(piece).for_each(|piece| writing.write(piece, &mut out));
            writing.end(&mut out);
        }
        out
    }

    /// What a reader of mboxrd makes of it.
    fn read(mbox: &[u8]) -> Vec<Vec<u8>> {
        let mut messages: Vec<Vec<u8>> = Vec::new();
        for line in mbox.split_inclusive(|byte| *byte == b'\n') {
            if line.starts_with(FROM) {
                messages.push(Vec::new());
                continue;
            }
            let quotes = line.iter().take_while(|byte| **byte == b'>').count();
            let quoted = quotes > 0 && line[quotes..].starts_with(FROM);
            messages.last_mut().unwrap().extend_from_slice(&line[usize::from(quoted)..]);
        }
        messages
    }

    #[test]
    fn a_separator_in_a_message_is_quoted() {
        let out = boxed(&[b"A: b\n\nFrom me\n>From you\nfrom us\n>Fro".to_vec()], 3);

        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with(
                "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\nA: b\n\n>From me\n>>From you\nfrom us\n>Fro\n\n"
            ),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn any_messages_come_back(
            messages in prop::collection::vec(
                prop::collection::vec(prop_oneof![
                    Just(&b"From x\n"[..]), Just(&b">"[..]), Just(&b"From"[..]), Just(&b"\r\n"[..]), Just(&b"\0\xff"[..]),
                ], 0..20),
                1..5,
            ),
            piece in 1usize..9,
        ) {
            let messages: Vec<Vec<u8>> = messages.into_iter().map(|parts| parts.concat()).collect();

            let read = read(&boxed(&messages, piece));

            let ended = |message: &Vec<u8>| {
                let end: &[u8] = if message.last().is_some_and(|last| *last != b'\n') { b"\n\n" } else { b"\n" };
                [message.as_slice(), end].concat()
            };
            prop_assert_eq!(read, messages.iter().map(ended).collect::<Vec<_>>());
        }
    }
}
