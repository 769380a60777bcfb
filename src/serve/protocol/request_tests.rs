//! Bodies from anyone: damaged ones are refused, and never end the thread that reads them.

use super::request::{Images, InferenceRequest};
use crate::artifact::Manifest;
use crate::compile::{BuildOptions, build};
use crate::elaborate::load;
use crate::elaborate::project::source_files::from_disk;
use proptest::prelude::*;
use std::sync::LazyLock;

/// The manifest of a net with two inputs.
static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| {
    let net = "(Input(2) as a | Input(1) as b) >> Concatenate >> Softmax(2) as c";
    let options = BuildOptions { allow_untrained: true, ..BuildOptions::default() };
    let (build, _) = build(&load(net, &from_disk).expect("a spec"), &options).expect("a build");
    build.in_memory().expect("an artifact").manifest
});

const JSON: &str = r#"{"id":"7","inputs":[
    {"name":"a","shape":[2,2],"datatype":"FP32","parameters":{"binary_data_size":16}},
    {"name":"b","shape":[2,1],"datatype":"FP32","data":[[1.5],[2]]}],
    "outputs":[{"name":"c","parameters":{"binary_data":true,"classification":0}}]}"#;

fn body() -> Vec<u8> {
    let values = [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|value| value.to_le_bytes());
    JSON.bytes().chain(values).collect()
}

fn parse(body: &[u8], length: usize) -> Option<InferenceRequest> {
    InferenceRequest::parse(body, Some(length), &MANIFEST, Ok(()), 8).ok()
}

#[test]
fn tensors_of_both_kinds_are_read_by_images() {
    let request = parse(&body(), JSON.len()).expect("a request");
    let images = vec![vec![vec![1.0, 2.0], vec![1.5]], vec![vec![3.0, 4.0], vec![2.0]]];
    assert_eq!((request.images, request.id.as_deref()), (Images::Values(images), Some("7")));
    assert!(request.outputs[0].is_binary && request.outputs[0].classes.is_none());
}

proptest! {
    #[test]
    fn damaged_bodies_are_requests_or_errors(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        end in any::<prop::sample::Index>(),
        length in 0usize..600,
    ) {
        let mut bytes = body();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for (bytes, length) in [(&bytes[..], JSON.len()), (&bytes[..end.index(bytes.len())], JSON.len()), (&bytes[..], length)] {
            if let Some(request) = parse(bytes, length) {
                prop_assert!((1..=8).contains(&request.images.count()));
            }
        }
    }

    #[test]
    fn any_shape_fits_or_is_refused(shape in prop::collection::vec(any::<usize>(), 0..4), values in 0usize..20) {
        let data = vec![1.0; values];
        let b = serde_json::json!({ "name": "b", "shape": shape, "datatype": "FP32", "data": data });
        let a = serde_json::json!({ "name": "a", "shape": [1, 2], "datatype": "FP32", "data": [1, 2] });
        let text = serde_json::json!({ "inputs": [a, b] }).to_string();
        let fits = shape == [1, 1] && values == 1;
        prop_assert_eq!(parse(text.as_bytes(), text.len()).is_some(), fits);
    }
}
