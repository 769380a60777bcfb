//! Requests for inference.

use super::tensor_data::TensorData;
use super::{BYTES, NUMBERS, RequestError, invalid, photo_bytes};
use crate::artifact::Manifest;
use crate::plan::Port;
use crate::size::product;
use serde::Deserialize;

/// The JSON of a request.
#[derive(Debug, Deserialize)]
struct Message {
    id: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    inputs: Vec<InputTensor>,
    #[serde(default)]
    outputs: Vec<OutputRequest>,
}

/// Parameters of a request.
#[derive(Debug, Default, Deserialize)]
struct Parameters {
    #[serde(default)]
    binary_data_output: bool,
}

#[derive(Debug, Deserialize)]
struct InputTensor {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    #[serde(default)]
    parameters: TensorParameters,
    data: Option<TensorData>,
}

/// Parameters of a tensor, in either direction.
#[derive(Debug, Default, Deserialize)]
struct TensorParameters {
    binary_data_size: Option<usize>,
    binary_data: Option<bool>,
    classification: Option<usize>,
    shared_memory_region: Option<String>,
}

#[derive(Debug, Deserialize)]
struct OutputRequest {
    name: String,
    #[serde(default)]
    parameters: TensorParameters,
}

/// A request that fits the model.
#[derive(Debug, PartialEq)]
pub struct InferenceRequest {
    pub id: Option<String>,
    pub images: Images,
    pub outputs: Vec<WantedOutput>,
}

/// What a request asks about.
#[derive(Debug, PartialEq)]
pub enum Images {
    /// The values of each image, for each input.
    Values(Vec<Vec<Vec<f32>>>),
    /// Photos as they are in files.
    Photos(Vec<Vec<u8>>),
}

impl Images {
    pub fn count(&self) -> usize {
        match self {
            Images::Values(images) => images.len(),
            Images::Photos(photos) => photos.len(),
        }
    }
}

/// An output of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedOutput {
    /// Its index among the model's.
    pub index: usize,
    pub is_binary: bool,
    /// The number of classes, if those are wanted in place of the values.
    pub classes: Option<usize>,
}

impl InferenceRequest {
    /// Reads a body: JSON, the length of which is in a header if binary tensors follow it.
    ///
    /// # Errors
    /// Anything that does not follow the protocol or fit the model, or has more than `limit` images.
    pub fn parse(
        body: &[u8],
        json_length: Option<usize>,
        manifest: &Manifest,
        takes_photos: Result<(), &str>,
        limit: usize,
    ) -> Result<Self, RequestError> {
        let (json, mut binary) = match json_length {
            None => (body, &[][..]),
            Some(length) => body.split_at_checked(length).ok_or_else(|| {
                invalid(format!("the header says that {length} bytes are JSON, but the body has {}", body.len()))
            })?,
        };
        if json.trim_ascii_start().first().is_some_and(|&first| first != b'{') {
            return Err(invalid("the JSON is not an object: `{\"inputs\": […]}`"));
        }
        let message: Message = serde_json::from_slice(json).map_err(|error| invalid(format!("the JSON: {error}")))?;
        let mut tensors = Vec::with_capacity(message.inputs.len().min(manifest.plan.inputs.len()));
        for input in &message.inputs {
            tensors.push((input, take_binary(input, &mut binary)?));
        }
        if !binary.is_empty() {
            return Err(invalid(format!("{} bytes after the last binary tensor", binary.len())));
        }
        let images = match &tensors[..] {
            [(input, binary)] if input.datatype == BYTES => photos(input, *binary, manifest, takes_photos, limit)?,
            _ => values(&tensors, manifest, limit)?,
        };
        let outputs = wanted(&message, manifest)?;
        Ok(InferenceRequest { id: message.id, images, outputs })
    }
}

/// The bytes of a tensor if it is binary, taken from those that are left.
fn take_binary<'b>(input: &InputTensor, left: &mut &'b [u8]) -> Result<Option<&'b [u8]>, RequestError> {
    let name = &input.name;
    if input.parameters.shared_memory_region.is_some() {
        return Err(invalid(format!("`{name}`: shared memory is not supported")));
    }
    match (input.parameters.binary_data_size, &input.data) {
        (None, None) => Err(invalid(format!("`{name}` has neither `data` nor `binary_data_size`"))),
        (Some(_), Some(_)) => Err(invalid(format!("`{name}` has both `data` and `binary_data_size`"))),
        (None, Some(_)) => Ok(None),
        (Some(size), None) => {
            let (taken, rest) = left.split_at_checked(size).ok_or_else(|| {
                invalid(format!("`{name}` has {size} bytes of binary data, but {} are left", left.len()))
            })?;
            *left = rest;
            Ok(Some(taken))
        }
    }
}

/// Photos: one tensor of BYTES for a model that takes them.
fn photos(
    input: &InputTensor,
    binary: Option<&[u8]>,
    manifest: &Manifest,
    takes_photos: Result<(), &str>,
    limit: usize,
) -> Result<Images, RequestError> {
    takes_photos.map_err(invalid)?;
    known(input, &manifest.plan.inputs)?;
    let count = match input.shape[..] {
        [count] | [count, 1] => count,
        _ => return Err(invalid(format!("photos as BYTES have the shape [n] or [n, 1], not {:?}", input.shape))),
    };
    check_count(count, limit)?;
    let photos = match (binary, &input.data) {
        (Some(bytes), _) => photo_bytes::split(bytes)?.into_iter().map(<[u8]>::to_vec).collect(),
        (None, Some(TensorData::Texts(texts))) => photo_bytes::decode(texts)?,
        (None, _) => return Err(invalid(format!("`{}`: BYTES in JSON are strings in Base64", input.name))),
    };
    match photos.len() == count {
        true => Ok(Images::Photos(photos)),
        false => Err(invalid(format!("`{}` has {} elements, its shape {count}", input.name, photos.len()))),
    }
}

/// The tensors of a model's inputs, by images.
fn values(
    tensors: &[(&InputTensor, Option<&[u8]>)],
    manifest: &Manifest,
    limit: usize,
) -> Result<Images, RequestError> {
    let ports = &manifest.plan.inputs;
    for (input, _) in tensors {
        known(input, ports)?;
    }
    let mut columns: Vec<Vec<f32>> = Vec::with_capacity(ports.len());
    let mut images = None;
    for port in ports {
        let mut given = tensors.iter().filter(|(input, _)| input.name == port.name);
        let (input, binary) = match (given.next(), given.next()) {
            (Some(one), None) => one,
            (None, _) => return Err(invalid(format!("the input `{}` is missing", port.name))),
            (Some(_), Some(_)) => return Err(invalid(format!("the input `{}` is given twice", port.name))),
        };
        let count = rows(input, port)?;
        check_count(count, limit)?;
        if *images.get_or_insert(count) != count {
            return Err(invalid(format!("`{}` has {count} rows, another input {}", port.name, images.unwrap_or(0))));
        }
        columns.push(numbers(input, *binary, product([port.len(), count]))?);
    }
    let image = |index: usize| {
        let parts = columns.iter().zip(ports);
        parts.map(|(values, port)| values[index * port.len()..][..port.len()].to_vec()).collect()
    };
    Ok(Images::Values((0..images.unwrap_or(0)).map(image).collect()))
}

fn known(input: &InputTensor, ports: &[Port]) -> Result<(), RequestError> {
    if ports.iter().any(|port| port.name == input.name) {
        return Ok(());
    }
    let names: Vec<String> = ports.iter().map(|port| format!("`{}`", port.name)).collect();
    Err(invalid(format!("there is no input `{}`; the model has {}", input.name, names.join(", "))))
}

fn check_count(count: usize, limit: usize) -> Result<(), RequestError> {
    match count {
        0 => Err(invalid("there are no images: the first size of a shape is their number")),
        _ if count > limit => Err(RequestError::TooMany { found: count, limit }),
        _ => Ok(()),
    }
}

/// The number of rows of a tensor that fits an input.
fn rows(input: &InputTensor, port: &Port) -> Result<usize, RequestError> {
    if input.datatype != NUMBERS {
        let message = format!("`{}` is {}, but the model takes {NUMBERS}", input.name, input.datatype);
        return Err(invalid(message));
    }
    match input.shape.split_first() {
        Some((rows, sizes)) if *sizes == port.sizes[..] => Ok(*rows),
        _ => {
            let sizes: Vec<String> = port.sizes.iter().map(usize::to_string).collect();
            let message = format!(
                "`{}` has the shape {:?}, but the model takes [n, {}]",
                port.name,
                input.shape,
                sizes.join(", ")
            );
            Err(invalid(message))
        }
    }
}

/// The values of a tensor, which must be as many as its shape says.
fn numbers(input: &InputTensor, binary: Option<&[u8]>, count: usize) -> Result<Vec<f32>, RequestError> {
    let numbers: Vec<f32> = match (binary, &input.data) {
        (Some(bytes), _) if !bytes.len().is_multiple_of(size_of::<f32>()) => {
            return Err(invalid(format!("`{}` has {} bytes, which are not FP32 values", input.name, bytes.len())));
        }
        (Some(bytes), _) => {
            let values = bytes.chunks_exact(size_of::<f32>());
            values.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap_or_default())).collect()
        }
        (None, Some(TensorData::Numbers(numbers))) => numbers.clone(),
        (None, _) => return Err(invalid(format!("`{}` has strings instead of numbers", input.name))),
    };
    match numbers.len() == count {
        true => Ok(numbers),
        false => Err(invalid(format!("`{}` has {} values, its shape {count}", input.name, numbers.len()))),
    }
}

/// The outputs of the response: those that are named, or all.
fn wanted(message: &Message, manifest: &Manifest) -> Result<Vec<WantedOutput>, RequestError> {
    let ports = &manifest.plan.outputs;
    let by_default = message.parameters.binary_data_output;
    if message.outputs.is_empty() {
        let all = 0..ports.len();
        return Ok(all.map(|index| WantedOutput { index, is_binary: by_default, classes: None }).collect());
    }
    let mut wanted: Vec<WantedOutput> = Vec::with_capacity(ports.len());
    for OutputRequest { name, parameters } in &message.outputs {
        let Some(index) = ports.iter().position(|port| port.name == *name) else {
            let names: Vec<String> = ports.iter().map(|port| format!("`{}`", port.name)).collect();
            return Err(invalid(format!("there is no output `{name}`; the model has {}", names.join(", "))));
        };
        if wanted.iter().any(|output| output.index == index) {
            return Err(invalid(format!("the output `{name}` is requested twice")));
        }
        if parameters.shared_memory_region.is_some() {
            return Err(invalid(format!("`{name}`: shared memory is not supported")));
        }
        let classes = parameters.classification.filter(|&count| count > 0);
        if classes.is_some() && ports[index].sizes.len() != 1 {
            return Err(invalid(format!("`{name}` has no classes: its values are not in one dimension")));
        }
        let is_binary = parameters.binary_data.unwrap_or(by_default);
        wanted.push(WantedOutput { index, is_binary, classes });
    }
    Ok(wanted)
}
