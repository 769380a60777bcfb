//! Whether a net's end and what it is trained by go together.

use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result};
use crate::elaborate::Spec;
use crate::graph::Graph;
use crate::kernels::training::loss::Loss;
use crate::ops::output_kind::OutputKind;
use crate::train::evaluation::task::{LearningTask, TargetKind};
use crate::train::recipe::sources::Data;
use crate::train::recipe::{Metric, Recipe};
use crate::train::run::keep_best::KeepPolicy;

/// The loss that fits a net's end: crossentropy behind a softmax or sigmoid, else the mean squared error.
pub fn fitting_loss(ending: OutputKind) -> Loss {
    match ending {
        OutputKind::Classes => Loss::CategoricalCrossentropy,
        OutputKind::Probabilities => Loss::BinaryCrossentropy,
        OutputKind::Numbers => Loss::Mse,
    }
}

/// What a net learns by: the loss of its recipe, else the one that fits its end.
pub fn loss_of(recipe: &Recipe, net: &Graph) -> Loss {
    recipe.loss.unwrap_or_else(|| fitting_loss(OutputKind::of(net, net.outputs[0])))
}

/// Refuses metrics, also one that `keep` goes by, that say nothing of what is learnt: classes or numbers.
///
/// # Errors
/// The first of them.
pub fn check_metrics(recipe: &Recipe, task: &LearningTask) -> Result<()> {
    let says_something = |metric: &Metric| match metric {
        Metric::Accuracy => task.says != TargetKind::Numbers,
        Metric::Top5 => task.says == TargetKind::Classes || task.is_labelled(),
        Metric::Mae | Metric::Rmse | Metric::R2 => task.says == TargetKind::Numbers,
    };
    let judged = recipe.keep.and_then(KeepPolicy::metric);
    let mut metrics = recipe.metrics.iter().flatten().chain(&judged);
    let Some(wrong) = metrics.find(|&metric| !says_something(metric)) else { return Ok(()) };
    let (learnt, fitting) = match task.says {
        TargetKind::Classes => ("classes", "`accuracy` or `top5`"),
        TargetKind::Either => ("classes", "`accuracy`"),
        TargetKind::Numbers => ("numbers", "`mae`, `rmse` or `r2`"),
    };
    let message = format!("`{}` says nothing of {learnt}, which this net learns", wrong.name());
    let diagnostic = Diagnostic::new(Code::RecipeValue, message).at(recipe.span, "in this recipe");
    let key = if judged.as_ref() == Some(wrong) { "keep" } else { "metrics" };
    Err(diagnostic.help(format!("take {fitting}, or leave `{key}` out")).into())
}

/// What is wrong with, or odd about, a net's end for its recipe. Nothing is read.
pub fn check(spec: &Spec, net: &Graph, recipe: &Recipe) -> Diagnostics {
    let &[output] = &net.outputs[..] else { return Diagnostics::default() };
    let node = net.node(output);
    let Some(values) = node.output.channels().known() else { return Diagnostics::default() };
    let ending = OutputKind::of(net, output);
    let many = recipe.loss == Some(Loss::CategoricalCrossentropy);
    let either = recipe.loss == Some(Loss::BinaryCrossentropy);
    let hinge = recipe.loss == Some(Loss::BinaryHinge);
    // Of an image each pixel: the sizes stand before the end.
    let call = |name: &str| match node.output.sizes.len() {
        0 | 1 => format!("{name}({values})"),
        _ => name.to_string(),
    };
    // What learns class numbers or names, as far as the recipe tells without a look at its data.
    let of_classes = matches!(recipe.data, Data::Images { .. }) || spec.project.labels.contains_key(&net.name);
    let (code, message) = match ending {
        OutputKind::Classes if values == 1 => {
            (Code::Untrainable, format!("`{}` always gives 1: a softmax of one value learns nothing", node.name))
        }
        OutputKind::Numbers if many || either => {
            let message = format!("`{}` gives plain numbers, and a crossentropy takes probabilities", node.name);
            (Code::LossMismatch, message)
        }
        OutputKind::Numbers if recipe.loss.is_none() && of_classes => {
            let message =
                format!("`{}` gives plain numbers: the classes are learnt by the mean squared error", node.name);
            (Code::LossMismatch, message)
        }
        OutputKind::Classes | OutputKind::Probabilities if hinge => {
            let message = format!("`{}` gives values from 0 to 1, and binary_hinge wants -1 and 1", node.name);
            (Code::LossMismatch, message)
        }
        _ if recipe.loss == Some(Loss::CategoricalHinge) && values == 1 => {
            let message = format!("`{}` gives one value, and categorical_hinge compares those of classes", node.name);
            (Code::Untrainable, message)
        }
        OutputKind::Probabilities if many && values == 1 => {
            let message =
                format!("`{}` gives one probability, and categorical_crossentropy looks at one class", node.name);
            (Code::LossMismatch, message)
        }
        _ => return Diagnostics::default(),
    };
    let help = match (ending, values) {
        _ if hinge => format!("end it with `{}` or without an activation, or leave `loss` out", call("Tanh")),
        _ if recipe.loss == Some(Loss::CategoricalHinge) => "one value is learnt by `binary_hinge`".into(),
        (OutputKind::Classes, _) => "end it with `Sigmoid(1)`, or with a softmax of two or more classes".into(),
        (OutputKind::Probabilities, _) => "leave `loss` out, or write `loss = binary_crossentropy`".into(),
        (OutputKind::Numbers, 1) => format!("end it with `{}`: one value tells two classes apart", call("Sigmoid")),
        (OutputKind::Numbers, _) if either => format!("end it with `{}`", call("Sigmoid")),
        (OutputKind::Numbers, _) => format!("end it with `{}`", call("Softmax")),
    };
    Diagnostic::new(code, message)
        .at(node.origin.span, format!("gives {}", node.output))
        .and(recipe.span, "trained by this recipe")
        .help(help)
        .into()
}
