//! Where else a word is meant: all places of a net, parameter, value or layer.

use super::cursor;
use super::diagnostics::location;
use super::documents::{Document, Documents};
use crate::graph::Graph;
use crate::source::Span;
use lsp_types::{DocumentHighlight, DocumentHighlightKind, Location};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A word of a text, and where what it means is defined, in another file perhaps.
struct Word {
    span: Span,
    defined: Span,
    /// Whether it stands at the definition.
    defines: bool,
}

/// Every word of a text whose definition is known.
fn words(document: &Document) -> Vec<Word> {
    let names = document.names();
    let project = &document.now.spec.project;
    let mut words: Vec<Word> = Vec::new();
    for &(span, symbol) in &names.references {
        let defined = names.symbols[symbol].span;
        words.push(Word { span, defined, defines: span == defined });
    }
    for (span, name) in &names.unresolved {
        let net = project.find(name, document.now.spec.root());
        words.extend(net.map(|net| Word { span: *span, defined: project.nets[net].item.name.span, defines: false }));
    }
    let mut graphs: BTreeMap<&str, Option<Cow<'_, Graph>>> = BTreeMap::new();
    for layer in &names.layers {
        let Some(net) = &layer.cut else {
            words.push(Word { span: layer.span, defined: layer.target, defines: true });
            continue;
        };
        let graph = graphs.entry(net).or_insert_with(|| document.present_graph(net));
        let node = graph.as_ref().and_then(|graph| graph.nodes.iter().find(|node| node.name == layer.name));
        words.extend(node.map(|node| Word { span: layer.span, defined: node.origin.span, defines: false }));
    }
    words
}

/// Where a definition stands, in words that all open texts share: its file and first byte.
fn place(document: &Document, defined: Span) -> (&str, u32) {
    (&document.now.spec.sources.file(defined.file).name, defined.start)
}

fn at(words: &[Word], offset: usize) -> Option<&Word> {
    words.iter().find(|word| (word.span.start as usize..=word.span.end as usize).contains(&offset))
}

/// Where what is meant at a byte is defined; none for what ships inside the program.
pub fn definition(document: &Document, offset: usize) -> Option<Location> {
    if let Some(word) = at(&words(document), offset) {
        return location(document, word.defined);
    }
    // In a text that cannot be parsed a net is found by its name alone.
    let spec = &document.now.spec;
    let word = cursor::word(&document.text.text, offset)?;
    let net = spec.project.find(&document.text.text[word], spec.root())?;
    location(document, spec.project.nets[net].item.name.span)
}

/// All places in the open texts where the same is meant as at a byte; with the definition, where that is asked for.
pub fn references(documents: &Documents, document: &Document, offset: usize, with_definition: bool) -> Vec<Location> {
    let own = words(document);
    let Some(meant) = at(&own, offset) else { return Vec::new() };
    let target = place(document, meant.defined);
    let mut places = Vec::new();
    let mut shown = false;
    for other in documents.all() {
        for word in words(other).iter().filter(|word| place(other, word.defined) == target) {
            shown |= word.defines;
            if with_definition || !word.defines {
                places.push(Location { uri: other.uri.clone(), range: other.text.range(word.span.range()) });
            }
        }
    }
    // The definition of a file that is not open.
    if with_definition && !shown {
        places.extend(location(document, meant.defined));
    }
    places
}

/// All places in the text itself.
pub fn highlights(document: &Document, offset: usize) -> Vec<DocumentHighlight> {
    let words = words(document);
    let Some(meant) = at(&words, offset) else { return Vec::new() };
    let same = words.iter().filter(|word| word.defined == meant.defined);
    let kind = |word: &Word| if word.defines { DocumentHighlightKind::WRITE } else { DocumentHighlightKind::READ };
    let shown =
        |word: &Word| DocumentHighlight { range: document.text.range(word.span.range()), kind: Some(kind(word)) };
    same.map(shown).collect()
}
