//! Sharded safetensors: `model.safetensors.index.json`, whose `weight_map` says which of the files beside it has which tensor.

use crate::request::Layout;
use crate::weights::layouts::hdf5_file::corrupt;
use crate::weights::layouts::safetensors;
use crate::weights::layouts::tensor_file::TensorFile;
use crate::weights::store::{MAX_ITEMS, Store, StoreError, unreadable};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path};

/// The most bytes of an index: a tensor takes about a hundred.
const MAX_INDEX_BYTES: u64 = 16 << 20;
/// The most files.
const MAX_SHARDS: usize = 1000;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Opens the files of an index; none if the JSON is not an index.
pub(crate) fn open(path: &Path, file: File) -> Result<Option<Box<dyn Store>>, StoreError> {
    let location = path.display().to_string();
    let mut text = String::new();
    file.take(MAX_INDEX_BYTES).read_to_string(&mut text).map_err(|source| unreadable(path, source))?;
    let Ok(Index { mut weight_map }) = serde_json::from_str::<Index>(&text) else { return Ok(None) };
    drop(text);
    if weight_map.len() > MAX_ITEMS {
        return Err(StoreError::TooLarge { location, what: format!("{} tensors", weight_map.len()) });
    }
    let mut names: Vec<String> = weight_map.values().cloned().collect();
    names.sort_unstable();
    names.dedup();
    if names.len() > MAX_SHARDS {
        return Err(StoreError::TooLarge { location, what: format!("{} files", names.len()) });
    }
    // A file that is missing is told before what the others lack or have too much.
    let mut shards = Vec::new();
    for name in names {
        if !matches!(Path::new(&name).components().collect::<Vec<_>>()[..], [Component::Normal(_)]) {
            let what = format!("`{name}` is not the name of a file beside it");
            return Err(StoreError::Refused { location, what });
        }
        let shard = path.with_file_name(&name);
        let opened = crate::file::open_regular(&shard).map_err(|source| unreadable(&shard, source))?;
        shards.push((name, shard, opened));
    }
    let (mut files, mut tensors, mut convention) = (Vec::new(), Vec::new(), None);
    for (index, (name, shard, mut opened)) in shards.into_iter().enumerate() {
        let (declared, found) = safetensors::read_header(&shard, &mut opened.0, opened.1)?;
        for mut tensor in declared {
            if weight_map.remove(&tensor.name).is_none_or(|file| file != name) {
                return Err(corrupt(&tensor.name, format!("{} has it, which the index does not say", shard.display())));
            }
            tensor.location.file = index;
            tensors.push(tensor);
        }
        if *convention.get_or_insert_with(|| found.clone()) != found {
            return Err(StoreError::Refused { location, what: "its files are of different frameworks".into() });
        }
        files.push((shard, opened.0));
    }
    if let Some((name, file)) = weight_map.first_key_value() {
        return Err(corrupt(name, format!("the index says that `{file}` has it, which it does not")));
    }
    let Some(mut convention) = convention else { return Err(corrupt(&location, "its `weight_map` is empty")) };
    safetensors::unwrap(&mut tensors, &mut convention);
    Ok(Some(Box::new(TensorFile::new(Layout::Safetensors, files, tensors, convention))))
}
