//! Documents, pictures and large files. What such a format compresses itself is noise to everybody else.

use rand::Rng;
use rand::RngCore;
use rand::rngs::StdRng;

use super::World;

const RECORD_BYTES: usize = 64;
const RECORDS: usize = 512;

#[derive(Clone)]
pub struct File {
    pub name: String,
    pub media_type: &'static str,
    pub content: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pdf,
    Docx,
    Xlsx,
    Jpg,
    Png,
    Csv,
    Txt,
}

impl Kind {
    /// One of the kinds, by these weights out of a hundred.
    fn pick(dice: &mut StdRng, weights: [(Self, u32); 7]) -> Self {
        let mut at = dice.random_range(0..weights.iter().map(|(_, weight)| weight).sum());
        for (kind, weight) in weights {
            if at < weight {
                return kind;
            }
            at -= weight;
        }
        Self::Txt
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Docx => "docx",
            Self::Xlsx => "xlsx",
            Self::Jpg => "jpg",
            Self::Png => "png",
            Self::Csv => "csv",
            Self::Txt => "txt",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Jpg => "image/jpeg",
            Self::Png => "image/png",
            Self::Csv => "text/csv",
            Self::Txt => "text/plain",
        }
    }

    fn content(self, world: &mut World, bytes: usize) -> Vec<u8> {
        match self {
            Self::Pdf => pdf(world, bytes),
            Self::Docx | Self::Xlsx => [b"PK\x03\x04".as_slice(), &noise(&mut world.dice, bytes)].concat(),
            Self::Jpg => [b"\xff\xd8\xff\xe0\x00\x10JFIF".as_slice(), &noise(&mut world.dice, bytes)].concat(),
            Self::Png => [b"\x89PNG\r\n\x1a\n".as_slice(), &noise(&mut world.dice, bytes)].concat(),
            Self::Csv => csv(world, bytes),
            Self::Txt => text(world, bytes),
        }
    }
}

/// What is attached to mails again and again.
pub struct Pool {
    pub files: Vec<File>,
}

impl Pool {
    pub fn new(world: &mut World, n: usize) -> Self {
        use Kind::{Csv, Docx, Jpg, Pdf, Png, Txt, Xlsx};
        let files = (0..n).map(|number| {
            let weights = [(Pdf, 34), (Docx, 22), (Xlsx, 12), (Jpg, 20), (Png, 6), (Csv, 3), (Txt, 3)];
            let kind = Kind::pick(&mut world.dice, weights);
            let median = match kind {
                Pdf => 140e3,
                Docx => 45e3,
                Xlsx => 35e3,
                Jpg => 260e3,
                Png => 60e3,
                Csv => 30e3,
                Txt => 8e3,
            };
            let bytes = length(&mut world.dice, median, 1.25, 2_000..14_000_000);
            make(world, kind, bytes, number)
        });
        Self { files: files.collect() }
    }

    /// One of them, the first ones most often, or one that nobody else has.
    pub fn pick(&self, world: &mut World) -> File {
        use Kind::{Csv, Docx, Jpg, Pdf, Png, Txt, Xlsx};
        if world.dice.random_bool(0.35) {
            let weights = [(Pdf, 40), (Docx, 20), (Xlsx, 12), (Jpg, 28), (Png, 0), (Csv, 0), (Txt, 0)];
            let kind = Kind::pick(&mut world.dice, weights);
            let bytes = length(&mut world.dice, 110e3, 1.1, 2_000..12_000_000);
            let number = world.dice.random_range(0..1_000_000);
            return make(world, kind, bytes, number);
        }
        let n = self.files.len() as f64;
        let rank = 8.0 * ((n / 8.0 + 1.0).powf(world.dice.random::<f64>()) - 1.0);
        self.files[(rank as usize).min(self.files.len() - 1)].clone()
    }
}

/// A document of somebody's OneDrive.
pub fn own(world: &mut World, number: usize) -> File {
    use Kind::{Csv, Docx, Jpg, Pdf, Png, Txt, Xlsx};
    let weights = [(Pdf, 22), (Docx, 24), (Xlsx, 14), (Jpg, 26), (Png, 6), (Csv, 5), (Txt, 3)];
    let kind = Kind::pick(&mut world.dice, weights);
    let median = match kind {
        Pdf => 220e3,
        Docx | Xlsx => 60e3,
        Jpg => 900e3,
        Png => 90e3,
        Csv => 120e3,
        Txt => 12e3,
    };
    let bytes = length(&mut world.dice, median, 1.2, 1_500..30_000_000);
    make(world, kind, bytes, number)
}

fn make(world: &mut World, kind: Kind, bytes: usize, number: usize) -> File {
    let content = kind.content(world, bytes);
    let words = [world.prose.name(&mut world.dice), world.prose.name(&mut world.dice)].join("-");
    File { name: format!("{words}-{number:05}.{}", kind.extension()), media_type: kind.media_type(), content }
}

/// Log-normal around a median.
fn length(dice: &mut StdRng, median: f64, sigma: f64, bounds: std::ops::Range<usize>) -> usize {
    let (radius, angle): (f64, f64) = (1.0 - dice.random::<f64>(), dice.random());
    let normal = (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
    ((median * (sigma * normal).exp()) as usize).clamp(bounds.start, bounds.end)
}

/// Bytes that do not compress.
pub fn noise(dice: &mut StdRng, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    dice.fill_bytes(&mut out);
    out
}

/// Objects that are pictures, fonts and compressed pages, with a little text between them.
fn pdf(world: &mut World, bytes: usize) -> Vec<u8> {
    let mut out = b"%PDF-1.7\n".to_vec();
    let mut number = 1;
    while out.len() < bytes {
        let picture = world.dice.random_bool(0.4);
        let len = world.dice.random_range(if picture { 8_000..90_000 } else { 1_200..1_900 });
        let filter = if picture { "DCTDecode" } else { "FlateDecode" };
        out.extend_from_slice(format!("{number} 0 obj\n<</Length {len}/Filter/{filter}>>stream\n").as_bytes());
        out.extend_from_slice(&noise(&mut world.dice, len.min(bytes)));
        out.extend_from_slice(b"\nendstream\nendobj\n");
        number += 1;
    }
    out
}

fn csv(world: &mut World, bytes: usize) -> Vec<u8> {
    let names: Vec<String> = (0..60).map(|_| world.prose.sentence(&mut world.dice, 1..=3)).collect();
    let mut out = Vec::with_capacity(bytes + 200);
    while out.len() < bytes {
        let dice = &mut world.dice;
        let name = &names[dice.random_range(0..names.len())];
        let (count, price) = (dice.random_range(0..100_000), dice.random::<f64>() * 1e3);
        let (month, day) = (dice.random_range(1..=12), dice.random_range(1..=28));
        let line = format!("{name};{count};{price:.2};2023-{month:02}-{day:02};{:032x}\r\n", dice.random::<u128>());
        out.extend_from_slice(line.as_bytes());
    }
    out
}

fn text(world: &mut World, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes + 2000);
    while out.len() < bytes {
        out.extend_from_slice(world.prose.paragraph(&mut world.dice, 2..=6).as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
    }
    out
}

/// Pages of a mailbox file or a disk image: some empty, some noise, some full of records that resemble each other.
pub fn pages(dice: &mut StdRng, bytes: usize, page_bytes: usize) -> Vec<u8> {
    let records: Vec<Vec<u8>> = (0..RECORDS).map(|_| noise(dice, RECORD_BYTES - 16)).collect();
    let mut out = Vec::with_capacity(bytes + page_bytes);
    while out.len() < bytes {
        let number = (out.len() / page_bytes) as u64;
        match dice.random_range(0..100) {
            0..15 => out.resize(out.len() + page_bytes, 0),
            15..55 => out.extend_from_slice(&noise(dice, page_bytes)),
            _ => {
                for _ in 0..page_bytes / RECORD_BYTES {
                    out.extend_from_slice(&records[dice.random_range(0..RECORDS)]);
                    out.extend_from_slice(&number.to_le_bytes());
                    out.extend_from_slice(&dice.next_u64().to_le_bytes());
                }
            }
        }
    }
    out
}

pub fn log(world: &mut World, bytes: usize) -> Vec<u8> {
    let events: Vec<String> = (0..400).map(|_| world.prose.sentence(&mut world.dice, 4..=10)).collect();
    let mut out = Vec::with_capacity(bytes + 200);
    let mut second = 1_672_531_200u64;
    while out.len() < bytes {
        let dice = &mut world.dice;
        second += dice.random_range(0..=2);
        let level = ["INFO", "WARN", "ERROR"][dice.random_range(0..3)];
        let (server, process) = (dice.random_range(1..=20), dice.random_range(100..10_000));
        let event = &events[dice.random_range(0..events.len())];
        let id = dice.next_u64() >> 16;
        out.extend_from_slice(format!("{second} {level} srv{server:02}[{process}]: {event} id={id:012x}\n").as_bytes());
    }
    out
}
