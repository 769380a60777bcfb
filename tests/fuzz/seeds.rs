//! Valid inputs of each target, the seeds of mutations: files of this repository, and generated ones.

use netc::compile::{BuildOptions, build};
use netc::elaborate::load;
use netc::elaborate::project::source_files::from_disk;
use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

/// The maximum size of a seed: larger ones make mutations slow.
const LARGEST: u64 = 48 << 10;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The files of a folder with one of these extensions, sorted by name.
fn files(folder: &str, endings: &[&str]) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(root(folder)).expect("the folder").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = entries
        .filter(|path| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)))
        .filter(|path| path.metadata().is_ok_and(|known| known.len() <= LARGEST))
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file")).collect()
}

/// The seeds of a target: those in `tests/fuzz/seeds`, which once found a bug, and valid inputs.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let mut seeds = good(target);
    let found = format!("tests/fuzz/seeds/{target}");
    if root(&found).is_dir() {
        seeds.extend(files(&found, &[""]));
    }
    assert!(!seeds.is_empty(), "{target} has no seeds");
    seeds
}

fn good(target: &str) -> Vec<Vec<u8>> {
    match target {
        "spec" | "editor" => {
            let mut all = files("specs", &[".net"]);
            all.extend(files("tests/diagnostics", &[".net"]));
            all.extend(files("tests/data/neupy_ops", &[".net"]));
            all
        }
        "recipe" => RECIPES.map(|text| text.as_bytes().to_vec()).to_vec(),
        "safetensors" => vec![safetensors()],
        "hdf5_weights" => {
            let mut all = files("tests/data/keras_recurrent", &[".h5"]);
            all.extend(files("tests/data/neupy_ops", &["conv_bn_relu.hdf5", "relu_dense.hdf5", "lstm.hdf5"]));
            all
        }
        "onnx" => files(
            "tests/data/onnx",
            &[
                "caffe.onnx",
                "tensorflow.onnx",
                "mobile_dynamo.onnx",
                "unet_torchscript.onnx",
                "storage.onnx",
                "external.onnx",
                "unsupported.onnx",
            ],
        ),
        "keras_archive" => {
            vec![keras_archive(zip::CompressionMethod::Stored), keras_archive(zip::CompressionMethod::Deflated)]
        }
        "keras_model" => {
            let archives = ["mobile", "twins", "transfer", "words", "functions", "shapes", "odd", "unbuilt"];
            let models = ["full", "separable", "permuted"];
            let paths = archives.map(|name| format!("tests/data/keras_import/{name}.keras"));
            let paths = paths.into_iter().chain(models.map(|name| format!("tests/data/keras_models/{name}.keras")));
            paths.map(|path| configuration(&path)).collect()
        }
        "pickle" => {
            let archives = ["state", "checkpoint", "strided", "parallel"];
            archives.map(|name| pickle(&format!("tests/data/torch_archives/{name}.pth"))).to_vec()
        }
        "npy" => vec![
            npy(1, "<f4", false),
            npy(1, ">f8", true),
            npy(2, "|u1", false),
            npy(1, "|b1", false),
            npy(3, "<i8", false),
        ],
        "npz" => {
            let arrays = [("x.npy", npy(1, "<f4", false)), ("y.npy", npy(1, "<f2", true))];
            let mut all: Vec<Vec<u8>> = [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated]
                .map(|method| archive(method, &arrays))
                .to_vec();
            all.extend(files("tests/data/neupy_ops", &["bn_4d.npz", "embedding.npz"]));
            all
        }
        "hdf5_arrays" => files("tests/data/keras_recurrent", &[".h5"]),
        "image" => files("tests/data/photos", &[".jpg", ".png"]),
        "artifact" => NETS.map(artifact).to_vec(),
        "lists" => LISTS.map(|text| text.as_bytes().to_vec()).to_vec(),
        "record" => {
            // The part of a snapshot after the second line of dashes.
            let snapshots = files("src/train/run/record/snapshots", &["the_text.snap"]).into_iter();
            let texts = snapshots.map(|text| String::from_utf8(text).expect("text"));
            texts.filter_map(|text| Some(text.splitn(3, "---\n").nth(2)?.as_bytes().to_vec())).collect()
        }
        _ => Vec::new(),
    }
}

const RECIPES: [&str; 4] = [
    "data = images(\"birds/train\")\nvalidation = images(\"birds/valid\")\noptimizer = Momentum(step=0.01, momentum=0.9)\nloss = categorical_crossentropy\nepochs = 100\nbatch = 128",
    "data = arrays(\"f.h5\", x=\"images\", y=\"targets\")\nvalidation = split(10%)\noptimizer = Adam(step=step_decay(0.001, reduction_freq=100))\nregularizer = l2(0.1)\nearly_stopping = 5\nseed = 3",
    "data = csv(\"list.csv\")\naugment = [flip, rotate(10)]\nclass_weights = balanced\nmetrics = [accuracy, top5]\nbatch = 32",
    "data = arrays(x=\"x.npy\", y=\"y.npy\")\nloss = mse",
];

const LISTS: [&str; 4] =
    ["a.jpg,cat\nb.jpg,dog\n", "path,label\n\"a, b.png\",1.5\n", "cat\ndog\nbird\n", "path,x,y\nnone.jpg,0.5,1\n"];

const NETS: [&str; 6] = [
    "Input(6x6x3, image=Unit) >> Conv(3x3, 4, padding=same) >> BatchNorm >> Relu >> MaxPool(2x2) >> Flatten >> Softmax(5)",
    "Input(9x9x16) >> (Conv(3x3, 16, padding=same) >> Relu | Conv(1x1, 16)) >> Add >> (GlobalPool(avg) | GlobalPool(max)) >> Concatenate >> Relu(7) >> Dense(3)",
    "Input(8x8x6) >> (DepthwiseConv(3x3) | Conv(3x3, 6, groups=2) | Slice(0, 3) >> Deconvolution(2x2, 6, stride=2) >> MaxPool(11x11, stride=1)) >> Concatenate >> PRelu",
    "Input(6x5) >> (LSTM(4) | GRU(4)) >> (Add >> Sigmoid(2) | Concatenate)",
    "Input(4x4x2) >> Upscale(2x2) >> ZeroPad(1) >> Transpose([0, 2, 1, 3]) >> GroupNorm(1) >> Reshape(200) >> Dense(2)",
    "Input(4x4x4) >> Resize(5x7, mode=bicubic) >> Pad(2, mode=reflect) >> Crop([1, 0, 2, 1]) >> ConvTranspose(3x3, 2, stride=2, groups=2)",
];

fn artifact(expression: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let spec = load(expression, &from_disk).expect("a spec");
    let options = BuildOptions { allow_untrained: true, ..BuildOptions::default() };
    let path = folder.path().join("net.netb");
    build(&spec, &options).expect("a build").0.write(&path).expect("an artifact");
    fs::read(path).expect("its bytes")
}

/// The pickle of an archive that PyTorch wrote.
fn pickle(path: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(fs::File::open(root(path)).expect("an archive")).expect("an archive");
    let name = archive.file_names().find(|name| name.ends_with("data.pkl")).expect("a pickle").to_string();
    let mut bytes = Vec::new();
    archive.by_name(&name).expect("the pickle").read_to_end(&mut bytes).expect("its bytes");
    bytes
}

fn safetensors() -> Vec<u8> {
    let header = br#"{"__metadata__":{"format":"pt"},"conv.weight":{"dtype":"F32","shape":[3,2,3,3],"data_offsets":[0,216]},"conv.bias":{"dtype":"F16","shape":[3],"data_offsets":[216,222]},"fc.weight":{"dtype":"BF16","shape":[2,4],"data_offsets":[222,238]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header);
    bytes.extend((0..238).map(|byte| byte as u8));
    bytes
}

fn npy(version: u8, descr: &str, fortran: bool) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': (3, 4), }}\n");
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend((header.len() as u16).to_le_bytes()),
        _ => bytes.extend((header.len() as u32).to_le_bytes()),
    }
    bytes.extend(header.as_bytes());
    let size = usize::from(descr.as_bytes()[2] - b'0');
    bytes.extend((0..12 * size).map(|byte| byte as u8));
    bytes
}

fn archive<N: AsRef<str>>(method: zip::CompressionMethod, entries: &[(N, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        archive.start_file(name.as_ref(), options).expect("an entry");
        archive.write_all(bytes).expect("its bytes");
    }
    archive.finish().expect("an archive").into_inner()
}

/// The configuration in an archive of Keras, without spaces.
fn configuration(path: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(fs::File::open(root(path)).expect("an archive")).expect("an archive");
    let mut text = Vec::new();
    archive.by_name("config.json").expect("a model").read_to_end(&mut text).expect("a member");
    let value: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    value.to_string().into_bytes()
}

fn keras_archive(method: zip::CompressionMethod) -> Vec<u8> {
    let weights = fs::read(root("tests/data/keras_recurrent/recurrent.weights.h5")).expect("weights");
    let config = br#"{"module":"keras","class_name":"Sequential","config":{"name":"s","layers":[{"class_name":"LSTM","config":{"name":"lstm","units":4}}]}}"#;
    let metadata = br#"{"keras_version":"3.6.0","date_saved":"2026-01-01"}"#;
    archive(
        method,
        &[("metadata.json", metadata.to_vec()), ("config.json", config.to_vec()), ("model.weights.h5", weights)],
    )
}
