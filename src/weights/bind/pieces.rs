//! Parameters whose values are in several tensors of a file, or in a part of one: the projections of an attention.

use super::axis_permutation::Arrangement;
use super::convert::{LayerFacts, Shape, Transform, conversion};
use crate::weights::store::Store;
use std::ops::Range;

/// Columns of a tensor. A parameter consists of the pieces of one or several tensors side by side; tensor and parameter are divided
/// into parts of equal width.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece {
    pub entry: usize,
    /// The parts that are taken, and how many the tensor has.
    pub parts: Range<usize>,
    pub parts_in_file: usize,
    /// How many parts the parameter has.
    pub parts_wanted: usize,
}

impl Piece {
    /// All of a tensor, which is all of a parameter.
    pub fn whole(entry: usize) -> Piece {
        Piece { entry, parts: 0..1, parts_in_file: 1, parts_wanted: 1 }
    }

    /// How the piece of a parameter of this shape is computed from its tensor, or why it cannot be.
    pub fn fit(
        &self,
        store: &dyn Store,
        expected: &Shape,
        facts: LayerFacts,
        arrangement: Arrangement,
    ) -> Result<Source, String> {
        let mut shape = expected.shape.to_vec();
        let mut transform_columns = None;
        if let Some(last) = shape.last_mut() {
            let width = *last / self.parts_wanted.max(1);
            *last = width * self.parts_in_file;
            if self.parts.len() < self.parts_in_file {
                transform_columns = Some(self.parts.start * width..self.parts.end * width);
            }
        }
        let mut transform = conversion(store, self.entry, &Shape { shape: &shape, ..*expected }, facts, arrangement)?;
        if let Some(columns) = transform_columns {
            transform.take_columns(columns);
        }
        Ok(Source { entry: self.entry, shape, transform })
    }
}

/// A tensor that a parameter's values are read from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Source {
    pub entry: usize,
    /// The shape of the tensor in the parameter's axis order.
    pub shape: Vec<usize>,
    pub transform: Transform,
}

/// Concatenates matrices with the same number of rows along their columns.
pub(crate) fn beside(pieces: Vec<Vec<f32>>, shape: &[usize]) -> Vec<f32> {
    let rows: usize = shape.split_last().map_or(1, |(_, rows)| rows.iter().product());
    let widths: Vec<usize> = pieces.iter().map(|piece| piece.len() / rows.max(1)).collect();
    let row = |row: usize| pieces.iter().zip(&widths).flat_map(move |(piece, width)| &piece[row * width..][..*width]);
    (0..rows).flat_map(row).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::beside;

    #[test]
    fn matrices_are_concatenated_along_their_columns() {
        let pieces = vec![vec![1.0, 2.0], vec![3.0, 4.0, 5.0, 6.0]];
        assert_eq!(beside(pieces, &[2, 3]), [1.0, 3.0, 4.0, 2.0, 5.0, 6.0]);
        assert_eq!(beside(vec![vec![1.0], vec![2.0, 3.0]], &[3]), [1.0, 2.0, 3.0]);
    }
}
