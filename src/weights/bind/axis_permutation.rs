//! What the order in which a file's framework sees the tensors of a net means for a layer's parameters.

use super::refused_order::Unordered;
use super::report::{FileReport, shortened};
use crate::diagnostics::Diagnostics;
use crate::graph::axis::{AxisOrders, Order, Segment, Unknown};
use crate::graph::{Graph, NodeId, ParameterId, ParameterKind};
use crate::request::WeightsRequest;
use std::sync::Arc;

/// How a file's framework orders the axes of images, and stores the weights of its layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framework {
    /// Channels last, kernels (height, width, in, out), matrices (in, out): NeuPy, Keras and TensorFlow.
    Keras,
    /// As Keras, but for transposed convolutions, whose kernels are mirrored.
    Flax,
    /// Channels first, kernels (out, in, height, width), matrices (out, in).
    PyTorch,
}

/// Which values of a parameter stand elsewhere in the file: none where they are in netc's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Arrangement {
    /// The rows of a matrix.
    pub rows: Option<Arc<[Segment]>>,
    /// The columns of a matrix, or the values of a vector.
    pub columns: Option<Arc<[Segment]>>,
}

/// How the file of a net's weights sees a graph.
#[derive(Debug)]
pub(crate) struct FileOrder<'g> {
    graph: &'g Graph,
    /// None where the file's framework has channels last, as netc does.
    orders: Option<AxisOrders>,
    /// The layers of each parameter: several may share one.
    layers: Vec<Vec<NodeId>>,
    unordered: Unordered,
    /// What was permuted: `rows of fc1`.
    pub permuted: Vec<String>,
}

impl<'g> FileOrder<'g> {
    pub fn of(graph: &'g Graph, framework: Framework, net: &str) -> Self {
        let mut layers = vec![Vec::new(); graph.parameters.len()];
        for id in graph.ids() {
            graph.node(id).parameters.iter().for_each(|parameter| layers[parameter.0].push(id));
        }
        let orders = (framework == Framework::PyTorch).then(|| AxisOrders::of(graph, net));
        FileOrder { graph, orders, layers, unordered: Unordered::default(), permuted: Vec::new() }
    }

    /// Where a parameter's values stand in the file. Where that cannot be told it is noted, to be refused.
    pub fn arrangement(&mut self, id: ParameterId, layer: &str) -> Arrangement {
        let Some(orders) = &self.orders else { return Arrangement::default() };
        match arrangement(self.graph, orders, id, &self.layers[id.0]) {
            Ok(arrangement) => arrangement,
            Err(unknown) => {
                self.unordered.add(unknown, layer, self.graph.parameters[id.0].span);
                Arrangement::default()
            }
        }
    }

    /// Says in the report what was permuted, and refuses what cannot be told.
    pub fn report(mut self, request: &WeightsRequest, report: &mut FileReport, errors: &mut Diagnostics) {
        self.permuted.dedup();
        if !self.permuted.is_empty() {
            report.notes.push(format!("the file has channels first: permuted {}", shortened(&self.permuted)));
        }
        if let Some(orders) = self.orders.filter(|_| report.tensors > 0) {
            for &output in &self.graph.outputs {
                self.unordered.add_output(self.graph, orders.output(output), output, &request.net);
            }
        }
        self.unordered.report(request, &report.file, errors);
    }
}

/// The arrangement of a parameter of some layers, or why it cannot be told where it depends on an order that is unknown.
fn arrangement(
    graph: &Graph,
    orders: &AxisOrders,
    id: ParameterId,
    layers: &[NodeId],
) -> Result<Arrangement, Arc<Unknown>> {
    let mut found: Option<Arrangement> = None;
    for &layer in layers {
        let arrangement = beside(graph, orders, id, layer)?;
        if found.as_ref().is_some_and(|found| *found != arrangement) {
            let reason = "shares its parameters with a layer that takes values in another order";
            return Err(unknown(graph, layer, reason, "give each mention a layer of its own"));
        }
        found = Some(arrangement);
    }
    Ok(found.unwrap_or_default())
}

fn beside(graph: &Graph, orders: &AxisOrders, id: ParameterId, layer: NodeId) -> Result<Arrangement, Arc<Unknown>> {
    let node = graph.node(layer);
    let kind = graph.parameters[id.0].kind;
    let output = known(orders.output(layer))?;
    let of_output = || list(output.segments(&node.output));
    let mut arrangement = Arrangement::default();
    match kind {
        ParameterKind::Matrix => {
            let input = orders.inputs(layer).first().map_or(Ok(&Order::Same), known)?;
            let of = graph.input_types(layer);
            arrangement.rows = list(of.first().and_then(|of| input.segments(of)));
            arrangement.columns = of_output();
        }
        // The channels of an image have one order on both sides, the values of features may not.
        ParameterKind::Vector if node.output.sizes.len() == 1 => arrangement.columns = of_output(),
        ParameterKind::Values if !output.agrees(&Order::Same, &node.output) => {
            let help = "`alpha_axes=-1` has one for each channel, as PyTorch does";
            return Err(unknown(
                graph,
                layer,
                "has a value for each place of an image whose axes the file's framework orders otherwise",
                help,
            ));
        }
        _ => {}
    }
    Ok(arrangement)
}

fn known(order: &Order) -> Result<&Order, Arc<Unknown>> {
    match order {
        Order::Unknown(unknown) => Err(Arc::clone(unknown)),
        order => Ok(order),
    }
}

/// Segments that move something.
fn list(segments: Option<Vec<Segment>>) -> Option<Arc<[Segment]>> {
    segments.filter(|list| list.iter().any(|segment| !segment.is_plain())).map(Arc::from)
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
