//! From a graph of layers to expressions: chains, branches that a merge joins, and blocks with `let` where the paths between two
//! layers are no branches.

use super::layers::Layers;
use super::tree::{Call, Chain, Expr};
use std::collections::{BTreeMap, BTreeSet};

/// The deepest nesting that is written: the language takes somewhat more.
const MAX_DEPTH: usize = 24;

/// The whole graph as one chain.
///
/// # Errors
/// If it is nested too deeply.
pub(super) fn chain(layers: &Layers) -> Result<Chain, String> {
    let graph = Flow::of(layers);
    graph.region(ROOT, graph.inputs.len() - 1, None, 0)
}

/// What stands before all inputs of the model.
const ROOT: usize = 0;

/// The layers as places from 1 on; place 0 is before the inputs, the last one after the outputs.
struct Flow<'l> {
    layers: &'l Layers,
    inputs: Vec<Vec<usize>>,
    readers: Vec<Vec<usize>>,
    /// The nearest place that every path to a place goes through.
    dominator: Vec<usize>,
    /// For each merge whether its paths from its dominator are separate.
    parallel: Vec<bool>,
}

impl<'l> Flow<'l> {
    fn of(layers: &'l Layers) -> Self {
        let mut inputs = vec![Vec::new()];
        for item in &layers.items {
            let from: Vec<usize> = item.inputs.iter().map(|&input| input + 1).collect();
            inputs.push(if from.is_empty() { vec![ROOT] } else { from });
        }
        inputs.push(layers.outputs.iter().map(|&output| output + 1).collect());
        let mut readers = vec![Vec::new(); inputs.len()];
        let (mut dominator, mut depth) = (vec![ROOT; inputs.len()], vec![0usize; inputs.len()]);
        for at in 1..inputs.len() {
            inputs[at].iter().for_each(|&from| readers[from].push(at));
            let mut common = inputs[at].first().copied().unwrap_or(ROOT);
            for &other in &inputs[at] {
                let mut other = other;
                while common != other {
                    match depth[common] > depth[other] {
                        true => common = dominator[common],
                        false if depth[other] > depth[common] => other = dominator[other],
                        false => (common, other) = (dominator[common], dominator[other]),
                    }
                }
            }
            (dominator[at], depth[at]) = (common, depth[common] + 1);
        }
        let mut flow = Flow { layers, inputs, readers, dominator, parallel: Vec::new() };
        flow.parallel = (0..flow.inputs.len()).map(|at| flow.inputs[at].len() > 1 && flow.is_parallel(at)).collect();
        flow
    }

    /// The places between two, with the second.
    fn between(&self, from: usize, to: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open = vec![to];
        while let Some(at) = open.pop() {
            if at != from && found.insert(at) {
                open.extend(&self.inputs[at]);
            }
        }
        found
    }

    fn is_parallel(&self, merge: usize) -> bool {
        let from = self.dominator[merge];
        let mut seen = BTreeSet::new();
        self.inputs[merge].iter().all(|&input| {
            let branch = self.between(from, input);
            let closed =
                |at: &usize| self.readers[*at].iter().all(|reader| branch.contains(reader) || *reader == merge);
            // The end of a branch is read by the merge once.
            let ends = branch.is_empty() || self.readers[input].iter().filter(|&&reader| reader == merge).count() == 1;
            ends && branch.iter().all(|at| closed(at) && seen.insert(*at))
        })
    }

    /// The place after the outputs has no layer.
    fn call(&self, at: usize) -> Option<Expr> {
        self.layers.items.get(at - 1).map(|item| {
            match self.layers.shares.iter().find(|(word, _)| *word == item.call.function) {
                Some((word, _)) => Expr::Value(word.clone()),
                None => Expr::Call(item.call.clone()),
            }
        })
    }

    /// The layers between two places, of which the first is on every path to the second. Inside a block, `names` has
    /// the values that are read several times; outside, paths that cross become a block.
    fn region(
        &self,
        from: usize,
        to: usize,
        names: Option<&BTreeMap<usize, String>>,
        depth: usize,
    ) -> Result<Chain, String> {
        if depth > MAX_DEPTH {
            return Err(format!("its branches are nested more than {MAX_DEPTH} deep"));
        }
        let mut reversed = Vec::new();
        let mut at = to;
        while at != from {
            if at != to
                && let Some(name) = names.and_then(|names| names.get(&at))
            {
                reversed.push(Expr::Value(name.clone()));
                break;
            }
            at = match (&self.inputs[at][..], names) {
                (&[input], _) => {
                    reversed.extend(self.call(at));
                    input
                }
                _ if self.parallel[at] => {
                    reversed.extend(self.call(at));
                    reversed.push(self.branches(at, depth)?);
                    self.dominator[at]
                }
                (_, None) => {
                    reversed.push(self.block(self.dominator[at], at, depth)?);
                    self.dominator[at]
                }
                (inputs, Some(named)) => {
                    reversed.extend(self.call(at));
                    let branch = |&input: &usize| match named.get(&input) {
                        _ if input == from => Ok(vec![Expr::Call(Call::layer("Identity"))]),
                        Some(name) => Ok(vec![Expr::Value(name.clone())]),
                        None => self.region(from, input, names, depth + 1),
                    };
                    reversed.push(Expr::Branches(inputs.iter().map(branch).collect::<Result<_, _>>()?));
                    break;
                }
            };
        }
        reversed.reverse();
        Ok(reversed)
    }

    fn branches(&self, merge: usize, depth: usize) -> Result<Expr, String> {
        let from = self.dominator[merge];
        let branch = |&input: &usize| match input == from {
            true => Ok(vec![Expr::Call(Call::layer("Identity"))]),
            false => self.region(from, input, None, depth + 1),
        };
        Ok(Expr::Branches(self.inputs[merge].iter().map(branch).collect::<Result<_, _>>()?))
    }

    /// Everything between two places in which paths cross: what is read several times has a name.
    fn block(&self, from: usize, to: usize, depth: usize) -> Result<Expr, String> {
        let inside = self.between(from, to);
        // Merges whose branches are separate are written as such; what is in their branches is no matter of this block.
        let mut region_of: BTreeMap<usize, usize> = BTreeMap::new();
        for &merge in inside.iter().filter(|&&at| at != to && self.parallel[at]) {
            for at in self.between(self.dominator[merge], merge) {
                region_of.insert(at, merge);
            }
        }
        let own = |at: &usize| region_of.get(at).is_none_or(|merge| merge == at);
        let mut names = BTreeMap::new();
        for &at in inside.iter().filter(|&at| *at != to && own(at)) {
            let uses: Vec<usize> = self.readers[at].iter().filter(|reader| inside.contains(reader)).copied().collect();
            // The branches of one merge are one use.
            let uses: BTreeSet<(usize, usize)> = uses
                .iter()
                .enumerate()
                .map(|(place, &reader)| match region_of.get(&reader) {
                    Some(&merge) if self.dominator[merge] == at => (merge, 0),
                    _ => (reader, place),
                })
                .collect();
            if uses.len() > 1 {
                names.insert(at, name(names.len()));
            }
        }
        let mut lets = Vec::new();
        for (&at, name) in &names {
            lets.push((name.clone(), self.region(from, at, Some(&names), depth + 1)?));
        }
        let result = self.region(from, to, Some(&names), depth + 1)?;
        Ok(Expr::Block { lets, result })
    }
}

/// a, b, …, z, a2, …
fn name(index: usize) -> String {
    let letter = char::from(b'a' + (index % 26) as u8);
    if index < 26 { letter.to_string() } else { format!("{letter}{}", index / 26 + 1) }
}
