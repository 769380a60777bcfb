//! Compiled nets against the f64 reference, for every placement of tensors: branches inside their concatenation, slices and
//! views of other tensors, in-place sums, several inputs and outputs. Each net is written to a file, opened again and run
//! for batches smaller than, equal to and larger than a micro-batch.

mod verify_nets;

use ndarray::{ArrayD, IxDyn};
use netc::artifact::Artifact;
use netc::compile::{Build, BuildOptions, build};
use netc::elaborate::load;
use netc::elaborate::project::source_files::from_disk;
use netc::graph::{Initializer, reference};
use netc::plan::{Kernel, Step};
use netc::runtime::Session;
use std::path::Path;
use std::sync::Arc;
use verify_nets::{CHAINS, CONCATENATIONS, DRAWN, ENDS, MERGES, STEPS, Table, VIEWS_AND_SLICES};

/// The maximum error, as a fraction of the output's range.
const TOLERANCE: f64 = 1e-4;
const BATCHES: [usize; 3] = [1, 3, 11];

fn compiled(expression: &str) -> Result<Build, String> {
    let rendered = |errors, sources: &_| netc::diagnostics::render::text(&errors, sources, false);
    let spec = load(expression, &from_disk).map_err(|(sources, errors)| rendered(errors, &sources))?;
    let options = BuildOptions { allow_untrained: true, ..BuildOptions::default() };
    let (build, _) = build(&spec, &options).map_err(|errors| rendered(errors, &spec.sources))?;
    Ok(build)
}

fn max_error(expression: &str, path: &Path) -> Result<f64, String> {
    let build = compiled(expression)?;
    build.write(path).map_err(|errors| format!("{errors:?}"))?;
    let artifact = Arc::new(Artifact::open(path).map_err(|error| error.to_string())?);
    let plan = &artifact.manifest.plan;
    let mut session = Session::new(artifact.clone(), 2);
    let mut worst: f64 = 0.0;
    for batch in BATCHES {
        let normal = Initializer::Normal { mean: 0.0, std: 1.0 };
        let inputs: Vec<Vec<f32>> =
            plan.inputs.iter().map(|port| normal.sample(&[batch * port.len()], &port.name, batch as u64)).collect();
        let mut outputs: Vec<Vec<f32>> = plan.outputs.iter().map(|port| vec![f32::NAN; batch * port.len()]).collect();
        let given: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        let mut room: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        session.run(batch, &given, &mut room).map_err(|error| error.to_string())?;
        let arrays: Vec<ArrayD<f64>> = inputs
            .iter()
            .zip(&plan.inputs)
            .map(|(values, port)| {
                let shape: Vec<usize> = [batch].into_iter().chain(port.sizes.iter().copied()).collect();
                let values = values.iter().map(|&value| f64::from(value)).collect();
                ArrayD::from_shape_vec(IxDyn(&shape), values).expect("an input of the plan's sizes")
            })
            .collect();
        let mut parameter = |id| build.values(id).expect("an initialiser");
        let wanted = reference::evaluate(&build.graph, &arrays, &mut parameter, &mut |_, _| {});
        if wanted.len() != outputs.len() {
            return Err(format!("{} outputs, not {}", outputs.len(), wanted.len()));
        }
        for (found, wanted) in outputs.iter().zip(&wanted) {
            if found.len() != wanted.len() {
                return Err(format!("an output of {} values, not {}", found.len(), wanted.len()));
            }
            let (low, high) = wanted.iter().fold((0.0, 0.0), |(low, high): (f64, f64), &x| (low.min(x), high.max(x)));
            for (&a, &b) in found.iter().zip(wanted) {
                let error = (f64::from(a) - b).abs() / (high - low).max(1e-6);
                worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
            }
        }
    }
    Ok(worst)
}

/// Checks a table and reports all failures.
fn check(table: Table) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut errors = Vec::new();
    for expression in table {
        match max_error(expression, &folder.path().join("net.netb")) {
            Ok(error) if error <= TOLERANCE => {}
            Ok(error) => errors.push(format!("{expression}\n    off by {error:.1e} of the range")),
            Err(error) => errors.push(format!("{expression}\n    {error}")),
        }
    }
    assert!(errors.is_empty(), "{} of {} are wrong:\n{}", errors.len(), table.len(), errors.join("\n"));
}

#[test]
fn concatenations() {
    check(CONCATENATIONS);
}

#[test]
fn views_and_slices() {
    check(VIEWS_AND_SLICES);
}

#[test]
fn merges() {
    check(MERGES);
}

#[test]
fn ends() {
    check(ENDS);
}

#[test]
fn chains() {
    check(CHAINS);
}

#[test]
fn drawn() {
    check(DRAWN);
}

#[test]
fn steps() {
    check(STEPS);
}

/// Layers with large tensors between them, and how many of them are fused into a step that works in bands of rows.
const BANDS: &[(&str, &[usize])] = &[
    ("Input(64x60x16) >> Conv(1x1, 40) >> Relu6 >> DWConv(3x3, padding=same) >> Relu6 >> Conv(1x1, 5)", &[3]),
    // A sum after the last, with the input of the first as the other branch.
    (
        "Input(61x64x16) >> Conv(3x3, 12, padding=same) >> Relu >> { let x = Identity let y = x >> Conv(1x1, 36) >> Relu >> \
         DWConv(3x3, padding=same) >> Relu >> Conv(1x1, 12) (x | y) >> Add } >> Relu >> Conv(3x3, 2, stride=4)",
        &[3],
    ),
    // A chain ends at a tensor with several consumers, at a concatenation of both ends, and at large weights.
    (
        "Input(64x64x16) >> Conv(1x1, 40) >> { let x = Identity let y = x >> DWConv(3x3, padding=same) >> Relu >> Conv(1x1, 40) \
         (x | y) >> Add }",
        &[2],
    ),
    (
        "Input(64x64x16) >> { let x = Conv(1x1, 36) let y = x >> Conv(1x1, 40) >> Relu >> DWConv(3x3, padding=same) (x | y) >> \
         Concatenate }",
        &[],
    ),
    ("Input(20x20x16) >> Conv(1x1, 400) >> Relu >> DWConv(3x3, padding=same) >> Conv(1x1, 400)", &[2]),
    // Small layers, and outputs, stay separate steps.
    ("Input(20x20x4) >> Conv(1x1, 40) >> Relu6 >> DWConv(3x3, padding=same)", &[]),
];

#[test]
fn convolutions_fuse_by_bands_of_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    for (net, chains) in BANDS {
        let plan = compiled(net).unwrap_or_else(|error| panic!("{net}\n{error}")).compiled.plan;
        let links = |step: &Step| match &step.kernel {
            Kernel::FusedConvolutions(chain) => Some(chain.links.len()),
            _ => None,
        };
        assert_eq!(plan.steps.iter().filter_map(links).collect::<Vec<_>>(), *chains, "{net}\n{plan}");
        let error = max_error(net, &folder.path().join("net.netb")).unwrap_or_else(|error| panic!("{net}\n{error}"));
        assert!(error <= TOLERANCE, "{net}: off by {error:.1e} of the range");
    }
}

/// Large images first and large weights after them: the first stage takes one image at a time, the second eight.
#[test]
fn stages_have_different_micro_batches() {
    let net = "Input(700x700x2) >> Conv(3x3, 4, padding=same) >> Relu >> Conv(3x3, 4, padding=same) >> Tanh >> MaxPool(25x25) \
               >> Conv(28x28, 1400) >> Relu >> Flatten >> Dense(5)";
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stages.netb");
    compiled(net).and_then(|build| build.write(&path).map_err(|errors| format!("{errors:?}"))).expect("a build");
    let artifact = Arc::new(Artifact::open(&path).expect("an artifact"));
    let plan = &artifact.manifest.plan;
    let chunks: Vec<Option<usize>> = plan.stages.iter().map(|stage| stage.micro_batch).collect();
    assert_eq!(chunks, [Some(1), Some(8), None], "{plan}");
    let (batch, size) = (10, plan.inputs[0].len());
    let x = Initializer::Normal { mean: 0.0, std: 1.0 }.sample(&[batch * size], "x", 1);
    let run = |x: &[f32], batch: usize| {
        let mut y = vec![f32::NAN; batch * 5];
        Session::new(artifact.clone(), 2).run(batch, &[x], &mut [&mut y]).expect("a run");
        y
    };
    let together = run(&x, batch);
    let alone: Vec<f32> = x.chunks_exact(size).flat_map(|image| run(image, 1)).collect();
    let largest = alone.iter().fold(0.0, |most: f32, y| most.max(y.abs()));
    for (a, b) in together.iter().zip(&alone) {
        assert!((a - b).abs() <= 1e-5 * largest, "{together:?}\n{alone:?}");
    }
}

/// Every shipped architecture, for small images, with random weights: each step against the unfused graph in f64.
#[test]
fn every_step_of_every_shipped_architecture() {
    for spec in netc::elaborate::project::shipped::SPECS {
        let expression = match spec.name {
            "mixture_of_experts" => "Input(10) >> mixture_of_experts([Relu(5), Tanh(5)], gate=Softmax(2))".into(),
            "bird" | "lstm_text" | "bigru_text" | "dcgan" | "siamese" => spec.name.to_string(),
            "bert_tiny" => "bert_tiny(steps=16)".into(),
            "inception_v3" => "inception_v3(size=107x107x3)".into(),
            "alexnet" => "alexnet(size=99x99x3)".into(),
            name => format!("{name}(size=64x64x3)"),
        };
        let build = compiled(&expression).unwrap_or_else(|errors| panic!("{errors}"));
        let comparison =
            netc::check::verify::verify(&build, 1, 2).unwrap_or_else(|errors| panic!("{expression}: {errors:?}"));
        // A copy into a concatenation is one of its branches alone: what reads the concatenation is compared.
        for step in build.compiled.plan.steps.iter().filter(|step| !matches!(step.kernel, Kernel::Copy(_))) {
            let is_compared = comparison.steps.iter().any(|compared| compared.step == step.name);
            assert!(is_compared, "{expression}: `{}` was not compared", step.name);
        }
        for step in comparison.steps {
            assert!(step.error <= TOLERANCE, "{expression}: {step:?}");
        }
    }
}
