//! Scopes as frames: the boxes of a scope are laid out on their own, and the frame is an item of the scope around it, so that
//! no frame overlaps boxes of other scopes.

use super::layered::lay_out;
use super::types::{Item, Link, Pin, Point};
use crate::graph::signature::definition::kebab_case;
use crate::graph::{Graph, Mention};
use crate::view::graph_layout::boxes::{Boxes, LayerBox, SMALL_SIZE};
use crate::view::svg_text::text_width;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A frame around the boxes of a scope.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub label: String,
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// A piece of an edge, inside one frame.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub points: Vec<Point>,
    /// Whether it ends at a box, not at the border of a frame.
    pub arrives: bool,
}

/// The positions of all elements of a drawing.
#[derive(Default)]
pub(crate) struct Scene {
    pub width: f64,
    pub height: f64,
    /// The index of each box and its upper left corner.
    pub boxes: Vec<(usize, Point)>,
    /// Outer frames before inner ones.
    pub frames: Vec<Frame>,
    pub pieces: Vec<Piece>,
    /// The x positions, by box, where outputs of outer boxes enter the frame and those of inner boxes leave it.
    entries: BTreeMap<usize, f64>,
    exits: BTreeMap<usize, f64>,
}

/// A scope: its boxes and inner scopes.
#[derive(Default)]
struct Group {
    label: String,
    boxes: Vec<usize>,
    groups: Vec<Group>,
}

/// The space between a frame and its contents.
const SIDE: f64 = 14.0;
const HEADER: f64 = 22.0;
const FOOT: f64 = 14.0;
/// The maximum heights without columns, of the drawing and of frames in it.
const MAX_HEIGHT: f64 = 760.0;
const MAX_FRAME_HEIGHT: f64 = 1000.0;
/// The maximum of boxes in a readable drawing.
const MAX_BOXES: usize = 2_000;
/// The space for the arrow below the last box.
pub(crate) const END: f64 = 26.0;

/// Positions all boxes. `None` if there is too much to draw.
pub(crate) fn arrange(graph: &Graph, boxes: &Boxes) -> Option<Scene> {
    if boxes.list.len() > MAX_BOXES {
        return None;
    }
    let scopes = full_scopes(graph, boxes);
    let mut root = Group::default();
    for (index, path) in scopes.iter().enumerate() {
        root.add(path, index);
    }
    let reach = Reach::new(boxes);
    root.simplify(&reach);
    place(&root, boxes, true).or_else(|| {
        // Scopes with links in both directions cannot both be frames.
        let flat = Group { boxes: (0..boxes.list.len()).collect(), ..Group::default() };
        place(&flat, boxes, true)
    })
}

/// The scopes of each box: those in its name; for a generated name that of the mention it came from, if all other names of the
/// mention are in one scope (the `Concatenate` of `fire(16, 64) as fire2` is part of fire2).
fn full_scopes(graph: &Graph, boxes: &Boxes) -> Vec<Vec<String>> {
    // The mention of the drawn net itself is no scope.
    let mention = |index: usize| {
        let mention = graph.node(boxes.list[index].layer).origin.mention.as_ref()?;
        mention.outer.is_some().then_some(Rc::as_ptr(mention))
    };
    let mut of_mention: BTreeMap<*const Mention, BTreeSet<&Vec<String>>> = BTreeMap::new();
    for (index, one) in boxes.list.iter().enumerate() {
        if let Some(mention) = mention(index)
            && !(one.scopes.is_empty() && has_generated_name(graph, one))
        {
            of_mention.entry(mention).or_default().insert(&one.scopes);
        }
    }
    let scope = |index: usize, one: &LayerBox| {
        let found = of_mention.get(&mention(index)?)?;
        let only = found.iter().next().filter(|_| found.len() == 1)?;
        (one.scopes.is_empty() && has_generated_name(graph, one)).then(|| (*only).clone())
    };
    boxes.list.iter().enumerate().map(|(index, one)| scope(index, one).unwrap_or(one.scopes.clone())).collect()
}

/// Whether a box has a generated name, such as `concatenate-1`.
fn has_generated_name(graph: &Graph, one: &LayerBox) -> bool {
    let node = graph.node(one.layer);
    let number = node.name.strip_prefix(&kebab_case(node.operation.kind())).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
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
    fn add(&mut self, path: &[String], index: usize) {
        let Some((first, rest)) = path.split_first() else {
            self.boxes.push(index);
            return;
        };
        match self.groups.iter_mut().find(|group| group.label == *first) {
            Some(group) => group.add(rest, index),
            None => {
                let mut group = Group { label: first.clone(), ..Group::default() };
                group.add(rest, index);
                self.groups.push(group);
            }
        }
    }

    /// All boxes of the group and its inner groups.
    fn all(&self) -> Vec<usize> {
        let mut all = self.boxes.clone();
        all.extend(self.groups.iter().flat_map(Group::all));
        all
    }

    /// Removes frames around a single box or frame, and those that are not closed.
    fn simplify(&mut self, reach: &Reach) {
        let mut kept = Vec::new();
        for mut group in std::mem::take(&mut self.groups) {
            group.simplify(reach);
            if group.boxes.is_empty() && group.groups.len() == 1 {
                let inner = group.groups.remove(0);
                group = Group { label: format!("{}/{}", group.label, inner.label), ..inner };
            }
            let all = group.all();
            if all.len() > 1 && reach.is_closed(&all) {
                kept.push(group);
            } else {
                self.boxes.append(&mut group.boxes);
                kept.append(&mut group.groups);
            }
        }
        self.groups = kept;
    }
}

/// Lays out a group: its boxes, its frames, and the entries and exits of links from and to other groups.
fn place(group: &Group, boxes: &Boxes, root: bool) -> Option<Scene> {
    let inner: Vec<Scene> = group.groups.iter().map(|group| place(group, boxes, false)).collect::<Option<_>>()?;
    let mut items: Vec<Item> = Vec::new();
    let mut member: BTreeMap<usize, usize> = BTreeMap::new();
    for &index in &group.boxes {
        let one = &boxes.list[index];
        let height = one.height + if one.ends { END } else { 0.0 };
        member.insert(index, items.len());
        items.push(Item { width: one.width, height, key: index, pin: Pin::Free });
    }
    for (scene, inner) in inner.iter().zip(&group.groups) {
        let all = inner.all();
        let key = all.iter().copied().min().unwrap_or(0);
        member.extend(all.into_iter().map(|index| (index, items.len())));
        items.push(Item { width: scene.width, height: scene.height, key, pin: Pin::Free });
    }
    let mut entries: BTreeMap<usize, usize> = BTreeMap::new();
    let mut exits: BTreeMap<usize, usize> = BTreeMap::new();
    let mut known = BTreeSet::new();
    let mut links = Vec::new();
    let offset = |item: usize, value: usize, leaves: bool| match item.checked_sub(group.boxes.len()) {
        Some(frame) if frame < inner.len() => {
            let ports = if leaves { &inner[frame].exits } else { &inner[frame].entries };
            ports.get(&value).copied().unwrap_or(inner[frame].width / 2.0)
        }
        Some(_) => 0.0,
        None => boxes.list[group.boxes[item]].width / 2.0,
    };
    for &(value, to) in &boxes.edges {
        let mut pinned = |ends: &mut BTreeMap<usize, usize>, pin: Pin| {
            *ends.entry(value).or_insert_with(|| {
                items.push(Item { width: 0.0, height: 0.0, key: value, pin });
                items.len() - 1
            })
        };
        let (from, to) = match (member.get(&value), member.get(&to)) {
            (Some(&from), Some(&to)) if from == to => continue,
            (Some(&from), Some(&to)) => (from, to),
            (None, Some(&to)) => (pinned(&mut entries, Pin::First), to),
            (Some(&from), None) => (from, pinned(&mut exits, Pin::Last)),
            (None, None) => continue,
        };
        if known.insert((value, from, to)) {
            links.push(Link { from, to, leaves: offset(from, value, true), enters: offset(to, value, false) });
        }
    }
    let layout = lay_out(&items, &links, if root { MAX_HEIGHT } else { MAX_FRAME_HEIGHT })?;

    // The label is in the upper left corner, to the left of the entering links.
    let label = text_width(&group.label, SMALL_SIZE, true) + 2.0 * SIDE;
    let first_entry = entries.values().map(|&item| layout.at[item].0).fold(f64::INFINITY, f64::min);
    let aside = if first_entry.is_finite() { label - SIDE - first_entry } else { (label - layout.width) / 2.0 - SIDE };
    let side = if root { 0.0 } else { SIDE + aside.max(0.0) };
    let top = if root { 0.0 } else { HEADER };
    let foot = if root || !exits.is_empty() { 0.0 } else { FOOT };
    let mut scene = Scene {
        width: layout.width + 2.0 * side,
        height: layout.height + top + foot,
        entries: entries.iter().map(|(&value, &item)| (value, layout.at[item].0 + side)).collect(),
        exits: exits.iter().map(|(&value, &item)| (value, layout.at[item].0 + side)).collect(),
        ..Scene::default()
    };
    if !root {
        let (width, height) = (scene.width, scene.height);
        scene.frames.push(Frame { label: group.label.clone(), x: 0.0, y: 0.0, width, height });
    }
    let moved = |point: Point, by: Point| (point.0 + by.0, point.1 + by.1);
    for (&index, &at) in group.boxes.iter().zip(&layout.at) {
        scene.boxes.push((index, moved(at, (side, top))));
    }
    for (link, route) in links.iter().zip(layout.routes) {
        let mut points: Vec<Point> = route.into_iter().map(|point| moved(point, (side, top))).collect();
        // Entries and exits are on the border of the frame.
        if items[link.from].pin == Pin::First
            && let Some(first) = points.first_mut()
        {
            first.1 = 0.0;
        }
        if items[link.to].pin == Pin::Last
            && let Some(last) = points.last_mut()
        {
            last.1 = scene.height;
        }
        scene.pieces.push(Piece { points, arrives: link.to < group.boxes.len() });
    }
    for (frame, part) in inner.into_iter().enumerate() {
        let by = moved(layout.at[group.boxes.len() + frame], (side, top));
        scene.boxes.extend(part.boxes.into_iter().map(|(index, at)| (index, moved(at, by))));
        scene.frames.extend(part.frames.into_iter().map(|frame| {
            let (x, y) = moved((frame.x, frame.y), by);
            Frame { x, y, ..frame }
        }));
        scene.pieces.extend(part.pieces.into_iter().map(|piece| {
            let points = piece.points.into_iter().map(|point| moved(point, by)).collect();
            Piece { points, ..piece }
        }));
    }
    Some(scene)
}
