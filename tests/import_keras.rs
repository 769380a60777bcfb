//! Keras models become specs that give what Keras gives, with weights from the very file. The references are what Keras 3.15
//! computed (`tests/data/keras_import/make.py`), and those of the older files in `tests/data/keras_models`. Nets that are exported
//! as Keras models are imported again.

mod difference;
mod program;

use difference::difference;
use ndarray::ArrayD;
use netc::compile::{Build, BuildOptions, build};
use netc::diagnostics::render;
use netc::elaborate::load_text;
use netc::elaborate::project::source_files::from_disk;
use netc::export;
use netc::graph::NodeId;
use netc::import::{Imported, Options, import};
use netc::runtime::Session;
use netc::source::Sources;
use program::{done, netc, refused, text};
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

#[track_caller]
fn imported(model: &str, options: &Options) -> Imported {
    let model = data(model);
    import(&model, &model.with_extension("net"), options)
        .unwrap_or_else(|errors| panic!("{}", render::text(&errors, &Sources::default(), false)))
}

fn array(path: &Path) -> ArrayD<f32> {
    ndarray_npy::read_npy(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The largest difference between what a spec beside a model gives and what Keras gives.
#[track_caller]
fn distance(model: &str, spec: &str, inputs: &[PathBuf], outputs: &[PathBuf]) -> f64 {
    let spec = load_text(&data(model).with_extension("net"), spec, &from_disk);
    let (build, _) = build(&spec, &BuildOptions::default())
        .unwrap_or_else(|errors| panic!("{}", render::text(&errors, &spec.sources, false)));
    let inputs: Vec<ArrayD<f32>> = inputs.iter().map(|path| array(path).as_standard_layout().into_owned()).collect();
    let outputs: Vec<ArrayD<f32>> = outputs.iter().map(|path| array(path)).collect();
    let mut found: Vec<Vec<f32>> = outputs.iter().map(|output| vec![0.0; output.len()]).collect();
    let mut session = Session::new(Arc::new(build.in_memory().expect("an artifact")), 1);
    let slices: Vec<&[f32]> = inputs.iter().map(|input| input.as_slice().expect("row-major")).collect();
    let mut places: Vec<&mut [f32]> = found.iter_mut().map(Vec::as_mut_slice).collect();
    session.run(inputs[0].shape()[0], &slices, &mut places).expect("a run");
    assert!(outputs.iter().flatten().any(|value| value.abs() > 1e-2), "{model} gives nothing");
    let (found, expected) = (found.into_iter().flatten(), outputs.iter().flatten().copied());
    difference(found, expected, |value| value.abs().max(1.0))
}

/// The arrays `NAME.x0.npy`, `NAME.x1.npy`, … of a model.
fn arrays(name: &str, letter: char) -> Vec<PathBuf> {
    let path = |at: usize| data(&format!("keras_import/{name}.{letter}{at}.npy"));
    (0..).map(path).take_while(|path| path.is_file()).collect()
}

#[track_caller]
fn gives_what_keras_gives(name: &str, ending: &str) {
    let model = format!("keras_import/{name}.{ending}");
    let imported = imported(&model, &Options::default());
    insta::assert_snapshot!(format!("{name}_{ending}"), imported.text);
    let difference = distance(&model, &imported.text, &arrays(name, 'x'), &arrays(name, 'y'));
    assert!(difference < 1e-5, "{difference}\n{}", imported.text);
}

macro_rules! models {
    ($($test:ident: $name:literal $ending:literal,)*) => {
        $(#[test]
        fn $test() {
            gives_what_keras_gives($name, $ending);
        })*
    };
}

models! {
    squeeze_and_excitation: "mobile" "keras",
    shared_layers_and_nested_models: "twins" "keras",
    shared_layers_and_nested_models_in_hdf5: "twins" "h5",
    a_model_within_another: "transfer" "keras",
    a_model_within_another_in_hdf5: "transfer" "h5",
    sequences: "words" "keras",
    functions: "functions" "keras",
    shapes: "shapes" "keras",
    operations: "operations" "keras",
    operations_in_hdf5: "operations" "h5",
}

/// Files of Keras 2.2 to 3.15 whose weights other tests bind to specs that a person wrote.
#[test]
fn files_of_each_version_are_imported() {
    for (model, name) in [
        ("full.keras", "full"),
        ("full.h5", "full"),
        ("sequence.keras", "sequence"),
        ("sequence.h5", "sequence"),
        ("separable.keras", "separable"),
        ("separable.h5", "separable"),
        ("distributed.h5", "distributed"),
        ("epsilon.h5", "epsilon"),
        ("vgg_front.h5", "vgg_front"),
        ("branches.keras", "branches"),
    ] {
        let model = format!("keras_models/{model}");
        let imported = imported(&model, &Options::default());
        let paths = |letter| vec![data(&format!("keras_models/{name}_{letter}.npy"))];
        let difference = distance(&model, &imported.text, &paths("x"), &paths("y"));
        assert!(difference < 1e-5, "{model}: {difference}\n{}", imported.text);
    }
}

#[test]
fn the_program_imports_and_checks() {
    let folder = program::folder(&[]);
    fs::copy(data("keras_import/mobile.keras"), folder.path().join("mobile.keras")).expect("a model");
    done(&netc(folder.path(), &["import", "mobile.keras", "-o", "mobile.net"]));
    for command in [&["fmt", "--check"][..], &["check"], &["test"], &["build"]] {
        done(&netc(folder.path(), &[command, &["mobile.net"]].concat()));
    }
    done(&netc(folder.path(), &["import", "mobile.keras", "-o", "front.net", "--until", "block2_project_bn"]));
    let front = fs::read_to_string(folder.path().join("front.net")).expect("a spec");
    assert!(front.contains("gated(\"block2\")") && !front.contains("logits"), "{front}");
    let output = netc(folder.path(), &["import", "mobile.keras", "-o", "front.net", "--until", "block2_projekt"]);
    refused(&output, "E0905", &["block2_projekt", "block2_project"]);
}

#[test]
fn what_cannot_be_expressed_is_listed_and_nothing_is_written() {
    let folder = program::folder(&[]);
    fs::copy(data("keras_import/odd.keras"), folder.path().join("odd.keras")).expect("a model");
    let output = netc(folder.path(), &["import", "odd.keras", "-o", "odd.net"]);
    insta::assert_snapshot!("odd", text(&output.stderr));
    refused(&output, "E0906", &["`double`", "`again`", "`own`", "`simple`"]);
    assert!(!folder.path().join("odd.net").exists());
    done(&netc(folder.path(), &["import", "odd.keras", "-o", "odd.net", "--until", "stem"]));
}

#[test]
fn files_without_a_model_say_what_they_lack() {
    let folder = program::folder(&[]);
    let refusal = |model: &str, code: &str, words: &[&str]| {
        let output = netc(folder.path(), &["import", &data(model).display().to_string(), "-o", "m.net"]);
        refused(&output, code, words);
        assert!(!folder.path().join("m.net").exists());
    };
    refusal("keras_models/branches.weights.h5", "E0905", &["weights only", "model.save("]);
    refusal("keras_models/subclass.keras", "E0906", &["`Net`", "Python code"]);
    refusal("keras_import/unbuilt.keras", "E0905", &["never built"]);
    refusal("keras_models/hard_sigmoid_2.h5", "E0905", &["never built"]);
}

/// A model of one input of (height, width, channels), with layers in the notation of Keras 2.
fn model(shape: &str, layers: &str) -> Vec<u8> {
    let config = format!(
        r#"{{"class_name": "Functional", "config": {{"name": "m", "layers": [
            {{"class_name": "InputLayer", "name": "in", "config": {{"name": "in", "batch_input_shape": {shape}}}, "inbound_nodes": []}},
            {layers}], "input_layers": [["in", 0, 0]], "output_layers": [["out", 0, 0]]}}}}"#
    );
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("config.json", SimpleFileOptions::default()).expect("a member");
    archive.write_all(config.as_bytes()).expect("a member");
    archive.finish().expect("an archive").into_inner()
}

/// One layer `out` of a class, called with `in`.
fn layer(class: &str, config: &str) -> String {
    format!(
        r#"{{"class_name": "{class}", "name": "out", "config": {{{config}}}, "inbound_nodes": [[["in", 0, 0, {{}}]]]}}"#
    )
}

#[track_caller]
fn message(shape: &str, layers: &str, options: &Options) -> String {
    let folder = program::folder(&[]);
    let path = folder.path().join("model.keras");
    fs::write(&path, model(shape, layers)).expect("a model");
    match import(&path, &folder.path().join("m.net"), options) {
        Ok(imported) => imported.text,
        Err(errors) => render::text(&errors, &Sources::default(), false),
    }
}

/// What a file says is not believed, and each refusal says what is wrong with it.
#[test]
fn damaged_and_hostile_models_are_refused() {
    let image = "[null, 8, 8, 3]";
    let of = |class: &str, config: &str| message(image, &layer(class, config), &Options::default());
    for (class, config, words) in [
        ("Dense", r#""units": -1"#, "its units is -1"),
        ("Dense", r#""units": 99999999999"#, "its units is 99999999999"),
        ("Dense", "", "it has no units"),
        ("Conv2D", r#""filters": 4, "kernel_size": [0, 3]"#, "size"),
        ("Conv2D", r#""filters": 4, "kernel_size": [3, 3, 3]"#, "its kernel_size is [3,3,3]"),
        ("Conv2D", r#""filters": 4, "kernel_size": 9"#, "larger than"),
        ("Conv2D", r#""filters": 4, "kernel_size": 3, "groups": 0"#, "groups"),
        ("Conv2D", r#""filters": 4, "kernel_size": 3, "data_format": "channels_first""#, "channels first"),
        ("Conv2D", r#""filters": 4, "kernel_size": 3, "padding": "odd""#, "its padding is `odd`"),
        ("Reshape", r#""target_shape": [7, -1]"#, "[7, -1] of [8, 8, 3]"),
        ("Reshape", r#""target_shape": [0, -1]"#, "[0, -1] of [8, 8, 3]"),
        ("Permute", r#""dims": [1, 1, 2]"#, "the axes [0, 1, 1, 2]"),
        ("BatchNormalization", r#""axis": [7]"#, "along axis 7"),
        ("UpSampling2D", r#""size": [1000000000, 1000000000]"#, "up to 16777216"),
        ("LSTM", r#""units": 4"#, "`LSTM`"),
        ("Embedding", r#""input_dim": 4, "output_dim": 4, "mask_zero": true"#, "mask_zero"),
        ("Lambda", r#""function": ["4wEAAAA", null, null]"#, "Python code"),
        ("Conv3D", r#""filters": 4"#, "along three axes"),
        (
            "TimeDistributed",
            r#""layer": {"class_name": "Sequential", "config": {"layers": []}}"#,
            "its layer is a model",
        ),
    ] {
        let found = of(class, config);
        assert!(found.contains("E0906") && found.contains(words), "{class}: `{words}` is missing in {found}");
    }
    let whole = |layers: &str| message(image, layers, &Options::default());
    let circle = r#"{"class_name": "ReLU", "name": "a", "config": {}, "inbound_nodes": [[["out", 0, 0, {}]]]},
        {"class_name": "ReLU", "name": "out", "config": {}, "inbound_nodes": [[["a", 0, 0, {}]]]}"#;
    assert!(whole(circle).contains("calls layers in a cycle"));
    let nowhere = r#"{"class_name": "ReLU", "name": "out", "config": {}, "inbound_nodes": [[["gone", 0, 0, {}]]]}"#;
    assert!(whole(nowhere).contains("a missing layer `gone`"));
    let twice = format!("{}, {}", layer("ReLU", ""), layer("ReLU", ""));
    assert!(whole(&twice).contains("two layers of one name"));
    // A model that is called twice by a model that is called twice, and so on: two to the power of 24 layers.
    let mut inner = layer("ReLU", "");
    let model = |layers: &str| {
        format!(
            r#""layers": [{{"class_name": "InputLayer", "name": "in", "config": {{"batch_input_shape": [null, 4]}}, "inbound_nodes": []}},
            {{"class_name": "InputLayer", "name": "in2", "config": {{"batch_input_shape": [null, 4]}}, "inbound_nodes": []}}, {layers}],
            "input_layers": [["in", 0, 0], ["in2", 0, 0]], "output_layers": [["out", 0, 0]]"#
        )
    };
    for _ in 0..24 {
        inner = format!(
            r#"{{"class_name": "Functional", "name": "deep", "config": {{{}}}, "inbound_nodes":
            [[["in", 0, 0, {{}}], ["in2", 0, 0, {{}}]], [["in", 0, 0, {{}}], ["in2", 0, 0, {{}}]]]}},
            {{"class_name": "Add", "name": "out", "config": {{}}, "inbound_nodes": [[["deep", 0, 0, {{}}], ["deep", 1, 0, {{}}]]]}}"#,
            model(&inner)
        );
    }
    let expanded = whole(&format!(
        r#"{{"class_name": "Dropout", "name": "in2", "config": {{}}, "inbound_nodes": [[["in", 0, 0, {{}}]]]}}, {inner}"#
    ));
    assert!(expanded.contains("more than 20000 layers") || expanded.contains("JSON"), "{expanded}");
    let good = fs::read(data("keras_import/twins.keras")).expect("a model");
    let folder = program::folder(&[]);
    let path = folder.path().join("model.keras");
    for length in (0..good.len()).step_by(97) {
        fs::write(&path, &good[..length]).expect("a model");
        import(&path, &folder.path().join("m.net"), &Options::default()).expect_err("a refusal");
    }
}

#[test]
fn open_sizes_are_asked_for() {
    let of = |shape: &str, config: &str, size| message(shape, config, &Options { size, until: None });
    let convolution = layer("Conv2D", r#""filters": 4, "kernel_size": 3"#);
    let found = of("[null, null, null, 3]", &convolution, None);
    assert!(found.contains("E0905") && found.contains("--size 224x224"), "{found}");
    // The sizes are known then; what is missing are the weights.
    let found = of("[null, null, null, 3]", &convolution, Some([12, 10]));
    assert!(found.contains("cannot be built") && !found.contains("--size"), "{found}");
    let steps = layer("Conv1D", r#""filters": 4, "kernel_size": 3"#);
    assert!(of("[null, null, 3]", &steps, None).contains("--size 100"));
    let found = of("[null, null, 3]", &steps, Some([9, 9]));
    assert!(found.contains("cannot be built") && !found.contains("--size"), "{found}");
}

/// A net of random weights, its build, and values for its inputs.
fn built(text: &str, folder: &Path) -> Build {
    let spec = load_text(&folder.join("m.net"), text, &from_disk);
    let options = BuildOptions { allow_untrained: true, ..BuildOptions::default() };
    let (build, _) =
        build(&spec, &options).unwrap_or_else(|errors| panic!("{}", render::text(&errors, &spec.sources, false)));
    build
}

/// What a build gives for two samples of these sizes.
fn outputs(build: &Build, inputs: &[&[usize]]) -> Vec<f32> {
    let values = |at: usize, sizes: &[usize]| -> Vec<f32> {
        let count = 2 * sizes.iter().product::<usize>();
        (0..count).map(|index| ((index * 37 + at * 11) % 101) as f32 / 50.0 - 1.0).collect()
    };
    let inputs: Vec<Vec<f32>> = inputs.iter().enumerate().map(|(at, sizes)| values(at, sizes)).collect();
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let graph = &build.graph;
    let length = |id: &NodeId| 2 * graph.node(*id).output.len().expect("known sizes");
    let mut found: Vec<Vec<f32>> = graph.outputs.iter().map(|id| vec![0.0; length(id)]).collect();
    let mut places: Vec<&mut [f32]> = found.iter_mut().map(Vec::as_mut_slice).collect();
    let mut session = Session::new(Arc::new(build.in_memory().expect("an artifact")), 1);
    session.run(2, &inputs, &mut places).expect("a run");
    found.concat()
}

/// A net that is exported as a Keras model and imported again gives the same.
#[test]
fn what_is_exported_is_imported_again() {
    let image: &[&[usize]] = &[&[9, 8, 4]];
    let steps: &[&[usize]] = &[&[7, 6]];
    let twins: &[&[usize]] = &[&[5], &[5]];
    let words: &[&[usize]] = &[&[6]];
    for (net, inputs) in [
        (
            "Input(9x8x4) >> Conv(3x3, 6, padding=1, stride=2) as a/conv >> BatchNorm as a/norm >> Relu6 >> MaxPool(3x3, stride=2, padding=1) \
             >> Conv(3x2, 8, padding=[1, 0, 0, 2], groups=2, bias=false) as b >> HardSwish >> (Identity | GlobalPool(avg) >> Relu(3) as s \
             >> Sigmoid(8) as e) >> Multiply >> DepthwiseConv(3x3, padding=same, multiplier=2) as d >> Affine(2, shift=0.5) >> Flatten \
             >> Dropout(0.5) >> Softmax(5) as out",
            image,
        ),
        (
            "Input(9x8x4) >> SeparableConv(3x3, 6, padding=same) as sep >> LeakyRelu(alpha=0.2) >> ConvTranspose(3x3, 4, stride=2, padding=1, \
             output_padding=1) as up >> PRelu(alpha_axes=[1, 3]) as slopes >> Shuffle(2) >> SpaceToDepth(2) >> DepthToSpace(2, order=crd) \
             >> Deconv(2x2, 4, stride=3) as deconv >> ConvTranspose(4x4, 4, stride=2, padding=same) as same >> AvgPool(3x3, stride=2, padding=same) \
             >> GroupNorm(2) as group >> LayerNorm as norm >> Scale as scale >> Resize(scale=2, mode=bilinear) >> Upscale([1, 2]) >> Crop([1, 2, 0, 1]) \
             >> ZeroPad(1) >> Slice(1, 3) >> Mean(height) >> Max(time) >> Gelu(tanh=true) >> Clip(-0.5, 0.25)",
            image,
        ),
        (
            "Input(9x8x4) >> (Conv(1x1, 3) as p >> Exp | Conv(1x1, 3) as q >> Square >> Absolute) >> Add >> (Identity | Mean(channels)) >> Concatenate \
             >> Transpose([0, 2, 1, 3]) >> Softmax(axis=width) >> Reshape(24x12) >> Conv(5, 4, stride=2, padding=2) as c >> HardSigmoid >> Power(2) \
             >> MaxPool(2) >> GlobalPool(sum) >> Normalize >> (Dense(3) as x | Dense(3) as y) >> Divide",
            image,
        ),
        (
            "Input(7x6) >> LSTM(5, only_return_final=false) as lstm >> GRU(5, only_return_final=false) as gru >> (Identity | Attention(5) as att) >> Add \
             >> LayerNorm as n >> Dense(6) as steps >> Gelu >> (Identity | Slice(0, 3) >> Conv(1, 4) as m) >> Attention(3, causal=true) as cross \
             >> GRU(4, reset_after=true, backwards=true) as last >> Dense(2) as out",
            steps,
        ),
        (
            "{ share twice = Dense(4) as enc  let a = Input(5) as a  let b = Input(5) as b  (a >> twice >> Tanh | b >> twice >> Elu) >> Subtract \
             >> Dense(3) as out }",
            twins,
        ),
        (
            "Input(6) >> Clip(0, 2) >> Embedding(3, 4) as table >> Flatten >> (Dense(2) as first | Relu(3) as second)",
            words,
        ),
    ] {
        let folder = program::folder(&[]);
        let original = built(&format!("net m = {net}\n"), folder.path());
        let (model, spec) = (folder.path().join("m.keras"), folder.path().join("n.net"));
        export::keras(&original, &model)
            .unwrap_or_else(|errors| panic!("{}", render::text(&errors, &Sources::default(), false)));
        let imported = import(&model, &spec, &Options::default())
            .unwrap_or_else(|errors| panic!("{net}\n{}", render::text(&errors, &Sources::default(), false)));
        let again = built(&imported.text, folder.path());
        assert_eq!(again.bindings.report.untrained, 0, "{}", imported.text);
        let (expected, found) = (outputs(&original, inputs), outputs(&again, inputs));
        assert!(expected.iter().any(|value| value.abs() > 1e-3), "{net} gives nothing");
        let apart = difference(found, expected, |_| 1.0);
        assert!(apart < 1e-5, "{apart}: {net}\n{}", imported.text);
        // The same net results in the same bytes.
        let bytes = fs::read(&model).expect("a model");
        export::keras(&original, &model).expect("a model");
        assert!(bytes == fs::read(&model).expect("a model"), "{net}");
    }
}

#[test]
fn layers_that_keras_lacks_are_all_listed() {
    let net = "net m = Input(9x8x4) >> LRN as lrn >> Conv(3x3, 4, stride=2, dilation=2) as both >> Pad(1, mode=reflect) as mirror >> AvgPool(2x2, padding=1) \
        as pool >> Reshape(?x4) >> ClassToken as token >> LSTM(3, peepholes=true) as lstm >> Dense(2) as out\n";
    let folder = program::folder(&[("m.net", net)]);
    let output = netc(folder.path(), &["export", "m.net", "--allow-untrained", "-o", "m.keras"]);
    insta::assert_snapshot!("lacking", text(&output.stderr));
    refused(&output, "E0904", &["`lrn`", "`both`", "`mirror`", "`pool`", "`token`", "`lstm`"]);
    assert!(!folder.path().join("m.keras").exists());
    let output = netc(folder.path(), &["export", "m.net", "-o", "m.other"]);
    refused(&output, "E0904", &["`-o NAME.keras`", "`-o NAME.safetensors`"]);
    done(&netc(folder.path(), &["export", "Input(4) >> Dense(2)", "--allow-untrained", "--keras", "-o", "m.model"]));
}
