//! The functions with which `torch.save` describes tensors.

use super::machine::Machine;
use super::value::{Global, Storage, Tensor, Value};
use crate::weights::store::StoreError;
use std::rc::Rc;

/// The most sizes of a tensor.
const MAX_AXES: usize = 64;

impl Machine<'_> {
    /// The result of one of the known functions.
    pub(super) fn apply(&mut self, function: &Value, arguments: &Value) -> Result<Value, StoreError> {
        let (Value::Global(function), Some(arguments)) = (function, self.items(arguments)) else {
            return Err(self.damaged("its pickle calls a value that is not a function"));
        };
        match (function, &arguments[..]) {
            (Global::OrderedDict, _) => Ok(self.new_dict()),
            (Global::Size, [sizes, ..]) => Ok(sizes.clone()),
            (Global::RebuildTensor, [Value::Storage(storage), offset, shape, strides, ..]) => {
                let tensor = self.tensor(storage, offset, shape, strides)?;
                Ok(Value::Tensor(Rc::new(tensor)))
            }
            (Global::RebuildParameter, [tensor @ Value::Tensor(_), ..]) => Ok(tensor.clone()),
            (
                Global::RebuildFromType,
                [function @ Value::Global(Global::RebuildTensor | Global::RebuildParameter), _, arguments, ..],
            ) => self.apply(function, arguments),
            _ => Err(self.damaged("its pickle describes a tensor with wrong arguments")),
        }
    }

    /// A persistent id, `("storage", type, key, device, elements)`.
    pub(super) fn storage(&self, id: &Value) -> Result<Value, StoreError> {
        if let Some(parts) = self.items(id)
            && let [
                Value::Text(what),
                Value::Global(Global::StorageType(number)),
                Value::Text(key),
                _,
                Value::Int(elements),
                ..,
            ] = &parts[..]
            && **what == *"storage"
            && let Ok(elements) = usize::try_from(*elements)
        {
            return Ok(Value::Storage(Rc::new(Storage { key: key.to_string(), number: *number, elements })));
        }
        Err(self.damaged("its pickle describes the storage of a tensor with wrong arguments"))
    }

    fn tensor(
        &self,
        storage: &Rc<Storage>,
        offset: &Value,
        shape: &Value,
        strides: &Value,
    ) -> Result<Tensor, StoreError> {
        let wrong = || self.damaged("its pickle describes a tensor with wrong sizes");
        let size = |value: &Value| match value {
            Value::Int(size) => usize::try_from(*size).map_err(|_| wrong()),
            _ => Err(wrong()),
        };
        let sizes = |value: &Value| match value {
            Value::Tuple(index) if self.tuples[*index].len() <= MAX_AXES => {
                self.tuples[*index].iter().map(size).collect::<Result<Vec<_>, _>>()
            }
            _ => Err(wrong()),
        };
        let (offset, shape, strides) = (size(offset)?, sizes(shape)?, sizes(strides)?);
        if shape.len() != strides.len() {
            return Err(wrong());
        }
        let elements = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size)).ok_or_else(wrong)?;
        let last = shape
            .iter()
            .zip(&strides)
            .try_fold(offset, |last, (&size, &stride)| last.checked_add(size.saturating_sub(1).checked_mul(stride)?));
        // A tensor that repeats its values (a stride of 0) would take more memory than the file has bytes.
        if elements > 0 && last.is_none_or(|last| last >= storage.elements) || elements > storage.elements {
            return Err(wrong());
        }
        Ok(Tensor { storage: Rc::clone(storage), offset, shape, strides })
    }
}
