//! The distribution of a parameter's values.

use serde::Serialize;

/// The number of bins.
const BINS: usize = 40;

/// How many values of a parameter lie in each of equally wide bins from the smallest to the largest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Histogram {
    pub minimum: f32,
    pub maximum: f32,
    pub mean: f64,
    /// The standard deviation of the values, not of a sample of them.
    pub deviation: f64,
    pub bins: Vec<u64>,
    /// Values that are infinite or not a number; the other fields do not count them.
    pub not_finite: u64,
}

impl Histogram {
    /// The distribution of values. Equal values are in one bin; if none of them is finite, there are no bins.
    pub fn of(values: &[f32]) -> Histogram {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let count = finite().count() as u64;
        let not_finite = values.len() as u64 - count;
        let range = finite().fold(None, |range: Option<(f32, f32)>, value| {
            let (low, high) = range.unwrap_or((value, value));
            Some((low.min(value), high.max(value)))
        });
        let Some((minimum, maximum)) = range else {
            return Histogram { minimum: 0.0, maximum: 0.0, mean: 0.0, deviation: 0.0, bins: Vec::new(), not_finite };
        };
        let mean = finite().map(f64::from).sum::<f64>() / count as f64;
        let variance = finite().map(|value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count as f64;
        let mut bins = vec![0; if minimum == maximum { 1 } else { BINS }];
        // In f64, in which the difference of two finite values is finite.
        let width = (f64::from(maximum) - f64::from(minimum)) / bins.len() as f64;
        for value in finite() {
            let bin = (f64::from(value) - f64::from(minimum)) / width;
            // The largest value is in the last bin, as are equal ones, whose width is zero.
            let bin = (bin as usize).min(bins.len() - 1);
            bins[bin] += 1;
        }
        Histogram { minimum, maximum, mean, deviation: variance.sqrt(), bins, not_finite }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_value_is_in_one_bin() {
        // By numpy: np.histogram(values, bins=40), np.mean, np.std.
        let values: Vec<f32> = (0..1000).map(|n| (n * n % 997) as f32 / 100.0 - 3.0).collect();
        let histogram = Histogram::of(&values);
        assert_eq!(histogram.bins.len(), BINS);
        assert_eq!(histogram.bins.iter().sum::<u64>(), 1000);
        assert_eq!((histogram.minimum, histogram.maximum), (-3.0, 6.96));
        assert!((histogram.mean - 1.9651099944).abs() < 1e-9 && (histogram.deviation - 2.9328182577).abs() < 1e-9);
        assert_eq!((&histogram.bins[..3], &histogram.bins[BINS - 2..]), (&[28, 24, 28][..], &[22, 26][..]));
    }

    #[test]
    fn equal_extreme_and_missing_values_are_counted() {
        let equal = Histogram::of(&[2.5; 7]);
        assert_eq!((equal.bins, equal.deviation, equal.not_finite), (vec![7], 0.0, 0));
        let extreme = Histogram::of(&[f32::MIN, f32::NAN, 0.0, f32::MAX, f32::INFINITY]);
        assert_eq!((extreme.bins.iter().sum::<u64>(), extreme.not_finite), (3, 2));
        assert_eq!((extreme.bins[0], extreme.bins[BINS / 2], extreme.bins[BINS - 1]), (1, 1, 1));
        assert!(extreme.deviation.is_finite());
        let none = Histogram::of(&[f32::NAN, f32::INFINITY]);
        assert_eq!((none.bins.len(), none.not_finite), (0, 2));
    }
}
