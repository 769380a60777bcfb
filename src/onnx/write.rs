//! Writing a model: the fields of `onnx.proto3` that `messages` reads, in the wire format of
//! `wire`. Every length is known before the first byte, so that the values of one tensor at a time are in memory.

use super::model::{Dim, FLOAT, Graph, INT64, Model, Node, Value, ValueInfo};
use crate::size::product;
use std::io::{self, Write};

/// The most bytes of a model: protocol buffers count in 31 bits.
pub const MAX_MODEL: u64 = (1 << 31) - 1;

/// A tensor of a model that is written.
pub struct Initializer<'v> {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Values<'v>,
}

/// The values of a tensor.
pub enum Values<'v> {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
    /// Numbers that are read when they are written.
    Later(Box<dyn Fn() -> Result<Vec<f32>, String> + 'v>),
}

/// Why a model could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Values(String),
}

/// Bytes of a message in the making.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn tag(&mut self, number: u32, wire_type: u64) {
        self.varint(u64::from(number) << 3 | wire_type);
    }

    /// A negative number takes ten bytes, as the format demands.
    fn integer(&mut self, number: u32, value: i64) {
        self.tag(number, 0);
        self.varint(value as u64);
    }

    /// The beginning of a field of so many bytes.
    fn header(&mut self, number: u32, length: u64) {
        self.tag(number, 2);
        self.varint(length);
    }

    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.header(number, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, number: u32, text: &str) {
        self.bytes(number, text.as_bytes());
    }

    /// A text that is left out where it is empty.
    fn given(&mut self, number: u32, text: &str) {
        if !text.is_empty() {
            self.text(number, text);
        }
    }

    fn float(&mut self, number: u32, value: f32) {
        self.tag(number, 5);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn message(&mut self, number: u32, fill: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        fill(&mut inner);
        self.bytes(number, &inner.0);
    }
}

/// The bytes of a model with these tensors.
pub fn length(model: &Model, initializers: &[Initializer<'_>]) -> u64 {
    let (head, tail) = around_graph(model);
    let graph = graph_length(&model.graph, initializers);
    let mut field = Message::default();
    field.header(7, graph);
    [head.0.len() as u64, field.0.len() as u64, graph, tail.0.len() as u64].into_iter().fold(0, u64::saturating_add)
}

/// Writes a model with these tensors, in their order, in place of [`Graph::initializers`].
///
/// # Errors
/// Of the file, and of the values that are read.
pub fn write(model: &Model, initializers: &[Initializer<'_>], out: &mut dyn Write) -> Result<(), WriteError> {
    let (mut head, tail) = around_graph(model);
    head.header(7, graph_length(&model.graph, initializers));
    head.0.extend(nodes(&model.graph).0);
    out.write_all(&head.0)?;
    for tensor in initializers {
        out.write_all(&tensor_head(tensor).0)?;
        match &tensor.values {
            Values::Floats(values) => out.write_all(&float_bytes(values))?,
            Values::Integers(values) => {
                out.write_all(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
            }
            Values::Later(read) => {
                let values = read().map_err(WriteError::Values)?;
                if values.len() != product(tensor.shape.iter().copied()) {
                    let (name, shape) = (&tensor.name, &tensor.shape);
                    return Err(WriteError::Values(format!("{name} has {} values for {shape:?}", values.len())));
                }
                out.write_all(&float_bytes(&values))?;
            }
        }
    }
    out.write_all(&ports(&model.graph).0)?;
    out.write_all(&tail.0)?;
    Ok(())
}

fn float_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// `ModelProto` before and after its graph.
fn around_graph(model: &Model) -> (Message, Message) {
    let (mut head, mut tail) = (Message::default(), Message::default());
    head.integer(1, i64::try_from(model.ir_version).unwrap_or(i64::MAX));
    head.given(2, &model.producer);
    head.given(3, &model.producer_version);
    for (name, version) in &model.opsets {
        tail.message(8, |opset| {
            opset.given(1, name);
            opset.integer(2, *version);
        });
    }
    for (key, value) in &model.metadata {
        tail.message(14, |entry| {
            entry.text(1, key);
            entry.text(2, value);
        });
    }
    (head, tail)
}

/// The bytes of `GraphProto`.
fn graph_length(graph: &Graph, initializers: &[Initializer<'_>]) -> u64 {
    let tensors =
        initializers.iter().map(|tensor| (tensor_head(tensor).0.len() as u64).saturating_add(raw_bytes(tensor)));
    let fixed = nodes(graph).0.len() + ports(graph).0.len();
    tensors.fold(fixed as u64, u64::saturating_add)
}

/// The bytes of a tensor's values.
fn raw_bytes(tensor: &Initializer<'_>) -> u64 {
    let size = if matches!(tensor.values, Values::Integers(_)) { 8 } else { 4 };
    (product(tensor.shape.iter().copied()) as u64).saturating_mul(size)
}

/// `TensorProto` as a field of a graph, up to its values, which are its last field.
fn tensor_head(tensor: &Initializer<'_>) -> Message {
    let mut head = Message::default();
    tensor.shape.iter().for_each(|&size| head.integer(1, i64::try_from(size).unwrap_or(i64::MAX)));
    head.integer(2, if matches!(tensor.values, Values::Integers(_)) { INT64 } else { FLOAT });
    head.text(8, &tensor.name);
    head.header(9, raw_bytes(tensor));
    let mut field = Message::default();
    field.header(5, (head.0.len() as u64).saturating_add(raw_bytes(tensor)));
    field.0.extend(head.0);
    field
}

fn nodes(graph: &Graph) -> Message {
    let mut message = Message::default();
    for node in &graph.nodes {
        message.message(1, |out| node_fields(out, node));
    }
    message.given(2, &graph.name);
    message
}

fn node_fields(out: &mut Message, node: &Node) {
    node.inputs.iter().for_each(|input| out.text(1, input));
    node.outputs.iter().for_each(|output| out.text(2, output));
    out.given(3, &node.name);
    out.text(4, &node.op);
    for (name, value) in &node.attributes {
        out.message(5, |out| attribute(out, name, value));
    }
    out.given(7, &node.domain);
}

/// `AttributeProto`; tensors and graphs as attributes are not written.
fn attribute(out: &mut Message, name: &str, value: &Value) {
    out.text(1, name);
    let kind = match value {
        Value::Float(value) => {
            out.float(2, *value);
            1
        }
        Value::Int(value) => {
            out.integer(3, *value);
            2
        }
        Value::Text(text) => {
            out.text(4, text);
            3
        }
        Value::Floats(list) => {
            list.iter().for_each(|&value| out.float(7, value));
            6
        }
        Value::Ints(list) => {
            list.iter().for_each(|&value| out.integer(8, value));
            7
        }
        Value::Tensor(_) | Value::Other => 0,
    };
    out.integer(20, kind);
}

fn ports(graph: &Graph) -> Message {
    let mut message = Message::default();
    graph.inputs.iter().for_each(|port| message.message(11, |out| value_info(out, port)));
    graph.outputs.iter().for_each(|port| message.message(12, |out| value_info(out, port)));
    message
}

fn value_info(out: &mut Message, info: &ValueInfo) {
    out.text(1, &info.name);
    out.message(2, |of_type| {
        of_type.message(1, |tensor| {
            tensor.integer(1, info.element);
            let Some(shape) = &info.shape else { return };
            tensor.message(2, |sizes| {
                for size in shape {
                    sizes.message(1, |out| match size {
                        Dim::Known(size) => out.integer(1, i64::try_from(*size).unwrap_or(i64::MAX)),
                        Dim::Open(name) => out.given(2, name),
                    });
                }
            });
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::Source;

    /// What is written is what the reader reads, which was tested with the files of other programs.
    #[test]
    fn a_model_is_read_as_it_was_written() {
        let node = Node {
            name: "first".into(),
            op: "Conv".into(),
            domain: String::new(),
            inputs: vec!["x".into(), String::new(), "w".into()],
            outputs: vec!["y".into(), "z".into()],
            attributes: vec![
                ("a".into(), Value::Float(-0.25)),
                ("b".into(), Value::Int(-3)),
                ("c".into(), Value::Text("SAME".into())),
                ("d".into(), Value::Floats(vec![1.0, f32::MIN_POSITIVE])),
                ("e".into(), Value::Ints(vec![0, -1, i64::MAX, 300])),
            ],
            module: String::new(),
        };
        let shape = Some(vec![Dim::Open("N".into()), Dim::Known(300), Dim::Known(1)]);
        let port = |name: &str| ValueInfo { name: name.into(), element: FLOAT, shape: shape.clone() };
        let model = Model {
            ir_version: 9,
            producer: "netc".into(),
            producer_version: "1".into(),
            opsets: vec![(String::new(), 20)],
            metadata: vec![("labels".into(), "[\"ä\"]".into())],
            graph: Graph {
                name: "g".into(),
                nodes: vec![node],
                inputs: vec![port("x")],
                outputs: vec![port("y")],
                initializers: Vec::new(),
            },
        };
        let tensors = [
            Initializer {
                name: "w".into(),
                shape: vec![2, 150],
                values: Values::Later(Box::new(|| Ok(vec![0.5; 300]))),
            },
            Initializer { name: "i".into(), shape: vec![2], values: Values::Integers(vec![-1, 1 << 40]) },
            Initializer { name: "s".into(), shape: vec![], values: Values::Floats(vec![f32::NEG_INFINITY]) },
        ];
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.onnx");
        let mut bytes = Vec::new();
        write(&model, &tensors, &mut bytes).expect("a model");
        assert_eq!(bytes.len() as u64, length(&model, &tensors));
        std::fs::write(&path, bytes).expect("a file");
        let (read, source) = Source::open(&path).expect("a model");
        assert_eq!(
            (read.ir_version, &read.producer, &read.producer_version),
            (9, &model.producer, &model.producer_version)
        );
        assert_eq!((&read.opsets, &read.metadata), (&model.opsets, &model.metadata));
        assert_eq!((&read.graph.name, &read.graph.nodes), (&model.graph.name, &model.graph.nodes));
        assert_eq!((&read.graph.inputs, &read.graph.outputs), (&model.graph.inputs, &model.graph.outputs));
        let [w, i, s] = &read.graph.initializers[..] else { panic!("{:?}", read.graph.initializers) };
        assert_eq!((&w.shape[..], source.floats(w, 0..300).expect("values")), (&[2, 150][..], vec![0.5; 300]));
        assert_eq!(source.integers(i).expect("values"), [-1, 1 << 40]);
        assert_eq!((&s.shape[..], source.floats(s, 0..1).expect("a value")), (&[][..], vec![f32::NEG_INFINITY]));
    }

    #[test]
    fn a_tensor_of_another_size_is_an_error() {
        let tensors =
            [Initializer { name: "w".into(), shape: vec![3], values: Values::Later(Box::new(|| Ok(vec![0.0; 2]))) }];
        let error = write(&Model::default(), &tensors, &mut Vec::new()).expect_err("an error");
        assert_eq!(error.to_string(), "w has 2 values for [3]");
    }
}
