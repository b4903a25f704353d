//! What makes some mails special: files, inline images, nested mails, invitations, signatures.

use super::mail::file;
use super::{World, text};
use crate::dice::{Dice, hash};
use crate::store::message::{Attachment, AttachmentContent, Blob, Body, Charset, Class, Message};

pub fn decorate(world: &World, dice: &mut Dice, message: &mut Message, seed: u64) {
    match dice.below(100) {
        0..=19 => attach_file(world, dice, message),
        20..=26 => attach_inline(dice, message),
        27..=29 => {
            attach_inline(dice, message);
            attach_file(world, dice, message);
        }
        30..=33 => attach_item(world, dice, message, seed),
        34..=37 => make_meeting_request(dice, message),
        38..=40 => make_signed(dice, message),
        41 => message.attachments_push_reference(dice),
        _ => {}
    }
}

/// The same few files go round the company again and again, as they do; a backup should notice.
pub fn circulating(world: &World, number: u64) -> (String, &'static str, Blob) {
    const KINDS: [(&str, &str, bool); 5] = [
        ("pdf", "application/pdf", false),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", false),
        ("csv", "text/csv", true),
        ("png", "image/png", false),
        ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", false),
    ];
    let (ending, content_type, text) = KINDS[number as usize % KINDS.len()];
    let len = 2_000 + (hash(&[number]) % 60_000) as usize;
    let seed = hash(&[world.seed, 8, number]);
    (format!("Report {number}.{ending}"), content_type, Blob::Made { seed, len, text })
}

fn attach_file(world: &World, dice: &mut Dice, message: &mut Message) {
    for _ in 0..1 + dice.below(2) {
        let number = dice.below(40);
        let (name, content_type, mut blob) = circulating(world, number);
        if world.large_attachments
            && dice.percent(8)
            && let Blob::Made { len, .. } = &mut blob
        {
            *len = 3_200_000 + (number as usize * 220_000);
        }
        message.attach(file(&name, content_type, blob));
    }
}

fn attach_inline(dice: &mut Dice, message: &mut Message) {
    let number = dice.below(12);
    let content_id = format!("image{number:03}.png@01D{:06X}", dice.below(0xFF_FFFF));
    if !message.body.html {
        message.body.content = format!("<html><body><p>{}</p></body></html>", message.body.content);
        message.body.html = true;
    }
    let image = format!("<img src=\"cid:{content_id}\"></body>");
    message.body.content = message.body.content.replace("</body>", &image);
    let mut logo = file(
        &format!("image{number:03}.png"),
        "image/png",
        Blob::Made { seed: hash(&[9, number]), len: 900 + number as usize * 311, text: false },
    );
    logo.is_inline = true;
    logo.content_id = Some(content_id);
    message.attach(logo);
}

fn attach_item(world: &World, dice: &mut Dice, message: &mut Message, seed: u64) {
    let from = world.outsiders[dice.index(world.outsiders.len())].clone();
    let content = text::paragraphs(dice, Charset::Utf8, 2);
    let nested = Message {
        subject: text::subject(dice, Charset::Utf8),
        body: Body { html: false, content },
        from: Some(from.clone()),
        sender: Some(from),
        to: message.to.clone(),
        internet_message_id: format!("<nested.{seed:x}@{}>", world.domain),
        sent: message.sent - 86_400,
        received: message.sent - 86_390,
        created: message.sent - 86_390,
        modified: message.sent - 86_390,
        is_read: true,
        conversation: hash(&[world.seed, 10, seed]),
        ..Message::default()
    };
    message.subject = format!("Fw: {}", nested.subject);
    message.attach(Attachment {
        number: 0,
        name: nested.subject.clone(),
        content_type: "message/rfc822".into(),
        is_inline: false,
        content_id: None,
        modified: message.received,
        content: AttachmentContent::Item(Box::new(nested)),
    });
}

fn make_meeting_request(dice: &mut Dice, message: &mut Message) {
    let start = (message.sent / 3600 + 24 + dice.below(200) as i64) * 3600;
    let end = start + 3600;
    let location = format!("Room {}", dice.below(30));
    let stamp = |at: i64| crate::clock::iso(at).replace(['-', ':'], "");
    let organizer = message.from.as_ref().map(|p| p.address.clone()).unwrap_or_default();
    let ics = format!(
        "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nPRODID:-//Invented//Calendar//EN\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\n\
         UID:{:016x}\r\nORGANIZER:mailto:{organizer}\r\nDTSTAMP:{}\r\nDTSTART:{}\r\nDTEND:{}\r\nSUMMARY:{}\r\n\
         LOCATION:{location}\r\nSEQUENCE:0\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        dice.next_u64(),
        stamp(message.sent),
        stamp(start),
        stamp(end),
        message.subject,
    );
    message.wire.fault = None;
    message.class = Class::MeetingRequest { start, end, location, ics };
}

// Exchange shows a signed mail with one attachment that holds the whole signed entity as it came
// over the wire; anything re-encoded in there breaks the signature.
fn make_signed(dice: &mut Dice, message: &mut Message) {
    let boundary = format!("----=_sig_{:016x}", dice.next_u64());
    let text = text::paragraphs(dice, Charset::Latin1, 2);
    let inner = crate::mime::quoted_printable(text.as_bytes());
    let signature = crate::mime::base64_lines(&Blob::Made { seed: dice.next_u64(), len: 2100, text: false }.bytes());
    let entity = format!(
        "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256;\r\n\
         \tboundary=\"{boundary}\"\r\n\r\nThis is an S/MIME signed message\r\n\r\n--{boundary}\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{inner}\r\n\
         --{boundary}\r\nContent-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\n\
         Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n\
         {signature}\r\n--{boundary}--\r\n"
    );
    message.body = Body { html: false, content: text };
    message.class = Class::SmimeSigned;
    message.wire.fault = None;
    message.attach(file("smime.p7m", "multipart/signed", Blob::Held(entity.into_bytes().into())));
}

impl Message {
    fn attachments_push_reference(&mut self, dice: &mut Dice) {
        let mut link = file(&format!("Shared plan {}.docx", dice.below(20)), "", Blob::Held(bytes::Bytes::new()));
        link.content = AttachmentContent::Reference;
        self.attach(link);
    }
}
