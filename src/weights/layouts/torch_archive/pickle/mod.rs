//! Python pickles as data. The stack machine builds numbers, texts, containers and the descriptions of PyTorch's tensors. Of the
//! functions and classes that a pickle may name it knows those with which `torch.save` describes tensors and containers; any
//! other is refused by its name, and nothing is ever called.
//!
//! The opcodes are those of Python's `pickletools`, protocols 0 to 5.

mod machine;
mod rebuild;
mod value;

pub(crate) use value::{Storage, Tensor, Value};

use crate::weights::store::StoreError;
use machine::Machine;

/// What a pickle contains.
#[derive(Debug)]
pub(crate) struct Pickle {
    pub root: Value,
    dicts: Vec<Vec<(Value, Value)>>,
}

impl Pickle {
    /// Reads a pickle; `location` is its name in errors.
    ///
    /// # Errors
    /// A pickle that is damaged, builds too many values, or names a function or class that is not known.
    pub fn read(bytes: &[u8], location: &str) -> Result<Pickle, StoreError> {
        let mut machine = Machine::new(bytes, location);
        let root = machine.run()?;
        Ok(Pickle { root, dicts: machine.dicts })
    }

    /// The entries of a dictionary whose keys are texts, in the pickle's order.
    pub fn entries(&self, value: &Value) -> impl Iterator<Item = (&str, &Value)> {
        let entries = if let Value::Dict(index) = value { &self.dicts[*index][..] } else { &[] };
        entries.iter().filter_map(|(key, value)| match key {
            Value::Text(key) => Some((&**key, value)),
            _ => None,
        })
    }
}
