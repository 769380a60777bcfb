//! The settings of a training step.

use crate::kernels::training::loss::Loss;
use crate::kernels::training::optimizer::UpdateRule;
use crate::kernels::training::regularizer::Regularizer;
use crate::train::recipe::Recipe;
use crate::train::recipe::values::losses::OutputLoss;

/// How an output is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutputSettings {
    pub loss: Loss,
    /// The factor of the loss in the sum over the outputs.
    pub factor: f32,
    /// Whether samples (or the positions of an output) have weights in the loss.
    pub weighted: bool,
    /// Whether they have weights in evaluation, too.
    pub evaluation_weighted: bool,
}

impl From<&OutputLoss> for OutputSettings {
    fn from(loss: &OutputLoss) -> Self {
        OutputSettings { factor: loss.factor, ..loss.loss.into() }
    }
}

impl From<Loss> for OutputSettings {
    fn from(loss: Loss) -> Self {
        OutputSettings { loss, factor: 1.0, weighted: false, evaluation_weighted: false }
    }
}

/// The settings of a training step.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// In the order of the net's outputs.
    pub outputs: Vec<OutputSettings>,
    pub rule: UpdateRule,
    /// The regularizer, and the roles of the parameters that it leaves out.
    pub penalty: Option<(Regularizer, Vec<String>)>,
    /// Clips each value of a gradient to plus and minus this.
    pub clip: Option<f32>,
    /// Scales the gradients so that their global norm is at most this.
    pub norm: Option<f32>,
    /// Factors of the learning rate by layer or scope.
    pub rates: Vec<(String, f32)>,
    /// Whether gradients are accumulated over several batches.
    pub accumulated: bool,
    /// The decay rate of the moving average of the parameters, if they have one.
    pub average: Option<f32>,
    /// The number of updates before the first one of each parameter that was frozen at first, by its path: the bias corrections
    /// of its moving averages count from there, as PyTorch's do.
    pub begun: Vec<(String, u64)>,
    /// The seed of dropout and noise.
    pub seed: u64,
}

impl Settings {
    /// Those of a recipe, without weights of samples; all parameters are trained from the first update on.
    pub fn of(recipe: &Recipe, losses: &[OutputLoss]) -> Self {
        Settings {
            outputs: losses.iter().map(OutputSettings::from).collect(),
            rule: recipe.optimizer.rule,
            penalty: recipe.regularizer.clone(),
            clip: recipe.optimizer.clip_value,
            norm: recipe.optimizer.clip_norm,
            rates: recipe.rates.iter().map(|(name, _, rate)| (name.clone(), *rate)).collect(),
            accumulated: recipe.accumulate > 1,
            average: recipe.average,
            begun: Vec::new(),
            seed: recipe.seed,
        }
    }

    /// Nothing but an optimizer and losses.
    pub fn new(rule: UpdateRule, losses: &[Loss], seed: u64) -> Self {
        Settings {
            outputs: losses.iter().map(|&loss| loss.into()).collect(),
            rule,
            penalty: None,
            clip: None,
            norm: None,
            rates: Vec::new(),
            accumulated: false,
            average: None,
            begun: Vec::new(),
            seed,
        }
    }
}
