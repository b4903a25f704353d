//! What opens a storage when everything else is lost, and that nothing on it can be read without.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kodo_simulator::Options;
use serde_json::{Value, json};

use crate::support::stage::{Mailbox, Ran, Stage};

const PHRASE: &str = "a phrase nobody else thinks of";

fn company() -> Options {
    Options { users: 1, messages: 40, special_users: false, ..Options::default() }
}

/// Files with secrets for the command line.
struct Secrets<'a>(&'a Stage);

impl Secrets<'_> {
    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.0.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_string_lossy().into_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.dir.path().join(name)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn kinds(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let listed = stage.expect(&["storage", "key", "list", "disk"])?;
    let mut kinds: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|key| text(&key["kind"]).to_owned()).collect();
    kinds.sort();
    Ok(kinds)
}

/// Attaches the storage under a second name: a key that opens it gets as far as being told of the first.
fn opens(stage: &Stage, flag: &str, file: &str) -> bool {
    let storage = stage.storage();
    let ran = stage.run(&["storage", "attach", "again", "--path", &storage.to_string_lossy(), flag, file]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let known = ran.stderr.contains("storage disk has this store");
    assert!(known || ran.stderr.contains("does not open"), "{ran:?}");
    known
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_added_rotated_and_removed_and_no_secret_is_logged() -> anyhow::Result<()> {
    let stage = Stage::serving(company()).await?;
    let (secrets, storage) = (Secrets(&stage), stage.storage().to_string_lossy().into_owned());
    let phrase = secrets.file("phrase", format!("{PHRASE}\n").as_bytes());
    let key_file = secrets.file("key", &(0..64).collect::<Vec<u8>>());
    let sheet = secrets.path("sheet.txt").to_string_lossy().into_owned();
    let add = ["storage", "add", "disk", "--path", &storage, "--passphrase-file", &phrase, "--sheet", &sheet];

    let added = stage.expect(&add)?;
    assert_eq!(kinds(&stage)?, ["passphrase", "recovery"]);
    stage.expect(&["storage", "key", "add", "disk", "--kind", "keyfile", "--key-file", &key_file])?;
    let old = secrets.file("old", text(&added["recovery_key"]).as_bytes());
    assert!(opens(&stage, "--recovery-key-file", &old));
    assert!(opens(&stage, "--passphrase-file", &phrase) && opens(&stage, "--key-file", &key_file));
    assert!(!opens(&stage, "--passphrase-file", &secrets.file("wrong", b"a phrase nobody else thinks off")));

    let page = std::fs::read_to_string(&sheet)?;
    assert_eq!(std::fs::metadata(&sheet)?.permissions().mode() & 0o777, 0o600);
    for fact in ["disk", storage.as_str(), text(&added["storage"]["store_uuid"]), text(&added["key"]["id"])] {
        assert!(page.contains(fact), "{fact} is not on the sheet:\n{page}");
    }
    let again = stage.run(&["storage", "key", "rotate", "disk", "--sheet", &sheet]);
    assert!(again.code == 1 && again.stderr.contains("never replaced"), "{again:?}");
    assert!(opens(&stage, "--recovery-key-file", &old), "a rotation whose sheet cannot be written does not happen");

    let rotated = stage.expect(&["storage", "key", "rotate", "disk"])?;
    let new = secrets.file("new", text(&rotated["recovery_key"]).as_bytes());
    assert_eq!(rotated["removed"], json!([added["key"]["id"]]));
    assert!(opens(&stage, "--recovery-key-file", &new) && !opens(&stage, "--recovery-key-file", &old));
    assert_eq!(kinds(&stage)?, ["keyfile", "passphrase", "recovery"]);

    let listed = stage.expect(&["storage", "key", "list", "disk"])?;
    let ids: Vec<&str> = listed["items"].as_array().unwrap().iter().map(|key| text(&key["id"])).collect();
    stage.expect(&["storage", "key", "remove", "disk", ids[0]])?;
    stage.expect(&["storage", "key", "remove", "disk", ids[1]])?;
    let last = stage.run(&["storage", "key", "remove", "disk", ids[2]]);
    assert!(last.code == 1 && last.stderr.contains("the last one"), "{last:?}");
    let log = std::fs::read_to_string(stage.dir.path().join("serve.log"))?;
    for secret in [PHRASE, text(&added["recovery_key"]), text(&rotated["recovery_key"])] {
        assert!(!log.contains(secret), "the log tells a secret");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_installation_opens_the_storage_with_its_passphrase() -> anyhow::Result<()> {
    let (first, second) = tokio::try_join!(Stage::serving(company()), Stage::serving(company()))?;
    let storage = first.storage().to_string_lossy().into_owned();
    let phrase = Secrets(&second).file("phrase", PHRASE.as_bytes());
    let added = first.expect(&["storage", "add", "disk", "--path", &storage, "--passphrase-file", &phrase])?;

    let without = second.run(&["storage", "attach", "old", "--path", &storage]);
    assert!(without.code == 1 && without.stderr.contains("give its recovery key, its passphrase"), "{without:?}");
    let empty = second.storage().to_string_lossy().into_owned();
    let nothing = second.run(&["storage", "attach", "old", "--path", &empty, "--passphrase-file", &phrase]);
    assert!(nothing.code == 1 && nothing.stderr.contains("there is no store"), "{nothing:?}");
    let attached = second.expect(&["storage", "attach", "old", "--path", &storage, "--passphrase-file", &phrase])?;

    assert_eq!(attached["store_uuid"], added["storage"]["store_uuid"]);
    second.expect(&["storage", "key", "list", "old"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_is_the_default_and_impossible_in_the_aligned_layout() -> anyhow::Result<()> {
    let stage = Stage::serving(company()).await?;
    let add = |name: &str, more: &[&str]| -> anyhow::Result<Ran> {
        let path = stage.dir.path().join(name);
        std::fs::create_dir(&path)?;
        Ok(stage.run(&[&["storage", "add", name, "--path", &path.to_string_lossy()], more, &["--json"]].concat()))
    };
    let encrypted = |ran: Ran| -> anyhow::Result<Value> {
        let added: Value = serde_json::from_str(&ran.stdout)?;
        assert_eq!(added["storage"]["encrypted"].as_bool(), Some(added["recovery_key"].is_string()), "{added}");
        Ok(added["storage"]["encrypted"].clone())
    };

    assert_eq!(encrypted(add("default", &[])?)?, json!(true));
    assert_eq!(encrypted(add("packed-on-vdo", &["--backend", "vdo", "--layout", "packed"])?)?, json!(true));
    assert_eq!(encrypted(add("vdo", &["--backend", "vdo"])?)?, json!(false));
    assert_eq!(encrypted(add("aligned", &["--layout", "aligned"])?)?, json!(false));
    assert_eq!(encrypted(add("bare", &["--unencrypted"])?)?, json!(false));
    let both = add("both", &["--layout", "aligned", "--encrypted"])?;
    assert!(both.code == 1 && both.stderr.contains("LUKS"), "{both:?}");
    let key = Secrets(&stage).file("key", &(0..64).collect::<Vec<u8>>());
    let keyed = add("keyed", &["--layout", "aligned", "--key-file", &key])?;
    assert!(keyed.code == 1 && keyed.stderr.contains("not encrypted has no keys"), "{keyed:?}");
    Ok(())
}

/// What people would recognise: subjects, people, folders, attachments.
fn telling(mailbox: &Mailbox, user: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::from([user.to_owned()]);
    let mut note = |value: &Value| words.extend([text(value).to_owned()]);
    for message in &mailbox.messages {
        note(&message["subject"]);
        note(&message["from"]["name"]);
        note(&message["from"]["address"]);
        message["attachments"].as_array().into_iter().flatten().for_each(|attachment| note(&attachment["name"]));
    }
    for folder in &mailbox.folders {
        note(&json!(text(&folder["path"]).rsplit('/').next().unwrap_or_default()));
    }
    // Shorter ones occur by chance among random bytes; what JSON or MIME escape would not be found as it is.
    words.retain(|word| word.len() >= 6 && word.bytes().all(|b| b.is_ascii_graphic() || b == b' '));
    words
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
async fn without_the_key_nothing_readable_is_on_disk_names_included() -> anyhow::Result<()> {
    let stage = Stage::ready(company()).await?;
    let bare = stage.dir.path().join("bare");
    std::fs::create_dir(&bare)?;
    stage.expect(&["storage", "add", "bare", "--path", &bare.to_string_lossy(), "--unencrypted"])?;
    stage.expect(&["policy", "add", "bare", "--storage", "bare"])?;
    let user = stage.users().remove(0);
    stage.expect(&["backup", "--user", &user, "--policy", "standard", "--wait"])?;
    stage.expect(&["backup", "--user", &user, "--policy", "bare", "--wait"])?;
    let known = stage.tenant.users();
    let name = |known: &Value| known["user_principal_name"] == json!(user);
    let name = known["users"].as_array().unwrap().iter().find(|known| name(known)).unwrap()["display_name"].clone();
    let mut words = telling(&stage.mailbox(&user)?, &user);
    words.insert(text(&name).to_owned());
    assert!(words.len() > 30, "{words:?}");

    let found = |dir: &Path| -> Vec<String> {
        let mut text = Vec::new();
        readable(dir, &mut text);
        let is_in = |word: &&String| text.windows(word.len()).any(|window| window == word.as_bytes());
        words.iter().filter(is_in).cloned().collect()
    };

    assert_eq!(found(&stage.storage()), Vec::<String>::new());
    let control = found(&bare);
    assert!(control.len() * 10 > words.len() * 9, "the search itself finds {} of {}", control.len(), words.len());
    Ok(())
}
