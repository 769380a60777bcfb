//! Errors for damaged and malicious files name what is wrong.

use std::fs;
use std::path::{Path, PathBuf};
#[cfg(feature = "hdf5")]
use std::str::FromStr;

#[cfg(feature = "hdf5")]
use hdf5::types::{FixedAscii, VarLenUnicode};
use tempfile::TempDir;

use super::open;
use super::store::{Role, Store, StoreError};
use crate::h5;
use crate::request::Layout;

/// A file in NeuPy's layout.
pub(super) const NEUPY: &str = "vgg16_tiny/vgg16_neupy.hdf5";

pub(super) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

pub(super) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(super) fn written(folder: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("file");
    fs::write(&path, bytes).unwrap();
    path
}

#[cfg(feature = "hdf5")]
fn made(folder: &TempDir, fill: impl FnOnce(&hdf5::File)) -> PathBuf {
    let path = folder.path().join("made.h5");
    let file = hdf5::File::create(&path).unwrap();
    fill(&file);
    file.close().unwrap();
    path
}

#[cfg(feature = "hdf5")]
fn put_text(location: &hdf5::Location, name: &str, text: &str) {
    let text = VarLenUnicode::from_str(text).unwrap();
    location.new_attr::<VarLenUnicode>().create(name).unwrap().write_scalar(&text).unwrap();
}

#[cfg(feature = "hdf5")]
fn put_list(location: &hdf5::Location, name: &str, texts: &[&str]) {
    let texts: Vec<FixedAscii<32>> = texts.iter().map(|text| FixedAscii::from_ascii(text).unwrap()).collect();
    location.new_attr::<FixedAscii<32>>().shape([texts.len()]).create(name).unwrap().write_raw(&texts).unwrap();
}

/// A file in NeuPy's layout with one layer `a`, whose group `fill` fills.
#[cfg(feature = "hdf5")]
fn one_layer(folder: &TempDir, fill: impl FnOnce(&hdf5::Group)) -> PathBuf {
    made(folder, |file| {
        put_text(file, "layer_names", r#"["a"]"#);
        fill(&file.create_group("a").unwrap());
    })
}

pub(super) fn error(path: &Path) -> StoreError {
    open(path, None).map(|store| store.entries().len()).unwrap_err()
}

/// Opens and reads all; the first error.
pub(super) fn read_all(path: &Path) -> Result<Vec<Vec<f32>>, StoreError> {
    let store = open(path, None)?;
    (0..store.entries().len()).map(|index| store.read(index)).collect()
}

fn find(store: &dyn Store, layer: &str, role: &Role) -> usize {
    let found = store.entries().iter().position(|entry| entry.layer == layer && entry.role == *role);
    found.unwrap_or_else(|| panic!("{layer} {role} in {:?}", store.entries()))
}

#[test]
fn rows_are_slices_of_the_tensor() {
    let store = open(&fixture(NEUPY), None).unwrap();
    let index = find(&*store, "dense_2", &Role::Weight);
    let shape = store.entries()[index].shape.clone();
    let whole = store.read(index).unwrap();
    assert_eq!(whole.len(), shape[0] * shape[1]);
    assert_eq!(store.read_rows(index, 3..7).unwrap(), whole[3 * shape[1]..7 * shape[1]]);
    assert!(store.read_rows(index, 3..3).unwrap().is_empty());
    assert!(matches!(store.read_rows(index, 0..shape[0] + 1), Err(StoreError::NoSuchRows { .. })));
    assert!(matches!(store.read(99), Err(StoreError::NoSuchEntry { index: 99 })));
}

#[test]
fn files_that_are_not_weights_are_identified() {
    let folder = folder();
    assert!(matches!(error(&folder.path().join("none.h5")), StoreError::NotFound { .. }));
    assert!(matches!(error(folder.path()), StoreError::NotAFile { what: "a directory", .. }));
    let cases: [(&[u8], &str); 8] = [
        (b"", "empty"),
        (b"net vgg = conv(3)", "text"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"{\"weights\": [1, 2]}", "JSON"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "PNG"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\0", "gzip"),
        (b"\0\x01\x02\x03\x04\x05", "binary"),
    ];
    for (bytes, seems) in cases {
        let message = error(&written(&folder, bytes)).to_string();
        assert!(message.contains("not a weights file") && message.contains(seems), "{message}");
    }
    let path = folder.path().join("other.h5");
    let mut other = h5::writer(&path, h5::Backend::DEFAULT).unwrap();
    other.dataset("stuff/x", &[1], &[0.0]).unwrap();
    other.finish().unwrap();
    let message = error(&path).to_string();
    assert!(message.contains("none of the layouts") && message.contains("members: stuff"), "{message}");
    let other = open(&fixture(NEUPY), Some(Layout::Keras)).map(drop).unwrap_err().to_string();
    assert!(other.contains("does not have the layout keras; it has the layout neupy"), "{other}");
}

#[test]
fn layouts_have_names() {
    for &layout in Layout::ALL {
        assert_eq!(layout.to_string().parse(), Ok(layout));
    }
    assert!("caffe".parse::<Layout>().unwrap_err().contains(&Layout::list()));
}

#[test]
fn a_truncated_file_is_an_error() {
    let folder = folder();
    for name in ["vgg16_tiny/vgg16_neupy.hdf5", "keras_models/full.h5", "keras_models/branches.weights.h5"] {
        let bytes = fs::read(fixture(name)).unwrap();
        for length in [1, 7, 8, 40, 95, 96, 600, 4096, bytes.len() / 2, bytes.len() - 1] {
            let path = written(&folder, &bytes[..length]);
            assert!(read_all(&path).is_err(), "{name} {length}");
        }
    }
    let bytes = fs::read(fixture(NEUPY)).unwrap();
    let path = written(&folder, &bytes[..bytes.len() - 1]);
    assert!(matches!(error(&path), StoreError::Truncated { .. }));
}

#[test]
fn a_flipped_byte_in_the_superblock_never_panics() {
    let folder = folder();
    let bytes = fs::read(fixture(NEUPY)).unwrap();
    let right = read_all(&fixture(NEUPY)).unwrap();
    for at in 0..96 {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0xff;
        if let Ok(values) = read_all(&written(&folder, &flipped)) {
            assert_eq!(values, right, "byte {at}");
        }
    }
}

#[test]
fn a_damaged_global_heap_is_an_error() {
    let folder = folder();
    let bytes = fs::read(fixture(NEUPY)).unwrap();
    let heap = bytes.windows(4).position(|bytes| bytes == b"GCOL").unwrap();
    // The size of the first object: past the end of the heap, wrapping to zero with its header, wrapping.
    for size in [5000, u64::MAX - 15, u64::MAX] {
        let mut damaged = bytes.clone();
        damaged[heap + 24..heap + 32].copy_from_slice(&size.to_le_bytes());
        let found = error(&written(&folder, &damaged));
        assert!(matches!(found, StoreError::Corrupt { what, .. } if what.contains("global heap")));
    }
}

#[test]
#[cfg(feature = "hdf5")]
fn external_links_and_storage_are_refused() {
    let folder = folder();
    let refused = |path: &Path, what: &str| match error(path) {
        StoreError::Refused { location, what: why } => {
            assert!(location == "/a/weight" && why.contains(what), "{location} {why}")
        }
        other => panic!("{other}"),
    };
    refused(&one_layer(&folder, |a| a.link_external("/etc/passwd", "/x", "weight").unwrap()), "external link");
    refused(&one_layer(&folder, |a| a.link_soft("/a/bias", "weight").unwrap()), "soft link");
    let path = one_layer(&folder, |a| {
        let builder = a.new_dataset::<f32>().shape([4]).external("/etc/passwd", 0, 16);
        builder.create("weight").unwrap();
    });
    refused(&path, "external storage");
    let path = one_layer(&folder, |a| {
        let builder = a.new_dataset::<f32>().shape([4]).virtual_map("other.h5", "/x", [4], .., [4], ..);
        builder.create("weight").unwrap();
    });
    refused(&path, "virtual");
}

#[test]
#[cfg(feature = "hdf5")]
fn objects_that_are_not_tensors_are_errors() {
    let folder = folder();
    let path = one_layer(&folder, |a| {
        let data = [FixedAscii::<4>::from_ascii("rows").unwrap()];
        a.new_dataset_builder().with_data(&data).create("weight").unwrap();
    });
    assert!(matches!(error(&path), StoreError::NonNumeric { location, .. } if location == "/a/weight"));
    let path = one_layer(&folder, |a| {
        a.new_dataset::<bool>().shape([4]).create("weight").unwrap().write_raw(&[true; 4]).unwrap();
    });
    assert!(matches!(error(&path), StoreError::NonNumeric { .. }));
    let path = made(&folder, |file| {
        put_list(file, "layer_names", &["a"]);
        let a = file.create_group("a").unwrap();
        put_list(&a, "weight_names", &["a/kernel:0"]);
        a.create_group("a/kernel:0").unwrap();
    });
    assert!(
        matches!(error(&path), StoreError::Corrupt { location, what } if location == "/a/a/kernel:0" && what.contains("a group"))
    );
    let path = made(&folder, |file| put_list(file, "layer_names", &["a"]));
    assert!(matches!(error(&path), StoreError::Corrupt { location, .. } if location == "/a"));
    let path = made(&folder, |file| put_text(file, "layer_names", "conv1, conv2"));
    assert!(error(&path).to_string().contains("attribute 'layer_names' of / is damaged: a JSON list"));
}

#[test]
#[cfg(feature = "hdf5")]
fn sizes_are_checked_before_reading() {
    let folder = folder();
    let path = one_layer(&folder, |a| {
        let builder = a.new_dataset::<f32>().shape([1 << 31, 1 << 31]).chunk([1, 16]);
        builder.create("weight").unwrap();
    });
    assert!(matches!(error(&path), StoreError::TooLarge { location, .. } if location == "/a/weight"));
    let path = one_layer(&folder, |a| drop(a.new_dataset::<f32>().shape([1000]).create("weight").unwrap()));
    assert!(matches!(error(&path), StoreError::Truncated { what, .. } if what.contains("of which the file has 0")));
    // A decompression bomb: zeros compress a thousandfold, and most chunks were never written.
    let path = one_layer(&folder, |a| {
        let dataset = a.new_dataset::<f32>().shape([100_000_000]).chunk([100_000]).deflate(9);
        let dataset = dataset.create("weight").unwrap();
        dataset.write_slice(&vec![0f32; 100_000], 0..100_000).unwrap();
    });
    assert!(matches!(error(&path), StoreError::TooLarge { .. }));
}

#[test]
#[cfg(feature = "hdf5")]
fn other_number_types_and_compression_are_read() {
    let folder = folder();
    let values: Vec<f64> = (0..600).map(|value| f64::from(value) / 8.0).collect();
    let path = one_layer(&folder, |a| {
        let bias = a.new_dataset::<f64>().shape([600]).create("bias").unwrap();
        bias.write_raw(&values).unwrap();
        let weight = a.new_dataset::<f64>().shape([30, 20]).chunk([7, 20]).shuffle().deflate(6).fletcher32();
        weight.create("weight").unwrap().write_raw(&values).unwrap();
        a.new_dataset::<i32>().shape(()).create("alpha").unwrap().write_scalar(&-3).unwrap();
    });
    let store = open(&path, None).unwrap();
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    assert_eq!(store.read(find(&*store, "a", &Role::Weight)).unwrap(), values);
    assert_eq!(store.read(find(&*store, "a", &Role::Bias)).unwrap(), values);
    assert_eq!(store.read(find(&*store, "a", &Role::Alpha)).unwrap(), [-3.0]);
    assert_eq!(store.read_rows(0, 29..30).unwrap(), values[580..]);
}

#[test]
#[cfg(feature = "hdf5")]
fn lists_of_names_may_be_split() {
    let folder = folder();
    let path = made(&folder, |file| {
        put_list(file, "layer_names0", &["a"]);
        put_list(file, "layer_names1", &["b"]);
        for layer in ["a", "b"] {
            let group = file.create_group(layer).unwrap();
            put_list(&group, "weight_names0", &["kernel"]);
            group.new_dataset::<f32>().shape([2]).create("kernel").unwrap().write_raw(&[1f32, 2.0]).unwrap();
        }
    });
    let store = open(&path, None).unwrap();
    let layers: Vec<&str> = store.entries().iter().map(|entry| entry.layer.as_str()).collect();
    assert_eq!((store.layout(), layers), (Layout::Keras, vec!["a", "b"]));
}

#[test]
#[cfg(feature = "hdf5")]
fn layers_of_nested_models_keep_their_names() {
    let folder = folder();
    let path = made(&folder, |file| {
        put_list(file, "layer_names", &["left", "right", "c1"]);
        for (layer, weights) in [
            ("left", ["c1/kernel", "c2/kernel"]),
            ("right", ["c2/kernel", "c3/kernel"]),
            ("c1", ["c1/kernel", "c1/bias"]),
        ] {
            let group = file.create_group(layer).unwrap();
            put_list(&group, "weight_names", &weights);
            for weight in weights {
                let dataset = group.new_dataset::<f32>().shape([1]).create(weight).unwrap();
                dataset.write_raw(&[1f32]).unwrap();
            }
        }
    });
    let store = open(&path, None).unwrap();
    let layers: Vec<&str> = store.entries().iter().map(|entry| entry.layer.as_str()).collect();
    assert_eq!(layers, ["left/c1", "left/c2", "right/c2", "c3", "c1", "c1"]);
}

#[test]
#[cfg(feature = "hdf5")]
fn theano_kernels_are_refused() {
    let folder = folder();
    let theano = |fill: &dyn Fn(&hdf5::File)| {
        error(&made(&folder, |file| {
            put_list(file, "layer_names", &["a"]);
            fill(file);
        }))
    };
    let found = theano(&|file| put_text(file, "backend", "theano"));
    assert!(matches!(found, StoreError::Refused { what, .. } if what.contains("Theano")));
    let found = theano(&|file| {
        let a = file.create_group("a").unwrap();
        put_list(&a, "weight_names", &["a_W"]);
        a.new_dataset::<f32>().shape([64, 3, 3, 3]).create("a_W").unwrap().write_raw(&[0f32; 1728]).unwrap();
    });
    assert!(matches!(found, StoreError::Refused { location, .. } if location == "/a/a_W"));
}
