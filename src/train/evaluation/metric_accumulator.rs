//! What is counted of a net's predictions while a set goes through it.

use super::metrics::{Counted, Metrics, MetricsError, Regression, RegressionReport, Report};
use crate::ops::output_kind::OutputKind;
use crate::train::recipe::Metric;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is counted of predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MetricAccumulator {
    Classes(Metrics),
    Numbers(Regression),
}

/// The measures of a set.
#[derive(Clone, Debug)]
pub enum Outcome {
    Classes(Report),
    Numbers(RegressionReport),
}

impl MetricAccumulator {
    /// For classes that so many values of what is counted tell apart.
    pub fn classes(width: usize, labels: Vec<String>, ending: OutputKind, counted: Counted) -> Self {
        MetricAccumulator::Classes(Metrics::new(labels, width, ending).counting(counted))
    }

    /// For a net with so many outputs that are numbers.
    pub fn numbers(outputs: usize) -> Self {
        MetricAccumulator::Numbers(Regression::new(outputs))
    }

    /// Counts a batch of predictions and targets.
    ///
    /// # Errors
    /// A prediction that is no number; nothing of the batch is counted then.
    pub fn add(&mut self, predictions: &[f32], targets: &[f32]) -> Result<(), MetricsError> {
        match self {
            MetricAccumulator::Classes(metrics) => metrics.add(predictions, targets),
            MetricAccumulator::Numbers(regression) => regression.add(predictions, targets),
        }
    }

    /// One measure.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        match (self, metric) {
            (MetricAccumulator::Classes(metrics), Metric::Accuracy) => Some(metrics.accuracy()),
            (MetricAccumulator::Classes(metrics), Metric::Top5) => Some(metrics.top(5)),
            (MetricAccumulator::Numbers(regression), Metric::Mae) => {
                regression.report(None).ok().map(|report| report.mae)
            }
            (MetricAccumulator::Numbers(regression), Metric::Rmse) => {
                regression.report(None).ok().map(|report| report.rmse)
            }
            (MetricAccumulator::Numbers(regression), Metric::R2) => {
                regression.report(None).ok().map(|report| report.r2)
            }
            _ => None,
        }
    }

    /// All measures, with the mean loss where it was computed.
    pub fn outcome(&self, loss: Option<f64>) -> Option<Outcome> {
        match self {
            MetricAccumulator::Classes(metrics) => metrics.report(loss).ok().map(Outcome::Classes),
            MetricAccumulator::Numbers(regression) => regression.report(loss).ok().map(Outcome::Numbers),
        }
    }

    /// Each metric that can be told of it, by its name, and the mean loss where it was computed.
    pub fn measures(&self, loss: Option<f64>) -> BTreeMap<String, f64> {
        let each = Metric::ALL.iter().filter_map(|(name, metric)| Some((name.to_string(), self.value(*metric)?)));
        each.chain(loss.map(|loss| ("loss".to_string(), loss))).collect()
    }
}
