//! Options of a build that change its plan, and the output of `netc bench`.

mod difference;
mod program;

use difference::difference;
use ndarray::{Array, Array2, Array4};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use serde_json::Value;
use std::fs::File;
use std::path::Path;
use std::process::Output;

const NET: &str = "Input(32x32x16) >> Conv(3x3, 64, padding=same) as first >> Relu >> Conv(3x3, 64, padding=same) as second \
                   >> Relu >> MaxPool(2x2) >> Flatten >> Dense(64) as third >> Relu >> Softmax(10)";

/// Exit code, stdout and stderr.
fn netc(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = program::netc(folder, arguments);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

fn build(folder: &Path, arguments: &[&str]) -> String {
    let mut all = vec!["build", NET, "--allow-untrained", "-o", "net.netb"];
    all.extend(arguments);
    let (code, _, messages) = netc(folder, &all);
    assert_eq!(code, Some(0), "{messages}");
    messages
}

fn manifest(folder: &Path) -> Value {
    let (code, out, messages) = netc(folder, &["inspect", "net.netb", "--format", "json"]);
    assert_eq!(code, Some(0), "{messages}");
    serde_json::from_str(&out).expect("JSON")
}

fn constant_bytes(folder: &Path) -> u64 {
    let constants = manifest(folder)["plan"]["constants"].as_array().expect("constants").clone();
    constants.iter().map(|constant| 4 * constant["len"].as_u64().expect("a length")).sum()
}

/// The output of the artifact for a fixed input.
fn predict(folder: &Path) -> Array2<f32> {
    let x =
        Array4::from_shape_fn((2, 32, 32, 16), |(n, h, w, c)| ((n * 7 + h * 5 + w * 3 + c) % 11) as f32 / 11.0 - 0.5);
    x.write_npy(File::create(folder.join("x.npy")).expect("a file")).expect("written");
    let (code, _, messages) = netc(folder, &["predict", "net.netb", "x.npy", "-o", "y.npy"]);
    assert_eq!(code, Some(0), "{messages}");
    Array2::read_npy(File::open(folder.join("y.npy")).expect("a file")).expect("an array")
}

fn largest_difference(a: &Array2<f32>, b: &Array2<f32>) -> f64 {
    difference(a.iter().copied(), b.iter().copied(), |_| 1.0)
}

#[test]
fn why_lists_candidates_and_marks_the_choice() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, out, messages) = netc(folder.path(), &["build", NET, "--why", "second"]);
    assert_eq!((code, messages.as_str()), (Some(0), ""), "{messages}");
    let chosen: Vec<&str> = out.lines().filter(|line| line.starts_with('*')).collect();
    assert!(chosen.len() == 1 && chosen[0].contains("Winograd"), "{out}");
    assert!(out.contains("\n  im2col") && out.contains("F(2x2)"), "{out}");
    // Only algorithms that round as direct convolution does.
    let (_, out, _) = netc(folder.path(), &["build", NET, "--why", "second", "--exact"]);
    assert!(!out.contains("Winograd"), "{out}");
    // BLAS can read the weights of a dense layer unpacked, but packed weights are estimated to be faster.
    let (_, out, _) = netc(folder.path(), &["build", NET, "--why", "third"]);
    assert!(out.contains("\n* packed, tiles") && out.contains("\n  unpacked, BLAS"), "{out}");
    let (code, out, messages) = netc(folder.path(), &["build", NET, "--why", "secnd"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(messages.contains("E0201") && messages.contains("did you mean `second`?"), "{messages}");
}

#[test]
fn a_plan_keeps_to_its_memory_or_says_what_it_needs() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    build(folder, &[]);
    let (usual, wanted) = (constant_bytes(folder), predict(folder));
    let (code, _, messages) = netc(folder, &["build", NET, "--allow-untrained", "--max-memory", "1MB"]);
    assert_eq!(code, Some(1), "{messages}");
    assert!(messages.contains("E0801") && messages.contains("bf16-weights"), "{messages}");
    // The required size in the message is sufficient, except for rounding.
    let needed = messages.split("needs ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a size");
    let needed = needed.parse::<f64>().expect("a number") + 0.1;
    build(folder, &["--max-memory", &format!("{needed:.1}MiB")]);
    assert!(constant_bytes(folder) < usual, "no smaller algorithm was chosen");
    assert!(largest_difference(&predict(folder), &wanted) < 1e-5);
    let (code, _, messages) = netc(folder, &["build", NET, "--max-memory", "12 parsecs"]);
    assert_eq!(code, Some(2), "{messages}");
}

#[test]
fn dense_weights_in_bf16_take_half_and_tell_their_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    build(folder, &[]);
    let (usual, wanted) = (constant_bytes(folder), predict(folder));
    let messages = build(folder, &["--precision", "bf16-weights"]);
    assert!(messages.contains("Rounding") && messages.contains("of the range against f32"), "{messages}");
    let dense = 16 * 16 * 64 * 64 * 4;
    assert!(constant_bytes(folder) <= usual - dense / 2, "{usual}");
    let error = largest_difference(&predict(folder), &wanted);
    assert!(error > 0.0 && error < 1e-2, "{error}");
}

#[test]
fn products_in_bf16_tell_their_error_and_leave_f32_where_it_is_faster() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    build(folder, &[]);
    let (usual, wanted) = (constant_bytes(folder), predict(folder));
    let messages = build(folder, &["--precision", "bf16"]);
    assert!(messages.contains("Rounding") && messages.contains("of the range against f32"), "{messages}");
    assert!(constant_bytes(folder) < usual, "{usual}");
    let error = largest_difference(&predict(folder), &wanted);
    assert!(error > 0.0 && error < 1e-2, "{error}");
    let (code, plan, _) = netc(folder, &["build", NET, "--precision", "bf16", "--emit", "plan"]);
    assert!(code == Some(0) && plan.contains(" by bf16"), "{plan}");
    let (code, plan, _) = netc(folder, &["build", NET, "--emit", "plan"]);
    assert!(code == Some(0) && !plan.contains("bf16"), "{plan}");
}

#[test]
fn tuning_is_told_kept_and_changes_no_result() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    build(folder, &[]);
    let wanted = predict(folder);
    assert!(manifest(folder)["tuned"].is_null());
    let messages = build(folder, &["--tune"]);
    assert!(messages.contains("Tuning first") && messages.contains("Tuning second"), "{messages}");
    assert!(manifest(folder)["tuned"].as_str().is_some_and(|machine| machine.contains("thread")));
    assert!(largest_difference(&predict(folder), &wanted) < 1e-5);
    // The second time, everything has been measured.
    let messages = build(folder, &["--tune"]);
    assert!(!messages.contains("Tuning") && messages.contains("Tuned"), "{messages}");
    // A damaged cache is ignored.
    let cache = std::fs::read_dir(folder.join("cache")).expect("the cache").next().expect("a file").expect("a file");
    std::fs::write(cache.path(), "{").expect("written");
    assert!(build(folder, &["--tune"]).contains("Tuning first"));
}

#[test]
fn bench_runs_on_an_array_and_tells_all_in_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    build(folder, &[]);
    let wanted = predict(folder);
    let arguments =
        ["bench", "net.netb", "--input", "x.npy", "-o", "out.npy", "--batch", "1,2", "--runs", "3", "--steps"];
    let (code, out, messages) = netc(folder, &[&arguments[..], &["--format", "json"]].concat());
    assert_eq!((code, messages.as_str()), (Some(0), ""));
    let json: Value = serde_json::from_str(&out).expect("JSON");
    let batches = json["batches"].as_array().expect("batches");
    assert_eq!(batches.len(), 2);
    for batch in batches {
        assert_eq!(batch["times_ms"].as_array().map(Vec::len), Some(3));
        let steps = batch["steps"].as_array().expect("steps");
        assert!(steps.iter().any(|step| step["step"] == "second"), "{steps:?}");
    }
    assert!(json["machine"]["gflops"].as_f64().is_some_and(|rate| rate > 0.0));
    let found = Array2::<f32>::read_npy(File::open(folder.join("out.npy")).expect("a file")).expect("an array");
    assert_eq!(found, wanted);
    let (code, out, messages) = netc(folder, &["bench", "net.netb", "--input", "x.npy", "--batch", "3"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(messages.contains("E0703") && messages.contains("too few images for a batch of 3 images"), "{messages}");
}

#[test]
fn absurd_batches_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    build(folder, &[]);
    for batch in ["1000000000000", "18446744073709551615"] {
        let (code, out, messages) = netc(folder, &["bench", "net.netb", "--batch", batch, "--runs", "0"]);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{messages}");
        assert!(messages.contains("E0801"), "{messages}");
    }
    let x = Array::<f32, _>::zeros((1, 32, 32, 16));
    x.write_npy(File::create(folder.join("x.npy")).expect("a file")).expect("written");
    // The maximum batch does not affect a single image.
    let (code, _, messages) =
        netc(folder, &["predict", "net.netb", "x.npy", "-o", "y.npy", "--batch", "1000000000000"]);
    assert_eq!(code, Some(0), "{messages}");
}
