//! Binding by name; all mismatches are reported at once.

use ndarray::{Array2, Array4};
use ndarray_npy::NpzReader;
use netc::compile::{Build, BuildOptions, build};
use netc::diagnostics::{Code, Diagnostics, render};
use netc::elaborate::project::source_files::from_disk;
use netc::elaborate::{Spec, load_text};
use netc::runtime::Session;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const NEUPY: &str = "vgg16_tiny/vgg16_neupy.hdf5";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The net of the fixtures; `weights` replaces its own item.
fn spec(changes: &[(&str, &str)], weights: Option<&str>) -> Spec {
    let mut text = fs::read_to_string(data("vgg16_tiny.net")).expect("the spec");
    if let Some(weights) = weights {
        let begin = text.find("weights vgg16_tiny").expect("a weights item");
        text.replace_range(begin.., weights);
    }
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    load_text(&data("vgg16_tiny.net"), &text, &from_disk)
}

fn built(spec: &Spec, options: &BuildOptions) -> Build {
    match build(spec, options) {
        Ok((build, _)) => build,
        Err(errors) => panic!("{}", render::text(&errors, &spec.sources, false)),
    }
}

fn refused(spec: &Spec, options: &BuildOptions) -> (Diagnostics, String) {
    let errors = build(spec, options).expect_err("a refusal");
    let text = render::text(&errors, &spec.sources, false);
    (errors, text)
}

fn codes(errors: &Diagnostics) -> Vec<Code> {
    errors.iter().map(|error| error.code).collect()
}

/// The probabilities of a build for the reference images.
fn probabilities(build: &Build) -> Array2<f32> {
    let mut npz = NpzReader::new(File::open(data("vgg16_tiny/vgg16_ref.npz")).expect("the reference")).expect("an npz");
    let x: Array4<f32> = npz.by_name("x.npy").expect("the inputs");
    let mut y = Array2::zeros((x.shape()[0], 10));
    let artifact = Arc::new(build.in_memory().expect("an artifact"));
    let out = y.as_slice_mut().expect("rows that follow each other");
    Session::new(artifact, 2).run(x.shape()[0], &[x.as_slice().expect("row-major")], &mut [out]).expect("a run");
    y
}

#[test]
fn parts_of_a_net_bind_by_its_names() {
    let cases = [
        ("vgg16_tiny[..dropout-2] >> Relu(3) as head", 30, 2, vec!["head"]),
        ("frozen(vgg16_tiny[..=max-pooling-2]) >> Flatten >> Softmax(2) as head", 8, 24, vec!["head"]),
        ("(vgg16_tiny[..=relu-1]) as left >> GlobalPool(avg)", 2, 30, vec![]),
        ("Input(1x1x32) >> vgg16_tiny[reshape-1..=relu-15]", 4, 28, vec![]),
    ];
    for (net, bound, unused, untrained) in cases {
        let text = fs::read_to_string(data("vgg16_tiny.net")).expect("the spec");
        let spec = load_text(&data("part.net"), &format!("{text}\nnet part = {net}\n"), &from_disk);
        let build = built(&spec, &BuildOptions { allow_untrained: true, ..BuildOptions::default() });
        let report = &build.bindings.report;
        assert_eq!((report.files[0].tensors, report.files[0].unused), (bound, unused), "{net}");
        assert_eq!(report.untrained_layers, untrained, "{net}");
    }
}

/// A file or a net that does not fit.
struct Case {
    what: &'static str,
    /// Changes to the text of the spec.
    changes: &'static [(&'static str, &'static str)],
    /// The weights item, if it is replaced.
    weights: Option<&'static str>,
    code: Code,
    /// The expected parts of the output, in order.
    expected: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        what: "a file that is not there",
        changes: &[("vgg16_neupy.hdf5", "vgg16_neupi.hdf5")],
        weights: None,
        code: Code::WeightsMissing,
        expected: &["vgg16_neupi.hdf5", "did you mean `vgg16_neupy.hdf5`?", "--weights vgg16_tiny=path"],
    },
    Case {
        what: "a folder",
        changes: &[],
        weights: Some("weights vgg16_tiny = \"vgg16_tiny\""),
        code: Code::WeightsUnreadable,
        expected: &["vgg16_tiny"],
    },
    Case {
        what: "a text file",
        changes: &[],
        weights: Some("weights vgg16_tiny = \"vgg16_tiny.net\""),
        code: Code::WeightsUnreadable,
        expected: &["vgg16_tiny.net is not a weights file", "text"],
    },
    Case {
        what: "a photo",
        changes: &[],
        weights: Some("weights vgg16_tiny = \"photos/coffee.png\""),
        code: Code::WeightsUnreadable,
        expected: &["coffee.png is not a weights file"],
    },
    Case {
        what: "another layout",
        changes: &[],
        weights: Some("weights vgg16_tiny = \"keras_models/full.h5\" { layout = neupy }"),
        code: Code::WeightsLayout,
        expected: &["does not have the layout neupy", "keras"],
    },
    Case {
        what: "another digest",
        changes: &[],
        weights: Some(
            "weights vgg16_tiny = \"vgg16_tiny/vgg16_neupy.hdf5\" {\n  sha256 = \"0011223344556677889900112233445566778899001122334455667788990011\"\n}",
        ),
        code: Code::WeightsDigest,
        expected: &["is not the pinned file", "its digest is"],
    },
    Case {
        what: "another width",
        changes: &[("Dense(10) as dense_3", "Dense(12) as dense_3")],
        weights: None,
        code: Code::WeightsMismatch,
        expected: &["2 of 32", "dense_3/weight: the net needs [256, 12], the file has [256, 10]", "dense_3/bias"],
    },
    Case {
        what: "a layer that the file does not have",
        changes: &[("as dense_2", "as dense_two")],
        weights: None,
        code: Code::WeightsMismatch,
        expected: &["2 of 32", "dense_two/weight [256, 256]: not in the file", "dense_two/bias [256]: not in the file"],
    },
    Case {
        what: "a bias in the file that the net does not use",
        changes: &[("Conv(3x3, 4, padding=same)", "Conv(3x3, 4, padding=same, bias=false)")],
        weights: None,
        code: Code::WeightsMismatch,
        expected: &["conv1_1/bias", "has no such parameter", "conv1_2/bias"],
    },
    Case {
        what: "many errors at once",
        changes: &[
            ("Conv(3x3, 8, padding=same) as \"conv2_{i}\"", "Conv(5x5, 8, padding=same) as \"conv2_{i}\""),
            ("as dense_1", "as dense_one"),
            ("Dense(10)", "Dense(11)"),
        ],
        weights: None,
        code: Code::WeightsMismatch,
        expected: &[
            "6 of 32",
            "conv2_1/weight: the net needs [5, 5, 4, 8], the file has [3, 3, 4, 8]",
            "conv2_2/weight",
            "dense_one/weight",
            "dense_one/bias",
            "dense_3/weight",
            "dense_3/bias",
        ],
    },
];

#[test]
fn what_does_not_fit_is_refused() {
    for case in CASES {
        let (errors, text) = refused(&spec(case.changes, case.weights), &BuildOptions::default());
        assert_eq!(codes(&errors), [case.code], "{}:\n{text}", case.what);
        let mut rest = text.as_str();
        for expected in case.expected {
            let at = rest.find(expected).unwrap_or_else(|| panic!("{}: `{expected}` is missing in\n{text}", case.what));
            rest = &rest[at + expected.len()..];
        }
    }
}

#[test]
fn a_pinned_digest_is_that_of_the_file() {
    let digest = netc::weights::bind::sha256(&data(NEUPY)).expect("a digest");
    for digest in [digest.clone(), digest.to_uppercase()] {
        let weights = format!("weights vgg16_tiny = \"{NEUPY}\" {{ layout = neupy, sha256 = \"{digest}\" }}");
        built(&spec(&[], Some(&weights)), &BuildOptions::default());
    }
}

#[test]
fn missing_parameters_may_be_initialised() {
    let weights = format!("weights vgg16_tiny = \"{NEUPY}\" {{ missing = initialize }}");
    let spec = spec(&[("as dense_2", "as dense_two")], Some(&weights));
    let (errors, text) = refused(&spec, &BuildOptions::default());
    assert_eq!(codes(&errors), [Code::Untrained], "{text}");
    assert!(text.contains("dense_two: weight [256, 256], bias [256]"), "{text}");
    let build = built(&spec, &BuildOptions { allow_untrained: true, ..BuildOptions::default() });
    let report = &build.bindings.report;
    assert_eq!((report.files[0].tensors, report.untrained), (30, 2));
    assert_eq!(report.untrained_layers, ["dense_two"]);
    assert!(report.files[0].notes.iter().any(|note| note.contains("2 missing")), "{:?}", report.files[0].notes);
    // A parameter of the wrong shape does not count as missing.
    let wrong = self::spec(&[("Dense(10)", "Dense(12)")], Some(&weights));
    assert_eq!(codes(&refused(&wrong, &BuildOptions::default()).0), [Code::WeightsMismatch]);
}

#[test]
fn untrained_parameters_are_refused_by_name() {
    let bare = || spec(&[], Some(""));
    let (errors, text) = refused(&bare(), &BuildOptions::default());
    assert_eq!(codes(&errors), [Code::Untrained], "{text}");
    for expected in [
        "32 weight tensors",
        "conv1_1: weight [3, 3, 3, 4], bias [4]",
        "dense_3: weight [256, 10]",
        "--allow-untrained",
    ] {
        assert!(text.contains(expected), "`{expected}` is missing in\n{text}");
    }
    let allowed = BuildOptions { allow_untrained: true, ..BuildOptions::default() };
    let (one, two) = (built(&bare(), &allowed), built(&bare(), &allowed));
    assert_eq!(probabilities(&one), probabilities(&two), "the seed is fixed");
}

#[test]
fn nothing_half_written_remains() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("net.netb");
    let program = std::process::Command::new(env!("CARGO_BIN_EXE_netc"))
        .args([
            "build".as_ref(),
            data("vgg16_tiny.net").as_os_str(),
            "-o".as_ref(),
            out.as_os_str(),
            "--weights".as_ref(),
        ])
        .arg(format!("vgg16_tiny={}", data("vgg16_tiny.net").display()))
        .output()
        .expect("the program runs");
    let left = fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!((program.status.code(), left), (Some(1), 0));
}

/// Any other version of HDF5 would need CMake on the machine, which most do not have.
#[cfg(feature = "bundled")]
#[test]
fn bundled_hdf5_is_the_one_that_builds_without_cmake() {
    let (major, minor, release) = hdf5::library_version();
    let version = format!("#define H5_VERSION \"{major}.{minor}.{release}\"");
    let answers = include_str!("../.cargo/hdf5/H5pubconf.h");
    assert!(answers.contains(&version), "{version}");
    assert!(hdf5::filters::deflate_available());
}
