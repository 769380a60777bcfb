//! The positions of frames and boxes: the boxes of a frame are laid out on their own, and the frame is an item of the frame
//! around it, so that no frame overlaps boxes of others.

use super::columns::{MAX_WIDTH, unfitness};
use super::groups::{Group, folds_only, groups};
use super::layered::{Flow, lay_out};
use super::similar::contract;
use super::types::{Item, Layout, Link, Pin, Point};
use super::u_shape;
use crate::graph::Graph;
use crate::view::graph_layout::boxes::{Boxes, Exit, MIN_WIDTHS, SMALL_SIZE, measure};
use crate::view::svg_text::text_width;
use std::collections::{BTreeMap, BTreeSet};

/// A frame around the boxes of a scope or of a fold.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub label: String,
    pub fold: Option<usize>,
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

/// A box in a drawing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlacedBox {
    /// Its index in the list of boxes.
    pub index: usize,
    /// Its upper left corner.
    pub at: Point,
    /// Whether its output leaves to above.
    pub up: bool,
}

/// The positions of all elements of a drawing.
#[derive(Default)]
pub(crate) struct Scene {
    pub width: f64,
    pub height: f64,
    pub boxes: Vec<PlacedBox>,
    /// Outer frames before inner ones.
    pub frames: Vec<Frame>,
    pub pieces: Vec<Piece>,
    /// The x positions, by box, where outputs of outer boxes enter the frame and those of inner boxes leave it.
    entries: BTreeMap<usize, f64>,
    exits: BTreeMap<usize, f64>,
}

/// The space between a frame and its contents.
const SIDE: f64 = 14.0;
const HEADER: f64 = 22.0;
const FOOT: f64 = 14.0;
/// The maximum height without columns.
const MAX_HEIGHT: f64 = 760.0;
/// The height above which narrower boxes may save some.
const MAX_PAGE_HEIGHT: f64 = 1600.0;
/// The maximum of boxes in a readable drawing.
const MAX_BOXES: usize = 2_000;
/// The space for the arrow of an output, below its box or beside it.
pub(crate) const END: f64 = 26.0;
/// The width of the sign of a fold at the corner of its frame.
pub(crate) const BADGE: f64 = 40.0;

/// Positions all boxes, and names and measures them. `None` if there is too much to draw.
pub(crate) fn arrange(graph: &Graph, boxes: &mut Boxes, is_compact: bool) -> Option<Scene> {
    if boxes.list.len() > MAX_BOXES {
        return None;
    }
    let root = groups(graph, boxes, |graph, boxes, root| is_compact && contract(graph, boxes, root));
    let mut arranged = |min_width: f64| {
        boxes.list.iter_mut().for_each(|one| measure(graph, one, min_width));
        let down = |root: &Group| place(root, boxes, &[], Flow::Down, true);
        down(&root).or_else(|| down(&folds_only(boxes)))
    };
    let [wide, narrow] = MIN_WIDTHS;
    let scene = arranged(wide)?;
    if scene.width <= MAX_WIDTH && scene.height <= MAX_PAGE_HEIGHT {
        return Some(scene);
    }
    // Narrow boxes if that makes the drawing a better page.
    let narrower = arranged(narrow)?;
    if unfitness(narrower.width, narrower.height) + 0.05 < unfitness(scene.width, scene.height) {
        return Some(narrower);
    }
    arranged(wide)
}

/// Lays out a group: its boxes, its frames, and the entries and exits of links from and to other groups.
fn place(group: &Group, boxes: &Boxes, around: &[String], flow: Flow, root: bool) -> Option<Scene> {
    // In a U, links leave boxes at their sides, too.
    let has_aside = group.boxes.iter().any(|&index| boxes.list[index].exit == Some(Exit::Aside));
    let plan = if root && !has_aside { u_shape::plan(&Contents::new(group, boxes).pairs(boxes)) } else { None };
    if let Some(plan) = plan {
        let contents = Contents::with_frames(group, boxes, around, |item| match plan.goes_up(item) {
            true => Flow::Up,
            false => Flow::Down,
        })?;
        let (contents, links) = contents.connected(boxes);
        if let Some(layout) = u_shape::lay_out(&plan, &contents.items, group.boxes.len(), &links) {
            return Some(contents.scene(&links, layout, around, flow, root));
        }
    }
    let (contents, links) = Contents::with_frames(group, boxes, around, |_| flow)?.connected(boxes);
    // Links into a frame are above its first column and those out of it below the last: frames in columns would make stairs.
    let columns_above = if root { MAX_HEIGHT } else { f64::INFINITY };
    let layout = lay_out(&contents.items, &links, columns_above, flow)?;
    Some(contents.scene(&links, layout, around, flow, root))
}

/// The boxes and frames of a group as items.
struct Contents<'g> {
    group: &'g Group,
    boxes: &'g Boxes,
    inner: Vec<Scene>,
    /// The boxes, the frames, then the entries and exits.
    items: Vec<Item>,
    /// The item that each box is in.
    member: BTreeMap<usize, usize>,
    entries: BTreeMap<usize, usize>,
    exits: BTreeMap<usize, usize>,
}

impl<'g> Contents<'g> {
    fn new(group: &'g Group, boxes: &'g Boxes) -> Self {
        let boxes_first = group.boxes.iter().enumerate().map(|(item, &index)| (index, item));
        let mut member: BTreeMap<usize, usize> = boxes_first.collect();
        for (frame, inner) in group.groups.iter().enumerate() {
            member.extend(inner.all().into_iter().map(|index| (index, group.boxes.len() + frame)));
        }
        let (entries, exits) = (BTreeMap::new(), BTreeMap::new());
        Contents { group, boxes, inner: Vec::new(), items: Vec::new(), member, entries, exits }
    }

    /// With the frames laid out, each in the direction of its item.
    fn with_frames(
        group: &'g Group,
        boxes: &'g Boxes,
        around: &[String],
        flow: impl Fn(usize) -> Flow,
    ) -> Option<Contents<'g>> {
        let path = if group.path.is_empty() { around } else { &group.path };
        let frames = group.groups.iter().enumerate();
        let inner = frames.map(|(frame, inner)| place(inner, boxes, path, flow(group.boxes.len() + frame), false));
        Some(Contents { inner: inner.collect::<Option<_>>()?, ..Contents::new(group, boxes) })
    }

    /// The links between boxes and frames.
    fn pairs(&self, boxes: &Boxes) -> Vec<(usize, usize)> {
        let pair = |&(from, to): &(usize, usize)| Some((*self.member.get(&from)?, *self.member.get(&to)?));
        boxes.edges.iter().filter_map(pair).filter(|(from, to)| from != to).collect()
    }

    /// Where along the width of an item the output of a box leaves it, or enters it.
    fn port(&self, item: usize, value: usize, leaves: bool) -> f64 {
        match item.checked_sub(self.group.boxes.len()) {
            Some(frame) if frame < self.inner.len() => {
                let scene = &self.inner[frame];
                let ports = if leaves { &scene.exits } else { &scene.entries };
                ports.get(&value).copied().unwrap_or(scene.width / 2.0)
            }
            Some(_) => 0.0,
            None => self.boxes.list[self.group.boxes[item]].width / 2.0,
        }
    }

    /// Makes the items and the links between them, with those into and out of the group.
    fn connected(mut self, boxes: &Boxes) -> (Self, Vec<Link>) {
        for &index in &self.group.boxes {
            let one = &boxes.list[index];
            let (aside, below) = match one.exit {
                Some(Exit::Below) => (0.0, END),
                Some(Exit::Aside) => (END, 0.0),
                None => (0.0, 0.0),
            };
            let (width, height) = (one.width + aside, one.height + below);
            self.items.push(Item { width, height, key: index, pin: Pin::Free });
        }
        for (scene, inner) in self.inner.iter().zip(&self.group.groups) {
            let key = inner.all().into_iter().min().unwrap_or(0);
            self.items.push(Item { width: scene.width, height: scene.height, key, pin: Pin::Free });
        }
        let mut known = BTreeSet::new();
        let mut links = Vec::new();
        for &(value, to) in &boxes.edges {
            let items = &mut self.items;
            let mut pinned = |ends: &mut BTreeMap<usize, usize>, pin: Pin| {
                *ends.entry(value).or_insert_with(|| {
                    items.push(Item { width: 0.0, height: 0.0, key: value, pin });
                    items.len() - 1
                })
            };
            let (from, to) = match (self.member.get(&value), self.member.get(&to)) {
                (Some(&from), Some(&to)) if from == to => continue,
                (Some(&from), Some(&to)) => (from, to),
                (None, Some(&to)) => (pinned(&mut self.entries, Pin::First), to),
                (Some(&from), None) => (from, pinned(&mut self.exits, Pin::Last)),
                (None, None) => continue,
            };
            if known.insert((value, from, to)) {
                let (leaves, enters) = (self.port(from, value, true), self.port(to, value, false));
                links.push(Link { from, to, leaves, enters });
            }
        }
        (self, links)
    }

    fn scene(self, links: &[Link], layout: Layout, around: &[String], flow: Flow, root: bool) -> Scene {
        let Contents { group, boxes, inner, items, entries, exits, .. } = self;
        // The label is in the upper left corner, to the left of the links there.
        let text = group.label(around).to_string();
        let badge = if group.fold.is_some() { BADGE } else { 0.0 };
        let label = text_width(&text, SMALL_SIZE, true) + 2.0 * SIDE;
        let (at_top, at_foot) = if flow == Flow::Up { (&exits, &entries) } else { (&entries, &exits) };
        let first = at_top.values().map(|&item| layout.at[item].0).fold(f64::INFINITY, f64::min);
        let last = at_top.values().map(|&item| layout.at[item].0).fold(f64::NEG_INFINITY, f64::max);
        let aside = match first.is_finite() {
            true => (label - SIDE - first).max(badge - SIDE - (layout.width - last)),
            false => (label + badge - layout.width) / 2.0 - SIDE,
        };
        let side = if root { 0.0 } else { SIDE + aside.max(0.0) };
        let top = if root { 0.0 } else { HEADER };
        let foot = if root || !at_foot.is_empty() { 0.0 } else { FOOT };
        let at_side = |ends: &BTreeMap<usize, usize>| -> BTreeMap<usize, f64> {
            ends.iter().map(|(&value, &item)| (value, layout.at[item].0 + side)).collect()
        };
        let mut scene = Scene {
            width: layout.width + 2.0 * side,
            height: layout.height + top + foot,
            entries: at_side(&entries),
            exits: at_side(&exits),
            ..Scene::default()
        };
        if !root {
            let (width, height) = (scene.width, scene.height);
            scene.frames.push(Frame { label: text, fold: group.fold, x: 0.0, y: 0.0, width, height });
        }
        let moved = |point: Point, by: Point| (point.0 + by.0, point.1 + by.1);
        for (item, &index) in group.boxes.iter().enumerate() {
            let up = layout.up[item];
            let end = if up && boxes.list[index].exit == Some(Exit::Below) { END } else { 0.0 };
            scene.boxes.push(PlacedBox { index, at: moved(layout.at[item], (side, top + end)), up });
        }
        for (link, route) in links.iter().zip(layout.routes) {
            let mut points: Vec<Point> = route.into_iter().map(|point| moved(point, (side, top))).collect();
            // Entries and exits are on the border of the frame.
            let (start, end) = if flow == Flow::Up { (scene.height, 0.0) } else { (0.0, scene.height) };
            if items[link.from].pin == Pin::First
                && let Some(first) = points.first_mut()
            {
                first.1 = start;
            }
            if items[link.to].pin == Pin::Last
                && let Some(last) = points.last_mut()
            {
                last.1 = end;
            }
            scene.pieces.push(Piece { points, arrives: link.to < group.boxes.len() });
        }
        for (frame, part) in inner.into_iter().enumerate() {
            let by = moved(layout.at[group.boxes.len() + frame], (side, top));
            scene.boxes.extend(part.boxes.into_iter().map(|one| PlacedBox { at: moved(one.at, by), ..one }));
            scene.frames.extend(part.frames.into_iter().map(|frame| {
                let (x, y) = moved((frame.x, frame.y), by);
                Frame { x, y, ..frame }
            }));
            scene.pieces.extend(part.pieces.into_iter().map(|piece| {
                let points = piece.points.into_iter().map(|point| moved(point, by)).collect();
                Piece { points, ..piece }
            }));
        }
        scene
    }
}
