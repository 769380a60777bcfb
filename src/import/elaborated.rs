//! The graph of the text of a spec.

use crate::compile;
use crate::diagnostics::render;
use crate::elaborate::load_text;
use crate::graph::Graph;
use std::path::Path;

/// The graph of the spec, or what is wrong with it.
pub(super) fn elaborated(path: &Path, text: &str, net: &str) -> Result<Graph, String> {
    let spec = load_text(path, text, &|_| Err(std::io::ErrorKind::NotFound.into()));
    if spec.errors.has_errors() {
        return Err(render::text(&spec.errors, &spec.sources, false));
    }
    match compile::graph(&spec, Some(net)) {
        Ok((graph, _)) => Ok(graph),
        Err(errors) => Err(render::text(&errors, &spec.sources, false)),
    }
}

/// Whether a text is a preprocessing of photos, as it is written in a spec.
pub(super) fn is_preprocessing(text: &str) -> bool {
    let spec = format!("net x = Input(1x1x3, image={text})\n");
    let graph = elaborated(Path::new("x.net"), &spec, "x");
    !text.contains(['\n', '#']) && graph.is_ok_and(|graph| graph.nodes.len() == 1)
}
