//! The charsets of old mail. Only what the invented texts need; anything else falls back to UTF-8.

use crate::store::message::Charset;

impl Charset {
    pub fn label(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Latin1 => "iso-8859-1",
            Self::Windows1252 => "windows-1252",
            Self::Koi8R => "koi8-r",
            Self::Iso2022Jp => "iso-2022-jp",
        }
    }
}

/// The text in the wished charset, or in UTF-8 when a letter is not in it.
pub fn encode(text: &str, wish: Charset) -> (Vec<u8>, Charset) {
    let encoded = match wish {
        Charset::Utf8 => None,
        Charset::Latin1 => text.chars().map(|c| u8::try_from(c as u32).ok()).collect(),
        Charset::Windows1252 => text.chars().map(windows_1252).collect(),
        Charset::Koi8R => text.chars().map(koi8_r).collect(),
        Charset::Iso2022Jp => iso_2022_jp(text),
    };
    match encoded {
        Some(bytes) => (bytes, wish),
        None => (text.as_bytes().to_vec(), Charset::Utf8),
    }
}

fn windows_1252(c: char) -> Option<u8> {
    const HIGH: [(char, u8); 17] = [
        ('€', 0x80),
        ('‚', 0x82),
        ('„', 0x84),
        ('…', 0x85),
        ('†', 0x86),
        ('‰', 0x89),
        ('Š', 0x8A),
        ('Œ', 0x8C),
        ('‘', 0x91),
        ('’', 0x92),
        ('“', 0x93),
        ('”', 0x94),
        ('•', 0x95),
        ('–', 0x96),
        ('—', 0x97),
        ('™', 0x99),
        ('œ', 0x9C),
    ];
    if let Some((_, byte)) = HIGH.iter().find(|(have, _)| *have == c) {
        return Some(*byte);
    }
    u8::try_from(c as u32).ok().filter(|byte| !(0x80..0xA0).contains(byte))
}

fn koi8_r(c: char) -> Option<u8> {
    const LOWER: &str = "юабцдефгхийклмнопярстужвьызшэщчъ";
    if c.is_ascii() {
        return Some(c as u8);
    }
    match c {
        'ё' => return Some(0xA3),
        'Ё' => return Some(0xB3),
        _ => {}
    }
    let lower = c.to_lowercase().next()?;
    let at = LOWER.chars().position(|have| have == lower)? as u8;
    Some(if lower == c { 0xC0 + at } else { 0xE0 + at })
}

// Kana and a few marks are all the invented Japanese uses.
fn iso_2022_jp(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() + 8);
    let mut wide = false;
    for c in text.chars() {
        let pair = match c {
            c if c.is_ascii() => None,
            'ぁ'..='ん' => Some([0x24, 0x21 + (c as u32 - 'ぁ' as u32) as u8]),
            'ァ'..='ヶ' => Some([0x25, 0x21 + (c as u32 - 'ァ' as u32) as u8]),
            'ー' => Some([0x21, 0x3C]),
            '。' => Some([0x21, 0x23]),
            _ => return None,
        };
        match (pair, wide) {
            (Some(_), false) => out.extend_from_slice(b"\x1b$B"),
            (None, true) => out.extend_from_slice(b"\x1b(B"),
            (Some(_), true) | (None, false) => {}
        }
        wide = pair.is_some();
        match pair {
            Some(pair) => out.extend_from_slice(&pair),
            None => out.push(c as u8),
        }
    }
    if wide {
        out.extend_from_slice(b"\x1b(B");
    }
    Some(out)
}
