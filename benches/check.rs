//! The cost of `netc check`: parsing, expanding and checking nets of a thousand layers. `cargo bench --profile release --bench check`

use netc::{check, elaborate};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

/// Runs for each net; the median is printed.
const RUNS: usize = 51;

/// A chain of a thousand layers, all written out.
fn chain() -> String {
    format!("net chain = Input(32x32x3){}", " >> Conv(3x3, 8, padding=same)\n".repeat(999))
}

/// A residual network of a thousand layers, with a block that is written once.
fn residual() -> String {
    "net residual = Input(32x32x16) >> repeat i in 1..=142 { block(\"b{i}\") }\n\
     net block(id) = (Conv(3x3, 16, padding=same, bias=false) as \"{id}_1\" >> BatchNorm as \"{id}_2\" >> Relu \
     >> Conv(3x3, 16, padding=same, bias=false) as \"{id}_3\" >> BatchNorm as \"{id}_4\" | Identity) >> Add >> Relu"
        .to_string()
}

fn time(text: &str) -> Duration {
    let start = Instant::now();
    let spec =
        elaborate::load_text(Path::new("net.net"), black_box(text), &elaborate::project::source_files::from_disk);
    let checked = check::check(&spec, None);
    assert!(!checked.diagnostics.has_errors(), "the nets are right");
    black_box(checked);
    start.elapsed()
}

fn main() {
    for (name, text) in [("chain of 1000 layers", chain()), ("residual network of 1000 layers", residual())] {
        let mut times: Vec<Duration> = (0..RUNS).map(|_| time(&text)).collect();
        times.sort_unstable();
        println!("{name}: median {:.1?}, fastest {:.1?}", times[RUNS / 2], times[0]);
    }
}
