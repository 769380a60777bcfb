//! The counts of predictions and targets, batch by batch, from which metrics are computed.

use super::metrics::{ClassificationMetrics, ClassificationReport, MetricUnit, MetricsError};
use super::regression::{RegressionMetrics, RegressionReport};
use crate::ops::output_kind::OutputKind;
use crate::train::recipe::Metric;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The metrics of a net so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MetricAccumulator {
    Classes(ClassificationMetrics),
    Numbers(RegressionMetrics),
}

/// All metrics of a dataset.
#[derive(Clone, Debug)]
pub enum MetricsReport {
    Classes(ClassificationReport),
    Numbers(RegressionReport),
}

impl MetricAccumulator {
    /// For classes that `width` values of the output tell apart, for each `unit`.
    pub fn classes(
        width: usize,
        labels: Vec<String>,
        output_kind: OutputKind,
        unit: MetricUnit,
        with_auc: bool,
    ) -> Self {
        let metrics = ClassificationMetrics::new(labels, width, output_kind).with_unit(unit);
        MetricAccumulator::Classes(if with_auc { metrics.with_auc() } else { metrics })
    }

    /// For a net with this many numbers as output.
    pub fn numbers(outputs: usize) -> Self {
        MetricAccumulator::Numbers(RegressionMetrics::new(outputs))
    }

    /// Adds a batch of predictions and targets.
    ///
    /// # Errors
    /// A prediction that is not finite; then nothing of the batch is added.
    pub fn add(&mut self, predictions: &[f32], targets: &[f32]) -> Result<(), MetricsError> {
        match self {
            MetricAccumulator::Classes(metrics) => metrics.add(predictions, targets),
            MetricAccumulator::Numbers(regression) => regression.add(predictions, targets),
        }
    }

    /// One metric; none if it does not apply.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        match (self, metric) {
            (MetricAccumulator::Classes(metrics), Metric::Accuracy) => Some(metrics.accuracy()),
            (MetricAccumulator::Classes(metrics), Metric::Top5) => Some(metrics.top(5)),
            (MetricAccumulator::Classes(metrics), Metric::F1) => Some(metrics.f1()),
            (MetricAccumulator::Classes(metrics), Metric::Auc) => metrics.auc(),
            (MetricAccumulator::Classes(metrics), Metric::Iou) => Some(metrics.iou()),
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

    /// All metrics, with the mean loss if it was computed; none without samples.
    pub fn report(&self, loss: Option<f64>) -> Option<MetricsReport> {
        match self {
            MetricAccumulator::Classes(metrics) => metrics.report(loss).ok().map(MetricsReport::Classes),
            MetricAccumulator::Numbers(regression) => regression.report(loss).ok().map(MetricsReport::Numbers),
        }
    }

    /// Every metric that applies, by its name, and the mean loss if it was computed.
    pub fn values(&self, loss: Option<f64>) -> BTreeMap<String, f64> {
        let each = Metric::ALL.iter().filter_map(|(name, metric)| Some((name.to_string(), self.value(*metric)?)));
        each.chain(loss.map(|loss| ("loss".to_string(), loss))).collect()
    }
}
