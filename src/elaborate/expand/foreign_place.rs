//! The layer at a place of a net for which torchvision and Keras have a name, but no layer here: `layer4` and `conv5_block3_out`
//! are the ends of a stage of residual blocks, `features.28` and `classifier.6` count the layers of a chain, `fc` is the last
//! dense layer.

use crate::graph::{FusionRole, Graph, NodeId};
use crate::ops;
use crate::ops::dense::Dense;

/// The name of the layer at the place that a word names.
pub(super) fn at_place<'g>(graph: &'g Graph, word: &str) -> Option<&'g str> {
    let id = match word {
        "fc" | "head" | "logits" | "predictions" | "probs" | "classifier" => {
            graph.ids().rev().find(|&id| is_dense(graph, id))
        }
        "out_relu" | "top_activation" => {
            let end = graph.ids().find(|&id| ends_features(graph, id))?;
            graph.ids().rev().filter(|id| *id < end).find(|&id| is_activation(graph, id))
        }
        _ => in_chain(graph, word).or_else(|| after_block(graph, word)),
    };
    Some(graph.node(id?).name.as_str())
}

fn is_dense(graph: &Graph, id: NodeId) -> bool {
    graph.node(id).operation.as_any().downcast_ref::<Dense>().is_some_and(|dense| dense.units.is_some())
}

fn is_activation(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).operation.fusion_role(), FusionRole::Activation(_))
}

/// Whether an image becomes features at this layer: a global pool or a flatten.
fn ends_features(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    let from = node.inputs.first().map_or(0, |input| graph.node(*input).output.sizes.len());
    from == 3 && node.output.sizes.len() == 1
}

/// `features.N` and `classifier.N`, as torchvision counts the layers of a chain: from 0, before and after the flatten.
fn in_chain(graph: &Graph, word: &str) -> Option<NodeId> {
    let (part, number) = word.split_once('.')?;
    let number: usize = number.parse().ok()?;
    if graph.nodes.iter().any(|node| node.inputs.len() > 1) {
        return None;
    }
    let flatten = graph.ids().find(|&id| ends_features(graph, id))?;
    let mut layers = graph.ids().filter(|&id| !graph.node(id).inputs.is_empty());
    match part {
        "features" => layers.nth(number).filter(|id| *id < flatten),
        "classifier" => layers.filter(|id| *id > flatten).nth(number),
        _ => None,
    }
}

/// torchvision's `layer2`, Keras' `conv3_block4_out` and `conv3_block4_add`: the sum of a residual block, or the activation
/// after it. Stages are told apart by the sizes of their sums.
fn after_block(graph: &Graph, word: &str) -> Option<NodeId> {
    let add = ops::find("Add")?;
    let sums = graph.ids().filter(|&id| std::ptr::eq(graph.node(id).operation.definition(), add));
    let mut stages: Vec<Vec<NodeId>> = Vec::new();
    for id in sums {
        let sizes = |id: NodeId| &graph.node(id).output.sizes;
        match stages.last_mut() {
            Some(stage) if sizes(stage[0]) == sizes(id) => stage.push(id),
            _ => stages.push(vec![id]),
        }
    }
    let (sum, is_sum) = match word.strip_prefix("layer") {
        Some(stage) => (*stages.get(stage.parse::<usize>().ok()?.checked_sub(1)?)?.last()?, false),
        None => {
            let (stage, rest) = word.strip_prefix("conv")?.split_once("_block")?;
            let (block, end) = rest.split_once('_').filter(|(_, end)| ["add", "out"].contains(end))?;
            // The first stage of blocks is conv2.
            let stage = stages.get(stage.parse::<usize>().ok()?.checked_sub(2)?)?;
            (*stage.get(block.parse::<usize>().ok()?.checked_sub(1)?)?, end == "add")
        }
    };
    let after = graph.ids().find(|&id| graph.node(id).inputs == [sum] && is_activation(graph, id));
    Some(after.filter(|_| !is_sum).unwrap_or(sum))
}

#[cfg(test)]
mod tests {
    use crate::elaborate::load_text;
    use crate::elaborate::project::source_files;
    use std::path::Path;

    /// The names that torchvision and Keras have for places of shipped nets, and the layers here.
    #[test]
    fn places_of_other_libraries_are_found() {
        for (net, word, layer) in [
            ("resnet50", "fc", "fc1000"),
            ("resnet50", "predictions", "fc1000"),
            ("resnet50", "layer1", "relu-10"),
            ("resnet50", "layer4", "relu-49"),
            ("resnet50", "conv5_block3_out", "relu-49"),
            ("resnet50", "conv5_block3_add", "elementwise-16"),
            ("resnet50", "add_15", "elementwise-16"),
            ("resnet50", "add_16", "elementwise-16"),
            ("resnet50", "avg_pool", "global-pooling-1"),
            ("vgg16", "classifier.6", "dense_3"),
            ("vgg16", "classifier.3", "dense_2"),
            ("vgg16", "features.28", "conv5_3"),
            ("vgg16", "block5_pool", "max-pooling-5"),
            ("mobilenet_v2", "out_relu", "relu6-35"),
            ("mobilenet_v2", "predictions", "classifier.1"),
        ] {
            let spec =
                load_text(Path::new("n.net"), &format!("net n = {net}[..=\"{word}\"]"), &source_files::from_disk);
            let error = spec.graph(spec.project.root_nets()[0]).expect_err("no layer has this name");
            let help: Vec<String> = error.iter().flat_map(|error| error.help.clone()).collect();
            assert_eq!(help, [format!("did you mean `{layer}`?")], "{net}[..={word}]");
        }
    }
}
