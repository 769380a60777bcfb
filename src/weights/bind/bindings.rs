//! Where the values of a graph's parameters come from.

use super::pieces::{Source, beside};
use super::report::{Report, shortened};
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::graph::{Graph, Parameter, ParameterId};
use crate::size::sizes_text;
use crate::source::Span;
use crate::weights::store::{Store, StoreError};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;

/// The seed of parameters that are not bound, unless a recipe has its own.
pub const SEED: u64 = 0;

/// The tensors of a store that hold a parameter, each with some of its columns.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sources {
    pub(super) store: usize,
    pub(super) tensors: Vec<Source>,
}

/// Where the values of a graph's parameters come from.
#[derive(Debug)]
pub struct Bindings {
    pub(super) stores: Vec<Box<dyn Store>>,
    pub(super) sources: Vec<Option<Sources>>,
    /// The parameters by path.
    pub(super) by_path: HashMap<String, ParameterId>,
    /// Parameters that do not exist in the framework of their file: they are initialised.
    pub(super) initial: Vec<bool>,
    /// The weights block that requested each store, and its net.
    pub(super) requested: Vec<(Span, String)>,
    /// Stores with values that are not finite, and the layers that have them.
    pub(super) not_finite: Mutex<BTreeMap<usize, BTreeSet<String>>>,
    /// The seed of parameters that are not bound.
    pub seed: u64,
    pub report: Report,
}

impl Bindings {
    /// Whether the values of a parameter are from a file.
    pub fn is_bound(&self, id: ParameterId) -> bool {
        matches!(self.sources.get(id.0), Some(Some(_)))
    }

    /// Whether the parameters of one graph take the same values of equal files in both, in the same order.
    pub fn reads_as(&self, other: &Bindings) -> bool {
        self.sources == other.sources && self.initial == other.initial && self.seed == other.seed
    }

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

    /// Adds to the report where each parameter comes from.
    pub(super) fn finish_report(&mut self, graph: &Graph) {
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
