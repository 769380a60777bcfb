//! Proves a recipe for a net, as far as no data is opened: that it has something to train, that its losses and metrics fit the
//! outputs, and that the layers it names exist. `netc check` and `netc train` report the same.

use super::frozen_backbone::split;
use super::loss_fit;
use super::settings::{OutputSettings, Settings};
use super::unfreezing::stages;
use super::{Untrainable, differentiate};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, suggest};
use crate::elaborate::Spec;
use crate::graph::scope::{is_in, scopes};
use crate::graph::{Graph, NodeId};
use crate::kernels::training::loss::Loss;
use crate::ops::output_kind::OutputKind;
use crate::request::RecipeKey;
use crate::source::Span;
use crate::train::evaluation::output_loss::default_loss;
use crate::train::evaluation::task::{LearningTask, TargetKind};
use crate::train::recipe::values::keep_policy::KeepPolicy;
use crate::train::recipe::values::losses::{Losses, OutputLoss};
use crate::train::recipe::values::sources::Data;
use crate::train::recipe::{Metric, Recipe};

/// The names of a net's outputs, in order: those of the layers that give them.
pub fn output_names(net: &Graph) -> Vec<&str> {
    net.outputs.iter().map(|&id| net.node(id).name.as_str()).collect()
}

/// The loss of each output: that of the recipe, else the one that fits it.
///
/// # Errors
/// Several outputs without a loss for each, and a name that is no output's.
pub fn losses_of(recipe: &Recipe, net: &Graph) -> Result<Vec<OutputLoss>> {
    let names = output_names(net);
    let kinds = net.outputs.iter().map(|&id| OutputKind::of(net, id));
    let list: Vec<OutputLoss> = match (&recipe.loss, &names[..]) {
        (Losses::Fitting, [_]) => kinds.clone().map(|kind| default_loss(kind).into()).collect(),
        (Losses::One(loss), [_]) => vec![*loss],
        (Losses::ByOutput(named), _) => {
            check_names(named.iter().map(|(name, span, _)| (name.as_str(), *span)), &names, net, "loss")?;
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
            let message = format!("`{}` has {} outputs, and its recipe no loss for each", net.name, names.len());
            return Err(Diagnostic::new(Code::RecipeValue, message)
                .at(recipe.span, format!("its outputs are {}", suggest::all_of(names.iter().copied())))
                .help(format!("write `loss = {{ {} }}`", each.join(", ")))
                .into());
        }
    };
    Ok(list.into_iter().zip(kinds).map(|(loss, kind)| loss_fit::resolve(loss, kind)).collect())
}

/// Checks that each output is named once.
///
/// # Errors
/// A name that is no output's, and an output without an entry.
fn check_names<'a>(
    given: impl Iterator<Item = (&'a str, Span)> + Clone,
    outputs: &[&str],
    net: &Graph,
    what: &str,
) -> Result<()> {
    let mut errors = Diagnostics::default();
    for (name, span) in given.clone().filter(|(name, _)| !outputs.contains(name)) {
        errors.push(
            Diagnostic::new(Code::RecipeValue, format!("`{}` has no output `{name}`", net.name))
                .at(span, format!("its outputs are {}", suggest::all_of(outputs.iter().copied())))
                .suggest_name(span, name, suggest::nearest(name, outputs.iter().copied())),
        );
    }
    if let (Some(missing), false) =
        (outputs.iter().find(|output| !given.clone().any(|(name, _)| name == **output)), errors.has_errors())
    {
        let span = given.clone().last().map_or(net.nodes[0].origin.span, |(_, span)| span);
        let id = net.outputs.iter().find(|&&id| net.node(id).name == *missing).copied().unwrap_or(NodeId(0));
        errors.push(
            Diagnostic::new(Code::RecipeValue, format!("the output `{missing}` has no {what}"))
                .at(span, format!("each output needs one: {}", suggest::all_of(outputs.iter().copied())))
                .and(net.node(id).origin.span, "this output"),
        );
    }
    if errors.has_errors() { Err(errors) } else { Ok(()) }
}

/// The targets of each output among those of the data, in the order of the outputs.
///
/// # Errors
/// Several outputs without targets for each, and a name that is no output's.
pub fn targets_of(data: &Data, net: &Graph) -> Result<Vec<usize>> {
    let names = output_names(net);
    let Some(given) = data.target_names() else {
        if names.len() == 1 {
            return Ok(vec![0]);
        }
        let message = format!("`{}` has {} outputs, and its data one target for a sample", net.name, names.len());
        let each: Vec<String> = names.iter().map(|name| format!("{name} = \"{name}\"")).collect();
        return Err(Diagnostic::new(Code::RecipeValue, message)
            .at(data.span(), "these targets")
            .help(format!("name the targets of each output: `y={{ {} }}`", each.join(", ")))
            .into());
    };
    check_names(given.iter().map(|name| (name.as_str(), data.span())), &names, net, "targets")?;
    Ok(names.iter().filter_map(|name| given.iter().position(|known| known == name)).collect())
}

/// Checks that data has targets for the losses.
fn check_targets(data: &Data, net: &Graph, losses: &[OutputLoss]) -> Result<()> {
    targets_of(data, net)?;
    let takes_none = |loss: &OutputLoss| matches!(loss.loss, Loss::Triplet { .. });
    let error = |message: String, help: &str| {
        Diagnostic::new(Code::RecipeValue, message).at(data.span(), "this data").help(help)
    };
    match (losses.iter().find(|loss| takes_none(loss)), data) {
        (Some(_), _) if losses.len() > 1 => {
            Err(error("`triplet` is for nets with one output".into(), "train the embedding alone").into())
        }
        (Some(_), Data::Arrays { ignore: None, .. }) if !data.has_targets() => Ok(()),
        (Some(_), _) => Err(error(
            "`triplet` takes no targets".into(),
            "give it arrays of anchors, positives and negatives alone: `arrays(x=[\"a.npy\", \"p.npy\", \"n.npy\"])`",
        )
        .into()),
        (None, Data::Arrays { .. }) if !data.has_targets() => {
            Err(error(format!("this data has no targets for `{}`", net.name), "name them: `y=\"targets.npy\"`").into())
        }
        (None, Data::Arrays { ignore: Some(_), .. }) if losses.len() > 1 => {
            Err(error("`ignore` is for nets with one output".into(), "leave `ignore` out").into())
        }
        _ => Ok(()),
    }
}

/// Checks that the metrics, and the one that `keep` ranks epochs by, apply to a task.
///
/// # Errors
/// The first metric that applies to no task.
pub fn check_metrics(recipe: &Recipe, tasks: &[&LearningTask]) -> Result<()> {
    check_kinds(recipe, &tasks.iter().map(|task| (task.kind, task.is_labelled())).collect::<Vec<_>>())
}

/// Whether a metric applies to a task of this kind, whose samples have one class where it is `labelled`.
pub fn applies(metric: Metric, kind: TargetKind, labelled: bool) -> bool {
    match metric {
        Metric::Top5 => kind == TargetKind::Classes || kind == TargetKind::Binary && labelled,
        metric => metric.is_of_classes() == (kind != TargetKind::Numbers),
    }
}

fn check_kinds(recipe: &Recipe, tasks: &[(TargetKind, bool)]) -> Result<()> {
    let criterion = recipe.keep.and_then(KeepPolicy::metric);
    let mut metrics = recipe.metrics.iter().flatten().chain(&criterion);
    let is_wrong = |metric: &&Metric| !tasks.iter().any(|&(kind, labelled)| applies(**metric, kind, labelled));
    let (Some(wrong), Some((kind, _))) = (metrics.find(is_wrong), tasks.first()) else { return Ok(()) };
    let (learned, fitting) = match kind {
        TargetKind::Classes => ("classes", "`accuracy`, `top5`, `f1`, `auc` or `iou`"),
        TargetKind::Binary => ("classes", "`accuracy`, `f1`, `auc` or `iou`"),
        TargetKind::Numbers => ("numbers", "`mae`, `rmse` or `r2`"),
    };
    let message = format!("`{}` does not apply to {learned}, which this net learns", wrong.name());
    let key = if criterion.as_ref() == Some(wrong) { RecipeKey::Keep } else { RecipeKey::Metrics };
    Err(Diagnostic::new(Code::RecipeValue, message)
        .at(recipe.place(key), "in this entry")
        .help(format!("take {fitting}, or leave `{}` out", key.name()))
        .into())
}

/// The errors and warnings of a recipe for a net. Opens no files.
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
    let validation = match &recipe.validation {
        crate::train::recipe::values::sources::Validation::Data(data) => Some(data),
        _ => None,
    };
    for data in std::iter::once(&recipe.data).chain(validation) {
        errors.extend(check_targets(data, net, &losses).err().unwrap_or_default());
    }
    // What is learned, where the loss alone decides it.
    let kinds: Option<Vec<(TargetKind, bool)>> = losses.iter().map(|loss| loss_fit::certain_kind(loss.loss)).collect();
    if let Some(kinds) = kinds {
        errors.extend(check_kinds(recipe, &kinds).err().unwrap_or_default());
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
