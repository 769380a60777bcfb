//! Artifacts: the same bytes for the same inputs, intact or refused, and the same predictions however they are run.

mod changed;
mod forged;

use netc::artifact::{Artifact, ArtifactError, VERSION};
use netc::compile::int8::CalibrationSource;
use netc::compile::{Build, BuildOptions, Precision, build, graph};
use netc::diagnostics::Code;
use netc::elaborate::project::source_files::from_disk;
use netc::elaborate::{load, load_text};
use netc::graph::Initializer;
use netc::runtime::Session;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HEADER: usize = 64;
const PAGE: usize = 1 << 14;
/// Small nets with every kind of constant: packed, transformed, shared, folded.
const NETS: [&str; 4] = [
    "Input(6x6x3, image=Unit) >> Conv(3x3, 4, padding=same) >> BatchNorm >> Relu >> MaxPool(2x2) >> Flatten >> Softmax(5)",
    "Input(9x9x16) >> (Conv(3x3, 16, padding=same) >> Relu | Conv(1x1, 16)) >> Add >> (GlobalPool(avg) | GlobalPool(max)) >> Concatenate >> Relu(7) >> Dense(3)",
    "Input(8x8x6) >> (DepthwiseConv(3x3) | Conv(3x3, 6, groups=2) | Slice(0, 3) >> Deconvolution(2x2, 6, stride=2) >> MaxPool(11x11, stride=1)) >> Concatenate >> PRelu",
    "Input(6x5) >> (LSTM(4) | GRU(4)) >> (Add >> Sigmoid(2) | Concatenate)",
];

fn compiled(expression: &str) -> Build {
    let (expression, int8) = match expression.strip_prefix("int8 ") {
        Some(expression) => (expression, true),
        None => (expression, false),
    };
    let spec = load(expression, &from_disk).expect("a spec");
    let mut options = BuildOptions { allow_untrained: true, ..BuildOptions::default() };
    if int8 {
        let (graph, _) = graph(&spec, None).expect("a net");
        let normal = Initializer::Normal { mean: 0.0, std: 1.0 };
        let len = |id| graph.node(id).output.len().expect("a size");
        let sample = graph.inputs().into_iter().map(|id| normal.sample(&[len(id)], "sample", 1)).collect();
        options.precision = Precision::Int8;
        options.calibration = CalibrationSource::Values(vec![sample]);
    }
    build(&spec, &options).expect("a build").0
}

fn inputs(artifact: &Artifact, batch: usize) -> Vec<Vec<f32>> {
    let normal = Initializer::Normal { mean: 0.0, std: 1.0 };
    let ports = &artifact.manifest.plan.inputs;
    ports.iter().map(|port| normal.sample(&[batch * port.len()], &port.name, 1)).collect()
}

fn run(session: &mut Session, batch: usize, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>, String> {
    let lengths: Vec<usize> = session.artifact().manifest.plan.outputs.iter().map(|port| port.len() * batch).collect();
    let mut outputs: Vec<Vec<f32>> = lengths.into_iter().map(|len| vec![f32::NAN; len]).collect();
    let mut room: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    session.run(batch, inputs, &mut room).map_err(|error| error.to_string())?;
    Ok(outputs)
}

/// Opens an artifact and runs it once.
fn outcome(path: &Path) -> Result<Vec<Vec<f32>>, String> {
    let artifact = Arc::new(Artifact::open(path).map_err(|error| error.to_string())?);
    let given = inputs(&artifact, 2);
    let given: Vec<&[f32]> = given.iter().map(Vec::as_slice).collect();
    run(&mut Session::new(artifact.clone(), 1), 2, &given)
}

/// An artifact in a folder of its own, with the end of its manifest and the start of its constants.
struct Written {
    folder: tempfile::TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    manifest_end: usize,
    constants: usize,
}

fn written(expression: &str) -> Written {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("net.netb");
    let size = compiled(expression).write(&path).expect("an artifact");
    let bytes = fs::read(&path).expect("its bytes");
    assert_eq!(size, bytes.len() as u64);
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) as usize;
    let (manifest_end, constants) = (HEADER + number(16), number(24));
    assert_eq!(constants % PAGE, 0, "constants begin at a page");
    Written { folder, path, bytes, manifest_end, constants }
}

impl Written {
    /// The result of opening it with a changed byte.
    fn with_byte(&self, at: usize, flip: u8) -> Result<Vec<Vec<f32>>, String> {
        let mut file = File::options().write(true).open(&self.path).expect("the artifact");
        let mut put = |byte: u8| {
            file.seek(SeekFrom::Start(at as u64)).and_then(|_| file.write_all(&[byte])).expect("a changed byte");
        };
        put(self.bytes[at] ^ flip);
        let outcome = outcome(&self.path);
        put(self.bytes[at]);
        outcome
    }
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    for net in NETS {
        let (one, two) = (written(net), written(net));
        assert!(one.bytes == two.bytes, "{net}");
        let names = fs::read_dir(one.folder.path()).expect("the folder").count();
        assert_eq!(names, 1, "nothing but the artifact is left");
    }
    // Nor does it depend on the names of folders and of the artifact.
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut all = Vec::new();
    for name in ["a", "other name"] {
        let folder = tempfile::tempdir().expect("a folder");
        for file in ["vgg16_tiny.net", "vgg16_tiny/vgg16_neupy.hdf5"] {
            let to = folder.path().join(file);
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            fs::copy(data.join(file), to).expect("a copy");
        }
        let path = folder.path().join("vgg16_tiny.net");
        let spec = load_text(&path, &fs::read_to_string(&path).expect("the spec"), &from_disk);
        let (build, _) = build(&spec, &BuildOptions::default()).expect("a build");
        build.write(&folder.path().join(name)).expect("an artifact");
        all.push(fs::read(folder.path().join(name)).expect("its bytes"));
    }
    assert!(all[0] == all[1], "the artifact knows its folder");
}

#[test]
fn what_is_written_is_read() {
    for net in NETS {
        let (build, file) = (compiled(net), written(net));
        let (memory, opened) =
            (build.in_memory().expect("an artifact"), Artifact::open(&file.path).expect("an artifact"));
        assert_eq!(opened.manifest.plan, memory.manifest.plan, "{net}");
        assert_eq!(opened.manifest.preprocessing, memory.manifest.preprocessing, "{net}");
        assert_eq!((&opened.manifest.source, &opened.manifest.net), (&net.to_string(), &build.graph.name));
        assert_eq!(opened.manifest.summary, build.graph.summary());
        assert!(opened.constants() == memory.constants(), "{net}");
        opened.check(0..opened.constants().len()).expect("whole constants");
    }
}

#[test]
fn every_changed_byte_of_the_front_is_noticed() {
    for net in [NETS[0], NETS[3]] {
        let file = written(net);
        for at in 0..file.manifest_end {
            for flip in [0xff, 1 << (at % 8)] {
                let outcome = file.with_byte(at, flip);
                assert!(outcome.is_err(), "byte {at} of {} by {flip:#x}: {net}", file.manifest_end);
            }
        }
        assert!(outcome(&file.path).is_ok(), "{net}");
    }
}

#[test]
fn changed_constants_are_noticed_and_changed_paddings_do_nothing() {
    for net in NETS {
        let file = written(net);
        let whole = outcome(&file.path).expect("a run");
        let length = file.bytes.len() - file.constants;
        for sample in 0..100 {
            let at = file.constants + (sample * 7919 + sample * sample) % length;
            let outcome = file.with_byte(at, 1 << (sample % 8));
            assert!(outcome.is_err_and(|error| error.contains("damaged")), "byte {at}: {net}");
            let at = file.manifest_end + (sample * 7919) % (file.constants - file.manifest_end);
            assert_eq!(file.with_byte(at, 0xff).as_ref(), Ok(&whole), "byte {at}: {net}");
        }
    }
}

#[test]
fn files_of_another_length_are_refused() {
    let file = written(NETS[0]);
    let lengths = (0..HEADER + 40).chain((0..60).map(|part| part * file.bytes.len() / 60)).chain([
        file.manifest_end - 1,
        file.manifest_end,
        file.constants,
        file.bytes.len() - 4,
        file.bytes.len() - 1,
    ]);
    for length in lengths {
        fs::write(&file.path, &file.bytes[..length]).expect("a shorter file");
        match Artifact::open(&file.path) {
            Err(ArtifactError::NotAnArtifact) => assert!(length < 8, "{length} bytes"),
            Err(ArtifactError::Damaged(_)) => assert!(length >= 8, "{length} bytes"),
            other => panic!("{length} bytes: {other:?}"),
        }
    }
    for more in [1, 4, PAGE] {
        let longer: Vec<u8> = file.bytes.iter().copied().chain(vec![0; more]).collect();
        fs::write(&file.path, longer).expect("a longer file");
        assert!(matches!(Artifact::open(&file.path), Err(ArtifactError::Damaged(_))), "{more} bytes more");
    }
}

#[test]
fn other_files_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = written(NETS[0]);
    let mut other = file.bytes.clone();
    other[8..12].copy_from_slice(&(VERSION + 1).to_le_bytes());
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/samples");
    let photo = fs::read(samples.join("chelsea.png")).expect("a photo");
    let version = format!("was written in version {} of the format", VERSION + 1);
    for (what, bytes, refused) in [
        ("another version", other, version.as_str()),
        ("nothing", Vec::new(), "is not an artifact"),
        ("text", b"net small = Input(4) >> Softmax(2)\n".repeat(9), "is not an artifact"),
        ("a photo", photo, "is not an artifact"),
        ("zeros", vec![0; 1 << 16], "is not an artifact"),
    ] {
        let path = folder.path().join("file.netb");
        fs::write(&path, bytes).expect("a file");
        let error = Artifact::open(&path).expect_err(what).to_string();
        assert!(error.contains(refused), "{what}: {error}");
    }
    for path in [folder.path().to_path_buf(), folder.path().join("none.netb")] {
        let error = Artifact::open(&path).expect_err("no file");
        assert!(matches!(error, ArtifactError::Unreadable(_) | ArtifactError::NotAnArtifact), "{error}");
    }
}

#[test]
fn threads_and_batches_do_not_change_predictions() {
    for net in NETS {
        let artifact = Arc::new(compiled(net).in_memory().expect("an artifact"));
        let given = inputs(&artifact, 5);
        let slices: Vec<&[f32]> = given.iter().map(Vec::as_slice).collect();
        let runs: Vec<Vec<Vec<f32>>> = [1, 2, 3]
            .iter()
            .map(|&threads| run(&mut Session::new(artifact.clone(), threads), 5, &slices).expect("a run"))
            .collect();
        let bits = |outputs: &[Vec<f32>]| -> Vec<u32> { outputs.iter().flatten().map(|x| x.to_bits()).collect() };
        assert!(bits(&runs[0]) == bits(&runs[1]) && bits(&runs[0]) == bits(&runs[2]), "threads matter: {net}");
        let mut session = Session::new(artifact.clone(), 2);
        for round in 0..2 {
            for image in 0..5 {
                let one: Vec<&[f32]> =
                    slices.iter().map(|x| &x[image * x.len() / 5..(image + 1) * x.len() / 5]).collect();
                let outputs = run(&mut session, 1, &one).expect("a run");
                for (all, one) in runs[0].iter().zip(&outputs) {
                    let all = &all[image * one.len()..(image + 1) * one.len()];
                    let near = all.iter().zip(one).all(|(a, b)| (a - b).abs() <= 1e-6 * a.abs().max(1.0));
                    assert!(near, "image {image} of round {round} differs in a batch: {net}");
                }
            }
            // A larger batch in between, so that memory grows and is used again.
            let again = run(&mut session, 5, &slices).expect("a run");
            assert!(bits(&runs[0]) == bits(&again), "round {round}: {net}");
        }
    }
}

#[test]
fn a_failure_leaves_nothing() {
    let build = compiled(NETS[0]);
    let folder = tempfile::tempdir().expect("a folder");
    let blocked = folder.path().join("file");
    File::create(&blocked).expect("a file");
    fs::create_dir(folder.path().join("taken.netb")).expect("a folder");
    for (path, reason) in [
        ("file/net.netb", "not a folder"),
        ("none/net.netb", "its folder does not exist"),
        ("taken.netb", "cannot be written"),
    ] {
        let errors = build.write(&folder.path().join(path)).expect_err(path);
        let [error] = &errors.iter().collect::<Vec<_>>()[..] else { panic!("{errors:?}") };
        assert!(error.code == Code::Output && error.message.contains(reason), "{path}: {}", error.message);
        assert!(!error.message.contains(".netc-"), "{path}: {}", error.message);
    }
    let mut names: Vec<_> =
        fs::read_dir(folder.path()).expect("the folder").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["file", "taken.netb"]);
    let mut rest = String::new();
    File::open(blocked).and_then(|mut file| file.read_to_string(&mut rest)).expect("the file");
    assert_eq!(rest, "");
}

#[test]
fn a_long_name_does_not_widen_every_line_of_the_plan() {
    let name = "n".repeat(1900);
    let plan = |name: &str| {
        let net = format!("Input(4) >> Dense(4) as {name} >> repeat(50) {{ Dense(4) >> Relu }} >> Dense(2)");
        compiled(&net).compiled.plan.to_string()
    };
    assert!(plan(&name).len() < plan("n").len() + 3 * name.len() + 200 * 64, "{}", plan(&name).len());
}
