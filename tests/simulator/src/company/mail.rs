//! One invented mail at a time: as the sender wrote it, and as each mailbox received it.

use super::{World, text};
use crate::clock::mail_date;
use crate::dice::{Dice, hash};
use crate::store::lazy::LazyBase;
use crate::store::message::{
    Attachment, AttachmentContent, Blob, Body, Charset, Class, Encoding, Flag, FlagStatus, Importance, Message,
    MimeFault, Person, Wire,
};

/// Writes a mail from `from` to `to`, dated `sent`. What it is like depends on `seed` only.
pub fn write(world: &World, seed: u64, from: &Person, to: &[Person], sent: i64) -> Message {
    let mut dice = Dice::of(&[world.seed, 3, seed]);
    let wire = make_wire(&mut dice);
    let html = dice.percent(65);
    let mut message = Message {
        subject: text::subject(&mut dice, wire.charset),
        from: Some(from.clone()),
        sender: Some(from.clone()),
        to: to.iter().take(2).cloned().collect(),
        cc: to.iter().skip(2).cloned().collect(),
        internet_message_id: format!("<{:016x}.{:x}@{}>", hash(&[world.seed, seed]), seed, world.domain),
        sent,
        received: sent + 2 + dice.below(40) as i64,
        importance: if dice.percent(6) { Importance::High } else { Importance::Normal },
        read_receipt: dice.percent(2),
        conversation: hash(&[world.seed, 4, seed / 3]),
        wire,
        ..Message::default()
    };
    if dice.percent(35) {
        message.subject = format!("Re: {}", message.subject);
        message.headers.push(("In-Reply-To".into(), format!("<{:x}@{}>", seed / 3, world.domain)));
    }
    if dice.percent(5) {
        message.reply_to.push(world.outsiders[dice.index(world.outsiders.len())].clone());
    }
    message.created = message.received;
    message.modified = message.received;
    message.headers.push(("X-Mailer".into(), format!("Invented Mail {}", dice.below(9))));
    let n_paragraphs = 1 + dice.below(6);
    let plain = text::paragraphs(&mut dice, wire.charset, n_paragraphs);
    message.body = if html { html_body(&plain, from) } else { Body { html: false, content: plain } };
    decorate(world, &mut dice, &mut message, seed);
    message
}

/// The copy of a mail that lands in one mailbox: same body, other trace headers and read state.
pub fn deliver(world: &World, mail: &Message, mailbox: &Person, salt: u64) -> Message {
    let mut dice = Dice::of(&[world.seed, 5, salt, crate::dice::hash_text(&mailbox.address)]);
    let mut copy = mail.clone();
    let hop = |dice: &mut Dice| format!("mx{}.{}", dice.below(9), world.domain);
    let date = mail_date(mail.received);
    let received = format!("from {} by {} with ESMTPS; {date}", hop(&mut dice), hop(&mut dice));
    copy.headers.insert(0, ("Received".into(), received));
    copy.headers.push(("X-MS-Exchange-Organization-Network-Message-Id".into(), format!("{:016x}", dice.next_u64())));
    copy.headers.push(("Delivered-To".into(), mailbox.address.clone()));
    copy.is_read = dice.percent(70);
    copy.other_inbox = dice.percent(20);
    if dice.percent(8) {
        copy.flag.status = if dice.percent(70) { FlagStatus::Flagged } else { FlagStatus::Complete };
        copy.flag = dated_flag(copy.flag.status, mail.received);
    }
    if dice.percent(10) {
        copy.categories.push((*dice.pick(&text::CATEGORIES)).to_owned());
    }
    copy
}

pub fn dated_flag(status: FlagStatus, at: i64) -> Flag {
    let day = |offset: i64| Some(crate::clock::iso((at / 86_400 + offset) * 86_400).replace('Z', ".0000000"));
    match status {
        FlagStatus::NotFlagged => Flag::default(),
        FlagStatus::Flagged => Flag { status, start: day(1), due: day(3), completed: None },
        FlagStatus::Complete => Flag { status, start: None, due: None, completed: day(4) },
    }
}

/// Item `i` of a lazy mailbox: small, cheap, and the same every time.
pub fn computed(base: &LazyBase, item: u64) -> Message {
    let world = &base.world;
    let mut dice = Dice::of(&[base.seed, 6, item]);
    let received = base.received(item);
    let from = world.outsiders[dice.index(world.outsiders.len())].clone();
    let n_paragraphs = 4 + dice.below(5);
    let content = text::paragraphs(&mut dice, Charset::Utf8, n_paragraphs);
    let subject = text::subject(&mut dice, Charset::Utf8);
    let trace = format!("from mx{}.{} by mx.{}; {}", dice.below(9), from.address, world.domain, mail_date(received));
    let mut message = Message {
        subject,
        body: Body { html: false, content },
        from: Some(from.clone()),
        sender: Some(from),
        to: vec![base.owner.clone()],
        internet_message_id: base.internet_id(item),
        sent: received - 3,
        received,
        created: received,
        modified: received,
        is_read: LazyBase::is_read(item),
        conversation: hash(&[base.seed, 4, item / 4]),
        headers: vec![("Received".into(), trace)],
        ..Message::default()
    };
    if item.is_multiple_of(10) {
        message.attach(file(
            "note.txt",
            "text/plain",
            Blob::Made { seed: hash(&[base.seed, item % 500]), len: 1500, text: true },
        ));
    }
    message
}

fn make_wire(dice: &mut Dice) -> Wire {
    let charset = match dice.below(100) {
        0..=59 => Charset::Utf8,
        60..=74 => Charset::Latin1,
        75..=86 => Charset::Windows1252,
        87..=93 => Charset::Koi8R,
        _ => Charset::Iso2022Jp,
    };
    let encoding = match dice.below(3) {
        0 => Encoding::Base64,
        1 => Encoding::EightBit,
        _ => Encoding::QuotedPrintable,
    };
    let fault = match dice.below(100) {
        0 => Some(MimeFault::NoClosingBoundary),
        1 => Some(MimeFault::RawBytesInHeader),
        2 => Some(MimeFault::BareLineFeeds),
        3 => Some(MimeFault::UnknownCharset),
        4 => Some(MimeFault::NoHeaders),
        _ => None,
    };
    Wire { encoding, charset, fault }
}

fn html_body(plain: &str, from: &Person) -> Body {
    let mut content = String::from(
        "<html><head><meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\"></head><body>",
    );
    for paragraph in plain.split("\r\n\r\n") {
        content.push_str("<p>");
        content.push_str(paragraph);
        content.push_str("</p>");
    }
    content.push_str(&format!("<p>Regards<br>{}</p></body></html>", from.name));
    Body { html: true, content }
}

fn decorate(world: &World, dice: &mut Dice, message: &mut Message, seed: u64) {
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

// The same few files go round the company again and again, as they do; a backup should notice.
fn attach_file(world: &World, dice: &mut Dice, message: &mut Message) {
    const KINDS: [(&str, &str, bool); 5] = [
        ("pdf", "application/pdf", false),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", false),
        ("csv", "text/csv", true),
        ("png", "image/png", false),
        ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", false),
    ];
    for _ in 0..1 + dice.below(2) {
        let number = dice.below(40);
        let (ending, content_type, text) = KINDS[number as usize % KINDS.len()];
        let len = if world.large_attachments && dice.percent(8) {
            3_200_000 + (number as usize * 220_000)
        } else {
            2_000 + (hash(&[number]) % 60_000) as usize
        };
        let seed = hash(&[world.seed, 8, number]);
        message.attach(file(&format!("Report {number}.{ending}"), content_type, Blob::Made { seed, len, text }));
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

pub fn file(name: &str, content_type: &str, blob: Blob) -> Attachment {
    Attachment {
        number: 0,
        name: name.to_owned(),
        content_type: content_type.to_owned(),
        is_inline: false,
        content_id: None,
        modified: 1_700_000_000,
        content: AttachmentContent::File(blob),
    }
}

impl Message {
    fn attachments_push_reference(&mut self, dice: &mut Dice) {
        let mut link = file(&format!("Shared plan {}.docx", dice.below(20)), "", Blob::Held(bytes::Bytes::new()));
        link.content = AttachmentContent::Reference;
        self.attach(link);
    }
}
