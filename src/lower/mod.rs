//! Lowering of a graph to a plan: the kernel of each layer, the buffer of each tensor, the algorithm of each kernel.

mod algorithm_overrides;
mod arena_layout;
pub mod autotune;
mod buffers;
mod cost_model;
mod explain;
mod fuse_convolutions;
pub mod memory_budget;
mod micro_batches;

use crate::diagnostics::{Code, Diagnostic, Result};
use crate::graph::{Graph, Int8Lowering, Lowered, Lowering, NodeId, ParameterId, Precision};
use crate::kernels::conv::algorithm::Rounding;
use crate::kernels::gemm::Backend;
use crate::plan::kernel::RepackStep;
use crate::plan::kernel_step::CONSTANT_ALIGNMENT;
use crate::plan::steps::dense::Storage;
use crate::plan::{Constant, Format, Kernel, Operand, Plan, Port, Source, Space, Stage, Step};
pub use algorithm_overrides::AlgorithmOverrides;
use buffers::{PendingStep, Placement, TensorRef};
use cost_model::ConvolutionCosts;
pub use explain::explain;
use std::collections::HashMap;
use std::ops::Range;

/// How a graph is lowered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Only algorithms that round like the direct one are allowed.
    pub exact: bool,
    /// The parameters that training changes, for a training plan.
    pub state: Option<&'a State>,
    /// The maximum number of images of a micro-batch.
    pub micro_batch: Option<usize>,
    /// Algorithms to use in place of those of the cost model.
    pub overrides: Option<&'a AlgorithmOverrides>,
    /// What is rounded to bf16.
    pub bf16: Bf16Use,
    /// Each layer is a step of its own, so that a session can capture its output.
    pub separate: bool,
}

/// What a plan rounds to bf16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bf16Use {
    #[default]
    Never,
    /// The weights of dense layers, which are multiplied in f32.
    DenseWeights,
    /// The inputs and weights of dense layers, and of convolutions where that is faster; sums are in f32.
    Products,
}

impl Options<'_> {
    /// The algorithms that are allowed.
    pub fn rounding(&self) -> Rounding {
        match (self.exact, self.bf16) {
            (true, _) => Rounding::Direct,
            (false, Bf16Use::Products) => Rounding::Bf16,
            (false, _) => Rounding::Transformed,
        }
    }

    /// Options for inference.
    pub fn inference(exact: bool) -> Self {
        Options { exact, ..Options::default() }
    }
}

/// The layout of the mutable state that training plans share, and the size of their batches.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Named by the paths of the parameters.
    pub tensors: Vec<Constant>,
    pub batch: usize,
}

impl State {
    /// Lays out all parameters of a graph that are not frozen.
    pub fn of(graph: &Graph, batch: usize) -> Self {
        let mut state = State { tensors: Vec::new(), batch };
        let mut offset = 0;
        for parameter in graph.parameters.iter().filter(|parameter| !parameter.frozen) {
            state.tensors.push(Constant { name: parameter.path(), offset, len: parameter.len() });
            offset += parameter.len().next_multiple_of(CONSTANT_ALIGNMENT);
        }
        state
    }

    /// Finds a tensor by its path.
    pub fn find(&self, path: &str) -> Option<&Constant> {
        self.tensors.iter().find(|tensor| tensor.name == path)
    }
}

/// How some constants of a plan are made: the parameters that a step packs.
#[derive(Clone, Debug)]
pub struct ConstantPacking {
    /// The step whose kernel packs them.
    pub step: usize,
    pub parameters: Vec<ParameterId>,
    /// The indices of the packed constants, in order.
    pub constants: Vec<usize>,
}

/// A plan, and how its constants are made.
#[derive(Debug)]
pub struct Compiled {
    pub plan: Plan,
    pub packings: Vec<ConstantPacking>,
}

/// Lowers a graph.
///
/// # Errors
/// If a size is open, or a layer has no kernel for its settings.
pub fn lower(graph: &Graph, options: Options<'_>) -> Result<Compiled> {
    check_sizes(graph)?;
    let costs = ConvolutionCosts::of_graph(graph, options.rounding());
    let mut placement = Placement::new(graph, |id| lower_node(graph, id, options));
    let mut steps: Vec<PendingStep> = Vec::new();
    for id in graph.ids() {
        let node = graph.node(id);
        let lowered = match node.inputs.is_empty() {
            true => None,
            false => Some(lower_node(graph, id, options).map_err(|reason| unsupported(graph, id, &reason))?),
        };
        match lowered {
            None => placement.input(id),
            Some(Lowered::View) => {
                let copy = placement.view(id);
                steps.extend(copy);
            }
            Some(Lowered::Channels(from)) => placement.channels(id, from),
            Some(Lowered::Concatenate { rows }) => steps.extend(placement.concatenate(id, rows)),
            Some(Lowered::Step(kernel)) => steps.extend(placement.step(id, kernel, false)),
            Some(Lowered::InPlace(kernel)) => steps.extend(placement.step(id, kernel, true)),
        }
    }
    steps.extend(placement.outputs());
    steps = match options.state {
        Some(state) => pack_state(graph, steps, &mut placement, state, &costs),
        None if options.separate => steps,
        None => fuse_convolutions::fuse(steps, &placement, &costs),
    };
    Ok(assemble(graph, steps, &placement, &costs, options))
}

/// Inserts a step that packs parameters before each step that reads them in another order, if training changes them.
fn pack_state(
    graph: &Graph,
    steps: Vec<PendingStep>,
    placement: &mut Placement<'_>,
    state: &State,
    costs: &ConvolutionCosts,
) -> Vec<PendingStep> {
    let mut all = Vec::with_capacity(steps.len());
    for mut pending_step in steps {
        if let Kernel::Convolution(step) = &mut pending_step.kernel {
            costs.choose(step, state.batch.min(cost_model::MAX_IMAGES));
        }
        let changes = pending_step.parameters.first().is_some_and(|id| !graph.parameters[id.0].frozen);
        if let (true, Kernel::Dense(step)) = (changes, &mut pending_step.kernel) {
            step.weights = if cost_model::reads_raw(step) { Storage::Raw } else { Storage::Packed };
        }
        cost_model::backend(&mut pending_step.kernel, state.batch);
        if changes && pending_step.kernel.needs_packing() {
            let kernel = RepackStep::new(pending_step.kernel.clone(), graph_lengths(graph, &pending_step.parameters));
            let packed = placement.scratch(kernel.floats());
            pending_step.packed = Some(packed);
            all.push(PendingStep {
                name: pending_step.name.clone(),
                kernel: Kernel::Repack(kernel),
                inputs: Vec::new(),
                output: packed,
                in_place: false,
                layers: Vec::new(),
                parameters: std::mem::take(&mut pending_step.parameters),
                changed: Vec::new(),
                packed: None,
            });
        }
        all.push(pending_step);
    }
    all
}

fn graph_lengths(graph: &Graph, parameters: &[ParameterId]) -> Vec<usize> {
    parameters.iter().map(|id| graph.parameters[id.0].len()).collect()
}

/// What a node becomes in a plan; `None` if it has no kernel for its settings.
pub(crate) fn lowered(graph: &Graph, id: NodeId) -> Option<Lowered> {
    lower_node(graph, id, Options::default()).ok()
}

/// The kernel of a node's step, if it has one of its own.
pub(crate) fn kernel(graph: &Graph, id: NodeId) -> Option<Kernel> {
    match lowered(graph, id)? {
        Lowered::Step(kernel) | Lowered::InPlace(kernel) => Some(kernel),
        _ => None,
    }
}

fn lower_node(graph: &Graph, id: NodeId, options: Options<'_>) -> std::result::Result<Lowered, String> {
    let node = graph.node(id);
    let mut inputs: Vec<Vec<usize>> = graph.input_types(id).into_iter().filter_map(|ty| ty.known()).collect();
    if node.epilogue.residual {
        inputs.pop();
    }
    let cx = Lowering { inputs, epilogue: node.epilogue, exact: options.exact };
    match node.precision {
        Precision::F32 => node.operation.lower(&cx),
        Precision::Int8 { output } => {
            let inputs = node.inputs.iter().map(|&input| graph.node(input).precision.bytes()).collect();
            let formats = Int8Lowering { inputs, output };
            node.operation.lower_int8(&cx, &formats).ok_or_else(|| "it cannot be computed on bytes".into())
        }
    }
}

/// Checks that all sizes are known, as a plan needs.
fn check_sizes(graph: &Graph) -> Result<()> {
    match graph.nodes.iter().find(|node| node.output.known().is_none()) {
        None => Ok(()),
        Some(node) => Err(Diagnostic::new(
            Code::OpenSize,
            format!("`{}` gives {}, but a plan needs every size", node.name, node.output),
        )
        .at(node.origin.span, "its size is open")
        .help("give the net's `Input` numbers instead of `?`")
        .into()),
    }
}

fn unsupported(graph: &Graph, id: NodeId, reason: &str) -> Diagnostic {
    let node = graph.node(id);
    Diagnostic::new(Code::Unsupported, format!("`{}` cannot be compiled: {reason}", node.name))
        .at(node.origin.span, "this layer")
}

fn assemble(
    graph: &Graph,
    steps: Vec<PendingStep>,
    placement: &Placement,
    costs: &ConvolutionCosts,
    options: Options<'_>,
) -> Compiled {
    // A training step reads the entire batch.
    let row_like = |pending_step: &&PendingStep| options.state.is_some() || is_row_like(&pending_step.kernel);
    let rows = steps.len() - steps.iter().rev().take_while(row_like).count();
    let stages = micro_batches::stages(&steps, placement, rows, costs, options.micro_batch);
    let arena = arena_layout::plan(&steps, placement, &stages);
    let stage = |((steps, in_chunks), &floats): (&(Range<usize>, bool), &usize)| Stage {
        steps: steps.len(),
        micro_batch: in_chunks
            .then(|| cost_model::micro_batch(floats).min(options.micro_batch.unwrap_or(usize::MAX)).max(1)),
        floats,
    };
    let port = |(id, name): (NodeId, String)| Port {
        name,
        sizes: graph.node(id).output.known().unwrap_or_default(),
        unbatched: !graph.node(id).output.batched,
    };
    let mut plan = Plan {
        name: graph.name.clone(),
        inputs: graph.inputs().into_iter().map(|id| port((id, graph.node(id).name.clone()))).collect(),
        outputs: graph.outputs.iter().copied().zip(graph.output_names()).map(port).collect(),
        steps: Vec::with_capacity(steps.len()),
        stages: stages.iter().zip(&arena.chunk_floats).map(stage).collect(),
        batch_floats: arena.batch_floats,
        lower_bound: arena.lower_bound,
        unbatched_floats: arena.unbatched_floats,
        constants: Vec::new(),
        state: options.state.map_or_else(Vec::new, |state| state.tensors.clone()),
        macs: graph.ids().map(|id| graph.macs(id)).sum(),
    };
    let mut packings: Vec<ConstantPacking> = Vec::new();
    let mut packed = Packed::new();
    for pending_step in steps {
        let mut kernel = pending_step.kernel;
        match (&mut kernel, options.state) {
            (Kernel::Convolution(step), None) => {
                let chunk = plan.micro_batch(plan.steps.len());
                let fixed = options.overrides.and_then(|overrides| overrides.find(step, chunk, options.rounding()));
                match fixed {
                    Some(algorithm) => step.algorithm = algorithm,
                    None => costs.choose(step, chunk),
                }
            }
            (Kernel::Dense(step), None) => {
                let fixed = options.overrides.and_then(|overrides| overrides.find_dense(step));
                (step.weights, step.backend) = match options.bf16 {
                    Bf16Use::Never => fixed.unwrap_or_default(),
                    Bf16Use::DenseWeights => (Storage::Bf16, Backend::default()),
                    Bf16Use::Products => (Storage::Bf16Products, Backend::default()),
                };
            }
            _ => {}
        }
        let sizes = kernel.sizes();
        let widths = sizes.widths(pending_step.inputs.len(), pending_step.in_place);
        let operand = |value: &TensorRef, width: usize| arena.operand(placement, value, width);
        let inputs: Vec<Operand> =
            pending_step.inputs.iter().zip(widths).map(|(value, width)| operand(value, width)).collect();
        let output = operand(&pending_step.output, sizes.output.1);
        let in_state = |id: &ParameterId| state_operand(graph, options.state, *id);
        let constants = match &pending_step.packed {
            Some(value) => packed_constants(&kernel, operand(value, 0)),
            None => match pending_step.parameters.iter().map(in_state).collect::<Option<Vec<Operand>>>() {
                Some(list) if !list.is_empty() => list.into_iter().map(Source::Memory).collect(),
                _ => {
                    let list = add_constants(
                        &mut plan,
                        &mut packings,
                        &mut packed,
                        &pending_step.name,
                        &kernel,
                        pending_step.parameters,
                    );
                    list.into_iter().map(Source::Constant).collect()
                }
            },
        };
        let state = pending_step.changed.iter().filter_map(in_state).collect();
        plan.steps.push(Step {
            name: pending_step.name,
            kernel,
            inputs,
            constants,
            state,
            output,
            in_place: pending_step.in_place,
            layers: pending_step.layers,
        });
    }
    Compiled { plan, packings }
}

/// The operand of a parameter in the state.
fn state_operand(graph: &Graph, state: Option<&State>, id: ParameterId) -> Option<Operand> {
    let parameter = &graph.parameters[id.0];
    let tensor = state?.find(&parameter.path()).filter(|_| !parameter.frozen)?;
    Some(unbatched_operand(Space::State, tensor.offset, tensor.len))
}

/// The constants of a kernel as an earlier step packs them, one after the other.
fn packed_constants(kernel: &Kernel, packed: Operand) -> Vec<Source> {
    let mut offset = packed.offset;
    let mut place = |len: usize| {
        let operand = unbatched_operand(packed.space, offset, len);
        offset += len.next_multiple_of(CONSTANT_ALIGNMENT);
        Source::Memory(operand)
    };
    kernel.constants().into_iter().map(&mut place).collect()
}

fn unbatched_operand(space: Space, offset: usize, len: usize) -> Operand {
    Operand { space, offset, batch_stride: len, channel_offset: 0, row_stride: len, format: Format::F32 }
}

/// The indices of the packings of the same parameters.
type Packed = HashMap<Vec<ParameterId>, Vec<usize>>;

/// The constants of a step: those of an earlier step that packs the same parameters in the same way, or new ones.
fn add_constants(
    plan: &mut Plan,
    packings: &mut Vec<ConstantPacking>,
    packed: &mut Packed,
    name: &str,
    kernel: &Kernel,
    parameters: Vec<ParameterId>,
) -> Vec<usize> {
    if parameters.is_empty() {
        return Vec::new();
    }
    let places = packed.entry(parameters.clone()).or_default();
    let same = |place: &&usize| plan.steps[packings[**place].step].kernel == *kernel;
    if let Some(&place) = places.iter().find(same) {
        return packings[place].constants.clone();
    }
    places.push(packings.len());
    let mut constants = Vec::new();
    for (index, len) in kernel.constants().into_iter().enumerate() {
        constants.push(plan.constants.len());
        let offset = plan.constant_floats().next_multiple_of(CONSTANT_ALIGNMENT);
        plan.constants.push(Constant { name: format!("{name}/{index}"), offset, len });
    }
    packings.push(ConstantPacking { step: plan.steps.len(), parameters, constants: constants.clone() });
    constants
}

/// Whether a kernel works on rows of features, so that its weights are read once for the entire batch.
fn is_row_like(kernel: &Kernel) -> bool {
    matches!(kernel, Kernel::Dense(_)) || kernel.sizes().are_rows()
}
