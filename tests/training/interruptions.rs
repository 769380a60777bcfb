//! Runs that are killed, interrupted, or run out of disk space: files are intact, and the final result is the same.

use super::program::command;
use super::{bytes, done, netc, project, stderr};
use netc::data::SeededRng;
use netc::train::run::record::RunRecord;
use netc::train::run::record::checkpoint;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The files of training that do not contain times.
const LASTING: [&str; 3] = ["kind.h5", "kind.netb", "kind.run/labels.txt"];

/// An uninterrupted run.
struct Whole {
    recipe: String,
    files: Vec<Vec<u8>>,
    record: RunRecord,
    length: Duration,
}

impl Whole {
    fn of(recipe: &str) -> Whole {
        let folder = project(recipe);
        let began = Instant::now();
        done(&netc(folder.path(), &["train", "kind.net"]));
        let length = began.elapsed();
        let record = RunRecord::read(&folder.path().join("kind.run")).expect("a record");
        Whole {
            recipe: recipe.to_string(),
            files: LASTING.iter().map(|name| bytes(&folder, name)).collect(),
            record,
            length,
        }
    }
}

fn start(folder: &Path, resume: bool) -> Child {
    let mut command = command(folder, &["train", "kind.net"]);
    command.args(resume.then_some("--resume"));
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program runs")
}

/// The temporary files that a killed process may leave behind.
fn begun(folder: &Path) -> Vec<PathBuf> {
    let inside = |folder: &Path| -> Vec<PathBuf> {
        let list = fs::read_dir(folder).into_iter().flatten().flatten();
        list.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains(".netc-")).collect()
    };
    [inside(folder), inside(&folder.join("kind.run"))].concat()
}

/// The bytes of the cache of features, as far as it is filled.
fn cached(folder: &Path) -> u64 {
    let list = fs::read_dir(folder.join("cache")).into_iter().flatten().flatten();
    list.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

/// The number of floats in the state of a checkpoint without a best epoch.
fn floats(checkpoint: &[u8]) -> usize {
    let progress = u32::from_le_bytes(checkpoint[12..16].try_into().expect("four bytes")) as usize;
    (checkpoint.len() - progress - 48) / 4
}

/// Every file is intact and equal to that of one of the runs; files with times are intact.
fn check_files(folder: &TempDir, runs: &[Whole], killed: usize) {
    for (at, name) in LASTING.iter().enumerate() {
        if folder.path().join(name).exists() {
            let found = bytes(folder, name);
            assert!(runs.iter().any(|run| run.files[at] == found), "{name} is of no run after {killed} kills");
        }
    }
    let run = folder.path().join("kind.run");
    if run.join("run.yaml").exists() {
        RunRecord::read(&run).expect("a record");
    }
    if run.join(checkpoint::FILE).exists() {
        checkpoint::read(&run, floats(&bytes(folder, "kind.run/checkpoint"))).expect("a checkpoint");
    }
    for (name, end) in [("kind.run/curves.svg", "</svg>"), ("kind.run/report.html", "</html>")] {
        if folder.path().join(name).exists() {
            assert!(String::from_utf8_lossy(&bytes(folder, name)).trim_end().ends_with(end), "{name}");
        }
    }
}

/// Two recipes alternate in one folder, so that each overwrites the files of the other. Runs are killed at four kinds of moments,
/// five times each: at any time, while features are stored, while a file is written, and after the weights are written.
#[test]
fn a_run_killed_at_any_time_leaves_valid_files_and_resumes_to_the_same_weights() {
    let recipe = "validation = split(0.25)\noptimizer = Momentum(step=0.01)\nepochs = 40\nbatch = 3";
    let runs = [Whole::of(&format!("{recipe}\nseed = 1")), Whole::of(&format!("{recipe}\naugment = flip"))];
    let broken = project(&runs[0].recipe);
    let folder = broken.path();
    done(&netc(folder, &["train", "kind.net"]));
    let full = cached(folder);
    let mut chance = SeededRng::new([1, 2, 3, 4]);
    let (mut turn, mut killed, mut ended) = (0, 0, true);
    let mut before = Vec::new();
    for _ in 0..400 {
        if killed == 20 && ended {
            break;
        }
        if ended {
            turn = 1 - turn;
            let spec = fs::read_to_string(folder.join("kind.net")).expect("the spec");
            let net = spec.split("train kind").next().expect("the net");
            let data = "data = images(\"photos\")";
            fs::write(folder.join("kind.net"), format!("{net}train kind {{\n{data}\n{}\n}}\n", runs[turn].recipe))
                .expect("a spec");
            fs::remove_dir_all(folder.join("cache")).expect("the cache");
            before = bytes(&broken, "kind.run/checkpoint");
        }
        begun(folder).iter().for_each(|path| fs::remove_file(path).expect("a temporary file"));
        let (kind, share) = (killed % 4, chance.unit());
        if kind == 1 && folder.join("cache").exists() {
            fs::remove_dir_all(folder.join("cache")).expect("the cache");
        }
        // Between the archiving of the previous run and the first checkpoint there is none.
        let checkpoint = fs::read(folder.join("kind.run/checkpoint")).ok();
        let weights = fs::read(folder.join("kind.h5")).unwrap_or_default();
        let began = Instant::now();
        let mut child = start(folder, checkpoint.is_some_and(|checkpoint| checkpoint != before));
        let mut due = None;
        ended = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                assert!(status.success(), "{}", stderr(&child.wait_with_output().expect("a child")));
                break true;
            }
            let reached = match kind {
                0 => began.elapsed() >= runs[turn].length.mul_f64(share),
                1 => cached(folder) as f64 >= full as f64 * share,
                2 => begun(folder).iter().any(|path| path.parent() == Some(folder)),
                _ => fs::read(folder.join("kind.h5")).unwrap_or_default() != weights,
            };
            if reached && due.is_none() {
                // After a short delay, to hit different moments.
                let late = [0.0, 1.0, 3.0, 20.0][kind] * chance.unit();
                due = Some(Instant::now() + Duration::from_secs_f64(late / 1e3));
            }
            if killed < 20 && due.is_some_and(|due| Instant::now() >= due) {
                child.kill().expect("a child");
                child.wait().expect("a child");
                killed += 1;
                break false;
            }
            std::thread::sleep(Duration::from_micros(100));
        };
        check_files(&broken, &runs, killed);
        if ended {
            for (name, wanted) in LASTING.iter().zip(&runs[turn].files) {
                assert!(bytes(&broken, name) == *wanted, "{name} differs after {killed} kills");
            }
        }
    }
    assert_eq!((killed, ended), (20, true));
}

/// Ctrl-C ends a run after the current batch, even within an epoch; the resumed run has the same weights and metrics.
#[cfg(unix)]
#[test]
fn an_interrupted_run_resumes_within_the_epoch() {
    let whole = Whole::of(
        "validation = split(0.25)\noptimizer = Adam(step=0.003)\nepochs = 60\nbatch = 1\naugment = flip\n\
        schedule = cosine_decay()\nstop = early_stopping(patience=60)",
    );
    let broken = project(&whole.recipe);
    let folder = broken.path();
    let mut chance = SeededRng::new([5, 6, 7, 8]);
    let (mut within, mut rounds) = (0, 0);
    loop {
        let before = fs::read(folder.join("kind.run/checkpoint")).ok();
        let mut child = start(folder, before.is_some());
        // Signals are handled once the run writes checkpoints.
        while fs::read(folder.join("kind.run/checkpoint")).ok() == before
            && child.try_wait().expect("a child").is_none()
        {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(whole.length.mul_f64(0.15 * chance.unit()));
        // The run may have ended already.
        if child.try_wait().expect("a child").is_none() {
            let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
            assert!(sent.expect("the signal is sent").success());
        }
        let output = child.wait_with_output().expect("a child");
        let messages = stderr(&output);
        if output.status.success() {
            break;
        }
        assert_eq!(output.status.code(), Some(130), "{messages}");
        assert!(messages.contains(" Interrupted ") && messages.contains("`--resume`"), "{messages}");
        assert!(begun(folder).is_empty());
        within += usize::from(messages.contains(", after ") && !messages.contains(", after 0 of "));
        rounds += 1;
        assert!(rounds < 200, "it does not come forward");
    }
    assert!(within > 0, "no epoch was interrupted in {rounds} rounds");
    for (name, wanted) in LASTING.iter().zip(&whole.files) {
        assert!(bytes(&broken, name) == *wanted, "{name} differs after {rounds} interruptions");
    }
    let timeless = |record: &RunRecord| {
        let mut record = record.clone();
        record.epochs.iter_mut().for_each(|epoch| epoch.seconds = 0.0);
        (record.epochs, record.best, record.metrics, record.stopped)
    };
    let record = RunRecord::read(&folder.join("kind.run")).expect("a record");
    assert_eq!(timeless(&record), timeless(&whole.record));
}

/// A limit on file sizes simulates a full disk.
#[cfg(unix)]
#[test]
fn a_full_disk_is_reported_and_existing_files_stay() {
    let recipe = "validation = split(0.25)\nepochs = 3\nbatch = 5";
    let runs = [Whole::of(recipe), Whole::of(&format!("{recipe}\nseed = 1"))];
    let folder = project(recipe);
    done(&netc(folder.path(), &["train", "kind.net"]));
    let spec = fs::read_to_string(folder.path().join("kind.net")).expect("the spec");
    fs::write(folder.path().join("kind.net"), spec.replace("batch = 5", "batch = 5\nseed = 1")).expect("a spec");
    let (mut failed, mut blocks) = (0, 0);
    loop {
        fs::remove_dir_all(folder.path().join("cache")).expect("the cache");
        // Blocks of 512 bytes; with the signal ignored, a write fails as it does on a full disk.
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" train kind.net");
        let output = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_netc")])
            .current_dir(folder.path())
            .env("NETC_CACHE", folder.path().join("cache"))
            .output()
            .expect("the program runs");
        let messages = stderr(&output);
        assert!(begun(folder.path()).is_empty(), "with {blocks} blocks {:?} is left", begun(folder.path()));
        check_files(&folder, &runs, 0);
        if output.status.success() {
            break;
        }
        assert_eq!(output.status.code(), Some(1), "with {blocks} blocks: {messages}");
        assert!(
            messages.contains("error[E") && messages.contains("cannot be written"),
            "with {blocks} blocks: {messages}"
        );
        failed += 1;
        blocks = (blocks + 1).max(blocks * 3 / 2);
    }
    assert!(failed > 3, "{failed}");
    assert!(bytes(&folder, "kind.h5") == runs[1].files[0]);
}
