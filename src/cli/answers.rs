//! What a net said of photos or arrays, for people and for programs.

use super::report;
use crate::artifact::Manifest;
use crate::ops::ending::Ending;
use serde::Serialize;
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
    /// For each output of the net, its values for all images.
    pub outputs: Vec<Vec<f32>>,
}

/// One class of a photo, or one number where the net's end gives no probabilities.
#[derive(Serialize)]
struct Guess {
    label: String,
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f32>,
}

/// What one output says of an image.
#[derive(Serialize)]
struct Said {
    name: String,
    top: Vec<Guess>,
    /// Values that are not shown, of an output that has no classes.
    #[serde(skip)]
    more: usize,
}

/// Prints the first `top` of what each output says of each image.
pub fn print(manifest: &Manifest, predictions: &Predictions, format: Format, top: usize) {
    let answers: Vec<(&str, Vec<Said>)> = predictions
        .names
        .iter()
        .enumerate()
        .map(|(image, name)| (name.as_str(), said(manifest, &predictions.outputs, image, top)))
        .collect();
    report::print(match format {
        Format::Json => format!("{:#}\n", json(&answers)),
        Format::Csv => csv(&answers, manifest),
        Format::Text => text(&answers),
    });
}

fn said(manifest: &Manifest, outputs: &[Vec<f32>], image: usize, top: usize) -> Vec<Said> {
    let ports = manifest.plan.outputs.iter().zip(outputs).enumerate();
    ports
        .map(|(output, (port, values))| {
            let row = values.get(image * port.len()..(image + 1) * port.len()).unwrap_or(&[]);
            // Labels name the classes of the first output.
            let labels = manifest.labels.as_deref().filter(|_| output == 0);
            let ending = manifest.ending(output);
            let plain = ending == Ending::Numbers;
            let shown: Vec<(usize, f32)> = match (plain, labels) {
                // Numbers that no class stands behind have no order but their own.
                (true, None) => row.iter().copied().enumerate().take(top).collect(),
                _ => ending.ranked(row).into_iter().take(top).collect(),
            };
            let more = if plain && labels.is_none() { row.len() - shown.len() } else { 0 };
            let guess = |(index, value): (usize, f32)| Guess {
                label: labels.and_then(|labels| labels.get(index)).cloned().unwrap_or_else(|| index.to_string()),
                index,
                probability: Some(value).filter(|_| !plain),
                value: Some(value).filter(|_| plain),
            };
            Said { name: port.name.clone(), top: shown.into_iter().map(guess).collect(), more }
        })
        .collect()
}

/// `[{"input", "top": […]}]`; of several outputs `[{"input", "outputs": [{"name", "top": […]}]}]`.
fn json(answers: &[(&str, Vec<Said>)]) -> serde_json::Value {
    let answer = |(input, said): &(&str, Vec<Said>)| match &said[..] {
        [one] => serde_json::json!({ "input": input, "top": one.top }),
        several => serde_json::json!({ "input": input, "outputs": several }),
    };
    answers.iter().map(answer).collect()
}

/// A line per image and class, with the output's name where there are several.
fn csv(answers: &[(&str, Vec<Said>)], manifest: &Manifest) -> String {
    let several = manifest.plan.outputs.len() > 1;
    let plain = (0..manifest.plan.outputs.len()).any(|output| manifest.ending(output) == Ending::Numbers);
    let mut text = String::from(if several { "input,output,rank" } else { "input,rank" });
    text += if plain { ",index,label,value\n" } else { ",index,label,probability\n" };
    for (input, said) in answers {
        for said in said {
            let output = if several { format!(",{}", field(&said.name)) } else { String::new() };
            for (rank, Guess { label, index, probability, value }) in said.top.iter().enumerate() {
                let value = probability.or(*value).unwrap_or(0.0);
                let _ = writeln!(text, "{}{output},{},{index},{},{value}", field(input), rank + 1, field(label));
            }
        }
    }
    text
}

fn text(answers: &[(&str, Vec<Said>)]) -> String {
    let guesses = answers.iter().flat_map(|(_, said)| said).flat_map(|said| &said.top);
    let width = guesses.map(|guess| guess.label.width()).max().unwrap_or(0);
    let mut text = String::new();
    for (input, said) in answers {
        let _ = writeln!(text, "{input}");
        let indent = if said.len() > 1 { "    " } else { "  " };
        for output in said {
            if said.len() > 1 {
                let _ = writeln!(text, "  {}", output.name);
            }
            for guess in &output.top {
                let label = format!("{}{}", guess.label, " ".repeat(width - guess.label.width()));
                let _ = match (guess.probability, guess.value) {
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
