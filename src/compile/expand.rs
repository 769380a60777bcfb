//! From a spec to the graph of one of its nets.

use crate::diagnostics::{Diagnostics, Result};
use crate::elaborate::Spec;
use crate::graph::Graph;

/// Expands a net and checks everything in the spec that needs no other file.
///
/// # Errors
/// All errors of the spec.
pub fn graph(spec: &Spec, net: Option<&str>) -> Result<(Graph, Diagnostics)> {
    expand(spec, net, Spec::graph)
}

/// As [`graph`], also for a fragment made by a cut, such as `vgg16[-3..]`.
///
/// # Errors
/// As [`graph`].
pub fn graph_or_fragment(spec: &Spec, net: Option<&str>) -> Result<(Graph, Diagnostics)> {
    expand(spec, net, Spec::graph_or_fragment)
}

fn expand(
    spec: &Spec,
    net: Option<&str>,
    graph: impl Fn(&Spec, usize) -> Result<(Graph, Diagnostics)>,
) -> Result<(Graph, Diagnostics)> {
    let mut diagnostics = spec.errors.clone();
    diagnostics.extend(spec.check_recipes());
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let expanded = spec.choose(net).and_then(|net| graph(spec, net));
    match expanded {
        Ok((graph, more)) => {
            diagnostics.extend(more);
            Ok((graph, diagnostics))
        }
        Err(more) => {
            diagnostics.extend(more);
            Err(diagnostics)
        }
    }
}
