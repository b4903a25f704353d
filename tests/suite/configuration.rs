//! The configuration file that is shipped, and what is not accepted in one.

use std::path::Path;

use kodo::config::{self, Config};
use kodo::secret::Secret;

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

#[test]
fn a_pool_that_the_managed_server_has_no_connections_for_is_refused() {
    let mut config = Config::default();
    config.database.pool_size = 100;
    config.validate().unwrap();
    config.database.pool_size = 101;

    let refusal = config.validate().unwrap_err().to_string();

    assert!(refusal.contains("database.pool_size must be 1 to 100"), "{refusal}");
    config.database.url = Some(Secret::new("mysql://kodo@localhost/kodo".to_owned()));
    config.validate().unwrap();
}
