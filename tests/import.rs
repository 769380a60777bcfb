//! ONNX models become specs that give what ONNX Runtime gives, and that a person could have written.

mod program;

use ndarray::ArrayD;
use netc::compile::{BuildOptions, build};
use netc::diagnostics::render;
use netc::elaborate::load_text;
use netc::elaborate::project::source_files::from_disk;
use netc::import::{Imported, Options, import};
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
fn difference(name: &str, spec: &str) -> f32 {
    let spec = load_text(&data(&format!("{name}.net")), spec, &from_disk);
    let (build, _) = build(&spec, &BuildOptions::default())
        .unwrap_or_else(|errors| panic!("{}", render::text(&errors, &spec.sources, false)));
    let (x, y) = (array(&format!("{name}.x.npy")), array(&format!("{name}.y.npy")));
    let mut found = vec![0.0; y.len()];
    let artifact = Arc::new(build.in_memory().expect("an artifact"));
    let input = x.as_slice().expect("row-major");
    Session::new(artifact, 1).run(x.shape()[0], &[input], &mut [&mut found]).expect("a run");
    assert!(y.iter().any(|value| value.abs() > 1e-3), "{name} gives nothing");
    found.iter().zip(&y).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

macro_rules! models {
    ($($name:ident,)*) => {
        $(#[test]
        fn $name() {
            let imported = imported(stringify!($name), &Options::default());
            insta::assert_snapshot!(stringify!($name), imported.text);
            let difference = difference(stringify!($name), &imported.text);
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
    fs::write(folder.path().join("small.net"), own).expect("a spec");
    refused(&netc(folder.path(), &["import", "small.onnx"]), "E0904", &["overwrite small.net, which was not imported"]);
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
