//! Nets that go down and up again with skips across, such as the U-Net, as a U: the way down on the left, the way up on the
//! right, both ends of a skip at one height.

use super::layered::{self, Flow};
use super::rank_order::topological;
use super::types::{Item, Layout, Link, Point};
use std::collections::{BTreeMap, BTreeSet};

/// The minimum number of skips and of items of a U.
const MIN_SKIPS: usize = 2;
const MIN_ITEMS: usize = 8;
/// The maximum number of links that may be skips.
const MAX_CANDIDATES: usize = 400;
/// The minimum number of rows that a skip passes.
const MIN_SPAN: usize = 3;
/// The maximum number of boxes side by side at the bottom.
const MAX_BOTTOM: usize = 5;
/// The space between levels, between the columns, and between boxes at the bottom.
const LEVEL_GAP: f64 = 32.0;
const COLUMN_GAP: f64 = 110.0;
const BOTTOM_GAP: f64 = 36.0;
/// How far below a level the skip of a frame runs.
const BELOW: f64 = 20.0;

/// A U: for each skip, outermost first, what is before it on the left and after it on the right.
pub(super) struct Plan {
    left: Vec<Vec<usize>>,
    bottom: Vec<usize>,
    right: Vec<Vec<usize>>,
    skips: Vec<(usize, usize)>,
}

impl Plan {
    /// Whether an item is on the way up.
    pub fn goes_up(&self, item: usize) -> bool {
        self.right.iter().any(|level| level.contains(&item))
    }
}

/// Recognises a U by links between items that enclose each other, if all other links are within a level or lead to the next.
pub(super) fn plan(pairs: &[(usize, usize)]) -> Option<Plan> {
    let count = pairs.iter().map(|&(from, to)| from.max(to) + 1).max().unwrap_or(0);
    if count < MIN_ITEMS {
        return None;
    }
    let links: Vec<Link> = pairs.iter().map(|&(from, to)| Link { from, to, leaves: 0.0, enters: 0.0 }).collect();
    let order = topological(count, &links)?;
    let mut next = vec![Vec::new(); count];
    let mut before = vec![Vec::new(); count];
    for &(from, to) in pairs {
        next[from].push(to);
        before[to].push(from);
    }
    let mut rank = vec![0; count];
    for &item in &order {
        rank[item] = before[item].iter().map(|&from| rank[from] + 1).max().unwrap_or(0);
    }
    let long = |pair: &&(usize, usize)| rank[pair.1] - rank[pair.0] >= MIN_SPAN;
    let candidates: BTreeSet<(usize, usize)> = pairs.iter().filter(long).copied().collect();
    let mut candidates: Vec<(usize, usize)> = candidates.into_iter().collect();
    if candidates.len() < MIN_SKIPS || candidates.len() > MAX_CANDIDATES {
        return None;
    }
    candidates.sort_by_key(|&(from, to)| (rank[from], std::cmp::Reverse(rank[to])));
    let skips = nested(&candidates, &rank);
    if skips.len() < MIN_SKIPS {
        return None;
    }
    let mut level: Vec<Option<(bool, usize)>> = vec![None; count];
    for (index, &(from, to)) in skips.iter().enumerate() {
        mark(from, &before, &mut level, (true, index));
        if level[to].is_some() {
            return None;
        }
    }
    for (index, &(_, to)) in skips.iter().enumerate() {
        mark(to, &next, &mut level, (false, index));
    }
    let last = skips.len() - 1;
    let is_allowed = |&(from, to): &(usize, usize)| match (level[from], level[to]) {
        (a, b) if a == b => true,
        (Some((true, a)), Some((true, b))) => b == a + 1,
        (Some((true, a)), None) => a == last,
        (None, Some((false, b))) => b == last,
        (Some((false, a)), Some((false, b))) => a == b + 1,
        _ => skips.contains(&(from, to)),
    };
    if !pairs.iter().all(is_allowed) {
        return None;
    }
    let members = |wanted: Option<(bool, usize)>| (0..count).filter(|&item| level[item] == wanted).collect::<Vec<_>>();
    let side = |left: bool| (0..skips.len()).map(|index| members(Some((left, index)))).collect::<Vec<_>>();
    let plan = Plan { left: side(true), bottom: members(None), right: side(false), skips };
    // A long chain around a small U is better in columns.
    let outer = plan.left[0].len() + plan.right[0].len();
    (!plan.bottom.is_empty() && 2 * outer <= count).then_some(plan)
}

/// The longest list of links that enclose each other, outermost first.
fn nested(sorted: &[(usize, usize)], rank: &[usize]) -> Vec<(usize, usize)> {
    let mut best: Vec<(usize, Option<usize>)> = Vec::with_capacity(sorted.len());
    for (index, &(from, to)) in sorted.iter().enumerate() {
        let around = |other: &usize| rank[sorted[*other].0] < rank[from] && rank[sorted[*other].1] > rank[to];
        let outer = (0..index).filter(around).max_by_key(|&other| (best[other].0, std::cmp::Reverse(other)));
        best.push((outer.map_or(1, |outer| best[outer].0 + 1), outer));
    }
    let mut at = (0..sorted.len()).max_by_key(|&index| (best[index].0, std::cmp::Reverse(index)));
    let mut list = Vec::new();
    while let Some(index) = at {
        list.push(sorted[index]);
        at = best[index].1;
    }
    list.reverse();
    list
}

/// Marks an item and those beyond it that have no mark yet.
fn mark(start: usize, beyond: &[Vec<usize>], level: &mut [Option<(bool, usize)>], value: (bool, usize)) {
    let mut pending = vec![start];
    while let Some(item) = pending.pop() {
        if level[item].is_none() {
            level[item] = Some(value);
            pending.extend(&beyond[item]);
        }
    }
}

/// The layout of a level, or of the bottom, and where it is.
struct Part {
    members: Vec<usize>,
    links: Vec<usize>,
    layout: Layout,
    at: Point,
}

impl Part {
    fn new(members: &[usize], items: &[Item], links: &[Link], flow: Flow) -> Option<Part> {
        let position: BTreeMap<usize, usize> = members.iter().enumerate().map(|(at, &item)| (item, at)).collect();
        let mut inner = Vec::new();
        let mut numbers = Vec::new();
        for (index, link) in links.iter().enumerate() {
            if let (Some(&from), Some(&to)) = (position.get(&link.from), position.get(&link.to)) {
                inner.push(Link { from, to, ..link.clone() });
                numbers.push(index);
            }
        }
        let own: Vec<Item> = members.iter().map(|&item| items[item].clone()).collect();
        let layout = layered::lay_out(&own, &inner, f64::INFINITY, flow)?;
        Some(Part { members: members.to_vec(), links: numbers, layout, at: (0.0, 0.0) })
    }

    /// The corner of an item in the part.
    fn corner(&self, item: usize) -> Point {
        self.members.iter().position(|&member| member == item).map_or((0.0, 0.0), |at| self.layout.at[at])
    }

    /// Whether nothing else of the part is at this height beside the item, on the side of the other column.
    fn is_free(&self, item: usize, height: f64, items: &[Item], right: bool) -> bool {
        let (left, width) = (self.corner(item).0, items[item].width);
        let beside = |low: f64, high: f64| if right { high > left + 0.5 * width } else { low < left + 0.5 * width };
        let boxes =
            self.members.iter().zip(&self.layout.at).filter(|(member, _)| **member != item).all(|(&member, at)| {
                let apart = at.1 > height + 4.0 || at.1 + items[member].height < height - 4.0;
                apart || !beside(at.0, at.0 + items[member].width)
            });
        boxes
            && self.layout.routes.iter().flat_map(|route| route.windows(2)).all(|pair| {
                let apart = pair[0].1.min(pair[1].1) > height || pair[0].1.max(pair[1].1) < height;
                apart || !beside(pair[0].0.min(pair[1].0) - 1.0, pair[0].0.max(pair[1].0) + 1.0)
            })
    }
}

/// Places the items of a U; of these the first `boxes` are boxes, the others frames. `None` if something is in the way of a skip.
pub(super) fn lay_out(plan: &Plan, items: &[Item], boxes: usize, links: &[Link]) -> Option<Layout> {
    let parts = |levels: &[Vec<usize>], flow: Flow| -> Option<Vec<Part>> {
        levels.iter().map(|members| Part::new(members, items, links, flow)).collect()
    };
    let (mut left, mut right) = (parts(&plan.left, Flow::Down)?, parts(&plan.right, Flow::Up)?);
    let middle = |item: usize| items[item].width / 2.0;
    // The columns are aligned at the ends of the skips.
    let axis = |parts: &[Part], ends: &[usize]| {
        parts.iter().zip(ends).map(|(part, &end)| part.corner(end).0 + middle(end)).fold(0.0, f64::max)
    };
    let (from, to): (Vec<usize>, Vec<usize>) = plan.skips.iter().copied().unzip();
    let (left_axis, right_axis) = (axis(&left, &from), axis(&right, &to));
    let place = |parts: &mut [Part], ends: &[usize], axis: f64| -> f64 {
        let mut width = 0.0f64;
        for (part, &end) in parts.iter_mut().zip(ends) {
            part.at.0 = axis - part.corner(end).0 - middle(end);
            width = width.max(part.at.0 + part.layout.width);
        }
        width
    };
    let left_width = place(&mut left, &from, left_axis);
    let right_width = place(&mut right, &to, right_axis);
    let mut top = 0.0;
    // The height of each skip.
    let mut lines = Vec::new();
    for index in 0..plan.skips.len() {
        let (start, end) = (from[index], to[index]);
        let is_level = start < boxes && end < boxes;
        // Between boxes a skip is level; out of or into a frame it runs below both.
        let height = |part: &Part, item: usize| {
            part.corner(item).1 + if is_level { items[item].height / 2.0 } else { items[item].height }
        };
        let (on_left, on_right) = (height(&left[index], start), height(&right[index], end));
        let line = top + on_left.max(on_right);
        (left[index].at.1, right[index].at.1) = (line - on_left, line - on_right);
        let is_free = match is_level {
            true => {
                left[index].is_free(start, on_left, items, true) && right[index].is_free(end, on_right, items, false)
            }
            false => on_left + 0.5 > left[index].layout.height && on_right + 0.5 > right[index].layout.height,
        };
        if !is_free {
            return None;
        }
        let bottom = |part: &Part| part.at.1 + part.layout.height;
        let lowest = bottom(&left[index]).max(bottom(&right[index]));
        lines.push(if is_level { line } else { lowest + BELOW });
        top = lowest + LEVEL_GAP + if is_level { 0.0 } else { BELOW };
    }

    let row = chain(&plan.bottom, links).filter(|row| row.len() <= MAX_BOTTOM && row.iter().all(|&item| item < boxes));
    let mut layout = Layout {
        width: 0.0,
        height: 0.0,
        at: vec![(0.0, 0.0); items.len()],
        routes: vec![Vec::new(); links.len()],
        up: vec![false; items.len()],
    };
    // The distance between the axes of the columns.
    let mut apart = left_width - left_axis + COLUMN_GAP + right_axis;
    let mut bottom = None;
    match &row {
        Some(row) => {
            let widths: f64 = row.iter().map(|&item| items[item].width).sum();
            // The first is below the left column and the last below the right one.
            let (first, last) = (row[0], row[row.len() - 1]);
            let outside = if row.len() > 2 { middle(first) + middle(last) } else { -2.0 * BOTTOM_GAP };
            apart = apart.max(widths - outside + (row.len() - 1) as f64 * BOTTOM_GAP);
            let space = (apart + outside - widths) / (row.len().max(2) - 1) as f64;
            let space = if row.len() > 2 { space } else { (apart - widths) / (row.len() + 1) as f64 };
            let mut x = left_axis + if row.len() > 2 { -middle(first) } else { space };
            let height = row.iter().map(|&item| items[item].height).fold(0.0, f64::max);
            for &item in row {
                layout.at[item] = (x, top + (height - items[item].height) / 2.0);
                x += items[item].width + space;
            }
            layout.up[last] = row.len() > 2;
            layout.height = top + height + 16.0;
        }
        None => {
            let part = Part::new(&plan.bottom, items, links, Flow::Down)?;
            apart = apart.max(left_width - left_axis + part.layout.width + 2.0 * BOTTOM_GAP + right_axis);
            let x = left_axis + (apart - part.layout.width) / 2.0;
            layout.height = top + part.layout.height + LEVEL_GAP;
            bottom = Some(Part { at: (x, top + 10.0), ..part });
        }
    }
    right.iter_mut().for_each(|part| part.at.0 += left_axis + apart - right_axis);
    layout.width = left_axis + apart - right_axis + right_width;
    for part in left.iter().chain(&right).chain(&bottom) {
        for (position, &item) in part.members.iter().enumerate() {
            let (x, y) = part.layout.at[position];
            layout.at[item] = (x + part.at.0, y + part.at.1);
            layout.up[item] = part.layout.up[position];
        }
        for (&link, route) in part.links.iter().zip(&part.layout.routes) {
            layout.routes[link] = route.iter().map(|(x, y)| (x + part.at.0, y + part.at.1)).collect();
        }
    }
    // The left side can be wider than the axis says.
    let leftmost = layout.at.iter().map(|at| at.0).fold(0.0, f64::min);
    layout.at.iter_mut().chain(layout.routes.iter_mut().flatten()).for_each(|point| point.0 -= leftmost);
    layout.width -= leftmost;

    let in_row = |item: usize| row.as_ref().is_some_and(|row| row.contains(&item));
    for (index, link) in links.iter().enumerate() {
        if !layout.routes[index].is_empty() {
            continue;
        }
        let (from, to) = (link.from, link.to);
        let corner = |item: usize| layout.at[item];
        let side = |item: usize, right: bool| {
            (corner(item).0 + if right { items[item].width } else { 0.0 }, corner(item).1 + items[item].height / 2.0)
        };
        let below = |item: usize, port: f64| (corner(item).0 + port, corner(item).1 + items[item].height);
        let above = |item: usize, port: f64| (corner(item).0 + port, corner(item).1);
        let skip = plan.skips.iter().position(|&skip| skip == (from, to)).filter(|_| from >= boxes || to >= boxes);
        layout.routes[index] = if let Some(skip) = skip {
            let (start, end, line) = (below(from, link.leaves), below(to, link.enters), lines[skip]);
            vec![start, (start.0, line), (end.0, line), end]
        } else if plan.skips.contains(&(from, to)) || in_row(from) && in_row(to) {
            vec![side(from, true), side(to, false)]
        } else if in_row(to) {
            let (start, under) = (below(from, link.leaves), row.as_ref().is_some_and(|row| row.len() > 2));
            match under {
                true => vec![start, above(to, link.enters)],
                false => vec![start, (start.0, side(to, false).1), side(to, false)],
            }
        } else if in_row(from) {
            let (end, under) = (below(to, link.enters), row.as_ref().is_some_and(|row| row.len() > 2));
            match under {
                true => vec![above(from, link.leaves), end],
                false => vec![side(from, true), (end.0, side(from, true).1), end],
            }
        } else if plan.bottom.contains(&to) {
            let (start, end) = (below(from, link.leaves), above(to, link.enters));
            let turn = top - LEVEL_GAP / 2.0;
            vec![start, (start.0, turn), (end.0, turn), end]
        } else if plan.bottom.contains(&from) {
            let (start, end) = (below(from, link.leaves), below(to, link.enters));
            vec![start, (start.0, layout.height), (end.0, layout.height), end]
        } else if plan.goes_up(from) {
            vec![above(from, link.leaves), below(to, link.enters)]
        } else {
            vec![below(from, link.leaves), above(to, link.enters)]
        };
    }
    if bottom.is_some() {
        layout.height += 12.0;
    }
    Some(layout)
}

/// The items in order, if each is the only one after the one before it.
fn chain(members: &[usize], links: &[Link]) -> Option<Vec<usize>> {
    let inner: BTreeSet<(usize, usize)> = links
        .iter()
        .map(|link| (link.from, link.to))
        .filter(|(from, to)| members.contains(from) && members.contains(to))
        .collect();
    let is_first = |item: &&usize| inner.iter().all(|(_, to)| to != *item);
    let mut order = vec![*members.iter().find(is_first)?];
    while let Some((_, next)) = order.last().and_then(|last| inner.iter().find(|(from, _)| from == last)) {
        order.push(*next);
    }
    (order.len() == members.len() && inner.len() + 1 == members.len()).then_some(order)
}
