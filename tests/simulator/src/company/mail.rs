//! One invented mail at a time: as the sender wrote it, and as each mailbox received it.

use super::{World, extras, text};
use crate::clock::mail_date;
use crate::dice::{Dice, hash};
use crate::store::lazy::LazyBase;
use crate::store::message::{
    Attachment, AttachmentContent, Blob, Body, Charset, Encoding, Flag, FlagStatus, Importance, Message, MimeFault,
    Person, Wire,
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
    extras::decorate(world, &mut dice, &mut message, seed);
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
    let n_paragraphs = 6 + dice.below(7);
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
