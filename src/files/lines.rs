//! Content lines, as iCalendar (RFC 5545) and vCard (RFC 2426) have them: a name, parameters, a value; folded.

/// A line may have so many bytes before it is folded.
const LINE_BYTES_MAX: usize = 75;

/// Lines that are being written.
#[derive(Clone, Debug, Default)]
pub struct Lines(String);

impl Lines {
    /// A value that is written as it is: a number, a date, an address, base64.
    pub fn raw(&mut self, name: &str, value: &str) {
        self.with(name, &[], value);
    }

    /// A value that people wrote.
    pub fn text(&mut self, name: &str, value: &str) {
        self.with(name, &[], &escaped(value));
    }

    /// The same, unless there is nothing to say.
    pub fn text_if_any(&mut self, name: &str, value: &str) {
        if !value.trim().is_empty() {
            self.text(name, value);
        }
    }

    /// A line with parameters; those with an empty value are left out.
    pub fn with(&mut self, name: &str, parameters: &[(&str, &str)], value: &str) {
        let mut line = name.to_owned();
        for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
            line.push(';');
            line.push_str(name);
            line.push('=');
            line.push_str(&parameter(value));
        }
        line.push(':');
        // A line end within a value would begin a line that nobody meant.
        line.extend(value.chars().filter(|c| !c.is_control() || *c == '\t'));
        self.fold(&line);
    }

    pub fn append(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    pub fn into_text(self) -> String {
        self.0
    }

    /// Continuations begin with a space, which counts. No character is cut in two: not every reader joins bytes before
    /// it decodes them.
    fn fold(&mut self, line: &str) {
        let mut width = 0;
        for c in line.chars() {
            if width + c.len_utf8() > LINE_BYTES_MAX {
                self.0.push_str("\r\n ");
                width = 1;
            }
            self.0.push(c);
            width += c.len_utf8();
        }
        self.0.push_str("\r\n");
    }
}

/// Text as a value has it.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' | ';' | ',' => out.extend(['\\', c]),
            '\r' => {
                // A lone one is a line end too.
                if chars.peek() != Some(&'\n') {
                    out.push_str("\\n");
                }
            }
            '\n' => out.push_str("\\n"),
            c if c.is_control() && c != '\t' => {}
            c => out.push(c),
        }
    }
    out
}

/// The value of a parameter: quoted where it must be. A quote cannot be said within, and stands as an apostrophe.
fn parameter(value: &str) -> String {
    let plain = |c: char| match c {
        '"' => '\'',
        c if c.is_control() => ' ',
        c => c,
    };
    let value: String = value.chars().map(plain).collect();
    if value.contains([':', ';', ',']) { format!("\"{value}\"") } else { value }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a reader makes of one line.
    fn unfolded(text: &str) -> String {
        text.replace("\r\n ", "").trim_end_matches("\r\n").to_owned()
    }

    fn unescaped(value: &str) -> String {
        let mut out = String::new();
        let mut chars = value.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some('n') => out.push('\n'),
                    Some(other) => out.push(other),
                    None => panic!("nothing behind a backslash"),
                },
                c => out.push(c),
            }
        }
        out
    }

    #[test]
    fn parameters_are_quoted_and_nothing_in_them_ends_a_line() {
        let mut lines = Lines::default();

        lines.with("ATTENDEE", &[("CN", "Doe, \"Jo\"\r\nX:y"), ("ROLE", "")], "mailto:jo@example.com");

        assert_eq!(unfolded(&lines.into_text()), "ATTENDEE;CN=\"Doe, 'Jo'  X:y\":mailto:jo@example.com");
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_lines_that_are_short_enough(text in any::<String>()) {
            let mut lines = Lines::default();
            lines.text("DESCRIPTION", &text);
            let written = lines.into_text();

            let read = unfolded(&written);

            let plain: String = text.replace("\r\n", "\n").replace('\r', "\n");
            let plain: String = plain.chars().filter(|c| !c.is_control() || "\n\t".contains(*c)).collect();
            prop_assert_eq!(unescaped(read.strip_prefix("DESCRIPTION:").unwrap()), plain);
            for line in written.split_terminator("\r\n") {
                prop_assert!(line.len() <= LINE_BYTES_MAX, "{}", line);
            }
        }
    }
}
