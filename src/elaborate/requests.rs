//! The items beside the nets: reads `weights` and `labels` items into requests, and checks the keys of `train` items.

use super::elaborator::Elaborator;
use super::environment::Scope;
use super::project::{self, shipped};
use super::spec::Spec;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, foreign_names, suggest};
use crate::graph::{Graph, Value, ValueKind};
use crate::request::{DETECT_LAYOUT, LabelsRequest, Layout, RecipeKey, WeightsOption, WeightsRequest};
use crate::source::{FileId, Span};
use crate::syntax::ast::{Entry, Expr, Ident, LabelsItem, WeightsItem};
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

impl Spec {
    /// The weights files for the layers of a graph, those of inner nets first. By net, `replaced` are the files from the
    /// command line, `trained` those that training has written.
    ///
    /// # Errors
    /// Invalid options of a weights block, and a net in `replaced` that no layer comes from.
    pub fn weights(
        &self,
        graph: &Graph,
        replaced: &BTreeMap<String, PathBuf>,
        trained: &BTreeMap<String, PathBuf>,
    ) -> Result<Vec<WeightsRequest>> {
        let mut errors = Diagnostics::default();
        let mut requests = Vec::new();
        let mut nets: Vec<&str> = Vec::new();
        let mut seen: HashSet<&str> = HashSet::new();
        for (net, _) in graph.nodes.iter().flat_map(|node| &node.origin.layers) {
            if seen.insert(net) {
                nets.push(net);
            }
        }
        for net in nets {
            let own = self.project.weights.get(net);
            let shipped = self.project.shipped_weights.get(net);
            let given = replaced.get(net).or_else(|| trained.get(net));
            // A shipped weights item applies only to the compiled net, or to a net with a given file.
            let item = own.or(shipped.filter(|_| given.is_some() || graph.name == net));
            let request = match (item, given) {
                (Some((item, file)), _) => self.request(item, *file, &mut errors),
                (None, Some(_)) => Some(self.bare_request(net)),
                (None, None) => None,
            };
            let Some(mut request) = request else { continue };
            if let Some(path) = given {
                request.path.clone_from(path);
                request.sha256 = None;
                request.trained = !replaced.contains_key(net);
            }
            if let Some((item, file)) = shipped
                && let Some(table) = self.request(item, *file, &mut errors)
            {
                request.shipped_rename = table.rename;
            }
            self.rename_as_inner(graph, &mut request, &mut errors);
            requests.push(request);
        }
        let covered: Vec<&str> = requests.iter().filter(|one| covers(replaced, one)).map(|one| &one.net[..]).collect();
        let redundant: Vec<bool> = requests.iter().map(|one| is_covered(graph, &one.net, &covered)).collect();
        let mut redundant = redundant.into_iter();
        requests.retain(|one| !redundant.next().unwrap_or(false) || replaced.contains_key(&one.net));
        for net in replaced.keys() {
            if !requests.iter().any(|request| request.net == *net) {
                let known: Vec<&str> =
                    graph.nodes.iter().flat_map(|node| &node.origin.layers).map(|(net, _)| &**net).collect();
                errors.push(
                    Diagnostic::new(
                        Code::WeightsNet,
                        format!("--weights names `{net}`, but no layer comes from such a net"),
                    )
                    .maybe_help(suggest::did_you_mean(net, known)),
                );
            }
        }
        errors.or_errors(requests).map(|(requests, _)| requests)
    }

    /// Adds the rename tables that ship with the inner nets of a request's net: its file may use the original names for
    /// their layers.
    fn rename_as_inner(&self, graph: &Graph, request: &mut WeightsRequest, errors: &mut Diagnostics) {
        for (inner, (item, file)) in &self.project.shipped_weights {
            let mut names: BTreeMap<&str, &str> = BTreeMap::new();
            for layers in graph.nodes.iter().map(|node| &node.origin.layers) {
                let name_in = |net: &str| layers.iter().find(|(of, _)| **of == *net).map(|(_, name)| &**name);
                if let (Some(own), Some(name), true) = (name_in(inner), name_in(&request.net), request.net != *inner) {
                    names.entry(own).or_insert(name);
                }
            }
            if names.is_empty() {
                continue;
            }
            let Some(table) = self.request(item, *file, errors) else { continue };
            for (from, to) in table.rename {
                if let Some(name) = names.get(to.as_str()) {
                    request.shipped_rename.entry(from).or_insert_with(|| name.to_string());
                }
            }
        }
    }

    fn bare_request(&self, net: &str) -> WeightsRequest {
        let span = self
            .project
            .nets
            .iter()
            .find(|known| known.item.name.text == net)
            .map_or_else(|| Span { file: self.project.root, start: 0, end: 0 }, |known| known.item.name.span);
        WeightsRequest {
            net: net.to_string(),
            path: PathBuf::new(),
            span,
            trained: false,
            layout: None,
            initialize_missing: false,
            rename: BTreeMap::new(),
            shipped_rename: BTreeMap::new(),
            sha256: None,
            check_configuration: true,
            explicit_axes: false,
            image: None,
        }
    }

    fn request(&self, item: &WeightsItem, file: FileId, errors: &mut Diagnostics) -> Option<WeightsRequest> {
        let Some(name) = project::plain_string(&item.file) else {
            errors.push(
                Diagnostic::new(Code::WeightsOption, "the name of a weights file must be a plain string")
                    .at(item.file.span, "not a plain string"),
            );
            return None;
        };
        let mut request = self.bare_request(&item.net.text);
        request.path = self.sources.resolve(file, &name);
        request.span = item.file.span;
        for Entry { key, value: written } in &item.options {
            let value = match self.value(written, file) {
                Ok(value) => value,
                Err(more) => {
                    errors.extend(more);
                    continue;
                }
            };
            let wrong = |takes: &str| {
                Diagnostic::new(Code::WeightsOption, format!("`{}` takes {takes}", key.text))
                    .at(written.span, format!("this is {}", value.kind.described()))
            };
            let not_a_string = |part: &Value| {
                Diagnostic::new(Code::WeightsOption, "`rename` takes strings: `\"name in the file\" = \"layer\"`")
                    .at(part.span, format!("this is {}", part.kind.described()))
                    .maybe_help(
                        matches!(part.kind, ValueKind::Word(_)).then(|| format!("write it in quotes: `\"{part}\"`")),
                    )
            };
            let Some(option) = WeightsOption::find(&key.text) else {
                let names = || WeightsOption::ALL.iter().map(|option| option.name());
                errors.push(
                    Diagnostic::new(Code::WeightsOption, format!("a weights block has no option `{}`", key.text))
                        .at(key.span, format!("the options are {}", suggest::all_of(names())))
                        .suggest_name(key.span, &key.text, suggest::nearest(&key.text, names())),
                );
                continue;
            };
            let not_a_choice = || wrong(&suggest::one_of(option.choices()));
            // Whether the value is the second of two words.
            let is_second = || match &value.kind {
                ValueKind::Word(word) => option.choices().iter().position(|choice| choice == word).map(|at| at == 1),
                _ => None,
            };
            match (option, &value.kind) {
                (WeightsOption::Layout, kind) => match layout_option(kind) {
                    Some(layout) => request.layout = layout,
                    None => errors.push(not_a_choice()),
                },
                (WeightsOption::Missing, _) => match is_second() {
                    Some(initialize) => request.initialize_missing = initialize,
                    None => errors.push(not_a_choice()),
                },
                (WeightsOption::Rename, ValueKind::Map(entries)) => {
                    for (from, to) in entries {
                        match (&from.kind, &to.kind) {
                            (ValueKind::Text(from), ValueKind::Text(to)) => {
                                request.rename.insert(from.clone(), to.clone());
                            }
                            (ValueKind::Text(_), _) => errors.push(not_a_string(to)),
                            _ => errors.push(not_a_string(from)),
                        }
                    }
                }
                (WeightsOption::Rename, _) => errors.push(wrong("a map: `{ \"name in the file\" = \"layer\" }`")),
                (WeightsOption::Sha256, ValueKind::Text(digest))
                    if digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit()) =>
                {
                    request.sha256 = Some(digest.to_ascii_lowercase());
                }
                (WeightsOption::Sha256, _) => errors.push(wrong("64 hexadecimal digits")),
                (WeightsOption::Config, _) => match is_second() {
                    Some(ignore) => request.check_configuration = !ignore,
                    None => errors.push(not_a_choice()),
                },
                (WeightsOption::Axes, _) => match is_second() {
                    Some(explicit) => request.explicit_axes = explicit,
                    None => errors.push(not_a_choice()),
                },
                (WeightsOption::Image, _) => match crate::ops::input::preprocessing_of(&value) {
                    Ok(image) => request.image = image.map(|image| (image, written.span)),
                    Err(diagnostic) => errors.push(diagnostic),
                },
            }
        }
        Some(request)
    }

    /// Evaluates the value of an entry in the scope of its file.
    pub(crate) fn value(&self, expression: &Expr, file: FileId) -> Result<Value> {
        let mut elaborator = Elaborator::new(&self.project, &self.sources);
        let scope = Scope::of_file(file);
        match elaborator.keyword_value(expression, &scope) {
            Ok(value) => Ok(value),
            Err(_) => Err(elaborator.take_errors()),
        }
    }

    /// The class names from the `labels` item of a net; `None` without one.
    ///
    /// # Errors
    /// A value that is neither a file name nor a list of strings.
    pub fn labels(&self, net: &str) -> Result<Option<LabelsRequest>> {
        let Some((LabelsItem { source, .. }, file)) = self.project.labels.get(net) else { return Ok(None) };
        let value = self.value(source, *file)?;
        let wrong = || {
            Diagnostic::new(Code::Labels, "labels are the name of a file or a list of strings")
                .at(source.span, format!("this is {}", value.kind.noun()))
        };
        match &value.kind {
            // The file is embedded with its spec.
            ValueKind::Text(name) if self.sources.file(*file).shipped && shipped::labels(name).is_some() => {
                let lines = shipped::labels(name).unwrap_or_default().lines().map(str::to_string);
                Ok(Some(LabelsRequest::List(lines.collect(), source.span)))
            }
            ValueKind::Text(name) => Ok(Some(LabelsRequest::File(self.sources.resolve(*file, name), source.span))),
            ValueKind::List(items) => {
                let texts: Option<Vec<String>> = items
                    .iter()
                    .map(|item| match &item.kind {
                        ValueKind::Text(text) => Some(text.clone()),
                        _ => None,
                    })
                    .collect();
                texts.map(|texts| Some(LabelsRequest::List(texts, source.span))).ok_or_else(|| wrong().into())
            }
            _ => Err(wrong().into()),
        }
    }

    /// An option of another library that is an argument of another entry's value, with it there: `optimizer = Adam, lr = 0.1`
    /// becomes `optimizer = Adam(step=0.1)`. Returns the text and what it replaces.
    fn moved_into_entry(&self, entries: &[Entry], option: usize) -> Option<(Span, String)> {
        let (key, argument) = foreign_names::recipe_argument(&entries[option].key.text)?;
        let of = entries.iter().position(|entry| entry.key.text == key)?;
        let (value, given) = (entries[of].value.span, self.sources.text(entries[option].value.span));
        let written = self.sources.text(value);
        let (name, arguments) = match written.split_once('(') {
            Some((name, rest)) => (name.trim(), rest.strip_suffix(')')?.trim()),
            None => (written, ""),
        };
        // What it has already stays.
        if arguments.contains(&format!("{argument}=")) || arguments.chars().next().is_some_and(|c| c.is_ascii_digit()) {
            return None;
        }
        let more = if arguments.is_empty() { String::new() } else { format!(", {arguments}") };
        let value_text = format!("{name}({argument}={given}{more})");
        let whole = |entry: &Entry| entry.key.span.to(entry.value.span);
        // All from the one entry to the other, without the option and the sign that separates it.
        Some(match option > of {
            true => {
                let kept = Span { start: value.end, end: whole(&entries[option - 1]).end, ..value };
                (value.to(whole(&entries[option])), value_text + self.sources.text(kept))
            }
            false => {
                let first = whole(&entries[option]);
                let kept = Span { start: whole(&entries[option + 1]).start, end: value.start, ..value };
                (first.to(value), self.sources.text(kept).to_string() + &value_text)
            }
        })
    }

    /// The errors in the keys of the training recipes; their values are checked by [`crate::train::recipe`].
    pub fn check_recipes(&self) -> Diagnostics {
        let mut errors = Diagnostics::default();
        for (item, _) in self.project.recipes.values() {
            for (index, Entry { key, value }) in item.entries.iter().enumerate() {
                if let Some(mut diagnostic) = unknown_recipe_key(key) {
                    let has = |known: &str| item.entries.iter().any(|entry| entry.key.text == known);
                    let written = self.sources.text(value.span);
                    if let Some(entry) = foreign_names::recipe_entry(&key.text, written, has) {
                        let whole = key.span.to(value.span);
                        diagnostic = diagnostic.fix(whole, self.sources.text(whole), entry);
                    } else if let Some((span, text)) = self.moved_into_entry(&item.entries, index) {
                        diagnostic = diagnostic.fix(span, self.sources.text(span), text);
                    }
                    errors.push(diagnostic);
                }
                if let Some(earlier) = item.entries[..index].iter().find(|other| other.key.text == key.text) {
                    errors.push(
                        Diagnostic::new(Code::Recipe, format!("`{}` is given twice", key.text))
                            .at(key.span, "given again here")
                            .and(earlier.key.span, "first given here"),
                    );
                }
            }
            let keys = item.entries.iter().map(|entry| &entry.key).chain(self.settings.iter().map(|set| &set.key));
            if !keys.into_iter().any(|key| key.text == RecipeKey::Data.name()) {
                errors.push(
                    Diagnostic::new(Code::Recipe, format!("the recipe of `{}` has no data", item.net.text))
                        .at(item.net.span, "the key `data` is missing")
                        .help("`data = images(\"folder\")` reads one folder of photos per class"),
                );
            }
        }
        self.settings
            .iter()
            .filter_map(|setting| unknown_recipe_key(&setting.key))
            .for_each(|error| errors.push(error));
        errors
    }
}

/// The error for a key that recipes do not have.
fn unknown_recipe_key(key: &Ident) -> Option<Diagnostic> {
    let known: Vec<&str> = RecipeKey::ALL.iter().map(|key| key.name()).collect();
    (!known.contains(&key.text.as_str())).then(|| {
        Diagnostic::new(Code::Recipe, format!("a recipe has no key `{}`", key.text))
            .at(key.span, "unknown key")
            .suggest(key.span, &key.text, foreign_names::recipe_key(&key.text, &known))
    })
}

/// Whether a request's file comes from the command line or from training, and so has all parameters of its net.
fn covers(replaced: &BTreeMap<String, PathBuf>, request: &WeightsRequest) -> bool {
    (request.trained || replaced.contains_key(&request.net)) && !request.initialize_missing
}

/// Whether every layer of a net also belongs to an enclosing net that is covered, whose weights would replace its own.
fn is_covered(graph: &Graph, net: &str, covered: &[&str]) -> bool {
    let mut layers =
        graph.nodes.iter().map(|node| &node.origin.layers).filter(|layers| layers.iter().any(|(of, _)| **of == *net));
    layers.all(|layers| {
        let own = layers.iter().position(|(of, _)| **of == *net).unwrap_or(0);
        layers[own + 1..].iter().any(|(of, _)| covered.contains(&&**of))
    })
}

/// The value of the option `layout`: a layout, or none to detect it.
fn layout_option(kind: &ValueKind) -> Option<Option<Layout>> {
    match kind {
        ValueKind::Word(word) if word == DETECT_LAYOUT => Some(None),
        ValueKind::Word(word) => word.parse().ok().map(Some),
        _ => None,
    }
}
