//! Entries of a recipe that name the outputs of a net.

use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, suggest};
use crate::graph::Graph;
use crate::source::Span;

/// Checks that each output is named once.
///
/// # Errors
/// A name that is no output's, and an output without an entry.
pub(super) fn check_names<'a>(
    given: impl Iterator<Item = (&'a str, Span)> + Clone,
    net: &Graph,
    what: &str,
) -> Result<()> {
    let names = net.output_names();
    let outputs: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut errors = Diagnostics::default();
    for (name, span) in given.clone().filter(|(name, _)| !outputs.contains(name)) {
        errors.push(
            Diagnostic::new(Code::RecipeValue, format!("`{}` has no output `{name}`", net.name))
                .at(span, format!("its outputs are {}", suggest::all_of(outputs.iter().copied())))
                .suggest_name(span, name, suggest::nearest(name, outputs.iter().copied())),
        );
    }
    let missing = outputs.iter().zip(&net.outputs).find(|(output, _)| !given.clone().any(|(name, _)| name == **output));
    if let (Some((missing, &id)), false) = (missing, errors.has_errors()) {
        let span = given.clone().last().map_or(net.nodes[0].origin.span, |(_, span)| span);
        errors.push(
            Diagnostic::new(Code::RecipeValue, format!("the output `{missing}` has no {what}"))
                .at(span, format!("each output needs one: {}", suggest::all_of(outputs.iter().copied())))
                .and(net.node(id).origin.span, "this output"),
        );
    }
    if errors.has_errors() { Err(errors) } else { Ok(()) }
}
