//! One network in six layouts: the same tensors and probabilities. The Keras files are too large for the package, which omits these
//! tests.

use ndarray::{Array2, Array4, ArrayView1};
use ndarray_npy::NpzReader;
use netc::compile::{BuildOptions, build};
use netc::diagnostics::{Code, render};
use netc::elaborate::load_text;
use netc::elaborate::project::source_files::from_disk;
use netc::request::Layout;
use netc::runtime::Session;
use netc::weights::open;
use netc::weights::store::{Role, Store};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const NEUPY: &str = "../data/vgg16_tiny/vgg16_neupy.hdf5";

/// The Keras files of the network in `NEUPY`.
const KERAS: [(&str, Layout); 5] = [
    ("vgg16_keras1.h5", Layout::Keras),
    ("vgg16_keras2.h5", Layout::Keras),
    ("vgg16_keras_full.h5", Layout::Keras),
    ("vgg16_keras3.weights.h5", Layout::Keras3),
    ("vgg16_keras3_noname.weights.h5", Layout::Keras3),
];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vgg_layouts").join(name)
}

fn all_files() -> impl Iterator<Item = &'static str> {
    [NEUPY].into_iter().chain(KERAS.map(|(name, _)| name))
}

/// Builds the network with the weights of a file.
fn built(weights: PathBuf) -> Result<netc::compile::Build, (Vec<Code>, String)> {
    let path = file("../data/vgg16_tiny.net");
    let spec = load_text(&path, &fs::read_to_string(&path).expect("the spec"), &from_disk);
    let options = BuildOptions { weights: [("vgg16_tiny".to_string(), weights)].into(), ..BuildOptions::default() };
    build(&spec, &options).map(|(build, _)| build).map_err(|errors| {
        (errors.iter().map(|error| error.code).collect(), render::text(&errors, &spec.sources, false))
    })
}

/// The Keras name of a layer, from its NeuPy name.
fn keras_name(neupy: &str) -> String {
    match neupy.strip_prefix("conv").and_then(|rest| rest.split_once('_')) {
        Some((block, layer)) => format!("block{block}_conv{layer}"),
        None => ["fc1", "fc2", "predictions"][neupy[6..].parse::<usize>().unwrap() - 1].to_string(),
    }
}

fn find(store: &dyn Store, layer: &str, role: &Role) -> usize {
    let found = store.entries().iter().position(|entry| entry.layer == layer && entry.role == *role);
    found.unwrap_or_else(|| panic!("{layer} {role} in {:?}", store.entries()))
}

#[test]
fn the_layouts_hold_the_same_tensors() {
    let neupy = open(&file(NEUPY), None).unwrap();
    assert_eq!((neupy.layout(), neupy.entries().len()), (Layout::Neupy, 32));
    for (name, layout) in KERAS {
        let other = open(&file(name), Some(layout)).unwrap();
        assert_eq!((other.layout(), other.entries().len()), (layout, 32), "{name}");
        assert_eq!(other.has_names(), !name.contains("noname"));
        let (mut convolutions, mut dense) = (0, 0);
        for (index, entry) in neupy.entries().iter().enumerate() {
            let layer = if other.has_names() {
                keras_name(&entry.layer)
            } else {
                let (class, count) = match entry.layer.starts_with("conv") {
                    true => ("conv2d", &mut convolutions),
                    false => ("dense", &mut dense),
                };
                let ordinal = *count / 2;
                *count += 1;
                if ordinal == 0 { class.to_string() } else { format!("{class}_{ordinal}") }
            };
            let same = find(&*other, &layer, &entry.role);
            assert_eq!(other.entries()[same].shape, entry.shape, "{name} {layer}");
            assert_eq!(other.read(same).unwrap(), neupy.read(index).unwrap(), "{name} {layer}");
        }
    }
}

#[test]
fn entries_follow_the_files_order_and_tell_the_class() {
    let names = |name: &str| -> Vec<String> {
        let store = open(&file(name), None).unwrap();
        store.entries().iter().map(|entry| format!("{} {}", entry.layer, entry.role)).collect()
    };
    let neupy = names(NEUPY);
    assert_eq!(neupy[..3], ["conv1_1 weight", "conv1_1 bias", "conv1_2 weight"]);
    assert_eq!(neupy[31], "dense_3 bias");
    assert_eq!(names("vgg16_keras1.h5")[30..], ["predictions weight", "predictions bias"]);
    // Numeric, not alphabetical: conv2d_2 before conv2d_10.
    assert_eq!(
        names("vgg16_keras3_noname.weights.h5")[18..22],
        ["conv2d_9 weight", "conv2d_9 bias", "conv2d_10 weight", "conv2d_10 bias"]
    );
    let class = |name: &str| open(&file(name), None).unwrap().entries()[0].class.clone();
    assert_eq!(class(NEUPY).as_deref(), Some("Convolution"));
    assert_eq!(class("vgg16_keras2.h5"), None);
    assert_eq!(class("vgg16_keras_full.h5").as_deref(), Some("Conv2D"));
    assert_eq!(class("vgg16_keras3.weights.h5").as_deref(), Some("conv2d"));
}

#[test]
fn six_layouts_give_the_references_probabilities() {
    let mut npz =
        NpzReader::new(File::open(file("../data/vgg16_tiny/vgg16_ref.npz")).expect("the reference")).expect("an npz");
    let x: Array4<f32> = npz.by_name("x.npy").expect("the inputs");
    let wanted: Array2<f32> = npz.by_name("probs.npy").expect("the probabilities");
    let argmax = |row: ArrayView1<f32>| (0..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best });
    for name in all_files() {
        let build = built(file(name)).unwrap_or_else(|(_, text)| panic!("{text}"));
        let report = &build.bindings.report;
        assert_eq!((report.files[0].tensors, report.files[0].unused, report.untrained), (32, 0, 0), "{name}");
        let mut found = Array2::zeros(wanted.raw_dim());
        let artifact = Arc::new(build.in_memory().expect("an artifact"));
        let out = found.as_slice_mut().expect("row-major");
        Session::new(artifact, 2).run(x.shape()[0], &[x.as_slice().expect("row-major")], &mut [out]).expect("a run");
        for (found, wanted) in found.rows().into_iter().zip(wanted.rows()) {
            assert_eq!(argmax(found), argmax(wanted), "{name}");
            for (a, b) in found.iter().zip(wanted) {
                assert!((a - b).abs() <= 1e-5 + 3e-4 * b.abs(), "{name}: {a} is not {b}");
            }
        }
    }
}

#[test]
fn files_that_are_cut_off_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let cut = folder.path().join("cut.h5");
    for name in all_files() {
        let whole = fs::read(file(name)).expect("a fixture");
        let lengths = (0..24).map(|part| whole.len() * part / 24).chain([1, 7, 8, 95, 96, 511, whole.len() - 1]);
        for length in lengths {
            fs::write(&cut, &whole[..length]).expect("a damaged file");
            let Err((codes, text)) = built(cut.clone()) else { panic!("{name} of {length} bytes is built") };
            let [code] = codes[..] else { panic!("{name} of {length} bytes:\n{text}") };
            let refused = [Code::WeightsUnreadable, Code::WeightsCorrupt, Code::WeightsLayout].contains(&code);
            assert!(refused && text.contains("cut.h5"), "{name} of {length} bytes:\n{text}");
        }
    }
}
