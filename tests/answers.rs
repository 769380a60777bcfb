//! What the program answers to mistakes that take files to make: weights, arrays, lists, folders, runs.

use ndarray::{Array, ArrayD, IxDyn};
use netc::data::array_file;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

fn netc(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netc"));
    command.args(arguments).current_dir(folder).env("NETC_CACHE", folder.join("cache")).env_remove("RUST_BACKTRACE");
    command.output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Refused with this code, and all of these words.
#[track_caller]
fn refused(output: &Output, code: &str, words: &[&str]) {
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("error[{code}]")), "{code} is missing in {told}");
    for word in words {
        assert!(told.contains(word), "`{word}` is missing in {told}");
    }
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

fn photos(folder: &Path, classes: &[&str]) {
    for (class, base) in classes.iter().zip([10u8, 200]) {
        fs::create_dir_all(folder.join(class)).expect("a folder");
        for number in 0..4u8 {
            let picture = image::RgbImage::from_pixel(8, 8, image::Rgb([base + number, base, base]));
            picture.save(folder.join(class).join(format!("{number}.png"))).expect("a photo");
        }
    }
}

const NET: &str = "net kind = Input(8x8x3, image=Unit) >> Flatten >> Softmax(2)\n";

/// A project that learns from photos of two classes.
fn project(recipe: &str) -> TempDir {
    let folder = folder(&[("kind.net", &format!("{NET}train kind {{ data = images(\"two\"), {recipe} }}\n"))]);
    photos(&folder.path().join("two"), &["cat", "dog"]);
    folder
}

fn zeros(path: &Path, shape: &[usize]) {
    array_file::write_npy(path, ArrayD::zeros(IxDyn(shape)).view()).expect("an array");
}

#[test]
fn files_of_weights_and_arrays_are_inspected() {
    let folder = folder(&[]);
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vgg16_tiny/vgg16_neupy.hdf5");
    let weights = weights.to_str().expect("UTF-8");
    let table = done(&netc(folder.path(), &["inspect", weights]));
    assert!(table.contains("the layout neupy") && table.contains("conv1_1 (Convolution)"), "{table}");
    let json = done(&netc(folder.path(), &["inspect", weights, "--format", "json"]));
    let json: serde_json::Value = serde_json::from_str(&json).expect("one document");
    assert_eq!((json["layout"].as_str(), json["tensors"][0]["layer"].as_str()), (Some("neupy"), Some("conv1_1")));
    zeros(&folder.path().join("x.npy"), &[3, 4]);
    assert!(done(&netc(folder.path(), &["inspect", "x.npy"])).contains("[3, 4]"));
}

#[test]
fn shipped_nets_have_their_labels_in_every_folder() {
    let folder = folder(&[]);
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/samples");
    let weights = format!("squeezenet1_1={}", specs.join("squeezenet1_1.hdf5").display());
    let photo = specs.join("chelsea.png");
    let photo = photo.to_str().expect("UTF-8");
    let answer = netc(folder.path(), &["predict", "squeezenet1_1", photo, "--weights", &weights, "--top", "1"]);
    assert!(done(&answer).contains("tiger cat"), "{answer:?}");
}

#[test]
fn what_cannot_be_written_is_told_before_training() {
    let folder = project("epochs = 1");
    fs::create_dir(folder.path().join("kind.netb")).expect("a folder");
    refused(&netc(folder.path(), &["train", "kind.net"]), "E0904", &["kind.netb", "it is a folder"]);
    assert!(!folder.path().join("kind.run").exists(), "nothing was begun");
    fs::remove_dir(folder.path().join("kind.netb")).expect("the folder");
    fs::write(folder.path().join("kind.run"), "text").expect("a file");
    refused(&netc(folder.path(), &["train", "kind.net"]), "E0904", &["kind.run", "nothing was trained yet"]);
}

#[test]
fn weights_that_are_no_numbers_are_told() {
    let folder = project("epochs = 1");
    done(&netc(folder.path(), &["train", "kind.net"]));
    let told = |arguments: &[&str]| text(&netc(folder.path(), arguments).stderr);
    assert!(!told(&["build", "kind.net"]).contains("W1012"));
    let header = br#"{"softmax-1/weight":{"dtype":"F32","shape":[2,192],"data_offsets":[0,1536]},"softmax-1/bias":{"dtype":"F32","shape":[2],"data_offsets":[1536,1544]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    let mut values = vec![0.5f32; 386];
    values[7] = f32::NAN;
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    fs::write(folder.path().join("nan.safetensors"), bytes).expect("a file");
    for command in ["build", "inspect"] {
        let told = told(&[command, "kind.net", "--weights", "kind=nan.safetensors"]);
        assert!(told.contains("warning[W1012]") && told.contains("softmax-1"), "{command}: {told}");
    }
}
