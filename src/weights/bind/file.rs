//! Binding of one file: which of its tensors each parameter of a net takes.

use super::attention;
use super::axis_permutation::FileOrder;
use super::bindings::{Bindings, Sources};
use super::class_order::by_order;
use super::convert::{ATTENTION, Change, HIDDEN_BIASES, LayerFacts, Shape, find_role, is_initial_state};
use super::layer_names::{Target, hint, names_in_file};
use super::mismatch::Mismatch;
use super::pieces::{Piece, Source};
use super::report::{FileReport, shortened};
use crate::diagnostics::{Diagnostics, counted};
use crate::graph::{Graph, Initializer, Parameter, ParameterId};
use crate::request::WeightsRequest;
use crate::weights::keras_model;
use crate::weights::layouts::torch_recurrent;
use crate::weights::store::{Entry, Number, Role, Store};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A file while it is bound.
struct FileBinder<'a> {
    graph: &'a Graph,
    request: &'a WeightsRequest,
    store: &'a dyn Store,
    layers: &'a HashMap<ParameterId, LayerFacts>,
    /// The name in the file of each layer.
    names: BTreeMap<&'a str, String>,
    /// The entries of the file by layer and role, and by key.
    index: HashMap<(&'a str, &'a Role), usize>,
    by_key: HashMap<&'a str, usize>,
    order: FileOrder<'a>,
    /// The entries that parameters take.
    used: BTreeSet<usize>,
    report: FileReport,
    mismatch: Mismatch,
}

/// Binds the parameters of the net of a request to the tensors of its file.
pub(super) fn bind_file(
    graph: &Graph,
    request: &WeightsRequest,
    store: Box<dyn Store>,
    layers: &HashMap<ParameterId, LayerFacts>,
    bindings: &mut Bindings,
    errors: &mut Diagnostics,
) {
    let targets: Vec<Target> = (0..graph.parameters.len())
        .filter_map(|index| {
            let parameter = &graph.parameters[index];
            let (_, layer) = parameter.layers.iter().find(|(net, _)| **net == *request.net)?;
            Some(Target { id: ParameterId(index), layer })
        })
        .collect();
    let Some(mut binder) = FileBinder::new(graph, request, store.as_ref(), layers, &targets, errors) else { return };
    for target in &targets {
        binder.bind_parameter(target, bindings);
    }
    binder.check_unused(&targets);
    let report = binder.finish(&targets, errors);
    bindings.stores.push(store);
    bindings.requested.push((request.span, request.net.clone()));
    bindings.report.files.push(report);
}

impl<'a> FileBinder<'a> {
    /// Finds the name in the file of each layer; `None`, with errors, if layers without names cannot be told apart.
    fn new(
        graph: &'a Graph,
        request: &'a WeightsRequest,
        store: &'a dyn Store,
        layers: &'a HashMap<ParameterId, LayerFacts>,
        targets: &[Target<'a>],
        errors: &mut Diagnostics,
    ) -> Option<Self> {
        let entries = store.entries();
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
        let order = FileOrder::of(graph, inferred, &request.net);
        let names = match store.has_names() {
            true => names_in_file(entries, targets, request, errors),
            false => {
                report.notes.push("the file has no layer names: layers were matched by class and order".into());
                by_order(graph, entries, targets, request, errors)?
            }
        };
        let entry = |(at, entry): (usize, &'a Entry)| ((entry.layer.as_str(), &entry.role), at);
        Some(FileBinder {
            graph,
            request,
            store,
            layers,
            names,
            index: entries.iter().enumerate().map(entry).collect(),
            by_key: entries.iter().enumerate().map(|(at, entry)| (entry.key.as_str(), at)).collect(),
            order,
            used: BTreeSet::new(),
            report,
            mismatch: Mismatch::default(),
        })
    }

    /// The tensors of the file, or columns of them, that a parameter is named as.
    fn pieces(&self, layer: &str, parameter: &Parameter, facts: LayerFacts) -> Vec<Piece> {
        match self.names.get(layer) {
            None => Vec::new(),
            Some(name) if is_named_as_layer(facts) && self.by_key.contains_key(name.as_str()) => {
                self.by_key.get(name.as_str()).copied().map(Piece::whole).into_iter().collect()
            }
            Some(name) if facts.kind == ATTENTION => attention::find(&self.index, name, parameter.role),
            Some(name) => {
                let entry = find_role(&self.index, name, parameter.role, self.store.layout(), facts);
                entry.map(Piece::whole).into_iter().collect()
            }
        }
    }

    /// What the report says of a parameter that does not exist in the framework of the file: it is initialised.
    fn initial(&self, layer: &str, parameter: &Parameter) -> Option<String> {
        let name = self.names.get(layer)?;
        if is_initial_state(parameter.role, self.store.layout()) {
            let framework = if self.store.layout().has_torch_names() { "PyTorch" } else { "Keras" };
            return Some(format!("initial states are not in {framework} files: they are initialised"));
        }
        is_without_biases(self.store.entries(), &self.index, name, parameter)
            .then(|| format!("{layer} has no biases in the file: they are set to zero"))
    }

    /// Binds a parameter to its tensors, or notes why they do not fit.
    fn bind_parameter(&mut self, &Target { id, layer }: &Target<'a>, bindings: &mut Bindings) {
        let parameter = &self.graph.parameters[id.0];
        let facts = self.layers.get(&id).copied().unwrap_or_default();
        let pieces = self.pieces(layer, parameter, facts);
        let found = pieces.first().map(|piece| piece.entry);
        if parameter.is_fixed() {
            // The file may contain the same constant.
            let store = self.store;
            let same =
                |entry: &usize| store.read(*entry).is_ok_and(|values| is_constant(&values, parameter.initializer));
            self.used.extend(found.filter(same));
            return;
        }
        if found.is_none()
            && let Some(note) = self.initial(layer, parameter)
        {
            bindings.initial[id.0] = true;
            self.report.add_note(note);
            return;
        }
        let entries = self.store.entries();
        let mismatch = &mut self.mismatch;
        if pieces.is_empty() {
            mismatch.missing += 1;
            if !self.request.initialize_missing {
                mismatch.wrong += 1;
                mismatch.problems.push(format!(
                    "{}/{} {:?}: not in the file{}",
                    layer,
                    parameter.role,
                    parameter.shape,
                    hint(entries, layer, &parameter.shape)
                ));
            }
            return;
        }
        self.used.extend(pieces.iter().map(|piece| piece.entry));
        let numbers = pieces.iter().map(|piece| &entries[piece.entry]);
        if let Some(Entry { key, number, .. }) =
            numbers.clone().find(|entry| matches!(entry.number, Number::Integer(_)))
        {
            mismatch.wrong += 1;
            mismatch.integers += 1;
            let reason = format!("{key} contains {number} instead of floating-point numbers");
            mismatch.problems.push(format!("{layer}/{}: {reason}", parameter.role));
            return;
        }
        for Entry { number, .. } in numbers.filter(|entry| entry.number != Number::Float(32)) {
            self.report.add_note(format!("{number} read as float32"));
        }
        let expected = Shape { shape: &parameter.shape, role: parameter.role, kind: parameter.kind };
        let arrangement = self.order.arrangement(id, layer);
        let fits = pieces.iter().map(|piece| piece.fit(self.store, &expected, facts, arrangement.clone()));
        match fits.collect::<Result<Vec<Source>, String>>() {
            Ok(tensors) => {
                for change in tensors.iter().flat_map(|source| source.transform.changes(layer, parameter.kind)) {
                    match change {
                        Change::Note(note) => self.report.add_note(note),
                        Change::Permuted(what) => self.order.permuted.push(format!("{what} of {layer}")),
                    }
                }
                self.report.tensors += 1;
                self.report.values += parameter.len();
                bindings.sources[id.0] = Some(Sources { store: bindings.stores.len(), tensors });
            }
            Err(reason) => {
                mismatch.wrong += 1;
                mismatch.problems.push(format!("{}/{}: {reason}", layer, parameter.role));
            }
        }
    }

    /// Reports the tensors that no parameter takes; those of layers of the net do not fit.
    fn check_unused(&mut self, targets: &[Target<'a>]) {
        let taken: BTreeSet<&str> = self.names.values().map(String::as_str).collect();
        let is_attention = |target: &&Target| self.layers.get(&target.id).is_some_and(|facts| facts.kind == ATTENTION);
        let attentions = targets.iter().filter(is_attention).filter_map(|target| self.names.get(target.layer));
        let attentions: BTreeSet<&str> = attentions.map(String::as_str).collect();
        for (_, entry) in self.store.entries().iter().enumerate().filter(|(at, _)| !self.used.contains(at)) {
            let is_projection = attention::parents(&entry.layer).any(|parent| attentions.contains(parent));
            if (is_projection || taken.contains(entry.layer.as_str())) && self.store.has_names() {
                self.mismatch.problems.push(format!(
                    "{} {:?}: it is in the file, but the layer of the net has no such parameter: these are the weights of a different network",
                    entry.key, entry.shape
                ));
                continue;
            }
            self.report.unused += 1;
            if self.report.unused_layers.last() != Some(&entry.layer) {
                self.report.unused_layers.push(entry.layer.clone());
            }
        }
        if self.request.trained && self.graph.name == self.request.net && self.report.unused > 0 {
            let layers = shortened(&self.report.unused_layers);
            self.mismatch.problems.push(format!(
                "{layers}: the file has {}, but the net has no such layers",
                counted(self.report.unused, "tensor")
            ));
        }
    }

    /// Compares the model in the file with the net, and reports what does not fit.
    fn finish(self, targets: &[Target<'a>], errors: &mut Diagnostics) -> FileReport {
        let FileBinder { graph, request, store, names, order, mut report, mismatch, .. } = self;
        match store.model() {
            Some(model) if mismatch.problems.is_empty() && request.check_configuration => {
                let (net, span, file, names) = (request.net.as_str(), request.span, report.file.as_str(), &names);
                keras_model::check(&keras_model::Bound { graph, net, span, file, names, model }, errors);
            }
            Some(_) if mismatch.problems.is_empty() => {
                report.notes.push("its configuration was not checked against the net".into());
            }
            _ => {}
        }
        let all = targets.iter().filter(|target| !graph.parameters[target.id.0].is_fixed()).count();
        if let Some(diagnostic) = mismatch.diagnostic(request, all, &report.file) {
            errors.push(diagnostic);
        }
        order.report(request, &mut report, errors);
        if mismatch.missing > 0 && request.initialize_missing {
            report.notes.push(format!("{} missing, initialised", mismatch.missing));
        }
        report
    }
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
