//! The gradients of the input and of the parameters: matrix products and sums over a trace.

use super::trace_layout::TraceLayout;
use crate::kernels::gemm;
use crate::kernels::gemm::{Backend, Operand, Product};
use crate::kernels::norm::batch_norm::{batch_scratch_len, channel_sums};
use crate::kernels::parallel::image_batches::Images;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::recurrent::recurrence::Recurrence;
use crate::kernels::tensor_view::{View, ViewMut};

/// The products of a time step are small, so that BLAS would not pay off.
pub(super) const BACKEND: Backend = Backend::Tiles;
/// The number of matrix products over a batch and the rows of each: one product if the row stride is uniform across samples,
/// else one per sample.
fn batched_products(size: &Recurrence, views: [(usize, usize); 2]) -> (usize, usize) {
    let is_uniform = views.iter().all(|&(ld, image)| image == size.steps * ld);
    if is_uniform { (1, size.n * size.steps) } else { (size.n, size.steps) }
}

fn input_gradient_product(size: &Recurrence, layout: TraceLayout, rows: usize) -> Product {
    Product { rows, columns: size.features, depth: layout.gates, alpha: 1.0, beta: 0.0, backend: BACKEND }
}

/// Floats of scratch that [`input_gradient`] needs.
pub fn input_gradient_scratch_len(size: &Recurrence, layout: TraceLayout) -> usize {
    [size.steps, size.n * size.steps]
        .map(|rows| input_gradient_product(size, layout, rows).scratch_len())
        .into_iter()
        .sum()
}

/// The input gradient dx `(n, steps, features)` from a trace and the input weights `(features, gates)`.
///
/// # Panics
/// If a slice is too short for the sizes.
pub fn input_gradient(
    trace: View<'_>,
    weights: &[f32],
    dx: ViewMut<'_>,
    size: &Recurrence,
    layout: TraceLayout,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    let (count, rows) = batched_products(size, [(trace.ld, trace.image), (dx.ld, dx.image)]);
    let product = input_gradient_product(size, layout, rows);
    for sample in 0..count {
        let gates = Operand { data: &trace.data[sample * trace.image..], ld: trace.ld, transposed: false };
        let weights = Operand { data: weights, ld: layout.gates, transposed: true };
        let out = ViewMut { data: &mut dx.data[sample * dx.image..], ld: dx.ld, image: dx.image };
        gemm::multiply(threads, &product, gates, weights, out, scratch);
    }
}

fn weight_gradient_product(size: &Recurrence, layout: TraceLayout, rows: usize, depth: usize) -> Product {
    debug_assert!(rows == size.features || rows == size.units);
    Product { rows, columns: layout.gates, depth, alpha: 1.0, beta: 0.0, backend: BACKEND }
}

fn trace_images(size: &Recurrence, layout: TraceLayout) -> Images {
    Images { n: size.n, pixels: size.steps, channels: layout.sums }
}

/// Floats of scratch that [`parameter_gradients`] needs.
pub fn parameter_gradients_scratch_len(size: &Recurrence, layout: TraceLayout) -> usize {
    let depths = [size.steps, size.n * size.steps];
    let products = depths.iter().flat_map(|&depth| {
        [size.features, size.units].map(|rows| weight_gradient_product(size, layout, rows, depth).scratch_len())
    });
    products.max().unwrap_or(0).max(batch_scratch_len(trace_images(size, layout)))
}

/// The gradients of all parameters, concatenated in the order of the layer's parameters, from x `(n, steps, features)` and a
/// trace.
///
/// # Panics
/// If a slice is too short for the sizes.
pub fn parameter_gradients(
    x: View<'_>,
    trace: View<'_>,
    gradients: &mut [f32],
    size: &Recurrence,
    layout: TraceLayout,
    scratch: &mut [f32],
    threads: &ThreadPool,
) {
    let (input_weights, tail) = gradients.split_at_mut(size.features * layout.gates);
    let (hidden_weights, sums) = tail.split_at_mut(size.units * layout.gates);
    let columns_from = |offset: usize| View { data: &trace.data[offset..], ..trace };
    let products = [
        (x, columns_from(0), size.features, input_weights),
        (columns_from(layout.hidden), columns_from(layout.hidden_gates), size.units, hidden_weights),
    ];
    for (left, gates, rows, out) in products {
        let (count, depth) = batched_products(size, [(left.ld, left.image), (gates.ld, gates.image)]);
        for sample in 0..count {
            let beta = if sample > 0 { 1.0 } else { 0.0 };
            let product = Product { beta, ..weight_gradient_product(size, layout, rows, depth) };
            let left = Operand { data: &left.data[sample * left.image..], ld: left.ld, transposed: true };
            let gates = Operand { data: &gates.data[sample * gates.image..], ld: gates.ld, transposed: false };
            let out = ViewMut { data: &mut *out, ld: layout.gates, image: rows * layout.gates };
            gemm::multiply(threads, &product, left, gates, out, scratch);
        }
    }
    channel_sums(trace, trace_images(size, layout), &mut sums[..layout.sums], scratch, threads);
}
