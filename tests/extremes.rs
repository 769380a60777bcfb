//! Every layer with extreme arguments, with inputs of every rank and without one: each is accepted or refused with a diagnostic.
//! Overflowing arithmetic ends a test build.

use netc::check::check;
use netc::data::SeededRng;
use netc::elaborate::load_text;
use netc::elaborate::project::source_files::from_disk;
use netc::ops::LAYERS;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The values of an argument.
const VALUES: [&str; 24] = [
    "0",
    "1",
    "2",
    "3",
    "7",
    "-1",
    "-9",
    "255",
    "65536",
    "16777216",
    "1073741823",
    "999999999999999999",
    "3x5",
    "1x1",
    "16777216x16777216",
    "[0, 1]",
    "[1, 2, 3, 4]",
    "[16777216, 16777216, 16777216, 16777216]",
    "[0, 3, 2, 1]",
    "same",
    "true",
    "0.5",
    "-1e308",
    "\"x\"",
];

/// The inputs of a layer: images, sequences, features, several of them, open sizes, large ones, and none.
const BEFORE: [&str; 14] = [
    "",
    "Flatten >> ",
    "Flatten >> Dense(10) >> ",
    "Flatten >> (Dense(3) | Dense(4)) >> ",
    "Upscale(16777216) >> Upscale(16777216) >> ",
    "ZeroPad(1073741823) >> ZeroPad(1073741823) >> ",
    "Conv(3x3, 4, padding=16777216, stride=16777216) >> Deconvolution(16777216x16777216, 1, stride=16777216) >> ",
    "Input(4) >> ",
    "Input(5x3) >> ",
    "Input(6x5x4) >> ",
    "Input(?x?x3) >> ",
    "Input(2x3x4x5) >> ",
    "(Input(4) | Input(6x5x4)) >> ",
    "Input(90000x90000x1) >> ",
];

#[test]
fn every_layer_is_fitted_or_refused() {
    let mut rng = SeededRng::new([0; 4]);
    let mut random = |below: usize| rng.below(below);
    let mut panics = Vec::new();
    for layer in LAYERS {
        for before in BEFORE {
            for round in 0..12 {
                let count = if round == 0 { 0 } else { 1 + random(layer.arguments.len().max(1) + 1) };
                let arguments: Vec<String> = (0..count)
                    .map(|place| {
                        let value = VALUES[random(VALUES.len())];
                        match layer.arguments.get(place) {
                            Some(argument) if random(2) == 0 => format!("{}={value}", argument.name),
                            _ => value.to_string(),
                        }
                    })
                    .collect();
                let text = format!("net a = {before}{}({})", layer.name, arguments.join(", "));
                let checked = catch_unwind(AssertUnwindSafe(|| {
                    let spec = load_text(Path::new("a.net"), &text, &from_disk);
                    let checked = check(&spec, None);
                    // Its costs in the tables must not overflow either.
                    checked.graphs.iter().flat_map(|graph| graph.ids().map(move |id| graph.macs(id))).max()
                }));
                if checked.is_err() {
                    panics.push(text);
                }
            }
        }
    }
    assert!(panics.is_empty(), "{} times:\n{}", panics.len(), panics.join("\n"));
}

/// The check of these fragments tries an image that is too large as an input, which proves nothing and must not panic.
#[test]
fn a_fragment_that_fits_nothing_is_answered() {
    for text in [
        "net a = Flatten >> (Dense(3) | Dense(4)) >> Add",
        "net a = Flatten >> Dense(10) >> Reshape(3x5)",
        "net a = Flatten >> Dense(10) >> Slice(0, 20)",
    ] {
        let spec = load_text(Path::new("a.net"), text, &from_disk);
        let codes: Vec<String> = check(&spec, None).diagnostics.iter().map(|error| error.code.to_string()).collect();
        assert!(codes.iter().all(|code| code.starts_with("E03")), "{text}: {codes:?}");
    }
}
