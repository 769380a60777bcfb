//! The class names of a net: those of its spec, or those that it was trained for.

use super::expand::graph;
use super::trained::trained_weights;
use crate::diagnostics::suggest::did_you_mean_file;
use crate::diagnostics::{Code, Diagnostic, Result, counted};
use crate::elaborate::Spec;
use crate::graph::Graph;
use crate::ops::output_kind::OutputKind;
use crate::request::LabelsRequest;
use std::path::PathBuf;

/// The file in a run's folder that has the class names that a net was trained for.
pub const TRAINED_LABELS: &str = "labels.txt";

/// The net whose class names are those of a net: the net itself, or the one that it is a cut of, if it ends with the same layer.
fn classified_as<'a>(spec: &'a Spec, net: &'a Graph) -> &'a str {
    let last = |graph: &Graph| graph.outputs.first().map(|&id| graph.node(id).name.clone());
    let is_whole = |name: &&str| graph(spec, Some(name)).is_ok_and(|(whole, _)| last(&whole) == last(net));
    spec.cut_of.as_deref().filter(is_whole).unwrap_or(&net.name)
}

/// The class names that a net was trained for, if they fit its output, and their file.
pub(super) fn trained_labels(spec: &Spec, graph: &Graph) -> (Option<Vec<String>>, Option<PathBuf>) {
    let net = classified_as(spec, graph);
    let path = spec.sources.resolve(spec.root(), &format!("{net}.run/{TRAINED_LABELS}"));
    let labels = trained_weights(spec, net).and_then(|_| crate::data::samples::labels::read(&path).ok());
    match labels.filter(|labels| takes_names(graph, labels.len())) {
        Some(labels) => (Some(labels), Some(path)),
        None => (None, None),
    }
}

/// A net's class names, checked against its output, and their file.
///
/// # Errors
/// If the labels file cannot be read, or the number of names is wrong.
pub fn labels(spec: &Spec, graph: &Graph) -> Result<(Option<Vec<String>>, Option<PathBuf>)> {
    let net = classified_as(spec, graph);
    let (labels, file, span) = match spec.labels(net)? {
        None => return Ok((None, None)),
        Some(LabelsRequest::List(labels, span)) => (labels, None, span),
        Some(LabelsRequest::File(path, span)) => match crate::data::samples::labels::read(&path) {
            Ok(labels) => (labels, Some(path), span),
            // Training will write this file.
            Err(_) if !path.exists() && spec.project.recipes.contains_key(net) => {
                return Ok((None, None));
            }
            Err(error) => {
                return Err(Diagnostic::new(Code::Labels, error.to_string())
                    .at(span, "these labels")
                    .maybe_help(did_you_mean_file(&path).filter(|_| !path.exists()))
                    .into());
            }
        },
    };
    let output = graph.outputs.first().map(|&id| graph.node(id));
    if let (Some(output), false) = (output, takes_names(graph, labels.len())) {
        let outputs = output.output.channels().known().unwrap_or(0);
        let (given, outputs) = (counted(labels.len(), "label"), counted(outputs, "output"));
        let mut diagnostic = Diagnostic::new(Code::Labels, format!("`{}` has {given} for {outputs}", graph.name))
            .at(span, given)
            .and(output.origin.span, format!("gives {}", output.output));
        if output.output.channels().known() == Some(1) {
            diagnostic =
                diagnostic.help("one value distinguishes two classes: name both, the one for low values first");
        }
        return Err(diagnostic.into());
    }
    Ok((Some(labels), file))
}

/// Whether the first output of a net can have this many class names; any number if its size is open.
fn takes_names(graph: &Graph, names: usize) -> bool {
    let Some(&id) = graph.outputs.first() else { return true };
    let values = graph.node(id).output.channels().known();
    values.is_none_or(|values| OutputKind::of(graph, id).takes_names(values, names))
}
