//! Which buffer each tensor stands in. Views share a buffer, slices are parts of one, branches write straight into their
//! concatenation, and a step may write over its input where nothing else needs that.

use super::{BufferHome, PendingStep};
use crate::graph::{Graph, Lowered, NodeId};
use crate::plan::steps::movement::CopyStep;
use crate::plan::{Kernel, Space};
use std::collections::HashMap;

/// Names a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(pub usize);

/// A buffer: floats of one image, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    pub floats: usize,
    pub home: BufferHome,
    /// Whether it has no batch: its floats are all there are.
    pub whole: bool,
}

/// A tensor in a buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorRef {
    pub buffer: BufferId,
    /// Floats before its first.
    pub channel_offset: usize,
    /// Floats between its rows; none where they follow each other, so that it may be cut into rows of any length.
    pub row_stride: Option<usize>,
}

/// Where a node is to write: a part of a concatenation.
#[derive(Clone, Copy, Debug)]
struct Destination {
    concatenation: NodeId,
    channel_offset: usize,
    rows: usize,
}

/// The buffers of a plan in the making.
#[derive(Debug)]
pub struct Placement<'g> {
    graph: &'g Graph,
    pub buffers: Vec<Buffer>,
    values: HashMap<NodeId, TensorRef>,
    destinations: HashMap<NodeId, Destination>,
    /// The rows and the length of a row of each concatenation that others write into.
    rows: HashMap<NodeId, usize>,
    consumers: Vec<Vec<NodeId>>,
    inputs: usize,
}

impl<'g> Placement<'g> {
    /// Looks which nodes can write straight into a concatenation; outer ones first, so that inner ones become parts of them.
    pub fn new(graph: &'g Graph, kind: impl Fn(NodeId) -> Result<Lowered, String>) -> Self {
        let mut destinations: HashMap<NodeId, Destination> = HashMap::new();
        let mut all_rows = HashMap::new();
        for id in graph.ids().rev().filter(|&id| !graph.node(id).inputs.is_empty()) {
            let Ok(Lowered::Concatenate { rows }) = kind(id) else { continue };
            all_rows.insert(id, rows);
            let mut channel_offset = 0;
            for &input in &graph.node(id).inputs {
                let len = graph.node(input).output.len().unwrap_or(0);
                let part = len / rows.max(1);
                let produces = !graph.node(input).inputs.is_empty()
                    && !graph.outputs.contains(&input)
                    && match kind(input) {
                        Ok(Lowered::Step(kernel) | Lowered::InPlace(kernel)) => {
                            rows == 1 || kernel.sizes().output.1 == part
                        }
                        Ok(Lowered::Concatenate { rows: inner }) => inner == rows,
                        _ => false,
                    };
                if produces {
                    destinations.entry(input).or_insert(Destination { concatenation: id, channel_offset, rows });
                }
                channel_offset += part;
            }
        }
        Placement {
            graph,
            buffers: Vec::new(),
            values: HashMap::new(),
            destinations,
            rows: all_rows,
            consumers: graph.consumers(),
            inputs: 0,
        }
    }

    fn buffer(&mut self, floats: usize, home: BufferHome) -> BufferId {
        self.buffers.push(Buffer { floats, home, whole: false });
        BufferId(self.buffers.len() - 1)
    }

    /// A buffer for what a node gives.
    fn buffer_of(&mut self, id: NodeId, home: BufferHome) -> BufferId {
        let whole = !self.graph.node(id).output.batched;
        self.buffers.push(Buffer { floats: self.floats(id), home, whole });
        BufferId(self.buffers.len() - 1)
    }

    /// Scratch of so many floats, whatever the batch is.
    pub fn scratch(&mut self, floats: usize) -> TensorRef {
        self.buffers.push(Buffer { floats, home: BufferHome::Arena, whole: true });
        TensorRef { buffer: BufferId(self.buffers.len() - 1), channel_offset: 0, row_stride: None }
    }

    fn floats(&self, id: NodeId) -> usize {
        self.graph.node(id).output.len().unwrap_or(0)
    }

    fn value(&self, id: NodeId) -> TensorRef {
        self.values.get(&id).copied().unwrap_or(TensorRef { buffer: BufferId(0), channel_offset: 0, row_stride: None })
    }

    /// Where a node writes: its part of a concatenation, or a buffer of its own.
    fn target(&mut self, id: NodeId) -> TensorRef {
        match self.destinations.get(&id).copied() {
            None => TensorRef { buffer: self.buffer_of(id, BufferHome::Arena), channel_offset: 0, row_stride: None },
            Some(Destination { concatenation, channel_offset, rows }) => {
                let whole = self.concatenation(concatenation);
                let row_stride = whole.row_stride.or((rows > 1).then(|| self.floats(concatenation) / rows));
                TensorRef { buffer: whole.buffer, channel_offset: whole.channel_offset + channel_offset, row_stride }
            }
        }
    }

    fn concatenation(&mut self, id: NodeId) -> TensorRef {
        if let Some(value) = self.values.get(&id) {
            return *value;
        }
        let value = self.target(id);
        self.values.insert(id, value);
        value
    }

    /// A node that the caller fills.
    pub fn input(&mut self, id: NodeId) {
        let buffer = self.buffer_of(id, BufferHome::Fixed(Space::Input(self.inputs)));
        self.inputs += 1;
        self.values.insert(id, TensorRef { buffer, channel_offset: 0, row_stride: None });
    }

    /// The same values in the same places; copied where they do not follow each other and are seen in other rows.
    pub fn view(&mut self, id: NodeId) -> Option<PendingStep> {
        let input = self.graph.node(id).inputs[0];
        let value = self.value(input);
        let same_rows = self.graph.node(id).output.channels() == self.graph.node(input).output.channels();
        if value.row_stride.is_none() || same_rows {
            self.values.insert(id, value);
            return None;
        }
        let target = self.target(id);
        self.values.insert(id, target);
        Some(self.copy(id, input, value, target))
    }

    /// Channels of a node, from one on.
    pub fn channels(&mut self, id: NodeId, from: usize) {
        let input = self.graph.node(id).inputs[0];
        let value = self.value(input);
        let width = self.graph.node(input).output.channels().known().unwrap_or(1);
        self.values.insert(
            id,
            TensorRef {
                buffer: value.buffer,
                channel_offset: value.channel_offset + from,
                row_stride: Some(value.row_stride.unwrap_or(width)),
            },
        );
    }

    /// A copy of a node's rows.
    fn copy(&self, id: NodeId, from: NodeId, value: TensorRef, target: TensorRef) -> PendingStep {
        let channels = self.graph.node(from).output.channels().known().unwrap_or(1);
        self.copy_rows(id, value, target, self.floats(from) / channels.max(1), channels)
    }

    fn copy_rows(
        &self,
        id: NodeId,
        value: TensorRef,
        target: TensorRef,
        pixels: usize,
        channels: usize,
    ) -> PendingStep {
        PendingStep {
            name: self.graph.node(id).name.clone(),
            kernel: Kernel::Copy(CopyStep { pixels, channels }),
            inputs: vec![value],
            output: target,
            in_place: false,
            layers: Vec::new(),
            parameters: Vec::new(),
            changed: Vec::new(),
            packed: None,
        }
    }

    /// Inputs beside each other: copies of those that did not write there themselves.
    pub fn concatenate(&mut self, id: NodeId, rows: usize) -> Vec<PendingStep> {
        let whole = self.concatenation(id);
        let row = whole.row_stride.unwrap_or(self.floats(id) / rows.max(1));
        let mut drafts = Vec::new();
        let mut channel_offset = whole.channel_offset;
        for &input in &self.graph.node(id).inputs.clone() {
            let part = self.floats(input) / rows.max(1);
            let value = self.value(input);
            let row_stride = (rows > 1 || whole.row_stride.is_some()).then_some(row);
            let target = TensorRef { buffer: whole.buffer, channel_offset, row_stride };
            if (value.buffer, value.channel_offset) != (target.buffer, target.channel_offset) {
                // What stands elsewhere in the concatenation (a branch that comes twice, a slice of another) and rows that are
                // part of longer ones, where the concatenation joins other rows, go by a buffer of their own.
                let channels = self.graph.node(input).output.channels().known().unwrap_or(1);
                let value = if value.buffer == target.buffer || value.row_stride.is_some() && part != channels {
                    let apart = TensorRef {
                        buffer: self.buffer(rows * part, BufferHome::Arena),
                        channel_offset: 0,
                        row_stride: None,
                    };
                    drafts.push(self.copy(id, input, value, apart));
                    apart
                } else {
                    value
                };
                drafts.push(self.copy_rows(id, value, target, rows, part));
            }
            channel_offset += part;
        }
        drafts
    }

    /// Whether nothing but `consumer` will look at the buffer of a node any more.
    fn is_last_use(&self, node: NodeId, consumer: NodeId) -> bool {
        let buffer = self.value(node).buffer;
        let looks = |id: NodeId| {
            let later = self.consumers[id.0].iter().any(|&other| other > consumer);
            let twice = self.consumers[id.0].iter().filter(|&&other| other == consumer).count() > 1;
            later || twice || self.graph.outputs.contains(&id)
        };
        let writers = self.values.iter().filter(|(_, value)| value.buffer == buffer);
        !writers.into_iter().any(|(&id, _)| looks(id) || id != node && self.consumers[id.0].contains(&consumer))
            // A concatenation that is not complete yet will be read.
            && !self.rows.keys().any(|id| self.values.get(id).is_some_and(|value| value.buffer == buffer))
    }

    /// A step that runs a kernel, over its first input where it may and nothing else needs that.
    pub fn step(&mut self, id: NodeId, kernel: Kernel, may_overwrite: bool) -> Vec<PendingStep> {
        let node = self.graph.node(id);
        let mut inputs: Vec<TensorRef> = node.inputs.iter().map(|&input| self.value(input)).collect();
        let first = inputs[0];
        let in_place = may_overwrite
            && !self.destinations.contains_key(&id)
            && self.buffers[first.buffer.0].home == BufferHome::Arena
            && self.buffers[first.buffer.0].whole != node.output.batched
            && self.is_last_use(node.inputs[0], id)
            && inputs[1..].iter().all(|value| value.buffer != first.buffer);
        let mut output = if in_place { first } else { self.target(id) };
        // A kernel may not read the buffer that it writes: such a branch goes to its concatenation by a copy.
        if !in_place && inputs.iter().any(|value| value.buffer == output.buffer) {
            self.destinations.remove(&id);
            output = self.target(id);
        }
        if in_place {
            inputs.remove(0);
        }
        self.values.insert(id, output);
        let mut drafts = Vec::new();
        // Kernels that take all values as one row need them to follow each other.
        let widths = kernel.sizes().widths(inputs.len(), in_place);
        for (place, (value, width)) in inputs.iter_mut().zip(widths).enumerate() {
            let producer = node.inputs[place + usize::from(in_place)];
            let natural = self.graph.node(producer).output.channels().known().unwrap_or(1);
            if value.row_stride.is_some() && width != natural {
                let dense = TensorRef {
                    buffer: self.buffer_of(producer, BufferHome::Arena),
                    channel_offset: 0,
                    row_stride: None,
                };
                drafts.push(self.copy(producer, producer, *value, dense));
                *value = dense;
            }
        }
        let (changed, parameters) = node.parameters.split_at(node.operation.changes().min(node.parameters.len()));
        drafts.push(PendingStep {
            name: node.name.clone(),
            kernel,
            inputs,
            output,
            in_place,
            layers: node.fused_layers.clone(),
            parameters: parameters.to_vec(),
            changed: changed.to_vec(),
            packed: None,
        });
        drafts
    }

    /// Lets the net's outputs be written where the caller wants them, by copies where a tensor is also something else.
    pub fn outputs(&mut self) -> Vec<PendingStep> {
        let mut drafts = Vec::new();
        for (index, &id) in self.graph.outputs.iter().enumerate() {
            let value = self.value(id);
            let buffer = self.buffers[value.buffer.0];
            let whole = value.channel_offset == 0 && value.row_stride.is_none() && buffer.floats == self.floats(id);
            let home = BufferHome::Fixed(Space::Output(index));
            if whole && buffer.home == BufferHome::Arena {
                self.buffers[value.buffer.0].home = home;
            } else {
                let target = TensorRef { buffer: self.buffer_of(id, home), channel_offset: 0, row_stride: None };
                drafts.push(self.copy(id, id, value, target));
            }
        }
        drafts
    }
}
