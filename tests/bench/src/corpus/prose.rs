//! A made-up language: frequent words are frequent as in real ones, and some words like to follow others.

use std::ops::RangeInclusive;

use rand::Rng;
use rand::rngs::StdRng;

const WORDS: usize = 7000;
/// Words that like to follow each word.
const FOLLOWERS: usize = 12;
/// How often one of them does.
const FOLLOWING: f64 = 0.5;
const SYLLABLES: [&str; 40] = [
    "ba", "der", "mi", "ton", "sa", "re", "ing", "lo", "ve", "nu", "sti", "kor", "an", "pel", "gra", "tu", "ish", "mo",
    "fen", "al", "cor", "ti", "ness", "par", "o", "len", "ru", "vi", "est", "ca", "dom", "e", "shi", "ter", "on",
    "pli", "wa", "ur", "ment", "y",
];

pub struct Prose {
    words: Vec<String>,
    followers: Vec<[u16; FOLLOWERS]>,
}

impl Prose {
    pub fn new(dice: &mut StdRng) -> Self {
        let words = (0..WORDS).map(|rank| word(dice, rank)).collect();
        let followers = (0..WORDS).map(|_| std::array::from_fn(|_| frequent(dice) as u16)).collect();
        Self { words, followers }
    }

    /// A word with a capital letter.
    pub fn name(&self, dice: &mut StdRng) -> String {
        capital(&self.words[dice.random_range(50..WORDS)])
    }

    pub fn sentence(&self, dice: &mut StdRng, words: RangeInclusive<usize>) -> String {
        let mut at = frequent(dice);
        let mut text = capital(&self.words[at]);
        for _ in 1..dice.random_range(words).max(1) {
            at = self.next(dice, at);
            text.push_str(if dice.random_bool(0.06) { ", " } else { " " });
            text.push_str(&self.words[at]);
        }
        text
    }

    pub fn paragraph(&self, dice: &mut StdRng, sentences: RangeInclusive<usize>) -> String {
        let sentences: Vec<String> =
            (0..dice.random_range(sentences)).map(|_| self.sentence(dice, 6..=24) + ".").collect();
        sentences.join(" ")
    }

    fn next(&self, dice: &mut StdRng, after: usize) -> usize {
        if dice.random_bool(FOLLOWING) {
            usize::from(self.followers[after][dice.random_range(0..FOLLOWERS)])
        } else {
            frequent(dice)
        }
    }
}

/// The rank of a word: the tenth is met about ten times as often as the hundredth.
fn frequent(dice: &mut StdRng) -> usize {
    let rank = (WORDS as f64).powf(dice.random::<f64>()) as usize;
    rank.clamp(1, WORDS) - 1
}

/// Frequent words are short.
fn word(dice: &mut StdRng, rank: usize) -> String {
    let most = match rank {
        0..40 => 1,
        40..600 => 2,
        _ => 4,
    };
    (0..dice.random_range(1..=most)).map(|_| SYLLABLES[dice.random_range(0..SYLLABLES.len())]).collect()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
