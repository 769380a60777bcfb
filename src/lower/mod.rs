//! Graph to plan: what each layer becomes, where each tensor stands, which algorithm computes it.

mod choose;
mod memory;
mod place;

use crate::diagnostics::{Code, Diagnostic, Result};
use crate::graph::{Graph, Lowered, Lowering, NodeId, ParameterId};
use crate::plan::{CONSTANT_ALIGNMENT, Constant, Kernel, Operand, Plan, Port, Space, Step, StepKernel};
use place::{BufferId, Placement, Value};

/// What a plan is made for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Forbids algorithms that round otherwise than the direct one.
    pub exact: bool,
}

/// How a plan's constants are made: which parameters each step packs.
#[derive(Clone, Debug)]
pub struct Recipe {
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
    pub recipes: Vec<Recipe>,
}

/// A step whose tensors are named but not placed.
#[derive(Debug)]
struct Draft {
    name: String,
    kernel: Kernel,
    inputs: Vec<Value>,
    output: Value,
    in_place: bool,
    layers: Vec<String>,
    parameters: Vec<ParameterId>,
}

/// Lowers a graph for inference.
pub fn lower(graph: &Graph, options: Options) -> Result<Compiled> {
    check_sizes(graph)?;
    let mut placement = Placement::new(graph, |id| kind(graph, id, options));
    let mut drafts: Vec<Draft> = Vec::new();
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
    Ok(assemble(graph, drafts, &placement, options))
}

fn kind(graph: &Graph, id: NodeId, options: Options) -> std::result::Result<Lowered, String> {
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

fn assemble(graph: &Graph, drafts: Vec<Draft>, placement: &Placement, options: Options) -> Compiled {
    let chunk_steps = drafts.len() - drafts.iter().rev().take_while(|draft| is_row_like(&draft.kernel)).count();
    let arena = memory::plan(&drafts, placement, chunk_steps);
    let port = |id: NodeId| Port {
        name: graph.node(id).name.clone(),
        sizes: graph.node(id).output.known().unwrap_or_default(),
    };
    let mut plan = Plan {
        name: graph.name.clone(),
        inputs: graph.inputs().into_iter().map(port).collect(),
        outputs: graph.outputs.iter().copied().map(port).collect(),
        steps: Vec::with_capacity(drafts.len()),
        chunk_steps,
        chunk: choose::chunk(arena.chunk_floats),
        chunk_floats: arena.chunk_floats,
        batch_floats: arena.batch_floats,
        lower_bound: arena.lower_bound,
        constants: Vec::new(),
        multiply_adds: graph.ids().map(|id| graph.multiply_adds(id)).sum(),
    };
    let mut recipes: Vec<Recipe> = Vec::new();
    for draft in drafts {
        let mut kernel = draft.kernel;
        if let Kernel::Convolution(step) = &mut kernel {
            choose::convolution(step, plan.chunk, options.exact);
        }
        let sizes = kernel.sizes();
        let widths = sizes.widths(draft.inputs.len(), draft.in_place);
        let operand = |value: &Value, width: usize| arena.operand(placement, value, width);
        let inputs: Vec<Operand> =
            draft.inputs.iter().zip(widths).map(|(value, width)| operand(value, width)).collect();
        let output = operand(&draft.output, sizes.output.1);
        let constants = add_constants(&mut plan, &mut recipes, &draft.name, &kernel, draft.parameters);
        plan.steps.push(Step {
            name: draft.name,
            kernel,
            inputs,
            constants,
            output,
            in_place: draft.in_place,
            layers: draft.layers,
        });
    }
    Compiled { plan, recipes }
}

/// The constants of a step: those of an earlier one that packs the same parameters in the same way, or new ones.
fn add_constants(
    plan: &mut Plan,
    recipes: &mut Vec<Recipe>,
    name: &str,
    kernel: &Kernel,
    parameters: Vec<ParameterId>,
) -> Vec<usize> {
    if parameters.is_empty() {
        return Vec::new();
    }
    let same = |recipe: &&Recipe| recipe.parameters == parameters && plan.steps[recipe.step].kernel == *kernel;
    if let Some(recipe) = recipes.iter().find(same) {
        return recipe.constants.clone();
    }
    let mut constants = Vec::new();
    for (index, len) in kernel.constants().into_iter().enumerate() {
        constants.push(plan.constants.len());
        let offset = plan.constant_floats().next_multiple_of(CONSTANT_ALIGNMENT);
        plan.constants.push(Constant { name: format!("{name}/{index}"), offset, len });
    }
    recipes.push(Recipe { step: plan.steps.len(), parameters, constants: constants.clone() });
    constants
}

/// Steps on rows of features, whose weights are read once for a whole batch.
fn is_row_like(kernel: &Kernel) -> bool {
    matches!(kernel, Kernel::Dense(_)) || kernel.sizes().are_rows()
}

/// Where a buffer stands: at one of the net's ends, or in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    Fixed(Space),
    Arena,
}

impl Draft {
    fn buffers(&self) -> impl Iterator<Item = BufferId> + '_ {
        self.inputs.iter().chain(std::iter::once(&self.output)).map(|value| value.buffer)
    }
}
