//! Parameters whose order cannot be told: what is said of them.

use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::graph::axis::{Order, Unknown};
use crate::graph::{Graph, NodeId};
use crate::request::WeightsRequest;
use crate::source::Span;
use std::sync::Arc;

/// What takes values of unknown order, by the layer that makes it so.
#[derive(Debug, Default)]
pub(crate) struct Unordered {
    found: Vec<(Arc<Unknown>, Layers)>,
}

/// Layers whose parameters depend on an order, and where they were written.
type Layers = Vec<(String, Span)>;

impl Unordered {
    /// A layer whose parameters depend on the order.
    pub fn add(&mut self, unknown: Arc<Unknown>, layer: &str, span: Span) {
        let place = self.found.iter().position(|(known, _)| known.layer == unknown.layer).unwrap_or_else(|| {
            self.found.push((unknown, Vec::new()));
            self.found.len() - 1
        });
        let layers = &mut self.found[place].1;
        if !layers.iter().any(|(known, _)| known == layer) {
            layers.push((layer.to_string(), span));
        }
    }

    /// An output of the net, where a layer that the file's framework has too makes its order unknown: it gives other values.
    pub fn add_output(&mut self, graph: &Graph, order: &Order, output: NodeId, net: &str) {
        if let Order::Unknown(unknown) = order
            && unknown.nets.iter().any(|of| of == net)
        {
            let node = graph.node(output);
            self.add(Arc::clone(unknown), &node.name, node.origin.span);
        }
    }

    /// Tells of each layer that makes the order unknown, and of what stands behind it.
    pub fn report(self, request: &WeightsRequest, file: &str, errors: &mut Diagnostics) {
        for (unknown, layers) in self.found {
            let names: Vec<String> = layers.iter().map(|(name, _)| format!("`{name}`")).collect();
            let message = format!("in which order {file} has the values of {} cannot be told", names.join(", "));
            let mut diagnostic = Diagnostic::new(Code::AxisOrder, message)
                .at(unknown.span, "behind this layer it is not known")
                .and(request.span, "the file has images as (channels, height, width)");
            for (name, span) in layers.iter().filter(|(_, span)| *span != unknown.span).take(3) {
                diagnostic = diagnostic.and(*span, format!("`{name}`"));
            }
            errors.push(diagnostic.note(unknown.reason.clone()).help(unknown.help));
        }
    }
}
