//! Binding: which tensor of which file every parameter of a graph takes its values from. Strict, by origin and name;
//! all that does not fit is told at once.

pub mod axis_permutation;
mod class_order;
pub(crate) mod convert;
mod layer_names;
mod refused_order;
pub mod report;

use super::keras_model;
use super::store::{Entry, Number, Role, Store, StoreError};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, counted};
use crate::graph::{Graph, Initializer, Parameter, ParameterId};
use crate::request::Layout;
use crate::request::WeightsRequest;
use crate::source::Span;
use crate::weights::layouts::torch_recurrent;
use axis_permutation::FileOrder;
use class_order::by_order;
use convert::{Done, LayerFacts, Shape, Transform, find_role, fit, starts_anew};
use layer_names::{Wanted, names_in_file, near};
use report::{FileReport, Report, shortened};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;

/// The seed of parameters that nothing binds, where no recipe has another.
pub const SEED: u64 = 0;

#[derive(Clone, Debug)]
struct Source {
    store: usize,
    entry: usize,
    transform: Transform,
}

/// Where the values of a graph's parameters come from.
#[derive(Debug)]
pub struct Bindings {
    stores: Vec<Box<dyn Store>>,
    sources: Vec<Option<Source>>,
    /// The parameters by their paths.
    places: HashMap<String, ParameterId>,
    /// Parameters that the maker of their file does not have: their initialisers are their values.
    initial: Vec<bool>,
    /// Where each store was asked for, and of which net it holds the weights.
    asked: Vec<(Span, String)>,
    /// Stores of which values that are not finite were read, and their layers.
    not_finite: Mutex<BTreeMap<usize, BTreeSet<String>>>,
    /// What parameters that nothing binds are drawn from.
    pub seed: u64,
    pub report: Report,
}

/// Binds the parameters of a graph (not yet optimised) to the files that are asked for.
pub fn bind(graph: &Graph, requests: &[WeightsRequest]) -> Result<(Bindings, Diagnostics)> {
    let mut errors = Diagnostics::default();
    let count = graph.parameters.len();
    let (sources, initial) = (vec![None; count], vec![false; count]);
    let places =
        graph.parameters.iter().enumerate().rev().map(|(place, one)| (one.path(), ParameterId(place))).collect();
    let mut bindings = Bindings {
        stores: Vec::new(),
        sources,
        places,
        initial,
        asked: Vec::new(),
        not_finite: Mutex::default(),
        seed: SEED,
        report: Report::default(),
    };
    let layers = layers(graph);
    // Inner nets first, so that the weights of a net stand over those of the nets it was made from.
    for request in requests {
        match open(request, &mut errors) {
            Some(store) => bind_file(graph, request, store, &layers, &mut bindings, &mut errors),
            None => continue,
        }
    }
    bindings.finish_report(graph);
    errors.or_errors(bindings)
}

/// What transforms must know of each parameter's layer.
fn layers(graph: &Graph) -> HashMap<ParameterId, LayerFacts> {
    let mut list = HashMap::new();
    for node in &graph.nodes {
        let fixed = node.parameters.iter().any(|id| graph.parameters[id.0].is_fixed());
        let single = node.parameters.len() == 1;
        let facts = LayerFacts { kind: node.operation.kind(), epsilon: node.operation.epsilon(), fixed, single };
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

/// Whether a pinned file is the one that was pinned.
fn check_digest(request: &WeightsRequest, errors: &mut Diagnostics) -> bool {
    let Some(wanted) = &request.sha256 else { return true };
    match sha256(&super::file_of(&request.path)) {
        Ok(found) if found == *wanted => true,
        Ok(found) => {
            errors.push(
                Diagnostic::new(
                    Code::WeightsDigest,
                    format!("{} is not the file that was pinned", request.path.display()),
                )
                .at(request.span, format!("has the digest {found}")),
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
    let wanted: Vec<Wanted> = (0..graph.parameters.len())
        .filter_map(|index| {
            let parameter = &graph.parameters[index];
            let (_, layer) = parameter.layers.iter().find(|(net, _)| **net == *request.net)?;
            Some(Wanted { id: ParameterId(index), layer })
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
    let mut order = FileOrder::of(graph, store.framework(), &request.net);
    let names = match store.has_names() {
        true => names_in_file(entries, &wanted, request, errors),
        false => {
            report.notes.push("the file has no names: layers were matched by class and order".into());
            let Some(names) = by_order(graph, entries, &wanted, request, errors) else { return };
            names
        }
    };
    let index: HashMap<(&str, &Role), usize> =
        entries.iter().enumerate().map(|(at, entry)| ((entry.layer.as_str(), &entry.role), at)).collect();
    let mut used = BTreeSet::new();
    let mut problems = Vec::new();
    let (mut missing, mut wrong, mut whole) = (0, 0, 0);
    for Wanted { id, layer } in &wanted {
        let parameter = &graph.parameters[id.0];
        let facts = layers.get(id).copied().unwrap_or_default();
        let found = names.get(layer).and_then(|name| find_role(&index, name, parameter.role, store.layout(), facts));
        if parameter.is_fixed() {
            // A file may hold what changes nothing.
            let same =
                |entry: &usize| store.read(*entry).is_ok_and(|values| is_constant(&values, parameter.initializer));
            used.extend(found.filter(same));
            continue;
        }
        if found.is_none() && names.contains_key(layer) && starts_anew(parameter.role, store.layout()) {
            bindings.initial[id.0] = true;
            let of_torch = matches!(store.layout(), Layout::Safetensors | Layout::Onnx);
            let maker = if of_torch { "PyTorch" } else { "Keras" };
            report.add_note(format!("first states are not in files of {maker}: they are what their initialisers say"));
            continue;
        }
        let bare = |name: &String| is_without_biases(entries, &index, name, parameter);
        if found.is_none() && names.get(layer).is_some_and(bare) {
            bindings.initial[id.0] = true;
            report.add_note(format!("{layer} has no biases in the file: they are zero"));
            continue;
        }
        let Some(entry) = found else {
            missing += 1;
            if !request.initialize_missing {
                wrong += 1;
                problems.push(format!(
                    "{}/{} {:?}: not in the file{}",
                    layer,
                    parameter.role,
                    parameter.shape,
                    near(entries, layer, &parameter.shape)
                ));
            }
            continue;
        };
        used.insert(entry);
        match entries[entry].number {
            Number::Float(32) => {}
            number @ Number::Integer(_) => {
                wrong += 1;
                whole += 1;
                let reason = format!("{} holds {number}, no floating-point numbers", entries[entry].key);
                problems.push(format!("{layer}/{}: {reason}", parameter.role));
                continue;
            }
            number => report.add_note(format!("{number} read as float32")),
        }
        let wanted = Shape { shape: &parameter.shape, role: parameter.role, kind: parameter.kind };
        match fit(store.as_ref(), entry, &wanted, facts, order.arrangement(*id, layer)) {
            Ok(transform) => {
                for done in transform.done(layer, parameter.kind) {
                    match done {
                        Done::Note(note) => report.add_note(note),
                        Done::Permuted(what) => order.permuted.push(format!("{what} of {layer}")),
                    }
                }
                report.tensors += 1;
                report.values += parameter.len();
                bindings.sources[id.0] = Some(Source { store: bindings.stores.len(), entry, transform });
            }
            Err(reason) => {
                wrong += 1;
                problems.push(format!("{}/{}: {reason}", layer, parameter.role));
            }
        }
    }
    let taken: BTreeSet<&str> = names.values().map(String::as_str).collect();
    for (at, entry) in entries.iter().enumerate().filter(|(at, _)| !used.contains(at)) {
        if taken.contains(entry.layer.as_str()) && store.has_names() {
            problems.push(format!(
                "{} {:?}: the file has it, but the net's layer takes none: the weights are those of another network",
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
        Some(_) if problems.is_empty() => report.notes.push("its configuration was not compared with the net".into()),
        _ => {}
    }
    if !problems.is_empty() {
        let all = wanted.iter().filter(|wanted| !graph.parameters[wanted.id.0].is_fixed()).count();
        let message = match missing == all && !request.initialize_missing {
            true => format!("nothing in {} fits `{}`", report.file, request.net),
            false => misfits(wrong, all, problems.len() - wrong, request, &report.file),
        };
        let shown = problems.len().min(30);
        let message = if request.trained { other_net(request, &report.file) } else { message };
        let mut diagnostic = Diagnostic::new(Code::WeightsMismatch, message)
            .at(request.span, format!("weights of `{}`", request.net))
            .note(problems[..shown].join("\n"));
        if problems.len() > shown {
            diagnostic = diagnostic.note(format!("and {} more", problems.len() - shown));
        }
        if whole > 0 {
            diagnostic = diagnostic
                .help("turn integers back into the numbers that they stand for: what scales them is not read");
        }
        errors.push(match request.trained {
            true => diagnostic.help(format!(
                "`netc train` writes new ones; `--fresh` leaves them out, and `--weights {}=FILE` names others",
                request.net
            )),
            false => diagnostic.maybe_help((problems.len() > whole).then_some(
                "`rename = { \"name in the file\" = \"layer\" }` maps names; `missing = initialize` lets missing ones start from their initialisers".to_string(),
            )),
        });
    }
    order.report(request, &mut report, errors);
    if missing > 0 && request.initialize_missing {
        report.notes.push(format!("{missing} missing, initialised"));
    }
    bindings.stores.push(store);
    bindings.asked.push((request.span, request.net.clone()));
    bindings.report.files.push(report);
}

/// Whether a parameter is the biases of a recurrent layer that PyTorch was told to make without (`bias=False`).
fn is_without_biases(
    entries: &[Entry],
    index: &HashMap<(&str, &Role), usize>,
    name: &str,
    parameter: &Parameter,
) -> bool {
    let of_torch = index.get(&(name, &Role::InputWeights)).and_then(|&at| entries[at].class.as_deref());
    parameter.role == "biases"
        && parameter.initializer == Initializer::Constant(0.0)
        && matches!(of_torch, Some(torch_recurrent::LSTM | torch_recurrent::GRU))
}

fn is_constant(values: &[f32], initializer: Initializer) -> bool {
    matches!(initializer, Initializer::Constant(constant) if values.iter().all(|&value| f64::from(value) == constant))
}

/// The headline of what does not fit: parameters of the net, tensors of the file that its layers do not take, or both.
fn misfits(wrong: usize, all: usize, extra: usize, request: &WeightsRequest, file: &str) -> String {
    let do_not = if wrong == 1 { "does not" } else { "do not" };
    let parameters = format!("{wrong} of {} of `{}` {do_not} fit {file}", counted(all, "parameter"), request.net);
    let tensors = format!("{} that its layers have no place for", counted(extra, "tensor"));
    match (wrong, extra) {
        (_, 0) => parameters,
        (0, _) => {
            format!("{file} holds {} that layers of `{}` have no place for", counted(extra, "tensor"), request.net)
        }
        _ => format!("{parameters}, which holds {tensors}"),
    }
}

/// The headline where training has written the weights, and the net is another one by now.
fn other_net(request: &WeightsRequest, file: &str) -> String {
    format!("{file} holds what another `{net}` has learnt: the net was changed after it was trained", net = request.net)
}

impl Bindings {
    /// The values of a parameter that is not made from others, row-major.
    ///
    /// # Errors
    /// Where the file cannot be read (any more).
    pub fn read(&self, graph: &Graph, id: ParameterId) -> std::result::Result<Vec<f32>, StoreError> {
        let parameter = &graph.parameters[id.0];
        let Some(Some(source)) = self.sources.get(id.0) else {
            return Ok(parameter.initializer.sample(&parameter.shape, &parameter.path(), self.seed));
        };
        let values = self.stores[source.store].read(source.entry)?;
        if values.iter().any(|value| !value.is_finite())
            && let Ok(mut stores) = self.not_finite.lock()
        {
            stores.entry(source.store).or_default().insert(parameter.layer.clone());
        }
        Ok(source.transform.apply(values, &parameter.shape))
    }

    /// The parameter of the graph that was bound which has the layer and role of this one.
    pub fn place(&self, parameter: &Parameter) -> Option<ParameterId> {
        self.places.get(&parameter.path()).copied()
    }

    /// What is to be told of the values that were read so far: those that are infinite or no numbers.
    pub fn lint_values(&self) -> Diagnostics {
        let Ok(stores) = self.not_finite.lock() else { return Diagnostics::default() };
        let mut warnings = Diagnostics::default();
        for (&store, layers) in stores.iter() {
            let (span, net) = &self.asked[store];
            let message = format!("{} holds weights that are infinite or no numbers", self.report.files[store].file);
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
            let shape: Vec<String> = parameter.shape.iter().map(usize::to_string).collect();
            let from = match source {
                Some(source) => {
                    let key = &self.stores[source.store].entries()[source.entry].key;
                    format!("{key} of {}", self.report.files[source.store].file)
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
            self.report.lines.push((parameter.path(), shape.join("x"), from));
        }
    }
}
