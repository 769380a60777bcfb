//! The files of a compilation and what stands in them: the user's, those that it uses, and the specs that ship.

pub mod requests;
pub mod shipped;
mod signatures;
pub mod source_files;

use crate::diagnostics::{Code, Diagnostic, Diagnostics, suggest};
use crate::ops;
use crate::source::{FileId, Sources, Span};
use crate::syntax::ast::{
    ExpectItem, Expr, File, Ident, Item, ItemKind, LabelsItem, NetItem, Text, TextPart, TrainItem, WeightsItem,
};
use crate::syntax::parse;
use source_files::{Reader, leads_inside, read_source};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A net and the file that it stands in.
#[derive(Debug)]
pub struct NetDefinition {
    pub item: NetItem,
    pub docs: Vec<String>,
    pub file: FileId,
    pub span: Span,
}

/// One file's items.
#[derive(Debug, Default)]
struct Contents {
    nets: BTreeMap<String, usize>,
    uses: Vec<FileId>,
}

/// Everything that was read.
#[derive(Debug)]
pub struct Project {
    /// The file that is compiled.
    pub root: FileId,
    /// The name that its net has when it has no other.
    pub stem: String,
    pub nets: Vec<NetDefinition>,
    /// By net; an item of the user's file stands over one of a used file, and that over a shipped one.
    pub weights: BTreeMap<String, (WeightsItem, FileId)>,
    /// What shipped specs say of their nets' weights: tables of names.
    pub shipped_weights: BTreeMap<String, (WeightsItem, FileId)>,
    pub labels: BTreeMap<String, (LabelsItem, FileId)>,
    pub recipes: BTreeMap<String, (TrainItem, FileId)>,
    pub expectations: Vec<(ExpectItem, Span)>,
    files: BTreeMap<FileId, Contents>,
    shipped: BTreeMap<String, usize>,
}

/// How deep files may use each other.
const MAX_USE_DEPTH: usize = 16;

impl Project {
    /// Reads everything that a file needs. What can be told of all of it is told, also where something is wrong.
    pub fn load(sources: &mut Sources, root: FileId, stem: &str, read: Reader) -> (Project, Diagnostics) {
        let mut project = Project {
            root,
            stem: stem.to_string(),
            nets: Vec::new(),
            weights: BTreeMap::new(),
            shipped_weights: BTreeMap::new(),
            labels: BTreeMap::new(),
            recipes: BTreeMap::new(),
            expectations: Vec::new(),
            files: BTreeMap::new(),
            shipped: BTreeMap::new(),
        };
        let mut errors = Diagnostics::default();
        let folder = sources.folder(root);
        let mut path = vec![(root, sources.file(root).path.clone(), None)];
        project.add(sources, &mut path, &folder, read, &mut errors);
        project.add_shipped(sources, &mut errors);
        project.check_targets(&mut errors);
        (project, errors)
    }

    /// Adds the last file of the path, and what it uses.
    fn add(
        &mut self,
        sources: &mut Sources,
        path: &mut Vec<(FileId, Option<PathBuf>, Option<Span>)>,
        root_folder: &Path,
        read: Reader,
        errors: &mut Diagnostics,
    ) {
        let Some(&(file, _, _)) = path.last() else { return };
        let (tree, parse_faults) = parse(sources, file);
        errors.extend(parse_faults);
        self.files.entry(file).or_default();
        let uses: Vec<Text> = tree
            .items
            .iter()
            .filter_map(|item| match &item.kind {
                ItemKind::Use(text) => Some(text.clone()),
                _ => None,
            })
            .collect();
        self.add_items(tree, file, errors);
        for used in uses {
            self.add_use(sources, path, &used, root_folder, read, errors);
        }
    }

    fn add_use(
        &mut self,
        sources: &mut Sources,
        path: &mut Vec<(FileId, Option<PathBuf>, Option<Span>)>,
        used: &Text,
        root_folder: &Path,
        read: Reader,
        errors: &mut Diagnostics,
    ) {
        let Some(&(user, _, _)) = path.last() else { return };
        let error = |message: String| Diagnostic::new(Code::Use, message);
        let Some(name) = literal(used) else {
            errors.push(error("a used file's name is a plain text".into()).at(used.span, "holds an expression"));
            return;
        };
        let target = sources.beside(user, &name);
        let inside = leads_inside(root_folder, &target);
        if Path::new(&name).is_absolute() || !inside {
            errors.push(
                error(format!("`{name}` leads out of the project"))
                    .at(used.span, "must stay below the folder of the file that is built"),
            );
            return;
        }
        let identity = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let same = |known: &Option<PathBuf>| known.as_deref().is_some_and(|known| identity(known) == identity(&target));
        if let Some((_, _, at)) = path.iter().find(|(_, known, _)| same(known)) {
            let mut diagnostic =
                error("files use each other in a circle".into()).at(used.span, format!("uses `{name}` again"));
            for (_, _, span) in path.iter().skip(1).filter(|(_, _, span)| span != at) {
                diagnostic = diagnostic.maybe_and(*span, "used here");
            }
            errors.push(diagnostic.maybe_and(*at, "used first here"));
            return;
        }
        let known = self.files.keys().copied().find(|&file| same(&sources.file(file).path));
        if let Some(known) = known {
            self.note_use(user, known);
            return;
        }
        if path.len() >= MAX_USE_DEPTH {
            errors.push(error(format!("more than {MAX_USE_DEPTH} files use each other")).at(used.span, "here"));
            return;
        }
        match read_source(sources, &target, read) {
            Err(diagnostic) => errors.push(diagnostic.at(used.span, "used here")),
            Ok(file) => {
                self.note_use(user, file);
                path.push((file, Some(target), Some(used.span)));
                self.add(sources, path, root_folder, read, errors);
                path.pop();
            }
        }
    }

    fn note_use(&mut self, user: FileId, used: FileId) {
        self.files.entry(user).or_default().uses.push(used);
    }

    fn add_items(&mut self, tree: File, file: FileId, errors: &mut Diagnostics) {
        if let Some(body) = tree.expression {
            let span = body.span;
            let item = NetItem {
                name: Ident { text: self.stem.clone(), span },
                parameters: Vec::new(),
                signature: None,
                body,
            };
            self.add_net(item, Vec::new(), file, span, errors);
        }
        for Item { docs, kind, span } in tree.items {
            match kind {
                ItemKind::Use(_) => {}
                ItemKind::Net(item) => self.add_net(item, docs, file, span, errors),
                ItemKind::Weights(item) => add(&mut self.weights, "weights", item.net.clone(), (item, file), errors),
                ItemKind::Labels(item) => add(&mut self.labels, "labels", item.net.clone(), (item, file), errors),
                ItemKind::Train(item) => add(&mut self.recipes, "recipe", item.net.clone(), (item, file), errors),
                ItemKind::Expect(item) => self.expectations.push((item, span)),
            }
        }
    }

    fn add_net(&mut self, item: NetItem, docs: Vec<String>, file: FileId, span: Span, errors: &mut Diagnostics) {
        let name = item.name.clone();
        if ops::find(&name.text).is_some() {
            errors.push(
                Diagnostic::new(Code::ReservedName, format!("`{}` is a layer", name.text))
                    .at(name.span, "a net needs another name"),
            );
        }
        for (index, parameter) in item.parameters.iter().enumerate() {
            if let Some(earlier) = item.parameters[..index].iter().find(|other| other.name.text == parameter.name.text)
            {
                errors.push(
                    Diagnostic::new(Code::DuplicateItem, format!("two parameters are named `{}`", parameter.name.text))
                        .at(parameter.name.span, "again here")
                        .and(earlier.name.span, "first here"),
                );
            }
        }
        let contents = self.files.entry(file).or_default();
        if let Some(&earlier) = contents.nets.get(&name.text) {
            errors.push(
                Diagnostic::new(Code::DuplicateItem, format!("two nets are named `{}`", name.text))
                    .at(name.span, "again here")
                    .and(self.nets[earlier].item.name.span, "first here"),
            );
            return;
        }
        contents.nets.insert(name.text, self.nets.len());
        self.nets.push(NetDefinition { item, docs, file, span });
    }

    /// Adds the shipped specs whose names stand anywhere in the texts.
    fn add_shipped(&mut self, sources: &mut Sources, errors: &mut Diagnostics) {
        let mut checked = 0;
        loop {
            let texts: Vec<String> = sources.iter().skip(checked).map(|(_, file)| file.text.clone()).collect();
            if texts.is_empty() {
                return;
            }
            checked += texts.len();
            for spec in shipped::SPECS {
                let wanted = self.stem == spec.name || texts.iter().any(|text| text.contains(spec.name));
                let own = self.files.get(&self.root).is_some_and(|root| root.nets.contains_key(spec.name));
                if !wanted || own || self.shipped.contains_key(spec.name) {
                    continue;
                }
                let file = sources.add(shipped::source(spec));
                let (tree, parse_faults) = parse(sources, file);
                errors.extend(parse_faults);
                self.add_shipped_items(spec.name, tree, file, errors);
            }
        }
    }

    fn add_shipped_items(&mut self, name: &str, tree: File, file: FileId, errors: &mut Diagnostics) {
        self.files.entry(file).or_default();
        for Item { docs, kind, span } in tree.items {
            match kind {
                ItemKind::Net(item) => self.add_net(item, docs, file, span, errors),
                ItemKind::Weights(item) => {
                    self.shipped_weights.insert(item.net.text.clone(), (item, file));
                }
                ItemKind::Labels(item) => {
                    self.labels.entry(item.net.text.clone()).or_insert((item, file));
                }
                ItemKind::Use(_) | ItemKind::Train(_) | ItemKind::Expect(_) => {}
            }
        }
        if let Some(&net) = self.files.get(&file).and_then(|contents| contents.nets.get(name)) {
            self.shipped.insert(name.to_string(), net);
        }
    }

    /// Weights, labels and recipes must name nets that are there.
    fn check_targets(&self, errors: &mut Diagnostics) {
        let weights = self.weights.values().map(|(item, file)| ("weights", &item.net, *file));
        let labels = self.labels.values().map(|(item, file)| ("labels", &item.net, *file));
        let recipes = self.recipes.values().map(|(item, file)| ("a recipe", &item.net, *file));
        for (what, net, file) in weights.chain(labels).chain(recipes) {
            if self.find(&net.text, file).is_none() {
                let names = self.names(file);
                errors.push(
                    Diagnostic::new(Code::WeightsNet, format!("{what} for `{}`, but there is no such net", net.text))
                        .at(net.span, "no net of this name")
                        .meant(net.span, &net.text, suggest::nearest(&net.text, names.iter().map(String::as_str))),
                );
            }
        }
    }

    /// The net of a name, as a file sees it: its own, one that it uses, one that ships.
    pub fn find(&self, name: &str, from: FileId) -> Option<usize> {
        let contents = self.files.get(&from)?;
        let used = || contents.uses.iter().find_map(|used| self.files.get(used)?.nets.get(name).copied());
        contents.nets.get(name).copied().or_else(used).or_else(|| self.shipped.get(name).copied())
    }

    /// The names of all nets that a file sees.
    pub fn names(&self, from: FileId) -> Vec<String> {
        let Some(contents) = self.files.get(&from) else { return Vec::new() };
        let used = contents.uses.iter().filter_map(|used| self.files.get(used)).flat_map(|file| file.nets.keys());
        let shipped = shipped::SPECS.iter().map(|spec| spec.name.to_string());
        contents.nets.keys().chain(used).cloned().chain(shipped).collect()
    }

    /// The nets of the file that is compiled, in the order of the text.
    pub fn root_nets(&self) -> Vec<usize> {
        (0..self.nets.len()).filter(|&net| self.nets[net].file == self.root).collect()
    }
}

fn add<T>(map: &mut BTreeMap<String, (T, FileId)>, what: &str, net: Ident, item: (T, FileId), errors: &mut Diagnostics)
where
    T: HasNet,
{
    match map.get(&net.text) {
        // A used file's item gives way to the one of the file that uses it, which was read before.
        Some((_, file)) if *file != item.1 => {}
        Some((earlier, _)) => errors.push(
            Diagnostic::new(Code::DuplicateItem, format!("`{}` has its {what} twice", net.text))
                .at(net.span, "again here")
                .and(earlier.net().span, "first here"),
        ),
        None => {
            map.insert(net.text, item);
        }
    }
}

/// An item that belongs to a net.
trait HasNet {
    fn net(&self) -> &Ident;
}

impl HasNet for WeightsItem {
    fn net(&self) -> &Ident {
        &self.net
    }
}

impl HasNet for LabelsItem {
    fn net(&self) -> &Ident {
        &self.net
    }
}

impl HasNet for TrainItem {
    fn net(&self) -> &Ident {
        &self.net
    }
}

/// The characters of a text without expressions.
pub fn literal(text: &Text) -> Option<String> {
    match &text.parts[..] {
        [] => Some(String::new()),
        [TextPart::Literal(literal)] => Some(literal.clone()),
        _ => None,
    }
}

/// Whether an expression is a bare text, as a file's name is.
pub fn text_of(expression: &Expr) -> Option<String> {
    match &expression.kind {
        crate::syntax::ast::ExprKind::Text(text) => literal(text),
        _ => None,
    }
}
