//! The frozen front (backbone) of a net: its outputs depend on the sample alone, so that they are computed once.

use crate::graph::{Graph, NodeId};
use crate::ops::input::Input;
use std::sync::Arc;

/// A net, split after its frozen front.
#[derive(Debug)]
pub struct Split {
    /// From the net's inputs to the inputs of the trained part; none if the net does not start with frozen parameters.
    pub front: Option<Graph>,
    /// The trained part. Its inputs are the outputs of the front, in order, or those of the net.
    pub trained: Graph,
}

/// Splits a net after the layers whose outputs training does not change: frozen ones, and those without parameters that
/// depend on no others. Stochastic layers belong to the trained part unless they are frozen.
pub fn split(net: &Graph) -> Split {
    let mut fixed = vec![false; net.nodes.len()];
    for id in net.ids() {
        let node = net.node(id);
        let learns = !node.frozen && (!node.parameters.is_empty() || node.operation.is_stochastic());
        fixed[id.0] = !learns && node.inputs.iter().all(|input| fixed[input.0]);
    }
    // What the trained part reads through a layer that does nothing it reads from before that, once.
    for id in net.ids().rev() {
        let node = net.node(id);
        let does_nothing = node.operation.fusion_role().is_identity() && !node.operation.is_stochastic();
        let is_read = net.ids().any(|other| !fixed[other.0] && net.node(other).inputs.contains(&id));
        fixed[id.0] &= !(does_nothing && is_read && node.inputs.len() == 1 && !net.outputs.contains(&id));
    }
    let is_output = |id: NodeId| {
        let consumed = net.ids().any(|other| !fixed[other.0] && net.node(other).inputs.contains(&id));
        fixed[id.0] && (consumed || net.outputs.contains(&id))
    };
    let ends: Vec<NodeId> = net.ids().filter(|&id| is_output(id)).collect();
    if !net.ids().any(|id| fixed[id.0] && !net.node(id).parameters.is_empty()) {
        return Split { front: None, trained: net.clone() };
    }
    let mut front = net.clone();
    front.name = format!("{}/front", net.name);
    front.outputs.clone_from(&ends);
    front.retain(&front.ancestors(&ends));
    let mut trained = net.clone();
    for id in &ends {
        let node = &mut trained.nodes[id.0];
        node.operation = Arc::new(Input { shape: node.output.clone(), image: None });
        node.inputs.clear();
        node.parameters.clear();
    }
    let keep: Vec<bool> = net.ids().map(|id| !fixed[id.0] || ends.contains(&id)).collect();
    trained.retain(&keep);
    Split { front: Some(front), trained }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::graph;
    use crate::elaborate::load;
    use crate::elaborate::project::source_files::from_disk;

    fn cut(net: &str) -> (Option<String>, String) {
        let spec = load(net, &from_disk).expect("a spec");
        let Split { front, trained } = split(&graph(&spec, None).expect("a net").0);
        (front.map(|front| front.summary()), trained.summary())
    }

    #[test]
    fn the_front_ends_before_trained_and_stochastic_layers() {
        let (front, trained) = cut("Input(8) >> frozen(Relu(6) >> Dense(5)) >> Tanh >> Dropout(0.5) >> Softmax(3)");
        assert_eq!(front.expect("a front"), "(?, 8) -> [... 4 layers ...] -> (?, 5)");
        assert_eq!(trained, "(?, 5) -> [... 3 layers ...] -> (?, 3)");
    }

    #[test]
    fn a_net_without_frozen_parameters_is_not_split() {
        let (front, trained) = cut("Input(4x4x2) >> Flatten >> Softmax(3)");
        assert_eq!((front, trained.as_str()), (None, "(?, 4, 4, 2) -> [... 3 layers ...] -> (?, 3)"));
    }

    #[test]
    fn what_a_residual_reads_twice_is_one_output() {
        let (_, trained) = cut("Input(8) >> frozen(Relu(6)) >> (Identity | Dense(6)) >> Add >> Softmax(2)");
        assert_eq!(trained, "(?, 6) -> [... 5 layers ...] -> (?, 2)");
    }

    #[test]
    fn frozen_branches_give_several_outputs() {
        let (_, trained) = cut("Input(8) >> frozen(Relu(6)) >> (Dense(3) | frozen(Dense(3))) >> Add >> Softmax(2)");
        assert_eq!(trained, "[(?, 6), (?, 3)] -> [... 5 layers ...] -> (?, 2)");
    }
}
