//! Graph ids of many items in little memory. Pure.

/// Graph ids. Those of one container begin alike, so that of each is kept what differs from the first one.
#[derive(Debug, Default)]
pub(super) struct Ids {
    first: String,
    /// For each: how many bytes it shares with the first, how many follow, and these.
    rest: Vec<u8>,
}

impl Ids {
    pub fn bytes(&self) -> usize {
        self.rest.len()
    }

    /// Returns where it lies.
    pub fn put(&mut self, id: &str) -> u32 {
        if self.first.is_empty() {
            id.clone_into(&mut self.first);
        }
        let alike = self.first.bytes().zip(id.bytes()).take_while(|(one, other)| one == other).count();
        let n_shared = u8::try_from(alike).unwrap_or(u8::MAX);
        let own = &id.as_bytes()[usize::from(n_shared)..];
        // Bounded by what fits into memory.
        let place = u32::try_from(self.rest.len()).unwrap_or(u32::MAX);
        self.rest.push(n_shared);
        self.rest.extend_from_slice(&u32::try_from(own.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.rest.extend_from_slice(own);
        place
    }

    pub fn get(&self, place: u32) -> String {
        let read = || {
            let (n_shared, rest) = self.rest.get(place as usize..)?.split_first()?;
            let (length, rest) = rest.split_first_chunk()?;
            let own = rest.get(..u32::from_le_bytes(*length) as usize)?;
            let shared = self.first.as_bytes().get(..usize::from(*n_shared))?;
            String::from_utf8([shared, own].concat()).ok()
        };
        read().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_as_they_were_whatever_they_share() {
        let alike = "A".repeat(300);
        let longer = format!("{alike}AAMk");
        let ids = [longer.as_str(), &alike, "", "AAMkAGI2_1", "AAMkAGI2_1", "BBM", "AÄ", "A"];
        let mut kept = Ids::default();

        let places: Vec<u32> = ids.iter().map(|id| kept.put(id)).collect();

        let back: Vec<String> = places.into_iter().map(|place| kept.get(place)).collect();
        assert_eq!(back, ids);
        assert!(kept.bytes() < 1_300, "what two share is kept once: {}", kept.bytes());
    }
}
