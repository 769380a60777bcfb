//! Compilation of a spec to an artifact, one function per stage.

mod expand;
pub mod int8;
mod labels;
pub mod output_guard;
mod packed;
mod precision;
pub mod rebuild;
mod trained;
pub mod tuning_cache;

pub use crate::artifact::constants::Values;
pub use expand::{graph, graph_or_fragment};
pub use labels::{TRAINED_LABELS, labels};
pub use packed::{checked, in_memory, packed, preprocessing};
pub use precision::Precision;
pub use trained::{all_trained_weights, trained_weights, trained_weights_within};

use crate::artifact::constants::{ConstantError, put_constants};
use crate::artifact::{Artifact, Manifest, Memory, Sink, Writer};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, counted};
use crate::elaborate::Spec;
use crate::elaborate::project::shipped;
use crate::graph::{Graph, ParameterId};
use crate::kernels::training::loss::Loss;
use crate::lower::memory_budget::fit_memory_budget;
use crate::lower::{self, AlgorithmOverrides, Compiled, Options};
use crate::ops::output_kind::OutputKind;
use crate::passes::optimize;
use crate::plan::Plan;
use crate::runtime::thread_count;
use crate::weights::bind::report::Report;
use crate::weights::bind::{self, Bindings};
use crate::weights::file_of;
use crate::weights::store::StoreError;
use int8::{CalibrationSource, Int8Report, Samples, quantized};
use labels::trained_labels;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
