//! Where things of one level of a drawing stand and how their links run: rows from top to bottom, long chains in columns.

mod columns;
mod rank_order;
pub(crate) mod scopes;

use rank_order::{Cell, Part, Rows, rows};

/// Whether an item has the first or last row to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pin {
    Free,
    /// Where a link comes into the frame.
    First,
    /// Where a link leaves the frame.
    Last,
}

/// Something to be placed.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub width: f64,
    pub height: f64,
    /// Its place in the text: the order of branches follows it.
    pub key: usize,
    pub pin: Pin,
}

/// A link between items, and where along their widths it leaves and enters.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub from: usize,
    pub to: usize,
    pub leaves: f64,
    pub enters: f64,
}

/// A point.
pub(super) type Point = (f64, f64);

/// Items and links in their places. Links run straight between points that share a coordinate, else in a curve.
pub(super) struct Layout {
    pub width: f64,
    pub height: f64,
    /// The left upper corner of each item.
    pub at: Vec<Point>,
    /// The points of each link.
    pub routes: Vec<Vec<Point>>,
}

/// Space between neighbours of a row.
const BESIDE: f64 = 30.0;
/// Space between a link and its neighbour in a row.
const BESIDE_LINK: f64 = 20.0;
/// Space between rows that straight links join: a shape and an arrow fit in.
const BELOW: f64 = 30.0;
/// Space between a frame's entries and what straight links lead to.
const BELOW_ENTRY: f64 = 8.0;
/// The straight beginning of a curved link: beside it stand shapes.
const STUB: f64 = 14.0;
/// How often places in rows are averaged with those of their neighbours.
const SWEEPS: usize = 24;

/// Lays out one level. `None` where links lead in a circle or there is too much to draw.
pub(super) fn lay_out(items: &[Item], links: &[Link], fold_above: f64) -> Option<Layout> {
    let rows = rows(items, links)?;
    let mut x = across(&rows, items, links);
    straighten(&rows, items, links, &mut x);
    let (tops, heights) = down(&rows, &x, items, links);
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
    };
    if layout.height > fold_above {
        columns::fold(&mut layout, &rows, routes, &tops, &ends, items);
    }
    layout.at.truncate(items.len());
    Some(layout)
}

/// The width and height of a cell.
pub(super) fn size(rows: &Rows, cell: usize, items: &[Item]) -> Point {
    match rows.cells[cell] {
        Cell::Item(item) => (items[item].width, items[item].height),
        Cell::Pass(_) => (0.0, 0.0),
    }
}

/// Where a part of a link leaves its upper and enters its lower cell, from their left sides.
fn ports(rows: &Rows, part: &Part, links: &[Link]) -> Point {
    let link = &links[part.link];
    let upper = if matches!(rows.cells[part.upper], Cell::Item(_)) { link.leaves } else { 0.0 };
    let lower = if matches!(rows.cells[part.lower], Cell::Item(_)) { link.enters } else { 0.0 };
    (upper, lower)
}

/// How much it matters that a part is straight: the longest way first, then the inner parts of long links.
fn weight(rows: &Rows, part: &Part) -> f64 {
    let passes = |cell: usize| usize::from(matches!(rows.cells[cell], Cell::Pass(_)));
    match passes(part.upper) + passes(part.lower) {
        _ if rows.spine[part.link] => 1e7,
        2 => 100.0,
        1 => 2.0,
        _ => 1.0,
    }
}

/// The left sides of all cells: each as near as possible to where its links want it, and none over its neighbour.
fn across(rows: &Rows, items: &[Item], links: &[Link]) -> Vec<f64> {
    let mut x = vec![0.0; rows.cells.len()];
    for row in &rows.rows {
        let mut left = 0.0;
        for &cell in row {
            x[cell] = left;
            left += size(rows, cell, items).0 + BESIDE;
        }
        row.iter().for_each(|&cell| x[cell] -= (left - BESIDE) / 2.0);
    }
    let count = rows.rows.len();
    let mut wish = vec![(0.0, 0.0); rows.cells.len()];
    for sweep in 0..SWEEPS {
        let last = sweep + 2 >= SWEEPS;
        for step in 0..count {
            let row = if sweep % 2 == 0 { step } else { count - 1 - step };
            let above = row.checked_sub(1).map_or(&[][..], |above| &rows.parts[above]);
            // The first sweeps look one way, so that moves reach far; the last ones look both ways.
            let above = if sweep % 2 == 0 || last { above } else { &[] };
            let below = if sweep % 2 == 1 || last { &rows.parts[row][..] } else { &[] };
            rows.rows[row].iter().for_each(|&cell| wish[cell] = (0.0, 0.0));
            for part in above {
                let (weight, (upper, lower)) = (weight(rows, part), ports(rows, part, links));
                wish[part.lower].0 += weight * (x[part.upper] + upper - lower);
                wish[part.lower].1 += weight;
            }
            for part in below {
                let (weight, (upper, lower)) = (weight(rows, part), ports(rows, part, links));
                wish[part.upper].0 += weight * (x[part.lower] + lower - upper);
                wish[part.upper].1 += weight;
            }
            settle(rows, &rows.rows[row], &wish, &mut x, items);
        }
    }
    let left = x.iter().copied().fold(f64::INFINITY, f64::min);
    x.iter_mut().for_each(|x| *x -= left);
    x
}

/// Puts a row's cells nearest to their wishes in the sense of least squares, in their order and apart from each other
/// (pooling adjacent violators).
fn settle(rows: &Rows, row: &[usize], wish: &[Point], x: &mut [f64], items: &[Item]) {
    // Without the widths and gaps to its left, a cell's place only has to be no less than that of the cell before.
    let mut shift = 0.0;
    let mut shifts = Vec::with_capacity(row.len());
    for (index, &cell) in row.iter().enumerate() {
        if index > 0 {
            let before = row[index - 1];
            let link = [before, cell].iter().any(|&cell| size(rows, cell, items).0 == 0.0);
            shift += size(rows, before, items).0 + if link { BESIDE_LINK } else { BESIDE };
        }
        shifts.push(shift);
    }
    // Blocks of cells that stand together: sum of weighted wishes, weight, cells.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for (&cell, shift) in row.iter().zip(&shifts) {
        let (wanted, weight) = match wish[cell] {
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
    let places = blocks.iter().flat_map(|&(sum, weight, count)| std::iter::repeat_n(sum / weight, count));
    for ((&cell, shift), place) in row.iter().zip(&shifts).zip(places) {
        x[cell] = place + shift;
    }
}

/// Makes long links that bend around wide rows straight where there is room: as far out as they bend.
fn straighten(rows: &Rows, items: &[Item], links: &[Link], x: &mut [f64]) {
    let mut passes: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut place = vec![(0, 0); rows.cells.len()];
    for (index, row) in rows.rows.iter().enumerate() {
        for (at, &cell) in row.iter().enumerate() {
            place[cell] = (index, at);
        }
    }
    // The passes of a link were made one after the other.
    for (cell, kind) in rows.cells.iter().enumerate() {
        match (kind, passes.last_mut()) {
            (Cell::Pass(link), Some((known, cells))) if known == link => cells.push(cell),
            (Cell::Pass(link), _) => passes.push((*link, vec![cell])),
            (Cell::Item(_), _) => {}
        }
    }
    let outermost = |cells: &[usize], x: &[f64]| cells.iter().map(|&cell| x[cell]).fold(f64::NEG_INFINITY, f64::max);
    let innermost = |cells: &[usize], x: &[f64]| cells.iter().map(|&cell| x[cell]).fold(f64::INFINITY, f64::min);
    // From the right inwards to the right, then from the left inwards to the left.
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
                    let (row, at) = place[cell];
                    let row = &rows.rows[row];
                    let before = at.checked_sub(1).map(|before| x[row[before]] + size(rows, row[before], items).0);
                    let after = row.get(at + 1).map(|&after| x[after]);
                    before.is_none_or(|before| wanted - before >= BESIDE_LINK - 0.01)
                        && after.is_none_or(|after| after - wanted >= BESIDE_LINK - 0.01)
                })
            };
            // Straight below where it comes from is best.
            let wanted = ends.into_iter().filter(beyond).chain([bend]).find(|&wanted| fits(wanted));
            if let Some(wanted) = wanted {
                cells.iter().for_each(|&cell| x[cell] = wanted);
            }
        }
    }
}

/// Whether a row holds the entries of a frame.
fn row_enters(rows: &Rows, row: usize, items: &[Item]) -> bool {
    rows.rows[row].iter().any(|&cell| matches!(rows.cells[cell], Cell::Item(item) if items[item].pin == Pin::First))
}

/// The top and height of each row: curved links get more space, the more the farther they lead.
fn down(rows: &Rows, x: &[f64], items: &[Item], links: &[Link]) -> (Vec<f64>, Vec<f64>) {
    let heights: Vec<f64> =
        rows.rows.iter().map(|row| row.iter().map(|&cell| size(rows, cell, items).1).fold(0.0, f64::max)).collect();
    let mut tops = Vec::with_capacity(heights.len());
    let mut top = 0.0;
    for (index, height) in heights.iter().enumerate() {
        tops.push(top);
        let aside = rows.parts[index]
            .iter()
            .map(|part| {
                let (upper, lower) = ports(rows, part, links);
                (x[part.upper] + upper - x[part.lower] - lower).abs()
            })
            .fold(0.0, f64::max);
        let entry = row_enters(rows, index, items);
        top += height
            + if aside < 0.5 && entry {
                BELOW_ENTRY
            } else if aside < 0.5 {
                BELOW
            } else {
                BELOW + 14.0 + (aside * 0.07).min(30.0)
            };
    }
    (tops, heights)
}

/// A point of a link, and the row that it belongs to.
pub(super) type RowPoint = (Point, usize);

/// The points of each link: down through its rows, aside between them.
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
