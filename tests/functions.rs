//! Elementwise functions with their arguments, softmax and reductions along axes: compiled nets and the f64 reference against
//! what PyTorch 2.15 computes in float64 for the same numbers.

use ndarray::{ArrayD, IxDyn};
use netc::compile::{Build, BuildOptions, build};
use netc::diagnostics::render;
use netc::elaborate::load;
use netc::graph::reference;
use netc::runtime::Session;
use std::f64::consts::{FRAC_1_SQRT_2, LN_2};
use std::sync::Arc;

fn compiled(net: &str) -> Build {
    let spec = load(net, &|path| std::fs::read(path)).unwrap_or_else(|_| panic!("{net}"));
    let options = BuildOptions { allow_untrained: true, ..BuildOptions::default() };
    build(&spec, &options).unwrap_or_else(|errors| panic!("{net}\n{}", render::text(&errors, &spec.sources, false))).0
}

/// Compares what a net and its reference give with these values, and the sizes of the output without the batch.
fn gives(net: &str, x: &[f64], sizes: &[usize], y: &[f64]) {
    let build = compiled(net);
    let node = build.graph.node(build.graph.outputs[0]);
    assert_eq!(node.output.known().as_deref(), Some(sizes), "{net}");
    let inputs = build.graph.inputs();
    let shape: Vec<usize> =
        [1].into_iter().chain(build.graph.node(inputs[0]).output.known().expect("known sizes")).collect();
    let given = ArrayD::from_shape_vec(IxDyn(&shape), x.to_vec()).expect("as many values");
    let mut parameter = |id| build.values(id).expect("an initialiser");
    let exact = reference::evaluate(&build.graph, &[given], &mut parameter, &mut |_, _| {});
    let floats: Vec<f32> = x.iter().map(|&x| x as f32).collect();
    let mut found = vec![f32::NAN; y.len()];
    let artifact = Arc::new(build.in_memory().expect("an artifact"));
    Session::new(artifact, 2).run(1, &[&floats], &mut [&mut found]).expect("a run");
    for (index, y) in y.iter().enumerate() {
        let exact = exact[0].iter().copied().nth(index).expect("as many values");
        assert!((exact - y).abs() <= 1e-7 * y.abs().max(1.0), "{net}: the reference gives {exact}, not {y}");
        let error = (f64::from(found[index]) - y).abs() / y.abs().max(1.0);
        assert!(error <= 1e-6, "{net}: gives {}, not {y}", found[index]);
    }
}

const X: [f64; 7] = [-3.0, -1.2, -0.5, 0.0, 0.4, 1.7, 6.5];
const POSITIVE: [f64; 7] = [0.001, 0.25, 0.5, 1.0, 1.7, 6.5, 40.0];

/// An expression, and what `torch.nn.functional` gives for [`X`].
const FUNCTIONS: &[(&str, [f64; 7])] = &[
    ("HardSigmoid(alpha=1.0/6)", [0.0, 0.3, 0.416666667, 0.5, 0.566666667, 0.783333333, 1.0]),
    ("HardSigmoid", [0.0, 0.26, 0.4, 0.5, 0.58, 0.84, 1.0]),
    ("LeakyRelu(alpha=0.2)", [-0.6, -0.24, -0.1, 0.0, 0.4, 1.7, 6.5]),
    ("LeakyRelu", [-0.03, -0.012, -0.005, 0.0, 0.4, 1.7, 6.5]),
    ("Gelu(tanh=true)", [-0.00363739208, -0.138297225, -0.15428599, 0.0, 0.262161174, 1.62410595, 6.5]),
    ("Gelu", [-0.00404969409, -0.138083599, -0.154268769, 0.0, 0.262168701, 1.62423877, 6.5]),
    ("Clip(-1, 2)", [-1.0, -1.0, -0.5, 0.0, 0.4, 1.7, 2.0]),
    ("Clip(0, 6)", [0.0, 0.0, 0.0, 0.0, 0.4, 1.7, 6.0]),
    ("Relu6", [0.0, 0.0, 0.0, 0.0, 0.4, 1.7, 6.0]),
    ("Exp", [0.0497870684, 0.301194212, 0.60653066, 1.0, 1.4918247, 5.47394739, 665.141633]),
    ("Square", [9.0, 1.44, 0.25, 0.0, 0.16, 2.89, 42.25]),
    ("Power(3)", [-27.0, -1.728, -0.125, 0.0, 0.064, 4.913, 274.625]),
    ("Affine(-2, shift=0.5)", [6.5, 2.9, 1.5, 0.5, -0.3, -2.9, -12.5]),
    ("Affine", X),
];

/// The same for [`POSITIVE`].
const OF_POSITIVE: &[(&str, [f64; 7])] = &[
    ("Log", [-6.90775528, -1.38629436, -LN_2, 0.0, 0.530628251, 1.87180218, 3.68887945]),
    ("Sqrt", [0.0316227766, 0.5, FRAC_1_SQRT_2, 1.0, 1.30384048, 2.54950976, 6.32455532]),
    ("Power(1.0/3)", [0.1, 0.629960525, 0.793700526, 1.0, 1.19348319, 1.86625558, 3.41995189]),
    ("Power(-2)", [1e6, 16.0, 4.0, 1.0, 0.346020761, 0.0236686391, 0.000625]),
];

#[test]
fn functions_are_those_of_pytorch() {
    for (function, y) in FUNCTIONS {
        gives(&format!("Input(7) >> {function}"), &X, &[7], y);
    }
    for (function, y) in OF_POSITIVE {
        gives(&format!("Input(7) >> {function}"), &POSITIVE, &[7], y);
    }
}

/// An image of 2x3 pixels and 2 channels.
const IMAGE: [f64; 12] = [0.5, -1.0, 2.0, 0.0, 1.5, -0.5, 3.0, 0.25, -2.0, 1.0, 0.75, -1.25];

/// Softmax along an axis, and what `torch.softmax` gives for [`IMAGE`].
const SOFTMAX: &[(&str, [f64; 12])] = &[
    (
        "height",
        [
            0.07585818,
            0.222700139,
            0.98201379,
            0.268941421,
            0.679178699,
            0.679178699,
            0.92414182,
            0.777299861,
            0.01798621,
            0.731058579,
            0.320821301,
            0.320821301,
        ],
    ),
    (
        "width",
        [
            0.121951652,
            0.186323723,
            0.546549387,
            0.506480391,
            0.33149896,
            0.307195886,
            0.899169658,
            0.299389529,
            0.0060585575,
            0.633807638,
            0.0947717847,
            0.0668028335,
        ],
    ),
    (
        "channels",
        [
            0.817574476,
            0.182425524,
            0.880797078,
            0.119202922,
            0.880797078,
            0.119202922,
            0.93991335,
            0.0600866502,
            0.0474258732,
            0.952574127,
            0.880797078,
            0.119202922,
        ],
    ),
];

#[test]
fn softmax_along_each_axis_is_that_of_pytorch() {
    for (axis, y) in SOFTMAX {
        gives(&format!("Input(2x3x2) >> Softmax(axis={axis})"), &IMAGE, &[2, 3, 2], y);
    }
    // A sequence of two steps is an image of two rows.
    gives("Input(2x6) >> Softmax(axis=time)", &IMAGE, &[2, 6], &SOFTMAX[0].1);
}

/// Axes, the sizes that remain, and the mean, sum and maximum that PyTorch gives for [`IMAGE`].
type Reductions = (&'static str, &'static [usize], [&'static [f64]; 3]);
const REDUCTIONS: &[Reductions] = &[
    (
        "height",
        &[3, 2],
        [
            &[1.75, -0.375, 0.0, 0.5, 1.125, -0.875],
            &[3.5, -0.75, 0.0, 1.0, 2.25, -1.75],
            &[3.0, 0.25, 2.0, 1.0, 1.5, -0.5],
        ],
    ),
    ("width", &[2, 2], [&[1.33333333, -0.5, 0.583333333, 0.0], &[4.0, -1.5, 1.75, 0.0], &[2.0, 0.0, 3.0, 1.0]]),
    ("[height, width]", &[2], [&[0.958333333, -0.25], &[5.75, -1.5], &[3.0, 1.0]]),
    ("[width, height]", &[2], [&[0.958333333, -0.25], &[5.75, -1.5], &[3.0, 1.0]]),
    (
        "channels",
        &[2, 3, 1],
        [&[-0.25, 1.0, 0.5, 1.625, -0.5, -0.25], &[-0.5, 2.0, 1.0, 3.25, -1.0, -0.5], &[0.5, 2.0, 1.5, 3.0, 1.0, 0.75]],
    ),
    ("[height, channels]", &[3, 1], [&[0.6875, 0.25, 0.125], &[2.75, 1.0, 0.5], &[3.0, 2.0, 1.5]]),
    ("[height, width, channels]", &[1], [&[0.354166667], &[4.25], &[3.0]]),
];

#[test]
fn reductions_are_those_of_pytorch() {
    for (axes, sizes, expected) in REDUCTIONS {
        for (layer, y) in ["Mean", "Sum", "Max"].into_iter().zip(expected) {
            gives(&format!("Input(2x3x2) >> {layer}({axes})"), &IMAGE, sizes, y);
        }
    }
    let (_, _, [mean, ..]) = &REDUCTIONS[0];
    gives("Input(2x6) >> Mean(time)", &IMAGE, &[6], mean);
    gives("Input(2x6) >> Sum([channels, time])", &IMAGE, &[1], &[4.25]);
    gives("Input(2x6) >> Max(channels)", &IMAGE, &[2, 1], &[2.0, 3.0]);
    gives("Input(12) >> Sum(channels)", &IMAGE, &[1], &[4.25]);
}

#[test]
fn quotients_are_those_of_division() {
    let x = [1.0, -2.0, 3.0, 4.0];
    gives("Input(4) >> (Slice(0, 2) | Slice(2, 4)) >> Divide", &x, &[2], &[1.0 / 3.0, -0.5]);
    gives("Input(4) >> (Identity | Affine(2) | Affine(0.5)) >> Divide", &x, &[4], &[1.0, -0.5, 1.0 / 3.0, 0.25]);
    let image = "Input(1x2x2) >> (Identity | GlobalPool(sum))";
    gives(&format!("{image} >> Divide"), &x, &[1, 2, 2], &[0.25, -1.0, 0.75, 2.0]);
    let image = "Input(1x2x2) >> (GlobalPool(sum) | Identity)";
    gives(&format!("{image} >> Elementwise(divide)"), &x, &[1, 2, 2], &[4.0, -1.0, 4.0 / 3.0, 0.5]);
}

/// A function after a layer that can apply it is part of its step.
#[test]
fn functions_are_fused() {
    for function in ["HardSigmoid(alpha=1.0/6)", "Gelu(tanh=true)", "Clip(0, 6)", "Exp", "Log", "Power(3)", "Affine(2)"]
    {
        for before in
            ["Input(6x6x8) >> Conv(3x3, 8)", "Input(8) >> Dense(4)", "Input(8) >> (Dense(4) | Dense(4)) >> Add"]
        {
            let with = compiled(&format!("{before} >> {function}")).compiled.plan.steps.len();
            let without = compiled(before).compiled.plan.steps.len();
            assert_eq!(with, without, "{before} >> {function}");
        }
    }
}

/// At inference a learnt scale is part of the weights of the layer before it.
#[test]
fn a_scale_is_folded() {
    for (net, steps) in [
        ("Input(6x6x8) >> Conv(3x3, 8) >> Scale(0.5) >> Relu", 1),
        ("Input(6x6x8) >> Conv(3x3, 8, bias=false) >> Scale(0.5) >> BatchNorm", 1),
        ("Input(8) >> Dense(4) >> Scale(2)", 1),
        ("Input(6x6x8) >> Relu >> Scale(2) >> Tanh", 2),
    ] {
        let build = compiled(net);
        assert_eq!(build.compiled.plan.steps.len(), steps, "{net}\n{}", build.compiled.plan);
    }
    gives("Input(7) >> Relu >> Scale(Constant(2)) >> Clip(0, 3)", &X, &[7], &[0.0, 0.0, 0.0, 0.0, 0.8, 3.0, 3.0]);
}

/// The text forms name the arguments that are not the defaults.
#[test]
fn arguments_are_in_the_text_of_a_graph() {
    for (layer, text) in [
        ("HardSigmoid(alpha=1.0/6)", "alpha=0.16666667"),
        ("HardSigmoid(beta=0.25)", "beta=0.25"),
        ("LeakyRelu(alpha=0.2)", "alpha=0.2"),
        ("Gelu(tanh=true)", "tanh=true"),
        ("Clip(-1, 2)", "min=-1, max=2"),
        ("Power(-0.5)", "p=-0.5"),
        ("Affine(shift=1e-6)", "shift=1e-6"),
        ("Softmax(axis=height)", "axis=height"),
        ("Mean([height, width])", "axis=[height, width]"),
    ] {
        let graph = compiled(&format!("Input(4x4x4) >> {layer}")).graph;
        let settings = graph.node(graph.outputs[0]).operation.settings();
        let settings: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(settings.join(", "), text, "{layer}");
    }
    for layer in ["HardSigmoid(alpha=0.2)", "LeakyRelu", "Gelu(tanh=false)", "Softmax(axis=channels)", "Affine(1, 0)"] {
        let graph = compiled(&format!("Input(4x4x4) >> {layer}")).graph;
        assert!(graph.node(graph.outputs[0]).operation.settings().is_empty(), "{layer}");
    }
}
