//! The messages of a model, by the numbers of their fields in `onnx.proto3`.

use super::error::OnnxError;
use super::model::{Dim, Graph, MAX_ITEMS, MODULES, Model, Node, Storage, Tensor, Value, ValueInfo};
use super::wire::{Content, Wire};
use std::io::{Read, Seek};
use std::ops::Range;

/// The most axes of a tensor.
const MAX_RANK: usize = 16;

/// Reads a message: `f` gets the number and content of each field, and whether it used it.
fn message<R: Read + Seek>(
    wire: &mut Wire<R>,
    range: Range<u64>,
    mut f: impl FnMut(&mut Wire<R>, u32, &Content) -> Result<bool, OnnxError>,
) -> Result<(), OnnxError> {
    while let Some(field) = wire.field(range.end)? {
        if !f(wire, field.number, &field.content)? {
            wire.skip(&field.content)?;
        }
    }
    Ok(())
}

fn push<T>(list: &mut Vec<T>, item: T, what: &str) -> Result<(), OnnxError> {
    if list.len() >= MAX_ITEMS {
        return Err(OnnxError::too_large("the model", format!("it has more than {MAX_ITEMS} {what}")));
    }
    list.push(item);
    Ok(())
}

/// Reads a model.
///
/// # Errors
/// If it is cut short, damaged or too large.
pub(super) fn read<R: Read + Seek>(wire: &mut Wire<R>) -> Result<Model, OnnxError> {
    let mut model = Model::default();
    let mut graphs = 0;
    message(wire, wire.whole(), |wire, number, content| {
        match (number, content) {
            (1, Content::Varint(version)) => model.ir_version = *version,
            (2, Content::Bytes(range)) => model.producer = wire.text(range.clone())?,
            (3, Content::Bytes(range)) => model.producer_version = wire.text(range.clone())?,
            (7, Content::Bytes(range)) => {
                graphs += 1;
                model.graph = graph(wire, range.clone())?;
            }
            (8, Content::Bytes(range)) => {
                let opset = opset(wire, range.clone())?;
                push(&mut model.opsets, opset, "sets of operators")?;
            }
            (14, Content::Bytes(range)) => {
                let entry = entry(wire, range.clone())?;
                push(&mut model.metadata, entry, "entries of metadata")?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    match graphs {
        1 if model.opsets.is_empty() => {
            Err(OnnxError::corrupt("the model", "it does not state the version of its operators"))
        }
        1 => Ok(model),
        0 => Err(OnnxError::corrupt("the model", "it has no graph")),
        _ => Err(OnnxError::corrupt("the model", "it has several graphs")),
    }
}

fn opset<R: Read + Seek>(wire: &mut Wire<R>, range: Range<u64>) -> Result<(String, i64), OnnxError> {
    let (mut name, mut version) = (String::new(), 1);
    message(wire, range, |wire, number, content| {
        match (number, content) {
            (1, Content::Bytes(range)) => name = wire.text(range.clone())?,
            (2, Content::Varint(value)) => version = *value as i64,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok((name, version))
}

/// `StringStringEntryProto`
fn entry<R: Read + Seek>(wire: &mut Wire<R>, range: Range<u64>) -> Result<(String, String), OnnxError> {
    let (mut key, mut value) = (String::new(), String::new());
    message(wire, range, |wire, number, content| {
        match (number, content) {
            (1, Content::Bytes(range)) => key = wire.text(range.clone())?,
            (2, Content::Bytes(range)) => value = wire.text(range.clone())?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok((key, value))
}

fn graph<R: Read + Seek>(wire: &mut Wire<R>, range: Range<u64>) -> Result<Graph, OnnxError> {
    let mut graph = Graph::default();
    message(wire, range, |wire, number, content| {
        let Content::Bytes(range) = content else { return Ok(false) };
        let range = range.clone();
        match number {
            1 => {
                wire.take(200)?;
                let node = node(wire, range)?;
                push(&mut graph.nodes, node, "nodes")?;
            }
            2 => graph.name = wire.text(range)?,
            5 => {
                let tensor = tensor(wire, range)?;
                push(&mut graph.initializers, tensor, "tensors")?;
            }
            11 => {
                let info = value_info(wire, range)?;
                push(&mut graph.inputs, info, "inputs")?;
            }
            12 => {
                let info = value_info(wire, range)?;
                push(&mut graph.outputs, info, "outputs")?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(graph)
}

fn node<R: Read + Seek>(wire: &mut Wire<R>, range: Range<u64>) -> Result<Node, OnnxError> {
    let mut node = Node::default();
    message(wire, range, |wire, number, content| {
        let Content::Bytes(range) = content else { return Ok(false) };
        let range = range.clone();
        match number {
            1 => node.inputs.push(wire.text(range)?),
            2 => node.outputs.push(wire.text(range)?),
            3 => node.name = wire.text(range)?,
            4 => node.op = wire.text(range)?,
            5 => {
                wire.take(120)?;
                node.attributes.push(attribute(wire, range)?);
            }
            7 => node.domain = wire.text(range)?,
            9 => {
                let (key, value) = entry(wire, range)?;
                if key == MODULES {
                    node.module = innermost(&value).to_string();
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if node.domain == "ai.onnx" {
        node.domain.clear();
    }
    Ok(node)
}

/// The innermost module in a list such as `['', 'encoder', 'encoder.conv', 'conv2d']`, whose last part is the function.
fn innermost(scopes: &str) -> &str {
    let inside = scopes.strip_prefix("['").and_then(|list| list.strip_suffix("']")).unwrap_or_default();
    inside.rsplit("', '").nth(1).unwrap_or_default()
}

fn attribute<R: Read + Seek>(wire: &mut Wire<R>, range: Range<u64>) -> Result<(String, Value), OnnxError> {
    let (mut name, mut value) = (String::new(), Value::Other);
    let (mut kind, mut ints, mut floats) = (0, Vec::new(), Vec::new());
    message(wire, range, |wire, number, content| {
        match (number, content) {
            (1, Content::Bytes(range)) => name = wire.text(range.clone())?,
            (2, Content::Fixed32(bits)) => value = Value::Float(f32::from_bits(*bits)),
            (3, Content::Varint(int)) => value = Value::Int(*int as i64),
            (4, Content::Bytes(range)) => value = Value::Text(wire.text(range.clone())?),
            (5, Content::Bytes(range)) => value = Value::Tensor(tensor(wire, range.clone())?),
            (7, Content::Fixed32(bits)) => floats.push(f32::from_bits(*bits)),
            (7, Content::Bytes(range)) => wire.floats(range.clone(), &mut floats)?,
            (8, Content::Varint(int)) => {
                wire.take(8)?;
                ints.push(*int as i64);
            }
            (8, Content::Bytes(range)) => wire.integers(range.clone(), &mut ints)?,
            (20, Content::Varint(found)) => kind = *found,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    // A value of zero may be left out of the file: the type says what is meant.
    let value = match (value, kind) {
        (Value::Other, 1) => Value::Float(0.0),
        (Value::Other, 2) => Value::Int(0),
        (Value::Other, 3) => Value::Text(String::new()),
        (Value::Other, 6) => Value::Floats(floats),
        (Value::Other, 7) => Value::Ints(ints),
        (Value::Other, 0) if !ints.is_empty() => Value::Ints(ints),
        (Value::Other, 0) if !floats.is_empty() => Value::Floats(floats),
        (value, _) => value,
    };
    Ok((name, value))
}

fn value_info<R: Read + Seek>(wire: &mut Wire<R>, range: Range<u64>) -> Result<ValueInfo, OnnxError> {
    let mut info = ValueInfo::default();
    wire.take(100)?;
    message(wire, range, |wire, number, content| {
        let Content::Bytes(range) = content else { return Ok(false) };
        match number {
            1 => info.name = wire.text(range.clone())?,
            2 => message(wire, range.clone(), |wire, number, content| {
                let (1, Content::Bytes(range)) = (number, content) else { return Ok(false) };
                (info.element, info.shape) = tensor_type(wire, range.clone())?;
                Ok(true)
            })?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(info)
}

/// `TypeProto.Tensor`
fn tensor_type<R: Read + Seek>(wire: &mut Wire<R>, range: Range<u64>) -> Result<(i64, Option<Vec<Dim>>), OnnxError> {
    let (mut element, mut shape) = (0, None);
    message(wire, range, |wire, number, content| {
        match (number, content) {
            (1, Content::Varint(found)) => element = *found as i64,
            (2, Content::Bytes(range)) => {
                let mut sizes = Vec::new();
                message(wire, range.clone(), |wire, number, content| {
                    let (1, Content::Bytes(range)) = (number, content) else { return Ok(false) };
                    wire.take(32)?;
                    let mut size = Dim::Open(String::new());
                    message(wire, range.clone(), |wire, number, content| {
                        match (number, content) {
                            (1, Content::Varint(value)) => size = Dim::Known(*value),
                            (2, Content::Bytes(range)) => size = Dim::Open(wire.text(range.clone())?),
                            _ => return Ok(false),
                        }
                        Ok(true)
                    })?;
                    sizes.push(size);
                    Ok(true)
                })?;
                shape = Some(sizes);
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok((element, shape))
}

fn tensor<R: Read + Seek>(wire: &mut Wire<R>, range: Range<u64>) -> Result<Tensor, OnnxError> {
    let mut tensor = Tensor::default();
    let mut sides: Vec<i64> = Vec::new();
    let (mut external, mut is_external, mut raw, mut segments) = (Vec::new(), false, None, false);
    let mut listed: (u32, Vec<Range<u64>>) = (0, Vec::new());
    wire.take(150)?;
    message(wire, range, |wire, number, content| {
        match (number, content) {
            (1, Content::Varint(side)) => {
                wire.take(8)?;
                sides.push(*side as i64);
            }
            (1, Content::Bytes(range)) => wire.integers(range.clone(), &mut sides)?,
            (2, Content::Varint(element)) => tensor.element = *element as i64,
            (3, _) => {
                segments = true;
                return Ok(false);
            }
            (4 | 5 | 7 | 10 | 11, Content::Bytes(range)) => {
                wire.take(24)?;
                listed.0 = number;
                listed.1.push(range.clone());
                wire.skip_to(range.end)?;
            }
            (4 | 5 | 7 | 10 | 11, _) => {
                return Err(OnnxError::corrupt("a tensor", "its values are not packed, as the format demands"));
            }
            (8, Content::Bytes(range)) => tensor.name = wire.text(range.clone())?,
            (9, Content::Bytes(range)) => {
                raw = Some(range.clone());
                wire.skip_to(range.end)?;
            }
            (13, Content::Bytes(range)) => external.push(entry(wire, range.clone())?),
            (14, Content::Varint(location)) => is_external = *location == 1,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let name = if tensor.name.is_empty() { "a tensor".to_string() } else { tensor.name.clone() };
    if segments {
        return Err(OnnxError::corrupt(&name, "it is one of several segments, which are not supported"));
    }
    if sides.len() > MAX_RANK {
        return Err(OnnxError::too_large(&name, format!("it has {} axes", sides.len())));
    }
    tensor.shape = sides
        .iter()
        .map(|&side| usize::try_from(side).map_err(|_| OnnxError::corrupt(&name, format!("its shape is {sides:?}"))))
        .collect::<Result<_, _>>()?;
    tensor.storage = match raw {
        _ if is_external => storage_elsewhere(&name, &external)?,
        Some(range) => Storage::Raw(range),
        None if !listed.1.is_empty() => Storage::Listed { field: listed.0, places: listed.1 },
        None => Storage::Nothing,
    };
    Ok(tensor)
}

fn storage_elsewhere(name: &str, entries: &[(String, String)]) -> Result<Storage, OnnxError> {
    let value = |key: &str| entries.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str());
    let number = |key: &str| {
        let wrong = || OnnxError::corrupt(name, format!("its `{key}` in the other file is not a number"));
        value(key).map(|text| text.trim().parse::<u64>().map_err(|_| wrong())).transpose()
    };
    let file = value("location").ok_or_else(|| OnnxError::corrupt(name, "it is in another file that is not named"))?;
    Ok(Storage::External { file: file.into(), offset: number("offset")?.unwrap_or(0), length: number("length")? })
}
