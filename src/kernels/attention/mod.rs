//! Scaled dot-product attention of several heads (Vaswani et al., 2017, arXiv 1706.03762), and its gradient.
//!
//! The scores of a block of queries and all keys are computed in a worker's scratch, normalised there, and multiplied with the
//! values: the matrix of all scores is never in memory.

pub mod gradient;

use crate::kernels::elementwise::softmax::{lane_max, lane_sum};
use crate::kernels::gemm::{Backend, Operand, Product, multiply_serial};
use crate::kernels::parallel::disjoint::{Partition, Scratch, share};
use crate::kernels::parallel::image_batches::span;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::isa::Isa;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::simd::scalar_math;
use crate::kernels::tensor_view::{View, ViewMut};
use crate::kernels::training::dropout::{RandomKey, drop_from};
use crate::size::product;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Maximum queries of a block.
const MAX_ROWS: usize = 64;
/// Minimum queries of a block, for long sequences: fewer would pack the keys more often than they use them.
const MIN_ROWS: usize = 32;
/// Floats of a block's scores that are wanted at most: a share of an L2 cache of 512 KiB.
const BLOCK_FLOATS: usize = 64 << 10;

/// The sizes of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// Steps of the queries, and of the output.
    pub queries: usize,
    /// Steps of the keys and values.
    pub keys: usize,
    pub heads: usize,
    /// Features of a head.
    pub depth: usize,
    /// Whether a query sees only the keys up to its own index.
    pub causal: bool,
}

/// The tensors that an attention reads. Queries are `(n, queries, heads * depth)`, keys and values `(n, keys, heads * depth)`.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'a> {
    pub queries: View<'a>,
    pub keys: View<'a>,
    pub values: View<'a>,
    pub mask: Option<Mask<'a>>,
}

/// Which keys are seen: those where it is not 0.
#[derive(Clone, Copy, Debug)]
pub enum Mask<'a> {
    /// The same for all queries of a sample, `(n, keys)`.
    Keys(View<'a>),
    /// For each query, `(n, queries, keys)`.
    Pairs(View<'a>),
}

/// Dropout of the normalised scores in training.
#[derive(Clone, Copy, Debug)]
pub struct ScoreDropout {
    pub proba: f32,
    pub key: RandomKey,
}

impl Attention {
    /// heads * depth
    pub fn features(&self) -> usize {
        product([self.heads, self.depth])
    }

    /// Multiply-adds per image, of scores and of weighted values.
    pub fn macs(&self) -> usize {
        product([2, self.queries, self.keys, self.features()])
    }

    /// Queries of a block: nearly equal blocks, by the sizes only.
    fn block_rows(&self) -> usize {
        let most = (BLOCK_FLOATS / self.keys.max(1)).clamp(MIN_ROWS, MAX_ROWS);
        let blocks = self.queries.div_ceil(most).max(1);
        self.queries.div_ceil(blocks).max(1)
    }

    /// The keys that some query of a block sees, if they are all before this one.
    fn visible(&self, rows: &Range<usize>) -> usize {
        if self.causal { rows.end.min(self.keys) } else { self.keys }
    }

    /// The normalised scores of a block of queries of a head, `(rows, keys)`: softmax(q k / sqrt(depth)) over the keys that are
    /// seen, the first [`Attention::visible`] columns. All are 0 in the row of a query that sees no key.
    fn scores(&self, isa: Isa, x: &Operands<'_>, image: usize, head: usize, rows: &Range<usize>, scores: &mut [f32]) {
        let columns = self.visible(rows);
        let first = head * self.depth;
        let product = Product {
            rows: rows.len(),
            columns,
            depth: self.depth,
            alpha: 1.0 / (self.depth as f32).sqrt(),
            beta: 0.0,
            backend: Backend::Tiles,
        };
        let queries = &x.queries.data[image * x.queries.image + rows.start * x.queries.ld + first..];
        let keys = &x.keys.data[image * x.keys.image + first..];
        let a = Operand { data: queries, ld: x.queries.ld, transposed: false };
        let b = Operand { data: keys, ld: x.keys.ld, transposed: true };
        multiply_serial(isa, &product, a, b, scores, self.keys);
        if let Some(mask) = &x.mask {
            for (row, scores) in rows.clone().zip(scores.chunks_mut(self.keys)) {
                let seen = match mask {
                    Mask::Keys(view) => &view.data[image * view.image..],
                    Mask::Pairs(view) => &view.data[image * view.image + row * view.ld..],
                };
                let hidden = scores[..columns].iter_mut().zip(seen).filter(|(_, seen)| **seen == 0.0);
                hidden.for_each(|(score, _)| *score = f32::NEG_INFINITY);
            }
        }
        let first_seen = if self.causal { rows.start + 1 } else { self.keys };
        softmax_rows(scores, self.keys, columns, rows.len(), first_seen);
    }

    /// Drops scores of a block. The random numbers of a score depend on its head, its query and its key.
    fn drop(&self, dropout: &ScoreDropout, image: usize, head: usize, rows: &Range<usize>, scores: &mut [f32]) {
        let columns = self.visible(rows);
        for (row, scores) in rows.clone().zip(scores.chunks_mut(self.keys)) {
            let first = (head * self.queries + row) * self.keys;
            drop_from(&mut scores[..columns], dropout.proba, dropout.key, image, first);
        }
    }
}

multiversion! {
    /// Softmax of the first columns of rows `ld` floats apart: row r sees the first `first_seen + r` of them, the others become 0.
    fn softmax_rows(scores: &mut [f32], ld: usize, columns: usize, rows: usize, first_seen: usize) {
        for (index, row) in scores.chunks_mut(ld).take(rows).enumerate() {
            let (row, hidden) = row[..columns].split_at_mut((first_seen + index).min(columns));
            hidden.fill(0.0);
            let max = lane_max(row);
            if max == f32::NEG_INFINITY {
                row.fill(0.0);
                continue;
            }
            row.iter_mut().for_each(|v| *v = if *v == f32::NEG_INFINITY { 0.0 } else { scalar_math::exp(*v - max) });
            let factor = 1.0 / lane_sum(row);
            row.iter_mut().for_each(|v| *v *= factor);
        }
    }
}

/// Floats of scratch that [`attention`] needs on `workers` threads.
pub fn attention_scratch_len(size: &Attention, workers: usize) -> usize {
    product([size.block_rows(), size.keys, workers])
}

/// y = softmax(q k / sqrt(depth)) v for each head, heads beside each other: y is `(n, queries, heads * depth)`. In training the
/// normalised scores may be dropped. `scratch` has [`attention_scratch_len`] floats.
pub fn attention(
    size: &Attention,
    n: usize,
    x: &Operands<'_>,
    y: ViewMut<'_>,
    dropout: Option<&ScoreDropout>,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    let (block, ld, features) = (size.block_rows(), y.ld, size.features());
    let blocks = size.queries.div_ceil(block);
    let last = span(size.queries - (blocks.max(1) - 1) * block, ld, features);
    let (len, inner_stride) = (span(block, ld, features), block * ld);
    let partition = Partition { outer: n, outer_stride: y.image, inner: blocks, inner_stride, len, last };
    let scratch = Scratch { data: scratch, per_worker: block * size.keys };
    share(threads, y.data, partition, scratch, &|chunk, out, scores| {
        let (image, start) = (chunk.outer, chunk.inner * block);
        let rows = start..(start + block).min(size.queries);
        let seen = size.visible(&rows);
        for head in 0..size.heads {
            let first = head * size.depth;
            size.scores(threads.isa(), x, image, head, &rows, scores);
            if let Some(dropout) = dropout {
                size.drop(dropout, image, head, &rows, scores);
            }
            let product = Product {
                rows: rows.len(),
                columns: size.depth,
                depth: seen,
                alpha: 1.0,
                beta: 0.0,
                backend: Backend::Tiles,
            };
            let a = Operand { data: scores, ld: size.keys, transposed: false };
            let values = &x.values.data[image * x.values.image + first..];
            let b = Operand { data: values, ld: x.values.ld, transposed: false };
            multiply_serial(threads.isa(), &product, a, b, &mut out[first..], ld);
        }
    });
}

#[cfg(test)]
mod tests;
