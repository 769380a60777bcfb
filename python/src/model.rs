//! A compiled net.

use crate::arguments::count;
use crate::arrays::{Inputs, Outputs};
use crate::errors::{Failure, error};
use crate::photos::{self, Photos};
use crate::values::{preprocessing, tensor_info, value};
use netc::artifact::{Artifact, Manifest};
use netc::diagnostics::{Code, Diagnostic};
use netc::ops::output_kind::OutputKind;
use netc::plan::Port;
use netc::runtime::RunError;
use netc::runtime::session_pool::SessionPool;
use numpy::PyArray;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use std::path::PathBuf;
use std::sync::Arc;

/// A compiled net that is ready to run.
///
/// Any number of threads may use a model at the same time. Each call takes a session (an arena and `threads` threads) from a
/// pool, and releases the interpreter while it computes. The pool has as many sessions as use each processor once: with
/// ``threads=1`` one for each processor, with ``threads`` equal to the number of processors a single one, for which
/// further calls wait. So the memory and the load stay the same, however many threads call. The constants are mapped into memory
/// once for all of them, and processes that load the same file share its pages.
///
/// A model is pickled as the call that made it (`load` with the absolute path, or `build`), not as its
/// values: workers of multiprocessing or Ray need the same files.
///
/// See Also
/// --------
/// netc.load : Load an artifact.
/// netc.build : Compile a spec.
#[pyclass(frozen, module = "netc")]
pub struct Model {
    sessions: SessionPool,
    /// The file of the artifact; none if it is in memory.
    path: Option<PathBuf>,
    /// Makes an equal model, without arguments.
    remake: Py<PyAny>,
}

/// The floats of memory that grows with the number of images, above which a batch is run in parts.
const MAX_BATCH_FLOATS: usize = 64 << 20;
/// The minimum of images that are run at once.
const MIN_AT_ONCE: usize = 8;

impl Model {
    /// A model of an artifact, in this file or in memory, that `remake` makes again.
    pub fn new(artifact: Artifact, threads: usize, path: Option<PathBuf>, remake: Py<PyAny>) -> Self {
        Model { sessions: SessionPool::new(Arc::new(artifact), threads), path, remake }
    }

    fn manifest(&self) -> &Manifest {
        &self.sessions.artifact().manifest
    }

    /// The number of images that are run at once.
    fn at_once(&self) -> usize {
        let plan = &self.manifest().plan;
        let whole = plan.stages.iter().filter(|stage| stage.micro_batch.is_none()).map(|stage| stage.floats).max();
        let each = plan.batch_floats.saturating_add(whole.unwrap_or(0)).max(1);
        (MAX_BATCH_FLOATS / each).max(MIN_AT_ONCE)
    }

    /// Runs the net on all images.
    fn run(&self, py: Python<'_>, images: usize, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) -> PyResult<()> {
        let plan = &self.manifest().plan;
        let at_once = self.at_once();
        let run_part = |images: usize, inputs: &[&[f32]], outputs: &mut [&mut [f32]]| {
            self.sessions.with(|session| session.run(images, inputs, outputs)).map_err(Failure::Run)
        };
        let run = || {
            if images <= at_once {
                return run_part(images, inputs, outputs);
            }
            for begin in (0..images).step_by(at_once) {
                let end = (begin + at_once).min(images);
                let part = |port: &Port| begin * port.len()..end * port.len();
                let inputs: Vec<&[f32]> =
                    inputs.iter().zip(&plan.inputs).map(|(input, port)| &input[part(port)]).collect();
                let outputs = outputs.iter_mut().zip(&plan.outputs).map(|(output, port)| &mut output[part(port)]);
                run_part(end - begin, &inputs, &mut outputs.collect::<Vec<&mut [f32]>>())?;
                // Without a session: a signal handler may use the model.
                Python::attach(|py| py.check_signals()).map_err(Failure::Signal)?;
            }
            Ok(())
        };
        py.detach(run).map_err(|failure| failure.into_error(py))
    }

    /// The values of the first output for photos, `(photos, sizes…)` in row-major order.
    fn run_photos(&self, py: Python<'_>, photos: &Photos, batch: usize) -> PyResult<Vec<f32>> {
        let run = || photos::run(&self.sessions, &photos.list, batch);
        py.detach(run).map_err(|failure| failure.into_error(py))
    }
}

#[pymethods]
impl Model {
    /// Run the net.
    ///
    /// Parameters
    /// ----------
    /// x : array of float32, shape (n, *sizes), or dict of str to array
    ///     The values of the input, without preprocessing; for several inputs a dict by their names. An array in C order
    ///     is read in place, also a read-only one; an array in another order is copied. Other types than float32 are
    ///     refused, as converting them may lose digits; lists of numbers are converted.
    /// out : array of float32, shape (n, *sizes), or dict of str to array, optional
    ///     Where the output is written to: arrays in C order, which share no memory with the input.
    ///
    /// Returns
    /// -------
    /// array of float32, shape (n, *sizes), or dict of str to array
    ///     The output, with several outputs a dict by their names; `out` if it is given.
    ///
    /// Raises
    /// ------
    /// NetcError
    ///     If an array has another type or shape, or the artifact is damaged.
    ///
    /// Notes
    /// -----
    /// Very large batches are run in parts, between which Ctrl-C is noticed.
    #[pyo3(signature = (x, /, *, out=None))]
    fn __call__<'py>(&self, x: &Bound<'py, PyAny>, out: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let py = x.py();
        let plan = &self.manifest().plan;
        let inputs = Inputs::new(x, plan)?;
        let mut outputs = Outputs::new(py, out, plan, inputs.images)?;
        self.run(py, inputs.images, &inputs.slices()?, &mut outputs.slices()?)?;
        Ok(outputs.into_returned())
    }

    /// Classify photos: the classes with the largest probabilities.
    ///
    /// Parameters
    /// ----------
    /// photos : str, path, bytes, PIL image or array of uint8, or a sequence of them
    ///     A file, the bytes of a file (JPEG or PNG), a picture, or the pixels (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) as gray,
    ///     RGB or RGB with transparency, which is dropped. Orientations in EXIF data are applied. An array (n, h, w, c) is a
    ///     sequence.
    /// top : int, default 5
    ///     The number of classes.
    /// batch : int, default 8
    ///     The number of photos that are decoded and run at once.
    ///
    /// Returns
    /// -------
    /// list of Prediction, or a list of them for a sequence
    ///     Pairs of a label (the number of the class, as text, if the net has no labels) and its probability, the largest
    ///     first; for a net that ends in plain numbers with labels, its number.
    ///
    /// Raises
    /// ------
    /// NetcError
    ///     If the net has no classes or no preprocessing for photos, a photo cannot be read (all unreadable ones of a
    ///     batch are listed), or an output is not a number.
    #[pyo3(signature = (photos, /, *, top=5, batch=8))]
    fn classify<'py>(&self, photos: &Bound<'py, PyAny>, top: isize, batch: isize) -> PyResult<Bound<'py, PyAny>> {
        let (top, batch) = (count("top", top)?, count("batch", batch)?);
        let py = photos.py();
        let manifest = self.manifest();
        let port = &manifest.plan.outputs[0];
        let labels = manifest.labels.as_deref();
        let has_classes = manifest.ending(0) != OutputKind::Numbers || labels.is_some();
        if port.sizes.len() != 1 || !has_classes {
            let sizes: Vec<String> = port.sizes.iter().map(usize::to_string).collect();
            let message = format!("the output `{}` of `{}` has no classes", port.name, manifest.net);
            let note = format!("it has {} numbers for each photo", sizes.join("x"));
            let help = "`embed` returns the output as it is; `labels NAME = …` in the spec names classes";
            return Err(error(py, Diagnostic::new(Code::Inputs, message).note(note).help(help)));
        }
        let photos = Photos::new(photos)?;
        let rows = self.run_photos(py, &photos, batch)?;
        let ranked = |row: &[f32]| {
            let classes = manifest.ranked(0, row).into_iter().take(top).map(|(index, score)| {
                let label = labels.and_then(|labels| labels.get(index)).cloned();
                value(py, "Prediction", (label.unwrap_or_else(|| index.to_string()), score))
            });
            PyList::new(py, classes.collect::<PyResult<Vec<_>>>()?)
        };
        let lists = rows.chunks_exact(port.len().max(1)).map(ranked).collect::<PyResult<Vec<_>>>()?;
        match (photos.is_one, lists.into_iter()) {
            (true, mut lists) => Ok(lists.next().unwrap_or_else(|| PyList::empty(py)).into_any()),
            (false, lists) => Ok(PyList::new(py, lists)?.into_any()),
        }
    }

    /// Compute the output of the net for photos, such as features.
    ///
    /// Parameters
    /// ----------
    /// photos : str, path, bytes, PIL image or array of uint8, or a sequence of them
    ///     As in `classify`.
    /// batch : int, default 8
    ///     The number of photos that are decoded and run at once.
    ///
    /// Returns
    /// -------
    /// array of float32, shape (n, *sizes), or (*sizes,) for a single photo
    ///     The first output.
    ///
    /// Raises
    /// ------
    /// NetcError
    ///     As `classify`, but for any output.
    #[pyo3(signature = (photos, /, *, batch=8))]
    fn embed<'py>(&self, photos: &Bound<'py, PyAny>, batch: isize) -> PyResult<Bound<'py, PyAny>> {
        let batch = count("batch", batch)?;
        let py = photos.py();
        let photos = Photos::new(photos)?;
        let rows = self.run_photos(py, &photos, batch)?;
        let sizes = self.manifest().plan.outputs[0].sizes.iter().copied();
        let shape: Vec<usize> = (!photos.is_one).then_some(photos.list.len()).into_iter().chain(sizes).collect();
        let array = ndarray::ArrayD::from_shape_vec(shape, rows);
        let array = array.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(PyArray::from_owned_array(py, array).into_any())
    }

    /// Check that the artifact is intact: all its constants against their checksums.
    ///
    /// A call checks the constants that it uses, each before its first use; this checks all of them at once. `netc.verify`
    /// compares what a spec computes with float64.
    ///
    /// Raises
    /// ------
    /// NetcError
    ///     If the file is damaged, or was changed since it was loaded.
    fn verify(&self, py: Python<'_>) -> PyResult<()> {
        let artifact = self.sessions.artifact();
        let check = || {
            artifact.check_unchanged()?;
            artifact.check(0..artifact.constants().len())
        };
        py.detach(check).map_err(|cause| error(py, RunError::from(cause).diagnostic()))
    }

    /// The inputs.
    ///
    /// Returns
    /// -------
    /// list of TensorInfo
    #[getter]
    fn inputs<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let manifest = self.manifest();
        let ports = manifest.plan.inputs.iter().zip(&manifest.preprocessing);
        ports.map(|(port, image)| tensor_info(py, port, image.as_ref())).collect()
    }

    /// The outputs.
    ///
    /// Returns
    /// -------
    /// list of TensorInfo
    #[getter]
    fn outputs<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.manifest().plan.outputs.iter().map(|port| tensor_info(py, port, None)).collect()
    }

    /// The names of the first output's classes.
    ///
    /// Returns
    /// -------
    /// list of str, or None
    #[getter]
    fn labels(&self) -> Option<Vec<String>> {
        self.manifest().labels.clone()
    }

    /// How photos become the first input.
    ///
    /// Returns
    /// -------
    /// Preprocessing, or None
    #[getter]
    fn preprocessing<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let first = self.manifest().preprocessing.first().and_then(Option::as_ref);
        first.map(|image| preprocessing(py, image)).transpose()
    }

    /// The name of the net.
    ///
    /// Returns
    /// -------
    /// str
    #[getter]
    fn name(&self) -> &str {
        &self.manifest().net
    }

    /// The shapes of the net in one line.
    ///
    /// Returns
    /// -------
    /// str
    #[getter]
    fn summary(&self) -> &str {
        &self.manifest().summary
    }

    /// The text of the spec that the net was built from.
    ///
    /// Returns
    /// -------
    /// str
    #[getter]
    fn source(&self) -> &str {
        &self.manifest().source
    }

    /// The layers whose parameters come from no file.
    ///
    /// Returns
    /// -------
    /// list of str
    #[getter]
    fn untrained(&self) -> Vec<String> {
        self.manifest().untrained.clone()
    }

    /// The number of threads that a call uses.
    ///
    /// Returns
    /// -------
    /// int
    #[getter]
    fn threads(&self) -> usize {
        self.sessions.threads()
    }

    /// The file of the artifact.
    ///
    /// Returns
    /// -------
    /// pathlib.Path, or None
    ///     None if the net was built in memory.
    #[getter]
    fn path(&self) -> Option<PathBuf> {
        self.path.clone()
    }

    fn __repr__(&self) -> String {
        format!("<netc.Model {}: {}>", self.manifest().net, self.manifest().summary)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> (Py<PyAny>, Bound<'py, PyTuple>) {
        (self.remake.clone_ref(py), PyTuple::empty(py))
    }

    /// A model does not change, so that it serves as its own copy.
    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }
}
