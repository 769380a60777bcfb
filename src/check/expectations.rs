//! Evaluates the `expect` items of a spec; a diagnostic reports each one that fails, with the values found.

use crate::artifact::Artifact;
use crate::compile::{self, BuildOptions};
use crate::data::photos::photo;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Result, suggest};
use crate::elaborate::{Spec, project};
use crate::graph::{Graph, ValueKind};
use crate::runtime::{Session, thread_count};
use crate::source::Span;
use crate::syntax::ast::{Argument, ExpectItem, Expr, ExprKind, Ident, Text, TextPart};
use crate::syntax::expression_text;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A function of conditions.
#[derive(Debug)]
pub struct Function {
    pub name: &'static str,
    pub signature: &'static str,
    /// What it gives, in one line.
    pub doc: &'static str,
}

/// The functions of conditions.
pub const FUNCTIONS: [Function; 3] = [
    Function {
        name: "top1",
        signature: "top1(net, photo)",
        doc: "the label of a photo's most likely class, or its index: `top1(bird, \"owl.jpg\")`",
    },
    Function { name: "parameters", signature: "parameters(net)", doc: "the number of a net's parameters" },
    Function { name: "layers", signature: "layers(net)", doc: "the number of a net's layers" },
];

/// Checks the expectations of the spec's root file; reports all that fail.
pub fn check(spec: &Spec, options: &BuildOptions) -> Diagnostics {
    let mut diagnostics = Diagnostics::default();
    let mut nets = Nets { spec, options, graphs: BTreeMap::new(), artifacts: BTreeMap::new(), found: Vec::new() };
    let of_root = spec.project.expectations.iter().filter(|(_, span)| span.file == spec.root());
    for (item, span) in of_root {
        let result = match item {
            ExpectItem::Signature { net, signature } => {
                nets.graph(net).map(|graph| spec.check_expected_signature(net, signature, graph))
            }
            ExpectItem::Condition(condition) => nets.condition(condition, *span),
        };
        diagnostics.extend(result.unwrap_or_else(|errors| errors));
    }
    diagnostics
}

/// The nets that expectations refer to, each built once.
struct Nets<'s> {
    spec: &'s Spec,
    options: &'s BuildOptions,
    graphs: BTreeMap<String, Graph>,
    artifacts: BTreeMap<String, Arc<Artifact>>,
    /// The values of the function calls in the current condition, as notes.
    found: Vec<String>,
}

impl Nets<'_> {
    fn graph(&mut self, net: &Ident) -> Result<&Graph> {
        if !self.graphs.contains_key(&net.text) {
            let spec = self.spec;
            let index = spec.project.find(&net.text, net.span.file).ok_or_else(|| {
                let names = spec.project.names(net.span.file);
                Diagnostic::new(Code::ExpectationForm, format!("there is no net `{}`", net.text))
                    .at(net.span, "no net has this name")
                    .suggest_name(net.span, &net.text, suggest::nearest(&net.text, names.iter().map(String::as_str)))
            })?;
            let (graph, _) = spec.graph(index)?;
            self.graphs.insert(net.text.clone(), graph);
        }
        self.graphs.get(&net.text).ok_or_else(Diagnostics::default)
    }

    fn condition(&mut self, condition: &Expr, span: Span) -> Result<Diagnostics> {
        self.found.clear();
        let evaluated = self.evaluate_calls(condition)?;
        let value = self.spec.value(&evaluated, span.file)?;
        match value.kind {
            ValueKind::Bool(true) => Ok(Diagnostics::default()),
            ValueKind::Bool(false) => {
                let message = format!("`{}` is false", expression_text(condition));
                let diagnostic = Diagnostic::new(Code::Expectation, message).at(condition.span, "expected here");
                Ok(std::mem::take(&mut self.found).into_iter().fold(diagnostic, Diagnostic::note).into())
            }
            kind => Err(Diagnostic::new(Code::ExpectationForm, "an expectation is a condition")
                .at(condition.span, format!("this is {}", kind.noun()))
                .help("compare it: `expect parameters(bird) < 140000000`")
                .into()),
        }
    }

    /// Replaces the function calls of a condition by their values; the elaborator evaluates the remaining expression.
    fn evaluate_calls(&mut self, expression: &Expr) -> Result<Expr> {
        let kind = match &expression.kind {
            ExprKind::Call { function, arguments } => self.call(function, arguments, expression)?,
            ExprKind::Paren(inner) => ExprKind::Paren(Box::new(self.evaluate_calls(inner)?)),
            ExprKind::Unary { operator, operand } => {
                ExprKind::Unary { operator: *operator, operand: Box::new(self.evaluate_calls(operand)?) }
            }
            ExprKind::Binary { operator, left, right } => ExprKind::Binary {
                operator: *operator,
                left: Box::new(self.evaluate_calls(left)?),
                right: Box::new(self.evaluate_calls(right)?),
            },
            other => other.clone(),
        };
        Ok(Expr { kind, span: expression.span })
    }

    fn call(&mut self, function: &Ident, arguments: &[Argument], call: &Expr) -> Result<ExprKind> {
        let wrong = |takes: &str| {
            Diagnostics::from(
                Diagnostic::new(Code::ExpectationForm, format!("`{}` takes {takes}", function.text))
                    .at(call.span, "in this expectation"),
            )
        };
        let net = match arguments.first().map(|argument| &argument.value) {
            Some(Expr { kind: ExprKind::Name(name), span }) => Some(Ident { text: name.clone(), span: *span }),
            _ => None,
        };
        let value = match (function.text.as_str(), net, arguments.len()) {
            ("top1", Some(net), 2) => {
                let Some(photo) = project::plain_string(&arguments[1].value) else {
                    return Err(wrong("a net and a photo's path in quotes"));
                };
                let path = self.spec.sources.folder(call.span.file).join(photo);
                let label = self.top1(&net, &path, arguments[1].value.span)?;
                ExprKind::Text(Text { parts: vec![TextPart::Literal(label)], span: call.span })
            }
            ("top1", ..) => return Err(wrong("a net and a photo: `top1(bird, \"owl.jpg\")`")),
            ("parameters", Some(net), 1) => integer(self.graph(&net)?.parameter_count()),
            ("layers", Some(net), 1) => integer(self.graph(&net)?.nodes.len()),
            ("parameters" | "layers", ..) => return Err(wrong("a net's name")),
            (other, ..) => {
                let names = FUNCTIONS.map(|function| function.name);
                return Err(Diagnostic::new(Code::ExpectationForm, format!("expectations have no function `{other}`"))
                    .at(function.span, format!("the functions are {}", suggest::one_of(names).replace(" or ", " and ")))
                    .suggest_name(function.span, other, suggest::nearest(other, names))
                    .into());
            }
        };
        let shown = expression_text(&Expr { kind: value.clone(), span: call.span });
        self.found.push(format!("{} is {shown}", expression_text(call)));
        Ok(value)
    }

    fn artifact(&mut self, net: &Ident) -> Result<Arc<Artifact>> {
        if let Some(artifact) = self.artifacts.get(&net.text) {
            return Ok(artifact.clone());
        }
        self.graph(net)?;
        let options = BuildOptions { net: Some(net.text.clone()), ..self.options.clone() };
        let (build, _) = compile::build(self.spec, &options)?;
        let artifact = Arc::new(build.in_memory()?);
        self.artifacts.insert(net.text.clone(), artifact.clone());
        Ok(artifact)
    }

    /// The label of a photo's most likely class, or its index if the net has no labels.
    fn top1(&mut self, net: &Ident, path: &Path, at: Span) -> Result<String> {
        let artifact = self.artifact(net)?;
        let manifest = &artifact.manifest;
        let error = |code, message: String| Diagnostics::from(Diagnostic::new(code, message).at(at, "needed here"));
        let ([input], [Some(preprocessing)]) = (&manifest.plan.inputs[..], &manifest.preprocessing[..]) else {
            let message = format!("`{}` does not say how a photo becomes its input", net.text);
            return Err(error(Code::Preprocessing, message));
        };
        let ([height, width, channels], [output]) = (&input.sizes[..], &manifest.plan.outputs[..]) else {
            let message = format!("`{}` is not a net from one photo to one list of classes", net.text);
            return Err(error(Code::ExpectationForm, message));
        };
        let mut image = vec![0.0; input.len()];
        photo::read(path, preprocessing, (*height, *width, *channels), &mut image)
            .map_err(|cause| error(Code::Photo, cause.to_string()))?;
        let mut values = vec![0.0; output.len()];
        Session::new(artifact.clone(), thread_count::available().max(1))
            .run(1, &[&image], &mut [&mut values])
            .map_err(|cause| error(Code::ArtifactDamaged, cause.to_string()))?;
        let best = manifest.ranked(0, &values).first().map_or(0, |(class, _)| *class);
        let label = manifest.labels.as_ref().and_then(|labels| labels.get(best)).cloned();
        Ok(label.unwrap_or_else(|| best.to_string()))
    }
}

fn integer(count: usize) -> ExprKind {
    ExprKind::Int(i64::try_from(count).unwrap_or(i64::MAX))
}
