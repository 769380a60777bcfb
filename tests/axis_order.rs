//! Weights of channels-first frameworks, and of those that store matrices transposed: the compiled net computes the same as the
//! framework, or an error names the layer.

use difference::difference;
use ndarray_npy::ReadNpyExt;
use netc::compile::{Build, BuildOptions, build};
use netc::diagnostics::{Code, render};
use netc::elaborate::load_text;
use netc::elaborate::project::source_files::from_disk;
use netc::runtime::Session;
use std::fs;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use torch::{State, Tensor};

mod difference;
mod random;
mod random_nets;
mod torch;

/// The build of a spec, or its diagnostics.
fn built(folder: &Path, text: &str) -> Result<Build, (Vec<Code>, String)> {
    let spec = load_text(&folder.join("m.net"), text, &from_disk);
    let options = BuildOptions { net: Some("m".into()), allow_untrained: true, ..BuildOptions::default() };
    build(&spec, &options).map(|(build, _)| build).map_err(|errors| {
        (errors.iter().map(|error| error.code).collect(), render::text(&errors, &spec.sources, false))
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
    difference(found.iter().copied(), wanted, |_| 1.0)
}

/// The report of the only file.
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
        ("flatten_batchnorm_dense_pytorch", "channels-first: permuted values of n, rows of d"),
        ("two_flattened_branches_concatenated_pytorch", "permuted rows of d"),
        ("dense_reshape_conv_pytorch", "channels-first: permuted columns of g, values of g"),
        ("embedding_pytorch", "16 parameters"),
        ("safetensors_of_flax", "its `format` is flax: read as channels-last"),
        ("sequence_convolutions_pytorch", "channels-first: permuted rows of d"),
        ("sequence_autoencoder_pytorch", "channels-first: permuted rows of z, columns of g, values of g"),
        ("sequence_branches_pytorch", "channels-first: permuted rows of d"),
        ("sequence_norm_pytorch", "channels-first: permuted rows of d"),
        ("sequence_steps_pytorch", "parameters"),
        ("transposed_convolutions_pytorch", "576 parameters"),
        ("keras_conv1d_and_transposed", "parameters"),
    ];
    for (case, expected) in cases {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/axis_order").join(case);
        let text = fs::read_to_string(folder.join("m.net")).expect("a spec");
        let build = built(&folder, &text).unwrap_or_else(|(_, messages)| panic!("{case}: {messages}"));
        let (x, right) = (array(&folder.join("x.npy")), array(&folder.join("right.npy")));
        let found = run(&build, x.shape()[0], x.as_slice().expect("row-major"));
        assert_eq!(found.len(), right.len(), "{case}");
        let largest = right.iter().fold(1.0, |most: f64, value| most.max(f64::from(value.abs())));
        let worst = worst(&found, right.iter().map(|value| f64::from(*value)));
        assert!(worst < 1e-5 * largest, "{case}: {worst:e} of {largest}");
        assert!(report(&build).contains(expected), "{case}: {}", report(&build));
    }
}

/// The net `m` with PyTorch's weights of `base`: the output for each sample, or the diagnostics.
fn outputs(state: &State, spec: &str, inputs: &[Tensor]) -> Result<(Vec<f32>, String), (Vec<Code>, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    state.write(&folder.path().join("m.safetensors"), "pt");
    let build = built(folder.path(), spec)?;
    let x: Vec<f32> = inputs.iter().flat_map(|x| x.channels_last().values).map(|value| value as f32).collect();
    Ok((run(&build, inputs.len(), &x), report(&build)))
}

/// A convolution, a flatten, a normalisation and a dense layer: weights, values before the normalisation, and outputs.
fn base(state: &mut State) -> impl Fn(&Tensor) -> (Tensor, Tensor) + use<> {
    let (kernel, bias) = (state.parameter("c.weight", &[4, 2, 3, 3]), state.parameter("c.bias", &[4]));
    let [gamma, beta, mean] =
        ["weight", "bias", "running_mean"].map(|role| state.parameter(&format!("n.{role}"), &[48]));
    let variance = Tensor::new(&[48], (0..48).map(|at| 0.5 + f64::from(at) / 64.0).collect());
    state.set("n.running_var", variance.clone());
    let (weight, shift) = (state.parameter("d.weight", &[3, 48]), state.parameter("d.bias", &[3]));
    move |x| {
        let flat = x.conv2d(&kernel, &bias, 0, 1).flatten();
        let normalised = flat.by_channel(|at, value| {
            (value - mean.values[at]) / (variance.values[at] + 1e-5).sqrt() * gamma.values[at] + beta.values[at]
        });
        (flat, normalised.linear(&weight, &shift))
    }
}

const BASE: &str = "weights base = \"m.safetensors\"\n\
    net base = Input(5x6x2) >> Conv(3x3, 4) as c >> Flatten as f >> BatchNorm as n >> Dense(3) as d\n";

#[test]
fn a_head_that_is_cut_off_takes_netcs_own_features() {
    let mut state = State::seeded(1);
    let compute = base(&mut state);
    let x = state.random(&[2, 5, 6]);
    let (flat, right) = compute(&x);
    // Features in netc's order: the pixels of (3, 4), one after another.
    let image = flat.view(&[4, 3, 4]);
    let own = image.channels_last().flatten();
    let cases = [
        ("net m = Input(48) >> base[n..]", &own),
        ("net m = Input(3x4x4) >> base[f..]", &image),
        ("net part = Input(48) >> base[n..]\nnet m = Input(48) >> part[n..=n] >> base[n..][d..]", &own),
        ("net m = Input(48) >> Relu(alpha=1) >> base[n..]", &own),
        ("net m = base", &x),
        ("net m = frozen(base[..=f]) >> base[n..]", &x),
        ("net m = frozen(base[..n]) >> Dropout(0.5) >> Input(48) >> base[n..]", &x),
        ("net front = base[..=c]\nnet m = front >> Flatten >> base[n..]", &x),
    ];
    for (net, input) in cases {
        let (found, report) = outputs(&state, &format!("{BASE}{net}\n"), std::slice::from_ref(input))
            .unwrap_or_else(|(_, messages)| panic!("{net}: {messages}"));
        assert!(worst(&found, right.values.iter().copied()) < 1e-5, "{net}: {found:?} is not {:?}", right.values);
        assert!(report.contains("permuted values of n, rows of d"), "{net}: {report}");
    }
}

#[test]
fn a_head_with_its_own_file_follows_what_feeds_it() {
    let mut state = State::seeded(2);
    let (weight, bias) = (state.parameter("h.weight", &[3, 48]), state.parameter("h.bias", &[3]));
    let (kernel, shift) = (state.parameter("c.weight", &[4, 2, 1, 1]), state.parameter("c.bias", &[4]));
    let x = state.random(&[2, 3, 4]);
    let flat = x.conv2d(&kernel, &shift, 0, 1).flatten();
    let right = flat.linear(&weight, &bias);
    let nets = "weights body = \"m.safetensors\"\nweights head = \"m.safetensors\"\n\
        net body = Input(3x4x2) >> Conv(1x1, 4) as c >> Flatten\nnet head = Input(48) >> Dense(3) as h\n";
    let (found, _) = outputs(&state, &format!("{nets}net m = frozen(body) >> head\n"), &[x]).expect("a run");
    assert!(worst(&found, right.values.iter().copied()) < 1e-5);
    // On its own, it takes features in any order.
    let alone = "weights m = \"m.safetensors\"\nnet m = Input(48) >> Dense(3) as h\n";
    let (found, report) = outputs(&state, alone, &[flat]).expect("a run");
    assert!(worst(&found, right.values.iter().copied()) < 1e-5 && !report.contains("permuted"), "{report}");
}

/// A net that ends before a reshape to an image outputs the same values as the whole net has there.
#[test]
fn the_two_halves_of_a_decoder_fit_together() {
    let mut state = State::seeded(3);
    let (weight, bias) = (state.parameter("g.weight", &[48, 5]), state.parameter("g.bias", &[48]));
    let (kernel, shift) = (state.parameter("k.weight", &[3, 4, 1, 1]), state.parameter("k.bias", &[3]));
    let x = state.random(&[5]);
    let inner = x.linear(&weight, &bias).view(&[4, 3, 4]);
    let right = inner.conv2d(&kernel, &shift, 0, 1).channels_last();
    let inner = inner.channels_last().flatten();
    for (reshape, first) in [("Reshape(3x4x4)", true), ("Reshape(4x3x4) >> Transpose([0, 2, 3, 1])", false)] {
        let nets = format!(
            "weights base = \"m.safetensors\"\n\
             net base = Input(5) >> Dense(48) as g >> Relu(alpha=1) as r >> {reshape} >> Conv(1x1, 3) as k\n"
        );
        let run = |net: &str, x: &Tensor| {
            outputs(&state, &format!("{nets}net m = {net}\n"), std::slice::from_ref(x)).expect("a run").0
        };
        assert!(worst(&run("base", &x), right.values.iter().copied()) < 1e-5, "{reshape}");
        let half = run("base[..=g]", &x);
        if first {
            assert!(worst(&half, inner.values.iter().copied()) < 1e-5, "{reshape}: {half:?}");
        }
        let half = Tensor::new(&[48], half.into_iter().map(f64::from).collect());
        assert!(worst(&run("Input(48) >> base[r..]", &half), right.values.iter().copied()) < 1e-5, "{reshape}");
    }
}

/// Sums of a flattened image and of features: the columns of the dense layer are in the order of the image.
#[test]
fn a_branch_is_put_into_the_order_of_the_other() {
    let mut state = State::seeded(4);
    let (kernel, bias) = (state.parameter("c.weight", &[4, 2, 1, 1]), state.parameter("c.bias", &[4]));
    let (weight, shift) = (state.parameter("s.weight", &[48, 2]), state.parameter("s.bias", &[48]));
    let (last, end) = (state.parameter("d.weight", &[3, 48]), state.parameter("d.bias", &[3]));
    let x = state.random(&[2, 3, 4]);
    let sum = x.conv2d(&kernel, &bias, 0, 1).flatten().zip(&x.global_mean().linear(&weight, &shift), |a, b| a + b);
    let right = sum.linear(&last, &end);
    let spec = "weights m = \"m.safetensors\"\nnet m = Input(3x4x2) >> (Conv(1x1, 4) as c >> Flatten | GlobalPool(avg) >> Dense(48) as s) \
        >> Add >> Dense(3) as d\n";
    let (found, report) = outputs(&state, spec, &[x]).expect("a run");
    assert!(worst(&found, right.values.iter().copied()) < 1e-5, "{found:?}");
    assert!(report.contains("columns of s, values of s, rows of d"), "{report}");
}

#[test]
fn what_cannot_be_told_is_refused_by_name() {
    let conv = "Input(3x4x2) >> Conv(1x1, 4) as c";
    let cases = [
        ("a slice across pixels", format!("{conv} >> Flatten >> Slice(2, 10) as part >> Dense(3) as d"), "`part`"),
        ("with layers between", format!("{conv} >> Flatten >> Slice(2, 10) as part >> Relu >> BatchNorm as n"), "`part`"),
        ("a slice that the net gives", format!("{conv} >> Flatten >> Slice(2, 10) as part"), "`part`"),
        ("another image", format!("{conv} >> Reshape(4x3x4) >> Relu >> Reshape(2x4x6) as other >> Conv(1x1, 2) as k"), "`other`"),
        ("features that come in", "Input(48) >> Dense(48) as c >> Relu(48) as d >> (Identity | Identity) >> Concatenate >> Reshape(3x8x4) as image >> Conv(1x1, 2) as k".into(), "`image`"),
        ("a sequence of pixels", format!("{conv} >> Reshape(12x4) as steps >> LSTM(3) as lstm"), "`lstm`"),
        ("different branches", format!("{conv} >> (Flatten | Reshape(6x8) >> LSTM(6) >> Dense(48) >> Softmax | Transpose([0, 3, 1, 2]) >> Flatten) >> Add as sum >> Dense(3) as d"), "`sum`"),
        ("slopes of each place", format!("{conv} >> PRelu(alpha_axes=[1, 2, 3]) as slopes >> Flatten >> Dense(3) as d"), "`slopes`"),
        (
            "one layer for two orders",
            format!("{conv} >> {{ share h = Dense(3) as d\n (Flatten >> h | Transpose([0, 3, 1, 2]) >> Flatten >> h) >> Add }}"),
            "shares its parameters",
        ),
    ];
    let mut state = State::seeded(5);
    for (name, shape) in [
        ("c.weight", &[4, 2, 1, 1][..]),
        ("c.bias", &[4]),
        ("d.weight", &[3, 8]),
        ("d.bias", &[3]),
        ("k.weight", &[2, 6, 1, 1]),
        ("k.bias", &[2]),
        ("slopes.alpha", &[3, 4, 4]),
        ("n.weight", &[8]),
        ("n.bias", &[8]),
        ("n.running_mean", &[8]),
        ("n.running_var", &[8]),
        ("lstm.input_weights", &[4, 12]),
        ("lstm.hidden_weights", &[3, 12]),
        ("lstm.biases", &[12]),
    ] {
        state.parameter(name, shape);
    }
    for (case, net, named) in cases {
        let spec = format!("weights m = \"m.safetensors\" {{ missing = initialize }}\nnet m = {net}\n");
        let (codes, messages) = outputs(&state, &spec, &[]).map(|(_, report)| report).expect_err(case);
        assert!(codes.contains(&Code::AxisOrder), "{case}: {messages}");
        let refusal = messages.split("error[E0412]").nth(1).unwrap_or_default();
        assert!(refusal.contains(named) && refusal.contains("help"), "{case}: {messages}");
    }
    // Layers that the user adds after a net with weights are in netc's order: the file has none of their weights.
    let spec = format!(
        "weights base = \"m.safetensors\"\nnet base = {conv}\nnet m = base >> Flatten >> Slice(2, 10) >> Dense(3)\n"
    );
    assert!(outputs(&state, &spec, &[Tensor::new(&[2, 3, 4], vec![0.5; 24])]).is_ok());
}

/// A sequence between layers that have its features first and layers that have its steps first: the code that wrote the file
/// transposes it, but nothing shows where. The two ways that the help names give the two readings.
#[test]
fn a_sequence_between_two_conventions_is_refused_unless_the_net_says_how_it_is_flattened() {
    let mut state = State::seeded(9);
    let (kernel, bias) = (state.parameter("c.weight", &[4, 4, 1]), state.parameter("c.bias", &[4]));
    let (matrix, add) = (state.parameter("e.weight", &[4, 4]), state.parameter("e.bias", &[4]));
    let (weight, shift) = (state.parameter("d.weight", &[3, 24]), state.parameter("d.bias", &[3]));
    for (name, shape) in [
        ("g.weight", &[24, 5][..]),
        ("g.bias", &[24]),
        ("n.weight", &[4]),
        ("n.bias", &[4]),
        ("n.running_mean", &[4]),
        ("n.running_var", &[4]),
        ("l.input_weights", &[4, 16]),
        ("l.hidden_weights", &[4, 16]),
        ("l.biases", &[16]),
    ] {
        state.parameter(name, shape);
    }
    let spec = |net: &str| format!("weights m = \"m.safetensors\" {{ missing = initialize }}\nnet m = {net}\n");
    let conv = "Input(6x4) >> Conv(1, 4) as c";
    for (net, named) in [
        (format!("{conv} >> (Flatten as f | LSTM(4) as l) >> Concatenate >> Dense(3) as d"), "`f`"),
        (format!("{conv} >> (Flatten as f | Dense(4) as e >> Flatten) >> Concatenate >> Dense(3) as d"), "`f`"),
        (format!("{conv} >> (Flatten as f | LayerNorm as n >> GlobalPool(avg)) >> Concatenate >> Dense(3) as d"), "`f`"),
        (format!("{conv} >> LayerNorm as n >> Flatten as f >> Dense(3) as d"), "`f`"),
        ("Input(6x4) >> LSTM(4, only_return_final=false) as l >> BatchNorm as n >> Relu >> Flatten as f >> Dense(3) as d".into(), "`f`"),
        (format!("{conv} >> (Identity | Dense(4) as e) >> Add >> Flatten as f >> Dense(3) as d"), "`f`"),
        ("Input(5) >> Dense(24) as g >> Reshape(6x4) as s >> (Conv(1, 4) as c | Dense(4) as e) >> Add".into(), "`s`"),
        ("Input(24) >> Reshape(6x4) as s >> Conv(1, 4) as c".into(), "`s`"),
    ] {
        let (codes, messages) = outputs(&state, &spec(&net), &[]).map(|(_, report)| report).expect_err(&net);
        assert!(codes.contains(&Code::AxisOrder), "{net}: {messages}");
        let refusal = messages.split("error[E0412]").nth(1).unwrap_or_default();
        assert!(refusal.contains(named) && refusal.contains("Transpose([0, 2, 1])"), "{net}: {messages}");
    }
    // (features, steps), and netc's (steps, features).
    let x = state.random(&[4, 6]);
    let input = Tensor::new(&[24], x.transposed().values);
    let convolved = x.conv1d(&kernel, &bias);
    let sum =
        convolved.zip(&convolved.transposed().by_step(|step| step.linear(&matrix, &add)).transposed(), |a, b| a + b);
    for (transposes, read) in [(1, &sum), (2, &sum.transposed())] {
        let transposes = "Transpose([0, 2, 1]) >> ".repeat(transposes);
        let net = format!("{conv} >> (Identity | Dense(4) as e) >> Add >> {transposes}Flatten >> Dense(3) as d");
        let (found, report) = outputs(&state, &spec(&net), std::slice::from_ref(&input))
            .unwrap_or_else(|(_, messages)| panic!("{net}: {messages}"));
        let right = read.flatten().linear(&weight, &shift);
        assert!(worst(&found, right.values) < 1e-5 && !report.contains("permuted"), "{net}: {report}");
    }
}

/// Following the help of an error: if transposes restore the axis order of the framework, the order is known.
#[test]
fn what_is_written_on_the_frameworks_axes_is_taken() {
    let mut state = State::seeded(7);
    let (kernel, bias) = (state.parameter("c.weight", &[4, 2, 1, 1]), state.parameter("c.bias", &[4]));
    let (weight, shift) = (state.parameter("d.weight", &[3, 48]), state.parameter("d.bias", &[3]));
    let x = state.random(&[2, 3, 4]);
    let image = x.conv2d(&kernel, &bias, 0, 1);
    // Pixels as a sequence: `image.flatten(2).transpose(1, 2)`, and its values along the channels.
    let steps = image.view(&[4, 12]).over_channels(torch::softmax).permute(&[1, 0]);
    let right = steps.flatten().linear(&weight, &shift);
    let spec = "weights m = \"m.safetensors\"\nnet m = Input(3x4x2) >> Conv(1x1, 4) as c >> Transpose([0, 3, 1, 2]) >> Reshape(4x12) \
        >> Transpose([0, 2, 1]) >> Softmax >> Flatten >> Dense(3) as d\n";
    let (found, report) = outputs(&state, spec, &[x]).expect("a run");
    assert!(worst(&found, right.values.iter().copied()) < 1e-5 && !report.contains("permuted"), "{report}");
}

/// For each value of a mean, the indices of what it is the mean of.
type Averaged<'a> = &'a dyn Fn(usize) -> Vec<usize>;

/// The axes that a reduction leaves are in the file's order, as those that a scale is along.
#[test]
fn reductions_and_scales_follow_the_axes_of_the_file() {
    // An image (4, 3, 4) by `mean` along its width, height or channels, or as it is.
    let along = |image: &Tensor, places: usize, values: Averaged<'_>| {
        let mean = |at: usize| {
            let values = values(at);
            values.iter().map(|&value| image.values[value]).sum::<f64>() / values.len() as f64
        };
        Tensor::new(&[places], (0..places).map(mean).collect())
    };
    let cases: [(&str, usize, Averaged<'_>); 4] = [
        ("Mean(width) >> Flatten", 12, &|at| (0..4).map(|w| at * 4 + w).collect()),
        ("Mean(height) >> Flatten", 16, &|at| (0..3).map(|h| (at / 4 * 3 + h) * 4 + at % 4).collect()),
        ("Mean(channels) >> Flatten", 12, &|at| (0..4).map(|c| c * 12 + at).collect()),
        ("Flatten", 48, &|at| vec![at]),
    ];
    for (layers, features, values) in cases {
        let mut state = State::seeded(8);
        let (kernel, bias) = (state.parameter("c.weight", &[4, 2, 1, 1]), state.parameter("c.bias", &[4]));
        let factors = state.parameter("i.layer_scale", &[4, 1, 1]);
        let gamma = state.parameter("s.gamma", &[features]);
        let (weight, shift) = (state.parameter("d.weight", &[3, features]), state.parameter("d.bias", &[3]));
        let x = state.random(&[2, 3, 4]);
        let image = x.conv2d(&kernel, &bias, 0, 1).by_channel(|channel, value| value * factors.values[channel]);
        let reduced = along(&image, features, values);
        let right = reduced.zip(&gamma, |a, b| a * b).linear(&weight, &shift);
        let spec = format!(
            "weights m = \"m.safetensors\"\nnet m = Input(3x4x2) >> Conv(1x1, 4) as c >> Scale as i >> {layers} >> Scale as s \
             >> Dense(3) as d\n"
        );
        let (found, _) = outputs(&state, &spec, &[x]).unwrap_or_else(|(_, messages)| panic!("{layers}: {messages}"));
        assert!(worst(&found, right.values.iter().copied()) < 1e-5, "{layers}: {found:?} is not {:?}", right.values);
    }
}

/// The framework is determined by the metadata of a file, else by its names.
#[test]
fn files_with_channels_last_are_told_by_metadata_or_names() {
    let mut state = State::seeded(6);
    // (in, out) and (height, width, in, out).
    let kernel = state.parameter("c.kernel", &[1, 1, 2, 2]);
    let matrix = state.parameter("d.kernel", &[6, 6]);
    let x = state.random(&[2, 1, 3]);
    let torch = Tensor::new(&[2, 2, 1, 1], kernel.permute(&[3, 2, 0, 1]).values);
    let zero = |len: usize| Tensor::new(&[len], vec![0.0; len]);
    let image = x.conv2d(&torch, &zero(2), 0, 1).channels_last().flatten();
    let right = image.linear(&matrix.permute(&[1, 0]), &zero(6));
    let spec = "weights m = \"m.safetensors\"\nnet m = Input(1x3x2) >> Conv(1x1, 2, bias=false) as c >> Flatten >> Dense(6, bias=false) as d\n";
    let folder = tempfile::tempdir().expect("a folder");
    let values: Vec<f32> = x.channels_last().values.iter().map(|value| *value as f32).collect();
    for (format, expected) in
        [("flax", "`format` is flax"), ("tf", "`format` is tf"), ("np", "the name `c.kernel` is from Keras or Flax")]
    {
        state.write(&folder.path().join("m.safetensors"), format);
        let build = built(folder.path(), spec).unwrap_or_else(|(_, messages)| panic!("{format}: {messages}"));
        assert!(worst(&run(&build, 1, &values), right.values.iter().copied()) < 1e-5, "{format}");
        assert!(report(&build).contains(expected) && !report(&build).contains("permuted"), "{}", report(&build));
    }
    // Flax mirrors the kernels of transposed convolutions.
    state.write(&folder.path().join("m.safetensors"), "flax");
    let (codes, messages) = built(folder.path(), &spec.replace("Conv(", "Deconv(")).expect_err("a refusal");
    assert!(codes == [Code::WeightsMismatch] && messages.contains("Flax mirrors the kernels"), "{messages}");
    for (format, expected) in [("pt", "is ambiguous"), ("mlx", "whose axis order netc does not support")] {
        state.write(&folder.path().join("m.safetensors"), format);
        let (codes, messages) = built(folder.path(), spec).expect_err(format);
        assert!(codes == [Code::WeightsUnreadable] && messages.contains(expected), "{messages}");
    }
}
