//! Builds of nets that record the loss of their recipe.

use super::autodiff::recipe_check::losses_of;
use super::recipe;
use crate::compile::{self, Build, BuildOptions};
use crate::diagnostics::{Diagnostics, Result};
use crate::elaborate::Spec;

/// Compiles a net as [`compile::build`], and records the losses that its recipe trains it by, which
/// [`evaluate`](super::evaluation::evaluate::evaluate) computes.
///
/// # Errors
/// As [`compile::build`].
pub fn build(spec: &Spec, options: &BuildOptions) -> Result<(Build, Diagnostics)> {
    let (mut build, warnings) = compile::build(spec, options)?;
    let recipe = recipe::of(spec, &build.graph.name).ok();
    let losses = recipe.and_then(|recipe| losses_of(&recipe, &build.graph).ok());
    build.losses = losses.into_iter().flatten().map(|loss| loss.loss).collect();
    Ok((build, warnings))
}
