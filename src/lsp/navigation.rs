//! Document symbols and formatting.

use super::documents::Document;
use crate::elaborate::names::{Kind, Names};
use crate::source::Span;
use crate::syntax;
use crate::syntax::ast::{Entry, ExpectItem, ItemKind, NetItem};
use lsp_types::{DocumentSymbol, Range, SymbolKind, TextEdit};

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
