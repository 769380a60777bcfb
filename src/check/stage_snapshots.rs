//! Snapshots of a spec's stages, in files next to the spec that insta reads, too: `bird.graph.snap`.

use crate::compile;
use crate::diagnostics::Result;
use crate::elaborate::Spec;
use crate::elaborate::project::source_files::from_disk;
use crate::file;
use crate::graph::Graph;
use similar::TextDiff;
use std::io;
use std::path::{Path, PathBuf};

/// A stage with snapshots; none needs weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Graph,
    Fused,
    Plan,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Stage::Graph => "graph",
            Stage::Fused => "fused",
            Stage::Plan => "plan",
        }
    }

    /// The text of this stage of nets, each after the other.
    ///
    /// # Errors
    /// A net that cannot be planned.
    pub fn text(self, graphs: &[Graph]) -> Result<String> {
        let texts = graphs.iter().cloned().map(|graph| match self {
            Stage::Graph => Ok(graph.to_string()),
            Stage::Fused => Ok(compile::fused_text(graph)),
            Stage::Plan => compile::plan_text(graph, false),
        });
        Ok(texts.collect::<Result<Vec<_>>>()?.join("\n"))
    }
}

/// The nets whose stages are compared: the main net of a spec, else all complete nets; none if all its nets are fragments.
///
/// # Errors
/// An invalid recipe, or a net that cannot be expanded.
pub fn tested_graphs(spec: &Spec) -> Result<Vec<Graph>> {
    let errors = spec.check_recipes();
    if errors.has_errors() {
        return Err(errors);
    }
    let complete = spec.complete_nets();
    let nets = match spec.choose(None) {
        Ok(net) if complete.contains(&net) => vec![net],
        _ => complete,
    };
    nets.into_iter().map(|net| spec.graph(net).map(|(graph, _)| graph)).collect()
}

/// The text of a stage, and its snapshot.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub path: PathBuf,
    /// The snapshot of the current text, with insta's header.
    new: String,
    /// The snapshot on disk.
    old: Option<String>,
}

impl Snapshot {
    /// Reads the snapshot of a stage of the spec file `spec`; `text` is the current text of the stage.
    ///
    /// # Errors
    /// The path of a snapshot that exists and cannot be read.
    pub fn read(spec: &Path, stage: Stage, text: &str) -> std::result::Result<Snapshot, (PathBuf, io::Error)> {
        let path = spec.with_extension(format!("{}.snap", stage.name()));
        let name = spec.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // File names may have special characters; a JSON string is a YAML string.
        let source = serde_json::Value::from(name);
        let new = format!("---\nsource: {source}\nexpression: {}\n---\n{}\n", stage.name(), text.trim_end());
        let old = match from_disk(&path) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).replace("\r\n", "\n")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err((path, error)),
        };
        Ok(Snapshot { path, new, old })
    }

    /// Whether there is no snapshot on disk.
    pub fn is_new(&self) -> bool {
        self.old.is_none()
    }

    /// Whether the snapshot on disk has the current text.
    pub fn is_current(&self) -> bool {
        self.old.as_deref().is_some_and(|old| body(old) == body(&self.new))
    }

    /// The unified diff from the snapshot on disk to the current text, with three lines of context; none without a snapshot.
    pub fn diff(&self) -> Option<String> {
        let lines = TextDiff::from_lines(body(self.old.as_deref()?), body(&self.new));
        let path = self.path.display().to_string();
        Some(lines.unified_diff().context_radius(3).missing_newline_hint(false).header(&path, "now").to_string())
    }

    /// Writes the current text as the snapshot, atomically.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn accept(&self) -> io::Result<()> {
        file::replace(&self.path, |out| out.write_all(self.new.as_bytes()))
    }
}

/// A snapshot without insta's header and without blank lines at its ends, as insta compares it.
fn body(snapshot: &str) -> &str {
    let body = snapshot.strip_prefix("---\n").and_then(|text| text.split_once("\n---\n")).map(|(_, body)| body);
    body.unwrap_or(snapshot).trim_end()
}
