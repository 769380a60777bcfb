//! Renaming, document symbols and formatting.

use super::cursor;
use super::documents::Document;
use crate::elaborate::names::{Kind, Names};
use crate::ops;
use crate::source::Span;
use crate::syntax;
use crate::syntax::ast::{Entry, ExpectItem, ItemKind, NetItem};
use lsp_types::{DocumentSymbol, Range, SymbolKind, TextEdit, WorkspaceEdit};
use std::collections::HashMap;

/// The range of the name at an offset, if it can be renamed.
pub fn renamable(document: &Document, offset: usize) -> Option<Range> {
    let names = document.names();
    names.at(offset).map(|(_, span)| document.text.range(span.range()))
}

/// Renames the symbol at an offset everywhere in the text.
///
/// # Errors
/// A message for the user: the name is invalid or taken, the text does not parse, or there is no symbol.
pub fn rename(document: &Document, offset: usize, name: &str) -> Result<Option<WorkspaceEdit>, String> {
    let names = document.names();
    let Some((symbol, _)) = names.at(offset) else {
        return Err("only nets, parameters and values of this file can be renamed".into());
    };
    if !document.analysis.parsed {
        return Err("the text has a syntax error: fix it first, so that no reference is missed".into());
    }
    if symbol.name == name {
        return Ok(None);
    }
    let starts = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if !starts || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Err(format!("`{name}` is not a valid name: a letter or `_`, then letters, digits and `_`"));
    }
    if syntax::KEYWORDS.contains(&name) {
        return Err(format!("`{name}` is a reserved word"));
    }
    if ops::find(name).is_some() {
        return Err(format!("`{name}` is the name of a layer"));
    }
    // A parameter with the name of a keyword such as `same` would change its meaning.
    let text = &document.text.text;
    let within = names.enclosing_net(symbol).map_or(0..text.len(), Span::range);
    if names.clashes(symbol, name) || cursor::is_used_in(text, within, name) {
        return Err(format!("`{name}` is already used here"));
    }
    let spans: Vec<Span> = names.all(offset);
    if spans.iter().any(|span| document.analysis.spec.sources.text(*span) != symbol.name) {
        return Err(format!("not every reference to `{}` is written as this name", symbol.name));
    }
    let edits = spans.into_iter().map(|span| TextEdit::new(document.text.range(span.range()), name.to_string()));
    // A URI is only compared; its text does not change.
    #[allow(clippy::mutable_key_type)]
    let changes = HashMap::from([(document.uri.clone(), edits.collect())]);
    Ok(Some(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }))
}

/// The outline: the items, and the names and keys in them.
pub fn symbols(document: &Document) -> Vec<DocumentSymbol> {
    let names = document.names();
    let range = |span: Span| document.text.range(span.range());
    let items = document.analysis.tree.items.iter().map(|item| {
        let of = |kind, name: String, selected: Span| symbol(kind, name, range(item.span), range(selected));
        match &item.kind {
            ItemKind::Use(text) => of(SymbolKind::FILE, "use".into(), text.span),
            ItemKind::Net(net) => DocumentSymbol {
                detail: Some(detail(document, net)),
                children: Some(inside(document, &names, item.span)),
                ..of(SymbolKind::FUNCTION, net.name.text.clone(), net.name.span)
            },
            ItemKind::Weights(item) => DocumentSymbol {
                children: Some(entries(document, &item.options)),
                ..of(SymbolKind::CONSTANT, format!("weights {}", item.net.text), item.net.span)
            },
            ItemKind::Labels(item) => of(SymbolKind::ENUM, format!("labels {}", item.net.text), item.net.span),
            ItemKind::Train(item) => DocumentSymbol {
                children: Some(entries(document, &item.entries)),
                ..of(SymbolKind::EVENT, format!("train {}", item.net.text), item.net.span)
            },
            ItemKind::Expect(ExpectItem::Signature { net, .. }) => {
                of(SymbolKind::BOOLEAN, format!("expect {}", net.text), net.span)
            }
            ItemKind::Expect(ExpectItem::Condition(condition)) => {
                of(SymbolKind::BOOLEAN, "expect".into(), condition.span)
            }
        }
    });
    items.collect()
}

/// The values and named layers of a net.
fn inside(document: &Document, names: &Names, net: Span) -> Vec<DocumentSymbol> {
    let range = |span: Span| document.text.range(span.range());
    let values = names
        .symbols
        .iter()
        .filter(|value| matches!(value.kind, Kind::Let | Kind::Share))
        .map(|value| symbol(SymbolKind::VARIABLE, value.name.clone(), range(value.definition), range(value.span)));
    let layers = names.layers.iter().filter(|layer| layer.cut.is_none());
    let layers = layers.map(|layer| {
        symbol(SymbolKind::FIELD, layer.name.clone(), range(layer.target.to(layer.span)), range(layer.span))
    });
    let within = range(net);
    let mut list: Vec<DocumentSymbol> = values.chain(layers).collect();
    list.retain(|inner| within.start <= inner.range.start && inner.range.end <= within.end);
    list.sort_by_key(|inner| inner.selection_range.start);
    list
}

/// The entries of a block.
fn entries(document: &Document, entries: &[Entry]) -> Vec<DocumentSymbol> {
    let range = |span: Span| document.text.range(span.range());
    let entry = |entry: &Entry| {
        let whole = range(entry.key.span.to(entry.value.span));
        symbol(SymbolKind::PROPERTY, entry.key.text.clone(), whole, range(entry.key.span))
    };
    entries.iter().map(entry).collect()
}

/// The summary of a net, or its parameters if its graph is unknown.
fn detail(document: &Document, net: &NetItem) -> String {
    match document.snapshot.graphs.iter().find(|graph| graph.name == net.name.text) {
        Some(graph) => graph.summary(),
        None => {
            let names: Vec<&str> = net.parameters.iter().map(|parameter| parameter.name.text.as_str()).collect();
            format!("({})", names.join(", "))
        }
    }
}

// The field `deprecated` is itself deprecated, and has no default.
#[allow(deprecated)]
fn symbol(kind: SymbolKind, name: String, range: Range, selection_range: Range) -> DocumentSymbol {
    DocumentSymbol { name, detail: None, kind, tags: None, deprecated: None, range, selection_range, children: None }
}

/// The edits that format the text; `None` if it does not parse.
pub fn format(document: &Document) -> Option<Vec<TextEdit>> {
    let text = &document.text.text;
    if !document.analysis.parsed {
        return None;
    }
    let formatted = syntax::format(text, &document.analysis.tree);
    let whole = document.text.range(0..text.len());
    Some(if formatted == *text { Vec::new() } else { vec![TextEdit::new(whole, formatted)] })
}
