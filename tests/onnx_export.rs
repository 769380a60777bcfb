//! ONNX models that `netc export` writes: they are those that ONNX Runtime was seen to agree with, and `netc import` makes nets of
//! them again that give the same.

#[macro_use]
mod architectures;
mod difference;
mod program;
mod verify_nets;

use difference::difference;
use ndarray::ArrayD;
use netc::compile::{Build, BuildOptions, build};
use netc::diagnostics::{Diagnostics, render};
use netc::elaborate::load_text;
use netc::elaborate::project::source_files::from_disk;
use netc::export::onnx::{Options, onnx};
use netc::import::{self, import};
use netc::onnx::Source;
use netc::ops;
use netc::runtime::Session;
use netc::source::Sources;
use program::{done, netc, refused};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A build of a spec that stands in a folder.
#[track_caller]
fn built(folder: &Path, text: &str, weights: Option<PathBuf>) -> Build {
    let spec = load_text(&folder.join("m.net"), text, &from_disk);
    let weights: BTreeMap<_, _> = weights.into_iter().map(|path| ("m".to_string(), path)).collect();
    let options = BuildOptions { allow_untrained: true, weights, ..BuildOptions::default() };
    let (build, _) = build(&spec, &options)
        .unwrap_or_else(|errors| panic!("{text}\n{}", render::text(&errors, &spec.sources, false)));
    build
}

/// Values for the inputs of a net: small whole numbers, which may be indices, if it looks up rows.
fn inputs(build: &Build, images: usize) -> Vec<Vec<f32>> {
    let indices = build.graph.nodes.iter().filter_map(|node| node.operation.index_bound()).min();
    let value = |at: usize| {
        let spread = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        match indices {
            Some(bound) => (spread % bound.min(4) as u64) as f32,
            None => spread as f32 / (1 << 23) as f32 - 1.0,
        }
    };
    let ports = &build.compiled.plan.inputs;
    ports.iter().map(|port| (0..images * port.len()).map(value).collect()).collect()
}

/// All outputs of a net for two images.
fn outputs(build: &Build, inputs: &[Vec<f32>], images: usize) -> Vec<Vec<f32>> {
    let mut found: Vec<Vec<f32>> =
        build.compiled.plan.outputs.iter().map(|port| vec![0.0; images * port.len()]).collect();
    let artifact = Arc::new(build.in_memory().expect("an artifact"));
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut views: Vec<&mut [f32]> = found.iter_mut().map(Vec::as_mut_slice).collect();
    Session::new(artifact, 1).run(images, &inputs, &mut views).expect("a run");
    found
}

/// The largest difference, of large values relative to them.
fn largest_difference(a: &[f32], b: &[f32]) -> f64 {
    difference(a.iter().copied(), b.iter().copied(), |b| b.abs().max(1.0))
}

fn words(errors: &Diagnostics) -> String {
    render::text(errors, &Sources::default(), false)
}

/// Exports a net, imports it again, and compares what both give; the text of the imported spec.
#[track_caller]
fn round_trip(text: &str, options: &Options) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let first = built(folder.path(), text, None);
    let (model, spec) = (folder.path().join("m.onnx"), folder.path().join("again.net"));
    onnx(&first, &model, options).unwrap_or_else(|errors| panic!("{text}\n{}", words(&errors)));
    let imported = import(&model, &spec, &import::Options::default())
        .unwrap_or_else(|errors| panic!("{text}\n{}", words(&errors)));
    let second = load_text(&spec, &imported.text, &from_disk);
    let (second, _) = build(&second, &BuildOptions::default())
        .unwrap_or_else(|errors| panic!("{}\n{}", imported.text, render::text(&errors, &second.sources, false)));
    let given = inputs(&first, 2);
    let (expected, found) = (outputs(&first, &given, 2), outputs(&second, &given, 2));
    for (expected, found) in expected.iter().zip(&found) {
        let difference = largest_difference(found, expected);
        assert!(difference < 1e-5, "{difference}\n{text}\n{}", imported.text);
    }
    imported.text
}

#[test]
fn every_layer_is_exported() {
    let folder = tempfile::tempdir().expect("a folder");
    for layer in ops::LAYERS {
        let text = format!("net m = {}\n", layer.example);
        let build = built(folder.path(), &text, None);
        for channels_last in [false, true] {
            let options = Options { channels_last, preprocess: channels_last };
            let written = onnx(&build, &folder.path().join("m.onnx"), &options);
            assert!(written.is_ok_and(|nodes| nodes > 0), "{}", layer.name);
        }
        assert!(Source::open(&folder.path().join("m.onnx")).is_ok(), "{}", layer.name);
    }
}

#[test]
fn the_example_of_every_layer_comes_back() {
    for layer in ops::LAYERS {
        round_trip(&format!("net m = {}\n", layer.example), &Options::default());
    }
}

/// Slices across flattened images, reshapes, axes in any order.
#[test]
fn nets_of_all_kinds_come_back() {
    for net in [verify_nets::CONCATENATIONS, verify_nets::VIEWS_AND_SLICES, verify_nets::MERGES].concat() {
        round_trip(&format!("net m = {net}\n"), &Options::default());
    }
}

#[test]
fn models_that_onnx_runtime_ran_come_back() {
    // A layer cannot begin with the state that `sequence` has.
    for (_, net) in MODELS.iter().filter(|(name, _)| *name != "sequence") {
        round_trip(&format!("net m = {net}\n"), &Options::default());
    }
}

/// Flattened axes whose channels are last in the model, too: dense layers behind them take the values in another order than
/// behind an image.
#[test]
fn what_a_model_flattens_in_an_order_of_its_own_comes_back() {
    for net in [
        "Input(2x3x2) >> Conv(1x1, 3) >> Reshape(6x3) >> Flatten >> Dense(2)",
        "Input(2x3x2) >> Transpose([0, 2, 1, 3]) >> Flatten >> Dense(2)",
        "Input(4x5x2) >> Mean(height) >> Flatten >> Dense(2)",
        "Input(6x4) >> Conv(3, 5) >> LSTM(3, only_return_final=false) >> Flatten >> Dense(2)",
    ] {
        round_trip(&format!("net m = {net}\n"), &Options::default());
    }
}

/// Nets whose models ONNX Runtime 1.32 and onnx's reference evaluator ran: `tests/data/onnx_export/make.py`.
const MODELS: [(&str, &str); 6] = [
    (
        "trained",
        "Input(4x4x3) >> Conv(3x3, 4) as conv >> BatchNorm as bn >> Relu >> Flatten >> Dropout(0.5) >> Dense(3) as fc",
    ),
    (
        "sequence",
        "Input(6) >> Embedding(10, 4) >> LSTM(3, only_return_final=false, peepholes=true, biases=Normal) \
         >> GRU(4, reset_after=true, only_return_final=false, backwards=true, biases=Normal, hidden_init=Normal) >> BatchNorm \
         >> Conv(3, 5, padding=same) >> Relu >> MaxPool(2) >> GRU(3, biases=Normal) >> Dense(2)",
    ),
    (
        "transformer",
        "Input(8x8x3) >> Conv(4x4, 8, stride=4) >> Reshape(4x8) >> ClassToken(Normal) as cls >> PositionEmbedding as pos \
         >> (Identity | LayerNorm >> Attention(2, causal=true, bias=Normal) as attn) >> Add >> (Identity | Slice(0, 4)) >> Attention(4) as cross \
         >> Gelu(12) >> Flatten >> Slice(0, 8) >> Dense(3)",
    ),
    (
        "images",
        "Input(9x8x4) >> (Deconv(3x3, 6, stride=2) >> GroupNorm(2) >> Crop([1, 0, 0, 3]) \
         | ConvTranspose(2x2, 6, stride=3, groups=2, padding=1) >> Resize(18x14, mode=bicubic) >> Normalize \
         | Resize(scale=2, mode=bilinear) >> Pad([0, 0, 1, 1], mode=reflect) >> Crop([0, 0, 2, 2]) >> Conv(3x3, 6, padding=same, groups=2)) \
         >> Average >> SeparableConv(3x3, 8, stride=2, padding=same) >> PRelu(alpha_axes=[1, 3]) >> Shuffle(2) >> LRN(depth_radius=1) \
         >> (AvgPool(3x3, stride=2, padding=same) | MaxPool(3x3, stride=2, padding=1) | MaxPool(2x2, stride=2, ceil=true)) >> Concatenate \
         >> LayerNorm >> Scale(Normal) >> (Mean(height) >> Softmax(axis=time) >> GlobalPool(max) | Max([width, channels]) >> Flatten) >> Concatenate \
         >> Dense(3)",
    ),
    (
        "blocks",
        "Input(4x4x8) >> SpaceToDepth(2, order=crd) >> SpaceToDepth(2) >> DepthToSpace(2, order=crd) >> DepthToSpace(2) >> Upscale([1, 2]) \
         >> (Identity | GlobalPool(avg) >> Relu(4) >> HardSigmoid(8)) >> Multiply >> Transpose([0, 3, 1, 2]) >> Reshape(8x32) >> Transpose([0, 2, 1]) \
         >> Concatenate >> Flatten >> (Softmax(2) | Elu(5) | Relu(5, alpha=0.1)) >> GatedAverage",
    ),
    (
        "functions",
        "Input(6) >> Swish(8) >> (Square | Power(3) | Absolute | Affine(0.5, shift=-1) | Clip(-0.5, 0.25) | Softplus >> Log) >> Add \
         >> (HardSwish | Gelu(tanh=true)) >> Subtract >> Exp >> Sqrt >> (Tanh(4) | Sigmoid(4) | LeakyRelu(4)) >> Maximum >> PRelu(3) >> Relu6(3)",
    ),
];

fn of_model(name: &str, net: &str) -> Build {
    let weights = (name == "trained").then(|| data("torch_archives/state.safetensors"));
    let folder = tempfile::tempdir().expect("a folder");
    built(folder.path(), &format!("net m = {net}\n"), weights)
}

/// The model is, node by node and value by value, that which was run; and the net gives what ONNX Runtime gave.
#[test]
fn models_are_those_that_onnx_runtime_ran() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, net) in MODELS {
        let build = of_model(name, net);
        let path = folder.path().join("m.onnx");
        onnx(&build, &path, &Options::default()).unwrap_or_else(|errors| panic!("{name}\n{}", words(&errors)));
        let (found, values) = Source::open(&path).expect("a model");
        let (held, held_values) = Source::open(&data(&format!("onnx_export/{name}.onnx"))).expect("a model");
        assert_eq!((found.ir_version, &found.opsets), (held.ir_version, &held.opsets), "{name}");
        assert_eq!(found.graph.nodes, held.graph.nodes, "{name}");
        assert_eq!((&found.graph.inputs, &found.graph.outputs), (&held.graph.inputs, &held.graph.outputs), "{name}");
        assert_eq!(found.graph.initializers.len(), held.graph.initializers.len(), "{name}");
        for (tensor, other) in found.graph.initializers.iter().zip(&held.graph.initializers) {
            assert_eq!((&tensor.name, &tensor.shape), (&other.name, &other.shape), "{name}");
            match values.integers(tensor) {
                Ok(integers) => assert_eq!(integers, held_values.integers(other).expect("integers"), "{name}"),
                Err(_) => {
                    let floats = |source: &Source, tensor| source.floats(tensor, 0..other.len()).expect("values");
                    let difference = largest_difference(&floats(&values, tensor), &floats(&held_values, other));
                    assert!(difference < 1e-6, "{name}: {} differs by {difference}", tensor.name);
                }
            }
        }
        let array = |what: &str| -> ArrayD<f32> {
            ndarray_npy::read_npy(data(&format!("onnx_export/{name}.{what}.npy"))).expect("an array")
        };
        // ONNX' images have their channels first.
        let (x, y) = (array("x"), array("y"));
        let x = if x.ndim() == 4 { x.permuted_axes(vec![0, 2, 3, 1]).as_standard_layout().into_owned() } else { x };
        let given = vec![x.iter().copied().collect::<Vec<f32>>()];
        let expected: Vec<f32> = y.iter().copied().collect();
        let difference = largest_difference(&outputs(&build, &given, x.shape()[0])[0], &expected);
        assert!(difference < 1e-5, "{name}: {difference}");
    }
}

macro_rules! round_trips {
    ($($name:ident: $net:literal,)*) => {
        $(#[test]
        fn $name() {
            let text = round_trip(concat!("net m = ", $net, "\n"), &Options::default());
            insta::assert_snapshot!(concat!("onnx_", stringify!($name)), text);
        })*
    };
}

// They come back as specs that read like the original.
architectures!(round_trips);

/// A new architecture gets a round trip too.
#[test]
fn every_shipped_architecture_comes_back() {
    let cuts = ["bird", "clothing"];
    let tested = include_str!("architectures/mod.rs");
    for spec in netc::elaborate::project::shipped::SPECS {
        let test = format!("            {}: \"", spec.name);
        assert!(cuts.contains(&spec.name) || tested.contains(&test), "{} has no round trip", spec.name);
    }
}

#[test]
fn images_may_have_their_channels_last() {
    let options = Options { channels_last: true, preprocess: false };
    let text = round_trip("net m = Input(6x5x3) >> Conv(3x3, 4) as conv >> Relu >> Upscale(2)\n", &options);
    assert!(text.contains("as conv") && !text.contains("Transpose"), "{text}");
}

#[test]
fn preprocessing_and_labels_come_back() {
    let text = "net m = Input(8x8x3, image=Caffe) >> Conv(3x3, 4) as conv >> GlobalPool(avg) >> Softmax(2) as kind\n\n\
        labels m = [\"a \\\"cat\\\"\", \"dog\"]\n";
    let again = round_trip(text, &Options::default());
    assert!(again.contains("Input(8x8x3, image=Caffe)") && again.contains("\"a \\\"cat\\\"\", \"dog\""), "{again}");
}

#[test]
fn the_program_exports_by_name_or_ending() {
    let folder =
        program::folder(&[("m.net", "net m = Input(8x8x3, image=Torch) >> Conv(3x3, 4) >> GlobalPool(avg)\n")]);
    let export = |arguments: &[&str]| {
        netc(folder.path(), &[&["export", "m.net", "--allow-untrained", "-o"], arguments].concat())
    };
    done(&export(&["m.onnx", "--preprocess"]));
    let (model, _) = Source::open(&folder.path().join("m.onnx")).expect("a model");
    let ops: Vec<&str> = model.graph.nodes.iter().map(|node| node.op.as_str()).collect();
    assert_eq!(ops, ["Mul", "Sub", "Div", "Conv", "GlobalAveragePool", "Flatten"]);
    assert_eq!(model.metadata.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["image.input-1", "spec"]);
    done(&export(&["model", "--onnx", "--nhwc"]));
    assert!(Source::open(&folder.path().join("model")).is_ok());
}

#[test]
fn all_layers_that_cannot_be_exported_are_listed_and_nothing_is_written() {
    let text = "net m = Input(8x8x4) >> (LRN(alpha=-1) as one | LRN(beta=0) as two) >> Add\n";
    let folder = program::folder(&[("m.net", text)]);
    let output = netc(folder.path(), &["export", "m.net", "-o", "m.onnx"]);
    refused(&output, "E0907", &["`one`", "`two`", "this LocalResponseNorm"]);
    insta::assert_snapshot!("onnx_export_unsupported", program::text(&output.stderr));
    assert!(!folder.path().join("m.onnx").exists());
}

/// A file of ONNX cannot have more than 2 GiB: that is known before a weight is made.
#[test]
fn a_model_that_is_too_large_is_refused() {
    let folder = program::folder(&[("m.net", "net m = Input(30000) >> Dense(20000)\n")]);
    fs::write(folder.path().join("m.onnx"), "old").expect("a file");
    let output = netc(folder.path(), &["export", "m.net", "--allow-untrained", "-o", "m.onnx"]);
    refused(&output, "E0904", &["2.2 GiB", "safetensors"]);
    assert_eq!(fs::read(folder.path().join("m.onnx")).expect("the old file"), b"old");
}

/// The rows of the dense layer are in the order that the image has in the model: the spec says so.
#[test]
fn a_reshape_of_an_image_whose_channels_are_last_comes_back_with_the_axes_of_the_model() {
    let again = round_trip("net m = Input(9x11x5) >> Reshape(11x?) >> Flatten >> Softmax(4)\n", &Options::default());
    assert!(again.contains("axes = explicit"), "{again}");
}

/// What an import writes can be built: what cannot is refused before anything is written.
#[test]
fn an_import_that_cannot_be_built_is_refused() {
    let folder = program::folder(&[("m.net", "net m = Input(4x4x2) >> Conv(3x3, 3) as c\n")]);
    done(&netc(folder.path(), &["export", "m.net", "-o", "m.onnx", "--allow-untrained"]));
    // Its kernel has integers.
    let path = folder.path().join("m.onnx");
    let mut bytes = fs::read(&path).expect("a model");
    let name = bytes.windows(8).position(|part| part == b"c.weight").expect("a kernel");
    let tensors = bytes.windows(8).rposition(|part| part == b"c.weight").expect("a kernel");
    assert_ne!(name, tensors);
    let element =
        (tensors.saturating_sub(24)..tensors).rev().find(|&at| bytes[at..at + 2] == [0x10, 1]).expect("a type");
    bytes[element + 1] = 6;
    fs::write(&path, bytes).expect("a model");
    let output = netc(folder.path(), &["import", "m.onnx", "-o", "again.net"]);
    refused(
        &output,
        "E0403",
        &["the spec that was made from m.onnx cannot be built", "instead of floating-point numbers"],
    );
    assert!(!folder.path().join("again.net").exists());
}
