//! A spec: the files of a project, and the graphs of its nets, which are expanded on demand.

use super::argument::{artifact_in, cut_of_file, is_of_path};
use super::budget::Budget;
use super::elaborator::Elaborator;
use super::environment::Scope;
use super::names::Names;
use super::project::source_files::{self, Reader, read_source};
use super::project::{Project, shipped};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, suggest};
use crate::graph::Graph;
use crate::source::{FileId, SourceFile, Sources, Span};
use crate::syntax;
use crate::syntax::ast::{Expr, File, Ident};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::rc::Rc;

/// Nets of a file that a message lists.
const MAX_LISTED: usize = 8;

/// A spec: its files and items, parsed but not expanded.
#[derive(Debug)]
pub struct Spec {
    pub sources: Sources,
    pub project: Project,
    /// The errors and warnings of parsing.
    pub errors: Diagnostics,
    /// Entries of recipes from the command line, in its order.
    pub settings: Vec<Setting>,
    /// The net of the file that the command line takes a cut of: `bird` of `bird.net[..fc7]`.
    pub cut_of: Option<String>,
    /// See [`Spec::expanded`].
    expanded: Cell<usize>,
    /// The steps that were spent on finding out which nets are complete, and the results.
    completeness_steps: Cell<usize>,
    complete: RefCell<BTreeMap<usize, bool>>,
    /// Where names of nets turned out to be keywords, such as the padding `same`.
    keyword_names: RefCell<HashSet<Span>>,
}

/// Reads a spec, given as a file, the name of a shipped net, or an expression. `read` reads the files.
///
/// # Errors
/// A file that cannot be read or is not UTF-8, or a name that is neither a file nor a shipped net. Errors inside the files
/// are in [`Spec::errors`].
pub fn load(argument: &str, read: Reader) -> std::result::Result<Spec, (Sources, Diagnostics)> {
    let mut sources = Sources::default();
    let path = Path::new(argument);
    let is_file = argument.ends_with(".net") || path.is_file();
    let (root, stem) = if let Some(name) = source_files::piped(path) {
        match source_files::read_piped(&mut sources, path, name) {
            Ok(file) => (file, name.to_string()),
            Err(diagnostic) => return Err((sources, diagnostic.into())),
        }
    } else if is_file {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        match read_source(&mut sources, path, read) {
            Ok(file) => (file, identifier(&stem)),
            Err(diagnostic) => return Err((sources, diagnostic.into())),
        }
    } else if let Some((path, cut)) = cut_of_file(argument) {
        return load_cut(&path, cut, read);
    } else if let Some(spec) = shipped::find(argument) {
        (sources.add(shipped::source(spec)), argument.to_string())
    } else {
        if argument.chars().all(is_of_path) && crate::ops::find(argument).is_none() {
            let names = shipped::SPECS.iter().map(|spec| spec.name);
            let diagnostic = Diagnostic::new(Code::Unreadable, format!("there is no spec `{argument}`"))
                .note("a spec is a `.net` file, the name of a net that ships with netc, or an expression in quotes")
                .maybe_help(
                    file_of(argument)
                        .or_else(|| suggest::did_you_mean_family(argument, names))
                        .or_else(|| suggest::did_you_mean_file(path)),
                );
            return Err((sources, diagnostic.into()));
        }
        let root = sources.add_text("expression", argument);
        if let Some(diagnostic) = artifact_in(argument, root) {
            return Err((sources, diagnostic.into()));
        }
        (root, "expression".to_string())
    };
    Ok(spec(sources, root, &stem, read))
}

/// The help for a name that is that of a file without its ending.
fn file_of(argument: &str) -> Option<String> {
    let file = format!("{argument}.net");
    Path::new(&file).is_file().then(|| suggest::question(&file))
}

/// Reads a file, and adds a net that is a cut of the net that the file would be built as. Weights, labels and trained files are
/// found as for that net.
fn load_cut(path: &Path, cut: &str, read: Reader) -> std::result::Result<Spec, (Sources, Diagnostics)> {
    let inner = load(&path.display().to_string(), read)?;
    if inner.errors.has_errors() {
        return Ok(inner);
    }
    let name = match inner.choose(None) {
        Ok(net) => inner.project.nets[net].item.name.text.clone(),
        Err(errors) => return Err((inner.sources, errors)),
    };
    let file = inner.sources.file(inner.root());
    let (tree, _) = syntax::parse(&inner.sources, inner.root());
    // A file that is an expression has no items, beside which another net could stand.
    let items = match tree.expression {
        Some(_) => format!("net {name} =\n{}", file.text),
        None => file.text.clone(),
    };
    let net = format!("{name}_cut");
    let text = format!("{items}\n\nnet {net} = {name}{cut}\n");
    let mut sources = Sources::default();
    let root = sources.add(SourceFile { text, ..file.clone() });
    Ok(Spec { cut_of: Some(name), ..spec(sources, root, &net, read) })
}

/// Reads a spec from the text of a file that an editor has open. `read` reads the files that it uses.
pub fn load_text(path: &Path, text: &str, read: Reader) -> Spec {
    let mut sources = Sources::default();
    let name = path.display().to_string();
    let root = sources.add(SourceFile { name, path: Some(path.into()), text: text.into(), shipped: false });
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    spec(sources, root, &identifier(&stem), read)
}

/// Reads the spec that is stored in an artifact, with the name of the net that was built. Paths start at the artifact's folder.
pub fn load_stored(artifact: &Path, text: &str, net: &str) -> Spec {
    let mut sources = Sources::default();
    let name = format!("the spec in {}", artifact.display());
    // A shipped spec has its labels and tables of names beside it.
    let root = match shipped::SPECS.iter().find(|spec| spec.text == text) {
        Some(shipped) => shipped::source(shipped),
        None => SourceFile { name, path: Some(artifact.into()), text: text.into(), shipped: false },
    };
    let root = sources.add(root);
    spec(sources, root, net, &source_files::from_disk)
}

/// Loads the project whose root file is among the sources.
fn spec(mut sources: Sources, root: FileId, stem: &str, read: Reader) -> Spec {
    let (project, errors) = Project::load(&mut sources, root, stem, read);
    Spec {
        sources,
        project,
        errors,
        settings: Vec::new(),
        cut_of: None,
        expanded: Cell::default(),
        completeness_steps: Cell::default(),
        complete: RefCell::default(),
        keyword_names: RefCell::default(),
    }
}

/// The net name for a file stem: characters other than ASCII letters and digits become `_`.
pub fn identifier(stem: &str) -> String {
    let mut name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// An entry of a recipe that overrides the spec's.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The key: `optimizer`.
    pub key: Ident,
    /// The argument or the entry within the key's value: `step`; none for the whole value.
    pub part: Option<Ident>,
    pub value: Expr,
    /// The option's text as a source; paths in the value are relative to the working directory.
    pub file: FileId,
    /// The option as it was written.
    pub text: String,
}

impl Spec {
    /// Whether a net starts at an input and needs no arguments.
    pub fn is_complete(&self, net: usize) -> bool {
        if let Some(&known) = self.complete.borrow().get(&net) {
            return known;
        }
        let mut elaborator = Elaborator::new(&self.project, &self.sources);
        // The tests of all nets share one budget.
        elaborator.budget = Budget::with_steps(self.completeness_steps.get());
        let complete = self.starts_at_input(net, &mut elaborator);
        self.completeness_steps.set(elaborator.budget.steps());
        self.complete.borrow_mut().insert(net, complete);
        complete
    }

    fn starts_at_input<'p>(&'p self, net: usize, elaborator: &mut Elaborator<'p>) -> bool {
        let definition = &self.project.nets[net];
        if definition.item.parameters.iter().any(|parameter| parameter.default.is_none()) {
            return false;
        }
        let scope = Scope::of_file(definition.file);
        for parameter in &definition.item.parameters {
            let default = parameter.default.as_ref().map(|default| elaborator.evaluate(default, &scope));
            if let Some(Ok(binding)) = default {
                scope.define(&parameter.name.text, binding);
            }
        }
        elaborator.starts_at_input(&definition.item.body, &scope)
    }

    /// The complete nets of the root file, in source order.
    pub fn complete_nets(&self) -> Vec<usize> {
        self.project.root_nets().into_iter().filter(|&net| self.is_complete(net)).collect()
    }

    /// Selects a net: the requested one, else the one named like the file, else the only complete one, else the only complete one
    /// that has a recipe.
    ///
    /// # Errors
    /// A requested net that does not exist, several complete nets or none.
    pub fn choose(&self, asked: Option<&str>) -> Result<usize> {
        let project = &self.project;
        if let Some(name) = asked {
            return project.find(name, project.root).ok_or_else(|| {
                let names = project.names(project.root);
                Diagnostic::new(Code::NoNet, format!("there is no net `{name}`"))
                    .maybe_help(suggest::did_you_mean(name, names.iter().map(String::as_str)).or_else(|| {
                        let own: Vec<&str> =
                            project.root_nets().iter().map(|&net| project.nets[net].item.name.text.as_str()).collect();
                        let one = (1..=MAX_LISTED).contains(&own.len());
                        one.then(|| format!("the file has {}", suggest::all_of(own)))
                    }))
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
            // A net named like the file that needs arguments, and a complete net: ambiguous.
            Some((net, Some(parameter))) => {
                let names: Vec<&str> = complete.iter().map(|&net| project.nets[net].item.name.text.as_str()).collect();
                let name = &project.nets[net].item.name;
                let message = format!(
                    "`{}` is named like the file, but its parameter `{}` has no default",
                    name.text, parameter.name.text
                );
                return Err(Diagnostic::new(Code::NoNet, message)
                    .at(name.span, "not a complete net")
                    .help(format!("choose a net with --net: {}", suggest::one_of(names)))
                    .into());
            }
            None => {}
        }
        let trained: Vec<usize> = complete
            .iter()
            .copied()
            .filter(|&net| project.recipes.contains_key(&project.nets[net].item.name.text))
            .collect();
        match complete[..] {
            [one] => Ok(one),
            [_, _, ..] if trained.len() == 1 => Ok(trained[0]),
            [] => Err(self.no_complete_net()),
            _ => {
                let names: Vec<&str> = complete.iter().map(|&net| project.nets[net].item.name.text.as_str()).collect();
                Err(Diagnostic::new(Code::NoNet, "the spec has several complete nets")
                    .help(format!("choose one with --net: {}", suggest::one_of(names)))
                    .into())
            }
        }
    }

    /// Why no net is complete: the errors of one that needs no arguments, else that all are fragments.
    fn no_complete_net(&self) -> Diagnostics {
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

    /// Expands a net into its graph, with the warnings.
    ///
    /// # Errors
    /// All errors of the net, in [`Diagnostics`] order.
    pub fn graph(&self, net: usize) -> Result<(Graph, Diagnostics)> {
        self.expand(net, false)
    }

    /// Expands a net, or a fragment that starts with a cut: see [`Graph::open_inputs`].
    ///
    /// # Errors
    /// As [`Spec::graph`].
    pub fn graph_or_fragment(&self, net: usize) -> Result<(Graph, Diagnostics)> {
        self.expand(net, true)
    }

    fn expand(&self, net: usize, allow_open_inputs: bool) -> Result<(Graph, Diagnostics)> {
        let mut elaborator = Elaborator::new(&self.project, &self.sources);
        elaborator.allows_open_inputs = allow_open_inputs;
        let subgraph = elaborator.complete(net);
        self.note_work(&elaborator);
        let errors = elaborator.take_errors();
        match subgraph {
            Ok(subgraph) if !errors.has_errors() => Ok((Rc::unwrap_or_clone(subgraph).graph, errors)),
            _ => Err(errors),
        }
    }

    /// The number of layers expanded so far, each counted once for every net that it belongs to.
    pub fn expanded(&self) -> usize {
        self.expanded.get()
    }

    pub(super) fn note_work(&self, elaborator: &Elaborator) {
        self.expanded.set(self.expanded.get() + elaborator.budget.layers());
        self.keyword_names.borrow_mut().extend(&elaborator.keyword_names);
    }

    /// Resolves the names in a tree of the root file. Names of nets that an expansion has read as keywords are left out.
    pub fn names(&self, tree: &File) -> Names {
        Names::of(tree, self.project.names(self.root()), self.keyword_names.borrow().clone())
    }

    /// The root file.
    pub fn root(&self) -> FileId {
        self.project.root
    }
}
