//! netc's side of the training benchmark: `train head|full|block5|cached|resnet50|mobilenet_v2 BATCH THREADS [FILE.h5]`.
//!
//! `full` trains the whole VGG16, `block5` its last block and its dense layers, `cached` the same from cached features of the
//! frozen front, as `netc train` does; `resnet50` and `mobilenet_v2` train these nets with batch normalisation.
//!
//! Prints one line of JSON after the first step, then responds to each `run K` on stdin with `[[ms, …], loss]`, like the peers;
//! `benches/peers/run.py --train` drives it. `profile` prints the time of each step of an update, the longest first. Without arguments, as in
//! `cargo test --benches`, it exits.

use netc::compile::{self, BuildOptions, Values};
use netc::data::SeededRng;
use netc::data::samples::table::Table;
use netc::elaborate;
use netc::elaborate::project::source_files;
use netc::kernels::training::loss::Loss;
use netc::kernels::training::optimizer::UpdateRule;
use netc::runtime::Session;
use netc::train::autodiff::Settings;
use netc::train::batches::batch_source::{BatchSource, BatchSourceError, Traversal};
use std::error::Error;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Instant;

const CLASSES: usize = 10;
const RATE: f32 = 1e-3;
/// Rows of an epoch of the head, and of its batches.
const ROWS: usize = 10_000;
const HEAD_BATCH: usize = 128;

/// VGG16 as trained by the peers: without dropout, with logits and softmax.
fn spec(task: &str) -> String {
    let conv = |filters: usize, n: usize| format!("Conv(3x3, {filters}, padding=1) as features.{n} >> Relu");
    let block = |layers: &[(usize, usize)]| {
        let list: Vec<String> = layers.iter().map(|&(filters, n)| conv(filters, n)).collect();
        format!("{} >> MaxPool(2x2)", list.join(" >> "))
    };
    let front = [
        block(&[(64, 0), (64, 2)]),
        block(&[(128, 5), (128, 7)]),
        block(&[(256, 10), (256, 12), (256, 14)]),
        block(&[(512, 17), (512, 19), (512, 21)]),
    ]
    .join(" >> ");
    let last = block(&[(512, 24), (512, 26), (512, 28)]);
    let dense = "Flatten >> Dense(4096) as classifier.0 >> Relu >> Dense(4096) as classifier.3 >> Relu >> Softmax(10)";
    match task {
        "head" => "Input(4096) >> Softmax(10)".into(),
        "resnet50" | "mobilenet_v2" => format!("{task}(classes=10)"),
        "cached" => format!("Input(14x14x512) >> {last} >> {dense}"),
        "block5" => format!("frozen(Input(224x224x3) >> {front}) >> {last} >> {dense}"),
        _ => format!("Input(224x224x3) >> {front} >> {last} >> {dense}"),
    }
}

/// Reproducible numbers around zero.
fn noise(len: usize, mut seed: u64) -> Vec<f32> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f32 / (1u32 << 24) as f32 - 0.5
    };
    // The sum of four uniform numbers, with the variance of a standard normal one.
    (0..len).map(|_| (next() + next() + next() + next()) * 3f32.sqrt()).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [task, batch, threads, weights @ ..] = &arguments[..] else { return Ok(()) };
    let (batch, threads): (usize, usize) = (batch.parse()?, threads.parse()?);
    let batch = if task == "head" { HEAD_BATCH } else { batch };
    let folder = std::env::temp_dir().join(format!("netc-train-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("tower.net");
    let bound = match weights {
        [path, ..] => format!("weights tower = {path:?} {{ missing = initialize }}\n"),
        [] => String::new(),
    };
    std::fs::write(&file, format!("net tower = {}\n{bound}", spec(task)))?;
    let began = Instant::now();
    let loaded = elaborate::load(&file.display().to_string(), &source_files::from_disk)
        .map_err(|(_, messages)| format!("{messages:?}"));
    std::fs::remove_dir_all(&folder)?;
    let options = BuildOptions { allow_untrained: true, ..BuildOptions::default() };
    let (build, _) = compile::build(&loaded?, &options).map_err(|messages| format!("{messages:?}"))?;
    let rule = UpdateRule::Momentum { momentum: 0.9, nesterov: false };
    let settings = Settings::new(rule, &[Loss::CategoricalCrossentropy], 0);
    let values = Values { graph: &build.graph, bindings: &build.bindings };
    let trainable = netc::train::autodiff::training_plans::compile(&build.graph, &settings, batch, &values)
        .map_err(|messages| format!("{messages:?}"))?;
    let mut state = trainable.start;
    let rate = trainable.layout.find("optimizer/rate").ok_or("the step has no learning rate")?.offset;
    state.floats_mut()[rate] = RATE;

    let (rows, width) = match task.as_str() {
        "head" => (ROWS, 4096),
        "cached" => (batch, 14 * 14 * 512),
        _ => (batch, 224 * 224 * 3),
    };
    let x = noise(rows * width, 1);
    let mut targets = vec![0.0; rows * CLASSES];
    for (row, target) in targets.chunks_mut(CLASSES).enumerate() {
        target[row * 7 % CLASSES] = 1.0;
    }
    let mut session = Session::new(trainable.step.clone(), threads);
    let pool = Arc::clone(session.pool());
    let mut source = BatchSource::Rows(vec![Table::of_columns(x, &[width]).remove(0)]);
    let mut given = vec![0.0; batch * CLASSES];
    let mut prediction = vec![0.0; batch * CLASSES];
    let mut chance = SeededRng::new([0; 4]);
    let mut order: Vec<usize> = (0..rows).collect();
    let mut epoch = |session: &mut Session| -> Result<f32, Box<dyn Error>> {
        let mut loss = [0.0];
        chance.shuffle(&mut order);
        let traversal = Traversal { order: &order, batch, epoch: 0, pool: &pool, interrupted: None };
        source.for_each_batch::<BatchSourceError>(traversal, |range, inputs| {
            let len = range.len() * CLASSES;
            for (to, &row) in given.chunks_exact_mut(CLASSES).zip(&order[range.clone()]) {
                to.copy_from_slice(&targets[row * CLASSES..][..CLASSES]);
            }
            let mut outputs: [&mut [f32]; 2] = [&mut loss, &mut prediction[..len]];
            Ok(session.run_with(range.len(), &[inputs[0], &given[..len]], &mut outputs, state.floats_mut())?)
        })?;
        Ok(loss[0])
    };
    let load = began.elapsed().as_secs_f64();
    let first = Instant::now();
    let loss = epoch(&mut session)?;
    let first_ms = first.elapsed().as_secs_f64() * 1e3;
    let mut out = std::io::stdout();
    writeln!(out, "{}", serde_json::json!({ "load_s": load, "first_ms": first_ms, "loss0": loss }))?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "profile" {
            session.measure();
            epoch(&mut session)?;
            let steps = &trainable.step.manifest.plan.steps;
            let mut times: Vec<_> = session.profile().iter().zip(steps).collect();
            times.sort_by_key(|(time, _)| std::cmp::Reverse(**time));
            for (time, step) in times {
                writeln!(out, "{:9.3} ms  {}  {}", time.as_secs_f64() * 1e3, step.name, step.kernel.describe())?;
            }
        }
        let Some(count) = line.strip_prefix("run ") else { continue };
        let mut times = Vec::new();
        let mut loss = 0.0;
        for _ in 0..count.trim().parse::<usize>()? {
            let began = Instant::now();
            loss = epoch(&mut session)?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        writeln!(out, "{}", serde_json::json!([times, loss]))?;
        out.flush()?;
    }
    Ok(())
}
