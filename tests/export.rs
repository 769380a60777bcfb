//! What `netc export` writes is what PyTorch wrote: a file that is bound and exported has the same tensors again.

#[macro_use]
mod architectures;
mod program;

use netc::weights::open;
use netc::weights::store::Store;
use program::{done, folder, netc, refused};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The shape and the values of each tensor by its name.
fn tensors(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let store: Box<dyn Store> = open(path, None).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let tensor = |index: usize| {
        let entry = &store.entries()[index];
        (entry.key.clone(), (entry.shape.clone(), store.read(index).expect("values")))
    };
    (0..store.entries().len()).map(tensor).collect()
}

/// Binds `weights` to the net and exports it.
fn exported(net: &str, weights: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let folder = folder(&[("m.net", net)]);
    let weights = format!("m={}", weights.display());
    done(&netc(folder.path(), &["export", "m.net", "--weights", &weights, "-o", "m.safetensors"]));
    tensors(&folder.path().join("m.safetensors"))
}

#[test]
fn a_bound_file_is_exported_as_it_was() {
    // Behind the flatten, the rows of `fc` are in PyTorch's order again.
    let net = "net m = Input(4x4x3) >> Conv(3x3, 4) as conv >> BatchNorm as bn >> Relu >> Flatten >> Dense(3) as fc\n";
    let file = data("torch_archives/state.safetensors");
    let (actual, expected) = (exported(net, &file), tensors(&file));
    assert_eq!(actual.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, (shape, values)) in &expected {
        let (actual_shape, actual) = &actual[name];
        assert_eq!(actual_shape, shape, "{name}");
        // Variances are stored as inverse standard deviations.
        let tolerance = if name == "bn.running_var" { 1e-6 } else { 0.0 };
        for (actual, expected) in actual.iter().zip(values) {
            assert!((actual - expected).abs() <= tolerance * expected.abs(), "{name}: {actual} {expected}");
        }
    }
}

#[test]
fn what_is_exported_binds_again() {
    let nets = [
        "Input(9x5) >> LSTM(4) as lstm >> Dense(3) as fc",
        "Input(9x5) >> GRU(4) as gru >> Dense(3) as fc",
        "Input(9x5) >> Conv(3, 6, stride=2) as conv >> Relu >> GlobalPool(avg) >> Dense(2) as fc",
        "Input(9x5) >> GRU(4, reset_after=true) as gru >> Dense(3) as fc",
        "Input(6x8) >> ClassToken as cls_token >> PositionEmbedding as pos_embed >> LayerNorm as norm >> Attention(2) as attn >> Dense(3) as fc",
        "Input(8) >> Embedding(10, 4) as table >> LSTM(3) as lstm",
        "Input(7x6x4) >> DepthwiseConv(3x3) as dw >> PRelu(alpha_axes=-1) as act >> Flatten >> Dense(5) as a >> Dense(2) as b",
        "Input(6x6x4) >> Deconv(3x3, 6, stride=2) as up >> GroupNorm(2) as norm >> Conv(3x3, 8, groups=2) as conv >> GlobalPool(avg)",
        "Input(4) >> Dense(3) as \"fc/one\" >> Relu(2) as \"fc/two/a.b\"",
        "Input(5x5x4) >> ConvTranspose(3x3, 6, stride=2, groups=2) as up >> Conv(1x1, 4) as conv >> Scale as gamma >> GlobalPool(avg)",
    ];
    for net in nets {
        binds_again(net);
    }
}

macro_rules! safetensors_bind_again {
    ($($name:ident: $net:literal,)*) => {
        $(#[test]
        fn $name() {
            match stringify!($name) {
                "bert_tiny" => has_no_place_in_pytorch($net),
                _ => binds_again($net),
            }
        })*
    };
}

architectures!(safetensors_bind_again);

/// PyTorch has one tensor for projections that are two here where a mask is given.
#[track_caller]
fn has_no_place_in_pytorch(net: &str) {
    let folder = folder(&[("m.net", &format!("net m = {net}\n"))]);
    let output = netc(folder.path(), &["export", "m.net", "--allow-untrained", "-o", "m.safetensors"]);
    refused(&output, "E0904", &["PyTorch has no parameter"]);
}

/// A net takes the file that it was exported to, whatever separates the parts of its names, and gives that file again.
#[track_caller]
fn binds_again(net: &str) {
    let text = format!("net m = {net}\n\nweights m = \"m.safetensors\"\n");
    let folder = folder(&[("first.net", &format!("net m = {net}\n")), ("m.net", &text)]);
    let run = |arguments: &[&str]| done(&netc(folder.path(), arguments));
    run(&["export", "first.net", "--allow-untrained", "-o", "m.safetensors"]);
    run(&["export", "m.net", "-o", "again.safetensors"]);
    let (first, second) = (folder.path().join("m.safetensors"), folder.path().join("again.safetensors"));
    let (first, second) = (tensors(&first), tensors(&second));
    assert!(!first.is_empty() && first == second, "{net}");
}

#[test]
fn names_that_would_be_one_in_pytorch_are_refused() {
    let twice = "net m = Input(4) >> Dense(3) as \"fc/one\" >> Dense(3) as \"fc.one\"\n";
    let folder = folder(&[("m.net", twice)]);
    let output = netc(folder.path(), &["export", "m.net", "--allow-untrained", "-o", "m.safetensors"]);
    refused(&output, "E0904", &["`fc.one.bias`"]);
    assert!(!folder.path().join("m.safetensors").exists());
}

#[test]
fn blocks_of_timm_and_torchvision_have_their_names() {
    let nets = [
        "Input(6x8) >> Attention(2) as blocks.0.attn >> Scale as blocks.0.ls1 >> Dense(3) as head",
        "Input(6x8) >> Attention(2) as layers.0.self_attn >> Dense(3) as head",
        "Input(4x4x8) >> (Conv(1x1, 8) as block.0 >> Scale(0.1) as block | Identity) >> Add >> GlobalPool(avg)",
    ];
    let shapes = nets.map(|net| {
        let folder = folder(&[("m.net", &format!("net m = {net}\n"))]);
        done(&netc(folder.path(), &["export", "m.net", "--allow-untrained", "-o", "m.safetensors"]));
        let tensors = tensors(&folder.path().join("m.safetensors"));
        tensors.into_iter().map(|(name, (shape, _))| format!("{name} {shape:?}")).collect::<Vec<_>>().join("\n")
    });
    insta::assert_snapshot!(shapes.join("\n--\n"));
}

#[test]
fn what_pytorch_has_no_place_for_is_refused() {
    let slopes = "net m = Input(4x4x3) >> PRelu(alpha_axes=[1, 2, 3]) as act >> GlobalPool(avg)\n";
    let folder = folder(&[("m.net", slopes)]);
    let export = |output: &str| netc(folder.path(), &["export", "m.net", "--allow-untrained", "-o", output]);
    refused(&export("m.safetensors"), "E0904", &["`act`"]);
    assert!(!folder.path().join("m.safetensors").exists());
    refused(&export("m.onyx"), "E0904", &["m.onyx", "-o NAME.safetensors"]);
}

/// A net and its weights of PyTorch, built as `m.netb`, and its folder.
fn artifact() -> tempfile::TempDir {
    let net = "net m = Input(4x4x3) >> Conv(3x3, 4) as conv >> BatchNorm as bn >> Relu >> Flatten >> Dense(3) as fc\n\n\
               weights m = \"w.safetensors\"\n";
    let folder = folder(&[("m.net", net)]);
    std::fs::copy(data("torch_archives/state.safetensors"), folder.path().join("w.safetensors")).expect("a copy");
    done(&netc(folder.path(), &["build", "m.net"]));
    folder
}

#[test]
fn an_artifact_is_exported_as_its_spec() {
    let folder = artifact();
    let path = |name: &str| folder.path().join(name);
    for format in ["onnx", "safetensors", "keras"] {
        done(&netc(folder.path(), &["export", "m.net", "-o", &format!("spec.{format}")]));
    }
    // The spec's file is not read: its text is in the artifact.
    std::fs::remove_file(path("m.net")).expect("a file");
    for format in ["onnx", "safetensors", "keras"] {
        done(&netc(folder.path(), &["export", "m.netb", "-o", &format!("artifact.{format}")]));
        let read = |name: &str| std::fs::read(path(&format!("{name}.{format}"))).expect("a file");
        assert!(read("spec") == read("artifact"), "{format}");
    }
}

#[test]
fn an_artifact_whose_files_are_others_now_is_not_exported() {
    let folder = artifact();
    let path = |name: &str| folder.path().join(name);
    let mut bytes = std::fs::read(path("w.safetensors")).expect("the weights");
    // One bit of one weight.
    *bytes.last_mut().expect("bytes") ^= 1;
    std::fs::rename(path("w.safetensors"), path("old.safetensors")).expect("a move");
    let export = |more: &[&str]| netc(folder.path(), &[&["export", "m.netb", "-o", "out.onnx"], more].concat());
    refused(&export(&[]), "E0908", &["E0401", "w.safetensors", "--weights"]);
    std::fs::write(path("w.safetensors"), bytes).expect("weights");
    refused(&export(&[]), "E0908", &["w.safetensors has other content now"]);
    assert!(!path("out.onnx").exists());
    done(&export(&["--weights", "m=old.safetensors"]));
}

#[test]
fn other_specs_that_an_artifact_uses_are_compared_by_its_plan() {
    let inner = "net front = Conv(3x3, 4) >> Relu\n";
    let folder = folder(&[
        ("front.net", inner),
        ("m.net", "use \"front.net\"\n\nnet m = Input(4x4x3) >> front >> Flatten >> Softmax(3)\n"),
    ]);
    done(&netc(folder.path(), &["build", "m.net", "--allow-untrained"]));
    let export = || netc(folder.path(), &["export", "m.netb", "-o", "out.onnx"]);
    done(&export());
    std::fs::write(folder.path().join("front.net"), inner.replace("Relu", "Tanh")).expect("a spec");
    refused(&export(), "E0908", &["front.net as it is now"]);
}
