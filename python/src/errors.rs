//! Diagnostics as Python exceptions and warnings.

use netc::diagnostics::{Diagnostic, Diagnostics, render};
use netc::runtime::RunError;
use netc::source::Sources;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::ffi::CString;

/// Diagnostics with the sources that their places are in.
#[derive(Debug)]
pub struct Located {
    pub diagnostics: Diagnostics,
    pub sources: Sources,
}

impl Located {
    /// Diagnostics about something in these sources.
    pub fn new(diagnostics: Diagnostics, sources: &Sources) -> Self {
        Located { diagnostics, sources: sources.clone() }
    }

    /// `netc.Diagnostic`s, in source order.
    pub fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let json = render::json(&self.diagnostics, &self.sources);
        let list = pythonize::pythonize(py, &json["diagnostics"])?;
        py.import("netc._diagnostics")?.call_method1("from_json", (list,))
    }

    /// `netc.NetcError`.
    pub fn into_error(self, py: Python<'_>) -> PyErr {
        let error = || {
            let text = render::text(&self.diagnostics, &self.sources, false);
            let class = py.import("netc._diagnostics")?.getattr("NetcError")?;
            class.call1((text, self.to_python(py)?))
        };
        match error() {
            Ok(error) => PyErr::from_value(error),
            Err(error) => error,
        }
    }

    /// Shows them as `netc.NetcWarning`s, at the caller's line.
    ///
    /// # Errors
    /// The first one, where the program makes warnings errors.
    pub fn warn(&self, py: Python<'_>) -> PyResult<()> {
        if self.diagnostics.is_empty() {
            return Ok(());
        }
        let class = py.import("netc._diagnostics")?.getattr("NetcWarning")?;
        for diagnostic in self.diagnostics.sorted() {
            let text = render::text(&diagnostic.clone().into(), &self.sources, false);
            let text = CString::new(text.trim_end()).map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
            PyErr::warn(py, &class, &text, 1)?;
        }
        Ok(())
    }
}

impl From<Diagnostic> for Located {
    /// A diagnostic without a place in a source.
    fn from(diagnostic: Diagnostic) -> Self {
        Located { diagnostics: diagnostic.into(), sources: Sources::default() }
    }
}

/// `netc.NetcError` of a diagnostic without a place in a source.
pub fn error(py: Python<'_>, diagnostic: Diagnostic) -> PyErr {
    Located::from(diagnostic).into_error(py)
}

/// Why a call failed, while the interpreter is released.
pub enum Failure {
    Run(RunError),
    Diagnostics(Located),
    /// A signal handler raised an exception, such as `KeyboardInterrupt`.
    Signal(PyErr),
}

impl Failure {
    /// The exception.
    pub fn into_error(self, py: Python<'_>) -> PyErr {
        match self {
            Failure::Run(cause) => error(py, cause.diagnostic()),
            Failure::Diagnostics(located) => located.into_error(py),
            Failure::Signal(error) => error,
        }
    }
}
