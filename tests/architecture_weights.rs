//! Shipped architectures at reduced widths, with weights as torchvision, transformers and PyTorch name them: they give what PyTorch
//! computes. `tests/data/architecture_weights/make.py` wrote the files.

use ndarray::ArrayD;
use ndarray_npy::NpzReader;
use netc::compile::{BuildOptions, build};
use netc::diagnostics::render;
use netc::elaborate::load_text;
use netc::elaborate::project::source_files::from_disk;
use netc::runtime::Session;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/architecture_weights").join(name)
}

/// The arrays of an architecture whose names begin so: its inputs or its outputs.
fn arrays(name: &str, letter: char) -> Vec<ArrayD<f32>> {
    let mut npz = NpzReader::new(File::open(data("reference.npz")).expect("the reference")).expect("an npz");
    (0..).map_while(|at| npz.by_name(&format!("{name}.{letter}{at}.npy")).ok()).collect()
}

/// Compares all outputs of a net with PyTorch's: the largest difference in terms of the largest value.
fn check(name: &str, arguments: &str) {
    let text = format!("net model = {name}({arguments})\nweights {name} = \"{name}.safetensors\"\n");
    let spec = load_text(&data("model.net"), &text, &from_disk);
    let (build, _) = build(&spec, &BuildOptions::default())
        .unwrap_or_else(|errors| panic!("{text}\n{}", render::text(&errors, &spec.sources, false)));
    assert_eq!(build.bindings.report.untrained, 0, "{name}");
    let artifact = Arc::new(build.in_memory().expect("an artifact"));
    let (inputs, expected) = (arrays(name, 'x'), arrays(name, 'y'));
    assert!(!inputs.is_empty() && !expected.is_empty(), "{name}");
    let given: Vec<&[f32]> = inputs.iter().map(|input| input.as_slice().expect("row-major")).collect();
    let mut found: Vec<Vec<f32>> = expected.iter().map(|array| vec![f32::NAN; array.len()]).collect();
    let mut views: Vec<&mut [f32]> = found.iter_mut().map(Vec::as_mut_slice).collect();
    Session::new(artifact, 1).run(expected[0].shape()[0], &given, &mut views).expect("a run");
    for (found, expected) in found.iter().zip(&expected) {
        let largest = expected.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
        let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5 * largest, "{name}: off by {worst:e} of {largest}");
    }
}

macro_rules! architectures {
    ($($name:ident: $arguments:literal,)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name), $arguments);
        })*
    };
}

architectures! {
    convnext_tiny: "5, size=64x64x3, width=8, shallow=1, deep=2",
    shufflenet_v2: "5, size=64x64x3, width=8, last=24",
    bigru_text: "words=30, length=7, classes=2, features=5, units=6",
    dcgan: "noise=5, width=2",
    bert_tiny: "steps=6, pieces=20, width=8",
}
