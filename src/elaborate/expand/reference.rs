//! Mentions: a word that stands for something in scope, a net with its arguments, or a layer.

use crate::diagnostics::foreign_names;
use crate::diagnostics::foreign_names::Meant;
use crate::diagnostics::{Code, Diagnostic, counted, suggest};
use crate::elaborate::Aborted;
use crate::elaborate::budget::MAX_DEPTH;
use crate::elaborate::elaborator::{Elaborator, Flow};
use crate::elaborate::environment::{Bound, Scope};
use crate::graph::{Mention, NodeId};
use crate::ops;
use crate::source::Span;
use crate::syntax::ast::{Argument, Expr};
use std::rc::Rc;

/// Nets among which a mistyped one is sought; more are no spec of a person.
const MAX_NETS: usize = 400;
/// Mistyped names for which the meant one is sought.
const MAX_SUGGESTIONS: usize = 100;

impl<'p> Elaborator<'p> {
    /// A word, with arguments perhaps: something in scope, a net, or a layer.
    pub(crate) fn mention(
        &mut self,
        name: &str,
        arguments: &'p [Argument],
        span: Span,
        scope: &Rc<Scope<'p>>,
        flow: Flow,
    ) -> Result<Vec<NodeId>, Aborted> {
        if let Some(bound) = scope.find(name) {
            if let Some(argument) = arguments.first() {
                return Err(self.stop(
                    Diagnostic::new(Code::TooManyArguments, format!("`{name}` is a value and takes no arguments"))
                        .at(argument.value.span, "here"),
                ));
            }
            return self.apply_bound(bound, span, flow);
        }
        if let Some(net) = self.project.find(name, scope.file) {
            return self.net_mention(net, arguments, span, scope, flow);
        }
        if let Some(definition) = ops::find(name) {
            return self.layer(definition, arguments, span, scope, flow);
        }
        Err(self.unknown_mention(name, span, scope, &[]))
    }

    /// Reports that a word stands for nothing; `more` are names in scope besides those of the scope.
    pub(crate) fn unknown_mention(&mut self, name: &str, span: Span, scope: &Rc<Scope<'p>>, more: &[&str]) -> Aborted {
        if let Some(&(_, place)) = self.lets.iter().rev().find(|(later, _)| *later == name) {
            let defines_itself = place.end <= span.start;
            let message = match defines_itself {
                true => format!("`{name}` is defined by itself"),
                false => format!("`{name}` is not there yet"),
            };
            return self.stop(
                Diagnostic::new(Code::UnknownName, message)
                    .at(span, "used here")
                    .and(place, if defines_itself { "in its own definition" } else { "defined only here" })
                    .help("a `let` uses what stands before it"),
            );
        }
        // Nets that mention each other in pairs come here once for every way that leads here.
        if let Some(told) = self.unknown.get(&span) {
            return self.stop(told.clone());
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
        let meant = foreign_names::layer(name)
            .map(Meant::Words)
            .or_else(|| suggest::nearest(name, known.iter().map(String::as_str)).map(Meant::Name));
        let diagnostic = Diagnostic::new(Code::UnknownName, format!("there is no layer or net `{name}`"))
            .at(span, "not known")
            .spelled(span.head(name.len()), name, meant);
        self.unknown.insert(span, diagnostic.clone());
        self.stop(diagnostic)
    }

    /// The scope of a net's body: its parameters, bound.
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
        let mut bounds: Vec<Option<Bound<'p>>> = Vec::with_capacity(given.len());
        for argument in given {
            // Every argument is evaluated, so that all mistakes are told.
            let bound = argument.map(|expression| self.evaluate(expression, caller));
            bounds.push(bound.and_then(|bound| bound.map_err(|stop| stopped = Some(stop)).ok()));
        }
        for (parameter, bound) in item.parameters.iter().zip(bounds) {
            let bound = match (bound, &parameter.default) {
                (Some(bound), _) => bound,
                (None, Some(default)) => match self.evaluate(default, &scope) {
                    Ok(bound) => bound,
                    Err(stop) => {
                        stopped = Some(stop);
                        continue;
                    }
                },
                (None, None) => continue,
            };
            scope.define(&parameter.name.text, bound);
        }
        stopped.map_or(Ok(scope), Err)
    }

    /// The arguments of a mention, sorted by position and by name into the places of the net's parameters, and whether
    /// a mistake was told.
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
            let place = match &argument.name {
                None => {
                    position += 1;
                    Some(position - 1).filter(|&place| place < given.len())
                }
                Some(word) => item.parameters.iter().position(|parameter| parameter.name.text == word.text),
            };
            let Some(place) = place else {
                let names: Vec<&str> = item.parameters.iter().map(|parameter| parameter.name.text.as_str()).collect();
                stopped = Some(match &argument.name {
                    Some(word) => self.stop(
                        Diagnostic::new(Code::UnknownArgument, format!("`{name}` has no parameter `{}`", word.text))
                            .at(word.span, "not a parameter")
                            .and(item.name.span, "defined here")
                            .spelled(word.span, &word.text, foreign_names::argument(name, &word.text, &names)),
                    ),
                    None => self.stop(
                        Diagnostic::new(Code::TooManyArguments, format!("`{name}` gets too many arguments"))
                            .at(argument.value.span, format!("it has {}", counted(names.len(), "parameter")))
                            .and(item.name.span, "defined here"),
                    ),
                });
                continue;
            };
            if let Some(earlier) = given[place].replace(&argument.value) {
                let parameter = &item.parameters[place].name.text;
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
                            .at(span, "not given here")
                            .and(parameter.name.span, "has no default"),
                    ),
                );
            }
        }
        (given, stopped)
    }

    pub(crate) fn net_mention(
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
                        .at(span, "mentioned here again")
                        .and(mention.span, "while it is expanded from here"),
                ));
            }
            around = mention.outer.as_deref();
        }
        if self.depth >= MAX_DEPTH {
            return Err(self.too_deep(span));
        }
        self.depth += 1;
        let outputs = self.expand(net, arguments, span, caller, flow);
        self.depth -= 1;
        outputs
    }

    pub(crate) fn expand(
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
            let piece = match arguments.is_empty() {
                true => self.complete(net)?,
                false => Rc::new(self.complete_in(net, scope, span)?),
            };
            let all = vec![true; piece.graph.nodes.len()];
            let outputs = piece.graph.outputs.clone();
            return self.put(&piece, &all, &outputs, span, flow);
        }
        let start = self.draft.len();
        let outputs = self.body(net, &scope, flow, span)?;
        self.note_net(start..self.draft.len(), &item.name.text, span)?;
        Ok(outputs)
    }

    /// The body of a net, its signature kept.
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
        let start = self.draft.len();
        let outputs = self.apply(&item.body, scope, flow.clone())?;
        if flow.is_none() {
            let inputs: Vec<NodeId> = (start..self.draft.len())
                .map(NodeId)
                .filter(|&id| self.draft.graph.node(id).inputs.is_empty())
                .collect();
            self.check_inputs(&item.name.text, signature, &inputs, scope, item.name.span)?;
        }
        self.check_outputs(&item.name.text, signature, &outputs, scope, item.body.span)?;
        Ok(outputs)
    }
}
