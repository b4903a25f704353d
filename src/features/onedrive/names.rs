//! Names on OneDrive: which it takes, what one becomes that it does not, and the names that a restore makes up. Pure.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

use crate::ids::ItemKey;

/// SharePoint takes no longer name.
const NAME_CHARS_MAX: usize = 255;
/// No ending of a file is longer; what follows the last dot of a sentence is none.
const ENDING_CHARS_MAX: usize = 16;
const REPLACEMENT: char = '_';
const RESERVED: [&str; 6] = [".lock", "con", "prn", "aux", "nul", "desktop.ini"];
const RESERVED_WITH_DIGIT: [&str; 2] = ["com", "lpt"];
const RESERVED_WITHIN: &str = "_vti_";
const RESERVED_AT_TOP: &str = "forms";
const RESERVED_START: &str = "~$";
/// How names begin under which something stands until it is complete.
const WORKING: &str = ".kodo-restoring-";

/// Whether a folder is the top of a drive, where one name more is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Top,
    Below,
}

/// The name, or the nearest one that OneDrive takes.
pub(super) fn safe(name: &str, level: Level) -> Cow<'_, str> {
    let mut safe: String = name.chars().map(|sign| if is_taken(sign) { sign } else { REPLACEMENT }).collect();
    while let Some(at) = safe.to_ascii_lowercase().find(RESERVED_WITHIN) {
        safe.replace_range(at..at + 1, "-");
    }
    if let Some(rest) = safe.strip_prefix(RESERVED_START) {
        safe = format!("{REPLACEMENT}{rest}");
    }
    safe = safe.trim().to_owned();
    if safe.ends_with('.') {
        safe.pop();
        safe.push(REPLACEMENT);
    }
    if safe.is_empty() || is_reserved(&safe, level) {
        safe.insert(0, REPLACEMENT);
    }
    if safe.chars().count() > NAME_CHARS_MAX {
        let (stem, ending) = parts(&safe);
        safe = format!("{}{ending}", cut(stem, NAME_CHARS_MAX - ending.chars().count()));
    }
    if safe == name { Cow::Borrowed(name) } else { Cow::Owned(safe) }
}

fn is_taken(sign: char) -> bool {
    !sign.is_control() && !"\"*:<>?/\\|".contains(sign)
}

fn is_reserved(name: &str, level: Level) -> bool {
    let name = name.to_ascii_lowercase();
    let numbered = |start: &&str| {
        let rest = name.strip_prefix(*start);
        rest.is_some_and(|rest| rest.len() == 1 && rest.starts_with(|digit: char| digit.is_ascii_digit()))
    };
    RESERVED.contains(&name.as_str())
        || RESERVED_WITH_DIGIT.iter().any(numbered)
        || (level == Level::Top && name == RESERVED_AT_TOP)
}

/// Where a state goes when its name is taken: `Report (restored 2026-11-25 14.30).docx`, with the time of the state and
/// not of the restore, so that a repeated restore finds it there. `further`: how many such names hold something else.
pub(super) fn beside(name: &str, modified: Option<DateTime<Utc>>, further: u32) -> String {
    let (stem, ending) = parts(name);
    let time = modified.map(|time| time.format(" %Y-%m-%d %H.%M").to_string()).unwrap_or_default();
    let number = if further == 0 { String::new() } else { format!(" {}", further + 1) };
    let addition = format!(" (restored{time}{number}){ending}");
    format!("{}{addition}", cut(stem, NAME_CHARS_MAX - addition.chars().count()))
}

/// The name under which an item stands until it is complete; the same for each attempt.
pub(super) fn working(key: ItemKey) -> String {
    format!("{WORKING}{key}")
}

/// Whether an interrupted restore left it.
pub(super) fn is_working(name: &str) -> bool {
    name.starts_with(WORKING)
}

/// The name and its ending with the dot.
fn parts(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name[at..].chars().count() <= ENDING_CHARS_MAX => name.split_at(at),
        Some(_) | None => (name, ""),
    }
}

fn cut(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(at, _)| text[..at].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_onedrive_takes_stays_as_it_is() {
        for name in
            ["Bericht für Köln – Entwurf (2).txt", "# 100%.txt", ".settings", "two  dots..txt", "CON.txt", "COM12"]
        {
            assert!(matches!(safe(name, Level::Top), Cow::Borrowed(_)), "{name}");
        }
        assert_eq!(safe("forms", Level::Below), "forms");
    }

    #[test]
    fn a_name_that_it_does_not_take_becomes_the_nearest_that_it_does() {
        for (name, expected) in [
            ("a:b*c?.txt", "a_b_c_.txt"),
            ("a/b\\c|d\"e", "a_b_c_d_e"),
            (" spaces ", "spaces"),
            ("The end.", "The end_"),
            ("..", "._"),
            ("~$Plan.docx", "_Plan.docx"),
            ("x_vti_y_VTI_z", "x-vti_y-VTI_z"),
            ("con", "_con"),
            ("LPT7", "_LPT7"),
            ("Desktop.ini", "_Desktop.ini"),
            ("Forms", "_Forms"),
            ("", "_"),
            (" ", "_"),
            ("a\u{1}b", "a_b"),
        ] {
            assert_eq!(safe(name, Level::Top), expected, "{name}");
            assert_eq!(safe(expected, Level::Top), expected, "{expected}");
        }
        let long = format!("{}.docx", "ä".repeat(300));
        assert_eq!(safe(&long, Level::Below).chars().count(), NAME_CHARS_MAX);
        assert!(safe(&long, Level::Below).ends_with("ä.docx"));
    }

    #[test]
    fn a_copy_beside_is_called_by_the_time_of_its_state() {
        let time = DateTime::parse_from_rfc3339("2026-11-25T14:30:59Z").unwrap().to_utc();
        for (name, further, expected) in [
            ("Report.docx", 0, "Report (restored 2026-11-25 14.30).docx"),
            ("Report.docx", 1, "Report (restored 2026-11-25 14.30 2).docx"),
            (".profile", 0, ".profile (restored 2026-11-25 14.30)"),
            ("README", 0, "README (restored 2026-11-25 14.30)"),
            ("Mr. Smith and all the others", 0, "Mr. Smith and all the others (restored 2026-11-25 14.30)"),
        ] {
            assert_eq!(beside(name, Some(time), further), expected);
        }
        assert_eq!(beside("a.b", None, 0), "a (restored).b");
        assert_eq!(beside(&"x".repeat(255), Some(time), 0).chars().count(), NAME_CHARS_MAX);
    }

    #[test]
    fn what_stands_under_a_working_name_is_recognised() {
        let working = working(ItemKey::of("01F"));

        assert!(is_working(&working) && !is_working(".kodo") && !is_working("kodo-restoring-1"));
        assert_eq!(safe(&working, Level::Top), working);
    }
}
