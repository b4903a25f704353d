//! What opens a store: several keys at once, changed without ever being locked out, and nothing readable without one.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::*;
use crate::backends::faulty::{Fault, Faulty};
use crate::backends::{Filesystem, Profile};
use crate::repository::record::{self, Record};
use crate::repository::{KeyKind, KeyState, MasterKey, RecoveryKey, StoreError, Unlock};
use crate::secret::Secret;

const PHRASE: &str = "Grüße aus dem Tresor";

fn phrase() -> Unlock {
    Unlock::passphrase(Secret::new(PHRASE.to_owned())).unwrap()
}

fn key_file() -> Unlock {
    Unlock::key_file(Secret::new(noise(11, 64))).unwrap()
}

fn recovery(text: &str) -> Unlock {
    Unlock::recovery_key(text).unwrap()
}

/// An encrypted store, and the recovery key that it was created with.
async fn store(backend: &Arc<dyn Backend>) -> (Store, String) {
    let created = Store::create(Arc::clone(backend), Layout::Packed, Crypto::Aes256Gcm).await.unwrap();
    let secrets = created.secrets.unwrap();
    let text = secrets.recovery.expose().to_owned();
    (Store::open(StorageId::new(1), Arc::clone(backend), Some(secrets.master)).await.unwrap(), text)
}

async fn opens(backend: &Arc<dyn Backend>, unlock: Unlock) -> Result<MasterKey, StoreError> {
    Store::recover(Arc::clone(backend), unlock).await
}

async fn kinds(store: &Store) -> Vec<KeyKind> {
    let kind = |key: crate::repository::StoredKey| match key.state {
        KeyState::Sound { kind, .. } => kind,
        KeyState::Unreadable { why } => panic!("key {} cannot be read: {why}", key.id),
    };
    store.list_keys().await.unwrap().into_iter().map(kind).collect()
}

#[tokio::test]
async fn any_key_opens_the_store_and_the_last_one_cannot_be_removed() {
    let backend: Arc<dyn Backend> = Arc::new(Memory::new());
    let (store, text) = store(&backend).await;
    store.add_key(phrase()).await.unwrap();
    store.add_key(key_file()).await.unwrap();

    for unlock in [recovery(&text), phrase(), key_file()] {
        let master = opens(&backend, unlock).await.unwrap();
        Store::open(StorageId::new(1), Arc::clone(&backend), Some(master)).await.unwrap();
    }
    let wrong = Unlock::passphrase(Secret::new("Grüße aus dem tresor".to_owned())).unwrap();
    assert!(opens(&backend, wrong).await.unwrap_err().to_string().contains("this passphrase does not open"));

    let all = store.list_keys().await.unwrap();
    let (last, others) = all.split_last().unwrap();
    for key in others {
        store.remove_key(key.id.clone()).await.unwrap();
    }
    let refused = store.remove_key(last.id.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("the last one"), "{refused}");
    assert!(matches!(store.remove_key("0".repeat(32)).await, Err(StoreError::NoSuchKey(_))));
    assert_eq!(store.list_keys().await.unwrap(), vec![last.clone()]);
}

#[tokio::test]
async fn a_rotated_recovery_key_opens_and_the_old_one_does_not() {
    let backend: Arc<dyn Backend> = Arc::new(Memory::new());
    let (store, old) = store(&backend).await;
    store.add_key(phrase()).await.unwrap();
    let before = opens(&backend, recovery(&old)).await.unwrap();

    let new = store.rotate_recovery_key().await.unwrap();

    assert!(opens(&backend, recovery(&old)).await.is_err());
    let after = opens(&backend, recovery(new.expose())).await.unwrap();
    assert_eq!(before.expose(), after.expose(), "a rotation changes the wrapping, not the master key");
    assert_eq!(new.removed.len(), 1);
    let mut left = kinds(&store).await;
    left.sort_by_key(|kind| kind.name());
    assert_eq!(left, [KeyKind::Passphrase, KeyKind::Recovery]);
}

#[tokio::test]
async fn a_rotation_that_is_interrupted_leaves_the_old_key() {
    let faulty = Arc::new(Faulty::new(Memory::new()));
    let backend: Arc<dyn Backend> = Arc::clone(&faulty) as Arc<dyn Backend>;
    let (store, old) = store(&backend).await;

    // The rotation reads the key that there is, puts the new one, and reads both back.
    for (puts, reads) in [
        (vec![Fault::Io], vec![]),
        (vec![Fault::Full], vec![]),
        (vec![Fault::StoredButUnanswered], vec![]),
        (vec![], vec![Fault::Io]),
    ] {
        faulty.fail_puts(&puts);
        faulty.fail_reads(&reads);
        assert!(store.rotate_recovery_key().await.is_err(), "{puts:?} {reads:?}");
        opens(&backend, recovery(&old)).await.unwrap();
    }
    let new = store.rotate_recovery_key().await.unwrap();
    opens(&backend, recovery(new.expose())).await.unwrap();
    assert_eq!(kinds(&store).await, [KeyKind::Recovery], "what the interruptions left is gone");
}

#[tokio::test]
async fn a_damaged_key_file_is_named_and_keeps_no_other_from_opening() {
    let dir = tempfile::tempdir().unwrap();
    let backend: Arc<dyn Backend> = Arc::new(Filesystem::open(dir.path(), Profile::Local, "a").unwrap());
    let (store, text) = store(&backend).await;
    let added = store.add_key(phrase()).await.unwrap();
    let path = dir.path().join(format!("keys/{}.json", added.id));
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, whole.replace("65536", "4294967295")).unwrap();
    std::fs::write(dir.path().join("keys/stray.json"), whole).unwrap();

    opens(&backend, recovery(&text)).await.unwrap();
    let refused = opens(&backend, phrase()).await.unwrap_err().to_string();

    assert!(refused.contains(&added.id) && refused.contains("stray"), "{refused}");
    let unreadable = |key: &&crate::repository::StoredKey| matches!(key.state, KeyState::Unreadable { .. });
    assert_eq!(store.list_keys().await.unwrap().iter().filter(unreadable).count(), 2);
    store.remove_key(added.id).await.unwrap();
    store.remove_key("stray".into()).await.unwrap();
    assert_eq!(kinds(&store).await, [KeyKind::Recovery]);
}

#[tokio::test]
async fn a_store_without_encryption_has_no_keys() {
    let backend: Arc<dyn Backend> = Arc::new(Memory::new());
    Store::create(Arc::clone(&backend), Layout::Packed, Crypto::None).await.unwrap();
    let store = Store::open(StorageId::new(1), backend, None).await.unwrap();

    assert!(store.add_key(phrase()).await.unwrap_err().to_string().contains("not encrypted"));
    assert!(store.rotate_recovery_key().await.unwrap_err().to_string().contains("not encrypted"));
    assert!(store.list_keys().await.unwrap().is_empty());
}

/// All that can be read in the files below a directory: as they are, and every zstd frame in them unpacked.
fn readable(dir: &Path, out: &mut Vec<u8>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        out.extend(path.file_name().unwrap().as_encoded_bytes());
        if path.is_dir() {
            readable(&path, out);
            continue;
        }
        let bytes = std::fs::read(path).unwrap();
        for at in (0..bytes.len()).filter(|at| bytes[*at..].starts_with(&[0x28, 0xb5, 0x2f, 0xfd])) {
            let frame = zstd::stream::read::Decoder::new(&bytes[at..]).unwrap().single_frame();
            // What looks like a frame and is none ends here or there.
            frame.take(16 << 20).read_to_end(out).ok();
        }
        out.extend(bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_no_content_and_no_name_can_be_read() {
    let letter = "the merger is called off; burn this letter after reading it. ".repeat(40);
    let needles = [
        "quarterly secret",
        "burn this letter",
        "Ada",
        "ada@contoso.example",
        "Posteingang",
        "application/pdf",
        "AAMkBox",
    ];
    for (crypto, wanted) in [(Crypto::Aes256Gcm, Vec::new()), (Crypto::None, needles.to_vec())] {
        let dir = tempfile::tempdir().unwrap();
        let backend: Arc<dyn Backend> = Arc::new(Filesystem::open(dir.path(), Profile::Local, "a").unwrap());
        let bench = Bench::on(backend, Layout::Packed, crypto).await;
        let mut packer = bench.packer();
        let content = IngestContent::Mime(mail("quarterly secret", letter.as_bytes()));
        packer.store(vec![item("quarterly secret", Some(content))]).await.unwrap();
        let folder = record::Container {
            graph_id: "AAMkBox".into(),
            parent: None,
            name: "Posteingang".into(),
            hidden: false,
            well_known: None,
        };
        packer.add_record(&chain(), POINT, Record::Container(folder));
        bench.commit(&mut packer).await;

        let mut text = Vec::new();
        readable(dir.path(), &mut text);

        let found = |needle: &&str| text.windows(needle.len()).any(|window| window == needle.as_bytes());
        let seen: Vec<&str> = needles.into_iter().filter(found).collect();
        assert_eq!(seen, wanted, "{crypto:?}");
    }
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/format1/keys")
}

/// A store with a key of each kind, and beside it what opens each.
async fn write_golden(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    let backend: Arc<dyn Backend> = Arc::new(Filesystem::open(dir, Profile::Local, "golden").unwrap());
    let (store, text) = store(&backend).await;
    store.add_key(phrase()).await.unwrap();
    store.add_key(key_file()).await.unwrap();
    let master = opens(&backend, recovery(&text)).await.unwrap();
    std::fs::write(dir.join("RECOVERY_KEY.txt"), format!("{text}\n")).unwrap();
    std::fs::write(dir.join("PASSPHRASE.txt"), format!("{PHRASE}\n")).unwrap();
    std::fs::write(dir.join("KEY_FILE.bin"), noise(11, 64)).unwrap();
    std::fs::write(dir.join("MASTER_KEY.txt"), format!("{}\n", hex::encode(master.expose()))).unwrap();
    std::fs::remove_dir(dir.join("tmp")).unwrap();
}

#[tokio::test]
async fn keys_of_format_1_are_read_by_every_later_version() {
    let dir = golden();
    let missing = !dir.exists();
    if missing {
        write_golden(&dir).await;
    }
    let text = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap().trim().to_owned();
    let backend: Arc<dyn Backend> = Arc::new(Filesystem::open(&dir, Profile::Local, "golden").unwrap());
    let phrase = Unlock::passphrase(Secret::new(text("PASSPHRASE.txt"))).unwrap();
    let key_file = Unlock::key_file(Secret::new(std::fs::read(dir.join("KEY_FILE.bin")).unwrap())).unwrap();
    let recovery = Unlock::from(RecoveryKey::parse(&text("RECOVERY_KEY.txt")).unwrap());

    for unlock in [recovery, phrase, key_file] {
        let told = format!("{unlock:?}");
        let master = opens(&backend, unlock).await.unwrap();
        assert_eq!(hex::encode(master.expose()), text("MASTER_KEY.txt"), "{told}");
    }
    assert!(!missing, "the golden keys were missing and are written now: look at them, commit them");
}
