//! A model as its file describes it: what inference needs of `onnx.proto3`. Bodies of loops and conditions, training information
//! and types other than tensors are left out.

use crate::size::product;
use std::ops::Range;

/// The key of metadata under which netc says how photos become an input, before the input's name.
pub const IMAGE: &str = "image.";
/// The key of metadata of a node under which PyTorch says of which modules it is a part.
pub(super) const MODULES: &str = "pkg.torch.onnx.name_scopes";
/// The most nodes, tensors or inputs of a model.
pub const MAX_ITEMS: usize = 100_000;

/// `ModelProto`
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub ir_version: u64,
    pub producer: String,
    pub producer_version: String,
    /// Sets of operators and their versions; the name of ONNX's own is empty.
    pub opsets: Vec<(String, i64)>,
    pub metadata: Vec<(String, String)>,
    pub graph: Graph,
}

impl Model {
    /// The version of ONNX's own operators.
    pub fn opset(&self) -> i64 {
        let own = |(name, _): &&(String, i64)| name.is_empty() || name == "ai.onnx";
        self.opsets.iter().find(own).map_or(1, |(_, version)| *version)
    }
}

/// `GraphProto`
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub name: String,
    /// In topological order.
    pub nodes: Vec<Node>,
    pub initializers: Vec<Tensor>,
    pub inputs: Vec<ValueInfo>,
    pub outputs: Vec<ValueInfo>,
}

/// `NodeProto`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    pub name: String,
    pub op: String,
    /// Empty for ONNX's own operators.
    pub domain: String,
    /// Names of values; an empty one is an optional input that is not given.
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: Vec<(String, Value)>,
    /// The module of the program that it was made of, where the exporter says it; empty if not.
    pub module: String,
}

// Numbers of `TensorProto.DataType`.
pub const FLOAT: i64 = 1;
pub const INT64: i64 = 7;
pub const BOOL: i64 = 9;
pub const DOUBLE: i64 = 11;
/// Those of floating-point numbers: float32, float16, float64 and bfloat16.
pub const FLOATS: [i64; 4] = [FLOAT, 10, DOUBLE, 16];
/// Those of integers of 8 to 64 bits, unsigned or not.
pub const INTEGERS: [i64; 8] = [2, 3, 4, 5, 6, INT64, 12, 13];

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Float(f32),
    Int(i64),
    Text(String),
    Tensor(Tensor),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    /// A graph, texts, or another that no operator needs which is read.
    Other,
}

/// `ValueInfoProto`: a tensor that goes in or out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ValueInfo {
    pub name: String,
    /// The number of its type; 0 if it is no tensor.
    pub element: i64,
    pub shape: Option<Vec<Dim>>,
}

/// A size.
#[derive(Clone, Debug, PartialEq)]
pub enum Dim {
    Known(u64),
    /// Open; it may have a name.
    Open(String),
}

/// `TensorProto`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    /// The number of its type in `TensorProto.DataType`.
    pub element: i64,
    pub storage: Storage,
}

impl Tensor {
    /// The number of values, which was checked to be within limits.
    pub fn len(&self) -> usize {
        product(self.shape.iter().copied())
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where the values of a tensor are.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Storage {
    #[default]
    Nothing,
    /// Little-endian bytes of the file.
    Raw(Range<u64>),
    /// Fields of the type's own list: of four or eight bytes each, or of integers of variable length.
    Listed { field: u32, places: Vec<Range<u64>> },
    /// Bytes of another file, in the folder of this one.
    External { file: String, offset: u64, length: Option<u64> },
}

impl Node {
    /// The attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// An integer, or its default.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        if let Some(Value::Int(value)) = self.attribute(name) { *value } else { default }
    }

    /// A number, or its default.
    pub fn float(&self, name: &str, default: f32) -> f32 {
        if let Some(Value::Float(value)) = self.attribute(name) { *value } else { default }
    }

    /// A list of integers.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        if let Some(Value::Ints(list)) = self.attribute(name) { Some(list) } else { None }
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        if let Some(Value::Text(text)) = self.attribute(name) { Some(text) } else { None }
    }

    /// The name of an input; none if it is not given.
    pub fn input(&self, index: usize) -> Option<&str> {
        self.inputs.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// The name of its first output.
    pub fn output(&self) -> &str {
        self.outputs.first().map_or("", String::as_str)
    }

    /// What messages call it: its name, or its output's where it has none.
    pub fn title(&self) -> &str {
        if self.name.is_empty() { self.output() } else { &self.name }
    }
}
