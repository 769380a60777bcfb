//! Files that training writes with `--layout keras` can be loaded by Keras' `load_weights`, and nets that cannot be stored are
//! reported before the first epoch. Shapes and order are those of files of Keras 3.15 and of `map_graph` in its sources.

use ndarray::{Array, Array2, IxDyn};
use ndarray_npy::WriteNpyExt;
use std::fs::File;
use std::path::Path;
use std::process::Command;

/// Trains a net on arrays of these sizes and returns the exit code, the output, and the folder.
fn trained(net: &str, input: &[usize], outputs: usize, layout: &str) -> (Option<i32>, String, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let shape: Vec<usize> = [6].iter().chain(input).copied().collect();
    let len: usize = shape.iter().product();
    let x = Array::from_shape_vec(IxDyn(&shape), (0..len).map(|at| (at % 7) as f32 / 7.0 - 0.4).collect()).expect("x");
    let y = Array2::from_shape_fn((6, outputs), |(n, c)| ((n + c) % 3) as f32);
    x.write_npy(File::create(folder.path().join("x.npy")).expect("a file")).expect("written");
    y.write_npy(File::create(folder.path().join("y.npy")).expect("a file")).expect("written");
    let train = "train model { data = arrays(x=\"x.npy\", y=\"y.npy\")  loss = mse  epochs = 1  batch = 3 }";
    std::fs::write(folder.path().join("model.net"), format!("net model = {net}\n{train}\n")).expect("a spec");
    let (code, messages) = netc(folder.path(), &["train", "model.net", "--layout", layout]);
    (code, messages, folder)
}

fn netc(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netc"));
    let done = command.args(arguments).current_dir(folder).output().expect("netc runs");
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

/// The weights of a file in order: layers with parameters and shapes.
fn weights(folder: &Path) -> Vec<(String, Vec<usize>)> {
    let store = netc::weights::open(&folder.join("model.h5"), None).expect("a file of weights");
    store.entries().iter().map(|entry| (format!("{}/{}", entry.layer, entry.role), entry.shape.clone())).collect()
}

#[test]
fn shapes_are_those_that_keras_has() {
    let net = "Input(5x5x2) >> DWConv(3x3, multiplier=3) as deep >> PRelu as slopes >> PRelu(alpha_axes=[1, 2]) as map \
        >> Flatten >> Dense(4) as hidden >> PRelu as flat >> Dense(2) as out";
    let (code, messages, folder) = trained(net, &[5, 5, 2], 2, "keras");
    assert_eq!(code, Some(0), "{messages}");
    let shapes: Vec<(String, Vec<usize>)> =
        weights(folder.path()).into_iter().filter(|(name, _)| !name.ends_with("bias")).collect();
    let wanted = [
        ("deep/depthwise_kernel", vec![3, 3, 2, 3]),
        ("slopes/alpha", vec![1, 1, 6]),
        ("map/alpha", vec![3, 3, 1]),
        ("hidden/weight", vec![54, 4]),
        ("flat/alpha", vec![4]),
        ("out/weight", vec![4, 2]),
    ];
    assert_eq!(shapes.len(), wanted.len(), "{shapes:?}");
    for ((name, shape), found) in wanted.iter().zip(&shapes) {
        assert_eq!((*name, shape), (found.0.as_str(), &found.1), "{shapes:?}");
    }
    // The file can be bound.
    let (code, messages) = netc(folder.path(), &["predict", "model.net", "x.npy", "-o", "y2.npy"]);
    assert_eq!(code, Some(0), "{messages}");
}

/// Keras orders layers of branches by depth: `short` is as deep as `second`, and comes first if it is merged first.
#[test]
fn branches_have_keras_order_and_a_warning_where_they_may_be_swapped() {
    let branches =
        "Input(4) >> (Dense(4) as short | Dense(3) as first >> Relu >> Dense(4) as second) >> Add >> Dense(2) as out";
    let (code, messages, folder) = trained(branches, &[4], 2, "keras");
    assert_eq!(code, Some(0), "{messages}");
    assert!(!messages.contains("W1013"), "{messages}");
    let order: Vec<String> =
        weights(folder.path()).into_iter().map(|(name, _)| name).filter(|name| name.ends_with("/weight")).collect();
    assert_eq!(order, ["first/weight", "short/weight", "second/weight", "out/weight"]);
    let similar = branches.replace("Dense(3) as first", "Dense(4) as first");
    let (code, messages, _folder) = trained(&similar, &[4], 2, "keras");
    assert_eq!(code, Some(0), "{messages}");
    assert!(
        messages.contains("W1013") && messages.contains("`short`") && messages.contains("by_name=True"),
        "{messages}"
    );
    let (_, messages, _folder) = trained(&similar, &[4], 2, "neupy");
    assert!(!messages.contains("W1013"), "{messages}");
}

#[test]
fn names_of_any_language_are_stored() {
    for layout in ["keras", "neupy"] {
        let (code, messages, folder) = trained("Input(4) >> Dense(3) as größe >> Dense(2) as out", &[4], 2, layout);
        assert_eq!(code, Some(0), "{messages}");
        if layout == "keras" {
            assert_eq!(weights(folder.path())[0].0, "größe/weight");
        }
        let (code, messages) = netc(folder.path(), &["predict", "model.net", "x.npy", "-o", "y2.npy"]);
        assert_eq!(code, Some(0), "{messages}");
    }
}

#[test]
fn unsupported_layers_are_reported_before_training() {
    let cases = [
        ("Input(4) >> PRelu(3) as p >> Dense(2) as out", "keras", "no parameter for `p/alpha`"),
        ("Input(4) >> (Dense(3) as weight) as a >> Dense(2) as a", "neupy", "'a/weight' would be both a parameter"),
    ];
    for (net, layout, wanted) in cases {
        let (code, messages, folder) = trained(net, &[4], 2, layout);
        assert_eq!(code, Some(1), "{messages}");
        assert!(messages.contains("E0904") && messages.contains(wanted), "{messages}");
        assert!(!folder.path().join("model.run").exists(), "{messages}");
    }
}

/// Lists of names that exceed an attribute are split as by Keras.
#[test]
fn a_net_of_many_layers_is_stored() {
    let net = "Input(2) >> repeat i in 1..=4100 { Relu as \"r{i}\" } >> Dense(2) as out";
    let (code, messages, folder) = trained(net, &[2], 2, "keras");
    assert_eq!(code, Some(0), "{messages}");
    let (code, messages) = netc(folder.path(), &["predict", "model.net", "x.npy", "-o", "y2.npy"]);
    assert_eq!(code, Some(0), "{messages}");
}
