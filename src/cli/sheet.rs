//! The recovery sheet: one page to print and lock away, for a day on which only the storage is left.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::exit::CliError;
use super::output::remark;
use crate::api::keys::KeyView;
use crate::api::storages::StorageView;

const GROUPS_IN_LINE: usize = 4;

/// A file of its own, made before the key is, so that no key is made that cannot be written down. Gone again unless
/// something was written.
pub struct Sheet {
    path: PathBuf,
    file: File,
    written: bool,
}

impl Sheet {
    /// An existing file is refused: it may be the only copy of another key.
    pub fn create(path: &Path) -> Result<Self, CliError> {
        let file = File::options().write(true).create_new(true).mode(0o600).open(path).with_context(|| {
            format!("cannot create the recovery sheet {} (an existing file is never replaced)", path.display())
        })?;
        Ok(Self { path: path.to_owned(), file, written: false })
    }

    pub fn write(mut self, storage: &StorageView, key: &KeyView, recovery_key: &str) -> Result<(), CliError> {
        let text = page(storage, key, recovery_key);
        self.file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_all())
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        self.written = true;
        remark(&format!("recovery sheet: {}\nPrint it, lock it away, and delete the file.", self.path.display()))
    }
}

impl Drop for Sheet {
    fn drop(&mut self) {
        if !self.written {
            // The error that led here is told; an empty file that stays misleads nobody.
            std::fs::remove_file(&self.path).ok();
        }
    }
}

fn page(storage: &StorageView, key: &KeyView, recovery_key: &str) -> String {
    let groups: Vec<&str> = recovery_key.split('-').collect();
    let lines: Vec<String> =
        groups.chunks(GROUPS_IN_LINE).map(|line| format!("        {}\n", line.join("     "))).collect();
    let (name, path) = (quoted(&storage.name), quoted(&storage.path));
    format!(
        "KODO RECOVERY SHEET\n===================\n\n\
         Storage      {}\nPath         {} ({})\nStore UUID   {}\nKey id       {}\nCreated      {}\n\n\n\
         RECOVERY KEY\n\n{}\n\
         The last group is a checksum. There is no letter I, L, O or U: read 1, 1, 0, V.\n\
         Whoever has this key and the storage can read all backups in it. Keep this\n\
         sheet apart from both; two copies in two places are better than one.\n\n\n\
         ON THE WORST DAY: the server and its database are gone, the storage is left\n\n\
         1. Nothing on the storage has to be changed or repaired first. If you can,\n\
         \x20  make a copy of it and work on the copy.\n\
         2. Install kodo on a machine, mount the storage at its path, and run\n\
         \x20      kodo init\n\
         \x20      kodo serve\n\
         3. Type the key into a file, in lines as above or in one; blanks, hyphens and\n\
         \x20  letter case do not matter. Open the storage with it:\n\
         \x20      kodo storage attach {name} --path {path} \\\n\
         \x20          --backend {} --recovery-key-file FILE\n\
         4. Bring the catalog back from the storage alone:\n\
         \x20      kodo rebuild-catalog --storage {name}\n\
         5. Add the tenant again (kodo tenant add), then restore (kodo restore --help).\n\
         6. Make a new key, since this one has been typed:\n\
         \x20      kodo storage key rotate {name} --sheet FILE\n\n\
         Without kodo: docs/FORMAT.md of its source says how to read the storage with\n\
         this key, to the byte.\n",
        storage.name,
        storage.path,
        storage.backend.name(),
        storage.store_uuid,
        key.id,
        key.created.as_deref().unwrap_or("unknown"),
        lines.concat(),
        storage.backend.name(),
    )
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::StorageId;
    use crate::repository::{BackendKind, Layout, SpaceState};

    fn storage(path: &str) -> StorageView {
        StorageView {
            id: StorageId::new(1),
            name: "disk one".into(),
            backend: BackendKind::Nfs,
            path: path.into(),
            layout: Layout::Packed,
            encrypted: true,
            store_uuid: uuid::Uuid::nil(),
            bytes: 0,
            packs: 0,
            free_bytes: None,
            total_bytes: None,
            space: SpaceState::Unknown,
            verified_at: None,
        }
    }

    fn key() -> KeyView {
        KeyView {
            id: "ab".repeat(16),
            kind: "recovery".into(),
            created: Some("2026-11-25T10:00:00Z".into()),
            problem: None,
        }
    }

    #[test]
    fn a_recovery_sheet_fits_a_page_and_its_key_can_be_typed_from_it() {
        let text = crate::repository::RecoveryKey::random().unwrap().text();

        let page = page(&storage("/srv/kodo"), &key(), text.expose());

        assert!(page.lines().count() <= 60 && page.lines().all(|line| line.chars().count() <= 80), "{page}");
        for fact in ["disk one", "/srv/kodo", "00000000-0000-0000-0000-000000000000", &key().id, "2026-11-25T10:00:00Z"]
        {
            assert!(page.contains(fact), "{fact} is missing:\n{page}");
        }
        assert!(page.contains("kodo storage attach 'disk one' --path /srv/kodo"), "{page}");
        let typed: String = page.lines().skip_while(|line| *line != "RECOVERY KEY").skip(2).take(4).collect();
        assert_eq!(crate::repository::RecoveryKey::parse(&typed).unwrap().text().expose(), text.expose());
    }

    #[test]
    fn a_sheet_never_replaces_a_file_and_leaves_none_behind_when_no_key_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sheet.txt");

        drop(Sheet::create(&path).unwrap());
        assert!(!path.exists());
        std::fs::write(&path, "another key").unwrap();
        assert!(Sheet::create(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "another key");
    }
}
