//! Predictions as a table, JSON or CSV.

use super::messages;
use crate::artifact::Manifest;
use crate::ops::output_kind::OutputKind;
use crate::runtime::non_finite::Origin;
use crate::source::shown;
use serde::Serialize;
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
}

/// A class with its probability, or a number if the output has no probabilities.
#[derive(Serialize)]
struct ScoredClass {
    label: String,
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f32>,
    /// The share of the image's pixels that are predicted as this class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pixels: Option<f32>,
}

/// One output for an image.
#[derive(Serialize)]
struct OutputPrediction {
    name: String,
    top: Vec<ScoredClass>,
    /// The number of values that are not shown, for outputs without classes.
    #[serde(skip)]
    more: usize,
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
                .map(|output| output_prediction(manifest, &predictions.outputs[output], output, image, top));
            ImagePrediction { input: name, outputs: outputs.collect() }
        })
        .collect();
    messages::print(match format {
        Format::Json => format!("{:#}\n", json(&images)),
        Format::Csv => csv(&images, manifest),
        Format::Text => text(&images),
    });
}

/// The `top` classes or values of one output for one image; `values` are those of all images.
fn output_prediction(manifest: &Manifest, values: &[f32], output: usize, image: usize, top: usize) -> OutputPrediction {
    let port = &manifest.plan.outputs[output];
    let row = values.get(image * port.len()..(image + 1) * port.len()).unwrap_or(&[]);
    // Labels name the classes of the first output.
    let labels = manifest.labels.as_deref().filter(|_| output == 0);
    let is_number = manifest.ending(output) == OutputKind::Numbers;
    let class = |index: usize| ScoredClass {
        label: labels.and_then(|labels| labels.get(index)).cloned().unwrap_or_else(|| index.to_string()),
        index,
        probability: None,
        value: None,
        pixels: None,
    };
    if let ([_, .., width], true) = (&port.sizes[..], is_classifier(manifest, output, labels)) {
        let shares = pixel_shares(manifest, output, row, *width).into_iter().take(top);
        let top = shares.map(|(index, share)| ScoredClass { pixels: Some(share), ..class(index) }).collect();
        return OutputPrediction { name: port.name.clone(), top, more: 0 };
    }
    let scores: Vec<(usize, f32)> = match (is_number, labels) {
        // Numbers without labels are shown in the order of the output.
        (true, None) => row.iter().copied().enumerate().take(top).collect(),
        _ => manifest.ranked(output, row).into_iter().take(top).collect(),
    };
    let more = if is_number && labels.is_none() { row.len() - scores.len() } else { 0 };
    let scored = |(index, score): (usize, f32)| ScoredClass {
        probability: Some(score).filter(|_| !is_number),
        value: Some(score).filter(|_| is_number),
        ..class(index)
    };
    OutputPrediction { name: port.name.clone(), top: scores.into_iter().map(scored).collect(), more }
}

/// Whether each position of an output has a class, given by the last dimension.
fn is_classifier(manifest: &Manifest, output: usize, labels: Option<&[String]>) -> bool {
    let width = manifest.plan.outputs[output].sizes.last().copied().unwrap_or(0);
    let output_kind = manifest.ending(output);
    output_kind == OutputKind::Classes || output_kind.is_binary(width) || labels.is_some_and(|labels| labels.len() > 1)
}

/// The predicted classes of an image's pixels with their shares, largest first.
fn pixel_shares(manifest: &Manifest, output: usize, row: &[f32], width: usize) -> Vec<(usize, f32)> {
    let mut counts = vec![0usize; width.max(2)];
    for pixel in row.chunks_exact(width.max(1)) {
        manifest.ranked(output, pixel).first().into_iter().for_each(|(class, _)| counts[*class] += 1);
    }
    let total = counts.iter().sum::<usize>().max(1) as f32;
    let mut shares: Vec<(usize, f32)> = counts
        .into_iter()
        .enumerate()
        .filter(|(_, count)| *count > 0)
        .map(|(class, count)| (class, count as f32 / total))
        .collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    shares
}

/// `[{"input", "top": […]}]`, with several outputs `[{"input", "outputs": [{"name", "top": […]}]}]`.
fn json(predictions: &[ImagePrediction]) -> serde_json::Value {
    let image = |ImagePrediction { input, outputs }: &ImagePrediction| match &outputs[..] {
        [output] => serde_json::json!({ "input": input, "top": output.top }),
        outputs => serde_json::json!({ "input": input, "outputs": outputs }),
    };
    predictions.iter().map(image).collect()
}

/// A row for each image and class, with the output's name if there are several outputs.
fn csv(predictions: &[ImagePrediction], manifest: &Manifest) -> String {
    let has_outputs = manifest.plan.outputs.len() > 1;
    let has_numbers = (0..manifest.plan.outputs.len()).any(|output| manifest.ending(output) == OutputKind::Numbers);
    let mut scores = predictions.iter().flat_map(|image| &image.outputs).flat_map(|output| &output.top);
    let score = match (scores.any(|class| class.pixels.is_some()), has_numbers) {
        (true, _) => "pixels",
        (false, true) => "value",
        (false, false) => "probability",
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    let output_column = |name| Some(name).filter(|_| has_outputs);
    let header = std::iter::once("input").chain(output_column("output")).chain(["rank", "index", "label", score]);
    // Writing to memory cannot fail, and all rows have the same length.
    let _ = writer.write_record(header);
    for ImagePrediction { input, outputs } in predictions {
        for output in outputs {
            for (rank, ScoredClass { label, index, probability, value, pixels }) in output.top.iter().enumerate() {
                let score = probability.or(*pixels).or(*value).unwrap_or(0.0);
                let numbers = [(rank + 1).to_string(), index.to_string(), score.to_string()];
                let [rank, index, score] = numbers.each_ref().map(String::as_str);
                let columns = std::iter::once(*input).chain(output_column(output.name.as_str()));
                let _ = writer.write_record(columns.chain([rank, index, label, score]));
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
