//! What does not fit between a net and a weights file.

use crate::diagnostics::{Code, Diagnostic, counted};
use crate::request::WeightsRequest;

/// The maximum number of mismatches that are listed.
const MAX_LISTED: usize = 30;

/// Parameters without a tensor that fits, and tensors without a parameter.
#[derive(Debug, Default)]
pub(super) struct Mismatch {
    /// Parameters that the file does not have.
    pub missing: usize,
    /// Parameters that do not fit; missing ones are among them unless they are initialised.
    pub wrong: usize,
    /// Parameters whose tensors are integers.
    pub integers: usize,
    /// A line for each.
    pub problems: Vec<String>,
}

impl Mismatch {
    /// The error for a net of which `all` parameters were to be bound, if anything does not fit.
    pub fn diagnostic(&self, request: &WeightsRequest, all: usize, file: &str) -> Option<Diagnostic> {
        let problems = &self.problems;
        if problems.is_empty() {
            return None;
        }
        let message = match self.missing == all && !request.initialize_missing {
            _ if request.trained => retrained_message(request, file),
            true => format!("nothing in {file} fits `{}`", request.net),
            false => mismatch_message(self.wrong, all, problems.len() - self.wrong, request, file),
        };
        let shown = problems.len().min(MAX_LISTED);
        let mut diagnostic = Diagnostic::new(Code::WeightsMismatch, message)
            .at(request.span, format!("weights of `{}`", request.net))
            .note(problems[..shown].join("\n"));
        if problems.len() > shown {
            diagnostic = diagnostic.note(format!("and {} more", problems.len() - shown));
        }
        if self.integers > 0 {
            diagnostic = diagnostic.help("dequantise integers first: netc does not read their scales");
        }
        Some(match request.trained {
            true => diagnostic.help(format!(
                "`netc train` writes new weights; `--fresh` ignores these, and `--weights {}=FILE` uses others",
                request.net
            )),
            false => diagnostic.maybe_help((problems.len() > self.integers).then_some(
                "`rename = { \"name in the file\" = \"layer\" }` maps names; `missing = initialize` initialises missing parameters".to_string(),
            )),
        })
    }
}

/// The headline: which parameters of the net do not fit, or which tensors of the file its layers do not have, or both.
fn mismatch_message(wrong: usize, all: usize, extra: usize, request: &WeightsRequest, file: &str) -> String {
    let do_not = if wrong == 1 { "does not" } else { "do not" };
    let parameters = format!("{wrong} of {} of `{}` {do_not} fit {file}", counted(all, "parameter"), request.net);
    let tensors = format!("{} that the layers of the net do not have", counted(extra, "tensor"));
    match (wrong, extra) {
        (_, 0) => parameters,
        (0, _) => {
            format!("{file} contains {} that the layers of `{}` do not have", counted(extra, "tensor"), request.net)
        }
        _ => format!("{parameters}, which contains {tensors}"),
    }
}

/// The headline if the net has changed since training wrote the weights.
fn retrained_message(request: &WeightsRequest, file: &str) -> String {
    format!(
        "{file} was written by a different version of `{net}`: the net has changed since it was trained",
        net = request.net
    )
}
