//! Arguments that several functions take.

use crate::errors::Located;
use netc::compile::int8::CalibrationSource;
use netc::compile::{BuildOptions, Precision};
use netc::elaborate::{self, Spec, project::source_files::from_disk};
use netc::runtime::thread_count;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A spec as the program takes it: a file, the name of a shipped net, or text. A path keeps its meaning if the working
/// directory changes.
pub struct SpecArgument(pub String);

impl<'py> FromPyObject<'_, 'py> for SpecArgument {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = object.extract::<String>() {
            return Ok(SpecArgument(text));
        }
        let path: PathBuf = object.extract()?;
        let text = path.into_os_string().into_string();
        text.map(SpecArgument).map_err(|_| PyValueError::new_err("the path of a spec must be Unicode"))
    }
}

impl SpecArgument {
    /// The same, with the absolute path of a file.
    pub fn absolute(&self) -> String {
        let path = Path::new(&self.0);
        if !self.0.ends_with(".net") && !path.is_file() {
            return self.0.clone();
        }
        absolute(path).into_os_string().into_string().unwrap_or_else(|_| self.0.clone())
    }

    /// Reads the spec.
    pub fn load(&self) -> Result<Spec, Located> {
        elaborate::load(&self.0, &from_disk).map_err(|(sources, diagnostics)| Located { diagnostics, sources })
    }
}

/// The absolute path of a file that may not exist.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// The number of threads: as many as the process may use, unless it is given.
pub fn threads(count: Option<isize>) -> PyResult<usize> {
    const MAX: isize = 1024;
    match count {
        None => Ok(thread_count::available()),
        Some(count @ 1..=MAX) => Ok(count.unsigned_abs()),
        Some(count) => Err(PyValueError::new_err(format!("threads={count} is not between 1 and {MAX}"))),
    }
}

/// A number of which there must be one at least.
pub fn count(name: &str, count: isize) -> PyResult<usize> {
    match count {
        1.. => Ok(count.unsigned_abs()),
        _ => Err(PyValueError::new_err(format!("{name}={count} is not a positive number"))),
    }
}

/// The options of a build.
#[allow(clippy::too_many_arguments)] // Those of the Python functions.
pub fn build_options(
    net: Option<String>,
    weights: Option<BTreeMap<String, PathBuf>>,
    allow_untrained: bool,
    exact: bool,
    fresh: bool,
    max_memory: Option<u64>,
    precision: &str,
    calibrate: Option<PathBuf>,
) -> PyResult<BuildOptions> {
    let named = |one: &Precision| one.name() == precision;
    let Some(precision) = Precision::ALL.into_iter().find(named) else {
        let names = Precision::ALL.map(|one| format!("'{}'", one.name())).join(", ");
        return Err(PyValueError::new_err(format!("precision='{precision}' is none of {names}")));
    };
    Ok(BuildOptions {
        net,
        weights: weights.unwrap_or_default(),
        allow_untrained,
        allow_missing: false,
        exact,
        fresh,
        max_memory,
        precision,
        calibration: calibrate.map(CalibrationSource::Folder).unwrap_or_default(),
    })
}
