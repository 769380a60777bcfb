//! Frames that differ from an earlier one in numbers alone, such as the blocks of an EfficientNet: in a large net they are boxes
//! that name the earlier one.

use super::boxes::{Boxes, LayerBox, scope_of};
use super::groups::Group;
use crate::graph::Graph;
use crate::view::number_format::magnitude;
use std::collections::{BTreeMap, BTreeSet};

/// The number of boxes up to which a drawing shows all frames.
const MAX_BOXES: usize = 60;
/// The minimum number of boxes in a frame that becomes one.
const MIN_MEMBERS: usize = 4;

/// Replaces the outer frames of a large net that are like an earlier one by a box each. Returns whether there were any.
pub(super) fn contract(graph: &Graph, boxes: &mut Boxes, root: &Group) -> bool {
    if boxes.list.len() <= MAX_BOXES {
        return false;
    }
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut group_of: BTreeMap<usize, usize> = BTreeMap::new();
    let mut contracted = Vec::new();
    let mut groups: Vec<(Vec<usize>, &Group)> = root.groups.iter().map(|group| (sorted(group), group)).collect();
    groups.sort_by_key(|(members, _)| members.first().copied());
    for (members, group) in groups {
        if members.len() < MIN_MEMBERS || group.title.is_empty() {
            continue;
        }
        let Some(exit) = exit(boxes, &members) else { continue };
        match seen.get(&structure(graph, boxes, &members)) {
            Some(like) => {
                group_of.extend(members.iter().map(|&member| (member, contracted.len())));
                contracted.push((members[0], one_box(graph, boxes, &members, exit, group, like)));
            }
            None => {
                seen.insert(structure(graph, boxes, &members), &group.title);
            }
        }
    }
    if contracted.is_empty() {
        return false;
    }
    let firsts: Vec<usize> = contracted.iter().map(|(first, _)| *first).collect();
    let mut count = 0;
    let mut index_after: Vec<usize> = (0..boxes.list.len())
        .map(|at| {
            let stays = group_of.get(&at).is_none_or(|&group| firsts[group] == at);
            count += usize::from(stays);
            if stays { count - 1 } else { usize::MAX }
        })
        .collect();
    for (&member, &group) in &group_of {
        index_after[member] = index_after[firsts[group]];
    }
    let mut known = BTreeSet::new();
    boxes.edges.retain_mut(|(from, to)| {
        (*from, *to) = (index_after[*from], index_after[*to]);
        from != to && known.insert((*from, *to))
    });
    let mut replaced: BTreeMap<usize, LayerBox> = contracted.into_iter().collect();
    let old = std::mem::take(&mut boxes.list);
    boxes.list = old
        .into_iter()
        .enumerate()
        .filter_map(|(at, one)| if group_of.contains_key(&at) { replaced.remove(&at) } else { Some(one) })
        .collect();
    true
}

fn sorted(group: &Group) -> Vec<usize> {
    let mut members = group.all();
    members.sort_unstable();
    members
}

/// The only box of a frame whose output is used outside, or is the net's.
fn exit(boxes: &Boxes, members: &[usize]) -> Option<usize> {
    let leaves = |member: &usize| {
        let outside = |&(from, to): &(usize, usize)| from == *member && members.binary_search(&to).is_err();
        boxes.list[*member].exit.is_some() || boxes.edges.iter().any(outside)
    };
    let mut exits = members.iter().copied().filter(leaves);
    exits.next().filter(|_| exits.next().is_none())
}

/// What frames that are alike have in common: the layers, their settings without numbers, and how they are wired.
fn structure(graph: &Graph, boxes: &Boxes, members: &[usize]) -> String {
    let mut text = String::new();
    let mut outside: Vec<usize> = Vec::new();
    for &member in members {
        for &id in &boxes.list[member].layers {
            let node = graph.node(id);
            text.push_str(node.operation.kind());
            // Numbers may differ, and a default is not among the settings.
            let is_word =
                |value: &str| value.chars().any(char::is_alphabetic) && !value.contains(|c: char| c.is_ascii_digit());
            for (name, value) in node.operation.settings().into_iter().filter(|(_, value)| is_word(value)) {
                text.push_str(&format!(" {name}={value}"));
            }
            text.push_str(if node.frozen { " frozen;" } else { ";" });
        }
        for &(from, _) in boxes.edges.iter().filter(|(_, to)| *to == member) {
            match members.binary_search(&from) {
                Ok(position) => text.push_str(&format!(" {position}")),
                Err(_) => {
                    let known = outside.iter().position(|&other| other == from);
                    let number = known.unwrap_or_else(|| {
                        outside.push(from);
                        outside.len() - 1
                    });
                    text.push_str(&format!(" outside {number}"));
                }
            }
        }
        text.push('\n');
    }
    text
}

/// The box in place of a frame.
fn one_box(graph: &Graph, boxes: &Boxes, members: &[usize], exit: usize, group: &Group, like: &str) -> LayerBox {
    let layers: Vec<_> = members.iter().flat_map(|&member| boxes.list[member].layers.iter().copied()).collect();
    let mut one = scope_of(graph, &group.title, &layers);
    let weight = one.parameters(&boxes.costs);
    if weight > 0 {
        one.weight = magnitude(weight);
    }
    one.kind = format!("like {like}");
    one.fold = group.fold;
    one.shape = boxes.list[exit].shape.clone();
    one.exit = boxes.list[exit].exit;
    one
}
