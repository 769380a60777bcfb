//! The command line: what is printed where, and exit codes.

use ndarray::{Array, Array2};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const CAT: &str = "specs/samples/chelsea.png";
const SQUEEZENET: &str = "specs/squeezenet1_1.net";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The result of a command.
#[derive(Debug)]
struct Answer {
    code: Option<i32>,
    out: String,
    messages: String,
}

fn netc_in(folder: &Path, arguments: &[&str]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netc"));
    let Output { status, stdout, stderr } = command.args(arguments).current_dir(folder).output().expect("netc runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Answer { code: status.code(), out: text(stdout), messages: text(stderr) }
}

fn netc(arguments: &[&str]) -> Answer {
    netc_in(&root(), arguments)
}

impl Answer {
    /// Success; returns stdout.
    fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// Success, with nothing on stderr.
    fn quiet(self) -> String {
        assert_eq!((self.code, self.messages.as_str()), (Some(0), ""), "{self:?}");
        self.out
    }

    /// Failure, with nothing on stdout.
    fn refused(self) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{self:?}");
        self.messages
    }

    /// Success, with a single JSON document on stdout.
    fn json(self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
}

#[test]
fn check() {
    assert_eq!(
        netc(&["check", "vgg16[..dropout-2]"]).quiet(),
        "expression: (?, 224, 224, 3) -> [... 38 layers ...] -> (?, 4096)\n"
    );
    assert_contains(&netc(&["check", SQUEEZENET]).quiet(), &["squeezenet1_1: (?, 227, 227, 3) -> [... "]);
    let refused = netc(&["check", "Input(8x8x3) >> Dense(3)"]).refused();
    assert_contains(&refused, &["error[E0301]", "expression:1:17", "(192 features)"]);
    let json = netc(&["check", "Input(8x8x3) >> Dense(3)", "--format", "json"]);
    assert_eq!((json.code, json.messages.as_str()), (Some(1), ""));
    let json = json.json();
    let first = &json["diagnostics"][0];
    assert_eq!((first["code"].as_str(), first["severity"].as_str()), (Some("E0301"), Some("error")));
    assert_eq!((first["labels"][0]["line"].as_u64(), first["labels"][0]["column"].as_u64()), (Some(1), Some(17)));
    assert_eq!(
        netc(&["check", "vgg16[..dropout-2]", "--format", "json"]).json()["diagnostics"].as_array().map(Vec::len),
        Some(0)
    );
}

#[test]
fn show() {
    let tail = netc(&["show", "vgg16[-3..]"]).quiet();
    assert_contains(&tail, &["dropout-2", "dense_3", "softmax-1"]);
    assert!(!tail.contains("dense_2"), "{tail}");
    let table = netc(&["show", "vgg16"]).quiet();
    assert_contains(
        &table,
        &["(?, 224, 224, 3) -> [... 41 layers ...] -> (?, 1000)", "max-pooling-5", "dense_3", "softmax-1"],
    );
    let json = netc(&["show", "vgg16", "--format", "json"]).json();
    let layers = json["layers"].as_array().expect("layers");
    assert_eq!((json["net"].as_str(), layers.len()), (Some("vgg16"), 41));
    assert_contains(json["summary"].as_str().unwrap_or_default(), &["[... 41 layers ...]"]);
    for key in ["index", "name", "kind", "output", "parameters", "macs", "inputs"] {
        assert!(layers.iter().all(|layer| !layer[key].is_null()), "{key}");
    }
    let parameters: u64 = layers.iter().filter_map(|layer| layer["parameters"].as_u64()).sum();
    assert_eq!(parameters, 138_357_544);
}

#[test]
fn stages_are_text() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(
        folder.path().join("small.net"),
        "net small = Input(8x8x3) >> Conv(3x3, 4) as first >> Relu >> Flatten >> Softmax(2)\n",
    )
    .expect("a spec");
    for (stage, expected) in [
        ("ast", &["small", "Conv", "first"][..]),
        ("graph", &["first", "relu-1", "reshape-1", "softmax-1"]),
        ("fused", &["first", "relu-1", "softmax-1"]),
        ("plan", &["first", "arena"]),
        ("weights", &["first", "softmax-1"]),
    ] {
        let text = netc_in(folder.path(), &["build", "small.net", "--emit", stage]).quiet();
        assert_contains(&text, expected);
        assert_eq!(text, netc_in(folder.path(), &["build", "small.net", "--emit", stage]).quiet(), "{stage} varies");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1, "a stage writes no file");
}

/// A folder with the artifact of SqueezeNet.
fn squeezenet() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("squeezenet.netb");
    let built = netc(&["build", SQUEEZENET, "-o", path.to_str().expect("UTF-8")]);
    assert_eq!((built.code, built.out.as_str()), (Some(0), ""), "{built:?}");
    assert_contains(&built.messages, &["Checking squeezenet1_1", "Binding", "Fusing", "Planning arena", "Finished"]);
    folder
}

#[test]
fn a_cat_is_a_cat() {
    let folder = squeezenet();
    let model = folder.path().join("squeezenet.netb");
    let model = model.to_str().expect("UTF-8");

    let table = netc(&["predict", model, CAT]).quiet();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!((lines.len(), lines[0]), (6, CAT), "{table}");
    assert!(lines[1].trim_start().starts_with("tiger cat") && lines[1].ends_with(" %"), "{table}");

    let json = netc(&["predict", model, CAT, "--format", "json", "--top", "3"]).json();
    let top = json[0]["top"].as_array().expect("classes");
    assert_eq!((json[0]["input"].as_str(), top.len()), (Some(CAT), 3));
    assert_eq!((top[0]["label"].as_str(), top[0]["index"].as_u64()), (Some("tiger cat"), Some(282)));
    let probability = top[0]["probability"].as_f64().expect("a number");
    assert!((0.3..=1.0).contains(&probability), "{probability}");

    let csv = netc(&["predict", model, CAT, "--format", "csv", "--top", "2"]).quiet();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "input,rank,index,label,probability"));
    assert!(lines[1].starts_with(&format!("{CAT},1,282,tiger cat,0.")), "{csv}");

    // A folder; the result does not depend on batch size and threads.
    let photos = tempfile::tempdir().expect("a folder");
    for name in ["c.png", "a.png", "b.png"] {
        fs::copy(root().join(CAT), photos.path().join(name)).expect("a copy");
    }
    fs::write(photos.path().join("notes.txt"), "not a photo").expect("a file");
    let folder_of_photos = photos.path().to_str().expect("UTF-8");
    let mut all = Vec::new();
    for options in [["--batch", "1"], ["--batch", "2"], ["--threads", "1"]] {
        let answer = netc(&[&["predict", model, folder_of_photos, "--format", "json"], &options[..]].concat());
        assert_eq!(answer.code, Some(0), "{answer:?}");
        let json = answer.json();
        let names: Vec<&str> =
            json.as_array().expect("photos").iter().filter_map(|photo| photo["input"].as_str()).collect();
        assert_eq!(names.len(), 3);
        assert!(
            names.iter().zip(["a.png", "b.png", "c.png"]).all(|(found, wanted)| found.ends_with(wanted)),
            "{names:?}"
        );
        for photo in json.as_array().expect("photos") {
            assert_eq!(photo["top"][0]["label"].as_str(), Some("tiger cat"));
            let found = photo["top"][0]["probability"].as_f64().expect("a number");
            assert!((found - probability).abs() < 1e-5, "{found} is not {probability}");
        }
        all.push(names.len());
    }
    // A file that is not a photo does not affect the others, but is reported and sets the exit code.
    fs::write(photos.path().join("d.png"), "not a photo either").expect("a file");
    let mixed = netc(&["predict", model, folder_of_photos, "--format", "json"]);
    assert_contains(&mixed.messages, &["d.png"]);
    assert_eq!(mixed.json().as_array().map(Vec::len), Some(3));

    let inspected = netc(&["inspect", model]).quiet();
    assert_contains(&inspected, &["squeezenet1_1", "squeezenet1_1.hdf5"]);
    assert!(netc(&["inspect", model, "--format", "json"]).json().is_object());
}

#[test]
fn photos_that_are_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let spec = "Input(8x8x3, image=Unit) >> Flatten >> Softmax(2)";
    fs::create_dir(folder.path().join("empty")).expect("a folder");
    fs::write(folder.path().join("text.png"), "not a photo").expect("a file");
    fs::write(folder.path().join("nothing.jpg"), "").expect("a file");
    let predict =
        |inputs: &[&str]| netc_in(folder.path(), &[&["predict", spec, "--allow-untrained"], inputs].concat()).refused();
    for (input, code) in [("empty", "E0704"), ("none.jpg", "E0704"), ("text.png", "E0"), ("nothing.jpg", "E0")] {
        assert_contains(&predict(&[input]), &[&format!("error[{code}"), input]);
    }
}

#[test]
fn arrays_in_and_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let x = Array::from_shape_fn((11, 4), |(row, column)| (row * 4 + column) as f32 / 10.0 - 2.0);
    x.write_npy(File::create(at("x.npy")).expect("a file")).expect("an array");
    let spec = "Input(4) >> Relu(5) >> Softmax(3) as out";
    let predict =
        |more: &[&str]| netc_in(folder.path(), &[&["predict", spec, "x.npy", "--allow-untrained"], more].concat());
    assert_eq!(predict(&["-o", "y.npy"]).done(), "");
    let y = Array2::<f32>::read_npy(File::open(at("y.npy")).expect("the outputs")).expect("an array");
    assert_eq!(y.shape(), [11, 3]);
    assert!(y.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-5));
    assert_eq!(predict(&["-o", "z.npy", "--batch", "4"]).done(), "");
    let z = Array2::<f32>::read_npy(File::open(at("z.npy")).expect("the outputs")).expect("an array");
    assert!(y.iter().zip(&z).all(|(a, b)| (a - b).abs() < 1e-6));
    let json = predict(&["--format", "json", "--top", "1"]).json();
    assert_eq!(json.as_array().map(Vec::len), Some(11));
    for (image, row) in json.as_array().expect("images").iter().zip(y.rows()) {
        let index = image["top"][0]["index"].as_u64().expect("an index") as usize;
        assert!(row.iter().all(|value| *value <= row[index]));
    }
    // Other formats contain the same, under the name of the layer.
    for name in ["y.npz", "y.h5"] {
        assert_eq!(predict(&["-o", name]).done(), "", "{name}");
        let list = netc::data::arrays::array_file::list(&at(name)).expect("a list");
        assert_eq!(list.iter().map(|array| array.name.as_str()).collect::<Vec<_>>(), ["out"], "{name}");
        let again = netc::data::arrays::array_file::read(&at(name), Some("out")).expect("an array");
        assert!(again.iter().eq(y.iter()), "{name}");
    }
    let two = "(Input(4) as left | Input(4) as right) >> (Add | Concatenate)";
    netc::data::arrays::array_file::write(
        &at("two.npz"),
        &[("left", x.view().into_dyn()), ("right", x.view().into_dyn())],
    )
    .expect("two arrays");
    let answer = netc_in(folder.path(), &["predict", two, "two.npz", "-o", "out.npz"]);
    assert_eq!(answer.done(), "");
    let sum = netc::data::arrays::array_file::read(&at("out.npz"), Some("elementwise-1")).expect("the sum");
    assert!(sum.iter().zip(&x).all(|(sum, x)| (sum - 2.0 * x).abs() < 1e-6));
    // A failed write leaves no file.
    let before = fs::read_dir(folder.path()).expect("the folder").count();
    assert_contains(&predict(&["-o", "x.npy/y.npy"]).refused(), &["E0904", "x.npy/y.npy"]);
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), before);
}

#[test]
fn damaged_artifacts() {
    let folder = tempfile::tempdir().expect("a folder");
    let built = netc_in(
        folder.path(),
        &["build", "Input(8x8x3, image=Unit) >> Flatten >> Softmax(2)", "--allow-untrained", "-o", "net.netb"],
    );
    assert_eq!((built.code, built.out.as_str()), (Some(0), ""), "{built:?}");
    let path = folder.path().join("net.netb");
    let whole = fs::read(&path).expect("the artifact");
    let cat = root().join(CAT);
    let predict = || netc_in(folder.path(), &["predict", "net.netb", cat.to_str().expect("UTF-8")]);
    predict().done();
    for (at, expected) in [(0, "E0901"), (9, "E0902"), (20, "E0903"), (100, "E0903"), (whole.len() - 5, "E0903")] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, bytes).expect("a damaged artifact");
        assert_contains(&predict().refused(), &[expected]);
    }
    fs::write(&path, &whole[..whole.len() / 2]).expect("half an artifact");
    assert_contains(&predict().refused(), &["E0903", "net.netb"]);
}

#[test]
fn help_and_usage() {
    assert_contains(&netc(&["help", "Conv"]).quiet(), &["Convolution", "filters", "padding", "dilation"]);
    assert_contains(&netc(&["help", "build"]).quiet(), &["--allow-untrained"]);
    assert_contains(&netc(&["help"]).quiet(), &["predict", "MaxPooling", "vgg16"]);
    assert_contains(&netc(&["help", "Covn"]).refused(), &["Conv"]);
    assert_contains(&netc(&["explain", "E0301"]).quiet(), &["E0301", "Flatten"]);
    assert_eq!(netc(&["explain", "e0301"]).quiet(), netc(&["explain", "E0301"]).quiet());
    assert!(netc(&["explain", "E9999"]).refused().contains("E9999"));
    assert_contains(&netc(&["--version"]).quiet(), &["netc 0."]);
    assert_contains(&netc(&["--help"]).quiet(), &["Usage"]);
    for usage in [
        &["predict"][..],
        &["build"],
        &["nonsense"],
        &["show", "vgg16", "--colour"],
        &["build", "vgg16", "--weights", "x"],
        &[],
    ] {
        let answer = netc(usage);
        assert_eq!((answer.code, answer.out.as_str()), (Some(2), ""), "{usage:?}: {answer:?}");
        assert!(!answer.messages.is_empty(), "{usage:?}");
    }
}

#[test]
fn fmt() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("small.net");
    let ragged = "net   small=Input( 4 )>>Relu(5)   >>Softmax( 2 )\n";
    fs::write(&path, ragged).expect("a spec");
    let check = netc_in(folder.path(), &["fmt", "--check", "small.net"]);
    assert_eq!(check.code, Some(1), "{check:?}");
    assert_eq!(fs::read_to_string(&path).expect("the spec"), ragged, "a check changes nothing");
    netc_in(folder.path(), &["fmt", "small.net"]).done();
    assert_eq!(fs::read_to_string(&path).expect("the spec"), "net small = Input(4) >> Relu(5) >> Softmax(2)\n");
    netc_in(folder.path(), &["fmt", "--check", "small.net"]).done();
    let wrong = "net small = Input(4 >> Relu(5)\n";
    fs::write(&path, wrong).expect("a spec");
    assert_contains(&netc_in(folder.path(), &["fmt", "small.net"]).refused(), &["E0102"]);
    assert_eq!(fs::read_to_string(&path).expect("the spec"), wrong, "what is wrong stays as it is");
}

#[test]
fn verify_and_the_default_place() {
    assert_contains(
        &netc(&["verify", "Input(6x6x4) >> Conv(3x3, 8) >> Relu >> Flatten >> Softmax(3)"]).quiet(),
        &["softmax-1"],
    );
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("specs")).expect("a folder");
    fs::write(folder.path().join("specs/small net.net"), "Input(4) >> Softmax(2)\n").expect("a spec");
    let built = netc_in(folder.path(), &["build", "specs/small net.net", "--allow-untrained"]);
    assert_eq!(built.code, Some(0), "{built:?}");
    assert!(folder.path().join("specs/small net.netb").is_file(), "{built:?}");
}

/// Odd arguments never cause a panic (101), a signal or silence.
#[test]
fn odd_arguments() {
    let folder = tempfile::tempdir().expect("a folder");
    let deep = format!("Input(4) >> {}Relu{}", "(".repeat(5000), ")".repeat(5000));
    let long = format!("Input(4){}", " >> Relu".repeat(5000));
    let wide = format!("Input(4) >> ({}) >> Add", vec!["Relu"; 3000].join(" | "));
    let odd = [
        "",
        " ",
        "\n",
        "#",
        "\u{feff}",
        "\0",
        "é",
        "🦉",
        "Input(4) >> 🦉",
        "\"",
        "(",
        ")",
        "[",
        "{",
        "}",
        ">>",
        "|",
        "..",
        "netc 1",
        "Input(0)",
        "Input(?)",
        "Input(?x?x?)",
        "Input(-1)",
        "Input(1e400)",
        "Input(999999999999999999)",
        "Input(4)[..]",
        "Input(4)[0..0]",
        "vgg16[..=999999]",
        "vgg16[-999999..]",
        "vgg16[\"\\n\"]",
        "vgg16[..][..][..]",
        "Input(4) >> Dense(999999999999999999)",
        "Input(999999999999999999x999999999999999999x3)",
        "Input(4) >> repeat(0) { Relu }",
        "Input(4) >> repeat(-1) { Relu }",
        "Input(4) >> repeat i in 9..1 { Relu }",
        "Input(4) >> repeat i in 1..999999999999999999 { Relu }",
        "Input(4) >> repeat(9999) { repeat(9999) { Relu } }",
        "Input(4) >> Dense(1 / 0)",
        "Input(4) >> Dense(999999999999999999 * 999999999999999999)",
        "Input(4) >> Dense(-(-3))",
        "Input(4) >> { }",
        "Input(4) >> { let a = a  a }",
        "Input(4) >> { let a = b  let b = a  a }",
        "(| )",
        "()",
        "Input(4) >> (Relu)",
        "Input(8x8x3) >> Conv(999999999x999999999, 3, padding=same)",
        "Input(8x8x3) >> Conv(3x3, 3, dilation=999999999)",
        "Input(8x8x3) >> ZeroPad(999999)",
        "Input(8x8x3) >> Upscale(999999)",
        "Input(8x8x3) >> Reshape(?x?)",
        "Input(4) as \"a\" >> Relu as a",
        "Input(8x8x3, image=Image(resize=999999999, crop=center))",
        "if true { Input(4) } else { Relu }",
        "if 1 { Input(4) }",
        deep.as_str(),
        long.as_str(),
        wide.as_str(),
    ];
    for argument in odd {
        if argument.contains('\0') {
            continue;
        }
        for command in ["check", "show", "build"] {
            let answer = netc_in(
                folder.path(),
                &[command, argument, "--format", "json"][..if command == "build" { 2 } else { 4 }],
            );
            assert!(matches!(answer.code, Some(0 | 1)), "{command} {argument:.60}: {answer:?}");
            assert!(
                answer.code == Some(0) || !answer.messages.is_empty() || command == "check",
                "{command} {argument:.60}"
            );
        }
    }
    assert!(
        fs::read_dir(folder.path())
            .expect("the folder")
            .all(|entry| { entry.is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(".netb")) })
    );
}
