//! Builds tuned for this machine: what was measured once is kept in the folder of caches.

use super::tune;
use crate::compile::{Build, BuildOptions};
use crate::data::features::feature_cache::default_folder;
use crate::diagnostics::Result;
use crate::file;
use crate::kernels::simd::isa::Isa;
use crate::lower::AlgorithmOverrides;
use crate::runtime::thread_count::processor;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The machine as far as it decides what is fast: processor, instruction set and threads.
pub fn machine(threads: usize) -> String {
    format!("{}, {:?}, {threads} threads", processor(), Isa::detect())
}

/// The file that keeps what was measured on a machine; none where the platform has no folder for caches.
pub fn cache_file(machine: &str) -> Option<PathBuf> {
    let digest = blake3::hash(format!("{machine}, netc {}", env!("CARGO_PKG_VERSION")).as_bytes()).to_hex();
    default_folder().map(|folder| folder.join(format!("tuned-{}.json", &digest[..16])))
}

/// What a cache file holds; nothing where there is none, or one that cannot be read.
pub fn read(path: &Path) -> AlgorithmOverrides {
    let text = std::fs::read(path).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Keeps what was measured.
///
/// # Errors
/// Where the file cannot be written.
pub fn write(path: &Path, settled: &AlgorithmOverrides) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_vec(settled)?;
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

/// Tunes a build for this machine, with the measurements of earlier builds; new ones are added to the cache. `on_step` gets
/// each step that is measured, its fastest algorithm, and the time of one image.
///
/// # Errors
/// The new plan does not fit the memory that the options allow.
pub fn tune_build(
    build: &mut Build,
    options: &BuildOptions,
    threads: usize,
    on_step: &mut dyn FnMut(&str, &dyn Display, Duration),
) -> Result<Tuning> {
    let machine = machine(threads);
    let path = cache_file(&machine);
    let mut measured = path.as_deref().map(read).unwrap_or_default();
    let known = measured.clone();
    tuned(build, options, threads, &mut measured, on_step)?;
    let cache_error =
        path.filter(|_| measured != known).and_then(|path| write(&path, &measured).err().map(|error| (path, error)));
    Ok(Tuning { machine, cache_error })
}

/// Measures the convolutions and dense layers of a build that are not settled yet, and plans it again with all that are.
///
/// # Errors
/// Where the new plan does not fit the memory that the options allow.
pub fn tuned(
    build: &mut Build,
    options: &BuildOptions,
    threads: usize,
    settled: &mut AlgorithmOverrides,
    told: &mut dyn FnMut(&str, &dyn Display, Duration),
) -> Result<()> {
    tune(&build.compiled.plan, options.exact, threads, settled, told);
    build.plan_again(options, settled, machine(threads))
}
