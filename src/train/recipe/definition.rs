//! The entries of a recipe, and what a recipe without them does.

use super::class_weighting::ClassWeights;
use super::early_stopping::EarlyStopping;
use super::keep_policy::KeepPolicy;
use super::metric::Metric;
use super::optimizers::{Optimizer, ScopedRegularizer};
use super::schedule::Schedule;
use super::sources::{Data, Validation};
use crate::data::photos::augment::Augmentation;
use crate::data::samples::dataset::Policy;
use crate::kernels::training::loss::Loss;
use crate::kernels::training::optimizer::UpdateRule;
use crate::source::Span;
use std::path::PathBuf;

/// How a net is trained, and on which data.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub data: Data,
    pub validation: Validation,
    pub optimizer: Optimizer,
    /// `None` for the loss that fits the net's output.
    pub loss: Option<Loss>,
    pub epochs: usize,
    /// Samples in a batch.
    pub batch: usize,
    pub seed: u64,
    pub shuffle: bool,
    /// Shown for each epoch besides the loss; `None` for those that fit the loss.
    pub metrics: Option<Vec<Metric>>,
    pub regularizer: Option<ScopedRegularizer>,
    pub schedule: Schedule,
    pub stop: Option<EarlyStopping>,
    /// `None` for the policy that fits `validation` and `stop`.
    pub keep: Option<KeepPolicy>,
    pub augment: Option<Augmentation>,
    /// Epochs between two checkpoints.
    pub checkpoint: usize,
    pub class_weights: ClassWeights,
    /// Keys and values in the order and the words of the spec.
    pub entries: Vec<(String, String)>,
    /// The name of the net at the recipe's head.
    pub span: Span,
}

impl Recipe {
    /// The defaults. They are NeuPy's, but for `shuffle` and `seed`.
    pub(super) fn new(span: Span) -> Self {
        Recipe {
            // A recipe without data is reported by the check of its keys.
            data: Data::Images { folder: PathBuf::new(), policy: Policy::Refuse, span },
            validation: Validation::None,
            optimizer: Optimizer {
                rule: UpdateRule::Momentum { momentum: 0.9, nesterov: false },
                step: 0.1,
                schedule: None,
                clip_value: None,
                clip_norm: None,
            },
            loss: None,
            epochs: 100,
            batch: 128,
            seed: 0,
            shuffle: true,
            metrics: None,
            regularizer: None,
            schedule: Schedule(Vec::new()),
            stop: None,
            keep: None,
            augment: None,
            checkpoint: 1,
            class_weights: ClassWeights::Equal,
            entries: Vec::new(),
            span,
        }
    }
}
