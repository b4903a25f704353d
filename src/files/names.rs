//! Names of files and folders that every file system takes, made from names that people gave to other things.

use std::collections::HashMap;

use crate::catalog::NewVersion;

/// File systems take 255 bytes; the key, the time and the ending need some of them.
const NAME_BYTES_MAX: usize = 120;
/// The same for names that stand alone, and for those that a key and an ending follow.
const OWN_BYTES_MAX: usize = 250;
const STEM_BYTES_MAX: usize = 200;
/// What may be behind the last dot of a name and still be its ending.
const ENDING_BYTES_MAX: usize = 16;
/// Digits of an item's key in its file name.
const KEY_DIGITS: usize = 12;
/// What Windows takes for a device, whatever the ending and the letter case.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
/// Devices that have a number behind them; Windows takes small raised digits for numbers too.
const NUMBERED_DEVICES: [&str; 2] = ["COM", "LPT"];
const DEVICE_NUMBERS: &str = "0123456789¹²³";

/// The name without its ending of the files of an item that has no name in a file system: time, what it is called, and
/// a part of its key, which tells it from others of the same name and time.
pub fn stem(version: &NewVersion) -> String {
    let time = version.time.format("%Y-%m-%d %H%M");
    let key = version.key.to_string();
    format!("{time} {} [{}]", safe(&version.name), &key[..KEY_DIGITS])
}

/// The name of a file of a drive: its own, unless a file system might refuse it. Then a part of its key stands before the
/// ending, so that two names which become one do not become one file.
pub fn file_name(name: &str, key: &str) -> String {
    let plain = own(name);
    if plain == name {
        return plain;
    }
    let key = &key[..KEY_DIGITS];
    let has_ending = |(stem, ending): &(&str, &str)| !stem.is_empty() && (1..=ENDING_BYTES_MAX).contains(&ending.len());
    match name.rsplit_once('.').filter(has_ending) {
        Some((stem, ending)) => format!("{} [{key}].{}", fitting(stem, STEM_BYTES_MAX), own(ending)),
        None => format!("{} [{key}]", fitting(name, STEM_BYTES_MAX)),
    }
}

/// The name of a thing that has one in a file system already.
pub fn own(name: &str) -> String {
    fitting(name, OWN_BYTES_MAX)
}

/// A name for a thing that has none in a file system yet.
pub fn safe(name: &str) -> String {
    fitting(name.trim_start_matches([' ', '.']), NAME_BYTES_MAX)
}

/// Folders beside each other: two whose names become one, or differ in letter case alone, are told apart by a number.
#[derive(Debug, Default)]
pub struct Siblings(HashMap<String, u32>);

impl Siblings {
    pub fn name(&mut self, name: &str) -> String {
        let plain = safe(name);
        let mut wanted = plain.clone();
        loop {
            let met = self.0.entry(wanted.to_lowercase()).or_insert(0);
            *met += 1;
            if *met == 1 {
                return wanted;
            }
            wanted = format!("{plain} ({met})");
        }
    }
}

/// A name that every file system takes, and that cannot leave the folder.
fn fitting(name: &str, bytes_max: usize) -> String {
    let plain = |c: char| if c.is_control() || "/\\:*?\"<>|".contains(c) { '_' } else { c };
    let mut out = String::new();
    for c in name.chars().map(plain) {
        if out.len() + c.len_utf8() > bytes_max {
            break;
        }
        out.push(c);
    }
    // Windows takes no name that ends so; without this, "." and ".." would be left.
    let trimmed = out.trim_end_matches([' ', '.']);
    match trimmed {
        "" => "_".to_owned(),
        device if is_device(device) => format!("_{device}"),
        fit => fit.to_owned(),
    }
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let numbered = |device: &&str| {
        let number = stem.strip_prefix(*device).unwrap_or_default();
        number.chars().count() == 1 && number.chars().all(|c| DEVICE_NUMBERS.contains(c))
    };
    DEVICES.contains(&stem.as_str()) || NUMBERED_DEVICES.iter().any(numbered)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_items_cannot_leave_their_folder_or_be_refused_by_a_file_system() {
        for (name, file) in [
            ("../../etc/passwd", "_.._etc_passwd"),
            ("a:b*c?\u{7}", "a_b_c__"),
            ("..", "_"),
            ("", "_"),
            ("Grüße ", "Grüße"),
            ("con", "_con"),
            ("Aux.notes", "_Aux.notes"),
            ("LPT1.txt", "_LPT1.txt"),
            ("COM²", "_COM²"),
            ("COM10", "COM10"),
            ("Console", "Console"),
        ] {
            assert_eq!(safe(name), file, "{name}");
        }
        assert!(safe(&"ü".repeat(500)).len() <= NAME_BYTES_MAX);
    }

    #[test]
    fn a_file_keeps_its_name_unless_a_file_system_might_refuse_it() {
        let key = "0123456789abcdef0123456789abcdef";

        for (name, file) in [
            ("Plan 2026.xlsx", "Plan 2026.xlsx"),
            ("a:b.txt", "a_b [0123456789ab].txt"),
            (".gitignore", ".gitignore"),
            (".hidden:", ".hidden_ [0123456789ab]"),
            ("..", "_ [0123456789ab]"),
            ("nul.txt", "_nul [0123456789ab].txt"),
        ] {
            assert_eq!(file_name(name, key), file, "{name}");
        }
        assert_ne!(file_name("a:b.txt", key), file_name("a_b.txt", key));
        let long = file_name(&format!("{}.docx", "ü".repeat(250)), key);
        assert!(long.len() <= 255 && long.ends_with(".docx"), "{long}");
    }

    #[test]
    fn folders_beside_each_other_are_told_apart_by_a_number() {
        let mut siblings = Siblings::default();

        let named = ["A:B", "A_B", "a_b", "A_B (2)", "C"].map(|name| siblings.name(name));

        assert_eq!(named, ["A_B", "A_B (2)", "a_b (3)", "A_B (2) (2)", "C"]);
    }

    proptest! {
        #[test]
        fn whatever_a_thing_is_called_its_file_can_be_made(name in any::<String>()) {
            for fit in [safe(&name), own(&name), file_name(&name, "0123456789abcdef0123456789abcdef")] {
                prop_assert!((1..=255).contains(&fit.len()));
                prop_assert!(!fit.ends_with(['.', ' ']) && !is_device(&fit));
                prop_assert!(!fit.chars().any(|c| c.is_control() || "/\\:*?\"<>|".contains(c)));
            }
        }
    }
}
