//! No kernel uses more scratch than it declares, and the scratch for a batch is sufficient for every smaller one: all kernels run
//! with guards, for every batch up to the largest, with several numbers of threads, in memory that is allocated once.

use netc::compile::int8::CalibrationSource;
use netc::compile::{self, BuildOptions, Precision, Values};
use netc::elaborate::load;
use netc::elaborate::project::source_files::from_disk;
use netc::kernels::training::loss::Loss;
use netc::kernels::training::optimizer::UpdateRule;
use netc::kernels::training::regularizer::Regularizer;
use netc::plan::Kernel;
use netc::runtime::Session;
use netc::train::autodiff::Settings;
use netc::weights::bind::bind;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Pseudo-random numbers from -1 to 1; indices for tokens.
fn values(len: usize, tokens: bool) -> Vec<f32> {
    let value = |at: usize| ((at * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
    (0..len).map(|at| if tokens { (at % 5) as f32 } else { value(at) }).collect()
}

/// Runs all plans of a net, for prediction and for training, for batches from the largest to one image. Returns the
/// kernels that they have.
fn run(net: &str, largest: usize, workers: usize, precision: Precision) -> BTreeSet<&'static str> {
    let spec = load(net, &from_disk).unwrap_or_else(|errors| panic!("{net}: {errors:?}"));
    let mut options = BuildOptions { allow_untrained: true, precision, ..BuildOptions::default() };
    if precision == Precision::Int8 {
        let (graph, _) = compile::graph(&spec, None).expect("a net");
        let len = |id| graph.node(id).output.len().expect("a size");
        let sample = graph.inputs().into_iter().map(|id| values(len(id), false)).collect();
        options.calibration = CalibrationSource::Values(vec![sample]);
    }
    let (build, _) = compile::build(&spec, &options).unwrap_or_else(|errors| panic!("{net}: {errors:?}"));
    let mut sessions = vec![(Arc::new(build.in_memory().expect("weights")), Vec::new(), 1)];
    let (graph, _) = compile::graph(&spec, None).expect("a net");
    let (bindings, _) = bind(&graph, &[]).expect("no weights");
    if precision != Precision::Int8 && graph.parameters.iter().any(|parameter| parameter.trainable && !parameter.frozen)
    {
        let outputs = vec![Loss::Mse; graph.outputs.len()];
        let settings = Settings {
            penalty: Some((Regularizer::L2(0.001), Vec::new())),
            clip: Some(1.0),
            norm: Some(1.0),
            accumulated: net.contains("PRelu"),
            average: Some(0.5),
            ..Settings::new(UpdateRule::Momentum { momentum: 0.9, nesterov: false }, &outputs, 1)
        };
        let values = Values { graph: &graph, bindings: &bindings };
        let trainable = netc::train::autodiff::training_plans::compile(&graph, &settings, largest, &values);
        let trainable = trainable.unwrap_or_else(|errors| panic!("{net}: {errors:?}"));
        let state = trainable.start.floats().to_vec();
        sessions.push((trainable.step, state.clone(), 1));
        sessions.push((trainable.evaluation, state, 1));
    }
    let mut seen = BTreeSet::new();
    for (artifact, mut state, first) in sessions {
        let plan = artifact.manifest.plan.clone();
        seen.extend(plan.steps.iter().map(|step| step.kernel.name()));
        let mut session = Session::new(artifact, workers);
        session.guard();
        session.reserve(largest).expect("memory");
        for batch in (first..=largest).rev() {
            let given: Vec<Vec<f32>> =
                plan.inputs.iter().map(|port| values(port.floats(batch), net.contains("Embedding"))).collect();
            let given: Vec<&[f32]> = given.iter().map(Vec::as_slice).collect();
            let mut found: Vec<Vec<f32>> = plan.outputs.iter().map(|port| vec![0.0; port.floats(batch)]).collect();
            let mut found: Vec<&mut [f32]> = found.iter_mut().map(Vec::as_mut_slice).collect();
            session.run_with(batch, &given, &mut found, &mut state).unwrap_or_else(|error| panic!("{net}: {error}"));
            let finite = found.iter().flat_map(|values| values.iter()).all(|value| value.is_finite());
            assert!(finite, "{net}: a batch of {batch} reads scratch that it has not written");
        }
    }
    seen
}

/// Nets that cover every kernel, with small sizes and with sizes at which kernels partition their work differently.
const NETS: &[&str] = &[
    "Input(3000) >> PRelu(10)",
    "Input(5) >> PRelu(6) >> Dense(4)",
    "Input(5x4x3) >> Conv(1x1, 4) >> PRelu(alpha_axes=[1, 3]) >> Flatten >> Dense(2)",
    "Input(5000) >> Dense(20) >> Tanh >> Dense(3000) >> Dense(2)",
    "Input(1100) >> Relu(1000) >> Dense(64)",
    "Input(5) >> Softmax(6) >> Dense(4)",
    "Input(32x32x3) >> Conv(3x3, 8, stride=2) >> GlobalPool(avg) >> Softmax(3)",
    "Input(12x12x3) >> Conv(3x3, 16, padding=same) >> Relu >> Conv(3x3, 16, padding=same) >> MaxPool(2x2) >> Flatten >> Dense(2)",
    "Input(24x24x8) >> Conv(3x3, 24, padding=same) >> Relu >> Conv(1x1, 8) >> DepthwiseConv(3x3, padding=same) >> Conv(1x1, 24) >> GlobalPool(avg)",
    "Input(9x8x3) >> Conv(1x1, 4) >> Conv(3x2, 5, stride=[2, 1], padding=1) >> Flatten >> Dense(2)",
    "Input(9x8x3) >> Conv(1x1, 4) >> Conv(3x3, 4, dilation=2) >> Flatten >> Dense(2)",
    "Input(6x6x3) >> Conv(1x1, 4) >> Conv(3x3, 6, groups=2, padding=same) >> Flatten >> Dense(2)",
    "Input(6x6x3) >> Conv(1x1, 4) >> DepthwiseConv(3x3, stride=2, multiplier=2) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Deconv(3x3, 5) >> Relu >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 32) >> ConvTranspose(4x4, 32, stride=2, padding=1, groups=2) >> Relu >> Flatten >> Dense(2)",
    "Input(7x6x3) >> Conv(1x1, 4) >> MaxPool(3x3, stride=2, padding=same) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Upscale([2, 3]) >> ZeroPad([1, 0, 2, 1]) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Resize(7x9, mode=bilinear) >> Pad(1, mode=reflect) >> Crop([1, 0, 2, 1]) >> Flatten >> Dense(2)",
    "Input(40x50x8) >> Conv(1x1, 16) >> Resize(scale=2.5, mode=bicubic) >> GlobalPool(avg) >> Dense(2)",
    "Input(9x8x3) >> SeparableConv(3x3, 8, padding=same) >> Relu >> SeparableConv(3x3, 4) >> GlobalPool(avg) >> Dense(2)",
    "Input(400x3) >> Conv(3, 16, padding=same) >> Relu >> DepthwiseConv(5) >> GlobalPool(avg) >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Reshape(2x40) >> Transpose([0, 2, 1]) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 6) >> (Slice(0, 2) | Slice(1, 6)) >> Concatenate >> Flatten >> Dense(2)",
    "Input(5) >> (Dense(4) | Tanh(4)) >> Multiply >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> (Identity | GlobalPool(avg) >> Tanh(4)) >> Subtract >> Flatten >> Dense(2)",
    "Input(5) >> (Softmax(2) | Relu(4) | Tanh(4)) >> GatedAverage >> Dense(2)",
    "Input(5) >> Relu(5) >> (Softmax(2) | Identity | Tanh(5)) >> GatedAverage >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> GroupNorm(2) >> Relu >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 7) >> LRN(depth_radius=1, alpha=0.1) >> Flatten >> Dense(2)",
    "Input(5) >> Dense(4) >> Normalize >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4, bias=false) >> BatchNorm >> Relu >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> frozen(BatchNorm) >> Relu >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Relu >> BatchNorm >> Flatten >> Dense(2)",
    "Input(9x8x3) >> Conv(1x1, 4) >> DropBlock(0.9, 3) >> Flatten >> GaussianNoise(std=0.1) >> Dropout(0.5) >> Dense(2)",
    "Input(4) >> Embedding(5, 3) >> Flatten >> Dense(2)",
    "Input(4x5) >> LSTM(3, only_return_final=false) >> LSTM(3, peepholes=true) >> Dense(2)",
    "Input(4x5) >> GRU(3, only_return_final=false) >> GRU(4, backwards=true) >> Dense(2)",
    "Input(30x40) >> LSTM(64) >> Dense(2)",
    "Input(70x8) >> Dense(6) >> LayerNorm >> Relu >> Attention(2, dropout=0.3) >> GRU(3, reset_after=true) >> Dense(2)",
    "Input(9x6) >> (Dense(4) | Dense(3) | Slice(0, 1) >> Flatten) >> Attention(2, causal=true) >> Flatten >> Dense(2)",
    "Input(9x6) >> ClassToken >> PositionEmbedding >> Attention(3) >> LayerNorm >> Flatten >> Slice(0, 6) >> Dense(2)",
    "Input(5) >> (Dense(4) >> Tanh | Dense(4)) >> Add >> Softmax",
    "Input(5x5x2) >> Tanh >> Softmax",
    "Input(4x5x3) >> Conv(1x1, 4) >> Softmax(axis=height) >> Mean(width) >> Max(channels) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Tanh >> Scale >> Flatten >> Dense(2)",
    // Large enough for bands of rows.
    "Input(64x64x8) >> Conv(1x1, 48) >> Relu >> DepthwiseConv(3x3, stride=2, padding=same) >> Relu >> Conv(1x1, 8) >> GlobalPool(avg)",
];

/// Nets that have every kernel on bytes.
const INT8: &[&str] = &[
    "Input(13x12x3) >> Conv(3x3, 20, stride=2, padding=same) >> Relu >> MaxPool(2x2) >> Conv(1x1, 33) >> Relu6 >> GlobalPool(avg) >> Dense(10)",
    "Input(9x9x16) >> Conv(1x1, 16) >> (Conv(3x3, 16, padding=same) | MaxPool(3x3, stride=1, padding=same)) >> Add >> Relu >> Flatten >> Relu(30) >> Dense(5)",
    "Input(9x9x16) >> Conv(1x1, 16) >> (MaxPool(5x5, stride=1, padding=same) | MaxPool(3x3, stride=1, padding=same)) >> Add >> Relu >> Conv(1x1, 8) >> GlobalPool(avg)",
    "Input(19x14x8) >> Conv(1x1, 24) >> Relu6 >> DepthwiseConv(3x3, padding=same) >> Relu6 >> Conv(1x1, 70) >> DepthwiseConv(5x5, stride=2) >> GlobalPool(avg)",
];

#[test]
fn every_kernel_keeps_to_its_scratch_for_every_batch_and_team() {
    let mut seen = BTreeSet::new();
    for net in NETS {
        for workers in [1, 3] {
            seen.extend(run(net, 9, workers, Precision::F32));
        }
    }
    for net in INT8 {
        for workers in [1, 3] {
            seen.extend(run(net, 9, workers, Precision::Int8));
        }
    }
    let bf16 = "Input(21x17x3) >> Conv(3x3, 24) >> Relu >> MaxPool(2x2) >> Conv(3x3, 7, stride=2) >> Conv(1x1, 9) >> Flatten >> Dense(5001) >> Dense(2)";
    for precision in [Precision::Bf16Weights, Precision::Bf16] {
        seen.extend(run(bf16, 9, 2, precision));
    }
    let missing: Vec<_> = Kernel::NAMES.iter().filter(|&name| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "no net here has these kernels: {missing:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn convolutions_of_any_size_keep_to_their_scratch(
        (height, width, channels) in (5usize..40, 5usize..40, 1usize..20),
        (kernel, filters, stride) in (1usize..5, 1usize..40, 1usize..3),
        same in any::<bool>(),
        (largest, workers) in (1usize..20, 1usize..5),
    ) {
        let padding = if same { "same" } else { "valid" };
        let net = format!(
            "Input({height}x{width}x{channels}) >> Conv({kernel}x{kernel}, {filters}, stride={stride}, padding={padding}) \
             >> Relu >> Conv(1x1, 5) >> GlobalPool(avg) >> Softmax(3)"
        );
        run(&net, largest, workers, Precision::F32);
        run(&net, largest, workers, Precision::Int8);
    }

    #[test]
    fn dense_layers_of_any_size_keep_to_their_scratch(
        (inputs, hidden, outputs) in (1usize..6000, 1usize..300, 1usize..40),
        (largest, workers) in (1usize..40, 1usize..5),
    ) {
        run(&format!("Input({inputs}) >> PRelu({hidden}) >> Dense({outputs})"), largest, workers, Precision::F32);
    }
}
