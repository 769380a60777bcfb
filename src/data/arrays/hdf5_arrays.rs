//! Arrays in HDF5 files, by the path of the dataset from the root.

use super::array_error::{ArrayErrorKind, ArrayInfo, choose};
use crate::data::samples::table::{RowFile, Table};
use crate::element::Element;
use crate::h5::{self, Backend, Dataset, File, Hdf5Error, Kind, Stored};
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use std::fs;
use std::path::Path;

/// The dataset `name`; without a name, the only one in the file.
pub fn read(path: &Path, name: Option<&str>) -> Result<ArrayD<f32>, ArrayErrorKind> {
    let file = File::open(path)?;
    let dataset = named(&file, name)?;
    let values = file.read(&dataset)?;
    ArrayD::from_shape_vec(IxDyn(dataset.shape()), values).map_err(|error| ArrayErrorKind::Damaged(error.to_string()))
}

/// The rows of the dataset that [`read`] returns, if they are more than `kept` bytes and can be read one by one, as
/// contiguous little-endian f32.
pub fn rows(path: &Path, name: Option<&str>, kept: u64) -> Result<Option<Table>, ArrayErrorKind> {
    let file = File::open(path)?;
    let dataset = named(&file, name)?;
    let ([rows, sizes @ ..], Stored::Contiguous { offset }, Element::F32) =
        (dataset.shape(), dataset.stored(), dataset.element())
    else {
        return Ok(None);
    };
    let stride = dataset.row_len() as u64 * 4;
    if stride.saturating_mul(*rows as u64) <= kept {
        return Ok(None);
    }
    let (path, file) = (path.to_owned(), fs::File::open(path).map_err(ArrayErrorKind::Io)?);
    let file = RowFile { path, file, offset: *offset, stride, element: dataset.element() };
    Ok(Some(Table::of_file(file, sizes.to_vec(), *rows)))
}

/// The dataset `name`, or the only one.
fn named(file: &File, name: Option<&str>) -> Result<Dataset, ArrayErrorKind> {
    if let Some(name) = name
        && file.kind(name)? == Some(Kind::Dataset)
    {
        return Ok(file.dataset(name)?);
    }
    let name = choose(name.map(|name| name.trim_start_matches('/')), file.datasets()?)?;
    Ok(file.dataset(&name)?)
}

/// The numeric datasets in the file with their shapes, sorted by path.
pub fn list(path: &Path) -> Result<Vec<ArrayInfo>, ArrayErrorKind> {
    let file = File::open(path)?;
    let mut found = Vec::new();
    for name in file.datasets()? {
        match file.dataset(&name) {
            Ok(dataset) => found.push(ArrayInfo { name, shape: dataset.shape().to_vec() }),
            Err(Hdf5Error::NotNumbers { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Writes the named arrays, contiguous, as little-endian f32; a `/` in a name creates groups.
pub fn write(path: &Path, arrays: &[(&str, ArrayViewD<f32>)]) -> Result<(), ArrayErrorKind> {
    let mut file = h5::writer(path, Backend::DEFAULT)?;
    for (name, array) in arrays {
        let array = array.as_standard_layout();
        file.dataset(name, array.shape(), array.as_slice().unwrap_or_default())?;
    }
    Ok(file.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ArrayError;
    use crate::data::arrays::array_file::{list, read_hdf5, table};
    use ndarray::array;
    use std::path::PathBuf;

    fn data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hdf5").join(name)
    }

    fn refusal<T>(result: Result<T, ArrayError>) -> String {
        result.err().map(|error| error.error.to_string()).unwrap_or_default()
    }

    #[test]
    fn other_types_in_hdf5() {
        let path = data("numbers.earliest.h5");
        let counting = ArrayD::from_shape_fn(IxDyn(&[3, 5]), |at| (5 * at[0] + at[1]) as f32);
        for kind in ["f2", "little_f4", "big_f4", "f8", "i1", "u1", "big_i2", "i8", "big_u8"] {
            assert_eq!(read_hdf5(&path, &format!("/types/{kind}")).unwrap(), counting, "{kind}");
        }
        assert_eq!(read_hdf5(&path, "types/bool").unwrap(), array![0.0, 1.0].into_dyn());
        assert_eq!(list(&path).unwrap().len(), 65);
        // Only contiguous rows of f32 are read from the file row by row.
        for (name, kept) in [("types/little_f4", false), ("types/big_f4", true), ("packed/gzip", true)] {
            assert_eq!(table(&path, Some(name), 0).unwrap().unwrap().is_kept(), kept, "{name}");
        }
        let user_block = data("numbers.user_block.h5");
        let found = rows(&user_block, Some("types/little_f4"), 0).unwrap().unwrap();
        assert_eq!(found.take(&[1]).into_values().unwrap(), [5.0, 6.0, 7.0, 8.0, 9.0]);
    }

    /// An earlier version followed every link, and returned the bytes of files named by external storage.
    #[test]
    fn malicious_files_are_refused() {
        let refused = |file: &str, name: &str, refusal: &str| {
            let path = data(file);
            let errors = [
                crate::data::arrays::array_file::read(&path, Some(name)).map(drop),
                table(&path, Some(name), 0).map(drop),
            ];
            for error in errors {
                let error = super::tests::refusal(error);
                assert!(error.starts_with(refusal), "{error}");
            }
        };
        refused("external_storage.h5", "x", "`/x` is refused: its bytes are in another file");
        refused("elsewhere.h5", "soft", "`/soft` is refused: it is a soft link");
        refused("elsewhere.h5", "external", "`/external` is refused: it is an external link");
        refused("elsewhere.h5", "virtual", "`/virtual` is refused: it is a virtual dataset");
        refused("elsewhere.h5", "text", "`/text` contains text where numbers are expected");
        refused("elsewhere.h5", "lzf", "`/lzf` is refused: it is compressed by filter 32000");
        refused("sizes.h5", "unwritten", "`/unwritten` is truncated: it declares 4000 bytes");
        refused("sizes.h5", "bomb", "`/bomb` is too large: it declares 400000000 bytes");
        refused("damaged_heap.h5", "x", "`/average-pooling-4` is damaged");
        refused("shared_groups.h5", "x", "`/z/n0` is refused: it is a second link to the group `/layers/m_0`");
        assert!(refusal(list(&data("external_storage.h5"))).starts_with("`/x` is refused"));
    }
}
