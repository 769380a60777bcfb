//! The model configuration in a Keras file is compared with the spec and names its layers; the compiled net computes the same as
//! Keras. `make.py` and other `make_….py` in `tests/data/keras_models` wrote the files.

mod difference;

use difference::difference;
use ndarray::{ArrayD, IxDyn};
use ndarray_npy::ReadNpyExt;
use netc::compile::{Build, BuildOptions, build};
use netc::diagnostics::{Code, render};
use netc::elaborate::load_text;
use netc::elaborate::project::source_files::from_disk;
use netc::runtime::Session;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keras_models").join(name)
}

/// The net `model` with the weights of a file and options of its block, or the diagnostics.
fn bound(net: &str, file: &str, options: &str) -> Result<Build, (Vec<Code>, String)> {
    let options = if options.is_empty() { String::new() } else { format!("{{ {options} }}") };
    let text = format!("net model = {net}\nweights model = \"{file}\" {options}");
    let spec = load_text(&data("model.net"), &text, &from_disk);
    build(&spec, &BuildOptions { net: Some("model".into()), ..BuildOptions::default() })
        .map(|(build, _)| build)
        .map_err(|errors| {
            let codes = errors.iter().map(|error| error.code).collect();
            (codes, render::text(&errors, &spec.sources, false))
        })
}

fn array(name: &str) -> ArrayD<f32> {
    ArrayD::read_npy(File::open(data(name)).expect("an array")).expect("numbers")
}

/// Compares the outputs of a build for `NAME_x.npy` with `NAME_y.npy`.
fn agrees(build: &Build, name: &str, file: &str) {
    let (x, y) = (array(&format!("{name}_x.npy")), array(&format!("{name}_y.npy")));
    let mut found = ArrayD::<f32>::zeros(IxDyn(y.shape()));
    let out = found.as_slice_mut().expect("row-major");
    let artifact = Arc::new(build.in_memory().expect("an artifact"));
    Session::new(artifact, 2).run(x.shape()[0], &[x.as_slice().expect("row-major")], &mut [out]).expect("a run");
    let worst = difference(found.iter().copied(), y.iter().copied(), |y| 1.0 + y.abs());
    assert!(worst < 2e-5, "{file}: {worst:e}\n{found}\n{y}");
}

fn binds(net: &str, name: &str, files: &[&str], options: &str) {
    for file in files {
        let build = bound(net, file, options).unwrap_or_else(|(_, messages)| panic!("{file}: {messages}"));
        assert_eq!(build.bindings.report.untrained, 0, "{file}");
        agrees(&build, name, file);
    }
}

/// Each change of a net is refused by every file: from, to, and what the message has.
#[track_caller]
fn changes_are_refused(net: &str, files: &[&str], changes: &[(&str, &str, &[&str])]) {
    for (from, to, expected) in changes {
        assert!(net.contains(from), "{from}");
        let net = net.replacen(from, to, 1);
        // A layer that a change adds is in no file.
        let options = if to.contains("a2") { "missing = initialize" } else { "" };
        for file in files {
            refused(&net, file, options, Code::WeightsConfiguration, expected);
        }
    }
}

fn refused(net: &str, file: &str, options: &str, code: Code, expected: &[&str]) {
    let (codes, messages) = match bound(net, file, options) {
        Ok(_) => panic!("{file} binds to {net}"),
        Err(refusal) => refusal,
    };
    assert!(!codes.is_empty() && codes.iter().all(|found| *found == code), "{messages}");
    for part in expected {
        assert!(messages.contains(part), "{part} is not in\n{messages}");
    }
}

const BRANCHES: &str = "Input(6x6x4) >> (Conv(1x1, 4) as p1_conv >> Relu >> Conv(1x1, 8) as p2_conv | Conv(1x1, 8) as p0_conv) >> Add >> Relu";

#[test]
fn branches_without_names_are_never_swapped() {
    // Its `config.json` has the names.
    binds(BRANCHES, "branches", &["branches.keras"], "");
    let expected = ["`p2_conv` and `p0_conv` are indistinguishable", "conv2d_1, conv2d_2", "rename"];
    refused(BRANCHES, "branches.weights.h5", "", Code::WeightsAmbiguous, &expected);
    let renamed = "rename = { \"conv2d_1\" = \"p0_conv\", \"conv2d_2\" = \"p2_conv\" }";
    binds(BRANCHES, "branches", &["branches.weights.h5"], renamed);
    // One name is enough, as only one layer remains for the other.
    binds(BRANCHES, "branches", &["branches.weights.h5"], "rename = { \"conv2d_1\" = \"p0_conv\" }");
    // A part of the layers in the file: which part is ambiguous.
    let part = "Input(6x6x4) >> Conv(1x1, 8) as p0_conv >> Relu";
    refused(
        part,
        "branches.weights.h5",
        "",
        Code::WeightsAmbiguous,
        &["which of its 2 similar layers are the 1 layer of `model`"],
    );
}

#[test]
fn an_epsilon_of_the_file_is_not_overlooked() {
    let expected =
        ["epsilon: 0.00001", "epsilon in the file: 0.001", "layer `n` (BatchNormalization)", "config = ignore"];
    refused("Input(4) >> BatchNorm as n", "epsilon.h5", "", Code::WeightsConfiguration, &expected);
    refused("Input(4) >> BatchNorm as n", "epsilon.h5", "config = check", Code::WeightsConfiguration, &expected);
    binds("Input(4) >> BatchNorm(epsilon=0.001) as n", "epsilon", &["epsilon.h5"], "");
    let build = bound("Input(4) >> BatchNorm as n", "epsilon.h5", "config = ignore").expect("a build");
    let notes = &build.bindings.report.files[0].notes;
    assert!(notes.iter().any(|note| note.contains("configuration was not checked")), "{notes:?}");
    refused("Input(4) >> BatchNorm as n", "epsilon.h5", "config = no", Code::WeightsOption, &["`check` or `ignore`"]);
}

/// Weights keep the names that their layers had when they were created; a renamed layer has its new name.
#[test]
fn a_renamed_layer_has_its_new_name() {
    let text = "weights whole = \"renamed.h5\"\n\
        net whole = Input(4) >> Dense(4) as dense_1 >> Dense(4) as dense_2 >> Dense(4) as dense_3\n\
        net model = whole[..=dense_2]";
    let spec = load_text(&data("model.net"), text, &from_disk);
    let built = build(&spec, &BuildOptions { net: Some("model".into()), ..BuildOptions::default() });
    let (build, _) = built.unwrap_or_else(|errors| panic!("{}", render::text(&errors, &spec.sources, false)));
    agrees(&build, "renamed", "renamed.h5");
}

#[test]
fn a_header_may_begin_like_a_pickle() {
    binds("Input(2) >> Dense(2, bias=false) as layer0", "like_a_pickle", &["like_a_pickle.safetensors"], "");
}

const FULL: &str = "Input(9x8x3) >> Conv(3x3, 4, stride=2, padding=[1, 0, 1, 1]) as stem >> Relu \
    >> MaxPool(2x2, stride=1, padding=same) \
    >> DWConv(3x3, multiplier=2, padding=same, dilation=2, bias=false) as deep >> BatchNorm(epsilon=0.001) as norm >> Relu6 \
    >> PRelu as slopes >> Deconv(2x2, 4, stride=2) as up >> GroupNorm(2, epsilon=0.001) as group >> Tanh >> GlobalPool(avg) \
    >> HardSwish(5) as hidden >> Dense(3) as out >> Softmax";

#[test]
fn a_spec_may_say_the_same_otherwise() {
    let changes = [
        ("", ""),
        ("Conv(3x3, 4, stride=2, padding=[1, 0, 1, 1])", "ZeroPad([1, 0, 1, 1]) >> Conv(3x3, 4, stride=2)"),
        // ReLU and max pool are swapped.
        ("Relu >> MaxPool(2x2, stride=1, padding=same)", "MaxPool(2x2, stride=1, padding=same) >> Relu"),
        ("padding=same, dilation=2", "padding=2, dilation=2"),
        ("HardSwish(5) as hidden", "Dense(5) as hidden >> Dropout(0.5) >> HardSwish"),
        ("GlobalPool(avg)", "AvgPool(8x8) >> Flatten"),
        ("Dense(3) as out >> Softmax", "Softmax(3) as out"),
    ];
    for (from, to) in changes {
        assert!(FULL.contains(from), "{from}");
        binds(&FULL.replacen(from, to, 1), "full", &["full.h5", "full.keras"], "");
    }
    // Layers after the last one of the file belong to the net only.
    bound(&format!("{FULL} >> Dropout(0.5) >> Relu"), "full.h5", "")
        .unwrap_or_else(|(_, messages)| panic!("{messages}"));
}

#[test]
fn what_the_file_says_otherwise_is_an_error() {
    let changes: [(&str, &str, &[&str]); 15] = [
        (
            "stride=2, padding=[1, 0, 1, 1]",
            "stride=2, padding=same",
            &["a border of zeros [1, 0, 1, 1], then valid", "padding: same"],
        ),
        ("stride=2, padding=[1, 0, 1, 1]", "stride=1, padding=[1, 0, 1, 1]", &["stride: 1", "stride in the file: 2"]),
        ("as stem >> Relu", "as stem >> Tanh", &["before it in the file: relu", "before it: tanh", "`deep`"]),
        ("as stem >> Relu >>", "as stem >>", &["before it in the file: relu"]),
        ("MaxPool(2x2", "AvgPool(2x2", &["maximum over 2x2", "average over 2x2"]),
        (" >> MaxPool(2x2, stride=1, padding=same)", "", &["maximum over 2x2", "before it: nothing"]),
        ("dilation=2", "dilation=1", &["dilation: 1", "dilation in the file: 2"]),
        ("BatchNorm(epsilon=0.001)", "BatchNorm", &["epsilon: 0.00001"]),
        ("Relu6", "Relu", &["relu(max_value=6)", "`slopes`"]),
        ("Deconv(2x2, 4, stride=2)", "Deconv(2x2, 4, stride=1)", &["stride: 1"]),
        ("GroupNorm(2, epsilon=0.001)", "GroupNorm(4, epsilon=0.001)", &["groups: 4", "groups in the file: 2"]),
        ("GroupNorm(2, epsilon=0.001)", "GroupNorm(2)", &["epsilon in the file: 0.001"]),
        ("GlobalPool(avg)", "GlobalPool(max)", &["the average of all pixels", "the maximum of all pixels"]),
        ("HardSwish(5)", "Swish(5)", &["hard_silu", "swish"]),
        (" >> Softmax", "", &["after it in the file: softmax", "after it: nothing"]),
    ];
    changes_are_refused(FULL, &["full.h5", "full.keras"], &changes);
    for (from, to, _) in changes {
        for file in ["full.h5", "full.keras"] {
            let net = FULL.replacen(from, to, 1);
            bound(&net, file, "config = ignore").unwrap_or_else(|(_, messages)| panic!("{messages}"));
        }
    }
}

const SOFTMAX: &str = "Input(4x3x2) >> Conv(1x1, 2) as first >> Softmax(axis=height) >> Conv(2x2, 2) as second";

/// A softmax of an image is along the axis that the file says.
#[test]
fn the_axis_of_a_softmax_is_compared() {
    let files = ["softmax.h5", "softmax.keras"];
    binds(SOFTMAX, "softmax", &files, "");
    let changes: [(&str, &str, &[&str]); 3] = [
        ("Softmax(axis=height)", "Softmax(axis=width)", &["softmax(axis=1)", "softmax(axis=2)"]),
        ("Softmax(axis=height)", "Softmax", &["before it in the file: softmax(axis=1)", "before it: softmax"]),
        (">> Softmax(axis=height) ", "", &["before it in the file: softmax(axis=1)", "before it: nothing"]),
    ];
    changes_are_refused(SOFTMAX, &files, &changes);
}

const MERGES: &str = "Input(6x5x3) >> (Conv(3x3, 4, padding=same) as a >> Relu | Conv(1x1, 4) as b) >> Add \
    >> (Conv(3x3, 4, padding=same) as c | MaxPool(3x3, stride=1, padding=same) >> Conv(1x1, 4) as d | Identity) >> Concatenate \
    >> (Conv(1x1, 2) as e | Conv(1x1, 2) as f) >> Subtract >> Relu";

#[test]
fn merges_and_their_branches_are_compared() {
    binds(MERGES, "merges", &["merges.keras", "merges.h5"], "");
    // The order of a sum is free; what comes after the last layer of the file belongs to the net.
    let swapped = MERGES.replace(
        "(Conv(3x3, 4, padding=same) as a >> Relu | Conv(1x1, 4) as b)",
        "(Conv(1x1, 4) as b | Conv(3x3, 4, padding=same) as a >> Relu)",
    );
    binds(&swapped, "merges", &["merges.keras"], "");
    bound(&format!("{MERGES} >> GlobalPool(avg)"), "merges.keras", "").unwrap_or_else(|(_, text)| panic!("{text}"));
    let changes: [(&str, &str, &[&str]); 10] = [
        (" as a >> Relu", " as a", &["relu in a branch", "before it: nothing"]),
        ("as b) >> Add", "as b) >> Multiply", &["before it in the file: Add", "before it: Multiply"]),
        (" >> Subtract >> Relu", " >> Add >> Relu", &["in the file: Subtract", ": Add"]),
        (" >> Subtract >> Relu", " >> Subtract", &["after it in the file: relu", "after it: nothing"]),
        ("MaxPool(3x3", "AvgPool(3x3", &["maximum over 3x3", "average over 3x3"]),
        ("as e | Conv(1x1, 2) as f", "as f | Conv(1x1, 2) as e", &["`e` (Conv2D)", "`f`"]),
        ("as d | Identity", "as d | Identity >> Relu", &["nothing in a branch", "relu"]),
        (
            "padding=same) as c | MaxPool(3x3, stride=1, padding=same) >> Conv(1x1, 4) as d |",
            "padding=same) as c | Conv(1x1, 4) as d |",
            &["maximum over 3x3"],
        ),
        (
            "(Conv(3x3, 4, padding=same) as c | MaxPool(3x3, stride=1, padding=same) >> Conv(1x1, 4) as d |",
            "(MaxPool(3x3, stride=1, padding=same) >> Conv(1x1, 4) as d | Conv(3x3, 4, padding=same) as c |",
            &["`c` (Conv2D)", "`d`"],
        ),
        (
            "(Conv(3x3, 4, padding=same) as a >> Relu | Conv(1x1, 4) as b) >> Add",
            "(Conv(3x3, 4, padding=same) as a >> Relu | Conv(3x3, 4, padding=same) as a2 | Conv(1x1, 4) as b) >> Add >> Relu",
            &["relu"],
        ),
    ];
    changes_are_refused(MERGES, &["merges.keras", "merges.h5"], &changes);
}

#[test]
fn a_cut_net_may_end_where_its_file_goes_on() {
    for cut in ["[..=stem]", "[..=norm]", "[..=hidden]", "[..=norm] >> Sigmoid >> GlobalPool(max)"] {
        let text = format!("net whole = {FULL}\nweights whole = \"full.keras\"\nnet model = whole{cut}");
        let spec = load_text(&data("model.net"), &text, &from_disk);
        let built = build(&spec, &BuildOptions { net: Some("model".into()), ..BuildOptions::default() });
        built.unwrap_or_else(|errors| panic!("{cut}: {}", render::text(&errors, &spec.sources, false)));
    }
}

const SEQUENCE: &str = "Input(6x3) >> (LSTM(2, only_return_final=false) as forward \
    | LSTM(2, only_return_final=false, backwards=true) as backward) as both >> Concatenate >> LSTM(3) as last >> Dense(2) as out";

#[test]
fn both_directions_of_a_layer_bind_by_its_name() {
    binds(SEQUENCE, "sequence", &["sequence.h5", "sequence.keras", "sequence.weights.h5"], "");
    let one_way = SEQUENCE.replace(", backwards=true", "");
    refused(&one_way, "sequence.keras", "", Code::WeightsConfiguration, &["reversed in time"]);
    let plain = "Input(6x3) >> LSTM(2, only_return_final=false) as both >> LSTM(3) as last >> Dense(2) as out";
    refused(plain, "sequence.h5", "", Code::WeightsMismatch, &["a bidirectional layer", "as backward) as both"]);
}

#[test]
fn a_separable_convolution_is_two_layers() {
    let net = "Input(5x5x2) >> (DWConv(3x3, stride=2, multiplier=2, bias=false) as depthwise >> Conv(1x1, 4) as pointwise) as sep \
        >> Relu >> Flatten >> Dense(2) as out";
    binds(net, "separable", &["separable.h5", "separable.keras", "separable.weights.h5"], "");
    let plain = "Input(5x5x2) >> Conv(3x3, 4, stride=2) as sep >> Relu >> Flatten >> Dense(2) as out";
    refused(plain, "separable.h5", "", Code::WeightsMismatch, &["a separable convolution", "as pointwise) as sep"]);
    let other = net.replace("stride=2", "stride=2, padding=1").replace("Flatten", "MaxPool(2x2, stride=1) >> Flatten");
    refused(&other, "separable.h5", "", Code::WeightsConfiguration, &["sep/depthwise", "padding in the file: valid"]);
    let one = "Input(5x5x2) >> SeparableConv(3x3, 4, stride=2, depth_multiplier=2) as sep >> Relu >> Flatten >> Dense(2) as out";
    binds(one, "separable", &["separable.h5", "separable.keras", "separable.weights.h5"], "");
    let other = one.replace("stride=2", "stride=2, padding=1").replace("Flatten", "MaxPool(2x2, stride=1) >> Flatten");
    refused(&other, "separable.h5", "", Code::WeightsConfiguration, &["`sep`", "padding in the file: valid"]);
}

/// One name, two functions.
#[test]
fn a_hard_sigmoid_is_that_of_its_keras() {
    let net = |arguments: &str| format!("Input(4) >> HardSigmoid(3{arguments}) as gate");
    let (keras2, keras3) = (net(""), net(", alpha=1.0/6"));
    binds(&keras2, "hard_sigmoid_2", &["hard_sigmoid_2.h5"], "");
    binds(&keras3, "hard_sigmoid_3", &["hard_sigmoid_3.h5"], "");
    let says = ["hard_sigmoid of Keras 3", "hard sigmoid"];
    refused(&keras2, "hard_sigmoid_3.h5", "", Code::WeightsConfiguration, &says);
    refused(
        &keras3,
        "hard_sigmoid_2.h5",
        "",
        Code::WeightsConfiguration,
        &["hard sigmoid(alpha=0.16666667, beta=0.5)"],
    );
}

#[test]
fn layer_scales_bind_by_the_names_of_their_makers() {
    let net = |conv: &str, scale: &str| {
        format!("Input(5x6x4) >> (Identity | DWConv(3x3, padding=same) as {conv} >> Scale as {scale}) >> Add")
    };
    let makers = [
        ("torchvision", "features.1.0.block.0", "features.1.0"),
        ("timm", "stages.0.blocks.0.conv_dw", "stages.0.blocks.0"),
        ("transformers", "layers.0.dwconv", "layers.0"),
    ];
    for (maker, conv, scale) in makers {
        let name = format!("layer_scale_{maker}");
        binds(&net(conv, scale), &name, &[&format!("{name}.safetensors")], "");
    }
}

#[test]
fn layers_of_a_subclass_have_the_names_that_it_gave_them() {
    let net = "Input(4x4x2) >> Conv(3x3, 3) as stem >> (Conv(1x1, 3) as inner) as b1 >> BatchNorm as b1_norm \
        >> (Conv(1x1, 3) as inner) as b2 >> BatchNorm as b2_norm >> GlobalPool(avg) >> Dense(2) as head";
    binds(net, "subclass", &["subclass.weights.h5", "subclass.keras"], "");
}

#[test]
fn a_layer_for_each_step_has_the_name_of_what_wraps_it() {
    // The time steps are computed one by one here, with the same weights.
    for file in ["distributed.h5", "distributed.weights.h5"] {
        bound("Input(3) >> Dense(2) as td", file, "").unwrap_or_else(|(_, messages)| panic!("{file}: {messages}"));
    }
}

#[test]
fn a_model_made_from_a_shipped_net_binds_by_its_makers_names() {
    let net = "vgg16(size=32x32x3)[..=max-pooling-1] >> GlobalPool(avg) >> Dense(2) as head";
    binds(net, "vgg_front", &["vgg_front.h5"], "");
}

#[test]
fn pytorchs_names_and_shapes_are_read() {
    let net = "Input(1x8x4) >> Conv(1x3, 5) as conv >> PRelu as act >> Transpose([0, 3, 1, 2]) >> Reshape(5x6) >> Transpose([0, 2, 1]) \
         >> LSTM(3) as lstm >> PRelu as slopes";
    binds(net, "torch", &["torch.safetensors"], "");
}

const BOTH_GRUS: &str = "Input(6x4) >> (GRU(3, only_return_final=false) as forward \
    | GRU(3, only_return_final=false, backwards=true) as backward) as gru >> Concatenate >> LSTM(3) as lstm";

#[test]
fn a_gru_of_pytorch_binds_where_it_computes_the_same() {
    binds(BOTH_GRUS, "torch_gru", &["torch_gru.safetensors"], "");
    binds(BOTH_GRUS, "torch_gru_bare", &["torch_gru_bare.safetensors"], "");
    let expected = ["2 of ", "in PyTorch's GRU the hidden gate has a separate bias for the state"];
    refused(BOTH_GRUS, "torch_gru_hidden_bias.safetensors", "", Code::WeightsMismatch, &expected);
    // PyTorch omits only biases that are zero.
    let other = BOTH_GRUS.replace("LSTM(3)", "LSTM(3, biases=1)");
    refused(&other, "torch_gru_bare.safetensors", "", Code::WeightsMismatch, &["lstm/biases [12]: not in the file"]);
}

/// Keras' names imply Keras' order of gates, in every file format.
#[test]
fn a_gru_of_keras_in_safetensors_has_keras_gates() {
    let net = "Input(6x4) >> GRU(3) as gru";
    binds(net, "keras_gru", &["keras_gru_after.safetensors"], "");
    refused(net, "keras_gru_before.safetensors", "", Code::WeightsMismatch, &["reset_after=False"]);
}

#[test]
fn axes_in_another_order_are_not_overlooked() {
    let first = "Input(4x4x3) >> MaxPool(2x2) >> Flatten >> Dense(2) as out";
    refused(first, "first_pool.keras", "", Code::WeightsConfiguration, &["axis order in the file: channels first"]);
    let plain = "Input(4x4x3) >> Flatten >> Dense(2) as out";
    refused(plain, "permuted.keras", "", Code::WeightsConfiguration, &["permuted axes (Permute)"]);
    bound(&plain.replace(">> F", ">> Transpose([0, 3, 1, 2]) >> F"), "permuted.keras", "").expect("an equivalent net");
    let norm = "Input(3x4x3) >> BatchNorm(epsilon=0.001) as norm >> GlobalPool(avg) >> Dense(2) as out";
    refused(norm, "norm_axis.keras", "", Code::WeightsConfiguration, &["axis in the file: 1"]);
}

#[test]
fn bfloat16_is_read_where_the_file_says_so() {
    let net = "Input(4x4x2) >> Conv(3x3, 3) as conv >> GlobalPool(avg) >> Dense(2) as out";
    binds(net, "bfloat16", &["bfloat16.keras", "bfloat16.weights.h5"], "");
    refused(
        net,
        "bfloat16.h5",
        "",
        Code::WeightsUnreadable,
        &["Keras writes bfloat16 in `.h5`", "save it as `.keras`"],
    );
}

const UNMATCHED: &str = "Input(7x6x3) >> Affine(scale=0.015625, shift=-1) >> Conv(2x2, 4) as a >> Crop([1, 0, 0, 1]) \
    >> Resize(10x8, mode=bilinear) >> Conv(3x3, 4) as b >> Normalize(epsilon=1e-7) >> GlobalPool(avg) \
    >> (Dense(3) as c >> Affine(scale=3) | Relu(3) as d) >> Add >> Dense(2) as last >> Square";

#[test]
fn a_layer_that_nothing_stands_for_is_not_overlooked() {
    binds(UNMATCHED, "unmatched", &["unmatched.keras"], "");
    let changes: [(&str, &str, &[&str]); 11] = [
        (" >> Affine(scale=0.015625, shift=-1)", "", &["in the file: 0.015625 x + -1", "before it: nothing"]),
        ("scale=0.015625", "scale=0.25", &["0.015625 x + -1", "affine(scale=0.25, shift=-1)"]),
        ("Crop([1, 0, 0, 1]) >> Resize(10x8,", "Resize(12x10,", &["a crop of [1, 0, 0, 1]", "enlarged 2x2, bilinear"]),
        ("Crop([1, 0, 0, 1])", "Crop([0, 1, 0, 1])", &["a crop of [1, 0, 0, 1]", "a crop of [0, 1, 0, 1]"]),
        (" >> Resize(10x8, mode=bilinear)", "", &["in the file: enlarged 2x2, bilinear"]),
        ("Resize(10x8, mode=bilinear)", "Upscale(2)", &["enlarged 2x2, bilinear", "each pixel repeated 2x2"]),
        (" >> Normalize(epsilon=1e-7)", "", &["`unit` (UnitNormalization)", "before it: nothing in its place"]),
        (" as c >> Affine(scale=3)", " as c", &["(Multiply) in a branch", "before it: nothing in its place"]),
        ("Relu(3) as d", "Dense(3) as d", &["relu in a branch"]),
        (" >> Square", "", &["(Square)", "at the output: nothing in its place"]),
        (" as a >> Crop", " as a >> LocalResponseNorm >> Crop", &["nothing in its place", "(LocalResponseNorm)"]),
    ];
    changes_are_refused(UNMATCHED, &["unmatched.keras"], &changes);
    // Photos may be read as the file scales them.
    let photos = UNMATCHED.replace("Input(7x6x3) >> Affine(scale=0.015625, shift=-1)", "Input(7x6x3, image=Unit)");
    bound(&photos, "unmatched.keras", "").unwrap_or_else(|(_, text)| panic!("{text}"));
}

const ATTENDED: &str = "Input(5x8) >> Attention(2, causal=true) as attention \
    >> (LSTM(4) as forward | LSTM(4, backwards=true) as backward) as both >> Add >> Dense(2) as last";

#[test]
fn heads_masks_and_how_directions_are_joined_are_compared() {
    binds(ATTENDED, "attended", &["attended.keras"], "");
    let changes: [(&str, &str, &[&str]); 3] = [
        ("Attention(2", "Attention(4", &["heads in the file: 2", "heads: 4"]),
        (", causal=true", "", &["causal in the file: true", "causal: false"]),
        (" >> Add", " >> Average", &["both directions in the file: `sum`, Add", "both directions: Average"]),
    ];
    changes_are_refused(ATTENDED, &["attended.keras"], &changes);
}

const CALLED: &str = "{ share t = Dense(4) as t\n Input(4) >> (Dense(12) as a >> Reshape(2x3x2) >> SeparableConv(2x2, 3) as s >> Relu \
    >> Conv(1x1, 2) as c >> Flatten >> t >> t >> Dense(4) as u | Identity) >> Add >> Dense(2) as last }";

#[test]
fn shapes_calls_and_what_joins_a_layer_with_its_input_are_compared() {
    binds(CALLED, "called", &["called.keras"], "");
    let changes: [(&str, &str, &[&str]); 4] = [
        ("2x3x2", "3x2x2", &["the shape before it in the file: 2x3x2", "the shape before it: 3x2x2"]),
        (" as s >> Relu", " as s", &["before it in the file: relu"]),
        (">> t >> t >>", ">> t >>", &["uses in the file: 2", "uses: 1"]),
        (" | Identity) >> Add", ")", &["(Add)", "before it: `"]),
    ];
    changes_are_refused(CALLED, &["called.keras"], &changes);
    let net = "Input(5x4) >> (Dense(3) as q | Dense(3) as k) >> Add >> Dense(2) as last";
    refused(net, "weightless.keras", "", Code::WeightsConfiguration, &["before it in the file: Attention", "Add"]);
}
