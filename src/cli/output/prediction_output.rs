//! What a net said of photos or arrays, for people and for programs.

use super::messages;
use crate::artifact::Manifest;
use crate::ops::output_kind::OutputKind;
use crate::runtime::non_finite::Origin;
use crate::source::shown;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// How predictions are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table
    Text,
    /// One JSON document
    Json,
    /// A line per photo and class
    Csv,
}

/// What came out for each image.
pub struct Predictions {
    /// The images.
    pub names: Vec<String>,
    /// How many images went through the net.
    pub images: usize,
    /// For each output of the net, its values for all images.
    pub outputs: Vec<Vec<f32>>,
    /// The images for which the net gave no number, and where numbers end for them: they are not printed.
    pub without_number: BTreeMap<usize, Option<Origin>>,
}

impl Predictions {
    /// None yet, of a net with so many outputs.
    pub fn new(outputs: usize) -> Self {
        Self { names: Vec::new(), images: 0, outputs: vec![Vec::new(); outputs], without_number: BTreeMap::new() }
    }
}

/// One class of a photo, or one number where the net's end gives no probabilities.
#[derive(Serialize)]
struct ScoredClass {
    label: String,
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f32>,
    /// The share of an image's pixels that are of the class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pixels: Option<f32>,
}

/// What one output says of an image.
#[derive(Serialize)]
struct OutputPrediction {
    name: String,
    top: Vec<ScoredClass>,
    /// Values that are not shown, of an output that has no classes.
    #[serde(skip)]
    more: usize,
}

/// Prints the first `top` of what each output says of each image.
pub fn print(manifest: &Manifest, predictions: &Predictions, format: Format, top: usize) {
    let answers: Vec<(&str, Vec<OutputPrediction>)> = predictions
        .names
        .iter()
        .enumerate()
        .filter(|(image, _)| !predictions.without_number.contains_key(image))
        .map(|(image, name)| (name.as_str(), said(manifest, &predictions.outputs, image, top)))
        .collect();
    messages::print(match format {
        Format::Json => format!("{:#}\n", json(&answers)),
        Format::Csv => csv(&answers, manifest),
        Format::Text => text(&answers),
    });
}

fn said(manifest: &Manifest, outputs: &[Vec<f32>], image: usize, top: usize) -> Vec<OutputPrediction> {
    let ports = manifest.plan.outputs.iter().zip(outputs).enumerate();
    ports
        .map(|(output, (port, values))| {
            let row = values.get(image * port.len()..(image + 1) * port.len()).unwrap_or(&[]);
            // Labels name the classes of the first output.
            let labels = manifest.labels.as_deref().filter(|_| output == 0);
            let ending = manifest.ending(output);
            let plain = ending == OutputKind::Numbers;
            let label = |index: usize| {
                labels.and_then(|labels| labels.get(index)).cloned().unwrap_or_else(|| index.to_string())
            };
            if let ([_, .., width], true) = (&port.sizes[..], by_classes(manifest, output, labels)) {
                let shares = pixels(manifest, output, row, *width).into_iter().take(top);
                let guess = |(index, share)| ScoredClass {
                    label: label(index),
                    index,
                    probability: None,
                    value: None,
                    pixels: Some(share),
                };
                return OutputPrediction { name: port.name.clone(), top: shares.map(guess).collect(), more: 0 };
            }
            let shown: Vec<(usize, f32)> = match (plain, labels) {
                // Numbers that no class stands behind have no order but their own.
                (true, None) => row.iter().copied().enumerate().take(top).collect(),
                _ => manifest.ranked(output, row).into_iter().take(top).collect(),
            };
            let more = if plain && labels.is_none() { row.len() - shown.len() } else { 0 };
            let guess = |(index, value): (usize, f32)| ScoredClass {
                label: label(index),
                index,
                probability: Some(value).filter(|_| !plain),
                value: Some(value).filter(|_| plain),
                pixels: None,
            };
            OutputPrediction { name: port.name.clone(), top: shown.into_iter().map(guess).collect(), more }
        })
        .collect()
}

/// Whether the last dimension of an output is of classes, of which a place has one.
fn by_classes(manifest: &Manifest, output: usize, labels: Option<&[String]>) -> bool {
    let width = manifest.plan.outputs[output].sizes.last().copied().unwrap_or(0);
    let ending = manifest.ending(output);
    ending == OutputKind::Classes || ending.is_binary(width) || labels.is_some_and(|labels| labels.len() > 1)
}

/// The classes that an image's pixels are of, and the share of each, the largest first.
fn pixels(manifest: &Manifest, output: usize, row: &[f32], width: usize) -> Vec<(usize, f32)> {
    let mut counts = vec![0usize; width.max(2)];
    for pixel in row.chunks_exact(width.max(1)) {
        manifest.ranked(output, pixel).first().into_iter().for_each(|(class, _)| counts[*class] += 1);
    }
    let all = counts.iter().sum::<usize>().max(1) as f32;
    let mut shares: Vec<(usize, f32)> = counts
        .into_iter()
        .enumerate()
        .filter(|(_, count)| *count > 0)
        .map(|(class, count)| (class, count as f32 / all))
        .collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    shares
}

/// `[{"input", "top": […]}]`; of several outputs `[{"input", "outputs": [{"name", "top": […]}]}]`.
fn json(answers: &[(&str, Vec<OutputPrediction>)]) -> serde_json::Value {
    let answer = |(input, said): &(&str, Vec<OutputPrediction>)| match &said[..] {
        [one] => serde_json::json!({ "input": input, "top": one.top }),
        several => serde_json::json!({ "input": input, "outputs": several }),
    };
    answers.iter().map(answer).collect()
}

/// A line per image and class, with the output's name where there are several.
fn csv(answers: &[(&str, Vec<OutputPrediction>)], manifest: &Manifest) -> String {
    let several = manifest.plan.outputs.len() > 1;
    let plain = (0..manifest.plan.outputs.len()).any(|output| manifest.ending(output) == OutputKind::Numbers);
    let mut text = String::from(if several { "input,output,rank" } else { "input,rank" });
    let of_pixels =
        answers.iter().flat_map(|(_, said)| said).flat_map(|said| &said.top).any(|one| one.pixels.is_some());
    text += match (of_pixels, plain) {
        (true, _) => ",index,label,pixels\n",
        (false, true) => ",index,label,value\n",
        (false, false) => ",index,label,probability\n",
    };
    for (input, said) in answers {
        for said in said {
            let output = if several { format!(",{}", field(&said.name)) } else { String::new() };
            for (rank, ScoredClass { label, index, probability, value, pixels }) in said.top.iter().enumerate() {
                let value = probability.or(*pixels).or(*value).unwrap_or(0.0);
                let _ = writeln!(text, "{}{output},{},{index},{},{value}", field(input), rank + 1, field(label));
            }
        }
    }
    text
}

fn text(answers: &[(&str, Vec<OutputPrediction>)]) -> String {
    let guesses = answers.iter().flat_map(|(_, said)| said).flat_map(|said| &said.top);
    let width = guesses.map(|guess| shown(&guess.label).width()).max().unwrap_or(0);
    let mut text = String::new();
    for (input, said) in answers {
        let _ = writeln!(text, "{}", shown(input));
        let indent = if said.len() > 1 { "    " } else { "  " };
        for output in said {
            if said.len() > 1 {
                let _ = writeln!(text, "  {}", output.name);
            }
            for guess in &output.top {
                let label = shown(&guess.label);
                let label = format!("{label}{}", " ".repeat(width - label.width()));
                let _ = match (guess.probability, guess.value) {
                    _ if guess.pixels.is_some() => {
                        let share = guess.pixels.unwrap_or(0.0);
                        writeln!(text, "{indent}{label}  {:6.2} % of the pixels", share * 100.0)
                    }
                    (Some(share), _) => writeln!(text, "{indent}{label}  {:6.2} %", share * 100.0),
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

/// A field of a CSV line (RFC 4180).
fn field(text: &str) -> String {
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_string(),
    }
}
