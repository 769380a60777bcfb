//! Array files: `.npy`, `.npz` and HDF5, always as f32 in C order.

use super::array_error::{ArrayError, ArrayErrorKind, ArrayInfo, at};
use super::hdf5_arrays;
use super::npy;
use super::npy::Header;
use super::npz::Npz;
use crate::content::Content;
use crate::data::samples::table::{RowFile, Table};
use crate::file::open_regular;
use ndarray::ArrayD;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

pub use super::array_write::{Format, format_of_ending, write, write_hdf5, write_npy, write_npz};

/// The array `name` in the file at `path`; without a name, its only one. The format is detected from the content.
///
/// # Errors
/// A file that cannot be read, is damaged or is not an array; a name that the file does not have, or none where it
/// has several arrays; an array that does not fit in memory.
pub fn read(path: &Path, name: Option<&str>) -> Result<ArrayD<f32>, ArrayError> {
    at(path, || match (format(path)?, name) {
        (Format::Npy, None) => npy_file(path),
        (Format::Npy, Some(_)) => Err(ArrayErrorKind::OneArray),
        (Format::Npz, name) => Npz::new(open(path)?.0)?.read(name),
        (Format::Hdf5, name) => hdf5_arrays::read(path, name),
    })
}

/// The array `name` (without a name, the only one) as a table of its rows; `None` if it is a scalar. An array of more than
/// `kept` bytes whose rows are contiguous in the file, that is in a `.npy` file in C order or in HDF5 as f32 without chunks, is
/// read row by row on demand. Other arrays are read completely.
///
/// # Errors
/// As [`read`].
pub fn table(path: &Path, name: Option<&str>, kept: u64) -> Result<Option<Table>, ArrayError> {
    let found = at(path, || match (format(path)?, name) {
        (Format::Npy, None) => npy_rows(path, kept),
        (Format::Hdf5, name) => hdf5_arrays::rows(path, name, kept),
        _ => Ok(None),
    })?;
    match found {
        Some(table) => Ok(Some(table)),
        None => read(path, name).map(|array| (array.ndim() > 0).then(|| Table::of_array(array))),
    }
}

/// The rows of a `.npy` file, if they are more than `kept` bytes and can be read one by one.
fn npy_rows(path: &Path, kept: u64) -> Result<Option<Table>, ArrayErrorKind> {
    let (mut reader, length) = open(path)?;
    let header = Header::read(&mut reader)?;
    let count = header.count_in(length.saturating_sub(header.length))?;
    let [rows, sizes @ ..] = &header.shape[..] else { return Ok(None) };
    if count as u64 * 4 <= kept || header.fortran {
        return Ok(None);
    }
    let stride = (count / rows.max(&1) * header.element.size()) as u64;
    let (path, file) = (path.to_owned(), reader.into_inner());
    let file = RowFile { path, file, offset: header.length, stride, element: header.element };
    Ok(Some(Table::of_file(file, sizes.to_vec(), *rows)))
}

/// The shape of the array `name` in the file at `path`; without a name, of its only one. Values are not read.
///
/// # Errors
/// As [`read`].
pub fn shape(path: &Path, name: Option<&str>) -> Result<Vec<usize>, ArrayError> {
    let list = list(path)?;
    let found = match (name, &list[..]) {
        (None, [one]) => Some(one),
        (Some(name), list) => list.iter().find(|one| one.name == name),
        (None, _) => None,
    };
    match found {
        Some(one) => Ok(one.shape.clone()),
        // Says what is there.
        None => read(path, name).map(|array| array.shape().to_vec()),
    }
}

/// The arrays in the file at `path`, in file order, without their values.
///
/// # Errors
/// A file that cannot be read, is damaged or contains no arrays.
pub fn list(path: &Path) -> Result<Vec<ArrayInfo>, ArrayError> {
    at(path, || match format(path)? {
        Format::Npy => {
            let header = Header::read(&mut open(path)?.0)?;
            Ok(vec![ArrayInfo { name: String::new(), shape: header.shape }])
        }
        Format::Npz => Npz::new(open(path)?.0)?.list(),
        Format::Hdf5 => hdf5_arrays::list(path),
    })
}

/// The array of a `.npy` file: booleans, integers and floats of any size and byte order are converted to f32, Fortran
/// order to C order.
///
/// # Errors
/// A file that cannot be read, is damaged or has another format; an array that does not fit in memory.
pub fn read_npy(path: &Path) -> Result<ArrayD<f32>, ArrayError> {
    at(path, || check_format(path, Format::Npy).and_then(|()| npy_file(path)))
}

/// The array `name` of a `.npz` file (stored or deflated, as `savez` and `savez_compressed` write).
///
/// # Errors
/// As [`read_npy`], and if the file has no array of this name.
pub fn read_npz(path: &Path, name: &str) -> Result<ArrayD<f32>, ArrayError> {
    at(path, || check_format(path, Format::Npz).and_then(|()| Npz::new(open(path)?.0)?.read(Some(name))))
}

/// The dataset `name` of an HDF5 file, by its path from the root: `x` or `group/x`.
///
/// # Errors
/// As [`read_npy`], and if the file has no dataset of this name.
pub fn read_hdf5(path: &Path, name: &str) -> Result<ArrayD<f32>, ArrayError> {
    at(path, || check_format(path, Format::Hdf5).and_then(|()| hdf5_arrays::read(path, Some(name))))
}

fn open(path: &Path) -> Result<(BufReader<File>, u64), ArrayErrorKind> {
    let (file, length) = open_regular(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ArrayErrorKind::NotFound,
        io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory => ArrayErrorKind::NotAFile,
        _ => ArrayErrorKind::Io(error),
    })?;
    Ok((BufReader::with_capacity(64 << 10, file), length))
}

fn format(path: &Path) -> Result<Format, ArrayErrorKind> {
    let (reader, length) = open(path)?;
    match Content::of_file(&mut reader.into_inner(), length).map_err(ArrayErrorKind::Io)? {
        Content::Npy => Ok(Format::Npy),
        Content::Zip => Ok(Format::Npz),
        Content::Hdf5 => Ok(Format::Hdf5),
        other => Err(ArrayErrorKind::NotAnArray { looks_like: other.in_words() }),
    }
}

/// Checks that a file has the expected format.
fn check_format(path: &Path, expected: Format) -> Result<(), ArrayErrorKind> {
    match format(path)? {
        found if found == expected => Ok(()),
        found => Err(ArrayErrorKind::OtherFormat { found: found.in_words(), expected: expected.in_words() }),
    }
}

fn npy_file(path: &Path) -> Result<ArrayD<f32>, ArrayErrorKind> {
    let (mut reader, length) = open(path)?;
    let header = Header::read(&mut reader)?;
    npy::read_values(&mut reader, &header, length.saturating_sub(header.length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::seeded_rng::SeededRng;
    use ndarray::{Array, ArrayViewD, IxDyn};
    use std::fs;
    use std::path::PathBuf;
    use tempfile::TempDir;

    fn counting(shape: &[usize]) -> ArrayD<f32> {
        Array::from_iter((0..shape.iter().product()).map(|x| x as f32 * 0.5)).into_shape_with_order(shape).unwrap()
    }

    fn written(name: &str, arrays: &[(&str, ArrayViewD<f32>)]) -> (TempDir, PathBuf) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(name);
        write(&path, arrays).unwrap();
        (folder, path)
    }

    fn error_text<T>(result: Result<T, ArrayError>) -> String {
        result.err().map(|error| error.error.to_string()).unwrap_or_default()
    }

    #[test]
    fn written_arrays_are_read_back() {
        for shape in [&[][..], &[0, 3], &[5], &[3, 4, 2]] {
            let (x, y) = (counting(shape), counting(&[2, 3]));
            let turned = y.t();
            let (_folder, path) = written("one.npy", &[("x", x.view())]);
            assert_eq!(read(&path, None).unwrap(), x);
            assert_eq!(read_npy(&path).unwrap(), x);
            for name in ["two.npz", "two.h5", "two.HDF5"] {
                let (_folder, path) = written(name, &[("x", x.view()), ("in/y", turned.clone())]);
                assert_eq!(read(&path, Some("x")).unwrap(), x, "{name}");
                assert_eq!(read(&path, Some("in/y")).unwrap(), turned, "{name}");
                let mut infos = list(&path).unwrap();
                infos.sort_by(|a, b| b.name.cmp(&a.name));
                assert_eq!(infos[0], ArrayInfo { name: "x".to_owned(), shape: shape.to_vec() });
                assert_eq!(infos[1], ArrayInfo { name: "in/y".to_owned(), shape: vec![3, 2] });
                let several = error_text(read(&path, None));
                assert!(several.starts_with("it has several arrays, `"), "{several}");
                let none = error_text(read(&path, Some("z")));
                assert!(none.starts_with("it has no array `z`; available: `"), "{none}");
            }
        }
    }

    #[test]
    fn rows_are_those_of_the_array() {
        let array = counting(&[4, 3, 2]);
        for (name, stays) in [("x.npy", true), ("x.h5", true), ("x.npz", false)] {
            let (_folder, path) = written(name, &[("x", array.view())]);
            let small = table(&path, None, 96).unwrap().unwrap();
            let large = table(&path, None, 95).unwrap().unwrap();
            assert_eq!((small.is_kept(), large.is_kept()), (true, !stays), "{name}");
            assert_eq!((small.len(), small.sizes()), (4, &[3, 2][..]));
            assert_eq!(large, small, "{name}");
            assert_eq!(small, Table::of_array(array.clone()), "{name}");
        }
        let (_folder, path) = written("one.npy", &[("x", counting(&[]).view())]);
        assert!(table(&path, None, 0).unwrap().is_none());
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(error_text(table(&path, None, 0)), "truncated: its shape needs 4 bytes, the file has 3");
        // Other element types are converted on reading.
        let bytes = [
            b"\x93NUMPY\x01\0\x3e\0{'descr': '>i2', 'fortran_order': False, 'shape': (2, 2), }  \n".as_slice(),
            &[0, 1, 0, 2, 0, 3, 255, 255],
        ]
        .concat();
        fs::write(&path, bytes).unwrap();
        let found = table(&path, None, 0).unwrap().unwrap();
        assert!(!found.is_kept());
        assert_eq!(found.take(&[1]).into_values().unwrap(), [3.0, -1.0]);
    }

    #[test]
    fn other_files_are_identified() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("x.npy");
        assert_eq!(error_text(read(&path, None)), "no such file");
        assert_eq!(error_text(read(folder.path(), None)), "not a regular file");
        fs::write(&path, "1 2 3").unwrap();
        assert_eq!(error_text(list(&path)), "not an array, but text; arrays are .npy, .npz or HDF5");
        write_npz(&path, &[("x", counting(&[2]).view())]).unwrap();
        assert_eq!(error_text(read_npy(&path)), "it is a .npz file, not a .npy file");
        assert_eq!(read(&path, None).unwrap(), counting(&[2]));
        let error = read_hdf5(&path, "x").unwrap_err();
        assert_eq!(error.to_string(), format!("{}: {}", path.display(), error.error));
    }

    #[test]
    fn truncated_files_are_errors() {
        for name in ["x.npy", "x.npz", "x.h5"] {
            let (_folder, path) = written(name, &[("x", counting(&[40, 5]).view())]);
            let whole = fs::read(&path).unwrap();
            for length in (0..whole.len()).step_by(61) {
                fs::write(&path, &whole[..length]).unwrap();
                assert!(read(&path, None).is_err(), "{name}, {length} bytes of {}", whole.len());
            }
        }
    }

    /// For HDF5, only random bytes after the signature: mutations of real files are tested in `h5`.
    #[test]
    fn arbitrary_bytes_do_not_panic() {
        let (_folder, path) = written("x.npz", &[("x", counting(&[3]).view()), ("y", counting(&[2]).view())]);
        let whole = fs::read(&path).unwrap();
        let mut rng = SeededRng::new([0; 4]);
        let mut random = |below: usize| rng.below(below);
        for round in 0..500 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random(4) {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
            }
            if let Ok(array) = Npz::new(io::Cursor::new(&bytes)).and_then(|mut npz| npz.read(Some("x"))) {
                assert_eq!(array, counting(&[3]), "the checksum detects every change, round {round}");
            }
        }
        for length in 0..60 {
            let mut bytes = b"\x89HDF\r\n\x1a\n".to_vec();
            bytes.extend((0..length * 20).map(|_| random(256) as u8));
            fs::write(&path, bytes).unwrap();
            assert!(read(&path, None).is_err() && list(&path).is_err());
        }
    }

    #[test]
    fn a_zip_bomb_is_refused() {
        let mut zeros = Vec::new();
        npy::write(&mut zeros, &ArrayD::zeros(IxDyn(&[100_000])).view()).unwrap();
        let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        archive.start_file("x.npy", options).unwrap();
        io::Write::write_all(&mut archive, &zeros).unwrap();
        let mut bytes = archive.finish().unwrap().into_inner();
        let honest = Npz::new(io::Cursor::new(&bytes)).unwrap().read(Some("x")).unwrap();
        assert_eq!(honest.len(), 100_000);
        // Increase the size in the directory, at offset 24 of its entry.
        let entry = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
        bytes[entry + 24..entry + 28].copy_from_slice(&0x7fff_ffffu32.to_le_bytes());
        let error = Npz::new(io::Cursor::new(&bytes)).and_then(|mut npz| npz.read(None)).unwrap_err().to_string();
        assert!(error.starts_with("array `x`: it claims to expand "), "{error}");
    }
}
