//! What becomes of mail of every kind, good and bad.

use bytes::Bytes;
use proptest::prelude::*;

use super::mime::{Attachment, File, Letter, read};

fn letter(raw: impl AsRef<[u8]>) -> Letter {
    read(&Bytes::copy_from_slice(raw.as_ref()))
}

/// With the line ends of mail.
fn mail(text: &str) -> Letter {
    letter(text.replace('\n', "\r\n"))
}

fn files(letter: &Letter) -> Vec<&File> {
    letter
        .attachments
        .iter()
        .map(|attachment| match attachment {
            Attachment::File(file) => file,
            Attachment::Message { original, .. } => original,
        })
        .collect()
}

#[test]
fn html_is_preferred_and_its_text_alternative_is_not_an_attachment() {
    let letter = mail(
        "From: a@b.c\nMIME-Version: 1.0\nIn-Reply-To: <1@b.c>\nReferences: <0@b.c>\n <1@b.c>\n\
         Content-Type: multipart/alternative; boundary=B\n\n\
         --B\nContent-Type: text/plain; charset=utf-8\n\nplain\n\
         --B\nContent-Type: text/html; charset=utf-8\n\n<p>rich</p>\n\n--B--\n",
    );

    assert_eq!((letter.body.html, letter.body.text.as_str()), (true, "<p>rich</p>"));
    assert!(letter.attachments.is_empty() && letter.remarks.is_empty());
    assert_eq!((letter.in_reply_to.as_str(), letter.references.as_str()), ("<1@b.c>", "<0@b.c> <1@b.c>"));
}

#[test]
fn a_text_in_an_old_charset_is_read_and_its_line_ends_are_kept() {
    let mut raw = b"From: a@b.c\r\nContent-Type: text/plain; charset=koi8-r\r\n\
        Content-Transfer-Encoding: 8bit\r\n\r\n"
        .to_vec();
    raw.extend_from_slice(b"\xf0\xd2\xc9\xd7\xc5\xd4\r\n\r\nx\r\n");

    assert_eq!(letter(&raw).body.text, "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}\r\n\r\nx");
}

#[test]
fn a_japanese_text_in_base64_is_read_whole() {
    let letter = mail(
        "From: a@b.c\nContent-Type: text/plain; charset=iso-2022-jp\nContent-Transfer-Encoding: base64\n\n\
         GyRCJDMkcyRLJEEkTxsoQg0K\n",
    );

    assert_eq!(letter.body.text, "\u{3053}\u{3093}\u{306b}\u{3061}\u{306f}\r\n");
}

#[test]
fn an_unknown_charset_does_not_become_replacement_characters() {
    let raw = b"From: a@b.c\r\nContent-Type: text/plain; charset=x-unknown-8bit\r\n\r\ngr\xfcn\r\n";

    assert_eq!(letter(raw).body.text, "gr\u{fc}n");
}

#[test]
fn bare_line_feeds_become_line_ends() {
    assert_eq!(letter("From: a@b.c\nContent-Type: text/plain\n\none\ntwo\n").body.text, "one\r\ntwo");
}

#[test]
fn an_inline_picture_keeps_its_content_id_and_a_text_file_its_bytes() {
    let mut raw = "From: a@b.c\nContent-Type: multipart/mixed; boundary=M\n\n\
        --M\nContent-Type: multipart/related; boundary=R\n\n\
        --R\nContent-Type: text/html\n\n<img src=\"cid:logo@x\">\n\
        --R\nContent-Type: image/png; name=\"logo.png\"\nContent-ID: <logo@x>\nContent-Disposition: inline; filename=\"logo.png\"\n\
        Content-Transfer-Encoding: base64\n\niVBORw0KGgo=\n--R--\n\
        --M\nContent-Type: text/csv; charset=iso-8859-1; name=\"a.csv\"\nContent-Disposition: attachment; filename=\"a.csv\"\n\
        Content-Transfer-Encoding: base64\n\n4Tv8DQo=\n\
        --M\nContent-Type: application/pdf\nContent-ID: <unused@x>\nContent-Disposition: attachment;\n filename*=utf-8''%E2%82%AC.pdf\n\
        Content-Transfer-Encoding: base64\n\nJVBERg==\n--M--\n"
        .replace('\n', "\r\n");
    raw.push_str("epilogue");

    let letter = letter(&raw);

    let files = files(&letter);
    assert_eq!(files.len(), 3);
    assert_eq!((files[0].name.as_str(), files[0].inline), ("logo.png", true));
    assert_eq!(files[0].content_id.as_deref(), Some("logo@x"));
    assert_eq!(files[0].content.as_ref(), b"\x89PNG\r\n\x1a\n");
    assert_eq!((files[1].content_type.as_str(), files[1].content.as_ref()), ("text/csv", &b"\xe1;\xfc\r\n"[..]));
    assert_eq!((files[2].name.as_str(), files[2].inline), ("\u{20ac}.pdf", false));
    assert_eq!(letter.remarks, Vec::<String>::new());
}

#[test]
fn a_text_attachment_without_encoding_has_no_line_end_of_the_boundary() {
    let letter = mail(
        "From: a@b.c\nContent-Type: multipart/mixed; boundary=M\n\n--M\n\nbody\n\
         --M\nContent-Type: text/x-log; name=\"=?utf-8?B?w6QubG9n?=\"\nContent-Disposition: attachment\n\nline\n\n\
         --M\nContent-Type: text/x-log\nContent-Disposition: attachment\nContent-Transfer-Encoding: quoted-printable\n\nq=3D\n--M--\n",
    );

    let files = files(&letter);
    assert_eq!((files[0].name.as_str(), files[0].content.as_ref()), ("\u{e4}.log", &b"line\r\n"[..]));
    assert_eq!((files[1].name.as_str(), files[1].content.as_ref()), ("attachment 2", &b"q="[..]));
}

#[test]
fn an_attached_message_is_an_item_and_one_with_attachments_a_file() {
    let inner = "From: \"In\" <i@b.c>\nTo: t@b.c\nSubject: =?utf-8?Q?=C3=84?=\nMessage-ID: <in@b.c>\nDate: Thu, 2 Jan 2020 03:04:05 +0000\n\ntext\n";
    let rich = format!(
        "From: i@b.c\nSubject: rich\nContent-Type: multipart/mixed; boundary=I\n\n--I\n\nx\n--I\n\
         Content-Type: application/pdf\nContent-Transfer-Encoding: base64\n\nJVBERg==\n--I--\n"
    );
    let letter = mail(&format!(
        "From: a@b.c\nContent-Type: multipart/mixed; boundary=M\n\n--M\n\nbody\n\
         --M\nContent-Type: message/rfc822\n\n{inner}\n--M\nContent-Type: message/rfc822\n\n{rich}\n--M--\n"
    ));

    let Attachment::Message { name, item, original } = &letter.attachments[0] else { panic!("{letter:?}") };
    assert_eq!((name.as_str(), &item["subject"]), ("\u{c4}", &serde_json::json!("\u{c4}")));
    assert_eq!(item["from"]["emailAddress"], serde_json::json!({"name": "In", "address": "i@b.c"}));
    assert_eq!(item["body"], serde_json::json!({"contentType": "text", "content": "text"}));
    assert_eq!(item["sentDateTime"], "2020-01-02T03:04:05Z");
    assert_eq!(item["internetMessageId"], "<in@b.c>");
    assert_eq!(original.content.as_ref(), inner.replace('\n', "\r\n").as_bytes());
    let Attachment::File(file) = &letter.attachments[1] else { panic!("{letter:?}") };
    assert_eq!((file.name.as_str(), file.content.as_ref()), ("rich.eml", rich.replace('\n', "\r\n").as_bytes()));
    assert_eq!(letter.remarks.len(), 1);
}

#[test]
fn a_signed_message_becomes_the_entity_that_was_signed_byte_for_byte() {
    let entity = "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\n\tboundary=\"S\"\n\n\
        preamble\n--S\nContent-Type: text/plain\n\nsigned text\n--S\n\
        Content-Type: application/pkcs7-signature; name=smime.p7s\nContent-Transfer-Encoding: base64\n\nMIIB\n--S--\n"
        .replace('\n', "\r\n");

    let letter = letter(format!("From: a@b.c\r\nSubject: s\r\nMIME-Version: 1.0\r\n{entity}"));

    assert_eq!(letter.class, Some("IPM.Note.SMIME.MultipartSigned"));
    assert_eq!(letter.body.text, "signed text");
    let files = files(&letter);
    assert_eq!(
        (files.len(), files[0].name.as_str(), files[0].content_type.as_str()),
        (1, "smime.p7m", "multipart/signed")
    );
    assert_eq!(files[0].content, entity.as_bytes());
}

#[test]
fn an_encrypted_message_becomes_its_decoded_content() {
    let letter = mail(
        "From: a@b.c\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data;\n name=smime.p7m\n\
         Content-Transfer-Encoding: base64\n\nMIIBAgM=\n",
    );

    assert_eq!(letter.class, Some("IPM.Note.SMIME"));
    assert_eq!(files(&letter)[0].content.as_ref(), b"0\x82\x01\x02\x03");
    assert_eq!(
        letter.content_type.as_deref(),
        Some("application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m")
    );
    assert_eq!(letter.body.text, "");
}

#[test]
fn an_invitation_is_attached() {
    let letter = mail(
        "From: a@b.c\nContent-Type: multipart/alternative; boundary=B\n\n--B\nContent-Type: text/plain\n\ncome\n\
         --B\nContent-Type: text/calendar; method=REQUEST; charset=utf-8\n\nBEGIN:VCALENDAR\nEND:VCALENDAR\n--B--\n",
    );

    assert_eq!(letter.body.text, "come");
    assert_eq!(
        (files(&letter)[0].name.as_str(), files(&letter)[0].content_type.as_str()),
        ("invite.ics", "text/calendar")
    );
    assert!(letter.remarks[0].contains("invitation"));
}

#[test]
fn a_text_without_headers_is_shown_and_attached() {
    for raw in
        [&b"just a text\r\n\r\nof two lines"[..], b"", b"\xff\xfe\x00", b"-- \r\nContent-Type: text/plain\r\n\r\nx"]
    {
        let letter = letter(raw);

        let files = files(&letter);
        assert_eq!(
            (files.last().unwrap().name.as_str(), files.last().unwrap().content.as_ref()),
            ("original.eml", raw)
        );
        assert_eq!(letter.remarks.len(), 1, "{letter:?}");
    }
    assert_eq!(letter("just a text\r\n\r\nof two lines").body.text, "just a text\r\n\r\nof two lines");
}

#[test]
fn a_multipart_that_lost_its_header_is_read_all_the_same() {
    let letter = mail(
        "\n--B\nContent-Type: text/plain; charset=utf-8\n\nplain\n\n--B\n\
         Content-Type: text/html; charset=utf-8\n\n<p>rich</p>\n\n--B--\n",
    );

    assert_eq!((letter.body.html, letter.body.text.as_str()), (true, "<p>rich</p>"));
    assert!(letter.attachments.is_empty());
}

#[test]
fn a_message_that_was_cut_off_loses_nothing_that_is_there() {
    let letter = mail(
        "From: a@b.c\nContent-Type: multipart/mixed; boundary=M\n\n--M\nContent-Type: text/plain\n\nbody\n\
         --M\nContent-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\nJVBERg==\n",
    );

    assert_eq!(letter.body.text, "body");
    assert_eq!(files(&letter)[0].content.as_ref(), b"%PDF");
}

#[test]
fn a_thousand_messages_inside_each_other_are_attached_and_not_taken_apart() {
    let letter = mail(&"From: a@b.c\nContent-Type: message/rfc822\n\n".repeat(1000));

    assert_eq!(files(&letter)[0].name, "original.eml");
}

#[test]
fn a_body_that_does_not_fit_into_a_request_is_attached() {
    let text = "x".repeat(4 << 20);

    let letter = mail(&format!("From: a@b.c\nContent-Type: text/plain\n\n{text}\n"));

    assert!(letter.body.text.len() < 200);
    assert_eq!((files(&letter)[0].name.as_str(), files(&letter)[0].content.len()), ("body.txt", 4 << 20));
}

/// What mail is made of, to be put together in every wrong way.
const PIECES: [&[u8]; 15] = [
    b"From: a@b.c\r\n",
    b"Content-Type: multipart/mixed; boundary=M\r\n",
    b"\r\n",
    b"--M\r\n",
    b"--M--",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Type: multipart/signed; boundary=M\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"=\xff\x00",
    b"text",
    b"\n",
    b"Content-Type: application/pkcs7-mime\r\n",
    b"Content-Disposition: attachment; filename*0*=\r\n",
    b"Content-Type: text/html; charset=utf-7\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
];

proptest! {
    #[test]
    fn no_input_is_too_odd(picks in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40)) {
        letter(picks.concat());
    }
}
