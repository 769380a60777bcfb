//! The frames of a drawing: the scopes in the names of layers, and folds.

use super::boxes::{Boxes, LayerBox};
use crate::graph::{Graph, NodeId};
use crate::view::scopes::{beginning, common, ending, scoped_names, scopes};
use std::collections::BTreeMap;

/// Frames inside frames.
const MAX_NESTING: usize = 2;
/// The share of all boxes above which a frame says nothing: `features.` is in most names of many nets.
const MAX_SHARE: f64 = 0.6;
/// The number of boxes above which only the frames in a frame are drawn, if they are most of it.
const MAX_BOXES_AROUND: usize = 8;

/// The number of boxes up to which frames in a frame need a name.
const MAX_BOXES_WITH_NUMBERS: usize = 12;

/// A frame: its boxes and inner frames.
#[derive(Default)]
pub(super) struct Group {
    /// The scopes that it is.
    pub path: Vec<String>,
    pub fold: Option<usize>,
    /// The scopes as they are written, with their separators, or what the blocks of a fold are called.
    pub title: String,
    pub boxes: Vec<usize>,
    pub groups: Vec<Group>,
}

/// A scope or fold that a box is in.
struct Step {
    path: Vec<String>,
    fold: Option<usize>,
}

/// The frames of a drawing; also names each box without what its frames say. `compact` may turn frames into boxes, and returns whether
/// it did.
pub(super) fn groups(
    graph: &Graph,
    boxes: &mut Boxes,
    compact: impl FnOnce(&Graph, &mut Boxes, &Group) -> bool,
) -> Group {
    name_by_scope(graph, &mut boxes.list);
    let mut root = frames(graph, boxes);
    if compact(graph, boxes, &root) {
        root = frames(graph, boxes);
    }
    root.shorten_names(&mut boxes.list);
    root
}

fn frames(graph: &Graph, boxes: &Boxes) -> Group {
    let scopes = full_scopes(graph, boxes);
    let mut root = Group::default();
    for (index, steps) in steps(boxes, &scopes).iter().enumerate() {
        root.add(steps, index, boxes);
    }
    root.simplify(&Reach::new(boxes), boxes.list.len());
    root.limit_nesting(MAX_NESTING);
    root
}

/// The folds alone, which are frames in every net: scopes with links in both directions are not.
pub(super) fn folds_only(boxes: &Boxes) -> Group {
    let mut root = Group::default();
    for (index, one) in boxes.list.iter().enumerate() {
        let step = one.fold.map(|fold| Step { path: Vec::new(), fold: Some(fold) });
        root.add(step.as_slice(), index, boxes);
    }
    root.simplify(&Reach::new(boxes), usize::MAX);
    root
}

/// Names boxes that are all of a scope by the scope: a convolution `features.0.0` with its norm `features.0.1` is `features.0`.
fn name_by_scope(graph: &Graph, list: &mut [LayerBox]) {
    let mut members: BTreeMap<(Option<usize>, Vec<String>), usize> = BTreeMap::new();
    for one in list.iter() {
        (1..=one.scopes.len()).for_each(|end| *members.entry((one.fold, one.scopes[..end].to_vec())).or_default() += 1);
    }
    for one in list.iter_mut().filter(|one| !one.is_scope && !one.has_generated_name) {
        let scopes_of = |id: &NodeId| scopes(&graph.node(*id).name);
        let named = one.layers.iter().filter(|id| !graph.node(**id).has_generated_name());
        let together = named.clone().all(|id| scopes_of(id) == scopes_of(&one.layer));
        if together && named.count() > 1 && members.get(&(one.fold, one.scopes.clone())) == Some(&1) {
            one.name = beginning(&one.name, one.scopes.len()).to_string();
            one.scopes.pop();
        }
    }
}

/// The scopes of each box: those in its name; for a generated name those of its block or fold, else of what it was mentioned in.
fn full_scopes(graph: &Graph, boxes: &Boxes) -> Vec<Vec<String>> {
    let mut of_fold: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for one in boxes.list.iter().filter(|one| !one.has_generated_name) {
        if let Some(fold) = one.fold {
            narrow(&mut of_fold, fold, &one.scopes);
        }
    }
    let names = scoped_names(graph);
    let of_box = |one: &LayerBox| {
        if !one.has_generated_name || !one.scopes.is_empty() {
            return one.scopes.clone();
        }
        let of_fold = one.fold.and_then(|fold| of_fold.get(&fold));
        one.block.as_ref().or(of_fold).cloned().unwrap_or_else(|| scopes(&names[one.layer.0]))
    };
    boxes.list.iter().map(of_box).collect()
}

/// Keeps what the scopes so far have in common with these.
fn narrow<K: Ord>(of: &mut BTreeMap<K, Vec<String>>, key: K, scopes: &[String]) {
    match of.get_mut(&key) {
        Some(known) => {
            known.truncate(common(known, scopes));
        }
        None => {
            of.insert(key, scopes.to_vec());
        }
    }
}

/// The frames around each box, outermost first.
fn steps(boxes: &Boxes, scopes: &[Vec<String>]) -> Vec<Vec<Step>> {
    let mut of_fold: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    for (one, scopes) in boxes.list.iter().zip(scopes) {
        if let Some(fold) = one.fold {
            narrow(&mut of_fold, fold, scopes);
            *sizes.entry(fold).or_default() += 1;
        }
    }
    let of_box = |one: &LayerBox, scopes: &[String]| {
        // A fold of single boxes needs no frame.
        let fold = one.fold.filter(|fold| sizes[fold] > 1);
        let common = fold.map(|fold| &of_fold[&fold]);
        // The scope that differs from block to block is the fold.
        let varies = common.and_then(|common| common.iter().position(|scope| scope.contains('*')));
        let mut steps: Vec<Step> = (1..=scopes.len())
            .map(|end| Step { path: scopes[..end].to_vec(), fold: fold.filter(|_| varies == Some(end - 1)) })
            .collect();
        if let Some(common) = common.filter(|_| varies.is_none()) {
            steps.insert(common.len(), Step { path: common.clone(), fold });
        }
        steps
    };
    boxes.list.iter().zip(scopes).map(|(one, scopes)| of_box(one, scopes)).collect()
}

/// The predecessors and successors of each box.
struct Reach {
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
}

impl Reach {
    fn new(boxes: &Boxes) -> Reach {
        let mut before = vec![Vec::new(); boxes.list.len()];
        let mut after = vec![Vec::new(); boxes.list.len()];
        for &(from, to) in &boxes.edges {
            before[to].push(from);
            after[from].push(to);
        }
        Reach { before, after }
    }

    fn from(start: &[usize], next: &[Vec<usize>]) -> Vec<bool> {
        let mut reached = vec![false; next.len()];
        let mut pending = start.to_vec();
        while let Some(index) = pending.pop() {
            for &to in &next[index] {
                if !std::mem::replace(&mut reached[to], true) {
                    pending.push(to);
                }
            }
        }
        reached
    }

    /// Whether no path leaves the boxes and enters them again.
    fn is_closed(&self, boxes: &[usize]) -> bool {
        let (above, below) = (Self::from(boxes, &self.before), Self::from(boxes, &self.after));
        let mut inside = vec![false; above.len()];
        boxes.iter().for_each(|&index| inside[index] = true);
        (0..above.len()).all(|index| inside[index] || !(above[index] && below[index]))
    }
}

impl Group {
    fn add(&mut self, steps: &[Step], index: usize, boxes: &Boxes) {
        let Some((first, rest)) = steps.split_first() else {
            self.boxes.push(index);
            return;
        };
        let known = self.groups.iter().position(|group| group.path == first.path && group.fold == first.fold);
        let at = known.unwrap_or_else(|| {
            let title = match first.fold {
                Some(fold) => boxes.folds[fold].label.clone(),
                None => boxes
                    .list
                    .get(index)
                    .map_or(String::new(), |one| beginning(&one.name, first.path.len()).to_string()),
            };
            self.groups.push(Group { path: first.path.clone(), fold: first.fold, title, ..Group::default() });
            self.groups.len() - 1
        });
        // The title is in the words of a layer whose name says it.
        if first.fold.is_none() && !boxes.list[index].has_generated_name {
            self.groups[at].title = beginning(&boxes.list[index].name, first.path.len()).to_string();
        }
        self.groups[at].add(rest, index, boxes);
    }

    /// All boxes of the group and its inner groups.
    pub fn all(&self) -> Vec<usize> {
        let mut all = self.boxes.clone();
        all.extend(self.groups.iter().flat_map(Group::all));
        all
    }

    /// Removes frames around a single box or frame, those around most of the net, and those that are not closed.
    fn simplify(&mut self, reach: &Reach, total: usize) {
        let mut kept = Vec::new();
        for mut group in std::mem::take(&mut self.groups) {
            group.simplify(reach, total);
            if group.boxes.is_empty()
                && group.groups.len() == 1
                && (group.fold.is_none() || group.groups[0].fold.is_none())
            {
                let inner = group.groups.remove(0);
                // A fold keeps its name, which has the range of its blocks.
                group = match group.fold {
                    Some(_) => Group { boxes: inner.boxes, groups: inner.groups, path: inner.path, ..group },
                    None => inner,
                };
            }
            let all = group.all();
            // A number says nothing in a small frame.
            if !group.boxes.is_empty() && all.len() <= MAX_BOXES_WITH_NUMBERS {
                let is_number = |inner: &Group| inner.path.last().is_some_and(|last| last.parse::<u64>().is_ok());
                for mut inner in std::mem::take(&mut group.groups) {
                    if inner.fold.is_none() && is_number(&inner) {
                        group.boxes.append(&mut inner.boxes);
                        group.groups.append(&mut inner.groups);
                    } else {
                        group.groups.push(inner);
                    }
                }
            }
            let most = all.len() as f64 > MAX_SHARE * total as f64;
            let of_frames = all.len() > MAX_BOXES_AROUND && 2 * group.boxes.len() < all.len();
            let says_nothing = group.fold.is_none() && (most || of_frames && !group.groups.is_empty());
            if all.len() > 1 && !says_nothing && reach.is_closed(&all) {
                kept.push(group);
            } else {
                self.boxes.append(&mut group.boxes);
                kept.append(&mut group.groups);
            }
        }
        self.groups = kept;
    }

    /// Removes the innermost of deep frames, but no folds.
    fn limit_nesting(&mut self, most: usize) {
        for mut group in std::mem::take(&mut self.groups) {
            group.limit_nesting(most.saturating_sub(1));
            if most > 0 || group.fold.is_some() {
                self.groups.push(group);
            } else {
                self.boxes.append(&mut group.boxes);
                self.groups.append(&mut group.groups);
            }
        }
    }

    fn shorten_names(&self, list: &mut [LayerBox]) {
        for &index in &self.boxes {
            let one = &mut list[index];
            if !self.path.is_empty() && !one.has_generated_name && scopes(&one.name).starts_with(&self.path) {
                one.name = ending(&one.name, self.path.len()).to_string();
            }
        }
        self.groups.iter().for_each(|group| group.shorten_names(list));
    }

    /// What is written on the frame, inside of a frame with these scopes.
    pub fn label(&self, around: &[String]) -> &str {
        let is_inside = self.path.len() > around.len() && self.path.starts_with(around) && !around.is_empty();
        if is_inside && !self.title.starts_with('*') { ending(&self.title, around.len()) } else { &self.title }
    }
}
