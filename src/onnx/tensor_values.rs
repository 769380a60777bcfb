//! The values of a tensor, from its bytes: the types of `TensorProto.DataType` and the lists of `TensorProto`.

use super::error::OnnxError;
use super::model::{Storage, Tensor};
use crate::element::{Element, Kind};

/// The number of a type, its name, and the kind and bytes of a value where it is read.
type Type = (i64, &'static str, Option<(Kind, usize)>);

/// The types of `TensorProto.DataType`.
const TYPES: [Type; 23] = [
    (1, "float32", Some((Kind::Float, 4))),
    (2, "uint8", Some((Kind::Unsigned, 1))),
    (3, "int8", Some((Kind::Signed, 1))),
    (4, "uint16", Some((Kind::Unsigned, 2))),
    (5, "int16", Some((Kind::Signed, 2))),
    (6, "int32", Some((Kind::Signed, 4))),
    (7, "int64", Some((Kind::Signed, 8))),
    (8, "text", None),
    (9, "truth values", Some((Kind::Bool, 1))),
    (10, "float16", Some((Kind::Float, 2))),
    (11, "float64", Some((Kind::Float, 8))),
    (12, "uint32", Some((Kind::Unsigned, 4))),
    (13, "uint64", Some((Kind::Unsigned, 8))),
    (14, "complex numbers", None),
    (15, "complex numbers", None),
    (16, "bfloat16", Some((Kind::Bfloat16, 2))),
    (17, "float8", None),
    (18, "float8", None),
    (19, "float8", None),
    (20, "float8", None),
    (21, "uint4", None),
    (22, "int4", None),
    (23, "float4", None),
];

/// The name of a type.
pub fn type_name(element: i64) -> &'static str {
    TYPES.iter().find(|(number, ..)| *number == element).map_or("values of an unknown type", |(_, name, _)| name)
}

/// What messages call a tensor.
pub(super) fn place(tensor: &Tensor) -> &str {
    if tensor.name.is_empty() { "a constant" } else { &tensor.name }
}

/// How the values of a tensor are stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    kind: Kind,
    element: Element,
}

impl Format {
    /// None for types that are not read.
    pub fn of(tensor: &Tensor) -> Option<Format> {
        let (kind, size) = TYPES.iter().find(|(number, ..)| *number == tensor.element)?.2?;
        Some(Format { kind, element: Element::new(kind, size, false)? })
    }

    pub fn is_float(self) -> bool {
        matches!(self.kind, Kind::Float | Kind::Bfloat16)
    }

    /// Bytes of a value.
    pub fn bytes(self) -> usize {
        self.element.size()
    }

    /// Bytes of a value in a list: `float_data` and `double_data` have a fixed number, the others are integers of variable
    /// length.
    pub fn listed_bytes(self, field: u32) -> Option<u64> {
        match field {
            4 => Some(4),
            10 => Some(8),
            _ => None,
        }
    }

    pub fn floats(self, bytes: &[u8]) -> Vec<f32> {
        let mut values = Vec::with_capacity(bytes.len() / self.bytes());
        self.element.append(bytes, &mut values);
        values
    }

    /// The floating-point numbers of a list: those of two bytes are integers with their bits.
    pub fn listed_floats(self, tensor: &Tensor, bytes: &[u8]) -> Result<Vec<f32>, OnnxError> {
        match &tensor.storage {
            Storage::Listed { field: 4, .. } => {
                Ok(bytes.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x)).collect())
            }
            Storage::Listed { field: 10, .. } => {
                Ok(bytes.as_chunks().0.iter().map(|&x| f64::from_le_bytes(x) as f32).collect())
            }
            Storage::Listed { .. } => {
                let bits: Vec<u8> = varints(tensor, bytes)?.iter().flat_map(|&x| (x as u16).to_le_bytes()).collect();
                Ok(self.floats(&bits))
            }
            _ => Ok(Vec::new()),
        }
    }

    pub fn integers(self, bytes: &[u8]) -> Vec<i64> {
        fn of<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> i64) -> Vec<i64> {
            bytes.as_chunks().0.iter().map(|&chunk| read(chunk)).collect()
        }
        match (self.kind, self.bytes()) {
            (Kind::Signed, 1) => of(bytes, |x| i64::from(i8::from_le_bytes(x))),
            (Kind::Signed, 2) => of(bytes, |x| i64::from(i16::from_le_bytes(x))),
            (Kind::Signed, 4) => of(bytes, |x| i64::from(i32::from_le_bytes(x))),
            (Kind::Unsigned, 2) => of(bytes, |x| i64::from(u16::from_le_bytes(x))),
            (Kind::Unsigned, 4) => of(bytes, |x| i64::from(u32::from_le_bytes(x))),
            (Kind::Signed | Kind::Unsigned, 8) => of(bytes, i64::from_le_bytes),
            _ => of(bytes, |x| i64::from(u8::from_le_bytes(x))),
        }
    }
}

/// As many integers of variable length as the tensor has values.
pub(super) fn varints(tensor: &Tensor, bytes: &[u8]) -> Result<Vec<i64>, OnnxError> {
    let mut values = Vec::new();
    let (mut value, mut shift) = (0u64, 0u32);
    for &byte in bytes {
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        shift += 7;
        if byte < 0x80 {
            values.push(value as i64);
            (value, shift) = (0, 0);
        }
    }
    match values.len() == tensor.len() && shift == 0 {
        true => Ok(values),
        false => {
            let what = format!("its shape is {:?}, but it has {} values", tensor.shape, values.len());
            Err(OnnxError::corrupt(place(tensor), what))
        }
    }
}
