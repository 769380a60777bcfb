//! Builds of nets that record the loss of their recipe.

use super::autodiff::loss_compatibility::loss_of;
use super::recipe;
use crate::compile::{self, Build, BuildOptions};
use crate::diagnostics::{Diagnostics, Result};
use crate::elaborate::Spec;

/// Compiles a net as [`compile::build`], and records the loss that its recipe trains it by, which
/// [`evaluate`](super::evaluation::evaluate::evaluate) computes.
///
/// # Errors
/// As [`compile::build`].
pub fn build(spec: &Spec, options: &BuildOptions) -> Result<(Build, Diagnostics)> {
    let (mut build, warnings) = compile::build(spec, options)?;
    build.loss = recipe::of(spec, &build.graph.name).ok().map(|recipe| loss_of(&recipe, &build.graph));
    Ok((build, warnings))
}
