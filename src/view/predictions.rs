//! A net's outputs for an image as labels with scores.

use crate::artifact::Manifest;
use crate::ops::output_kind::OutputKind;
use serde::Serialize;

/// A class with its probability, or a number if the output has no probabilities.
#[derive(Clone, Debug, Serialize)]
pub struct ScoredClass {
    pub label: String,
    pub index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f32>,
    /// The share of the image's pixels that are predicted as this class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixels: Option<f32>,
}

/// One output for an image.
#[derive(Clone, Debug, Serialize)]
pub struct OutputPrediction {
    pub name: String,
    pub top: Vec<ScoredClass>,
    /// The number of values that are not shown, for outputs without classes.
    #[serde(skip)]
    pub more: usize,
}

/// The `top` classes or values of one output for one image, whose values are `row`.
pub fn output_prediction(manifest: &Manifest, output: usize, row: &[f32], top: usize) -> OutputPrediction {
    let port = &manifest.plan.outputs[output];
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

/// `{"input", "top": […]}`, with several outputs `{"input", "outputs": [{"name", "top": […]}]}`.
pub fn image_json(input: &str, outputs: &[OutputPrediction]) -> serde_json::Value {
    match outputs {
        [output] => serde_json::json!({ "input": input, "top": output.top }),
        outputs => serde_json::json!({ "input": input, "outputs": outputs }),
    }
}
