//! The entries of a recipe, and what a recipe without them does.

use super::values::class_weighting::ClassWeights;
use super::values::early_stopping::EarlyStopping;
use super::values::keep_policy::KeepPolicy;
use super::values::losses::Losses;
use super::values::metric::Metric;
use super::values::optimizers::{Optimizer, ScopedRegularizer};
use super::values::schedule::Schedule;
use super::values::sources::{Data, Validation};
use crate::data::photos::augment::Augmentation;
use crate::data::samples::dataset::Policy;
use crate::kernels::training::optimizer::UpdateRule;
use crate::request::RecipeKey;
use crate::source::Span;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How a net is trained, and on which data.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub data: Data,
    pub validation: Validation,
    pub optimizer: Optimizer,
    pub loss: Losses,
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
    /// The share of each target that is spread over all classes; 0 without smoothing.
    pub label_smoothing: f32,
    /// Alpha of the beta distribution that pairs of samples are mixed by; 0 without mixing.
    pub mixup: f64,
    /// Factors of the learning rate by layer or scope, with the places of the names.
    pub rates: Vec<(String, Span, f32)>,
    /// In the order of the epochs.
    pub unfreeze: Vec<Unfreezing>,
    /// Batches whose gradients make one update.
    pub accumulate: usize,
    /// The decay rate of the moving average of the parameters, which is evaluated and written in their place.
    pub average: Option<f32>,
    /// Keys and values in the order and the words of the spec.
    pub entries: Vec<(String, String)>,
    /// The settings of the command line, as they were written: `optimizer.step=0.01`.
    pub settings: Vec<String>,
    /// The name of the net at the recipe's head.
    pub span: Span,
    /// Where each key is written.
    pub(super) places: BTreeMap<String, Span>,
}

/// Frozen layers that are trained from an epoch on.
#[derive(Clone, Debug, PartialEq)]
pub struct Unfreezing {
    /// From 2.
    pub epoch: usize,
    /// A layer, a scope or a range of them, as in a cut: `conv5_1..`
    pub layers: String,
    /// The place of the range.
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
            loss: Losses::Fitting,
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
            label_smoothing: 0.0,
            mixup: 0.0,
            rates: Vec::new(),
            unfreeze: Vec::new(),
            accumulate: 1,
            average: None,
            entries: Vec::new(),
            settings: Vec::new(),
            span,
            places: BTreeMap::new(),
        }
    }

    /// Where a key is written; the recipe's head for one that is not.
    pub fn place(&self, key: RecipeKey) -> Span {
        self.places.get(key.name()).copied().unwrap_or(self.span)
    }
}
