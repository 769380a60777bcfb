//! Predictions as a table, JSON or CSV.

use super::messages;
use crate::artifact::Manifest;
use crate::ops::output_kind::OutputKind;
use crate::runtime::non_finite::Origin;
use crate::source::shown;
use crate::view::predictions::{OutputPrediction, ScoredClass, image_json, output_prediction};
use std::collections::BTreeMap;
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// The format of predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table
    Text,
    /// One JSON document
    Json,
    /// CSV, a row for each photo and class
    Csv,
}

/// The outputs of a net for images.
pub struct Predictions {
    /// The path of each photo, or the array and index of each row.
    pub names: Vec<String>,
    /// The number of images so far.
    pub images: usize,
    /// For each output of the net its values for all images, `(images, output)`.
    pub outputs: Vec<Vec<f32>>,
    /// The images with non-finite outputs, and the layer or input that they come from; they are not printed.
    pub non_finite: BTreeMap<usize, Option<Origin>>,
}

impl Predictions {
    /// No images yet, for a net with this number of outputs.
    pub fn new(outputs: usize) -> Self {
        Self { names: Vec::new(), images: 0, outputs: vec![Vec::new(); outputs], non_finite: BTreeMap::new() }
    }

    /// The values of one output for one image.
    fn row(&self, manifest: &Manifest, output: usize, image: usize) -> &[f32] {
        let len = manifest.plan.outputs[output].len();
        self.outputs[output].get(image * len..(image + 1) * len).unwrap_or(&[])
    }
}

/// The predictions for one image, or for one row of arrays.
struct ImagePrediction<'a> {
    input: &'a str,
    outputs: Vec<OutputPrediction>,
}

/// Prints the `top` classes or values of each output for each image, except for images with non-finite outputs.
pub fn print(manifest: &Manifest, predictions: &Predictions, format: Format, top: usize) {
    let images = predictions.names.iter().enumerate().filter(|(image, _)| !predictions.non_finite.contains_key(image));
    let images: Vec<ImagePrediction> = images
        .map(|(image, name)| {
            let outputs = (0..manifest.plan.outputs.len())
                .map(|output| output_prediction(manifest, output, predictions.row(manifest, output, image), top));
            ImagePrediction { input: name, outputs: outputs.collect() }
        })
        .collect();
    messages::print(match format {
        Format::Json => format!("{:#}\n", json(&images)),
        Format::Csv => csv(&images, manifest),
        Format::Text => text(&images),
    });
}

/// One document with all images.
fn json(predictions: &[ImagePrediction]) -> serde_json::Value {
    predictions.iter().map(|image| image_json(image.input, &image.outputs)).collect()
}

/// What the score of a class or value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Score {
    Probability,
    Value,
    Pixels,
}

/// The scores in the order of their columns, with the names of these.
const SCORES: [(Score, &str); 3] =
    [(Score::Probability, "probability"), (Score::Value, "value"), (Score::Pixels, "pixels")];

fn score(class: &ScoredClass) -> Score {
    match class {
        ScoredClass { pixels: Some(_), .. } => Score::Pixels,
        ScoredClass { value: Some(_), .. } => Score::Value,
        _ => Score::Probability,
    }
}

/// A row for each image and class, with the output's name if there are several outputs, and a column for each kind of score.
fn csv(predictions: &[ImagePrediction], manifest: &Manifest) -> String {
    let has_outputs = manifest.plan.outputs.len() > 1;
    let classes = predictions.iter().flat_map(|image| &image.outputs).flat_map(|output| &output.top);
    let mut found: Vec<Score> = classes.map(score).collect();
    if found.is_empty() {
        let ending = |output| manifest.ending(output) == OutputKind::Numbers;
        let outputs = (0..manifest.plan.outputs.len()).map(ending);
        found = outputs.map(|is_number| if is_number { Score::Value } else { Score::Probability }).collect();
    }
    let scores = || SCORES.iter().filter(|(score, _)| found.contains(score));
    let mut writer = csv::Writer::from_writer(Vec::new());
    let output_column = |name| Some(name).filter(|_| has_outputs);
    let header = std::iter::once("input").chain(output_column("output")).chain(["rank", "index", "label"]);
    // Writing to memory cannot fail, and all rows have the same length.
    let _ = writer.write_record(header.chain(scores().map(|(_, name)| *name)));
    for ImagePrediction { input, outputs } in predictions {
        for output in outputs {
            for (rank, class) in output.top.iter().enumerate() {
                let ScoredClass { label, index, probability, value, pixels } = class;
                let number = probability.or(*pixels).or(*value).unwrap_or(0.0).to_string();
                let own = score(class);
                let columns = scores().map(|(score, _)| if *score == own { number.as_str() } else { "" });
                let (rank, index) = ((rank + 1).to_string(), index.to_string());
                let names = std::iter::once(*input).chain(output_column(output.name.as_str()));
                let _ = writer.write_record(names.chain([rank.as_str(), &index, label]).chain(columns));
            }
        }
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

fn text(predictions: &[ImagePrediction]) -> String {
    let classes = predictions.iter().flat_map(|image| &image.outputs).flat_map(|output| &output.top);
    let width = classes.map(|class| shown(&class.label).width()).max().unwrap_or(0);
    let mut text = String::new();
    for ImagePrediction { input, outputs } in predictions {
        let _ = writeln!(text, "{}", shown(input));
        let indent = if outputs.len() > 1 { "    " } else { "  " };
        for output in outputs {
            if outputs.len() > 1 {
                let _ = writeln!(text, "  {}", output.name);
            }
            for class in &output.top {
                let label = shown(&class.label);
                let label = format!("{label}{}", " ".repeat(width - label.width()));
                let _ = match (class.probability, class.value) {
                    _ if class.pixels.is_some() => {
                        let share = class.pixels.unwrap_or(0.0);
                        writeln!(text, "{indent}{label}  {:6.2} % of the pixels", share * 100.0)
                    }
                    (Some(probability), _) => writeln!(text, "{indent}{label}  {:6.2} %", probability * 100.0),
                    (None, value) => writeln!(text, "{indent}{label}  {:?}", value.unwrap_or(0.0)),
                };
            }
            if output.more > 0 {
                let _ = writeln!(text, "{indent}and {} more: `-o FILE` writes them all", output.more);
            }
        }
    }
    text
}
