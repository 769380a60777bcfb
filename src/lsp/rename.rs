//! Renaming of nets, parameters, values and layers.

use super::cursor;
use super::documents::{Document, Documents};
use crate::compile::all_trained_weights;
use crate::elaborate::names::{LayerReference, Symbol};
use crate::graph::{Graph, Node};
use crate::ops;
use crate::source::Span;
use crate::syntax::ast::{Entry, Expr, ExprKind, ItemKind, TextPart};
use crate::syntax::{self, layer_name_text};
use lsp_types::{TextEdit, Uri, WorkspaceEdit};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// The range of the name at an offset, if it can be renamed.
pub fn renamable(document: &Document, offset: usize) -> Option<lsp_types::Range> {
    let names = document.names();
    let range = match names.at(offset) {
        Some((_, span)) => span.range(),
        None => {
            // The name may be a part of a path: `a/last`.
            layer_at(document, names.layer_at(offset)?, offset).ok()?.1
        }
    };
    Some(document.text.range(range))
}

/// Renames what is at an offset, everywhere in the text; a layer in the other open texts too.
///
/// # Errors
/// A message for the user: the name is invalid or taken, the text does not parse, the change would break something, or there
/// is nothing to rename.
pub fn rename(
    documents: &Documents,
    document: &Document,
    offset: usize,
    name: &str,
) -> Result<Option<WorkspaceEdit>, String> {
    let names = document.names();
    if names.at(offset).is_none() && names.layer_at(offset).is_none() {
        return Err("only nets, parameters, values and named layers of this file can be renamed".into());
    }
    if !document.analysis.parsed {
        return Err("the text has a syntax error: fix it first, so that no reference is missed".into());
    }
    match (names.at(offset), names.layer_at(offset)) {
        (Some((symbol, _)), _) => rename_symbol(document, offset, symbol, name),
        (None, Some(reference)) => rename_layer(documents, document, reference, offset, name),
        (None, None) => Ok(None),
    }
}

fn rename_symbol(
    document: &Document,
    offset: usize,
    symbol: &Symbol,
    name: &str,
) -> Result<Option<WorkspaceEdit>, String> {
    if symbol.name == name {
        return Ok(None);
    }
    let names = document.names();
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
    Ok(Some(workspace_edit([(document.uri.clone(), edits.collect())])))
}

fn workspace_edit(changes: impl IntoIterator<Item = (Uri, Vec<TextEdit>)>) -> WorkspaceEdit {
    // A URI is only compared; its text does not change.
    #[allow(clippy::mutable_key_type)]
    let changes = HashMap::from_iter(changes);
    WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() }
}

/// A name after `as`.
#[derive(Clone, Debug)]
struct NamedLayer {
    /// What is named.
    target: Span,
    name: String,
    /// Its file, as [`crate::source::SourceFile`] names it.
    file: String,
}

impl NamedLayer {
    /// Whether a node comes from the expression that has the name.
    fn makes(&self, document: &Document, node: &Node) -> bool {
        let sources = &document.analysis.spec.sources;
        let within = |span: Span| {
            sources.file(span.file).name == self.file && self.target.start <= span.start && span.end <= self.target.end
        };
        let mut mention = node.origin.mention.as_deref();
        let mut found = within(node.origin.span);
        while let Some(outer) = mention.filter(|_| !found) {
            found = within(outer.span);
            mention = outer.outer.as_deref();
        }
        found
    }

    /// The places in the name of a layer or scope of a graph that are this name.
    fn places(&self, document: &Document, graph: &Graph, path: &str) -> Vec<Range<usize>> {
        let ends = |at: usize| at == path.len() || path[at..].starts_with('/');
        let begins = |at: usize| at == 0 || path[..at].ends_with('/');
        let places = path.match_indices(&self.name).map(|(at, _)| at..at + self.name.len());
        let is_made = |place: &Range<usize>| {
            let (scope, inside) = (&path[..place.end], format!("{}/", &path[..place.end]));
            let mut nodes = graph.nodes.iter().filter(|node| node.name == scope || node.name.starts_with(&inside));
            nodes.any(|node| self.makes(document, node))
        };
        places.filter(|place| begins(place.start) && ends(place.end)).filter(is_made).collect()
    }
}

/// The name after `as` that is meant at an offset in the name of a layer, and the bytes of that part.
fn layer_at(
    document: &Document,
    reference: &LayerReference,
    offset: usize,
) -> Result<(NamedLayer, Range<usize>), String> {
    let file = &document.analysis.spec.sources.file(document.analysis.spec.root()).name;
    let of = |layer: &LayerReference| NamedLayer { target: layer.target, name: layer.name.clone(), file: file.clone() };
    let written = document.analysis.spec.sources.text(reference.span);
    let quote = usize::from(written.starts_with('"'));
    let start = reference.span.start as usize + quote;
    if written.trim_matches('"') != reference.name {
        return Err("a name with escapes cannot be renamed".into());
    }
    let Some(net) = &reference.cut else {
        return Ok((of(reference), start..start + reference.name.len()));
    };
    let graph = document.current_graph(net).ok_or_else(|| format!("the layers of `{net}` are not known here"))?;
    let names = document.names();
    let defined = names.layers.iter().filter(|layer| layer.cut.is_none()).flat_map(|layer| {
        let named = of(layer);
        let places = named.places(document, &graph, &reference.name);
        places.into_iter().map(move |place| (named.clone(), start + place.start..start + place.end))
    });
    // Of nested names the innermost.
    let at = defined.filter(|(_, place)| (place.start..=place.end).contains(&offset));
    let found = at.min_by_key(|(named, _)| named.target.end - named.target.start);
    found.ok_or_else(|| {
        format!("`{}` has no name after `as` in this file: its name is generated, or of another file", reference.name)
    })
}

/// A name of a layer or scope in a text, to be renamed where a part of it is meant.
struct Use {
    /// The name, within quotes or without.
    span: Span,
    path: String,
    /// The net whose layer it names.
    net: String,
    quoted: bool,
}

fn rename_layer(
    documents: &Documents,
    document: &Document,
    reference: &LayerReference,
    offset: usize,
    name: &str,
) -> Result<Option<WorkspaceEdit>, String> {
    let (layer, _) = layer_at(document, reference, offset)?;
    if layer.name == name {
        return Ok(None);
    }
    let valid = |c: char| !c.is_control() && !matches!(c, '"' | '\\' | '{' | '}');
    if name.is_empty() || !name.chars().all(valid) {
        return Err(format!(
            "`{name}` is not a valid name of a layer: it is empty, or has a sign that a name cannot have"
        ));
    }
    let mut changes: Vec<(Uri, Vec<TextEdit>)> = Vec::new();
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    for open in documents.all() {
        let is_used = open.analysis.spec.sources.iter().any(|(_, file)| file.name == layer.file);
        if !is_used {
            continue;
        }
        if open.analysis.diagnostics.has_errors() {
            let which = if open.uri == document.uri { "the text" } else { open.uri.as_str() };
            return Err(format!("{which} has errors: fix them first, so that no use of the name is missed"));
        }
        let mut edits = edits(open, &layer, name);
        if edits.is_empty() {
            continue;
        }
        edits.sort_by_key(|(place, _)| place.start);
        let mut text = open.text.text.clone();
        for (place, new) in edits.iter().rev() {
            text.replace_range(place.clone(), new);
        }
        texts.insert(open.uri.as_str(), text);
        let edit = |(place, new): (Range<usize>, String)| TextEdit::new(open.text.range(place), new);
        changes.push((open.uri.clone(), edits.into_iter().map(edit).collect()));
    }
    for open in
        documents.all().filter(|open| open.analysis.spec.sources.iter().any(|(_, file)| file.name == layer.file))
    {
        compare(open, &documents.preview(open, &texts), &layer, name)?;
    }
    Ok(Some(workspace_edit(changes)))
}

/// The places of a text where the name is written, with the new text.
fn edits(document: &Document, layer: &NamedLayer, name: &str) -> Vec<(Range<usize>, String)> {
    let names = document.names();
    let sources = &document.analysis.spec.sources;
    let mut edits = Vec::new();
    let own = sources.file(document.analysis.spec.root()).name == layer.file;
    for defined in names.layers.iter().filter(|defined| own && defined.cut.is_none()) {
        if defined.target == layer.target && defined.name == layer.name {
            let quoted = sources.text(defined.span).starts_with('"');
            edits.push((defined.span.range(), if quoted { format!("\"{name}\"") } else { layer_name_text(name) }));
        }
    }
    let mut graphs = BTreeMap::new();
    for used in uses(document) {
        let graph = graphs.entry(used.net.clone()).or_insert_with(|| document.current_graph(&used.net));
        let Some(graph) = graph.as_deref() else { continue };
        let mut path = used.path.clone();
        let places = layer.places(document, graph, &used.path);
        if places.is_empty() {
            continue;
        }
        for place in places.into_iter().rev() {
            path.replace_range(place, name);
        }
        edits.push((used.span.range(), if used.quoted { format!("\"{path}\"") } else { layer_name_text(&path) }));
    }
    edits
}

/// The names of layers in the cuts, recipes and weights of a text.
fn uses(document: &Document) -> Vec<Use> {
    let sources = &document.analysis.spec.sources;
    let names = document.names();
    let mut uses: Vec<Use> = names
        .layers
        .iter()
        .filter_map(|layer| {
            let quoted = sources.text(layer.span).starts_with('"');
            Some(Use { span: layer.span, path: layer.name.clone(), net: layer.cut.clone()?, quoted })
        })
        .collect();
    for item in &document.analysis.tree.items {
        match &item.kind {
            ItemKind::Train(recipe) => {
                recipe.entries.iter().for_each(|entry| in_entry(entry, &recipe.net.text, &mut uses));
            }
            ItemKind::Weights(weights) => {
                let renames = weights.options.iter().filter(|option| option.key.text == "rename");
                let maps = renames.filter_map(|option| match &option.value.kind {
                    ExprKind::Map(entries) => Some(entries),
                    _ => None,
                });
                maps.flatten().for_each(|(_, to)| uses.extend(use_of(to, &weights.net.text)));
            }
            _ => {}
        }
    }
    uses
}

/// The names of layers and outputs in an entry of a recipe.
fn in_entry(entry: &Entry, net: &str, uses: &mut Vec<Use>) {
    match (entry.key.text.as_str(), &entry.value.kind) {
        // `{ 5 = "conv5_1.." }`: the ends of a range.
        ("unfreeze", ExprKind::Map(entries)) => {
            for (_, layers) in entries {
                let Some(whole) = use_of(layers, net) else { continue };
                let mut at = 0;
                for piece in whole.path.split("..") {
                    let name = piece.trim_start_matches('=');
                    let start = whole.span.start + 1 + (at + piece.len() - name.len()) as u32;
                    let span = Span { start, end: start + name.len() as u32, ..whole.span };
                    at += piece.len() + 2;
                    uses.extend((!name.is_empty()).then(|| Use {
                        span,
                        path: name.to_string(),
                        net: net.to_string(),
                        quoted: false,
                    }));
                }
            }
        }
        _ => in_maps(&entry.value, net, uses),
    }
}

/// The keys of maps: layers of `rates`, outputs of a loss or of data.
fn in_maps(value: &Expr, net: &str, uses: &mut Vec<Use>) {
    if let ExprKind::Map(entries) = &value.kind {
        entries.iter().for_each(|(key, _)| uses.extend(use_of(key, net)));
    }
    value.children().into_iter().for_each(|inner| in_maps(inner, net, uses));
}

/// A word or a plain string.
fn use_of(value: &Expr, net: &str) -> Option<Use> {
    let (path, quoted) = match &value.kind {
        ExprKind::Name(word) => (word.clone(), false),
        ExprKind::Text(text) => match &text.parts[..] {
            [TextPart::Literal(literal)] => (literal.clone(), true),
            _ => return None,
        },
        _ => return None,
    };
    Some(Use { span: value.span, path, net: net.to_string(), quoted })
}

/// Whether a text means the same after the change, with the new name.
///
/// # Errors
/// What would break.
fn compare(before: &Document, after: &Document, layer: &NamedLayer, name: &str) -> Result<(), String> {
    let old = &layer.name;
    if let Some(error) = after.analysis.diagnostics.errors().sorted().first() {
        return Err(format!("`{old}` cannot become `{name}`: {}", error.message));
    }
    let refuse = |what: String| Err(format!("`{old}` cannot become `{name}`: {what}"));
    let pairs = before.snapshot.graphs.iter().zip(&after.snapshot.graphs);
    if before.snapshot.graphs.len() != after.snapshot.graphs.len() {
        return refuse("a net would change".into());
    }
    for (graph, new) in pairs {
        if graph.name != new.name || graph.nodes.len() != new.nodes.len() {
            return refuse(format!("the layers of `{}` would change", graph.name));
        }
        for (node, renamed) in graph.nodes.iter().zip(&new.nodes) {
            let expected =
                layer.places(before, graph, &node.name).into_iter().rev().fold(node.name.clone(), |mut path, place| {
                    path.replace_range(place, name);
                    path
                });
            if renamed.name != expected || renamed.inputs != node.inputs {
                return refuse(format!("`{}` of `{}` would become `{}`", node.name, graph.name, renamed.name));
            }
        }
        keeps_weights(before, graph, after, new).or_else(refuse)?;
    }
    Ok(())
}

/// Whether the layers of a net keep their weights, which are bound by name.
fn keeps_weights(before: &Document, graph: &Graph, after: &Document, new: &Graph) -> Result<(), String> {
    let spec = &after.analysis.spec;
    let Ok(requests) = spec.weights(new, &BTreeMap::new(), &all_trained_weights(&before.analysis.spec, graph)) else {
        return Ok(());
    };
    for request in requests {
        let name_in = |node: &Node| {
            let names = node.origin.layers.iter();
            names.filter(|(net, _)| **net == *request.net).map(|(_, name)| name.to_string()).next()
        };
        for (node, renamed) in graph.nodes.iter().zip(&new.nodes).filter(|(node, _)| !node.parameters.is_empty()) {
            let (Some(old), Some(new)) = (name_in(node), name_in(renamed)) else { continue };
            let is_mapped = request.rename.values().chain(request.shipped_rename.values()).any(|to| *to == new);
            if old != new && !is_mapped {
                let file = request.path.display();
                return Err(format!(
                    "`{file}` binds to `{old}` by its name; write `rename = {{ \"{old}\" = \"{old}\" }}` in `weights {}` first",
                    request.net
                ));
            }
        }
    }
    Ok(())
}
