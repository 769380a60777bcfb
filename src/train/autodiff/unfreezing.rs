//! The stages of a run whose recipe unfreezes layers: from some epochs on more of the net is trained.

use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, suggest};
use crate::graph::scope::{is_in, scopes};
use crate::graph::{Graph, NodeId};
use crate::train::recipe::{Recipe, Unfreezing};
use std::collections::BTreeSet;

/// The net from an epoch on.
#[derive(Clone, Debug)]
pub struct Stage {
    /// From 1.
    pub first_epoch: usize,
    pub net: Graph,
}

/// The stages of a run, in order; one for a recipe that unfreezes nothing.
///
/// # Errors
/// Ranges without layers or without frozen ones, and epochs that the run does not reach.
pub fn stages(net: &Graph, recipe: &Recipe) -> Result<Vec<Stage>> {
    let mut errors = Diagnostics::default();
    let mut stages = vec![Stage { first_epoch: 1, net: net.clone() }];
    for unfreezing in &recipe.unfreeze {
        let mut next = stages[stages.len() - 1].net.clone();
        match unfreeze(&mut next, unfreezing) {
            Err(error) => errors.push(error),
            Ok(()) if unfreezing.epoch > recipe.epochs => {
                let message = format!("epoch {} is not reached: the run has {}", unfreezing.epoch, recipe.epochs);
                errors.push(Diagnostic::new(Code::RecipeValue, message).at(unfreezing.span, "is never trained"));
            }
            Ok(()) => match stages.last_mut() {
                Some(last) if last.first_epoch == unfreezing.epoch => last.net = next,
                _ => stages.push(Stage { first_epoch: unfreezing.epoch, net: next }),
            },
        }
    }
    errors.or_errors(stages).map(|(stages, _)| stages)
}

/// Unfreezes the layers of a range.
fn unfreeze(net: &mut Graph, unfreezing: &Unfreezing) -> std::result::Result<(), Diagnostic> {
    let selected = select(net, &unfreezing.layers).map_err(|name| {
        let names: BTreeSet<&str> = net.nodes.iter().flat_map(|node| scopes(&node.name)).collect();
        Diagnostic::new(Code::RecipeValue, format!("`{}` has no layer `{name}`", net.name))
            .at(unfreezing.span, "no layer or scope has this name")
            .maybe_help(suggest::nearest(&name, names).map(suggest::question))
    })?;
    let mut found = false;
    let Graph { nodes, parameters, .. } = net;
    for node in nodes.iter_mut().zip(&selected).filter_map(|(node, selected)| selected.then_some(node)) {
        node.frozen = false;
        for id in &node.parameters {
            let parameter = &mut parameters[id.0];
            found |= parameter.frozen && parameter.trainable;
            parameter.frozen = false;
        }
    }
    if found {
        return Ok(());
    }
    Err(Diagnostic::new(Code::RecipeValue, format!("`{}` has no frozen parameters", unfreezing.layers))
        .at(unfreezing.span, "these layers are trained from the start, or have no parameters")
        .help("write `frozen(…)` around what is not trained at first"))
}

/// The layers of a range, as a cut keeps them: an end's ancestors, a start's descendants.
fn select(net: &Graph, range: &str) -> std::result::Result<Vec<bool>, String> {
    let find = |name: &str| -> std::result::Result<Vec<NodeId>, String> {
        let name = name.trim();
        let found: Vec<NodeId> = net.ids().filter(|&id| is_in(&net.node(id).name, name)).collect();
        if found.is_empty() { Err(name.to_string()) } else { Ok(found) }
    };
    let Some((start, end)) = range.split_once("..") else {
        let only = find(range)?;
        return Ok(net.ids().map(|id| only.contains(&id)).collect());
    };
    let mut keep = vec![true; net.nodes.len()];
    if !start.trim().is_empty() {
        let reached = net.descendants(&find(start)?);
        keep.iter_mut().zip(reached).for_each(|(keep, reached)| *keep &= reached);
    }
    let (end, inclusive) = match end.strip_prefix('=') {
        Some(end) => (end, true),
        None => (end, false),
    };
    if !end.trim().is_empty() {
        let end = find(end)?;
        let reached = net.ancestors(&end);
        keep.iter_mut().zip(reached).for_each(|(keep, reached)| *keep &= reached);
        if !inclusive {
            end.iter().for_each(|id| keep[id.0] = false);
        }
    }
    Ok(keep)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::graph;
    use crate::elaborate::load;
    use crate::elaborate::project::source_files::from_disk;

    #[test]
    fn ranges_select_as_cuts_do() {
        let net = |text: &str| graph(&load(text, &from_disk).expect("a spec"), None).expect("a net").0;
        let selected = |net: &Graph, range: &str| -> Vec<String> {
            let keep = select(net, range).expect("layers");
            net.ids().filter(|id| keep[id.0]).map(|id| net.node(id).name.clone()).collect()
        };
        let branches =
            net("Input(4) >> Dense(3) as a >> (Dense(3) as b | Dense(3) as c/d) >> Add as e >> Softmax(2) as f");
        let names = |range: &str| selected(&branches, range);
        assert_eq!(names("b.."), ["b", "e", "f"]);
        assert_eq!(names("c"), ["c/d"]);
        assert_eq!(names("a..e"), ["a", "b", "c/d"]);
        assert_eq!(names("a..=c"), ["a", "c/d"]);
        assert_eq!(select(&branches, "g.."), Err("g".to_string()));
        // A module with layers and a parameter of its own.
        let module = net("Input(4) >> Dense(4) as a >> Dense(4) as b.one >> Scale as b >> Softmax(2) as c");
        assert_eq!(selected(&module, "b.."), ["b.one", "b", "c"]);
    }
}
