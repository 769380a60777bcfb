//! What an argument of the command line names, if it is neither a file nor the name of a net: a cut of a file's net, or an
//! expression.

use super::project::shipped;
use crate::diagnostics::{Code, Diagnostic};
use crate::source::{FileId, Span};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A cut of a file's net, `bird.net[..species]`, or `bird[..species]` beside bird.net: the path and the cut.
pub fn cut_of_file(argument: &str) -> Option<(PathBuf, &str)> {
    if let Some(at) = argument.find(".net[") {
        let end = at + ".net".len();
        return Some((PathBuf::from(&argument[..end]), &argument[end..]));
    }
    let end = argument.find('[')?;
    let (name, cut) = argument.split_at(end);
    let is_name = !name.is_empty() && name.chars().all(is_of_path);
    let path = PathBuf::from(format!("{name}.net"));
    (is_name && shipped::find(name).is_none() && path.is_file()).then_some((path, cut))
}

/// Whether a path may have this character, and is not quoted for it.
pub(super) fn is_of_path(c: char) -> bool {
    c.is_alphanumeric() || "_-./\\".contains(c)
}

/// The error of an expression that names an artifact.
pub(super) fn artifact_in(expression: &str, file: FileId) -> Option<Diagnostic> {
    let Range { start, end } = artifact_name(expression)?;
    let (artifact, rest) = (&expression[start..end], &expression[end..]);
    let span = Span { file, start: start as u32, end: end as u32 };
    let spec = Path::new(artifact).with_extension("net");
    let help = match start == 0 && rest.starts_with('[') {
        true if spec.is_file() => format!("cut its spec: `{}{rest}`", spec.display()),
        true => format!("cut its spec, which `netc inspect {artifact} --source` prints"),
        false => format!("an expression can begin with a cut of the spec: `{}[..=LAYER] >> …`", spec.display()),
    };
    let message = format!("`{artifact}` is an artifact, which cannot be cut or continued");
    Some(Diagnostic::new(Code::NotASpec, message).at(span, "already compiled").help(help))
}

/// The first name of an artifact outside quotes.
fn artifact_name(expression: &str) -> Option<Range<usize>> {
    const ENDING: &str = ".netb";
    expression.match_indices(ENDING).find_map(|(at, _)| {
        let end = at + ENDING.len();
        let start = expression[..at].trim_end_matches(is_of_path).len();
        let is_whole = !expression[end..].starts_with(is_of_path) && start < at;
        (is_whole && !expression[..start].ends_with('"')).then_some(start..end)
    })
}

#[cfg(test)]
mod tests {
    use super::artifact_name;

    #[test]
    fn artifacts_in_expressions_are_found() {
        for (expression, name) in [
            ("t2.netb[..=hid]", Some("t2.netb")),
            ("frozen(a/b-1.netb[..3]) >> Relu", Some("a/b-1.netb")),
            ("Input(3) >> x.netb", Some("x.netb")),
            ("bird.netbook[..3]", None),
            ("f(\"x.netb\")", None),
            (".netb", None),
        ] {
            assert_eq!(artifact_name(expression).map(|range| &expression[range]), name, "{expression}");
        }
    }
}
