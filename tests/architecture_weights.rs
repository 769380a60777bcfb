//! Shipped architectures with weights as torchvision, timm and transformers name them: they give what PyTorch computes in float64, at
//! inference and in a training step. The step's graph gives PyTorch's gradients in float64; compiled, it is float32, and what rounding
//! does to a gradient depends on the net. `tests/data/architecture_weights/make.py` wrote the tables.

mod difference;

use difference::difference;
use ndarray::{ArrayD, IxDyn};
use netc::compile::{BuildOptions, Values, build, graph};
use netc::diagnostics::render;
use netc::elaborate::Spec;
use netc::elaborate::load_text;
use netc::elaborate::project::source_files::from_disk;
use netc::graph::{Graph, Initializer, Parameter, ParameterId, reference};
use netc::kernels::training::loss::Loss;
use netc::kernels::training::optimizer::UpdateRule;
use netc::plan::Constant;
use netc::runtime::Session;
use netc::train::autodiff::training_plans::compile;
use netc::train::autodiff::{Settings, differentiate};
use netc::weights::bind::{Bindings, bind};
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

/// A parameter of PyTorch's: the norm of its gradient, the largest value of it, and values at equal distances.
struct Tensor {
    name: String,
    shape: Vec<usize>,
    gradient: Option<(f64, f64, Vec<f64>)>,
}

/// What PyTorch computes.
struct Reference {
    /// About that of the running variances of batch normalisations.
    variance: f64,
    /// How far rounding moves gradients.
    rounding: f64,
    loss: f64,
    /// The shape of each output, and values at equal distances.
    outputs: Vec<(Vec<usize>, Vec<f64>)>,
    tensors: Vec<Tensor>,
}

fn sizes(text: &str) -> Vec<usize> {
    text.split('x').map(|size| size.parse().expect("a size")).collect()
}

impl Tensor {
    fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Reference {
    fn read(name: &str) -> Self {
        let path = format!("{}/tests/data/architecture_weights/{name}.tsv", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("a table");
        let numbers =
            |texts: &[&str]| -> Vec<f64> { texts.iter().map(|text| text.parse().expect("a number")).collect() };
        let mut rows = text.lines().map(|line| line.split('\t').collect::<Vec<_>>()).peekable();
        let mut setting = |name| {
            let row = rows.next().expect("a setting");
            assert_eq!(row[0], name);
            numbers(&row[1..])[0]
        };
        let (variance, rounding, loss) = (setting("variance"), setting("rounding"), setting("loss"));
        let mut outputs = Vec::new();
        while let Some(row) = rows.next_if(|row| row[0] == "output") {
            outputs.push((sizes(row[1]), numbers(&row[2..])));
        }
        let tensors = rows.map(|row| {
            let gradient = match &numbers(&row[2..])[..] {
                [norm, largest, samples @ ..] => Some((*norm, *largest, samples.to_vec())),
                _ => None,
            };
            Tensor { name: row[0].into(), shape: sizes(row[1]), gradient }
        });
        let tensors = tensors.collect();
        Reference { variance, rounding, loss, outputs, tensors }
    }

    fn batch(&self) -> usize {
        self.outputs[0].0[0]
    }

    /// Writes what `values` says of the index and the name and shape of each tensor.
    fn write(&self, path: &Path, values: impl Fn(usize, &Tensor) -> Vec<f32>) {
        let bytes: Vec<Vec<u8>> = self
            .tensors
            .iter()
            .enumerate()
            .map(|(at, tensor)| bytemuck::cast_slice(&values(at, tensor)).to_vec())
            .collect();
        let views = self.tensors.iter().zip(&bytes).map(|(tensor, bytes)| {
            (tensor.name.as_str(), TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).expect("a tensor"))
        });
        serialize_to_file(views, None, path).expect("weights");
    }

    /// The weights of the script.
    fn weights(&self, tensor: &Tensor) -> Vec<f32> {
        let name = &tensor.name;
        let fan_in: usize = tensor.shape[1..].iter().product();
        let value = |x: f64| match tensor.shape.len() {
            _ if name.ends_with("running_var") => self.variance * (1.0 + x / 2.0),
            1 => x / 8.0 + if name.ends_with("weight") { 1.0 } else { 0.0 },
            _ => x * (3.0 / fan_in as f64).sqrt(),
        };
        noise(name, tensor.len()).into_iter().map(|x| value(x) as f32).collect()
    }
}

/// Numbers from -1 to 1, each a multiple of 2^-23: a hash of its index, seeded by the hash of a name.
fn noise(name: &str, len: usize) -> Vec<f64> {
    let seed = name.bytes().fold(2_166_136_261_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
    let number = |at: usize| {
        let mut x = (at as u32).wrapping_mul(0x9E37_79B9).wrapping_add(seed);
        for (shift, factor) in [(16, 0x85EB_CA6B), (13, 0xC2B2_AE35)] {
            x = (x ^ (x >> shift)).wrapping_mul(factor);
        }
        f64::from((x ^ (x >> 16)) >> 8) / f64::from(1 << 23) - 1.0
    };
    (0..len).map(number).collect()
}

/// Noise over squares of 8 x 8 pixels, and finer noise: (n, size, size, 3).
fn photos(batch: usize, size: usize) -> Vec<f32> {
    let squares = noise("squares", batch * (size / 8).pow(2) * 3);
    let square = |at: usize| {
        let (channel, column, row, image) = (at % 3, at / 3 % size, at / 3 / size % size, at / 3 / size / size);
        ((image * (size / 8) + row / 8) * (size / 8) + column / 8) * 3 + channel
    };
    let fine = noise("x0", batch * size * size * 3);
    fine.iter().enumerate().map(|(at, fine)| (squares[square(at)] + fine / 2.0) as f32).collect()
}

/// Integers from 0 up to `below`.
fn integers(name: &str, len: usize, below: f64) -> Vec<f32> {
    noise(name, len).into_iter().map(|x| ((x + 1.0) / 2.0 * below).floor() as f32).collect()
}

/// The inputs of an architecture for the batch of its reference.
fn inputs(name: &str, graph: &Graph, batch: usize) -> Vec<Vec<f32>> {
    let sizes: Vec<Vec<usize>> =
        graph.inputs().iter().map(|&id| graph.node(id).output.known().expect("sizes")).collect();
    match (name, &sizes[0][..]) {
        ("bert_tiny", _) => {
            let mask = vec![1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0];
            vec![integers("x0", 12, 200.0), mask, integers("x2", 12, 2.0)]
        }
        ("bigru_text", [steps]) => vec![integers("x0", batch * steps, 30.0)],
        (_, &[height, _, 3]) => vec![photos(batch, height)],
        (_, sizes) => vec![floats(noise("x0", batch * sizes.iter().product::<usize>()))],
    }
}

fn floats(values: Vec<f64>) -> Vec<f32> {
    values.into_iter().map(|value| value as f32).collect()
}

/// The spec of an architecture that is bound to a file of weights.
fn spec(name: &str, arguments: &str, weights: &Path) -> Spec {
    let file = weights.file_name().and_then(|name| name.to_str()).expect("a name");
    let text = format!("net model = {name}({arguments})\nweights {name} = \"{file}\"\n");
    load_text(&weights.with_file_name("model.net"), &text, &from_disk)
}

/// A graph and its weights.
fn bound(spec: &Spec) -> (Graph, Bindings) {
    let said = |errors| -> String { render::text(&errors, &spec.sources, false) };
    let (graph, _) = graph(spec, None).unwrap_or_else(|errors| panic!("{}", said(errors)));
    let requests = spec.weights(&graph, &BTreeMap::new(), &BTreeMap::new()).expect("weights");
    let (bindings, _) = bind(&graph, &requests).unwrap_or_else(|errors| panic!("{}", said(errors)));
    assert_eq!(bindings.report.untrained, 0);
    (graph, bindings)
}

/// Compares all outputs of a net at inference: the largest difference in terms of the largest value.
fn check_outputs(name: &str, spec: &Spec, reference: &Reference) {
    let (build, _) = build(spec, &BuildOptions::default())
        .unwrap_or_else(|errors| panic!("{name}\n{}", render::text(&errors, &spec.sources, false)));
    let artifact = Arc::new(build.in_memory().expect("an artifact"));
    let inputs = inputs(name, &build.graph, reference.batch());
    let given: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut found: Vec<Vec<f32>> =
        reference.outputs.iter().map(|(shape, _)| vec![f32::NAN; shape.iter().product()]).collect();
    let mut views: Vec<&mut [f32]> = found.iter_mut().map(Vec::as_mut_slice).collect();
    Session::new(artifact, 2).run(reference.batch(), &given, &mut views).expect("a run");
    for (found, (_, expected)) in found.iter().zip(&reference.outputs) {
        let found = found.iter().step_by((found.len() / 200).max(1));
        let largest = expected.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        let differences = found.zip(expected).map(|(&a, b)| (f64::from(a) - b).abs());
        let worst = differences.fold(0.0, |worst: f64, x| if x.is_nan() { f64::NAN } else { worst.max(x) });
        println!("{name}: outputs off by {:.1e}", worst / largest);
        assert!(worst < 1e-5 * largest, "{name}: off by {worst:e} of {largest}");
    }
}

/// One-hot rows of the classes that the script gives: that of a sample (a pixel) at n is n * 3.
fn classes(len: usize, classes: usize) -> Vec<f32> {
    let mut rows = vec![0.0; len];
    rows.chunks_exact_mut(classes).enumerate().for_each(|(at, row)| row[at * 3 % classes] = 1.0);
    rows
}

/// The rate of the compiled step. It is large, so that little of a gradient is lost beside the parameter that it changes.
const RATE: f32 = 1024.0;

/// What a step of gradient descent does: the sum of the losses, and the gradient of each parameter.
type Step = (f64, HashMap<String, Vec<f64>>);

/// The inputs and the targets of a step with the loss of the script.
fn samples(name: &str, reference: &Reference, graph: &Graph, loss: Loss) -> Vec<Vec<f32>> {
    let mut given = inputs(name, graph, reference.batch());
    for (at, (shape, _)) in reference.outputs.iter().enumerate() {
        let len = shape.iter().product();
        given.push(match loss {
            Loss::Mse => floats(noise(&format!("target{at}"), len)),
            _ => classes(len, shape[shape.len() - 1]),
        });
    }
    given
}

/// The compiled step.
fn compiled(reference: &Reference, net: &Graph, bindings: &Bindings, settings: &Settings, given: &[Vec<f32>]) -> Step {
    let values = Values { graph: net, bindings };
    let trainable = compile(net, settings, reference.batch(), &values).unwrap_or_else(|errors| panic!("{errors:?}"));
    let mut state = trainable.start.floats().to_vec();
    state[trainable.layout.find("optimizer/rate").expect("a rate").offset] = RATE;
    let given: Vec<&[f32]> = given.iter().map(Vec::as_slice).collect();
    let mut outputs = vec![vec![f32::NAN]; reference.outputs.len()];
    outputs.extend(reference.outputs.iter().map(|(shape, _)| vec![f32::NAN; shape.iter().product()]));
    let mut views: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    Session::new(trainable.step.clone(), 2)
        .run_with(reference.batch(), &given, &mut views, &mut state)
        .expect("a step");
    let start = trainable.start.floats();
    let gradient = |tensor: &Constant| {
        let places = tensor.offset..tensor.offset + tensor.len;
        places.map(|at| (f64::from(start[at]) - f64::from(state[at])) / f64::from(RATE)).collect()
    };
    let gradients = trainable.layout.tensors.iter().map(|tensor| (tensor.name.clone(), gradient(tensor)));
    (outputs[..reference.outputs.len()].iter().map(|loss| f64::from(loss[0])).sum(), gradients.collect())
}

/// The same in f64 by the graph of the step.
fn exact(reference: &Reference, net: &Graph, bindings: &Bindings, settings: &Settings, given: &[Vec<f32>]) -> Step {
    let graph = differentiate(net, settings).expect("a step").step;
    let initial = |(index, parameter): (usize, &Parameter)| {
        let values = match parameter.initializer {
            _ if index < net.parameters.len() => bindings.read(net, ParameterId(index)).expect("a parameter"),
            Initializer::Constant(value) => vec![value as f32; parameter.len()],
            other => panic!("{other:?}"),
        };
        let value = |value| if parameter.path() == "optimizer/rate" { 1.0 } else { f64::from(value) };
        array(&parameter.shape, values.into_iter().map(value).collect())
    };
    let mut parameters: Vec<ArrayD<f64>> = graph.parameters.iter().enumerate().map(initial).collect();
    let start = parameters.clone();
    let given: Vec<ArrayD<f64>> = (graph.inputs().iter().zip(given))
        .map(|(&id, values)| {
            let shape = [&[reference.batch()], &graph.node(id).output.known().expect("sizes")[..]].concat();
            array(&shape, values.iter().map(|&value| f64::from(value)).collect())
        })
        .collect();
    let outputs = reference::evaluate_step(&graph, &given, &mut parameters);
    let change = |(start, after): (&ArrayD<f64>, &ArrayD<f64>)| (start - after).into_iter().collect();
    let changes = start.iter().zip(&parameters).map(change);
    let gradients = graph.parameters.iter().map(Parameter::path).zip(changes).collect();
    (outputs[..reference.outputs.len()].iter().map(|loss| loss.sum()).sum(), gradients)
}

fn array(shape: &[usize], values: Vec<f64>) -> ArrayD<f64> {
    ArrayD::from_shape_vec(IxDyn(shape), values).expect("an array")
}

/// Where a parameter's values are in PyTorch's tensors: the tensor and the place, and whether netc has the negated value.
type Places = HashMap<String, Vec<(usize, usize, f64)>>;

/// Binds files whose values say of which tensor they are, and at which place.
fn places(name: &str, arguments: &str, folder: &Path, reference: &Reference) -> Places {
    let bindings = |file: &str, values: &dyn Fn(usize, usize) -> usize| {
        let path = folder.join(file);
        reference.write(&path, |at, tensor| (0..tensor.len()).map(|place| 1.0 + values(at, place) as f32).collect());
        bound(&spec(name, arguments, &path))
    };
    let ((graph, tensors), (_, places)) =
        (bindings("tensors.safetensors", &|at, _| at), bindings("places.safetensors", &|_, place| place));
    let trained = graph.parameters.iter().enumerate().filter(|(_, parameter)| parameter.trainable);
    let of = |(index, parameter): (usize, &Parameter)| {
        let read = |bindings: &Bindings| bindings.read(&graph, ParameterId(index)).expect("a parameter");
        let pairs = read(&tensors).into_iter().zip(read(&places));
        let place = |(tensor, place): (f32, f32)| {
            (tensor.abs() as usize - 1, place.abs() as usize - 1, f64::from(place.signum()))
        };
        (parameter.path(), pairs.map(place).collect())
    };
    trained.map(of).collect()
}

/// The largest error of a step's gradients in terms of the largest gradient of each tensor, or of a thousandth of the largest of
/// all, and the tensor that has it.
fn error<'r>(reference: &'r Reference, places: &Places, gradients: &HashMap<String, Vec<f64>>) -> (f64, &'r str) {
    let mut found = HashMap::new();
    let mut squares = vec![0.0; reference.tensors.len()];
    for (path, places) in places {
        for (&(tensor, place, sign), gradient) in places.iter().zip(&gradients[path]) {
            squares[tensor] += gradient * gradient;
            assert!(found.insert((tensor, place), sign * gradient).is_none(), "{path}: twice");
        }
    }
    let known = || {
        reference.tensors.iter().enumerate().filter_map(|(at, tensor)| Some((at, tensor, tensor.gradient.as_ref()?)))
    };
    let least = known().map(|(_, _, (_, largest, _))| *largest).fold(0.0, f64::max) / 1e3;
    let mut worst = (0.0, "");
    for (at, tensor, (norm, largest, samples)) in known() {
        let distance = (tensor.len() / 6).max(1);
        // Rows of an embedding that the net does not take have no gradient.
        let found = (0..samples.len()).map(|sample| found.get(&(at, sample * distance)).copied().unwrap_or(0.0));
        let of_samples = difference(found, samples.iter().copied(), |_| largest.max(least));
        let of_norm = difference([squares[at].sqrt()], [*norm], |norm| norm.max(least));
        let error = of_samples.max(of_norm);
        if error > worst.0 {
            worst = (error, &tensor.name);
        }
    }
    worst
}

/// Compares the loss and the gradients of a step.
fn check_step(name: &str, arguments: &str, folder: &Path, spec: &Spec, reference: &Reference, loss: Loss) {
    let (graph, bindings) = bound(spec);
    let settings = Settings::new(UpdateRule::GradientDescent, &vec![loss; reference.outputs.len()], 5);
    let given = samples(name, reference, &graph, loss);
    let places = places(name, arguments, folder, reference);
    // Of f32 it is asked for 1e-4 where rounding allows it.
    let limits = [("f64", 1e-6), ("f32", f64::max(1e-4, 4.0 * reference.rounding))];
    for ((precision, limit), step) in limits.into_iter().zip([exact, compiled]) {
        let (loss, gradients) = step(reference, &graph, &bindings, &settings, &given);
        let (worst, tensor) = error(reference, &places, &gradients);
        println!(
            "{name}: loss {loss}, PyTorch's {}; gradients in {precision} off by {worst:.1e} ({tensor})",
            reference.loss
        );
        let of_loss = if precision == "f64" { limit } else { f64::max(1e-4, reference.rounding / 10.0) };
        assert!((loss - reference.loss).abs() < of_loss * reference.loss, "{name}: loss {loss}");
        assert!(worst < limit, "{name}: the gradient of {tensor} in {precision} is off by {worst:e}");
    }
}

fn check(name: &str, arguments: &str, loss: Loss) {
    let folder = tempfile::tempdir().expect("a folder");
    let weights = folder.path().join("weights.safetensors");
    let reference = Reference::read(name);
    reference.write(&weights, |_, tensor| reference.weights(tensor));
    let spec = spec(name, arguments, &weights);
    check_outputs(name, &spec, &reference);
    check_step(name, arguments, folder.path(), &spec, &reference, loss);
}

macro_rules! architectures {
    ($($name:ident: $arguments:literal, $loss:ident;)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name), $arguments, Loss::$loss);
        })*
    };
}

architectures! {
    efficientnet_b0: "10, size=64x64x3, dropout=0", CategoricalCrossentropy;
    mobilenet_v3_small: "10, size=64x64x3, dropout=0", CategoricalCrossentropy;
    mobilenet_v3_large: "10, size=64x64x3, dropout=0", CategoricalCrossentropy;
    resnext50: "10, size=32x32x3", CategoricalCrossentropy;
    convnext_tiny: "10, size=32x32x3", CategoricalCrossentropy;
    regnet_y_400mf: "10, size=32x32x3", CategoricalCrossentropy;
    shufflenet_v2: "10, size=64x64x3", CategoricalCrossentropy;
    deit_tiny: "10, size=64x64x3", CategoricalCrossentropy;
    deeplab_v3: "5, size=64x64x3, dropout=0", CategoricalCrossentropy;
    yolov3_tiny: "4, size=64x64x3", Mse;
    dcgan: "noise=20, width=8", Mse;
    bigru_text: "words=30, length=7, classes=2, features=5, units=6", CategoricalCrossentropy;
    bert_tiny: "steps=6, pieces=200, dropout=0", Mse;
}
