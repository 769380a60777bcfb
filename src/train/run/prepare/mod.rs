//! Prepares a training run: reads, checks and binds spec, weights and data before anything is computed.

pub mod digest;
mod resumption;
pub mod samples;

use super::save::{self, Layout};
use crate::compile;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result};
use crate::elaborate::Spec;
use crate::graph::Graph;
use crate::train::autodiff::frozen_backbone::{Split, split};
use crate::train::autodiff::recipe_check;
use crate::train::recipe;
use crate::train::recipe::Recipe;
use crate::train::recipe::values::losses::OutputLoss;
use crate::train::recipe::values::sources::Validation;
use crate::weights::bind::{self, Bindings};
use crate::weights::save::neupy_writer::is_ours;
use samples::{PreparedData, prepare};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The options of a run besides its recipe.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The net; none for that of the only recipe, else as in other commands.
    pub net: Option<String>,
    /// Files of weights that replace those of the spec, by net.
    pub weights: BTreeMap<String, PathBuf>,
    pub threads: usize,
    /// Continues from the last checkpoint.
    pub resume: bool,
    /// The folder of feature caches; with none, features stay in memory.
    pub cache: Option<PathBuf>,
    /// The folder of the trained weights, `NAME.h5`, and of the run's folder, `NAME.run`.
    pub folder: PathBuf,
    pub layout: Layout,
}

/// A run that is ready to start.
#[derive(Debug)]
pub struct PreparedRun {
    pub net: Graph,
    pub recipe: Recipe,
    pub bindings: Bindings,
    pub data: PreparedData,
    pub warnings: Diagnostics,
    /// Of each output.
    pub losses: Vec<OutputLoss>,
    pub(crate) split: Split,
    pub(crate) options: RunOptions,
}

/// Reads and checks spec, weights and data, and splits the net after its frozen front.
///
/// # Errors
/// The errors of spec, weights and data.
pub fn prepare_run(spec: &Spec, options: &RunOptions) -> Result<PreparedRun> {
    // The only recipe is meant, whatever the file is called; but it is not that of a cut.
    let mut recipes = spec.project.recipes.keys();
    let only = recipes.next().filter(|_| recipes.next().is_none() && spec.cut_of.is_none());
    let (net, mut warnings) = compile::graph(spec, options.net.as_ref().or(only).map(String::as_str))?;
    let recipe = recipe::of(spec, &net.name)?;
    warnings.extend(recipe_check::check(spec, &net, &recipe));
    if warnings.has_errors() {
        // Data in the place of what the run writes is wrong for that reason first.
        let (output, nothing) = (output_of(&net, options), std::iter::empty());
        return Err(if reads(&recipe, nothing, &output) { overwrites(&net, &recipe, &output, READ) } else { warnings });
    }
    warnings.extend(check_layout(&net, &recipe, options.layout)?);
    if options.resume {
        resumption::check(&net, &recipe, &options.folder.join(format!("{}.run", net.name)))?;
    }
    let trained = compile::trained_weights_within(spec, &net);
    let requests = spec.weights(&net, &options.weights, &trained)?;
    check_outputs(&net, &recipe, options, requests.iter().map(|request| request.path.as_path()))?;
    let (mut bindings, more) = bind::bind(&net, &requests)?;
    bindings.seed = recipe.seed;
    warnings.extend(more);
    warnings.extend(spec.lint_graph(&net));
    warnings.extend(spec.lint_untrained(&net, &bindings.report.untrained_layers));
    let losses = recipe_check::losses_of(&recipe, &net)?;
    let (labels, _) = compile::labels(spec, &net)?;
    let data = prepare(&net, &recipe, &losses, labels)?;
    warnings.extend(data.warnings.clone());
    let split = split(&net);
    Ok(PreparedRun { net, recipe, bindings, data, warnings, losses, split, options: options.clone() })
}

/// Checks before training that the weights can be written in the layout.
///
/// # Errors
/// A layer that the layout cannot store.
pub fn check_layout(net: &Graph, recipe: &Recipe, layout: Layout) -> Result<Diagnostics> {
    let mut warnings = Diagnostics::default();
    if let Some(error) = save::unstorable(net, layout) {
        let diagnostic = Diagnostic::new(Code::Output, error.what)
            .at(error.span, "this layer")
            .at(recipe.span, format!("writes {}.h5", net.name))
            .maybe_help(error.help);
        let keras =
            (layout == Layout::Keras).then(|| "leave out `--layout keras`: NeuPy's layout supports every layer".into());
        return Err(diagnostic.maybe_help(keras).into());
    }
    if let (Layout::Keras, Some((a, b))) = (layout, save::swapped_by_keras(net)) {
        let (a, b) = (net.node(a), net.node(b));
        let message = format!("Keras' `load_weights` may take `{}` for `{}`", a.name, b.name);
        let load = format!("`model.load_weights(\"{}.h5\", by_name=True)` in Keras goes by the names", net.name);
        warnings.push(
            Diagnostic::new(Code::KerasOrder, message)
                .at(b.origin.span, "has the same shapes, in another branch")
                .and(a.origin.span, "one branch")
                .help(load),
        );
    }
    Ok(warnings)
}

/// Checks that training would not overwrite a file that it reads, or one that no run of this net wrote.
fn check_outputs<'a>(
    net: &Graph,
    recipe: &'a Recipe,
    options: &RunOptions,
    weights: impl Iterator<Item = &'a Path>,
) -> Result<()> {
    let output = output_of(net, options);
    let Ok(real) = std::fs::canonicalize(&output) else { return Ok(()) };
    let folder = options.folder.join(format!("{}.run", net.name));
    let reason = match (reads(recipe, weights, &output), folder.is_dir() || is_ours(&real)) {
        (true, _) => READ,
        (false, false) => "no run of this net has written it",
        (false, true) => return Ok(()),
    };
    Err(overwrites(net, recipe, &output, reason))
}

/// The file that training writes.
fn output_of(net: &Graph, options: &RunOptions) -> PathBuf {
    options.folder.join(format!("{}.h5", net.name))
}

/// Why a run must not write a file.
const READ: &str = "the run reads it";

/// Whether a file is among the data or these weights.
fn reads<'a>(recipe: &'a Recipe, weights: impl Iterator<Item = &'a Path>, file: &Path) -> bool {
    let Ok(real) = std::fs::canonicalize(file) else { return false };
    let arrays = std::iter::once(&recipe.data).chain(match &recipe.validation {
        Validation::Data(data) => Some(data),
        _ => None,
    });
    let arrays = arrays.flat_map(|data| data.paths()).map(PathBuf::as_path);
    weights.chain(arrays).any(|path| std::fs::canonicalize(path).is_ok_and(|path| path == real))
}

fn overwrites(net: &Graph, recipe: &Recipe, output: &Path, reason: &str) -> Diagnostics {
    Diagnostic::new(Code::Output, format!("training would overwrite {}: {reason}", output.display()))
        .at(recipe.span, format!("writes {}.h5", net.name))
        .help("give the net another name, or move the file away")
        .into()
}
