//! What each entry of a recipe does: runs of small nets on arrays, their weights, records and logs.

mod program;

use ndarray::{ArrayD, IxDyn};
use netc::data::arrays::array_file;
use netc::onnx::Source;
use netc::train::run::record::{Epoch, RunRecord};
use program::{done, netc, refused, text};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Numbers from -1 to 1 that look random.
fn noise(at: usize) -> f32 {
    ((at * 7919 + 13) % 1009) as f32 / 504.5 - 1.0
}

fn array(folder: &Path, name: &str, shape: &[usize], value: impl Fn(usize) -> f32) {
    let values = (0..shape.iter().product()).map(value).collect();
    let array = ArrayD::from_shape_vec(IxDyn(shape), values).expect("an array");
    array_file::write(&folder.join(name), &[("a", array.view())]).expect("a file");
}

const SAMPLES: usize = 22;

/// A spec `m.net` with data: four inputs, classes of two, numbers of three.
fn project(net: &str, recipe: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    array(folder.path(), "x.npy", &[SAMPLES, 4], noise);
    array(folder.path(), "y.npy", &[SAMPLES], |row| f32::from(noise(row * 4) > 0.0));
    array(folder.path(), "b.npy", &[SAMPLES, 3], |at| noise(at * 3 + 1));
    fs::write(folder.path().join("m.net"), format!("net m = {net}\ntrain m {{\n{recipe}\n}}\n")).expect("a spec");
    folder
}

const NET: &str = "Input(4) >> Tanh(5) as a >> Softmax(2) as b";
const DATA: &str = "data = arrays(x=\"x.npy\", y=\"y.npy\"), batch = 4, optimizer = Adam(step=0.05)";

fn run(net: &str, recipe: &str, arguments: &[&str]) -> TempDir {
    let folder = project(net, recipe);
    done(&netc(folder.path(), &[&["train", "m.net"], arguments].concat()));
    folder
}

fn weights(folder: &TempDir, name: &str) -> Vec<f32> {
    array_file::read(&folder.path().join("m.h5"), Some(name)).expect("weights").into_iter().collect()
}

fn bytes(folder: &TempDir) -> Vec<u8> {
    fs::read(folder.path().join("m.h5")).expect("weights")
}

fn record(folder: &TempDir) -> RunRecord {
    RunRecord::read(&folder.path().join("m.run")).expect("a record")
}

fn near(found: &[f32], expected: &[f32], tolerance: f32) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= tolerance)
}

/// The same bytes on one and three threads, and where a run of half the epochs is resumed.
#[track_caller]
fn is_deterministic(net: &str, recipe: &str, epochs: usize) {
    let whole = run(net, recipe, &["--set", &format!("epochs={epochs}"), "--threads", "1"]);
    let threads = run(net, recipe, &["--set", &format!("epochs={epochs}"), "--threads", "3"]);
    assert_eq!(bytes(&whole), bytes(&threads), "threads change the weights");
    let half = run(net, recipe, &["--set", &format!("epochs={}", epochs / 2)]);
    done(&netc(half.path(), &["train", "m.net", "--resume", "--set", &format!("epochs={epochs}")]));
    assert_eq!(bytes(&whole), bytes(&half), "a resumed run has other weights");
    let losses = |folder: &TempDir| record(folder).epochs.iter().map(|epoch| epoch.loss).collect::<Vec<_>>();
    assert_eq!(losses(&whole), losses(&half));
}

#[test]
fn entries_are_set_from_the_command_line() {
    let recipe = format!("{DATA}\nepochs = 3");
    let written = run(NET, &recipe.replace("epochs = 3", "epochs = 2").replace("0.05", "0.01"), &[]);
    let set = run(NET, &recipe, &["--set", "epochs=2", "--set", "optimizer.step=0.01"]);
    assert_eq!(bytes(&written), bytes(&set));
    let record = record(&set);
    assert_eq!(record.set, ["epochs=2", "optimizer.step=0.01"]);
    let entry = |key: &str| record.recipe.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
    assert_eq!((entry("epochs"), entry("optimizer")), (Some("2"), Some("Adam(step=0.01)")));
    // An entry that the spec does not have, an argument by its position, data, and one entry after the other.
    let added = run(
        NET,
        &recipe.replace("Adam(step=0.05)", "Adam(0.05)"),
        &["--set", "optimizer.step=0.01", "--set", "epochs=1", "--set", "epochs=2"],
    );
    assert_eq!(bytes(&written), bytes(&added));
    let momentum = run(
        NET,
        "batch = 4, epochs = 1",
        &["--set", "data=arrays(x=\"x.npy\", y=\"y.npy\")", "--set", "optimizer.momentum=0.5"],
    );
    let entry = |key: &str| {
        self::record(&momentum).recipe.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    };
    assert_eq!(entry("optimizer").as_deref(), Some("Momentum(momentum=0.5)"));
    // Another setting belongs to another run.
    refused(
        &netc(set.path(), &["train", "m.net", "--resume", "--set", "epochs=4"]),
        "E0605",
        &["belongs to another recipe", "`optimizer` was", "leave out `--resume`"],
    );
    done(&netc(set.path(), &["train", "m.net", "--resume", "--set", "epochs=4", "--set", "optimizer.step=0.01"]));
}

#[test]
fn logs_have_a_row_for_each_epoch_also_after_a_resume() {
    let folder =
        run(NET, &format!("{DATA}\nvalidation = split(0.3), metrics = [accuracy, f1, auc, iou], epochs = 2"), &[]);
    let table = |folder: &TempDir| fs::read_to_string(folder.path().join("m.run/metrics.csv")).expect("a table");
    let header = "epoch,seconds,learning_rate,loss,penalty,accuracy,auc,f1,iou,validation_loss,validation_accuracy,validation_auc,validation_f1,validation_iou";
    assert_eq!(table(&folder).lines().next(), Some(header));
    assert_eq!(table(&folder).lines().count(), 3);
    // A row behind the last checkpoint, as a killed run leaves it.
    fs::write(folder.path().join("m.run/metrics.csv"), format!("{}3,1,2", table(&folder))).expect("a file");
    done(&netc(folder.path(), &["train", "m.net", "--resume", "--set", "epochs=4"]));
    let epochs: Vec<String> =
        table(&folder).lines().skip(1).map(|row| row.split(',').next().expect("an epoch").into()).collect();
    assert_eq!(epochs, ["1", "2", "3", "4"]);
    let last = record(&folder).epochs[3].clone();
    let row = table(&folder);
    let row: Vec<&str> = row.lines().last().expect("a row").split(',').collect();
    assert_eq!(row[3].parse(), Ok(last.loss));
    assert_eq!(row[9].parse().ok(), last.validation_loss);
    // A start writes the events of the epochs before it too.
    let files = fs::read_dir(folder.path().join("m.run")).expect("a folder");
    let events = files.filter(|file| file.as_ref().expect("a file").file_name().to_string_lossy().contains("tfevents"));
    assert_eq!(events.count(), 1);
}

#[test]
fn accumulated_batches_are_one_large_batch() {
    let recipe = |batch: usize, accumulate: usize, clip: &str| {
        format!(
            "data = arrays(x=\"x.npy\", y=\"y.npy\"), batch = {batch}, accumulate = {accumulate}, epochs = 3, optimizer = Adam(step=0.05{clip})"
        )
    };
    for clip in ["", ", clip_norm=0.1"] {
        let large = run(NET, &recipe(12, 1, clip), &[]);
        let small = run(NET, &recipe(3, 4, clip), &[]);
        for name in ["a/weight", "b/bias"] {
            let (found, expected) = (weights(&small, name), weights(&large, name));
            assert!(near(&found, &expected, 1e-4), "{name}: {found:?} for {expected:?}");
        }
        let other = run(NET, &recipe(3, 1, clip), &[]);
        assert!(!near(&weights(&other, "a/weight"), &weights(&large, "a/weight"), 1e-3));
    }
    is_deterministic("Input(4) >> Tanh(5) as a >> Dropout(0.3) >> Softmax(2) as b", &recipe(3, 4, ""), 4);
}

#[test]
fn averages_follow_the_weights() {
    // An average that forgets all is the weights themselves.
    let plain = run(NET, &format!("{DATA}\nepochs = 3"), &[]);
    let zero = run(NET, &format!("{DATA}\nepochs = 3, average = 0"), &[]);
    assert_eq!(bytes(&plain), bytes(&zero));
    // Two updates of gradient descent by a gradient that hardly changes: the average lies between the two, at the rate.
    let recipe =
        "data = arrays(x=\"x.npy\", y=\"y.npy\"), batch = 22, shuffle = false, optimizer = GradientDescent(step=0.1)";
    let after = |epochs: usize| weights(&run(NET, &format!("{recipe}, epochs = {epochs}"), &[]), "b/weight");
    let averaged = weights(&run(NET, &format!("{recipe}, epochs = 2, average = 0.75"), &[]), "b/weight");
    let (first, second) = (after(1), after(2));
    let expected: Vec<f32> = first.iter().zip(&second).map(|(first, second)| 0.75 * first + 0.25 * second).collect();
    assert!(near(&averaged, &expected, 1e-6), "{averaged:?} for {expected:?}");
    is_deterministic(NET, &format!("{DATA}\naverage = 0.9, validation = split(0.3)"), 4);
}

#[test]
fn rates_hold_for_layers_and_scopes() {
    let net = "Input(4) >> (Tanh(5) as a >> Tanh(5) as c) as front >> Softmax(2) as b";
    let start = weights(
        &run(net, &format!("{DATA}\nepochs = 1"), &["--set", "optimizer=GradientDescent(step=1e-30)"]),
        "front/a/weight",
    );
    let still = run(net, &format!("{DATA}\nepochs = 2, rates = {{ \"front\" = 0, \"front/c\" = 1 }}"), &[]);
    assert_eq!(weights(&still, "front/a/weight"), start, "a rate of 0");
    let recipe = "data = arrays(x=\"x.npy\", y=\"y.npy\"), batch = 22, epochs = 1";
    let moved = |rest: &str, name: &str| {
        let to = weights(&run(net, &format!("{recipe}, {rest}"), &[]), name);
        let from = weights(&run(net, &format!("{recipe}, optimizer = GradientDescent(step=1e-30)"), &[]), name);
        to.iter().zip(from).map(|(to, from)| to - from).collect::<Vec<f32>>()
    };
    let whole = moved("optimizer = GradientDescent(step=0.5)", "front/c/weight");
    let tenth =
        moved("optimizer = GradientDescent(step=0.5), rates = { \"front\" = 7, \"front/c\" = 0.1 }", "front/c/weight");
    assert!(
        near(&tenth, &whole.iter().map(|change| change * 0.1).collect::<Vec<_>>(), 1e-6),
        "{tenth:?} for {whole:?}"
    );
    is_deterministic(net, &format!("{DATA}\nrates = {{ \"b\" = 0.5 }}"), 2);
}

#[test]
fn frozen_layers_are_trained_from_their_epoch_on() {
    let net = "frozen(Input(4) >> Tanh(5) as a >> Tanh(5) as c) >> Softmax(2) as b";
    let recipe = format!("{DATA}\nvalidation = split(0.3), keep = last, unfreeze = {{ 3 = \"c..\", 4 = \"a\" }}");
    let after = |epochs: &str| {
        let folder = project(net, &recipe.replace(", 4 = \"a\"", if epochs == "2" { "" } else { ", 4 = \"a\"" }));
        let recipe = fs::read_to_string(folder.path().join("m.net")).expect("a spec");
        let recipe = if epochs == "2" { recipe.replace(", unfreeze = { 3 = \"c..\" }", "") } else { recipe };
        fs::write(folder.path().join("m.net"), recipe).expect("a spec");
        done(&netc(folder.path(), &["train", "m.net", "--set", &format!("epochs={epochs}")]));
        (weights(&folder, "a/weight"), weights(&folder, "c/weight"), weights(&folder, "b/weight"))
    };
    let (two, six) = (after("2"), after("6"));
    assert!(two.0 != six.0 && two.1 != six.1 && two.2 != six.2);
    // Before their epochs they are as they begin.
    let three = project(net, &recipe.replace(", 4 = \"a\"", ""));
    done(&netc(three.path(), &["train", "m.net", "--set", "epochs=3"]));
    assert_eq!(weights(&three, "a/weight"), two.0);
    assert_ne!(weights(&three, "c/weight"), two.1);
    // A run that is resumed at the end of a stage, within one and in the last one.
    let whole = run(net, &recipe, &["--set", "epochs=6"]);
    let resumed = project(net, &recipe);
    done(&netc(resumed.path(), &["train", "m.net", "--set", "epochs=4"]));
    for epochs in [5, 6] {
        done(&netc(resumed.path(), &["train", "m.net", "--resume", "--set", &format!("epochs={epochs}")]));
    }
    assert_eq!(bytes(&whole), bytes(&resumed));
    assert_eq!(record(&whole).epochs.len(), 6);
    let threads = run(net, &recipe, &["--set", "epochs=6", "--threads", "3"]);
    assert_eq!(bytes(&whole), bytes(&threads));
}

#[test]
fn smoothed_and_mixed_targets_change_training_alone() {
    let plain = run(NET, &format!("{DATA}\nvalidation = split(0.3), epochs = 1"), &[]);
    for change in ["label_smoothing = 0.2", "mixup = 0.4"] {
        let recipe = format!("{DATA}\nvalidation = split(0.3), {change}");
        let changed = run(NET, &recipe, &["--set", "epochs=1"]);
        assert_ne!(record(&plain).epochs[0].loss, record(&changed).epochs[0].loss, "{change}");
        // Validation has the targets as they are: the same loss as an evaluation of the weights.
        let told = done(&netc(changed.path(), &["train", "m.net", "--resume", "--set", "epochs=1"]));
        assert!(told.starts_with("validation: accuracy"), "{told}");
        is_deterministic(NET, &recipe, 4);
    }
}

const TWO: &str = "Input(4) >> Tanh(5) as a >> (Softmax(2) as species | Dense(3) as box)";
const TWO_DATA: &str =
    "data = arrays(x=\"x.npy\", y={ box = \"b.npy\", species = \"y.npy\" }), batch = 4, optimizer = Adam(step=0.02)";

#[test]
fn several_outputs_have_losses_and_metrics_of_their_own() {
    let recipe = format!(
        "{TWO_DATA}\nloss = {{ species = categorical_crossentropy, box = 0.5 * huber(delta=0.5) }}\nvalidation = split(0.3), metrics = [accuracy, rmse, auc]"
    );
    let folder = project(TWO, &recipe);
    let told = done(&netc(folder.path(), &["train", "m.net", "--set", "epochs=6"]));
    assert!(told.starts_with("species, validation: accuracy") && told.contains("box, validation: loss"), "{told}");
    let run = record(&folder);
    for epoch in &run.epochs {
        let total = epoch.losses["species"] + 0.5 * epoch.losses["box"];
        assert!((epoch.loss - total).abs() < 1e-12, "{epoch:?}");
        let total = epoch.validation_losses["species"] + 0.5 * epoch.validation_losses["box"];
        assert!((epoch.validation_loss.expect("a loss") - total).abs() < 1e-12, "{epoch:?}");
        let names: Vec<&str> = epoch.validation.keys().map(String::as_str).collect();
        assert_eq!(names, ["box/rmse", "species/accuracy", "species/auc"]);
    }
    assert!(run.epochs[5].loss < run.epochs[0].loss, "it learns");
    for name in ["box/rmse", "species/accuracy", "box/loss", "loss"] {
        assert!(run.metrics.contains_key(name), "{name}: {:?}", run.metrics);
    }
    let table = fs::read_to_string(folder.path().join("m.run/metrics.csv")).expect("a table");
    assert!(table.starts_with("epoch,seconds,learning_rate,loss,penalty,box/loss,species/loss,box/rmse"), "{table}");
    // What is built of it gives both.
    let predicted = netc(folder.path(), &["predict", "m.netb", "x.npy", "-o", "out.npz"]);
    done(&predicted);
    is_deterministic(TWO, &recipe, 4);
    // A net of one output alone learns the same from its loss as it does beside an output that does not count.
    let keep = record(&folder).keep;
    assert_eq!(keep, "best by validation loss");
}

/// `keep` names the output that its criterion is of.
#[test]
fn the_best_epoch_may_be_that_of_an_output() {
    let losses = "loss = { species = categorical_crossentropy, box = huber }";
    let recipe =
        |keep: &str| format!("{TWO_DATA}, {losses}, validation = split(0.3), metrics = accuracy, epochs = 9, {keep}");
    for (keep, description, larger) in [
        ("keep = best(\"box/r2\")", "best by validation box/r2", true),
        ("keep = best(\"box/loss\")", "best by validation box/loss", false),
        ("keep = best(\"species/loss\")", "best by validation species/loss", false),
    ] {
        let record = record(&run(TWO, &recipe(keep), &[]));
        assert_eq!(record.keep, description);
        let name = description.rsplit(' ').next().expect("a name");
        let value = |epoch: &Epoch| match name.strip_suffix("/loss") {
            Some(output) => epoch.validation_losses[output],
            None => epoch.validation[name],
        };
        let kept = value(record.best_epoch().expect("an epoch"));
        let best = record.epochs.iter().all(|epoch| if larger { value(epoch) <= kept } else { value(epoch) >= kept });
        assert!(best, "{name}: {kept} of {:?}", record.epochs.iter().map(value).collect::<Vec<_>>());
        assert!(!record.epochs[0].validation.contains_key("species/r2"));
    }
    for (keep, code, words) in [
        ("keep = best(\"bax/r2\")", "E0602", ["`m` has no output `bax`", "did you mean `box`?"]),
        ("keep = best(\"species/r2\")", "E0602", ["`r2` does not apply to classes", "leave `keep` out"]),
        ("keep = best(\"box/size\")", "E0207", ["after an output's name and a slash", "`rmse` or `r2`"]),
    ] {
        let folder = project(TWO, &recipe(keep));
        for command in ["check", "train"] {
            refused(&netc(folder.path(), &[command, "m.net"]), code, &words);
        }
    }
}

/// Targets and columns are given by output where a net is evaluated, as in its recipe.
#[test]
fn an_evaluation_has_targets_by_output() {
    let losses = "loss = { species = categorical_crossentropy, box = mse }, epochs = 2";
    let folder = run(TWO, &format!("{TWO_DATA}, {losses}"), &[]);
    let eval = |targets: &[&str]| netc(folder.path(), &[&["eval", "m.netb", "--x", "x.npy"], targets].concat());
    let in_order = done(&eval(&["--y", "y.npy", "--y", "b.npy"]));
    assert!(in_order.contains("species, x.npy: accuracy") && in_order.contains("box, x.npy: "), "{in_order}");
    assert_eq!(done(&eval(&["--y", "box=b.npy", "--y", "species=y.npy"])), in_order);
    refused(&eval(&["--y", "bax=b.npy", "--y", "species=y.npy"]), "E0704", &["no output `bax`", "did you mean `box`?"]);
    refused(&eval(&["--y", "box=b.npy"]), "E0704", &["an output has no targets but a later one has"]);
    refused(&eval(&["--y", "y.npy", "--y", "box=b.npy"]), "E0704", &["name each"]);
}

/// A layer that is an output twice has two names: in the records of training, in an artifact and in an ONNX model.
#[test]
fn a_layer_that_is_an_output_twice_is_recorded_twice() {
    let net = "{ let y = Input(4) >> Dense(3) as z (y | y) }";
    let recipe = "data = arrays(x=\"x.npy\", y={ z = \"b.npy\", \"z-2\" = \"b.npy\" })\n\
                  loss = { z = mse, \"z-2\" = 2 * mae }, metrics = rmse, epochs = 2, batch = 4";
    let folder = run(net, recipe, &[]);
    let table = fs::read_to_string(folder.path().join("m.run/metrics.csv")).expect("a table");
    let columns = table.lines().next().expect("a header");
    assert_eq!(columns, "epoch,seconds,learning_rate,loss,penalty,z/loss,z-2/loss,z-2/rmse,z/rmse");
    let record = record(&folder);
    let epoch = &record.epochs[1];
    assert!((epoch.loss - epoch.losses["z"] - 2.0 * epoch.losses["z-2"]).abs() < 1e-12, "{epoch:?}");
    assert!(record.metrics["z-2/loss"] < record.metrics["z-2/rmse"], "{:?}", record.metrics);
    let events =
        fs::read_dir(folder.path().join("m.run")).expect("a folder").map(|entry| entry.expect("a file").path());
    let events =
        events.filter(|path| path.to_string_lossy().contains("events.out")).map(|path| fs::read(path).expect("events"));
    let has = |bytes: &[u8], word: &str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
    assert!(events.into_iter().any(|bytes| has(&bytes, "z/rmse/training") && has(&bytes, "z-2/rmse/training")));
    done(&netc(folder.path(), &["predict", "m.netb", "x.npy", "-o", "out.npz"]));
    let predicted = array_file::list(&folder.path().join("out.npz")).expect("arrays");
    done(&netc(folder.path(), &["export", "m.net", "-o", "m.onnx"]));
    let (model, _) = Source::open(&folder.path().join("m.onnx")).expect("a model");
    let exported: Vec<&str> = model.graph.outputs.iter().map(|port| port.name.as_str()).collect();
    assert_eq!(predicted.iter().map(|array| array.name.as_str()).collect::<Vec<_>>(), exported);
    assert_eq!(exported, ["z", "z-2"]);
}

#[test]
fn a_list_of_photos_has_targets_for_several_outputs() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut list = "path,kind,left,top\n".to_string();
    for number in 0..8u8 {
        let picture = image::RgbImage::from_fn(8, 8, |x, y| image::Rgb([number * 30, x as u8 * 20, y as u8 * 20]));
        picture.save(folder.path().join(format!("{number}.png"))).expect("a photo");
        list += &format!("{number}.png,{},{}.5,{}\n", if number < 4 { "owl" } else { "tit" }, number, 8 - number);
    }
    fs::write(folder.path().join("list.csv"), &list).expect("a list");
    let spec = "net m = Input(8x8x3, image=Unit) >> Flatten >> (Softmax(2) as species | Dense(2) as corner)\ntrain m {\n\
        data = csv(\"list.csv\", y={ species = \"kind\", corner = [\"left\", \"top\"] })\n\
        loss = { species = categorical_crossentropy, corner = 0.01 * mse }, epochs = 2, batch = 3\n}\n";
    fs::write(folder.path().join("m.net"), spec).expect("a spec");
    let told = done(&netc(folder.path(), &["train", "m.net"]));
    assert!(told.contains("owl") && told.contains("corner, training: loss"), "{told}");
    let columns = ["eval", "m.netb", "list.csv", "--y", "corner=left,top", "--y", "species=kind"];
    let told = done(&netc(folder.path(), &columns));
    assert!(told.contains("species, list.csv: accuracy") && told.contains("corner, list.csv: "), "{told}");
    fs::write(folder.path().join("m.net"), spec.replace("\"top\"", "\"bottom\"")).expect("a spec");
    refused(&netc(folder.path(), &["check", "m.net"]), "E0706", &["no column `bottom`", "kind, left, top"]);
    refused(&netc(folder.path(), &["train", "m.net"]), "E0706", &["no column `bottom`", "kind, left, top"]);
}

#[test]
fn nets_of_embeddings_learn_by_distances() {
    let folder = project(
        "Input(4) >> Tanh(5) as a >> Dense(6) as b",
        "data = arrays(x=\"x.npy\"), loss = triplet(margin=2), epochs = 8, batch = 6, optimizer = Adam(step=0.02)",
    );
    done(&netc(folder.path(), &["train", "m.net"]));
    let epochs = record(&folder).epochs;
    assert!(epochs[7].loss < 0.7 * epochs[0].loss, "{} after {}", epochs[7].loss, epochs[0].loss);
    assert!(epochs[0].metrics.is_empty());
    let folder = run(
        "Input(4) >> Tanh(5) as a >> Dense(1) as b",
        "data = arrays(x=\"x.npy\", y=\"y.npy\"), loss = contrastive, epochs = 30, batch = 6, optimizer = Adam(step=0.02)",
        &[],
    );
    let epochs = record(&folder).epochs;
    assert!(epochs[29].loss < epochs[0].loss, "{} after {}", epochs[29].loss, epochs[0].loss);
}

/// Each loss and metric in a run, by its name with its defaults.
#[test]
fn every_loss_and_metric_trains() {
    for (end, loss, target) in [
        ("Dense(3)", "huber(delta=0.5)", "b.npy"),
        ("Dense(3)", "cosine", "b.npy"),
        ("Softmax(2)", "focal(gamma=1)", "y.npy"),
        ("Sigmoid(1)", "focal", "y.npy"),
        ("Softmax(2)", "kl_divergence", "y.npy"),
        ("Sigmoid(1)", "dice(smooth=1)", "y.npy"),
        ("Softmax(2)", "dice", "y.npy"),
    ] {
        let metrics = if target == "y.npy" { "[accuracy, f1, auc, iou]" } else { "[mae, rmse, r2]" };
        let recipe = format!(
            "data = arrays(x=\"x.npy\", y=\"{target}\"), loss = {loss}, metrics = {metrics}, epochs = 20, batch = 6, optimizer = Adam(step=0.02)"
        );
        let folder = run(&format!("Input(4) >> Tanh(5) >> {end}"), &recipe, &[]);
        let epochs = record(&folder).epochs;
        assert!(epochs[19].loss < epochs[0].loss, "{loss} behind {end}: {} after {}", epochs[19].loss, epochs[0].loss);
        assert_eq!(epochs[0].metrics.len(), if target == "y.npy" { 4 } else { 3 }, "{loss}");
        assert!(epochs[0].metrics.values().all(|value| value.is_finite()));
    }
}

/// `netc check` refuses what `netc train` refuses before it opens data.
#[test]
fn a_check_proves_a_recipe() {
    for (net, recipe) in [
        (TWO, format!("{TWO_DATA}, loss = mse")),
        (TWO, TWO_DATA.to_string()),
        (TWO, format!("{TWO_DATA}, loss = {{ species = categorical_crossentropy }}")),
        ("frozen(Input(4) >> Softmax(2))", DATA.to_string()),
        ("Input(?) >> Relu >> Softmax(2)", DATA.to_string()),
        (NET, format!("{DATA}, rates = {{ \"z\" = 0.1 }}")),
        (NET, format!("{DATA}, unfreeze = {{ 2 = \"a..\" }}")),
        (NET, format!("{DATA}, metrics = rmse")),
        (NET, format!("{DATA}, loss = triplet")),
        ("Input(4) >> Dense(2)", format!("{DATA}, loss = mse, label_smoothing = 0.1")),
        // What is trained is a complete net.
        ("Dense(3) >> Softmax(2)", DATA.to_string()),
        // Data that is there is looked at.
        ("Input(4) >> Dense(2)", "data = arrays(x=\"x.npy\", y=\"b.npy\")".to_string()),
        ("Input(5) >> Softmax(2)", DATA.to_string()),
        ("Input(4) >> Dense(4) >> Reshape(2x2)", DATA.to_string()),
        ("Input(4) >> Softmax(2)", "data = arrays(x=\"x.npy\", y=\"m.net\")".to_string()),
        ("Input(4) >> Softmax(2)", format!("{DATA}, validation = arrays(x=\"x.npy\", y=\"b.npy\")")),
        (TWO, format!("{}, loss = {{ species = mse, box = mse }}", TWO_DATA.replace("\"y.npy\"", "\"b.npy\""))),
        (TWO, "data = arrays(x=\"x.npy\"), loss = triplet".to_string()),
        (TWO, format!("{TWO_DATA}, loss = {{ species = triplet, box = mse }}")),
    ] {
        let folder = project(net, &recipe);
        let errors = |command: &str| {
            let output = netc(folder.path(), &[command, "m.net"]);
            assert_eq!(output.status.code(), Some(1), "{command} accepts {recipe} of {net}: {}", text(&output.stderr));
            let told = text(&output.stderr);
            told.lines().filter(|line| line.starts_with("error")).map(str::to_string).collect::<Vec<_>>()
        };
        assert_eq!(errors("check"), errors("train"), "{recipe} of {net}");
    }
}

/// `netc check` warns of what `netc train` warns of, and refuses the recipe of a net with open parameters and data with other
/// classes.
#[test]
fn a_check_sees_what_training_sees() {
    let folder = project("frozen(Input(4) >> Relu(5) as a) >> Softmax(2)", &format!("{DATA}, epochs = 1"));
    for command in ["check", "train"] {
        let output = netc(folder.path(), &[command, "m.net"]);
        done(&output);
        let told = text(&output.stderr);
        assert!(told.contains("warning[W1004]: `a` is frozen with random weights"), "{command}: {told}");
    }
    let generic = format!("net m(n) = Input(4) >> Relu(n) >> Softmax(2)\ntrain m {{ {DATA} }}\n");
    fs::write(folder.path().join("m.net"), generic).expect("a spec");
    for command in ["check", "train"] {
        refused(&netc(folder.path(), &[command, "m.net"]), "E0205", &["`m` needs `n`"]);
    }
    for class in ["cat", "hen", "owl"] {
        fs::create_dir_all(folder.path().join("photos").join(class)).expect("a folder");
        fs::copy("specs/samples/chelsea.png", folder.path().join("photos").join(class).join("1.png")).expect("a photo");
    }
    let photos = "net m = Input(8x8x3, image=Unit) >> Flatten >> Softmax(2)\ntrain m { data = images(\"photos\") }\n";
    fs::write(folder.path().join("m.net"), photos).expect("a spec");
    for command in ["check", "train"] {
        refused(&netc(folder.path(), &[command, "m.net"]), "E0706", &["3 classes, but the net has 2", "cat, hen, owl"]);
    }
}

/// A metric of classes for an output that learns numbers is answered with what makes it learn classes.
#[test]
fn numbers_can_be_made_classes() {
    let (net, recipe) =
        ("Input(4) >> Sigmoid(1)", "data = arrays(x=\"x.npy\", y=\"y.npy\"), epochs = 1, metrics = accuracy");
    let folder = project(net, &format!("{recipe}, loss = mse"));
    let words = [
        "leave `loss` out: it is `binary_crossentropy` then",
        "to learn classes by `mse`, name them: `labels m = [\"no\", \"yes\"]`",
        "take `mae`, `rmse` or `r2`",
    ];
    refused(&netc(folder.path(), &["check", "m.net"]), "E0602", &words);
    // Both do it.
    run(net, recipe, &[]);
    let spec = fs::read_to_string(folder.path().join("m.net")).expect("the spec");
    fs::write(folder.path().join("m.net"), format!("{spec}labels m = [\"no\", \"yes\"]\n")).expect("a spec");
    assert!(done(&netc(folder.path(), &["train", "m.net"])).contains("accuracy"));
    // Where nothing would, nothing is said.
    let folder = project("Input(4) >> Dense(6)", "data = arrays(x=\"x.npy\"), loss = triplet, metrics = accuracy");
    let told = refused(&netc(folder.path(), &["check", "m.net"]), "E0602", &["`accuracy` does not apply to numbers"]);
    assert!(!told.contains("labels") && !told.contains("leave `loss` out"), "{told}");
}

/// A run does not go on with photos that were changed in place.
#[test]
fn a_resumed_run_says_which_photos_have_changed() {
    let spec = "net m = Input(4x4x3, image=Unit) >> Flatten >> Softmax(2)\n\
                train m { data = images(\"photos\"), validation = split(0.25), epochs = 2, batch = 4 }\n";
    let folder = folder_of(spec);
    let photo = |class: &str, number: u8, light: u8| {
        let path = folder.path().join(format!("photos/{class}/{number}.png"));
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let picture = image::RgbImage::from_fn(4, 4, |x, y| image::Rgb([light, x as u8 * 20, y as u8 * 20 + number]));
        picture.save(path).expect("a photo");
    };
    for number in 0..6 {
        photo("dark", number, 10);
        photo("light", number, 200);
    }
    done(&netc(folder.path(), &["train", "m.net"]));
    let resume = || netc(folder.path(), &["train", "m.net", "--resume", "--set", "epochs=3"]);
    photo("dark", 3, 11);
    let told = refused(
        &resume(),
        "E0605",
        &["belongs to another net, recipe or data", "photos/dark/3.png has other contents"],
    );
    assert!(!told.contains("values of its data"), "{told}");
    photo("light", 0, 201);
    refused(&resume(), "E0605", &["2 of 12 photos have other contents, "]);
    // The same contents, written anew.
    photo("dark", 3, 10);
    photo("light", 0, 200);
    done(&resume());
    // Arrays, too, are said to differ.
    let folder = run(NET, DATA, &["--set", "epochs=1"]);
    array(folder.path(), "x.npy", &[SAMPLES, 4], |at| noise(at + 1));
    let output = netc(folder.path(), &["train", "m.net", "--resume", "--set", "epochs=2"]);
    refused(&output, "E0605", &["the values of its data or of its frozen layers differ"]);
}

/// What depends on the spec alone is refused by `netc check` and by `netc train`, before any file of the data is looked for.
#[test]
fn recipes_are_refused_before_data_is_read() {
    let arrays = "data = arrays(x=\"x.npy\", y=\"y.npy\")";
    let photos = "data = images(\"photos\")";
    let image = "Input(4x4x3, image=Unit) >> Conv(3x3, 2, padding=same)";
    let pixels = format!("{image} >> Softmax");
    let cases = [
        (image, format!("{photos}, loss = mse"), "E0706", "gives an image"),
        ("Input(4) >> Softmax(2)", format!("{arrays}, augment = flip"), "E0706", "`augment` needs photos"),
        ("Input(4) >> Softmax(2)", format!("{arrays}, class_weights = [1, 2, 3]"), "E0602", "3 class weights for 2"),
        ("Input(4) >> Sigmoid(1)", format!("{arrays}, class_weights = [1]"), "E0602", "1 class weights for 2"),
        ("Input(4) >> Softmax(2)", format!("{arrays}, class_weights = {{ \"cat\" = 2 }}"), "E0602", "no class `cat`"),
        (
            "Input(4) >> Dense(4)",
            format!("{arrays}, loss = mse, metrics = accuracy"),
            "E0602",
            "does not apply to numbers",
        ),
        ("Input(4) >> Dense(4)", format!("{arrays}, metrics = [rmse, auc]"), "E0602", "`auc` does not apply"),
        ("Input(4) >> Dense(1)", format!("{arrays}, loss = huber, metrics = f1"), "E0602", "`f1` does not apply"),
        ("Input(4) >> Dense(4)", format!("{arrays}, keep = best(accuracy)"), "E0602", "leave `keep` out"),
        ("Input(4) >> Softmax(2)", format!("{arrays}, metrics = mae"), "E0602", "does not apply to classes"),
        ("Input(4) >> Dense(4)", format!("{arrays}, loss = mse, class_weights = balanced"), "E0602", "no single class"),
        ("Input(4) >> Sigmoid(3)", format!("{arrays}, class_weights = [1, 2]"), "E0602", "2 class weights for 3"),
        ("Input(4) >> Dense(6)", format!("{arrays}, loss = triplet"), "E0602", "takes no targets"),
        (&pixels, format!("{arrays}, loss = rmse, class_weights = balanced"), "E0706", "mean over all pixels"),
        ("Input(4) >> Softmax(2)", arrays.replace("\")", "\", ignore=1)"), "E0706", "`ignore` applies to pixels"),
        ("Input(4) >> Softmax(2)", photos.into(), "E0705", "how a photo becomes its input"),
        ("(Input(4) | Input(4)) >> Add >> Softmax(2)", arrays.into(), "E0706", "2 inputs, and the data 1 array"),
        (
            "Input(4) >> Softmax(2)",
            format!("{arrays}, validation = csv(\"list.csv\")"),
            "E0706",
            "the validation data has",
        ),
    ];
    for (net, recipe, code, words) in cases {
        let folder = folder_of(&format!("net m = {net}\ntrain m {{ {recipe} }}\n"));
        let said = ["check", "train"].map(|command| {
            let output = netc(folder.path(), &[command, "m.net"]);
            refused(&output, code, &[words]);
            let lines = text(&output.stderr);
            lines.lines().filter(|line| line.starts_with("error[")).map(str::to_string).collect::<Vec<_>>()
        });
        assert_eq!(said[0], said[1], "{net} {recipe}");
    }
    // Where the data decides, it is waited for: labels may be words, class indices of pixels have their own shape.
    for (net, recipe) in [
        ("Input(4x4x3, image=Unit) >> Flatten >> Dense(4)", "data = csv(\"list.csv\"), loss = mse, metrics = accuracy"),
        ("Input(4) >> Softmax(4)", "data = arrays(x=\"x.npy\", y=\"y.npy\"), loss = mse, metrics = [accuracy, mae]"),
        (image, "data = arrays(x=\"x.npy\", y=\"y.npy\"), loss = mse, metrics = iou, class_weights = balanced"),
    ] {
        let folder = folder_of(&format!("net m = {net}\ntrain m {{ {recipe} }}\n"));
        done(&netc(folder.path(), &["check", "m.net"]));
    }
}

fn folder_of(spec: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("m.net"), spec).expect("a spec");
    folder
}

/// Class indices are one-hot rows of numbers for a net that ends in plain numbers, unless labels name the classes.
#[test]
fn names_decide_whether_class_indices_are_classes() {
    let recipe = "data = arrays(x=\"x.npy\", y=\"y.npy\"), loss = mse, epochs = 1";
    let folder = project("Input(4) >> Dense(2)", recipe);
    let output = netc(folder.path(), &["train", "m.net"]);
    assert!(text(&output.stderr).contains("W1011") && done(&output).contains("rmse"), "{}", text(&output.stderr));
    let spec = fs::read_to_string(folder.path().join("m.net")).expect("the spec");
    fs::write(folder.path().join("m.net"), format!("{spec}labels m = [\"a\", \"b\"]\n")).expect("a spec");
    let output = netc(folder.path(), &["train", "m.net", "--set", "metrics=f1"]);
    assert!(done(&output).contains("accuracy") && text(&output.stderr).contains("  f1 "), "{}", text(&output.stderr));
}

/// A checkpoint of another net is refused before weights or data are read, with the layers that differ.
#[test]
fn a_resumed_run_says_which_layers_differ() {
    let net = "Input(4x4) >> GRU(3, only_return_final=false) >> Mean(time) as mean >> Relu(6) >> Softmax(2) as kind";
    let folder = tempfile::tempdir().expect("a folder");
    array(folder.path(), "x.npy", &[SAMPLES, 4, 4], noise);
    array(folder.path(), "y.npy", &[SAMPLES], |row| f32::from(noise(row * 4) > 0.0));
    let write = |net: &str| {
        let spec = format!("net m = {net}\ntrain m {{ {DATA}, epochs = 1 }}\n");
        fs::write(folder.path().join("m.net"), spec).expect("a spec");
    };
    write(net);
    done(&netc(folder.path(), &["train", "m.net"]));
    fs::remove_file(folder.path().join("x.npy")).expect("the data");
    for (from, to, lines) in [
        ("Mean(time)", "Max(time)", ["~ mean  layer Mean -> Max", "these layers differ"]),
        ("as kind", "as other", ["- kind  Softmax", "+ other  Softmax"]),
        ("Relu(6)", "Relu(6) >> Relu(8)", ["+ relu-2  Relu 8", "another net"]),
    ] {
        write(&net.replace(from, to));
        let output = netc(folder.path(), &["train", "m.net", "--resume"]);
        refused(&output, "E0605", &lines);
        let said = text(&output.stderr);
        assert!(!said.contains("Reading") && !said.contains("Checking"), "{said}");
    }
}
