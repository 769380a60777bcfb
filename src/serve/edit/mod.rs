//! `netc serve --edit`: a spec in an editor, with its diagnostics, layers and drawing as one types.

use crate::compile;
use crate::diagnostics::render;
use crate::elaborate::load_text;
use crate::elaborate::project::source_files::from_disk;
use crate::source::plain;
use crate::view::{self, TableOptions};
use crate::{check, file};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The page, and its script, which editors/playground builds.
pub const PAGE: &str = include_str!("editor.html");
pub const SCRIPT: &str = include_str!("editor.min.js");

/// `Content-Security-Policy` of the page. Drawings and the editor have styles within.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src data:; \
                          connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Layers of a net that is drawn: a browser shows no more at the speed of typing.
const MAX_DRAWN: usize = 2000;

/// A spec that is edited in a browser.
#[derive(Clone, Debug)]
pub struct EditedSpec {
    path: PathBuf,
}

/// A text and its version, which is a digest of it.
#[derive(Clone, Debug)]
pub struct Saved {
    pub text: String,
    pub version: String,
}

/// Why a spec is not saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaveError {
    #[error("the file has changed since it was opened: copy your text and load the page again")]
    Changed,
    #[error("{0}")]
    File(String),
}

impl EditedSpec {
    /// The spec in a file, which must exist.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn open(path: PathBuf) -> Result<EditedSpec, String> {
        let spec = EditedSpec { path };
        spec.read()?;
        Ok(spec)
    }

    /// The path as it was given, which diagnostics name.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The text on the disk.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn read(&self) -> Result<Saved, String> {
        let unreadable = |reason: String| format!("`{}` cannot be read: {reason}", self.name());
        let bytes = from_disk(&self.path).map_err(|error| unreadable(plain(&error).to_string()))?;
        let version = version(&bytes);
        let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8".to_owned()))?;
        Ok(Saved { text, version })
    }

    /// Writes a text in place of that with this version, and returns its own.
    ///
    /// # Errors
    /// The file has another version, or cannot be written.
    pub fn save(&self, text: &str, replaced: &str) -> Result<String, SaveError> {
        if self.read().map_err(SaveError::File)?.version != replaced {
            return Err(SaveError::Changed);
        }
        let written = file::replace(&self.path, |file| file.write_all(text.as_bytes()));
        written.map_err(|error| SaveError::File(format!("`{}` cannot be written: {}", self.name(), plain(&error))))?;
        Ok(version(text.as_bytes()))
    }

    /// Checks a text as if it stood in the file. The drawing and the table are of the net with the name, else of the one that
    /// commands choose, else of the first; `null` if it has errors.
    pub fn check(&self, text: &str, net: Option<&str>) -> Value {
        let spec = load_text(&self.path, text, &from_disk);
        let checked = check::check(&spec, None);
        let root = spec.project.root_nets();
        let names: Vec<&str> = root.iter().map(|&net| spec.project.nets[net].item.name.text.as_str()).collect();
        let asked = net.filter(|net| names.contains(net));
        let chosen = match spec.choose(asked) {
            Ok(net) => Some(spec.project.nets[net].item.name.text.as_str()),
            Err(_) => names.first().copied(),
        };
        let graph = chosen.and_then(|net| compile::graph_or_fragment(&spec, Some(net)).ok()).map(|(graph, _)| graph);
        let mut answer = render::json(&checked.diagnostics, &spec.sources);
        answer["nets"] = json!(names);
        answer["net"] = json!(chosen);
        answer["summary"] = json!(graph.as_ref().map(|graph| format!("{}  {}", graph.name, graph.summary())));
        answer["table"] = json!(graph.as_ref().map(|graph| view::table(graph, &[], TableOptions::default())));
        let drawn = graph.as_ref().filter(|graph| graph.nodes.len() <= MAX_DRAWN);
        answer["svg"] = json!(drawn.map(view::svg));
        answer
    }
}

fn version(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        let own = PAGE.replace("src=\"/edit/editor.js\"", "");
        for outside in ["http:", "https:", "src=", "@import", "url(", "style=\"", "onclick"] {
            assert!(!own.contains(outside), "{outside}");
        }
        assert!(!SCRIPT.contains("import(") && SCRIPT.contains("/edit/check"));
    }
}
