//! The types of the layout of one level of a drawing.

/// Whether an item has the first or last row to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pin {
    Free,
    /// Where a link enters the frame.
    First,
    /// Where a link leaves the frame.
    Last,
}

/// A box or frame to be placed.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub width: f64,
    pub height: f64,
    /// Its position in the text, which the order of branches follows.
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

/// x and y, or width and height.
pub(crate) type Point = (f64, f64);

/// A point of a link, and its row.
pub(super) type RowPoint = (Point, usize);

/// Placed items and links. Links are straight between points that share a coordinate, else curves.
pub(super) struct Layout {
    pub width: f64,
    pub height: f64,
    /// The upper left corner of each item.
    pub at: Vec<Point>,
    /// The points of each link.
    pub routes: Vec<Vec<Point>>,
    /// Whether the output of each item leaves to above.
    pub up: Vec<bool>,
}

impl Layout {
    /// Turns the layout upside down: what went down goes up.
    pub fn turned_over(mut self, items: &[Item]) -> Layout {
        for (at, item) in self.at.iter_mut().zip(items) {
            at.1 = self.height - at.1 - item.height;
        }
        self.routes.iter_mut().flatten().for_each(|point| point.1 = self.height - point.1);
        self.up.iter_mut().for_each(|up| *up = !*up);
        self
    }
}

/// An element of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Item(usize),
    /// A link that passes through the row.
    Pass(usize),
}

/// The part of a link between neighbouring rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub link: usize,
    /// The cells in the upper and the lower row, as indices into [`Rows::cells`].
    pub upper: usize,
    pub lower: usize,
}

/// Cells in rows.
pub(super) struct Rows {
    pub cells: Vec<Cell>,
    /// The cells of each row from left to right.
    pub rows: Vec<Vec<usize>>,
    /// The parts between each row and the next.
    pub parts: Vec<Vec<Part>>,
    /// For each link, whether it is the only longest path out of its start and into its end.
    pub spine: Vec<bool>,
}

/// The width and height of a cell.
pub(super) fn size(rows: &Rows, cell: usize, items: &[Item]) -> Point {
    match rows.cells[cell] {
        Cell::Item(item) => (items[item].width, items[item].height),
        Cell::Pass(_) => (0.0, 0.0),
    }
}
