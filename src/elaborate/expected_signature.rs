//! `expect net: signature`: checked like the signature of a net's own definition.

use super::elaborator::Elaborator;
use super::environment::Scope;
use super::spec::Spec;
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::graph::Graph;
use crate::syntax::ast::{Ident, Signature};

impl Spec {
    /// The errors of a graph whose inputs or outputs differ from those of `expect net: signature`.
    pub fn check_expected_signature(&self, net: &Ident, signature: &Signature, graph: &Graph) -> Diagnostics {
        let mut elaborator = Elaborator::new(&self.project, &self.sources);
        elaborator.builder.graph = graph.clone();
        let scope = Scope::of_file(net.span.file);
        // A failure has left its diagnostic in `errors`.
        let _ = elaborator
            .check_inputs(&net.text, signature, &graph.inputs(), &scope, net.span)
            .and_then(|()| elaborator.check_outputs(&net.text, signature, &graph.outputs, &scope, net.span));
        let mut errors = Diagnostics::default();
        for error in elaborator.errors.iter() {
            let code = if error.code == Code::Contract { Code::Expectation } else { error.code };
            errors.push(Diagnostic { code, ..error.clone() });
        }
        errors
    }
}
