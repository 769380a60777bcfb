//! Single layers: documentation, shapes, and the f64 reference against the kernels and against NeuPy.

// Links the BLAS that the dense kernels call.
use ndarray::{ArrayD, IxDyn};
use ndarray_npy::NpzReader;
use netc::graph::{Arguments, Lowered, Lowering, Operation, Value, ValueKind};
use netc::h5;
use netc::kernels::parallel::thread_pool::ThreadPool;
use netc::kernels::tensor_view::{View, ViewMut};
use netc::plan::Kernel;
use netc::plan::epilogue::Epilogue;
use netc::plan::kernel_step::{Call, Inputs, KernelError};
use netc::source::{Sources, Span};
use netc::tensor::TensorType;
use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;

mod shape_layers;

const TOLERANCE: f64 = 1e-5;

fn span() -> Span {
    Span { file: Sources::default().add_text("test", ""), start: 0, end: 0 }
}

fn value(kind: ValueKind) -> Value {
    Value { kind, span: span() }
}

fn int(number: i64) -> Value {
    value(ValueKind::Int(number))
}

fn yes_no(truth: bool) -> Value {
    value(ValueKind::Bool(truth))
}

fn word(word: &str) -> Value {
    value(ValueKind::Word(word.into()))
}

fn sizes(list: &[i64]) -> Value {
    value(ValueKind::Sizes(list.iter().copied().map(Some).collect()))
}

fn list(numbers: &[i64]) -> Value {
    value(ValueKind::List(numbers.iter().copied().map(int).collect()))
}

type Given<'a> = Vec<(&'a str, Value)>;

/// Builds a layer from arguments; those without a name are positional.
fn build(layer: &str, given: Given<'_>) -> Result<Arc<dyn Operation>, String> {
    let definition = netc::ops::find(layer).ok_or(format!("there is no layer {layer}"))?;
    let named = |name: &str| (!name.is_empty()).then(|| (name.to_string(), span()));
    let given = given.into_iter().map(|(name, value)| (named(name), value)).collect();
    let arguments = Arguments::bind(definition.name, definition.arguments, given, span())
        .map_err(|errors| format!("{errors:?}"))?;
    (definition.build)(&arguments).map_err(|error| error.message.clone())
}

/// Numbers between -1 and 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn array(&mut self, shape: &[usize]) -> ArrayD<f32> {
        ArrayD::from_shape_fn(IxDyn(shape), |_| self.next())
    }
}

fn double(array: &ArrayD<f32>) -> ArrayD<f64> {
    array.mapv(f64::from)
}

/// The value in the gaps between pixels of the test tensors, which kernels must not change.
const GAP: f32 = 12345.0;

/// A tensor whose pixels and images have gaps between them.
struct Strided {
    data: Vec<f32>,
    pixels: usize,
    channels: usize,
    ld: usize,
    image: usize,
}

impl Strided {
    fn new(batch: usize, (pixels, channels): (usize, usize), gap: usize) -> Self {
        // Rows are dense by contract; there may be gaps between pixels.
        let ld = channels + if pixels > 1 { gap } else { 0 };
        let image = pixels * ld + gap;
        Strided { data: vec![GAP; batch * image], pixels, channels, ld, image }
    }

    fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let Strided { pixels, channels, ld, image, .. } = *self;
        let batch = self.data.len() / image;
        (0..batch).flat_map(move |n| {
            (0..pixels).flat_map(move |pixel| (0..channels).map(move |c| n * image + pixel * ld + c))
        })
    }

    fn fill(&mut self, values: impl Iterator<Item = f32>) {
        for (place, value) in self.places().zip(values) {
            self.data[place] = value;
        }
    }

    fn values(&self) -> Vec<f32> {
        self.places().map(|place| self.data[place]).collect()
    }

    fn gaps_are_untouched(&self) -> bool {
        let used: HashSet<usize> = self.places().collect();
        self.data.iter().enumerate().all(|(place, value)| used.contains(&place) || *value == GAP)
    }
}

/// Runs a kernel on one input as a plan would.
fn run(
    kernel: &Kernel,
    x: &ArrayD<f32>,
    parameters: &[ArrayD<f32>],
    in_place: bool,
    gap: usize,
) -> Result<Vec<f32>, KernelError> {
    let batch = x.shape()[0];
    let sizes = kernel.sizes();
    let Inputs::Fixed(wanted) = sizes.inputs else { panic!("more than one input") };
    let mut input = Strided::new(batch, wanted[0], gap);
    let mut output = Strided::new(batch, sizes.output, 2 * gap);
    assert_eq!(x.len(), batch * wanted[0].0 * wanted[0].1, "the sizes of the input");
    let target = if in_place { &mut output } else { &mut input };
    target.fill(x.iter().copied());
    let packed = kernel.pack(parameters.iter().map(|parameter| parameter.iter().copied().collect()).collect());
    let lengths: Vec<usize> = packed.iter().map(Vec::len).collect();
    assert_eq!(lengths, kernel.constants(), "the lengths of the constants");
    let constants: Vec<&[f32]> = packed.iter().map(Vec::as_slice).collect();
    let threads = ThreadPool::new(2);
    let mut scratch = vec![f32::NAN; kernel.scratch_len(batch, threads.count())];
    let views = [View { data: &input.data, ld: input.ld, image: input.image }];
    kernel.run(Call {
        batch,
        inputs: if in_place { &[] } else { &views },
        in_place,
        constants: &constants,
        output: ViewMut { data: &mut output.data, ld: output.ld, image: output.image },
        state: Default::default(),
        scratch: &mut scratch,
        threads: &threads,
    })?;
    assert!(output.gaps_are_untouched(), "the kernel writes between its pixels");
    Ok(output.values())
}

/// The largest difference, relative to the larger of 1 and the expected value.
fn difference(found: &[f32], expected: &ArrayD<f64>) -> f64 {
    assert_eq!(found.len(), expected.len());
    let each = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs() / b.abs().max(1.0));
    each.fold(0.0, |worst: f64, next| if next.is_nan() { f64::INFINITY } else { worst.max(next) })
}

fn lower(operation: &dyn Operation, input: &[usize]) -> Lowered {
    let inputs = vec![input.to_vec()];
    operation.lower(&Lowering { inputs, epilogue: Epilogue::default(), exact: false }).unwrap()
}

/// Compares a layer's f64 loops with its kernel for inputs of these sizes, in batches of 1 to 3. Returns the output's sizes.
fn check(layer: &str, given: Given<'_>, input: &[usize]) -> Vec<usize> {
    check_on(layer, given, input, |random, shape| random.array(shape))
}

fn check_on(
    layer: &str,
    given: Given<'_>,
    input: &[usize],
    make: impl Fn(&mut Random, &[usize]) -> ArrayD<f32>,
) -> Vec<usize> {
    let operation = build(layer, given).unwrap();
    let from = TensorType::of(input);
    let output = operation.infer(&[&from]).unwrap().known().unwrap();
    let mut random = Random(input.iter().sum::<usize>() as u64);
    let specs = operation.parameters(&[&from]).unwrap();
    let parameters: Vec<ArrayD<f32>> = specs.iter().map(|spec| random.array(&spec.shape)).collect();
    let exact: Vec<ArrayD<f64>> = parameters.iter().map(double).collect();
    let exact: Vec<&ArrayD<f64>> = exact.iter().collect();
    for batch in 1..=3 {
        let shape: Vec<usize> = std::iter::once(batch).chain(input.iter().copied()).collect();
        let x = make(&mut random, &shape);
        let expected = operation.evaluate(&[&double(&x)], &exact);
        assert_eq!(expected.shape()[1..], output[..], "{layer}: the loops give other sizes than the type");
        let runs = match lower(operation.as_ref(), input) {
            Lowered::Step(kernel) => vec![(kernel, false)],
            Lowered::InPlace(kernel) => vec![(kernel.clone(), false), (kernel, true)],
            Lowered::View => {
                assert_eq!(double(&x).iter().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
                continue;
            }
            other => panic!("{layer} is lowered to {other:?}"),
        };
        for (kernel, in_place) in runs {
            for gap in [0, 3] {
                let found = run(&kernel, &x, &parameters, in_place, gap).unwrap();
                let worst = difference(&found, &expected);
                assert!(worst <= TOLERANCE, "{}: {worst:e} with batch {batch}, gap {gap}", kernel.describe());
            }
        }
    }
    output
}

fn refused(layer: &str, given: Given<'_>, input: &[usize]) -> String {
    let operation = build(layer, given).unwrap();
    let from = TensorType::of(input);
    let result = operation.infer(&[&from]).and_then(|_| operation.parameters(&[&from]));
    result.expect_err("the layer takes this").message
}

#[test]
fn every_layer_is_documented() {
    let mut names = HashSet::new();
    for definition in netc::ops::LAYERS {
        let name = definition.name;
        for text in [definition.summary, definition.details, definition.example, definition.kind] {
            assert!(!text.trim().is_empty(), "{name} lacks a part of its documentation");
        }
        assert!(definition.summary.ends_with('.'), "the summary of {name} is a sentence");
        for known in definition.names() {
            assert!(names.insert(known), "two layers are called {known}");
        }
        let mut arguments = HashSet::new();
        for argument in definition.arguments {
            let at = format!("{name}({})", argument.name);
            assert!(arguments.insert(argument.name), "{at} is there twice");
            assert!(!argument.doc.is_empty() && !argument.takes.is_empty(), "{at} is not documented");
            assert!(!argument.doc.ends_with('.'), "{at} ends with a full stop");
        }
    }
}

#[test]
fn every_example_is_a_complete_net() {
    for definition in netc::ops::LAYERS {
        let mut sources = Sources::default();
        let file = sources.add_text(definition.name, definition.example);
        assert!(netc::syntax::parse_expression(&sources, file).is_ok(), "{}: {}", definition.name, definition.example);
        assert!(definition.names().any(|name| definition.example.contains(name)), "{}", definition.name);
        assert!(definition.example.starts_with("Input"), "the example of {} is a fragment", definition.name);
    }
}

#[test]
fn dense() {
    assert_eq!(check("Dense", vec![("", int(13))], &[7]), [13]);
    check("Softmax", vec![("", int(5)), ("bias", yes_no(false))], &[17]);
}

#[test]
fn prelu() {
    assert_eq!(check("PRelu", vec![], &[5, 7, 3]), [5, 7, 3]);
    assert_eq!(check("PRelu", vec![], &[11]), [11]);
    for axes in [vec![1], vec![2], vec![3], vec![-3], vec![2, 3], vec![3, 1], vec![1, 2, 3], vec![-1, -2]] {
        check("PRelu", vec![("alpha_axes", list(&axes))], &[5, 7, 3]);
    }
    assert_eq!(check("PRelu", vec![("", int(13))], &[7]), [13]);
    assert_eq!(check("PRelu", vec![("", int(5)), ("bias", yes_no(false)), ("alpha_axes", int(1))], &[9]), [5]);
    assert!(refused("PRelu", vec![("alpha_axes", int(4))], &[5, 7, 3]).contains("axis 4"));
    assert!(refused("PRelu", vec![("alpha_axes", int(-4))], &[5, 7, 3]).contains("axis -4"));
    assert!(refused("PRelu", vec![("alpha_axes", list(&[3, -1]))], &[5, 7, 3]).contains("axis -1"));
    assert!(refused("PRelu", vec![("", int(4))], &[5, 7, 3]).contains("`PRelu(4)` needs features"));
    assert!([int(0), list(&[])].into_iter().all(|axes| build("PRelu", vec![("alpha_axes", axes)]).is_err()));
}

#[test]
fn deconvolution() {
    let window = |height, width, filters| vec![("", sizes(&[height, width])), ("", int(filters))];
    let with = |mut given: Given<'static>, more: Given<'static>| {
        given.extend(more);
        given
    };
    assert_eq!(check("Deconv", window(3, 3, 5), &[5, 7, 3]), [7, 9, 5]);
    let cases: [(i64, Value, [usize; 2]); 8] = [
        (2, word("valid"), [11, 15]),
        (2, word("same"), [10, 14]),
        (2, int(0), [12, 16]),
        (2, int(1), [10, 14]),
        (1, word("same"), [5, 7]),
        (3, word("same"), [15, 21]),
        (4, word("valid"), [20, 28]),
        (2, list(&[0, 2]), [12, 12]),
    ];
    for (stride, padding, [height, width]) in cases {
        for bias in [true, false] {
            let more = vec![("stride", int(stride)), ("padding", padding.clone()), ("bias", yes_no(bias))];
            assert_eq!(check("Deconv", with(window(3, 3, 2), more), &[5, 7, 3]), [height, width, 2]);
        }
    }
    check("Deconv", with(window(4, 2, 17), vec![("stride", sizes(&[3, 1])), ("padding", word("same"))]), &[3, 5, 9]);
    check("Deconv", with(window(1, 1, 7), vec![("stride", int(2))]), &[3, 5, 9]);
    assert!(refused("Deconv", window(3, 3, 5), &[7]).contains("needs an image"));
    assert!(refused("Deconv", with(window(1, 1, 5), vec![("padding", int(3))]), &[5, 6, 3]).contains("crops more"));
}

#[test]
fn resizing() {
    assert_eq!(check("Upscale", vec![("", int(2))], &[3, 5, 7]), [6, 10, 7]);
    assert_eq!(check("Upscale", vec![("", list(&[1, 3]))], &[3, 5, 2]), [3, 15, 2]);
    assert!(build("Upscale", vec![("", int(0))]).is_err());
    assert!(refused("Upscale", vec![("", int(2))], &[3, 5]).contains("needs an image"));
    assert_eq!(check("ZeroPad", vec![("", int(1))], &[3, 5, 7]), [5, 7, 7]);
    assert_eq!(check("ZeroPad", vec![("", sizes(&[0, 2]))], &[3, 5, 7]), [3, 9, 7]);
    assert_eq!(check("ZeroPad", vec![("", list(&[0, 1, 2, 3]))], &[3, 5, 7]), [4, 10, 7]);
    assert!([int(-1), list(&[1, 2, 3])].into_iter().all(|size| build("ZeroPad", vec![("", size)]).is_err()));
}

#[test]
fn images_in_other_sizes() {
    let float = |number: f64| value(ValueKind::Float(number));
    assert_eq!(check("Resize", vec![("", sizes(&[7, 3]))], &[3, 5, 7]), [7, 3, 7]);
    assert_eq!(check("Resize", vec![("scale", float(1.5)), ("mode", word("bicubic"))], &[3, 5, 2]), [4, 7, 2]);
    assert_eq!(check("Resize", vec![("", int(40)), ("mode", word("bilinear"))], &[60, 50, 17]), [40, 40, 17]);
    assert!(refused("Resize", vec![("scale", float(0.1))], &[5, 50, 2]).contains("leaves nothing"));
    assert!(refused("Resize", vec![("", int(4))], &[5, 50]).contains("needs an image"));
    for wrong in [
        vec![],
        vec![("", int(4)), ("scale", int(2))],
        vec![("", int(0))],
        vec![("scale", int(0))],
        vec![("scale", int(-2))],
        vec![("scale", list(&[1, 2, 3]))],
        vec![("scale", word("twice"))],
        vec![("scale", float(1e30))],
        vec![("", int(4)), ("align_corners", yes_no(true))],
    ] {
        assert!(build("Resize", wrong.clone()).is_err(), "{wrong:?}");
    }
    let mode = |mode: &str| ("mode", word(mode));
    assert_eq!(check("Pad", vec![("", int(2)), mode("reflect")], &[3, 5, 7]), [7, 9, 7]);
    assert_eq!(check("Pad", vec![("", list(&[0, 4, 9, 1])), mode("edge")], &[3, 5, 2]), [7, 15, 2]);
    assert_eq!(check("Pad", vec![("", int(1))], &[3, 5, 2]), [5, 7, 2]);
    assert!(refused("Pad", vec![("", int(3)), mode("reflect")], &[3, 5, 7]).contains("wider than the image"));
    assert_eq!(check("Crop", vec![("", int(1))], &[3, 5, 7]), [1, 3, 7]);
    assert_eq!(check("Crop", vec![("", list(&[0, 1, 2, 1]))], &[3, 5, 7]), [2, 2, 7]);
    assert!(refused("Crop", vec![("", int(2))], &[9, 4, 7]).contains("leaves nothing"));
    assert_eq!(check("Shuffle", vec![("", int(3))], &[3, 5, 12]), [3, 5, 12]);
    assert!(refused("Shuffle", vec![("", int(5))], &[3, 5, 12]).contains("12 channels"));
    for order in ["dcr", "crd"] {
        let given = |block| vec![("", int(block)), ("order", word(order))];
        assert_eq!(check("SpaceToDepth", given(2), &[6, 4, 5]), [3, 2, 20]);
        assert_eq!(check("DepthToSpace", given(3), &[2, 3, 18]), [6, 9, 2]);
        assert!(refused("SpaceToDepth", given(2), &[6, 5, 5]).contains("blocks of 2x2"));
        assert!(refused("DepthToSpace", given(2), &[6, 5, 5]).contains("5 channels"));
    }
}

#[test]
fn transposed_convolutions() {
    let given = |more: Given<'static>| {
        let mut given = vec![("", sizes(&[3, 3])), ("", int(6))];
        given.extend(more);
        given
    };
    assert_eq!(check("ConvTranspose", given(vec![("stride", int(2))]), &[5, 7, 3]), [11, 15, 6]);
    let halves = vec![("stride", int(2)), ("padding", int(1)), ("output_padding", int(1)), ("groups", int(3))];
    assert_eq!(check("ConvTranspose", given(halves), &[5, 7, 9]), [10, 14, 6]);
    assert_eq!(check("ConvTranspose", given(vec![("padding", list(&[1, 2, 0, 3]))]), &[5, 7, 3]), [4, 6, 6]);
    assert_eq!(check("ConvTranspose", given(vec![("dilation", int(2)), ("stride", int(3))]), &[2, 4, 3]), [8, 14, 6]);
    let same = || vec![("stride", int(2)), ("padding", word("same"))];
    assert_eq!(check("ConvTranspose", given(same()), &[5, 7, 3]), [10, 14, 6]);
    assert!(refused("ConvTranspose", given(vec![("groups", int(2))]), &[5, 7, 3]).contains("3 channels"));
    assert!(refused("ConvTranspose", given(vec![("padding", int(9))]), &[5, 7, 3]).contains("crops more"));
    let message = |more| build("ConvTranspose", given(more)).unwrap_err();
    assert!(message(vec![("output_padding", int(1))]).contains("smaller than the stride"));
    assert!(message([same(), vec![("output_padding", int(1))]].concat()).contains("changes nothing"));
    assert!(message(vec![("groups", int(4))]).contains("must divide the 6 filters"));
}

#[test]
fn a_separable_convolution_is_two() {
    let given = vec![("", sizes(&[3, 3])), ("", int(5)), ("depth_multiplier", int(2)), ("padding", word("same"))];
    let operation = build("SeparableConv", given).unwrap();
    let from = TensorType::of(&[7, 6, 4]);
    assert_eq!(operation.infer(&[&from]).unwrap().known().unwrap(), [7, 6, 5]);
    let shapes: Vec<_> = operation.parameters(&[&from]).unwrap().iter().map(|spec| spec.shape.clone()).collect();
    assert_eq!(shapes, [vec![3, 3, 1, 8], vec![1, 1, 8, 5], vec![5]]);
    let parts = operation.decompose(&[&from]).unwrap();
    assert_eq!(parts.iter().map(|part| part.parameters.clone()).collect::<Vec<_>>(), [vec![0], vec![1, 2]]);
    assert_eq!(operation.macs(&[&from]), 7 * 6 * (3 * 3 * 8 + 8 * 5));
    let given = vec![("", int(3)), ("", int(5)), ("bias", yes_no(false))];
    let along = build("SeparableConv", given).unwrap();
    let from = TensorType::of(&[9, 4]);
    assert_eq!(along.infer(&[&from]).unwrap().known().unwrap(), [7, 5]);
    let shapes: Vec<_> = along.parameters(&[&from]).unwrap().iter().map(|spec| spec.shape.clone()).collect();
    assert_eq!(shapes, [vec![3, 1, 4], vec![1, 4, 5]]);
    assert!(refused("SeparableConv", vec![("", sizes(&[3, 3])), ("", int(5))], &[9, 4]).contains("single numbers"));
}

#[test]
fn windows_along_sequences() {
    assert_eq!(check("Conv", vec![("", int(3)), ("", int(5))], &[9, 4]), [7, 5]);
    assert_eq!(check("Conv", vec![("", int(1)), ("", int(5))], &[9, 4]), [9, 5]);
    let strided = vec![("", int(4)), ("", int(6)), ("stride", int(2)), ("padding", word("same")), ("groups", int(2))];
    assert_eq!(check("Conv", strided, &[11, 4]), [6, 6]);
    assert_eq!(check("DWConv", vec![("", int(3)), ("padding", int(2)), ("dilation", int(2))], &[9, 17]), [9, 17]);
    for layer in ["MaxPool", "AvgPool"] {
        assert_eq!(check(layer, vec![("", int(2))], &[9, 4]), [4, 4]);
        assert_eq!(check(layer, vec![("", int(3)), ("stride", int(1)), ("padding", word("same"))], &[9, 4]), [9, 4]);
        assert!(refused(layer, vec![("", int(10))], &[9, 4]).contains("larger than the sequence"));
        assert!(refused(layer, vec![("", sizes(&[2, 2]))], &[9, 4]).contains("single numbers"));
    }
    for function in ["avg", "max", "sum"] {
        assert_eq!(check("GlobalPool", vec![("", word(function))], &[9, 4]), [4]);
    }
    for wrong in [
        vec![("", sizes(&[3, 3])), ("", int(5))],
        vec![("", int(3)), ("", int(5)), ("stride", list(&[1, 1]))],
        vec![("", int(3)), ("", int(5)), ("padding", list(&[1, 1, 1, 1]))],
    ] {
        assert!(refused("Conv", wrong, &[9, 4]).contains("single numbers"));
    }
    assert_eq!(check("Conv", vec![("", int(3)), ("", int(5))], &[9, 8, 4]), [7, 6, 5]);
    assert_eq!(check("BatchNorm", vec![], &[9, 4]), [9, 4]);
    assert_eq!(check("GroupNorm", vec![("", int(2))], &[9, 4]), [9, 4]);
}

#[test]
fn pools_and_convolutions_with_four_sides() {
    for layer in ["MaxPool", "AvgPool"] {
        let window = |padding: &[i64], stride| vec![("", int(3)), ("", int(stride)), ("", list(padding))];
        assert_eq!(check(layer, window(&[0, 1, 0, 1], 2), &[8, 6, 5]), [4, 3, 5]);
        assert_eq!(check(layer, window(&[2, 0, 1, 2], 1), &[5, 4, 3]), [5, 5, 3]);
        assert_eq!(check(layer, window(&[1, 1, 0, 0], 1), &[5, 4, 3]), [5, 2, 3]);
        // Rounded up: the last window extends past the image.
        let ceil = |size, stride, padding| {
            vec![("", int(size)), ("", int(stride)), ("", int(padding)), ("ceil", yes_no(true))]
        };
        assert_eq!(check(layer, ceil(3, 2, 0), &[8, 9, 5]), [4, 4, 5]);
        assert_eq!(check(layer, ceil(2, 2, 0), &[7, 8, 16]), [4, 4, 16]);
        assert_eq!(check(layer, ceil(2, 3, 1), &[5, 7, 3]), [2, 3, 3]);
        assert!(build(layer, window(&[3, 0, 0, 0], 1)).unwrap_err().contains("smaller than the window"));
        assert!(build(layer, window(&[1, 0, -1, 0], 1)).unwrap_err().contains("four integers"));
    }
    let conv = |padding: &[i64]| vec![("", int(3)), ("", int(4)), ("stride", int(2)), ("padding", list(padding))];
    assert_eq!(check("Conv", conv(&[0, 1, 0, 1]), &[8, 8, 3]), [4, 4, 4]);
    assert_eq!(check("Conv", conv(&[3, 0, 0, 2]), &[5, 6, 3]), [3, 3, 4]);
    let deconvolution = vec![("", int(3)), ("", int(4)), ("padding", list(&[1, 0, 1, 0]))];
    assert!(build("Deconv", deconvolution).unwrap_err().contains("takes `same`"));
}

#[test]
fn a_normalisation_without_scale_or_shift_has_constants_in_their_place() {
    for absent in ["gamma", "beta"] {
        let operation = build("BatchNorm", vec![(absent, yes_no(false))]).unwrap();
        let specs = operation.parameters(&[&TensorType::of(&[5, 7, 3])]).unwrap();
        let fixed: Vec<(&str, bool)> = specs.iter().map(|spec| (spec.role, spec.trainable)).collect();
        let trains = |role| role != absent;
        assert_eq!(
            fixed,
            [("running_mean", false), ("running_inv_std", false), ("gamma", trains("gamma")), ("beta", trains("beta"))]
        );
        assert_eq!(operation.settings(), [(absent, "false".to_string())]);
        check("BatchNorm", vec![(absent, yes_no(false))], &[5, 7, 3]);
    }
    assert!(build("BatchNorm", vec![("gamma", word("flase"))]).unwrap_err().contains("`gamma` of `BatchNorm` takes"));
}

#[test]
fn normalisations() {
    for groups in [1, 3, 5, 15] {
        assert_eq!(check("GroupNorm", vec![("", int(groups))], &[5, 7, 15]), [5, 7, 15]);
    }
    check("GN", vec![("", int(2)), ("epsilon", value(ValueKind::Float(0.5)))], &[1, 3, 70]);
    for input in [&[13][..], &[5, 3], &[5, 7, 3], &[197, 192]] {
        assert_eq!(check("LayerNorm", vec![], input), input);
    }
    check("LayerNorm", vec![("", value(ValueKind::Float(0.5)))], &[5, 70]);
    assert!(refused("GroupNorm", vec![("", int(4))], &[5, 7, 15]).contains("15 channels"));
    assert!(refused("GroupNorm", vec![("", int(1))], &[15]).contains("needs an image"));
    for input in [&[13][..], &[5, 3], &[5, 7, 3]] {
        assert_eq!(check("Normalize", vec![], input), input);
    }
    let extremes = |random: &mut Random, shape: &[usize]| {
        let scales = [0.0, 1e-30, 1e-13, 1e30];
        ArrayD::from_shape_fn(IxDyn(shape), |at| random.next() * scales[at[1] % scales.len()])
    };
    check_on("Normalize", vec![], &[5, 3], extremes);
    assert!(build("Normalize", vec![("", int(0))]).is_err());
}

#[test]
fn drop_block_rests() {
    let given = || vec![("", value(ValueKind::Float(0.9))), ("", int(5))];
    assert_eq!(check("DropBlock", given(), &[5, 7, 3]), [5, 7, 3]);
    assert!(build("DropBlock", given()).unwrap().fusion_role().is_identity());
    assert!(refused("DropBlock", given(), &[5]).contains("needs an image"));
    assert!(build("DropBlock", vec![("", int(0)), ("", int(5))]).is_err());
}

#[test]
fn embedding() {
    let indices = |random: &mut Random, shape: &[usize]| {
        ArrayD::from_shape_fn(IxDyn(shape), |_| ((random.next() + 1.0) * 5.5).min(10.9))
    };
    let given = || vec![("", int(11)), ("", int(3))];
    assert_eq!(check_on("Embedding", given(), &[7], indices), [7, 3]);
    assert_eq!(check_on("Embedding", given(), &[1], indices), [1, 3]);
    assert_eq!(check_on("Embedding", given(), &[2, 5], indices), [2, 5, 3]);
    let operation = build("Embedding", given()).unwrap();
    let Lowered::Step(kernel) = lower(operation.as_ref(), &[4]) else { panic!("it is a step") };
    for wrong in [11.0, -1.0, 1e30, f32::NAN] {
        let mut x = ArrayD::zeros(IxDyn(&[2, 4]));
        x[[1, 2]] = wrong;
        let error = run(&kernel, &x, &[ArrayD::zeros(IxDyn(&[11, 3]))], false, 3).unwrap_err();
        assert_eq!(error.to_string(), format!("index {wrong} at position 2 of sample 1 is out of range 0..11"));
        let reference = operation.evaluate(&[&double(&x)], &[&ArrayD::zeros(IxDyn(&[11, 3]))]);
        assert!(reference[[1, 2, 0]].is_nan());
    }
}

#[test]
fn recurrent_layers() {
    for (final_only, backwards, unroll) in
        [(true, false, false), (true, true, true), (false, false, true), (false, true, false)]
    {
        let given = || {
            vec![
                ("", int(7)),
                ("only_return_final", yes_no(final_only)),
                ("backwards", yes_no(backwards)),
                ("unroll_scan", yes_no(unroll)),
            ]
        };
        let expected: &[usize] = if final_only { &[7] } else { &[5, 7] };
        assert_eq!(check("GRU", given(), &[5, 3]), expected);
        let mut after = given();
        after.push(("reset_after", yes_no(true)));
        assert_eq!(check("GRU", after, &[5, 3]), expected);
        for peepholes in [true, false] {
            let mut given = given();
            given.push(("peepholes", yes_no(peepholes)));
            assert_eq!(check("LSTM", given, &[5, 3]), expected);
        }
    }
    assert!(refused("LSTM", vec![("", int(3))], &[4]).contains("needs a sequence"));
    assert!(refused("GRU", vec![("", int(3))], &[4, 4, 4]).contains("needs a sequence"));
    let learnt = build("LSTM", vec![("", int(3)), ("learn_init", yes_no(true))]).unwrap();
    let specs = learnt.parameters(&[&TensorType::of(&[4, 2])]).unwrap();
    let roles: Vec<_> = specs.iter().map(|spec| (spec.role, spec.shape.clone(), spec.trainable)).collect();
    assert_eq!(roles[0], ("input_weights", vec![2, 12], true));
    assert_eq!(roles[3], ("cell_init", vec![1, 3], true));
    let fixed = build("GRU", vec![("", int(3))]).unwrap().parameters(&[&TensorType::of(&[4, 2])]).unwrap();
    assert_eq!((fixed[3].role, &fixed[3].shape[..], fixed[3].trainable), ("hidden_init", &[1, 3][..], false));
}

/// A case computed by NeuPy 0.8.2: the layers after the input, with their names in the file.
fn neupy(case: &str, layers: Vec<(&str, &str, Given<'_>)>) {
    let path = |end: &str| format!("{}/tests/data/neupy_ops/{case}.{end}", env!("CARGO_MANIFEST_DIR"));
    let mut arrays = NpzReader::new(File::open(path("npz")).unwrap()).unwrap();
    let x: ArrayD<f32> = arrays.by_name("x0").unwrap();
    let y: ArrayD<f32> = arrays.by_name("y").unwrap();
    let file = h5::File::open(path("hdf5").as_ref()).unwrap();
    let (mut exact, mut found) = (double(&x), x);
    for (layer, name, given) in layers {
        let operation = build(layer, given).unwrap();
        let from = TensorType::of(&found.shape()[1..]);
        let read = |role: &str, shape: &[usize]| {
            let stored = file.dataset(&format!("{name}/{role}")).unwrap();
            assert_eq!(stored.shape(), shape, "{name}/{role}");
            ArrayD::from_shape_vec(IxDyn(shape), file.read(&stored).unwrap()).unwrap()
        };
        let specs = operation.parameters(&[&from]).unwrap();
        let parameters: Vec<ArrayD<f32>> = specs.iter().map(|spec| read(spec.role, &spec.shape)).collect();
        let stored = file.members(name).unwrap().len();
        assert_eq!(parameters.len(), stored, "{name} has other parameters in the file");
        let doubles: Vec<ArrayD<f64>> = parameters.iter().map(double).collect();
        exact = operation.evaluate(&[&exact], &doubles.iter().collect::<Vec<_>>());
        let values = match lower(operation.as_ref(), &found.shape()[1..]) {
            Lowered::Step(kernel) | Lowered::InPlace(kernel) => run(&kernel, &found, &parameters, false, 0).unwrap(),
            _ => found.iter().copied().collect(),
        };
        found = ArrayD::from_shape_vec(IxDyn(exact.shape()), values).unwrap();
    }
    assert_eq!(found.shape(), y.shape());
    let (loops, kernels) =
        (difference(y.as_slice().unwrap(), &exact), difference(found.as_slice().unwrap(), &double(&y)));
    println!("{case}: loops {loops:.1e}, kernels {kernels:.1e} from NeuPy");
    assert!(loops <= TOLERANCE && kernels <= TOLERANCE, "{case}: loops {loops:e}, kernels {kernels:e}");
}

#[test]
fn as_neupy_computes_them() {
    let window = || vec![("", sizes(&[3, 3])), ("", int(2))];
    let mut strided = window();
    strided.push(("stride", int(2)));
    neupy("deconv_valid_s2", vec![("Deconvolution", "deconvolution-1", strided)]);
    let mut padded = window();
    padded.push(("padding", int(1)));
    neupy("deconv_p1", vec![("Deconvolution", "deconvolution-3", padded)]);
    neupy("prelu_act", vec![("PRelu", "p-relu-2", vec![])]);
    let softmax = |name, units| ("Softmax", name, vec![("", int(units))]);
    let embedding = ("Embedding", "embedding-1", vec![("", int(7)), ("", int(3))]);
    neupy("embedding", vec![embedding, ("Reshape", "reshape-3", vec![]), softmax("softmax-8", 3)]);
    neupy("lstm", vec![("LSTM", "lstm-1", vec![("", int(3))]), softmax("softmax-9", 2)]);
    neupy("gru", vec![("GRU", "gru-1", vec![("", int(3))]), softmax("softmax-10", 2)]);
}
