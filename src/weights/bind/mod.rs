//! Binding: finds the tensor that each parameter of a graph takes its values from. Binding is strict, by net and name, and
//! reports all mismatches at once.

pub(crate) mod attention;
pub mod axis_permutation;
mod class_order;
pub(crate) mod convert;
pub(crate) mod layer_names;
mod pieces;
mod refused_order;
pub mod report;

use super::keras_model;
use super::store::{Entry, Number, Role, Store, StoreError};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, counted};
use crate::graph::{Graph, Initializer, Parameter, ParameterId};
use crate::request::WeightsRequest;
use crate::size::sizes_text;
use crate::source::Span;
use crate::weights::layouts::torch_recurrent;
use axis_permutation::FileOrder;
use class_order::by_order;
use convert::{ATTENTION, Change, HIDDEN_BIASES, LayerFacts, Shape, find_role, is_initial_state};
use layer_names::{Target, hint, names_in_file};
use pieces::{Piece, Source, beside};
use report::{FileReport, Report, shortened};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;

/// The seed of parameters that are not bound, unless a recipe has its own.
pub const SEED: u64 = 0;

/// The tensors of a store that hold a parameter, each with some of its columns.
#[derive(Clone, Debug, PartialEq)]
struct Sources {
    store: usize,
    tensors: Vec<Source>,
}

/// Where the values of a graph's parameters come from.
#[derive(Debug)]
pub struct Bindings {
    stores: Vec<Box<dyn Store>>,
    sources: Vec<Option<Sources>>,
    /// The parameters by path.
    by_path: HashMap<String, ParameterId>,
    /// Parameters that do not exist in the framework of their file: they are initialised.
    initial: Vec<bool>,
    /// The weights block that requested each store, and its net.
    requested: Vec<(Span, String)>,
    /// Stores with values that are not finite, and the layers that have them.
    not_finite: Mutex<BTreeMap<usize, BTreeSet<String>>>,
    /// The seed of parameters that are not bound.
    pub seed: u64,
    pub report: Report,
}

/// Binds the parameters of a graph, before any pass, to the requested files.
///
/// # Errors
/// All files that cannot be read or do not fit, with every mismatch.
pub fn bind(graph: &Graph, requests: &[WeightsRequest]) -> Result<(Bindings, Diagnostics)> {
    let mut errors = Diagnostics::default();
    let count = graph.parameters.len();
    let (sources, initial) = (vec![None; count], vec![false; count]);
    let by_path =
        graph.parameters.iter().enumerate().rev().map(|(index, one)| (one.path(), ParameterId(index))).collect();
    let mut bindings = Bindings {
        stores: Vec::new(),
        sources,
        by_path,
        initial,
        requested: Vec::new(),
        not_finite: Mutex::default(),
        seed: SEED,
        report: Report::default(),
    };
    let layers = layers(graph);
    // Inner nets first, so that the weights of a net override those of the nets that it consists of.
    for request in requests {
        match open(request, &mut errors) {
            Some(store) => bind_file(graph, request, store, &layers, &mut bindings, &mut errors),
            None => continue,
        }
    }
    bindings.finish_report(graph);
    errors.or_errors(bindings)
}

/// What conversions need to know about the layer of each parameter.
fn layers(graph: &Graph) -> HashMap<ParameterId, LayerFacts> {
    let mut list = HashMap::new();
    for node in &graph.nodes {
        let fixed = node.parameters.iter().any(|id| graph.parameters[id.0].is_fixed());
        let single = node.parameters.len() == 1;
        let hidden_biases = graph.parameter(node, HIDDEN_BIASES).is_some();
        let (kind, epsilon) = (node.operation.kind(), node.operation.epsilon());
        let facts = LayerFacts { kind, epsilon, fixed, single, hidden_biases };
        list.extend(node.parameters.iter().map(|&id| (id, facts)));
    }
    list
}

fn open(request: &WeightsRequest, errors: &mut Diagnostics) -> Option<Box<dyn Store>> {
    let layout = request.layout;
    match super::open(&request.path, layout) {
        Ok(store) => check_digest(request, errors).then_some(store),
        Err(error) => {
            errors.push(open_error(request, &error));
            None
        }
    }
}

fn open_error(request: &WeightsRequest, error: &StoreError) -> Diagnostic {
    let code = match error {
        StoreError::NotFound { .. } => Code::WeightsMissing,
        StoreError::UnknownLayout { .. } | StoreError::OtherLayout { .. } => Code::WeightsLayout,
        StoreError::Truncated { .. } | StoreError::Corrupt { .. } => Code::WeightsCorrupt,
        _ => Code::WeightsUnreadable,
    };
    let diagnostic = Diagnostic::new(code, error.to_string()).at(request.span, format!("weights of `{}`", request.net));
    match code {
        Code::WeightsMissing => diagnostic
            .maybe_help(crate::diagnostics::suggest::did_you_mean_file(&request.path))
            .help(format!("`--weights {}=path` names another file", request.net)),
        Code::WeightsCorrupt => diagnostic.help("fetch the file again"),
        _ => diagnostic,
    }
}

/// Whether a file has the digest that is pinned, if any.
fn check_digest(request: &WeightsRequest, errors: &mut Diagnostics) -> bool {
    let Some(pinned) = &request.sha256 else { return true };
    match sha256(&super::file_of(&request.path)) {
        Ok(actual) if actual == *pinned => true,
        Ok(actual) => {
            errors.push(
                Diagnostic::new(Code::WeightsDigest, format!("{} is not the pinned file", request.path.display()))
                    .at(request.span, format!("its digest is {actual}")),
            );
            false
        }
        Err(error) => {
            errors.push(
                Diagnostic::new(Code::WeightsUnreadable, format!("{} cannot be read: {error}", request.path.display()))
                    .at(request.span, "here"),
            );
            false
        }
    }
}

/// The SHA-256 of a file, in hexadecimal digits.
pub fn sha256(path: &Path) -> std::io::Result<String> {
    let (mut file, _) = crate::file::open_regular(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    let mut text = String::new();
    for byte in hasher.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

fn bind_file(
    graph: &Graph,
    request: &WeightsRequest,
    store: Box<dyn Store>,
    layers: &HashMap<ParameterId, LayerFacts>,
    bindings: &mut Bindings,
    errors: &mut Diagnostics,
) {
    let entries = store.entries();
    let targets: Vec<Target> = (0..graph.parameters.len())
        .filter_map(|index| {
            let parameter = &graph.parameters[index];
            let (_, layer) = parameter.layers.iter().find(|(net, _)| **net == *request.net)?;
            Some(Target { id: ParameterId(index), layer })
        })
        .collect();
    let mut report = FileReport {
        file: request.path.display().to_string(),
        layout: store.layout().to_string(),
        ..FileReport::default()
    };
    if request.trained {
        report.notes.push(format!("trained as `{}`", request.net));
    }
    report.notes.extend(store.remarks());
    let inferred = (!request.explicit_axes).then(|| store.framework());
    let mut order = FileOrder::of(graph, inferred, &request.net);
    let names = match store.has_names() {
        true => names_in_file(entries, &targets, request, errors),
        false => {
            report.notes.push("the file has no layer names: layers were matched by class and order".into());
            let Some(names) = by_order(graph, entries, &targets, request, errors) else { return };
            names
        }
    };
    let index: HashMap<(&str, &Role), usize> =
        entries.iter().enumerate().map(|(at, entry)| ((entry.layer.as_str(), &entry.role), at)).collect();
    let by_key: HashMap<&str, usize> = entries.iter().enumerate().map(|(at, entry)| (entry.key.as_str(), at)).collect();
    let mut used = BTreeSet::new();
    let mut problems = Vec::new();
    let (mut missing, mut wrong, mut integers) = (0, 0, 0);
    for Target { id, layer } in &targets {
        let parameter = &graph.parameters[id.0];
        let facts = layers.get(id).copied().unwrap_or_default();
        let pieces: Vec<Piece> = match names.get(layer) {
            None => Vec::new(),
            Some(name) if is_named_as_layer(facts) && by_key.contains_key(name.as_str()) => {
                by_key.get(name.as_str()).copied().map(Piece::whole).into_iter().collect()
            }
            Some(name) if facts.kind == ATTENTION => attention::find(&index, name, parameter.role),
            Some(name) => {
                let entry = find_role(&index, name, parameter.role, store.layout(), facts);
                entry.map(Piece::whole).into_iter().collect()
            }
        };
        let found = pieces.first().map(|piece| piece.entry);
        if parameter.is_fixed() {
            // The file may contain the same constant.
            let same =
                |entry: &usize| store.read(*entry).is_ok_and(|values| is_constant(&values, parameter.initializer));
            used.extend(found.filter(same));
            continue;
        }
        if found.is_none() && names.contains_key(layer) && is_initial_state(parameter.role, store.layout()) {
            bindings.initial[id.0] = true;
            let framework = if store.layout().has_torch_names() { "PyTorch" } else { "Keras" };
            report.add_note(format!("initial states are not in {framework} files: they are initialised"));
            continue;
        }
        let no_biases = |name: &String| is_without_biases(entries, &index, name, parameter);
        if found.is_none() && names.get(layer).is_some_and(no_biases) {
            bindings.initial[id.0] = true;
            report.add_note(format!("{layer} has no biases in the file: they are set to zero"));
            continue;
        }
        if pieces.is_empty() {
            missing += 1;
            if !request.initialize_missing {
                wrong += 1;
                problems.push(format!(
                    "{}/{} {:?}: not in the file{}",
                    layer,
                    parameter.role,
                    parameter.shape,
                    hint(entries, layer, &parameter.shape)
                ));
            }
            continue;
        }
        used.extend(pieces.iter().map(|piece| piece.entry));
        let numbers = pieces.iter().map(|piece| &entries[piece.entry]);
        if let Some(Entry { key, number, .. }) =
            numbers.clone().find(|entry| matches!(entry.number, Number::Integer(_)))
        {
            wrong += 1;
            integers += 1;
            let reason = format!("{key} contains {number} instead of floating-point numbers");
            problems.push(format!("{layer}/{}: {reason}", parameter.role));
            continue;
        }
        for Entry { number, .. } in numbers.filter(|entry| entry.number != Number::Float(32)) {
            report.add_note(format!("{number} read as float32"));
        }
        let expected = Shape { shape: &parameter.shape, role: parameter.role, kind: parameter.kind };
        let arrangement = order.arrangement(*id, layer);
        let fits = pieces.iter().map(|piece| piece.fit(store.as_ref(), &expected, facts, arrangement.clone()));
        match fits.collect::<std::result::Result<Vec<Source>, String>>() {
            Ok(tensors) => {
                for change in tensors.iter().flat_map(|source| source.transform.changes(layer, parameter.kind)) {
                    match change {
                        Change::Note(note) => report.add_note(note),
                        Change::Permuted(what) => order.permuted.push(format!("{what} of {layer}")),
                    }
                }
                report.tensors += 1;
                report.values += parameter.len();
                bindings.sources[id.0] = Some(Sources { store: bindings.stores.len(), tensors });
            }
            Err(reason) => {
                wrong += 1;
                problems.push(format!("{}/{}: {reason}", layer, parameter.role));
            }
        }
    }
    let taken: BTreeSet<&str> = names.values().map(String::as_str).collect();
    let is_attention = |target: &&Target| layers.get(&target.id).is_some_and(|facts| facts.kind == ATTENTION);
    let attentions: BTreeSet<&str> =
        targets.iter().filter(is_attention).filter_map(|target| names.get(target.layer)).map(String::as_str).collect();
    for (at, entry) in entries.iter().enumerate().filter(|(at, _)| !used.contains(at)) {
        let is_projection = attention::parents(&entry.layer).any(|parent| attentions.contains(parent));
        if (is_projection || taken.contains(entry.layer.as_str())) && store.has_names() {
            problems.push(format!(
                "{} {:?}: it is in the file, but the layer of the net has no such parameter: these are the weights of a different network",
                entries[at].key, entry.shape
            ));
            continue;
        }
        report.unused += 1;
        if report.unused_layers.last() != Some(&entry.layer) {
            report.unused_layers.push(entry.layer.clone());
        }
    }
    if request.trained && graph.name == request.net && report.unused > 0 {
        let layers = shortened(&report.unused_layers);
        problems.push(format!(
            "{layers}: the file has {}, but the net has no such layers",
            counted(report.unused, "tensor")
        ));
    }
    match store.model() {
        Some(model) if problems.is_empty() && request.check_configuration => {
            let (net, span, file, names) = (request.net.as_str(), request.span, report.file.as_str(), &names);
            keras_model::check(&keras_model::Bound { graph, net, span, file, names, model }, errors);
        }
        Some(_) if problems.is_empty() => report.notes.push("its configuration was not checked against the net".into()),
        _ => {}
    }
    if !problems.is_empty() {
        let all = targets.iter().filter(|target| !graph.parameters[target.id.0].is_fixed()).count();
        let message = match missing == all && !request.initialize_missing {
            true => format!("nothing in {} fits `{}`", report.file, request.net),
            false => mismatch_message(wrong, all, problems.len() - wrong, request, &report.file),
        };
        let shown = problems.len().min(30);
        let message = if request.trained { retrained_message(request, &report.file) } else { message };
        let mut diagnostic = Diagnostic::new(Code::WeightsMismatch, message)
            .at(request.span, format!("weights of `{}`", request.net))
            .note(problems[..shown].join("\n"));
        if problems.len() > shown {
            diagnostic = diagnostic.note(format!("and {} more", problems.len() - shown));
        }
        if integers > 0 {
            diagnostic = diagnostic.help("dequantise integers first: netc does not read their scales");
        }
        errors.push(match request.trained {
            true => diagnostic.help(format!(
                "`netc train` writes new weights; `--fresh` ignores these, and `--weights {}=FILE` uses others",
                request.net
            )),
            false => diagnostic.maybe_help((problems.len() > integers).then_some(
                "`rename = { \"name in the file\" = \"layer\" }` maps names; `missing = initialize` initialises missing parameters".to_string(),
            )),
        });
    }
    order.report(request, &mut report, errors);
    if missing > 0 && request.initialize_missing {
        report.notes.push(format!("{missing} missing, initialised"));
    }
    bindings.stores.push(store);
    bindings.requested.push((request.span, request.net.clone()));
    bindings.report.files.push(report);
}

/// Whether a parameter is the biases of a PyTorch recurrent layer without them (`bias=False`).
fn is_without_biases(
    entries: &[Entry],
    index: &HashMap<(&str, &Role), usize>,
    name: &str,
    parameter: &Parameter,
) -> bool {
    let of_torch = index.get(&(name, &Role::InputWeights)).and_then(|&at| entries[at].class.as_deref());
    matches!(parameter.role, "biases" | HIDDEN_BIASES)
        && parameter.initializer == Initializer::Constant(0.0)
        && matches!(of_torch, Some(torch_recurrent::LSTM | torch_recurrent::GRU))
}

/// Whether a tensor of a module itself, such as timm's `cls_token`, is named as the layer that takes it.
fn is_named_as_layer(facts: LayerFacts) -> bool {
    matches!(facts.kind, "ClassToken" | "PositionEmbedding")
}

fn is_constant(values: &[f32], initializer: Initializer) -> bool {
    matches!(initializer, Initializer::Constant(constant) if values.iter().all(|&value| f64::from(value) == constant))
}

/// The headline: which parameters of the net do not fit, or which tensors of the file its layers do not have, or both.
fn mismatch_message(wrong: usize, all: usize, extra: usize, request: &WeightsRequest, file: &str) -> String {
    let do_not = if wrong == 1 { "does not" } else { "do not" };
    let parameters = format!("{wrong} of {} of `{}` {do_not} fit {file}", counted(all, "parameter"), request.net);
    let tensors = format!("{} that the layers of the net do not have", counted(extra, "tensor"));
    match (wrong, extra) {
        (_, 0) => parameters,
        (0, _) => {
            format!("{file} contains {} that the layers of `{}` do not have", counted(extra, "tensor"), request.net)
        }
        _ => format!("{parameters}, which contains {tensors}"),
    }
}

/// The headline if the net has changed since training wrote the weights.
fn retrained_message(request: &WeightsRequest, file: &str) -> String {
    format!(
        "{file} was written by a different version of `{net}`: the net has changed since it was trained",
        net = request.net
    )
}

impl Bindings {
    /// The values of a parameter that is not computed from others, row-major.
    ///
    /// # Errors
    /// If the file can no longer be read.
    pub fn read(&self, graph: &Graph, id: ParameterId) -> std::result::Result<Vec<f32>, StoreError> {
        let parameter = &graph.parameters[id.0];
        let Some(Some(sources)) = self.sources.get(id.0) else {
            return Ok(parameter.initializer.sample(&parameter.shape, &parameter.path(), self.seed));
        };
        let mut pieces = Vec::with_capacity(sources.tensors.len());
        for source in &sources.tensors {
            let values = self.stores[sources.store].read(source.entry)?;
            if values.iter().any(|value| !value.is_finite())
                && let Ok(mut stores) = self.not_finite.lock()
            {
                stores.entry(sources.store).or_default().insert(parameter.layer.clone());
            }
            pieces.push(source.transform.apply(values, &source.shape));
        }
        match pieces.len() {
            1 => Ok(pieces.swap_remove(0)),
            _ => Ok(beside(pieces, &parameter.shape)),
        }
    }

    /// Whether the parameters of one graph take the same values of equal files in both, in the same order.
    pub fn reads_as(&self, other: &Bindings) -> bool {
        self.sources == other.sources && self.initial == other.initial && self.seed == other.seed
    }

    /// The parameter of the bound graph with the same layer and role as this one.
    pub fn find(&self, parameter: &Parameter) -> Option<ParameterId> {
        self.by_path.get(&parameter.path()).copied()
    }

    /// Warnings about infinite values and NaN among those read so far.
    pub fn lint_values(&self) -> Diagnostics {
        let Ok(stores) = self.not_finite.lock() else { return Diagnostics::default() };
        let mut warnings = Diagnostics::default();
        for (&store, layers) in stores.iter() {
            let (span, net) = &self.requested[store];
            let message = format!("{} contains weights that are infinite or NaN", self.report.files[store].file);
            let layers: Vec<String> = layers.iter().cloned().collect();
            let diagnostic = Diagnostic::new(Code::NotFinite, message).at(*span, format!("weights of `{net}`"));
            warnings.push(diagnostic.note(format!("of {}", shortened(&layers))));
        }
        warnings
    }

    fn finish_report(&mut self, graph: &Graph) {
        for (index, (parameter, source)) in graph.parameters.iter().zip(&self.sources).enumerate() {
            if parameter.is_fixed() {
                continue;
            }
            let from = match source {
                Some(Sources { store, tensors }) => {
                    let entries = self.stores[*store].entries();
                    let keys: Vec<&str> = tensors.iter().map(|source| entries[source.entry].key.as_str()).collect();
                    format!("{} of {}", keys.join(" + "), self.report.files[*store].file)
                }
                None if self.initial[index] => parameter.initializer.to_string(),
                None => {
                    self.report.untrained += 1;
                    if self.report.untrained_layers.last() != Some(&parameter.layer) {
                        self.report.untrained_layers.push(parameter.layer.clone());
                    }
                    format!("{} (untrained)", parameter.initializer)
                }
            };
            self.report.lines.push((parameter.path(), sizes_text(&parameter.shape), from));
        }
    }
}
