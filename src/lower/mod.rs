//! Graph to plan: what each layer becomes, where each tensor stands, which algorithm computes it.

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
use crate::graph::{Graph, Lowered, Lowering, NodeId, ParameterId};
use crate::plan::kernel::RepackStep;
use crate::plan::kernel_step::CONSTANT_ALIGNMENT;
use crate::plan::steps::dense::Storage;
use crate::plan::{Constant, Kernel, Operand, Plan, Port, Source, Space, Stage, Step};
pub use algorithm_overrides::AlgorithmOverrides;
use buffers::{BufferId, Placement, TensorRef};
pub use explain::why;
use std::collections::HashMap;
use std::ops::Range;

/// What a plan is made for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Forbids algorithms that round otherwise than the direct one.
    pub exact: bool,
    /// Parameters that training changes, for the plans of training.
    pub state: Option<&'a State>,
    /// Images of a chunk at the most.
    pub chunk: Option<usize>,
    /// Algorithms that are settled.
    pub settled: Option<&'a AlgorithmOverrides>,
    /// Weights of dense layers in bf16.
    pub half: bool,
}

impl Options<'_> {
    /// For prediction.
    pub fn inference(exact: bool) -> Self {
        Options { exact, ..Options::default() }
    }
}

/// What the plans of training share: where everything stands that they change, and how large their batches are.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// By the paths of parameters.
    pub tensors: Vec<Constant>,
    pub batch: usize,
}

impl State {
    /// The state of all parameters of a graph that are not frozen.
    pub fn of(graph: &Graph, batch: usize) -> Self {
        let mut state = State { tensors: Vec::new(), batch };
        let mut offset = 0;
        for parameter in graph.parameters.iter().filter(|parameter| !parameter.frozen) {
            state.tensors.push(Constant { name: parameter.path(), offset, len: parameter.len() });
            offset += parameter.len().next_multiple_of(CONSTANT_ALIGNMENT);
        }
        state
    }

    /// The tensor of a path.
    pub fn find(&self, path: &str) -> Option<&Constant> {
        self.tensors.iter().find(|tensor| tensor.name == path)
    }
}

/// How a plan's constants are made: which parameters each step packs.
#[derive(Clone, Debug)]
pub struct ConstantPacking {
    /// The step whose kernel packs them.
    pub step: usize,
    pub parameters: Vec<ParameterId>,
    /// The constants that come out, in order.
    pub constants: Vec<usize>,
}

/// A plan, and how its constants are made.
#[derive(Debug)]
pub struct Compiled {
    pub plan: Plan,
    pub recipes: Vec<ConstantPacking>,
}

/// A step whose tensors are named but not placed.
#[derive(Debug)]
struct PendingStep {
    name: String,
    kernel: Kernel,
    inputs: Vec<TensorRef>,
    output: TensorRef,
    in_place: bool,
    layers: Vec<String>,
    parameters: Vec<ParameterId>,
    /// Parameters that it changes.
    changed: Vec<ParameterId>,
    /// Where another step has packed its parameters.
    packed: Option<TensorRef>,
}

/// Lowers a graph.
pub fn lower(graph: &Graph, options: Options<'_>) -> Result<Compiled> {
    check_sizes(graph)?;
    let mut placement = Placement::new(graph, |id| kind(graph, id, options));
    let mut drafts: Vec<PendingStep> = Vec::new();
    for id in graph.ids() {
        let node = graph.node(id);
        let lowered = match node.inputs.is_empty() {
            true => None,
            false => Some(kind(graph, id, options).map_err(|reason| unsupported(graph, id, &reason))?),
        };
        match lowered {
            None => placement.input(id),
            Some(Lowered::View) => {
                let copy = placement.view(id);
                drafts.extend(copy);
            }
            Some(Lowered::Channels(from)) => placement.channels(id, from),
            Some(Lowered::Concatenate { rows }) => drafts.extend(placement.concatenate(id, rows)),
            Some(Lowered::Step(kernel)) => drafts.extend(placement.step(id, kernel, false)),
            Some(Lowered::InPlace(kernel)) => drafts.extend(placement.step(id, kernel, true)),
        }
    }
    drafts.extend(placement.outputs());
    drafts = match options.state {
        Some(state) => pack_state(graph, drafts, &mut placement, state, options.exact),
        None => fuse_convolutions::join(drafts, &placement, options),
    };
    Ok(assemble(graph, drafts, &placement, options))
}

/// Puts steps that pack parameters that change before the steps that use them, where the kernel wants another order.
fn pack_state(
    graph: &Graph,
    drafts: Vec<PendingStep>,
    placement: &mut Placement<'_>,
    state: &State,
    exact: bool,
) -> Vec<PendingStep> {
    let mut all = Vec::with_capacity(drafts.len());
    for mut draft in drafts {
        if let Kernel::Convolution(step) = &mut draft.kernel {
            cost_model::convolution(step, state.batch.min(cost_model::MAX_IMAGES), exact);
        }
        let changes = draft.parameters.first().is_some_and(|id| !graph.parameters[id.0].frozen);
        if let (true, Kernel::Dense(step)) = (changes, &mut draft.kernel) {
            step.weights = if cost_model::reads_raw(step) { Storage::Raw } else { Storage::Packed };
        }
        cost_model::backend(&mut draft.kernel, state.batch);
        if changes && draft.kernel.needs_packing() {
            let kernel = RepackStep::new(draft.kernel.clone(), graph_lengths(graph, &draft.parameters));
            let packed = placement.scratch(kernel.floats());
            draft.packed = Some(packed);
            all.push(PendingStep {
                name: draft.name.clone(),
                kernel: Kernel::Repack(kernel),
                inputs: Vec::new(),
                output: packed,
                in_place: false,
                layers: Vec::new(),
                parameters: std::mem::take(&mut draft.parameters),
                changed: Vec::new(),
                packed: None,
            });
        }
        all.push(draft);
    }
    all
}

fn graph_lengths(graph: &Graph, parameters: &[ParameterId]) -> Vec<usize> {
    parameters.iter().map(|id| graph.parameters[id.0].len()).collect()
}

fn kind(graph: &Graph, id: NodeId, options: Options<'_>) -> std::result::Result<Lowered, String> {
    let node = graph.node(id);
    let mut inputs: Vec<Vec<usize>> = graph.input_types(id).into_iter().filter_map(|ty| ty.known()).collect();
    if node.epilogue.residual {
        inputs.pop();
    }
    node.operation.lower(&Lowering { inputs, epilogue: node.epilogue, exact: options.exact })
}

/// A plan needs every size.
fn check_sizes(graph: &Graph) -> Result<()> {
    match graph.nodes.iter().find(|node| node.output.known().is_none()) {
        None => Ok(()),
        Some(node) => Err(Diagnostic::new(
            Code::OpenSize,
            format!("`{}` gives {}: a plan needs every size", node.name, node.output),
        )
        .at(node.origin.span, "its size is open")
        .help("give the net's `Input` numbers in place of `?`")
        .into()),
    }
}

fn unsupported(graph: &Graph, id: NodeId, reason: &str) -> Diagnostic {
    let node = graph.node(id);
    Diagnostic::new(Code::Unsupported, format!("`{}` cannot be compiled: {reason}", node.name))
        .at(node.origin.span, "this layer")
}

fn assemble(graph: &Graph, drafts: Vec<PendingStep>, placement: &Placement, options: Options<'_>) -> Compiled {
    // A step of training looks at the whole batch.
    let row_like = |draft: &&PendingStep| options.state.is_some() || is_row_like(&draft.kernel);
    let rows = drafts.len() - drafts.iter().rev().take_while(row_like).count();
    let stages = micro_batches::stages(&drafts, placement, rows, options);
    let arena = arena_layout::plan(&drafts, placement, &stages);
    let stage = |((steps, in_chunks), &floats): (&(Range<usize>, bool), &usize)| Stage {
        steps: steps.len(),
        micro_batch: in_chunks.then(|| cost_model::chunk(floats).min(options.chunk.unwrap_or(usize::MAX)).max(1)),
        floats,
    };
    let port = |id: NodeId| Port {
        name: graph.node(id).name.clone(),
        sizes: graph.node(id).output.known().unwrap_or_default(),
        unbatched: !graph.node(id).output.batched,
    };
    let mut plan = Plan {
        name: graph.name.clone(),
        inputs: graph.inputs().into_iter().map(port).collect(),
        outputs: graph.outputs.iter().copied().map(port).collect(),
        steps: Vec::with_capacity(drafts.len()),
        stages: stages.iter().zip(&arena.chunk_floats).map(stage).collect(),
        batch_floats: arena.batch_floats,
        lower_bound: arena.lower_bound,
        unbatched_floats: arena.unbatched_floats,
        constants: Vec::new(),
        state: options.state.map_or_else(Vec::new, |state| state.tensors.clone()),
        macs: graph.ids().map(|id| graph.macs(id)).sum(),
    };
    let mut recipes: Vec<ConstantPacking> = Vec::new();
    let mut packed = Packed::new();
    for draft in drafts {
        let mut kernel = draft.kernel;
        match (&mut kernel, options.state) {
            (Kernel::Convolution(step), None) => {
                let chunk = plan.micro_batch(plan.steps.len());
                let settled = options.settled.and_then(|settled| settled.find(step, chunk, options.exact));
                match settled {
                    Some(algorithm) => step.algorithm = algorithm,
                    None => cost_model::convolution(step, chunk, options.exact),
                }
            }
            (Kernel::Dense(step), None) if options.half => step.weights = Storage::Bf16,
            (Kernel::Dense(step), None) => {
                let settled = options.settled.and_then(|settled| settled.find_dense(step));
                (step.weights, step.backend) = settled.unwrap_or_default();
            }
            _ => {}
        }
        let sizes = kernel.sizes();
        let widths = sizes.widths(draft.inputs.len(), draft.in_place);
        let operand = |value: &TensorRef, width: usize| arena.operand(placement, value, width);
        let inputs: Vec<Operand> =
            draft.inputs.iter().zip(widths).map(|(value, width)| operand(value, width)).collect();
        let output = operand(&draft.output, sizes.output.1);
        let in_state = |id: &ParameterId| state_operand(graph, options.state, *id);
        let constants = match &draft.packed {
            Some(value) => packed_constants(&kernel, operand(value, 0)),
            None => match draft.parameters.iter().map(in_state).collect::<Option<Vec<Operand>>>() {
                Some(list) if !list.is_empty() => list.into_iter().map(Source::Memory).collect(),
                _ => {
                    let list =
                        add_constants(&mut plan, &mut recipes, &mut packed, &draft.name, &kernel, draft.parameters);
                    list.into_iter().map(Source::Constant).collect()
                }
            },
        };
        let state = draft.changed.iter().filter_map(in_state).collect();
        plan.steps.push(Step {
            name: draft.name,
            kernel,
            inputs,
            constants,
            state,
            output,
            in_place: draft.in_place,
            layers: draft.layers,
        });
    }
    Compiled { plan, recipes }
}

/// Where a parameter that changes stands.
fn state_operand(graph: &Graph, state: Option<&State>, id: ParameterId) -> Option<Operand> {
    let parameter = &graph.parameters[id.0];
    let tensor = state?.find(&parameter.path()).filter(|_| !parameter.frozen)?;
    Some(whole_operand(Space::State, tensor.offset, tensor.len))
}

/// The constants of a kernel as another step has packed them, one behind the other.
fn packed_constants(kernel: &Kernel, packed: Operand) -> Vec<Source> {
    let mut offset = packed.offset;
    let mut place = |len: usize| {
        let operand = whole_operand(packed.space, offset, len);
        offset += len.next_multiple_of(CONSTANT_ALIGNMENT);
        Source::Memory(operand)
    };
    kernel.constants().into_iter().map(&mut place).collect()
}

fn whole_operand(space: Space, offset: usize, len: usize) -> Operand {
    Operand { space, offset, batch_stride: len, channel_offset: 0, row_stride: len }
}

/// The recipes that pack the same parameters.
type Packed = HashMap<Vec<ParameterId>, Vec<usize>>;

/// The constants of a step: those of an earlier one that packs the same parameters in the same way, or new ones.
fn add_constants(
    plan: &mut Plan,
    recipes: &mut Vec<ConstantPacking>,
    packed: &mut Packed,
    name: &str,
    kernel: &Kernel,
    parameters: Vec<ParameterId>,
) -> Vec<usize> {
    if parameters.is_empty() {
        return Vec::new();
    }
    let places = packed.entry(parameters.clone()).or_default();
    let same = |place: &&usize| plan.steps[recipes[**place].step].kernel == *kernel;
    if let Some(&place) = places.iter().find(same) {
        return recipes[place].constants.clone();
    }
    places.push(recipes.len());
    let mut constants = Vec::new();
    for (index, len) in kernel.constants().into_iter().enumerate() {
        constants.push(plan.constants.len());
        let offset = plan.constant_floats().next_multiple_of(CONSTANT_ALIGNMENT);
        plan.constants.push(Constant { name: format!("{name}/{index}"), offset, len });
    }
    recipes.push(ConstantPacking { step: plan.steps.len(), parameters, constants: constants.clone() });
    constants
}

/// Steps on rows of features, whose weights are read once for a whole batch.
fn is_row_like(kernel: &Kernel) -> bool {
    matches!(kernel, Kernel::Dense(_)) || kernel.sizes().are_rows()
}

/// Where a buffer stands: at one of the net's ends, or in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BufferHome {
    Fixed(Space),
    Arena,
}

impl BufferHome {
    fn fixed(self) -> Option<Space> {
        match self {
            BufferHome::Fixed(space) => Some(space),
            BufferHome::Arena => None,
        }
    }
}

impl PendingStep {
    fn buffers(&self) -> impl Iterator<Item = BufferId> + '_ {
        self.inputs.iter().chain(std::iter::once(&self.output)).chain(&self.packed).map(|value| value.buffer)
    }
}
