//! Runs every target on its seeds and on mutations of them, deterministically. `NETC_FUZZ=20 cargo test --test fuzz` runs twenty
//! times as many, and `fuzz/` runs the targets under libFuzzer.

mod mutate;
#[allow(dead_code)] // Other tests also pick words.
#[path = "../random/mod.rs"]
mod random;
mod seeds;
mod targets;

use random::RandomChoices;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use targets::TARGETS;

/// The limit of the peak memory over all inputs so far, in bytes.
const MAX_MEMORY: u64 = 2 << 30;

/// One at a time, so that memory can be attributed to an input.
static ALONE: Mutex<()> = Mutex::new(());

/// The peak memory of this process, if the system provides it.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}

fn try_mutations(name: &str, count: usize) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let times = std::env::var("NETC_FUZZ").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    let seeds = seeds::of(name);
    let words: Vec<&[u8]> = target.words.split(|&byte| byte == b'~').collect();
    let begin = name.bytes().fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let mutations = (0..count * times).map(|round| {
        let mut random = RandomChoices::new(begin.wrapping_add(round as u64));
        mutate::mutate(&mut random, &seeds, &words)
    });
    let mut wrong = Vec::new();
    for (round, input) in seeds.iter().cloned().chain(mutations).enumerate() {
        let (before, began) = (memory(), Instant::now());
        let run = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        let keep = |what: &str| {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}-{round}"));
            fs::write(&path, &input).expect("the input is kept");
            format!("{what}: {}", path.display())
        };
        // Times depend on the machine: they are printed, not asserted.
        if began.elapsed() > Duration::from_secs(2) {
            eprintln!("{}", keep(&format!("{:.1} s", began.elapsed().as_secs_f64())));
        }
        if run.is_err() {
            wrong.push(keep("a panic"));
        }
        if memory() > MAX_MEMORY && memory() > before {
            wrong.push(keep(&format!("{} MB of memory", memory() >> 20)));
        }
    }
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}

macro_rules! tests {
    ($($name:ident: $count:expr,)*) => {
        $(#[test]
        fn $name() {
            try_mutations(stringify!($name), $count);
        })*

        #[test]
        fn every_target_is_tried() {
            assert_eq!([$(stringify!($name)),*], TARGETS.each_ref().map(|target| target.name));
        }
    };
}

// The numbers of mutations take about five seconds each in a test build.
tests! {
    spec: 500,
    recipe: 500,
    editor: 40,
    safetensors: 2000,
    hdf5_weights: 1000,
    keras_archive: 1000,
    keras_model: 1000,
    pickle: 2000,
    onnx: 1000,
    npy: 5000,
    npz: 2000,
    hdf5_arrays: 1000,
    image: 1000,
    artifact: 600,
    lists: 5000,
    record: 2000,
}

/// Seeds as files, for libFuzzer: `cargo test --test fuzz -- --ignored write_seeds`.
#[test]
#[ignore = "writes files into fuzz/corpus"]
fn write_seeds() {
    for target in &TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name);
        fs::create_dir_all(&folder).expect("a folder");
        for (index, seed) in seeds::of(target.name).iter().enumerate() {
            fs::write(folder.join(format!("seed-{index}")), seed).expect("a seed");
        }
        let words = target.words.split(|&byte| byte == b'~').map(|word| {
            let bytes = word.iter().map(|byte| format!("\\x{byte:02x}"));
            format!("\"{}\"\n", bytes.collect::<String>())
        });
        fs::write(folder.with_extension("dict"), words.collect::<String>()).expect("a dictionary");
    }
}

/// The page lists each limit with its constant.
#[test]
fn limits_in_security_md_are_those_of_the_code() {
    let read = |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path);
    let page = read("SECURITY.md");
    // | what | `NAME = VALUE` | `path` |
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let (name, value) = cells.get(2)?.split_once(" = ")?;
        Some((name.to_owned(), value.to_owned(), cells.get(3)?.to_string()))
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() > 20);
    for (name, value, path) in rows {
        let declared = |line: &str| {
            let line = line.trim_start();
            line.contains(&format!("const {name}: ")) && line.ends_with(&format!(" = {value};"))
        };
        assert!(read(&path).lines().any(declared), "{path} declares no {name} = {value}");
    }
}
