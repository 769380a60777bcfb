//! The parameters of a net in safetensors, with PyTorch's names and orders.

use super::torch_parameter::torch_tensors;
use crate::compile::Build;
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::file;
use crate::graph::ParameterId;
use crate::weights::bind::axis_permutation::{FileOrder, Framework};
use crate::weights::bind::layer_names::dotted;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};
use std::collections::HashMap;
use std::path::Path;

/// Writes the parameters of a build to `path`: `NAME.weight` for the layer `NAME`, with `/` as `.`. A module whose parameters have
/// these names takes them by `load_state_dict`. Returns the number of tensors.
///
/// # Errors
/// Parameters that PyTorch has no tensor for or whose axis order there is unknown, weights that cannot be read, and errors of the
/// file system; the old file is kept then.
pub fn safetensors(build: &Build, path: &Path) -> Result<usize, Diagnostics> {
    let graph = &build.graph;
    let order = FileOrder::of(graph, Some(Framework::PyTorch), &graph.name);
    let mut tensors = Vec::new();
    let mut errors = Diagnostics::default();
    for node in &graph.nodes {
        for &id in &node.parameters {
            let parameter = &graph.parameters[id.0];
            if parameter.is_fixed() {
                continue;
            }
            let refuse = |what: String| Diagnostic::new(Code::Output, what).at(node.origin.span, "this layer");
            let arrangement = match order.known_arrangement(id) {
                Ok(arrangement) => arrangement,
                Err(unknown) => {
                    let what = format!("the order of the {} of `{}` in PyTorch is unknown", parameter.role, node.name);
                    errors.push(refuse(what).note(unknown.reason.clone()).help(unknown.help));
                    continue;
                }
            };
            let values = values(build, id).map_err(|error| Diagnostics::from(refuse(error)))?;
            match torch_tensors(graph, node, parameter, &arrangement, values) {
                Ok(list) => tensors.extend(list.into_iter().map(|tensor| {
                    let layer = dotted(&node.name);
                    let name = tensor.name.map_or(layer.clone(), |name| format!("{layer}.{name}"));
                    (name, tensor.shape, tensor.values)
                })),
                Err(what) => errors.push(refuse(what)),
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut names: Vec<&str> = tensors.iter().map(|(name, ..)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let what = format!("two tensors would be called `{}`: PyTorch's modules are separated by dots", twice[0]);
        return Err(Diagnostic::new(Code::Output, what).help("give one of their layers another name").into());
    }
    match write(path, &tensors) {
        Ok(()) => Ok(tensors.len()),
        Err(what) => Err(Diagnostic::new(Code::Output, format!("{}: {what}", path.display())).into()),
    }
}

fn values(build: &Build, id: ParameterId) -> Result<Vec<f32>, String> {
    build.bindings.read(&build.graph, id).map_err(|error| error.to_string())
}

fn write(path: &Path, tensors: &[(String, Vec<usize>, Vec<f32>)]) -> Result<(), String> {
    let views = tensors.iter().map(|(name, shape, values)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values));
        view.map(|view| (name, view)).map_err(|error| error.to_string())
    });
    let views = views.collect::<Result<Vec<_>, _>>()?;
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    let mut pending = file::PendingFile::for_target(path).map_err(|error| crate::source::plain(&error))?;
    pending
        .by_name(|path| serialize_to_file(views, Some(metadata), path))
        .map_err(|error| file::in_words(&error.to_string()))?;
    pending.persist(true).map_err(|error| crate::source::plain(&error))
}
