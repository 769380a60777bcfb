//! Recurrent layers and normalisations without a scale, bound from Keras files: their outputs are those of Keras.

mod difference;

use difference::difference;
use ndarray::{Array2, Array3};
use ndarray_npy::NpzReader;
use netc::compile::{Build, BuildOptions, build};
use netc::diagnostics::{Code, render};
use netc::elaborate::load_text;
use netc::elaborate::project::source_files::from_disk;
use netc::runtime::Session;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const NET: &str = "net model = Input(7x5) >> (LSTM(4) as lstm | GRU(3) as gru) >> Concatenate \
    >> BatchNorm(gamma=false, epsilon=0.001) as norm >> Dense(2) as out";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keras_recurrent").join(name)
}

/// The net with the weights of a file, or the diagnostics.
fn bound(net: &str, file: &str) -> Result<Build, (Vec<Code>, String)> {
    let spec = load_text(&data("model.net"), &format!("{net}\nweights model = \"{file}\""), &from_disk);
    build(&spec, &BuildOptions::default()).map(|(build, _)| build).map_err(|errors| {
        let codes = errors.iter().map(|error| error.code).collect();
        (codes, render::text(&errors, &spec.sources, false))
    })
}

#[test]
fn keras_and_the_compiled_net_agree() {
    let mut npz = NpzReader::new(File::open(data("reference.npz")).expect("the reference")).expect("an npz");
    let x: Array3<f32> = npz.by_name("x.npy").expect("the inputs");
    let y: Array2<f64> = npz.by_name("y.npy").expect("the outputs");
    for file in ["recurrent.h5", "recurrent.weights.h5"] {
        let build = bound(NET, file).unwrap_or_else(|(_, messages)| panic!("{messages}"));
        let artifact = Arc::new(build.in_memory().expect("an artifact"));
        let mut found = Array2::<f32>::zeros((3, 2));
        let out = found.as_slice_mut().expect("row-major");
        Session::new(artifact, 2).run(3, &[x.as_slice().expect("row-major")], &mut [out]).expect("a run");
        let worst = difference(found.iter().copied(), y.iter().copied(), |_| 1.0);
        assert!(worst < 1e-5, "{file}: {worst:e}");
        let notes = build.bindings.report.files[0].notes.join("\n");
        for expected in ["initial states are not in Keras files", "gates of gru were reordered"] {
            assert!(notes.contains(expected), "{file}: {notes}");
        }
        assert_eq!(build.bindings.report.untrained, 0, "{file}");
    }
}

#[test]
fn what_another_gru_computes_is_refused() {
    for (file, expected) in
        [("reset_before.h5", "reset_after=False"), ("hidden_bias.h5", "the hidden gate has a separate bias")]
    {
        let (codes, messages) = bound(NET, file).expect_err("a refusal");
        assert_eq!(codes, [Code::WeightsMismatch], "{messages}");
        assert!(messages.contains(expected) && messages.contains("1 of "), "{messages}");
    }
}

#[test]
fn a_scale_that_the_net_lacks_or_the_file_lacks_is_told() {
    let with_scale = NET.replace("gamma=false, ", "");
    let (codes, messages) = bound(&with_scale, "recurrent.h5").expect_err("no gamma in the file");
    assert_eq!(codes, [Code::WeightsMismatch]);
    assert!(messages.contains("norm/gamma [1, 7]: not in the file"), "{messages}");
    let without_shift = NET.replace("gamma=false", "gamma=false, beta=false");
    let (codes, messages) = bound(&without_shift, "recurrent.h5").expect_err("a beta in the file");
    assert_eq!(codes, [Code::WeightsMismatch]);
    assert!(messages.contains("norm/beta"), "{messages}");
}

/// Files that training writes for Keras are equivalent to Keras' own: bound again, the net has the same outputs.
#[test]
fn written_for_keras_and_bound_again_nothing_changes() {
    use ndarray_npy::WriteNpyExt;
    let folder = tempfile::tempdir().expect("a folder");
    let x = Array3::from_shape_fn((6, 7, 5), |(n, t, c)| ((n * 5 + t * 3 + c) % 7) as f32 / 7.0 - 0.4);
    let y = Array2::from_shape_fn((6, 2), |(n, c)| ((n + c) % 3) as f32);
    x.write_npy(File::create(folder.path().join("x.npy")).expect("a file")).expect("written");
    y.write_npy(File::create(folder.path().join("y.npy")).expect("a file")).expect("written");
    let netc = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_netc"));
        let done = command.args(arguments).current_dir(folder.path()).output().expect("netc runs");
        (done.status.code(), String::from_utf8(done.stderr).expect("UTF-8"))
    };
    let train = "train model { data = arrays(x=\"x.npy\", y=\"y.npy\")  loss = mse  epochs = 3  batch = 3 }";
    let spec =
        |net: &str| std::fs::write(folder.path().join("model.net"), format!("{net}\n{train}\n")).expect("a spec");
    spec(NET);
    for layout in ["neupy", "keras"] {
        let (code, messages) = netc(&["train", "model.net", "--layout", layout]);
        assert_eq!(code, Some(0), "{layout}: {messages}");
        let (code, messages) = netc(&["predict", "model.netb", "x.npy", "-o", &format!("{layout}.npy")]);
        assert_eq!(code, Some(0), "{layout}: {messages}");
    }
    let read = |name: &str| std::fs::read(folder.path().join(name)).expect("an array");
    let values = |bytes: &[u8]| -> Vec<f32> {
        bytes[bytes.len() - 48..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    };
    let (a, b) = (values(&read("neupy.npy")), values(&read("keras.npy")));
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5), "{a:?}\n{b:?}");
    // Parameters that Keras cannot store are reported before the run.
    spec(&NET.replace("LSTM(4)", "LSTM(4, peepholes=true)"));
    let (code, messages) = netc(&["train", "model.net", "--layout", "keras"]);
    assert!(code == Some(1) && messages.contains("no parameter for `lstm/weight_cell_to_ingate`"), "{messages}");
}
