//! Resolves references: a name in scope, a net with its arguments, or a layer.

use crate::diagnostics::foreign_names;
use crate::diagnostics::foreign_names::Meaning;
use crate::diagnostics::{Code, Diagnostic, counted, suggest};
use crate::elaborate::budget::MAX_DEPTH;
use crate::elaborate::elaborator::{Aborted, Elaborator, Flow};
use crate::elaborate::environment::{Binding, Scope};
use crate::graph::{Mention, NodeId};
use crate::ops;
use crate::source::Span;
use crate::syntax::ast::{Argument, Expr};
use std::path::Path;
use std::rc::Rc;

/// Max nets of a project for which suggestions are searched; generated specs have more.
const MAX_NETS: usize = 400;
/// Max unknown names for which suggestions are searched.
const MAX_SUGGESTIONS: usize = 100;

impl<'p> Elaborator<'p> {
    /// Applies a name, possibly with arguments: a name in scope, a net, or a layer.
    pub(crate) fn reference(
        &mut self,
        name: &str,
        arguments: &'p [Argument],
        span: Span,
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        if let Some(binding) = scope.find(name) {
            if let Some(argument) = arguments.first() {
                return Err(self.stop(
                    Diagnostic::new(Code::TooManyArguments, format!("`{name}` is a value and takes no arguments"))
                        .at(argument.value.span, "unexpected argument"),
                ));
            }
            return self.apply_binding(binding, span, flow);
        }
        if let Some(net) = self.project.find(name, scope.file) {
            return self.net_reference(net, arguments, span, scope, flow);
        }
        if let Some(definition) = ops::find(name) {
            return self.layer(definition, arguments, span, scope, flow);
        }
        Err(self.unknown_name(name, span, scope, &[]))
    }

    /// Reports an unknown name; `more` are names to suggest besides those in scope.
    pub(crate) fn unknown_name(&mut self, name: &str, span: Span, scope: &Rc<Scope<'p>>, more: &[&str]) -> Aborted {
        if let Some(&(_, definition)) = self.lets.iter().rev().find(|(later, _)| *later == name) {
            let defines_itself = definition.end <= span.start;
            let message = match defines_itself {
                true => format!("`{name}` is defined in terms of itself"),
                false => format!("`{name}` is used before it is defined"),
            };
            return self.stop(
                Diagnostic::new(Code::UnknownName, message)
                    .at(span, "used here")
                    .and(definition, if defines_itself { "in its own definition" } else { "defined here" })
                    .help("a `let` can use only names that are defined before it"),
            );
        }
        // Nets that use each other in pairs get here once for every path of uses.
        if let Some(known) = self.unknown_names.get(&span) {
            return self.stop(known.clone());
        }
        let known: Vec<String> = match self.project.nets.len() <= MAX_NETS && self.errors.len() <= MAX_SUGGESTIONS {
            true => scope
                .names()
                .into_iter()
                .chain(more.iter().map(|name| name.to_string()))
                .chain(self.project.names(scope.file))
                .chain(ops::names().map(str::to_string))
                .collect(),
            false => Vec::new(),
        };
        let meaning = foreign_names::layer(name)
            .map(Meaning::Advice)
            .or_else(|| suggest::nearest(name, known.iter().map(String::as_str)).map(Meaning::Name));
        let mut diagnostic = Diagnostic::new(Code::UnknownName, format!("there is no layer or net `{name}`"))
            .at(span, "unknown name")
            .suggest(span.head(name.len()), name, meaning);
        if !known.is_empty() && self.sources.file(span.file).is_typed() {
            diagnostic = diagnostic.maybe_help(help_of_file(name));
        }
        let written = self.sources.text(span);
        if let Some((bytes, text)) = foreign_names::layer_fix(name, written) {
            diagnostic = diagnostic.fix(span.head(bytes), written.get(..bytes).unwrap_or_default(), text);
        }
        self.unknown_names.insert(span, diagnostic.clone());
        self.stop(diagnostic)
    }

    /// The scope of the body of a net, with its parameters bound to the arguments or their defaults.
    pub(crate) fn net_scope(
        &mut self,
        net: usize,
        span: Span,
        arguments: &'p [Argument],
        caller: &Rc<Scope<'p>>,
    ) -> Result<Rc<Scope<'p>>, Aborted> {
        let definition = &self.project.nets[net];
        let item = &definition.item;
        let mention = Rc::new(Mention { net: item.name.text.clone(), span, outer: caller.mention.clone() });
        let scope = Scope::of_net(definition.file, mention);
        let (given, mut stopped) = self.sort_arguments(net, span, arguments);
        let mut bounds: Vec<Option<Binding<'p>>> = Vec::with_capacity(given.len());
        for argument in given {
            // Every argument is evaluated, so that all errors are reported.
            let binding = argument.map(|expression| self.evaluate(expression, caller));
            bounds.push(binding.and_then(|binding| binding.map_err(|stop| stopped = Some(stop)).ok()));
        }
        for (parameter, binding) in item.parameters.iter().zip(bounds) {
            let binding = match (binding, &parameter.default) {
                (Some(binding), _) => binding,
                (None, Some(default)) => match self.evaluate(default, &scope) {
                    Ok(binding) => binding,
                    Err(stop) => {
                        stopped = Some(stop);
                        continue;
                    }
                },
                (None, None) => continue,
            };
            scope.define(&parameter.name.text, binding);
        }
        stopped.map_or(Ok(scope), Err)
    }

    /// The argument of each parameter of a net, by position or by name, and whether an error was reported.
    pub(crate) fn sort_arguments(
        &mut self,
        net: usize,
        span: Span,
        arguments: &'p [Argument],
    ) -> (Vec<Option<&'p Expr>>, Option<Aborted>) {
        let item = &self.project.nets[net].item;
        let name = &item.name.text;
        let mut given: Vec<Option<&'p Expr>> = vec![None; item.parameters.len()];
        let mut position = 0;
        let mut stopped = None;
        for argument in arguments {
            let index = match &argument.name {
                None => {
                    position += 1;
                    Some(position - 1).filter(|&index| index < given.len())
                }
                Some(word) => item.parameters.iter().position(|parameter| parameter.name.text == word.text),
            };
            let Some(index) = index else {
                let names: Vec<&str> = item.parameters.iter().map(|parameter| parameter.name.text.as_str()).collect();
                stopped = Some(match &argument.name {
                    Some(word) => self.stop(
                        Diagnostic::new(Code::UnknownArgument, format!("`{name}` has no parameter `{}`", word.text))
                            .at(word.span, "unknown parameter")
                            .and(item.name.span, "defined here")
                            .suggest(word.span, &word.text, foreign_names::argument(name, &word.text, &names)),
                    ),
                    None => self.stop(
                        Diagnostic::new(Code::TooManyArguments, format!("`{name}` gets too many arguments"))
                            .at(argument.value.span, format!("it has {}", counted(names.len(), "parameter")))
                            .and(item.name.span, "defined here"),
                    ),
                });
                continue;
            };
            if let Some(earlier) = given[index].replace(&argument.value) {
                let parameter = &item.parameters[index].name.text;
                stopped = Some(
                    self.stop(
                        Diagnostic::new(Code::TooManyArguments, format!("`{parameter}` of `{name}` is given twice"))
                            .at(argument.value.span, "again here")
                            .and(earlier.span, "first here"),
                    ),
                );
            }
        }
        for (parameter, given) in item.parameters.iter().zip(&given) {
            if given.is_none() && parameter.default.is_none() && stopped.is_none() {
                stopped = Some(
                    self.stop(
                        Diagnostic::new(Code::MissingArgument, format!("`{name}` needs `{}`", parameter.name.text))
                            .at(span, "missing here")
                            .and(parameter.name.span, "has no default"),
                    ),
                );
            }
        }
        (given, stopped)
    }

    /// Applies a net, unless it contains itself.
    fn net_reference(
        &mut self,
        net: usize,
        arguments: &'p [Argument],
        span: Span,
        caller: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        let item = &self.project.nets[net].item;
        let name = &item.name.text;
        let mut around = caller.mention.as_deref();
        while let Some(mention) = around {
            if mention.net == *name {
                return Err(self.stop(
                    Diagnostic::new(Code::Recursion, format!("`{name}` contains itself"))
                        .at(span, "used again here")
                        .and(mention.span, "while it is expanded for this use"),
                ));
            }
            around = mention.outer.as_deref();
        }
        if self.depth >= MAX_DEPTH {
            return Err(self.budget.too_deep(span).into());
        }
        self.depth += 1;
        let outputs = self.expand(net, arguments, span, caller, flow);
        self.depth -= 1;
        outputs
    }

    fn expand(
        &mut self,
        net: usize,
        arguments: &'p [Argument],
        span: Span,
        caller: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        let scope = self.net_scope(net, span, arguments, caller)?;
        let item = &self.project.nets[net].item;
        if self.starts_at_input(&item.body, &scope) {
            let subgraph = match arguments.is_empty() {
                true => self.complete(net)?,
                false => Rc::new(self.complete_in(net, scope, span)?),
            };
            let all = vec![true; subgraph.graph.nodes.len()];
            let outputs = subgraph.graph.outputs.clone();
            return self.insert_subgraph(&subgraph, &all, &outputs, span, flow);
        }
        let start = self.builder.len();
        let outputs = self.body(net, &scope, flow, span)?;
        self.note_net(start..self.builder.len(), &item.name.text, span)?;
        Ok(outputs)
    }

    /// Applies the body of a net and checks its signature.
    pub(crate) fn body(
        &mut self,
        net: usize,
        scope: &Rc<Scope<'p>>,
        flow: Flow,
        span: Span,
    ) -> Result<Vec<NodeId>, Aborted> {
        let item = &self.project.nets[net].item;
        let Some(signature) = &item.signature else { return self.apply(&item.body, scope, flow) };
        if let Some(nodes) = &flow {
            self.check_inputs(&item.name.text, signature, nodes, scope, span)?;
        }
        let start = self.builder.len();
        let outputs = self.apply(&item.body, scope, flow.clone())?;
        if flow.is_none() {
            let inputs: Vec<NodeId> = (start..self.builder.len())
                .map(NodeId)
                .filter(|&id| self.builder.graph.node(id).inputs.is_empty())
                .collect();
            self.check_inputs(&item.name.text, signature, &inputs, scope, item.name.span)?;
        }
        self.check_outputs(&item.name.text, signature, &outputs, scope, item.body.span)?;
        Ok(outputs)
    }
}

/// The help for the name of a file in an expression on the command line.
fn help_of_file(name: &str) -> Option<String> {
    let file = format!("{name}.net");
    match Path::new(&file).is_file() {
        true => Some(format!("the net of a file is named at the start of an expression: `{file}[..=LAYER] >> …`")),
        false => suggest::did_you_mean_file(Path::new(&file)).filter(|help| help.contains(".net`")),
    }
}
