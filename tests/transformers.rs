//! Layers of sequences with weights that PyTorch, timm and Keras name: what they give is what PyTorch computes.
//! `tests/data/transformers/make.py` wrote the files.

mod difference;

use difference::difference;
use ndarray::ArrayD;
use ndarray_npy::NpzReader;
use netc::compile::{Build, BuildOptions, build};
use netc::diagnostics::{Code, render};
use netc::elaborate::load_text;
use netc::elaborate::project::source_files::from_disk;
use netc::runtime::Session;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/transformers").join(name)
}

fn array(name: &str) -> ArrayD<f32> {
    let mut npz = NpzReader::new(File::open(data("reference.npz")).expect("the reference")).expect("an npz");
    npz.by_name(&format!("{name}.npy")).expect(name)
}

/// `net model = …` with a file's weights, or what is messages.
fn bound(net: &str, weights: &str) -> Result<Build, (Vec<Code>, String)> {
    let spec = load_text(&data("model.net"), &format!("net model = {net}\n{weights}"), &from_disk);
    build(&spec, &BuildOptions::default()).map(|(build, _)| build).map_err(|errors| {
        let codes = errors.iter().map(|error| error.code).collect();
        (codes, render::text(&errors, &spec.sources, false))
    })
}

/// Compares what a net gives for these arrays with another one.
fn check(net: &str, weights: &str, inputs: &[ArrayD<f32>], expected: &ArrayD<f32>) {
    let build = bound(net, weights).unwrap_or_else(|(_, messages)| panic!("{net}\n{messages}"));
    assert_eq!(build.bindings.report.untrained, 0, "{net}");
    let artifact = Arc::new(build.in_memory().expect("an artifact"));
    let inputs: Vec<&[f32]> = inputs.iter().map(|input| input.as_slice().expect("row-major")).collect();
    let mut found = vec![f32::NAN; expected.len()];
    Session::new(artifact, 2).run(expected.shape()[0], &inputs, &mut [&mut found]).expect("a run");
    let largest = expected.iter().fold(1.0, |most: f32, value| most.max(value.abs()));
    let worst = difference(found, expected.iter().copied(), |_| f64::from(largest));
    assert!(worst < 5e-6, "{net} {weights}: off by {worst:e}");
}

#[test]
fn a_vision_transformer_binds_by_the_names_of_timm() {
    let net = "deit_tiny(classes=5, size=8x12x3, patch=4, width=12, depth=2)";
    check(net, "weights deit_tiny = \"deit.safetensors\"", &[array("image")], &array("probabilities"));
}

#[test]
fn attention_is_that_of_pytorch() {
    let x = || array("x");
    let own = "weights model = \"own.safetensors\"";
    check("Input(6x8) >> Attention(2) as attn", own, &[x()], &array("y_own"));
    check("Input(6x8) >> Attention(2, causal=true) as attn", own, &[x()], &array("y_causal"));
    // The same weights in the form of two inputs.
    check("{ let x = Input(6x8)  (x | x) >> Attention(2) as attn }", own, &[x()], &array("y_own"));
    let masked = "{ let x = Input(6x8)  let mask = Input(6x6)  (x | x | mask) >> Attention(2) as attn }";
    check(masked, own, &[x(), array("pairs")], &array("y_pairs"));
    let cross = "weights model = \"cross.safetensors\"";
    let net = "{ let x = Input(6x8)  let memory = Input(5x4)  (x | memory) >> Attention(4) as attn }";
    check(net, cross, &[x(), array("memory")], &array("y_cross"));
    let net = "{ let x = Input(6x8)  let memory = Input(5x4)  let seen = Input(5)  (x | memory | seen) >> Attention(4) as attn }";
    check(net, cross, &[x(), array("memory"), array("seen")], &array("y_hidden"));
}

#[test]
fn attention_binds_by_other_names() {
    for file in ["linear.safetensors", "keras.h5"] {
        let weights = format!("weights model = \"{file}\"");
        check("Input(6x8) >> Attention(2) as attn", &weights, &[array("x")], &array("y_own"));
        let two = "{ let x = Input(6x8)  (x | x) >> Attention(2) as attn }";
        check(two, &weights, &[array("x")], &array("y_own"));
        let renamed = format!("{weights} {{ rename = {{ \"attn\" = \"attention\" }} }}");
        check("Input(6x8) >> Attention(2) as attention", &renamed, &[array("x")], &array("y_own"));
        // A bias that the net has no place for.
        let (codes, messages) =
            bound("Input(6x8) >> Attention(2, bias=false) as attn", &weights).expect_err("a refusal");
        assert_eq!(codes, [Code::WeightsMismatch]);
        assert!(messages.contains("4 tensors") && messages.contains("has no such parameter"), "{messages}");
        // Other features.
        let (codes, messages) = bound("Input(6x10) >> Attention(2) as attn", &weights).expect_err("a refusal");
        assert_eq!(codes, [Code::WeightsMismatch]);
        assert!(messages.contains("attn/in_proj_weight") && messages.contains("10"), "{messages}");
    }
}

#[test]
fn layer_norm_is_that_of_pytorch() {
    let x = array("x").mapv(|x| x + 3.0);
    let weights = "weights model = \"norm.safetensors\"";
    check("Input(6x8) >> LayerNorm as norm", weights, std::slice::from_ref(&x), &array("y_norm"));
    check("Input(2x3x8) >> LayerNorm as norm", weights, &[x], &array("y_norm"));
}

#[test]
fn a_gru_with_biases_of_the_state_is_that_of_pytorch_and_keras() {
    let net = |options: &str| format!("Input(6x8) >> GRU(3, only_return_final=false{options}) as gru");
    for file in ["gru.safetensors", "gru.h5"] {
        let weights = format!("weights model = \"{file}\"");
        check(&net(", reset_after=true"), &weights, &[array("x")], &array("y_gru"));
        let (codes, messages) = bound(&net(""), &weights).expect_err("a refusal");
        assert_eq!(codes, [Code::WeightsMismatch]);
        assert!(messages.contains("reset_after=true"), "{messages}");
    }
}
