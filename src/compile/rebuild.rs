//! Builds the net of an artifact again. Its constants are fused and packed for the kernels, so that the parameters of the layers are
//! no longer in it; the text of its spec is, and the digests of its weights and label files, which prove that they are the same.

use super::{Build, BuildOptions, build};
use crate::artifact::Artifact;
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::elaborate::{Spec, load_stored};
use crate::source::Sources;
use std::path::Path;

/// Builds the net of an artifact from the spec in it and the files that the spec names, which are looked for from the folder of the
/// artifact. `options` has files in their place.
///
/// # Errors
/// The errors of [`build`]; files that are not those that the artifact was built from.
pub fn rebuild(
    path: &Path,
    artifact: &Artifact,
    options: BuildOptions,
) -> Result<(Spec, Build, Diagnostics), (Sources, Diagnostics)> {
    let manifest = &artifact.manifest;
    let spec = load_stored(path, &manifest.source, &manifest.net);
    let net = options.net.clone().or_else(|| Some(manifest.net.clone()));
    let allow_untrained = options.allow_untrained || !manifest.untrained.is_empty();
    let (build, warnings) = match build(&spec, &BuildOptions { net, allow_untrained, ..options }) {
        Ok(built) => built,
        Err(mut errors) => {
            let what = format!("the parameters of {} come from the files that it was built from", path.display());
            errors.push(refused(what, artifact));
            return Err((spec.sources, errors));
        }
    };
    match difference(&spec, &build, artifact) {
        Ok(None) => Ok((spec, build, warnings)),
        Ok(Some(what)) => {
            let what = format!("{} cannot be built again: {what}", path.display());
            Err((spec.sources, refused(what, artifact).into()))
        }
        Err(errors) => Err((spec.sources, errors)),
    }
}

fn refused(what: String, artifact: &Artifact) -> Diagnostic {
    let names: Vec<&str> = artifact.manifest.inputs.iter().map(|(name, _)| name.as_str()).collect();
    let files = if names.is_empty() { "no other file".into() } else { names.join(", ") };
    Diagnostic::new(Code::Rebuild, what)
        .note(format!("it was built from the spec in it and {files}"))
        .help(
            "the spec's paths start at the artifact's folder; `--weights NET=FILE` names a file elsewhere, and the options of its `netc build` apply",
        )
}

/// What is not as it was when the artifact was built.
fn difference(spec: &Spec, build: &Build, artifact: &Artifact) -> Result<Option<String>, Diagnostics> {
    let then = &artifact.manifest;
    let now = build.manifest().map_err(|error| {
        Diagnostics::from(Diagnostic::new(Code::WeightsUnreadable, format!("a file cannot be read: {error}")))
    })?;
    if now.net != then.net {
        return Ok(Some(format!("its net is `{}`, not `{}`", then.net, now.net)));
    }
    let digest_in = |list: &[(String, String)], digest: &str| list.iter().any(|(_, known)| known == digest);
    if let Some((name, _)) = then.inputs.iter().find(|(_, digest)| !digest_in(&now.inputs, digest)) {
        return Ok(Some(match now.inputs.iter().any(|(known, _)| known == name) {
            true => format!("{name} has other content now"),
            false => format!("nothing binds its file {name}"),
        }));
    }
    if let Some((name, _)) = now.inputs.iter().find(|(_, digest)| !digest_in(&then.inputs, digest)) {
        return Ok(Some(format!("it was not built from {name}")));
    }
    if let Some(layer) = now.untrained.iter().find(|layer| !then.untrained.contains(layer)) {
        return Ok(Some(format!("`{layer}` comes from no file now")));
    }
    // The text of a file that the spec uses is not in the artifact. The same plan and constants have the same origin.
    let root = spec.root();
    let Some((_, other)) = spec.sources.iter().find(|(id, file)| *id != root && !file.shipped) else { return Ok(None) };
    let again = build.in_memory()?;
    let floats = again.constants().len();
    artifact
        .check(0..artifact.constants().len())
        .map_err(|error| Diagnostics::from(Diagnostic::new(Code::ArtifactDamaged, error.to_string())))?;
    let same = again.manifest.plan == then.plan
        && floats == artifact.constants().len()
        && again.constants().iter().zip(artifact.constants()).all(|(a, b)| a.to_bits() == b.to_bits());
    Ok((!same).then(|| format!("with {} as it is now, its plan or its constants differ", other.name)))
}
