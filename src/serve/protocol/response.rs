//! Responses to requests for inference.

use super::request::WantedOutput;
use super::{BYTES, NUMBERS, photo_bytes};
use crate::artifact::Manifest;
use crate::serve::model::VERSION;
use serde::Serialize;

/// The JSON of a response.
#[derive(Serialize)]
struct Message<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Vec<OutputTensor<'a>>,
}

#[derive(Serialize)]
struct OutputTensor<'a> {
    name: &'a str,
    datatype: &'a str,
    shape: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<TensorParameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
}

#[derive(Serialize)]
struct TensorParameters {
    binary_data_size: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data {
    Numbers(Vec<f32>),
    Texts(Vec<String>),
}

/// A response's body.
#[derive(Debug, PartialEq, Eq)]
pub struct ResponseBody {
    pub bytes: Vec<u8>,
    /// The length of its JSON, if binary tensors follow it.
    pub json_length: Option<usize>,
}

/// Why outputs cannot be answered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    #[error("the output `{0}` has infinite values or NaN, which JSON cannot express: ask for binary data")]
    NotFinite(String),
    #[error("{0}")]
    Json(String),
}

/// The response with the wanted outputs of all images; `images` has the values of every output for each of them.
///
/// # Errors
/// If values that are not finite are wanted in JSON.
pub fn encode(
    model: &str,
    manifest: &Manifest,
    id: Option<&str>,
    wanted: &[WantedOutput],
    images: &[Vec<Vec<f32>>],
) -> Result<ResponseBody, ResponseError> {
    let mut binary = Vec::new();
    let mut outputs = Vec::with_capacity(wanted.len());
    for output in wanted {
        let port = &manifest.plan.outputs[output.index];
        let mut rows = images.iter().filter_map(|image| image.get(output.index));
        let begin = binary.len();
        let (datatype, sizes, data) = match (output.classes, output.is_binary) {
            (None, true) => {
                rows.for_each(|row| row.iter().for_each(|value| binary.extend_from_slice(&value.to_le_bytes())));
                (NUMBERS, port.sizes.clone(), None)
            }
            (None, false) if rows.clone().flatten().any(|value| !value.is_finite()) => {
                return Err(ResponseError::NotFinite(port.name.clone()));
            }
            (None, false) => (NUMBERS, port.sizes.clone(), Some(Data::Numbers(rows.flatten().copied().collect()))),
            (Some(top), is_binary) => {
                let texts: Vec<Vec<String>> =
                    rows.by_ref().map(|row| classes(manifest, output.index, row, top)).collect();
                let sizes = vec![texts.first().map_or(0, Vec::len)];
                let mut texts = texts.into_iter().flatten();
                match is_binary {
                    true => {
                        texts.for_each(|text| photo_bytes::append(&mut binary, text.as_bytes()));
                        (BYTES, sizes, None)
                    }
                    false => (BYTES, sizes, Some(Data::Texts(texts.by_ref().collect()))),
                }
            }
        };
        let shape = std::iter::once(images.len()).chain(sizes).collect();
        let parameters = output.is_binary.then(|| TensorParameters { binary_data_size: binary.len() - begin });
        outputs.push(OutputTensor { name: &port.name, datatype, shape, parameters, data });
    }
    let message = Message { model_name: model, model_version: VERSION, id, outputs };
    let mut bytes = serde_json::to_vec(&message).map_err(|error| ResponseError::Json(error.to_string()))?;
    let json_length = wanted.iter().any(|output| output.is_binary).then_some(bytes.len());
    bytes.extend_from_slice(&binary);
    Ok(ResponseBody { bytes, json_length })
}

/// The most likely classes as Triton's classification extension writes them: `SCORE:INDEX:LABEL`, without labels `SCORE:INDEX`.
/// <https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_classification.md>
fn classes(manifest: &Manifest, output: usize, row: &[f32], top: usize) -> Vec<String> {
    let labels = manifest.labels.as_deref().filter(|_| output == 0);
    let class = |(index, score): (usize, f32)| match labels.and_then(|labels| labels.get(index)) {
        Some(label) => format!("{score}:{index}:{label}"),
        None => format!("{score}:{index}"),
    };
    manifest.ranked(output, row).into_iter().take(top).map(class).collect()
}
