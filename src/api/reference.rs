//! A thing as a caller names it: by its id, or by its name.

use std::convert::Infallible;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// Digits are an id; anything else is a name. Names of digits alone are refused where names are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ref {
    Id(u32),
    Name(String),
}

impl Ref {
    pub fn of(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Id)
    }

    /// As one segment of a path, or one value of a query; not yet percent-encoded.
    pub fn to_path(&self) -> String {
        match self {
            Self::Id(id) => id.to_string(),
            Self::Name(name) => name.clone(),
        }
    }
}

impl FromStr for Ref {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::of(text))
    }
}

impl std::fmt::Display for Ref {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => write!(f, "\"{name}\""),
        }
    }
}

impl Serialize for Ref {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Id(id) => serializer.serialize_u32(*id),
            Self::Name(name) => serializer.serialize_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for Ref {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdOrName;

        impl Visitor<'_> for IdOrName {
            type Value = Ref;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an id or a name")
            }

            fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<Ref, E> {
                u32::try_from(id).map(Ref::Id).map_err(|_| E::custom(format!("{id} is too large for an id")))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Ref, E> {
                Ok(Ref::of(text))
            }
        }

        deserializer.deserialize_any(IdOrName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_an_id_and_the_rest_is_a_name() {
        let read = |json| serde_json::from_str::<Ref>(json);

        assert_eq!(read("7").unwrap(), Ref::Id(7));
        assert_eq!(read("\"7\"").unwrap(), Ref::Id(7));
        assert_eq!(read("\"nightly\"").unwrap(), Ref::Name("nightly".into()));
        assert!(read("-1").is_err() && read("true").is_err() && read("4294967296").is_err());
    }
}
