//! Whether the metrics and class weights of a recipe apply to what the outputs of a net learn: to anything that they can learn
//! before the data is read, and then to what they do.

use crate::diagnostics::{Code, Diagnostic, Result, suggest};
use crate::graph::Graph;
use crate::kernels::training::loss::Loss;
use crate::ops::output_kind::OutputKind;
use crate::request::RecipeKey;
use crate::train::evaluation::learned::{LearningOutput, TargetForm, TargetKind};
use crate::train::evaluation::output_loss::default_loss;
use crate::train::evaluation::task::check_pixel_weights;
use crate::train::recipe::values::keep_policy::KeepPolicy;
use crate::train::recipe::values::losses::OutputLoss;
use crate::train::recipe::values::sources::Data;
use crate::train::recipe::{ClassWeights, Metric, Recipe};
use crate::weights::bind::report::shortened;

/// What an output learns.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The name of the output.
    pub name: String,
    /// What it gives.
    pub output_kind: OutputKind,
    /// One where the data is read, else all that are possible.
    pub kinds: Vec<TargetKind>,
    pub loss: Loss,
    /// The sizes of the output without the batch.
    pub sizes: Vec<usize>,
    /// The names of the classes, as far as they are known.
    pub labels: Option<Vec<String>>,
    /// The forms that its targets may have; none where the data is read.
    pub forms: Vec<TargetForm>,
    /// Whether its classes have names for sure.
    pub has_names: bool,
}

impl Learned {
    fn width(&self) -> usize {
        self.sizes.last().copied().unwrap_or(1)
    }

    fn any(&self, condition: impl Fn(TargetKind) -> bool) -> bool {
        self.kinds.iter().any(|&kind| condition(kind))
    }
}

/// What each output of a net can learn from a recipe's data, which is not read. `labels` are those of the spec.
pub(super) fn learned(net: &Graph, recipe: &Recipe, losses: &[OutputLoss], labels: Option<&[String]>) -> Vec<Learned> {
    let each = net.outputs.iter().zip(net.output_names()).zip(losses).enumerate();
    let output = |(index, ((&output, name), loss)): (usize, ((_, String), &OutputLoss))| {
        let sizes = net.node(output).output.known().unwrap_or_default();
        let kind = OutputKind::of(net, output);
        // Labels are those of the first output.
        let labels = labels.filter(|_| index == 0);
        let names_it = names_classes(labels, &sizes);
        let from = |has_names: bool, form: TargetForm| {
            LearningOutput { sizes: &sizes, kind, loss: loss.loss, has_names }.learns_from(form)
        };
        let mut kinds: Vec<TargetKind> = match &recipe.data {
            Data::Images { .. } => vec![from(true, TargetForm::Class)],
            // A column of words has classes with names.
            Data::Csv { .. } => {
                let numbers = TargetForm::of_arrays(&sizes).into_iter().map(|form| from(names_it, form));
                std::iter::once(from(true, TargetForm::Class)).chain(numbers).collect()
            }
            Data::Arrays { .. } => TargetForm::of_arrays(&sizes).into_iter().map(|form| from(names_it, form)).collect(),
        };
        kinds.dedup();
        let labels = match (labels, &recipe.data) {
            (Some(labels), _) => Some(labels.to_vec()),
            (None, Data::Arrays { .. }) => Some(class_numbers(sizes.last().copied().unwrap_or(1).max(2))),
            (None, _) => None,
        };
        let forms = match &recipe.data {
            Data::Images { .. } => vec![TargetForm::Class],
            Data::Csv { .. } | Data::Arrays { .. } => TargetForm::of_arrays(&sizes),
        };
        let has_names = names_it || matches!(recipe.data, Data::Images { .. });
        Learned { name, output_kind: kind, kinds, loss: loss.loss, sizes, labels, forms, has_names }
    };
    each.map(output).collect()
}

/// Whether labels name the classes of an output of these sizes. Labels of another number than its values are names of numbers.
pub fn names_classes(labels: Option<&[String]>, sizes: &[usize]) -> bool {
    labels.is_some_and(|labels| labels.len() == sizes.last().copied().unwrap_or(0).max(2))
}

/// The names of classes without names: `0`, `1` …
pub fn class_numbers(count: usize) -> Vec<String> {
    (0..count).map(|class| class.to_string()).collect()
}

/// Whether a metric applies to what an output of this many values learns.
pub fn applies(metric: Metric, kind: TargetKind, width: usize) -> bool {
    match metric {
        Metric::Top5 => kind != TargetKind::Numbers && kind.is_labelled(width),
        metric => metric.is_of_classes() == (kind != TargetKind::Numbers),
    }
}

/// Checks that the metrics, and the one that `keep` ranks epochs by, apply to one of the outputs; `keep` may name which.
///
/// # Errors
/// The first metric that applies to none.
pub fn check_metrics(recipe: &Recipe, net: &str, outputs: &[Learned]) -> Result<()> {
    let applies_to = |metric: Metric, output: &Learned| output.any(|kind| applies(metric, kind, output.width()));
    let wrong = recipe.metrics.iter().flatten().find(|metric| !outputs.iter().any(|one| applies_to(**metric, one)));
    if let (Some(wrong), Some(first)) = (wrong, outputs.first()) {
        return Err(misapplied(recipe, RecipeKey::Metrics, *wrong, net, first).into());
    }
    let Some(criterion) = recipe.keep.as_ref().and_then(KeepPolicy::criterion) else { return Ok(()) };
    let mut meant: Vec<&Learned> = outputs.iter().collect();
    if let Some(name) = &criterion.output {
        meant.retain(|output| output.name == *name);
        if meant.is_empty() {
            let names = || outputs.iter().map(|output| output.name.as_str());
            let place = recipe.place(RecipeKey::Keep);
            return Err(Diagnostic::new(Code::RecipeValue, format!("`{net}` has no output `{name}`"))
                .at(place, format!("its outputs are {}", suggest::all_of(names())))
                .maybe_help(suggest::did_you_mean(name, names()))
                .into());
        }
    }
    match (criterion.metric, meant.first()) {
        (Some(metric), Some(first)) if !meant.iter().any(|output| applies_to(metric, output)) => {
            Err(misapplied(recipe, RecipeKey::Keep, metric, net, first).into())
        }
        _ => Ok(()),
    }
}

/// The error of a metric that does not apply to what an output learns, with what does, and with what makes it learn classes.
fn misapplied(recipe: &Recipe, key: RecipeKey, metric: Metric, net: &str, output: &Learned) -> Diagnostic {
    let kind = output.kinds.first().copied().unwrap_or(TargetKind::Numbers);
    let (learned, fitting) = match kind {
        TargetKind::Classes => ("classes", "`accuracy`, `top5`, `f1`, `auc` or `iou`"),
        TargetKind::Binary => ("classes", "`accuracy`, `f1`, `auc` or `iou`"),
        TargetKind::Numbers => ("numbers", "`mae`, `rmse` or `r2`"),
    };
    let message = format!("`{}` does not apply to {learned}, which this net learns", metric.name());
    let error = Diagnostic::new(Code::RecipeValue, message)
        .at(recipe.place(key), "in this entry")
        .help(format!("take {fitting}, or leave `{}` out", key.name()));
    fixes(metric, net, output).into_iter().fold(error, Diagnostic::help)
}

/// What makes a metric of classes apply to an output that learns numbers, whose targets may be classes.
fn fixes(metric: Metric, net: &str, output: &Learned) -> Vec<String> {
    let would_apply = |loss: Loss, has_names: bool| {
        let changed = LearningOutput { sizes: &output.sizes, kind: output.output_kind, loss, has_names };
        output.forms.iter().any(|&form| applies(metric, changed.learns_from(form), output.width()))
    };
    let mut found = Vec::new();
    let fitting = default_loss(output.output_kind);
    if fitting != output.loss && would_apply(fitting, output.has_names) {
        let name = fitting.name();
        found.push(format!("for classes, leave `loss` out: it is `{name}` then, which tells classes apart"));
    }
    if !output.has_names && would_apply(output.loss, true) {
        let (them, labels) = match output.width() {
            0..=2 => ("them".to_string(), "[\"no\", \"yes\"]"),
            count => (format!("all {count} of them"), "[\"…\", \"…\", …]"),
        };
        found.push(format!("to learn classes by `{}`, name {them}: `labels {net} = {labels}`", output.loss.name()));
    }
    found
}

/// Checks that `class_weights` apply: to one output, which learns classes, by a loss that weights its samples or pixels, with
/// a number for each class.
///
/// # Errors
/// The first of these that does not hold.
pub fn check_class_weights(recipe: &Recipe, outputs: &[Learned]) -> Result<()> {
    if recipe.class_weights == ClassWeights::Equal {
        return Ok(());
    }
    let [output] = outputs else {
        return Err(class_weights_error(recipe, "`class_weights` are for nets with one output").into());
    };
    let width = output.width();
    if !output.any(|kind| kind.is_labelled(width)) {
        return Err(no_single_class(recipe).into());
    }
    if output.sizes.len() > 1 {
        check_pixel_weights(output.loss, "`class_weights` weights", Some(recipe.data.span()))?;
    }
    let classes = output.labels.as_ref().map_or(width.max(2), Vec::len);
    match (&recipe.class_weights, &output.labels) {
        (ClassWeights::List(list), _) if list.len() != classes => {
            let message = format!("{} class weights for {classes} classes", list.len());
            let help = format!("write {classes} numbers, or give them by the classes' names");
            let place = recipe.place(RecipeKey::ClassWeights);
            Err(Diagnostic::new(Code::RecipeValue, message).at(place, "in this entry").help(help).into())
        }
        (ClassWeights::Named(named, span), Some(labels)) => {
            named.iter().find(|(name, _)| !labels.contains(name)).map_or(Ok(()), |(name, _)| {
                Err(Diagnostic::new(Code::RecipeValue, format!("there is no class `{name}`"))
                    .at(*span, format!("the classes are {}", shortened(labels)))
                    .maybe_help(suggest::did_you_mean(name, labels.iter().map(String::as_str)))
                    .into())
            })
        }
        _ => Ok(()),
    }
}

/// The error of class weights for samples that have no single class.
pub fn no_single_class(recipe: &Recipe) -> Diagnostic {
    let message = "`class_weights` weights samples by their class, but these samples have no single class";
    class_weights_error(recipe, message)
}

fn class_weights_error(recipe: &Recipe, message: &str) -> Diagnostic {
    let error = Diagnostic::new(Code::RecipeValue, message).at(recipe.place(RecipeKey::ClassWeights), "in this entry");
    error.and(recipe.data.span(), "this data").help("leave `class_weights` out")
}
