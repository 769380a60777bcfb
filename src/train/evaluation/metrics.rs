//! Metrics of classes: accuracy, top-k, confusion matrix, precision, recall, F1, intersection over union and ROC curve.
//!
//! Batches are added one by one, in bounded memory. Undefined ratios are 0, as in scikit-learn 1.x (`zero_division=0`).

use super::ranking::Ranking;
use crate::ops::output_kind::OutputKind;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Predictions that cannot be compared with targets.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MetricsError {
    #[error("{found} predicted values for {samples} samples, where each has {outputs}")]
    Shape { found: usize, samples: usize, outputs: usize },
    #[error(
        "the prediction for sample {sample} is not a finite number; training has diverged, a smaller step may help"
    )]
    NonFinite { sample: usize },
    #[error("there are no metrics without samples")]
    Nothing,
}

/// The unit that classification metrics count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricUnit {
    #[default]
    Samples,
    /// Positions of a sequence.
    Steps,
    /// Pixels of an image.
    Pixels,
    /// Values of a multi-label output, each a binary decision.
    Values,
}

impl MetricUnit {
    /// The plural, for reports.
    pub fn name(self) -> &'static str {
        match self {
            MetricUnit::Samples => "samples",
            MetricUnit::Steps => "steps",
            MetricUnit::Pixels => "pixels",
            MetricUnit::Values => "values",
        }
    }
}

/// The confusion matrix and the ranks of a classifier's predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassificationMetrics {
    labels: Vec<String>,
    /// Values of one prediction: the number of classes, or 1 for a binary classifier.
    outputs: usize,
    /// How a single value tells two classes apart.
    #[serde(rename = "ending")]
    output_kind: OutputKind,
    #[serde(default, rename = "counted")]
    unit: MetricUnit,
    /// Row-major `(truth, predicted)`: how often a sample of class `truth` was predicted as class `predicted`.
    confusion: Vec<u64>,
    /// At index i: the samples whose class is predicted with rank i, from 0.
    ranks: Vec<u64>,
    /// For each class (of a single value: for the second one) its predicted values, if the area under the curve is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scores: Vec<Ranking>,
}

/// The metrics of one class, from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassReport {
    pub label: String,
    /// The share of the predictions of this class that are right; 0 without predictions.
    pub precision: f64,
    /// The share of the samples of this class that are predicted as this class; 0 without samples.
    pub recall: f64,
    /// The harmonic mean of precision and recall; 0 where both are 0.
    pub f1: f64,
    /// The number of samples (or other units) of this class.
    pub support: u64,
}

/// All metrics of a classifier, as `netc eval --format json` prints them; shares from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassificationReport {
    #[serde(default, rename = "counted")]
    pub unit: MetricUnit,
    /// The share of samples whose most likely class is the right one.
    pub accuracy: f64,
    /// The share of samples whose class is among the five most likely; 1 with five classes or fewer.
    pub top5: f64,
    /// See [`ClassificationMetrics::f1`].
    #[serde(default)]
    pub f1: f64,
    /// See [`ClassificationMetrics::iou`].
    #[serde(default)]
    pub iou: f64,
    /// The area under the ROC curve, if it was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auc: Option<f64>,
    /// The mean loss, if it was computed.
    pub loss: Option<f64>,
    /// In the order of the net's outputs.
    pub per_class: Vec<ClassReport>,
    /// `confusion[truth][predicted]`, in units.
    pub confusion: Vec<Vec<u64>>,
}

/// How often the units of one class were predicted as another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfusedPair {
    /// The indices of the true and of the predicted class.
    pub truth: usize,
    pub predicted: usize,
    /// At least 1.
    pub count: u64,
}

impl ClassificationReport {
    /// The pairs of classes that were confused, the most frequent first.
    pub fn confused_pairs(&self) -> Vec<ConfusedPair> {
        let rows = self.confusion.iter().enumerate();
        let all = rows.flat_map(|(truth, row)| {
            row.iter().enumerate().map(move |(predicted, &count)| ConfusedPair { truth, predicted, count })
        });
        let mut pairs: Vec<ConfusedPair> = all.filter(|pair| pair.truth != pair.predicted && pair.count > 0).collect();
        // Stable: equal ones stay in the order of classes.
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.count));
        pairs
    }
}

impl ClassificationMetrics {
    /// For outputs of this many values for each unit: one for each class, or a single one that tells two classes apart as
    /// `output_kind` says. Two labels may be the same.
    pub fn new(labels: Vec<String>, outputs: usize, output_kind: OutputKind) -> Self {
        let classes = labels.len();
        let (confusion, ranks) = (vec![0; classes * classes], vec![0; classes]);
        let (unit, scores) = (MetricUnit::Samples, Vec::new());
        ClassificationMetrics { labels, outputs, output_kind, unit, confusion, ranks, scores }
    }

    /// Computes the area under the ROC curve too.
    pub fn with_auc(self) -> Self {
        let curves = if self.outputs == 1 { 1 } else { self.labels.len() };
        ClassificationMetrics { scores: vec![Ranking::default(); curves], ..self }
    }

    /// Counts another unit than samples.
    pub fn with_unit(self, unit: MetricUnit) -> Self {
        ClassificationMetrics { unit, ..self }
    }

    /// Adds a batch: `predictions` and `targets` are `(n, outputs)`, row-major. The largest value of a target is its class; a
    /// single value is 1 for the second class. The first of equal predictions counts, and NaN targets do not count.
    ///
    /// # Errors
    /// Lengths that do not match, or a NaN prediction; then nothing is added.
    pub fn add(&mut self, predictions: &[f32], targets: &[f32]) -> Result<(), MetricsError> {
        let (outputs, classes) = (self.outputs.max(1), self.labels.len());
        let samples = targets.len() / outputs;
        if predictions.len() != targets.len() || targets.len() != samples * outputs {
            return Err(MetricsError::Shape { found: predictions.len(), samples, outputs });
        }
        if let Some(at) = predictions.iter().position(|value| value.is_nan()) {
            return Err(MetricsError::NonFinite { sample: at / outputs });
        }
        let pairs = predictions.chunks_exact(outputs).zip(targets.chunks_exact(outputs));
        for (row, target) in pairs.filter(|(_, target)| !target[0].is_nan()) {
            let (class, predicted, rank) = match (row, target) {
                (&[value], &[target]) if classes == 2 => {
                    let (class, predicted) =
                        (usize::from(target > 0.5), usize::from(self.output_kind.predicts_second_class(value)));
                    (class, predicted, usize::from(predicted != class))
                }
                _ => {
                    let class = first(target);
                    (class, first(row), rank(row, class))
                }
            };
            let is_probability = self.output_kind != OutputKind::Numbers;
            match &mut self.scores[..] {
                [only] if outputs == 1 => only.add(row[0], class == 1, is_probability),
                several => {
                    for (of, (scores, &value)) in several.iter_mut().zip(row).enumerate() {
                        scores.add(value, class == of, is_probability);
                    }
                }
            }
            self.confusion[class * classes + predicted] += 1;
            self.ranks[rank] += 1;
        }
        Ok(())
    }

    /// The number of samples (or other units) so far.
    pub fn samples(&self) -> u64 {
        self.ranks.iter().sum()
    }

    /// The share of samples whose most likely class is the right one; 0 without samples.
    pub fn accuracy(&self) -> f64 {
        self.top(1)
    }

    /// The share of samples whose class is among the `k` most likely; 0 without samples.
    pub fn top(&self, k: usize) -> f64 {
        share(self.ranks.iter().take(k).sum(), self.samples())
    }

    /// The F1 of the second class where a single value tells two apart, else the mean over the classes (scikit-learn's
    /// `f1_score` with `binary` and `macro`); 0 without samples.
    pub fn f1(&self) -> f64 {
        let classes = self.per_class();
        match &classes[..] {
            [_, second] if self.outputs == 1 => second.f1,
            _ => classes.iter().map(|class| class.f1).sum::<f64>() / classes.len().max(1) as f64,
        }
    }

    /// The mean over the classes of hits / (hits + misses + false alarms), without the classes that neither occur nor are
    /// predicted (Keras' `MeanIoU`); 0 without samples.
    pub fn iou(&self) -> f64 {
        let of_class = |class: usize| {
            let hits = self.confused(class, class);
            let involved: u64 =
                (0..self.labels.len()).map(|other| self.confused(class, other) + self.confused(other, class)).sum();
            (involved > 0).then(|| share(hits, involved - hits))
        };
        let shares: Vec<f64> = (0..self.labels.len()).filter_map(of_class).collect();
        shares.iter().sum::<f64>() / shares.len().max(1) as f64
    }

    /// The area under the ROC curve, the mean over the classes where there are several (scikit-learn's `roc_auc_score` with
    /// `ovr` and `macro`, without classes that no sample or every sample has); none if there is no such class, or it is not
    /// computed.
    pub fn auc(&self) -> Option<f64> {
        let areas: Vec<f64> = self.scores.iter().filter_map(Ranking::area).collect();
        (!areas.is_empty()).then(|| areas.iter().sum::<f64>() / areas.len() as f64)
    }

    /// How often a sample of class `truth` was predicted as class `predicted`; 0 for classes that do not exist.
    pub fn confused(&self, truth: usize, predicted: usize) -> u64 {
        let classes = self.labels.len();
        if predicted < classes { self.confusion.get(truth * classes + predicted).copied().unwrap_or(0) } else { 0 }
    }

    /// Precision, recall, F1 and support of each class.
    pub fn per_class(&self) -> Vec<ClassReport> {
        let classes = self.labels.len();
        let of_class = |(class, label): (usize, &String)| {
            let hits = self.confused(class, class);
            let support = (0..classes).map(|predicted| self.confused(class, predicted)).sum();
            let predicted = (0..classes).map(|truth| self.confused(truth, class)).sum();
            let (precision, recall) = (share(hits, predicted), share(hits, support));
            // 2 hits / (predicted + support) is the harmonic mean without its division by zero.
            ClassReport { label: label.clone(), precision, recall, f1: share(2 * hits, predicted + support), support }
        };
        self.labels.iter().enumerate().map(of_class).collect()
    }

    /// All metrics, with the mean loss that the caller computed.
    ///
    /// # Errors
    /// There are no samples.
    pub fn report(&self, loss: Option<f64>) -> Result<ClassificationReport, MetricsError> {
        if self.samples() == 0 {
            return Err(MetricsError::Nothing);
        }
        let classes = self.labels.len();
        Ok(ClassificationReport {
            unit: self.unit,
            accuracy: self.accuracy(),
            top5: self.top(5),
            f1: self.f1(),
            iou: self.iou(),
            auc: self.auc(),
            loss,
            per_class: self.per_class(),
            confusion: self.confusion.chunks(classes).map(<[u64]>::to_vec).collect(),
        })
    }
}

/// The index of the highest value, the first of equals.
fn first(row: &[f32]) -> usize {
    let higher = |best: usize, (at, &value): (usize, &f32)| if value > row[best] { at } else { best };
    row.iter().enumerate().fold(0, higher)
}

/// The number of classes that are predicted before this one.
fn rank(row: &[f32], class: usize) -> usize {
    let of_class = row[class];
    row.iter().enumerate().filter(|&(at, &value)| value > of_class || (value == of_class && at < class)).count()
}

fn share(part: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { part as f64 / total as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_classes(count: usize) -> ClassificationMetrics {
        ClassificationMetrics::new((0..count).map(|index| format!("c{index}")).collect(), count, OutputKind::Classes)
    }

    fn one_hot(classes: &[usize], count: usize) -> Vec<f32> {
        classes.iter().flat_map(|&class| (0..count).map(move |at| f32::from(u8::from(at == class)))).collect()
    }

    /// MetricUnit by hand for y = [0,0,1,1,2,2,2], p = [0,1,1,1,2,0,2], and a class that does not occur.
    #[test]
    fn metrics_of_every_class() {
        let mut metrics = of_classes(4);
        let row = |class: usize| (0..4).map(move |at| if at == class { 0.7 } else { 0.1 });
        let predictions: Vec<f32> = [0, 1, 1, 1, 2, 0, 2].into_iter().flat_map(row).collect();
        metrics.add(&predictions[..12], &one_hot(&[0, 0, 1], 4)).unwrap();
        metrics.add(&predictions[12..], &one_hot(&[1, 2, 2, 2], 4)).unwrap();
        let report = metrics.report(Some(0.25)).unwrap();
        assert_eq!(report.confusion, [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]);
        assert!((report.accuracy - 5.0 / 7.0).abs() < 1e-12);
        for (class, precision, recall, f1, support) in
            [(0, 0.5, 0.5, 0.5, 2), (1, 2.0 / 3.0, 1.0, 0.8, 2), (2, 1.0, 2.0 / 3.0, 0.8, 3), (3, 0.0, 0.0, 0.0, 0)]
        {
            let got = &report.per_class[class];
            assert!((got.precision - precision).abs() < 1e-12 && (got.recall - recall).abs() < 1e-12, "{got:?}");
            assert!((got.f1 - f1).abs() < 1e-12 && got.support == support, "{got:?}");
        }
        let json = serde_json::to_value(&report).unwrap();
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["accuracy", "confusion", "counted", "f1", "iou", "loss", "per_class", "top5"]);
        // scikit-learn: f1_score(…, average="macro", labels=range(4)), jaccard_score(…, average="macro", labels=range(3))
        assert!((metrics.f1() - 0.525).abs() < 1e-12, "{}", metrics.f1());
        assert!((metrics.iou() - (1.0 / 3.0 + 2.0 / 3.0 + 2.0 / 3.0) / 3.0).abs() < 1e-12, "{}", metrics.iou());
    }

    #[test]
    fn the_first_of_equals_counts() {
        let mut metrics = of_classes(8);
        metrics.add(&[0.125; 8], &one_hot(&[5], 8)).unwrap();
        assert_eq!((metrics.top(5), metrics.top(6), metrics.confused(5, 0)), (0.0, 1.0, 1));
        metrics.add(&[f32::NEG_INFINITY, 0.0, f32::INFINITY, 0.0, 0.0, 0.0, 0.0, 0.0], &one_hot(&[2], 8)).unwrap();
        assert_eq!((metrics.accuracy(), metrics.samples()), (0.5, 2));
    }

    #[test]
    fn one_output_tells_two_classes_apart() {
        let labels = || vec!["no".to_string(), "yes".to_string()];
        let mut metrics = ClassificationMetrics::new(labels(), 1, OutputKind::Probabilities);
        metrics.add(&[0.5, 0.49, 0.9, 0.1], &[1.0, 0.0, 0.0, 1.0]).unwrap();
        let report = metrics.report(None).unwrap();
        assert_eq!((report.accuracy, report.top5), (0.5, 1.0));
        assert_eq!(report.confusion, [[1, 1], [1, 1]]);
        // A number tells them apart by its sign.
        let mut metrics = ClassificationMetrics::new(labels(), 1, OutputKind::Numbers);
        metrics.add(&[0.1, -0.1, 0.0, 3.0], &[1.0, -1.0, -1.0, -1.0]).unwrap();
        assert_eq!(metrics.report(None).unwrap().confusion, [[2, 1], [0, 1]]);
    }

    #[test]
    fn invalid_batches_add_nothing() {
        let mut metrics = of_classes(2);
        assert_eq!(metrics.report(None), Err(MetricsError::Nothing));
        let shape = MetricsError::Shape { found: 3, samples: 2, outputs: 2 };
        assert_eq!(metrics.add(&[0.0; 3], &one_hot(&[0, 1], 2)), Err(shape));
        let nan = metrics.add(&[0.0, 1.0, 0.0, f32::NAN], &one_hot(&[0, 1], 2));
        assert_eq!(nan, Err(MetricsError::NonFinite { sample: 1 }));
        assert_eq!((metrics.samples(), metrics.confused(7, 0), metrics.confused(0, 7)), (0, 0, 0));
    }
}
