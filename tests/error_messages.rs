//! Error messages that need files: weights, arrays, lists, folders, runs.

mod program;

use ndarray::{Array, ArrayD, IxDyn};
use netc::data::arrays::array_file;
use program::{command, done, folder, netc, refused, text};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use tempfile::TempDir;

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

/// A project that trains on photos of two classes.
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
fn a_file_that_is_being_written_is_not_called_damaged() {
    let folder = folder(&[]);
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vgg16_tiny/vgg16_neupy.hdf5");
    let copy = folder.path().join("w.hdf5");
    fs::copy(weights, &copy).expect("a copy");
    let held = fs::File::options().read(true).write(true).open(&copy).expect("the copy");
    held.lock().expect("nobody else has it");
    let ask = || {
        let mut inspect = command(folder.path(), &["inspect", "w.hdf5"]);
        inspect.env("HDF5_USE_FILE_LOCKING", "TRUE").output().expect("it runs")
    };
    refused(&ask(), "E0703", &["w.hdf5", "another program has it open for writing"]);
    drop(held);
    done(&ask());
}

/// Regression tests: an array with external storage read `/etc/passwd`, shared groups never terminated, and a heap of names
/// took 2.7 GB.
#[test]
fn hdf5_files_of_strangers_are_refused_by_name() {
    let folder = folder(&[]);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/hdf5");
    let cases = [
        ("external_storage.h5", "E0703", "`/x` is refused: its bytes are in another file (external storage)"),
        ("shared_groups.h5", "E0402", "is refused: it is a second link to the group `/z/n"),
        ("damaged_heap.h5", "E0402", "/average-pooling-4 is damaged"),
        ("sizes.h5", "E0703", "`/bomb` is too large: it declares 400000000 bytes"),
    ];
    for (file, code, messages) in cases {
        fs::copy(data.join(file), folder.path().join(file)).expect("a copy");
        refused(&netc(folder.path(), &["inspect", file]), code, &[file, messages]);
    }
    let net = |data: &str| {
        let net = "net kind = Input(4) >> Softmax(2)\n";
        fs::write(folder.path().join("kind.net"), format!("{net}{data}\n")).expect("a spec");
    };
    net("train kind { data = arrays(\"external_storage.h5\", x=\"x\", y=\"x\"), epochs = 1 }");
    refused(&netc(folder.path(), &["train", "kind.net"]), "E0706", &["external_storage.h5", cases[0].2]);
    let weights = [
        ("shared_groups.h5", "E0402", "is refused: it is a second link to the group `/z/n"),
        ("damaged_heap.h5", "E0404", "/average-pooling-4 is damaged"),
    ];
    for (file, code, messages) in weights {
        net(&format!("weights kind = \"{file}\""));
        refused(&netc(folder.path(), &["build", "kind.net"]), code, &[messages]);
    }
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
fn unwritable_outputs_are_reported_before_training() {
    let folder = project("epochs = 1");
    fs::create_dir(folder.path().join("kind.netb")).expect("a folder");
    refused(&netc(folder.path(), &["train", "kind.net"]), "E0904", &["kind.netb", "it is a folder"]);
    assert!(!folder.path().join("kind.run").exists(), "nothing was begun");
    fs::remove_dir(folder.path().join("kind.netb")).expect("the folder");
    fs::write(folder.path().join("kind.run"), "text").expect("a file");
    refused(&netc(folder.path(), &["train", "kind.net"]), "E0904", &["kind.run", "training has not started"]);
}

#[test]
fn non_finite_weights_are_reported() {
    let folder = project("epochs = 1");
    done(&netc(folder.path(), &["train", "kind.net"]));
    let messages = |arguments: &[&str]| text(&netc(folder.path(), arguments).stderr);
    assert!(!messages(&["build", "kind.net"]).contains("W1012"));
    let header = br#"{"softmax-1/weight":{"dtype":"F32","shape":[2,192],"data_offsets":[0,1536]},"softmax-1/bias":{"dtype":"F32","shape":[2],"data_offsets":[1536,1544]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    let mut values = vec![0.5f32; 386];
    values[7] = f32::NAN;
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    fs::write(folder.path().join("nan.safetensors"), bytes).expect("a file");
    for command in ["build", "inspect"] {
        let messages = messages(&[command, "kind.net", "--weights", "kind=nan.safetensors"]);
        assert!(messages.contains("warning[W1012]") && messages.contains("softmax-1"), "{command}: {messages}");
    }
}

#[test]
fn shapes_in_the_order_of_safetensors_are_said_in_it() {
    let folder =
        folder(&[("c.net", "net c = Input(8x8x3) >> Conv(3x3, 4, bias=false) as c1\nweights c = \"c.safetensors\"")]);
    let header = br#"{"c1/weight":{"dtype":"F32","shape":[3,3,3,4],"data_offsets":[0,432]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend([0; 432]);
    fs::write(folder.path().join("c.safetensors"), bytes).expect("a file");
    let words = ["[4, 3, 3, 3] in PyTorch's axis order", "the file has [3, 3, 3, 4]"];
    refused(&netc(folder.path(), &["build", "c.net"]), "E0403", &words);
}

#[test]
fn arrays_of_several_inputs_are_matched_by_name() {
    let folder = folder(&[]);
    let two = "(Input(4) as left | Input(3) as right) >> Concatenate >> Softmax(2)";
    let (left, right) = (ArrayD::zeros(IxDyn(&[3, 4])), ArrayD::zeros(IxDyn(&[2, 3])));
    let path = folder.path().join("x.npz");
    array_file::write_npz(&path, &[("left", left.view()), ("right", right.view())]).expect("arrays");
    let predict = |file: &str| netc(folder.path(), &["predict", two, file, "--allow-untrained"]);
    refused(&predict("x.npz"), "E0703", &["`left` has 3 rows", "`right` has 2 rows"]);
    zeros(&folder.path().join("x.npy"), &[3, 4]);
    refused(&predict("x.npy"), "E0703", &["has 2 inputs", ".npz", "left, right"]);
}

#[test]
fn photos_in_subfolders_are_found() {
    let folder = folder(&[]);
    photos(&folder.path().join("valid"), &["cat", "dog"]);
    let predict = |net: &str, input: &str| netc(folder.path(), &["predict", net, input, "--allow-untrained"]);
    let net = "Input(8x8x3, image=Unit) >> Flatten >> Softmax(2)";
    let found = done(&predict(net, "valid"));
    assert!(found.contains("valid/cat/0.png") && found.contains("valid/dog/0.png"), "{found}");
    refused(&predict("Input(8x8x3) >> Flatten >> Softmax(2)", "nodir"), "E0704", &["nodir", "no such file"]);
}

#[test]
fn lists_with_other_separators_than_commas_are_reported() {
    let folder = project("epochs = 1");
    let spec = format!("{NET}train kind {{ data = csv(\"l.csv\"), epochs = 1 }}\n");
    fs::write(folder.path().join("c.net"), spec).expect("a spec");
    for (list, words) in [
        ("# mine\ntwo/cat/0.png,cat\ntwo/dog/0.png,dog\n", &["l.csv:1:", "cannot have comments"][..]),
        ("two/cat/0.png;cat\ntwo/dog/0.png;dog\n", &["l.csv:1:", "not semicolons"]),
        ("two/cat/0.png\tcat\n", &["not tabs"]),
        (
            "two/cat/0.png,cat\ntwo/cat/1,2.png,cat\n",
            &["l.csv:2:", "3 columns, but the first row has 2", "double quotes"],
        ),
        ("two/cat/0.png,cat\ntwo/dog/0.png\n", &["l.csv:2:", "1 column instead of 2"]),
    ] {
        fs::write(folder.path().join("l.csv"), list).expect("a list");
        refused(&netc(folder.path(), &["train", "c.net"]), "E0706", words);
    }
}

#[test]
fn recipes_that_cannot_learn_are_refused() {
    for (recipe, code, words) in [
        ("metrics = r2", "E0602", &["`r2` does not apply to classes", "`accuracy`"][..]),
        ("metrics = [mae, rmse, r2]", "E0602", &["`mae` does not apply to classes"]),
        ("class_weights = [0, 0]", "E0602", &["above 0"]),
        ("optimizer = Adam(beta1=1)", "E0207", &["below 1"]),
    ] {
        let folder = project(&format!("epochs = 1, {recipe}"));
        refused(&netc(folder.path(), &["train", "kind.net"]), code, words);
    }
    let one = folder(&[("kind.net", &format!("{NET}train kind {{ data = images(\"solo\"), epochs = 1 }}\n"))]);
    photos(&one.path().join("solo"), &["cat"]);
    refused(&netc(one.path(), &["train", "kind.net"]), "E0706", &["1 class, but the net has 2", "add a folder"]);
}

#[test]
fn a_target_that_is_no_class_is_named() {
    let spec = "net kind = Input(4) >> Softmax(2)\ntrain kind { data = arrays(x=\"x.npy\", y=\"y.npy\"), epochs = 1 }";
    let folder = folder(&[("kind.net", spec)]);
    zeros(&folder.path().join("x.npy"), &[3, 4]);
    for (targets, words) in
        [([0.0, 1.0, -1.0], ["target -1", "sample 2"]), ([0.0, 0.5, 1.0], ["target 0.5", "sample 1"])]
    {
        let targets = Array::from(targets.to_vec()).into_dyn();
        array_file::write_npy(&folder.path().join("y.npy"), targets.view()).expect("an array");
        refused(&netc(folder.path(), &["train", "kind.net"]), "E0706", &words);
    }
}

#[test]
fn a_checkpoint_of_another_run_is_not_called_damaged() {
    let hidden = |units: usize, epochs: usize| {
        format!(
            "net kind = Input(8x8x3, image=Unit) >> Flatten >> Relu({units}) >> Softmax(2)\n\
             train kind {{ data = images(\"two\"), epochs = {epochs} }}\n"
        )
    };
    let folder = folder(&[("kind.net", &hidden(4, 3))]);
    photos(&folder.path().join("two"), &["cat", "dog"]);
    done(&netc(folder.path(), &["train", "kind.net"]));
    let resume = |spec: &str| {
        fs::write(folder.path().join("kind.net"), spec).expect("a spec");
        netc(folder.path(), &["train", "kind.net", "--resume"])
    };
    refused(&resume(&hidden(6, 3)), "E0605", &["belongs to another net", "~ relu-1  settings units=4"]);
    refused(&resume(&hidden(4, 2)), "E0605", &["after epoch 3", "has 2 epochs"]);
    done(&resume(&hidden(4, 5)));
}

#[test]
fn arrays_of_features_have_names() {
    let folder = folder(&[]);
    for name in ["", "targets", "a/../b", "/"] {
        let embed = netc(folder.path(), &["embed", "squeezenet1_1", "photos", "--name", name]);
        assert_eq!(embed.status.code(), Some(2), "{name}");
    }
}

#[test]
fn a_net_of_the_files_name_that_needs_arguments_points_to_the_others() {
    let spec = "net shuffle(g) = Relu(g)\nnet shuffle_net = Input(4) >> shuffle(3) >> Softmax(2)";
    let folder = folder(&[("shuffle.net", spec), ("lone.net", "net lone(g) = Input(4) >> Relu(g)")]);
    refused(&netc(folder.path(), &["show", "shuffle.net"]), "E0211", &["`g` has no default", "--net: `shuffle_net`"]);
    done(&netc(folder.path(), &["show", "shuffle.net", "--net", "shuffle_net"]));
    done(&netc(folder.path(), &["check", "shuffle.net"]));
    refused(&netc(folder.path(), &["show", "lone.net"]), "E0205", &["needs `g`"]);
}

#[test]
fn specs_come_through_pipes() {
    let folder = folder(&[]);
    for name in ["-", "/dev/stdin"] {
        let mut command = command(folder.path(), &["check", name]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program runs");
        child.stdin.take().expect("a pipe").write_all(b"net a = Input(4) >> Softmax(2)").expect("written");
        let output = child.wait_with_output().expect("an end");
        assert_eq!(done(&output), "a: (?, 4) -> [... 2 layers ...] -> (?, 2)\n", "{name}");
    }
}

#[test]
fn help_describes_the_names_in_specs() {
    let folder = folder(&[]);
    for word in ["mse", "categorical_crossentropy", "r2", "top5", "Image", "Torch", "HeNormal", "Momentum", "Conv"] {
        assert!(done(&netc(folder.path(), &["help", word])).contains(word), "{word}");
    }
    assert!(done(&netc(folder.path(), &["help", "check"])).contains("Usage: netc check"));
}

#[test]
fn a_bench_counts_the_rows_of_a_table_that_are_read() {
    let folder = folder(&[]);
    let net = "Input(10) >> Embedding(200000, 16) >> Flatten >> Softmax(2)";
    let bench = ["bench", net, "--allow-untrained", "--batch", "1", "--runs", "1", "--steps", "--format", "json"];
    let json: serde_json::Value = serde_json::from_str(&done(&netc(folder.path(), &bench))).expect("one document");
    let step = &json["batches"][0]["steps"][0];
    let (ms, rate) = (step["ms"].as_f64().expect("a time"), step["gbs"].as_f64().expect("a rate"));
    // 10 rows of 16 floats in and out, and 10 indices; the whole table would be 12.8 MB.
    assert!(rate * 1e9 * ms / 1e3 < 3000.0, "{step}");
}

#[test]
fn small_things_are_said_as_they_are() {
    let folder = folder(&[]);
    refused(
        &netc(folder.path(), &["build", "Input(4) >> Softmax(2)", "--max-memory", "1"]),
        "E0801",
        &["the limit is 1 byte"],
    );
    refused(&netc(folder.path(), &["check", "Input(8x8x3, image=Image(scale=1/255))"]), "E0214", &["1.0 / 255"]);
    refused(&netc(folder.path(), &["new", "no/where"]), "E0904", &["no does not exist", "create that folder first"]);
    done(&netc(folder.path(), &["new", "é"]));
    assert!(fs::read_to_string(folder.path().join("é/é.net")).expect("a spec").contains("net project ="));
    // The name of a temporary file is not shown.
    let messages = netc(folder.path(), &["build", "Input(4) >> Softmax(2)", "--allow-untrained", "-o", "/proc/x.netb"]);
    assert!(!text(&messages.stderr).contains(".netc-"), "{messages:?}");
}
