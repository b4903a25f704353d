//! Archives of restore points, taken apart by other programs.

use std::process::Command;

use super::scene::{Scene, Thing};
use crate::files::{Chosen, Layout};
use crate::ids::ItemKey;

const TOP: &str = "ann@contoso.example";

fn noise(len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut out);
    out
}

/// Messages as nobody should write them, and somebody did.
fn odd_mail() -> Vec<(&'static str, Vec<u8>)> {
    let long_line = [b"Subject: long\r\n\r\n".as_slice(), &vec![b'x'; 200_000]].concat();
    let broken = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/related; boundary=\"b\r\n\r\n\
        --b\r\n--a\r\nContent-Transfer-Encoding: base64\r\n\r\nnot ! base64 ===\r\n";
    let nested = (0..40)
        .fold(b"text".to_vec(), |inner, _| [b"Content-Type: message/rfc822\r\n\r\n".as_slice(), &inner].concat());
    let ragged: Vec<u8> = noise(60_000).chunks(57).enumerate().fold(
        b"Content-Transfer-Encoding: base64\r\n\r\n".to_vec(),
        |mut text, (at, chunk)| {
            use base64::Engine;
            text.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(chunk).as_bytes());
            text.extend_from_slice(if at % 9 == 0 { b"\n" } else { b" \r\n" });
            text
        },
    );
    vec![
        ("bare line feeds", b"Subject: a\nFrom: b\n\nbody\nFrom here\n".to_vec()),
        ("mixed line ends", b"A: 1\r\nB: 2\nC: 3\r\rD\n\r\n\nbody\r".to_vec()),
        ("NUL bytes", b"Subject: a\0b\r\n\r\n\0\0body\0".to_vec()),
        ("no header", b"\r\njust a body".to_vec()),
        ("no body", b"Subject: nothing follows".to_vec()),
        ("no empty line", b"Subject: a\r\nthis is no header field\r\nnor this\r\n".to_vec()),
        ("eight bits in headers", b"Subject: Gr\xfc\xdfe \xe2\x82\xac\r\nFrom: \xff\xfe\r\n\r\n\x80\x81".to_vec()),
        ("broken multiparts", broken.to_vec()),
        ("forty messages in each other", nested),
        ("ragged base64", ragged),
        ("one long line", long_line),
        ("only line ends", b"\r\n\r\n\n\n\r".to_vec()),
        ("a byte", b"x".to_vec()),
        ("folded into nothing", b"Subject:\r\n \r\n\t\r\n\r\n\r\n".to_vec()),
        ("large", [b"Subject: large\r\n\r\n".as_slice(), &noise(6_000_000)].concat()),
    ]
}

fn odd_things() -> Vec<Thing> {
    odd_mail().iter().map(|(name, text)| Thing::mail(name, text)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_messages_leave_as_they_came_to_the_byte() {
    let scene = Scene::of("mailbox", "Inbox", odd_things()).await;

    let Some(unpacked) = scene.unpacked(Layout::ItemFiles, None).await else { return };

    for (name, text) in odd_mail() {
        let path = unpacked.named(&format!("{TOP}/mailbox/Inbox"), name);
        assert!(path.extension().is_some_and(|ending| ending == "eml"));
        assert!(std::fs::read(path).unwrap() == text, "{name} is another");
    }
    assert_eq!((unpacked.written.items, unpacked.written.items_total), (15, 15));
    assert_eq!(unpacked.report()["not_written"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_odd_messages_is_one_mbox_that_python_takes_apart() {
    let scene = Scene::of("mailbox", "Inbox", odd_things()).await;

    let Some(unpacked) = scene.unpacked(Layout::FolderFiles, None).await else { return };

    let mbox = unpacked.dir.path().join(TOP).join("mailbox/Inbox.mbox");
    let count = "import mailbox, sys; print(len(mailbox.mbox(sys.argv[1], create=False)))";
    match Command::new("python3").args(["-c", count]).arg(&mbox).output() {
        Err(_) => println!("skipped: there is no python3 here"),
        Ok(ran) => assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), "15", "{ran:?}"),
    }
}

fn drive() -> Vec<Thing> {
    vec![
        Thing::folder("root", None, "root"),
        Thing::folder("plans", Some("root"), "Pläne: 2026"),
        Thing::folder("empty", Some("plans"), "empty"),
        Thing::file("a", "root", "a.txt", b"a"),
        Thing::file("b", "plans", "con", b"b"),
        Thing::file("large", "plans", "large.bin", &noise(9_000_000)),
        Thing::file("lost", "nobody knows", "lost.txt", b"lost"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_where_they_were_with_their_times_and_empty_folders_too() {
    let scene = Scene::of("onedrive", "OneDrive", drive()).await;

    let Some(unpacked) = scene.unpacked(Layout::FolderFiles, None).await else { return };

    let top = format!("{TOP}/onedrive/OneDrive");
    assert_eq!(unpacked.read(&format!("{top}/a.txt")), b"a");
    assert_eq!(unpacked.read(&format!("{top}/(unknown folder)/lost.txt")), b"lost");
    let plans = unpacked.named(&top, "Pläne_ 2026 [");
    assert!(plans.join("empty").is_dir());
    assert!(std::fs::read(plans.join("large.bin")).unwrap() == noise(9_000_000));
    // Windows takes "con" for a device.
    let names: Vec<String> =
        std::fs::read_dir(&plans).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().any(|name| name.starts_with("_con [")), "{names:?}");
    let modified = std::fs::metadata(plans.join("large.bin")).unwrap().modified().unwrap();
    let modified: chrono::DateTime<chrono::Utc> = modified.into();
    assert_eq!(modified.to_rfc3339(), "2026-11-25T12:34:56+00:00");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chosen_folder_is_all_that_is_below_it() {
    let scene = Scene::of("onedrive", "OneDrive", drive()).await;
    let chosen = Chosen { containers: Vec::new(), items: vec![ItemKey::of("plans")] };

    let Some(unpacked) = scene.unpacked(Layout::ItemFiles, Some(chosen)).await else { return };

    assert_eq!(unpacked.written.items, 4, "the folder, one in it and two files");
    let top = unpacked.dir.path().join(format!("{TOP}/onedrive/OneDrive"));
    assert!(!top.join("a.txt").exists());
    assert_eq!(std::fs::read_dir(top).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_told_in_the_archive_and_the_rest_is_there() {
    let things = vec![
        Thing::mail("sound", b"Subject: sound\r\n\r\nbody"),
        Thing { content: None, properties: "no JSON".into(), ..Thing::mail("x", b"") },
    ];
    let scene = Scene::of("calendar", "Calendar", things).await;

    let Some(unpacked) = scene.unpacked(Layout::ItemFiles, None).await else { return };

    let report = unpacked.report();
    assert_eq!(report["not_written"], 1, "{report}");
    assert_eq!(report["not_written_items"][0]["name"], "x");
    assert!(report["not_written_items"][0]["why"].as_str().unwrap().contains("not JSON"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_storage_breaks_nothing_but_what_lay_in_the_damage() {
    let things = vec![
        Thing::mail("small", b"Subject: small\r\n\r\nbody"),
        Thing::mail("large", &[b"Subject: large\r\n\r\n".as_slice(), &noise(30_000_000)].concat()),
    ];
    let scene = Scene::of("mailbox", "Inbox", things).await;
    spoil_the_middle_of_the_largest_pack(&scene);

    let (bytes, written) = scene.archive(Layout::ItemFiles, None, None).await.unwrap();

    assert_eq!((written.items, written.not_written), (2, 1));
    assert!(bytes.windows(4).any(|window| window == b"PK\x05\x06"), "it has an end");
}

/// What lies there is the large message: the small one is at one of the ends.
fn spoil_the_middle_of_the_largest_pack(scene: &Scene) {
    let mut packs = Vec::new();
    let mut waiting = vec![scene.place.path().join("packs")];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { waiting.push(path) } else { packs.push(path) }
        }
    }
    let largest = packs.into_iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 100].fill(0x55);
    std::fs::remove_file(&largest).unwrap();
    std::fs::write(&largest, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_archive_tells_nothing_of_what_is_in_its_files() {
    let secret = b"Subject: a\r\n\r\nnobody is to read this, nobody is to read this".as_slice();
    let scene = Scene::of("mailbox", "Inbox", vec![Thing::mail("m", secret)]).await;

    let (sealed, _) = scene.archive(Layout::ItemFiles, None, Some("correct horse battery")).await.unwrap();

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sealed.zip");
    std::fs::write(&path, sealed).unwrap();
    let seven_zip = |password: &str| {
        Command::new("7z").args(["x", "-so", &format!("-p{password}")]).arg(&path).arg("-i!*.eml").arg("-r").output()
    };
    match seven_zip("correct horse battery") {
        Err(_) => println!("skipped: there is no 7z here (script/setup installs it)"),
        Ok(ran) => {
            assert!(ran.stdout == secret, "{}", String::from_utf8_lossy(&ran.stderr));
            assert!(!seven_zip("wrong horse battery").unwrap().status.success());
        }
    }
}
