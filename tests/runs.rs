//! Training runs: the best epoch, files of earlier runs, one run at a time, and the net that trained weights belong to.

mod program;

use ndarray::{ArrayD, IxDyn};
use netc::data::arrays::array_file;
use netc::train::run::record::RunRecord;
use netc::train::run::run_folder::lock;
use program::{done, netc, refused, text};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn array(folder: &Path, name: &str, shape: &[usize], value: impl Fn(usize) -> f32) {
    let len = shape.iter().product();
    let values = (0..len).map(value).collect();
    let array = ArrayD::from_shape_vec(IxDyn(shape), values).expect("an array");
    array_file::write(&folder.join(name), &[("a", array.view())]).expect("a file");
}

/// Pseudo-random numbers from -1 to 1.
fn noise(at: usize) -> f32 {
    ((at * 7919 + 13) % 1009) as f32 / 504.5 - 1.0
}

/// A spec with data for four inputs and two classes; the labels of the validation data are swapped, so that training makes
/// validation worse.
fn project(nets: &str, recipe: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    array(folder.path(), "x.npy", &[24, 4], noise);
    array(folder.path(), "y.npy", &[24], |row| f32::from(noise(row * 4) > 0.0));
    array(folder.path(), "y2.npy", &[24], |row| f32::from(noise(row * 4) <= 0.0));
    let data = "data = arrays(x=\"x.npy\", y=\"y.npy\"), batch = 7, optimizer = Adam(step=0.05)";
    let spec = format!("{nets}\ntrain m {{ {data}\n{recipe} }}\n");
    fs::write(folder.path().join("m.net"), spec).expect("a spec");
    folder
}

/// The output without the name of the folder and progress lines.
fn placeless(folder: &TempDir, messages: &str) -> String {
    let messages = messages.replace(&format!("{}/", folder.path().display()), "");
    messages.lines().filter(|line| !line.starts_with("    ")).map(str::trim_end).collect::<Vec<_>>().join("\n")
}

const NET: &str = "net m = Input(4) >> Relu(6) as hid >> Softmax(2) as end";
const WORSE: &str = "validation = arrays(x=\"x.npy\", y=\"y2.npy\")";

fn record(folder: &TempDir) -> RunRecord {
    RunRecord::read(&folder.path().join("m.run")).expect("a record")
}

fn weights(folder: &TempDir, name: &str) -> ArrayD<f32> {
    array_file::read(&folder.path().join(name), Some("end/weight")).expect("weights")
}

/// The recipe is that of the whole net, whose weights a cut must not replace.
#[test]
fn a_cut_is_not_trained_by_the_recipe_of_its_net() {
    let folder = project(NET, "epochs = 1");
    done(&netc(folder.path(), &["train", "m.net"]));
    let before = fs::read(folder.path().join("m.h5")).expect("weights");
    for cut in ["m.net[..=hid]", "m.net[..=hid] >> Softmax(2) as other"] {
        refused(&netc(folder.path(), &["train", cut]), "E0601", &["no recipe for `m_cut`", "a net of the file"]);
    }
    assert!(fs::read(folder.path().join("m.h5")).expect("weights") == before);
}

#[test]
fn the_best_validation_epoch_is_kept() {
    let trained = |recipe: &str| {
        let folder = project(NET, recipe);
        let output = netc(folder.path(), &["train", "m.net"]);
        done(&output);
        (record(&folder), weights(&folder, "m.h5"), text(&output.stderr))
    };
    let (one, first, _) = trained("epochs = 1");
    assert_eq!((one.best, one.keep.as_str()), (Some(1), "last"));
    let (best, kept, messages) = trained(&format!("epochs = 6, {WORSE}"));
    assert_eq!((best.best, best.keep.as_str()), (Some(1), "best by validation loss"));
    assert_eq!(kept, first, "the weights of the first epoch");
    assert!(messages.contains("Keeping epoch 1 of 6, best by validation loss"), "{messages}");
    let losses: Vec<f64> = best.epochs.iter().map(|epoch| epoch.validation_loss.expect("a loss")).collect();
    assert_eq!(best.metrics["loss"], losses[0], "the metrics are those of the kept epoch");
    let (last, kept, _) = trained(&format!("epochs = 6, keep = last, {WORSE}"));
    assert_eq!((last.best, last.keep.as_str()), (Some(6), "last"));
    assert_ne!(kept, first);
    let (by_accuracy, kept, _) = trained(&format!("epochs = 6, keep = best(accuracy), metrics = top5, {WORSE}"));
    assert_eq!((by_accuracy.best, by_accuracy.keep.as_str()), (Some(1), "best by validation accuracy"));
    assert_eq!(kept, first);
    // Without validation data it must be requested, and uses the training metric.
    let (asked, kept, _) = trained("epochs = 6, keep = best");
    assert_eq!((asked.best, asked.keep.as_str()), (Some(6), "best by training loss"));
    assert_ne!(kept, first);
}

#[test]
fn keep_refuses_a_metric_that_does_not_apply() {
    let folder = project(NET, "epochs = 1, keep = best(rmse)");
    refused(
        &netc(folder.path(), &["train", "m.net"]),
        "E0602",
        &["`rmse` does not apply to classes", "leave `keep` out"],
    );
    let folder = project(NET, "epochs = 1, keep = best(acuracy)");
    refused(&netc(folder.path(), &["train", "m.net"]), "E0207", &["did you mean `accuracy`?"]);
}

/// A resumed run keeps the same epoch as an uninterrupted one.
#[test]
fn a_resumed_run_keeps_the_best_epoch() {
    let folder = project(NET, &format!("epochs = 2, {WORSE}"));
    done(&netc(folder.path(), &["train", "m.net"]));
    let before = weights(&folder, "m.h5");
    let spec = folder.path().join("m.net");
    let longer = fs::read_to_string(&spec).expect("the spec").replace("epochs = 2", "epochs = 5");
    fs::write(&spec, longer).expect("a spec");
    done(&netc(folder.path(), &["train", "m.net", "--resume"]));
    assert_eq!((record(&folder).epochs.len(), record(&folder).best), (5, Some(1)));
    assert_eq!(weights(&folder, "m.h5"), before);
    assert!(!folder.path().join("m.run/1").exists(), "a run that goes on is the same run");
}

#[test]
fn an_earlier_run_is_not_lost() {
    let folder = project(NET, "epochs = 1");
    done(&netc(folder.path(), &["train", "m.net"]));
    let (first, kept) = (weights(&folder, "m.h5"), fs::read(folder.path().join("m.run/run.yaml")).expect("a record"));
    let spec = folder.path().join("m.net");
    fs::write(&spec, fs::read_to_string(&spec).expect("the spec").replace("epochs = 1", "epochs = 3")).expect("a spec");
    let output = netc(folder.path(), &["train", "m.net"]);
    done(&output);
    assert!(text(&output.stderr).contains("Keeping the previous run in "), "{}", text(&output.stderr));
    assert_eq!(record(&folder).epochs.len(), 3);
    assert_eq!(weights(&folder, "m.run/1/m.h5"), first);
    assert_eq!(fs::read(folder.path().join("m.run/1/run.yaml")).expect("the first record"), kept);
    assert_ne!(weights(&folder, "m.h5"), first);
    done(&netc(folder.path(), &["train", "m.net"]));
    assert!(folder.path().join("m.run/2/report.html").exists() && !folder.path().join("m.run/3").exists());
}

#[test]
fn without_its_folder_a_net_is_trained_again() {
    let folder = project(NET, "epochs = 1");
    done(&netc(folder.path(), &["train", "m.net"]));
    fs::remove_dir_all(folder.path().join("m.run")).expect("the folder goes");
    done(&netc(folder.path(), &["train", "m.net"]));
    assert!(folder.path().join("m.run/1/m.h5").exists(), "its weights are kept");
    // A file that was not written by training is kept.
    fs::remove_dir_all(folder.path().join("m.run")).expect("the folder goes");
    array(folder.path(), "m.h5", &[2], noise);
    refused(&netc(folder.path(), &["train", "m.net"]), "E0904", &["no run of this net has written it"]);
}

#[test]
fn a_net_is_trained_by_one_at_a_time() {
    let folder = project(NET, "epochs = 1");
    let held = lock(&folder.path().join("m.run"), "m").expect("a lock");
    let output = netc(folder.path(), &["train", "m.net"]);
    let process = format!("by process {}", std::process::id());
    let messages = refused(&output, "E0606", &["`m` is being trained", &process, "m.run is locked"]);
    insta::assert_snapshot!("a_training_goes_on", placeless(&folder, &messages.replace(&process, "by process 1")));
    drop(held);
    done(&netc(folder.path(), &["train", "m.net"]));
}

/// Names of new layers continue the numbering of the cut net, and trained weights are found under them.
#[test]
fn a_new_head_without_a_name_is_bound_again() {
    let base = "net base = Input(4) >> Relu(3) >> Softmax(2)\nnet m = base[..softmax-1] >> Softmax(2)";
    let folder = project(base, "epochs = 1");
    done(&netc(folder.path(), &["train", "m.net"]));
    assert!(array_file::read(&folder.path().join("m.h5"), Some("softmax-2/weight")).is_ok());
    done(&netc(folder.path(), &["build", "m.net", "--net", "m"]));
    done(&netc(folder.path(), &["predict", "m.net", "x.npy", "--net", "m"]));
    let spec = folder.path().join("m.net");
    fs::write(&spec, fs::read_to_string(&spec).expect("the spec").replace("epochs = 1", "epochs = 2")).expect("a spec");
    done(&netc(folder.path(), &["train", "m.net", "--resume"]));
}

/// The features of a fine-tuned net are computed with its trained weights.
#[test]
fn what_is_cut_from_a_trained_net_has_its_trained_weights() {
    let nets = format!(
        "{NET}\nnet feat = m[..=hid]\nnet whole = m >> Dense(1) as more\nnet other = Input(4) >> Relu(6) as hid"
    );
    let folder = project(&nets, "epochs = 2");
    done(&netc(folder.path(), &["train", "m.net"]));
    let weight = array_file::read(&folder.path().join("m.h5"), Some("hid/weight")).expect("weights");
    let bias = array_file::read(&folder.path().join("m.h5"), Some("hid/bias")).expect("weights");
    let x = array_file::read(&folder.path().join("x.npy"), None).expect("an array");
    let output = netc(folder.path(), &["predict", "m.net", "x.npy", "--net", "feat", "-o", "f.npy"]);
    done(&output);
    assert!(text(&output.stderr).contains("m.h5 (neupy) 2 tensors"), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("trained as `m`"), "{}", text(&output.stderr));
    let found = array_file::read(&folder.path().join("f.npy"), None).expect("features");
    let matrix = |array: ArrayD<f32>| array.into_dimensionality::<ndarray::Ix2>().expect("a matrix");
    let right = (matrix(x).dot(&matrix(weight)) + bias).mapv(|value| value.max(0.0));
    assert!(found.iter().zip(&right).all(|(found, right)| (found - right).abs() < 1e-5));
    let whole = netc(folder.path(), &["build", "m.net", "--net", "whole", "--allow-untrained", "-o", "w.netb"]);
    done(&whole);
    assert!(text(&whole.stderr).contains("m.h5 (neupy) 4 tensors"), "{}", text(&whole.stderr));
    let fresh = netc(folder.path(), &["build", "m.net", "--net", "feat", "--fresh", "-o", "f.netb"]);
    refused(&fresh, "E0408", &["hid"]);
    // A net that only has the same layers has none.
    refused(&netc(folder.path(), &["build", "m.net", "--net", "other", "-o", "o.netb"]), "E0408", &["hid"]);
}

#[test]
fn trained_weights_of_a_changed_net_are_refused() {
    let folder = project(NET, "epochs = 1");
    done(&netc(folder.path(), &["train", "m.net"]));
    let spec = folder.path().join("m.net");
    let trained = fs::read_to_string(&spec).expect("the spec");
    let without = trained.replace("Relu(6) as hid >> Softmax(2)", "Softmax(2)");
    for changed in [trained.replace("Relu(6)", "Relu(7)"), trained.replace("as hid", "as hidden"), without] {
        fs::write(&spec, &changed).expect("a spec");
        let output = netc(folder.path(), &["build", "m.net"]);
        let messages =
            refused(&output, "E0403", &["the net has changed since it was trained", "`netc train`", "--fresh"]);
        assert!(!messages.contains("rename"), "{messages}");
        if changed.contains("Relu(7)") {
            insta::assert_snapshot!("trained_weights_of_another_net", placeless(&folder, &messages));
        }
    }
    done(&netc(folder.path(), &["train", "m.net"]));
}

#[test]
fn layers_of_the_frozen_front_are_counted() {
    let net = "net m = frozen(Input(4) >> Dense(3) as a >> Relu) >> Dense(3) as b >> Relu >> Dense(2) as d >> Softmax";
    let folder = project(net, "epochs = 1");
    let output = netc(folder.path(), &["train", "m.net"]);
    done(&output);
    assert!(text(&output.stderr).contains("; frozen front of 3 layers"), "{}", text(&output.stderr));
    assert_eq!(record(&folder).front.expect("a front").layers, 3);
}
