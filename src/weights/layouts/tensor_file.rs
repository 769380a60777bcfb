//! A store over files that contain the bytes of named tensors: what safetensors and PyTorch's archives have in common.

use super::tensor_source::{Location, Source, Tensor};
use super::torch_recurrent;
use crate::element::{Element, Kind};
use crate::request::Layout;
use crate::weights::bind::axis_permutation::Framework;
use crate::weights::store::{Entry, Number, Role, Store, StoreError, entry_with_rows, row_count, unreadable};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

impl Number {
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

/// The store.
#[derive(Debug)]
pub(crate) struct TensorFile {
    layout: Layout,
    files: Vec<(PathBuf, Mutex<File>)>,
    entries: Vec<Entry>,
    sources: Vec<Source>,
    framework: Framework,
    /// Why it is read as that framework's file, if it is not PyTorch's.
    remark: Option<String>,
}

impl TensorFile {
    /// A store of `tensors`, whose declarations have been checked. Their names end with the parameter: `features.0.weight`.
    pub fn new(
        layout: Layout,
        files: Vec<(PathBuf, File)>,
        mut tensors: Vec<Tensor>,
        (framework, remark): (Framework, Option<String>),
    ) -> TensorFile {
        let (mut entries, mut sources): (Vec<_>, Vec<_>) = torch_recurrent::joined(&mut tensors).into_iter().unzip();
        for Tensor { name, number, shape, location } in tensors {
            // PyTorch's counter of batches is not a parameter.
            if name.ends_with("num_batches_tracked") {
                continue;
            }
            let (layer, parameter) = name.rsplit_once(['.', '/']).unwrap_or(("", &name));
            let (layer, role) = (layer.to_string(), role(parameter, framework));
            entries.push(Entry { layer, role, key: name, shape, number, class: None });
            sources.push(Source::Tensor(location));
        }
        let files = files.into_iter().map(|(path, file)| (path, Mutex::new(file))).collect();
        TensorFile { layout, files, entries, sources, framework, remark }
    }

    /// `count` values of a tensor in row-major order, from the value `first` on.
    fn values(&self, entry: &Entry, location: &Location, first: usize, count: usize) -> Result<Vec<f32>, StoreError> {
        let mut values = self.stored(entry, location, first, count)?;
        if location.negated {
            values.iter_mut().for_each(|value| *value = -*value);
        }
        Ok(values)
    }

    /// As `values`, with the signs of the file.
    fn stored(&self, entry: &Entry, location: &Location, first: usize, count: usize) -> Result<Vec<f32>, StoreError> {
        match &location.axes {
            None => self.contiguous(entry, location, first, count),
            Some(axes) => {
                let last: usize = axes.iter().map(|(size, stride)| (size - 1) * stride).sum();
                let stored = self.contiguous(entry, location, 0, last + 1)?;
                let at = |mut index: usize| {
                    axes.iter().rev().fold(0, |at, &(size, stride)| {
                        let step = index % size;
                        index /= size;
                        at + step * stride
                    })
                };
                Ok((first..first + count).map(|index| stored[at(index)]).collect())
            }
        }
    }

    /// `count` values as they follow each other in the file, from the value `first` of the tensor on.
    fn contiguous(
        &self,
        entry: &Entry,
        location: &Location,
        first: usize,
        count: usize,
    ) -> Result<Vec<f32>, StoreError> {
        let size = entry.number.bytes();
        let mut bytes = vec![0; count * size];
        let (path, file) = &self.files[location.file];
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(location.start + (first * size) as u64))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|source| unreadable(path, source))?;
        let integers = || StoreError::NonNumeric { location: entry.key.clone(), found: entry.number.to_string() };
        entry.number.convert(&bytes).ok_or_else(integers)
    }
}

/// PyTorch's names, and those of Keras and Flax in their own files.
fn role(parameter: &str, framework: Framework) -> Role {
    match (parameter, framework) {
        ("scale", Framework::Keras | Framework::Flax) => return Role::Gamma,
        ("embedding" | "embeddings", Framework::Keras | Framework::Flax) => return Role::Weight,
        ("mean", Framework::Keras | Framework::Flax) => return Role::RunningMean,
        ("var", Framework::Keras | Framework::Flax) => return Role::RunningVariance,
        _ => {}
    }
    match parameter {
        "running_var" | "moving_variance" => Role::RunningVariance,
        "moving_mean" => Role::RunningMean,
        "kernel" => Role::Weight,
        other => Role::from_neupy(other),
    }
}

impl Store for TensorFile {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn has_names(&self) -> bool {
        true
    }

    fn framework(&self) -> Framework {
        self.framework
    }

    fn remarks(&self) -> Vec<String> {
        self.remark.iter().cloned().collect()
    }

    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn read_rows(&self, index: usize, rows: Range<usize>) -> Result<Vec<f32>, StoreError> {
        let entry = entry_with_rows(&self.entries, index, &rows)?;
        if rows.is_empty() || entry.elements() == 0 {
            return Ok(Vec::new());
        }
        let count = row_count(&entry.shape);
        let row = entry.elements() / count;
        let read = |location| self.values(entry, location, rows.start * row, rows.len() * row);
        match &self.sources[index] {
            Source::Tensor(location) => read(location),
            Source::Sum([a, b]) => Ok(read(a)?.iter().zip(&read(b)?).map(|(a, b)| a + b).collect()),
            Source::Rows([a, b]) => {
                let both = [self.values(entry, a, 0, row)?, self.values(entry, b, 0, row)?].concat();
                Ok(both[rows.start * row..rows.end * row].to_vec())
            }
            Source::Transposed(location) => {
                let values = self.values(entry, location, 0, entry.elements())?;
                Ok(rows.flat_map(|at| values.iter().skip(at).step_by(count).copied()).collect())
            }
        }
    }
}
