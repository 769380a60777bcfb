//! A tensor of a safetensors file, and where the values of an entry are.

use super::hdf5_file::corrupt;
use super::safetensors_header::{Described, Numbers};
use crate::element::{Element, Kind};
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

    pub(super) fn bytes(self) -> usize {
        match self {
            Number::Float(bits) | Number::Integer(bits) => bits / 8,
            Number::Bfloat16 => 2,
        }
    }

    /// The values of bytes; none for integers.
    pub(super) fn convert(self, bytes: &[u8]) -> Option<Vec<f32>> {
        let element = match self {
            Number::Float(bits) => Element::new(Kind::Float, bits / 8, false)?,
            Number::Bfloat16 => Element::new(Kind::Bfloat16, 2, false)?,
            Number::Integer(_) => return None,
        };
        let mut values = Vec::with_capacity(bytes.len() / element.size());
        element.append(bytes, &mut values);
        Some(values)
    }
}

/// Where the bytes of an entry are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    At(u64),
    /// The entry has the axes of this matrix in the other order.
    Transposed(u64),
    /// The entry is the sum of two tensors.
    Sum([u64; 2]),
    /// The entry has two tensors as its rows.
    Rows([u64; 2]),
}

impl Place {
    pub fn starts_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        match self {
            Place::At(start) | Place::Transposed(start) => std::slice::from_mut(start).iter_mut(),
            Place::Sum(starts) | Place::Rows(starts) => starts.iter_mut(),
        }
    }
}

/// A tensor as the header declares it.
pub(crate) struct Declared {
    pub name: String,
    pub number: Number,
    pub shape: Vec<usize>,
    pub start: u64,
    pub end: u64,
}

impl Declared {
    pub fn read(name: &str, described: Described) -> Result<Declared, StoreError> {
        let declared_type = described.dtype.as_deref().unwrap_or("(none)");
        let number = Number::named(declared_type)
            .ok_or_else(|| StoreError::NonNumeric { place: name.into(), found: format!("the type {declared_type}") })?;
        let list = |key: &str, list: Option<Numbers>| {
            list.map(|list| list.0).ok_or_else(|| corrupt(name, format!("its '{key}' is not a list of whole numbers")))
        };
        let sides = list("shape", described.shape)?;
        let [start, end] = list("data_offsets", described.data_offsets)?[..] else {
            return Err(corrupt(name, "its 'data_offsets' are not two numbers"));
        };
        let elements = sides.iter().try_fold(1u64, |product, side| product.checked_mul(*side));
        let bytes = elements.and_then(|elements| elements.checked_mul(number.bytes().max(4) as u64));
        let (Some(elements), Some(..=MAX_TENSOR_BYTES)) = (elements, bytes) else {
            return Err(StoreError::TooLarge { place: name.into(), what: format!("its shape is {sides:?}") });
        };
        let bytes = elements * number.bytes() as u64;
        if end.checked_sub(start) != Some(bytes) {
            return Err(corrupt(name, format!("its shape {sides:?} takes {bytes} bytes, its place is {start}..{end}")));
        }
        let shape = sides.iter().map(|side| *side as usize).collect();
        Ok(Declared { name: name.into(), number, shape, start, end })
    }
}
