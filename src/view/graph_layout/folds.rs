//! Finds equal blocks that follow each other, or that share their weights, so that a drawing shows them once.
//!
//! Layers are in the order of the text, so that blocks of equal boxes are next to each other in it: a fold is a run of boxes with
//! a period, whose blocks have equal layers and settings and are wired alike. The sizes of their tensors may grow.

use super::boxes::{Boxes, Fold, Input, LayerBox};
use super::fold_names::{label, name_blocks};
use crate::graph::{Graph, NodeId, ParameterId};
use crate::tensor::TensorType;
use crate::view::number_format::magnitude;
use crate::view::scopes::common as common_scopes;
use std::collections::{BTreeMap, BTreeSet};

/// The minimum number of boxes that a fold saves: below it, the boxes are easier to read than the fold.
const MIN_SAVED: usize = 4;
/// The maximum number of boxes in a block.
const MAX_PERIOD: usize = 400;
/// The maximum number of boxes to search, and of comparisons of boxes.
const MAX_BOXES: usize = 20_000;
const MAX_COMPARISONS: usize = 4_000_000;

/// Blocks of `period` boxes from `start` on.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: usize,
    period: usize,
    count: usize,
    in_series: bool,
}

impl Run {
    fn saved(&self) -> usize {
        self.period * (self.count - 1)
    }

    fn end(&self) -> usize {
        self.start + self.period * self.count
    }
}

/// Folds the equal blocks of a net: of each fold, only the boxes of the first block remain.
pub(super) fn fold(graph: &Graph, boxes: &mut Boxes, inputs: &[Vec<Input>]) {
    let runs = find(graph, &boxes.list, inputs);
    // The box that remains in place of each box, and the block of it.
    let mut remaining: Vec<usize> = (0..boxes.list.len()).collect();
    let mut block_of: Vec<Option<(usize, usize)>> = vec![None; boxes.list.len()];
    for (index, run) in runs.iter().enumerate() {
        let blocks: Vec<&[LayerBox]> = boxes.list[run.start..run.end()].chunks(run.period).collect();
        let layers = |block: &&[LayerBox]| block.iter().flat_map(|one| one.layers.iter().copied()).collect();
        let fold = Fold {
            blocks: blocks.iter().map(layers).collect(),
            label: match run.in_series {
                true => label(&blocks),
                false => sharing_label(graph, &boxes.list, inputs, run),
            },
            in_series: run.in_series,
        };
        boxes.folds.push(fold);
        for at in run.start..run.end() {
            let (block, position) = ((at - run.start) / run.period, (at - run.start) % run.period);
            remaining[at] = run.start + position;
            block_of[at] = Some((index, block));
        }
        for position in 0..run.period {
            let all: Vec<usize> = (0..run.count).map(|block| run.start + block * run.period + position).collect();
            merge(graph, boxes, &all);
            boxes.list[run.start + position].fold = Some(index);
        }
        if run.in_series {
            name_blocks(&mut boxes.list, run.start, run.period, run.count);
        }
    }
    let mut known = BTreeSet::new();
    boxes.edges.retain_mut(|(from, to)| {
        let between_blocks = matches!((block_of[*from], block_of[*to]), (Some(a), Some(b)) if a.0 == b.0 && a.1 != b.1);
        (*from, *to) = (remaining[*from], remaining[*to]);
        !between_blocks && known.insert((*from, *to))
    });
    let mut index_after = vec![0; boxes.list.len()];
    let mut count = 0;
    for at in 0..boxes.list.len() {
        index_after[at] = count;
        count += usize::from(remaining[at] == at);
    }
    let mut at = 0..;
    boxes.list.retain(|_| at.next().is_some_and(|at| remaining[at] == at));
    boxes.edges.iter_mut().for_each(|(from, to)| (*from, *to) = (index_after[*from], index_after[*to]));
}

/// Tells the boxes without a name of the text, where all blocks are drawn, the scope of their block, so that equal blocks look equal.
pub(super) fn mark_blocks(graph: &Graph, boxes: &mut Boxes, inputs: &[Vec<Input>]) {
    for run in find(graph, &boxes.list, inputs) {
        // The first use of shared layers has no scope of its own.
        let name = if run.in_series { String::new() } else { sharing_name(graph, &boxes.list, &run) };
        for (index, block) in boxes.list[run.start..run.end()].chunks_mut(run.period).enumerate() {
            if index == 0 && !name.is_empty() {
                for one in block.iter_mut().filter(|one| !one.has_generated_name) {
                    one.name = format!("{name}/{}", one.name);
                    one.scopes.insert(0, name.clone());
                }
            }
            let mut common: Option<Vec<String>> = None;
            for one in block.iter().filter(|one| !one.has_generated_name) {
                let known = common.get_or_insert_with(|| one.scopes.clone());
                known.truncate(common_scopes(known, &one.scopes));
            }
            block.iter_mut().filter(|one| one.has_generated_name).for_each(|one| one.block.clone_from(&common));
        }
    }
}

/// Writes what differs between the same boxes of all blocks into the first of them.
fn merge(graph: &Graph, boxes: &mut Boxes, all: &[usize]) {
    let outputs: Vec<&TensorType> = all.iter().map(|&at| &graph.node(boxes.list[at].last()).output).collect();
    let weights: Vec<u64> = all.iter().map(|&at| boxes.list[at].parameters(&boxes.costs)).collect();
    // Common weights count where they are first used.
    let weights: Vec<u64> = weights.iter().copied().filter(|&weight| weight > 0).collect();
    let last = &boxes.list[all[all.len() - 1]];
    let (exit, shown) = (last.exit, all.iter().any(|&at| boxes.list[at].shape.is_some()));
    let shape = shown.then(|| shapes_text(&outputs));
    let first = &mut boxes.list[all[0]];
    if let (Some(least), Some(most)) = (weights.iter().min(), weights.iter().max()) {
        first.weight = range_text(magnitude(*least), magnitude(*most));
    }
    (first.exit, first.shape) = (exit, shape);
}

/// `56 × 56 × 96…256`: what grows from block to block, from the first to the last.
fn shapes_text(outputs: &[&TensorType]) -> String {
    let (first, last) = (outputs[0], outputs[outputs.len() - 1]);
    let sizes = first.sizes.iter().zip(&last.sizes);
    let sizes: Vec<String> = sizes.map(|(first, last)| range_text(first.to_string(), last.to_string())).collect();
    sizes.join(" × ")
}

fn range_text(first: String, last: String) -> String {
    if first == last { first } else { format!("{first}…{last}") }
}

/// `encoder, shared by left and right`
fn sharing_label(graph: &Graph, list: &[LayerBox], inputs: &[Vec<Input>], run: &Run) -> String {
    let sources: Vec<&str> = (0..run.count)
        .filter_map(|block| {
            let range = run.start + block * run.period..run.start + (block + 1) * run.period;
            let outside = range.flat_map(|at| inputs[at].iter()).find(|(from, _)| *from < run.start)?;
            Some(list[outside.0].name.as_str())
        })
        .collect();
    let name = sharing_name(graph, list, run);
    let by = match sources[..] {
        [first, second] => format!("shared by {first} and {second}"),
        _ => format!("shared by {} inputs", run.count),
    };
    if name.is_empty() { by } else { format!("{name}, {by}") }
}

/// What shared layers are called.
fn sharing_name(graph: &Graph, list: &[LayerBox], run: &Run) -> String {
    // The second use of shared layers is in a scope with its number.
    let second = list[run.start + run.period].scopes.first().and_then(|scope| scope.strip_suffix("-2"));
    let net = graph.node(list[run.start].layer).origin.layers.first();
    second.or(net.map(|(net, _)| &**net)).unwrap_or("").to_string()
}

/// The runs that save the most boxes together.
fn find(graph: &Graph, list: &[LayerBox], inputs: &[Vec<Input>]) -> Vec<Run> {
    let count = list.len();
    if count > MAX_BOXES {
        return Vec::new();
    }
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let labels: Vec<usize> = list
        .iter()
        .zip(inputs)
        .map(|(one, inputs)| {
            let next = numbers.len();
            *numbers.entry(structure(graph, one, inputs.len())).or_insert(next)
        })
        .collect();
    let mut search = Search { graph, list, inputs, consumers: vec![Vec::new(); count], comparisons: 0 };
    for (to, inputs) in inputs.iter().enumerate() {
        inputs.iter().for_each(|&(from, _)| search.consumers[from].push(to));
    }
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); count];
    for period in 1..=MAX_PERIOD.min(count / 2) {
        // How many boxes from here on equal the one a period later.
        let mut equal = 0;
        for start in (0..count - period).rev() {
            equal = if labels[start] == labels[start + period] { equal + 1 } else { 0 };
            // Blocks that are runs themselves are found with the shorter period.
            let is_run = |run: &Run| period.is_multiple_of(run.period) && run.saved() + run.period >= 2 * period;
            if equal < period || runs[start].iter().any(is_run) {
                continue;
            }
            let most = equal / period + 1;
            let found = search.series(start, period, most).or_else(|| search.sharing(start, period, most));
            runs[start].extend(found);
        }
    }
    let mut best: Vec<(usize, Option<Run>)> = vec![(0, None); count + 1];
    for start in (0..count).rev() {
        best[start] = (best[start + 1].0, None);
        for run in &runs[start] {
            let saved = run.saved() + best[run.end()].0;
            if saved > best[start].0 {
                best[start] = (saved, Some(*run));
            }
        }
    }
    let mut chosen = Vec::new();
    let mut at = 0;
    while at < count {
        match best[at].1 {
            Some(run) => {
                chosen.push(run);
                at = run.end();
            }
            None => at += 1,
        }
    }
    chosen
}

/// What has to be equal of the boxes of equal blocks: their layers and settings.
fn structure(graph: &Graph, one: &LayerBox, inputs: usize) -> String {
    let mut text = format!("{inputs} {}", one.is_scope);
    for &id in &one.layers {
        let node = graph.node(id);
        let before = node.inputs.iter().map(|input| one.layers.iter().position(|layer| layer == input));
        let before: Vec<Option<usize>> = before.collect();
        text.push_str(&format!(
            "; {} {:?} {} {} {:?} {before:?}",
            node.operation.kind(),
            node.operation.settings(),
            node.frozen,
            node.parameters.len(),
            // Only the channels may grow.
            node.output.sizes.split_last().map(|(_, sizes)| sizes)
        ));
    }
    text
}

struct Search<'g> {
    graph: &'g Graph,
    list: &'g [LayerBox],
    inputs: &'g [Vec<Input>],
    consumers: Vec<Vec<usize>>,
    comparisons: usize,
}

impl Search<'_> {
    /// Whether a box gives an output of the net.
    fn is_output(&self, at: usize) -> bool {
        self.list[at].layers.iter().any(|id| self.graph.outputs.contains(id))
    }

    /// Blocks one after the other: each takes one value of the block before it, the first one of outside; other values of outside
    /// are the same for all. Only the last block's values are used after the run.
    fn series(&mut self, start: usize, period: usize, most: usize) -> Option<Run> {
        let mut carried: Option<Input> = None;
        let mut first_input: Option<Input> = None;
        let mut count = 1;
        'blocks: while count < most {
            let offset = count * period;
            for at in start..start + period {
                self.comparisons += 1;
                for (&first, &here) in self.inputs[at].iter().zip(&self.inputs[at + offset]) {
                    let inside = first.0 >= start;
                    if here.0 >= start + offset {
                        if !inside || (first.0 + offset, first.1) != here {
                            break 'blocks;
                        }
                    } else if inside {
                        break 'blocks;
                    } else if here.0 >= start + offset - period {
                        let from = (here.0 + period - start - offset, here.1);
                        if *carried.get_or_insert(from) != from || *first_input.get_or_insert(first) != first {
                            break 'blocks;
                        }
                    } else if here != first {
                        break 'blocks;
                    }
                }
            }
            if carried.is_none() || self.comparisons > MAX_COMPARISONS {
                break;
            }
            count += 1;
        }
        // A block whose values are used further on is the last one.
        let end = start + count * period;
        let used_later = |block: &usize| {
            let mut boxes = start + block * period..start + (block + 1) * period;
            boxes.any(|at| self.is_output(at) || self.consumers[at].iter().any(|&to| to >= end))
        };
        let count = (0..count - 1).find(used_later).map_or(count, |block| block + 1);
        let run = Run { start, period, count, in_series: true };
        (run.saved() >= MIN_SAVED).then_some(run)
    }

    /// Blocks with common weights, an input each, and the same consumers.
    fn sharing(&mut self, start: usize, period: usize, most: usize) -> Option<Run> {
        let parameters = |at: usize| -> Vec<&ParameterId> {
            self.list[at].layers.iter().flat_map(|&id| &self.graph.node(id).parameters).collect()
        };
        if self.comparisons > MAX_COMPARISONS || (start..start + period).all(|at| parameters(at).is_empty()) {
            return None;
        }
        let mut comparisons = 0;
        let mut count = 1;
        'blocks: while count < most {
            let offset = count * period;
            let end = start + offset + period;
            let mut source: Option<(Input, Input)> = None;
            for at in start..start + period {
                comparisons += 1;
                if parameters(at) != parameters(at + offset) || self.is_output(at) || self.is_output(at + offset) {
                    break 'blocks;
                }
                for (&first, &here) in self.inputs[at].iter().zip(&self.inputs[at + offset]) {
                    let inside = first.0 >= start;
                    let alike = match here.0 >= start + offset {
                        true => inside && (first.0 + offset, first.1) == here,
                        false if inside || here.0 >= start => false,
                        false => first == here || *source.get_or_insert((first, here)) == (first, here),
                    };
                    if !alike {
                        break 'blocks;
                    }
                }
                let outside = |at: usize, block: std::ops::Range<usize>| -> Vec<usize> {
                    self.consumers[at].iter().copied().filter(|to| !block.contains(to)).collect()
                };
                let here = outside(at + offset, start + offset..end);
                if outside(at, start..start + period) != here || here.iter().any(|&to| to < end) {
                    break 'blocks;
                }
            }
            if source.is_none() {
                break;
            }
            count += 1;
        }
        self.comparisons += comparisons;
        (count > 1).then_some(Run { start, period, count, in_series: false })
    }
}

/// The layers of a box in a fold, by block.
pub(crate) fn layers_of_blocks(fold: &Fold, layer: NodeId) -> impl Iterator<Item = NodeId> {
    let position = fold.blocks.first().and_then(|block| block.iter().position(|&id| id == layer));
    fold.blocks.iter().filter_map(move |block| block.get(position?).copied())
}
