//! Files of the shipped specs, for editors to show: copies in the cache folder, which nobody edits.

use super::documents::{Text, uri_of};
use crate::data::features::feature_file::default_folder;
use crate::file;
use crate::source::{SourceFile, Span};
use lsp_types::Location;
use std::fs;
use std::path::PathBuf;

/// The location of a span in a copy of a shipped spec; `None` if no copy can be written.
pub fn location(source: &SourceFile, span: Span) -> Option<Location> {
    let path = copy(source)?;
    Some(Location { uri: uri_of(&path)?, range: Text::new(source.text.clone()).range(span.range()) })
}

/// The copy of a shipped spec, written if it is missing or was changed.
fn copy(source: &SourceFile) -> Option<PathBuf> {
    let folder = default_folder()?.join("specs").join(env!("CARGO_PKG_VERSION"));
    let path = folder.join(&source.name);
    if fs::read(&path).is_ok_and(|bytes| bytes == source.text.as_bytes()) {
        return Some(path);
    }
    fs::create_dir_all(&folder).ok()?;
    file::replace_soon(&path, |out| out.write_all(source.text.as_bytes())).ok()?;
    let mut permissions = fs::metadata(&path).ok()?.permissions();
    permissions.set_readonly(true);
    // A copy that can be edited is still a copy.
    let _ = fs::set_permissions(&path, permissions);
    Some(path)
}
