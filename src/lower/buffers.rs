//! Assignment of tensors to buffers. Views share a buffer, slices are parts of one, branches write directly into their
//! concatenation, and a step may overwrite its input if no other node reads that.

use crate::graph::{Graph, Lowered, NodeId, ParameterId};
use crate::plan::steps::int8::convert::{Conversion, ConvertStep};
use crate::plan::steps::movement::CopyStep;
use crate::plan::{Format, Kernel, Space};
use std::collections::HashMap;

/// Names a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(pub usize);

/// The memory of a buffer: an input or output of the net, or the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferHome {
    Fixed(Space),
    Arena,
}

impl BufferHome {
    pub fn fixed(self) -> Option<Space> {
        match self {
            BufferHome::Fixed(space) => Some(space),
            BufferHome::Arena => None,
        }
    }
}

/// A buffer of one image.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    pub values: usize,
    pub format: Format,
    pub home: BufferHome,
    /// Whether it has no batch.
    pub is_unbatched: bool,
}

impl Buffer {
    /// The floats (words) of memory that it takes.
    pub fn floats(&self) -> usize {
        self.format.words(self.values)
    }
}

/// A tensor in a buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorRef {
    pub buffer: BufferId,
    /// Values before its first one in a row of the buffer.
    pub channel_offset: usize,
    /// Values from one row to the next; `None` if there are no gaps, so that it may be split into rows of any length.
    pub row_stride: Option<usize>,
}

/// A step whose tensors have buffers, but no offsets yet.
#[derive(Debug)]
pub struct PendingStep {
    pub name: String,
    pub kernel: Kernel,
    pub inputs: Vec<TensorRef>,
    pub output: TensorRef,
    pub in_place: bool,
    pub layers: Vec<String>,
    pub parameters: Vec<ParameterId>,
    /// Parameters that it changes.
    pub changed: Vec<ParameterId>,
    /// Its parameters as an earlier step packs them.
    pub packed: Option<TensorRef>,
}

impl PendingStep {
    pub fn buffers(&self) -> impl Iterator<Item = BufferId> + '_ {
        self.inputs.iter().chain(std::iter::once(&self.output)).chain(&self.packed).map(|value| value.buffer)
    }
}

/// The part of a concatenation that a node writes.
#[derive(Clone, Copy, Debug)]
struct Destination {
    concatenation: NodeId,
    channel_offset: usize,
    rows: usize,
}

/// The assignment of tensors to buffers.
#[derive(Debug)]
pub struct Placement<'g> {
    graph: &'g Graph,
    pub buffers: Vec<Buffer>,
    values: HashMap<NodeId, TensorRef>,
    destinations: HashMap<NodeId, Destination>,
    /// The number of rows of each concatenation that other nodes write into.
    rows: HashMap<NodeId, usize>,
    consumers: Vec<Vec<NodeId>>,
    inputs: usize,
}

impl<'g> Placement<'g> {
    /// Finds the nodes that can write directly into a concatenation: outer ones first, so that inner ones become parts of them.
    pub fn new(graph: &'g Graph, kind: impl Fn(NodeId) -> Result<Lowered, String>) -> Self {
        let consumers = graph.consumers();
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
                // Others read the part by pixels, whose rows are not these where images are joined along another axis.
                let is_read = consumers[input.0].len() > 1;
                let has_gaps = rows > 1 && graph.node(input).output.channels().known() != Some(part);
                if produces && !(is_read && has_gaps) {
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
            consumers,
            inputs: 0,
        }
    }

    fn buffer(&mut self, values: usize, format: Format) -> BufferId {
        self.buffers.push(Buffer { values, format, home: BufferHome::Arena, is_unbatched: false });
        BufferId(self.buffers.len() - 1)
    }

    /// A buffer for a node's output.
    fn buffer_of(&mut self, id: NodeId, home: BufferHome) -> BufferId {
        let is_unbatched = !self.graph.node(id).output.batched;
        let format = Format::of(self.graph.node(id).precision.bytes());
        self.buffers.push(Buffer { values: self.len(id), format, home, is_unbatched });
        BufferId(self.buffers.len() - 1)
    }

    /// Scratch of some floats, independent of the batch.
    pub fn scratch(&mut self, floats: usize) -> TensorRef {
        self.buffers.push(Buffer { values: floats, format: Format::F32, home: BufferHome::Arena, is_unbatched: true });
        TensorRef { buffer: BufferId(self.buffers.len() - 1), channel_offset: 0, row_stride: None }
    }

    fn len(&self, id: NodeId) -> usize {
        self.graph.node(id).output.len().unwrap_or(0)
    }

    fn value(&self, id: NodeId) -> TensorRef {
        self.values.get(&id).copied().unwrap_or(TensorRef { buffer: BufferId(0), channel_offset: 0, row_stride: None })
    }

    /// The tensor that a node writes: its part of a concatenation, or a new buffer.
    fn target(&mut self, id: NodeId) -> TensorRef {
        match self.destinations.get(&id).copied() {
            None => TensorRef { buffer: self.buffer_of(id, BufferHome::Arena), channel_offset: 0, row_stride: None },
            Some(Destination { concatenation, channel_offset, rows }) => {
                let target = self.concatenation(concatenation);
                let row_stride = target.row_stride.or((rows > 1).then(|| self.len(concatenation) / rows));
                TensorRef { buffer: target.buffer, channel_offset: target.channel_offset + channel_offset, row_stride }
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

    /// Places an input of the net, which the caller fills.
    pub fn input(&mut self, id: NodeId) {
        let buffer = self.buffer_of(id, BufferHome::Fixed(Space::Input(self.inputs)));
        self.inputs += 1;
        self.values.insert(id, TensorRef { buffer, channel_offset: 0, row_stride: None });
    }

    /// Places a view of the same values. It needs a copy if the values have gaps and the view has other rows.
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

    /// Places a view of a node's channels, from one on.
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

    /// A step that copies a node's rows.
    fn copy(&self, id: NodeId, from: NodeId, value: TensorRef, target: TensorRef) -> PendingStep {
        let channels = self.graph.node(from).output.channels().known().unwrap_or(1);
        self.copy_rows(id, value, target, self.len(from) / channels.max(1), channels)
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
            kernel: match self.graph.node(id).precision.bytes() {
                None => Kernel::Copy(CopyStep { pixels, channels }),
                Some(bytes) => Kernel::Convert(ConvertStep { pixels, channels, conversion: Conversion::Copy, bytes }),
            },
            inputs: vec![value],
            output: target,
            in_place: false,
            layers: Vec::new(),
            parameters: Vec::new(),
            changed: Vec::new(),
            packed: None,
        }
    }

    /// Places a concatenation. Returns copies of the inputs that did not write into it directly.
    pub fn concatenate(&mut self, id: NodeId, rows: usize) -> Vec<PendingStep> {
        let joint = self.concatenation(id);
        let row = joint.row_stride.unwrap_or(self.len(id) / rows.max(1));
        let mut steps = Vec::new();
        let mut channel_offset = joint.channel_offset;
        for &input in &self.graph.node(id).inputs.clone() {
            let part = self.len(input) / rows.max(1);
            let value = self.value(input);
            let row_stride = (rows > 1 || joint.row_stride.is_some()).then_some(row);
            let target = TensorRef { buffer: joint.buffer, channel_offset, row_stride };
            if (value.buffer, value.channel_offset) != (target.buffer, target.channel_offset) {
                // A tensor elsewhere in the same concatenation (a branch used twice, a slice of another one), and rows with
                // gaps that the concatenation splits differently, are copied through a separate buffer.
                let channels = self.graph.node(input).output.channels().known().unwrap_or(1);
                let value = if value.buffer == target.buffer || value.row_stride.is_some() && part != channels {
                    let separate = TensorRef {
                        buffer: self.buffer(rows * part, self.buffers[value.buffer.0].format),
                        channel_offset: 0,
                        row_stride: None,
                    };
                    steps.push(self.copy(id, input, value, separate));
                    separate
                } else {
                    value
                };
                steps.push(self.copy_rows(id, value, target, rows, part));
            }
            channel_offset += part;
        }
        steps
    }

    /// Whether no node after `consumer` reads the buffer of a node, and `consumer` reads it once.
    fn is_last_use(&self, node: NodeId, consumer: NodeId) -> bool {
        let buffer = self.value(node).buffer;
        let is_read = |id: NodeId| {
            let later = self.consumers[id.0].iter().any(|&other| other > consumer);
            let twice = self.consumers[id.0].iter().filter(|&&other| other == consumer).count() > 1;
            later || twice || self.graph.outputs.contains(&id)
        };
        let writers = self.values.iter().filter(|(_, value)| value.buffer == buffer);
        !writers.into_iter().any(|(&id, _)| is_read(id) || id != node && self.consumers[id.0].contains(&consumer))
            // An incomplete concatenation will be read later.
            && !self.rows.keys().any(|id| self.values.get(id).is_some_and(|value| value.buffer == buffer))
    }

    /// Places a step that runs a kernel: in place of its first input if that is allowed and no other node reads it.
    pub fn step(&mut self, id: NodeId, kernel: Kernel, may_overwrite: bool) -> Vec<PendingStep> {
        let node = self.graph.node(id);
        let mut inputs: Vec<TensorRef> = node.inputs.iter().map(|&input| self.value(input)).collect();
        let first = inputs[0];
        let in_place = may_overwrite
            && !self.destinations.contains_key(&id)
            && self.buffers[first.buffer.0].home == BufferHome::Arena
            && self.buffers[first.buffer.0].is_unbatched != node.output.batched
            && self.is_last_use(node.inputs[0], id)
            && inputs[1..].iter().all(|value| value.buffer != first.buffer);
        let mut output = if in_place { first } else { self.target(id) };
        // A kernel may not read the buffer that it writes: such a branch is copied into its concatenation.
        if !in_place && inputs.iter().any(|value| value.buffer == output.buffer) {
            self.destinations.remove(&id);
            output = self.target(id);
        }
        if in_place {
            inputs.remove(0);
        }
        self.values.insert(id, output);
        let mut steps = Vec::new();
        // Kernels that read all values as one row need them without gaps.
        let widths = kernel.sizes().widths(inputs.len(), in_place);
        for (index, (value, width)) in inputs.iter_mut().zip(widths).enumerate() {
            let producer = node.inputs[index + usize::from(in_place)];
            let natural = self.graph.node(producer).output.channels().known().unwrap_or(1);
            if value.row_stride.is_some() && width != natural {
                let dense = TensorRef {
                    buffer: self.buffer_of(producer, BufferHome::Arena),
                    channel_offset: 0,
                    row_stride: None,
                };
                steps.push(self.copy(producer, producer, *value, dense));
                *value = dense;
            }
        }
        let (changed, parameters) = node.parameters.split_at(node.operation.changes().min(node.parameters.len()));
        steps.push(PendingStep {
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
        steps
    }

    /// Moves the net's outputs to the caller's memory, by a copy if the buffer is used otherwise too.
    pub fn outputs(&mut self) -> Vec<PendingStep> {
        let mut steps = Vec::new();
        for (index, &id) in self.graph.outputs.iter().enumerate() {
            let value = self.value(id);
            let buffer = self.buffers[value.buffer.0];
            let is_entire = value.channel_offset == 0 && value.row_stride.is_none() && buffer.values == self.len(id);
            let home = BufferHome::Fixed(Space::Output(index));
            if is_entire && buffer.home == BufferHome::Arena {
                self.buffers[value.buffer.0].home = home;
            } else {
                let target = TensorRef { buffer: self.buffer_of(id, home), channel_offset: 0, row_stride: None };
                steps.push(self.copy(id, id, value, target));
            }
        }
        steps
    }
}
