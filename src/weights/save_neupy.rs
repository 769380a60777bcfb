//! Writes the layout of NeuPy 0.8.2's `storage.save`, which its `storage.load` reads; [`super::neupy`] describes it.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use hdf5::Location;
use hdf5::types::VarLenUnicode;
use serde_json::{Value, json};

use super::store::StoreError;

/// A parameter to write.
#[derive(Clone, Debug)]
pub struct SavedParameter<'a> {
    /// NeuPy's name: `weight`, `bias`, `running_inv_std`.
    pub name: String,
    /// Sizes of the axes, outermost first; none for a scalar.
    pub shape: Vec<usize>,
    /// The values, row-major.
    pub data: &'a [f32],
    /// Whether training may change it.
    pub trainable: bool,
}

/// A layer to write; a layer without parameters too.
#[derive(Clone, Debug)]
pub struct SavedLayer<'a> {
    /// The layer's name; with `/` it becomes a nested group.
    pub name: String,
    /// NeuPy's class: `Convolution`, `Linear`, `Relu`.
    pub class: String,
    /// The constructor's options, except those that are parameters.
    pub configs: Value,
    /// Names of the layers that take this one's output.
    pub successors: Vec<String>,
    pub parameters: Vec<SavedParameter<'a>>,
}

/// Writes the layers, which are in topological order, to `path`. `created` is the date that the metadata state
/// (NeuPy writes `Tue, 24 Nov 2026 03:55:11 GMT`): the same layers and date give the same bytes.
///
/// # Errors
/// [`StoreError::Unwritable`]; the file that was at `path` is then untouched.
pub fn save(path: &Path, layers: &[SavedLayer<'_>], created: &str) -> Result<(), StoreError> {
    check(path, layers)?;
    let metadata = json!({ "language": "python", "library": "neupy", "version": "0.8.2", "created": created });
    let graph: Value = layers.iter().map(|layer| json!([layer.name, layer.successors])).collect();
    let names: Value = layers.iter().map(|layer| layer.name.as_str()).collect();
    replace(path, |file| {
        for layer in layers {
            let group = group(file, &layer.name)?;
            put_json(&group, "class_name", &json!(layer.class))?;
            put_json(&group, "name", &json!(layer.name))?;
            put_json(&group, "configs", &layer.configs)?;
            for parameter in &layer.parameters {
                let dataset = put_tensor(&group, &parameter.name, parameter)?;
                dataset.new_attr::<bool>().create("trainable")?.write_scalar(&parameter.trainable)?;
            }
        }
        put_json(file, "metadata", &metadata)?;
        put_json(file, "graph", &graph)?;
        put_json(file, "layer_names", &names)
    })
}

/// What neither layout can hold: layers and parameters without a usable name or twice, shapes that are not the data's.
pub(super) fn check(path: &Path, layers: &[SavedLayer<'_>]) -> Result<(), StoreError> {
    let fail = |what: String| Err(StoreError::Unwritable { path: path.into(), what });
    let usable = |name: &str| {
        !name.contains('\0') && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
    };
    let mut names = HashSet::new();
    for layer in layers {
        if !usable(&layer.name) {
            return fail(format!("'{}' cannot be the name of a layer in HDF5", layer.name.escape_debug()));
        }
        if !names.insert(&layer.name) {
            return fail(format!("two layers are called '{}'", layer.name));
        }
        let mut parameters = HashSet::new();
        for SavedParameter { name, shape, data, .. } in &layer.parameters {
            if !usable(name) || name.contains('/') || !parameters.insert(name) {
                return fail(format!("layer '{}' cannot have a parameter '{}'", layer.name, name.escape_debug()));
            }
            if shape.iter().product::<usize>() != data.len() {
                let numbers = data.len();
                return fail(format!(
                    "'{name}' of layer '{}' has the shape {shape:?} and {numbers} numbers",
                    layer.name
                ));
            }
        }
    }
    Ok(())
}

/// The group `name`, which an inner layer's name (`fire2/squeeze`) may have made before.
pub(super) fn group(file: &hdf5::Group, name: &str) -> hdf5::Result<hdf5::Group> {
    match file.group(name) {
        Ok(group) => Ok(group),
        Err(_) => file.create_group_builder().obj_track_times(false).create(name),
    }
}

/// Writes a tensor, contiguous and without the time of writing.
pub(super) fn put_tensor(group: &hdf5::Group, name: &str, tensor: &SavedParameter<'_>) -> hdf5::Result<hdf5::Dataset> {
    let builder = group.new_dataset::<f32>().obj_track_times(false);
    let dataset = match tensor.shape.is_empty() {
        true => builder.shape(()).create(name)?,
        false => builder.shape(tensor.shape.clone()).create(name)?,
    };
    dataset.write_raw(tensor.data)?;
    Ok(dataset)
}

fn put_json(place: &Location, name: &str, value: &Value) -> hdf5::Result<()> {
    let text = VarLenUnicode::from_str(&value.to_string()).map_err(|error| error.to_string())?;
    place.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&text)
}

/// Fills a new HDF5 file beside `path`, brings it to the disk and puts it in the place of `path` in one step. Whatever
/// fails leaves `path` as it was and nothing beside it.
pub(super) fn replace(path: &Path, fill: impl FnOnce(&hdf5::File) -> hdf5::Result<()>) -> Result<(), StoreError> {
    hdf5::silence_errors(true);
    let unwritable = |what: String| StoreError::Unwritable { path: path.into(), what };
    // Of a symbolic link the file that it leads to is replaced, not the link.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let old = fs::metadata(&target).ok();
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return Err(unwritable("it is not a file".into()));
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".netc-").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let temporary = builder.tempfile_in(folder).map_err(|error| unwritable(error.to_string()))?;
    let write = || {
        // The oldest version of each structure, which every HDF5 since 1.8 reads.
        let file = hdf5::File::with_options().with_fapl(|access| access.libver_earliest()).create(temporary.path())?;
        fill(&file)?;
        file.flush()?;
        file.close()
    };
    write().map_err(|error: hdf5::Error| unwritable(error.to_string()))?;
    let finish = || {
        if let Some(old) = old {
            temporary.as_file().set_permissions(old.permissions())?;
        }
        temporary.as_file().sync_all()?;
        temporary.persist(&target).map_err(|error| error.error)?;
        // The file is in place: where a folder cannot be synchronised, that is no failure.
        let _ = fs::File::open(folder).and_then(|folder| folder.sync_all());
        Ok(())
    };
    finish().map_err(|error: std::io::Error| unwritable(error.to_string()))
}
