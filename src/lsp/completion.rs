//! Completion at the cursor.

use super::cursor::{Context, cursor};
use super::documents::Document;
use super::paths::{PathKind, entries};
use crate::graph::{Argument, Initializer};
use crate::ops::{self, values};
use crate::request::{RecipeKey, WeightsOption};
use crate::syntax::{layer_name_text, manual};
use crate::train::recipe::help::{choices as recipe_choices, find_choice};
use crate::train::recipe::keys::KEYS;
use crate::train::recipe::keys::key::NamedChoice;
use lsp_types::{
    CompletionItem, CompletionItemKind, CompletionResponse, CompletionTextEdit, Documentation, MarkupContent,
    MarkupKind, Range, TextEdit,
};
use std::collections::BTreeSet;

/// The keywords of items, with descriptions.
const ITEMS: [(&str, &str); 6] = [
    ("net", "a network or a part of one"),
    ("weights", "the pretrained weights of a net"),
    ("labels", "the class names of a net"),
    ("train", "the training recipe of a net"),
    ("use", "makes the nets of another file available"),
    ("expect", "an expectation that `netc test` checks"),
];

/// The keywords of expressions, with descriptions.
const FORMS: [(&str, &str); 5] = [
    ("frozen", "layers that are not trained"),
    ("repeat", "a chain of copies with parameters of their own"),
    ("if", "a choice at compile time"),
    ("let", "a value in a block"),
    ("share", "layers with shared parameters, in a block"),
];

/// Collects completion items, the likely ones first.
struct List {
    range: Range,
    items: Vec<CompletionItem>,
    seen: BTreeSet<String>,
}

impl List {
    fn add(&mut self, label: &str, kind: CompletionItemKind, detail: String) -> Option<&mut CompletionItem> {
        self.add_as(label, label.to_string(), kind, detail)
    }

    fn add_as(
        &mut self,
        label: &str,
        text: String,
        kind: CompletionItemKind,
        detail: String,
    ) -> Option<&mut CompletionItem> {
        if !self.seen.insert(label.to_string()) {
            return None;
        }
        self.items.push(CompletionItem {
            label: label.to_string(),
            kind: Some(kind),
            detail: Some(detail).filter(|detail| !detail.is_empty()),
            sort_text: Some(format!("{:05}", self.items.len())),
            filter_text: Some(label.to_string()),
            text_edit: Some(CompletionTextEdit::Edit(TextEdit::new(self.range, text))),
            ..CompletionItem::default()
        });
        self.items.last_mut()
    }

    fn words(&mut self, words: &[(&str, &str)]) {
        for (word, detail) in words {
            self.add(word, CompletionItemKind::KEYWORD, detail.to_string());
        }
    }
}

/// The completions at an offset.
pub fn completion(document: &Document, offset: usize) -> CompletionResponse {
    let cursor = cursor(&document.text.text, offset);
    let range = document.text.range(cursor.start..offset);
    let mut list = List { range, items: Vec::new(), seen: BTreeSet::new() };
    match &cursor.context {
        Context::Nothing => {}
        Context::Item { first } => {
            list.words(&ITEMS);
            if *first {
                expression(&mut list, document, &cursor.scope);
            }
        }
        Context::Net => nets(&mut list, document),
        Context::Key { item: "train" } => keys(&mut list),
        Context::Key { .. } => {
            for option in WeightsOption::ALL.iter().map(|option| option.name()) {
                if let Some(item) =
                    list.add_as(option, format!("{option} = "), CompletionItemKind::PROPERTY, String::new())
                {
                    item.documentation = manual::markdown(option).map(markdown);
                }
            }
        }
        Context::Entry { item: "train", key } => offered(&mut list, &recipe_choices(key)),
        Context::Entry { key, .. } => {
            for choice in WeightsOption::find(key).map(WeightsOption::choices).unwrap_or_default() {
                list.add(choice, CompletionItemKind::ENUM_MEMBER, String::new());
            }
        }
        Context::Path { kind, written } => paths(&mut list, document, *kind, written),
        Context::Argument { callee } if cursor.recipe => {
            let arguments = recipe_arguments(callee);
            named(&mut list, arguments);
            arguments.iter().for_each(|argument| keywords(&mut list, argument));
        }
        Context::Value { callee, argument } if cursor.recipe => {
            if let Some(argument) = recipe_arguments(callee).iter().find(|known| known.name == argument) {
                keywords(&mut list, argument);
            }
            // A learning rate can be a schedule.
            if argument == "step"
                && recipe_choices(RecipeKey::Optimizer.name()).iter().any(|known| known.name == callee)
            {
                offered(&mut list, &recipe_choices("schedule"));
            }
        }
        Context::Expression if cursor.recipe => {}
        Context::Cut { net } => layers_of(&mut list, document, net),
        Context::Expression => expression(&mut list, document, &cursor.scope),
        Context::Argument { callee } => {
            arguments(&mut list, document, callee);
            expression(&mut list, document, &cursor.scope);
        }
        Context::Value { callee, argument } => match argument_of(callee, argument) {
            // No layer is the value of a layer's argument.
            Some(argument) => {
                keywords(&mut list, argument);
                scope(&mut list, &cursor.scope);
            }
            None => expression(&mut list, document, &cursor.scope),
        },
    }
    CompletionResponse::Array(list.items)
}

/// The arguments of a layer, or of a value such as `Image(…)`.
pub fn arguments_of(name: &str) -> &'static [Argument] {
    let of_layer = ops::find(name).map(|definition| definition.arguments);
    of_layer.or_else(|| values::arguments(name)).unwrap_or_default()
}

/// An argument of a layer, or of a value.
pub fn argument_of(name: &str, argument: &str) -> Option<&'static Argument> {
    arguments_of(name).iter().find(|known| known.name == argument)
}

fn markdown(text: impl Into<String>) -> Documentation {
    Documentation::MarkupContent(MarkupContent { kind: MarkupKind::Markdown, value: text.into() })
}

/// Adds the keys of recipes.
fn keys(list: &mut List) {
    for key in KEYS.iter() {
        let text = format!("{} = ", key.name);
        if let Some(item) =
            list.add_as(key.name, text, CompletionItemKind::PROPERTY, format!("default: {}", key.default))
        {
            item.documentation = Some(markdown(key.summary));
        }
    }
}

/// Adds the files and folders that continue a path.
fn paths(list: &mut List, document: &Document, kind: PathKind, written: &str) {
    for entry in entries(document, kind, written) {
        match entry.is_file {
            true => list.add(&entry.name, CompletionItemKind::FILE, String::new()),
            false => list.add_as(&entry.name, format!("{}/", entry.name), CompletionItemKind::FOLDER, String::new()),
        };
    }
}

/// Adds the parameters and values in scope, the innermost first.
fn scope(list: &mut List, names: &[String]) {
    for name in names.iter().rev() {
        list.add(name, CompletionItemKind::VARIABLE, "in scope".into());
    }
}

fn expression(list: &mut List, document: &Document, names: &[String]) {
    scope(list, names);
    nets(list, document);
    for definition in ops::LAYERS {
        for name in definition.names() {
            if let Some(item) = list.add(name, CompletionItemKind::CLASS, definition.signature()) {
                item.documentation = Some(Documentation::String(definition.summary.to_string()));
            }
        }
    }
    list.words(&FORMS);
}

fn nets(list: &mut List, document: &Document) {
    let spec = &document.analysis.spec;
    for name in spec.project.names(spec.root()) {
        let net = spec.project.find(&name, spec.root()).map(|net| &spec.project.nets[net]);
        let detail = net.map_or("a net that ships with netc".to_string(), |net| {
            let names: Vec<&str> = net.item.parameters.iter().map(|parameter| parameter.name.text.as_str()).collect();
            format!("net {name}({})", names.join(", "))
        });
        if let Some(item) = list.add(&name, CompletionItemKind::FUNCTION, detail)
            && let Some(net) = net.filter(|net| !net.docs.is_empty())
        {
            let value = net.docs.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n");
            item.documentation =
                Some(Documentation::MarkupContent(MarkupContent { kind: MarkupKind::PlainText, value }));
        }
    }
}

fn arguments(list: &mut List, document: &Document, callee: &str) {
    let spec = &document.analysis.spec;
    if let Some(net) = spec.project.find(callee, spec.root()) {
        for parameter in &spec.project.nets[net].item.parameters {
            let name = &parameter.name.text;
            list.add_as(name, format!("{name}="), CompletionItemKind::FIELD, format!("parameter of {callee}"));
        }
        return;
    }
    let arguments = arguments_of(callee);
    named(list, arguments);
    // Keywords can be given by position too: `GlobalPool(avg)`.
    arguments.iter().for_each(|argument| keywords(list, argument));
}

/// Adds the names of arguments.
fn named(list: &mut List, arguments: &[Argument]) {
    for argument in arguments {
        let name = argument.name;
        list.add_as(name, format!("{name}="), CompletionItemKind::FIELD, argument.documentation());
    }
}

/// Adds the values of a key of a recipe.
fn offered(list: &mut List, choices: &[NamedChoice]) {
    for choice in choices {
        list.add(choice.name, CompletionItemKind::CONSTRUCTOR, choice.summary.to_string());
    }
}

/// The arguments of a value in a recipe: an optimizer, a schedule, a data source.
pub fn recipe_arguments(name: &str) -> &'static [Argument] {
    find_choice(name).map_or(&[], |choice| choice.arguments)
}

/// Adds the keywords that an argument takes.
fn keywords(list: &mut List, argument: &Argument) {
    for word in argument.choices() {
        match word.split_once('(') {
            None => list.add(word, CompletionItemKind::ENUM_MEMBER, argument.doc.to_string()),
            Some((name, _)) => {
                list.add_as(name, format!("{name}("), CompletionItemKind::CONSTRUCTOR, argument.doc.to_string())
            }
        };
    }
    if argument.takes.contains("initialiser") {
        for name in Initializer::NAMES {
            list.add(name, CompletionItemKind::CONSTRUCTOR, Initializer::doc(name).unwrap_or_default());
        }
    }
}

/// Adds the layers and scopes of a net.
fn layers_of(list: &mut List, document: &Document, net: &str) {
    let Some(graph) = document.graph(net) else { return };
    for node in &graph.nodes {
        let kind = node.operation.definition().name;
        let text = layer_name_text(&node.name);
        list.add_as(&node.name, text, CompletionItemKind::FIELD, format!("{kind} {}", node.output));
    }
    for scope in &graph.scopes() {
        list.add_as(scope, layer_name_text(scope), CompletionItemKind::MODULE, "a scope".into());
    }
}
