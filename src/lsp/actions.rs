//! What an editor offers to change: the fixes of the mistakes in a range.

use super::diagnostics::{convert, location};
use super::documents::Document;
use crate::diagnostics::{Diagnostic, Fix};
use lsp_types::{CodeAction, CodeActionKind, CodeActionOrCommand, CodeActionParams, TextEdit, WorkspaceEdit};
use std::collections::HashMap;

/// The fixes of what is wrong in a range, those of one mistake in the order in which they are likely.
pub fn actions(document: &Document, params: &CodeActionParams) -> Vec<CodeActionOrCommand> {
    let fixes = |kind: &CodeActionKind| CodeActionKind::QUICKFIX.as_str().starts_with(kind.as_str());
    if params.context.only.as_ref().is_some_and(|only| !only.iter().any(fixes)) {
        return Vec::new();
    }
    let mut list = Vec::new();
    for diagnostic in document.now.told.sorted() {
        let shown = convert(document, diagnostic);
        if shown.range.start > params.range.end || params.range.start > shown.range.end {
            continue;
        }
        let edits = diagnostic.fixes_in(&document.now.spec.sources).filter_map(|fix| action(document, diagnostic, fix));
        list.extend(edits.map(CodeActionOrCommand::CodeAction));
    }
    list
}

fn action(document: &Document, diagnostic: &Diagnostic, fix: &Fix) -> Option<CodeAction> {
    let place = location(document, fix.span)?;
    let edit = TextEdit::new(place.range, fix.text.clone());
    // An address is only compared; its text does not change.
    #[allow(clippy::mutable_key_type)]
    let changes = HashMap::from([(place.uri, vec![edit])]);
    Some(CodeAction {
        title: fix.title(),
        kind: Some(CodeActionKind::QUICKFIX),
        diagnostics: Some(vec![convert(document, diagnostic)]),
        edit: Some(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }),
        // Of several the user chooses.
        is_preferred: Some(diagnostic.fixes.len() == 1),
        ..CodeAction::default()
    })
}
