//! From texts to words, and from words to the numbers by which they are found. Pure.
//!
//! A word is a run of letters and digits in lower case, so that `report_final.pdf` is three words and an address the
//! words of its parts; an address is one word besides, because its parts stand in most texts of a company. Chinese,
//! Japanese and Thai put no spaces between words: there each two neighbouring characters are a word. Only numbers are
//! kept: two words that share one are taken for each other, which happens to one word among a thousand million.

use std::collections::BTreeSet;

/// Longer words are cut, as a question's words are.
const WORD_CHARS_MAX: usize = 64;
/// Words of one text that are kept: the first ones.
pub const WORDS_MAX: usize = 200;
/// Words of a question.
pub const ASKED_MAX: usize = 16;
/// Shelves that words are dealt out to: see the table `search_words`.
pub const SHELVES: u8 = 128;

/// Where in an item a word stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Its name or its other side, or what belongs to them.
    Text,
    Recipient,
    Attachment,
}

/// A word by its number: 7 bits for the shelf, 24 bits that tell it from others there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word {
    pub shelf: u8,
    pub tag: u32,
}

const TAG_MASK: u32 = (1 << 24) - 1;

impl Word {
    pub fn of(field: Field, word: &str) -> Self {
        let number = number(word);
        // The same word of another field lies on the same shelf.
        let salt = match field {
            Field::Text => 0,
            Field::Recipient => 0x005b_d1e9,
            Field::Attachment => 0x00a3_c59b,
        };
        Self { shelf: (number % u64::from(SHELVES)) as u8, tag: ((number >> 32) as u32 & TAG_MASK) ^ salt }
    }
}

/// FNV-1a, its bits mixed once more: quick for short words, and the same in every version.
fn number(word: &str) -> u64 {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let folded = word.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    let mixed = (folded ^ (folded >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

/// Hands over each word of a text.
pub fn split(text: &str, mut each: impl FnMut(&str)) {
    let mut word = String::new();
    if text.is_ascii() {
        for run in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|run| !run.is_empty()) {
            word.clear();
            word.push_str(&run[..run.len().min(WORD_CHARS_MAX)]);
            word.make_ascii_lowercase();
            each(&word);
        }
        return;
    }
    let mut n_chars = 0;
    let mut before: Option<char> = None;
    let mut alone = false;
    let lower = text.chars().flat_map(char::to_lowercase);
    // A last separator ends the last word.
    for c in lower.chain([' ']) {
        if is_unspaced(c) || !c.is_alphanumeric() {
            if !word.is_empty() {
                each(&word);
                word.clear();
                n_chars = 0;
            }
            match (before, is_unspaced(c)) {
                (Some(first), true) => {
                    each(&String::from_iter([first, c]));
                    alone = false;
                }
                (Some(last), false) if alone => each(last.encode_utf8(&mut [0; 4])),
                (_, is_unspaced) => alone = is_unspaced,
            }
            before = is_unspaced(c).then_some(c);
        } else {
            if let (Some(last), true) = (before.take(), alone) {
                each(last.encode_utf8(&mut [0; 4]));
                alone = false;
            }
            if n_chars < WORD_CHARS_MAX {
                word.push(c);
                n_chars += 1;
            }
        }
    }
}

/// Of a script that puts no spaces between words.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0e01}'..='\u{0e4e}' | '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2fa1f}')
}

/// The addresses of a text, in lower case.
pub fn addresses(text: &str) -> impl Iterator<Item = String> {
    pieces(text).filter(|piece| is_address(piece)).map(str::to_lowercase)
}

/// A text without its addresses.
pub fn without_addresses(text: &str) -> String {
    pieces(text).filter(|piece| !is_address(piece)).collect::<Vec<_>>().join(" ")
}

/// What stands between spaces, and between the marks that people put around addresses.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | '"' | ',' | ';' | ':');
    text.split(ends).map(|piece| piece.trim_matches(['.', '\''])).filter(|piece| !piece.is_empty())
}

fn is_address(piece: &str) -> bool {
    let parts = piece.split_once('@').filter(|(name, house)| !name.is_empty() && !house.contains('@'));
    parts.and_then(|(_, house)| house.split_once('.')).is_some_and(|(house, end)| !house.is_empty() && !end.is_empty())
}

/// The words of a question, each once; of an address, those of its parts.
pub fn asked(text: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    split(text, |word| {
        words.insert(word.to_owned());
    });
    words
}

/// The words of an item: of what it shows, and of what its feature has gathered, a text a line. A line that begins with
/// `>` is a recipient, with `+` an attachment's name.
pub fn of_item(shown: [&str; 2], gathered: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut take = |field: Field, text: &str| {
        let mut keep = |word: &str| {
            let word = Word::of(field, word);
            if words.len() < WORDS_MAX && !words.contains(&word) {
                words.push(word);
            }
        };
        split(text, &mut keep);
        if text.contains('@') {
            addresses(text).for_each(|address| keep(&address));
        }
    };
    shown.iter().for_each(|text| take(Field::Text, text));
    for line in gathered.lines() {
        match line.as_bytes().first() {
            Some(b'>') => take(Field::Recipient, &line[1..]),
            Some(b'+') => take(Field::Attachment, &line[1..]),
            _ => take(Field::Text, line),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        split(text, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn names_addresses_and_files_fall_into_the_words_that_people_type() {
        for (text, wanted) in [
            ("RE: Budget (Q3) 2026!", "re budget q3 2026"),
            ("ann.b@Contoso.com", "ann b contoso com"),
            ("report_final-v2.PDF", "report final v2 pdf"),
            ("Größe ÄRGER", "größe ärger"),
            ("  ", ""),
            ("", ""),
            ("3.5\u{a0}kg", "3 5 kg"),
        ] {
            assert_eq!(words(text).join(" "), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_ascii_falls_into_the_words_that_it_has_beside_other_letters(text in "[ -~\t]{0,200}") {
            let mut beside = words(&format!("{text} ü"));
            prop_assert_eq!(beside.pop(), Some("ü".to_owned()));
            prop_assert_eq!(words(&text), beside);
        }
    }

    #[test]
    fn scripts_without_spaces_are_found_by_each_two_characters() {
        assert_eq!(words("東京都 会議v2 猫 犬2"), ["東京", "京都", "会議", "v2", "猫", "犬", "2"]);
        assert_eq!(words("x東"), ["x", "東"]);
    }

    #[test]
    fn a_word_without_end_is_cut_as_that_of_a_question_is() {
        assert_eq!(words(&"a".repeat(1000)), ["a".repeat(WORD_CHARS_MAX)]);
    }

    #[test]
    fn the_same_word_of_another_field_is_another_on_the_same_shelf() {
        let all = [Field::Text, Field::Recipient, Field::Attachment].map(|field| Word::of(field, "plan"));

        assert!(all.iter().all(|word| word.shelf == all[0].shelf && word.shelf < SHELVES));
        assert!(all[0].tag != all[1].tag && all[1].tag != all[2].tag && all[0].tag != all[2].tag);
        assert!(all.iter().all(|word| word.tag <= TAG_MASK));
    }

    #[test]
    fn an_address_is_told_from_what_only_looks_like_one() {
        for (text, wanted) in [
            ("Ann.B@Contoso.com", "ann.b@contoso.com"),
            ("\"B., Ann\" <ann@x.de>, bob+tag@y.co.uk; mail o'neil@x.de.", "ann@x.de bob+tag@y.co.uk o'neil@x.de"),
            ("SMTP:Ann@x.de", "ann@x.de"),
            ("ann@contoso @x.de ann@ ann@@x.de ann@.de ann@x. a@b@c.de", ""),
            ("", ""),
        ] {
            assert_eq!(addresses(text).collect::<Vec<_>>().join(" "), wanted, "{text:?}");
        }
        assert_eq!(without_addresses("offer ann@x.de, ann@contoso"), "offer ann@contoso");
    }

    #[test]
    fn what_was_gathered_goes_to_its_fields_and_nothing_stands_twice() {
        let found = of_item(["Plan", "ann@x.de"], "plan\n>bob@x.de\n+plan.pdf");

        let wanted = [
            (Field::Text, "plan"),
            (Field::Text, "ann"),
            (Field::Text, "x"),
            (Field::Text, "de"),
            (Field::Text, "ann@x.de"),
            (Field::Recipient, "bob"),
            (Field::Recipient, "x"),
            (Field::Recipient, "de"),
            (Field::Recipient, "bob@x.de"),
            (Field::Attachment, "plan"),
            (Field::Attachment, "pdf"),
        ];
        assert_eq!(found, wanted.map(|(field, word)| Word::of(field, word)));
    }

    #[test]
    fn an_item_has_so_many_words_and_no_more() {
        let text: String = (0..1000).map(|n| format!("w{n} ")).collect();

        assert_eq!(of_item([&text, ""], "").len(), WORDS_MAX);
    }
}
