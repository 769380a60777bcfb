//! Weights of frameworks that have channels first, and of those that store matrices otherwise: what the compiled net gives is what
//! the framework computes, or a refusal names the layer.

use blas_src as _;
use ndarray_npy::ReadNpyExt;
use netc::compile::{Build, BuildOptions, build};
use netc::diagnostics::{Code, render};
use netc::elaborate::{files::from_disk, load_text};
use netc::runtime::Session;
use std::fs;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use torch::{State, Tensor};

mod torch;

/// A build of a spec, or what is told.
fn built(folder: &Path, text: &str) -> Result<Build, (Vec<Code>, String)> {
    let spec = load_text(&folder.join("m.net"), text, &from_disk);
    let options = BuildOptions { net: Some("m".into()), allow_untrained: true, ..BuildOptions::default() };
    build(&spec, &options).map(|(build, _)| build).map_err(|faults| {
        (faults.iter().map(|fault| fault.code).collect(), render::text(&faults, &spec.sources, false))
    })
}

fn run(build: &Build, samples: usize, x: &[f32]) -> Vec<f32> {
    let artifact = Arc::new(build.in_memory().expect("an artifact"));
    let output = &build.graph.node(build.graph.outputs[0]).output;
    let mut y = vec![0.0; samples * output.len().expect("known sizes")];
    Session::new(artifact, 1).run(samples, &[x], &mut [&mut y]).expect("a run");
    y
}

fn worst(found: &[f32], wanted: impl IntoIterator<Item = f64>) -> f64 {
    found.iter().zip(wanted).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
}

/// The report of the one file.
fn report(build: &Build) -> String {
    build.bindings.report.files[0].to_string()
}

fn array(path: &Path) -> ndarray::ArrayD<f32> {
    ndarray::ArrayD::read_npy(File::open(path).expect("an array")).expect("an array of float32")
}

/// Inputs, weights and outputs of PyTorch 2 and Flax.
#[test]
fn files_of_frameworks_give_what_they_compute() {
    let cases = [
        ("flatten_batchnorm_dense_pytorch", "channels first: permuted values of n, rows of d"),
        ("two_flattened_branches_concatenated_pytorch", "channels first: permuted rows of d"),
        ("dense_reshape_conv_pytorch", "channels first: permuted columns of g, values of g"),
        ("embedding_pytorch", "16 parameters"),
        ("safetensors_of_flax", "its `format` is flax: read with channels last"),
    ];
    for (case, said) in cases {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/axis_order").join(case);
        let text = fs::read_to_string(folder.join("m.net")).expect("a spec");
        let build = built(&folder, &text).unwrap_or_else(|(_, told)| panic!("{case}: {told}"));
        let (x, right) = (array(&folder.join("x.npy")), array(&folder.join("right.npy")));
        let found = run(&build, x.shape()[0], x.as_slice().expect("row-major"));
        assert_eq!(found.len(), right.len(), "{case}");
        let worst = worst(&found, right.iter().map(|value| f64::from(*value)));
        assert!(worst < 1e-5, "{case}: {worst:e}");
        assert!(report(&build).contains(said), "{case}: {}", report(&build));
    }
}
