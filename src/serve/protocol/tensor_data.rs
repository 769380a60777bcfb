//! The `data` of a tensor in JSON: numbers or texts, flat or nested, in row-major order.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use std::fmt;

/// All values of a tensor.
#[derive(Debug, PartialEq)]
pub enum TensorData {
    Numbers(Vec<f32>),
    Texts(Vec<String>),
}

impl<'de> Deserialize<'de> for TensorData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        let element = Element { numbers: &mut numbers, texts: &mut texts, is_outermost: true };
        element.deserialize(deserializer)?;
        match (texts.is_empty(), numbers.is_empty()) {
            (true, _) => Ok(TensorData::Numbers(numbers)),
            (false, true) => Ok(TensorData::Texts(texts)),
            (false, false) => Err(D::Error::custom("`data` mixes numbers and strings")),
        }
    }
}

/// A value or a list of the data, appended to what comes before it.
struct Element<'v> {
    numbers: &'v mut Vec<f32>,
    texts: &'v mut Vec<String>,
    is_outermost: bool,
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.is_outermost {
            true => deserializer.deserialize_seq(self),
            false => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a list of numbers or strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Element { numbers, texts, .. } = self;
        while list.next_element_seed(Element { numbers, texts, is_outermost: false })?.is_some() {}
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        let number = value as f32;
        if number.is_infinite() && value.is_finite() {
            return Err(E::custom(format!("{value} is out of the range of FP32")));
        }
        self.numbers.push(number);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.numbers.push(value as f32);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.numbers.push(value as f32);
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.texts.push(value.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_and_nested_lists_are_the_same() {
        for text in ["[1, 2.5, -3, 4e-2]", "[[1, 2.5], [-3, 4e-2]]", "[[[1.0]], [[2.5], [-3]], 0.04]"] {
            let data: TensorData = serde_json::from_str(text).expect(text);
            assert_eq!(data, TensorData::Numbers(vec![1.0, 2.5, -3.0, 0.04]), "{text}");
        }
        let texts: TensorData = serde_json::from_str(r#"[["a"], ["b\n"]]"#).expect("texts");
        assert_eq!(texts, TensorData::Texts(vec!["a".into(), "b\n".into()]));
        assert_eq!(serde_json::from_str::<TensorData>("[]").expect("none"), TensorData::Numbers(Vec::new()));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["1", "\"a\"", "null", "{}", "[true]", "[null]", "[{}]", "[1, \"a\"]", "[1e39]", "[-4e38]", "[1", "[NaN]"]
        {
            assert!(serde_json::from_str::<TensorData>(text).is_err(), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(serde_json::from_str::<TensorData>(&deep).is_err());
    }

    /// The shortest decimals of a number give the same bits.
    #[test]
    fn numbers_survive_json() {
        let numbers: Vec<f32> =
            (0..20_000u32).map(|i| f32::from_bits(i.wrapping_mul(2_140_137))).filter(|x| x.is_finite()).collect();
        let text = serde_json::to_string(&numbers).expect("JSON");
        let TensorData::Numbers(read) = serde_json::from_str(&text).expect("numbers") else { panic!("texts") };
        assert!(numbers.iter().zip(&read).all(|(a, b)| a.to_bits() == b.to_bits()) && read.len() == numbers.len());
    }
}
