//! The invented company: who works there, whom they write to, and what they write.

pub mod address_book;
pub mod agenda;
mod extras;
mod habits;
pub mod mail;
pub mod populate;
pub mod text;

use crate::dice::Dice;
use crate::store::message::Person;

/// Everybody a mail can come from or go to; fixed when the tenant is made.
#[derive(Debug)]
pub struct World {
    pub seed: u64,
    pub domain: String,
    pub staff: Vec<Staff>,
    pub outsiders: Vec<Person>,
    pub large_attachments: bool,
}

#[derive(Clone, Debug)]
pub struct Staff {
    pub person: Person,
    pub given_name: String,
    pub surname: String,
    pub department: &'static str,
    pub title: &'static str,
}

impl World {
    pub fn new(seed: u64, domain: &str, n_staff: usize, large_attachments: bool) -> Self {
        let staff = (0..n_staff).map(|i| make_staff(seed, domain, i)).collect();
        let outsiders = (0..24).map(|i| make_outsider(seed, i)).collect();
        Self { seed, domain: domain.to_owned(), staff, outsiders, large_attachments }
    }
}

fn make_staff(seed: u64, domain: &str, i: usize) -> Staff {
    let given_name = text::GIVEN[(i * 7 + seed as usize % 5) % text::GIVEN.len()];
    let surname = text::SURNAMES[(i * 11 + i / text::SURNAMES.len()) % text::SURNAMES.len()];
    let mut dice = Dice::of(&[seed, 1, i as u64]);
    let lap = i / 40;
    let suffix = if lap == 0 { String::new() } else { lap.to_string() };
    let address = format!("{}.{}{suffix}@{domain}", plain(given_name), plain(surname));
    Staff {
        person: Person { name: format!("{given_name} {surname}"), address },
        given_name: given_name.to_owned(),
        surname: surname.to_owned(),
        department: dice.word(&text::DEPARTMENTS),
        title: dice.word(&text::TITLES),
    }
}

fn make_outsider(seed: u64, i: u64) -> Person {
    let mut dice = Dice::of(&[seed, 2, i]);
    let (given, surname) = (dice.word(&text::GIVEN), dice.word(&text::SURNAMES));
    let host = dice.word(&text::OUTSIDE_HOSTS);
    Person { name: format!("{given} {surname}"), address: format!("{}.{}{i}@{host}", plain(given), plain(surname)) }
}

fn plain(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            'ä' => "ae".to_owned(),
            'ö' => "oe".to_owned(),
            'ü' | 'Ü' => "ue".to_owned(),
            'ß' => "ss".to_owned(),
            'é' | 'è' => "e".to_owned(),
            'ñ' => "n".to_owned(),
            other => other.to_ascii_lowercase().to_string(),
        })
        .collect()
}
