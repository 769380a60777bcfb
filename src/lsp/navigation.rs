//! Definitions, renaming, the outline and the style.

use super::cursor;
use super::diagnostics::location;
use super::documents::Document;
use super::names::Names;
use crate::ops;
use crate::source::Span;
use crate::syntax;
use crate::syntax::ast::{ExpectItem, ItemKind, NetItem};
use lsp_types::{DocumentSymbol, Location, Range, SymbolKind, TextEdit, WorkspaceEdit};
use std::collections::HashMap;

/// Where the net, parameter or value at a byte is defined; none for what ships inside the program.
pub fn definition(document: &Document, offset: usize) -> Option<Location> {
    if let Some((symbol, _)) = Names::of(&document.now.tree).at(offset) {
        return location(document, symbol.span);
    }
    let spec = &document.now.spec;
    let word = cursor::word(&document.text.text, offset)?;
    let net = spec.project.find(&document.text.text[word], spec.root())?;
    location(document, spec.project.nets[net].item.name.span)
}

/// The word at a byte, where it can be renamed.
pub fn renamable(document: &Document, offset: usize) -> Option<Range> {
    let names = Names::of(&document.now.tree);
    names.at(offset).map(|(_, span)| document.text.range(span.range()))
}

/// Gives the thing at a byte another name wherever it is meant in the text.
pub fn rename(document: &Document, offset: usize, name: &str) -> Result<Option<WorkspaceEdit>, String> {
    let names = Names::of(&document.now.tree);
    let Some((symbol, _)) = names.at(offset) else {
        return Err("only nets, parameters and values of this file can be renamed".into());
    };
    if !document.now.parsed {
        return Err("the text has a mistake in its form: correct it first, so that no place is missed".into());
    }
    if symbol.name == name {
        return Ok(None);
    }
    let starts = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if !starts || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Err(format!("`{name}` is no name: a letter or `_`, then letters, digits and `_`"));
    }
    if syntax::KEYWORDS.contains(&name) {
        return Err(format!("`{name}` is a word of the language"));
    }
    if ops::find(name).is_some() {
        return Err(format!("`{name}` is a layer"));
    }
    // A choice such as `same` would change its meaning with a parameter of that name.
    let text = &document.text.text;
    let home = names.home(symbol).map_or(0..text.len(), Span::range);
    if names.clashes(symbol, name) || cursor::stands_in(text, home, name) {
        return Err(format!("`{name}` has a meaning here already"));
    }
    let spans: Vec<Span> = names.all(offset);
    if spans.iter().any(|span| document.now.spec.sources.text(*span) != symbol.name) {
        return Err(format!("not every place of `{}` is a word of its own", symbol.name));
    }
    let edits = spans.into_iter().map(|span| TextEdit::new(document.text.range(span.range()), name.to_string()));
    // An address is only compared; its text does not change.
    #[allow(clippy::mutable_key_type)]
    let changes = HashMap::from([(document.uri.clone(), edits.collect())]);
    Ok(Some(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }))
}

/// The outline.
pub fn symbols(document: &Document) -> Vec<DocumentSymbol> {
    let items = document.now.tree.items.iter().map(|item| {
        let (kind, name, selected, detail) = match &item.kind {
            ItemKind::Use(text) => (SymbolKind::FILE, "use".to_string(), text.span, None),
            ItemKind::Net(net) => {
                (SymbolKind::FUNCTION, net.name.text.clone(), net.name.span, Some(detail(document, net)))
            }
            ItemKind::Weights(item) => {
                (SymbolKind::CONSTANT, format!("weights {}", item.net.text), item.net.span, None)
            }
            ItemKind::Labels(item) => (SymbolKind::ENUM, format!("labels {}", item.net.text), item.net.span, None),
            ItemKind::Train(item) => (SymbolKind::EVENT, format!("train {}", item.net.text), item.net.span, None),
            ItemKind::Expect(ExpectItem::Signature { net, .. }) => {
                (SymbolKind::BOOLEAN, format!("expect {}", net.text), net.span, None)
            }
            ItemKind::Expect(ExpectItem::Condition(condition)) => {
                (SymbolKind::BOOLEAN, "expect".to_string(), condition.span, None)
            }
        };
        symbol(kind, name, detail, document.text.range(item.span.range()), document.text.range(selected.range()))
    });
    items.collect()
}

/// What a net gives, where that is known, else what it takes.
fn detail(document: &Document, net: &NetItem) -> String {
    match document.known.graphs.iter().find(|graph| graph.name == net.name.text) {
        Some(graph) => graph.summary(),
        None => {
            let names: Vec<&str> = net.parameters.iter().map(|parameter| parameter.name.text.as_str()).collect();
            format!("({})", names.join(", "))
        }
    }
}

// The field `deprecated` is itself deprecated, and has no default.
#[allow(deprecated)]
fn symbol(
    kind: SymbolKind,
    name: String,
    detail: Option<String>,
    range: Range,
    selection_range: Range,
) -> DocumentSymbol {
    DocumentSymbol { name, detail, kind, tags: None, deprecated: None, range, selection_range, children: None }
}

/// The whole text in the one style; nothing where it cannot be parsed.
pub fn format(document: &Document) -> Option<Vec<TextEdit>> {
    let text = &document.text.text;
    if !document.now.parsed {
        return None;
    }
    let formatted = syntax::format(text, &document.now.tree);
    let whole = document.text.range(0..text.len());
    Some(if formatted == *text { Vec::new() } else { vec![TextEdit::new(whole, formatted)] })
}
