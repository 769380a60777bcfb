//! The entries of a `config.json` that are used, whatever their types are. All others are skipped while the file is read.

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The most numbers and texts of a list that are kept; its other items are only counted.
const MAX_LIST: usize = 8;
/// The most characters of a text that are kept.
const MAX_TEXT: usize = 60;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Entries {
    /// Older versions of timm have its entries in the file itself.
    pub pretrained_cfg: Option<Box<Entries>>,
    pub mean: Said,
    pub std: Said,
    pub crop_pct: Said,
    pub crop_mode: Said,
    pub interpolation: Said,
    pub input_size: Said,
    pub test_input_size: Said,
    pub num_classes: Said,
    pub label_names: Said,
    pub classifier: Said,
}

/// What an entry is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Said {
    /// Not there, or `null`.
    #[default]
    Nothing,
    Number(f64),
    Text(String),
    /// The first numbers and texts of a list, and how many items it has.
    List {
        numbers: Vec<f64>,
        texts: Vec<String>,
        count: usize,
    },
    Other,
}

impl Said {
    /// The numbers of a list of nothing else.
    pub fn numbers(&self) -> Option<&[f64]> {
        match self {
            Said::List { numbers, count, .. } if numbers.len() == *count => Some(numbers),
            _ => None,
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Nothing => f.write_str("null"),
            Said::Number(number) => write!(f, "{number}"),
            Said::Text(text) => write!(f, "\"{text}\""),
            Said::List { numbers, count, .. } if numbers.len() == *count => write!(f, "{numbers:?}"),
            Said::List { count, .. } => write!(f, "a list of {count}"),
            Said::Other => f.write_str("neither a number nor a text nor a list"),
        }
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfSaid)
    }
}

struct OfSaid;

impl<'de> Visitor<'de> for OfSaid {
    type Value = Said;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Said, E> {
        Ok(Said::Nothing)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Said, E> {
        Ok(Said::Other)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Said, E> {
        Ok(Said::Number(number as f64))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Said, E> {
        Ok(Said::Number(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Said, E> {
        Ok(Said::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Said, E> {
        Ok(Said::Text(text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Said, A::Error> {
        let (mut numbers, mut texts, mut count) = (Vec::new(), Vec::new(), 0);
        while let Some(item) = list.next_element::<Said>()? {
            count += 1;
            match item {
                Said::Number(number) if numbers.len() < MAX_LIST => numbers.push(number),
                Said::Text(text) if texts.len() < MAX_LIST => texts.push(text),
                _ => {}
            }
        }
        Ok(Said::List { numbers, texts, count })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Said::Other)
    }
}
