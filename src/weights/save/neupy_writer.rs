//! Writes the layout of NeuPy 0.8.2's `storage.save`, which its `storage.load` reads; `neupy.rs` describes it.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::file::PendingFile;
use crate::h5::{self, Backend, Hdf5Error, Value as Written, Writer};
use crate::source::plain;
use crate::weights::store::StoreError;

/// The attribute that marks files written by netc, with the version.
const MARK: &str = "netc";

/// Whether netc wrote the weights at `path`.
pub fn is_ours(path: &Path) -> bool {
    h5::File::open(path).and_then(|file| file.attribute("/", MARK)).is_ok_and(|mark| mark.is_some())
}

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
    /// The name of the layer; with `/` it becomes a nested group.
    pub name: String,
    /// The NeuPy class: `Convolution`, `Linear`, `Relu`.
    pub class: String,
    /// The constructor's options, except those that are parameters.
    pub configs: Value,
    /// Names of the layers that take this one's output.
    pub successors: Vec<String>,
    pub parameters: Vec<SavedParameter<'a>>,
}

/// Writes the layers, which are in topological order, to `path`. `created` is the date in the metadata
/// (NeuPy writes `Tue, 24 Nov 2026 03:55:11 GMT`); the same layers and date result in the same bytes.
///
/// # Errors
/// [`StoreError::Unwritable`]; an existing file at `path` is then unchanged.
pub fn save(path: &Path, layers: &[SavedLayer<'_>], created: &str) -> Result<(), StoreError> {
    save_by(Backend::DEFAULT, path, layers, created)
}

/// [`save`] by a backend.
pub(crate) fn save_by(
    backend: Backend,
    path: &Path,
    layers: &[SavedLayer<'_>],
    created: &str,
) -> Result<(), StoreError> {
    if let Some((_, what)) = name_error(layers) {
        return Err(StoreError::Unwritable { path: path.into(), what });
    }
    check(path, layers)?;
    let metadata = json!({ "language": "python", "library": "neupy", "version": "0.8.2", "created": created });
    let graph: Value = layers.iter().map(|layer| json!([layer.name, layer.successors])).collect();
    let names: Value = layers.iter().map(|layer| layer.name.as_str()).collect();
    replace(backend, path, |file| {
        for layer in layers {
            file.group(&layer.name)?;
            put_json(file, &layer.name, "class_name", &json!(layer.class))?;
            put_json(file, &layer.name, "name", &json!(layer.name))?;
            put_json(file, &layer.name, "configs", &layer.configs)?;
            for parameter in &layer.parameters {
                let path = format!("{}/{}", layer.name, parameter.name);
                file.dataset(&path, &parameter.shape, parameter.data)?;
                file.attribute(&path, "trainable", Written::Bool(parameter.trainable))?;
            }
        }
        put_json(file, "/", "metadata", &metadata)?;
        put_json(file, "/", "graph", &graph)?;
        put_json(file, "/", "layer_names", &names)
    })
}

/// Checks that the shape of each parameter matches its data.
pub(crate) fn check(path: &Path, layers: &[SavedLayer<'_>]) -> Result<(), StoreError> {
    let fail = |what: String| Err(StoreError::Unwritable { path: path.into(), what });
    for layer in layers {
        for SavedParameter { name, shape, data, .. } in &layer.parameters {
            if shape.iter().product::<usize>() != data.len() {
                let numbers = data.len();
                return fail(format!(
                    "'{name}' of layer '{}' has the shape {shape:?} but {numbers} values",
                    layer.name
                ));
            }
        }
    }
    Ok(())
}

/// The index of the first layer whose names cannot be stored in this layout, and why.
pub fn name_error(layers: &[SavedLayer<'_>]) -> Option<(usize, String)> {
    path_error(layers, |layer, parameter| format!("{}/{}", layer.name, parameter.name))
}

/// The index of the first layer whose names cannot be stored in HDF5, and why; `dataset_path` returns the path of a parameter.
pub(crate) fn path_error(
    layers: &[SavedLayer<'_>],
    dataset_path: impl Fn(&SavedLayer<'_>, &SavedParameter<'_>) -> String,
) -> Option<(usize, String)> {
    let usable = |name: &str| {
        !name.contains('\0') && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
    };
    let (mut names, mut groups, mut datasets) = (HashSet::new(), HashSet::new(), Vec::new());
    for (at, layer) in layers.iter().enumerate() {
        if !usable(&layer.name) {
            return Some((at, format!("'{}' cannot be the name of a layer in HDF5", layer.name.escape_debug())));
        }
        if !names.insert(&layer.name) {
            return Some((at, format!("two layers are called '{}'", layer.name)));
        }
        groups.extend(with_parents(&layer.name).map(str::to_string));
        let mut parameters = HashSet::new();
        for parameter in &layer.parameters {
            let name = &parameter.name;
            if !usable(name) || name.contains('/') || !parameters.insert(name) {
                let what = format!("layer '{}' cannot have a parameter '{}'", layer.name, name.escape_debug());
                return Some((at, what));
            }
            let dataset = dataset_path(layer, parameter);
            groups.extend(
                dataset.rsplit_once('/').into_iter().flat_map(|(group, _)| with_parents(group)).map(str::to_string),
            );
            datasets.push((at, dataset));
        }
    }
    let (at, clash) = datasets.into_iter().find(|(_, dataset)| groups.contains(dataset))?;
    Some((at, format!("'{clash}' would be both a parameter of layer '{}' and a layer", layers[at].name)))
}

/// A path and all its parent groups.
fn with_parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at]).chain([path])
}

fn put_json(file: &mut dyn Writer, path: &str, name: &str, value: &Value) -> Result<(), Hdf5Error> {
    file.attribute(path, name, Written::Text(&value.to_string()))
}

/// Fills a new HDF5 file next to `path`, syncs it to disk and atomically replaces `path` with it. On failure, `path` is
/// unchanged and the new file is removed.
pub(crate) fn replace(
    backend: Backend,
    path: &Path,
    fill: impl FnOnce(&mut dyn Writer) -> Result<(), Hdf5Error>,
) -> Result<(), StoreError> {
    let unwritable = |what: String| StoreError::Unwritable { path: path.into(), what };
    if fs::metadata(path).is_ok_and(|known| !known.is_file()) {
        return Err(unwritable("it is not a file".into()));
    }
    let mut draft = PendingFile::for_target(path).map_err(|error| unwritable(plain(&error)))?;
    let write = |path: &Path| {
        let mut file = h5::writer(path, backend)?;
        fill(&mut *file)?;
        file.attribute("/", MARK, Written::Text(env!("CARGO_PKG_VERSION")))?;
        file.finish()
    };
    draft.by_name(write).map_err(|error: Hdf5Error| unwritable(error.to_string()))?;
    draft.persist(true).map_err(|error| unwritable(plain(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Layout;
    use crate::weights::open;
    use crate::weights::save::keras_writer;
    use crate::weights::store_tests::{folder, written};

    /// Layers with every kind of parameter, one of them with a nested name.
    fn layers<'a>(weight: &'a [f32], channels: &'a [f32]) -> Vec<SavedLayer<'a>> {
        let layer = |name: &str, class: &str, successors: &[&str], parameters: Vec<SavedParameter<'a>>| SavedLayer {
            name: name.into(),
            class: class.into(),
            configs: json!({ "name": name }),
            successors: successors.iter().map(|name| name.to_string()).collect(),
            parameters,
        };
        let parameter = |name: &str, shape: &[usize], data: &'a [f32], trainable| SavedParameter {
            name: name.into(),
            shape: shape.to_vec(),
            data,
            trainable,
        };
        vec![
            layer("in", "Input", &["fire/a"], vec![]),
            layer(
                "fire/a",
                "Convolution",
                &["norm"],
                vec![parameter("bias", &[2], channels, true), parameter("weight", &[1, 1, 3, 2], weight, true)],
            ),
            layer(
                "norm",
                "BatchNorm",
                &["fire"],
                vec![
                    parameter("running_mean", &[2], channels, false),
                    parameter("running_variance", &[2], channels, false),
                    parameter("gamma", &[2], channels, true),
                ],
            ),
            layer("fire", "PRelu", &[], vec![parameter("alpha", &[], &channels[..1], true)]),
        ]
    }

    const WEIGHT: [f32; 6] = [0.5, -1.0, f32::MIN_POSITIVE, 3.25, -0.0, f32::INFINITY];
    const CHANNELS: [f32; 2] = [7.0, -9.5];

    #[test]
    fn what_is_saved_is_read_back() {
        let folder = folder();
        let expected = [
            ("fire/a weight", vec![1, 1, 3, 2], &WEIGHT[..]),
            ("fire/a bias", vec![2], &CHANNELS),
            ("norm gamma", vec![2], &CHANNELS),
            ("norm running_mean", vec![2], &CHANNELS),
            ("norm running_variance", vec![2], &CHANNELS),
            ("fire alpha", vec![], &CHANNELS[..1]),
        ];
        for backend in Backend::ALL {
            let (neupy, keras) = (folder.path().join("a.hdf5"), folder.path().join("a.h5"));
            save_by(*backend, &neupy, &layers(&WEIGHT, &CHANNELS), "now").unwrap();
            keras_writer::save_by(*backend, &keras, &layers(&WEIGHT, &CHANNELS)).unwrap();
            for (path, layout) in [(&neupy, Layout::Neupy), (&keras, Layout::Keras)] {
                let store = open(path, None).unwrap();
                assert_eq!((store.layout(), store.entries().len()), (layout, expected.len()));
                for (index, ((name, shape, data), entry)) in expected.iter().zip(store.entries()).enumerate() {
                    assert_eq!(format!("{} {}", entry.layer, entry.role), *name);
                    assert_eq!((&entry.shape, &store.read(index).unwrap()[..]), (shape, *data), "{name}");
                }
            }
            let file = h5::File::open(&neupy).unwrap();
            let of = |path: &str, name: &str| file.attribute(path, name).unwrap().unwrap();
            let text = |text: &str| h5::Attribute::Text(text.to_owned());
            assert_eq!(of("/", "layer_names"), text(r#"["in","fire/a","norm","fire"]"#));
            let graph = r#"[["in",["fire/a"]],["fire/a",["norm"]],["norm",["fire"]],["fire",[]]]"#;
            assert_eq!(of("/", "graph"), text(graph));
            assert_eq!(of("norm/running_mean", "trainable"), h5::Attribute::Bool(false));
            assert_eq!(of("norm/gamma", "trainable"), h5::Attribute::Bool(true));
            assert!(is_ours(&neupy) && is_ours(&keras));
        }
    }

    #[test]
    fn writing_is_deterministic() {
        let folder = folder();
        for backend in Backend::ALL {
            let saved = |name: &str| {
                let path = folder.path().join(name);
                save_by(*backend, &path, &layers(&WEIGHT, &CHANNELS), "Tue, 24 Nov 2026 03:55:11 GMT").unwrap();
                fs::read(path).unwrap()
            };
            assert_eq!(saved("a"), saved("b"));
        }
    }

    #[test]
    fn a_failed_save_leaves_the_old_file_and_nothing_else() {
        let folder = folder();
        let path = written(&folder, b"old");
        let mut bad = layers(&WEIGHT, &CHANNELS);
        bad[2].parameters[0].shape = vec![3];
        assert!(matches!(save(&path, &bad, "now"), Err(StoreError::Unwritable { .. })));
        // A group and a dataset with the same path.
        let mut bad = layers(&WEIGHT, &CHANNELS);
        bad[0].name = "fire/a/weight".into();
        for backend in Backend::ALL {
            assert!(matches!(save_by(*backend, &path, &bad, "now"), Err(StoreError::Unwritable { .. })));
        }
        let mut bad = layers(&WEIGHT, &CHANNELS);
        bad[2].parameters[1].name = "running_inv_std".into();
        assert!(keras_writer::save(&path, &bad).unwrap_err().to_string().contains("does not exist in Keras"));
        for name in ["", "a//b", "../a", "a\0b", "in"] {
            let mut bad = layers(&WEIGHT, &CHANNELS);
            bad[3].name = name.into();
            assert!(matches!(save(&path, &bad, "now"), Err(StoreError::Unwritable { .. })), "{name}");
        }
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let nowhere = folder.path().join("none/a.h5");
        assert!(matches!(keras_writer::save(&nowhere, &[]), Err(StoreError::Unwritable { .. })));
        assert!(matches!(keras_writer::save(folder.path(), &[]), Err(StoreError::Unwritable { .. })));
    }
}
