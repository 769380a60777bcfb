//! Photos as Python programs have them, and their way through a net.

use crate::errors::{Failure, Located};
use netc::data::photos::photo;
use netc::data::{Decoding, PhotoError};
use netc::diagnostics::{Code, Diagnostic, Diagnostics};
use netc::runtime::non_finite::{first_nan, non_finite};
use netc::runtime::session_pool::SessionPool;
use netc::runtime::{RunError, Session, zeros};
use netc::source::Sources;
use netc::train::batches::net_inputs::NetInputs;
use numpy::{PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyByteArray, PyBytes, PyMemoryView, PyString};
use std::path::PathBuf;
use std::sync::Mutex;

/// A photo.
pub enum Photo {
    File(PathBuf),
    /// The bytes of a file.
    Encoded(PyBackedBytes),
    /// (height, width, channels), row-major.
    Pixels(Vec<u8>, (usize, usize, usize)),
}

/// The photos of a call.
pub struct Photos {
    pub list: Vec<Photo>,
    /// Whether the argument was a photo rather than a sequence of photos.
    pub is_one: bool,
}

impl Photos {
    /// One photo, or a sequence.
    pub fn new(argument: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Some(photo) = Photo::new(argument)? {
            return Ok(Photos { list: vec![photo], is_one: true });
        }
        // Others are sequences too, but of rows or of lines.
        let is_of_photos = match argument.cast::<PyUntypedArray>() {
            Ok(array) if argument.is_instance_of::<PyArrayDyn<u8>>() => array.ndim() == 4,
            // Paths, or nothing.
            Ok(array) => b"OUS".contains(&array.dtype().kind()) || array.shape() == [0],
            Err(_) => !argument.hasattr("read")?,
        };
        if !is_of_photos {
            return Err(not_a_photo(argument));
        }
        let mut list = Vec::new();
        let photos = argument.try_iter().map_err(|_| not_a_photo(argument))?;
        for photo in photos {
            let photo = photo?;
            list.push(Photo::new(&photo)?.ok_or_else(|| not_a_photo(&photo))?);
        }
        Ok(Photos { list, is_one: false })
    }
}

fn not_a_photo(object: &Bound<'_, PyAny>) -> PyErr {
    let kind = match object.cast::<PyUntypedArray>() {
        Ok(array) => format!("an array of {} with the shape {:?}", array.dtype(), array.shape()),
        Err(_) => {
            let name = object.get_type().name().map_or_else(|_| String::new(), |name| name.to_string());
            let is_file = object.hasattr("read").unwrap_or_default();
            if is_file { format!("{name}, whose bytes `read()` gives") } else { name }
        }
    };
    PyTypeError::new_err(format!(
        "a photo is a path, the bytes of a file, a PIL image, or an array of uint8 (h, w) or (h, w, c), not {kind}"
    ))
}

impl Photo {
    /// None if the object is no photo, but may be a sequence of them.
    fn new(object: &Bound<'_, PyAny>) -> PyResult<Option<Photo>> {
        if let Ok(array) = object.cast::<PyUntypedArray>() {
            return Photo::of_pixels(array);
        }
        if object.is_instance_of::<PyString>() || object.hasattr("__fspath__")? {
            return Ok(Some(Photo::File(object.extract()?)));
        }
        if object.is_instance_of::<PyBytes>() || object.is_instance_of::<PyByteArray>() {
            return Ok(Some(Photo::Encoded(object.extract()?)));
        }
        let py = object.py();
        if object.is_instance_of::<PyMemoryView>() {
            return Ok(Some(Photo::Encoded(py.get_type::<PyBytes>().call1((object,))?.extract()?)));
        }
        let pixels = py.import("netc._photos")?.call_method1("pixels_of", (object,))?;
        match pixels.is_none() {
            true => Ok(None),
            false => Photo::of_pixels(pixels.cast::<PyUntypedArray>()?),
        }
    }

    fn of_pixels(array: &Bound<'_, PyUntypedArray>) -> PyResult<Option<Photo>> {
        let size = match *array.shape() {
            [height, width] => (height, width, 1),
            [height, width, channels] => (height, width, channels),
            _ => return Ok(None),
        };
        let Ok(pixels) = array.cast::<PyArrayDyn<u8>>() else { return Ok(None) };
        // In row-major order, whatever that of the array.
        Ok(Some(Photo::Pixels(pixels.try_readonly()?.as_array().iter().copied().collect(), size)))
    }

    /// How messages name the photo with this index.
    fn name(&self, index: usize) -> String {
        match self {
            Photo::File(path) => path.display().to_string(),
            Photo::Encoded(_) | Photo::Pixels(..) => format!("photo {index}"),
        }
    }

    /// Converts the photo with this index to the values of an input.
    fn read(&self, index: usize, decoding: &Decoding, out: &mut [f32]) -> Result<(), PhotoError> {
        let Decoding { preprocessing, size, .. } = decoding;
        match self {
            Photo::File(path) => photo::read(path, preprocessing, *size, out),
            Photo::Encoded(bytes) => photo::read_bytes(bytes, &self.name(index), preprocessing, *size, out),
            Photo::Pixels(pixels, shape) => {
                photo::read_pixels(pixels, *shape, &self.name(index), preprocessing, *size, out)
            }
        }
    }
}

/// Decodes photos and runs the net on them, batch by batch, both on all threads of a session. Returns the values of the first
/// output.
pub fn run(sessions: &SessionPool, photos: &[Photo], batch: usize) -> Result<Vec<f32>, Failure> {
    let manifest = &sessions.artifact().manifest;
    let decoding = NetInputs::of_artifact(manifest)
        .photo_decoding()
        .map_err(|errors| Failure::Diagnostics(Located::new(errors, &Sources::default())))?;
    let each = manifest.plan.inputs[0].len();
    let lengths: Vec<usize> = manifest.plan.outputs.iter().map(|port| port.len()).collect();
    let batch = batch.clamp(1, photos.len().max(1));
    let mut x = room(each, batch)?;
    let mut outputs = lengths.iter().map(|&len| room(len, batch)).collect::<Result<Vec<_>, _>>()?;
    let mut rows = room(lengths[0], photos.len())?;
    for (group, begin) in photos.chunks(batch).zip((0..).step_by(batch)) {
        let x = &mut x[..group.len() * each];
        let mut views: Vec<&mut [f32]> =
            outputs.iter_mut().zip(&lengths).map(|(output, len)| &mut output[..group.len() * len]).collect();
        sessions.with(|session| {
            decode(session, group, begin, &decoding, x, each)?;
            session.run(group.len(), &[&*x], &mut views).map_err(Failure::Run)?;
            let Some(image) = first_nan(&*views[0], lengths[0]) else { return Ok(()) };
            let origin = session.origin(&[&*x], group.len(), image).map_err(Failure::Run)?;
            Err(Failure::Diagnostics(non_finite(&group[image].name(begin + image), origin.as_ref()).into()))
        })?;
        rows[begin * lengths[0]..][..views[0].len()].copy_from_slice(views[0]);
        // Without a session: a signal handler may use the model.
        Python::attach(|py| py.check_signals()).map_err(Failure::Signal)?;
    }
    Ok(rows)
}

/// Zeros for the values of this number of images.
fn room(each: usize, images: usize) -> Result<Vec<f32>, Failure> {
    let bytes = each.checked_mul(images).and_then(|floats| floats.checked_mul(size_of::<f32>()));
    let values = bytes.and_then(|bytes| zeros(bytes / size_of::<f32>()));
    values.ok_or(Failure::Run(RunError::Memory { batch: images, bytes }))
}

/// Decodes a batch of photos, the first of which has the index `begin`, on all threads.
fn decode(
    session: &Session,
    photos: &[Photo],
    begin: usize,
    decoding: &Decoding,
    x: &mut [f32],
    each: usize,
) -> Result<(), Failure> {
    let rooms: Vec<Mutex<&mut [f32]>> = x.chunks_exact_mut(each.max(1)).map(Mutex::new).collect();
    let errors = Mutex::new(Vec::new());
    session.pool().run(rooms.len(), &|photo, _| {
        let Ok(mut room) = rooms[photo].lock() else { return };
        if let Err(error) = photos[photo].read(begin + photo, decoding, &mut room)
            && let Ok(mut errors) = errors.lock()
        {
            errors.push((photo, error));
        }
    });
    let mut errors = errors.into_inner().unwrap_or_default();
    if errors.is_empty() {
        return Ok(());
    }
    errors.sort_by_key(|(photo, _)| *photo);
    let mut diagnostics = Diagnostics::default();
    errors.iter().for_each(|(_, error)| diagnostics.push(Diagnostic::new(Code::Photo, error.to_string())));
    Err(Failure::Diagnostics(Located::new(diagnostics, &Sources::default())))
}
