//! The plots and the HTML page of a training run.

use netc::ops::output_kind::OutputKind;
use netc::train::evaluation::metrics::{ClassificationMetrics, ClassificationReport, MetricUnit};
use netc::train::run::record::{DataCounts, Epoch, FrontRecord, Machine, RunRecord};
use netc::view::{self, MisclassifiedPhoto, ReportKind};
use std::collections::BTreeMap;
use std::path::Path;

const BIRDS: [&str; 10] = [
    "barn owl",
    "buzzard",
    "great tit",
    "heron",
    "kestrel",
    "kingfisher",
    "magpie",
    "red kite",
    "robin",
    "<wren & co>",
];

/// A synthetic run of `count` epochs.
fn record(count: u32, validated: bool) -> RunRecord {
    let epoch = |number: u32| {
        let x = f64::from(number);
        let wave = (x * 2.3).sin() * 0.02;
        let accuracy = |accuracy: f64| -> BTreeMap<String, f64> { [("accuracy".to_owned(), accuracy)].into() };
        Epoch {
            epoch: number,
            seconds: 6.5,
            loss: 2.2 * (-x / 5.0).exp() + 0.08 + wave / 2.0,
            penalty: 0.01,
            metrics: accuracy(1.0 - 0.8 * (-x / 4.0).exp() - 0.01),
            validation_loss: validated.then_some(2.2 * (-x / 5.0).exp() + 0.25 + 0.006 * x + wave),
            validation: if validated { accuracy(0.93 - 0.75 * (-x / 4.0).exp() + wave / 2.0) } else { BTreeMap::new() },
            step: 0.01,
            ..Epoch::default()
        }
    };
    RunRecord {
        net: "bird".into(),
        summary: "(?, 224, 224, 3) -> [... 39 layers ...] -> (?, 10)".into(),
        netc: "0.1.0".into(),
        recipe: [
            ("data", "images(\"photos\")"),
            ("validation", "split(0.1)"),
            ("optimizer", "Momentum(step=0.01, momentum=0.9)"),
            ("loss", "categorical_crossentropy"),
            ("epochs", "30"),
            ("stop", "no_better(validation_loss, epochs=5) & <more>"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
        set: Vec::new(),
        seed: 0,
        inputs: vec![("bird.net".into(), "5a1f".repeat(16)), ("vgg16.hdf5".into(), "c0de".repeat(16))],
        data: DataCounts { training: 1803, validation: 200, classes: 10, skipped: 3 },
        machine: Machine {
            cpu: "Example CPU @ 2.80GHz".into(),
            threads: 2,
            instructions: "avx2".into(),
            blas: Some("OpenBLAS 0.3.20, Haswell".into()),
            os: "linux".into(),
        },
        front: Some(FrontRecord { layers: 37, features: 4096, cached: 250, seconds: 812.4 }),
        epochs: (1..=count).map(epoch).collect(),
        best: (count > 0).then_some(count.div_ceil(2)),
        keep: if validated { "best by validation loss".into() } else { "last".into() },
        unit: Some(MetricUnit::Samples),
        metrics: [("accuracy".to_owned(), 0.91), ("loss".to_owned(), 0.312)].into(),
        stopped: Some("the validation loss was no better for 5 epochs".into()),
    }
}

/// Synthetic predictions of `classes` classes; most are correct.
fn evaluation(labels: Vec<String>) -> ClassificationReport {
    let classes = labels.len();
    let mut metrics = ClassificationMetrics::new(labels, classes, OutputKind::Classes);
    for truth in 0..classes {
        for sample in 0..20 {
            let predicted = match (truth * 7 + sample * 3) % 11 {
                0 => (truth + 1) % classes,
                1 if truth % 3 == 0 => (truth + 4) % classes,
                _ => truth,
            };
            let row =
                |hot: usize| (0..classes).map(|class| if class == hot { 0.9 } else { 0.01 }).collect::<Vec<f32>>();
            metrics.add(&row(predicted), &row(truth)).unwrap();
        }
    }
    metrics.report(Some(0.312)).unwrap()
}

fn misclassified() -> Vec<MisclassifiedPhoto> {
    let folder = Path::new("tests/data/photos");
    let of = |name: &str, truth: usize, predicted: usize, probability: f32| MisclassifiedPhoto {
        path: folder.join(name),
        truth: BIRDS[truth].into(),
        predicted: BIRDS[predicted].into(),
        probability,
    };
    vec![
        of("coffee.png", 0, 9, 0.998),
        of("rocket.jpg", 3, 4, 0.97),
        of("turned.jpg", 9, 1, 0.91),
        of("gray.png", 5, 6, 0.83),
        of("no such <file>.jpg", 2, 1, 0.62),
    ]
}

fn parse(text: &str) -> roxmltree::Document<'_> {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    roxmltree::Document::parse_with_options(text, options).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn curves_of_a_run_with_validation() {
    insta::assert_snapshot!(view::curves(&record(30, true)));
}

#[test]
fn curves_of_a_run_without_validation() {
    insta::assert_snapshot!(view::curves(&record(3, false)));
}

#[test]
fn curves_of_odd_runs_are_drawings_too() {
    let mut odd = record(6, true);
    odd.net = "a <net> & more".into();
    odd.epochs[2].loss = f64::NAN;
    odd.epochs[3].validation_loss = Some(f64::INFINITY);
    odd.epochs[4].metrics.insert("mae".into(), 1e9);
    let flat = RunRecord { epochs: vec![Epoch { epoch: 7, loss: 0.0, ..Epoch::default() }], ..record(0, false) };
    let mut lost = record(2, false);
    lost.epochs.iter_mut().for_each(|epoch| epoch.loss = f64::NAN);
    for (record, lines) in
        [(record(0, true), 0), (record(1, true), 2), (odd, 5), (flat, 1), (record(500, true), 4), (lost, 1)]
    {
        let text = view::curves(&record);
        let document = parse(&text);
        assert!(!text.contains("NaN") && !text.contains("inf\"") && !text.contains("inf "), "{text}");
        let drawn = document.descendants().filter(|node| node.attribute("class") == Some("curve"));
        let of_panels = drawn.filter(|node| node.attribute("d").is_some_and(|path| !path.contains('H'))).count();
        assert!(of_panels >= lines, "{of_panels} of {lines}: {text}");
        let size: f64 = document.root_element().attribute("width").unwrap().parse().unwrap();
        for node in document.descendants().filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "circle"))) {
            let x: f64 = node.attribute("cx").unwrap().parse().unwrap();
            assert!((0.0..size).contains(&x), "{x}");
        }
    }
}

#[test]
fn the_page_is_well_formed_and_complete() {
    let report = evaluation(BIRDS.map(str::to_owned).into());
    let text = view::report(ReportKind::Training, &record(30, true), Some(&report), &misclassified());
    let document = parse(&text);
    let of = |name: &str| document.descendants().filter(|node| node.tag_name().name() == name).count();
    assert_eq!((of("img"), of("figure"), of("svg"), of("h1")), (4, 5, 2, 1));
    let cells = document.descendants().filter(|node| node.attribute("class") == Some("confusion"));
    let cells = cells.flat_map(|table| table.descendants()).filter(|node| node.tag_name().name() == "td").count();
    assert_eq!(cells, 100);
    for wanted in ["&lt;wren &amp; co&gt;", "1,803 samples", "16 min 47 s", "13 min 32 s", "no such file", "5a1f5a1f"] {
        assert!(text.contains(wanted), "{wanted}");
    }
    // No resources are loaded and no scripts run.
    assert!(!text.contains("<script") && !text.contains("src=\"http") && !text.contains("url("));
}

#[test]
fn many_classes_are_listed_as_pairs() {
    let report = evaluation((0..120).map(|class| format!("class {class}")).collect());
    let text = view::report(ReportKind::Training, &record(3, false), Some(&report), &[]);
    let document = parse(&text);
    assert!(!text.contains("class=\"confusion\"") && text.contains("Most often confused"));
    let rows = document.descendants().filter(|node| node.tag_name().name() == "tr").count();
    assert!(rows > 120 + 25 + 25, "{rows}");
}

#[test]
fn an_unfinished_run_has_a_page() {
    let empty = RunRecord { stopped: None, metrics: BTreeMap::new(), front: None, ..record(0, true) };
    let text = view::report(ReportKind::Training, &empty, None, &[]);
    parse(&text);
    assert!(text.contains("This run has not ended."));
}

#[test]
fn an_evaluation_has_neither_curves_nor_a_recipe() {
    let report = evaluation(BIRDS.map(str::to_owned).into());
    let record = RunRecord { epochs: Vec::new(), front: None, ..record(0, true) };
    let text = view::report(ReportKind::Evaluation { data: "photos/<new>" }, &record, Some(&report), &[]);
    let document = parse(&text);
    assert!(document.descendants().all(|node| node.tag_name().name() != "svg"));
    assert!(text.contains("On photos/&lt;new&gt;.") && text.contains("class=\"confusion\""));
    for wanted in ["Training", "Recipe", "epoch", "computing time"] {
        assert!(!text.contains(wanted), "{wanted}");
    }
}
