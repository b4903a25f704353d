//! The shape of the house, held by tests: layers, owners, sizes. `docs/ARCHITECTURE.md` says why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const TABLE_COLUMNS_MAX: usize = 32;

/// Top to bottom; a module may import only from rows below its own. `app` and `cli` share the top.
const LAYERS: &[&[&str]] = &[
    &["main", "cli", "app", "config"],
    &["api"],
    &["scheduler", "restores", "exports", "workers", "recovery"],
    &["files"],
    &["queue", "catalog", "repository", "tenants", "access", "features"],
    &["db", "graph", "backends"],
    &["ids", "clock", "secret", "telemetry", "timing"],
];

/// Words that name nothing.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "common", "misc", "manager", "service", "base", "models"];

/// A name in code, and which files may use it.
type Door<'a> = (&'a str, &'a dyn Fn(&str) -> bool);

struct Source {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(below: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push(Source { path: relative(&path), text });
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {below}");
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

/// The top-level module that a file belongs to: `src/queue/sql.rs` is `queue`.
fn module(path: &str) -> &str {
    path.trim_start_matches("src/").split('/').next().unwrap().trim_end_matches(".rs")
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// Code without comments.
fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

fn imported_modules(text: &str) -> BTreeSet<String> {
    let mut modules = BTreeSet::new();
    for line in code_lines(text) {
        let mut rest = line;
        while let Some(at) = rest.find("crate::") {
            rest = &rest[at + "crate::".len()..];
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            modules.insert(name);
        }
    }
    modules
}

#[test]
fn imports_point_down_the_layers_and_siblings_do_not_meet() {
    let mut wrong = Vec::new();
    for source in sources("src") {
        let from = module(&source.path);
        let Some(from_layer) = layer(from) else { continue };
        for to in imported_modules(&source.text) {
            let Some(to_layer) = layer(&to) else { continue };
            let at_top = from_layer == 0;
            if from == "api" && ["graph", "backends"].contains(&to.as_str()) {
                wrong.push(format!("{} reaches past its layer to crate::{to}", source.path));
            }
            if to != from && to_layer <= from_layer && !(at_top && to_layer == 0) {
                wrong.push(format!("{} imports crate::{to}", source.path));
            }
        }
    }
    // A section of the configuration belongs to its module, and config.rs alone gathers them.
    assert!(wrong.is_empty(), "imports against the layers:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_of_the_crate_has_a_layer() {
    let unknown: BTreeSet<String> = sources("src")
        .iter()
        .map(|source| module(&source.path).to_owned())
        .filter(|module| module != "lib" && layer(module).is_none())
        .collect();
    assert!(unknown.is_empty(), "modules without a layer: {unknown:?}");
}

#[test]
fn each_outside_library_stays_behind_its_door() {
    let doors: &[Door<'_>] = &[
        ("diesel::", &|path| path.starts_with("src/db/") || path.ends_with("/sql.rs") || path.contains("/sql/")),
        ("graph_rs_sdk", &|path| path.starts_with("src/graph/")),
        ("actix_web", &|path| path.starts_with("src/api/") || path == "src/app.rs"),
        ("reqwest", &|path| path.starts_with("src/graph/") || path.starts_with("src/cli/")),
        ("std::env::var", &|path| path == "src/config.rs"),
        ("Utc::now", &|path| path == "src/clock.rs"),
        ("spawn_blocking", &|path| path == "src/db/mod.rs" || path.starts_with("src/repository/")),
    ];
    let mut wrong = Vec::new();
    for source in sources("src") {
        for (needle, allowed) in doors {
            if !allowed(&source.path) && code_lines(&source.text).any(|line| line.contains(needle)) {
                wrong.push(format!("{} uses {needle}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "outside their door:\n{}", wrong.join("\n"));
}

#[test]
fn every_table_is_used_by_one_sql_file() {
    let schema = std::fs::read_to_string(root().join("src/db/schema.rs")).unwrap();
    let tables: Vec<&str> =
        schema.lines().filter_map(|line| line.trim().strip_suffix(") {")?.split(" (").next()).collect();
    assert!(tables.len() > 10, "the schema was not understood");
    let mut users: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for source in sources("src") {
        if source.path.starts_with("src/db/") {
            continue;
        }
        for table in &tables {
            let used = code_lines(&source.text).any(|line| line.contains(&format!("{table}::table")));
            if used {
                // A file that grew has the rest of its statements in a folder of its own name.
                let folder = source.path.split_once("/sql/");
                let home = folder.map_or_else(|| source.path.clone(), |(above, _)| format!("{above}/sql.rs"));
                let homes = users.entry(table).or_default();
                if !homes.contains(&home) {
                    homes.push(home);
                }
            }
        }
    }
    let shared: Vec<_> = users.iter().filter(|(_, files)| files.len() > 1 || !files[0].ends_with("sql.rs")).collect();
    assert!(shared.is_empty(), "tables with more than one owner, or outside sql.rs: {shared:?}");
    let orphans: Vec<_> = tables.iter().filter(|table| !users.contains_key(*table)).collect();
    assert!(orphans.is_empty(), "tables that nobody uses: {orphans:?}");
}

#[test]
fn tables_stay_narrow() {
    let schema = std::fs::read_to_string(root().join("src/db/schema.rs")).unwrap();
    for table in schema.split("diesel::table!").skip(1) {
        let columns = table.lines().filter(|line| line.contains(" -> ")).count();
        assert!(columns <= TABLE_COLUMNS_MAX, "{columns} columns in{}", table.lines().nth(1).unwrap());
    }
}

#[test]
fn files_and_functions_stay_short() {
    let mut long = Vec::new();
    for source in sources("src").into_iter().chain(sources("tests")) {
        let n_lines = source.text.lines().count();
        if n_lines > FILE_LINES_MAX && !source.path.ends_with("schema.rs") {
            long.push(format!("{}: {n_lines} lines", source.path));
        }
        for (name, n_lines) in functions(&source.text) {
            if n_lines > FUNCTION_LINES_MAX {
                long.push(format!("{}: fn {name} has {n_lines} lines", source.path));
            }
        }
    }
    assert!(long.is_empty(), "too long (files {FILE_LINES_MAX}, functions {FUNCTION_LINES_MAX}):\n{}", long.join("\n"));
}

/// Functions with their lengths, by the indentation that rustfmt gives them.
fn functions(text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut open: Option<(String, usize, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        match &open {
            Some((name, start, level)) => {
                let level = *level;
                if line.trim_start().starts_with('}') && indent == level {
                    found.push((name.clone(), number - start + 1));
                    open = None;
                }
                // A declaration in a trait has no body.
                if line.trim_start().starts_with(')') && line.ends_with(';') && indent == level {
                    open = None;
                }
            }
            None => {
                let code = line.trim_start();
                let is_fn = ["fn ", "pub fn ", "async fn ", "pub async fn ", "pub(super) fn ", "pub(super) async fn "]
                    .iter()
                    .any(|start| code.starts_with(start));
                if is_fn && !code.ends_with('}') && !code.ends_with(';') {
                    let name = code.split("fn ").nth(1).unwrap_or_default();
                    let name = name.split(['(', '<']).next().unwrap_or_default().to_owned();
                    open = Some((name, number, indent));
                }
            }
        }
    }
    found
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let wrong: Vec<String> = sources("src")
        .into_iter()
        .chain(sources("tests"))
        .map(|source| source.path)
        .filter(|path| path.split('/').any(|part| EMPTY_NAMES.contains(&part.trim_end_matches(".rs"))))
        .collect();
    assert!(wrong.is_empty(), "names that say nothing: {wrong:?}");
}

#[test]
fn every_module_opens_with_what_it_is() {
    let silent: Vec<String> =
        sources("src").into_iter().filter(|source| !source.text.starts_with("//!")).map(|source| source.path).collect();
    assert!(silent.is_empty(), "files without a first word: {silent:?}");
}

#[test]
fn the_simulator_shares_no_type_with_the_product() {
    let cargo = std::fs::read_to_string(root().join("tests/simulator/Cargo.toml")).unwrap();
    assert!(!cargo.lines().any(|line| line.starts_with("kodo ") || line.starts_with("kodo=")), "it depends on kodo");
    let users: Vec<String> = sources("tests/simulator")
        .into_iter()
        .filter(|source| code_lines(&source.text).any(|line| line.contains("use kodo::")))
        .map(|source| source.path)
        .collect();
    assert!(users.is_empty(), "simulator files that use the product: {users:?}");
}

#[test]
fn the_code_calls_things_by_the_words_of_the_glossary() {
    let forbidden = [" job", "Job"];
    let mut wrong = Vec::new();
    for source in sources("src") {
        for (number, line) in source.text.lines().enumerate() {
            if forbidden.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "\"job\" is not a word here (docs/GLOSSARY.md):\n{}", wrong.join("\n"));
}
