//! Ranks and orders of a layered drawing (Sugiyama, Tagawa and Toda, 1981): rows by the longest path, then an order within
//! each row with few crossings.

use super::types::{Cell, Item, Link, Part, Pin, Rows};

/// The maximum of cells in a drawing.
const MAX_CELLS: usize = 40_000;
const SWEEPS: usize = 8;

/// Assigns items to ordered rows. `None` if links form a cycle or there are too many cells.
pub(crate) fn rows(items: &[Item], links: &[Link]) -> Option<Rows> {
    let order = topological(items.len(), links)?;
    let rank = ranks(items, links, &order);
    let count = rank.iter().max().map_or(0, |last| last + 1);
    let mut cells: Vec<Cell> = (0..items.len()).map(Cell::Item).collect();
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut parts: Vec<Vec<Part>> = vec![Vec::new(); count];
    for (item, &row) in rank.iter().enumerate() {
        rows[row].push(item);
    }
    for (index, link) in links.iter().enumerate() {
        let mut upper = link.from;
        for row in rank[link.from] + 1..=rank[link.to] {
            let lower = if row == rank[link.to] {
                link.to
            } else {
                cells.push(Cell::Pass(index));
                rows[row].push(cells.len() - 1);
                cells.len() - 1
            };
            parts[row - 1].push(Part { link: index, upper, lower });
            upper = lower;
        }
        if cells.len() > MAX_CELLS {
            return None;
        }
    }
    let key = |cell: usize| match cells[cell] {
        Cell::Item(item) => (items[item].key, 0),
        Cell::Pass(link) => (items[links[link].to].key, links[link].from + 1),
    };
    rows.iter_mut().for_each(|row| row.sort_by_key(|&cell| key(cell)));
    let spine = spine(items.len(), links, &order);
    let mut result = Rows { cells, rows, parts, spine };
    result.reduce_crossings(items, links);
    Some(result)
}

/// The items in topological order; `None` for a cycle.
pub(crate) fn topological(count: usize, links: &[Link]) -> Option<Vec<usize>> {
    let mut in_degree = vec![0usize; count];
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); count];
    for link in links {
        in_degree[link.to] += 1;
        next[link.from].push(link.to);
    }
    let mut order: Vec<usize> = (0..count).filter(|&item| in_degree[item] == 0).collect();
    let mut done = 0;
    while done < order.len() {
        for &to in &next[order[done]] {
            in_degree[to] -= 1;
            if in_degree[to] == 0 {
                order.push(to);
            }
        }
        done += 1;
    }
    (order.len() == count).then_some(order)
}

/// The row of each item: below all its predecessors. Chains from an input of their own are close to their consumer.
fn ranks(items: &[Item], links: &[Link], order: &[usize]) -> Vec<usize> {
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); items.len()];
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); items.len()];
    for link in links {
        before[link.to].push(link.from);
        after[link.from].push(link.to);
    }
    // Entries of a frame have the first row to themselves, exits the last.
    let enters = items.iter().any(|item| item.pin == Pin::First);
    let mut rank = vec![0; items.len()];
    let mut starts_own_chain = vec![false; items.len()];
    for &item in order {
        let least = usize::from(enters && items[item].pin != Pin::First);
        rank[item] = before[item].iter().map(|&from| rank[from] + 1).fold(least, usize::max);
        starts_own_chain[item] = items[item].pin == Pin::Free
            && before[item].iter().all(|&from| starts_own_chain[from] && after[from].len() == 1);
    }
    for &item in order.iter().rev() {
        if starts_own_chain[item]
            && let Some(first) = after[item].iter().map(|&to| rank[to]).min()
        {
            rank[item] = rank[item].max(first - 1);
        }
    }
    let last = (0..items.len()).filter(|&item| items[item].pin != Pin::Last).map(|item| rank[item] + 1).max();
    for (item, rank) in rank.iter_mut().enumerate() {
        if items[item].pin == Pin::Last {
            *rank = last.unwrap_or(0);
        }
    }
    rank
}

/// Whether each link is the only longest path out of its start and into its end: these are drawn straight.
fn spine(count: usize, links: &[Link], order: &[usize]) -> Vec<bool> {
    let mut above = vec![0usize; count];
    let mut below = vec![0usize; count];
    let mut position = vec![0; count];
    for (index, &item) in order.iter().enumerate() {
        position[item] = index;
    }
    let mut down: Vec<&Link> = links.iter().collect();
    down.sort_by_key(|link| position[link.from]);
    for link in &down {
        above[link.to] = above[link.to].max(above[link.from] + 1);
    }
    for link in down.iter().rev() {
        below[link.from] = below[link.from].max(below[link.to] + 1);
    }
    let longest: Vec<bool> = links.iter().map(|link| below[link.from] == below[link.to] + 1).collect();
    let deepest: Vec<bool> = links.iter().map(|link| above[link.to] == above[link.from] + 1).collect();
    let mut out = vec![0usize; count];
    let mut into = vec![0usize; count];
    for (index, link) in links.iter().enumerate() {
        out[link.from] += usize::from(longest[index]);
        into[link.to] += usize::from(deepest[index]);
    }
    (0..links.len())
        .map(|index| {
            let link = &links[index];
            longest[index] && deepest[index] && out[link.from] == 1 && into[link.to] == 1
        })
        .collect()
}

impl Rows {
    /// Barycentre sweeps down and up; keeps the order with the fewest crossings, the first of equals, so that branches keep
    /// the order of the text where nothing is gained.
    fn reduce_crossings(&mut self, items: &[Item], links: &[Link]) {
        let mut best = self.rows.clone();
        let mut fewest = self.crossings(items, links);
        for sweep in 0..SWEEPS {
            if fewest == 0 {
                break;
            }
            let down = sweep % 2 == 0;
            let count = self.rows.len();
            for step in 1..count {
                let row = if down { step } else { count - 1 - step };
                self.sort_row(row, down, items, links);
            }
            let crossings = self.crossings(items, links);
            if crossings < fewest {
                fewest = crossings;
                best.clone_from(&self.rows);
            }
        }
        self.rows = best;
    }

    /// The position of each cell in its row.
    fn positions(&self) -> Vec<f64> {
        let mut positions = vec![0.0; self.cells.len()];
        for row in &self.rows {
            for (position, &cell) in row.iter().enumerate() {
                positions[cell] = position as f64;
            }
        }
        positions
    }

    /// Where along its cell a link leaves or enters, from 0 to 1.
    fn port(&self, cell: usize, offset: f64, items: &[Item]) -> f64 {
        match self.cells[cell] {
            Cell::Item(item) if items[item].width > 0.0 => offset / items[item].width,
            _ => 0.5,
        }
    }

    fn sort_row(&mut self, row: usize, down: bool, items: &[Item], links: &[Link]) {
        let positions = self.positions();
        let mut sums = vec![(0.0, 0usize); self.cells.len()];
        let parts = if down { &self.parts[row - 1] } else { &self.parts[row] };
        for part in parts {
            let link = &links[part.link];
            let (cell, neighbour, offset) =
                if down { (part.lower, part.upper, link.leaves) } else { (part.upper, part.lower, link.enters) };
            sums[cell].0 += positions[neighbour] + self.port(neighbour, offset, items);
            sums[cell].1 += 1;
        }
        let weight = |cell: usize| match sums[cell] {
            (_, 0) => positions[cell] + 0.5,
            (sum, count) => sum / count as f64,
        };
        self.rows[row].sort_by(|&a, &b| weight(a).total_cmp(&weight(b)));
    }

    fn crossings(&self, items: &[Item], links: &[Link]) -> usize {
        let positions = self.positions();
        let mut crossings = 0;
        for parts in &self.parts {
            let mut ends: Vec<(f64, f64)> = parts
                .iter()
                .map(|part| {
                    let link = &links[part.link];
                    let upper = positions[part.upper] + self.port(part.upper, link.leaves, items);
                    (upper, positions[part.lower] + self.port(part.lower, link.enters, items))
                })
                .collect();
            ends.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
            let mut seen: Vec<f64> = Vec::with_capacity(ends.len());
            for (_, lower) in ends {
                let position = seen.partition_point(|&other| other <= lower);
                crossings += seen.len() - position;
                seen.insert(position, lower);
            }
        }
        crossings
    }
}
