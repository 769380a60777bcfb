//! Calibration samples.

use crate::compile::packed::preprocessing;
use crate::data::photos::photo;
use crate::data::samples::photo_paths::{self, InputKind, Skipped, Walk};
use crate::diagnostics::suggest::did_you_mean_file;
use crate::diagnostics::{Code, Diagnostic, Result};
use crate::graph::Graph;
use std::path::{Path, PathBuf};

/// The maximum of samples: more hardly change the ranges.
pub const MAX_SAMPLES: usize = 128;

/// Where calibration samples come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum CalibrationSource {
    /// Nowhere: a build in int8 is refused.
    #[default]
    Nothing,
    /// A folder of photos, at any depth.
    Folder(PathBuf),
    Photos(CalibrationPhotos),
    /// The values of each input of the net, for each sample.
    Values(Vec<Vec<Vec<f32>>>),
}

/// Photos to calibrate by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CalibrationPhotos {
    /// With the class of each where it is known.
    pub photos: Vec<(PathBuf, Option<usize>)>,
    /// The files beside them that cannot be used.
    pub skipped: Vec<Skipped>,
}

/// Calibration samples: the values of the net's inputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    inputs: Vec<Vec<Vec<f32>>>,
    classes: Vec<Option<usize>>,
    /// The files of the source that cannot be used.
    pub skipped: Vec<Skipped>,
}

impl Samples {
    /// The number of samples.
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// The values of each input of the net.
    pub fn of(&self, sample: usize) -> &[Vec<f32>] {
        &self.inputs[sample]
    }

    /// The class of a sample, if it is known.
    pub fn class(&self, sample: usize) -> Option<usize> {
        self.classes[sample]
    }

    /// Samples of values.
    fn of_values(inputs: Vec<Vec<Vec<f32>>>, graph: &Graph) -> Result<Self> {
        let lens: Vec<_> = graph.inputs().into_iter().map(|id| graph.node(id).output.len()).collect();
        let fits = |sample: &Vec<Vec<f32>>| sample.iter().map(|values| Some(values.len())).eq(lens.iter().copied());
        if inputs.is_empty() || !inputs.iter().all(fits) {
            let message = format!("the calibration samples do not have the sizes of the inputs of `{}`", graph.name);
            return Err(Diagnostic::new(Code::Calibration, message).into());
        }
        Ok(Samples { classes: vec![None; inputs.len()], inputs, skipped: Vec::new() })
    }

    /// Reads the samples of a net: evenly spread ones if there are more than [`MAX_SAMPLES`].
    ///
    /// # Errors
    /// [`Code::Calibration`] without a source, or if the net does not take photos; photos that cannot be read.
    pub fn read(source: &CalibrationSource, graph: &Graph) -> Result<Self> {
        let CalibrationPhotos { photos, skipped } = match source {
            CalibrationSource::Nothing => return Err(missing(&graph.name).into()),
            CalibrationSource::Folder(folder) => of_folder(folder)?,
            CalibrationSource::Photos(photos) => photos.clone(),
            CalibrationSource::Values(samples) => return Self::of_values(samples.clone(), graph),
        };
        let (inputs, preprocessing) = (graph.inputs(), preprocessing(graph));
        let size = |input| graph.node(input).output.known();
        let ([input], [Some(preprocessing)]) = (&inputs[..], &preprocessing[..]) else {
            let message = format!("`{}` takes no photos that it could be calibrated on", graph.name);
            return Err(Diagnostic::new(Code::Calibration, message)
                .help("write `Input(…, image=…)` in the spec")
                .into());
        };
        let Some(&[height, width, channels]) = size(*input).as_deref() else {
            let message = format!("the input of `{}` has an open size", graph.name);
            return Err(Diagnostic::new(Code::Calibration, message).into());
        };
        let count = photos.len().min(MAX_SAMPLES);
        let mut samples = Samples { skipped, ..Samples::default() };
        for index in 0..count {
            let (path, class) = &photos[index * photos.len() / count];
            let mut values = vec![0.0; height * width * channels];
            photo::read(path, preprocessing, (height, width, channels), &mut values)
                .map_err(|error| Diagnostic::new(Code::Photo, error.to_string()))?;
            samples.inputs.push(vec![values]);
            samples.classes.push(*class);
        }
        Ok(samples)
    }
}

/// The photos in a folder.
fn of_folder(folder: &Path) -> Result<CalibrationPhotos> {
    let failed = |message: String| {
        Diagnostic::new(Code::Calibration, message).maybe_help(did_you_mean_file(folder).filter(|_| !folder.exists()))
    };
    let found = photo_paths::expand(&[folder], Walk::Recursive).map_err(|error| failed(error.to_string()))?;
    let (photos, arrays): (Vec<_>, Vec<_>) = found.inputs.into_iter().partition(|input| input.kind == InputKind::Photo);
    let arrays = arrays.into_iter().map(|input| Skipped { path: input.path, reason: "an array, not a photo".into() });
    let skipped = found.skipped.into_iter().chain(arrays).collect();
    match photos.is_empty() {
        true => Err(failed(format!("{} contains no photos", folder.display())).into()),
        false => {
            let photos = photos.into_iter().map(|input| (input.path, None)).collect();
            Ok(CalibrationPhotos { photos, skipped })
        }
    }
}

fn missing(net: &str) -> Diagnostic {
    Diagnostic::new(Code::Calibration, format!("`{net}` cannot be built in int8 without calibration samples"))
        .note("the ranges of its activations are measured on them")
        .help("name a folder of photos like those that it will see: `--calibrate photos`")
}
