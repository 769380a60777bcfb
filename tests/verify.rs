//! Compiled nets against the f64 reference, wherever tensors may be stored: in their concatenation, as slices and views of other
//! tensors, in place, with several inputs and outputs. Each net is written to a file, opened again and run for batches below, at and
//! above a micro-batch.

use ndarray::{ArrayD, IxDyn};
use netc::artifact::Artifact;
use netc::compile::{Build, BuildOptions, build};
use netc::elaborate::load;
use netc::elaborate::project::source_files::from_disk;
use netc::graph::{Initializer, reference};
use netc::plan::{Kernel, Step};
use netc::runtime::Session;
use std::path::Path;
use std::sync::Arc;

/// The largest error, as a share of the output's range.
const TOLERANCE: f64 = 1e-4;
const BATCHES: [usize; 3] = [1, 3, 11];

/// Expressions of one subject.
type Table = &'static [&'static str];

fn compiled(expression: &str) -> Result<Build, String> {
    let told = |errors, sources: &_| netc::diagnostics::render::text(&errors, sources, false);
    let spec = load(expression, &from_disk).map_err(|(sources, errors)| told(errors, &sources))?;
    let options = BuildOptions { allow_untrained: true, ..BuildOptions::default() };
    let (build, _) = build(&spec, &options).map_err(|errors| told(errors, &spec.sources))?;
    Ok(build)
}

fn largest_error(expression: &str, path: &Path) -> Result<f64, String> {
    let build = compiled(expression)?;
    build.write(path).map_err(|errors| format!("{errors:?}"))?;
    let artifact = Arc::new(Artifact::open(path).map_err(|error| error.to_string())?);
    let plan = &artifact.manifest.plan;
    let mut session = Session::new(artifact.clone(), 2);
    let mut worst: f64 = 0.0;
    for batch in BATCHES {
        let normal = Initializer::Normal { mean: 0.0, std: 1.0 };
        let inputs: Vec<Vec<f32>> =
            plan.inputs.iter().map(|port| normal.sample(&[batch * port.len()], &port.name, batch as u64)).collect();
        let mut outputs: Vec<Vec<f32>> = plan.outputs.iter().map(|port| vec![f32::NAN; batch * port.len()]).collect();
        let given: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        let mut room: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        session.run(batch, &given, &mut room).map_err(|error| error.to_string())?;
        let arrays: Vec<ArrayD<f64>> = inputs
            .iter()
            .zip(&plan.inputs)
            .map(|(values, port)| {
                let shape: Vec<usize> = [batch].into_iter().chain(port.sizes.iter().copied()).collect();
                let values = values.iter().map(|&value| f64::from(value)).collect();
                ArrayD::from_shape_vec(IxDyn(&shape), values).expect("an input of the plan's sizes")
            })
            .collect();
        let mut parameter = |id| build.values(id).expect("an initialiser");
        let wanted = reference::evaluate(&build.graph, &arrays, &mut parameter, &mut |_, _| {});
        if wanted.len() != outputs.len() {
            return Err(format!("{} outputs, not {}", outputs.len(), wanted.len()));
        }
        for (found, wanted) in outputs.iter().zip(&wanted) {
            if found.len() != wanted.len() {
                return Err(format!("an output of {} values, not {}", found.len(), wanted.len()));
            }
            let (low, high) = wanted.iter().fold((0.0, 0.0), |(low, high): (f64, f64), &x| (low.min(x), high.max(x)));
            for (&a, &b) in found.iter().zip(wanted) {
                let error = (f64::from(a) - b).abs() / (high - low).max(1e-6);
                worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
            }
        }
    }
    Ok(worst)
}

/// Checks a table and tells of all of it that is wrong.
fn check(table: Table) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut errors = Vec::new();
    for expression in table {
        match largest_error(expression, &folder.path().join("net.netb")) {
            Ok(error) if error <= TOLERANCE => {}
            Ok(error) => errors.push(format!("{expression}\n    off by {error:.1e} of the range")),
            Err(error) => errors.push(format!("{expression}\n    {error}")),
        }
    }
    assert!(errors.is_empty(), "{} of {} are wrong:\n{}", errors.len(), table.len(), errors.join("\n"));
}

/// Branches that write where they are joined, and those that cannot.
const CONCATENATIONS: Table = &[
    "Input(8x8x4) >> (Conv(1x1, 4) | Conv(3x3, 4, padding=same)) >> Concatenate",
    "Input(8x8x4) >> Relu >> (Identity | Identity) >> Concatenate",
    "Input(8x8x4) >> (Identity | Identity) >> Concatenate",
    "Input(8x8x4) >> Conv(3x3, 4) >> (Identity | Identity) >> Concatenate",
    "Input(8x8x4) >> Conv(3x3, 4) >> (Identity | Identity) >> Concatenate >> Conv(1x1, 3)",
    "Input(8x8x4) >> Conv(3x3, 4) >> (Identity | Relu) >> Concatenate >> Conv(1x1, 3)",
    "Input(8x8x4) >> Conv(3x3, 4) >> (Relu | Relu) >> Concatenate >> Conv(1x1, 3)",
    "Input(8x8x4) >> Conv(3x3, 4) >> (Relu | Tanh) >> Concatenate(axis=1) >> Conv(1x1, 3)",
    "Input(8x8x4) >> (Conv(3x3, 4, padding=same) | Conv(1x1, 4)) >> Concatenate(axis=1)",
    "Input(8x8x4) >> (Conv(3x3, 4, padding=same) | Conv(1x1, 4)) >> Concatenate(axis=2) >> MaxPool(2x2)",
    "Input(8x8x4) >> (MaxPool(2x2) | AvgPool(2x2)) >> Concatenate(axis=1) >> Relu",
    "Input(8x8x4) >> (MaxPool(2x2) | AvgPool(2x2)) >> Concatenate(axis=2) >> Softmax",
    "Input(8x8x4) >> { let a = Conv(3x3, 4, padding=same) let b = a >> Conv(3x3, 4, padding=same) (a | b) >> Concatenate }",
    "Input(8x8x4) >> { let a = Conv(3x3, 4, padding=same) let b = (a | a >> Conv(3x3, 4, padding=same)) >> Concatenate let c = (b | b >> Conv(3x3, 4, padding=same)) >> Concatenate (c | c >> Conv(1x1, 3)) >> Concatenate }",
    "Input(8x8x8) >> Conv(1x1, 8) >> (Slice(0, 4) >> Conv(3x3, 4) | Slice(4, 8) >> Conv(3x3, 4)) >> Concatenate",
    "Input(8x8x8) >> (Slice(0, 4) | Slice(4, 8)) >> Concatenate",
    "Input(8x8x8) >> (Slice(4, 8) | Slice(0, 4)) >> Concatenate",
    "Input(8x8x8) >> Conv(1x1, 8) >> (Slice(4, 8) | Slice(0, 4)) >> Concatenate",
    "Input(8x8x8) >> (Conv(1x1, 4) | Conv(1x1, 4)) >> Concatenate >> Slice(2, 6) >> Relu",
    "Input(8x8x8) >> (Conv(1x1, 4) | Conv(1x1, 4)) >> Concatenate >> Slice(2, 6) >> Flatten >> Dense(3)",
    "Input(8x8x8) >> (Conv(1x1, 4) | Conv(1x1, 4)) >> Concatenate >> Slice(2, 6) >> Softmax",
    "Input(8x8x8) >> (Conv(1x1, 4) | Conv(1x1, 4)) >> Concatenate >> (Slice(2, 6) | Slice(0, 4)) >> Add",
    "Input(6) >> Relu(8) >> (Slice(2, 5) | Slice(0, 3)) >> Concatenate >> Dense(4)",
    "Input(6) >> Relu(8) >> (Slice(2, 5) | Slice(0, 3)) >> Concatenate",
    "Input(6x6x3) >> (Conv(1x1, 8) >> Slice(2, 6) >> Relu | Conv(1x1, 3)) >> Concatenate",
    "Input(6x6x3) >> (Softmax | Relu | Tanh | Sigmoid) >> Concatenate",
    "Input(6x6x3) >> (MaxPool(3x3, stride=1, padding=same) | AvgPool(3x3, stride=1, padding=same) | Conv(1x1, 5) >> Conv(5x5, 4, padding=same)) >> Concatenate",
    "Input(6x6x3) >> (BatchNorm | Conv(1x1, 5) >> BatchNorm >> Relu | LocalResponseNorm) >> Concatenate",
    "Input(6x6x4) >> (GroupNorm(2) | PRelu | DepthwiseConv(3x3, padding=same)) >> Concatenate",
    "Input(6x6x4) >> (Upscale(2x2) | Deconvolution(2x2, 5, stride=2)) >> Concatenate",
    "Input(6x6x4) >> (ZeroPad(1) | Conv(1x1, 2, padding=1)) >> Concatenate",
    "Input(6x6x4) >> (GlobalPool(avg) | GlobalPool(max) | Flatten | Flatten >> Dense(3)) >> Concatenate >> Dense(3)",
    "Input(6x6x4) >> (GlobalPool(avg) | GlobalPool(max) | Flatten >> Dense(3) >> Softmax | Flatten >> Normalize) >> Concatenate",
    "Input(6x6x4) >> ((Conv(1x1, 2) | Conv(1x1, 3)) >> Concatenate | (Conv(1x1, 2) | Conv(1x1, 3)) >> Concatenate) >> Concatenate",
    "Input(6x6x4) >> ((Conv(1x1, 2) | Conv(1x1, 3)) >> Concatenate | (Conv(1x1, 2) | Conv(1x1, 3)) >> Concatenate) >> Add",
    "Input(6x6x4) >> ((Conv(1x1, 2) | Conv(1x1, 3)) >> Concatenate | (Conv(1x1, 2) | Conv(1x1, 3)) >> Concatenate) >> Concatenate(axis=1)",
    "Input(6x6x4) >> ((Conv(1x1, 4) | Conv(1x1, 4)) >> Concatenate(axis=1) | (Conv(1x1, 4) | Conv(1x1, 4)) >> Concatenate(axis=2) >> Reshape(12x6x4)) >> Concatenate(axis=1)",
    "Input(6x6x4) >> ((Conv(1x1, 4) | Conv(1x1, 4)) >> Concatenate(axis=1) | (Conv(1x1, 4) | Conv(1x1, 4)) >> Concatenate(axis=1)) >> Concatenate(axis=1)",
    "Input(6x6x4) >> ((Conv(1x1, 4) | Conv(1x1, 4)) >> Concatenate(axis=1) | (Conv(1x1, 4) | Conv(1x1, 4)) >> Concatenate(axis=1)) >> Concatenate >> Relu",
    "Input(5x4) >> (LSTM(6, only_return_final=false) | GRU(3, only_return_final=false)) >> Concatenate",
    "Input(5x4) >> (LSTM(6) | GRU(6)) >> Concatenate >> Softmax(3)",
    "Input(16x16x16) >> (Conv(3x3, 16, padding=same) >> Relu >> MaxPool(2x2) | MaxPool(2x2)) >> Concatenate",
    "Input(16x16x3) >> { share f = Conv(3x3, 4) (f | Relu >> f) >> Concatenate }",
    "Input(6x6x4) >> Conv(3x3, 4, padding=same) >> (Transpose([0, 2, 1, 3]) >> Transpose([0, 2, 1, 3]) | Identity) >> Concatenate",
    "Input(8x8x4) >> { let a = Conv(3x3, 4, padding=same)  (a | a >> Slice(1, 3) | a) >> Concatenate }",
    "Input(8x8x4) >> { let a = Conv(3x3, 4, padding=same)  (a | a >> Reshape(8x8x4) | a >> Relu) >> Concatenate }",
    "Input(12) >> repeat(3) { (Identity | Relu(4)) >> Concatenate } >> Softmax(3)",
    "Input(6x6x4) >> repeat(3) { (Identity | Conv(3x3, 4, padding=same) >> BatchNorm >> Relu) >> Concatenate } >> GlobalPool(avg)",
    "Input(8x8x3) >> (Conv(3x3, 4) | Conv(3x3, 4)) >> Concatenate >> BatchNorm >> Relu >> MaxPool(2x2) >> Flatten >> Softmax(5)",
    "Input(6x6x4) >> { let a = Conv(1x1, 4)  (a >> Tanh | a >> Slice(0, 2) >> Relu | a) >> Concatenate >> Concatenate }",
    "Input(6x6x4) >> Conv(1x1, 4) >> (Flatten >> Slice(3, 20) | GlobalPool(avg)) >> Concatenate >> Tanh",
    "Input(7x5x3) >> (Conv([1, 3], 4, padding=same) | Conv(3x1, 4, padding=same)) >> Concatenate >> MaxPool([2, 1])",
    "Input(20x6) >> GRU(4, only_return_final=false) >> (Slice(0, 2) | Slice(2, 4)) >> Concatenate(axis=1) >> LSTM(3)",
];

/// Other layers at a part of a tensor, or at the same values in other rows.
const VIEWS_AND_SLICES: Table = &[
    "Input(8x8x8) >> Conv(1x1, 8) >> (Slice(2, 6) >> Relu | Slice(0, 4) >> Tanh) >> Add",
    "Input(8x8x8) >> Conv(1x1, 8) >> Slice(2, 6)",
    "Input(8x8x8) >> Conv(1x1, 8) >> Slice(2, 6) >> Relu",
    "Input(8x8x8) >> Conv(1x1, 8) >> Slice(2, 6) >> BatchNorm",
    "Input(8x8x8) >> Conv(1x1, 8) >> Slice(2, 6) >> Slice(1, 3) >> Tanh",
    "Input(6x6x3) >> (Flatten >> Softmax(2) | Conv(3x3, 4) | Slice(0, 2) >> Conv(3x3, 4)) >> GatedAverage >> Relu",
    "Input(6x6x3) >> Conv(1x1, 8) >> (Flatten >> Softmax(2) | Slice(0, 4) | Slice(4, 8)) >> GatedAverage",
    "Input(6) >> Relu(8) >> (Slice(0, 2) >> Softmax | Slice(2, 5) | Slice(5, 8)) >> GatedAverage",
    "Input(6) >> Relu(8) >> Slice(2, 5) >> Dense(4)",
    "Input(6) >> Relu(8) >> Slice(2, 5) >> Reshape(3x1) >> Flatten",
    "Input(6x6x3) >> Conv(1x1, 8) >> Slice(2, 6) >> Reshape(12x12)",
    "Input(6x6x3) >> Conv(1x1, 8) >> Slice(2, 6) >> Reshape(36x4)",
    "Input(6x6x3) >> Conv(1x1, 8) >> Slice(2, 6) >> Transpose([0, 3, 1, 2])",
    "Input(6x6x3) >> Conv(1x1, 8) >> Slice(2, 6) >> MaxPool(2x2)",
    "Input(6x6x3) >> Conv(1x1, 8) >> Slice(2, 6) >> AvgPool(2x2)",
    "Input(6x6x3) >> Conv(1x1, 8) >> Slice(2, 6) >> GlobalPool(avg)",
    "Input(6x6x3) >> Conv(1x1, 8) >> Slice(2, 6) >> GlobalPool(max)",
    "Input(6x6x3) >> Conv(1x1, 8) >> Slice(2, 6) >> LocalResponseNorm",
    "Input(6x6x3) >> Conv(1x1, 8) >> Slice(2, 6) >> GroupNorm(2)",
    "Input(6x6x3) >> Conv(1x1, 8) >> Slice(2, 6) >> Upscale(2x2)",
    "Input(6x6x3) >> Conv(1x1, 8) >> Slice(2, 6) >> ZeroPad(1)",
    "Input(6x6x3) >> Conv(1x1, 8) >> Slice(2, 6) >> PRelu",
    "Input(6x6x3) >> Conv(1x1, 8) >> Slice(2, 6) >> DepthwiseConv(3x3)",
    "Input(6x6x3) >> Conv(1x1, 8) >> Slice(2, 6) >> Deconvolution(3x3, 5)",
    "Input(6x6x3) >> Conv(1x1, 8) >> Slice(2, 6) >> Normalize",
    "Input(5x8) >> Slice(2, 6) >> LSTM(6)",
    "Input(5x8) >> Slice(2, 6) >> Relu >> GRU(6)",
    "Input(5x8) >> Transpose([0, 2, 1]) >> Flatten >> Dense(4)",
    "Input(6x6x5) >> Flatten >> Reshape(6x6x5) >> Conv(3x3, 2)",
    "Input(6x6x5) >> Conv(3x3, 2) >> Flatten >> Reshape(?x4) >> Transpose([0, 2, 1]) >> Flatten",
    "Input(6x5x4) >> Transpose([0, 2, 3, 1]) >> Transpose([0, 3, 1, 2])",
    "Input(3x3x2) >> Conv(1x1, 24) >> Slice(1, 17) >> Conv(3x3, 16, padding=same) >> Slice(3, 9) >> Flatten >> Softmax(4)",
    "Input(6x6x4) >> Conv(1x1, 4) >> Flatten >> (Slice(0, 72) | Slice(72, 144)) >> Add >> Reshape(6x6x2) >> Conv(1x1, 2)",
    "Input(9x9x4) >> Conv(3x3, 8, groups=4) >> (Slice(0, 4) >> DepthwiseConv(3x3, padding=same) | Slice(4, 8) >> MaxPool(3x3, stride=1, padding=same)) >> Multiply",
    "Input(1x1x8) >> (Slice(0, 4) | Slice(4, 8) >> Relu) >> Add >> Conv(1x1, 3) >> Flatten",
];

/// Sums, products and gates.
const MERGES: Table = &[
    "Input(8x8x8) >> (Conv(3x3, 8, padding=same) | Identity) >> Add >> Relu",
    "Input(8x8x8) >> Relu >> (Conv(3x3, 8, padding=same) | Identity) >> Add >> Relu",
    "Input(8x8x8) >> Relu >> (Identity | Conv(3x3, 8, padding=same)) >> Add >> Relu",
    "Input(8x8x8) >> Relu >> (Identity | Identity) >> Add",
    "Input(8x8x8) >> Conv(3x3, 8) >> (Identity | Identity) >> Add",
    "Input(8x8x8) >> Conv(3x3, 8) >> (Identity | Identity) >> Multiply",
    "Input(8x8x8) >> Conv(3x3, 8) >> (Identity | Identity | Identity) >> Average",
    "Input(8x8x8) >> Conv(3x3, 8) >> (Relu | Identity | Tanh) >> Maximum",
    "Input(8x8x8) >> Conv(3x3, 8) >> (Relu | Identity | Tanh) >> Minimum",
    "Input(8x8x8) >> Conv(3x3, 8) >> (Relu | Identity | Tanh) >> Subtract >> Relu",
    "Input(8x8x8) >> Conv(1x1, 8) >> (GlobalPool(avg) | Identity) >> Subtract >> Conv(3x3, 4)",
    "Input(8x8x8) >> Conv(1x1, 8) >> (Identity | GlobalPool(avg)) >> Subtract",
    "Input(8x8x8) >> (Conv(3x3, 8, padding=same) | Conv(1x1, 8)) >> Add >> BatchNorm >> Relu",
    "Input(8x8x8) >> (Conv(3x3, 8, padding=same) | Conv(1x1, 8) | Identity) >> Add >> BatchNorm >> Relu",
    "Input(8x8x8) >> (Identity | GlobalPool(avg) >> Relu(2) >> Sigmoid(8)) >> Multiply",
    "Input(8x8x8) >> Conv(1x1, 8) >> (Identity | GlobalPool(avg) >> Relu(2) >> Sigmoid(8)) >> Multiply >> Conv(3x3, 4)",
    "Input(8x8x8) >> Conv(1x1, 8) >> (GlobalPool(max) >> Sigmoid(8) | Identity) >> Multiply",
    "Input(10) >> (Softmax(2) | Relu(5) | Tanh(5)) >> GatedAverage",
    "Input(10) >> (Relu(5) | Softmax(2) | Tanh(5)) >> GatedAverage(1)",
    "Input(10) >> (Relu(5) | Tanh(5) | Softmax(2)) >> GatedAverage(gate_index=2)",
    "Input(6x6x3) >> (Flatten >> Softmax(2) | Conv(3x3, 4) | Conv(3x3, 4)) >> GatedAverage",
    "Input(16x16x16) >> (Conv(3x3, 32, stride=2, padding=same) >> Conv(1x1, 16) | Conv(1x1, 16, stride=2)) >> Add >> Relu >> Conv(3x3, 16)",
    "Input(16x16x3) >> Conv(3x3, 8) >> Relu >> (Identity >> Relu | Conv(1x1, 8)) >> Add",
    "Input(16x16x3) >> { share f = Conv(3x3, 4) >> BatchNorm (f | Relu >> f) >> Add }",
    "Input(8x8x4) >> repeat(5) { (Conv(3x3, 4, padding=same) | Identity) >> Add >> Relu } >> GlobalPool(avg)",
    "Input(8x8x16) >> repeat(2) { (Conv(3x3, 16, padding=same) >> BatchNorm >> Relu >> Conv(3x3, 16, padding=same) >> BatchNorm | Identity) >> Add >> Relu }",
    "Input(8x8x16) >> (Conv(3x3, 16, padding=same) >> BatchNorm | Conv(1x1, 16) >> BatchNorm) >> Add >> Relu >> MaxPool(2x2)",
    "Input(8x8x16) >> Conv(3x3, 16, padding=same) >> (MaxPool(2x2) | AvgPool(2x2) | Conv(2x2, 16, stride=2)) >> Add",
    "Input(9x9x16) >> Conv(3x3, 16, padding=same) >> Relu >> (MaxPool(2x2, ceil=true) | AvgPool(3x3, stride=2, ceil=true, padding=1)) >> Add",
    "Input(15x15x16) >> Conv(3x3, 16, padding=same) >> Relu >> MaxPool(2x2, ceil=true) >> Conv(3x3, 4, padding=[0, 1, 2, 1])",
    "Input(8x8x3) >> Conv(3x3, 8, bias=false) >> BatchNorm(gamma=false) >> Relu >> BatchNorm(beta=false) >> MaxPool(2x2, padding=[0, 1, 1, 0])",
    "Input(8x8x3) >> BatchNorm(gamma=false, beta=false) >> Conv(3x3, 8) >> BatchNorm(gamma=false, beta=false) >> Absolute",
];

/// Several inputs and outputs; outputs that are inputs, other outputs or parts of other tensors.
const ENDS: Table = &[
    "Input(8x8x8)",
    "Input(8x8x8) >> (Identity | Identity)",
    "Input(8x8x8) >> (Flatten | Identity)",
    "Input(8x8x8) >> Relu >> (Identity | Identity)",
    "Input(8x8x8) >> Relu >> (Identity | Flatten)",
    "Input(8x8x8) >> Relu >> (Identity | Tanh)",
    "Input(8x8x8) >> Conv(1x1, 8) >> (Identity | Tanh | Relu)",
    "Input(8x8x8) >> Conv(1x1, 8) >> (Slice(0, 4) | Slice(4, 8))",
    "Input(20) >> (Dense(5) | Dense(7))",
    "Input(20) >> Dense(5) >> (Softmax | Identity)",
    "Input(20) >> Dense(5) >> (Softmax(3) | Identity | Relu(4))",
    "(Input(4) | Input(4)) >> Add",
    "(Input(4) >> Relu | Input(4)) >> Add",
    "(Input(4) >> Relu(6) | Input(5) >> Tanh(6)) >> Add >> Softmax(3)",
    "(Input(4) | Input(5)) >> Concatenate >> Softmax(3)",
    "(Input(4) | Input(5)) >> Concatenate",
    "(Input(4) | Input(5))",
    "(Input(4x4x2) | Input(4x4x3)) >> Concatenate >> Conv(3x3, 4)",
    "(Input(4x4x2) | Input(4x4x2)) >> (Concatenate | Add)",
    "(Input(6) | Input(6)) >> Concatenate >> { share f = Relu(4) (Slice(0, 6) >> f | Slice(6, 12) >> f) >> Concatenate } >> Sigmoid(1)",
    "Input(8x8x4) >> { let a = Conv(3x3, 4, padding=same)  let b = (a | Conv(1x1, 2)) >> Concatenate  (b >> Slice(3, 6) | b | a) >> Concatenate >> Conv(3x3, 4) }",
    "Input(8x8x4) >> { let a = Conv(3x3, 4)  (a | a) >> Concatenate(axis=1) }",
    "Input(8x8x4) >> { let a = Conv(3x3, 4)  let b = a >> Relu  (a | b | (a | b) >> Add) }",
    "Input(8x8x4) >> { let a = Conv(3x3, 4)  let b = (a | a >> Relu) >> Concatenate  (b | b >> Conv(1x1, 2)) }",
    "Input(8x8x4) >> { let a = Conv(3x3, 4)  let b = (a | a >> Relu) >> Concatenate  (b | a | b >> Slice(4, 8)) }",
    "Input(8x8x4) >> Conv(3x3, 4) >> { let a = Identity  (a | a) }",
    "Input(12) >> Relu(8) >> { let a = Softmax(6)  (a | a >> Dense(3) | a) }",
    "Input(12) >> Relu(8) >> { let a = Identity  let b = (a | a >> Tanh(4)) >> Concatenate  (b | b >> Slice(6, 10) >> Sigmoid(3)) }",
    "(Input(6x6x2) >> Conv(3x3, 4) | Input(4x4x4)) >> (Add | Concatenate | Multiply >> GlobalPool(avg))",
    "(Input(6) >> Tanh(3) | Input(6x6x3) >> Conv(3x3, 3)) >> Multiply",
];

/// What fuses, is removed or folds.
const CHAINS: Table = &[
    "Input(8x8x8) >> Identity",
    "Input(8x8x8) >> Dropout(0.5)",
    "Input(8x8x8) >> Flatten",
    "Input(5x4) >> LSTM(6)",
    "Input(5x4) >> GRU(6)",
    "Input(5x8) >> Flatten >> Dense(4)",
    "Input(1x1x4) >> Conv(1x1, 3) >> Relu",
    "Input(1x1x1) >> Conv(1x1, 1)",
    "Input(1) >> Dense(1)",
    "Input(1) >> Softmax(1)",
    "Input(17x13x16) >> Conv(3x3, 16, padding=same) >> BatchNorm >> Relu >> MaxPool(2x2)",
    "Input(16x16x16) >> Conv(3x3, 16, padding=same) >> Relu >> MaxPool(2x2) >> Conv(3x3, 32) >> Relu >> MaxPool(2x2)",
    "Input(16x16x16) >> Conv(3x3, 32, stride=2, padding=same) >> Conv(3x3, 32, groups=2, padding=1) >> Conv(5x5, 16, dilation=2, padding=same)",
    "Input(16x16x3) >> Conv(7x7, 8, stride=2, padding=3) >> MaxPool(3x3, stride=2, padding=1)",
    "Input(8x8x4) >> Conv(3x3, 4) >> Conv(1x1, 2) >> Input(6x6x2) >> Relu",
    "Input(8x8x4) >> Conv(3x3, 4) >> Dropout(0.5) >> BatchNorm >> GaussianNoise >> Relu",
    "Input(8x8x4) >> BatchNorm >> Conv(3x3, 4) >> Relu",
    "Input(8x8x4) >> Relu >> BatchNorm >> Tanh >> BatchNorm",
    "Input(30) >> BatchNorm >> Relu(5) >> BatchNorm >> Dense(4) >> BatchNorm",
    "Input(30) >> Dense(6) >> Softmax",
    "Input(30) >> Dense(6) >> BatchNorm >> Softmax",
    "Input(30) >> Relu(6) >> Softmax",
    "Input(6x6x5) >> Conv(1x1, 5) >> Softmax",
    "Input(6x6x5) >> Elu >> LeakyRelu >> Softplus >> Swish >> HardSwish >> Gelu >> Relu6 >> HardSigmoid >> Tanh",
    "Input(40x40x3) >> Conv(3x3, 24, padding=same) >> Relu >> MaxPool(2x2) >> Conv(3x3, 24, padding=same) >> Relu >> MaxPool(2x2) >> Conv(3x3, 24) >> Flatten >> Relu(17) >> Softmax(9)",
];

/// What nobody would write: compositions drawn at random, so that placements meet each other.
const DRAWN: Table = &[
    "Input(4x6x16) >> Conv(1x1, 3) >> Tanh >> ({ let a = BatchNorm >> LeakyRelu  let b = a >> Tanh  (a | b) >> Concatenate } | Tanh >> LeakyRelu) >> Concatenate >> (Identity | Relu)",
    "Input(4x6x16) >> { let a = BatchNorm  let b = a >> Conv(3x3, 2, padding=same) >> { let a = LeakyRelu >> Relu  let b = a >> LeakyRelu  (b | a | a) >> Concatenate }  (a | b) >> Concatenate } >> (GlobalPool(max) | Flatten >> Relu(4) >> Softmax(2)) >> Concatenate",
    "Input(4x6x4) >> AvgPool(2x2) >> (GlobalPool(max) | Flatten >> Relu(4) >> Softmax(2)) >> Concatenate",
    "Input(5x4x1) >> DepthwiseConv(3x3, padding=same) >> (BatchNorm >> LeakyRelu >> Conv(1x1, 2) | (Conv(1x1, 5) >> LeakyRelu | Identity) >> Concatenate >> Tanh >> Conv(1x1, 2)) >> Concatenate(axis=2) >> (Identity | Relu)",
    "Input(4x4x16) >> { let a = DepthwiseConv(3x3, padding=same)  let b = a >> Softmax >> Conv(1x1, 5)  (b | a >> Identity | a >> Slice(0, 1)) >> Concatenate } >> (Identity | Relu)",
    "Input(6x4x16) >> Slice(10, 12) >> LeakyRelu >> (BatchNorm >> (Slice(0, 1) >> LeakyRelu | Identity | BatchNorm) >> Concatenate >> Conv(1x1, 2) | Conv(1x1, 5) >> BatchNorm >> Conv(1x1, 2)) >> Concatenate(axis=1) >> { let z = Identity  (z | z >> Flatten | z) }",
    "Input(4x4x1) >> (Softmax >> Softmax | (Tanh >> Conv(1x1, 3) | LeakyRelu >> Conv(1x1, 3)) >> Maximum >> Slice(0, 3)) >> Concatenate >> Identity >> { let z = Identity  (z | z >> Flatten | z) }",
    "Input(4x6x3) >> ((Slice(1, 3) >> DepthwiseConv(3x3, padding=same) >> Conv(1x1, 3) | LeakyRelu) >> Maximum >> Conv(1x1, 3) | Slice(1, 3) >> Relu >> Conv(1x1, 3)) >> Concatenate(axis=2) >> AvgPool(2x2) >> { let z = Identity  (z | z >> Flatten | z) }",
    "Input(4x7x3) >> Relu >> (GlobalPool(max) | Flatten >> Relu(4) >> Softmax(2)) >> Concatenate",
    "Input(6x6x4) >> (Relu | Relu >> (BatchNorm | Slice(1, 3) >> Conv(1x1, 4)) >> Add) >> Concatenate >> MaxPool(2x2)",
    "Input(5x7x4) >> (Conv(1x1, 3) | LeakyRelu >> Conv(3x3, 16, padding=same)) >> Concatenate >> Conv(3x3, 2, padding=same) >> GlobalPool(avg)",
    "Input(4x4x4) >> DepthwiseConv(3x3, padding=same) >> Tanh >> (GlobalPool(max) | Flatten >> Relu(4) >> Softmax(2)) >> Concatenate",
    "Input(5x4x16) >> (Conv(1x1, 2) >> Conv(1x1, 16) | Identity >> Conv(1x1, 16)) >> Concatenate(axis=1) >> Flatten >> Dense(3)",
    "Input(4x4x16) >> { let a = Identity  let b = a >> Transpose([0, 2, 1, 3])  (b | a | a) >> Concatenate } >> Tanh >> { let z = Identity  (z | z >> Flatten | z) }",
    "Input(5x7x16) >> Slice(5, 13) >> (Identity >> MaxPool(3x3, stride=1, padding=same) | DepthwiseConv(3x3, padding=same) >> MaxPool(3x3, stride=1, padding=same)) >> Concatenate(axis=1) >> Softmax >> GlobalPool(avg)",
    "Input(5x4x3) >> Tanh >> Relu >> DepthwiseConv(3x3, padding=same) >> (GlobalPool(max) | Flatten >> Relu(4) >> Softmax(2)) >> Concatenate",
    "Input(6x4x3) >> (Relu >> Identity >> Conv(1x1, 3) | (Conv(3x3, 4, padding=same) | Conv(3x3, 18, padding=same) >> LeakyRelu) >> Concatenate >> Tanh >> Conv(1x1, 3)) >> Concatenate(axis=1)",
    "Input(5x7x16) >> MaxPool(2x2) >> ((LeakyRelu | Reshape(6x16) >> Reshape(2x3x16)) >> Concatenate >> Conv(1x1, 16) | Conv(1x1, 2) >> MaxPool(3x3, stride=1, padding=same) >> Conv(1x1, 16)) >> Maximum >> { let z = Identity  (z | z >> Flatten | z) }",
    "Input(6x4x3) >> Tanh >> (GlobalPool(max) | Flatten >> Relu(4) >> Softmax(2)) >> Concatenate",
    "Input(8x6x16) >> Conv(3x3, 3) >> Conv(3x3, 2, padding=same) >> Conv(3x3, 16) >> (GlobalPool(max) | Flatten >> Relu(4) >> Softmax(2)) >> Concatenate",
    "Input(8x7x4) >> (Softmax >> Conv(1x1, 2) | Identity >> Conv(1x1, 2)) >> Concatenate(axis=1) >> BatchNorm >> (Identity | Relu)",
    "Input(8x4x1) >> (Identity >> Conv(1x1, 1) | Softmax >> Conv(3x3, 18, padding=same) >> Conv(1x1, 1)) >> Concatenate(axis=2) >> { let z = Identity  (z | z >> Flatten | z) }",
    "Input(6x4x4) >> Conv(3x3, 8) >> (GlobalPool(max) | Flatten >> Relu(4) >> Softmax(2)) >> Concatenate",
    "Input(5x4x1) >> ({ let a = Reshape(20x1) >> Reshape(5x4x1) >> Tanh  let b = a >> LeakyRelu >> Conv(1x1, 2)  (b | a | a) >> Concatenate } >> BatchNorm | Tanh | BatchNorm >> DepthwiseConv(3x3, padding=same)) >> Concatenate >> (Identity | Relu)",
    "Input(6x7x1) >> AvgPool(2x2) >> Conv(3x3, 3) >> (GlobalPool(max) | Flatten >> Relu(4) >> Softmax(2)) >> Concatenate",
    "Input(4x7x1) >> (Identity >> Relu >> Conv(1x1, 4) | MaxPool(3x3, stride=1, padding=same) >> Conv(1x1, 2) >> Conv(1x1, 4)) >> Add >> Conv(3x3, 4, padding=same) >> (Relu | Reshape(28x4) >> Reshape(4x7x4)) >> Concatenate",
    "Input(8x4x4) >> LeakyRelu >> (MaxPool(3x3, stride=1, padding=same) | DepthwiseConv(3x3, padding=same) | Conv(3x3, 4, padding=same)) >> Concatenate >> Tanh",
    "Input(8x6x4) >> Tanh >> BatchNorm >> (GlobalPool(max) | Flatten >> Relu(4) >> Softmax(2)) >> Concatenate",
    "Input(4x7x1) >> { let a = Softmax  let b = a >> { let a = Relu >> Identity  let b = a >> Softmax >> LeakyRelu  (b | a | a) >> Concatenate }  b } >> AvgPool(2x2) >> BatchNorm >> { let z = Identity  (z | z >> Flatten | z) }",
    "Input(4x6x16) >> MaxPool(2x2) >> DepthwiseConv(3x3, padding=same) >> (Conv(3x3, 18, padding=same) >> Conv(1x1, 16) | (LeakyRelu >> LeakyRelu | Identity >> Softmax | Identity) >> Concatenate >> Conv(1x1, 16)) >> Concatenate(axis=1) >> GlobalPool(avg)",
    "Input(5x4x3) >> LeakyRelu >> (DepthwiseConv(3x3, padding=same) >> (LeakyRelu | Conv(3x3, 4, padding=same) >> LeakyRelu) >> Concatenate >> Conv(1x1, 3) | Softmax >> Slice(1, 2) >> Conv(1x1, 3)) >> Concatenate(axis=2) >> Identity >> GlobalPool(avg)",
    "Input(6x7x3) >> (Slice(0, 1) >> Conv(1x1, 2) | Conv(3x3, 18, padding=same) >> Identity >> Conv(1x1, 2)) >> Concatenate(axis=1) >> MaxPool(3x3, stride=1, padding=same) >> Conv(1x1, 5)",
    "Input(5x4x16) >> (Identity >> Conv(1x1, 3) | { let a = Reshape(20x16) >> Reshape(5x4x16) >> Softmax  let b = a >> Conv(1x1, 2)  (a | b) >> Concatenate } >> Slice(1, 16) >> Conv(1x1, 3)) >> Maximum >> GlobalPool(avg)",
    "Input(6x6x4) >> MaxPool(3x3, stride=1, padding=same) >> MaxPool(2x2) >> (GlobalPool(max) | Flatten >> Relu(4) >> Softmax(2)) >> Concatenate",
    "Input(8x7x16) >> AvgPool(2x2) >> Conv(3x3, 3) >> (GlobalPool(max) | Flatten >> Relu(4) >> Softmax(2)) >> Concatenate",
    "Input(4x7x16) >> Conv(3x3, 2, padding=same) >> LeakyRelu >> (GlobalPool(max) | Flatten >> Relu(4) >> Softmax(2)) >> Concatenate",
    "Input(6x4x4) >> Conv(3x3, 16) >> (Conv(1x1, 3) >> Conv(1x1, 2) | BatchNorm >> Identity >> Conv(1x1, 2)) >> Concatenate(axis=1) >> Flatten >> Dense(3)",
    "Input(4x6x1) >> MaxPool(3x3, stride=1, padding=same) >> (Softmax >> Conv(1x1, 3) >> Conv(1x1, 2) | MaxPool(3x3, stride=1, padding=same) >> (Softmax >> Identity | LeakyRelu >> Conv(1x1, 5)) >> Concatenate >> Conv(1x1, 2)) >> Concatenate(axis=2)",
    "Input(6x7x4) >> ((MaxPool(3x3, stride=1, padding=same) | LeakyRelu >> Softmax | LeakyRelu) >> Concatenate | Conv(1x1, 2)) >> Concatenate >> Tanh >> GlobalPool(avg)",
    "Input(8x4x1) >> AvgPool(2x2) >> (Conv(1x1, 2) | LeakyRelu >> (LeakyRelu | Softmax) >> Concatenate | Softmax) >> Concatenate >> GlobalPool(avg)",
];

#[test]
fn concatenations() {
    check(CONCATENATIONS);
}

#[test]
fn views_and_slices() {
    check(VIEWS_AND_SLICES);
}

#[test]
fn merges() {
    check(MERGES);
}

#[test]
fn ends() {
    check(ENDS);
}

#[test]
fn chains() {
    check(CHAINS);
}

#[test]
fn drawn() {
    check(DRAWN);
}

/// Layers with large tensors between them, and how many of them become one step by bands of rows.
const BANDS: &[(&str, &[usize])] = &[
    ("Input(64x60x16) >> Conv(1x1, 40) >> Relu6 >> DWConv(3x3, padding=same) >> Relu6 >> Conv(1x1, 5)", &[3]),
    // A sum behind the last, whose other branch comes from before the first.
    (
        "Input(61x64x16) >> Conv(3x3, 12, padding=same) >> Relu >> { let x = Identity let y = x >> Conv(1x1, 36) >> Relu >> \
         DWConv(3x3, padding=same) >> Relu >> Conv(1x1, 12) (x | y) >> Add } >> Relu >> Conv(3x3, 2, stride=4)",
        &[3],
    ),
    // What another layer sees too, a concatenation that holds both ends, or large weights end a chain.
    (
        "Input(64x64x16) >> Conv(1x1, 40) >> { let x = Identity let y = x >> DWConv(3x3, padding=same) >> Relu >> Conv(1x1, 40) \
         (x | y) >> Add }",
        &[2],
    ),
    (
        "Input(64x64x16) >> { let x = Conv(1x1, 36) let y = x >> Conv(1x1, 40) >> Relu >> DWConv(3x3, padding=same) (x | y) >> \
         Concatenate }",
        &[],
    ),
    ("Input(20x20x16) >> Conv(1x1, 400) >> Relu >> DWConv(3x3, padding=same) >> Conv(1x1, 400)", &[2]),
    // What is small, or an output, stays a step of its own.
    ("Input(20x20x4) >> Conv(1x1, 40) >> Relu6 >> DWConv(3x3, padding=same)", &[]),
];

#[test]
fn by_bands_of_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    for (net, chains) in BANDS {
        let plan = compiled(net).unwrap_or_else(|error| panic!("{net}\n{error}")).compiled.plan;
        let links = |step: &Step| match &step.kernel {
            Kernel::FusedConvolutions(chain) => Some(chain.links.len()),
            _ => None,
        };
        assert_eq!(plan.steps.iter().filter_map(links).collect::<Vec<_>>(), *chains, "{net}\n{plan}");
        let error =
            largest_error(net, &folder.path().join("net.netb")).unwrap_or_else(|error| panic!("{net}\n{error}"));
        assert!(error <= TOLERANCE, "{net}: off by {error:.1e} of the range");
    }
}

/// Large images first and large weights behind them: the first stage takes one image at a time, the second eight.
#[test]
fn stages_take_other_numbers_of_images() {
    let net = "Input(700x700x2) >> Conv(3x3, 4, padding=same) >> Relu >> Conv(3x3, 4, padding=same) >> Tanh >> MaxPool(25x25) \
               >> Conv(28x28, 1400) >> Relu >> Flatten >> Dense(5)";
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stages.netb");
    compiled(net).and_then(|build| build.write(&path).map_err(|errors| format!("{errors:?}"))).expect("a build");
    let artifact = Arc::new(Artifact::open(&path).expect("an artifact"));
    let plan = &artifact.manifest.plan;
    let chunks: Vec<Option<usize>> = plan.stages.iter().map(|stage| stage.micro_batch).collect();
    assert_eq!(chunks, [Some(1), Some(8), None], "{plan}");
    let (batch, size) = (10, plan.inputs[0].len());
    let x = Initializer::Normal { mean: 0.0, std: 1.0 }.sample(&[batch * size], "x", 1);
    let run = |x: &[f32], batch: usize| {
        let mut y = vec![f32::NAN; batch * 5];
        Session::new(artifact.clone(), 2).run(batch, &[x], &mut [&mut y]).expect("a run");
        y
    };
    let together = run(&x, batch);
    let alone: Vec<f32> = x.chunks_exact(size).flat_map(|image| run(image, 1)).collect();
    let largest = alone.iter().fold(0.0, |most: f32, y| most.max(y.abs()));
    for (a, b) in together.iter().zip(&alone) {
        assert!((a - b).abs() <= 1e-5 * largest, "{together:?}\n{alone:?}");
    }
}

/// Every architecture that ships, for small images, with random weights: each step gives what the unfused graph in f64 does.
#[test]
fn every_step_of_every_shipped_architecture() {
    for spec in netc::elaborate::project::shipped::SPECS {
        let expression = match spec.name {
            "mixture_of_experts" => "Input(10) >> mixture_of_experts([Relu(5), Tanh(5)], gate=Softmax(2))".into(),
            "bird" | "lstm_text" | "siamese" => spec.name.to_string(),
            "inception_v3" => "inception_v3(size=107x107x3)".into(),
            "alexnet" => "alexnet(size=99x99x3)".into(),
            name => format!("{name}(size=64x64x3)"),
        };
        let build = compiled(&expression).unwrap_or_else(|told| panic!("{told}"));
        let comparison =
            netc::check::verify::verify(&build, 1, 2).unwrap_or_else(|errors| panic!("{expression}: {errors:?}"));
        assert_eq!(comparison.steps.len(), build.compiled.plan.steps.len(), "{expression}: a step was not compared");
        for step in comparison.steps {
            assert!(step.error <= TOLERANCE, "{expression}: {step:?}");
        }
    }
}
