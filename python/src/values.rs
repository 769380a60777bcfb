//! Objects of the classes in `netc/_values.py`.

use netc::ops::input::preprocessing::{Preprocessing, Resize};
use netc::plan::Port;
use netc::train::run::record::Epoch;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// An object of a class of `netc/_values.py`.
pub fn value<'py>(
    py: Python<'py>,
    class: &str,
    arguments: impl pyo3::call::PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    py.import("netc._values")?.getattr(class)?.call1(arguments)
}

/// An input or output; the size of its first axis, the batch, is open.
pub fn tensor_info<'py>(py: Python<'py>, port: &Port, image: Option<&Preprocessing>) -> PyResult<Bound<'py, PyAny>> {
    let sizes = port.sizes.iter().map(|&size| Some(size));
    let shape = PyTuple::new(py, std::iter::once(None).chain(sizes).collect::<Vec<Option<usize>>>())?;
    let image = image.map(|image| preprocessing(py, image)).transpose()?;
    value(py, "TensorInfo", (port.name.as_str(), shape, "float32", image))
}

/// How a photo becomes an input.
pub fn preprocessing<'py>(py: Python<'py>, image: &Preprocessing) -> PyResult<Bound<'py, PyAny>> {
    let resize = match image.resize {
        Resize::ShorterSide(pixels) => Some(pixels),
        Resize::Squash => None,
    };
    let [interpolation, crop, order] =
        [image.interpolation.to_string(), image.crop.to_string(), image.order.to_string()];
    let [mean, std] = [image.mean, image.std].map(|[a, b, c]| (a, b, c));
    value(py, "Preprocessing", (resize, interpolation, crop, order, image.scale, mean, std, image.to_string()))
}

/// An epoch, whose fields have the names of the record.
pub fn epoch<'py>(py: Python<'py>, epoch: &Epoch) -> PyResult<Bound<'py, PyAny>> {
    let fields = pythonize::pythonize(py, epoch)?;
    py.import("netc._values")?.getattr("Epoch")?.call((), Some(fields.cast::<PyDict>()?))
}
