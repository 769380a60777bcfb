//! Code actions: the fixes of the diagnostics in a range.

use super::diagnostics::{convert, location};
use super::documents::Document;
use crate::diagnostics::{Diagnostic, Fix};
use lsp_types::{CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionParams, TextEdit, WorkspaceEdit};
use std::collections::HashMap;

/// The fixes of the diagnostics in a range; alternatives of one diagnostic are ordered by likelihood.
pub fn actions(document: &Document, params: &CodeActionParams) -> Vec<CodeActionOrCommand> {
    let fixes = |kind: &CodeActionKind| CodeActionKind::QUICKFIX.as_str().starts_with(kind.as_str());
    if params.context.only.as_ref().is_some_and(|only| !only.iter().any(fixes)) {
        return Vec::new();
    }
    let mut list = Vec::new();
    for diagnostic in document.analysis.diagnostics.sorted() {
        let shown = convert(document, diagnostic);
        if shown.range.start > params.range.end || params.range.start > shown.range.end {
            continue;
        }
        let edits =
            diagnostic.fixes_in(&document.analysis.spec.sources).filter_map(|fix| action(document, diagnostic, fix));
        list.extend(edits.map(CodeActionOrCommand::CodeAction));
    }
    list
}

fn action(document: &Document, diagnostic: &Diagnostic, fix: &Fix) -> Option<CodeAction> {
    let location = location(document, fix.span)?;
    let edit = TextEdit::new(location.range, fix.text.clone());
    // A URI is only compared; its text does not change.
    #[allow(clippy::mutable_key_type)]
    let changes = HashMap::from([(location.uri, vec![edit])]);
    Some(CodeAction {
        title: fix.title(),
        kind: Some(CodeActionKind::QUICKFIX),
        diagnostics: Some(vec![convert(document, diagnostic)]),
        edit: Some(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }),
        // The user chooses between alternatives.
        is_preferred: Some(diagnostic.fixes.len() == 1),
        ..CodeAction::default()
    })
}
