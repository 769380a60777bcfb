//! What follows the nets of a spec: weights, labels and shapes, as items.

use super::source::Source;
use crate::file::folder_of;
use crate::syntax::print::inline::quoted;
use std::path::Path;

fn sizes(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// The option of a weights block whose net has the axes of its file.
pub(super) const EXPLICIT: &str = " { axes = explicit }";

/// How the comment of an imported spec begins.
pub(super) const ORIGIN: &str = "Imported from";

/// Whether a spec was imported, by its text.
pub fn is_imported(text: &str) -> bool {
    text.lines().find_map(|line| line.strip_prefix("# ")).is_some_and(|comment| comment.starts_with(ORIGIN))
}

/// The weights of the very file, the labels that it has, and the shapes as a promise.
pub(super) fn items(source: &Source, net: &str, model: &Path, spec: &Path) -> String {
    let options = match (source.explicit_axes, source.ends_early) {
        (true, _) => EXPLICIT,
        (false, true) => " { config = ignore }",
        (false, false) => "",
    };
    let mut text = format!("weights {net} = {}{options}\n\n", quoted(&relative(model, &folder_of(spec))));
    if let Some(labels) = &source.labels {
        let labels: Vec<String> = labels.iter().map(|label| quoted(label)).collect();
        text += &format!("labels {net} = [{}]\n\n", labels.join(", "));
    }
    if let ([input], [output]) = (&source.inputs[..], &source.outputs[..]) {
        text += &format!("expect {net}: (?, {}) -> (?, {})\n", sizes(input), sizes(output));
    }
    text
}

/// One line of a comment: names in a model may have any characters.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(100).collect()
}

/// The name of a file, for a comment.
pub(super) fn file_name(model: &Path) -> String {
    plain(&model.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
}

/// The path of a file as a spec in a folder names it.
fn relative(file: &Path, folder: &Path) -> String {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let path = real(&folder_of(file)).join(file.file_name().unwrap_or_default());
    pathdiff::diff_paths(&path, real(folder)).unwrap_or(path).to_string_lossy().into_owned()
}
