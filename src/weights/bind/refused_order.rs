//! Errors for parameters whose axis order is unknown.

use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::graph::axis::{Order, Unknown};
use crate::graph::{Graph, NodeId};
use crate::request::WeightsRequest;
use crate::source::Span;
use std::sync::Arc;

/// Layers that take values of unknown order, by the layer that makes the order unknown.
#[derive(Debug, Default)]
pub(crate) struct Unordered {
    found: Vec<(Arc<Unknown>, Layers)>,
}

/// Layers whose parameters depend on an order, with their spans.
type Layers = Vec<(String, Span)>;

impl Unordered {
    /// Adds a layer whose parameters depend on the order.
    pub fn add(&mut self, unknown: Arc<Unknown>, layer: &str, span: Span) {
        let index = self.found.iter().position(|(known, _)| known.layer == unknown.layer).unwrap_or_else(|| {
            self.found.push((unknown, Vec::new()));
            self.found.len() - 1
        });
        let layers = &mut self.found[index].1;
        if !layers.iter().any(|(known, _)| known == layer) {
            layers.push((layer.to_string(), span));
        }
    }

    /// Adds an output of the net, if a layer of the net makes its order unknown: its values would differ from the framework's.
    pub fn add_output(&mut self, graph: &Graph, order: &Order, output: NodeId, net: &str) {
        if let Order::Unknown(unknown) = order
            && unknown.nets.iter().any(|of| of == net)
        {
            let node = graph.node(output);
            self.add(Arc::clone(unknown), &node.name, node.origin.span);
        }
    }

    /// Reports each layer that makes the order unknown, with the layers affected.
    pub fn report(self, request: &WeightsRequest, file: &str, errors: &mut Diagnostics) {
        for (unknown, layers) in self.found {
            let names: Vec<String> = layers.iter().map(|(name, _)| format!("`{name}`")).collect();
            let message = format!("the axis order of the values of {} in {file} is unknown", names.join(", "));
            let mut diagnostic = Diagnostic::new(Code::AxisOrder, message)
                .at(unknown.span, "it is unknown after this layer")
                .and(request.span, "the file orders images as (channels, height, width)");
            for (name, span) in layers.iter().filter(|(_, span)| *span != unknown.span).take(3) {
                diagnostic = diagnostic.and(*span, format!("`{name}`"));
            }
            errors.push(diagnostic.note(unknown.reason.clone()).help(unknown.help));
        }
    }
}
