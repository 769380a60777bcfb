//! The range of a tensor's values that bytes should stand for: clipping rare large values makes the steps between bytes smaller.

use crate::kernels::int8::quantization::Quantization;

/// Bins of a histogram.
const BINS: usize = 2048;
/// Clipped ranges that are tried: this many, down to this part of the whole range.
const TRIALS: usize = 48;
const SMALLEST: f64 = 0.25;

/// How often values occur, from the lowest to the highest.
#[derive(Clone, Debug)]
pub struct Histogram {
    low: f32,
    high: f32,
    bins: Vec<u64>,
}

impl Histogram {
    /// For values from `low` to `high`; zero lies between them.
    pub fn new((low, high): (f32, f32)) -> Self {
        Histogram { low, high, bins: vec![0; BINS] }
    }

    /// Counts values.
    pub fn add(&mut self, values: &[f32]) {
        let width = f64::from(self.high) - f64::from(self.low);
        if width <= 0.0 {
            return;
        }
        let factor = BINS as f64 / width;
        for &value in values {
            let bin = ((f64::from(value) - f64::from(self.low)) * factor) as usize;
            self.bins[bin.min(BINS - 1)] += 1;
        }
    }

    /// The range with the least mean squared error of the values when they are clipped to it and rounded to bytes.
    pub fn range(&self) -> (f32, f32) {
        let trial = |at: usize| {
            let part = 1.0 - (1.0 - SMALLEST) * at as f64 / TRIALS as f64;
            ((f64::from(self.low) * part) as f32, (f64::from(self.high) * part) as f32)
        };
        let ranges = (0..=TRIALS).map(trial);
        // `min_by` returns the first of equal ones, which is the widest.
        ranges.min_by(|&a, &b| self.error(a).total_cmp(&self.error(b))).unwrap_or((self.low, self.high))
    }

    /// The sum of squared errors in a range.
    fn error(&self, (low, high): (f32, f32)) -> f64 {
        let bytes = Quantization::of_range(low, high);
        let step = f64::from(bytes.scale);
        let (low, high) = bytes.range();
        let bin = (f64::from(self.high) - f64::from(self.low)) / BINS as f64;
        let of_bin = |(index, &count): (usize, &u64)| {
            let value = f64::from(self.low) + (index as f64 + 0.5) * bin;
            let clipped = value.clamp(f64::from(low), f64::from(high)) - value;
            // Values that are not clipped are rounded: the error is uniform within a step.
            let error = if clipped == 0.0 { step * step / 12.0 } else { clipped * clipped };
            count as f64 * error
        };
        self.bins.iter().enumerate().filter(|(_, count)| **count > 0).map(of_bin).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[f32]) -> Histogram {
        let (low, high) = values.iter().fold((0f32, 0f32), |(low, high), &value| (low.min(value), high.max(value)));
        let mut histogram = Histogram::new((low, high));
        histogram.add(values);
        histogram
    }

    #[test]
    fn a_rare_outlier_is_clipped_and_uniform_values_are_not() {
        let uniform: Vec<f32> = (0..100_000).map(|at| at as f32 / 100_000.0).collect();
        let (low, high) = histogram(&uniform).range();
        assert!(low == 0.0 && high > 0.98, "{low} {high}");
        // One value in ten million: its error by clipping is less than what a wider range costs the others.
        let mut outlier = Histogram::new((0.0, 3.0));
        (0..100).for_each(|_| outlier.add(&uniform));
        outlier.add(&[3.0]);
        let (_, high) = outlier.range();
        assert!((0.9..2.0).contains(&high), "{high}");
    }

    #[test]
    fn zeros_have_a_range() {
        assert_eq!(histogram(&[0.0; 10]).range(), (0.0, 0.0));
    }
}
