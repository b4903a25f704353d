//! The fuzz targets over the golden files and seeded mutants of them, so that targets and decoders cannot drift apart
//! between two runs of the fuzzer.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::{mail, noise};
use crate::repository::fuzzing;

/// How long one target is driven, and at least how many inputs it sees on the slowest machine.
const DRIVEN: Duration = Duration::from_millis(600);
const INPUTS_MIN: usize = 200;
const INPUT_BYTES_MAX: usize = 64 << 10;

/// Numbers on which lengths and offsets go wrong.
const AWKWARD: [u64; 8] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

fn golden_files() -> Vec<Vec<u8>> {
    let (mut found, mut folders) = (Vec::new(), vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")]);
    while let Some(folder) = folders.pop() {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(std::fs::read(path).unwrap()),
            }
        }
    }
    assert!(found.len() > 6, "the golden files were not found");
    found
}

fn mutant(seeds: &[Vec<u8>], dice: &mut StdRng) -> Vec<u8> {
    let mut bytes = seeds.choose(dice).unwrap().clone();
    for _ in 0..dice.random_range(1..=6) {
        let at = dice.random_range(0..=bytes.len());
        match dice.random_range(0..6) {
            0 => bytes.truncate(at),
            1 => bytes[at..].iter_mut().take(1).for_each(|byte| *byte ^= 1 << dice.random_range(0..8)),
            2 => {
                let number = AWKWARD.choose(dice).unwrap().to_le_bytes();
                let width = *[1, 2, 4, 8].choose(dice).unwrap();
                bytes[at..].iter_mut().zip(&number[..width]).for_each(|(byte, new)| *byte = *new);
            }
            3 => {
                let end = (at + dice.random_range(0..100)).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let other = seeds.choose(dice).unwrap();
                let from = dice.random_range(0..=other.len());
                let piece = other[from..].iter().take(dice.random_range(0..300)).copied().collect::<Vec<_>>();
                bytes.splice(at..at, piece);
            }
            _ => bytes.extend_from_within(at / 2..at),
        }
        bytes.truncate(INPUT_BYTES_MAX);
    }
    bytes
}

/// A panic of the target fails the test; the seed is fixed, so it fails again.
fn drive(target: fn(&[u8]), seeds: &[Vec<u8>], seed: u64) {
    seeds.iter().for_each(|bytes| target(bytes));
    let mut dice = StdRng::seed_from_u64(seed);
    let begun = Instant::now();
    let mut n_inputs = 0;
    while n_inputs < INPUTS_MIN || begun.elapsed() < DRIVEN {
        target(&mutant(seeds, &mut dice));
        n_inputs += 1;
    }
}

#[test]
fn the_pack_decoder_meets_any_bytes_without_a_panic() {
    drive(fuzzing::pack, &golden_files(), 1);
}

#[test]
fn the_recipe_decoder_meets_any_bytes_without_a_panic() {
    let mut seeds: Vec<Vec<u8>> = fuzzing::recipes_of(&[mail("a", &noise(1, 9000)), mail("b", b"short")]);
    seeds.push(Vec::new());
    drive(fuzzing::recipe, &seeds, 2);
}

#[test]
fn the_mime_splitter_gives_any_bytes_back() {
    let seeds = [mail("a", &noise(1, 9000)).to_vec(), mail("b", &noise(2, 2048)).to_vec(), mail("c", b"").to_vec()];
    drive(fuzzing::message, &seeds, 3);
}

#[test]
fn descriptions_and_key_files_of_any_bytes_are_read_or_refused() {
    let texts: Vec<Vec<u8>> = golden_files().into_iter().filter(|file| file.is_ascii()).collect();
    assert!(texts.len() > 4);
    drive(fuzzing::description, &texts, 4);
}
