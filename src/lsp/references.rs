//! Definitions and references of nets, parameters, values and layers across the open documents.

use super::cursor;
use super::diagnostics::location;
use super::documents::{Document, Documents};
use super::shipped_files;
use crate::graph::Graph;
use crate::source::Span;
use lsp_types::{DocumentHighlight, DocumentHighlightKind, Location};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A word with the definition that it refers to, possibly in another file.
struct Word {
    span: Span,
    defined: Span,
    /// Whether it is the name in the definition.
    defines: bool,
}

/// All words of a document whose definition is known.
fn words(document: &Document) -> Vec<Word> {
    let names = document.names();
    let project = &document.analysis.spec.project;
    let mut words: Vec<Word> = Vec::new();
    for &(span, symbol) in &names.references {
        let defined = names.symbols[symbol].span;
        words.push(Word { span, defined, defines: span == defined });
    }
    for (span, name) in &names.unresolved {
        let net = project.find(name, document.analysis.spec.root());
        words.extend(net.map(|net| Word { span: *span, defined: project.nets[net].item.name.span, defines: false }));
    }
    let mut graphs: BTreeMap<&str, Option<Cow<'_, Graph>>> = BTreeMap::new();
    for layer in &names.layers {
        let Some(net) = &layer.cut else {
            words.push(Word { span: layer.span, defined: layer.target, defines: true });
            continue;
        };
        let graph = graphs.entry(net).or_insert_with(|| document.current_graph(net));
        let defined = graph.as_ref().and_then(|graph| place_of(graph, &layer.name));
        words.extend(defined.map(|defined| Word { span: layer.span, defined, defines: false }));
    }
    words
}

/// The place of a layer of a graph, or of a scope: that of its first layer, or of the use of a net that made it.
fn place_of(graph: &Graph, name: &str) -> Option<Span> {
    if let Some(node) = graph.nodes.iter().find(|node| node.name == name) {
        return Some(node.origin.span);
    }
    let inside = format!("{name}/");
    let first = graph.nodes.iter().find(|node| node.name.starts_with(&inside))?;
    // A use of a net for each scope inside.
    let levels = first.name[inside.len()..].matches('/').count() + 1;
    let mut place = first.origin.span;
    let mut mention = first.origin.mention.as_deref();
    for _ in 0..levels {
        let Some(used) = mention.filter(|mention| mention.outer.is_some()) else { break };
        place = used.span;
        mention = used.outer.as_deref();
    }
    Some(place)
}

/// The location of a span; that of a shipped spec is in a copy.
fn shown(document: &Document, span: Span) -> Option<Location> {
    let file = document.analysis.spec.sources.file(span.file);
    match file.shipped {
        true => shipped_files::location(file, span),
        false => location(document, span),
    }
}

/// A key for a definition that is the same in all open documents: its file and offset.
fn definition_key(document: &Document, defined: Span) -> (&str, u32) {
    (&document.analysis.spec.sources.file(defined.file).name, defined.start)
}

fn at(words: &[Word], offset: usize) -> Option<&Word> {
    words.iter().find(|word| (word.span.start as usize..=word.span.end as usize).contains(&offset))
}

/// The location of the definition of the word at an offset.
pub fn definition(document: &Document, offset: usize) -> Option<Location> {
    if let Some(word) = at(&words(document), offset) {
        return shown(document, word.defined);
    }
    // In a text that does not parse, a net is found by its name.
    let spec = &document.analysis.spec;
    let word = cursor::word(&document.text.text, offset)?;
    let net = spec.project.find(&document.text.text[word], spec.root())?;
    shown(document, spec.project.nets[net].item.name.span)
}

/// All references in the open documents to the definition of the word at an offset, optionally with the definition.
pub fn references(documents: &Documents, document: &Document, offset: usize, with_definition: bool) -> Vec<Location> {
    let own = words(document);
    let Some(referred) = at(&own, offset) else { return Vec::new() };
    let target = definition_key(document, referred.defined);
    let mut locations = Vec::new();
    let mut has_definition = false;
    for other in documents.all() {
        for word in words(other).iter().filter(|word| definition_key(other, word.defined) == target) {
            has_definition |= word.defines;
            if with_definition || !word.defines {
                locations.push(Location { uri: other.uri.clone(), range: other.text.range(word.span.range()) });
            }
        }
    }
    // The definition is in a file that is not open.
    if with_definition && !has_definition {
        locations.extend(shown(document, referred.defined));
    }
    locations
}

/// The references in the document itself.
pub fn highlights(document: &Document, offset: usize) -> Vec<DocumentHighlight> {
    let words = words(document);
    let Some(referred) = at(&words, offset) else { return Vec::new() };
    let same = words.iter().filter(|word| word.defined == referred.defined);
    let kind = |word: &Word| if word.defines { DocumentHighlightKind::WRITE } else { DocumentHighlightKind::READ };
    let shown =
        |word: &Word| DocumentHighlight { range: document.text.range(word.span.range()), kind: Some(kind(word)) };
    same.map(shown).collect()
}
