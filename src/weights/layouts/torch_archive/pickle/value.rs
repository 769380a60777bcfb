//! The values of a pickle.

use crate::weights::store::Number;
use std::rc::Rc;

/// A value on the machine's stack. The machine has the containers: pickles share them, nest them a million deep and build circles
/// of them.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// `None`, a float, bytes, a set: what tensors do not need.
    Other,
    Int(i64),
    Text(Rc<str>),
    Tuple(usize),
    List,
    Dict(usize),
    Global(Global),
    Storage(Rc<Storage>),
    Tensor(Rc<Tensor>),
}

/// A function or class that a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Global {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`, for a tensor that is trained.
    RebuildParameter,
    /// `torch._tensor._rebuild_from_type_v2`, for a tensor with attributes.
    RebuildFromType,
    /// `torch.Tensor`, `torch.nn.parameter.Parameter`
    TensorType,
    /// `torch.Size`
    Size,
    /// `torch.FloatStorage` and the others
    StorageType(Number),
}

/// Bytes that tensors share.
#[derive(Debug, PartialEq)]
pub(crate) struct Storage {
    /// The name of the archive's member that has them.
    pub key: String,
    pub number: Number,
    /// Number of elements.
    pub elements: usize,
}

/// A tensor: a view of a storage. Offset and strides count elements.
#[derive(Debug, PartialEq)]
pub(crate) struct Tensor {
    pub storage: Rc<Storage>,
    pub offset: usize,
    pub shape: Vec<usize>,
    /// 0 along an axis whose values are the same (`expand`).
    pub strides: Vec<usize>,
    /// Whether its values have the other sign than those of the storage.
    pub negated: bool,
}

impl Global {
    pub(super) fn named(module: &str, name: &str) -> Option<Global> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch._tensor", "_rebuild_from_type_v2") => Global::RebuildFromType,
            ("torch", "Tensor") | ("torch.nn.parameter", "Parameter") => Global::TensorType,
            ("torch", "Size") => Global::Size,
            ("torch", storage) => Global::StorageType(match storage {
                "DoubleStorage" => Number::Float(64),
                "FloatStorage" => Number::Float(32),
                "HalfStorage" => Number::Float(16),
                "BFloat16Storage" => Number::Bfloat16,
                "LongStorage" => Number::Integer(64),
                "IntStorage" => Number::Integer(32),
                "ShortStorage" => Number::Integer(16),
                "CharStorage" | "ByteStorage" | "BoolStorage" => Number::Integer(8),
                _ => return None,
            }),
            _ => return None,
        })
    }
}
