//! Arrays in HDF5 files, by the dataset's path from the root.

use super::array_fault::{ArrayFault, ArrayInfo, MAX_RATIO, choose, within};
use super::element::Element;
use super::npy::checked_count;
use super::table::{RowFile, Table};
use crate::file::{self, locked};
use hdf5::dataset::Layout;
use hdf5::datatype::ByteOrder;
use hdf5::types::{FloatSize, TypeDescriptor};
use hdf5::{Dataset, File, Group, LinkType};
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use std::path::Path;
use std::{fs, io};

/// How deep groups are followed, and how many links in all: beyond it the file is no file of arrays.
const MAX_DEPTH: usize = 16;
const MAX_LINKS: usize = 20_000;

/// The dataset `name`, or without a name the only one in the file.
pub fn read(path: &Path, name: Option<&str>) -> Result<ArrayD<f32>, ArrayFault> {
    let file = File::open(path).map_err(fault)?;
    let stored = fs::metadata(path).map_err(ArrayFault::Io)?.len();
    let (name, dataset) = named(&file, name)?;
    within(&name, values(&dataset, stored))
}

/// The rows of the dataset that [`read`] gives, where they can be read from the file one by one and are over `kept` bytes:
/// contiguous, as little-endian f32.
pub fn rows(path: &Path, name: Option<&str>, kept: u64) -> Result<Option<Table>, ArrayFault> {
    let file = File::open(path).map_err(fault)?;
    let (dataset, shape, element) = {
        let (_, dataset) = named(&file, name)?;
        let (shape, stored) = (dataset.get_shape().map_err(fault)?, dataset.dtype().map_err(fault)?);
        let float = matches!(stored.to_descriptor(), Ok(TypeDescriptor::Float(FloatSize::U4)));
        (dataset, shape, (float && stored.byte_order() == ByteOrder::LittleEndian).then_some(Element::F32))
    };
    let bytes = checked_count(&shape)? as u64 * 4;
    let ([rows, sizes @ ..], Layout::Contiguous, Some(offset), Some(element)) =
        (&shape[..], dataset.layout(), dataset.offset(), element)
    else {
        return Ok(None);
    };
    let (path, file) = (path.to_owned(), fs::File::open(path).map_err(ArrayFault::Io)?);
    let length = file.metadata().map_err(ArrayFault::Io)?.len();
    // What the file does not hold is told by reading it whole.
    if bytes <= kept || offset.saturating_add(bytes) > length {
        return Ok(None);
    }
    let file = RowFile { path, file, offset, stride: bytes / *rows as u64, element };
    Ok(Some(Table::of_file(file, sizes.to_vec(), *rows)))
}

/// The dataset that is meant, and its name.
fn named(file: &File, name: Option<&str>) -> Result<(String, Dataset), ArrayFault> {
    let name = match name.map(|name| name.trim_start_matches('/')) {
        Some(name) if file.dataset(name).is_ok() => name.to_owned(),
        name => choose(name, list_names(file)?)?,
    };
    let dataset = file.dataset(&name).map_err(fault)?;
    Ok((name, dataset))
}

/// The datasets of the file with their shapes, sorted by their paths.
pub fn list(path: &Path) -> Result<Vec<ArrayInfo>, ArrayFault> {
    let file = File::open(path).map_err(fault)?;
    let of = |name: String| {
        let shape = file.dataset(&name).and_then(|dataset| dataset.get_shape()).map_err(fault);
        within(&name, shape).map(|shape| ArrayInfo { name: name.clone(), shape })
    };
    list_names(&file)?.into_iter().map(of).collect()
}

/// Writes the named arrays, contiguous, as little-endian f32; a `/` in a name makes groups.
pub fn write(path: &Path, arrays: &[(&str, ArrayViewD<f32>)]) -> Result<(), ArrayFault> {
    // The oldest version of each structure, which every HDF5 since 1.8 reads, and which holds no times.
    let unwritten = |error: hdf5::Error| ArrayFault::Io(io::Error::other(file::in_words(&error.to_string())));
    let file = File::with_options().with_fapl(|access| access.libver_earliest()).create(path).map_err(unwritten)?;
    for (name, array) in arrays {
        let array = array.as_standard_layout();
        let dataset = file.new_dataset_builder().obj_track_times(false).with_data(&array).create(*name);
        within(name, dataset.map_err(unwritten))?;
    }
    file.flush().map_err(unwritten)?;
    file.close().map_err(unwritten)
}

/// The values of the dataset in a file of `stored` bytes, as f32.
fn values(dataset: &Dataset, stored: u64) -> Result<ArrayD<f32>, ArrayFault> {
    let stored_type = dataset.dtype().map_err(fault)?;
    let boolean = match stored_type.to_descriptor() {
        Ok(TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_) | TypeDescriptor::Float(_)) => false,
        Ok(TypeDescriptor::Boolean) => true,
        Ok(other) => return Err(ArrayFault::Type { found: in_words(&other).to_owned() }),
        // Numbers that Rust has no name for (float16): the library converts them, or says that it cannot.
        Err(_) => false,
    };
    let shape = dataset.get_shape().map_err(fault)?;
    let count = checked_count(&shape)?;
    let (size, stored_here) = (stored_type.size() as u64, dataset.storage_size());
    let declared = count as u64 * size;
    match dataset.layout() {
        // Chunks may be compressed, and those that were never written are the fill value.
        Layout::Chunked if declared > stored.saturating_mul(MAX_RATIO) => {
            return Err(ArrayFault::Bomb { declared, stored });
        }
        Layout::Chunked => {}
        Layout::Compact | Layout::Contiguous if stored_here.min(stored) < declared => {
            return Err(ArrayFault::Truncated { declared, available: stored_here.min(stored) });
        }
        Layout::Compact | Layout::Contiguous => {}
        // Its values are in other files, and read as zeros when those are gone.
        #[allow(unreachable_patterns)]
        _ => return Err(ArrayFault::Type { found: "a view of other files' data (a virtual dataset)".to_owned() }),
    }
    let mut values: Vec<f32> = Vec::new();
    values.try_reserve_exact(count).map_err(|_| ArrayFault::Memory { bytes: count as u64 * 4 })?;
    if boolean {
        values.extend(dataset.read_raw::<bool>().map_err(fault)?.into_iter().map(f32::from));
    } else {
        values.resize(count, 0.0);
        dataset.read_into_raw(&mut values).map_err(fault)?;
    }
    ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|error| ArrayFault::Damaged(error.to_string()))
}

/// What is stored, where it is no number.
fn in_words(kind: &TypeDescriptor) -> &'static str {
    match kind {
        TypeDescriptor::Compound(_) => "records (a compound type)",
        TypeDescriptor::Enum(_) => "an enumeration",
        TypeDescriptor::FixedArray(..) | TypeDescriptor::VarLenArray(_) => "arrays as elements",
        TypeDescriptor::Reference(_) => "references",
        _ => "text",
    }
}

/// The paths of all datasets, sorted.
fn list_names(file: &File) -> Result<Vec<String>, ArrayFault> {
    let (mut names, mut left) = (Vec::new(), MAX_LINKS);
    collect(file, "", 0, &mut left, &mut names)?;
    names.sort_unstable();
    Ok(names)
}

/// Follows hard links only: soft and external ones lead to what is elsewhere. Hard links can make circles, so the depth
/// and the number of links that are `left` to follow are bounded.
fn collect(
    group: &Group,
    prefix: &str,
    depth: usize,
    left: &mut usize,
    names: &mut Vec<String>,
) -> Result<(), ArrayFault> {
    let mut links = Vec::new();
    let visited = group.iter_visit_default(|name, link| {
        if link.link_type == LinkType::Hard {
            links.push(name.to_owned());
        }
        Ok(())
    });
    visited.map_err(fault)?;
    for link in links {
        *left = left.saturating_sub(1);
        if depth == MAX_DEPTH || *left == 0 {
            let limits = format!("its groups are over {MAX_DEPTH} deep, or hold over {MAX_LINKS} things");
            return Err(ArrayFault::Damaged(limits));
        }
        if let Ok(inner) = group.group(&link) {
            collect(&inner, &format!("{prefix}{link}/"), depth + 1, left, names)?;
        } else if group.dataset(&link).is_ok() {
            names.push(format!("{prefix}{link}"));
        }
    }
    Ok(())
}

/// The library's words; it says "truncated file" among many others when the file is shorter than its own record.
fn fault(error: hdf5::Error) -> ArrayFault {
    let text = error.to_string();
    if let Some(busy) = locked(&text) {
        return ArrayFault::Io(busy);
    }
    match text {
        text if text.contains("truncated") => ArrayFault::Short,
        text if text.contains("plugin") || text.contains("required filter") => ArrayFault::Filter,
        text if text.contains("no conversion path") => {
            ArrayFault::Type { found: "a type that is no number".to_owned() }
        }
        text => ArrayFault::Damaged(text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::array_file::read_hdf5;
    use super::*;
    use ndarray::array;
    use tempfile::TempDir;

    #[test]
    fn other_types_in_hdf5() {
        let told = |result: Result<_, super::super::ArrayError>| {
            result.map(|_: ArrayD<f32>| ()).unwrap_err().fault.to_string()
        };
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("types.h5");
        let file = hdf5::File::create(&path).unwrap();
        file.new_dataset_builder().with_data(&array![[1i64, -2], [3, 4]]).create("i8").unwrap();
        file.new_dataset_builder().with_data(&array![0.1f64, 1e300]).create("f8").unwrap();
        file.new_dataset_builder().with_data(&array![true, false]).create("bool").unwrap();
        file.new_dataset_builder()
            .shuffle()
            .deflate(9)
            .with_data(&ndarray::Array2::from_elem((1, 300), 7u8))
            .create("packed")
            .unwrap();
        let texts: ndarray::Array1<hdf5::types::VarLenUnicode> = array!["owl".parse().unwrap()];
        file.new_dataset_builder().with_data(&texts).create("text").unwrap();
        file.new_dataset::<f32>().shape((1 << 20, 1 << 20)).create("unwritten").unwrap();
        file.new_dataset::<f32>().chunk((64, 64)).shape((1 << 20, 1 << 20)).create("bomb").unwrap();
        file.close().unwrap();
        assert_eq!(read_hdf5(&path, "i8").unwrap(), array![[1.0, -2.0], [3.0, 4.0]].into_dyn());
        assert_eq!(read_hdf5(&path, "/f8").unwrap(), array![0.1, f32::INFINITY].into_dyn());
        assert_eq!(read_hdf5(&path, "bool").unwrap(), array![1.0, 0.0].into_dyn());
        assert_eq!(read_hdf5(&path, "packed").unwrap(), ArrayD::from_elem(IxDyn(&[1, 300]), 7.0));
        let text = "array `text`: it holds text; numbers that become f32 are wanted";
        assert_eq!(told(read_hdf5(&path, "text")), text);
        let unwritten = told(read_hdf5(&path, "unwritten"));
        assert_eq!(unwritten, "array `unwritten`: truncated: its shape needs 4398046511104 bytes, the file has 0");
        let bomb = told(read_hdf5(&path, "bomb"));
        assert!(bomb.starts_with("array `bomb`: it claims 4398046511104 bytes from "), "{bomb}");
    }
}
