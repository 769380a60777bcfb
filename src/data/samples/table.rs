//! Rows of floats, one for each sample: in memory, or read from a file on demand, so that a dataset may be larger than memory.

use crate::data::features::feature_file::read_at;
use crate::element::Element;
use ndarray::ArrayD;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The size in bytes up to which a table is read into memory, which is fastest.
pub const KEPT: u64 = 64 << 20;

/// A table of rows; clones share the storage.
#[derive(Clone, Debug)]
pub struct Table {
    /// The sizes of a row.
    sizes: Vec<usize>,
    store: Store,
    /// The offset of a row in the stored row, in floats: several tables may share stored rows.
    begin: usize,
    /// The stored row of each row.
    rows: Vec<u64>,
    /// A stored value that is read as NaN.
    ignored: Option<f32>,
}

#[derive(Clone, Debug)]
enum Store {
    /// The values, and the length of a stored row.
    Memory(Arc<Vec<f32>>, usize),
    File(Arc<RowFile>),
}

/// A file with rows at a fixed stride.
#[derive(Debug)]
pub struct RowFile {
    pub path: PathBuf,
    pub file: File,
    /// The offset of the first row's values, in bytes.
    pub offset: u64,
    /// The distance between rows, in bytes.
    pub stride: u64,
    pub element: Element,
}

/// A row that can no longer be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", path.display(), why(source))]
pub struct TableError {
    pub path: PathBuf,
    pub source: io::Error,
}

fn why(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::UnexpectedEof => "it was truncated while it was in use".to_owned(),
        _ => crate::source::plain(source),
    }
}

impl Table {
    /// The rows of an array (n, …).
    pub fn of_array(array: ArrayD<f32>) -> Table {
        let (rows, sizes) = match array.shape() {
            [] => (1, Vec::new()),
            [rows, sizes @ ..] => (*rows as u64, sizes.to_vec()),
        };
        let array = if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() };
        let (values, offset) = array.into_raw_vec_and_offset();
        let values = match offset.unwrap_or(0) {
            0 => values,
            offset => values[offset..].to_vec(),
        };
        let floats = sizes.iter().product();
        Table {
            sizes,
            store: Store::Memory(Arc::new(values), floats),
            begin: 0,
            rows: (0..rows).collect(),
            ignored: None,
        }
    }

    /// Tables that share stored rows: each row of `values` is the concatenation of rows with these widths.
    pub fn of_columns(values: Vec<f32>, widths: &[usize]) -> Vec<Table> {
        let stored: usize = widths.iter().sum();
        let rows = (0..values.len().checked_div(stored).unwrap_or(0) as u64).collect();
        Self::columns(&Store::Memory(Arc::new(values), stored), widths, rows)
    }

    /// The same as [`Table::of_columns`], for the stored rows `rows` of a file.
    pub fn of_file_columns(file: RowFile, widths: &[usize], rows: Vec<u64>) -> Vec<Table> {
        Self::columns(&Store::File(Arc::new(file)), widths, rows)
    }

    fn columns(store: &Store, widths: &[usize], rows: Vec<u64>) -> Vec<Table> {
        let mut begin = 0;
        let column = |&width: &usize| {
            begin += width;
            Table { sizes: vec![width], store: store.clone(), begin: begin - width, rows: rows.clone(), ignored: None }
        };
        widths.iter().map(column).collect()
    }

    /// The first `rows` rows of a file, each of these sizes.
    pub fn of_file(file: RowFile, sizes: Vec<usize>, rows: usize) -> Table {
        Table { sizes, store: Store::File(Arc::new(file)), begin: 0, rows: (0..rows as u64).collect(), ignored: None }
    }

    /// The same rows, with `value` read as NaN.
    pub fn ignoring(self, value: f32) -> Table {
        Table { ignored: Some(value), ..self }
    }

    /// The value that is read as NaN.
    pub fn ignored(&self) -> Option<f32> {
        self.ignored
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The sizes of a row.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The number of values in a row.
    pub fn floats(&self) -> usize {
        self.sizes.iter().product()
    }

    /// Whether the rows are in memory.
    pub fn is_kept(&self) -> bool {
        matches!(self.store, Store::Memory(..))
    }

    /// Reads a row of [`Table::floats`] values.
    ///
    /// # Errors
    /// If the file cannot be read, or was truncated.
    ///
    /// # Panics
    /// If the row is out of range, or `to` has the wrong length.
    pub fn read(&self, row: usize, to: &mut [f32]) -> Result<(), TableError> {
        let row = self.rows[row];
        self.read_stored(row, to)?;
        if let Some(ignored) = self.ignored {
            to.iter_mut().filter(|value| **value == ignored).for_each(|value| *value = f32::NAN);
        }
        Ok(())
    }

    fn read_stored(&self, row: u64, to: &mut [f32]) -> Result<(), TableError> {
        match &self.store {
            Store::Memory(values, stored) => {
                to.copy_from_slice(&values[row as usize * stored + self.begin..][..to.len()]);
                Ok(())
            }
            Store::File(file) => {
                let begin = (self.begin * file.element.size()) as u64;
                let read = file.element.read_at(&file.file, file.offset + row * file.stride + begin, to);
                read.map_err(|source| TableError { path: file.path.clone(), source })
            }
        }
    }

    /// The rows at these indices, in this order.
    ///
    /// # Panics
    /// If an index is out of range.
    pub fn take(&self, indices: &[usize]) -> Table {
        Table { rows: indices.iter().map(|&index| self.rows[index]).collect(), ..self.clone() }
    }

    /// All values, row by row.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn into_values(self) -> Result<Vec<f32>, TableError> {
        let floats = self.floats();
        let in_order = self.rows.iter().enumerate().all(|(at, &row)| at as u64 == row);
        if let Store::Memory(values, stored) = &self.store
            && (self.ignored.is_none() && in_order && *stored == floats && values.len() == floats * self.rows.len())
        {
            let Store::Memory(values, _) = self.store else { return Ok(Vec::new()) };
            return Ok(Arc::unwrap_or_clone(values));
        }
        let mut values = vec![0.0; floats * self.len()];
        for (row, to) in values.chunks_exact_mut(floats.max(1)).enumerate() {
            self.read(row, to)?;
        }
        Ok(values)
    }
}

/// Tables are equal if they have the same values; one that cannot be read is not equal to any.
impl PartialEq for Table {
    fn eq(&self, other: &Table) -> bool {
        let values = |table: &Table| table.clone().into_values().ok();
        self.sizes == other.sizes
            && self.len() == other.len()
            && values(self).is_some_and(|found| Some(found) == values(other))
    }
}

impl Element {
    /// Reads values at an offset of a file, as f32.
    fn read_at(self, file: &File, offset: u64, to: &mut [f32]) -> io::Result<()> {
        if self == Element::F32 && cfg!(target_endian = "little") {
            return read_at(file, offset, bytemuck::cast_slice_mut(to));
        }
        let (mut bytes, mut values) = (vec![0; to.len() * self.size()], Vec::with_capacity(to.len()));
        read_at(file, offset, &mut bytes)?;
        if let Some(value) = self.beyond_f32(&bytes) {
            let what = format!("it contains {value:e}, which is more than float32 can express");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        self.append(&bytes, &mut values);
        to.copy_from_slice(&values);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, IxDyn};
    use std::io::Write;
    use tempfile::TempDir;

    fn values(table: &Table) -> Vec<f32> {
        table.clone().into_values().unwrap()
    }

    /// Four rows of three values, with four bytes before the first and two between rows.
    fn file(folder: &TempDir) -> RowFile {
        let path = folder.path().join("rows");
        let mut out = File::create(&path).unwrap();
        out.write_all(b"head").unwrap();
        for row in 0..4u8 {
            (0..3u8).for_each(|at| out.write_all(&f32::from(10 * row + at).to_le_bytes()).unwrap());
            out.write_all(b"--").unwrap();
        }
        RowFile { file: File::open(&path).unwrap(), path, offset: 4, stride: 14, element: Element::F32 }
    }

    #[test]
    fn rows_are_the_same_from_memory_and_from_a_file() {
        let folder = TempDir::new().unwrap();
        let array = Array::from_shape_fn(IxDyn(&[4, 3]), |at| (10 * at[0] + at[1]) as f32);
        let memory = Table::of_array(array.clone());
        let stored = Table::of_file(file(&folder), vec![3], 4);
        assert_eq!((stored.len(), stored.sizes(), stored.is_kept(), memory.is_kept()), (4, &[3][..], false, true));
        assert_eq!(memory, stored);
        assert_eq!(values(&stored.take(&[3, 0, 3]).take(&[2, 1])), [30.0, 31.0, 32.0, 0.0, 1.0, 2.0]);
        assert_eq!(memory.take(&[3, 1]), stored.take(&[3, 1]));
        assert_ne!(memory.take(&[3, 1]), stored.take(&[1, 3]));
        assert_eq!(Table::of_array(array.t().to_owned()).sizes(), [4]);
    }

    #[test]
    fn ignored_values_are_nan() {
        let folder = TempDir::new().unwrap();
        let array = Array::from_shape_fn(IxDyn(&[4, 3]), |at| (10 * at[0] + at[1]) as f32);
        for table in [Table::of_array(array), Table::of_file(file(&folder), vec![3], 4)] {
            let found = values(&table.ignoring(11.0).take(&[1, 2]));
            assert!(found[1].is_nan() && found.iter().filter(|value| value.is_nan()).count() == 1, "{found:?}");
        }
    }

    #[test]
    fn columns_share_their_rows() {
        let folder = TempDir::new().unwrap();
        let of_file = Table::of_file_columns(file(&folder), &[2, 1], vec![2, 0]);
        assert_eq!(of_file.iter().map(values).collect::<Vec<_>>(), [vec![20.0, 21.0, 0.0, 1.0], vec![22.0, 2.0]]);
        assert_eq!(Table::of_columns(vec![20.0, 21.0, 22.0, 0.0, 1.0, 2.0], &[2, 1]), of_file);
    }

    #[test]
    fn a_file_truncated_in_use_is_an_error() {
        let folder = TempDir::new().unwrap();
        let table = Table::of_file(file(&folder), vec![3], 4);
        File::options().write(true).open(folder.path().join("rows")).unwrap().set_len(40).unwrap();
        table.read(1, &mut [0.0; 3]).unwrap();
        let error = table.read(3, &mut [0.0; 3]).unwrap_err().to_string();
        assert!(error.ends_with("rows: it was truncated while it was in use"), "{error}");
    }
}
