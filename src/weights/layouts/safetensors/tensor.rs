//! The declaration of a tensor in the header of a safetensors file.

use super::header::{Described, Numbers};
use crate::weights::layouts::hdf5_file::corrupt;
use crate::weights::layouts::tensor_source::{Location, Tensor};
use crate::weights::store::{MAX_TENSOR_BYTES, Number, StoreError};

impl Number {
    /// By the name that the format gives it.
    pub(super) fn named(name: &str) -> Option<Number> {
        Some(match name {
            "F64" => Number::Float(64),
            "F32" => Number::Float(32),
            "F16" => Number::Float(16),
            "BF16" => Number::Bfloat16,
            "I64" | "U64" => Number::Integer(64),
            "I32" | "U32" => Number::Integer(32),
            "I16" | "U16" => Number::Integer(16),
            "I8" | "U8" | "BOOL" => Number::Integer(8),
            _ => return None,
        })
    }
}

/// A tensor as the header declares it.
pub(crate) struct Declared {
    pub name: String,
    number: Number,
    shape: Vec<usize>,
    pub start: u64,
    pub end: u64,
}

impl Declared {
    pub fn read(name: &str, described: Described) -> Result<Declared, StoreError> {
        let declared_type = described.dtype.as_deref().unwrap_or("(none)");
        let number = Number::named(declared_type).ok_or_else(|| StoreError::NonNumeric {
            location: name.into(),
            found: format!("the type {declared_type}"),
        })?;
        let list = |key: &str, list: Option<Numbers>| {
            list.map(|list| list.0).ok_or_else(|| corrupt(name, format!("its '{key}' is not a list of integers")))
        };
        let sides = list("shape", described.shape)?;
        let [start, end] = list("data_offsets", described.data_offsets)?[..] else {
            return Err(corrupt(name, "its 'data_offsets' are not two numbers"));
        };
        let elements = sides.iter().try_fold(1u64, |product, side| product.checked_mul(*side));
        let bytes = elements.and_then(|elements| elements.checked_mul(number.bytes().max(4) as u64));
        let (Some(elements), Some(..=MAX_TENSOR_BYTES)) = (elements, bytes) else {
            return Err(StoreError::TooLarge { location: name.into(), what: format!("its shape is {sides:?}") });
        };
        let bytes = elements * number.bytes() as u64;
        if end.checked_sub(start) != Some(bytes) {
            return Err(corrupt(
                name,
                format!("its shape {sides:?} takes {bytes} bytes, its offsets are {start}..{end}"),
            ));
        }
        let shape = sides.iter().map(|side| *side as usize).collect();
        Ok(Declared { name: name.into(), number, shape, start, end })
    }

    /// The tensor of a file whose data begin at this byte.
    pub fn at(self, data: u64) -> Tensor {
        let location = Location { file: 0, start: data + self.start, axes: None, negated: false };
        Tensor { name: self.name, number: self.number, shape: self.shape, location }
    }
}
