//! Whether a run can go on from its checkpoint, before anything is read or computed for it.

use crate::diagnostics::{Diagnostic, Result, counted};
use crate::graph::Graph;
use crate::graph::changes::changes;
use crate::graph::outline::Outline;
use crate::train::recipe::Recipe;
use crate::train::run::error::{no_checkpoint, other_run, resume_error};
use crate::train::run::record::checkpoint;
use std::path::Path;

/// The maximum of differing layers that are listed.
const SHOWN: usize = 10;

/// Checks that the checkpoint in a run's folder belongs to this net and recipe. Its data is checked when it is read.
///
/// # Errors
/// No checkpoint, one that cannot be read, or one of another net or recipe, with what differs.
pub fn check(net: &Graph, recipe: &Recipe, folder: &Path) -> Result<()> {
    let progress = checkpoint::progress(folder).map_err(|error| resume_error(&error.to_string()))?;
    let Some(progress) = progress else { return Err(no_checkpoint(folder)) };
    let now = Outline::of(net);
    let before = progress.net.unwrap_or_else(|| now.clone());
    let changed: Vec<String> = changes(&before, &now).iter().map(|change| change.line(&before, &now)).collect();
    let entries = progress.record.recipe_differences(&recipe.entries);
    let other = match (changed.is_empty(), entries.is_empty()) {
        (true, true) => return Ok(()),
        (false, true) => "another net",
        (true, false) => "another recipe",
        (false, false) => "another net and recipe",
    };
    let mut error: Diagnostic = other_run(&format!("the checkpoint in {} belongs to {other}", folder.display()));
    if !changed.is_empty() {
        error = error.note(format!("these layers differ:\n{}", changed[..changed.len().min(SHOWN)].join("\n")));
    }
    if changed.len() > SHOWN {
        error = error.note(format!("and {}", counted(changed.len() - SHOWN, "more layer")));
    }
    Err(entries.into_iter().fold(error, Diagnostic::note).into())
}
