//! Turns an item's content into shared blobs and a recipe. Pure: what is stored already is the packer's question.

use bytes::Bytes;

use super::base64_text::Base64Lines;
use super::chunking::Chunking;
use super::format::BlobHash;
use super::mime;
use super::recipe::{INLINE_BYTES_MAX, INLINE_RUN_BYTES_MAX, Ingredient, Recipe, Step};

/// A shared blob that content is made of.
#[derive(Clone, Debug)]
pub struct SharedPart {
    pub hash: BlobHash,
    pub plain: Bytes,
}

/// Content taken apart.
#[derive(Clone, Debug)]
pub struct Parts {
    pub recipe: Recipe,
    /// In the order of the recipe; the same part may come twice.
    pub shared: Vec<SharedPart>,
}

/// Takes a message apart.
pub fn take_apart_mime(chunking: &Chunking, message: &Bytes) -> Parts {
    let mut cutting = Cutting::new(chunking);
    let mut at = 0;
    for part in mime::split(message) {
        cutting.own(message.slice(at..part.text.start));
        at = part.text.end;
        match part.decoded {
            None => cutting.share(message.slice(part.text), None),
            Some((lines, content)) => cutting.share(content.into(), Some(lines)),
        }
    }
    cutting.own(message.slice(at..));
    cutting.finish(message)
}

/// Takes content apart of which nothing is known.
pub fn take_apart_raw(chunking: &Chunking, content: &Bytes) -> Parts {
    let mut cutting = Cutting::new(chunking);
    if content.len() < mime::PART_BYTES_MIN {
        cutting.own(content.clone());
    } else {
        cutting.share(content.clone(), None);
    }
    cutting.finish(content)
}

struct Cutting<'a> {
    chunking: &'a Chunking,
    steps: Vec<Step>,
    shared: Vec<SharedPart>,
    inline_bytes: usize,
}

impl<'a> Cutting<'a> {
    fn new(chunking: &'a Chunking) -> Self {
        Self { chunking, steps: Vec::new(), shared: Vec::new(), inline_bytes: 0 }
    }

    /// Text that no other item has: kept in the recipe, unless it would bloat it.
    fn own(&mut self, text: Bytes) {
        if text.is_empty() {
            return;
        }
        if text.len() > INLINE_RUN_BYTES_MAX || self.inline_bytes + text.len() > INLINE_BYTES_MAX {
            return self.share(text, None);
        }
        self.inline_bytes += text.len();
        self.steps.push(Step::Inline(text.to_vec()));
    }

    fn share(&mut self, content: Bytes, lines: Option<Base64Lines>) {
        let mut ingredients = Vec::new();
        for plain in self.chunking.cut(content) {
            let hash = self.chunking.hash(&plain);
            let bytes = u32::try_from(plain.len()).expect("a chunk is at most 16 MiB");
            ingredients.push(Ingredient { blob: hash.id(), bytes });
            self.shared.push(SharedPart { hash, plain });
        }
        self.steps.push(match lines {
            None => Step::Blobs(ingredients),
            Some(lines) => Step::Base64(lines.width, lines.crlf, ingredients),
        });
    }

    fn finish(self, content: &Bytes) -> Parts {
        let hash = match (&self.steps[..], &self.shared[..]) {
            // Content that is one blob has been hashed as such.
            ([Step::Blobs(_)], [whole]) => whole.hash,
            _ => self.chunking.hash(content),
        };
        let hash = *hash.as_bytes();
        Parts { recipe: Recipe::new(content.len() as u64, hash, self.steps), shared: self.shared }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::repository::assemble::Assembly;
    use crate::repository::chunking::ChunkSizes;
    use crate::repository::keys::StoreKeys;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn chunking() -> Chunking {
        Chunking::new(&StoreKeys::derive(Uuid::new_v4(), None), ChunkSizes::DEFAULT)
    }

    fn put_together(chunking: &Chunking, parts: &Parts) -> Vec<u8> {
        let recipe = Recipe::decode(&parts.recipe.encode()).unwrap();
        let blobs: HashMap<_, _> = parts.shared.iter().map(|part| (part.hash.id(), part.plain.clone())).collect();
        let mut assembly = Assembly::new(&recipe, chunking.id_key.expose());
        let mut out = Vec::new();
        for step in &recipe.steps {
            assembly.begin(step, &mut out);
            for part in step.ingredients() {
                assembly.add(&blobs[&part.blob], &mut out);
            }
            assembly.end(&mut out);
        }
        assembly.finish().unwrap();
        out
    }

    #[test]
    fn long_content_is_cut_and_an_edit_changes_few_chunks() {
        let chunking = chunking();
        let mut state = 1u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        let mut content: Vec<u8> = (0..6 << 20).map(|_| noise()).collect();
        let before = take_apart_raw(&chunking, &content.clone().into());
        content.splice(3_000_000..3_000_000, *b"an edit in the middle");
        let after = take_apart_raw(&chunking, &content.clone().into());

        let known = before.recipe.refs();
        let n_new = after.recipe.refs().iter().filter(|id| !known.contains(id)).count();
        assert!(before.shared.len() > 10 && n_new <= 3, "{n_new} of {}", after.shared.len());
        assert_eq!(put_together(&chunking, &after), content);
    }

    #[test]
    fn a_message_of_countless_small_parts_has_a_bounded_recipe() {
        let chunking = chunking();
        let part = format!("--b\r\n\r\n{}\r\n", "x".repeat(2500));
        let small = format!("--b\r\n\r\n{}\r\n", "y".repeat(1500));
        let message = format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}",
            (0..3000).map(|n| if n % 8 == 0 { &*part } else { &*small }).collect::<String>()
        );
        let message = Bytes::from(message);

        let parts = take_apart_mime(&chunking, &message);

        assert!(parts.recipe.encode().len() < INLINE_BYTES_MAX + (256 << 10));
        assert_eq!(put_together(&chunking, &parts), message);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_message_comes_back_byte_for_byte(
            body in proptest::collection::vec(any::<u8>(), 0..9000),
            head in "[ -~\r\n]{0,300}",
            decoy in any::<bool>(),
        ) {
            let chunking = chunking();
            let mut message = head.into_bytes();
            if decoy {
                message.extend_from_slice(b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n");
            }
            message.extend_from_slice(&body);
            let message = Bytes::from(message);

            prop_assert_eq!(put_together(&chunking, &take_apart_mime(&chunking, &message)), message.clone());
            prop_assert_eq!(put_together(&chunking, &take_apart_raw(&chunking, &message)), message);
        }
    }
}
