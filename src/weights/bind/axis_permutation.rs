//! The axis order of the framework that wrote a file, and what it means for the parameters of each layer.

use super::refused_order::Unordered;
use super::report::{FileReport, shortened};
use crate::diagnostics::Diagnostics;
use crate::graph::axis::{AxisOrders, AxisRule, Order, Segment, Unknown};
use crate::graph::{Graph, NodeId, ParameterId, ParameterKind};
use crate::request::WeightsRequest;
use std::sync::Arc;

/// The framework's axis order of images, and how it stores weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framework {
    /// Channels last, kernels (height, width, in, out), matrices (in, out): NeuPy, Keras and TensorFlow.
    Keras,
    /// As Keras, except that kernels of transposed convolutions are mirrored.
    Flax,
    /// Channels first, kernels (out, in, height, width), matrices (out, in).
    PyTorch,
}

/// The permutation of a parameter's values in the file; `None` where they are in netc's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Arrangement {
    /// The rows of a matrix.
    pub rows: Option<Arc<[Segment]>>,
    /// The columns of a matrix, or the values of a vector.
    pub columns: Option<Arc<[Segment]>>,
}

/// A graph in the axis order of a weights file.
#[derive(Debug)]
pub(crate) struct FileOrder<'g> {
    graph: &'g Graph,
    /// `None` if the framework is channels-last, as netc is, or the net says itself where it moves axes.
    orders: Option<AxisOrders>,
    /// The layers of each parameter, which several may share.
    layers: Vec<Vec<NodeId>>,
    unordered: Unordered,
    /// What was permuted: `rows of fc1`.
    pub permuted: Vec<String>,
}

impl<'g> FileOrder<'g> {
    /// `None` for a net whose own transposes and reshapes are those of the framework.
    pub fn of(graph: &'g Graph, framework: Option<Framework>, net: &str) -> Self {
        let mut layers = vec![Vec::new(); graph.parameters.len()];
        for id in graph.ids() {
            graph.node(id).parameters.iter().for_each(|parameter| layers[parameter.0].push(id));
        }
        let orders = (framework == Some(Framework::PyTorch)).then(|| AxisOrders::of(graph, net));
        FileOrder { graph, orders, layers, unordered: Unordered::default(), permuted: Vec::new() }
    }

    /// The arrangement of a parameter's values in the file. If it is unknown, that is recorded and reported later.
    pub fn arrangement(&mut self, id: ParameterId, layer: &str) -> Arrangement {
        match self.known_arrangement(id) {
            Ok(arrangement) => arrangement,
            Err(unknown) => {
                self.unordered.add(unknown, layer, self.graph.parameters[id.0].span);
                Arrangement::default()
            }
        }
    }

    /// The order of a parameter's values in the file.
    ///
    /// # Errors
    /// Why it is unknown.
    pub fn known_arrangement(&self, id: ParameterId) -> Result<Arrangement, Arc<Unknown>> {
        match &self.orders {
            Some(orders) => arrangement(self.graph, orders, id, &self.layers[id.0]),
            None => Ok(Arrangement::default()),
        }
    }

    /// Adds what was permuted to the report, and an error for each unknown order.
    pub fn report(mut self, request: &WeightsRequest, report: &mut FileReport, errors: &mut Diagnostics) {
        self.permuted.dedup();
        if !self.permuted.is_empty() {
            report.notes.push(format!("the file is channels-first: permuted {}", shortened(&self.permuted)));
        }
        if let Some(orders) = self.orders.filter(|_| report.tensors > 0) {
            for &output in &self.graph.outputs {
                self.unordered.add_output(self.graph, orders.output(output), output, &request.net);
            }
        }
        self.unordered.report(request, &report.file, errors);
    }
}

/// The arrangement of a parameter that these layers share, or why it is unknown.
fn arrangement(
    graph: &Graph,
    orders: &AxisOrders,
    id: ParameterId,
    layers: &[NodeId],
) -> Result<Arrangement, Arc<Unknown>> {
    let mut found: Option<Arrangement> = None;
    for &layer in layers {
        let arrangement = layer_arrangement(graph, orders, id, layer)?;
        if found.as_ref().is_some_and(|found| *found != arrangement) {
            let reason = "shares its parameters with a layer that takes values in a different order";
            return Err(unknown(graph, layer, reason, "use a separate layer in each place"));
        }
        found = Some(arrangement);
    }
    Ok(found.unwrap_or_default())
}

fn layer_arrangement(
    graph: &Graph,
    orders: &AxisOrders,
    id: ParameterId,
    layer: NodeId,
) -> Result<Arrangement, Arc<Unknown>> {
    let node = graph.node(layer);
    let kind = graph.parameters[id.0].kind;
    let output = known(orders.output(layer))?;
    let of_output = || permuting(output.segments(&node.output));
    let mut arrangement = Arrangement::default();
    match kind {
        ParameterKind::Matrix => {
            let input = orders.inputs(layer).first().map_or(Ok(&Order::Same), known)?;
            let of = graph.input_types(layer);
            arrangement.rows = permuting(of.first().and_then(|of| input.segments(of)));
            arrangement.columns = of_output();
        }
        // The channels of an image have the same order in both frameworks; the values of features may not.
        ParameterKind::Vector if node.output.sizes.len() == 1 => arrangement.columns = of_output(),
        // A position embedding stands with its steps first, as attention has them.
        ParameterKind::Values if matches!(output, Order::Turned(_)) && has_steps_first(graph, layer) => {}
        ParameterKind::Values if !output.agrees(&Order::Same, &node.output) => {
            let help = "with `alpha_axes=-1` it has one slope per channel, as in PyTorch";
            return Err(unknown(
                graph,
                layer,
                "has a value for each position in an image, and the framework of the file orders its axes differently",
                help,
            ));
        }
        _ => {}
    }
    Ok(arrangement)
}

fn has_steps_first(graph: &Graph, layer: NodeId) -> bool {
    let rule = graph.node(layer).operation.axis_rule(&graph.input_types(layer));
    matches!(rule, AxisRule::Steps | AxisRule::StepsInPlace)
}

fn known(order: &Order) -> Result<&Order, Arc<Unknown>> {
    match order {
        Order::Unknown(unknown) => Err(Arc::clone(unknown)),
        order => Ok(order),
    }
}

/// The segments, if they permute anything.
fn permuting(segments: Option<Vec<Segment>>) -> Option<Arc<[Segment]>> {
    segments.filter(|segments| segments.iter().any(|segment| !segment.is_plain())).map(Arc::from)
}

fn unknown(graph: &Graph, layer: NodeId, reason: &str, help: &'static str) -> Arc<Unknown> {
    let node = graph.node(layer);
    Arc::new(Unknown {
        layer: node.name.clone(),
        span: node.origin.span,
        nets: node.origin.layers.iter().map(|(net, _)| net.to_string()).collect(),
        reason: format!("`{}` {reason}", node.name),
        help,
    })
}
