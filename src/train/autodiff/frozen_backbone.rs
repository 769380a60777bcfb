//! The frozen front of a net: what it gives is a function of the sample alone, so that it is computed once.

use crate::graph::{Graph, NodeId};
use crate::ops::input::Input;
use std::sync::Arc;

/// A net cut in two where its frozen front ends.
#[derive(Debug)]
pub struct Split {
    /// From the net's inputs to what the rest takes; none where nothing frozen stands at the front.
    pub front: Option<Graph>,
    /// What is trained. Its inputs are what the front gives, in order, or the net's.
    pub rest: Graph,
}

/// Cuts a net behind all that training neither changes nor changes the behaviour of, together with parameterless layers
/// behind it.
pub fn split(net: &Graph) -> Split {
    let mut fixed = vec![false; net.nodes.len()];
    for id in net.ids() {
        let node = net.node(id);
        let learns = !node.frozen && (!node.parameters.is_empty() || node.operation.is_stochastic());
        fixed[id.0] = !learns && node.inputs.iter().all(|input| fixed[input.0]);
    }
    let taken = |id: NodeId| {
        let consumed = net.ids().any(|other| !fixed[other.0] && net.node(other).inputs.contains(&id));
        fixed[id.0] && (consumed || net.outputs.contains(&id))
    };
    let ends: Vec<NodeId> = net.ids().filter(|&id| taken(id)).collect();
    if !net.ids().any(|id| fixed[id.0] && !net.node(id).parameters.is_empty()) {
        return Split { front: None, rest: net.clone() };
    }
    let mut front = net.clone();
    front.name = format!("{}/front", net.name);
    front.outputs.clone_from(&ends);
    front.retain(&front.ancestors(&ends));
    let mut rest = net.clone();
    for id in &ends {
        let node = &mut rest.nodes[id.0];
        node.operation = Arc::new(Input { shape: node.output.clone(), image: None });
        node.inputs.clear();
        node.parameters.clear();
    }
    let keep: Vec<bool> = net.ids().map(|id| !fixed[id.0] || ends.contains(&id)).collect();
    rest.retain(&keep);
    Split { front: Some(front), rest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::graph;
    use crate::elaborate::load;
    use crate::elaborate::project::source_files::from_disk;

    fn cut(net: &str) -> (Option<String>, String) {
        let spec = load(net, &from_disk).expect("a spec");
        let Split { front, rest } = split(&graph(&spec, None).expect("a net").0);
        (front.map(|front| front.summary()), rest.summary())
    }

    #[test]
    fn the_front_ends_where_something_is_trained_or_acts() {
        let (front, rest) = cut("Input(8) >> frozen(Relu(6) >> Dense(5)) >> Tanh >> Dropout(0.5) >> Softmax(3)");
        assert_eq!(front.expect("a front"), "(?, 8) -> [... 4 layers ...] -> (?, 5)");
        assert_eq!(rest, "(?, 5) -> [... 3 layers ...] -> (?, 3)");
    }

    #[test]
    fn a_net_without_frozen_parameters_is_not_cut() {
        let (front, rest) = cut("Input(4x4x2) >> Flatten >> Softmax(3)");
        assert_eq!((front, rest.as_str()), (None, "(?, 4, 4, 2) -> [... 3 layers ...] -> (?, 3)"));
    }

    #[test]
    fn branches_that_are_fixed_end_at_several_places() {
        let (_, rest) = cut("Input(8) >> frozen(Relu(6)) >> (Dense(3) | frozen(Dense(3))) >> Add >> Softmax(2)");
        assert_eq!(rest, "[(?, 6), (?, 3)] -> [... 5 layers ...] -> (?, 2)");
    }
}
