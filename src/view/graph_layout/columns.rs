//! Breaks long chains into several columns, to keep the aspect ratio of drawings near a page's. A chain with a wide part has
//! two bands of columns, one below the other.

use super::types::{Cell, Item, Layout, Pin, Point, RowPoint, Rows, size};

/// The desired aspect ratio, width by height.
const ASPECT: f64 = 1.15;
const MAX_COLUMNS: usize = 8;
/// The width at which a drawing is still readable on a page.
pub(super) const MAX_WIDTH: f64 = 1160.0;
/// The minimum fill of columns on average; below it, columns are not worth the turns.
const MIN_FILL: f64 = 0.65;
/// The space between columns, where the link to the next one runs up.
const GUTTER: f64 = 56.0;
/// The space above the columns for these links.
const ABOVE: f64 = 26.0;
/// The distance below a column where its link turns.
const TURN: f64 = 24.0;

/// The space between two bands, where the link from one to the next runs.
const BETWEEN_BANDS: f64 = 3.5 * TURN;
/// How much nearer to a page a drawing must be for a second band.
const WORTH_A_BAND: f64 = 0.4;

/// The first rows of the columns of a band, with the size of all of them.
struct Band {
    columns: Vec<usize>,
    /// The row after its last one.
    end: usize,
    width: f64,
    height: f64,
}

/// How far a drawing is from a page: by its aspect ratio and, beyond a page's width, by how much it is scaled down.
pub(super) fn unfitness(width: f64, height: f64) -> f64 {
    (width / height.max(1.0) / ASPECT).ln().abs() + 5.0 * (width / MAX_WIDTH).ln().max(0.0)
}

/// Breaks a layout into columns between rows that only the output of a single box connects.
pub(super) fn break_up(
    layout: &mut Layout,
    rows: &Rows,
    routes: Vec<Vec<RowPoint>>,
    tops: &[f64],
    ends: &[f64],
    items: &[Item],
) {
    let free = |cell: usize| match rows.cells[cell] {
        Cell::Item(item) => items[item].pin == Pin::Free,
        Cell::Pass(_) => true,
    };
    let breaks = |row: usize| {
        let parts = &rows.parts[row - 1];
        let from = parts.first().map(|part| part.upper);
        let one = from.is_some_and(|from| free(from) && matches!(rows.cells[from], Cell::Item(_)));
        one && parts.iter().all(|part| Some(part.upper) == from && free(part.lower))
    };
    // The possible first rows of columns.
    let mut starts = vec![0];
    starts.extend((1..rows.rows.len()).filter(|&row| breaks(row)));
    let spans: Vec<(f64, f64)> = rows
        .rows
        .iter()
        .map(|row| {
            let left = row.iter().map(|&cell| layout.at[cell].0).fold(f64::INFINITY, f64::min);
            let right = row.iter().map(|&cell| layout.at[cell].0 + size(rows, cell, items).0).fold(0.0, f64::max);
            (left, right)
        })
        .collect();
    let last = rows.rows.len();
    let band_of = |columns: Vec<usize>, end: usize| {
        let (mut width, mut height) = (0.0, 0.0f64);
        for (index, &start) in columns.iter().enumerate() {
            let next = columns.get(index + 1).copied().unwrap_or(end);
            let (left, right) = extent(&spans[start..next]);
            width += right - left + if index > 0 { GUTTER } else { 0.0 };
            height = height.max(ends[next - 1] - tops[start]);
        }
        Band { columns, end, width, height }
    };
    // The bands of some rows with one column, two and so on, as far as columns are filled.
    let bands = |starts: &[usize], end: usize| -> Vec<Band> {
        let whole = ends[end - 1] - tops[starts[0]];
        (1..=MAX_COLUMNS.min(starts.len()))
            .map(|count| band_of(balanced(starts, count, tops, &ends[..end]), end))
            .filter(|band| whole >= MIN_FILL * band.height * band.columns.len() as f64)
            .collect()
    };
    let nearest = |all: Vec<(f64, Vec<Band>)>| all.into_iter().min_by(|(a, _), (b, _)| a.total_cmp(b));
    let one = bands(&starts, last).into_iter().map(|band| (unfitness(band.width, band.height), vec![band]));
    let Some((distance, mut chosen)) = nearest(one.collect()) else { return };
    // Bands begin where a wide part does, or after it.
    let is_wide = |index: usize| {
        let next = starts.get(index + 1).copied().unwrap_or(last);
        let (left, right) = extent(&spans[starts[index]..next]);
        right - left > MAX_WIDTH / 2.0
    };
    let mut two = Vec::new();
    for at in (1..starts.len()).filter(|&at| is_wide(at - 1) != is_wide(at)) {
        let (mut upper, mut lower) = (bands(&starts[..at], starts[at]), bands(&starts[at..], last));
        let by_distance = |first: &Band, second: &Band| {
            unfitness(first.width.max(second.width), first.height + BETWEEN_BANDS + second.height)
        };
        let pairs = upper.iter().enumerate().flat_map(|(first, upper)| {
            lower.iter().enumerate().map(move |(second, lower)| (by_distance(upper, lower), first, second))
        });
        if let Some((near, first, second)) = pairs.min_by(|a, b| a.0.total_cmp(&b.0)) {
            two.push((near, vec![upper.swap_remove(first), lower.swap_remove(second)]));
        }
    }
    if let Some((near, bands)) = nearest(two)
        && near + WORTH_A_BAND < distance
    {
        chosen = bands;
    }
    let columns: Vec<usize> = chosen.iter().flat_map(|band| band.columns.iter().copied()).collect();
    if columns.len() < 2 {
        return;
    }
    let column_of = |row: usize| columns.partition_point(|&start| start <= row) - 1;
    let end_of = |column: usize| columns.get(column + 1).copied().unwrap_or(last);
    let (mut offsets, mut gutters, mut band_ends) = (Vec::new(), Vec::new(), Vec::new());
    let (mut width, mut height) = (0.0f64, ABOVE);
    for (number, band) in chosen.iter().enumerate() {
        let mut right_side = 0.0;
        for (index, &start) in band.columns.iter().enumerate() {
            let next = band.columns.get(index + 1).copied().unwrap_or(band.end);
            let (left, right) = extent(&spans[start..next]);
            offsets.push((right_side - left, height - tops[start]));
            right_side += right - left;
            gutters.push(right_side + GUTTER / 2.0);
            band_ends.push((number, height + band.height));
            right_side += GUTTER;
        }
        width = width.max(right_side - GUTTER);
        height += band.height + BETWEEN_BANDS;
    }
    let mut row_of = vec![0; rows.cells.len()];
    for (row, cells) in rows.rows.iter().enumerate() {
        cells.iter().for_each(|&cell| row_of[cell] = row);
    }
    let moved = |(x, y): (f64, f64), column: usize| (x + offsets[column].0, y + offsets[column].1);
    for (index, route) in routes.into_iter().enumerate() {
        let mut broken: Vec<Point> = Vec::with_capacity(route.len() + 4);
        let mut before: Option<(Point, usize)> = None;
        for &(point, row) in &route {
            let column = column_of(row);
            let here = moved(point, column);
            if let Some((last, earlier)) = before.filter(|(_, earlier)| *earlier != column_of(row)) {
                if band_ends[earlier].0 == band_ends[column].0 {
                    // Down, up between the columns, and over the next one.
                    let turn = ends[end_of(earlier) - 1] + offsets[earlier].1 + TURN;
                    let top = tops[columns[column]] + offsets[column].1;
                    let (gutter, above) = (gutters[earlier], top - TURN + 4.0);
                    broken.extend([(last.0, turn), (gutter, turn), (gutter, above), (here.0, above)]);
                } else {
                    // Down and over the next band.
                    let turn = band_ends[earlier].1 + 2.0 * TURN - 4.0;
                    broken.extend([(last.0, turn), (here.0, turn)]);
                }
            }
            broken.push(here);
            before = Some((here, column));
        }
        layout.routes[index] = broken;
    }
    for (cell, at) in layout.at.iter_mut().enumerate() {
        *at = moved(*at, column_of(row_of[cell]));
    }
    layout.width = width;
    let lowest = (0..columns.len()).map(|column| {
        let turn = if end_of(column) < last { TURN + 12.0 } else { 0.0 };
        ends[end_of(column) - 1] + offsets[column].1 + turn
    });
    layout.height = lowest.fold(0.0, f64::max);
    // Exits are at the lower side of the frame, wherever the last column ends.
    for (item, pinned) in items.iter().enumerate() {
        if pinned.pin == Pin::Last {
            layout.at[item].1 = layout.height;
        }
    }
}

/// The left and right side of a range of rows.
fn extent(spans: &[(f64, f64)]) -> (f64, f64) {
    spans.iter().fold((f64::INFINITY, 0.0), |(left, right), span| (span.0.min(left), span.1.max(right)))
}

/// The starts of at most `count` columns with the minimum height of the tallest.
fn balanced(starts: &[usize], count: usize, tops: &[f64], ends: &[f64]) -> Vec<usize> {
    let last = ends.len();
    let height = |from: usize, to: usize| {
        let end = starts.get(to).copied().unwrap_or(last);
        ends[end - 1] - tops[starts[from]]
    };
    // Fills columns greedily under a height limit; bisection finds the lowest limit for `count` columns.
    let fill = |limit: f64| {
        let mut columns = vec![0];
        for next in 1..=starts.len() {
            let start = columns.last().copied().unwrap_or(0);
            if next > start + 1 && height(start, next) > limit {
                columns.push(next - 1);
            }
        }
        columns
    };
    let (mut low, mut high) = (0.0, height(0, starts.len()));
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        if fill(middle).len() <= count { high = middle } else { low = middle }
    }
    fill(high).into_iter().map(|index| starts[index]).collect()
}
