//! safetensors: the length of a JSON header in eight bytes, the header, then the bytes of the tensors, little-endian.
//!
//! Each key of the header is the name of a tensor, each value its `dtype`, `shape` and `data_offsets`, from the end of the
//! header. The name `features.0.weight` means the parameter `weight` of the layer `features.0`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::hdf5_file::corrupt;
use super::safetensors_header::{Described, Header, Numbers};
use super::torch_recurrent;
use crate::element::{Element, Kind};
use crate::request::Layout;
use crate::weights::bind::axis_permutation::Framework;
use crate::weights::store::{Entry, MAX_TENSOR_BYTES, Number, Role, Store, StoreError, row_count, unreadable};

/// The limit of the format for the header.
const MAX_HEADER_BYTES: u64 = 100 << 20;

impl Number {
    /// By its name in the format.
    fn named(name: &str) -> Option<Number> {
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

    fn bytes(self) -> usize {
        match self {
            Number::Float(bits) | Number::Integer(bits) => bits / 8,
            Number::Bfloat16 => 2,
        }
    }

    /// Decodes values; `None` for integers.
    fn convert(self, bytes: &[u8]) -> Option<Vec<f32>> {
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

#[derive(Debug)]
struct SafetensorsStore {
    path: PathBuf,
    file: Mutex<File>,
    entries: Vec<Entry>,
    /// The location of each entry, from the start of the file.
    locations: Vec<Location>,
    framework: Framework,
    /// How the framework was determined, if it is not PyTorch.
    remark: Option<String>,
}

/// Reads the header and checks that the tensors fill the rest of the file without gaps or overlaps.
pub(crate) fn open(path: &Path, mut file: File, length: u64) -> Result<Box<dyn Store>, StoreError> {
    let location = path.display().to_string();
    let mut prefix = [0; 8];
    file.read_exact(&mut prefix).map_err(|source| unreadable(path, source))?;
    let size = u64::from_le_bytes(prefix);
    if size > MAX_HEADER_BYTES {
        return Err(StoreError::TooLarge { location, what: format!("its header declares {size} bytes") });
    }
    let mut header = Vec::new();
    file.by_ref().take(size).read_to_end(&mut header).map_err(|source| unreadable(path, source))?;
    let Header { tensors, format } =
        serde_json::from_slice(&header).map_err(|error| corrupt(&location, format!("its JSON header: {error}")))?;
    drop(header);
    let (framework, remark) = framework(&location, format.as_deref(), &tensors)?;
    let mut found = Vec::with_capacity(tensors.len());
    for (name, described) in tensors {
        found.push(Declared::read(&name, described)?);
    }
    found.sort_by_key(|tensor| (tensor.start, tensor.end));
    let mut end = 0;
    for tensor in &found {
        if tensor.start != end {
            return Err(corrupt(
                &tensor.name,
                format!("its bytes start at {}, but the preceding tensor ends at {end}", tensor.start),
            ));
        }
        end = tensor.end;
    }
    let data = 8 + size;
    if data.checked_add(end) != Some(length) {
        let what = format!("its header declares {end} bytes of tensors, but {} follow", length.saturating_sub(data));
        return Err(match data.saturating_add(end) > length {
            true => StoreError::Truncated { location, what },
            false => corrupt(&location, what),
        });
    }
    let (mut entries, mut locations) = (Vec::new(), Vec::new());
    for (entry, location) in torch_recurrent::joined(&mut found) {
        entries.push(entry);
        locations.push(location);
    }
    for tensor in found {
        // PyTorch's batch counter is not a parameter.
        if tensor.name.ends_with("num_batches_tracked") {
            continue;
        }
        let (layer, parameter) = tensor.name.rsplit_once(['.', '/']).unwrap_or(("", &tensor.name));
        let (layer, role) = (layer.to_string(), role(parameter, framework));
        let (key, shape, number) = (tensor.name.clone(), tensor.shape, tensor.number);
        entries.push(Entry { layer, role, key, shape, number, class: None });
        locations.push(Location::At(tensor.start));
    }
    for location in &mut locations {
        location.starts_mut().for_each(|start| *start += data);
    }
    Ok(Box::new(SafetensorsStore { path: path.into(), file: Mutex::new(file), entries, locations, framework, remark }))
}

/// Where the bytes of an entry are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Location {
    At(u64),
    /// The entry is the transpose of this matrix.
    Transposed(u64),
    /// The entry is the sum of two tensors.
    Sum([u64; 2]),
    /// The rows of the entry are two tensors.
    Rows([u64; 2]),
}

impl Location {
    fn starts_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        match self {
            Location::At(start) | Location::Transposed(start) => std::slice::from_mut(start).iter_mut(),
            Location::Sum(starts) | Location::Rows(starts) => starts.iter_mut(),
        }
    }
}

/// A tensor as the header declares it.
pub(crate) struct Declared {
    pub name: String,
    pub number: Number,
    pub shape: Vec<usize>,
    pub start: u64,
    end: u64,
}

impl Declared {
    fn read(name: &str, described: Described) -> Result<Declared, StoreError> {
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
}

/// The framework whose conventions a file follows, by its metadata or else by the names of its tensors.
fn framework(
    location: &str,
    format: Option<&str>,
    tensors: &[(String, Described)],
) -> Result<(Framework, Option<String>), StoreError> {
    let last = |name: &str| name.rsplit(['.', '/']).next().unwrap_or(name).to_string();
    let kernel = tensors.iter().map(|(name, _)| name).find(|name| last(name) == "kernel");
    let remark = |format: &str| Some(format!("its `format` is {format}: read as channels-last, matrices (in, out)"));
    match (format, kernel) {
        (Some(format @ ("flax" | "jax")), _) => Ok((Framework::Flax, remark(format))),
        (Some(format @ ("tf" | "tensorflow" | "keras")), _) => Ok((Framework::Keras, remark(format))),
        (Some(format @ ("mlx" | "pd" | "paddle")), _) => Err(StoreError::Refused {
            location: location.into(),
            what: format!(
                "its `format` is {format}, whose axis order netc does not support; save it in the format of PyTorch, TensorFlow or Flax"
            ),
        }),
        (Some("pt"), Some(kernel)) => Err(StoreError::Refused {
            location: location.into(),
            what: format!(
                "its `format` is pt, PyTorch, but the name `{kernel}` is from Keras or Flax: whether matrices are (out, in) or (in, out) \
                 is ambiguous; save it with the `format` of the framework whose axis order it has"
            ),
        }),
        (_, Some(kernel)) => {
            let remark =
                format!("the name `{kernel}` is from Keras or Flax: read as channels-last, matrices (in, out)");
            Ok((Framework::Keras, Some(remark)))
        }
        _ => Ok((Framework::PyTorch, None)),
    }
}

/// The role by the names of PyTorch, or of Keras and Flax in their files.
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

impl Store for SafetensorsStore {
    fn layout(&self) -> Layout {
        Layout::Safetensors
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
        let (Some(entry), Some(start)) = (self.entries.get(index), self.locations.get(index)) else {
            return Err(StoreError::NoSuchEntry { index });
        };
        let count = row_count(&entry.shape);
        if rows.end > count {
            return Err(StoreError::NoSuchRows { location: entry.key.clone(), end: rows.end, rows: count });
        }
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let row = entry.elements() / count.max(1);
        match *start {
            Location::At(start) => self.values(entry, start, rows.start * row, rows.len() * row),
            Location::Sum([a, b]) => {
                let (a, b) = (
                    self.values(entry, a, rows.start * row, rows.len() * row)?,
                    self.values(entry, b, rows.start * row, rows.len() * row)?,
                );
                Ok(a.iter().zip(&b).map(|(a, b)| a + b).collect())
            }
            Location::Rows(starts) => {
                let read = starts.into_iter().map(|start| self.values(entry, start, 0, row));
                Ok(read.collect::<Result<Vec<_>, _>>()?.concat()[rows.start * row..rows.end * row].to_vec())
            }
            Location::Transposed(start) => {
                let values = self.values(entry, start, 0, entry.elements())?;
                Ok(rows.flat_map(|at| values.iter().skip(at).step_by(count).copied()).collect())
            }
        }
    }
}

impl SafetensorsStore {
    /// `count` values of a tensor, starting at the value `first`.
    fn values(&self, entry: &Entry, start: u64, first: usize, count: usize) -> Result<Vec<f32>, StoreError> {
        let mut bytes = vec![0; count * entry.number.bytes()];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(start + (first * entry.number.bytes()) as u64))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|source| unreadable(&self.path, source))?;
        let whole = || StoreError::NonNumeric { location: entry.key.clone(), found: entry.number.to_string() };
        entry.number.convert(&bytes).ok_or_else(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::StoreError;
    use crate::weights::open;
    use crate::weights::store_tests::{error, folder, written};

    fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    #[test]
    fn safetensors_are_read() {
        let folder = folder();
        let header = r#"{"__metadata__":{"format":"pt"},
            "features.0.weight":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},
            "features.0.bias":{"dtype":"F16","shape":[4],"data_offsets":[8,16]},
            "bn.running_var":{"dtype":"BF16","shape":[2],"data_offsets":[16,20]},
            "bn.num_batches_tracked":{"dtype":"I64","shape":[],"data_offsets":[20,28]},
            "scale":{"dtype":"F64","shape":[],"data_offsets":[28,36]}}"#;
        let mut data = [1.5f32, -2.0].map(f32::to_le_bytes).concat();
        data.extend([0x3c00u16, 0xc001, 0x0001, 0x7c00, 0x3fc0, 0xc000].map(u16::to_le_bytes).concat());
        data.extend([0; 8]);
        data.extend(0.25f64.to_le_bytes());
        let good = safetensors(header, &data);
        let store = open(&written(&folder, &good), None).unwrap();
        let names: Vec<String> =
            store.entries().iter().map(|entry| format!("{}|{}", entry.layer, entry.role)).collect();
        assert_eq!(names, ["features.0|weight", "features.0|bias", "bn|running_variance", "|scale"]);
        let values: Vec<Vec<f32>> = (0..4).map(|index| store.read(index).unwrap()).collect();
        assert_eq!(values[0], [1.5, -2.0]);
        assert_eq!(values[1], [1.0, -2.0 - 2f32.powi(-9), 2f32.powi(-24), f32::INFINITY]);
        assert_eq!((&values[2][..], &values[3][..]), (&[1.5, -2.0][..], &[0.25][..]));
        assert_eq!(store.read_rows(0, 1..2).unwrap(), [-2.0]);

        assert!(matches!(error(&written(&folder, &good[..good.len() - 1])), StoreError::Truncated { .. }));
        let errors = [
            ("[0,8]", "[0,12]"),
            ("[8,16]", "[12,20]"),
            ("[2,1]", "[2,2]"),
            ("[2,1]", "[9223372036854775807,9223372036854775807]"),
            ("[2,1]", "[-2,1]"),
            ("\"F32\"", "\"I8\""),
            ("\"F32\"", "\"F8_E4M3\""),
            ("{\"dtype\":\"F32\"", "[\"dtype\",\"F32\""),
        ];
        for (right, wrong) in errors {
            let bytes = safetensors(&header.replacen(right, wrong, 1), &data);
            assert!(open(&written(&folder, &bytes), None).is_err(), "{wrong}");
        }
    }
}
