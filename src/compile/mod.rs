//! Compilation of a spec to an artifact, one function per stage.

pub mod int8;
pub mod output_guard;
mod precision;
pub mod rebuild;
pub mod tuning_cache;

pub use crate::artifact::constants::Values;
pub use precision::Precision;

use crate::artifact::constants::{ConstantError, put_constants};
use crate::artifact::{Artifact, Manifest, Memory, Sink, Writer};
use crate::diagnostics::suggest::did_you_mean_file;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, counted};
use crate::elaborate::Spec;
use crate::elaborate::project::shipped;
use crate::graph::{Graph, ParameterId};
use crate::kernels::training::loss::Loss;
use crate::lower::memory_budget::fit_memory_budget;
use crate::lower::{self, AlgorithmOverrides, Compiled, Options};
use crate::ops::input::Input;
use crate::ops::input::preprocessing::Preprocessing;
use crate::ops::output_kind::OutputKind;
use crate::passes::optimize;
use crate::plan::Plan;
use crate::request::LabelsRequest;
use crate::runtime::thread_count;
use crate::weights::bind::report::Report;
use crate::weights::bind::{self, Bindings};
use crate::weights::file_of;
use crate::weights::store::StoreError;
use int8::{CalibrationSource, Int8Report, Samples, quantized};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file in a run's folder that has the class names that a net was trained for.
pub const TRAINED_LABELS: &str = "labels.txt";

/// The options of a build.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// The net to build, if the spec has several.
    pub net: Option<String>,
    /// Weights files that replace those in the spec, by net.
    pub weights: BTreeMap<String, PathBuf>,
    /// Untrained parameters are not an error.
    pub allow_untrained: bool,
    /// Missing weights files are not an error: their parameters stay random.
    pub allow_missing: bool,
    /// Only algorithms that round like the direct one are allowed.
    pub exact: bool,
    /// Weights written by `netc train` are not bound.
    pub fresh: bool,
    /// The limit of [`Plan::memory`] in bytes.
    pub max_memory: Option<u64>,
    pub precision: Precision,
    /// The samples that an int8 build measures the ranges of activations on.
    pub calibration: CalibrationSource,
}

impl BuildOptions {
    /// How a graph is lowered, without overrides.
    pub fn lowering(&self) -> Options<'static> {
        Options { bf16: self.precision.bf16(), ..Options::inference(self.exact) }
    }
}

/// The weights file that training has written for a net, if its spec has a recipe and names no other file for it: next to the
/// spec, or next to the file that has the recipe.
pub fn trained_weights(spec: &Spec, net: &str) -> Option<PathBuf> {
    let (_, file) = spec.project.recipes.get(net).filter(|_| !spec.project.weights.contains_key(net))?;
    let paths = [spec.root(), *file].map(|file| spec.sources.resolve(file, &format!("{net}.h5")));
    paths.into_iter().find(|path| path.is_file())
}

/// The weights files that training has written for a graph's net and the nets that it uses.
pub fn all_trained_weights(spec: &Spec, graph: &Graph) -> BTreeMap<String, PathBuf> {
    let nets: BTreeSet<&str> = graph.nodes.iter().flat_map(|node| &node.origin.layers).map(|(net, _)| &**net).collect();
    nets.into_iter().filter_map(|net| Some((net.to_string(), trained_weights(spec, net)?))).collect()
}

/// The weights files that a run of a graph's net starts from: those that training has written for the nets that it uses, not for itself.
pub fn trained_weights_within(spec: &Spec, graph: &Graph) -> BTreeMap<String, PathBuf> {
    let mut weights = all_trained_weights(spec, graph);
    weights.remove(&graph.name);
    weights
}

/// A compiled net: everything from which its artifact is written.
#[derive(Debug)]
pub struct Build {
    /// Before the passes.
    pub graph: Graph,
    /// After the passes.
    pub fused: Graph,
    pub compiled: Compiled,
    pub bindings: Bindings,
    /// What an int8 build reports, and the samples that it was calibrated on.
    pub int8: Option<(Int8Report, Arc<Samples>)>,
    pub labels: Option<Vec<String>>,
    /// The loss of each output, if the spec has a recipe; the caller sets it.
    pub losses: Vec<Loss>,
    /// The machine that its algorithms were measured on.
    tuned: Option<String>,
    source: String,
    /// The weights and label files that it was made from.
    pub files: Vec<PathBuf>,
}

/// Expands a net and checks everything in the spec that needs no other file.
///
/// # Errors
/// All errors of the spec.
pub fn graph(spec: &Spec, net: Option<&str>) -> Result<(Graph, Diagnostics)> {
    expand(spec, net, Spec::graph)
}

/// As [`graph`], also for a fragment made by a cut, such as `vgg16[-3..]`.
///
/// # Errors
/// As [`graph`].
pub fn graph_or_fragment(spec: &Spec, net: Option<&str>) -> Result<(Graph, Diagnostics)> {
    expand(spec, net, Spec::graph_or_fragment)
}

fn expand(
    spec: &Spec,
    net: Option<&str>,
    graph: impl Fn(&Spec, usize) -> Result<(Graph, Diagnostics)>,
) -> Result<(Graph, Diagnostics)> {
    let mut diagnostics = spec.errors.clone();
    diagnostics.extend(spec.check_recipes());
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let expanded = spec.choose(net).and_then(|net| graph(spec, net));
    match expanded {
        Ok((graph, more)) => {
            diagnostics.extend(more);
            Ok((graph, diagnostics))
        }
        Err(more) => {
            diagnostics.extend(more);
            Err(diagnostics)
        }
    }
}

/// The graph after the passes, and its plan as a build would make it; neither needs weights.
///
/// # Errors
/// As [`build`], for the plan.
pub fn fused(graph: Graph, options: &BuildOptions) -> Result<(Graph, Plan)> {
    let fused = optimize(graph);
    let plan = planned(&fused, options, None)?.plan;
    Ok((fused, plan))
}

/// The text of a graph after the passes.
pub fn fused_text(graph: Graph) -> String {
    optimize(graph).to_string()
}

/// The text of a graph's plan, which needs no weights.
///
/// # Errors
/// As [`lower::lower`].
pub fn plan_text(graph: Graph, exact: bool) -> Result<String> {
    Ok(lower::lower(&optimize(graph), Options::inference(exact))?.plan.to_string())
}

/// The plan of a graph as a build would make it, which needs no weights.
///
/// # Errors
/// As [`build`], for the plan.
pub fn plan(graph: Graph, options: &BuildOptions) -> Result<Plan> {
    fused(graph, options).map(|(_, plan)| plan)
}

/// The weights of a graph before the passes: bound to the files of its spec, or to those that training has written.
///
/// # Errors
/// As [`bind::bind`].
pub fn weights(spec: &Spec, graph: &Graph) -> Result<Bindings> {
    let requests = spec.weights(graph, &BTreeMap::new(), &all_trained_weights(spec, graph))?;
    bind::bind(graph, &requests).map(|(bindings, _)| bindings)
}

/// Lowers a fused graph with the options of a build.
fn planned(fused: &Graph, options: &BuildOptions, overrides: Option<&AlgorithmOverrides>) -> Result<Compiled> {
    let lowering = Options { overrides, ..options.lowering() };
    match options.max_memory {
        Some(limit) => fit_memory_budget(fused, lowering, limit),
        None => lower::lower(fused, lowering),
    }
}

/// Checks that photos to calibrate on are used.
///
/// # Errors
/// If a precision that needs none has some.
pub fn check_calibration(options: &BuildOptions) -> std::result::Result<(), Diagnostic> {
    if options.precision == Precision::Int8 || options.calibration == CalibrationSource::Nothing {
        return Ok(());
    }
    let message = format!("a build in {} is not calibrated", options.precision.name());
    let help = "`--precision int8` computes on bytes, whose ranges are measured on these photos";
    Err(Diagnostic::new(Code::Calibration, message).help(help))
}

/// Expands, binds, optimises and lowers a net. Returns warnings with it.
///
/// # Errors
/// All errors of the spec, its weights and labels; a plan above the memory limit; untrained parameters if not allowed.
pub fn build(spec: &Spec, options: &BuildOptions) -> Result<(Build, Diagnostics)> {
    check_calibration(options)?;
    let (graph, mut diagnostics) = graph(spec, options.net.as_deref())?;
    let mut errors = Diagnostics::default();
    let trained = if options.fresh { BTreeMap::new() } else { all_trained_weights(spec, &graph) };
    let mut requests = spec.weights(&graph, &options.weights, &trained)?;
    requests.retain(|request| !options.allow_missing || request.path.exists());
    let mut files: Vec<PathBuf> = requests.iter().map(|request| file_of(&request.path)).collect();
    let bound = bind::bind(&graph, &requests);
    let labels = match labels(spec, &graph) {
        Ok((labels, file)) => {
            let trained = if options.fresh { (None, None) } else { trained_labels(spec, &graph) };
            let (labels, file) = if labels.is_some() { (labels, file) } else { trained };
            files.extend(file);
            labels
        }
        Err(more) => {
            errors.extend(more);
            None
        }
    };
    let mut fused = optimize(graph.clone());
    let plan = |fused: &Graph| planned(fused, options, None).and_then(|compiled| checked(&graph, compiled));
    let (mut int8, compiled) = (None, plan(&fused));
    let (bindings, compiled) = match (bound, compiled) {
        (Ok((bindings, more)), Ok(mut compiled)) if !errors.has_errors() => {
            diagnostics.extend(more);
            if options.precision == Precision::Int8 {
                let samples = Arc::new(Samples::read(&options.calibration, &graph)?);
                let values = Values { graph: &graph, bindings: &bindings };
                let result = quantized(&graph, &values, samples, thread_count::available())?;
                compiled = plan(&result.graph)?;
                fused = result.graph;
                int8 = Some((result.report, result.samples));
            }
            (bindings, compiled)
        }
        (bound, compiled) => {
            errors.extend(bound.err().unwrap_or_default());
            errors.extend(compiled.err().unwrap_or_default());
            return Err(errors);
        }
    };
    diagnostics.extend(spec.lint_items());
    diagnostics.extend(spec.lint_graph(&graph));
    diagnostics.extend(spec.lint_weights(&graph, &requests));
    diagnostics.extend(spec.lint_untrained(&graph, &bindings.report.untrained_layers));
    if !options.allow_untrained && bindings.report.untrained > 0 {
        return Err(untrained(&graph, &bindings.report).into());
    }
    let source = spec.sources.file(spec.root()).text.clone();
    Ok((
        Build { graph, fused, compiled, bindings, int8, labels, losses: Vec::new(), tuned: None, source, files },
        diagnostics,
    ))
}

/// Names the plan's outputs after the net's layers, and verifies the plan as the artifact's reader will.
///
/// # Errors
/// If the net is too large.
pub fn checked(graph: &Graph, mut compiled: Compiled) -> Result<Compiled> {
    for (port, name) in compiled.plan.outputs.iter_mut().zip(graph.output_names()) {
        port.name = name;
    }
    match compiled.plan.verify() {
        Ok(()) => Ok(compiled),
        Err(error) if error.exceeds_limit => {
            let what = format!("`{}` is too large to be compiled: {error}", graph.name);
            Err(Diagnostic::new(Code::TooLarge, what).help("is one of its sizes mistyped?").into())
        }
        Err(error) => Err(Diagnostic::new(Code::Unsupported, format!("`{}` cannot be compiled: {error}", graph.name))
            .note("this is a bug in netc, not an error in the net")
            .into()),
    }
}

fn untrained(graph: &Graph, report: &Report) -> Diagnostic {
    let layers = &report.untrained_layers;
    let shown = layers.len().min(20);
    let line = |layer: &String| {
        let of_layer = graph.parameters.iter().filter(|one| one.layer == *layer && !one.is_fixed());
        let shapes: Vec<String> =
            of_layer.map(|parameter| format!("{} {:?}", parameter.role, parameter.shape)).collect();
        format!("{layer}: {}", shapes.join(", "))
    };
    let mut diagnostic = Diagnostic::new(
        Code::Untrained,
        format!("{} of `{}` come from no file", counted(report.untrained, "weight tensor"), graph.name),
    );
    let first = graph.nodes.iter().find(|node| Some(&node.name) == report.untrained_layers.first());
    if let Some(node) = first {
        diagnostic = diagnostic.at(node.origin.span, "its weights would be random");
    }
    diagnostic = diagnostic.note(layers[..shown].iter().map(line).collect::<Vec<_>>().join("\n"));
    if layers.len() > shown {
        diagnostic = diagnostic.note(format!("and {} more layers", layers.len() - shown));
    }
    // The pretrained weights of a shipped net are a file to name.
    let of_layer = |layer: &String| graph.nodes.iter().find(|node| node.name == *layer);
    let nets = layers.iter().filter_map(of_layer).flat_map(|node| &node.origin.layers).map(|(net, _)| &**net);
    let shipped: BTreeSet<&str> = nets.filter(|net| shipped::find(net).is_some()).collect();
    for net in shipped {
        diagnostic = diagnostic.help(format!("`--weights {net}=FILE` binds pretrained weights of `{net}`"));
    }
    diagnostic.help("bind weights, train the net with `netc train`, or build it as it is with `--allow-untrained`")
}

/// The net whose class names are those of a net: the net itself, or the one that it is a cut of, if it ends with the same layer.
fn classified_as<'a>(spec: &'a Spec, net: &'a Graph) -> &'a str {
    let last = |graph: &Graph| graph.outputs.first().map(|&id| graph.node(id).name.clone());
    let is_whole = |name: &&str| graph(spec, Some(name)).is_ok_and(|(whole, _)| last(&whole) == last(net));
    spec.cut_of.as_deref().filter(is_whole).unwrap_or(&net.name)
}

/// The class names that a net was trained for, if they fit its output, and their file.
fn trained_labels(spec: &Spec, graph: &Graph) -> (Option<Vec<String>>, Option<PathBuf>) {
    let net = classified_as(spec, graph);
    let path = spec.sources.resolve(spec.root(), &format!("{net}.run/{TRAINED_LABELS}"));
    let labels = trained_weights(spec, net).and_then(|_| crate::data::samples::labels::read(&path).ok());
    match labels.filter(|labels| takes_names(graph, labels.len())) {
        Some(labels) => (Some(labels), Some(path)),
        None => (None, None),
    }
}

/// A net's class names, checked against its output, and their file.
///
/// # Errors
/// If the labels file cannot be read, or the number of names is wrong.
pub fn labels(spec: &Spec, graph: &Graph) -> Result<(Option<Vec<String>>, Option<PathBuf>)> {
    let net = classified_as(spec, graph);
    let (labels, file, span) = match spec.labels(net)? {
        None => return Ok((None, None)),
        Some(LabelsRequest::List(labels, span)) => (labels, None, span),
        Some(LabelsRequest::File(path, span)) => match crate::data::samples::labels::read(&path) {
            Ok(labels) => (labels, Some(path), span),
            // Training will write this file.
            Err(_) if !path.exists() && spec.project.recipes.contains_key(net) => {
                return Ok((None, None));
            }
            Err(error) => {
                return Err(Diagnostic::new(Code::Labels, error.to_string())
                    .at(span, "these labels")
                    .maybe_help(did_you_mean_file(&path).filter(|_| !path.exists()))
                    .into());
            }
        },
    };
    let output = graph.outputs.first().map(|&id| graph.node(id));
    if let (Some(output), false) = (output, takes_names(graph, labels.len())) {
        let outputs = output.output.channels().known().unwrap_or(0);
        let (given, outputs) = (counted(labels.len(), "label"), counted(outputs, "output"));
        let mut diagnostic = Diagnostic::new(Code::Labels, format!("`{}` has {given} for {outputs}", graph.name))
            .at(span, given)
            .and(output.origin.span, format!("gives {}", output.output));
        if output.output.channels().known() == Some(1) {
            diagnostic =
                diagnostic.help("one value distinguishes two classes: name both, the one for low values first");
        }
        return Err(diagnostic.into());
    }
    Ok((Some(labels), file))
}

/// Whether the first output of a net can have this many class names; any number if its size is open.
fn takes_names(graph: &Graph, names: usize) -> bool {
    let Some(&id) = graph.outputs.first() else { return true };
    let values = graph.node(id).output.channels().known();
    values.is_none_or(|values| OutputKind::of(graph, id).takes_names(values, names))
}

impl Build {
    /// The files that it was made from: those of the spec, of weights and of labels.
    pub fn inputs<'a>(&'a self, spec: &'a Spec) -> Vec<&'a Path> {
        spec.sources.paths().into_iter().chain(self.files.iter().map(PathBuf::as_path)).collect()
    }

    /// Writes the artifact. Returns its size in bytes.
    ///
    /// # Errors
    /// If a weights file cannot be read, or the artifact cannot be written.
    pub fn write(&self, path: &Path) -> Result<u64> {
        let cannot = |error: &dyn std::fmt::Display| {
            Diagnostics::from(Diagnostic::new(Code::Output, format!("{} {error}", path.display())))
        };
        let manifest = self.manifest().map_err(|error| cannot(&error))?;
        let mut writer = Writer::new(path).map_err(|error| cannot(&error))?;
        self.put_constants(&mut writer).map_err(|error| error.diagnostic(path))?;
        writer.finish(manifest).map_err(|error| cannot(&error))
    }

    /// Plans again with given algorithms, which were measured on `machine`.
    ///
    /// # Errors
    /// If no such plan fits the memory limit of the options.
    pub fn plan_again(
        &mut self,
        options: &BuildOptions,
        overrides: &AlgorithmOverrides,
        machine: String,
    ) -> Result<()> {
        self.compiled = checked(&self.graph, planned(&self.fused, options, Some(overrides))?)?;
        self.tuned = Some(machine);
        Ok(())
    }

    /// The artifact in memory, for a net that is used at once.
    ///
    /// # Errors
    /// If a weights file cannot be read, or there is not enough memory.
    pub fn in_memory(&self) -> Result<Artifact> {
        let diagnostic = |error: ConstantError| error.diagnostic(Path::new("the memory"));
        let manifest = self.manifest().map_err(|error| diagnostic(ConstantError::Io(error)))?;
        let mut memory = Memory::default();
        self.put_constants(&mut memory).map_err(diagnostic)?;
        Ok(Artifact::in_memory(manifest, memory))
    }

    /// The text of the spec.
    pub fn source(&self) -> &str {
        &self.source
    }

    fn manifest(&self) -> std::io::Result<Manifest> {
        let mut inputs = Vec::new();
        for path in &self.files {
            let mut hasher = blake3::Hasher::new();
            hasher.update_mmap(path)?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            inputs.push((name, hasher.finalize().to_hex().to_string()));
        }
        Ok(Manifest {
            netc: env!("CARGO_PKG_VERSION").to_string(),
            net: self.graph.name.clone(),
            summary: self.graph.summary(),
            plan: self.compiled.plan.clone(),
            preprocessing: preprocessing(&self.graph),
            endings: self.graph.outputs.iter().map(|&id| OutputKind::of(&self.graph, id)).collect(),
            labels: self.labels.clone(),
            losses: self.losses.clone(),
            source: self.source.clone(),
            inputs,
            untrained: self.bindings.report.untrained_layers.clone(),
            tuned: self.tuned.clone(),
            blocks: Vec::new(),
        })
    }

    fn put_constants(&self, sink: &mut dyn Sink) -> std::result::Result<(), ConstantError> {
        let origin = Values { graph: &self.graph, bindings: &self.bindings };
        put_constants(&self.compiled, &self.fused, &origin, sink)
    }

    /// The values of a parameter of the graph before the passes.
    ///
    /// # Errors
    /// If its file cannot be read.
    pub fn values(&self, id: ParameterId) -> std::result::Result<Vec<f32>, StoreError> {
        self.bindings.read(&self.graph, id)
    }
}

/// Compiles a graph for inference, in memory, with its parameters packed.
///
/// # Errors
/// If a layer has no kernel, or a weights file cannot be read.
pub fn in_memory(graph: &Graph, values: &Values<'_>) -> Result<Arc<Artifact>> {
    let fused = optimize(graph.clone());
    let compiled = checked(graph, lower::lower(&fused, Options::inference(false))?)?;
    packed(&graph.name, &fused, compiled, values)
}

/// The artifact in memory of a compiled graph, with its parameters packed.
///
/// # Errors
/// If a weights file cannot be read.
pub fn packed(net: &str, graph: &Graph, compiled: Compiled, values: &Values<'_>) -> Result<Arc<Artifact>> {
    let mut memory = Memory::default();
    put_constants(&compiled, graph, values, &mut memory).map_err(|error| error.diagnostic(Path::new("the memory")))?;
    Ok(Arc::new(Artifact::in_memory(Manifest::of_plan(net, compiled.plan), memory)))
}

/// The preprocessing of each input of a net.
pub fn preprocessing(graph: &Graph) -> Vec<Option<Preprocessing>> {
    graph
        .inputs()
        .into_iter()
        .map(|id| graph.node(id).operation.as_any().downcast_ref::<Input>().and_then(|input| input.image.clone()))
        .collect()
}
