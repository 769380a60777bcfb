//! Recurrent layers and normalisations without a scale, bound from files of Keras: what they give is what Keras computes.

use ndarray::{Array2, Array3};
use ndarray_npy::NpzReader;
use netc::compile::{Build, BuildOptions, build};
use netc::diagnostics::{Code, render};
use netc::elaborate::{load_text, project::from_disk};
use netc::runtime::Session;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const NET: &str = "net model = Input(7x5) >> (LSTM(4) as lstm | GRU(3) as gru) >> Concatenate \
    >> BatchNorm(gamma=false, epsilon=0.001) as norm >> Dense(2) as out";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keras_recurrent").join(name)
}

/// The net with a file's weights, or what is told.
fn bound(net: &str, file: &str) -> Result<Build, (Vec<Code>, String)> {
    let spec = load_text(&data("model.net"), &format!("{net}\nweights model = \"{file}\""), &from_disk);
    build(&spec, &BuildOptions::default()).map(|(build, _)| build).map_err(|faults| {
        let codes = faults.iter().map(|fault| fault.code).collect();
        (codes, render::text(&faults, &spec.sources, false))
    })
}

#[test]
fn keras_and_the_compiled_net_agree() {
    let mut npz = NpzReader::new(File::open(data("reference.npz")).expect("the reference")).expect("an npz");
    let x: Array3<f32> = npz.by_name("x.npy").expect("the inputs");
    let y: Array2<f64> = npz.by_name("y.npy").expect("the outputs");
    for file in ["recurrent.h5", "recurrent.weights.h5"] {
        let build = bound(NET, file).unwrap_or_else(|(_, told)| panic!("{told}"));
        let artifact = Arc::new(build.in_memory().expect("an artifact"));
        let mut found = Array2::<f32>::zeros((3, 2));
        let out = found.as_slice_mut().expect("row-major");
        Session::new(artifact, 2).run(3, &[x.as_slice().expect("row-major")], &mut [out]).expect("a run");
        let worst = found.iter().zip(&y).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-5, "{file}: {worst:e}");
        let notes = build.bindings.report.files[0].notes.join("\n");
        for said in ["first states are not in files of Keras", "gates of gru were put in NeuPy's order"] {
            assert!(notes.contains(said), "{file}: {notes}");
        }
        assert_eq!(build.bindings.report.untrained, 0, "{file}");
    }
}

#[test]
fn what_another_gru_computes_is_refused() {
    for (file, said) in
        [("reset_before.h5", "reset_after=False"), ("hidden_bias.h5", "a bias of its own in the hidden gate")]
    {
        let (codes, told) = bound(NET, file).expect_err("a refusal");
        assert_eq!(codes, [Code::WeightsMismatch], "{told}");
        assert!(told.contains(said) && told.contains("1 of "), "{told}");
    }
}

#[test]
fn a_scale_that_the_net_lacks_or_the_file_lacks_is_told() {
    let with_scale = NET.replace("gamma=false, ", "");
    let (codes, told) = bound(&with_scale, "recurrent.h5").expect_err("no gamma in the file");
    assert_eq!(codes, [Code::WeightsMismatch]);
    assert!(told.contains("norm/gamma [1, 7]: not in the file"), "{told}");
    let without_shift = NET.replace("gamma=false", "gamma=false, beta=false");
    let (codes, told) = bound(&without_shift, "recurrent.h5").expect_err("a beta in the file");
    assert_eq!(codes, [Code::WeightsMismatch]);
    assert!(told.contains("norm/beta"), "{told}");
}
