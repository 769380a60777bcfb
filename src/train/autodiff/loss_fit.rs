//! Whether a loss fits the end of a net, and the changes of targets that a recipe asks for fit the loss.

use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::elaborate::Spec;
use crate::graph::{Graph, NodeId};
use crate::kernels::training::loss::Loss;
use crate::ops::output_kind::OutputKind;
use crate::request::RecipeKey;
use crate::train::recipe::Recipe;
use crate::train::recipe::values::losses::{Losses, OutputLoss};
use crate::train::recipe::values::sources::Data;

/// The loss as an output of this kind has it: `focal` differs after a softmax and a sigmoid.
pub(super) fn resolve(given: OutputLoss, kind: OutputKind) -> OutputLoss {
    let loss = match (given.loss, kind) {
        (Loss::CategoricalFocal { gamma, alpha }, OutputKind::Probabilities) => Loss::BinaryFocal { gamma, alpha },
        (loss, _) => loss,
    };
    OutputLoss { loss, ..given }
}

/// The error or warning of an output for its loss.
pub(super) fn check(spec: &Spec, net: &Graph, recipe: &Recipe, output: NodeId, loss: Loss) -> Diagnostics {
    let node = net.node(output);
    let Some(values) = node.output.channels().known() else { return Diagnostics::default() };
    let output_kind = OutputKind::of(net, output);
    let is_given = recipe.loss != Losses::Fitting;
    let categorical = loss.is_categorical() && loss != Loss::CategoricalHinge;
    let binary = matches!(loss, Loss::BinaryCrossentropy | Loss::BinaryFocal { .. });
    let hinge = loss == Loss::BinaryHinge;
    let name = loss.name();
    // For images the layer is applied to each pixel, and its size is that of the layer before.
    let call = |name: &str| match node.output.sizes.len() {
        0 | 1 => format!("{name}({values})"),
        _ => name.to_string(),
    };
    // Whether the targets are classes, as far as the recipe shows without reading the data.
    let has_classes = matches!(recipe.data, Data::Images { .. }) || spec.project.labels.contains_key(&net.name);
    let is_crossentropy = matches!(loss, Loss::CategoricalCrossentropy | Loss::BinaryCrossentropy);
    let takes = if is_crossentropy { "a crossentropy".to_string() } else { format!("`{name}`") };
    let (code, message) = match output_kind {
        OutputKind::Classes if values == 1 => {
            (Code::Untrainable, format!("`{}` is always 1: a softmax of one value cannot learn", node.name))
        }
        OutputKind::Numbers if categorical || binary || matches!(loss, Loss::Dice { .. }) => {
            (Code::LossMismatch, format!("`{}` gives numbers, but {takes} takes probabilities", node.name))
        }
        OutputKind::Numbers if !is_given && has_classes => {
            let message = format!("`{}` gives numbers: the classes are learned by the mean squared error", node.name);
            (Code::LossMismatch, message)
        }
        OutputKind::Classes | OutputKind::Probabilities if hinge => {
            let message = format!("`{}` gives values from 0 to 1, but binary_hinge takes -1 and 1", node.name);
            (Code::LossMismatch, message)
        }
        OutputKind::Classes | OutputKind::Probabilities if matches!(loss, Loss::Contrastive { .. }) => {
            (Code::LossMismatch, format!("`{}` gives probabilities, but `{name}` takes distances", node.name))
        }
        OutputKind::Classes | OutputKind::Probabilities if matches!(loss, Loss::Triplet { .. }) => {
            (Code::LossMismatch, format!("`{}` gives probabilities, but `{name}` takes embeddings", node.name))
        }
        _ if matches!(loss, Loss::Triplet { .. }) && !values.is_multiple_of(3) => {
            let message = format!("`{}` gives {values} values, which is not three embeddings of one size", node.name);
            (Code::Untrainable, message)
        }
        _ if loss == Loss::Cosine && values == 1 => {
            let message = format!("`{}` gives one value, which has no direction but its sign", node.name);
            (Code::Untrainable, message)
        }
        _ if loss == Loss::CategoricalHinge && values == 1 => {
            let message =
                format!("`{}` gives one value, but categorical_hinge compares the values of classes", node.name);
            (Code::Untrainable, message)
        }
        OutputKind::Probabilities if categorical && values == 1 => {
            let message = format!("`{}` gives one probability, but {name} needs one for each class", node.name);
            (Code::LossMismatch, message)
        }
        _ => return Diagnostics::default(),
    };
    let help = match (output_kind, values) {
        _ if hinge => format!("end it with `{}` or without an activation, or leave `loss` out", call("Tanh")),
        _ if loss == Loss::CategoricalHinge => "use `binary_hinge` for one value".into(),
        _ if loss == Loss::Cosine => "use `mse` or `huber` for one value".into(),
        _ if matches!(loss, Loss::Contrastive { .. }) => {
            "end it with the distance of two embeddings, or leave `loss` out".into()
        }
        _ if matches!(loss, Loss::Triplet { .. }) => {
            "end it with the embeddings of anchor, positive and negative: `(a | p | n) >> Concatenate`".into()
        }
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

/// Checks that smoothed or mixed targets fit the loss.
pub(super) fn check_targets(net: &Graph, recipe: &Recipe, output: NodeId, loss: Loss) -> Diagnostics {
    let (key, takes) = match loss {
        _ if recipe.label_smoothing > 0.0 && !loss.takes_probabilities() => {
            (RecipeKey::LabelSmoothing, "smooths the targets of a crossentropy, `focal` or `kl_divergence`")
        }
        Loss::BinaryHinge | Loss::CategoricalHinge | Loss::Contrastive { .. } | Loss::Triplet { .. }
            if recipe.mixup > 0.0 =>
        {
            (RecipeKey::Mixup, "mixes targets, which this loss cannot take")
        }
        _ => return Diagnostics::default(),
    };
    let (place, key) = (recipe.place(key), key.name());
    let message = format!("`{key}` {takes}, but `{}` is trained by {}", net.node(output).name, loss.name());
    Diagnostic::new(Code::RecipeValue, message)
        .at(place, "in this entry")
        .help(format!("leave `{key}` out, or choose another loss"))
        .into()
}
