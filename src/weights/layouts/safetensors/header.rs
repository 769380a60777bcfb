//! The header of a safetensors file. Only what is used is deserialised: a large header takes a few times its own size in memory,
//! a tree of JSON values about twenty times.

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

use crate::weights::store::MAX_ITEMS;

/// The maximum rank of a tensor; a header that exceeds it is refused while it is read.
const MAX_SIDES: usize = 64;

/// The tensors in the order of the header.
pub(crate) struct Header {
    pub tensors: Vec<(String, Described)>,
    /// The framework in its metadata.
    pub format: Option<String>,
}

/// The part of the metadata that is used.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    format: Option<String>,
}

/// The description of a tensor.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Described {
    pub dtype: Option<String>,
    pub shape: Option<Numbers>,
    pub data_offsets: Option<Numbers>,
}

/// A short list of integers.
pub(crate) struct Numbers(pub Vec<u64>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfHeader;
        impl<'de> Visitor<'de> for OfHeader {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let (mut tensors, mut format) = (Vec::new(), None);
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        format = map.next_value::<Option<Metadata>>()?.unwrap_or_default().format;
                        continue;
                    }
                    if tensors.len() == MAX_ITEMS {
                        return Err(A::Error::custom(format!("more than {MAX_ITEMS} tensors")));
                    }
                    tensors.push((name, map.next_value()?));
                }
                Ok(Header { tensors, format })
            }
        }
        deserializer.deserialize_map(OfHeader)
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfNumbers;
        impl<'de> Visitor<'de> for OfNumbers {
            type Value = Numbers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of up to {MAX_SIDES} integers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Numbers, A::Error> {
                let mut numbers = Vec::new();
                while let Some(number) = list.next_element()? {
                    if numbers.len() == MAX_SIDES {
                        return Err(A::Error::invalid_length(MAX_SIDES + 1, &self));
                    }
                    numbers.push(number);
                }
                Ok(Numbers(numbers))
            }
        }
        deserializer.deserialize_seq(OfNumbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Header, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn only_used_fields_are_kept_and_limits_are_enforced() {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        let header =
            format!(r#"{{"__metadata__": {{"a": {deep}}}, "w": {{"dtype": "F32", "other": {deep}, "shape": [2]}}}}"#);
        let header = read(&header).expect("a header");
        let (name, described) = &header.tensors[0];
        assert_eq!((header.tensors.len(), name.as_str(), described.dtype.as_deref()), (1, "w", Some("F32")));
        assert_eq!(described.shape.as_ref().map(|shape| &shape.0[..]), Some(&[2][..]));
        assert!(described.data_offsets.is_none());
        for sides in ["[-1]", "[1.5]", "7", "[\"a\"]", &format!("[{}1]", "1,".repeat(MAX_SIDES))] {
            let error = read(&format!(r#"{{"w": {{"shape": {sides}}}}}"#)).err().expect(sides);
            assert!(error.contains("64 integers") || error.contains("u64"), "{sides:.20}: {error}");
        }
        let many: Vec<String> = (0..=MAX_ITEMS).map(|index| format!("\"{index}\":{{}}")).collect();
        let error = read(&format!("{{{}}}", many.join(","))).err().expect("too many");
        assert!(error.contains("more than 100000 tensors"), "{error}");
        assert!(read("[]").is_err() && read("{\"w\": 1}").is_err());
    }
}
