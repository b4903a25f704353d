//! Words and sentences for the invented mail, in the languages the charsets are for.

use crate::dice::Dice;
use crate::store::message::Charset;

pub const GIVEN: [&str; 41] = [
    "Anna", "Björn", "Clara", "David", "Elena", "Farid", "Grete", "Hannes", "Ines", "Jonas", "Katrin", "Lukas",
    "Marta", "Nils", "Olga", "Pavel", "Queralt", "Rosa", "Stefan", "Tomás", "Ulla", "Viktor", "Wanda", "Xenia",
    "Yusuf", "Zoë", "Adele", "Bruno", "Cem", "Dora", "Emil", "Frida", "Gustav", "Hilde", "Ivan", "Judith", "Karim",
    "Lena", "Moritz", "Noor", "Otto",
];
pub const SURNAMES: [&str; 37] = [
    "Albrecht",
    "Becker",
    "Çelik",
    "Dahl",
    "Eriksen",
    "Fischer",
    "García",
    "Huber",
    "Ivanova",
    "Jansen",
    "Keller",
    "Lindqvist",
    "Müller",
    "Novak",
    "Olsen",
    "Peters",
    "Quist",
    "Rossi",
    "Schäfer",
    "Tanaka",
    "Ulrich",
    "Vogel",
    "Weiß",
    "Xu",
    "Yilmaz",
    "Zimmer",
    "Arnold",
    "Brandt",
    "Conrad",
    "Dietz",
    "Ebert",
    "Franke",
    "Götz",
    "Hartmann",
    "Imhof",
    "Jäger",
    "Köhler",
];
pub const DEPARTMENTS: [&str; 8] =
    ["Sales", "Finance", "Engineering", "Operations", "Human Resources", "Legal", "Purchasing", "Marketing"];
pub const TITLES: [&str; 6] = ["Manager", "Analyst", "Engineer", "Assistant", "Director", "Specialist"];
pub const OUTSIDE_HOSTS: [&str; 6] = [
    "nordwind-logistik.example",
    "papier-und-co.example",
    "atelier-vermeer.example",
    "kraftwerk-ost.example",
    "mail.invalid-bank.example",
    "sakura-parts.example",
];
pub const FOLDERS: [&str; 10] = [
    "Projects",
    "Customers",
    "Invoices",
    "Travel",
    "Archive 2023",
    "Newsletters",
    "Personal/Private",
    "Zu erledigen",
    "Reports",
    "Größere Vorhaben",
];
pub const CATEGORIES: [&str; 6] = ["Red category", "Blue category", "Customer", "Urgent", "Überfällig", "Follow up"];

const OPENERS: [&str; 6] =
    ["Re the", "About the", "Please see the", "Regarding our", "Next steps for the", "Notes on the"];
const THINGS: [&str; 12] = [
    "quarterly report",
    "delivery to Lyon",
    "site visit",
    "contract renewal",
    "budget 2026",
    "hiring plan",
    "invoice run",
    "server move",
    "trade fair",
    "price list",
    "audit",
    "product launch",
];
const ACTIONS: [&str; 10] = [
    "I have attached the figures",
    "we still need an answer from legal",
    "the customer called again this morning",
    "the supplier asks for two more weeks",
    "please review the second page",
    "numbers changed since Monday",
    "let us meet on Thursday",
    "nobody has signed yet",
    "the draft is nearly done",
    "it works on the new machine",
];
const LINKS: [&str; 6] = ["and", "but", "so", "although", "because", "while"];

const GERMAN: [&str; 6] = [
    "die Lieferung für Köln verzögert sich",
    "bitte prüfen Sie die Beträge",
    "wir müssen das Gespräch verschieben",
    "die Übergabe läuft über das Büro",
    "das Straßenfest fällt aus",
    "schöne Grüße aus Österreich",
];
const TYPOGRAPHIC: [&str; 5] = [
    "the price is 1.250 € – as agreed",
    "she said “not before June” …",
    "that’s the customer’s own wording",
    "see §4 – ‘Delivery’ – of the contract™",
    "Œuvre complète, tarif à 30 €",
];
const RUSSIAN: [&str; 5] = [
    "Добрый день, высылаю отчёт за квартал",
    "Просим подтвердить получение счёта",
    "Встреча переносится на четверг",
    "Спасибо за быстрый ответ",
    "Договор ещё не подписан",
];
const JAPANESE: [&str; 5] = [
    "おせわになっております",
    "ファイルをおおくりします",
    "よろしくおねがいいたします",
    "サーバーのメンテナンスについて",
    "ありがとうございました",
];
const WORLD: [&str; 5] = [
    "ζεστά χαιρετίσματα από την Αθήνα",
    "naïve façade, 100 % 👍 shipped",
    "zażółć gęślą jaźń",
    "会議は木曜日に変更されました",
    "مرحبا بكم في الاجتماع",
];

pub fn subject(dice: &mut Dice, charset: Charset) -> String {
    match charset {
        Charset::Utf8 if dice.percent(70) => {
            format!("{} {}", dice.word(&OPENERS), dice.word(&THINGS))
        }
        other => format!("{} {}", foreign(dice, other), dice.below(400)),
    }
}

pub fn thing(dice: &mut Dice) -> &'static str {
    dice.word(&THINGS)
}

pub fn sentence(dice: &mut Dice, charset: Charset) -> String {
    if charset != Charset::Utf8 && dice.percent(50) || charset == Charset::Utf8 && dice.percent(8) {
        return format!("{}.", foreign(dice, charset));
    }
    let (first, second) = (dice.word(&ACTIONS), dice.word(&ACTIONS));
    let (thing, link) = (dice.word(&THINGS), dice.word(&LINKS));
    format!("On the {thing}: {first}, {link} {second} ({}).", dice.below(10_000))
}

/// `n` paragraphs of a few sentences, separated by empty lines.
pub fn paragraphs(dice: &mut Dice, charset: Charset, n: u64) -> String {
    let mut out = String::new();
    for i in 0..n {
        if i > 0 {
            out.push_str("\r\n\r\n");
        }
        for j in 0..2 + dice.below(4) {
            if j > 0 {
                out.push(' ');
            }
            out.push_str(&sentence(dice, charset));
        }
    }
    out
}

fn foreign(dice: &mut Dice, charset: Charset) -> &'static str {
    match charset {
        Charset::Latin1 => dice.word(&GERMAN),
        Charset::Windows1252 => dice.word(&TYPOGRAPHIC),
        Charset::Koi8R => dice.word(&RUSSIAN),
        Charset::Iso2022Jp => dice.word(&JAPANESE),
        Charset::Utf8 => dice.word(&WORLD),
    }
}
