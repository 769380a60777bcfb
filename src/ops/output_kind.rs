//! The kind of an output: class probabilities, independent probabilities, or plain numbers.

use super::dense::{Dense, Function};
use super::merge::Elementwise;
use super::merge::gated_average::GatedAverage;
use crate::graph::{FusionRole, Graph, Node, NodeId};
use crate::kernels::elementwise::activation::Activation;
use crate::kernels::elementwise::combine::Merge;
use serde::{Deserialize, Serialize};

/// The kind of an output's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// Class probabilities that sum to one: from a softmax, or an average of such outputs.
    Classes,
    /// Independent probabilities: from a sigmoid, or an average of such outputs. A single one is that of the second of two
    /// classes.
    Probabilities,
    /// Numbers: logits, or the values of a regression.
    #[default]
    Numbers,
}

impl OutputKind {
    /// The kind of a layer's output.
    pub fn of(graph: &Graph, id: NodeId) -> OutputKind {
        let mut found: Vec<OutputKind> = Vec::with_capacity(id.0 + 1);
        // In topological order: the kinds of a layer's inputs are known before it.
        for node in &graph.nodes[..=id.0] {
            found.push(OutputKind::after(node, &found));
        }
        found[id.0]
    }

    /// The kind of a node's output, given those of the nodes before it.
    fn after(node: &Node, before: &[OutputKind]) -> OutputKind {
        let operation = node.operation.as_any();
        let role = node.operation.fusion_role();
        if let Some(dense) = operation.downcast_ref::<Dense>().filter(|_| !role.is_identity()) {
            return match dense.function {
                Function::Softmax => OutputKind::Classes,
                Function::Elementwise(Activation::Sigmoid | Activation::HardSigmoid { .. }) => {
                    OutputKind::Probabilities
                }
                Function::Elementwise(_) | Function::SoftmaxAlong(_) => OutputKind::Numbers,
            };
        }
        let gate = operation.downcast_ref::<GatedAverage>().map(|one| one.gate_index);
        let averages = match gate {
            // The weighted sum of probabilities sums to one only if the gate's weights do.
            Some(gate) => node.inputs.get(gate).is_some_and(|gate| before[gate.0] == OutputKind::Classes),
            None => operation.downcast_ref::<Elementwise>().is_some_and(|one| one.merge == Merge::Average),
        };
        let passes = node.operation.keeps_values() && !matches!(role, FusionRole::Activation(_));
        let keeps = node.inputs.len() == 1 && (passes || role.is_identity());
        let branches = node.inputs.iter().enumerate().filter(|(index, _)| Some(*index) != gate);
        let mut ends = branches.map(|(_, branch)| before[branch.0]);
        match ends.next() {
            Some(first) if (averages || keeps) && ends.all(|other| other == first) => first,
            _ => OutputKind::Numbers,
        }
    }

    /// Whether a single value of this kind distinguishes two classes without further information.
    pub fn is_binary(self, values: usize) -> bool {
        self == OutputKind::Probabilities && values == 1
    }

    /// Whether a number of class names fits an output of some values. A plain number has one name, or distinguishes two classes by
    /// its sign.
    pub fn takes_names(self, values: usize, names: usize) -> bool {
        match self {
            OutputKind::Probabilities if values == 1 => names == 2,
            OutputKind::Numbers if values == 1 => names == 1 || names == 2,
            _ => names == values,
        }
    }

    /// Whether a single value that distinguishes two classes means the second: a probability of at least 0.5, a number above 0.
    pub fn predicts_second_class(self, value: f32) -> bool {
        if self == OutputKind::Probabilities { value >= 0.5 } else { value > 0.0 }
    }

    /// Classes and their values, the largest first, of equal ones the first. `two`: a single plain number distinguishes two
    /// classes.
    pub fn ranked(self, row: &[f32], two: bool) -> Vec<(usize, f32)> {
        if let (&[one], true) = (row, two || self.is_binary(row.len())) {
            let values = [if self == OutputKind::Probabilities { 1.0 - one } else { -one }, one];
            let first = usize::from(self.predicts_second_class(one));
            return vec![(first, values[first]), (1 - first, values[1 - first])];
        }
        let mut all: Vec<(usize, f32)> = row.iter().copied().enumerate().collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_probability_ranks_two_classes() {
        assert_eq!(OutputKind::Probabilities.ranked(&[0.25], false), [(0, 0.75), (1, 0.25)]);
        assert_eq!(OutputKind::Probabilities.ranked(&[0.75], false), [(1, 0.75), (0, 0.25)]);
        assert_eq!(OutputKind::Probabilities.ranked(&[0.5], false), [(1, 0.5), (0, 0.5)]);
        assert_eq!(OutputKind::Numbers.ranked(&[0.75], false), [(0, 0.75)]);
        assert_eq!(OutputKind::Numbers.ranked(&[-0.75], true), [(0, 0.75), (1, -0.75)]);
        assert_eq!(OutputKind::Classes.ranked(&[0.25, 0.5, 0.25], false), [(1, 0.5), (0, 0.25), (2, 0.25)]);
    }
}
