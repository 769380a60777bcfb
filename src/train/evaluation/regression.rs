//! Metrics of numbers: MAE, RMSE and R², in constant memory.

use super::metrics::MetricsError;
use serde::{Deserialize, Serialize};

/// The errors of a regression net's predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegressionMetrics {
    count: u64,
    absolute: f64,
    /// For each output.
    columns: Vec<Column>,
}

/// Sums of one output. Mean and variance of the targets by Welford's method (1962), which avoids cancellation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Column {
    squared: f64,
    mean: f64,
    spread: f64,
}

/// The errors of predicted numbers, in the units of the targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegressionReport {
    /// The mean absolute error.
    pub mae: f64,
    /// The root of the mean squared error.
    pub rmse: f64,
    /// The coefficient of determination, averaged over the outputs; for constant targets 1 if all predictions are exact,
    /// else 0.
    pub r2: f64,
    /// The mean loss, if it was computed.
    pub loss: Option<f64>,
}

impl RegressionMetrics {
    /// For a net with this many outputs.
    pub fn new(outputs: usize) -> Self {
        RegressionMetrics { count: 0, absolute: 0.0, columns: vec![Column::default(); outputs] }
    }

    /// Adds a batch: both are `(n, outputs)`, row-major.
    ///
    /// # Errors
    /// Lengths that do not match, or an error that is not finite; then nothing is added.
    pub fn add(&mut self, predictions: &[f32], targets: &[f32]) -> Result<(), MetricsError> {
        let outputs = self.columns.len();
        let samples = targets.len().checked_div(outputs).unwrap_or(0);
        if predictions.len() != targets.len() || targets.len() != samples * outputs {
            return Err(MetricsError::Shape { found: predictions.len(), samples, outputs });
        }
        let numbers = predictions.iter().zip(targets);
        if let Some(at) = numbers.clone().position(|(predicted, target)| !(predicted - target).is_finite()) {
            return Err(MetricsError::NonFinite { sample: at / outputs });
        }
        for (at, (&predicted, &target)) in numbers.enumerate() {
            let (column, target) = (&mut self.columns[at % outputs], f64::from(target));
            let error = f64::from(predicted) - target;
            self.count += u64::from(at % outputs == 0);
            self.absolute += error.abs();
            column.squared += error * error;
            let from_mean = target - column.mean;
            column.mean += from_mean / self.count as f64;
            column.spread += from_mean * (target - column.mean);
        }
        Ok(())
    }

    /// All metrics, with the mean loss that the caller computed.
    ///
    /// # Errors
    /// There are no samples.
    pub fn report(&self, loss: Option<f64>) -> Result<RegressionReport, MetricsError> {
        if self.count == 0 {
            return Err(MetricsError::Nothing);
        }
        let outputs = self.columns.len() as f64;
        let values = self.count as f64 * outputs;
        let determined = |column: &Column| match (column.squared, column.spread) {
            (0.0, 0.0) => 1.0,
            (_, 0.0) => 0.0,
            (squared, spread) => 1.0 - squared / spread,
        };
        Ok(RegressionReport {
            mae: self.absolute / values,
            rmse: (self.columns.iter().map(|column| column.squared).sum::<f64>() / values).sqrt(),
            r2: self.columns.iter().map(determined).sum::<f64>() / outputs,
            loss,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scikit-learn's own example of `r2_score` for several outputs (uniform average), and its mean errors.
    #[test]
    fn errors_of_numbers() {
        let mut regression = RegressionMetrics::new(2);
        regression.add(&[0.0, 2.0, -1.0, 2.0], &[0.5, 1.0, -1.0, 1.0]).unwrap();
        regression.add(&[8.0, -5.0], &[7.0, -6.0]).unwrap();
        let report = regression.report(None).unwrap();
        assert!((report.mae - 0.75).abs() < 1e-12 && (report.rmse - (4.25f64 / 6.0).sqrt()).abs() < 1e-12);
        assert!((report.r2 - 0.936_800_526_662_277_8).abs() < 1e-12, "{}", report.r2);
        let mut constant = RegressionMetrics::new(1);
        constant.add(&[3.0, 3.0], &[3.0, 3.0]).unwrap();
        assert_eq!(constant.report(None).unwrap().r2, 1.0);
        constant.add(&[4.0], &[3.0]).unwrap();
        assert_eq!(constant.report(None).unwrap().r2, 0.0);
        assert!(matches!(constant.add(&[f32::NAN], &[0.0]), Err(MetricsError::NonFinite { sample: 0 })));
        assert!(matches!(regression.add(&[0.0; 3], &[0.0; 3]), Err(MetricsError::Shape { .. })));
    }
}
