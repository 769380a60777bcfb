//! The `.keras` archive: configuration, weights and metadata, each stored as it is, as Keras writes them.

use super::model::Model;
use crate::file::PendingFile;
use crate::h5::{self, Backend, Hdf5Error, Value, Writer};
use crate::source::plain;
use crate::weights::keras_model::snake_case;
use serde_json::json;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// The version of Keras whose form the file has: the first that stores the names of layers.
const VERSION: &str = "3.6.0";
/// Keras stores a date; a constant one keeps files deterministic.
const SAVED: &str = "1970-01-01@00:00:00";

/// Writes a model named `name` to `path`.
///
/// # Errors
/// Errors of the file system, and names that HDF5 does not take; an old file is kept then.
pub(super) fn write(path: &Path, model: &Model, name: &str) -> Result<(), String> {
    let weights = tempfile::NamedTempFile::new().map_err(|error| plain(&error))?;
    let mut file = h5::writer(weights.path(), Backend::DEFAULT).map_err(|error| error.to_string())?;
    variables(model, name, &mut *file).and_then(|()| file.finish()).map_err(|error| error.to_string())?;
    let metadata = json!({ "keras_version": VERSION, "date_saved": SAVED }).to_string();
    let configuration = model.configuration(name).to_string();
    let mut draft = PendingFile::for_target(path).map_err(|error| plain(&error))?;
    let fill = |path: &Path| -> io::Result<()> {
        let mut archive = ZipWriter::new(File::create(path)?);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .large_file(true);
        for (member, text) in [("metadata.json", &metadata), ("config.json", &configuration)] {
            archive.start_file(member, options)?;
            archive.write_all(text.as_bytes())?;
        }
        archive.start_file("model.weights.h5", options)?;
        io::copy(&mut File::open(weights.path())?, &mut archive)?;
        archive.finish()?;
        Ok(())
    };
    draft.by_name(fill).map_err(|error| plain(&error))?;
    draft.persist(true).map_err(|error| plain(&error))
}

/// The variables by class and number, with the name of the layer beside them.
fn variables(model: &Model, name: &str, file: &mut dyn Writer) -> Result<(), Hdf5Error> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for at in model.order() {
        let layer = &model.layers[at];
        let class = snake_case(layer.class);
        let count = counts.entry(class.clone()).or_default();
        let group = match *count {
            0 => format!("layers/{class}"),
            number => format!("layers/{class}_{number}"),
        };
        *count += 1;
        file.group(&format!("{group}/vars"))?;
        file.attribute(&format!("{group}/vars"), "name", Value::Text(&layer.name))?;
        for (part, variables) in &layer.variables {
            let group = if part.is_empty() { format!("{group}/vars") } else { format!("{group}/{part}/vars") };
            for (number, (shape, values)) in variables.iter().enumerate() {
                file.dataset(&format!("{group}/{number}"), shape, values)?;
            }
        }
    }
    file.group("vars")?;
    file.attribute("vars", "name", Value::Text(name))
}
