//! The files that a training run writes next to its spec: the trained weights, `NAME.h5`, and the artifact, `NAME.netb`.

use super::prepare::PreparedRun;
use super::{Trained, record};
use crate::compile::BuildOptions;
use crate::compile::output_guard::{self, FileKind};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::elaborate::Spec;
use crate::file::PendingFile;
use crate::source::plain;
use crate::train::recorded_loss;
use std::path::PathBuf;

impl PreparedRun {
    /// The file of the trained weights.
    pub(super) fn weights_path(&self) -> PathBuf {
        self.options.folder.join(format!("{}.h5", self.net.name))
    }

    /// The file of the artifact.
    pub fn artifact_path(&self) -> PathBuf {
        self.options.folder.join(format!("{}.netb", self.net.name))
    }

    /// Checks before training that its files can be written, by creating a temporary file in each folder.
    ///
    /// # Errors
    /// A folder that cannot be written, or a file of another kind that would be overwritten.
    pub fn check_writable(&self) -> Result<(), Diagnostic> {
        output_guard::check(&self.artifact_path(), FileKind::Artifact, &[])?;
        let run = self.options.folder.join(format!("{}.run", self.net.name));
        let record = if run.is_dir() { Some(run.join(record::FILE)) } else { None };
        let before_training = |diagnostic: Diagnostic| diagnostic.help("training has not started");
        for path in std::iter::once(self.weights_path()).chain(record) {
            PendingFile::for_target(&path)
                .map_err(|error| before_training(output_guard::unwritable(&path, &plain(&error))))?;
        }
        match run.is_dir() || !run.exists() {
            true => Ok(()),
            false => Err(before_training(output_guard::unwritable(&run, "it is a file, not a folder"))),
        }
    }
}

impl Trained {
    /// Builds the trained net and writes its artifact. `options` are those of the run: the weights of other nets.
    ///
    /// # Errors
    /// Those of the build, and an artifact that cannot be written.
    pub fn write_artifact(&self, spec: &Spec, mut options: BuildOptions) -> Result<(), Diagnostics> {
        options.net = Some(self.record.net.clone());
        options.weights.insert(self.record.net.clone(), self.weights.clone());
        let (mut build, _) = recorded_loss::build(spec, &options)?;
        build.labels = build.labels.or_else(|| self.labels.clone());
        build.write(&self.artifact)?;
        Ok(())
    }
}
