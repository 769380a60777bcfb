//! Trees to graphs: names, nets, repeats, cuts. [`load`] reads a spec and all that it needs, [`Spec::graph`] expands a net.

mod budget;
mod elaborator;
mod environment;
pub(crate) mod expand;
pub mod generic;
mod graph_builder;
pub mod names;
pub mod project;

use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, suggest};
use crate::graph::Graph;
use crate::source::{FileId, SourceFile, Sources, Span};
use crate::syntax::ast::File;
use elaborator::Elaborator;
use environment::Scope;
use names::Names;
use project::Project;
use project::source_files::{Reader, read_source};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::rc::Rc;

/// A mistake was noted, and the expression that it is in is given up.
#[derive(Clone, Copy, Debug)]
struct Aborted;

/// A spec that was read: its files and items.
#[derive(Debug)]
pub struct Spec {
    pub sources: Sources,
    pub project: Project,
    /// What reading it told.
    pub errors: Diagnostics,
    /// See [`Spec::expanded`].
    expanded: Cell<usize>,
    /// Steps of the looks at which nets are complete, and which are.
    looked: Cell<usize>,
    complete: RefCell<BTreeMap<usize, bool>>,
    /// Where names of nets turned out to be words, as `same` is one of padding.
    choices: RefCell<HashSet<Span>>,
}

/// Reads a spec: a file, the name of one that ships, or an expression.
pub fn load(argument: &str, read: Reader) -> std::result::Result<Spec, (Sources, Diagnostics)> {
    let mut sources = Sources::default();
    let path = Path::new(argument);
    let is_file = argument.ends_with(".net") || path.is_file();
    let (root, stem) = if let Some(name) = project::source_files::piped(path) {
        match project::source_files::read_piped(&mut sources, path, name) {
            Ok(file) => (file, name.to_string()),
            Err(diagnostic) => return Err((sources, diagnostic.into())),
        }
    } else if is_file {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        match read_source(&mut sources, path, read) {
            Ok(file) => (file, identifier(&stem)),
            Err(diagnostic) => return Err((sources, diagnostic.into())),
        }
    } else if let Some(spec) = project::shipped::find(argument) {
        (sources.add(project::shipped::source(spec)), argument.to_string())
    } else {
        if argument.chars().all(|c| c.is_alphanumeric() || "_-./\\".contains(c)) && crate::ops::find(argument).is_none()
        {
            let names = project::shipped::SPECS.iter().map(|spec| spec.name);
            let diagnostic = Diagnostic::new(Code::Unreadable, format!("there is no spec `{argument}`"))
                .note("a spec is a file that ends in .net, the name of a net that ships, or an expression in quotes")
                .maybe_help(
                    suggest::did_you_mean(argument, names).or_else(|| project::source_files::did_you_mean_file(path)),
                );
            return Err((sources, diagnostic.into()));
        }
        (sources.add_text("expression", argument), "expression".to_string())
    };
    Ok(spec(sources, root, &stem, read))
}

/// Reads a spec from a text that stands for a file, as an editor holds it.
pub fn load_text(path: &Path, text: &str, read: Reader) -> Spec {
    let mut sources = Sources::default();
    let name = path.display().to_string();
    let root = sources.add(SourceFile { name, path: Some(path.into()), text: text.into(), shipped: false });
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    spec(sources, root, &identifier(&stem), read)
}

/// Reads the project whose root file is among the sources.
fn spec(mut sources: Sources, root: FileId, stem: &str, read: Reader) -> Spec {
    let (project, errors) = Project::load(&mut sources, root, stem, read);
    Spec {
        sources,
        project,
        errors,
        expanded: Cell::default(),
        looked: Cell::default(),
        complete: RefCell::default(),
        choices: RefCell::default(),
    }
}

/// The name of a net that a file's name gives: other signs than letters and digits read as `_`.
pub fn identifier(stem: &str) -> String {
    let mut name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

impl Spec {
    /// Whether a net starts at an input.
    pub fn is_complete(&self, net: usize) -> bool {
        if let Some(&known) = self.complete.borrow().get(&net) {
            return known;
        }
        let mut elaborator = Elaborator::new(&self.project, &self.sources);
        // The looks at all nets have one bound.
        elaborator.spent.steps = self.looked.get();
        let complete = self.looks_complete(net, &mut elaborator);
        self.looked.set(elaborator.spent.steps);
        self.complete.borrow_mut().insert(net, complete);
        complete
    }

    fn looks_complete<'p>(&'p self, net: usize, elaborator: &mut Elaborator<'p>) -> bool {
        let definition = &self.project.nets[net];
        if definition.item.parameters.iter().any(|parameter| parameter.default.is_none()) {
            return false;
        }
        let scope = Scope::of_file(definition.file);
        for parameter in &definition.item.parameters {
            if let Some(Ok(bound)) = parameter.default.as_ref().map(|default| elaborator.evaluate(default, &scope)) {
                scope.define(&parameter.name.text, bound);
            }
        }
        elaborator.starts_at_input(&definition.item.body, &scope)
    }

    /// The nets of the spec that are complete, in the order of the text.
    pub fn complete_nets(&self) -> Vec<usize> {
        self.project.root_nets().into_iter().filter(|&net| self.is_complete(net)).collect()
    }

    /// The net that is meant: the one that is asked for, the one named like the file, or the only complete one.
    pub fn choose(&self, asked: Option<&str>) -> Result<usize> {
        let project = &self.project;
        if let Some(name) = asked {
            return project.find(name, project.root).ok_or_else(|| {
                let names = project.names(project.root);
                Diagnostic::new(Code::NoNet, format!("there is no net `{name}`"))
                    .maybe_help(suggest::did_you_mean(name, names.iter().map(String::as_str)))
                    .into()
            });
        }
        let own = |name: &str| project.root_nets().into_iter().find(|&net| project.nets[net].item.name.text == name);
        let named = own(&project.stem);
        let complete = self.complete_nets();
        let needs = |net: usize| project.nets[net].item.parameters.iter().find(|parameter| parameter.default.is_none());
        match named.map(|net| (net, needs(net))) {
            Some((net, None)) => return Ok(net),
            Some((net, Some(_))) if complete.is_empty() => return Ok(net),
            // A net of the file's name that cannot stand alone, beside one that can: neither is clearly meant.
            Some((net, Some(parameter))) => {
                let names: Vec<&str> = complete.iter().map(|&net| project.nets[net].item.name.text.as_str()).collect();
                let name = &project.nets[net].item.name;
                let message = format!("`{}` is named like the file, but needs `{}`", name.text, parameter.name.text);
                return Err(Diagnostic::new(Code::NoNet, message)
                    .at(name.span, "cannot stand alone")
                    .help(format!("pick one with --net: {}", suggest::one_of(names)))
                    .into());
            }
            None => {}
        }
        match complete[..] {
            [one] => Ok(one),
            [] => Err(self.nothing_complete()),
            _ => {
                let names: Vec<&str> = complete.iter().map(|&net| project.nets[net].item.name.text.as_str()).collect();
                Err(Diagnostic::new(Code::NoNet, "the spec has several complete nets")
                    .help(format!("pick one with --net: {}", suggest::one_of(names)))
                    .into())
            }
        }
    }

    /// Why no net is complete: what is wrong with one that needs no arguments, else that all are fragments.
    fn nothing_complete(&self) -> Diagnostics {
        let nets = self.project.root_nets();
        let item = |net: usize| &self.project.nets[net].item;
        let needs_nothing = |net: &usize| item(*net).parameters.iter().all(|parameter| parameter.default.is_some());
        for net in nets.iter().copied().filter(needs_nothing) {
            match self.graph(net) {
                Err(errors) if nets.len() == 1 || errors.iter().any(|error| error.code != Code::Fragment) => {
                    return errors;
                }
                _ => {}
            }
        }
        let mut diagnostic = Diagnostic::new(Code::NoNet, "the spec has no complete net")
            .help("a complete net starts at an input: `net small = Input(28x28x1) >> …`");
        if let Some(&fragment) = nets.first() {
            diagnostic = diagnostic.at(item(fragment).name.span, "a fragment: it has no input");
        }
        diagnostic.into()
    }

    /// Expands a net into its graph.
    pub fn graph(&self, net: usize) -> Result<(Graph, Diagnostics)> {
        self.expand(net, false)
    }

    /// Expands a net, or a fragment that a cut made: see [`Graph::open_inputs`].
    pub fn graph_or_fragment(&self, net: usize) -> Result<(Graph, Diagnostics)> {
        self.expand(net, true)
    }

    fn expand(&self, net: usize, open: bool) -> Result<(Graph, Diagnostics)> {
        let mut elaborator = Elaborator::new(&self.project, &self.sources);
        elaborator.open = open;
        let piece = elaborator.complete(net);
        self.note_work(&elaborator);
        let errors = elaborator.take_errors();
        match piece {
            Ok(piece) if !errors.has_errors() => {
                let graph = Rc::unwrap_or_clone(piece).graph;
                graph.debug_verify("elaboration");
                Ok((graph, errors))
            }
            _ => Err(errors),
        }
    }

    /// How many layers were expanded so far, each once for every net that it is in: what bounds a check.
    pub fn expanded(&self) -> usize {
        self.expanded.get()
    }

    fn note_work(&self, elaborator: &Elaborator) {
        self.expanded.set(self.expanded.get() + elaborator.spent.layers());
        self.choices.borrow_mut().extend(&elaborator.choices);
    }

    /// The names of a tree of the spec's own file. What was expanded so far tells nets from words.
    pub fn names(&self, tree: &File) -> Names {
        Names::of(tree, self.project.names(self.root()), self.choices.borrow().clone())
    }

    /// The file of the spec itself.
    pub fn root(&self) -> FileId {
        self.project.root
    }
}
