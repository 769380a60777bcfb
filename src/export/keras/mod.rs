//! A net as a model of Keras 3: `.keras`, which `keras.models.load_model` opens.

mod activation;
mod archive;
mod context;
mod convert;
mod images;
mod model;
mod sequences;

use crate::compile::Build;
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use context::Context;
use std::path::Path;

/// Writes a build to `path`: each layer under its name, with its weights, before anything is fused. Returns the number of layers.
///
/// # Errors
/// All layers that Keras lacks, weights that cannot be read, and errors of the file system; an old file is kept then.
pub fn keras(build: &Build, path: &Path) -> Result<usize, Diagnostics> {
    let graph = &build.graph;
    let read = |id| build.bindings.read(graph, id).map_err(|error| error.to_string());
    let mut context = Context::new(graph, &read);
    let mut errors = Diagnostics::default();
    for id in graph.ids() {
        if let Err(what) = convert::node(&mut context, id) {
            errors.push(Diagnostic::new(Code::Output, what).at(graph.node(id).origin.span, "this layer"));
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    context.model.outputs = graph.outputs.iter().filter_map(|&id| context.tensor(id)).collect();
    archive::write(path, &context.model, &graph.name)
        .map_err(|what| Diagnostic::new(Code::Output, format!("{}: {what}", path.display())))?;
    Ok(context.model.layers.len())
}
