//! The Open Inference Protocol, version 2.

use crate::client::Response;
use crate::photos::{PHOTOS, photo};
use crate::server::{Server, done};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Rows for the net `rows`, none like another.
fn rows(count: usize) -> Vec<f32> {
    (0..4 * count).map(|index| ((index * 37 % 101) as f32 - 50.0) / 17.0).collect()
}

/// The numbers of the first output.
fn numbers(response: &Value) -> Vec<f32> {
    let data = response["outputs"][0]["data"].as_array().expect("data");
    data.iter().map(|value| value.as_f64().expect("a number") as f32).collect()
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|value| value.to_bits()).collect()
}

/// Little-endian floats.
fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four"))).collect()
}

/// A request of JSON and binary tensors.
fn binary(server: &Server, model: &str, json: &Value, tensors: &[u8]) -> Response {
    let json = json.to_string();
    let length = json.len().to_string();
    let body = [json.as_bytes(), tensors].concat();
    server.post(&format!("/v2/models/{model}/infer"), &[("inference-header-content-length", &length)], &body)
}

/// The JSON and the binary tensors of a response.
fn parts(response: &Response) -> (Value, &[u8]) {
    assert_eq!(response.status, 200, "{}", response.text());
    let length = response.header("inference-header-content-length").expect("the header").parse().expect("a length");
    let (json, tensors) = response.body.split_at(length);
    (serde_json::from_slice(json).expect("JSON"), tensors)
}

/// What `netc predict` computes for an array.
fn predicted(server: &Server, model: &str, rows: &[f32], width: usize) -> Vec<f32> {
    let array = ndarray::Array2::from_shape_vec((rows.len() / width, width), rows.to_vec()).expect("a shape");
    ndarray_npy::write_npy(server.folder.path().join("rows.npy"), &array).expect("a file");
    done(server.folder.path(), &["predict", &format!("{model}.netb"), "rows.npy", "-o", "out.npy"]);
    let out: ndarray::ArrayD<f32> = ndarray_npy::read_npy(server.folder.path().join("out.npy")).expect("an array");
    out.iter().copied().collect()
}

#[test]
fn metadata_and_health() {
    let server = Server::start(&["rows", "two"], &[]);
    let about = server.get("/v2").ok();
    assert_eq!((&about["name"], &about["version"]), (&json!("netc"), &json!(env!("CARGO_PKG_VERSION"))));
    for path in ["/v2/health/live", "/v2/health/ready", "/v2/models/rows/ready", "/v2/models/rows/versions/1/ready"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    let expected = json!({
        "name": "two",
        "versions": ["1"],
        "platform": "netc",
        "inputs": [
            { "name": "a", "datatype": "FP32", "shape": [-1, 2] },
            { "name": "b", "datatype": "FP32", "shape": [-1, 3] },
        ],
        "outputs": [
            { "name": "c", "datatype": "FP32", "shape": [-1, 2] },
            { "name": "d", "datatype": "FP32", "shape": [-1, 1] },
        ],
    });
    assert_eq!(server.get("/v2/models/two").ok(), expected);
    assert_eq!(server.get("/v2/models/two/versions/1").ok(), expected);
    server.get("/v2/models/two/versions/2").refused(404, "no version 2");
    server.get("/v2/models/none").refused(404, "no model `none`; the models are `rows`, `two`");
}

#[test]
fn json_and_binary_tensors_have_the_bits_of_predict() {
    let server = Server::start(&["rows"], &[]);
    let rows = rows(11);
    let expected = bits(&predicted(&server, "rows", &rows, 4));
    let nested: Vec<&[f32]> = rows.chunks(4).collect();
    for data in [json!(rows), json!(nested)] {
        let request = json!({
            "id": "42",
            "inputs": [{ "name": "x", "shape": [11, 4], "datatype": "FP32", "data": data }],
        });
        let response = server.infer("rows", &request).ok();
        assert_eq!((&response["model_name"], &response["model_version"]), (&json!("rows"), &json!("1")));
        assert_eq!((&response["id"], &response["outputs"][0]["shape"]), (&json!("42"), &json!([11, 3])));
        assert_eq!(bits(&numbers(&response)), expected);
    }
    let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
    let tensor =
        json!({ "name": "x", "shape": [11, 4], "datatype": "FP32", "parameters": { "binary_data_size": 176 } });
    let all = json!({ "parameters": { "binary_data_output": true }, "inputs": [tensor] });
    let one = json!({ "inputs": [tensor], "outputs": [{ "name": "y", "parameters": { "binary_data": true } }] });
    for request in [all, one] {
        let response = binary(&server, "rows", &request, &bytes);
        assert_eq!(response.header("content-type"), Some("application/octet-stream"));
        let (json, tensors) = parts(&response);
        assert_eq!(json["outputs"][0]["parameters"]["binary_data_size"], json!(132));
        assert_eq!((bits(&floats(tensors)), &json["outputs"][0]["data"]), (expected.clone(), &Value::Null));
    }
    // Binary in, JSON out, a row at a time: the bits do not depend on the batch.
    for (row, bytes) in bytes.chunks(16).enumerate() {
        let tensor =
            json!({ "name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": { "binary_data_size": 16 } });
        let response = binary(&server, "rows", &json!({ "inputs": [tensor] }), bytes).ok();
        assert_eq!(bits(&numbers(&response)), expected[3 * row..3 * row + 3]);
    }
}

#[test]
fn photos_as_bytes_have_the_bits_of_predict() {
    let server = Server::start(&["bird"], &[]);
    let files: Vec<Vec<u8>> = PHOTOS.iter().map(|name| photo(name)).collect();
    let paths: Vec<String> = PHOTOS.iter().map(|name| crate::photos::path(name)).collect();
    let mut arguments = vec!["predict", "bird.netb", "-o", "photos.npy"];
    arguments.extend(paths.iter().map(String::as_str));
    done(server.folder.path(), &arguments);
    let out: ndarray::ArrayD<f32> = ndarray_npy::read_npy(server.folder.path().join("photos.npy")).expect("an array");
    let expected: Vec<u32> = out.iter().map(|value| value.to_bits()).collect();

    let input = server.get("/v2/models/bird").ok()["inputs"][0]["name"].clone();
    let mut tensor = Vec::new();
    for file in &files {
        tensor.extend_from_slice(&(file.len() as u32).to_le_bytes());
        tensor.extend_from_slice(file);
    }
    let size = json!({ "binary_data_size": tensor.len() });
    for shape in [json!([files.len()]), json!([files.len(), 1])] {
        let request = json!({
            "parameters": { "binary_data_output": true },
            "inputs": [{ "name": input, "shape": shape, "datatype": "BYTES", "parameters": size }],
        });
        let response = binary(&server, "bird", &request, &tensor);
        assert_eq!(bits(&floats(parts(&response).1)), expected);
    }
    for (index, file) in files.iter().enumerate() {
        let data = json!([STANDARD.encode(file)]);
        let request = json!({ "inputs": [{ "name": input, "shape": [1], "datatype": "BYTES", "data": data }] });
        assert_eq!(bits(&numbers(&server.infer("bird", &request).ok())), expected[3 * index..3 * index + 3]);
    }
    // The classification extension: the score, the index and the label.
    let request = json!({
        "inputs": [{ "name": input, "shape": [1], "datatype": "BYTES", "data": [STANDARD.encode(&files[0])] }],
        "outputs": [{ "name": "kind", "parameters": { "classification": 2 } }],
    });
    let response = server.infer("bird", &request).ok();
    let output = &response["outputs"][0];
    assert_eq!((&output["datatype"], &output["shape"]), (&json!("BYTES"), &json!([1, 2])));
    let best = output["data"][0].as_str().expect("a class").split(':').collect::<Vec<_>>();
    let score: f32 = best[0].parse().expect("a score");
    let index: usize = best[1].parse().expect("an index");
    assert_eq!((score.to_bits(), best[2]), (expected[index], ["owl", "wren", "crow"][index]));
}

#[test]
fn several_inputs_and_outputs() {
    let server = Server::start(&["two"], &[]);
    let a = json!({ "name": "a", "shape": [2, 2], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0] });
    let b = json!({ "name": "b", "shape": [2, 3], "datatype": "FP32", "data": [0.5, -1, 2, 3, 4, 5] });
    let all = server.infer("two", &json!({ "inputs": [b, a] })).ok();
    let names: Vec<&Value> = all["outputs"].as_array().expect("outputs").iter().map(|output| &output["name"]).collect();
    assert_eq!(names, ["c", "d"]);
    // One of the outputs, and in another order, one of them binary.
    let one = server.infer("two", &json!({ "inputs": [a, b], "outputs": [{ "name": "d" }] })).ok();
    assert_eq!(one["outputs"], json!([all["outputs"][1]]));
    let outputs = json!([{ "name": "d", "parameters": { "binary_data": true } }, { "name": "c" }]);
    let response = server.infer("two", &json!({ "inputs": [a, b], "outputs": outputs }));
    let (json, tensors) = parts(&response);
    assert_eq!(bits(&floats(tensors)), bits(&numbers(&one)));
    assert_eq!(json["outputs"][1], all["outputs"][0]);
}

#[test]
fn wrong_requests_are_told_what_is_wrong() {
    let server = Server::start(&["rows", "two", "words", "bird"], &["--max-images", "16"]);
    let input = |name: &str, shape: Value, datatype: &str, data: Value| json!({ "inputs": [{ "name": name, "shape": shape, "datatype": datatype, "data": data }] });
    let x = |shape: Value, data: Value| input("x", shape, "FP32", data);
    for (model, request, words) in [
        ("rows", x(json!([1, 3]), json!([1, 2, 3])), "takes [n, 4]"),
        ("rows", x(json!([4]), json!([1, 2, 3, 4])), "takes [n, 4]"),
        ("rows", x(json!([]), json!([])), "takes [n, 4]"),
        ("rows", x(json!([0, 4]), json!([])), "no images"),
        ("rows", x(json!([1, 4]), json!([1, 2, 3])), "has 3 values, its shape 4"),
        ("rows", x(json!([1, 4]), json!(["a", "b", "c", "d"])), "strings instead of numbers"),
        ("rows", x(json!([1, 4]), json!([1, 2, 3, 1e39])), "out of the range of FP32"),
        ("rows", x(json!([1, 4]), json!([1, 2, 3, null])), "expected a list of numbers or strings"),
        ("rows", x(json!([-1, 4]), json!([1, 2, 3, 4])), "the JSON"),
        ("rows", x(json!([u64::MAX, 4]), json!([1])), "at most 16"),
        ("rows", input("x", json!([1, 4]), "FP16", json!([1, 2, 3, 4])), "is FP16, but the model takes FP32"),
        ("rows", input("z", json!([1, 4]), "FP32", json!([1, 2, 3, 4])), "there is no input `z`; the model has `x`"),
        ("rows", input("x", json!([1]), "BYTES", json!(["YQ=="])), "does not say how a photo becomes its input"),
        ("rows", json!({ "inputs": [] }), "the input `x` is missing"),
        ("rows", json!({}), "missing field `inputs`"),
        ("rows", json!({ "inputs": [{ "name": "x", "shape": [1, 4], "datatype": "FP32" }] }), "neither `data` nor"),
        ("two", input("a", json!([1, 2]), "FP32", json!([1, 2])), "the input `b` is missing"),
        ("words", x(json!([1, 2]), json!([0, 9])), "9"),
        ("bird", input("photo", json!([1]), "BYTES", json!(["YWJj"])), "not a photo"),
        ("bird", input("photo", json!([1]), "BYTES", json!(["?"])), "Base64"),
        ("bird", input("photo", json!([2]), "BYTES", json!(["YWJj"])), "has 1 elements, its shape 2"),
        ("bird", input("photo", json!([1, 2]), "BYTES", json!(["YWJj"])), "shape [n] or [n, 1]"),
    ] {
        let response = server.infer(model, &request);
        let status = if words.starts_with("at most") { 413 } else { 400 };
        response.refused(status, words);
    }
    let good = json!({ "name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4] });
    let twice = json!({ "inputs": [good, good] });
    server.infer("rows", &twice).refused(400, "given twice");
    let unknown = json!({ "inputs": [good], "outputs": [{ "name": "q" }] });
    server.infer("rows", &unknown).refused(400, "there is no output `q`; the model has `y`");
    let shared = json!({ "inputs": [{ "name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": { "shared_memory_region": "r" } }] });
    server.infer("rows", &shared).refused(400, "shared memory is not supported");
    server.post("/v2/models/rows/infer", &[], b"{").refused(400, "the JSON");
    server.post("/v2/models/rows/infer", &[], b"\xff\xfe").refused(400, "the JSON");
    server.post("/v2/models/rows/infer", &[("inference-header-content-length", "9")], b"{}").refused(400, "9 bytes");
    server
        .post("/v2/models/rows/infer", &[("inference-header-content-length", "-1")], b"{}")
        .refused(400, "not a length");
    let tensor = |size: usize| json!({ "inputs": [{ "name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": { "binary_data_size": size } }] });
    binary(&server, "rows", &tensor(17), &[0; 16]).refused(400, "but 16 are left");
    binary(&server, "rows", &tensor(15), &[0; 15]).refused(400, "not FP32 values");
    binary(&server, "rows", &tensor(16), &[0; 20]).refused(400, "4 bytes after the last");
    // Infinite values: as they are in binary, an error in JSON.
    let infinite: Vec<u8> = [f32::NAN, 1.0, 2.0, 3.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    binary(&server, "rows", &tensor(16), &infinite).refused(422, "JSON cannot express");
    // The next one is answered all the same.
    server.infer("rows", &json!({ "inputs": [good] })).ok();
}
