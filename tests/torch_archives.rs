//! Files of `torch.save`: their tensors are those of the same state dict in safetensors; everything but tensors and containers is
//! refused by its name.

use netc::request::Layout;
use netc::weights::open;
use netc::weights::store::{Store, StoreError};
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/torch_archives").join(name)
}

fn opened(name: &str) -> Box<dyn Store> {
    open(&file(name), None).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The values of each tensor by its name.
fn tensors(store: &dyn Store) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut tensors: Vec<_> = (0..store.entries().len())
        .map(|index| {
            let entry = &store.entries()[index];
            (entry.key.clone(), entry.shape.clone(), store.read(index).expect("values"))
        })
        .collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors.iter_mut().for_each(|tensor| tensor.0 = tensor.0.trim_start_matches("module.").to_string());
    tensors
}

#[test]
fn state_dicts_are_those_of_safetensors() {
    let expected = tensors(&*opened("state.safetensors"));
    for name in ["state.pth", "dict.pt", "parallel.pth", "checkpoint.pth", "views.pth", "strided.pth", "negated.pth"] {
        let store = opened(name);
        assert_eq!(store.layout(), Layout::PyTorch);
        assert_eq!(tensors(&*store), expected, "{name}");
    }
    for (name, bits) in [("half.pth", 11), ("bfloat16.pth", 8)] {
        for (actual, expected) in tensors(&*opened(name)).iter().zip(&expected) {
            for (actual, expected) in actual.2.iter().zip(&expected.2) {
                assert!((actual - expected).abs() <= expected.abs() * 2f32.powi(-bits), "{name}: {actual} {expected}");
            }
        }
    }
}

#[test]
fn rows_of_strided_tensors_are_parts_of_the_whole() {
    let store = opened("strided.pth");
    let index = store.entries().iter().position(|entry| entry.key == "fc.weight").expect("fc.weight");
    let whole = store.read(index).expect("values");
    assert_eq!(store.read_rows(index, 1..3).expect("rows"), whole[16..48]);
}

#[test]
fn expanded_tensors_repeat_their_values_within_a_limit() {
    let store = opened("expanded.pth");
    let expected = [("fc.bias", vec![3], vec![2.0; 3]), ("fc.weight", vec![3, 2], vec![1.0, 1.0, 2.0, 2.0, 3.0, 3.0])];
    let expected = expected.map(|(name, shape, values)| (name.to_string(), shape, values));
    assert_eq!(tensors(&*store), expected);
    match open(&file("too_far_expanded.pth"), None) {
        Err(StoreError::TooLarge { location, what }) => {
            assert!(
                location == "fc.bias" && what.contains("repeats the 1 values") && what.contains("contiguous()"),
                "{what}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_without_the_prefix_of_data_parallel() {
    let store = opened("parallel.pth");
    assert_eq!(store.entries()[0].layer, "conv");
    assert!(store.remarks()[0].contains("DataParallel"), "{:?}", store.remarks());
}

#[test]
fn names_without_the_prefixes_of_other_wrappers() {
    for (name, by) in [("compiled.pth", "torch.compile"), ("lightning.ckpt", "Lightning")] {
        let store = opened(name);
        assert!(store.remarks()[0].contains(by), "{:?}", store.remarks());
        assert_eq!(tensors(&*store), tensors(&*opened("state.pth")), "{name}");
    }
}

#[test]
fn objects_are_refused_by_their_name() {
    for (name, words) in [
        ("shell.pth", "system"),
        ("module.pth", "torch.nn.modules.container.Sequential"),
        ("arguments.pth", "argparse.Namespace"),
        ("scripted.pt", "__torch__"),
    ] {
        match open(&file(name), None) {
            Err(StoreError::Refused { what, .. }) => {
                assert!(what.contains(words) && what.contains("state_dict()"), "{name}: {what}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let legacy = open(&file("legacy.pth"), None).map(|_| ()).expect_err("an old pickle").to_string();
    assert!(legacy.contains("torch.save(torch.load("), "{legacy}");
}

#[test]
fn a_sharded_file_is_one_store() {
    let index = "model.safetensors.index.json";
    assert_eq!(tensors(&*opened(index)), tensors(&*opened("state.safetensors")));
    let folder = tempfile::tempdir().expect("a folder");
    let text = std::fs::read_to_string(file(index)).expect("the index");
    let (first, second) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    let refused = |text: &str| {
        for name in [first, second] {
            std::fs::copy(file(name), folder.path().join(name)).expect("a shard");
        }
        let path = folder.path().join(index);
        std::fs::write(&path, text).expect("an index");
        open(&path, None).map(|_| ()).expect_err(text).to_string()
    };
    let outside = refused(&text.replace(second, "../model.safetensors"));
    assert!(outside.contains("is not the name of a file beside it"), "{outside}");
    assert!(refused(&text.replace("fc.bias", "fc.bios")).contains("fc.bias"));
    assert!(refused(&text.replace(second, first)).contains("which it does not"));
    assert!(refused(&text.replace(second, "missing.safetensors")).contains("missing.safetensors"));
    // The file that is missing is the fault, not the one that still has its tensor.
    let moved = text.replace(&format!("\"fc.bias\": \"{second}\""), "\"fc.bias\": \"other.safetensors\"");
    let missing = refused(&moved);
    assert!(moved != text && missing.contains("other.safetensors") && missing.contains("does not exist"), "{missing}");
    assert!(refused("{\"weights\": 1}").contains("JSON"));
}
