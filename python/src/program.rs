//! The program `netc`, as a script of the package: the same code, so that the wheel holds it once.

use pyo3::prelude::*;
use std::ffi::OsString;

/// Run the program ``netc`` in this process.
///
/// Parameters
/// ----------
/// arguments : list of str
///     The name of the program and its arguments.
///
/// Returns
/// -------
/// int
///     The exit code.
#[pyfunction]
pub fn run_program(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| netc::cli::run(arguments))
}
