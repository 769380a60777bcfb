//! Hover: documentation of the word under the cursor, with the shapes and parameters of its layers.

use super::completion::{argument_of, arguments_of, recipe_arguments};
use super::cursor::{self, Context, cursor};
use super::documents::Document;
use crate::check::expectations::FUNCTIONS;
use crate::diagnostics::counted;
use crate::elaborate::names::{Kind, LayerReference, Symbol};
use crate::graph::{Argument, Graph, Node};
use crate::ops::{self, values};
use crate::request::{Layout, WeightsOption};
use crate::syntax::{self, manual};
use crate::train::recipe;
use lsp_types::{Hover, HoverContents, MarkupContent, MarkupKind};
use std::fmt::Write;
use std::ops::Range;

/// Max lines about an expression that is expanded several times.
const MAX_LINES: usize = 4;

/// The hover text of the word at an offset.
pub fn hover(document: &Document, offset: usize) -> Option<Hover> {
    if let Some(layer) = document.names().layer_at(offset)
        && let Some(text) = layer_reference(document, layer)
    {
        return hover_at(document, layer.span.range(), text);
    }
    let text = &document.text.text;
    let word = cursor::word(text, offset)?;
    let cursor = cursor(text, word.end);
    let written = &text[word.clone()];
    let documentation = match &cursor.context {
        Context::Argument { callee } if cursor::is_assigned(text, word.end) => match cursor.recipe {
            true => {
                let known = recipe_arguments(callee).iter().find(|known| known.name == written);
                known.map(|known| of_argument(callee, known))
            }
            false => argument(document, callee, written),
        },
        Context::Nothing | Context::Cut { .. } => named(document, &word),
        Context::Key { item: "weights" } => manual::markdown(written).map(str::to_string),
        Context::Entry { item: "weights", key } => weights_choice(key, written).or_else(|| value(written)),
        Context::Value { callee, argument } if cursor.recipe => {
            let known = recipe_arguments(callee).iter().find(|known| known.name == argument);
            let choice = known.filter(|known| known.choices().any(|choice| choice == written));
            choice.map(|known| of_argument(callee, known)).or_else(|| of_recipe(written))
        }
        _ if cursor.recipe => of_recipe(written),
        Context::Value { callee, argument } => {
            let choice = argument_of(callee, argument);
            let choice = choice.filter(|known| known.choices().any(|choice| choice == written));
            let documented = named(document, &word).or_else(|| layer(document, &word)).or_else(|| value(written));
            documented.or_else(|| choice.map(|known| of_argument(callee, known)))
        }
        _ => named(document, &word)
            .or_else(|| layer(document, &word))
            .or_else(|| value(written))
            .or_else(|| function(written)),
    };
    let documentation = documentation.or_else(|| match &cursor.context {
        Context::Argument { callee } => {
            // A choice by its position: `GlobalPool(avg)`.
            let takes_it = |known: &&Argument| known.choices().any(|choice| choice == written);
            arguments_of(callee).iter().find(takes_it).map(|known| of_argument(callee, known))
        }
        _ => None,
    });
    let documentation = documentation.or_else(|| {
        let is_reserved = syntax::KEYWORDS.contains(&written);
        manual::markdown(written).filter(|_| is_reserved).map(str::to_string)
    })?;
    hover_at(document, word, documentation)
}

/// An argument with its documentation.
fn of_argument(callee: &str, argument: &Argument) -> String {
    format!("`{}` of `{callee}`: {}", argument.name, argument.documentation())
}

/// A key of recipes, or a name that a key takes.
fn of_recipe(word: &str) -> Option<String> {
    recipe::help::documentation(word).map(|text| format!("```text\n{text}```\n"))
}

/// A preprocessing or an initialiser.
fn value(word: &str) -> Option<String> {
    values::find(word).map(|text| format!("```text\n{text}```\n"))
}

/// A function of expectations.
fn function(word: &str) -> Option<String> {
    let function = FUNCTIONS.iter().find(|function| function.name == word)?;
    Some(format!("`{}`: {}", function.signature, function.doc))
}

/// A word that an option of weights takes.
fn weights_choice(option: &str, word: &str) -> Option<String> {
    let found = WeightsOption::find(option)?;
    let layout: Option<Layout> = word.parse().ok();
    match layout.filter(|_| found == WeightsOption::Layout) {
        Some(layout) => Some(format!("the layout of files from {}", layout.writer())),
        None if found.choices().contains(&word) && found != WeightsOption::Image => {
            manual::markdown(option).map(str::to_string)
        }
        None => None,
    }
}

fn hover_at(document: &Document, range: Range<usize>, text: String) -> Option<Hover> {
    let contents = HoverContents::Markup(MarkupContent { kind: MarkupKind::Markdown, value: text });
    Some(Hover { contents, range: Some(document.text.range(range)) })
}

/// The name of a layer: the layers that it names, or the layer or scope at which it cuts.
fn layer_reference(document: &Document, reference: &LayerReference) -> Option<String> {
    let Some(net) = &reference.cut else { return layers_at(document, &reference.target.range()) };
    let graph = document.graph(net)?;
    if let Some(index) = graph.nodes.iter().position(|node| node.name == reference.name) {
        let node = &graph.nodes[index];
        let kind = node.operation.definition().name;
        return Some(format!("layer {index} of `{net}`, `{kind}`  \n{}\n", describe(&graph, node)));
    }
    let inside = format!("{}/", reference.name);
    let nodes: Vec<&Node> = graph.nodes.iter().filter(|node| node.name.starts_with(&inside)).collect();
    let (first, last) = (nodes.first()?, nodes.last()?);
    let mut lines = vec![format!("a scope of `{net}`, from `{}` to `{}`", first.name, last.name)];
    let with_parameters = nodes.iter().filter(|node| !node.parameters.is_empty());
    lines.extend(with_parameters.take(MAX_LINES).map(|node| describe(&graph, node)));
    Some(lines.join("  \n") + "\n")
}

fn argument(document: &Document, callee: &str, name: &str) -> Option<String> {
    if let Some(argument) = argument_of(callee, name) {
        return Some(of_argument(callee, argument));
    }
    let spec = &document.analysis.spec;
    let net = &spec.project.nets[spec.project.find(callee, spec.root())?];
    let parameter = net.item.parameters.iter().find(|parameter| parameter.name.text == name)?;
    let default = parameter.default.as_ref().map(|default| format!("={}", spec.sources.text(default.span)));
    Some(format!("parameter `{name}{}` of `{callee}`", default.unwrap_or_default()))
}

/// A net, parameter or value.
fn named(document: &Document, word: &Range<usize>) -> Option<String> {
    let names = document.names();
    match names.at(word.start).filter(|(_, span)| span.range() == *word) {
        Some((Symbol { kind: Kind::Net, name, .. }, _)) => net(document, name, word),
        Some((symbol, _)) => {
            let definition = document.analysis.spec.sources.text(symbol.definition);
            let mut text = format!("{}\n```netc\n{definition}\n```\n", symbol.kind.noun());
            text += &layers_at(document, word).unwrap_or_default();
            Some(text)
        }
        None if matches!(cursor(&document.text.text, word.end).context, Context::Nothing | Context::Cut { .. }) => None,
        None => net(document, &document.text.text[word.clone()], word),
    }
}

/// The documentation and summary of a net.
fn net(document: &Document, name: &str, word: &Range<usize>) -> Option<String> {
    let spec = &document.analysis.spec;
    let index = spec.project.find(name, spec.root())?;
    let definition = &spec.project.nets[index];
    let parameters: Vec<&str> = definition
        .item
        .parameters
        .iter()
        .map(|parameter| {
            let end = parameter.default.as_ref().map_or(parameter.name.span, |default| default.span);
            spec.sources.text(parameter.name.span.to(end))
        })
        .collect();
    let mut text = match parameters.is_empty() {
        true => format!("```netc\nnet {name}\n```\n"),
        false => format!("```netc\nnet {name}({})\n```\n", parameters.join(", ")),
    };
    for line in &definition.docs {
        let _ = writeln!(text, "{}", line.trim());
    }
    if let Some(graph) = document.graph(name) {
        let _ = write!(text, "\n`{}`, {}\n", graph.summary(), counted(graph.parameter_count(), "parameter"));
    }
    text += &layers_at(document, word).unwrap_or_default();
    Some(text)
}

/// The documentation of a layer, and its shapes here.
fn layer(document: &Document, word: &Range<usize>) -> Option<String> {
    let definition = ops::find(&document.text.text[word.clone()])?;
    let made = layers_at(document, word).map_or(String::new(), |made| format!("{made}\n---\n"));
    Some(format!("{made}```text\n{}```\n", definition.documentation()))
}

/// The shapes and parameters of the layers whose code starts at a word.
fn layers_at(document: &Document, word: &Range<usize>) -> Option<String> {
    let snapshot = &document.snapshot;
    let start = document.to_snapshot(word.start)?;
    let here = |node: &&Node| node.origin.span.file == snapshot.root && node.origin.span.start as usize == start;
    let mut lines: Vec<String> = Vec::new();
    for graph in &snapshot.graphs {
        for node in graph.nodes.iter().filter(here) {
            let line = describe(graph, node);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    let more = lines.len().saturating_sub(MAX_LINES);
    lines.truncate(MAX_LINES);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    (!lines.is_empty()).then(|| lines.join("  \n") + "\n")
}

/// A layer's output type and parameters in one line.
fn describe(graph: &Graph, node: &Node) -> String {
    let mut line = format!("`{}` gives `{}`", node.name, node.output);
    let parameters: Vec<String> = node
        .parameters
        .iter()
        .map(|id| {
            let parameter = &graph.parameters[id.0];
            let sizes: Vec<String> = parameter.shape.iter().map(usize::to_string).collect();
            format!("{} ({})", parameter.role, sizes.join(", "))
        })
        .collect();
    if !parameters.is_empty() {
        let count: usize = node.parameters.iter().map(|id| graph.parameters[id.0].len()).sum();
        let _ = write!(line, "; {}: {}", parameters.join(", "), counted(count, "parameter"));
    }
    line
}
