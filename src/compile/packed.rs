//! Compiled graphs in memory, verified and with their parameters packed.

use crate::artifact::constants::{Values, put_constants};
use crate::artifact::{Artifact, Manifest, Memory};
use crate::diagnostics::{Code, Diagnostic, Result};
use crate::graph::Graph;
use crate::lower::{self, Compiled, Options};
use crate::ops::input::Input;
use crate::ops::input::preprocessing::Preprocessing;
use crate::passes::optimize;
use std::path::Path;
use std::sync::Arc;

/// Names the plan's outputs after the net's layers, and verifies the plan as the artifact's reader will.
///
/// # Errors
/// If the net is too large.
pub fn checked(graph: &Graph, mut compiled: Compiled) -> Result<Compiled> {
    for (port, name) in compiled.plan.outputs.iter_mut().zip(graph.output_names()) {
        port.name = name;
    }
    match compiled.plan.verify() {
        Ok(()) => Ok(compiled),
        Err(error) if error.exceeds_limit => {
            let what = format!("`{}` is too large to be compiled: {error}", graph.name);
            Err(Diagnostic::new(Code::TooLarge, what).help("is one of its sizes mistyped?").into())
        }
        Err(error) => Err(Diagnostic::new(Code::Unsupported, format!("`{}` cannot be compiled: {error}", graph.name))
            .note("this is a bug in netc, not an error in the net")
            .into()),
    }
}

/// Compiles a graph for inference, in memory, with its parameters packed.
///
/// # Errors
/// If a layer has no kernel, or a weights file cannot be read.
pub fn in_memory(graph: &Graph, values: &Values<'_>) -> Result<Arc<Artifact>> {
    let fused = optimize(graph.clone());
    let compiled = checked(graph, lower::lower(&fused, Options::inference(false))?)?;
    packed(&graph.name, &fused, compiled, values)
}

/// The artifact in memory of a compiled graph, with its parameters packed.
///
/// # Errors
/// If a weights file cannot be read.
pub fn packed(net: &str, graph: &Graph, compiled: Compiled, values: &Values<'_>) -> Result<Arc<Artifact>> {
    let mut memory = Memory::default();
    put_constants(&compiled, graph, values, &mut memory).map_err(|error| error.diagnostic(Path::new("the memory")))?;
    Ok(Arc::new(Artifact::in_memory(Manifest::of_plan(net, compiled.plan), memory)))
}

/// The preprocessing of each input of a net.
pub fn preprocessing(graph: &Graph) -> Vec<Option<Preprocessing>> {
    graph
        .inputs()
        .into_iter()
        .map(|id| graph.node(id).operation.as_any().downcast_ref::<Input>().and_then(|input| input.image.clone()))
        .collect()
}
