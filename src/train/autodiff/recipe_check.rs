//! Proves a recipe for a net, as far as no samples are read: that it has something to train, that its losses, data and metrics fit
//! the outputs, that the layers it names exist, and that the data that is there has their shapes. `netc check` and `netc train` report
//! the same.

use super::entry_names::check_names;
use super::frozen_backbone::split;
use super::settings::{OutputSettings, Settings};
use super::unfreezing::stages;
use super::{Untrainable, differentiate};
use super::{data_files, data_fit, loss_fit, metric_fit};
use crate::compile;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, suggest};
use crate::elaborate::Spec;
use crate::graph::Graph;
use crate::graph::scope::{is_in, scopes};
use crate::kernels::training::loss::Loss;
use crate::ops::output_kind::OutputKind;
use crate::request::RecipeKey;
use crate::train::evaluation::output_loss::default_loss;
use crate::train::recipe::Recipe;
use crate::train::recipe::values::losses::{Losses, OutputLoss};
use crate::train::recipe::values::sources::Validation;

/// The loss of each output: that of the recipe, else the one that fits it.
///
/// # Errors
/// Several outputs without a loss for each, or with one that is for a single output, and a name that is no output's.
pub fn losses_of(recipe: &Recipe, net: &Graph) -> Result<Vec<OutputLoss>> {
    let names = net.output_names();
    let given: Vec<&OutputLoss> = match &recipe.loss {
        Losses::Fitting => Vec::new(),
        Losses::One(loss) => vec![loss],
        Losses::ByOutput(named) => named.iter().map(|(_, _, loss)| loss).collect(),
    };
    if names.len() > 1 && given.iter().any(|given| matches!(given.loss, Loss::Triplet { .. })) {
        return Err(Diagnostic::new(Code::RecipeValue, "`triplet` is for nets with one output")
            .at(recipe.place(RecipeKey::Loss), "in this entry")
            .help("train the embedding alone: a net that ends with it")
            .into());
    }
    let kinds = net.outputs.iter().map(|&id| OutputKind::of(net, id));
    let list: Vec<OutputLoss> = match (&recipe.loss, &names[..]) {
        (Losses::Fitting, [_]) => kinds.clone().map(|kind| default_loss(kind).into()).collect(),
        (Losses::One(loss), [_]) => vec![*loss],
        (Losses::ByOutput(named), _) => {
            check_names(named.iter().map(|(name, span, _)| (name.as_str(), *span)), net, "loss")?;
            names
                .iter()
                .filter_map(|name| named.iter().find(|(known, ..)| known == name).map(|(_, _, loss)| *loss))
                .collect()
        }
        _ => {
            let each: Vec<String> = names
                .iter()
                .zip(kinds.clone())
                .map(|(name, kind)| format!("{name} = {}", default_loss(kind).name()))
                .collect();
            let message =
                format!("`{}` has {} outputs, but its recipe does not name a loss for each", net.name, names.len());
            return Err(Diagnostic::new(Code::RecipeValue, message)
                .at(recipe.span, format!("its outputs are {}", suggest::all_of(names.iter().map(String::as_str))))
                .help(format!("write `loss = {{ {} }}`", each.join(", ")))
                .into());
        }
    };
    Ok(list.into_iter().zip(kinds).map(|(loss, kind)| loss_fit::resolve(loss, kind)).collect())
}

/// The errors and warnings of a recipe for a net. Opens no weights, and of the data only the heads of the files that are there.
pub fn check(spec: &Spec, net: &Graph, recipe: &Recipe) -> Diagnostics {
    let mut errors = Diagnostics::default();
    errors.extend(check_trainable(net, recipe).err().unwrap_or_default());
    let stages = match stages(net, recipe) {
        Ok(stages) => stages,
        Err(more) => {
            errors.extend(more);
            return errors;
        }
    };
    errors.extend(check_rates(stages.last().map_or(net, |stage| &stage.net), recipe));
    if errors.has_errors() {
        return errors;
    }
    let losses = match losses_of(recipe, net) {
        Ok(losses) => losses,
        Err(more) => {
            errors.extend(more);
            return errors;
        }
    };
    for (&output, loss) in net.outputs.iter().zip(&losses) {
        errors.extend(loss_fit::check(spec, net, recipe, output, loss.loss));
        errors.extend(loss_fit::check_targets(net, recipe, output, loss.loss));
    }
    // A recipe without data, and labels that cannot be read, are errors of their own.
    let has_data = recipe.entries.iter().any(|(key, _)| key == RecipeKey::Data.name());
    if has_data {
        errors.extend(data_fit::check(net, recipe, &losses));
    }
    let labels = compile::labels(spec, net).map(|(labels, _)| labels);
    if let (true, Ok(labels)) = (has_data, &labels) {
        let learned = metric_fit::learned(net, recipe, &losses, labels.as_deref());
        errors.extend(metric_fit::check_metrics(recipe, &net.name, &learned).err().unwrap_or_default());
        errors.extend(metric_fit::check_class_weights(recipe, &learned).err().unwrap_or_default());
    }
    if has_data && !errors.has_errors() {
        let needs_classes = matches!(labels, Ok(None));
        errors.extend(data_files::check(&recipe.data, net, &losses, needs_classes).err().unwrap_or_default());
        if let Validation::Data(data) = &recipe.validation {
            // Its classes are those of the training data.
            errors.extend(data_files::check(data, net, &losses, false).err().unwrap_or_default());
        }
    }
    if !errors.has_errors() {
        for stage in &stages {
            errors.extend(check_gradients(&stage.net, recipe, &losses).err().unwrap_or_default());
        }
    }
    errors
}

fn check_trainable(net: &Graph, recipe: &Recipe) -> Result<()> {
    if let Some(node) = net.nodes.iter().find(|node| node.output.known().is_none()) {
        return Err(Diagnostic::new(
            Code::OpenSize,
            format!("`{}` gives {}: training needs every size", node.name, node.output),
        )
        .at(node.origin.span, "its size is open")
        .help("give the net's `Input` numbers in place of `?`")
        .into());
    }
    if !net.parameters.iter().any(|parameter| parameter.trainable && !parameter.frozen) {
        let message = format!("`{}` has nothing to train: all its parameters are frozen", net.name);
        return Err(Diagnostic::new(Code::Untrainable, message)
            .at(recipe.span, "this recipe")
            .help("put a layer after the frozen part, as `frozen(vgg16[..dropout-2]) >> Softmax(10)`")
            .into());
    }
    Ok(())
}

/// Checks that `rates` names layers or scopes that are trained.
fn check_rates(net: &Graph, recipe: &Recipe) -> Diagnostics {
    let mut errors = Diagnostics::default();
    for (name, span, _) in &recipe.rates {
        let parameters = || net.parameters.iter().filter(|parameter| parameter.trainable);
        if parameters().any(|parameter| is_in(&parameter.layer, name) && !parameter.frozen) {
            continue;
        }
        let is_frozen = parameters().any(|parameter| is_in(&parameter.layer, name));
        let layers = parameters().filter(|parameter| !parameter.frozen).map(|parameter| parameter.layer.as_str());
        let known: Vec<&str> = layers.flat_map(scopes).collect();
        let message = match is_frozen {
            true => format!("the parameters of `{name}` are frozen"),
            false => format!("`{}` has no layer or scope `{name}` with parameters", net.name),
        };
        errors.push(Diagnostic::new(Code::RecipeValue, message).at(*span, "has no learning rate").suggest_name(
            *span,
            name,
            suggest::nearest(name, known),
        ));
    }
    errors
}

/// Checks that there is a gradient from the losses to every parameter that is trained.
fn check_gradients(net: &Graph, recipe: &Recipe, losses: &[OutputLoss]) -> Result<()> {
    let outputs = losses.iter().map(OutputSettings::from).collect();
    let settings = Settings { outputs, ..Settings::new(recipe.optimizer.rule, &[], recipe.seed) };
    let trained = split(net).trained;
    differentiate(&trained, &settings).map_err(|error| untrainable(&trained, &error))?;
    Ok(())
}

/// The error of a layer without a gradient.
pub fn untrainable(net: &Graph, error: &Untrainable) -> Diagnostics {
    let node = net.node(error.node);
    Diagnostic::new(Code::Untrainable, format!("`{}` cannot be trained: {}", node.name, error.message))
        .at(node.origin.span, "this layer")
        .help("freeze it and what is before it: `frozen(…)`")
        .into()
}
