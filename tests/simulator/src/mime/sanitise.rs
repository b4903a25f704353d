//! What Exchange does to HTML before it shows it to somebody who did not ask for danger.

/// HTML without scripts and without handlers of events.
pub fn without_scripts(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, tail)) = split_at_word(rest, "<script") {
        out.push_str(before);
        rest = split_at_word(tail, "</script>").map_or("", |(_, after)| &after["</script>".len()..]);
    }
    out.push_str(rest);
    without_handlers(&out)
}

fn without_handlers(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, tail)) = split_at_word(rest, " on") {
        let quoted = tail.split_once("=\"").filter(|(name, _)| name[1..].chars().all(|c| c.is_ascii_alphabetic()));
        out.push_str(before);
        match quoted.and_then(|(_, value)| value.split_once('"')) {
            Some((_, after)) => rest = after,
            None => {
                out.push_str(&tail[..3]);
                rest = &tail[3..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The text before a word, and from the word on.
fn split_at_word<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let at = text.to_ascii_lowercase().find(word)?;
    Some(text.split_at(at))
}

#[cfg(test)]
mod tests {
    use super::without_scripts;

    #[test]
    fn scripts_and_handlers_go_and_words_stay() {
        for (html, safe) in [
            ("<p>on time</p><SCRIPT>alert(1)</SCRIPT><p>x</p>", "<p>on time</p><p>x</p>"),
            ("<p onclick=\"go()\" class=\"a\">based on this</p>", "<p class=\"a\">based on this</p>"),
            ("<p>end</p><script>never closed", "<p>end</p>"),
        ] {
            assert_eq!(without_scripts(html), safe);
        }
    }
}
