//! The cache of autotuning results of this machine.

use super::{Build, BuildOptions};
use crate::data::features::feature_cache::default_folder;
use crate::diagnostics::Result;
use crate::file;
use crate::kernels::simd::isa::Isa;
use crate::lower::AlgorithmOverrides;
use crate::lower::autotune::tune;
use crate::runtime::thread_count::processor;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A description of the machine that decides which results apply: processor, instruction set and threads.
pub fn machine(threads: usize) -> String {
    format!("{}, {:?}, {threads} threads", processor(), Isa::detect())
}

/// The cache file of a machine; `None` if the platform has no cache folder.
pub fn cache_file(machine: &str) -> Option<PathBuf> {
    let digest = blake3::hash(format!("{machine}, netc {}", env!("CARGO_PKG_VERSION")).as_bytes()).to_hex();
    default_folder().map(|folder| folder.join(format!("tuned-{}.json", &digest[..16])))
}

/// Reads a cache file; a missing or invalid one is empty.
pub fn read(path: &Path) -> AlgorithmOverrides {
    let text = std::fs::read(path).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Writes a cache file.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, overrides: &AlgorithmOverrides) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_vec(overrides)?;
    file::replace(path, |out| out.write_all(&text))
}

/// The result of [`tune_build`].
#[derive(Debug)]
pub struct Tuning {
    /// The machine that the build is tuned for.
    pub machine: String,
    /// The cache file that could not be written, and why: the next build measures again.
    pub cache_error: Option<(PathBuf, std::io::Error)>,
}

/// Tunes a build for this machine, with the measurements of earlier builds; new ones are added to the cache. `report` gets
/// each step that is measured, its fastest algorithm, and the time of one image.
///
/// # Errors
/// If the new plan exceeds the memory limit of the options.
pub fn tune_build(
    build: &mut Build,
    options: &BuildOptions,
    threads: usize,
    report: &mut dyn FnMut(&str, &dyn Display, Duration),
) -> Result<Tuning> {
    let machine = machine(threads);
    let path = cache_file(&machine);
    let mut overrides = path.as_deref().map(read).unwrap_or_default();
    let cached = overrides.clone();
    tuned(build, options, threads, &mut overrides, report)?;
    let cache_error =
        path.filter(|_| overrides != cached).and_then(|path| write(&path, &overrides).err().map(|error| (path, error)));
    Ok(Tuning { machine, cache_error })
}

/// Tunes the convolutions and dense layers of a build that have no override yet, and plans it again with all overrides.
///
/// # Errors
/// If the new plan exceeds the memory limit of the options.
pub fn tuned(
    build: &mut Build,
    options: &BuildOptions,
    threads: usize,
    overrides: &mut AlgorithmOverrides,
    report: &mut dyn FnMut(&str, &dyn Display, Duration),
) -> Result<()> {
    tune(&build.compiled.plan, options.lowering().rounding(), threads, overrides, report);
    build.plan_again(options, overrides, machine(threads))
}
