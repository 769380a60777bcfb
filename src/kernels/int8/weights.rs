//! Quantised weights: signed bytes with a scale for each output channel, packed into the panels that the kernels read, and the
//! numbers by which sums are rescaled.

use super::lanes::{GROUP, LANES, STEP};
use super::quantization::Quantization;

/// The largest weight: symmetric, so that the negative of each is one too.
const MAX_WEIGHT: f32 = 127.0;
/// The magnitude that no rescaled sum exceeds, so that it can be rounded to an integer of 32 bits.
const MAX_RESULT: f64 = (1u64 << 30) as f64;

/// Weights as bytes: each stands for `scale * byte` with the scale of its column.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns {
    /// Row-major.
    pub bytes: Vec<i8>,
    /// One for each column.
    pub scales: Vec<f32>,
}

impl Columns {
    /// Rounds row-major weights of so many columns.
    pub fn of(weights: &[f32], columns: usize) -> Self {
        let mut largest = vec![0f32; columns];
        for row in weights.chunks_exact(columns.max(1)) {
            largest.iter_mut().zip(row).for_each(|(largest, weight)| *largest = largest.max(weight.abs()));
        }
        let scale = |largest: f32| if (largest / MAX_WEIGHT).is_normal() { largest / MAX_WEIGHT } else { 1.0 };
        let scales: Vec<f32> = largest.into_iter().map(scale).collect();
        let round =
            |(weight, scale): (&f32, &f32)| (weight / scale).round_ties_even().clamp(-MAX_WEIGHT, MAX_WEIGHT) as i8;
        let bytes = weights.chunks_exact(columns.max(1)).flat_map(|row| row.iter().zip(&scales).map(round)).collect();
        Columns { bytes, scales }
    }

    /// The sum of each column, and the sum of its magnitudes.
    fn sums(&self) -> Vec<(i64, i64)> {
        let mut sums = vec![(0, 0); self.scales.len()];
        for row in self.bytes.chunks_exact(self.scales.len().max(1)) {
            for ((sum, magnitude), &byte) in sums.iter_mut().zip(row) {
                *sum += i64::from(byte);
                *magnitude += i64::from(byte).abs();
            }
        }
        sums
    }
}

/// What the rescaling of sums depends on.
#[derive(Clone, Copy, Debug)]
pub struct Rescaling {
    pub input: Quantization,
    /// `None` for results in f32.
    pub output: Option<Quantization>,
    /// Bytes that are added.
    pub residual: Option<Quantization>,
}

impl Rescaling {
    fn output_scale(&self) -> f64 {
        self.output.map_or(1.0, |output| f64::from(output.scale))
    }

    /// The factor of the residual's bytes.
    pub fn residual_scale(&self) -> f32 {
        self.residual.map_or(0.0, |residual| (f64::from(residual.scale) / self.output_scale()) as f32)
    }

    /// The multiplier and the bias of each column: `multiplier * sum + bias` is the result in units of the output's scale. The bias
    /// accounts for the zero points.
    pub fn of_columns(&self, weights: &Columns, bias: Option<&[f32]>) -> (Vec<f32>, Vec<f32>) {
        let scale = self.output_scale();
        let zero = self.output.map_or(0.0, |output| f64::from(output.zero_point));
        let added = self.residual.map_or(0.0, |bytes| f64::from(bytes.scale) * f64::from(bytes.zero_point));
        let column = |(at, (sum, magnitude)): (usize, (i64, i64))| {
            let limit = MAX_RESULT / (magnitude as f64 * 255.0).max(1.0);
            let factor = f64::from(self.input.scale) * f64::from(weights.scales[at]) / scale;
            let of_zeros = factor * f64::from(self.input.zero_point) * sum as f64;
            let bias = bias.map_or(0.0, |bias| f64::from(bias[at])) - added;
            let bias = (bias / scale - of_zeros + zero).clamp(-MAX_RESULT, MAX_RESULT);
            (factor.min(limit) as f32, bias as f32)
        };
        weights.sums().into_iter().enumerate().map(column).unzip()
    }
}

/// The panels of a matrix of weights: for each sixteen columns, tap by tap, groups of four rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panels {
    pub taps: usize,
    /// Rows of a tap, a multiple of `GROUP`.
    pub depth: usize,
    pub columns: usize,
}

impl Panels {
    /// Bytes of all panels.
    pub fn bytes(&self) -> usize {
        crate::size::product([self.columns.div_ceil(LANES), self.taps, self.depth / GROUP, STEP])
    }

    /// Packs the weight of each tap, row and column.
    pub fn pack(&self, weight: impl Fn(usize, usize, usize) -> i8) -> Vec<i8> {
        let mut packed = vec![0; self.bytes()];
        for (index, byte) in packed.iter_mut().enumerate() {
            let (step, lane, at) = (index / STEP, index / GROUP % LANES, index % GROUP);
            let (tap_of_panel, group) = (step / (self.depth / GROUP), step % (self.depth / GROUP));
            let (panel, tap) = (tap_of_panel / self.taps, tap_of_panel % self.taps);
            let column = panel * LANES + lane;
            if column < self.columns {
                *byte = weight(tap, group * GROUP + at, column);
            }
        }
        packed
    }
}

/// Bytes as the words in which constants are stored, filled up with zeros.
pub fn words(bytes: &[i8]) -> Vec<f32> {
    let mut words = vec![0f32; bytes.len().div_ceil(size_of::<f32>())];
    bytemuck::cast_slice_mut::<f32, i8>(&mut words)[..bytes.len()].copy_from_slice(bytes);
    words
}

/// Values of columns filled up to whole panels.
pub fn to_panels(mut values: Vec<f32>) -> Vec<f32> {
    values.resize(values.len().next_multiple_of(LANES), 0.0);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_scales_of_their_own() {
        let columns = Columns::of(&[1.0, -0.015, 0.0, -0.25, 0.02, 0.0], 3);
        assert_eq!(columns.bytes, [127, -95, 0, -32, 127, 0]);
        assert_eq!(columns.scales, [1.0 / 127.0, 0.02 / 127.0, 1.0]);
    }

    /// The numbers that rescaled sums stand for are those of f32, up to the rounding of the weights.
    #[test]
    fn rescaling_accounts_for_zero_points() {
        let weights = [0.5, -0.25, 0.125, 1.0];
        let columns = Columns::of(&weights, 1);
        let input = Quantization { scale: 0.1, zero_point: 50 };
        let output = Quantization { scale: 0.2, zero_point: 100 };
        let rescaling = Rescaling { input, output: Some(output), residual: Some(input) };
        let (multipliers, biases) = rescaling.of_columns(&columns, Some(&[0.7]));
        let (bytes, residual) = ([0u8, 60, 200, 90], 33u8);
        let sum: i32 = bytes.iter().zip(&columns.bytes).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
        let found = sum as f32 * multipliers[0] + biases[0] + f32::from(residual) * rescaling.residual_scale();
        let dot: f32 = bytes.iter().zip(&weights).map(|(&byte, weight)| input.number(byte) * weight).sum();
        let wanted = (dot + 0.7 + input.number(residual)) / output.scale + 100.0;
        assert!((found - wanted).abs() < 0.5, "{found} {wanted}");
    }
}
