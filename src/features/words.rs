//! What is searched of an item besides its name and its other side, as it goes into the storage: a text a line, of
//! which one that begins with `>` is a recipient and one that begins with `+` the name of an attachment. Pure.

use serde_json::Value;

use super::entries::text;

/// What is kept; more is left out, line by line.
const BYTES_MAX: usize = 4000;

#[derive(Debug, Default)]
pub(super) struct Words(String);

impl Words {
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.line("", text)
    }

    pub(super) fn attachment(&mut self, name: &str) -> &mut Self {
        self.line("+", name)
    }

    /// Recipients or attendees, as Graph lists them.
    pub(super) fn recipients(&mut self, all: &Value) -> &mut Self {
        for one in all.as_array().into_iter().flatten() {
            let email = &one["emailAddress"];
            let (name, address) = (text(&email["name"]), text(&email["address"]));
            self.line(">", address);
            // A name that only repeats the address tells nothing more.
            if !name.eq_ignore_ascii_case(address) {
                self.line(">", name);
            }
        }
        self
    }

    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.0)
    }

    fn line(&mut self, mark: &str, text: &str) -> &mut Self {
        let text = text.trim();
        if !text.is_empty() && self.0.len() + text.len() + 2 <= BYTES_MAX {
            if !self.0.is_empty() {
                self.0.push('\n');
            }
            self.0.push_str(mark);
            // A mark or an end of line within a text would be taken for one of ours.
            let mut rest = text.trim_start_matches(['>', '+']).chars();
            self.0.extend(rest.by_ref().map(|c| if c.is_control() { ' ' } else { c }));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn recipients_and_attachments_are_told_from_other_text() {
        let all = json!([
            {"emailAddress": {"name": "Bob", "address": "bob@x.de"}},
            {"emailAddress": {"name": "ann@x.de", "address": "Ann@x.de"}},
            {"emailAddress": {}},
        ]);

        let words = Words::default().text("Room 7").recipients(&all).attachment("plan.pdf").text("").take();

        assert_eq!(words, "Room 7\n>bob@x.de\n>Bob\n>Ann@x.de\n+plan.pdf");
    }

    #[test]
    fn no_text_can_pass_for_two_or_for_another_kind_and_all_of_them_are_bounded() {
        let mut words = Words::default();
        words.text("+a\n>b").attachment(&"x".repeat(BYTES_MAX)).attachment("c");

        assert_eq!(words.take(), "a >b\n+c");
    }
}
