//! Archives as other programs see them.

use std::path::Path;
use std::process::Command;

use super::*;

const PASSPHRASE: &str = "correct horse – battery";

struct Program {
    command: &'static str,
    arguments: &'static [&'static str],
}

fn finished(mut zip: Zip, mut out: Vec<u8>) -> Vec<u8> {
    zip.end(&mut out).unwrap();
    let mut closing = zip.finish().unwrap();
    while let Some(piece) = closing.next_piece().unwrap() {
        out.extend(piece);
    }
    out
}

fn content(n: usize) -> Vec<u8> {
    (0..n).map(|n| (n / 7 % 251) as u8).collect()
}

/// An archive with a folder, an empty file, a name beyond ASCII and a file that comes in pieces.
fn archive(passphrase: Option<&str>) -> Vec<u8> {
    let mut zip = Zip::new(passphrase.map(|text| Secret::new(text.to_owned())));
    let mut out = Vec::new();
    let time = "2026-11-25T12:34:56Z".parse().unwrap();
    zip.folder("Ordner ä", time, &mut out).unwrap();
    zip.begin("empty.txt", time, &mut out).unwrap();
    zip.end(&mut out).unwrap();
    zip.begin("Ordner ä/größer.bin", time, &mut out).unwrap();
    for piece in content(1_000_000).chunks(77_777) {
        zip.write(piece, &mut out).unwrap();
    }
    zip.end(&mut out).unwrap();
    assert_eq!(zip.bytes(), out.len() as u64);
    finished(zip, out)
}

/// What a program says of an archive; `None`, with a word of it, where the program is not installed.
fn asked(program: &Program, archive: &Path) -> Option<String> {
    let ran = Command::new(program.command).args(program.arguments).arg(archive).output();
    let Ok(ran) = ran else {
        println!("skipped: there is no {} here (script/setup installs it)", program.command);
        return None;
    };
    let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
    assert!(ran.status.success(), "{} of {}: {said}", program.command, archive.display());
    Some(said)
}

fn written(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("archive.zip");
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

#[test]
fn unzip_and_7z_find_nothing_wrong() {
    let (_dir, path) = written(&archive(None));

    asked(&Program { command: "unzip", arguments: &["-t"] }, &path);
    asked(&Program { command: "7z", arguments: &["t"] }, &path);
}

#[test]
fn what_comes_out_is_what_went_in() {
    let (dir, path) = written(&archive(None));

    let to = dir.path().to_string_lossy().into_owned();
    let ran = Command::new("unzip").arg("-q").arg(&path).args(["-d", &to]).status();

    match ran {
        Err(_) => println!("skipped: there is no unzip here (script/setup installs it)"),
        Ok(status) => {
            assert!(status.success());
            assert_eq!(std::fs::read(dir.path().join("Ordner ä/größer.bin")).unwrap(), content(1_000_000));
            let empty = std::fs::metadata(dir.path().join("empty.txt")).unwrap();
            let modified: DateTime<Utc> = empty.modified().unwrap().into();
            assert_eq!((empty.len(), modified.to_rfc3339()), (0, "2026-11-25T12:34:56+00:00".to_owned()));
        }
    }
}

#[test]
fn seven_zip_opens_what_is_sealed_with_its_passphrase_alone() {
    let (_dir, path) = written(&archive(Some(PASSPHRASE)));

    let right = Program { command: "7z", arguments: &["t", "-pcorrect horse – battery"] };
    if asked(&right, &path).is_some() {
        let wrong = Command::new("7z").args(["t", "-pwrong"]).arg(&path).output().unwrap();
        assert!(!wrong.status.success());
    }
    let bytes = std::fs::read(&path).unwrap();
    let plain = archive(None);
    assert!(bytes.len() > plain.len() && bytes[100..] != plain[100..]);
}

#[test]
fn more_entries_than_the_old_format_counts_are_found() {
    let mut zip = Zip::new(None);
    let mut out = Vec::new();
    for n in 0..70_000 {
        zip.begin(&format!("{n}.txt"), DateTime::UNIX_EPOCH, &mut out).unwrap();
        zip.write(b"x", &mut out).unwrap();
        zip.end(&mut out).unwrap();
    }
    let (_dir, path) = written(&finished(zip, out));

    if let Some(said) = asked(&Program { command: "7z", arguments: &["t"] }, &path) {
        assert!(said.contains("Files: 70000"), "{said}");
    }
}

#[test]
fn an_entry_far_behind_the_reach_of_the_old_format_is_found() {
    // Nobody reads what stands before the first entry: a hole of 5 GiB takes no space on the disk.
    const FAR: u64 = 5 << 30;
    let mut zip = Zip::new(None);
    zip.at = FAR;
    let mut out = Vec::new();
    zip.begin("far.txt", DateTime::UNIX_EPOCH, &mut out).unwrap();
    zip.write(b"far away", &mut out).unwrap();
    let archive = finished(zip, out);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("far.zip");
    let file = std::fs::File::create(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &archive, FAR).unwrap();

    let ran = Command::new("unzip").arg("-p").arg(&path).output();

    match ran {
        Err(_) => println!("skipped: there is no unzip here (script/setup installs it)"),
        Ok(ran) => assert_eq!(ran.stdout, b"far away", "{}", String::from_utf8_lossy(&ran.stderr)),
    }
}
