//! Checks that a net's output fits the loss and the metrics of its recipe.

use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result};
use crate::elaborate::Spec;
use crate::graph::Graph;
use crate::kernels::training::loss::Loss;
use crate::ops::output_kind::OutputKind;
use crate::train::evaluation::output_loss::default_loss;
use crate::train::evaluation::task::{LearningTask, TargetKind};
use crate::train::recipe::keep_policy::KeepPolicy;
use crate::train::recipe::sources::Data;
use crate::train::recipe::{Metric, Recipe};

/// The loss that a net is trained by: that of its recipe, else the one that fits its output.
pub fn loss_of(recipe: &Recipe, net: &Graph) -> Loss {
    recipe.loss.unwrap_or_else(|| default_loss(OutputKind::of(net, net.outputs[0])))
}

/// Checks that the metrics, and the one that `keep` ranks epochs by, apply to the task.
///
/// # Errors
/// The first metric that does not apply.
pub fn check_metrics(recipe: &Recipe, task: &LearningTask) -> Result<()> {
    let applies = |metric: &Metric| match metric {
        Metric::Accuracy => task.kind != TargetKind::Numbers,
        Metric::Top5 => task.kind == TargetKind::Classes || task.is_labelled(),
        Metric::Mae | Metric::Rmse | Metric::R2 => task.kind == TargetKind::Numbers,
    };
    let criterion = recipe.keep.and_then(KeepPolicy::metric);
    let mut metrics = recipe.metrics.iter().flatten().chain(&criterion);
    let Some(wrong) = metrics.find(|&metric| !applies(metric)) else { return Ok(()) };
    let (learned, fitting) = match task.kind {
        TargetKind::Classes => ("classes", "`accuracy` or `top5`"),
        TargetKind::Binary => ("classes", "`accuracy`"),
        TargetKind::Numbers => ("numbers", "`mae`, `rmse` or `r2`"),
    };
    let message = format!("`{}` does not apply to {learned}, which this net learns", wrong.name());
    let diagnostic = Diagnostic::new(Code::RecipeValue, message).at(recipe.span, "in this recipe");
    let key = if criterion.as_ref() == Some(wrong) { "keep" } else { "metrics" };
    Err(diagnostic.help(format!("take {fitting}, or leave `{key}` out")).into())
}

/// The errors and warnings of a net's output for its recipe. Opens no files.
pub fn check(spec: &Spec, net: &Graph, recipe: &Recipe) -> Diagnostics {
    let &[output] = &net.outputs[..] else { return Diagnostics::default() };
    let node = net.node(output);
    let Some(values) = node.output.channels().known() else { return Diagnostics::default() };
    let output_kind = OutputKind::of(net, output);
    let categorical = recipe.loss == Some(Loss::CategoricalCrossentropy);
    let binary = recipe.loss == Some(Loss::BinaryCrossentropy);
    let hinge = recipe.loss == Some(Loss::BinaryHinge);
    // For images the layer is applied to each pixel, and its size is that of the layer before.
    let call = |name: &str| match node.output.sizes.len() {
        0 | 1 => format!("{name}({values})"),
        _ => name.to_string(),
    };
    // Whether the targets are classes, as far as the recipe shows without reading the data.
    let has_classes = matches!(recipe.data, Data::Images { .. }) || spec.project.labels.contains_key(&net.name);
    let (code, message) = match output_kind {
        OutputKind::Classes if values == 1 => {
            (Code::Untrainable, format!("`{}` is always 1: a softmax of one value cannot learn", node.name))
        }
        OutputKind::Numbers if categorical || binary => {
            let message = format!("`{}` gives numbers, but a crossentropy takes probabilities", node.name);
            (Code::LossMismatch, message)
        }
        OutputKind::Numbers if recipe.loss.is_none() && has_classes => {
            let message = format!("`{}` gives numbers: the classes are learned by the mean squared error", node.name);
            (Code::LossMismatch, message)
        }
        OutputKind::Classes | OutputKind::Probabilities if hinge => {
            let message = format!("`{}` gives values from 0 to 1, but binary_hinge takes -1 and 1", node.name);
            (Code::LossMismatch, message)
        }
        _ if recipe.loss == Some(Loss::CategoricalHinge) && values == 1 => {
            let message =
                format!("`{}` gives one value, but categorical_hinge compares the values of classes", node.name);
            (Code::Untrainable, message)
        }
        OutputKind::Probabilities if categorical && values == 1 => {
            let message =
                format!("`{}` gives one probability, but categorical_crossentropy needs one for each class", node.name);
            (Code::LossMismatch, message)
        }
        _ => return Diagnostics::default(),
    };
    let help = match (output_kind, values) {
        _ if hinge => format!("end it with `{}` or without an activation, or leave `loss` out", call("Tanh")),
        _ if recipe.loss == Some(Loss::CategoricalHinge) => "use `binary_hinge` for one value".into(),
        (OutputKind::Classes, _) => "end it with `Sigmoid(1)`, or with a softmax of two or more classes".into(),
        (OutputKind::Probabilities, _) => "leave `loss` out, or write `loss = binary_crossentropy`".into(),
        (OutputKind::Numbers, 1) => format!("end it with `{}`: one value tells two classes apart", call("Sigmoid")),
        (OutputKind::Numbers, _) if binary => format!("end it with `{}`", call("Sigmoid")),
        (OutputKind::Numbers, _) => format!("end it with `{}`", call("Softmax")),
    };
    Diagnostic::new(code, message)
        .at(node.origin.span, format!("gives {}", node.output))
        .and(recipe.span, "trained by this recipe")
        .help(help)
        .into()
}
