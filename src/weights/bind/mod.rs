//! Binding: finds the tensor that each parameter of a graph takes its values from. Binding is strict, by net and name, and
//! reports all mismatches at once.

pub(crate) mod attention;
pub mod axis_permutation;
mod bindings;
mod class_order;
pub(crate) mod convert;
mod file;
pub(crate) mod layer_names;
mod mismatch;
mod pieces;
mod refused_order;
pub mod report;

pub use bindings::{Bindings, SEED};

use super::store::{Store, StoreError};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result};
use crate::graph::{Graph, ParameterId};
use crate::request::WeightsRequest;
use convert::{HIDDEN_BIASES, LayerFacts};
use file::bind_file;
use report::Report;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write;
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;

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
