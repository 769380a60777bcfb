//! Every gradient against central differences of the f64 evaluation: one step of gradient descent with rate 1 moves each
//! parameter by its gradient.

use ndarray::{ArrayD, IxDyn};
use netc::compile::{Values, graph};
use netc::data::SeededRng;
use netc::elaborate::load;
use netc::graph::training::LoweredOp;
use netc::graph::{Graph, Initializer, ParameterId, reference};
use netc::kernels::training::loss::Loss;
use netc::kernels::training::optimizer::UpdateRule;
use netc::kernels::training::regularizer::Regularizer;
use netc::plan::Kernel;
use netc::plan::steps::dense::Storage;
use netc::runtime::Session;
use netc::train::autodiff::training_plans::{Trainable, compile};
use netc::train::autodiff::{Settings, differentiate};
use netc::weights::bind::{Bindings, bind};

const BATCH: usize = 3;

/// A net, its parameters, and a batch.
struct Case {
    graph: Graph,
    bindings: Bindings,
    inputs: Vec<ArrayD<f64>>,
    targets: ArrayD<f64>,
}

/// Pseudo-random numbers from -1 to 1.
fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut rng = SeededRng::new([seed, 0, 0, 0]);
    (0..len).map(|_| rng.between(-1.0, 1.0) as f32).collect()
}

fn array(sizes: &[usize], values: &[f32]) -> ArrayD<f64> {
    let shape: Vec<usize> = std::iter::once(BATCH).chain(sizes.iter().copied()).collect();
    ArrayD::from_shape_vec(IxDyn(&shape), values.iter().map(|&value| f64::from(value)).collect()).unwrap()
}

impl Case {
    fn new(net: &str, loss: Loss) -> Self {
        let spec = load(net, &|path| std::fs::read(path)).unwrap_or_else(|_| panic!("{net}"));
        let (graph, _) = graph(&spec, None).unwrap_or_else(|errors| panic!("{net}: {errors:?}"));
        let (bindings, _) = bind(&graph, &[]).unwrap();
        let embeds = net.contains("Embedding");
        let inputs = graph.inputs().into_iter().enumerate().map(|(index, id)| {
            let sizes = graph.node(id).output.known().unwrap();
            let mut values = noise(BATCH * sizes.iter().product::<usize>(), index as u64 + 7);
            if embeds {
                values.iter_mut().for_each(|value| *value = ((*value + 1.0) * 2.5).floor());
            }
            array(&sizes, &values)
        });
        let inputs = inputs.collect();
        let sizes = graph.node(graph.outputs[0]).output.known().unwrap();
        let classes = *sizes.last().unwrap();
        let mut targets = noise(BATCH * sizes.iter().product::<usize>(), 99);
        match loss {
            Loss::CategoricalCrossentropy
            | Loss::CategoricalHinge
            | Loss::CategoricalFocal { .. }
            | Loss::Dice { .. } => {
                for (row, target) in targets.chunks_mut(classes).enumerate() {
                    target.fill(0.0);
                    target[row * 7 % classes] = 1.0;
                }
            }
            Loss::KlDivergence => {
                for target in targets.chunks_mut(classes) {
                    target.iter_mut().for_each(|value| *value = value.abs() + 0.1);
                    let sum: f32 = target.iter().sum();
                    target.iter_mut().for_each(|value| *value /= sum);
                }
            }
            Loss::BinaryCrossentropy | Loss::BinaryFocal { .. } | Loss::Contrastive { .. } => {
                targets.iter_mut().for_each(|value| *value = f32::from(*value > 0.0))
            }
            Loss::BinaryHinge => targets.iter_mut().for_each(|value| *value = value.signum()),
            Loss::Msle | Loss::Rmsle => targets.iter_mut().for_each(|value| *value = value.abs()),
            _ => {}
        }
        Case { targets: array(&sizes, &targets), graph, bindings, inputs }
    }

    fn compile(&self, loss: Loss) -> Trainable {
        self.compile_with(&plain(loss))
    }

    fn compile_with(&self, settings: &Settings) -> Trainable {
        let values = Values { graph: &self.graph, bindings: &self.bindings };
        compile(&self.graph, settings, BATCH, &values).unwrap_or_else(|errors| panic!("{errors:?}"))
    }

    /// One step of rate 1: the loss, and the state after it.
    fn step(&self, trainable: &Trainable, threads: usize) -> (f32, Vec<f32>) {
        let mut state = trainable.start.floats().to_vec();
        let rate = trainable.layout.find("optimizer/rate").expect("a learning rate").offset;
        state[rate] = 1.0;
        let floats = |array: &ArrayD<f64>| -> Vec<f32> { array.iter().map(|&value| value as f32).collect() };
        let mut given: Vec<Vec<f32>> = self.inputs.iter().map(floats).collect();
        given.push(floats(&self.targets));
        let given: Vec<&[f32]> = given.iter().map(Vec::as_slice).collect();
        let (mut loss, mut prediction) = ([0.0], vec![0.0; self.targets.len()]);
        let mut session = Session::new(trainable.step.clone(), threads);
        let mut outputs: [&mut [f32]; 2] = [&mut loss, &mut prediction];
        session.run_with(BATCH, &given, &mut outputs, &mut state).unwrap();
        (loss[0], state)
    }

    /// The loss in f64 with some parameters given.
    fn loss(&self, kind: Loss, parameter: &mut dyn FnMut(ParameterId) -> Vec<f32>) -> f64 {
        let outputs = reference::evaluate(&self.graph, &self.inputs, parameter, &mut |_, _| {});
        loss(kind, &outputs[0], &self.targets)
    }

    fn values(&self, id: ParameterId) -> Vec<f32> {
        self.bindings.read(&self.graph, id).unwrap()
    }
}

/// Plain gradient descent.
fn plain(loss: Loss) -> Settings {
    Settings::new(UpdateRule::GradientDescent, &[loss], 5)
}

/// Losses in f64, from their definitions.
fn loss(kind: Loss, y: &ArrayD<f64>, t: &ArrayD<f64>) -> f64 {
    let classes = *y.shape().last().unwrap();
    let rows = y.len() / classes;
    let (y, t): (Vec<f64>, Vec<f64>) = (y.iter().copied().collect(), t.iter().copied().collect());
    let mean = |f: &dyn Fn(f64, f64) -> f64| y.iter().zip(&t).map(|(&y, &t)| f(y, t)).sum::<f64>() / y.len() as f64;
    let clip = |y: f64| y.clamp(1e-7, 1.0 - 1e-7);
    match kind {
        Loss::CategoricalCrossentropy => -y.iter().zip(&t).map(|(&y, &t)| t * clip(y).ln()).sum::<f64>() / rows as f64,
        Loss::BinaryCrossentropy => mean(&|y, t| -(t * clip(y).ln() + (1.0 - t) * (1.0 - clip(y)).ln())),
        Loss::Mse => mean(&|y, t| (y - t).powi(2)),
        Loss::Mae => mean(&|y, t| (y - t).abs()),
        Loss::Rmse => mean(&|y, t| (y - t).powi(2)).sqrt(),
        Loss::Msle => mean(&|y, t| (y.max(0.0).ln_1p() - t.max(0.0).ln_1p()).powi(2)),
        Loss::Rmsle => mean(&|y, t| (y.max(0.0).ln_1p() - t.max(0.0).ln_1p()).powi(2)).sqrt(),
        Loss::BinaryHinge => mean(&|y, t| (1.0 - t * y).max(0.0)),
        Loss::CategoricalHinge => {
            let rows = y.chunks(classes).zip(t.chunks(classes));
            let each = rows.clone().map(|(y, t)| {
                let right = t.iter().position(|&t| t == 1.0).unwrap();
                let wrong = (0..classes).filter(|&class| class != right).map(|class| y[class]);
                (1.0 + wrong.fold(f64::MIN, f64::max) - y[right]).max(0.0)
            });
            each.sum::<f64>() / rows.len() as f64
        }
        Loss::Huber { delta } => mean(&|y, t| match ((y - t).abs(), f64::from(delta)) {
            (d, delta) if d <= delta => d * d / 2.0,
            (d, delta) => delta * (d - delta / 2.0),
        }),
        Loss::CategoricalFocal { gamma, alpha } => {
            let of = |y: f64, t: f64| -f64::from(alpha) * (1.0 - y).powf(gamma.into()) * t * y.ln();
            y.iter().zip(&t).map(|(&y, &t)| of(clip(y), t)).sum::<f64>() / rows as f64
        }
        Loss::BinaryFocal { gamma, alpha } => mean(&|y, t| {
            let of = |p: f64, alpha: f64| -alpha * (1.0 - p).powf(gamma.into()) * p.ln();
            if t == 1.0 { of(clip(y), alpha.into()) } else { of(1.0 - clip(y), 1.0 - f64::from(alpha)) }
        }),
        Loss::KlDivergence => y.iter().zip(&t).map(|(&y, &t)| t * (t / clip(y)).ln()).sum::<f64>() / rows as f64,
        Loss::Cosine => {
            let each = y.chunks(classes).zip(t.chunks(classes)).map(|(y, t)| {
                let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                1.0 - sum(y, t) / ((sum(y, y) + 1e-12) * (sum(t, t) + 1e-12)).sqrt()
            });
            each.sum::<f64>() / rows as f64
        }
        Loss::Dice { smooth } => {
            let smooth = f64::from(smooth);
            let each = y.chunks(y.len() / BATCH).zip(t.chunks(t.len() / BATCH)).map(|(y, t)| {
                let product: f64 = y.iter().zip(t).map(|(y, t)| y * t).sum();
                let total: f64 = y.iter().chain(t).sum();
                1.0 - (2.0 * product + smooth) / (total + smooth)
            });
            each.sum::<f64>() / BATCH as f64
        }
        Loss::Contrastive { margin } => mean(&|y, t| t * y * y + (1.0 - t) * (f64::from(margin) - y).max(0.0).powi(2)),
        Loss::Triplet { margin } => {
            let each = y.chunks(classes).map(|y| {
                let width = classes / 3;
                let distance =
                    |from: usize| (0..width).map(|at| (y[at] - y[from + at] + 1e-6).powi(2)).sum::<f64>().sqrt();
                (distance(width) - distance(2 * width) + f64::from(margin)).max(0.0)
            });
            each.sum::<f64>() / rows as f64
        }
    }
}

/// Compares the gradients of a net with differences. Returns the worst difference, relative to the largest gradient of its
/// parameter.
fn check(net: &str, kind: Loss) -> f64 {
    let case = Case::new(net, kind);
    let trainable = case.compile(kind);
    let (step_loss, after) = case.step(&trainable, 2);
    let statistics = batch_statistics(&case);
    let given = |id: ParameterId| statistics.get(&id).cloned().unwrap_or_else(|| case.values(id));
    let expected = case.loss(kind, &mut |id| given(id));
    assert!(
        (f64::from(step_loss) - expected).abs() < 1e-4 * expected.abs().max(1.0),
        "{net}: loss {step_loss} for {expected}"
    );
    let mut worst: f64 = 0.0;
    let mut changed = 0;
    for (index, parameter) in case.graph.parameters.iter().enumerate() {
        let id = ParameterId(index);
        if !parameter.trainable || parameter.frozen {
            continue;
        }
        let Some(tensor) = trainable.layout.find(&parameter.path()) else { continue };
        let (start, values) = (&trainable.start.floats()[tensor.offset..], given(id));
        let found: Vec<f64> =
            (0..tensor.len).map(|at| f64::from(start[at]) - f64::from(after[tensor.offset + at])).collect();
        let stride = (tensor.len / 24).max(1);
        let mut pairs = Vec::new();
        for at in (0..tensor.len).step_by(stride) {
            let side = |step: f32| {
                let mut moved = values.clone();
                moved[at] += step;
                let value = f64::from(moved[at]);
                let loss = case.loss(kind, &mut |other| {
                    if other == id { moved.clone() } else { fresh_statistics(&case, id, &moved, other, &statistics) }
                });
                (value, loss)
            };
            let ((low, below), (high, above)) = (side(-1.0 / 4096.0), side(1.0 / 4096.0));
            // At a kink of a rectifier, any value between the one-sided derivatives is one.
            let start = f64::from(values[at]);
            let sides = [(expected - below) / (start - low), (above - expected) / (high - start)];
            pairs.push((found[at], sides));
        }
        let largest = pairs.iter().flat_map(|(_, sides)| sides.map(f64::abs)).fold(1e-3, f64::max);
        for (found, [a, b]) in pairs {
            let error = (a.min(b) - found).max(found - a.max(b)).max(0.0);
            worst = if found.is_nan() { f64::INFINITY } else { worst.max(error / largest) };
        }
        changed += 1;
    }
    assert!(changed > 0, "{net}: nothing is trained");
    worst
}

type Statistics = std::collections::HashMap<ParameterId, Vec<f32>>;

/// The statistics that make batch normalisation in inference equal to that in training, which uses those of the batch.
fn batch_statistics(case: &Case) -> Statistics {
    statistics_with(case, &mut |id| case.values(id))
}

fn statistics_with(case: &Case, parameter: &mut dyn FnMut(ParameterId) -> Vec<f32>) -> Statistics {
    let mut found = Statistics::new();
    let norms: Vec<_> = case.graph.ids().filter(|&id| case.graph.node(id).operation.epsilon().is_some()).collect();
    for id in norms {
        let node = case.graph.node(id);
        if node.frozen {
            continue;
        }
        let mut input = None;
        let mut given = |id: ParameterId| found.get(&id).cloned().unwrap_or_else(|| parameter(id));
        reference::evaluate(&case.graph, &case.inputs, &mut given, &mut |seen, value| {
            if seen == node.inputs[0] {
                input = Some(value.clone());
            }
        });
        let x = input.unwrap();
        let channels = *x.shape().last().unwrap();
        let count = (x.len() / channels) as f64;
        let flat: Vec<f64> = x.iter().copied().collect();
        let mean: Vec<f64> =
            (0..channels).map(|c| flat.iter().skip(c).step_by(channels).sum::<f64>() / count).collect();
        let inv: Vec<f64> = (0..channels)
            .map(|c| {
                let squares = flat.iter().skip(c).step_by(channels).map(|x| (x - mean[c]).powi(2)).sum::<f64>();
                1.0 / (squares / count + node.operation.epsilon().unwrap()).sqrt()
            })
            .collect();
        let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect();
        found.insert(node.parameters[0], narrow(&mean));
        found.insert(node.parameters[1], narrow(&inv));
    }
    found
}

fn fresh_statistics(case: &Case, moved: ParameterId, to: &[f32], asked: ParameterId, known: &Statistics) -> Vec<f32> {
    if !known.contains_key(&asked) {
        return case.values(asked);
    }
    let mut given = |id: ParameterId| if id == moved { to.to_vec() } else { case.values(id) };
    statistics_with(case, &mut given).remove(&asked).unwrap()
}

/// A layer of each kind on the path of a gradient, after a trainable layer.
const NETS: &[&str] = &[
    "Input(5) >> Dense(4)",
    "Input(5) >> Relu(6) >> Dense(3)",
    "Input(5) >> Relu(6, alpha=0.1) >> LeakyRelu(4)",
    "Input(5) >> Sigmoid(6) >> Tanh(4)",
    "Input(5) >> Elu(6) >> Softplus(4)",
    "Input(5) >> Swish(6) >> Gelu(4)",
    "Input(5) >> HardSwish(6) >> HardSigmoid(4) >> Relu6(3)",
    "Input(5) >> HardSigmoid(6, alpha=1.0/6, beta=0.4) >> LeakyRelu(4, alpha=0.3) >> Gelu(3, tanh=true)",
    "Input(5) >> Dense(6) >> Clip(-0.7, 0.8) >> Dense(4) >> Exp >> Dense(3)",
    "Input(5) >> Softplus(6) >> Log >> Softplus(4) >> Sqrt >> Dense(3) >> Square",
    "Input(5) >> Softplus(6) >> Power(1.0/3) >> Dense(4) >> Power(3) >> Dense(3) >> Affine(-1.5, 0.25)",
    "Input(5) >> Softplus(6) >> Power(-2) >> Dense(4)",
    "Input(5) >> PRelu(6) >> Dense(4)",
    "Input(5x4x3) >> Conv(1x1, 4) >> PRelu(alpha_axes=[1, 3]) >> Flatten >> Dense(2)",
    "Input(5) >> Softmax(6) >> Dense(4)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Softmax(axis=height) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Softmax(axis=width) >> Flatten >> Dense(2)",
    "Input(4x5) >> LSTM(3, only_return_final=false) >> Softmax(axis=time) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Mean(height) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Mean([channels, width]) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Sum([height, width]) >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Sum(channels) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Max(width) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Max([height, channels]) >> Flatten >> Dense(2)",
    "Input(4x5) >> LSTM(3, only_return_final=false) >> (Mean(time) | Max(time)) >> Concatenate >> Dense(2)",
    "Input(5) >> Tanh(6) >> Scale >> Dense(4)",
    "Input(4x5x3) >> (Conv(3x3, 3, padding=same) >> Scale(0.5) | Identity) >> Add >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> frozen(Scale(0.5)) >> Flatten >> Dense(2)",
    "Input(6x7x3) >> Conv(3x3, 4, padding=same) >> Tanh >> Conv(3x3, 5, padding=same) >> Flatten >> Dense(2)",
    "Input(6x7x3) >> Conv(3x3, 4) >> Conv(1x1, 5) >> GlobalPool(avg)",
    "Input(9x8x3) >> Conv(1x1, 4) >> Conv(3x3, 5, stride=2, padding=same) >> GlobalPool(sum)",
    "Input(9x8x3) >> Conv(1x1, 4) >> Conv(3x2, 5, stride=[2, 1], padding=1, dilation=1) >> Flatten >> Dense(2)",
    "Input(9x8x3) >> Conv(1x1, 4) >> Conv(3x3, 4, dilation=2) >> Flatten >> Dense(2)",
    "Input(6x6x3) >> Conv(1x1, 4) >> Conv(3x3, 6, groups=2, padding=same) >> Flatten >> Dense(2)",
    "Input(6x6x3) >> Conv(1x1, 4) >> DepthwiseConv(3x3, padding=same) >> Flatten >> Dense(2)",
    "Input(6x6x3) >> Conv(1x1, 4) >> SeparableConv(3x3, 5, stride=2, padding=same, depth_multiplier=2) >> Relu >> Flatten >> Dense(2)",
    "Input(8x3) >> SeparableConv(3, 5, bias=false) >> BatchNorm >> Tanh >> SeparableConv(2, 4) >> Flatten >> Dense(2)",
    "Input(6x6x3) >> Conv(1x1, 4) >> DepthwiseConv(3x3, stride=2, multiplier=2) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Deconv(3x3, 5) >> Relu >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Deconv(2x2, 5, stride=2, bias=false) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> ConvTranspose(4x4, 5, stride=2, padding=1) >> Relu >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 16) >> ConvTranspose(3x3, 17, stride=2, padding=1) >> Tanh >> GlobalPool(avg) >> Dense(2)",
    "Input(3x4x3) >> Conv(1x1, 4) >> ConvTranspose(3x3, 6, stride=2, padding=1, output_padding=1, groups=2) >> Flatten >> Dense(2)",
    "Input(3x4x3) >> Conv(1x1, 4) >> ConvTranspose(3x2, 3, dilation=2, padding=[1, 0, 2, 1], bias=false) >> Flatten >> Dense(2)",
    "Input(7x6x3) >> Conv(1x1, 4) >> MaxPool(2x2) >> Flatten >> Dense(2)",
    "Input(7x6x3) >> Conv(1x1, 4) >> MaxPool(3x3, stride=2, padding=same) >> Flatten >> Dense(2)",
    "Input(7x6x3) >> Conv(1x1, 4) >> AveragePooling(3x3, stride=2, padding=same) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> GlobalPool(max) >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Upscale([2, 3]) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> ZeroPad([1, 0, 2, 1]) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Resize(7x9) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Resize(scale=1.5, mode=bilinear) >> Flatten >> Dense(2)",
    "Input(6x5x3) >> Conv(1x1, 4) >> Resize(3x8, mode=bilinear, align_corners=true) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Resize(scale=[2, 0.7], mode=bicubic) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Pad(2, mode=reflect) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Pad([1, 0, 2, 3], mode=edge) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Crop([1, 0, 1, 2]) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 6) >> Shuffle(3) >> Flatten >> Dense(2)",
    "Input(4x6x3) >> Conv(1x1, 2) >> SpaceToDepth(2) >> Conv(1x1, 4) >> DepthToSpace(2, order=crd) >> Flatten >> Dense(2)",
    "Input(8x3) >> Conv(3, 4, padding=same) >> Tanh >> Conv(2, 5, stride=2) >> Flatten >> Dense(2)",
    "Input(8x3) >> Conv(1, 4) >> DepthwiseConv(3, padding=1) >> MaxPool(2) >> Flatten >> Dense(2)",
    "Input(9x3) >> Conv(3, 4, dilation=2) >> AvgPool(3, stride=2, padding=1) >> Flatten >> Dense(2)",
    "Input(8x3) >> Conv(3, 4, bias=false) >> BatchNorm >> Relu >> GlobalPool(avg) >> Dense(2)",
    "Input(8x3) >> Conv(3, 6, groups=3) >> GroupNorm(2) >> GlobalPool(max) >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Reshape(2x40) >> Transpose([0, 2, 1]) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 6) >> (Slice(0, 2) | Slice(1, 6)) >> Concatenate >> Flatten >> Dense(2)",
    "Input(4x5x3) >> (Conv(1x1, 4) | Conv(1x1, 3) >> Relu) >> Concatenate >> Flatten >> Dense(2)",
    "Input(4x5x3) >> (Conv(1x1, 4) | Conv(1x1, 4) >> Relu) >> Concatenate(axis=1) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> (Conv(1x1, 4) | Conv(1x1, 4)) >> Concatenate(axis=2) >> Flatten >> Dense(2)",
    "Input(5) >> (Dense(4) | Tanh(4)) >> Add >> Dense(2)",
    "Input(5) >> (Dense(4) | Tanh(4) | Sigmoid(4)) >> Multiply >> Dense(2)",
    "Input(5) >> (Dense(4) | Tanh(4)) >> Average >> Dense(2)",
    "Input(5) >> (Dense(4) | Tanh(4)) >> Maximum >> Dense(2)",
    "Input(5) >> (Dense(4) | Tanh(4) | Sigmoid(4)) >> Minimum >> Dense(2)",
    "Input(5) >> (Dense(4) | Tanh(4) | Sigmoid(4)) >> Subtract >> Dense(2)",
    "Input(5) >> (Dense(4) | Softplus(4) | Sigmoid(4)) >> Divide >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> (Identity | GlobalPool(avg) >> Softplus(4)) >> Divide >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> Softplus >> (GlobalPool(avg) >> Tanh(4) | Identity) >> Divide >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> (Identity | GlobalPool(avg) >> Tanh(4)) >> Subtract >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> (GlobalPool(avg) >> Tanh(4) | Identity) >> Subtract >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> (GlobalPool(avg) >> Tanh(4) | Identity) >> Minimum >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> (Identity | GlobalPool(avg) >> Sigmoid(4)) >> Multiply >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> (GlobalPool(avg) >> Tanh(4) | Identity) >> Add >> Flatten >> Dense(2)",
    "Input(5) >> (Softmax(2) | Relu(4) | Tanh(4)) >> GatedAverage >> Dense(2)",
    "Input(5) >> Relu(6) >> (Dense(6) | Identity) >> Add >> Relu >> Dense(3)",
    "Input(4x5x3) >> Conv(1x1, 4) >> GroupNorm(2) >> Relu >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 7) >> LRN(depth_radius=1, alpha=0.1) >> Flatten >> Dense(2)",
    "Input(5) >> Dense(4) >> Normalize >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4, bias=false) >> BatchNorm >> Relu >> Flatten >> Dense(2)",
    "Input(5) >> Dense(4, bias=false) >> BatchNorm(epsilon=0.01) >> Tanh >> Dense(2)",
    "Input(4x5) >> Dense(3) >> Flatten >> Dense(2)",
    "Input(4x5) >> Tanh(6) >> Gelu(3, bias=false) >> Flatten >> Dense(2)",
    "Input(4x5) >> Softmax(3) >> PRelu(4) >> Flatten >> Dense(2)",
    "Input(4x5) >> Dense(5) >> (Identity | Gelu(7) >> Dense(5)) >> Add >> LayerNorm >> GRU(2)",
    "Input(4x5) >> frozen(Relu(6) >> LayerNorm) >> Dense(3) >> frozen(Tanh(4)) >> Flatten >> Dense(2)",
    "Input(4x5) >> Dense(6) >> Attention(2) >> Flatten >> Dense(2)",
    "Input(4x5) >> Dense(6) >> Attention(3, causal=true, bias=false) >> Flatten >> Dense(2)",
    "Input(4x5) >> Dense(6) >> (Identity | LayerNorm >> Attention(2)) >> Add >> Flatten >> Dense(2)",
    "Input(4x5) >> (Dense(6) | Dense(3) >> Tanh) >> Attention(2) >> Flatten >> Dense(2)",
    "Input(4x5) >> (Dense(6) | Dense(4) | Flatten >> Slice(3, 7) >> Relu) >> Attention(2) >> Flatten >> Dense(2)",
    "Input(4x5) >> (Dense(6) | Dense(4) | Slice(0, 4) >> Relu) >> Attention(2) >> Flatten >> Dense(2)",
    "Input(4x5) >> Dense(4) >> frozen(Attention(2, dropout=0.5)) >> Dense(3) >> Flatten >> Dense(2)",
    "Input(4x5) >> Dense(4) >> ClassToken(0.5) >> PositionEmbedding >> Tanh >> Flatten >> Dense(2)",
    "Input(4x5) >> PositionEmbedding(0.1) >> ClassToken(Normal(std=1)) >> Attention(5) >> Flatten >> Slice(0, 5) >> Dense(2)",
    "Input(6) >> Dense(7) >> LayerNorm(epsilon=0.01) >> Tanh >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 6) >> LayerNorm >> Relu >> Flatten >> Dense(2)",
    "Input(4) >> Embedding(5, 3) >> Flatten >> Dense(2)",
    "Input(4x5) >> LSTM(3) >> Dense(2)",
    "Input(4x5) >> LSTM(3, only_return_final=false) >> Flatten >> Dense(2)",
    "Input(4x5) >> LSTM(3, backwards=true, cell_init=0.5, hidden_init=-0.3, learn_init=true) >> Dense(2)",
    "Input(4x5) >> LSTM(3, peepholes=true, cell_init=0.5, learn_init=true) >> Dense(2)",
    "Input(4x5) >> LSTM(4, peepholes=true, backwards=true, only_return_final=false) >> LSTM(3, peepholes=true) >> Dense(2)",
    "Input(4x5) >> LSTM(3, gradient_clipping=100) >> Dense(2)",
    "Input(4x5) >> GRU(3) >> Dense(2)",
    "Input(4x5) >> GRU(3, only_return_final=false, hidden_init=0.4, learn_init=true) >> Flatten >> Dense(2)",
    "Input(4x5) >> GRU(4, backwards=true, only_return_final=false) >> GRU(3, backwards=true) >> Dense(2)",
    "Input(4x5) >> GRU(3, gradient_clipping=100) >> Dense(2)",
    "Input(4x5) >> GRU(3, reset_after=true, biases=0.2) >> Dense(2)",
    "Input(4x5) >> GRU(3, reset_after=true, backwards=true, only_return_final=false, hidden_init=0.4, learn_init=true) >> Flatten >> Dense(2)",
    "Input(1x5) >> GRU(2) >> Dense(2)",
    "Input(6) >> Embedding(5, 4) >> LSTM(3, only_return_final=false) >> GRU(3) >> Dense(2)",
    "Input(5) >> Dense(12) >> Reshape(3x4) >> frozen(LSTM(3, only_return_final=false) >> GRU(2)) >> Dense(2)",
    "Input(6) >> { share f = Dense(3) >> Tanh  (Slice(0, 3) >> f | Slice(3, 6) >> f) >> Add } >> Dense(2)",
    "Input(4) >> { share f = Dense(4) >> Tanh  f >> Relu(5) >> Dense(4) >> f >> f } >> Dense(2)",
    "Input(5) >> frozen(Dense(4) >> Tanh) >> Dense(3) >> Tanh",
    "Input(5) >> Dense(4) >> frozen(Relu(6) >> Dense(5)) >> Tanh >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> frozen(Conv(3x3, 4, padding=same) >> BatchNorm >> Tanh) >> Flatten >> Dense(2)",
    "Input(4x5x3) >> Conv(1x1, 4) >> frozen(BatchNorm >> Relu) >> Flatten >> Dense(2)",
];

/// Runs two updates compiled and by the f64 reference of the step's graph. Compares the losses, and all parameters, running
/// statistics and slots. Returns the worst error, relative to the largest change of each tensor.
fn step_error(net: &str, settings: &Settings, weights: Option<&[f32]>) -> f64 {
    let case = Case::new(net, settings.outputs[0].loss);
    let trainable = case.compile_with(settings);
    let graph = differentiate(&case.graph, settings).unwrap_or_else(|error| panic!("{net}: {error:?}")).step;
    graph.verify().unwrap_or_else(|error| panic!("{net}: {error}\n{graph}"));
    for node in &graph.nodes {
        if let Some(operation) = node.operation.as_any().downcast_ref::<LoweredOp>() {
            assert!(operation.has_reference(), "{net}: `{}` has no reference: {operation:?}", node.name);
        }
    }
    let mut inputs = case.inputs.clone();
    inputs.push(case.targets.clone());
    inputs.extend(weights.map(|weights| {
        ArrayD::from_shape_vec(IxDyn(&[BATCH, weights.len() / BATCH]), weights.iter().map(|&x| f64::from(x)).collect())
            .unwrap()
    }));
    let initial = |(index, parameter): (usize, &netc::graph::Parameter)| {
        let values = match parameter.initializer {
            _ if index < case.graph.parameters.len() => case.values(ParameterId(index)),
            Initializer::Constant(value) => vec![value as f32; parameter.len()],
            other => panic!("{other:?}"),
        };
        let values = values.into_iter().map(f64::from).collect();
        ArrayD::from_shape_vec(IxDyn(&parameter.shape), values).unwrap()
    };
    let mut parameters: Vec<ArrayD<f64>> = graph.parameters.iter().enumerate().map(initial).collect();
    let before = parameters.clone();
    let mut state = trainable.start.floats().to_vec();
    let mut session = Session::new(trainable.step.clone(), 2);
    let floats: Vec<Vec<f32>> = inputs.iter().map(|input| input.iter().map(|&value| value as f32).collect()).collect();
    let floats: Vec<&[f32]> = floats.iter().map(Vec::as_slice).collect();
    let mut worst: f64 = 0.0;
    // Where gradients are accumulated, two batches make an update, of which the first has a quarter of the samples.
    let batches = if settings.accumulated { 4 } else { 2 };
    for batch in 0..batches {
        let update = if settings.accumulated { batch / 2 } else { batch };
        let accumulation = if batch % 2 == 0 { [0.25, 1.0, 0.0] } else { [0.75, 0.0, 1.0] };
        let mut scalars = vec![("rate", vec![0.125]), ("update", vec![f32::from_bits(update)])];
        if settings.accumulated {
            scalars.extend([("batch", vec![f32::from_bits(batch)]), ("accumulation", accumulation.to_vec())]);
        }
        for (role, values) in scalars {
            let path = format!("optimizer/{role}");
            // Without random numbers, nothing reads the count of batches.
            let Some(scalar) = trainable.layout.find(&path) else {
                assert_eq!(role, "batch");
                continue;
            };
            let offset = scalar.offset;
            state[offset..offset + values.len()].copy_from_slice(&values);
            let index = graph.parameters.iter().position(|parameter| parameter.path() == path).unwrap();
            parameters[index].iter_mut().zip(values).for_each(|(to, value)| *to = f64::from(value));
        }
        let (mut loss, mut prediction, mut penalty) = ([0.0], vec![0.0; case.targets.len()], [0.0]);
        let mut outputs: Vec<&mut [f32]> = vec![&mut loss, &mut prediction];
        if trainable.penalized {
            outputs.push(&mut penalty);
        }
        session.run_with(BATCH, &floats, &mut outputs, &mut state).unwrap();
        let expected = reference::evaluate_step(&graph, &inputs, &mut parameters);
        let scalar = |array: &ArrayD<f64>| array.iter().copied().next().unwrap();
        let mut error = (f64::from(loss[0]) - scalar(&expected[0])).abs() / scalar(&expected[0]).abs().max(1e-3);
        if trainable.penalized {
            error =
                error.max((f64::from(penalty[0]) - scalar(&expected[2])).abs() / scalar(&expected[2]).abs().max(1e-3));
        }
        worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
    }
    let mut compared = 0;
    for ((parameter, before), expected) in graph.parameters.iter().zip(&before).zip(&parameters) {
        let Some(tensor) = trainable.layout.find(&parameter.path()) else { continue };
        let change = before.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(1e-3, f64::max);
        for (found, expected) in state[tensor.offset..][..tensor.len].iter().zip(expected) {
            let error = ((f64::from(*found) - expected).abs() - 4e-7 * expected.abs()).max(0.0) / change;
            worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
        }
        compared += 1;
    }
    assert!(compared > 2, "{net}: nothing is trained");
    worst
}

/// The maximum of [`step_error`].
const STEP_TOLERANCE: f64 = 2e-4;

#[test]
fn training_steps_are_those_of_the_reference() {
    let mut failed = Vec::new();
    for net in NETS {
        let worst = step_error(net, &plain(Loss::Mse), None);
        if worst > STEP_TOLERANCE {
            failed.push(format!("{worst:.1e} {net}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn losses_are_those_of_the_reference() {
    for (loss, net) in LOSSES {
        let worst = step_error(net, &plain(*loss), None);
        assert!(worst <= STEP_TOLERANCE, "{} of {net}: {worst:.1e}", loss.name());
        let pixels = if net.starts_with("Input(3x4x2)") { 12 } else { 1 };
        let weights: Vec<f32> = noise(BATCH * pixels, 3).iter().map(|weight| weight + 1.5).collect();
        if loss.is_whole() && pixels > 1 {
            continue;
        }
        let mut settings = plain(*loss);
        settings.outputs[0].weighted = true;
        let worst = step_error(net, &settings, Some(&weights));
        assert!(worst <= STEP_TOLERANCE, "weighted {} of {net}: {worst:.1e}", loss.name());
    }
}

#[test]
fn updates_are_those_of_the_reference() {
    let rules = [
        UpdateRule::GradientDescent,
        UpdateRule::Momentum { momentum: 0.9, nesterov: false },
        UpdateRule::Momentum { momentum: 0.9, nesterov: true },
        UpdateRule::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-3 },
        UpdateRule::AdamW { beta1: 0.9, beta2: 0.99, epsilon: 1e-3, decay: 0.1 },
        UpdateRule::Adamax { beta1: 0.9, beta2: 0.99, epsilon: 1e-3 },
        UpdateRule::Adagrad,
        UpdateRule::Adadelta { decay: 0.95, epsilon: 1e-3 },
        UpdateRule::RmsProp { decay: 0.95, momentum: 0.0, epsilon: 1e-3, centered: false },
        UpdateRule::RmsProp { decay: 0.95, momentum: 0.5, epsilon: 1e-3, centered: true },
    ];
    let penalties = [None, Some(Regularizer::L1(0.01)), Some(Regularizer::L2(0.01)), Some(Regularizer::MaxNorm(0.1))];
    let net = "Input(5) >> Dense(6) >> Tanh >> Dense(3)";
    for rule in rules {
        for penalty in penalties {
            for (clip, norm) in [(None, None), (Some(0.05), None), (None, Some(0.1))] {
                let penalty = penalty.map(|penalty| (penalty, vec!["bias".to_string()]));
                let settings = Settings { rule, penalty, clip, norm, ..plain(Loss::Mse) };
                let worst = step_error(net, &settings, None);
                assert!(worst <= STEP_TOLERANCE, "{worst:.1e}: {settings:?}");
            }
        }
    }
}

/// Rates by layer, accumulated gradients and averages, alone and together, with clipping and penalties.
#[test]
fn updates_with_rates_accumulation_and_averages_are_those_of_the_reference() {
    let net = "Input(5) >> Dense(6) as a >> Tanh >> Dense(3) as b";
    let rates = vec![("a".to_string(), 0.25), ("b".to_string(), 2.0)];
    for rule in [
        UpdateRule::GradientDescent,
        UpdateRule::Momentum { momentum: 0.9, nesterov: false },
        UpdateRule::AdamW { beta1: 0.9, beta2: 0.99, epsilon: 1e-3, decay: 0.1 },
    ] {
        for (clip, norm, penalty) in [(None, None, None), (Some(0.05), Some(0.1), Some(Regularizer::L2(0.01)))] {
            for (rates, accumulated, average) in [
                (rates.clone(), false, None),
                (Vec::new(), true, None),
                (Vec::new(), false, Some(0.75)),
                (rates.clone(), true, Some(0.75)),
            ] {
                let penalty = penalty.map(|penalty| (penalty, vec!["bias".to_string()]));
                let settings = Settings { penalty, clip, norm, rates, accumulated, average, ..plain(Loss::Mse) };
                let settings = Settings { rule, ..settings };
                let worst = step_error(net, &settings, None);
                assert!(worst <= STEP_TOLERANCE, "{worst:.1e}: {settings:?}");
            }
        }
    }
}

/// The gradient of a sum of losses is the sum of their gradients, each with its factor: two outputs that share a layer.
#[test]
fn losses_of_several_outputs_add() {
    let net = "Input(5) >> Tanh(6) as shared >> (Softmax(4) as species | Dense(3) as box)";
    let spec = load(net, &|path| std::fs::read(path)).unwrap_or_else(|_| panic!("{net}"));
    let (graph, _) = graph(&spec, None).unwrap_or_else(|errors| panic!("{net}: {errors:?}"));
    let (bindings, _) = bind(&graph, &[]).unwrap();
    let values = Values { graph: &graph, bindings: &bindings };
    let x = noise(BATCH * 5, 7);
    let species: Vec<f32> = (0..BATCH * 4).map(|at| f32::from(at % 4 == at / 4)).collect();
    let places = noise(BATCH * 3, 9);
    let step = |factors: [f32; 2]| {
        let mut settings = Settings::new(UpdateRule::GradientDescent, &[Loss::CategoricalCrossentropy, Loss::Mse], 5);
        settings.outputs.iter_mut().zip(factors).for_each(|(output, factor)| output.factor = factor);
        let trainable = compile(&graph, &settings, BATCH, &values).unwrap_or_else(|errors| panic!("{errors:?}"));
        let mut state = trainable.start.floats().to_vec();
        state[trainable.layout.find("optimizer/rate").expect("a rate").offset] = 1.0;
        let (mut a, mut b) = ([0.0], [0.0]);
        let (mut first, mut second) = (vec![0.0; BATCH * 4], vec![0.0; BATCH * 3]);
        let mut session = Session::new(trainable.step.clone(), 2);
        session
            .run_with(BATCH, &[&x, &species, &places], &mut [&mut a, &mut b, &mut first, &mut second], &mut state)
            .unwrap();
        let moved = |path: &str| -> Vec<f64> {
            let tensor = trainable.layout.find(path).expect("a parameter");
            let range = tensor.offset..tensor.offset + tensor.len;
            let before = &trainable.start.floats()[range.clone()];
            before.iter().zip(&state[range]).map(|(before, after)| f64::from(before - after)).collect()
        };
        ([a[0], b[0]], moved("shared/weight"), moved("species/weight"), moved("box/weight"))
    };
    // A factor of 0 leaves one loss alone.
    let (alone, species_alone, box_alone) = (step([1.0, 0.0]), step([1.0, 0.0]).2, step([0.0, 1.0]).3);
    let (both, other) = (step([1.0, 0.5]), step([0.0, 1.0]));
    assert_eq!(both.0, alone.0, "the losses are reported without their factors");
    let close = |found: &[f64], expected: Vec<f64>| {
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} for {expected:?}");
        assert!(expected.iter().any(|value| value.abs() > 1e-3));
    };
    close(&both.1, alone.1.iter().zip(&other.1).map(|(a, b)| a + 0.5 * b).collect());
    close(&both.2, species_alone);
    close(&both.3, box_alone.iter().map(|value| 0.5 * value).collect());
}

#[test]
fn gradients_are_those_of_the_reference() {
    let mut failed = Vec::new();
    for net in NETS {
        let worst = check(net, Loss::Mse);
        if worst.is_nan() || worst > 2e-3 {
            failed.push(format!("{worst:.1e} {net}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Nets with the output that a loss expects.
const LOSSES: &[(Loss, &str)] = &[
    (Loss::CategoricalCrossentropy, "Input(5) >> Tanh(6) >> Softmax(4)"),
    (Loss::CategoricalCrossentropy, "Input(5) >> Tanh(6) >> Softmax(4) >> Normalize"),
    (Loss::CategoricalCrossentropy, "Input(3x4x2) >> Conv(1x1, 3) >> Softmax"),
    (Loss::BinaryCrossentropy, "Input(5) >> Tanh(6) >> Sigmoid(3)"),
    (Loss::BinaryCrossentropy, "Input(5) >> Tanh(6) >> HardSigmoid(3)"),
    (Loss::Mae, "Input(5) >> Tanh(6) >> Dense(4)"),
    (Loss::Rmse, "Input(5) >> Tanh(6) >> Dense(4)"),
    (Loss::Msle, "Input(5) >> Tanh(6) >> Sigmoid(4)"),
    (Loss::Rmsle, "Input(5) >> Tanh(6) >> Sigmoid(4)"),
    (Loss::BinaryHinge, "Input(5) >> Tanh(6) >> Tanh(4)"),
    (Loss::CategoricalHinge, "Input(5) >> Tanh(6) >> Softmax(4)"),
    (Loss::Huber { delta: 0.5 }, "Input(5) >> Tanh(6) >> Dense(4)"),
    (Loss::CategoricalFocal { gamma: 2.0, alpha: 0.25 }, "Input(5) >> Tanh(6) >> Softmax(4)"),
    (Loss::CategoricalFocal { gamma: 0.5, alpha: 0.75 }, "Input(3x4x2) >> Conv(1x1, 3) >> Softmax"),
    (Loss::BinaryFocal { gamma: 2.0, alpha: 0.25 }, "Input(5) >> Tanh(6) >> Sigmoid(3)"),
    (Loss::KlDivergence, "Input(5) >> Tanh(6) >> Softmax(4)"),
    (Loss::KlDivergence, "Input(5) >> Tanh(6) >> Softmax(4) >> Normalize"),
    (Loss::Cosine, "Input(5) >> Tanh(6) >> Dense(4)"),
    (Loss::Cosine, "Input(3x4x2) >> Conv(1x1, 3)"),
    (Loss::Dice { smooth: 1.0 }, "Input(5) >> Tanh(6) >> Sigmoid(3)"),
    (Loss::Dice { smooth: 1e-7 }, "Input(3x4x2) >> Conv(1x1, 3) >> Softmax"),
    (Loss::Contrastive { margin: 1.0 }, "Input(5) >> Tanh(6) >> Sigmoid(3)"),
    (Loss::Triplet { margin: 2.0 }, "Input(5) >> Tanh(6) >> Dense(6)"),
];

#[test]
fn losses_have_the_gradients_of_their_definitions() {
    for (loss, net) in LOSSES {
        let worst = check(net, *loss);
        assert!(worst < 2e-3, "{} of {net}: {worst:.1e}", loss.name());
    }
}

/// A run of the real NeuPy 0.8.2, update by update: losses and final parameters.
#[test]
fn momentum_follows_neupy() {
    for (name, loss) in [("mse", Loss::Mse), ("categorical_crossentropy", Loss::CategoricalCrossentropy)] {
        let file =
            std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/neupy_momentum/{name}.npz"));
        let read = |array: &str| -> Vec<f32> {
            netc::data::arrays::array_file::read_npz(&file, array).expect("a fixture").iter().copied().collect()
        };
        let (x, y, errors) = (read("X"), read("Y"), read("errors"));
        let case = Case::new("Input(6) >> Softmax(3)", loss);
        let settings = Settings::new(UpdateRule::Momentum { momentum: 0.9, nesterov: false }, &[loss], 0);
        let values = Values { graph: &case.graph, bindings: &case.bindings };
        let trainable = compile(&case.graph, &settings, 16, &values).expect("a plan");
        let mut state = trainable.start.floats().to_vec();
        let place =
            |path: &str| trainable.layout.find(path).map(|tensor| tensor.offset..tensor.offset + tensor.len).unwrap();
        state[place("softmax-1/weight")].copy_from_slice(&read("W0"));
        state[place("softmax-1/bias")].copy_from_slice(&read("b0"));
        let mut session = Session::new(trainable.step.clone(), 2);
        for (update, expected) in errors.iter().enumerate() {
            state[place("optimizer/rate")][0] = 0.1;
            state[place("optimizer/update")][0] = f32::from_bits(update as u32);
            let begin = update % 3 * 16;
            let (x, y) = (&x[begin * 6..(begin + 16) * 6], &y[begin * 3..(begin + 16) * 3]);
            let (mut found, mut prediction) = ([0.0], vec![0.0; 48]);
            session.run_with(16, &[x, y], &mut [&mut found, &mut prediction], &mut state).expect("a step");
            assert!((found[0] - expected).abs() < 2e-6, "{name}: update {update}: {} for {expected}", found[0]);
        }
        for (path, expected) in [("softmax-1/weight", read("W")), ("softmax-1/bias", read("b"))] {
            for (found, expected) in state[place(path)].iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5, "{name}: {path}: {found} for {expected}");
            }
        }
    }
}

#[test]
fn large_weights_are_read_as_they_stand() {
    let case = Case::new("Input(1100) >> Relu(1000) >> Dense(64)", Loss::Mse);
    let trainable = case.compile(Loss::Mse);
    let dense = trainable.step.manifest.plan.steps.iter().filter_map(|step| match &step.kernel {
        Kernel::Dense(dense) => Some((dense.inputs, dense.weights == Storage::Raw)),
        _ => None,
    });
    assert_eq!(dense.collect::<Vec<_>>(), [(1100, true), (1000, false)]);
    let (step_loss, _) = case.step(&trainable, 2);
    let expected = case.loss(Loss::Mse, &mut |id| case.values(id));
    assert!((f64::from(step_loss) - expected).abs() < 1e-4 * expected, "loss {step_loss} for {expected}");
}
