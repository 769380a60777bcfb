//! ONNX models as files of weights: layers and their parameters are those that [`onnx::parameters`](crate::onnx::parameters)
//! finds, in PyTorch's order of axes; tensors that belong to none of them have their own names.

use super::hdf5_file::corrupt;
use crate::onnx::constants::{Constant, Form};
use crate::onnx::{OnnxError, Source, Tensor, parameters};
use crate::request::Layout;
use crate::weights::bind::axis_permutation::Framework;
use crate::weights::store::{Entry, Number, Role, Store, StoreError, entry_with_rows, row_count, unreadable};
use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug)]
struct OnnxStore {
    source: Source,
    entries: Vec<Entry>,
    values: Vec<Constant>,
}

/// Reads the model; of the weights only what they declare.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Store>, StoreError> {
    let (read, source) = parameters::read(path).map_err(|error| of_model(path, error))?;
    let (mut entries, mut values) = (Vec::new(), Vec::new());
    let mut add = |layer: &str, role: Role, key: &str, constant: Constant| {
        let (key, shape, number) = (key.to_string(), constant.shape.clone(), number(&constant));
        entries.push(Entry { layer: layer.into(), role, key, shape, number, class: None });
        values.push(constant);
    };
    let mut used: HashSet<String> = HashSet::new();
    for layer in read.layers {
        for (role, constant) in layer.parameters {
            used.extend(parameters::tensors(&constant).into_iter().map(str::to_string));
            let key = constant.key.clone();
            add(&layer.name, Role::from_neupy(role), &key, constant);
        }
    }
    for tensor in read.model.graph.initializers {
        // Whole numbers are shapes and indices, and single numbers are bounds and factors.
        let is_weight = tensor.len() > 1 && !matches!(number_of(&tensor), Number::Integer(_));
        if used.contains(&tensor.name) || !is_weight {
            continue;
        }
        let (layer, parameter) = tensor.name.rsplit_once(['.', '/']).unwrap_or(("", &tensor.name));
        let (layer, role, name) = (layer.to_string(), Role::from_neupy(parameter), tensor.name.clone());
        let constant =
            Constant { shape: tensor.shape.clone(), key: name.clone(), form: Form::Stored(Arc::new(tensor)) };
        // Of an attention.
        if parameters::is_mask(&constant, &source) {
            continue;
        }
        add(&layer, role, &name, constant);
    }
    Ok(Box::new(OnnxStore { source, entries, values }))
}

fn number_of(tensor: &Tensor) -> Number {
    match tensor.element {
        1 => Number::Float(32),
        10 => Number::Float(16),
        11 => Number::Float(64),
        16 => Number::Bfloat16,
        6 | 12 => Number::Integer(32),
        7 | 13 => Number::Integer(64),
        4 | 5 => Number::Integer(16),
        _ => Number::Integer(8),
    }
}

/// What the numbers of a constant are stored as.
fn number(constant: &Constant) -> Number {
    match &constant.form {
        Form::Stored(tensor) => number_of(tensor),
        Form::Transposed(of)
        | Form::Gates { of, .. }
        | Form::GateBiases { of, .. }
        | Form::Range { of, .. }
        | Form::Reciprocal(of) => number(of),
        Form::Filled(_) | Form::Computed { .. } => Number::Float(32),
        Form::Product(a, b) | Form::Sum(a, b) => match number(a) {
            Number::Float(32) => number(b),
            number => number,
        },
    }
}

impl Store for OnnxStore {
    fn layout(&self) -> Layout {
        Layout::Onnx
    }

    fn has_names(&self) -> bool {
        true
    }

    fn framework(&self) -> Framework {
        Framework::PyTorch
    }

    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn read_rows(&self, index: usize, rows: Range<usize>) -> Result<Vec<f32>, StoreError> {
        let entry = entry_with_rows(&self.entries, index, &rows)?;
        let constant = &self.values[index];
        let row = entry.elements() / row_count(&entry.shape).max(1);
        let range = rows.start * row..rows.end * row;
        let of_entry = |error| of_model(Path::new(&entry.key), error);
        if let Form::Stored(tensor) = &constant.form {
            return self.source.floats(tensor, range).map_err(of_entry);
        }
        let values = constant.floats(&self.source).map_err(of_entry)?;
        values.get(range).map(<[f32]>::to_vec).ok_or_else(|| corrupt(&entry.key, "it has fewer values than its shape"))
    }
}

/// The error of a store for one of a model, whose file or tensor is `path`.
fn of_model(path: &Path, error: OnnxError) -> StoreError {
    match error {
        OnnxError::Io(source) => unreadable(path, source),
        OnnxError::Truncated { place, what } => StoreError::Truncated { location: place, what },
        OnnxError::Corrupt { place, what } => StoreError::Corrupt { location: place, what },
        OnnxError::TooLarge { place, what } => StoreError::TooLarge { location: place, what },
        OnnxError::Refused { place, what } => StoreError::Refused { location: place, what },
        OnnxError::NotNumbers { place, found } => StoreError::NonNumeric { location: place, found },
    }
}
