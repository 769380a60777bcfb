//! The metrics that recipes name.

/// A measure of predictions besides the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    Accuracy,
    Top5,
    F1,
    Auc,
    Iou,
    Mae,
    Rmse,
    R2,
}

impl Metric {
    /// Every metric with its name.
    pub const ALL: [(&'static str, Metric); 8] = [
        ("accuracy", Metric::Accuracy),
        ("top5", Metric::Top5),
        ("f1", Metric::F1),
        ("auc", Metric::Auc),
        ("iou", Metric::Iou),
        ("mae", Metric::Mae),
        ("rmse", Metric::Rmse),
        ("r2", Metric::R2),
    ];

    /// Its name in recipes, records and JSON.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, metric)| *metric == self).map_or("", |(name, _)| name)
    }

    /// What it measures, in one line, with y the prediction and t the target.
    pub fn doc(self) -> &'static str {
        match self {
            Metric::Accuracy => "the share of samples whose most likely class is the right one",
            Metric::Top5 => "the share of samples whose class is among the five most likely",
            Metric::F1 => {
                "the harmonic mean of precision and recall: of the second class where one value tells two apart, else the mean over the classes (scikit-learn's f1_score, binary and macro)"
            }
            Metric::Auc => {
                "the area under the ROC curve: the probability that a sample of a class has a higher value for it than one of another; the mean over the classes where there are several (scikit-learn's roc_auc_score, ovr)"
            }
            Metric::Iou => {
                "intersection over union: true positives over true positives, false positives and false negatives of a class; the mean over the classes that occur (Keras' MeanIoU)"
            }
            Metric::Mae => "the mean absolute error: the mean of |y - t|",
            Metric::Rmse => "the root of the mean squared error",
            Metric::R2 => {
                "the coefficient of determination: 1 - the sum of (t - y)^2 over that of (t - mean of t)^2; 1 is exact"
            }
        }
    }

    /// Whether a larger value is better.
    pub fn is_better_larger(self) -> bool {
        !matches!(self, Metric::Mae | Metric::Rmse)
    }

    /// Whether it measures classes; the others measure numbers.
    pub fn is_of_classes(self) -> bool {
        !matches!(self, Metric::Mae | Metric::Rmse | Metric::R2)
    }
}
