//! The layered layout of one level of a drawing: rows from top to bottom, long chains in columns.

use super::columns;
use super::rank_order::rows;
use super::types::{Cell, Item, Layout, Link, Part, Pin, Point, RowPoint, Rows, size};

/// The space between items of a row.
const ITEM_GAP: f64 = 30.0;
/// The space between a link and its neighbour in a row.
const LINK_GAP: f64 = 20.0;
/// The space between rows with straight links, for a shape and an arrow.
const ROW_GAP: f64 = 30.0;
/// The space between the entries of a frame and the next row with straight links.
const ENTRY_GAP: f64 = 8.0;
/// The straight start of a curved link, next to which shapes are written.
const STUB: f64 = 14.0;
/// The number of sweeps that average positions with those of linked cells.
const SWEEPS: usize = 24;

/// The direction of the links of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Down,
    Up,
}

/// Lays out one level, in columns above this height. `None` if links form a cycle or there is too much to draw.
pub(super) fn lay_out(items: &[Item], links: &[Link], columns_above: f64, flow: Flow) -> Option<Layout> {
    let rows = rows(items, links)?;
    let mut x = assign_x(&rows, items, links);
    straighten(&rows, items, links, &mut x);
    let (tops, heights) = assign_y(&rows, &x, items, links);
    let mut at = vec![(0.0, 0.0); rows.cells.len()];
    for (index, row) in rows.rows.iter().enumerate() {
        for &cell in row {
            let height = size(&rows, cell, items).1;
            at[cell] = (x[cell], tops[index] + (heights[index] - height) / 2.0);
        }
    }
    let ends: Vec<f64> = tops.iter().zip(&heights).map(|(top, height)| top + height).collect();
    let routes = routes(&rows, &at, &tops, &ends, items, links);
    let mut layout = Layout {
        width: (0..at.len()).map(|cell| at[cell].0 + size(&rows, cell, items).0).fold(0.0, f64::max),
        height: ends.last().copied().unwrap_or(0.0),
        routes: routes.iter().map(|route| route.iter().map(|(point, _)| *point).collect()).collect(),
        at,
        up: vec![false; items.len()],
    };
    if layout.height > columns_above {
        columns::break_up(&mut layout, &rows, routes, &tops, &ends, items);
    }
    layout.at.truncate(items.len());
    Some(if flow == Flow::Up { layout.turned_over(items) } else { layout })
}

/// The x positions where a part of a link leaves its upper and enters its lower cell, from their left sides.
fn ports(rows: &Rows, part: &Part, links: &[Link]) -> Point {
    let link = &links[part.link];
    let upper = if matches!(rows.cells[part.upper], Cell::Item(_)) { link.leaves } else { 0.0 };
    let lower = if matches!(rows.cells[part.lower], Cell::Item(_)) { link.enters } else { 0.0 };
    (upper, lower)
}

/// The weight of keeping a part straight: highest on the longest path, then on the inner parts of long links.
fn weight(rows: &Rows, part: &Part) -> f64 {
    let passes = |cell: usize| usize::from(matches!(rows.cells[cell], Cell::Pass(_)));
    match passes(part.upper) + passes(part.lower) {
        _ if rows.spine[part.link] => 1e7,
        2 => 100.0,
        1 => 2.0,
        _ => 1.0,
    }
}

/// The left sides of all cells: as close as possible to the positions that keep links straight, without overlaps.
fn assign_x(rows: &Rows, items: &[Item], links: &[Link]) -> Vec<f64> {
    let mut x = vec![0.0; rows.cells.len()];
    for row in &rows.rows {
        let mut left = 0.0;
        for &cell in row {
            x[cell] = left;
            left += size(rows, cell, items).0 + ITEM_GAP;
        }
        row.iter().for_each(|&cell| x[cell] -= (left - ITEM_GAP) / 2.0);
    }
    let count = rows.rows.len();
    let mut wanted = vec![(0.0, 0.0); rows.cells.len()];
    for sweep in 0..SWEEPS {
        let last = sweep + 2 >= SWEEPS;
        for step in 0..count {
            let row = if sweep % 2 == 0 { step } else { count - 1 - step };
            let above = row.checked_sub(1).map_or(&[][..], |above| &rows.parts[above]);
            // The first sweeps use links in one direction, so that moves propagate; the last ones use both.
            let above = if sweep % 2 == 0 || last { above } else { &[] };
            let below = if sweep % 2 == 1 || last { &rows.parts[row][..] } else { &[] };
            rows.rows[row].iter().for_each(|&cell| wanted[cell] = (0.0, 0.0));
            for part in above {
                let (weight, (upper, lower)) = (weight(rows, part), ports(rows, part, links));
                wanted[part.lower].0 += weight * (x[part.upper] + upper - lower);
                wanted[part.lower].1 += weight;
            }
            for part in below {
                let (weight, (upper, lower)) = (weight(rows, part), ports(rows, part, links));
                wanted[part.upper].0 += weight * (x[part.lower] + lower - upper);
                wanted[part.upper].1 += weight;
            }
            place_row(rows, &rows.rows[row], &wanted, &mut x, items);
        }
    }
    let left = x.iter().copied().fold(f64::INFINITY, f64::min);
    x.iter_mut().for_each(|x| *x -= left);
    x
}

/// Places a row's cells as close as possible to their wanted positions (least squares), in order and without overlaps, by the
/// pool-adjacent-violators algorithm.
fn place_row(rows: &Rows, row: &[usize], wanted: &[Point], x: &mut [f64], items: &[Item]) {
    // Minus the widths and gaps to the left, positions only have to be non-decreasing.
    let mut shift = 0.0;
    let mut shifts = Vec::with_capacity(row.len());
    for (index, &cell) in row.iter().enumerate() {
        if index > 0 {
            let before = row[index - 1];
            let link = [before, cell].iter().any(|&cell| size(rows, cell, items).0 == 0.0);
            shift += size(rows, before, items).0 + if link { LINK_GAP } else { ITEM_GAP };
        }
        shifts.push(shift);
    }
    // Blocks of adjacent cells: weighted sum of wanted positions, weight, number of cells.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for (&cell, shift) in row.iter().zip(&shifts) {
        let (wanted, weight) = match wanted[cell] {
            (_, 0.0) => (x[cell], 0.01),
            (sum, weight) => (sum / weight, weight),
        };
        blocks.push(((wanted - shift) * weight, weight, 1));
        while let [.., (sum_a, weight_a, count_a), (sum_b, weight_b, count_b)] = blocks[..]
            && sum_a / weight_a > sum_b / weight_b
        {
            blocks.pop();
            blocks.pop();
            blocks.push((sum_a + sum_b, weight_a + weight_b, count_a + count_b));
        }
    }
    let positions = blocks.iter().flat_map(|&(sum, weight, count)| std::iter::repeat_n(sum / weight, count));
    for ((&cell, shift), position) in row.iter().zip(&shifts).zip(positions) {
        x[cell] = position + shift;
    }
}

/// Straightens long links that bend around wide rows, where there is space.
fn straighten(rows: &Rows, items: &[Item], links: &[Link], x: &mut [f64]) {
    let mut passes: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut position = vec![(0, 0); rows.cells.len()];
    for (index, row) in rows.rows.iter().enumerate() {
        for (at, &cell) in row.iter().enumerate() {
            position[cell] = (index, at);
        }
    }
    // The passes of a link are consecutive.
    for (cell, kind) in rows.cells.iter().enumerate() {
        match (kind, passes.last_mut()) {
            (Cell::Pass(link), Some((known, cells))) if known == link => cells.push(cell),
            (Cell::Pass(link), _) => passes.push((*link, vec![cell])),
            (Cell::Item(_), _) => {}
        }
    }
    let outermost = |cells: &[usize], x: &[f64]| cells.iter().map(|&cell| x[cell]).fold(f64::NEG_INFINITY, f64::max);
    let innermost = |cells: &[usize], x: &[f64]| cells.iter().map(|&cell| x[cell]).fold(f64::INFINITY, f64::min);
    // First the links that bend to the right, from the right inwards, then those that bend to the left.
    for right in [true, false] {
        let mut order: Vec<(f64, usize)> = passes
            .iter()
            .enumerate()
            .map(|(index, (_, cells))| (if right { -outermost(cells, x) } else { innermost(cells, x) }, index))
            .collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (_, index) in order {
            let cells = &passes[index].1;
            let bend = if right { outermost(cells, x) } else { innermost(cells, x) };
            let link = &links[passes[index].0];
            let ends = [x[link.from] + link.leaves, x[link.to] + link.enters];
            let beyond = |end: &f64| if right { *end > bend } else { *end < bend };
            let fits = |wanted: f64| {
                cells.iter().all(|&cell| {
                    let (row, at) = position[cell];
                    let row = &rows.rows[row];
                    let before = at.checked_sub(1).map(|before| x[row[before]] + size(rows, row[before], items).0);
                    let after = row.get(at + 1).map(|&after| x[after]);
                    before.is_none_or(|before| wanted - before >= LINK_GAP - 0.01)
                        && after.is_none_or(|after| after - wanted >= LINK_GAP - 0.01)
                })
            };
            // Best is straight below its start.
            let wanted = ends.into_iter().filter(beyond).chain([bend]).find(|&wanted| fits(wanted));
            if let Some(wanted) = wanted {
                cells.iter().for_each(|&cell| x[cell] = wanted);
            }
        }
    }
}

/// Whether a row has the entries of a frame.
fn row_enters(rows: &Rows, row: usize, items: &[Item]) -> bool {
    rows.rows[row].iter().any(|&cell| matches!(rows.cells[cell], Cell::Item(item) if items[item].pin == Pin::First))
}

/// The top and height of each row; the gap grows with the horizontal distance of curved links.
fn assign_y(rows: &Rows, x: &[f64], items: &[Item], links: &[Link]) -> (Vec<f64>, Vec<f64>) {
    let heights: Vec<f64> =
        rows.rows.iter().map(|row| row.iter().map(|&cell| size(rows, cell, items).1).fold(0.0, f64::max)).collect();
    let mut tops = Vec::with_capacity(heights.len());
    let mut top = 0.0;
    for (index, height) in heights.iter().enumerate() {
        tops.push(top);
        let distance = rows.parts[index]
            .iter()
            .map(|part| {
                let (upper, lower) = ports(rows, part, links);
                (x[part.upper] + upper - x[part.lower] - lower).abs()
            })
            .fold(0.0, f64::max);
        let entry = row_enters(rows, index, items);
        top += height
            + if distance < 0.5 && entry {
                ENTRY_GAP
            } else if distance < 0.5 {
                ROW_GAP
            } else {
                ROW_GAP + 14.0 + (distance * 0.07).min(30.0)
            };
    }
    (tops, heights)
}

/// The points of each link: vertical within rows, curved between them.
fn routes(rows: &Rows, at: &[Point], tops: &[f64], ends: &[f64], items: &[Item], links: &[Link]) -> Vec<Vec<RowPoint>> {
    let mut routes: Vec<Vec<RowPoint>> = vec![Vec::new(); links.len()];
    for (row, parts) in rows.parts.iter().enumerate() {
        for part in parts {
            let (upper, lower) = ports(rows, part, links);
            let (from, to) = (at[part.upper].0 + upper, at[part.lower].0 + lower);
            let route = &mut routes[part.link];
            if let Cell::Item(item) = rows.cells[part.upper] {
                route.push(((from, at[part.upper].1 + items[item].height), row));
            }
            if (from - to).abs() >= 0.05 {
                route.push(((from, ends[row] + STUB), row));
                route.push(((to, tops[row + 1] - 6.0), row + 1));
            }
            let end = if matches!(rows.cells[part.lower], Cell::Item(_)) { at[part.lower].1 } else { ends[row + 1] };
            route.push(((to, end), row + 1));
        }
    }
    routes
}
