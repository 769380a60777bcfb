//! A project: the items of the root file, the files it uses and the shipped specs.

pub mod shipped;
pub mod source_files;

use crate::diagnostics::{Code, Diagnostic, Diagnostics, suggest};
use crate::ops;
use crate::source::{FileId, Sources, Span};
use crate::syntax::ast::{
    ExpectItem, Expr, File, Ident, Item, ItemKind, LabelsItem, NetItem, Text, TextPart, TrainItem, WeightsItem,
};
use crate::syntax::parse;
use source_files::{Reader, is_inside, read_source};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A net and the file that defines it.
#[derive(Debug)]
pub struct NetDefinition {
    pub item: NetItem,
    pub docs: Vec<String>,
    pub file: FileId,
    pub span: Span,
}

/// The nets and used files of one file.
#[derive(Debug, Default)]
struct Contents {
    nets: BTreeMap<String, usize>,
    uses: Vec<FileId>,
}

/// All items of a compilation.
#[derive(Debug)]
pub struct Project {
    /// The file that is compiled.
    pub root: FileId,
    /// The name of the net of a file without items.
    pub stem: String,
    pub nets: Vec<NetDefinition>,
    /// By net. An item of the root file has priority over one of a used file, and that over a shipped one.
    pub weights: BTreeMap<String, (WeightsItem, FileId)>,
    /// The weights items of shipped specs, with their rename tables.
    pub shipped_weights: BTreeMap<String, (WeightsItem, FileId)>,
    pub labels: BTreeMap<String, (LabelsItem, FileId)>,
    pub recipes: BTreeMap<String, (TrainItem, FileId)>,
    pub expectations: Vec<(ExpectItem, Span)>,
    files: BTreeMap<FileId, Contents>,
    shipped: BTreeMap<String, usize>,
}

/// Max depth of files that use each other.
const MAX_USE_DEPTH: usize = 16;

impl Project {
    /// Loads a file with all the files it uses. The project holds everything that could be parsed, even with errors.
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

    /// Adds the last file of the path, and the files it uses.
    fn add(
        &mut self,
        sources: &mut Sources,
        path: &mut Vec<(FileId, Option<PathBuf>, Option<Span>)>,
        root_folder: &Path,
        read: Reader,
        errors: &mut Diagnostics,
    ) {
        let Some(&(file, _, _)) = path.last() else { return };
        let (tree, parse_errors) = parse(sources, file);
        errors.extend(parse_errors);
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
            errors.push(
                error("the file name after `use` must be a plain string".into())
                    .at(used.span, "contains an expression"),
            );
            return;
        };
        let target = sources.resolve(user, &name);
        if Path::new(&name).is_absolute() || !is_inside(root_folder, &target) {
            errors.push(
                error(format!("`{name}` is outside the project"))
                    .at(used.span, "must be inside the folder of the root file"),
            );
            return;
        }
        let identity = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let same = |known: &Option<PathBuf>| known.as_deref().is_some_and(|known| identity(known) == identity(&target));
        if let Some((_, _, at)) = path.iter().find(|(_, known, _)| same(known)) {
            let mut diagnostic =
                error("the files use each other in a cycle".into()).at(used.span, format!("uses `{name}` again"));
            for (_, _, span) in path.iter().skip(1).filter(|(_, _, span)| span != at) {
                diagnostic = diagnostic.maybe_and(*span, "used here");
            }
            errors.push(diagnostic.maybe_and(*at, "first used here"));
            return;
        }
        let known = self.files.keys().copied().find(|&file| same(&sources.file(file).path));
        if let Some(known) = known {
            self.note_use(user, known);
            return;
        }
        if path.len() >= MAX_USE_DEPTH {
            errors.push(
                error(format!("files use each other more than {MAX_USE_DEPTH} levels deep")).at(used.span, "used here"),
            );
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
                Diagnostic::new(Code::ReservedName, format!("`{}` is the name of a layer", name.text))
                    .at(name.span, "choose another name for this net"),
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

    /// Adds the shipped specs whose names occur anywhere in the sources.
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
                let is_redefined = self.files.get(&self.root).is_some_and(|root| root.nets.contains_key(spec.name));
                if !wanted || is_redefined || self.shipped.contains_key(spec.name) {
                    continue;
                }
                let file = sources.add(shipped::source(spec));
                let (tree, parse_errors) = parse(sources, file);
                errors.extend(parse_errors);
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

    /// Checks that weights, labels and recipes are for nets that exist.
    fn check_targets(&self, errors: &mut Diagnostics) {
        let weights = self.weights.values().map(|(item, file)| ("weights", &item.net, *file));
        let labels = self.labels.values().map(|(item, file)| ("labels", &item.net, *file));
        let recipes = self.recipes.values().map(|(item, file)| ("a recipe", &item.net, *file));
        for (what, net, file) in weights.chain(labels).chain(recipes) {
            if self.find(&net.text, file).is_none() {
                let names = self.names(file);
                errors.push(
                    Diagnostic::new(Code::WeightsNet, format!("{what} for `{}`, but there is no such net", net.text))
                        .at(net.span, "no net has this name")
                        .suggest_name(
                            net.span,
                            &net.text,
                            suggest::nearest(&net.text, names.iter().map(String::as_str)),
                        ),
                );
            }
        }
    }

    /// Looks a net up in the scope of a file: its own nets, those of the files it uses, then the shipped ones.
    pub fn find(&self, name: &str, from: FileId) -> Option<usize> {
        let contents = self.files.get(&from)?;
        let used = || contents.uses.iter().find_map(|used| self.files.get(used)?.nets.get(name).copied());
        contents.nets.get(name).copied().or_else(used).or_else(|| self.shipped.get(name).copied())
    }

    /// The names of all nets in the scope of a file.
    pub fn names(&self, from: FileId) -> Vec<String> {
        let Some(contents) = self.files.get(&from) else { return Vec::new() };
        let used = contents.uses.iter().filter_map(|used| self.files.get(used)).flat_map(|file| file.nets.keys());
        let shipped = shipped::SPECS.iter().map(|spec| spec.name.to_string());
        contents.nets.keys().chain(used).cloned().chain(shipped).collect()
    }

    /// The nets of the root file, in source order.
    pub fn root_nets(&self) -> Vec<usize> {
        (0..self.nets.len()).filter(|&net| self.nets[net].file == self.root).collect()
    }
}

fn add<T>(map: &mut BTreeMap<String, (T, FileId)>, what: &str, net: Ident, item: (T, FileId), errors: &mut Diagnostics)
where
    T: HasNet,
{
    match map.get(&net.text) {
        // The item of the file that uses this one has priority; it was read before.
        Some((_, file)) if *file != item.1 => {}
        Some((earlier, _)) => errors.push(
            Diagnostic::new(Code::DuplicateItem, format!("duplicate {what} for `{}`", net.text))
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

/// The characters of a string without expressions; `None` for a template.
pub fn literal(text: &Text) -> Option<String> {
    match &text.parts[..] {
        [] => Some(String::new()),
        [TextPart::Literal(literal)] => Some(literal.clone()),
        _ => None,
    }
}

/// The characters of an expression that is a plain string, such as the name of a file.
pub fn plain_string(expression: &Expr) -> Option<String> {
    match &expression.kind {
        crate::syntax::ast::ExprKind::Text(text) => literal(text),
        _ => None,
    }
}
