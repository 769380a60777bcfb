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
            (Global::RebuildTensor, [Value::Storage(storage), offset, shape, strides, rest @ ..]) => {
                // After `requires_grad` and `backward_hooks`.
                let negated = rest.get(2).map_or(Ok(false), |metadata| self.is_negated(metadata))?;
                let tensor = Tensor { negated, ..self.tensor(storage, offset, shape, strides)? };
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

    /// Whether the metadata of a view say that its values are those of the storage with the other sign.
    fn is_negated(&self, metadata: &Value) -> Result<bool, StoreError> {
        let entries = match metadata {
            Value::Other => return Ok(false),
            Value::Dict(index) => &self.dicts[*index],
            _ => return Err(self.damaged("its pickle describes a tensor with wrong arguments")),
        };
        let mut negated = false;
        for (key, value) in entries {
            match (key, value) {
                (_, Value::Int(0)) => {}
                (Value::Text(key), Value::Int(1)) if **key == *"neg" => negated = true,
                (key, _) => {
                    let key = if let Value::Text(key) = key { key } else { "?" };
                    let what = format!(
                        "it contains a view of a tensor with the property `{key}`, which netc does not read: save \
                         `tensor.resolve_conj().resolve_neg()`, a tensor with values of its own"
                    );
                    return Err(StoreError::Refused { location: self.location.into(), what });
                }
            }
        }
        Ok(negated)
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
        if elements > 0 && last.is_none_or(|last| last >= storage.elements) {
            return Err(wrong());
        }
        Ok(Tensor { storage: Rc::clone(storage), offset, shape, strides, negated: false })
    }
}
