//! Training as an iterator: a thread trains one epoch for each that is asked for.

mod thread;
mod worker;

use crate::arguments::{SpecArgument, absolute};
use crate::values::{epoch, value};
use netc::data::features::feature_cache;
use netc::train::run::error::Interruption;
use netc::train::run::prepare::RunOptions;
use netc::train::run::save::Layout;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBool, PyDict, PyList, PyTuple};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thread::{Outcome, Thread};
use worker::{Event, Facts, Finished};

/// A training run: an iterator of its epochs.
///
/// Each epoch is trained when it is asked for, and its checkpoint is written before it is returned. Leaving the loop, `close`,
/// the end of a ``with`` block or Ctrl-C stop the run after the current batch; a checkpoint is written, and
/// ``netc.train(..., resume=True)`` continues from there, with the same weights as an uninterrupted run. After the last epoch
/// the loop's end writes the trained weights, the artifact and a report: `result` names them.
///
/// See Also
/// --------
/// netc.train : Train a net.
#[pyclass(frozen, module = "netc")]
pub struct Training {
    facts: Facts,
    /// Makes the thread end after the current batch.
    interrupted: Arc<AtomicBool>,
    thread: Mutex<Thread>,
    /// The process that has the thread; one that was forked from it has not.
    process: u32,
}

/// Train a net by the recipe of its spec, ``train NAME { … }``.
///
/// Parameters
/// ----------
/// spec : str or path
///     A file with a recipe, or the text of one; as in `build`. The trained weights ``NAME.h5``, the artifact ``NAME.netb``
///     and the folder ``NAME.run`` are written next to it.
/// net : str, optional
///     The net, if the spec has several.
/// weights : dict of str to path, optional
///     Files of weights in place of the spec's, by net.
/// settings : dict of str to value, optional
///     Entries of the recipe, or arguments of their values, in place of the spec's:
///     ``{"epochs": 3, "optimizer.step": 0.01, "optimizer": "Adam()", "metrics": ["accuracy", "f1"]}``. A str is an expression
///     of the language.
/// resume : bool, default False
///     Continue from the last checkpoint.
/// threads : int, optional
///     The number of threads; by default as many as the process may use. It does not change the result.
/// cache : str, path or False, optional
///     Where the features of frozen layers are cached; by default ``$NETC_CACHE``, else the user's cache folder. False
///     keeps them in memory.
/// layout : {"neupy", "keras"}, default "neupy"
///     The layout of the weights file.
///
/// Returns
/// -------
/// Training
///     An iterator of `Epoch`.
///
/// Raises
/// ------
/// NetcError
///     The errors of spec, weights and data, before anything is trained.
///
/// Warns
/// -----
/// NetcWarning
///     The warnings, one by one.
///
/// Examples
/// --------
/// >>> for epoch in netc.train("clothing.net"):
/// ...     print(epoch.epoch, epoch.loss, epoch.validation_loss)
#[pyfunction]
#[pyo3(signature = (spec, *, net=None, weights=None, settings=None, resume=false, threads=None, cache=None, layout="neupy"))]
#[allow(clippy::too_many_arguments)] // Those of the Python function.
pub fn train(
    py: Python<'_>,
    spec: SpecArgument,
    net: Option<String>,
    weights: Option<BTreeMap<String, PathBuf>>,
    settings: Option<&Bound<'_, PyDict>>,
    resume: bool,
    threads: Option<isize>,
    cache: Option<&Bound<'_, PyAny>>,
    layout: &str,
) -> PyResult<Training> {
    let layout = match layout {
        "neupy" => Layout::NeuPy,
        "keras" => Layout::Keras,
        other => return Err(PyValueError::new_err(format!("layout='{other}' is neither 'neupy' nor 'keras'"))),
    };
    let cache = match cache {
        None => feature_cache::default_folder(),
        Some(cache) => match cache.extract::<bool>() {
            Ok(false) => None,
            Ok(true) => return Err(PyTypeError::new_err("cache is a folder, or False")),
            Err(_) => Some(absolute(&cache.extract::<PathBuf>()?)),
        },
    };
    let settings = settings.map_or_else(|| Ok(Vec::new()), settings_of)?;
    let options = RunOptions {
        net,
        weights: weights.unwrap_or_default(),
        threads: crate::arguments::threads(threads)?,
        resume,
        cache,
        folder: PathBuf::new(),
        layout,
    };
    let interrupted = Arc::new(AtomicBool::new(false));
    let mut thread = Thread::start(spec, settings, options, &interrupted)?;
    match thread.wait(py, &interrupted)? {
        Some(Event::Prepared(facts, warnings)) => {
            let training = Training { facts, interrupted, thread: Mutex::new(thread), process: std::process::id() };
            warnings.warn(py)?;
            Ok(training)
        }
        Some(Event::Failed(errors)) => Err(errors.into_error(py)),
        _ => Err(PyRuntimeError::new_err("the run has ended before it began")),
    }
}

/// Entries of the recipe in the form of the program's `--set`.
fn settings_of(settings: &Bound<'_, PyDict>) -> PyResult<Vec<String>> {
    let entry = |(key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
        Ok(format!("{}={}", key.extract::<String>()?, expression(&value)?))
    };
    settings.iter().map(entry).collect()
}

/// A value in the language of specs.
fn expression(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(value) = value.cast::<PyBool>() {
        return Ok(value.is_true().to_string());
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let values: Vec<String> = value.try_iter()?.map(|value| expression(&value?)).collect::<PyResult<_>>()?;
        return Ok(format!("[{}]", values.join(", ")));
    }
    Ok(value.str()?.to_string())
}

#[pymethods]
impl Training {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.is_forked() {
            return Err(PyRuntimeError::new_err(
                "a run belongs to the process that began it, and this one was forked from it",
            ));
        }
        let mut guard = self.lock(py);
        let thread = &mut *guard;
        if !thread.ask() {
            return Ok(None);
        }
        match thread.wait(py, &self.interrupted)? {
            Some(Event::Epoch(ended)) => return epoch(py, &ended).map(Some),
            Some(Event::Finished(finished)) => thread.outcome = Outcome::Finished(finished),
            Some(Event::Interrupted(at)) => thread.outcome = Outcome::Interrupted(at),
            Some(Event::Failed(errors)) => {
                thread.outcome = Outcome::Failed;
                py.detach(|| thread.join());
                return Err(errors.into_error(py));
            }
            Some(Event::Prepared(..)) | None => {
                thread.outcome = Outcome::Failed;
                py.detach(|| thread.join());
                return Err(PyRuntimeError::new_err("the thread that trains has panicked; this is a bug in netc"));
            }
        }
        py.detach(|| thread.join());
        Ok(None)
    }

    /// Train the remaining epochs.
    ///
    /// Returns
    /// -------
    /// TrainingResult
    ///     As `result`.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        while self.__next__(py)?.is_some() {}
        self.result(py)?.ok_or_else(|| PyRuntimeError::new_err("the run was stopped before its last epoch"))
    }

    /// Stop the run after the current batch, and keep a checkpoint, from which ``netc.train(..., resume=True)`` continues.
    ///
    /// Raises
    /// ------
    /// NetcError
    ///     If the checkpoint cannot be written.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.is_forked() {
            return Ok(());
        }
        // First, for another thread may wait for an epoch.
        self.interrupted.store(true, Ordering::Relaxed);
        let mut guard = self.lock(py);
        let thread = &mut *guard;
        py.detach(|| thread.stop(&self.interrupted)).map_or(Ok(()), |failure| Err(failure.into_error(py)))
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close(py)
    }

    /// The files and metrics of the run.
    ///
    /// Returns
    /// -------
    /// TrainingResult, or None
    ///     None until the loop over the epochs has ended.
    #[getter]
    fn result<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let finished = match &self.lock(py).outcome {
            Outcome::Finished(finished) => finished.clone(),
            _ => return Ok(None),
        };
        let Finished { weights, artifact, folder, best, metrics, stopped } = *finished;
        value(py, "TrainingResult", (weights, artifact, folder, best, metrics, stopped)).map(Some)
    }

    /// Where the run was stopped.
    ///
    /// Returns
    /// -------
    /// str, or None
    ///     What is kept of a run that was stopped before its end; None while it lasts and after its end.
    #[getter]
    fn interrupted(&self, py: Python<'_>) -> Option<String> {
        match self.lock(py).outcome {
            Outcome::Interrupted(Interruption::Front) => {
                Some("while features were computed; those so far are in the cache, if there is one".into())
            }
            Outcome::Interrupted(Interruption::Epoch { epoch, epochs, samples, total }) => {
                Some(format!("in epoch {epoch} of {epochs}, after {samples} of {total} samples"))
            }
            Outcome::Interrupted(Interruption::End) => Some("after the last epoch".into()),
            _ => None,
        }
    }

    /// The name of the net.
    ///
    /// Returns
    /// -------
    /// str
    #[getter]
    fn net(&self) -> &str {
        &self.facts.net
    }

    /// The number of epochs of the recipe.
    ///
    /// Returns
    /// -------
    /// int
    #[getter]
    fn epochs(&self) -> usize {
        self.facts.epochs
    }

    /// The number of samples for training.
    ///
    /// Returns
    /// -------
    /// int
    #[getter]
    fn samples(&self) -> usize {
        self.facts.samples
    }

    /// The number of samples for validation.
    ///
    /// Returns
    /// -------
    /// int
    #[getter]
    fn validation_samples(&self) -> usize {
        self.facts.validation_samples
    }

    /// The names of the classes.
    ///
    /// Returns
    /// -------
    /// list of str, or None
    #[getter]
    fn labels(&self) -> Option<Vec<String>> {
        self.facts.labels.clone()
    }

    /// The photos that cannot be read, with the reasons, where the recipe skips them.
    ///
    /// Returns
    /// -------
    /// list of (pathlib.Path, str)
    #[getter]
    fn skipped(&self) -> Vec<(PathBuf, String)> {
        self.facts.skipped.clone()
    }

    fn __repr__(&self) -> String {
        format!("<netc.Training of {}: {} epochs>", self.facts.net, self.facts.epochs)
    }
}

impl Training {
    fn is_forked(&self) -> bool {
        self.process != std::process::id()
    }

    /// The thread's state; the interpreter is released while another call has it.
    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, Thread> {
        self.thread.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        let is_forked = self.is_forked();
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner);
        if is_forked {
            return thread.forget();
        }
        // The thread that trains needs no interpreter, so that it can be waited for. Nobody is left to tell an error.
        let _ = thread.stop(&self.interrupted);
    }
}
