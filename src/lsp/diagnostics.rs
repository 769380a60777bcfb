//! Converts diagnostics to those of the protocol.

use super::documents::{Document, uri_of};
use crate::diagnostics::{Diagnostic, Label, Severity};
use crate::syntax::ast::ItemKind;
use lsp_types::{DiagnosticRelatedInformation, DiagnosticSeverity, Location, NumberOrString, Range};

/// The diagnostics of a document, for the editor.
pub fn diagnostics(document: &Document) -> Vec<lsp_types::Diagnostic> {
    document.analysis.diagnostics.sorted().into_iter().map(|diagnostic| convert(document, diagnostic)).collect()
}

/// A diagnostic for the editor.
pub fn convert(document: &Document, diagnostic: &Diagnostic) -> lsp_types::Diagnostic {
    let own = |label: &&Label| document.owns(label.span);
    let primary = diagnostic.labels.iter().filter(own).find(|label| label.primary);
    let shown = primary.or_else(|| diagnostic.labels.iter().find(own));
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

/// The location of a span; `None` in a shipped spec.
pub fn location(document: &Document, span: crate::source::Span) -> Option<Location> {
    if document.owns(span) {
        return Some(Location { uri: document.uri.clone(), range: document.text.range(span.range()) });
    }
    let file = document.analysis.spec.sources.file(span.file);
    let text = super::documents::Text::new(file.text.clone());
    Some(Location { uri: uri_of(file.path.as_deref()?)?, range: text.range(span.range()) })
}

/// The range at which errors in other files are shown: the first `use`, else the start.
fn elsewhere(document: &Document) -> Range {
    let used = document.analysis.tree.items.iter().find(|item| matches!(item.kind, ItemKind::Use(_)));
    document.text.range(used.map_or(0..0, |item| item.span.range()))
}
