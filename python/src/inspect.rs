//! Checks and drawings, which need no weights.

use crate::arguments::SpecArgument;
use crate::errors::Located;
use crate::values::value;
use netc::view::{self, TableOptions};
use netc::{check as checks, compile};
use pyo3::prelude::*;
use pyo3::types::{PyList, PySequence};

/// Check a spec without opening its weights.
///
/// Parameters
/// ----------
/// spec : str or path
///     As in `build`.
/// net : str, optional
///     Check only this net.
///
/// Returns
/// -------
/// list of Diagnostic
///     Errors and warnings, in the order of the text; empty if all is well.
#[pyfunction]
#[pyo3(signature = (spec, *, net=None))]
pub fn check<'py>(py: Python<'py>, spec: SpecArgument, net: Option<&str>) -> PyResult<Bound<'py, PyList>> {
    let check = || match spec.load() {
        Ok(spec) => Located::new(checks::check(&spec, net).diagnostics, &spec.sources),
        Err(errors) => errors,
    };
    py.detach(check).to_python(py)?.cast::<PySequence>()?.to_list()
}

/// Show the layers of a net, with their shapes and parameters.
///
/// Parameters
/// ----------
/// spec : str or path
///     As in `build`; also a fragment of a net, such as ``"vgg16[-3..]"``.
/// net : str, optional
///     The net, if the spec has several.
/// width : int, optional
///     The width of the table in characters; by default as wide as it is.
///
/// Returns
/// -------
/// Drawing
///     ``str(drawing)`` is a table, ``drawing.svg`` a picture, which notebooks show, and ``drawing.layers`` the same as
///     dicts.
///
/// Raises
/// ------
/// NetcError
///     The errors of the spec.
#[pyfunction]
#[pyo3(signature = (spec, *, net=None, width=None))]
pub fn show<'py>(
    py: Python<'py>,
    spec: SpecArgument,
    net: Option<&str>,
    width: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let draw = || {
        let spec = spec.load()?;
        let (graph, _) =
            compile::graph_or_fragment(&spec, net).map_err(|errors| Located::new(errors, &spec.sources))?;
        let named = spec.project.nets.iter().find(|net| net.item.name.text == graph.name);
        let docs = named.map(|net| net.docs.clone()).unwrap_or_default();
        Ok((
            view::table(&graph, &docs, TableOptions { width, depth: None, plan: None }),
            view::svg(&graph),
            view::json(&graph, None),
        ))
    };
    let (text, svg, layers) = py.detach(draw).map_err(|errors: Located| errors.into_error(py))?;
    value(py, "Drawing", (text, svg, pythonize::pythonize(py, &layers)?))
}
