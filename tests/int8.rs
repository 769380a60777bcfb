//! Int8 builds: calibration, the choice of layers, and the bytes that plans compute.

use netc::artifact::Artifact;
use netc::check::verify::verify;
use netc::compile::int8::CalibrationSource;
use netc::compile::{self, Build, BuildOptions, Precision};
use netc::diagnostics::Code;
use netc::elaborate::load;
use netc::elaborate::project::source_files::from_disk;
use netc::plan::{Format, Kernel};
use netc::runtime::Session;
use std::path::PathBuf;
use std::sync::Arc;

/// Pseudo-random numbers from -1 to 1.
fn values(seed: usize, len: usize) -> Vec<f32> {
    (0..len).map(|at| ((at * 7919 + seed * 104_729 + 13) % 2017) as f32 / 1008.5 - 1.0).collect()
}

fn options(int8: Option<CalibrationSource>) -> BuildOptions {
    let precision = if int8.is_some() { Precision::Int8 } else { Precision::F32 };
    let calibration = int8.unwrap_or_default();
    BuildOptions { allow_untrained: true, precision, calibration, ..BuildOptions::default() }
}

fn build(net: &str, options: &BuildOptions) -> Build {
    let spec = load(net, &from_disk).unwrap_or_else(|errors| panic!("{net}: {errors:?}"));
    compile::build(&spec, options).unwrap_or_else(|errors| panic!("{net}: {errors:?}")).0
}

/// A net with random weights, in f32 and calibrated on random numbers in int8, with the samples.
fn both(net: &str) -> (Build, Build, Vec<Vec<f32>>) {
    let wide = build(net, &options(None));
    let len = wide.compiled.plan.inputs[0].len();
    let samples: Vec<Vec<f32>> = (0..6).map(|seed| values(seed, len)).collect();
    let given = samples.iter().map(|sample| vec![sample.clone()]).collect();
    (wide, build(net, &options(Some(CalibrationSource::Values(given)))), samples)
}

fn run(artifact: &Arc<Artifact>, threads: usize, batch: &[Vec<f32>]) -> Vec<f32> {
    let mut session = Session::new(artifact.clone(), threads);
    session.guard();
    let mut output = vec![0.0; artifact.manifest.plan.outputs[0].floats(batch.len())];
    session.run(batch.len(), &[&batch.concat()], &mut [&mut output]).expect("it runs");
    output
}

fn decibels(wanted: &[f32], found: &[f32]) -> f64 {
    let power = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let signal = power(&mut wanted.iter().map(|&value| f64::from(value)));
    let noise = power(&mut wanted.iter().zip(found).map(|(&a, &b)| f64::from(a) - f64::from(b)));
    10.0 * (signal / noise).log10()
}

const NETS: [&str; 6] = [
    "Input(17x19x3) >> Conv(3x3, 20, stride=2, padding=same) >> Relu >> MaxPool(3x3, stride=2) >> Conv(1x1, 33) >> Relu6 >> Conv(3x3, 16, dilation=2, padding=same) >> GlobalPool(avg) >> Dense(10)",
    "Input(12x12x16) >> Conv(1x1, 16) >> (Conv(3x3, 16, padding=same) >> Relu >> Conv(3x3, 16, padding=same) | Identity) >> Add >> Relu >> AvgPool(2x2) >> Flatten >> Relu(30) >> Dense(5)",
    "Input(14x14x8) >> Conv(1x1, 24) >> Relu6 >> DepthwiseConv(3x3, padding=same) >> Relu6 >> Conv(1x1, 8) >> Conv(1x1, 70) >> DepthwiseConv(5x5, stride=2) >> GlobalPool(avg)",
    "Input(10x10x4) >> Conv(1x1, 8) >> Relu >> (Conv(1x1, 8) >> Relu | Conv(3x3, 12, padding=same) >> Relu | MaxPool(3x3, stride=1, padding=same)) >> Concatenate >> Conv(1x1, 9) >> Tanh",
    "Input(9x9x8) >> Conv(3x3, 16, groups=2, padding=same) >> Swish >> Conv(1x1, 8) >> Relu >> (Identity | GlobalPool(avg) >> Sigmoid(8)) >> Multiply >> Conv(3x3, 6)",
    "Input(300) >> Relu(200) >> Relu(70) >> Dense(12)",
];

#[test]
fn int8_nets_are_close_to_f32() {
    for net in NETS {
        let (wide, narrow, samples) = both(net);
        let (layers, all) = narrow.compiled.plan.int8_layers();
        assert!(layers > 0 && layers <= all, "{net}: {layers} of {all}");
        let [wide, narrow] = [wide, narrow].map(|build| Arc::new(build.in_memory().expect("weights")));
        let ratio = decibels(&run(&wide, 2, &samples), &run(&narrow, 2, &samples));
        assert!(ratio > 20.0, "{net}: {ratio} dB");
    }
}

#[test]
fn bytes_do_not_depend_on_threads_or_batch() {
    for net in NETS {
        let (_, narrow, samples) = both(net);
        let artifact = Arc::new(narrow.in_memory().expect("weights"));
        let first = run(&artifact, 1, &samples);
        for threads in [2, 3] {
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&run(&artifact, threads, &samples)), bits(&first), "{net} on {threads} threads");
            let single: Vec<f32> =
                samples.iter().flat_map(|one| run(&artifact, threads, std::slice::from_ref(one))).collect();
            assert_eq!(bits(&single), bits(&first), "{net} one by one");
        }
    }
}

#[test]
fn tensors_between_layers_of_bytes_are_bytes() {
    let (_, narrow, _) = both(NETS[3]);
    let plan = &narrow.compiled.plan;
    let bytes = plan.steps.iter().filter(|step| step.output.format == Format::U8).count();
    // The input's conversion, the first convolution, the two of the branches and the pool.
    assert!(bytes >= 5, "{plan}");
    // The branches write into their concatenation.
    assert!(!plan.steps.iter().any(|step| matches!(step.kernel, Kernel::Copy(_))), "{plan}");
    let wide = build(NETS[3], &options(None)).compiled.plan.image_floats();
    assert!(plan.image_floats() < wide, "{} floats of {wide}", plan.image_floats());
}

#[test]
fn an_artifact_of_bytes_is_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, narrow, samples) = both(NETS[0]);
    let path = folder.path().join("net.netb");
    narrow.write(&path).expect("it can be written");
    let artifact = Arc::new(Artifact::open(&path).expect("it can be read"));
    assert_eq!(run(&artifact, 2, &samples), run(&Arc::new(narrow.in_memory().expect("weights")), 2, &samples));
    let again = folder.path().join("again.netb");
    both(NETS[0]).1.write(&again).expect("it can be written");
    assert_eq!(std::fs::read(path).expect("a file"), std::fs::read(again).expect("a file"));
}

#[test]
fn a_build_without_samples_is_refused() {
    let spec = load(NETS[0], &from_disk).expect("a net");
    let errors = compile::build(&spec, &options(Some(CalibrationSource::Nothing))).expect_err("no samples");
    assert!(errors.iter().any(|error| error.code == Code::Calibration), "{errors:?}");
}

#[test]
fn samples_for_another_precision_are_refused() {
    let spec = load(NETS[0], &from_disk).expect("a net");
    let folder = CalibrationSource::Folder("photos".into());
    let options = BuildOptions { precision: Precision::Bf16, ..options(Some(folder)) };
    let errors = compile::build(&spec, &options).expect_err("samples without use");
    assert!(errors.iter().any(|error| error.code == Code::Calibration), "{errors:?}");
}

/// Real weights and photos.
#[test]
fn squeezenet_keeps_its_classes_in_a_quarter_of_the_size() {
    let specs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("specs");
    let spec = specs.join("squeezenet1_1.net").display().to_string();
    let source = CalibrationSource::Folder(specs.join("samples"));
    let narrow = build(&spec, &options(Some(source)));
    let wide = build(&spec, &options(None));
    let (report, _) = narrow.int8.as_ref().expect("a report");
    assert_eq!(report.kept().count(), 0, "{report}");
    let agreement = report.agreement.expect("it gives classes");
    assert!(agreement.same * 10 >= agreement.samples * 8, "{agreement:?}");
    let [small, large] = [&narrow, &wide].map(|build| build.compiled.plan.constant_floats());
    assert!(small * 100 <= large * 28, "{small} of {large}");
    let comparison = verify(&narrow, 1, 2).expect("it runs");
    assert!(comparison.int8 && comparison.check(Precision::Int8).is_ok(), "{comparison:?}");
}
