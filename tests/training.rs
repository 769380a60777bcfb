//! Training from the command line: weights, artifacts and records; the same bytes for the same seed, with any number of threads
//! and after resuming a killed run.

mod program;

use ndarray::{ArrayD, IxDyn};
use netc::data::arrays::array_file;
use netc::train::run::record::RunRecord;
use program::{done, netc};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

#[path = "training/interruptions.rs"]
mod interruptions;
#[path = "training/progress.rs"]
mod progress;

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Small photos of two kinds: mostly red and mostly blue, with a pattern that differs from photo to photo.
fn photos(folder: &Path, each: u32) {
    for (name, channel) in [("red", 0), ("sea", 2)] {
        let place = folder.join(name);
        fs::create_dir_all(&place).expect("a folder");
        for number in 0..each {
            let picture = image::RgbImage::from_fn(20, 16, |x, y| {
                let mut pixel =
                    [(x * 7 + number * 13) as u8 % 90, (y * 11 + number * 5) as u8 % 90, (x + y) as u8 % 80];
                pixel[channel] += 120;
                image::Rgb(pixel)
            });
            picture.save(place.join(format!("{number}.png"))).expect("a photo");
        }
    }
}

/// A folder with photos and a net with a frozen front.
fn project(recipe: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    photos(&folder.path().join("photos"), 12);
    let net =
        "net kind = frozen(Input(8x8x3, image=Unit) >> Conv(3x3, 4) >> Relu >> Flatten) >> Dropout(0.2) >> Softmax(2)";
    let data = if recipe.contains("data =") { "" } else { "data = images(\"photos\")\n" };
    fs::write(folder.path().join("kind.net"), format!("{net}\n\ntrain kind {{\n{data}{recipe}\n}}\n")).expect("a spec");
    folder
}

fn bytes(folder: &TempDir, name: &str) -> Vec<u8> {
    fs::read(folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn nets_of_other_names_share_the_features_of_the_same_front() {
    let folder = project(RECIPE);
    done(&netc(folder.path(), &["train", "kind.net"]));
    let spec = String::from_utf8(bytes(&folder, "kind.net")).expect("text");
    fs::write(folder.path().join("other.net"), spec.replace("kind", "other").replace("0.01)", "0.02)"))
        .expect("a spec");
    let messages = netc(folder.path(), &["train", "other.net"]);
    assert!(stderr(&messages).contains("0 computed, 24 cached"), "{}", stderr(&messages));
}

/// Features depend on the front only: they are recomputed if its weights change, not if those of the head do.
#[test]
fn the_heads_weights_leave_the_features_as_they_are_and_the_fronts_do_not() {
    let folder = tempfile::tempdir().expect("a folder");
    photos(&folder.path().join("photos"), 6);
    let front = "net front = Input(8x8x3, image=Unit) >> Conv(3x3, 4) as c >> Relu >> Flatten\n";
    let head = "net head = Input(144) >> Relu(5) as hidden >> Softmax(2) as species\n";
    let data = "data = images(\"photos\"), batch = 4, optimizer = Adam(step=0.01)";
    // Two nets whose weights differ in every layer.
    for (name, epochs) in [("one", 1), ("two", 2)] {
        let text = format!("{front}{head}net {name} = front >> head\ntrain {name} {{ {data}, epochs = {epochs} }}\n");
        fs::write(folder.path().join(format!("{name}.net")), text).expect("a spec");
        done(&netc(folder.path(), &["train", &format!("{name}.net")]));
    }
    let bird = |of_front: &str, of_head: &str, image: &str| {
        let text = format!(
            "{}{head}net bird = frozen(front) >> head\nweights front = \"{of_front}.h5\"\nweights head = \"{of_head}.h5\"\n\
             train bird {{ {data}, epochs = 1 }}\n",
            front.replace("Unit", image)
        );
        fs::write(folder.path().join("bird.net"), text).expect("a spec");
        let output = netc(folder.path(), &["train", "bird.net"]);
        done(&output);
        let messages = stderr(&output);
        let (before, _) =
            messages.split_once(" computed").unwrap_or_else(|| panic!("features are not mentioned: {messages}"));
        before.split_whitespace().last().map(str::to_string)
    };
    let computed = |count: &str| Some(count.to_string());
    assert_eq!(bird("one", "one", "Unit"), computed("12"));
    assert_eq!(bird("one", "two", "Unit"), computed("0"), "another head");
    assert_eq!(bird("two", "two", "Unit"), computed("12"), "a different front");
    assert_eq!(bird("two", "one", "Unit"), computed("0"), "another head");
    assert_eq!(bird("one", "two", "Symmetric"), computed("12"), "other preprocessing");
    assert_eq!(bird("one", "one", "Unit"), computed("0"), "what was there is kept");
}

/// New layers are initialised with the seed of the recipe, and without one as in a build.
#[test]
fn new_layers_begin_from_the_recipes_seed() {
    let x = ArrayD::from_shape_fn(IxDyn(&[4, 3]), |at| (at[0] + at[1]) as f32);
    let start = |seed: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        array_file::write(&folder.path().join("x.npy"), &[("x", x.view())]).expect("a file");
        // A step of 0 leaves the initial values unchanged; those of the frozen layer are random too.
        let text = format!(
            "net n = frozen(Input(3) >> Relu(4) as a) >> Dense(3) as b\ntrain n {{ data = arrays(x=\"x.npy\", y=\"x.npy\"), \
             epochs = 1, optimizer = GradientDescent(step=1e-30)\n{seed} }}\n"
        );
        fs::write(folder.path().join("n.net"), text).expect("a spec");
        let messages = done(&netc(folder.path(), &["train", "n.net"]));
        // A build binds the trained weights.
        let again = done(&netc(folder.path(), &["eval", "n.net", "--x", "x.npy", "--y", "x.npy"]));
        assert_eq!(messages.split_once(": ").map(|pair| pair.1), again.split_once(": ").map(|pair| pair.1));
        let read = |name| array_file::read(&folder.path().join("n.h5"), Some(name)).expect("weights");
        (read("a/weight"), read("b/weight"))
    };
    let (without, zero, three) = (start(""), start("seed = 0"), start("seed = 3"));
    assert!(without == zero && start("seed = 3") == three);
    assert!(zero.0 != three.0 && zero.1 != three.1, "another seed gives other layers");
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("n.net"), "net n = Input(3) >> Relu(4) as a >> Dense(3) as b\n").expect("a spec");
    array_file::write(&folder.path().join("x.npy"), &[("x", x.view())]).expect("a file");
    done(&netc(folder.path(), &["predict", "n.net", "x.npy", "-o", "y.npy", "--allow-untrained"]));
    let found = array_file::read(&folder.path().join("y.npy"), None).expect("an array");
    let matrix = |array: &ArrayD<f32>| array.clone().into_dimensionality::<ndarray::Ix2>().expect("a matrix");
    let hidden = matrix(&x).dot(&matrix(&zero.0)).mapv(|value| value.max(0.0));
    let wanted = hidden.dot(&matrix(&zero.1));
    assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-5), "{found} for {wanted}");
}

const RECIPE: &str =
    "validation = split(0.25)\noptimizer = Adam(step=0.01)\nepochs = 12\nbatch = 5\nregularizer = l2(0.001)";

#[test]
fn a_recipe_becomes_weights_an_artifact_a_record_and_pages() {
    let folder = project(RECIPE);
    let table = done(&netc(folder.path(), &["train", "kind.net"]));
    assert!(table.starts_with("validation: accuracy 100.00 %"), "{table}");
    let record = String::from_utf8(bytes(&folder, "kind.run/run.yaml")).expect("text");
    assert!(record.contains("stopped: all 12 epochs are done") && record.contains("- epoch: 12"), "{record}");
    assert!(bytes(&folder, "kind.run/report.html").starts_with(b"<!DOCTYPE html>"));
    assert!(bytes(&folder, "kind.run/curves.svg").starts_with(b"<svg"));
    // The artifact contains the classes, and so does a later build.
    let guess = done(&netc(folder.path(), &["predict", "kind.netb", "photos/sea/3.png"]));
    assert!(guess.lines().nth(1).is_some_and(|line| line.trim_start().starts_with("sea")), "{guess}");
    let trained = bytes(&folder, "kind.netb");
    let output = netc(folder.path(), &["build", "kind.net", "-o", "again.netb"]);
    done(&output);
    assert!(stderr(&output).contains("kind.h5"), "{}", stderr(&output));
    assert_eq!(trained.len(), bytes(&folder, "again.netb").len());
    let measures =
        done(&netc(folder.path(), &["eval", "kind.netb", "photos", "--format", "json", "--html", "eval.html"]));
    let measures: serde_json::Value = serde_json::from_str(&measures).expect("one JSON document");
    assert_eq!(measures["accuracy"], 1.0);
    assert_eq!(measures["confusion"][0], serde_json::json!([12, 0]));
    assert!(bytes(&folder, "eval.html").len() > 1000);
    // Without the trained weights, the head is untrained.
    let fresh = netc(folder.path(), &["build", "kind.net", "--fresh"]);
    assert_eq!(fresh.status.code(), Some(1));
    assert!(stderr(&fresh).contains("kind.net"), "{}", stderr(&fresh));
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_any_number_of_threads_and_from_the_cache() {
    let mut all = Vec::new();
    for threads in ["1", "2", "3"] {
        let folder = project(RECIPE);
        done(&netc(folder.path(), &["train", "kind.net", "--threads", threads]));
        all.push((bytes(&folder, "kind.h5"), bytes(&folder, "kind.netb")));
        let again = netc(folder.path(), &["train", "kind.net", "--threads", threads]);
        done(&again);
        assert!(stderr(&again).contains("0 computed, 24 cached"), "{}", stderr(&again));
        all.push((bytes(&folder, "kind.h5"), bytes(&folder, "kind.netb")));
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "a run differs from another");
    let folder = project(&format!("{RECIPE}\nseed = 1"));
    done(&netc(folder.path(), &["train", "kind.net"]));
    assert!(bytes(&folder, "kind.h5") != all[0].0, "another seed gives other weights");
}

/// The classic workflow: write features to a file, train a head on them, and join both.
#[test]
fn a_head_trained_on_features_is_joined_with_its_front() {
    let folder = tempfile::tempdir().expect("a folder");
    photos(&folder.path().join("photos"), 12);
    let front = "net front = Input(8x8x3, image=Unit) >> Conv(3x3, 4) >> Relu >> Flatten\n";
    let head = "net head = Input(144) >> Softmax(2) as species\n";
    fs::write(folder.path().join("front.net"), front).expect("a spec");
    let recipe =
        "train head { data = arrays(\"embedded.h5\", x=\"embedded\", y=\"targets\"), epochs = 40, batch = 8 }\n";
    fs::write(folder.path().join("head.net"), format!("{head}{recipe}")).expect("a spec");
    let bird = format!(
        "{front}{head}net bird = front >> head\nweights head = \"head.h5\"\nlabels bird = [\"red\", \"sea\"]\n"
    );
    fs::write(folder.path().join("bird.net"), bird).expect("a spec");
    let embed = ["embed", "front.net", "photos", "-o", "embedded.h5", "--allow-untrained"];
    let output = netc(folder.path(), &embed);
    done(&output);
    assert!(stderr(&output).contains("embedded (24, 144)"), "{}", stderr(&output));
    let features = array_file::read(&folder.path().join("embedded.h5"), Some("embedded")).expect("features");
    assert_eq!(features.shape(), [24, 144]);
    let table = done(&netc(folder.path(), &["train", "head.net"]));
    assert!(table.starts_with("training: accuracy 100.00 %"), "{table}");
    let evaluated = done(&netc(folder.path(), &["eval", "bird.net", "photos", "--allow-untrained"]));
    assert!(evaluated.starts_with("photos: accuracy 100.00 %"), "{evaluated}");
}

#[test]
fn schedules_stops_and_weights_of_classes_act() {
    let folder = project(
        "validation = split(0.25)\nepochs = 300\nbatch = 6\nstop = early_stopping(patience=3, min_delta=0.02)\n\
        optimizer = Momentum(step=0.05, nesterov=true, clip_norm=1)\nschedule = [warm_up(4), step_decay(50)]\nclass_weights = balanced\nmetrics = [accuracy, top5]",
    );
    done(&netc(folder.path(), &["train", "kind.net"]));
    let record = String::from_utf8(bytes(&folder, "kind.run/run.yaml")).expect("text");
    assert!(record.contains("stopped: the loss has not improved for 3 epochs"), "{record}");
}

/// Without validation, metrics are computed on the original photos, not on the augmented ones.
#[test]
fn what_is_reached_is_measured_on_photos_as_they_are() {
    let folder = project("epochs = 2\nbatch = 5\naugment = [crop(0.05), colour(0.9, 0.9, 0.9)]");
    done(&netc(folder.path(), &["train", "kind.net"]));
    let reached = RunRecord::read(&folder.path().join("kind.run")).expect("a record").metrics["loss"];
    let measures = done(&netc(folder.path(), &["eval", "kind.netb", "photos", "--format", "json"]));
    let measures: serde_json::Value = serde_json::from_str(&measures).expect("one JSON document");
    let evaluated = measures["loss"].as_f64().expect("a number");
    assert!((reached - evaluated).abs() < 1e-6, "{reached} in training, {evaluated} after it");
}

#[test]
fn keras_and_neupy_files_hold_the_same() {
    let folder = project(RECIPE);
    done(&netc(folder.path(), &["train", "kind.net"]));
    let neupy = bytes(&folder, "kind.netb");
    done(&netc(folder.path(), &["train", "kind.net", "--layout", "keras"]));
    assert!(bytes(&folder, "kind.h5").starts_with(b"\x89HDF"));
    // Digests of files differ; the constants and the plan do not.
    let keras = bytes(&folder, "kind.netb");
    assert_eq!(neupy.len(), keras.len());
    assert!(neupy[neupy.len() / 2..] == keras[keras.len() / 2..]);
}

/// The output of `netc train` for an error.
fn refused(recipe: &str, prepare: impl Fn(&Path), arguments: &[&str]) -> String {
    let folder = project(recipe);
    if recipe.is_empty() {
        fs::write(folder.path().join("kind.h5"), "a file of the user's").expect("a file");
    }
    prepare(folder.path());
    let output = netc(folder.path(), arguments);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    if recipe.is_empty() {
        assert_eq!(bytes(&folder, "kind.h5"), b"a file of the user's");
    }
    let place = format!("{}/", folder.path().display());
    // Progress lines contain times.
    let progress = |line: &&str| line.starts_with("   ") && line.trim_start().starts_with(|c: char| c.is_uppercase());
    stderr(&output).replace(&place, "").lines().filter(|line| !progress(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_run_that_diverges_in_its_first_epoch_promises_no_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let spec = "net kind = Input(4) >> Dense(8) >> Dense(1)\ntrain kind { data = arrays(x=\"x.npy\", y=\"y.npy\"), validation = split(0.25), optimizer = GradientDescent(step=3e38), epochs = 1 }\n";
    fs::write(folder.path().join("kind.net"), spec).expect("a spec");
    let x = ArrayD::<f32>::ones(ndarray::IxDyn(&[8, 4]));
    let y = ArrayD::from_shape_fn(ndarray::IxDyn(&[8, 1]), |at| at[0] as f32 + 0.5);
    array_file::write_npy(&folder.path().join("x.npy"), x.view()).expect("a file");
    array_file::write_npy(&folder.path().join("y.npy"), y.view()).expect("a file");
    let output = netc(folder.path(), &["train", "kind.net"]);
    let messages = stderr(&output);
    assert!(messages.contains("error[E0707]") && messages.contains("has likely diverged"), "{messages}");
    assert!(!messages.contains("checkpoint"), "{messages}");
}

#[test]
fn errors_in_training_are_reported() {
    let train = ["train", "kind.net"];
    let spec = |text: &'static str| move |folder: &Path| fs::write(folder.join("kind.net"), text).expect("a spec");
    let nothing = |_: &Path| {};
    insta::assert_snapshot!("diverged", refused("optimizer = GradientDescent(step=3e38)\nepochs = 3", nothing, &train));
    insta::assert_snapshot!("no_checkpoint", refused("epochs = 3", nothing, &["train", "kind.net", "--resume"]));
    insta::assert_snapshot!(
        "all_frozen",
        refused(
            "",
            spec("net kind = frozen(Input(4) >> Softmax(2))\ntrain kind { data = arrays(x=\"x.npy\", y=\"y.npy\") }\n"),
            &train
        )
    );
    insta::assert_snapshot!("no_folder", refused("data = images(\"nowhere\")", nothing, &train));
    insta::assert_snapshot!(
        "other_classes",
        refused("epochs = 1", |folder| photos_of_a_third_kind(&folder.join("photos")), &train)
    );
    insta::assert_snapshot!(
        "broken_photo",
        refused(
            "epochs = 1",
            |folder| fs::write(folder.join("photos/red/broken.png"), PNG_HEAD).expect("a file"),
            &train
        )
    );
    insta::assert_snapshot!(
        "reads_what_it_would_write",
        refused(
            "",
            spec("net kind = Input(4) >> Softmax(2)\ntrain kind { data = arrays(\"kind.h5\", x=\"x\", y=\"y\") }\n"),
            &train
        )
    );
    insta::assert_snapshot!("no_recipe", refused("", spec("net kind = Input(4) >> Softmax(2)\n"), &train));
}

/// A PNG that is truncated after its header.
const PNG_HEAD: [u8; 16] = *b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

fn photos_of_a_third_kind(folder: &Path) {
    fs::create_dir(folder.join("green")).expect("a folder");
    fs::copy(folder.join("red/0.png"), folder.join("green/0.png")).expect("a photo");
}

#[test]
fn unreadable_photos_are_skipped_if_the_recipe_allows() {
    // With cached features, and with photos decoded in each epoch, with a frozen part and without.
    for (changed, open) in [("", false), ("augment = flip\n", false), ("", true)] {
        let folder = project(&format!("data = images(\"photos\", unreadable=skip)\n{changed}epochs = 2"));
        let spec = folder.path().join("kind.net");
        if open {
            let text = fs::read_to_string(&spec).expect("the spec").replace("frozen(", "(");
            fs::write(&spec, text).expect("a spec");
        }
        fs::write(folder.path().join("photos/red/broken.png"), PNG_HEAD).expect("a file");
        done(&netc(folder.path(), &["train", "kind.net"]));
        let record = String::from_utf8(bytes(&folder, "kind.run/run.yaml")).expect("text");
        assert!(record.contains("training: 24") && record.contains("skipped: 1"), "{record}");
    }
}

/// The error names the damaged photo, in validation too.
#[test]
fn broken_photos_are_named() {
    let folder = project("validation = images(\"others\")\nepochs = 2");
    let spec = folder.path().join("kind.net");
    let text = fs::read_to_string(&spec).expect("the spec").replace("frozen(", "(");
    fs::write(&spec, text).expect("a spec");
    photos(&folder.path().join("others"), 2);
    fs::write(folder.path().join("others/sea/1.png"), PNG_HEAD).expect("a file");
    let output = netc(folder.path(), &["train", "kind.net"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("others/sea/1.png: "), "{}", stderr(&output));
    let output = netc(folder.path(), &["eval", "kind.net", "others", "--allow-untrained"]);
    assert!(stderr(&output).contains("others/sea/1.png: "), "{}", stderr(&output));
}

/// A net with one output classifies two classes.
#[test]
fn classes_out_of_range_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let values = |shape: &[usize]| ArrayD::from_shape_fn(IxDyn(shape), |at| at[0] as f32);
    array_file::write(&folder.path().join("x.npy"), &[("x", values(&[3, 2]).view())]).expect("a file");
    array_file::write(&folder.path().join("y.npy"), &[("y", values(&[3]).view())]).expect("a file");
    let spec = "net yes = Input(2) >> Sigmoid(1)\ntrain yes { data = arrays(x=\"x.npy\", y=\"y.npy\"), class_weights = balanced }\n";
    fs::write(folder.path().join("yes.net"), spec).expect("a spec");
    let output = netc(folder.path(), &["train", "yes.net"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("sample 2 has the class 2, but there are 2 classes, from 0"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn folders_with_other_names_than_the_labels_are_taken_in_order_with_a_lint() {
    let folder = project("epochs = 1");
    let spec = folder.path().join("kind.net");
    let text = fs::read_to_string(&spec).expect("the spec") + "labels kind = [\"warm\", \"cold\"]\n";
    fs::write(&spec, text).expect("a spec");
    let output = netc(folder.path(), &["train", "kind.net"]);
    done(&output);
    assert!(stderr(&output).contains("warning[W1010]"), "{}", stderr(&output));
}

/// Lists of photos, and arrays with one-hot targets, train as folders do.
#[test]
fn lists_and_arrays_are_data_too() {
    let folder = project("data = csv(\"list.csv\")\nepochs = 8\nbatch = 5\noptimizer = Adam(step=0.01)");
    let mut list = String::from("path,label\n");
    for kind in ["red", "sea"] {
        (0..12).for_each(|number| list += &format!("photos/{kind}/{number}.png,{kind}\n"));
    }
    fs::write(folder.path().join("list.csv"), list).expect("a list");
    let table = done(&netc(folder.path(), &["train", "kind.net"]));
    assert!(table.starts_with("training: accuracy 100.00 %"), "{table}");
    let values = |shape: &[usize], f: &dyn Fn(usize) -> f32| {
        let len = shape.iter().product();
        ArrayD::from_shape_vec(IxDyn(shape), (0..len).map(f).collect::<Vec<f32>>()).expect("an array")
    };
    let x = values(&[30, 3], &|at| ((at * 37) % 17) as f32 / 8.0 - 1.0);
    let y = values(&[30, 1], &|row| 0.5 * x[[row, 0]] - 2.0 * x[[row, 1]] + 0.25);
    array_file::write(&folder.path().join("x.npy"), &[("x", x.view())]).expect("a file");
    array_file::write(&folder.path().join("y.npy"), &[("y", y.view())]).expect("a file");
    let line = "net line = Input(3) >> Dense(1)\ntrain line { data = arrays(x=\"x.npy\", y=\"y.npy\"), epochs = 300, batch = 10, optimizer = Momentum(step=0.05) }\n";
    fs::write(folder.path().join("line.net"), line).expect("a spec");
    let table = done(&netc(folder.path(), &["train", "line.net"]));
    assert!(table.contains("r2 1.0000"), "{table}");
}

/// The shipped demonstration: real photos with a real pretrained front.
#[test]
fn the_shipped_demonstration_learns() {
    let folder = tempfile::tempdir().expect("a folder");
    let specs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("specs");
    fs::copy(specs.join("clothing.net"), folder.path().join("clothing.net")).expect("the spec");
    // Files that the spec refers to are read from the original folder; training writes next to the copy.
    #[cfg(unix)]
    std::os::unix::fs::symlink(specs.join("samples"), folder.path().join("samples")).expect("a link");
    done(&netc(folder.path(), &["train", "clothing.net"]));
    let measures = done(&netc(folder.path(), &["eval", "clothing.netb", "samples/clothing/test", "--format", "json"]));
    let measures: serde_json::Value = serde_json::from_str(&measures).expect("one JSON document");
    // The README says 78 %. Chance level is 10 % for ten classes; with random weights in the front, accuracy is about 30 %.
    assert!(measures["accuracy"].as_f64().expect("a share") >= 0.75, "{measures:#}");
}
