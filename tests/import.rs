//! ONNX models become specs that give what ONNX Runtime gives, and that a person could have written.

mod difference;
mod program;

use difference::difference;
use ndarray::ArrayD;
use netc::compile::{BuildOptions, build};
use netc::diagnostics::render;
use netc::elaborate::load_text;
use netc::elaborate::project::source_files::from_disk;
use netc::import::{Imported, Options, import};
use netc::onnx::write::{Initializer, Values, write};
use netc::onnx::{Dim, Graph, Model, Node, Value, ValueInfo};
use netc::runtime::Session;
use netc::source::Sources;
use netc::weights;
use program::{done, netc, refused, text};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx").join(name)
}

#[track_caller]
fn imported(name: &str, options: &Options) -> Imported {
    let (model, spec) = (data(&format!("{name}.onnx")), data(&format!("{name}.net")));
    import(&model, &spec, options)
        .unwrap_or_else(|errors| panic!("{}", render::text(&errors, &Sources::default(), false)))
}

fn array(name: &str) -> ArrayD<f32> {
    ndarray_npy::read_npy(data(name)).expect("an array")
}

/// The largest difference between what the spec gives and what ONNX Runtime gives.
#[track_caller]
fn distance(name: &str, spec: &str) -> f64 {
    let spec = load_text(&data(&format!("{name}.net")), spec, &from_disk);
    let (build, _) = build(&spec, &BuildOptions::default())
        .unwrap_or_else(|errors| panic!("{}", render::text(&errors, &spec.sources, false)));
    let (x, y) = (array(&format!("{name}.x.npy")), array(&format!("{name}.y.npy")));
    let mut found = vec![0.0; y.len()];
    let artifact = Arc::new(build.in_memory().expect("an artifact"));
    let input = x.as_slice().expect("row-major");
    Session::new(artifact, 1).run(x.shape()[0], &[input], &mut [&mut found]).expect("a run");
    assert!(y.iter().any(|value| value.abs() > 1e-3), "{name} gives nothing");
    difference(found, y.iter().copied(), |_| 1.0)
}

macro_rules! models {
    ($($name:ident,)*) => {
        $(#[test]
        fn $name() {
            let imported = imported(stringify!($name), &Options::default());
            insta::assert_snapshot!(stringify!($name), imported.text);
            let difference = distance(stringify!($name), &imported.text);
            assert!(difference < 2e-5, "{difference}");
        })*
    };
}

models! {
    resnet_torchscript,
    resnet_unfolded,
    resnet_dynamo,
    mobile_torchscript,
    mobile_dynamo,
    unet_torchscript,
    caffe,
    tensorflow,
    storage,
    external,
    recurrent_torchscript,
    recurrent_dynamo,
    time_first,
    attention_torchscript,
    attention_dynamo,
    encoder_dynamo,
    line,
    unbatched,
    functions,
    shared,
    moved,
    flattened,
    volume,
    repeated,
    twins_torchscript,
    twins_dynamo,
    padded,
    focus,
    reader_torchscript,
    reader_dynamo,
    backwards,
    states_torchscript,
    states_dynamo,
    causal_torchscript,
    causal_dynamo,
    causal_mask,
    causal_sum,
    crossed_torchscript,
    crossed_dynamo,
    summed,
    gated,
}

/// A spec is formatted as `netc fmt` would, and its folded form has the model's layers.
#[test]
fn the_program_imports_and_checks() {
    let folder = program::folder(&[]);
    let model = folder.path().join("small.onnx");
    fs::copy(data("resnet_torchscript.onnx"), &model).expect("a model");
    done(&netc(folder.path(), &["import", "small.onnx", "-o", "small.net"]));
    done(&netc(folder.path(), &["fmt", "--check", "small.net"]));
    done(&netc(folder.path(), &["check", "small.net"]));
    done(&netc(folder.path(), &["test", "small.net"]));
    done(&netc(folder.path(), &["build", "small.net"]));
    let shown = done(&netc(folder.path(), &["show", "small.net"]));
    assert!(shown.contains("layer3.3.conv2"), "{shown}");
    // It may be imported again, but replaces no spec that was written by hand.
    done(&netc(folder.path(), &["import", "small.onnx"]));
    let own = "# Mine.\nnet small = Input(4) >> Softmax(2)\n";
    // Of any length, even more than a spec may have.
    for own in [own.repeat(500_000), own.repeat(300_000), own.to_string()] {
        fs::write(folder.path().join("small.net"), &own).expect("a spec");
        let words = ["overwrite small.net, which was not imported"];
        refused(&netc(folder.path(), &["import", "small.onnx"]), "E0904", &words);
        assert!(fs::read(folder.path().join("small.net")).expect("the spec") == own.as_bytes());
    }
    assert_eq!(fs::read_to_string(folder.path().join("small.net")).expect("a spec"), own);
}

/// A transpose that nothing needs before the end stands there: a net gives the axes of the model in their order.
#[test]
fn a_transposed_output_has_the_order_of_the_model() {
    let spec = imported("transposed_output", &Options::default()).text;
    assert!(spec.contains("Transpose([0, 2, 1])") && spec.contains("-> (?, 4, 3)"), "{spec}");
}

#[test]
fn what_cannot_be_expressed_is_listed_and_nothing_is_written() {
    let folder = program::folder(&[]);
    fs::copy(data("unsupported.onnx"), folder.path().join("model.onnx")).expect("a model");
    let output = netc(folder.path(), &["import", "model.onnx", "-o", "model.net"]);
    insta::assert_snapshot!("unsupported", text(&output.stderr));
    refused(&output, "E0906", &["`first erf`", "`second erf`", "`own`", "com.example"]);
    assert!(!folder.path().join("model.net").exists());
    done(&netc(folder.path(), &["import", "model.onnx", "-o", "model.net", "--until", "stem"]));
    assert!(fs::read_to_string(folder.path().join("model.net")).expect("a spec").contains("as stem"));
    let output = netc(folder.path(), &["import", "model.onnx", "-o", "model.net", "--until", "stme"]);
    refused(&output, "E0905", &["stme", "stem"]);
}

/// The default exporter folds batch normalisation into convolutions under their old names: the weights from before do not bind.
#[test]
fn weights_from_before_folding_are_refused() {
    let folded = imported("resnet_dynamo", &Options::default()).text;
    let other = folded.replace("resnet_dynamo.onnx", "resnet_unfolded.onnx");
    let spec = load_text(&data("resnet_dynamo.net"), &other, &from_disk);
    let errors = build(&spec, &BuildOptions::default()).expect_err("a refusal");
    let text = render::text(&errors, &spec.sources, false);
    assert!(text.contains("E0403") && text.contains("conv1/bias"), "{text}");
}

/// A file of ONNX is a layout like others, for specs that were not imported.
#[test]
fn onnx_files_bind_by_the_names_of_their_tensors() {
    let text = "net m = Input(16x16x3) >> Conv(3x3, 4, padding=1, bias=false) as conv1 >> BatchNorm as bn1 >> GlobalPool(avg)\n\n\
        weights m = \"resnet_unfolded.onnx\" { layout = onnx }\n";
    let spec = load_text(&data("m.net"), text, &from_disk);
    let (build, _) = build(&spec, &BuildOptions::default())
        .unwrap_or_else(|errors| panic!("{}", render::text(&errors, &spec.sources, false)));
    assert_eq!((build.bindings.report.files[0].tensors, build.bindings.report.files[0].layout.as_str()), (5, "onnx"));
    let store = weights::open(&data("resnet_unfolded.onnx"), None).expect("a store");
    let kernel = store.entries().iter().find(|entry| entry.key == "layer2.0.conv1.weight").expect("a kernel");
    assert_eq!((kernel.layer.as_str(), &kernel.shape[..]), ("layer2.0.conv1", &[5, 4, 3, 3][..]));
}

/// What a file says of itself is not believed.
#[test]
fn damaged_and_hostile_models_are_refused() {
    let good = fs::read(data("storage.onnx")).expect("a model");
    let folder = program::folder(&[]);
    let path = folder.path().join("model.onnx");
    let message = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("a model");
        let errors = import(&path, &folder.path().join("m.net"), &Options::default()).expect_err("a refusal");
        render::text(&errors, &Sources::default(), false)
    };
    for length in 0..good.len() {
        message(&good[..length]);
    }
    // A tensor that is somewhere else.
    let outside = fs::read(data("external.onnx")).expect("a model");
    let at = outside.windows(13).position(|part| part == b"external.data").expect("a file name");
    let mut changed = outside.clone();
    changed[at..at + 13].copy_from_slice(b"../../etc/pas");
    assert!(message(&changed).contains("outside the folder"));
    changed[at..at + 13].copy_from_slice(b"/etc/passwd\0\0");
    assert!(message(&changed).contains("outside the folder"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("external.data")).expect("a link");
        assert!(message(&outside).contains("outside the folder"));
        fs::remove_file(folder.path().join("external.data")).expect("no link");
    }
    fs::write(folder.path().join("external.data"), [0; 16]).expect("a short file");
    assert!(message(&outside).contains("cut short"));
}

/// The operator of a node, its inputs, and its attributes.
type NodeText<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, Value)]);

/// Writes a model of nodes `(operator, inputs, attributes)`, whose outputs are `v0`, `v1`, …; the last one is the model's.
fn written(path: &Path, opset: i64, input: &[u64], nodes: &[NodeText<'_>], tensors: Vec<(&str, Vec<usize>, Vec<f32>)>) {
    let port = |name: &str, shape: Option<&[u64]>| ValueInfo {
        name: name.into(),
        element: 1,
        shape: shape.map(|shape| shape.iter().map(|&size| Dim::Known(size)).collect()),
    };
    let node = |(at, (op, inputs, attributes)): (usize, &NodeText<'_>)| Node {
        name: format!("n{at}"),
        op: (*op).into(),
        inputs: inputs.iter().map(|input| (*input).into()).collect(),
        outputs: vec![format!("v{at}")],
        attributes: attributes.iter().map(|(name, value)| ((*name).to_string(), value.clone())).collect(),
        ..Node::default()
    };
    let graph = Graph {
        nodes: nodes.iter().enumerate().map(node).collect(),
        inputs: vec![port("x", Some(input))],
        outputs: vec![port(&format!("v{}", nodes.len() - 1), None)],
        ..Graph::default()
    };
    let model = Model { ir_version: 8, opsets: vec![(String::new(), opset)], graph, ..Model::default() };
    let initializer = |(name, shape, values): (&str, Vec<usize>, Vec<f32>)| Initializer {
        name: name.into(),
        shape,
        values: Values::Floats(values),
    };
    let tensors: Vec<Initializer<'_>> = tensors.into_iter().map(initializer).collect();
    write(&model, &tensors, &mut fs::File::create(path).expect("a file")).expect("a model");
}

/// The last windows of a pool may go over the end of the image, with gaps between their pixels too.
#[test]
fn pools_with_a_dilation_may_round_sizes_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, spec) = (folder.path().join("m.onnx"), folder.path().join("m.net"));
    let ints = |list: &[i64]| Value::Ints(list.to_vec());
    // Their beginnings are on the grid of their pixels along both axes, along one, along none.
    for strides in [[2, 3], [2, 2], [1, 2]] {
        let attributes = [
            ("kernel_shape", ints(&[3, 2])),
            ("strides", ints(&strides.map(|stride| stride as i64))),
            ("dilations", ints(&[2, 3])),
            ("pads", ints(&[1, 0, 0, 1])),
            ("ceil_mode", Value::Int(1)),
        ];
        let (height, width) = (9usize, 10usize);
        written(&path, 12, &[1, 1, height as u64, width as u64], &[("MaxPool", &["x"], &attributes)], Vec::new());
        let imported = import(&path, &spec, &Options::default())
            .unwrap_or_else(|errors| panic!("{}", render::text(&errors, &Sources::default(), false)));
        let loaded = load_text(&spec, &imported.text, &from_disk);
        let (built, _) = build(&loaded, &BuildOptions::default()).expect("a build");
        let x: Vec<f32> = (0..height * width).map(|at| -1.0 - ((at * 37) % 90) as f32).collect();
        // Windows of 5x4 pixels, of which 3x2 count; the last begin in the image.
        let windows = |size: usize, window: usize, stride: usize| (size + 1 - window).div_ceil(stride) + 1;
        let (rows, columns) = (windows(height, 5, strides[0]), windows(width, 4, strides[1]));
        let mut expected = Vec::new();
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            let taps =
                (0..3).flat_map(|a| (0..2).map(move |b| (strides[0] * row + 2 * a, strides[1] * column + 3 * b)));
            let inside = taps
                .filter_map(|(y, x)| Some((y.checked_sub(1).filter(|y| *y < height)?, x)))
                .filter(|(_, x)| *x < width);
            expected.push(inside.map(|(row, column)| x[row * width + column]).fold(f32::NEG_INFINITY, f32::max));
        }
        let mut found = vec![0.0; rows * columns];
        let artifact = Arc::new(built.in_memory().expect("an artifact"));
        Session::new(artifact, 1).run(1, &[&x], &mut [&mut found]).expect("a run");
        assert_eq!(found, expected, "{}", imported.text);
    }
}

/// Each refusal says what of a node is not taken.
#[test]
fn refusals_name_what_is_not_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.onnx");
    let of = |name, shape: &[usize]| (name, shape.to_vec(), vec![0.5; shape.iter().product()]);
    let mut texts = String::new();
    let mut refused = |opset, input: &[u64], nodes: &[NodeText<'_>], tensors| {
        written(&path, opset, input, nodes, tensors);
        let errors = import(&path, &folder.path().join("m.net"), &Options::default()).expect_err("a refusal");
        texts += &render::text(&errors, &Sources::default(), false).replace(&path.display().to_string(), "m.onnx");
        texts += "\n";
    };
    let spatial = [("spatial", Value::Int(0))];
    let statistics = ["g", "b", "m", "v"].map(|name| of(name, &[3, 4, 4])).to_vec();
    refused(8, &[1, 3, 4, 4], &[("BatchNormalization", &["x", "g", "b", "m", "v"], &spatial)], statistics);
    refused(13, &[2, 6], &[("Gemm", &["x", "w", "b"], &[])], vec![of("w", &[6, 4]), of("b", &[2, 1])]);
    refused(13, &[1, 6], &[("Cast", &["x"], &[("to", Value::Int(9))]), ("Mul", &["x", "v0"], &[])], Vec::new());
    refused(13, &[1, 6], &[("If", &["c"], &[("then_branch", Value::Int(0))])], vec![of("c", &[1])]);
    refused(13, &[1, 2, 5, 5, 5], &[("Conv", &["x", "w"], &[])], vec![of("w", &[3, 2, 3, 3, 3])]);
    let quantised: &[NodeText<'_>] = &[("QuantizeLinear", &["x", "s"], &[]), ("DequantizeLinear", &["v0", "s"], &[])];
    refused(13, &[1, 6], quantised, vec![of("s", &[])]);
    insta::assert_snapshot!("refusals", texts);
}

/// Factors are float32: 10 times 1.3 are 13, although 1.3 is somewhat less there. Height and width may have factors of their own.
#[test]
fn sizes_by_factors_are_those_of_float32() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.onnx");
    for (mode, factors, sizes, written_as) in [
        ("linear", [1.3, 1.3], "13, 13", "Resize(13x13, mode=bilinear)"),
        ("linear", [2.3, 0.7], "23, 7", "Resize(23x7, mode=bilinear)"),
        ("linear", [1.25, 1.12], "12, 11", "Resize(scale=[1.25, 1.12], mode=bilinear)"),
        ("nearest", [1.3, 2.6], "13, 26", "Resize(13x26)"),
    ] {
        let text = |text: &str| Value::Text(text.into());
        let mut attributes = vec![("mode", text(mode))];
        if mode == "nearest" {
            attributes
                .extend([("nearest_mode", text("floor")), ("coordinate_transformation_mode", text("asymmetric"))]);
        }
        let scales = ("s", vec![4], vec![1.0, 1.0, factors[0], factors[1]]);
        written(&path, 13, &[1, 2, 10, 10], &[("Resize", &["x", "", "s"], &attributes)], vec![scales]);
        let imported = import(&path, &folder.path().join("m.net"), &Options::default())
            .unwrap_or_else(|errors| panic!("{}", render::text(&errors, &Sources::default(), false)));
        assert!(imported.text.contains(&format!("-> (?, {sizes}, 2)")), "{}", imported.text);
        assert!(imported.text.contains(written_as), "{}", imported.text);
    }
}
