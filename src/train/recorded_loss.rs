//! Builds of nets that record the loss of their recipe.

use super::autodiff::recipe_check::losses_of;
use super::recipe;
use crate::compile::int8::{CalibrationPhotos, CalibrationSource};
use crate::compile::{self, Build, BuildOptions, Precision};
use crate::data::{Dataset, Samples};
use crate::diagnostics::{Diagnostics, Result};
use crate::elaborate::Spec;

/// The options with the photos of the net's recipe as calibration samples, if an int8 build has no others.
fn with_recipe_data(spec: &Spec, options: &BuildOptions) -> BuildOptions {
    let mut options = options.clone();
    if options.precision != Precision::Int8 || options.calibration != CalibrationSource::Nothing {
        return options;
    }
    // A recipe or data that cannot be read leaves the build without samples, which is an error that says what to do.
    let net = compile::graph(spec, options.net.as_deref()).ok().map(|(graph, _)| graph.name);
    let data = net.and_then(|net| recipe::of(spec, &net).ok()).and_then(|recipe| recipe.data.read().ok());
    if let Some(Dataset { samples: Samples::Photos(photos), targets, skipped, .. }) = data {
        let classes = targets.classes();
        let class = |index: usize| classes.as_ref().and_then(|classes| classes.get(index)).copied();
        let photos = photos.into_iter().enumerate().map(|(index, path)| (path, class(index))).collect();
        options.calibration = CalibrationSource::Photos(CalibrationPhotos { photos, skipped });
    }
    options
}

/// Compiles a net as [`compile::build`], and records the losses that its recipe trains it by, which
/// [`evaluate`](super::evaluation::evaluate::evaluate) computes.
///
/// # Errors
/// As [`compile::build`].
pub fn build(spec: &Spec, options: &BuildOptions) -> Result<(Build, Diagnostics)> {
    let options = &with_recipe_data(spec, options);
    let (mut build, warnings) = compile::build(spec, options)?;
    let recipe = recipe::of(spec, &build.graph.name).ok();
    let losses = recipe.and_then(|recipe| losses_of(&recipe, &build.graph).ok());
    build.losses = losses.into_iter().flatten().map(|loss| loss.loss).collect();
    Ok((build, warnings))
}
