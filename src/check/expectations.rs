//! The promises of a spec, evaluated: each `expect` holds, or a diagnostic says what was found instead.

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

/// What a condition can ask of a net.
const QUESTIONS: [&str; 3] = ["top1", "parameters", "layers"];

/// Checks the expectations of the spec's own file; tells all that do not hold.
pub fn check(spec: &Spec, options: &BuildOptions) -> Diagnostics {
    let mut told = Diagnostics::default();
    let mut nets = Nets { spec, options, graphs: BTreeMap::new(), artifacts: BTreeMap::new(), found: Vec::new() };
    let own = spec.project.expectations.iter().filter(|(_, span)| span.file == spec.root());
    for (item, span) in own {
        let done = match item {
            ExpectItem::Signature { net, signature } => {
                nets.graph(net).map(|graph| spec.check_expected_signature(net, signature, graph))
            }
            ExpectItem::Condition(condition) => nets.condition(condition, *span),
        };
        told.extend(done.unwrap_or_else(|errors| errors));
    }
    told
}

/// The nets that expectations ask about, each made once.
struct Nets<'s> {
    spec: &'s Spec,
    options: &'s BuildOptions,
    graphs: BTreeMap<String, Graph>,
    artifacts: BTreeMap<String, Arc<Artifact>>,
    /// What each question of the condition at hand was answered with.
    found: Vec<String>,
}

impl Nets<'_> {
    fn graph(&mut self, net: &Ident) -> Result<&Graph> {
        if !self.graphs.contains_key(&net.text) {
            let spec = self.spec;
            let index = spec.project.find(&net.text, net.span.file).ok_or_else(|| {
                let names = spec.project.names(net.span.file);
                Diagnostic::new(Code::ExpectationForm, format!("there is no net `{}`", net.text))
                    .at(net.span, "no net of this name")
                    .suggest_name(net.span, &net.text, suggest::nearest(&net.text, names.iter().map(String::as_str)))
            })?;
            let (graph, _) = spec.graph(index)?;
            self.graphs.insert(net.text.clone(), graph);
        }
        self.graphs.get(&net.text).ok_or_else(Diagnostics::default)
    }

    fn condition(&mut self, condition: &Expr, span: Span) -> Result<Diagnostics> {
        self.found.clear();
        let answered = self.answer(condition)?;
        let value = self.spec.value(&answered, span.file)?;
        match value.kind {
            ValueKind::Bool(true) => Ok(Diagnostics::default()),
            ValueKind::Bool(false) => {
                let message = format!("`{}` does not hold", expression_text(condition));
                let diagnostic = Diagnostic::new(Code::Expectation, message).at(condition.span, "promised here");
                Ok(std::mem::take(&mut self.found).into_iter().fold(diagnostic, Diagnostic::note).into())
            }
            kind => Err(Diagnostic::new(Code::ExpectationForm, "an expectation is a condition")
                .at(condition.span, format!("this is {}", kind.noun()))
                .help("compare it: `expect parameters(bird) < 140000000`")
                .into()),
        }
    }

    /// The condition with the answers in place of the questions, so that the language's own arithmetic does the rest.
    fn answer(&mut self, expression: &Expr) -> Result<Expr> {
        let kind = match &expression.kind {
            ExprKind::Call { function, arguments } => self.ask(function, arguments, expression)?,
            ExprKind::Paren(inner) => ExprKind::Paren(Box::new(self.answer(inner)?)),
            ExprKind::Unary { operator, operand } => {
                ExprKind::Unary { operator: *operator, operand: Box::new(self.answer(operand)?) }
            }
            ExprKind::Binary { operator, left, right } => ExprKind::Binary {
                operator: *operator,
                left: Box::new(self.answer(left)?),
                right: Box::new(self.answer(right)?),
            },
            other => other.clone(),
        };
        Ok(Expr { kind, span: expression.span })
    }

    fn ask(&mut self, function: &Ident, arguments: &[Argument], whole: &Expr) -> Result<ExprKind> {
        let wrong = |takes: &str| {
            Diagnostics::from(
                Diagnostic::new(Code::ExpectationForm, format!("`{}` takes {takes}", function.text))
                    .at(whole.span, "in this expectation"),
            )
        };
        let net = match arguments.first().map(|argument| &argument.value) {
            Some(Expr { kind: ExprKind::Name(name), span }) => Some(Ident { text: name.clone(), span: *span }),
            _ => None,
        };
        let answer = match (function.text.as_str(), net, arguments.len()) {
            ("top1", Some(net), 2) => {
                let Some(photo) = project::plain_string(&arguments[1].value) else {
                    return Err(wrong("a net and a photo's path in quotes"));
                };
                let path = self.spec.sources.folder(whole.span.file).join(photo);
                let label = self.top1(&net, &path, arguments[1].value.span)?;
                ExprKind::Text(Text { parts: vec![TextPart::Literal(label)], span: whole.span })
            }
            ("top1", ..) => return Err(wrong("a net and a photo: `top1(bird, \"owl.jpg\")`")),
            ("parameters", Some(net), 1) => integer(self.graph(&net)?.parameter_count()),
            ("layers", Some(net), 1) => integer(self.graph(&net)?.nodes.len()),
            ("parameters" | "layers", ..) => return Err(wrong("a net's name")),
            (other, ..) => {
                return Err(Diagnostic::new(Code::ExpectationForm, format!("an expectation cannot ask for `{other}`"))
                    .at(function.span, format!("it knows {}", suggest::one_of(QUESTIONS).replace(" or ", " and ")))
                    .suggest_name(function.span, other, suggest::nearest(other, QUESTIONS))
                    .into());
            }
        };
        let shown = expression_text(&Expr { kind: answer.clone(), span: whole.span });
        self.found.push(format!("{} is {shown}", expression_text(whole)));
        Ok(answer)
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

    /// The label of a photo's most likely class; its number where the net has no labels.
    fn top1(&mut self, net: &Ident, path: &Path, at: Span) -> Result<String> {
        let artifact = self.artifact(net)?;
        let manifest = &artifact.manifest;
        let error = |code, message: String| Diagnostics::from(Diagnostic::new(code, message).at(at, "asked for here"));
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
