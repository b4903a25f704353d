//! Mails as Exchange hands them out: RFC 5322 text with transport headers of every copy's own.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rand::Rng;
use rand::rngs::StdRng;

use super::file::{File, Pool, noise};
use super::{FOLDERS, World};

/// Characters in a line of base64 and of quoted-printable.
const LINE: usize = 76;
const LOGOS: usize = 12;
const STYLES: usize = 4;
const TEMPLATES: usize = 25;
const THREADS_MAX: usize = 4000;
/// A thread that has grown beyond this is quoted as it is.
const THREAD_BYTES_MAX: usize = 160_000;

/// Everything that mails have in common.
pub struct Post {
    styles: Vec<String>,
    /// Newsletters: heading, colour and size of each of their blocks.
    templates: Vec<Vec<(String, &'static str, u32)>>,
    logos: Vec<File>,
    signatures: Vec<Vec<String>>,
    threads: Vec<(String, String)>,
}

/// One mail, and in which folders of whom it lies.
pub struct Mail {
    pub copies: Vec<(String, &'static str)>,
    /// All but the headers that each copy has for itself.
    pub text: Vec<u8>,
}

struct Letter {
    subject: String,
    recipients: Vec<String>,
    plain: String,
    html: Option<String>,
    attached: Vec<(File, &'static str)>,
}

/// Characters of base64 for URLs.
pub fn token(dice: &mut StdRng, chars: usize) -> String {
    let mut text = URL_SAFE_NO_PAD.encode(noise(dice, chars * 3 / 4 + 3));
    text.truncate(chars);
    text
}

impl Post {
    pub fn new(world: &mut World) -> Self {
        let styles = (0..STYLES).map(|_| style(&mut world.dice)).collect();
        let templates = (0..TEMPLATES).map(|_| {
            let colours = ["#ffffff", "#f4f4f4", "#0a66c2"];
            let block = |world: &mut World| {
                let colour = colours[world.dice.random_range(0..colours.len())];
                (world.prose.sentence(&mut world.dice, 4..=12), colour, world.dice.random_range(12..=28))
            };
            (0..world.dice.random_range(14..=50)).map(|_| block(world)).collect()
        });
        let templates = templates.collect();
        let logos = (0..LOGOS).map(|n| File {
            name: "logo.png".to_owned(),
            media_type: "image/png",
            content: noise(&mut world.dice, 6000 + 900 * n),
        });
        let logos = logos.collect();
        let signatures = world.users.iter().map(|user| {
            let (dice, prose) = (&mut world.dice, &world.prose);
            let notice = format!("This e-mail may contain confidential information. {}", prose.paragraph(dice, 3..=4));
            vec!["Best regards".to_owned(), user.clone(), prose.sentence(dice, 2..=5), notice]
        });
        Self { styles, templates, logos, signatures: signatures.collect(), threads: Vec::new() }
    }

    /// The headers of one copy: some 6 KB, about half of it signatures that nothing compresses.
    pub fn headers(&self, world: &mut World, recipient: &str) -> String {
        let dice = &mut world.dice;
        let mut lines = Vec::new();
        for _ in 0..dice.random_range(3..=6) {
            let (from, by, address) = (hop(dice), hop(dice), dice.random::<u64>());
            lines
                .push(format!("Received: from {from} (2603:10a6::{address:x})\r\n by {by} with HTTPS; {}", date(dice)));
        }
        let signed = "h=From:Date:Subject:Message-ID:Content-Type:MIME-Version:X-MS-Exchange-SenderADCheck";
        for n in 1..=2 {
            lines.push(format!("ARC-Seal: i={n}; a=rsa-sha256; d=microsoft.com;\r\n b={}", folded(dice, 5, 72)));
            let (hash, signature) = (token(dice, 44), folded(dice, 5, 72));
            lines.push(format!(
                "ARC-Message-Signature: i={n}; a=rsa-sha256; c=relaxed/relaxed; d=microsoft.com;\r\n {signed};\r\n \
                 bh={hash};\r\n b={signature}"
            ));
            lines.push(format!(
                "ARC-Authentication-Results: i={n}; mx.microsoft.com 1; spf=pass\r\n smtp.mailfrom=contoso.example; \
                 dmarc=pass action=none header.from=contoso.example;\r\n dkim=pass header.d=contoso.example; arc=none"
            ));
        }
        lines.push(format!("DKIM-Signature: v=1; a=rsa-sha256; {signed};\r\n b={}", folded(dice, 3, 72)));
        for name in ["Network-Message-Id", "SCL", "AuthSource", "CrossTenant-Id", "CrossTenant-Network-Message-Id"] {
            lines.push(format!("X-MS-Exchange-Organization-{name}: {:032x}", dice.random::<u128>()));
        }
        let n_rules = dice.random_range(5..=14);
        let rules: Vec<String> = (0..n_rules).map(|_| dice.random_range(1_000_000..9_999_999u32).to_string()).collect();
        lines.push(format!("X-Microsoft-Antispam: BCL:0;ARA:{}", rules.join("|")));
        let n_lines = dice.random_range(18..=44);
        lines.push(format!("X-Microsoft-Antispam-Message-Info:\r\n {}", folded(dice, n_lines, 70)));
        lines.push(format!("Delivered-To: {recipient}@contoso.example\r\n"));
        lines.join("\r\n")
    }

    /// One mail: by a machine, a newsletter, or by somebody who perhaps answers.
    pub fn mail(&mut self, world: &mut World, pool: &Pool) -> Mail {
        let sender = world.dice.random_range(0..world.users.len());
        let (letter, kept) = match world.dice.random_range(0..100) {
            0..12 => (self.notice(world), false),
            12..38 => (self.newsletter(world), false),
            _ => (self.personal(world, sender, pool), true),
        };
        let text = self.compose(world, sender, &letter);
        let place = |dice: &mut StdRng| FOLDERS[dice.random_range(0..FOLDERS.len())];
        let mut copies: Vec<(String, &'static str)> =
            letter.recipients.into_iter().map(|user| (user, place(&mut world.dice))).collect();
        if kept {
            copies.push((world.users[sender].clone(), "Sent Items"));
        }
        Mail { copies, text }
    }

    fn notice(&self, world: &mut World) -> Letter {
        let n = world.dice.random_range(2..=14);
        let paragraphs: Vec<String> = (0..n).map(|_| world.prose.paragraph(&mut world.dice, 2..=6)).collect();
        Letter {
            subject: world.prose.sentence(&mut world.dice, 2..=8),
            recipients: vec![world.someone()],
            plain: paragraphs.join("\r\n\r\n"),
            html: None,
            attached: Vec::new(),
        }
    }

    fn newsletter(&self, world: &mut World) -> Letter {
        let recipients = vec![world.someone()];
        let (dice, prose) = (&mut world.dice, &world.prose);
        let template = &self.templates[dice.random_range(0..TEMPLATES).min(dice.random_range(0..TEMPLATES))];
        let mut html = String::from("<!DOCTYPE html><html><head><style>body{margin:0}</style></head><body>");
        let mut plain = Vec::new();
        for (heading, colour, size) in template {
            let paragraph = prose.paragraph(dice, 1..=3);
            let n = dice.random_range(90..=260);
            let (link, picture) = (token(dice, n), dice.random::<u64>());
            html.push_str(&format!(
                "<table width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" role=\"presentation\"><tr><td align=\"left\" \
                 bgcolor=\"{colour}\" style=\"padding:24px 32px 8px 32px;font-family:Arial,Helvetica,sans-serif;\
                 font-size:{size}px;line-height:1.4;color:#333333\"><h2 style=\"margin:0\">{heading}</h2><p \
                 style=\"margin:0 0 12px 0\">{paragraph}</p><a href=\"https://click.news.example/ls/click?upn={link}\" \
                 target=\"_blank\"><img src=\"https://img.news.example/{picture:x}.png\" width=\"560\" \
                 style=\"display:block;border:0\"></a></td></tr></table>\r\n"
            ));
            plain.push(paragraph);
        }
        html.push_str("</body></html>");
        let subject = prose.sentence(dice, 2..=8);
        Letter { subject, recipients, plain: plain.join("\r\n\r\n"), html: Some(html), attached: Vec::new() }
    }

    fn personal(&mut self, world: &mut World, sender: usize, pool: &Pool) -> Letter {
        let dice = &mut world.dice;
        let n_recipients = (1 + (dice.random::<f64>().ln() * -1.6) as usize).min(world.users.len());
        let recipients = rand::seq::index::sample(dice, world.users.len(), n_recipients);
        let recipients = recipients.iter().map(|n| world.users[n].clone()).collect();
        let answered =
            (!self.threads.is_empty() && dice.random_bool(0.6)).then(|| dice.random_range(0..self.threads.len()));
        let (subject, quoted) = match answered {
            Some(n) => self.threads[n].clone(),
            None => (world.prose.sentence(dice, 2..=8), String::new()),
        };
        let n_paragraphs = dice.random_range(1..=7);
        let mut inner = String::new();
        for paragraph in (0..n_paragraphs).map(|_| world.prose.paragraph(dice, 2..=6)) {
            inner.push_str(&format!(
                "<p class=\"MsoNormal\"><span lang=\"EN-US\">{paragraph}<o:p></o:p></span></p>\r\n"
            ));
        }
        for line in &self.signatures[sender] {
            inner.push_str(&format!(
                "<p class=\"MsoNormal\"><span style=\"font-size:10.0pt;color:#1F497D\">{line}<o:p></o:p></span></p>\r\n"
            ));
        }
        inner.push_str(&quoted);
        let from = format!(
            "<p class=\"MsoNormal\"><b>From:</b> {}<br><b>Sent:</b> {}</p>\r\n",
            world.users[sender],
            date(dice)
        );
        let thread = (subject.clone(), from + &inner);
        match answered {
            Some(n) if inner.len() < THREAD_BYTES_MAX => self.threads[n] = thread,
            None if self.threads.len() < THREADS_MAX => self.threads.push(thread),
            Some(_) | None => {}
        }
        let mut attached = Vec::new();
        if dice.random_bool(0.45) {
            attached.push((self.logos[sender % LOGOS].clone(), "inline"));
        }
        if dice.random_bool(0.20) {
            let n = 1 + (dice.random::<f64>().ln() / -1.1) as usize;
            attached.extend((0..n).map(|_| (pool.pick(world), "attachment")));
        }
        let plain = without_tags(&inner);
        let html = format!("{}{inner}</body></html>", self.styles[sender % STYLES]);
        Letter { subject, recipients, plain, html: Some(html), attached }
    }

    fn compose(&self, world: &mut World, sender: usize, letter: &Letter) -> Vec<u8> {
        let dice = &mut world.dice;
        let from = &world.users[sender];
        let to: Vec<String> = letter.recipients.iter().map(|user| format!("{user}@contoso.example")).collect();
        let (boundary, message_id) = (format!("_{}", token(dice, 48)), token(dice, 32));
        let mut out = format!(
            "From: {from} <{from}@contoso.example>\r\nTo: {}\r\nSubject: {}\r\nDate: {}\r\nMessage-ID: \
             <{message_id}@AM9PR04MB8222.eurprd04.prod.outlook.com>\r\nMIME-Version: 1.0\r\n",
            to.join(", "),
            letter.subject,
            date(dice)
        )
        .into_bytes();
        let Some(html) = &letter.html else {
            entity(dice, &mut out, "text/plain", &letter.plain);
            return out;
        };
        let (mixed, alternative) = (format!("m{boundary}"), format!("a{boundary}"));
        if !letter.attached.is_empty() {
            let head = format!("Content-Type: multipart/mixed;\r\n\tboundary=\"{mixed}\"\r\n\r\n--{mixed}\r\n");
            out.extend_from_slice(head.as_bytes());
        }
        let head = format!("Content-Type: multipart/alternative;\r\n\tboundary=\"{alternative}\"\r\n\r\n");
        out.extend_from_slice(head.as_bytes());
        for (media_type, text) in [("text/plain", &letter.plain), ("text/html", html)] {
            out.extend_from_slice(format!("--{alternative}\r\n").as_bytes());
            entity(dice, &mut out, media_type, text);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(format!("--{alternative}--\r\n").as_bytes());
        for (file, disposition) in &letter.attached {
            let head = format!(
                "\r\n--{mixed}\r\nContent-Type: {}; name=\"{name}\"\r\nContent-Disposition: {disposition}; \
                 filename=\"{name}\"; size={}\r\nContent-Transfer-Encoding: base64\r\n\r\n",
                file.media_type,
                file.content.len(),
                name = file.name
            );
            out.extend_from_slice(head.as_bytes());
            base64_lines(&mut out, &file.content);
        }
        if !letter.attached.is_empty() {
            out.extend_from_slice(format!("\r\n--{mixed}--\r\n").as_bytes());
        }
        out
    }
}

/// The style sheet that Outlook puts in front of everything.
fn style(dice: &mut StdRng) -> String {
    let mut out = String::from("<html xmlns:o=\"urn:schemas-microsoft-com:office:office\"><head><style><!--\r\n");
    for n in 0..dice.random_range(40..=90) {
        let (element, priority, size) =
            (["p", "div", "span"][dice.random_range(0..3)], dice.random_range(1..=99), dice.random_range(8..=14));
        out.push_str(&format!(
            "{element}.x{n}, li.MsoNormal{n}\r\n\t{{mso-style-priority:{priority};\r\n\tmargin:0in;\r\n\t\
             font-size:{size}.0pt;\r\n\tfont-family:\"Calibri\",sans-serif;}}\r\n"
        ));
    }
    out.push_str("--></style></head><body lang=\"EN-US\" link=\"#0563C1\" vlink=\"#954F72\">");
    out
}

fn hop(dice: &mut StdRng) -> String {
    let (site, n) = (["AM", "DB", "PA", "VI"][dice.random_range(0..4)], dice.random_range(1..=9999));
    format!("{site}{}MB{n:04}.eurprd0{}.prod.outlook.com", dice.random_range(3..=9), dice.random_range(1..=9))
}

fn date(dice: &mut StdRng) -> String {
    let (day, month) = (dice.random_range(1..=28), ["Jan", "Mar", "May", "Sep", "Nov"][dice.random_range(0..5)]);
    let (hour, minute) = (dice.random_range(0..24), dice.random_range(0..60));
    format!("Mon, {day} {month} 2023 {hour:02}:{minute:02}:00 +0000")
}

fn folded(dice: &mut StdRng, lines: usize, width: usize) -> String {
    let lines: Vec<String> = (0..lines).map(|_| token(dice, width)).collect();
    lines.join("\r\n ")
}

fn without_tags(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut in_tag = false;
    for letter in html.chars() {
        match letter {
            '<' => in_tag = true,
            '>' => in_tag = false,
            other if !in_tag => out.push(other),
            _ => {}
        }
    }
    out
}

/// A body in one of the encodings that Exchange chooses.
fn entity(dice: &mut StdRng, out: &mut Vec<u8>, media_type: &str, text: &str) {
    let encoding = match dice.random_range(0..100) {
        0..70 => "quoted-printable",
        70..85 => "base64",
        _ => "8bit",
    };
    let head =
        format!("Content-Type: {media_type}; charset=\"utf-8\"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
    out.extend_from_slice(head.as_bytes());
    match encoding {
        "quoted-printable" => quoted_printable(out, text),
        "base64" => base64_lines(out, text.as_bytes()),
        _ => out.extend_from_slice(text.as_bytes()),
    }
}

fn quoted_printable(out: &mut Vec<u8>, text: &str) {
    for line in text.split("\r\n") {
        let mut column = 0;
        for byte in line.bytes() {
            let plain = (byte.is_ascii_graphic() && byte != b'=') || matches!(byte, b' ' | b'\t');
            let width = if plain { 1 } else { 3 };
            if column + width >= LINE {
                out.extend_from_slice(b"=\r\n");
                column = 0;
            }
            if plain {
                out.push(byte)
            } else {
                out.extend_from_slice(format!("={byte:02X}").as_bytes())
            }
            column += width;
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn base64_lines(out: &mut Vec<u8>, content: &[u8]) {
    for line in STANDARD.encode(content).as_bytes().chunks(LINE) {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
}
