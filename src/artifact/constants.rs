//! The constants of a plan: the values of parameters, read from the files that they are bound to and packed for the kernels.

use crate::artifact::Sink;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, numbers};
use crate::graph::{Graph, Parameter, ParameterId, reference};
use crate::lower::Compiled;
use crate::weights::bind::Bindings;
use crate::weights::store::StoreError;
use std::path::Path;

/// The source of parameters' values: the graph before the passes, and its bindings.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    pub graph: &'a Graph,
    pub bindings: &'a Bindings,
}

impl Values<'_> {
    /// The values of a parameter that is not derived from others.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub fn read(&self, parameter: &Parameter) -> std::result::Result<Vec<f32>, StoreError> {
        // Passes remove and add parameters; the bindings are those of the graph before the passes.
        self.bindings.read(self.graph, self.place(parameter).unwrap_or(ParameterId(0)))
    }

    /// The parameter in the graph before the passes, if it has it.
    pub fn place(&self, parameter: &Parameter) -> Option<ParameterId> {
        self.bindings.find(parameter)
    }

    /// The values of a parameter of a graph after passes.
    pub(crate) fn derived(&self, graph: &Graph, id: ParameterId) -> std::result::Result<Vec<f32>, StoreError> {
        if graph.parameters[id.0].derived.is_none() {
            return self.read(&graph.parameters[id.0]);
        }
        let mut failure = None;
        let values = reference::derived_values(graph, id, &mut |id| match self.read(&graph.parameters[id.0]) {
            Ok(values) => values,
            Err(error) => {
                failure = Some(error);
                Vec::new()
            }
        });
        failure.map_or_else(|| Ok(values.into_iter().map(|value| value as f32).collect()), Err)
    }
}

/// The constants of a step take this many times the memory of its parameters while they are made: as read, as packed, and an
/// intermediate copy.
const COPIES: usize = 3;

/// Checks that there is enough memory to make the constants of each step, one step after the other.
fn check_memory(compiled: &Compiled, graph: &Graph) -> std::result::Result<(), ConstantError> {
    for packing in &compiled.packings {
        let floats = packing.parameters.iter().map(|id| graph.parameters[id.0].len()).fold(0, usize::saturating_add);
        let bytes = floats.saturating_mul(COPIES * size_of::<f32>());
        if Vec::<u8>::new().try_reserve_exact(bytes).is_err() {
            let step = compiled.plan.steps[packing.step].name.clone();
            return Err(ConstantError::Memory { step, bytes: bytes as u64 });
        }
    }
    Ok(())
}

/// Packs the parameters of a plan, one step after the other, so that memory use stays near that of the largest.
pub(crate) fn put_constants(
    compiled: &Compiled,
    graph: &Graph,
    values: &Values<'_>,
    sink: &mut dyn Sink,
) -> std::result::Result<(), ConstantError> {
    check_memory(compiled, graph)?;
    let plan = &compiled.plan;
    let mut written = 0;
    for packing in &compiled.packings {
        let mut raw = Vec::with_capacity(packing.parameters.len());
        for &id in &packing.parameters {
            raw.push(values.derived(graph, id)?);
        }
        let packed = plan.steps[packing.step].kernel.pack(raw);
        for (&index, floats) in packing.constants.iter().zip(&packed) {
            let constant = &plan.constants[index];
            let gap = constant.offset.saturating_sub(written);
            sink.put(&vec![0.0; gap])?;
            sink.put(floats)?;
            written = constant.offset + floats.len();
        }
    }
    sink.put(&vec![0.0; plan.constant_floats().saturating_sub(written)])?;
    Ok(())
}

/// Why constants could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConstantError {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("packing the weights of `{step}` needs {}, and not enough memory is free", numbers::bytes(*bytes))]
    Memory { step: String, bytes: u64 },
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl ConstantError {
    /// The diagnostic, for the file that was to be written.
    pub fn diagnostic(self, path: &Path) -> Diagnostics {
        match self {
            ConstantError::Store(error) => Diagnostic::new(Code::WeightsCorrupt, error.to_string()).into(),
            ConstantError::Memory { .. } => Diagnostic::new(Code::Memory, self.to_string())
                .help("a smaller layer needs less: is one of its sizes mistyped?")
                .into(),
            ConstantError::Io(error) if error.kind() == std::io::ErrorKind::OutOfMemory => {
                Diagnostic::new(Code::Memory, error.to_string())
                    .help("`netc build` writes them to a file, which takes less memory")
                    .into()
            }
            ConstantError::Io(error) => {
                Diagnostic::new(Code::Output, format!("{} cannot be written: {error}", path.display())).into()
            }
        }
    }
}
