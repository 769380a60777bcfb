//! Propagation of axis orders through a graph.

use super::forward::{Edges, Mixed};
use super::{AxisRule, Cut, Order, Unknown, sequence};
use crate::graph::{Graph, Node, NodeId};
use std::collections::HashMap;
use std::sync::Arc;

/// The maximum number of iterations: each fixes the order of one branch where branches of different orders meet.
const MAX_ROUNDS: usize = 8;

/// The order of each edge of a graph in a framework with channels first.
#[derive(Debug)]
pub struct AxisOrders {
    inputs: Vec<Vec<Order>>,
    outputs: Vec<Order>,
}

impl AxisOrders {
    /// The orders for a weights file of a net. Inputs and outputs of a part that was cut from the net have the orders of the
    /// uncut net.
    pub fn of(graph: &Graph, net: &str) -> AxisOrders {
        let rules: Vec<AxisRule> =
            graph.ids().map(|id| graph.node(id).operation.axis_rule(&graph.input_types(id))).collect();
        let sequences = sequence::orders(graph, &rules);
        let mut chosen: HashMap<NodeId, Order> = HashMap::new();
        let mut rounds = 0;
        loop {
            let wanted = wanted(graph, net, &rules, &sequences, &chosen);
            let (orders, open) = forward(graph, net, &rules, &wanted);
            let known = chosen.len();
            for (node, order) in open {
                chosen.entry(node).or_insert(order);
            }
            rounds += 1;
            if chosen.len() == known || rounds == MAX_ROUNDS {
                return orders;
            }
        }
    }

    /// The orders of a layer's inputs.
    pub fn inputs(&self, id: NodeId) -> &[Order] {
        &self.inputs[id.0]
    }

    /// The order of a layer's output.
    pub fn output(&self, id: NodeId) -> &Order {
        &self.outputs[id.0]
    }
}

/// The cuts that apply to a net's weights file, the earliest first.
fn cuts<'g>(node: &'g Node, net: &str) -> impl DoubleEndedIterator<Item = &'g Cut> {
    node.cuts.iter().filter(move |cut| *cut.net == *net)
}

/// The order that consumers need of each layer's output; of a sequence, the order that the layers around it give it.
fn wanted(
    graph: &Graph,
    net: &str,
    rules: &[AxisRule],
    sequences: &[Option<Order>],
    chosen: &HashMap<NodeId, Order>,
) -> Vec<Option<Order>> {
    let mut wanted: Vec<Option<Order>> = vec![None; graph.nodes.len()];
    let consumers = graph.consumers();
    for id in graph.ids().rev() {
        let (node, output) = (graph.node(id), &graph.node(id).output);
        let by_cut = cuts(node, net).find_map(|cut| cut.output.clone());
        let by_consumers = || {
            consumers[id.0].iter().find_map(|&consumer| {
                let to = graph.node(consumer);
                rules[consumer.0].backward(output, &to.output, wanted[consumer.0].as_ref())
            })
        };
        let of_sequence = by_cut.or_else(|| sequences[id.0].clone());
        // Only the layers around a sequence that comes in say how it comes.
        let is_given = node.inputs.is_empty() && sequence::is_sequence(output);
        let of_others = || chosen.get(&id).cloned().or_else(by_consumers);
        let own = of_sequence.or_else(|| (!is_given).then(of_others).flatten());
        // An image output is an image in the file's framework too.
        let given = || (graph.outputs.contains(&id) && output.image().is_some()).then_some(Order::ChannelsFirst);
        wanted[id.0] = own.or_else(given);
    }
    wanted
}

/// For each layer, whether one that acts on steps reads its output, perhaps after others that keep each value in its place.
fn read_as_steps(graph: &Graph, rules: &[AxisRule]) -> Vec<bool> {
    let (consumers, mut steps) = (graph.consumers(), vec![false; graph.nodes.len()]);
    for id in graph.ids().rev() {
        steps[id.0] = consumers[id.0].iter().any(|&consumer| match rules[consumer.0] {
            AxisRule::Steps | AxisRule::StepsInPlace => true,
            AxisRule::Pointwise | AxisRule::Channels | AxisRule::AlongTimeInPlace => steps[consumer.0],
            _ => false,
        });
    }
    steps
}

/// The order of each edge, and the unknown ones where branches meet.
fn forward(
    graph: &Graph,
    net: &str,
    rules: &[AxisRule],
    wanted: &[Option<Order>],
) -> (AxisOrders, Vec<(NodeId, Order)>) {
    let mut orders = AxisOrders { inputs: Vec::new(), outputs: Vec::new() };
    let mut open = Vec::new();
    let steps = read_as_steps(graph, rules);
    for id in graph.ids() {
        let (node, rule) = (graph.node(id), &rules[id.0]);
        let mut inputs: Vec<Order> = node.inputs.iter().map(|input| orders.outputs[input.0].clone()).collect();
        for (place, order) in cuts(node, net).rev().flat_map(|cut| &cut.inputs) {
            if let Some(input) = inputs.get_mut(*place) {
                input.clone_from(order);
            }
        }
        let wanted = wanted[id.0].as_ref();
        let unknown = inputs.iter().find(|order| matches!(order, Order::Unknown(_)));
        let output = match unknown {
            _ if inputs.is_empty() => Ok(begin(node, wanted)),
            Some(unknown) if *rule != AxisRule::Features => Ok(unknown.clone()),
            _ => {
                let (types, steps) = (graph.input_types(id), steps[id.0]);
                rule.forward(&Edges { inputs: &types, orders: &inputs, output: &node.output, wanted, steps })
            }
        };
        let output = output.unwrap_or_else(|mixed| {
            let (reason, help) = match mixed {
                Mixed::Other(reason, help) => (reason, help),
                Mixed::Orders { input, order } => {
                    open.extend(node.inputs.get(input).map(|&input| (input, order)));
                    let reason =
                        "joins branches whose values are in different orders in the file's framework".to_string();
                    (reason, "join the images, before `Flatten`")
                }
            };
            Order::Unknown(Arc::new(Unknown {
                layer: node.name.clone(),
                span: node.origin.span,
                nets: node.origin.layers.iter().map(|(net, _)| net.to_string()).collect(),
                reason: format!("`{}` {reason}", node.name),
                help,
            }))
        });
        orders.inputs.push(inputs);
        orders.outputs.push(output);
    }
    (orders, open)
}

/// The order of a net's input: an image has its channels first, unless an explicit transpose follows; a sequence has the order of
/// the layers around it.
fn begin(node: &Node, wanted: Option<&Order>) -> Order {
    match (node.output.sizes.len(), wanted) {
        (2, Some(order @ (Order::ChannelsFirst | Order::Turned(_)))) => order.clone(),
        (_, Some(Order::Same)) => Order::Same,
        (_, _) if node.output.image().is_some() => Order::ChannelsFirst,
        _ => Order::Same,
    }
}
