//! The losses, with their formulas.

use serde::{Deserialize, Serialize};

/// A loss function; y is a row of the prediction and t of the target. The formulas are NeuPy's where no other source is named.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Loss {
    /// -sum t ln(y), y clipped to [1e-7, 1 - 1e-7]
    CategoricalCrossentropy,
    /// mean of -(t ln(y) + (1 - t) ln(1 - y)), y clipped to [1e-7, 1 - 1e-7]
    BinaryCrossentropy,
    /// mean of (y - t)^2
    Mse,
    /// mean of |y - t|
    Mae,
    /// The square root of the batch's [`Loss::Mse`].
    Rmse,
    /// mean of (ln(1 + max(y, 0)) - ln(1 + max(t, 0)))^2
    Msle,
    /// The square root of the batch's [`Loss::Msle`].
    Rmsle,
    /// mean of max(0, 1 - t y), for targets -1 and 1
    BinaryHinge,
    /// max(0, 1 + max y of the other classes - y of the target class), the target class being the argmax of t
    CategoricalHinge,
    /// mean of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = y - t (PyTorch's `HuberLoss`)
    Huber { delta: f32 },
    /// -alpha sum (1 - y)^gamma t ln(y), y clipped to [1e-7, 1 - 1e-7] (Keras' `CategoricalFocalCrossentropy`)
    CategoricalFocal { gamma: f32, alpha: f32 },
    /// mean of -a (1 - p)^gamma ln(p), with p = y and a = alpha for t = 1, p = 1 - y and a = 1 - alpha for t = 0; y clipped to
    /// [1e-7, 1 - 1e-7] (torchvision's `sigmoid_focal_loss`)
    BinaryFocal { gamma: f32, alpha: f32 },
    /// sum t (ln(t) - ln(y)), 0 where t is 0, y clipped to [1e-7, 1 - 1e-7] (PyTorch's `KLDivLoss`, batchmean)
    KlDivergence,
    /// 1 - sum y t / sqrt((sum y^2 + 1e-12) (sum t^2 + 1e-12)) (PyTorch's `CosineEmbeddingLoss` for a target of 1)
    Cosine,
    /// 1 - (2 sum y t + smooth) / (sum y + sum t + smooth), over all values of a sample (Keras' `Dice`)
    Dice { smooth: f32 },
    /// mean of t y^2 + (1 - t) max(0, margin - y)^2, y being a distance, and t 1 for similar pairs and 0 for others
    /// (Hadsell et al., 2006)
    Contrastive { margin: f32 },
    /// max(0, |a - p| - |a - n| + margin), a, p and n being the thirds of y, with 1e-6 added to each difference (PyTorch's
    /// `TripletMarginLoss`); there is no target.
    Triplet { margin: f32 },
}

impl Loss {
    /// Every loss with its defaults. [`Loss::BinaryFocal`] is what [`Loss::CategoricalFocal`] is after a sigmoid.
    pub const ALL: [Loss; 16] = [
        Self::CategoricalCrossentropy,
        Self::BinaryCrossentropy,
        Self::Mse,
        Self::Mae,
        Self::Rmse,
        Self::Msle,
        Self::Rmsle,
        Self::BinaryHinge,
        Self::CategoricalHinge,
        Self::Huber { delta: 1.0 },
        Self::CategoricalFocal { gamma: 2.0, alpha: 0.25 },
        Self::KlDivergence,
        Self::Cosine,
        Self::Dice { smooth: 1e-7 },
        Self::Contrastive { margin: 1.0 },
        Self::Triplet { margin: 1.0 },
    ];

    /// Its name in recipes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CategoricalCrossentropy => "categorical_crossentropy",
            Self::BinaryCrossentropy => "binary_crossentropy",
            Self::Mse => "mse",
            Self::Mae => "mae",
            Self::Rmse => "rmse",
            Self::Msle => "msle",
            Self::Rmsle => "rmsle",
            Self::BinaryHinge => "binary_hinge",
            Self::CategoricalHinge => "categorical_hinge",
            Self::Huber { .. } => "huber",
            Self::CategoricalFocal { .. } | Self::BinaryFocal { .. } => "focal",
            Self::KlDivergence => "kl_divergence",
            Self::Cosine => "cosine",
            Self::Dice { .. } => "dice",
            Self::Contrastive { .. } => "contrastive",
            Self::Triplet { .. } => "triplet",
        }
    }

    /// The loss of a name, with its defaults; mse for a name that is none.
    pub fn named(name: &str) -> Loss {
        Self::ALL.into_iter().find(|loss| loss.name() == name).unwrap_or(Self::Mse)
    }

    /// Its formula and the targets that it is for, in one line.
    pub const fn doc(self) -> &'static str {
        match self {
            Self::CategoricalCrossentropy => {
                "-sum t ln(y), y clipped to 1e-7 and 1 - 1e-7 (NeuPy), for classes after `Softmax(n)`; the gradient is computed from the logits"
            }
            Self::BinaryCrossentropy => {
                "the mean of -(t ln(y) + (1 - t) ln(1 - y)), y clipped to 1e-7 and 1 - 1e-7 (NeuPy), for two classes after `Sigmoid(1)` or independent labels after `Sigmoid(n)`"
            }
            Self::Mse => "the mean squared error: the mean of (y - t)^2, for numbers after `Dense(n)`",
            Self::Mae => "the mean absolute error: the mean of |y - t|",
            Self::Rmse => "the root of the mean squared error of the batch (NeuPy)",
            Self::Msle => {
                "the mean of (ln(1 + max(y, 0)) - ln(1 + max(t, 0)))^2, for numbers whose ratio matters (NeuPy)"
            }
            Self::Rmsle => "the root of the batch's msle (NeuPy)",
            Self::BinaryHinge => "the mean of max(0, 1 - t y), for targets -1 and 1 after `Tanh(1)` (NeuPy)",
            Self::CategoricalHinge => {
                "max(0, 1 + the largest y of another class - y of the target's class), for classes (NeuPy)"
            }
            Self::Huber { .. } => {
                "the mean of d^2 / 2 where |d| <= delta, else of delta (|d| - delta / 2), with d = y - t, for numbers with outliers (PyTorch's HuberLoss, Keras' Huber)"
            }
            Self::CategoricalFocal { .. } | Self::BinaryFocal { .. } => {
                "the crossentropy times alpha (1 - p)^gamma, p being the probability of the right class, for rare classes: after `Softmax(n)` Keras' CategoricalFocalCrossentropy, after `Sigmoid(n)` torchvision's sigmoid_focal_loss (Lin et al., 2017)"
            }
            Self::KlDivergence => {
                "sum t (ln(t) - ln(y)), y clipped to 1e-7 and 1 - 1e-7, for distributions as targets after `Softmax(n)` (PyTorch's KLDivLoss with batchmean, Keras' KLDivergence)"
            }
            Self::Cosine => {
                "1 - the cosine of the angle between y and t, for directions and embeddings (PyTorch's CosineEmbeddingLoss for a target of 1; Keras' CosineSimilarity is without the 1)"
            }
            Self::Dice { .. } => {
                "1 - (2 sum y t + smooth) / (sum y + sum t + smooth) over all values of a sample, for masks after `Sigmoid` or `Softmax` (Keras' Dice with the axes of a sample)"
            }
            Self::Contrastive { .. } => {
                "the mean of t y^2 + (1 - t) max(0, margin - y)^2, y being the distance of two embeddings, t 1 for similar pairs and 0 for others (Hadsell et al., 2006; TensorFlow Addons' ContrastiveLoss)"
            }
            Self::Triplet { .. } => {
                "max(0, |a - p| - |a - n| + margin), the output being the embeddings of anchor, positive and negative, concatenated: `(a | p | n) >> Concatenate`; it takes no targets (PyTorch's TripletMarginLoss)"
            }
        }
    }

    /// Whether the last axis are classes, so that each pixel of an image is a sample of its own.
    pub fn is_categorical(self) -> bool {
        matches!(
            self,
            Self::CategoricalCrossentropy | Self::CategoricalHinge | Self::CategoricalFocal { .. } | Self::KlDivergence
        )
    }

    /// Whether the loss compares numbers with numbers, so that it says nothing about classes.
    pub fn is_regression(self) -> bool {
        matches!(self, Self::Mse | Self::Mae | Self::Rmse | Self::Msle | Self::Rmsle | Self::Huber { .. })
    }

    /// Whether the loss of a pixel is not a sum over its values, so that each pixel has a row of its own.
    pub fn is_by_pixel(self) -> bool {
        self.is_categorical() || matches!(self, Self::Cosine | Self::Triplet { .. })
    }

    /// Whether the loss of a sample is not a mean over its pixels, so that pixels cannot have weights of their own.
    pub fn is_whole(self) -> bool {
        self.is_root() || matches!(self, Self::Dice { .. })
    }

    /// Whether targets are probabilities, which labels may be smoothed to.
    pub fn takes_probabilities(self) -> bool {
        matches!(
            self,
            Self::CategoricalCrossentropy
                | Self::BinaryCrossentropy
                | Self::CategoricalFocal { .. }
                | Self::BinaryFocal { .. }
                | Self::KlDivergence
        )
    }

    /// Whether the loss is the square root of the mean.
    pub(super) fn is_root(self) -> bool {
        matches!(self, Self::Rmse | Self::Rmsle)
    }
}
