//! Which names SharePoint takes, and which it refuses.

use super::bad_request;
use crate::graph::Call;
use crate::reply::Refusal;
use crate::store::drive::{Drive, ROOT};

const NAME_MAX: usize = 255;
const PATH_MAX: usize = 400;
const REFUSED: [&str; 6] = [".lock", "con", "prn", "aux", "nul", "desktop.ini"];

/// Whether something may be called so in this folder. Whoever sends a name that is documented as forbidden is noted.
pub fn check(call: &Call, drive: &Drive, parent: u64, name: &str) -> Result<(), Refusal> {
    if !is_valid(name, parent) {
        call.violation("bad_name", "a name that SharePoint does not take");
        let text = "The provided name cannot contain some of its characters, or is reserved. Please choose another.";
        return Err(bad_request(text).inner("invalidName"));
    }
    let above = drive.path(parent).chars().count();
    if above + 1 + name.chars().count() > PATH_MAX {
        return Err(bad_request("The specified file or folder path is too long.").inner("pathIsTooLong"));
    }
    Ok(())
}

fn is_valid(name: &str, parent: u64) -> bool {
    let lower = name.to_lowercase();
    let device = |start: &str| lower.strip_prefix(start).is_some_and(|rest| rest.parse::<u8>().is_ok_and(|n| n < 10));
    !name.is_empty()
        && name.chars().count() <= NAME_MAX
        && name.trim() == name
        && !name.ends_with('.')
        && !name.starts_with("~$")
        && !name.chars().any(|sign| sign.is_control() || "\"*:<>?/\\|".contains(sign))
        && !lower.contains("_vti_")
        && !REFUSED.contains(&lower.as_str())
        && !device("com")
        && !device("lpt")
        && !(parent == ROOT && lower == "forms")
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn names_are_refused_as_the_documentation_has_it() {
        for name in ["a.txt", "# 100%.txt", "CON.txt", ".settings", "a..b", "会議.txt", "COM10"] {
            assert!(is_valid(name, 1), "{name}");
        }
        for name in ["", " a", "a ", "a.", "~$a.docx", "a:b", "a/b", "x_VTI_y", "con", "Lpt3", "desktop.ini", "Forms"] {
            assert!(!is_valid(name, 1), "{name}");
        }
        assert!(is_valid("forms", 7));
    }
}
