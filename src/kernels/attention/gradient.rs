//! The gradient of attention by queries, keys and values. The scores are computed again, a block of queries at a time.

use super::{Attention, Operands, ScoreDropout};
use crate::kernels::elementwise::softmax::lane_dot;
use crate::kernels::gemm::{Backend, Operand, Product, multiply_serial};
use crate::kernels::parallel::disjoint::Scratch;
use crate::kernels::parallel::image_batches::{image_groups, span};
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::simd::multiversion::multiversion;
use crate::kernels::tensor_view::{View, ViewMut};
use crate::size::product;
use serde::{Deserialize, Serialize};

/// The tensor that the gradients are by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum By {
    /// Queries, keys and values beside each other, `(n, queries, 3 * features)`: there are as many keys as queries.
    All,
    /// `(n, queries, features)`
    Queries,
    /// Keys and values beside each other, `(n, keys, 2 * features)`.
    Memory,
}

impl By {
    /// Rows and columns of the tensor.
    pub fn sizes(self, size: &Attention) -> (usize, usize) {
        match self {
            By::All => (size.queries, product([3, size.features()])),
            By::Queries => (size.queries, size.features()),
            By::Memory => (size.keys, product([2, size.features()])),
        }
    }
}

/// Floats of scratch that [`attention_gradient`] needs on `workers` threads.
pub fn attention_gradient_scratch_len(size: &Attention, workers: usize) -> usize {
    product([2, size.block_rows(), size.keys, workers])
}

/// The gradient of [`attention`](super::attention), dy being `(n, queries, heads * depth)`: with the normalised scores p,
/// dp = dy v and ds = p (dp - sum(dp p)) / sqrt(depth), it is ds k by the queries, ds q by the keys and p dy by the values.
/// `scratch` has [`attention_gradient_scratch_len`] floats.
#[allow(clippy::too_many_arguments)] // The tensors are separate borrows of the arena.
pub fn attention_gradient(
    size: &Attention,
    n: usize,
    x: &Operands<'_>,
    dy: View<'_>,
    by: By,
    dx: ViewMut<'_>,
    dropout: Option<&ScoreDropout>,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    let (ld, features, block) = (dx.ld, size.features(), size.block_rows());
    let (rows, columns) = by.sizes(size);
    let (queries_at, memory_at) = match by {
        By::All => (Some(0), Some(features)),
        By::Queries => (Some(0), None),
        By::Memory => (None, Some(0)),
    };
    let isa = threads.isa();
    let scratch = Scratch { data: scratch, per_worker: 2 * block * size.keys };
    image_groups(threads, dx, n, 1, span(rows, ld, columns), scratch, &|image, dx, scratch| {
        dx.chunks_mut(ld).for_each(|row| row[..columns].fill(0.0));
        let (scores, slopes) = scratch.split_at_mut(block * size.keys);
        for (head, start) in (0..size.heads).flat_map(|head| (0..size.queries).step_by(block).map(move |at| (head, at)))
        {
            let (first, rows) = (head * size.depth, start..(start + block).min(size.queries));
            let seen = size.visible(&rows);
            let multiply = |sizes: [usize; 3], a: Operand<'_>, b: Operand<'_>, beta: f32, c: &mut [f32], ldc: usize| {
                let [rows, columns, depth] = sizes;
                let product = Product { rows, columns, depth, alpha: 1.0, beta, backend: Backend::Tiles };
                multiply_serial(isa, &product, a, b, c, ldc);
            };
            let (queries, keys, values) = (
                from(&x.queries, image, start, first),
                from(&x.keys, image, 0, first),
                from(&x.values, image, 0, first),
            );
            let dy = from(&dy, image, start, first);
            size.scores(isa, x, image, head, &rows, scores);
            multiply([rows.len(), seen, size.depth], plain(&dy), transposed(&values), 0.0, slopes, size.keys);
            if let Some(dropout) = dropout {
                size.drop(dropout, image, head, &rows, slopes);
            }
            slopes_by_scores(slopes, scores, size.keys, seen, rows.len(), 1.0 / (size.depth as f32).sqrt());
            let slopes_view = View { data: slopes, ld: size.keys, image: 0 };
            if let Some(at) = queries_at {
                let to = &mut dx[start * ld + at + first..];
                multiply([rows.len(), size.depth, seen], plain(&slopes_view), plain(&keys), 0.0, to, ld);
            }
            if let Some(at) = memory_at {
                let to = &mut dx[at + first..];
                multiply([seen, size.depth, rows.len()], transposed(&slopes_view), plain(&queries), 1.0, to, ld);
                if let Some(dropout) = dropout {
                    size.drop(dropout, image, head, &rows, scores);
                }
                let scores_view = View { data: scores, ld: size.keys, image: 0 };
                let to = &mut dx[at + features + first..];
                multiply([seen, size.depth, rows.len()], transposed(&scores_view), plain(&dy), 1.0, to, ld);
            }
        }
    });
}

/// A tensor from a feature of a row of an image on.
fn from<'a>(view: &View<'a>, image: usize, row: usize, first: usize) -> View<'a> {
    View { data: &view.data[image * view.image + row * view.ld + first..], ..*view }
}

fn plain<'a>(view: &View<'a>) -> Operand<'a> {
    Operand { data: view.data, ld: view.ld, transposed: false }
}

fn transposed<'a>(view: &View<'a>) -> Operand<'a> {
    Operand { transposed: true, ..plain(view) }
}

multiversion! {
    /// From the gradient by the normalised scores p to that by the scores: p (dp - sum(dp p)) scale.
    fn slopes_by_scores(slopes: &mut [f32], scores: &[f32], ld: usize, columns: usize, rows: usize, scale: f32) {
        for (slopes, scores) in slopes.chunks_mut(ld).zip(scores.chunks(ld)).take(rows) {
            let (slopes, scores) = (&mut slopes[..columns], &scores[..columns]);
            let sum = lane_dot(slopes, scores);
            slopes.iter_mut().zip(scores).for_each(|(slope, p)| *slope = p * (*slope - sum) * scale);
        }
    }
}
