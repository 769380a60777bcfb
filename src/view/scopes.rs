//! The scopes of layers: `features.3.conv.0` and `fire2/squeeze` are in scopes, outermost first.

use crate::graph::scope::SEPARATORS;
use crate::graph::{Graph, Mention};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The maximum depth of scopes; deeper ones are merged, as names may have any number of slashes.
const MAX_DEPTH: usize = 12;

/// The scopes in a name.
pub(super) fn scopes(name: &str) -> Vec<String> {
    let mut parts: Vec<String> = name.split(SEPARATORS).map(str::to_string).collect();
    parts.pop();
    parts.truncate(MAX_DEPTH);
    parts
}

/// The first scopes of a name, with the separators between them.
pub(super) fn beginning(name: &str, scopes: usize) -> &str {
    let end = scopes.checked_sub(1).and_then(|before| name.match_indices(SEPARATORS).nth(before));
    end.map_or(if scopes == 0 { "" } else { name }, |(at, _)| &name[..at])
}

/// A name without its first scopes.
pub(super) fn ending(name: &str, scopes: usize) -> &str {
    let end = scopes.checked_sub(1).and_then(|before| name.match_indices(SEPARATORS).nth(before));
    end.map_or(name, |(at, _)| &name[at + 1..])
}

/// The number of scopes that both have in common.
pub(super) fn common(a: &[String], b: &[String]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The names of all nodes, generated ones with the scope that the other names of the mention have in common from which they came:
/// the `Concatenate` of `fire(16, 64) as fire2` is `fire2/concatenate-1`.
pub(super) fn scoped_names(graph: &Graph) -> Vec<String> {
    // The mention of the net itself is no scope.
    let around = |mention: Option<&Rc<Mention>>| mention.filter(|mention| mention.outer.is_some()).cloned();
    // A name of each mention, and how many of its scopes are those of all.
    let mut of_mention: BTreeMap<*const Mention, (&str, usize)> = BTreeMap::new();
    for node in graph.nodes.iter().filter(|node| !node.has_generated_name()) {
        let own = scopes(&node.name);
        let mut mention = around(node.origin.mention.as_ref());
        while let Some(here) = mention {
            let (name, length) = of_mention.entry(Rc::as_ptr(&here)).or_insert((&node.name, own.len()));
            *length = common(&scopes(name)[..*length], &own);
            mention = around(here.outer.as_ref());
        }
    }
    let scoped = |name: &str, mention: Option<&Rc<Mention>>| {
        let mut mention = around(mention);
        while let Some(here) = mention {
            match of_mention.get(&Rc::as_ptr(&here)) {
                Some((_, 0)) => return name.to_string(),
                Some((other, length)) => {
                    let scope = beginning(other, *length);
                    let separator = other[scope.len()..].chars().next().unwrap_or('/');
                    return format!("{scope}{separator}{name}");
                }
                None => mention = around(here.outer.as_ref()),
            }
        }
        name.to_string()
    };
    let name = |node: &crate::graph::Node| match node.has_generated_name() {
        true => scoped(&node.name, node.origin.mention.as_ref()),
        false => node.name.clone(),
    };
    graph.nodes.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_at_dots_and_slashes() {
        assert_eq!(scopes("features.3/conv.0"), ["features", "3", "conv"]);
        assert_eq!(scopes("conv1"), [""; 0]);
        let parts = |count| (beginning("a.b/c", count), ending("a.b/c", count));
        assert_eq!([parts(0), parts(1), parts(2)], [("", "a.b/c"), ("a", "b/c"), ("a.b", "c")]);
    }
}
