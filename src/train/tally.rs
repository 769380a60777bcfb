//! What is counted of a net's predictions while a set goes through it.

use super::metrics::{Metrics, Regression, RegressionReport, Report};
use super::recipe::Metric;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is counted of predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Tally {
    Classes(Metrics),
    Numbers(Regression),
}

/// The measures of a set.
#[derive(Clone, Debug)]
pub enum Outcome {
    Classes(Report),
    Numbers(RegressionReport),
}

impl Tally {
    /// For a net with so many outputs, and these classes where it tells classes apart.
    pub fn new(outputs: usize, labels: Option<&[String]>) -> Self {
        match labels {
            Some(labels) if outputs == labels.len() && outputs > 1 => Tally::Classes(Metrics::new(labels.to_vec())),
            Some([no, yes]) if outputs == 1 => Tally::Classes(Metrics::binary([no.clone(), yes.clone()])),
            _ => Tally::Numbers(Regression::new(outputs)),
        }
    }

    /// Counts a batch; what cannot be counted was refused when the data was read.
    pub fn add(&mut self, predictions: &[f32], classes: Option<&[usize]>, targets: &[f32]) {
        let _ = match (self, classes) {
            (Tally::Classes(metrics), Some(classes)) => metrics.add(predictions, classes),
            (Tally::Numbers(regression), _) => regression.add(predictions, targets),
            (Tally::Classes(_), None) => Ok(()),
        };
    }

    /// One measure.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        match (self, metric) {
            (Tally::Classes(metrics), Metric::Accuracy) => Some(metrics.accuracy()),
            (Tally::Classes(metrics), Metric::Top5) => Some(metrics.top(5)),
            (Tally::Numbers(regression), Metric::Mae) => regression.report(None).ok().map(|report| report.mae),
            (Tally::Numbers(regression), Metric::Rmse) => regression.report(None).ok().map(|report| report.rmse),
            (Tally::Numbers(regression), Metric::R2) => regression.report(None).ok().map(|report| report.r2),
            _ => None,
        }
    }

    /// All measures, with the mean loss.
    pub fn outcome(&self, loss: f64) -> Option<Outcome> {
        match self {
            Tally::Classes(metrics) => metrics.report(Some(loss)).ok().map(Outcome::Classes),
            Tally::Numbers(regression) => regression.report(Some(loss)).ok().map(Outcome::Numbers),
        }
    }

    /// Each metric that can be told of it, by its name, and the mean loss.
    pub fn numbers(&self, loss: f64) -> BTreeMap<String, f64> {
        let each = Metric::ALL.iter().filter_map(|(name, metric)| Some((name.to_string(), self.value(*metric)?)));
        each.chain([("loss".to_string(), loss)]).collect()
    }
}
