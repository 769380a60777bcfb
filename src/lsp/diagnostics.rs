//! What is told of a text while it is typed.

use super::documents::{Document, uri_of};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Label, Severity};
use crate::elaborate::Spec;
use crate::graph::Graph;
use crate::syntax::ast::ItemKind;
use lsp_types::{DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString, Range};
use std::collections::BTreeMap;

/// Everything that can be said of a spec without opening weights, and the graphs of its nets that are right.
/// Unlike `netc check` a file of fragments is no mistake: other files use it.
pub fn prove(spec: &Spec) -> (Diagnostics, Vec<Graph>) {
    let mut told = spec.faults.clone();
    told.extend(spec.check_recipes());
    let readable = !told.has_errors();
    let mut graphs = Vec::new();
    let complete = spec.complete_nets();
    for net in spec.project.root_nets() {
        let item = &spec.project.nets[net].item;
        let is_complete = complete.contains(&net);
        if !is_complete && item.parameters.iter().any(|parameter| parameter.default.is_none()) {
            continue;
        }
        match spec.graph(net) {
            Ok((graph, more)) => {
                if readable {
                    told.extend(more);
                    told.extend(weights(spec, &graph));
                }
                graphs.push(graph);
            }
            // Where an item could not be read, others miss it: that is no mistake of theirs.
            Err(_) if !readable => {}
            Err(faults) => {
                for fault in faults.iter().filter(|fault| is_complete || !of_a_fragment(fault.code)) {
                    told.push(fault.clone());
                }
            }
        }
    }
    (told, graphs)
}

/// What is only wrong because nothing comes in.
fn of_a_fragment(code: Code) -> bool {
    matches!(code, Code::Fragment | Code::NeedsMerge | Code::Contract)
}

fn weights(spec: &Spec, graph: &Graph) -> Diagnostics {
    let requests = match spec.weights(graph, &BTreeMap::new()) {
        Ok(requests) => requests,
        Err(faults) => return faults,
    };
    let mut told = Diagnostics::default();
    for request in requests.iter().filter(|request| !request.path.exists()) {
        let message = format!("{} is not there", request.path.display());
        told.push(Diagnostic::new(Code::WeightsAway, message).at(request.span, "needed to build"));
    }
    told
}

/// What an editor shows in a text.
pub fn diagnostics(document: &Document) -> Vec<lsp_types::Diagnostic> {
    document.now.told.sorted().into_iter().map(|diagnostic| convert(document, diagnostic)).collect()
}

fn convert(document: &Document, diagnostic: &Diagnostic) -> lsp_types::Diagnostic {
    let own = |label: &&Label| document.owns(label.span);
    let place = diagnostic.labels.iter().filter(own).find(|label| label.primary);
    let shown = place.or_else(|| diagnostic.labels.iter().find(own));
    let mut message = diagnostic.message.clone();
    if let Some(label) = shown.filter(|label| !label.text.is_empty()) {
        message += &format!(": {}", label.text);
    }
    for line in &diagnostic.notes {
        message += &format!("\nnote: {line}");
    }
    for line in &diagnostic.help {
        message += &format!("\nhelp: {line}");
    }
    let related: Vec<DiagnosticRelatedInformation> = diagnostic
        .labels
        .iter()
        .filter(|label| shown.is_none_or(|shown| !std::ptr::eq(*label, shown)))
        .filter_map(|label| related(document, label))
        .collect();
    lsp_types::Diagnostic {
        range: shown.map_or_else(|| elsewhere(document), |label| document.text.range(label.span.range())),
        severity: Some(match diagnostic.severity {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
        }),
        code: Some(NumberOrString::String(diagnostic.code.text().to_string())),
        source: Some("netc".into()),
        message,
        related_information: Some(related).filter(|related| !related.is_empty()),
        ..lsp_types::Diagnostic::default()
    }
}

fn related(document: &Document, label: &Label) -> Option<DiagnosticRelatedInformation> {
    Some(DiagnosticRelatedInformation { location: location(document, label.span)?, message: label.text.clone() })
}

/// The place of a span; none in a spec that ships.
pub fn location(document: &Document, span: crate::source::Span) -> Option<Location> {
    if document.owns(span) {
        return Some(Location { uri: document.uri.clone(), range: document.text.range(span.range()) });
    }
    let file = document.now.spec.sources.file(span.file);
    let text = super::documents::Text::new(file.text.clone());
    Some(Location { uri: uri_of(file.path.as_deref()?)?, range: text.range(span.range()) })
}

/// Where to show what is wrong in another file: at the first `use`, else at the start.
fn elsewhere(document: &Document) -> Range {
    let used = document.now.tree.items.iter().find(|item| matches!(item.kind, ItemKind::Use(_)));
    document.text.range(used.map_or(0..0, |item| item.span.range()))
}
