//! safetensors: the length of a JSON header in eight bytes, the header, then the bytes of the tensors, little-endian.
//!
//! Each key of the header is the name of a tensor, each value its `dtype`, `shape` and `data_offsets`, from the end of the
//! header. The name `features.0.weight` means the parameter `weight` of the layer `features.0`.

mod header;
pub(crate) mod sharded;
mod tensor;

use super::hdf5_file::corrupt;
use super::tensor_file::TensorFile;
use super::tensor_source::Tensor;
use super::wrappers;
use crate::request::Layout;
use crate::weights::bind::axis_permutation::Framework;
use crate::weights::store::{Store, StoreError, unreadable};
use header::{Described, Header};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use tensor::Declared;

/// The limit of the format for the header.
const MAX_HEADER_BYTES: u64 = 100 << 20;

/// Opens a file of this length.
pub(crate) fn open(path: &Path, mut file: File, length: u64) -> Result<Box<dyn Store>, StoreError> {
    let (mut tensors, mut convention) = read_header(path, &mut file, length)?;
    unwrap(&mut tensors, &mut convention);
    let files = vec![(path.into(), file)];
    Ok(Box::new(TensorFile::new(Layout::Safetensors, files, tensors, convention)))
}

/// The framework whose conventions a file follows, and how it was determined if it is not PyTorch.
pub(crate) type Convention = (Framework, Option<String>);

/// Takes off what `torch.compile` puts before all names.
fn unwrap(tensors: &mut [Tensor], (_, remark): &mut Convention) {
    let unwrapped = wrappers::unwrap(tensors, &[wrappers::COMPILED]);
    *remark = [remark.take(), unwrapped].into_iter().flatten().reduce(|a, b| format!("{a}; {b}"));
}

/// Reads the header and checks that the tensors fill the rest of the file without gaps or overlaps.
pub(crate) fn read_header(path: &Path, file: &mut File, length: u64) -> Result<(Vec<Tensor>, Convention), StoreError> {
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
    let convention = convention(&location, format.as_deref(), &tensors)?;
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
    Ok((found.into_iter().map(|tensor| tensor.at(data)).collect(), convention))
}

/// The framework whose conventions a file follows, by its metadata or else by the names of its tensors.
fn convention(location: &str, format: Option<&str>, tensors: &[(String, Described)]) -> Result<Convention, StoreError> {
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
