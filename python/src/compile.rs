//! From specs and files to models.

use crate::arguments::{SpecArgument, absolute, build_options, count};
use crate::errors::{Located, error};
use crate::model::Model;
use crate::values::value;
use netc::artifact::Artifact;
use netc::check;
use netc::compile::BuildOptions;
use netc::compile::output_guard::{self, FileKind};
use netc::diagnostics::Diagnostics;
use netc::source::Sources;
use netc::train::recorded_loss;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A call of `netc.NAME` with these arguments, to make a model again.
fn call<'py>(
    py: Python<'py>,
    name: &str,
    first: impl IntoPyObject<'py>,
    keywords: &Bound<'py, PyDict>,
) -> PyResult<Py<PyAny>> {
    let function = py.import("netc._netc")?.getattr(name)?;
    let call = py.import("functools")?.getattr("partial")?.call((function, first), Some(keywords))?;
    Ok(call.unbind())
}

/// Load an artifact, which `netc.build` or the program ``netc build`` wrote.
///
/// The file is mapped into memory, so that processes that load it share its pages; one below 16 MiB is read instead. It must stay
/// unchanged while it is used; files that netc writes replace the old one, whose users keep the old content.
///
/// Parameters
/// ----------
/// path : str or path
///     The file, ``NAME.netb``.
/// threads : int, optional
///     The number of threads of each call; by default as many as the process may use. See `Model`.
///
/// Returns
/// -------
/// Model
///
/// Raises
/// ------
/// NetcError
///     If the file cannot be read, is damaged, or was written by another version of the format.
#[pyfunction]
#[pyo3(signature = (path, *, threads=None))]
pub fn load(py: Python<'_>, path: PathBuf, threads: Option<isize>) -> PyResult<Model> {
    let number = crate::arguments::threads(threads)?;
    let artifact = py.detach(|| Artifact::open(&path)).map_err(|cause| error(py, cause.diagnostic(&path)))?;
    let path = absolute(&path);
    let keywords = PyDict::new(py);
    keywords.set_item("threads", threads)?;
    let remake = call(py, "load", &path, &keywords)?;
    Ok(Model::new(artifact, number, Some(path), remake))
}

/// Compile a spec.
///
/// Parameters
/// ----------
/// spec : str or path
///     A file (``"bird.net"``), the name of a shipped net (``"vgg16"``), or text: an expression
///     (``"vgg16[..dropout-2]"``) or a whole spec, whose relative paths start at the working directory.
/// net : str, optional
///     The net, if the spec has several.
/// weights : dict of str to path, optional
///     Files of weights in place of the spec's, by net.
/// out : str or path, optional
///     The artifact to write, which is then loaded. By default the net is built in memory.
/// threads : int, optional
///     As in `load`.
/// allow_untrained : bool, default False
///     Compile even if parameters come from no file: they are initialised randomly, with a fixed seed.
/// exact : bool, default False
///     Use only algorithms that round like the direct convolution.
/// fresh : bool, default False
///     Do not bind the weights that `train` has written (``NAME.h5`` next to the spec).
/// max_memory : int, optional
///     The limit in bytes for constants, arena and scratch, for batches of 8 images on 4 threads.
/// precision : {"f32", "bf16-weights", "bf16", "int8"}, default "f32"
///     The format of weights and products. "bf16" rounds weights, and inputs where the CPU multiplies bf16 faster than
///     float32; "bf16-weights" rounds the weights of dense layers, which are multiplied in float32; "int8" computes on
///     bytes, but for the layers that would lose too much.
/// calibrate : str or path, optional
///     The folder of photos by which "int8" measures the ranges of activations; by default those of the net's recipe.
///
/// Returns
/// -------
/// Model
///
/// Raises
/// ------
/// NetcError
///     The errors of the spec, its weights and labels.
///
/// Warns
/// -----
/// NetcWarning
///     The warnings, one by one.
#[pyfunction]
#[pyo3(signature = (spec, *, net=None, weights=None, out=None, threads=None, allow_untrained=false, exact=false, fresh=false, max_memory=None, precision="f32", calibrate=None))]
#[allow(clippy::too_many_arguments)] // Those of the Python function.
pub fn build(
    py: Python<'_>,
    spec: SpecArgument,
    net: Option<String>,
    weights: Option<BTreeMap<String, PathBuf>>,
    out: Option<PathBuf>,
    threads: Option<isize>,
    allow_untrained: bool,
    exact: bool,
    fresh: bool,
    max_memory: Option<u64>,
    precision: &str,
    calibrate: Option<PathBuf>,
) -> PyResult<Model> {
    let number = crate::arguments::threads(threads)?;
    let options = build_options(net, weights, allow_untrained, exact, fresh, max_memory, precision, calibrate.clone())?;
    let built = py.detach(|| compiled(&spec, &options, out.as_deref()));
    let (artifact, warnings) = built.map_err(|errors| errors.into_error(py))?;
    warnings.warn(py)?;
    let keywords = PyDict::new(py);
    keywords.set_item("threads", threads)?;
    if let Some(path) = out {
        let path = absolute(&path);
        let remake = call(py, "load", &path, &keywords)?;
        return Ok(Model::new(artifact, number, Some(path), remake));
    }
    let weights: BTreeMap<&str, PathBuf> =
        options.weights.iter().map(|(net, path)| (net.as_str(), absolute(path))).collect();
    keywords.set_item("net", &options.net)?;
    keywords.set_item("weights", weights)?;
    keywords.set_item("allow_untrained", allow_untrained)?;
    keywords.set_item("exact", exact)?;
    keywords.set_item("fresh", fresh)?;
    keywords.set_item("max_memory", max_memory)?;
    keywords.set_item("precision", precision)?;
    keywords.set_item("calibrate", calibrate.as_deref().map(absolute))?;
    let remake = call(py, "build", spec.absolute(), &keywords)?;
    Ok(Model::new(artifact, number, None, remake))
}

/// Compiles in memory, or to a file; returns the warnings with the artifact.
fn compiled(spec: &SpecArgument, options: &BuildOptions, out: Option<&Path>) -> Result<(Artifact, Located), Located> {
    let spec = spec.load()?;
    let located = |diagnostics: Diagnostics| Located::new(diagnostics, &spec.sources);
    let (build, mut warnings) = recorded_loss::build(&spec, options).map_err(located)?;
    let artifact = match out {
        None => build.in_memory().map_err(located)?,
        Some(path) => {
            output_guard::check(path, FileKind::Artifact, &build.inputs(&spec))?;
            build.write(path).map_err(located)?;
            Artifact::open(path).map_err(|cause| cause.diagnostic(path))?
        }
    };
    warnings.extend(build.bindings.lint_values());
    Ok((artifact, located(warnings)))
}

/// Compare a compiled net with the reference: the spec's layers in float64, on random inputs.
///
/// Parameters
/// ----------
/// spec : str or path
///     As in `build`. Parameters without a file are compared too, with random values.
/// net, weights, exact, fresh, precision, calibrate
///     As in `build`.
/// batch : int, default 2
///     The number of images to compare.
/// threads : int, optional
///     The number of threads; by default as many as the process may use.
///
/// Returns
/// -------
/// list of Deviation
///     For each output its maximum error, relative to its range.
///
/// Raises
/// ------
/// NetcError
///     The errors of the spec, and a deviation above the rounding of float32.
#[pyfunction]
#[pyo3(signature = (spec, *, net=None, weights=None, batch=2, threads=None, exact=false, fresh=false, precision="f32", calibrate=None))]
#[allow(clippy::too_many_arguments)] // Those of the Python function.
pub fn verify<'py>(
    py: Python<'py>,
    spec: SpecArgument,
    net: Option<String>,
    weights: Option<BTreeMap<String, PathBuf>>,
    batch: isize,
    threads: Option<isize>,
    exact: bool,
    fresh: bool,
    precision: &str,
    calibrate: Option<PathBuf>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let threads = crate::arguments::threads(threads)?;
    let batch = count("batch", batch)?;
    let options = build_options(net, weights, true, exact, fresh, None, precision, calibrate)?;
    let options = BuildOptions { allow_missing: true, ..options };
    let compare = || {
        let spec = spec.load()?;
        let located = |diagnostics: Diagnostics| Located::new(diagnostics, &spec.sources);
        let (build, _) = recorded_loss::build(&spec, &options).map_err(located)?;
        let comparison = check::verify::verify(&build, batch, threads).map_err(located)?;
        comparison.check(options.precision).map_err(|error| Located::new(error.into(), &Sources::default()))?;
        Ok(comparison.outputs)
    };
    let outputs = py.detach(compare).map_err(|errors: Located| errors.into_error(py))?;
    let deviation = |one: check::verify::Deviation| value(py, "Deviation", (one.output, one.error, one.same_top5));
    outputs.into_iter().map(deviation).collect()
}
