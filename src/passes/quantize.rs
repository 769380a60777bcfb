//! Quantisation: the nodes that are computed on bytes, the scales of their outputs, and conversions at the borders.
//!
//! A convolution or dense layer is computed on bytes if it is chosen; pools, sums, concatenations and views follow where all their
//! inputs are bytes. Tensors that share bytes share a scale: those of a concatenation, of a view, of a pool and its input.

use crate::graph::disjoint_sets::DisjointSets;
use crate::graph::{Epilogue, Graph, Int8Lowering, Lowered, Lowering, Node, NodeId, Precision};
use crate::kernels::int8::quantization::Quantization;
use crate::ops::quantize::Convert;
use crate::plan::Kernel;
use std::collections::HashMap;
use std::sync::Arc;

/// The lowest and highest value of a tensor.
pub type Range = (f32, f32);

/// What is computed on bytes, for each node.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The values of its output; `None` if they are not known.
    pub ranges: Vec<Option<Range>>,
    /// Whether a convolution or dense layer may be computed on bytes.
    pub layers: Vec<bool>,
}

/// The convolutions and dense layers that kernels can compute on bytes.
pub fn candidates(graph: &Graph) -> Vec<bool> {
    graph.ids().map(|id| !graph.node(id).parameters.is_empty() && kind(graph, id).is_some()).collect()
}

/// How a node on bytes relates to its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Its output has a scale of its own.
    Own,
    /// Its output has the scale of its inputs.
    Shared,
}

/// How a node could be computed on bytes; `None` if it cannot.
fn kind(graph: &Graph, id: NodeId) -> Option<Kind> {
    let any = Quantization { scale: 1.0, zero_point: 0 };
    let lowered = [Some(any), None].into_iter().find_map(|output| lowered(graph, id, any, output))?;
    match lowered {
        Lowered::View | Lowered::Concatenate { .. } | Lowered::Step(Kernel::Int8Pool(_)) => Some(Kind::Shared),
        _ => Some(Kind::Own),
    }
}

/// A node on bytes of any scale.
fn lowered(graph: &Graph, id: NodeId, any: Quantization, output: Option<Quantization>) -> Option<Lowered> {
    let node = graph.node(id);
    if node.inputs.is_empty() || !node.output.batched {
        return None;
    }
    let mut inputs: Vec<Vec<usize>> = graph.input_types(id).into_iter().map(|ty| ty.known()).collect::<Option<_>>()?;
    if node.epilogue.residual {
        inputs.pop();
    }
    let formats = Int8Lowering { inputs: vec![Some(any); node.inputs.len()], output };
    node.operation.lower_int8(&Lowering { inputs, epilogue: node.epilogue, exact: false }, &formats)
}

/// Whether a node on bytes can have bytes as its output, and whether f32.
fn outputs(graph: &Graph, id: NodeId) -> (bool, bool) {
    let any = Quantization { scale: 1.0, zero_point: 0 };
    (lowered(graph, id, any, Some(any)).is_some(), lowered(graph, id, any, None).is_some())
}

/// The nodes that are computed on bytes.
fn on_bytes(graph: &Graph, choice: &Choice) -> Vec<bool> {
    let mut chosen = vec![false; graph.nodes.len()];
    for id in graph.ids() {
        let node = graph.node(id);
        let is_known = |id: &NodeId| choice.ranges.get(id.0).is_some_and(Option::is_some);
        let kind = kind(graph, id).filter(|_| is_known(&id) && node.inputs.iter().all(is_known));
        let follows = || node.inputs.iter().all(|input| chosen[input.0] && outputs(graph, *input).0);
        chosen[id.0] = match (kind, node.parameters.is_empty()) {
            (None, _) => false,
            (Some(_), false) => choice.layers.get(id.0).copied().unwrap_or(false),
            (Some(_), true) => follows(),
        };
    }
    chosen
}

/// The quantised graph.
pub fn quantize(graph: &Graph, choice: &Choice) -> Graph {
    let chosen = on_bytes(graph, choice);
    let scales = scales(graph, choice, &chosen);
    let consumers = graph.consumers();
    let mut builder = Builder {
        from: graph,
        scales: &scales,
        ids: Vec::new(),
        converted: HashMap::new(),
        graph: Graph { nodes: Vec::new(), ..graph.clone() },
    };
    for id in graph.ids() {
        let node = graph.node(id);
        let mut new = node.clone();
        let reads_bytes = chosen[id.0];
        if reads_bytes {
            // Bytes only where a node reads them; f32 costs nothing more where none does.
            let wanted = consumers[id.0].iter().any(|reader| chosen[reader.0]);
            let (bytes, floats) = outputs(graph, id);
            let output = (bytes && (wanted || !floats)).then_some(scales[id.0]).flatten();
            new.precision = Precision::Int8 { output };
        }
        new.inputs = node.inputs.iter().map(|&input| builder.input(input, reads_bytes)).collect();
        let id = builder.push(new);
        builder.ids.push(id);
    }
    let outputs = graph.outputs.iter().map(|&output| builder.input(output, false)).collect();
    builder.graph.outputs = outputs;
    builder.graph
}

/// The scale of each node's output in bytes.
fn scales(graph: &Graph, choice: &Choice, chosen: &[bool]) -> Vec<Option<Quantization>> {
    let mut groups = DisjointSets::new(graph.nodes.len());
    for id in graph.ids().filter(|id| chosen[id.0] && kind(graph, *id) == Some(Kind::Shared)) {
        for input in &graph.node(id).inputs {
            groups.join(input.0, id.0);
        }
    }
    let mut ranges: HashMap<usize, Range> = HashMap::new();
    for id in graph.ids() {
        let Some((low, high)) = choice.ranges.get(id.0).copied().flatten() else { continue };
        let range = ranges.entry(groups.first(id.0)).or_insert((low, high));
        *range = (range.0.min(low), range.1.max(high));
    }
    let of_group = |id: NodeId| ranges.get(&groups.first(id.0)).map(|&(low, high)| Quantization::of_range(low, high));
    graph.ids().map(of_group).collect()
}

struct Builder<'a> {
    from: &'a Graph,
    scales: &'a [Option<Quantization>],
    graph: Graph,
    /// The new node of each old one.
    ids: Vec<NodeId>,
    /// The conversion of a node's output to bytes or f32.
    converted: HashMap<(NodeId, bool), NodeId>,
}

impl Builder<'_> {
    fn push(&mut self, node: Node) -> NodeId {
        self.graph.nodes.push(node);
        NodeId(self.graph.nodes.len() - 1)
    }

    /// The output of an old node as bytes or f32: converted if it is the other.
    fn input(&mut self, old: NodeId, bytes: bool) -> NodeId {
        let new = self.ids[old.0];
        let has = self.graph.node(new).precision.bytes();
        if has.is_some() == bytes {
            return new;
        }
        if let Some(&converted) = self.converted.get(&(old, bytes)) {
            return converted;
        }
        let (operation, output, ending) = match bytes {
            true => (Convert::Quantize, self.scales[old.0], "u8"),
            false => (Convert::Dequantize, None, "f32"),
        };
        let node = self.from.node(old);
        let id = self.push(Node {
            name: format!("{}/{ending}", node.name),
            operation: Arc::new(operation),
            inputs: vec![new],
            parameters: Vec::new(),
            output: node.output.clone(),
            epilogue: Epilogue::default(),
            precision: Precision::Int8 { output },
            frozen: node.frozen,
            origin: node.origin.clone(),
            fused_layers: Vec::new(),
            cuts: Vec::new(),
        });
        self.converted.insert((old, bytes), id);
        id
    }
}
