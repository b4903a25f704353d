//! The configuration file that is shipped, and what is not accepted in one.

use std::path::Path;

use kodo::config::{self, Config};

#[test]
fn the_shipped_file_holds_every_key_with_its_default() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("kodo.toml");

    let loaded = config::load(Some(&shipped)).unwrap();

    assert_eq!(format!("{loaded:#?}"), format!("{:#?}", Config::default()));
    let text = std::fs::read_to_string(&shipped).unwrap();
    for key in keys_of(&format!("{:#?}", Config::default())) {
        let named = text.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")));
        assert!(named, "kodo.toml does not name {key}");
    }
}

/// The innermost field names of a `Debug` text: the keys of the sections.
fn keys_of(debug: &str) -> Vec<String> {
    let fields = debug.lines().filter(|line| line.starts_with("        ") && !line.starts_with("         "));
    fields.filter_map(|line| Some(line.trim().split_once(": ")?.0.to_owned())).collect()
}
