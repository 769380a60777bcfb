//! Numpy arrays as the inputs and outputs of a net, without copies where their memory allows it.

use crate::errors::error;
use netc::diagnostics::{Code, Diagnostic, suggest};
use netc::plan::{Plan, Port};
use netc::runtime::batch_arrays;
use numpy::{
    PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyReadwriteArrayDyn, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

/// The inputs of a call, borrowed until it ends.
pub struct Inputs<'py> {
    arrays: Vec<PyReadonlyArrayDyn<'py, f32>>,
    /// The number of images.
    pub images: usize,
}

impl<'py> Inputs<'py> {
    /// The arrays of a net's inputs: one, or several by name. An array in C order is borrowed, any other one is copied.
    pub fn new(x: &Bound<'py, PyAny>, plan: &Plan) -> PyResult<Self> {
        let py = x.py();
        let arrays: Vec<Bound<'py, PyArrayDyn<f32>>> = match (x.cast::<PyDict>(), &plan.inputs[..]) {
            (Ok(named), ports) => {
                let of_port = |(port, array): (&Port, Bound<'py, PyAny>)| float_array(&array, port);
                ports.iter().zip(by_name(named, ports, "input", &plan.name)?).map(of_port).collect::<PyResult<_>>()?
            }
            (Err(_), [port]) => vec![float_array(x, port)?],
            (Err(_), ports) => {
                let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
                let message = format!("`{}` has {} inputs: {}", plan.name, ports.len(), names.join(", "));
                let help = format!("call it with a dict of arrays by these names: {{\"{}\": …}}", names[0]);
                return Err(error(py, Diagnostic::new(Code::Array, message).help(help)));
            }
        };
        let shapes: Vec<&[usize]> = arrays.iter().map(|array| array.shape()).collect();
        let images = batch_arrays::images("the input", &shapes, &plan.inputs).map_err(|mut diagnostic| {
            let one_image = shapes.iter().zip(&plan.inputs).any(|(shape, port)| *shape == &port.sizes[..]);
            if one_image {
                diagnostic = diagnostic.help("the first axis is the batch: `x[None]` is a batch of one image");
            }
            error(py, diagnostic)
        })?;
        let borrow = |array: &Bound<'py, PyArrayDyn<f32>>| Ok(array.try_readonly()?);
        Ok(Inputs { arrays: arrays.iter().map(borrow).collect::<PyResult<_>>()?, images })
    }

    /// The values of each input.
    pub fn slices(&self) -> PyResult<Vec<&[f32]>> {
        self.arrays.iter().map(|array| Ok(array.as_slice()?)).collect()
    }
}

/// The values of a dict of arrays in the order of these inputs or outputs.
fn by_name<'py>(named: &Bound<'py, PyDict>, ports: &[Port], what: &str, net: &str) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let py = named.py();
    let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
    let list = || format!("its {what}s are {}", names.join(", "));
    for key in named.keys() {
        let key: String = key.extract().map_err(|_| PyTypeError::new_err(format!("the names of {what}s are str")))?;
        if !names.contains(&key.as_str()) {
            let diagnostic = Diagnostic::new(Code::Array, format!("`{net}` has no {what} `{key}`"));
            let meant = suggest::did_you_mean(&key, names.iter().copied());
            return Err(error(py, diagnostic.note(list()).maybe_help(meant)));
        }
    }
    let of_port = |port: &Port| {
        named.get_item(&port.name)?.ok_or_else(|| {
            let message = format!("there is no array for the {what} `{}` of `{net}`", port.name);
            error(py, Diagnostic::new(Code::Array, message).note(list()))
        })
    };
    ports.iter().map(of_port).collect()
}

/// An array of float32 in C order: the given one, or a copy of one in another order.
fn float_array<'py>(x: &Bound<'py, PyAny>, port: &Port) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    let py = x.py();
    if let Ok(array) = x.cast::<PyArrayDyn<f32>>() {
        // A slice exists for Fortran's order too.
        return match array.is_c_contiguous() && array.try_readonly()?.as_slice().is_ok() {
            true => Ok(array.clone()),
            false => in_order(array.as_any()),
        };
    }
    if let Ok(array) = x.cast::<PyUntypedArray>() {
        return Err(wrong_type(array, port));
    }
    let numpy = py.import("numpy")?;
    // Python's numbers have no float32; other objects, such as tensors in the memory of the processor, share theirs.
    let is_plain = x.is_instance_of::<PyList>() || x.is_instance_of::<PyTuple>();
    let array = match is_plain {
        true => numpy.call_method1("asarray", (x, "float32"))?,
        false => numpy.call_method1("asarray", (x,))?,
    };
    if array.is_instance_of::<PyArrayDyn<f32>>() {
        return in_order(&array);
    }
    let array = array.cast::<PyUntypedArray>()?;
    let is_numbers = array.ndim() > 0 && b"biufc".contains(&array.dtype().kind());
    if is_numbers {
        return Err(wrong_type(array, port));
    }
    let message = format!("`{}` takes an array of float32, not {}", port.name, x.get_type().name()?);
    Err(error(py, Diagnostic::new(Code::Array, message)))
}

/// The array in C order and aligned; a copy if it is not.
fn in_order<'py>(array: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    let ordered = array.py().import("numpy")?.call_method1("require", (array, "float32", vec!["C", "A"]))?;
    Ok(ordered.cast_into::<PyArrayDyn<f32>>()?)
}

fn wrong_type(array: &Bound<'_, PyUntypedArray>, port: &Port) -> PyErr {
    let py = array.py();
    let kind = array.dtype().to_string();
    let diagnostic =
        Diagnostic::new(Code::Array, format!("an array of {kind} for `{}`, which takes float32", port.name));
    let help = match kind.as_str() {
        "uint8" => "for photos, `classify` and `embed` apply the preprocessing; else `x.astype(numpy.float32)`",
        _ => "`x.astype(numpy.float32)` converts it",
    };
    error(py, diagnostic.help(help))
}

/// The outputs of a call: new arrays, or those of the caller.
pub struct Outputs<'py> {
    arrays: Vec<PyReadwriteArrayDyn<'py, f32>>,
    /// What the call returns.
    returned: Bound<'py, PyAny>,
}

impl<'py> Outputs<'py> {
    /// The arrays of a net's outputs for `images` images.
    pub fn new(py: Python<'py>, out: Option<&Bound<'py, PyAny>>, plan: &Plan, images: usize) -> PyResult<Self> {
        let shape = |port: &Port| std::iter::once(images).chain(port.sizes.iter().copied()).collect::<Vec<usize>>();
        let arrays: Vec<Bound<'py, PyArrayDyn<f32>>> = match out {
            None => plan.outputs.iter().map(|port| PyArrayDyn::zeros(py, shape(port), false)).collect(),
            Some(out) => {
                let given = match out.cast::<PyDict>() {
                    Ok(named) => by_name(named, &plan.outputs, "output", &plan.name)?,
                    Err(_) => vec![out.clone()],
                };
                if given.len() != plan.outputs.len() {
                    let message = format!("`{}` has {} outputs, but `out` is one array", plan.name, plan.outputs.len());
                    let help = "give `out` a dict of arrays by the outputs' names";
                    return Err(error(py, Diagnostic::new(Code::Array, message).help(help)));
                }
                let checked = |(array, port)| output_array(array, port, &shape(port));
                given.iter().zip(&plan.outputs).map(checked).collect::<PyResult<_>>()?
            }
        };
        let returned = match (out, &arrays[..]) {
            (Some(out), _) => out.clone(),
            (None, [one]) => one.clone().into_any(),
            (None, several) => {
                let named = PyDict::new(py);
                for (array, port) in several.iter().zip(&plan.outputs) {
                    named.set_item(&port.name, array)?;
                }
                named.into_any()
            }
        };
        let borrow = |array: Bound<'py, PyArrayDyn<f32>>| {
            array.try_readwrite().map_err(|cause| {
                let message = format!("an array of `out` cannot be written: {cause}");
                let help = "it must be writeable, and share no memory with the input";
                error(py, Diagnostic::new(Code::Array, message).help(help))
            })
        };
        Ok(Outputs { arrays: arrays.into_iter().map(borrow).collect::<PyResult<_>>()?, returned })
    }

    /// The values of each output.
    pub fn slices(&mut self) -> PyResult<Vec<&mut [f32]>> {
        self.arrays.iter_mut().map(|array| Ok(array.as_slice_mut()?)).collect()
    }

    /// What the call returns.
    pub fn into_returned(self) -> Bound<'py, PyAny> {
        self.returned
    }
}

/// An array of the caller that an output is written to.
fn output_array<'py>(array: &Bound<'py, PyAny>, port: &Port, shape: &[usize]) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    let found = match (array.cast::<PyArrayDyn<f32>>(), array.cast::<PyUntypedArray>()) {
        (Ok(array), _) if array.shape() == shape && array.is_c_contiguous() => {
            match array.try_readonly().is_ok_and(|array| array.as_slice().is_err()) {
                false => return Ok(array.clone()),
                true => "an address that is no multiple of a float's size".to_string(),
            }
        }
        (Ok(array), _) if array.shape() == shape => "another order".to_string(),
        (Ok(array), _) => format!("the shape {:?}", array.shape()),
        (Err(_), Ok(array)) => format!("the type {}", array.dtype()),
        (Err(_), Err(_)) => format!("the type {}", array.get_type().name()?),
    };
    let message = format!("`out` for `{}` is an array of float32 in C order with the shape {shape:?}", port.name);
    Err(error(array.py(), Diagnostic::new(Code::Array, message).note(format!("it has {found}"))))
}
