//! Photos for people: forms, the page, the drawing.

use crate::client::send;
use crate::server::{Server, done};
use serde_json::{Value, json};
use std::path::Path;

/// Photos of different sizes and kinds.
pub const PHOTOS: [&str; 6] = ["coffee.png", "rocket.jpg", "gray.jpg", "alpha.png", "turned.jpg", "progressive.jpg"];

pub fn path(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/photos").join(name).display().to_string()
}

pub fn photo(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).expect("a photo")
}

/// A PNG that says it has this many pixels, and has none.
fn bomb(side: u32) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [
        (b"IHDR", [&side.to_be_bytes()[..], &side.to_be_bytes(), &[8, 2, 0, 0, 0]].concat()),
        (b"IDAT", vec![0x78, 0x9c, 3, 0, 0, 0, 0, 1]),
        (b"IEND", Vec::new()),
    ] {
        png.extend_from_slice(&(data.len() as u32).to_be_bytes());
        let chunk = [&kind[..], &data].concat();
        png.extend_from_slice(&chunk);
        png.extend_from_slice(&crc32fast::hash(&chunk).to_be_bytes());
    }
    png
}

#[test]
fn forms_are_answered_as_predict_prints() {
    let server = Server::start(&["bird"], &[]);
    let files: Vec<(&str, Vec<u8>)> = PHOTOS.iter().map(|name| (*name, photo(name))).collect();
    let sent: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let answer = server.predict("/predict", &sent).ok();
    assert_eq!(answer["model"], json!("bird"));
    let predictions = answer["predictions"].as_array().expect("predictions");
    assert_eq!(predictions.len(), PHOTOS.len());
    for (name, prediction) in PHOTOS.iter().zip(predictions) {
        let output = done(server.folder.path(), &["predict", "bird.netb", &path(name), "--format", "json"]);
        let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((&prediction["input"], &prediction["top"]), (&json!(name), &printed[0]["top"]));
        assert!(prediction["timing"]["batch"].as_u64().is_some_and(|batch| (1..=6).contains(&batch)));
    }
    // By the model's name, and fewer classes.
    let one = server.predict("/predict/bird?top=1", &sent[1..2]).ok();
    assert_eq!(one["predictions"][0]["top"], json!([predictions[1]["top"][0]]));
    // One photo as the body.
    let plain = server.post("/predict", &[("content-type", "image/jpeg")], sent[1].1).ok();
    assert_eq!(plain["predictions"][0]["top"], predictions[1]["top"]);
}

#[test]
fn what_is_no_photo_is_refused() {
    let server = Server::start(&["bird", "rows"], &["--max-images", "3"]);
    let coffee = photo("coffee.png");
    server.predict("/predict", &[("a.png", &coffee)]).refused(400, "name a model, as in /predict/NAME");
    server.predict("/predict/wren", &[("a.png", &coffee)]).refused(404, "no model `wren`");
    server.predict("/predict/rows", &[("a.png", &coffee)]).refused(400, "does not say how a photo becomes its input");
    server.predict("/predict/bird", &[]).refused(400, "no photos");
    server.predict("/predict/bird", &[("a.txt", b"abc")]).refused(400, "a.txt: not a photo");
    server.predict("/predict/bird", &[("a.png", b"")]).refused(400, "a.png: not a photo");
    server.predict("/predict/bird", &[("a.png", &coffee), ("b.png", &coffee[..99])]).refused(400, "b.png: truncated");
    server.predict("/predict/bird", &[("a.png", &bomb(60_000))]).refused(413, "60000x60000 pixels");
    server.predict("/predict/bird", &[("a.png", &bomb(600))]).refused(400, "a.png: damaged");
    let four = [("a.png", coffee.as_slice()); 4];
    server.predict("/predict/bird", &four).refused(413, "at most 3 photos");
    let top = server.predict("/predict/bird?top=many", &four[..1]);
    top.refused(400, "top");
    let headers = [("content-type", "multipart/form-data; boundary=edge")];
    server.post("/predict/bird", &headers, b"--edge\r\ncontent-dis").refused(400, "");
    server.post("/predict/bird", &[("content-type", "multipart/form-data")], b"abc").refused(400, "boundary");
    server.post("/predict/bird", &[("content-type", "text/plain")], &coffee).refused(415, "multipart/form-data");
    server.post("/predict/bird", &[], &coffee).refused(415, "multipart/form-data");
    let zipped = [("content-type", "image/png"), ("content-encoding", "gzip")];
    server.post("/predict/bird", &zipped, &coffee).refused(415, "compressed");
    server.predict("/predict/bird", &four[..3]).ok();
}

#[test]
fn the_page_and_the_drawing() {
    let server = Server::start(&["bird", "rows"], &[]);
    let page = server.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    let models = server.get("/models").ok();
    assert_eq!((&models[0]["name"], &models[0]["takes_photos"]), (&json!("bird"), &json!(true)));
    assert_eq!((&models[1]["name"], &models[1]["takes_photos"]), (&json!("rows"), &json!(false)));
    let drawing = server.get("/models/bird/network.svg");
    assert_eq!((drawing.status, drawing.header("content-type")), (200, Some("image/svg+xml")));
    let spec = done(server.folder.path(), &["show", "bird.net", "--svg"]);
    assert_eq!(drawing.text(), String::from_utf8_lossy(&spec.stdout));
    server.get("/models/wren/network.svg").refused(404, "no model `wren`");
}

#[test]
fn errors_and_headers_of_all_routes() {
    let server = Server::start(&["bird"], &[]);
    server.get("/nothing").refused(404, "nothing at /nothing");
    server.get("/v2/models/bird/infer").refused(405, "does not take GET");
    assert_eq!(server.get("/predict").header("allow"), Some("POST"));
    send(server.address, "PUT", "/v2", &[], &[]).refused(405, "does not take PUT");
    for path in ["/", "/models", "/metrics", "/nothing", "/v2", "/v2/health/live", "/models/bird/network.svg"] {
        let response = server.get(path);
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(
            response.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'"))
        );
        assert_eq!(response.header("access-control-allow-origin"), None, "{path}");
    }
}

#[test]
fn metrics_count_requests_and_batches() {
    let server = Server::start(&["bird"], &[]);
    let coffee = photo("coffee.png");
    for _ in 0..3 {
        server.predict("/predict/bird", &[("a.png", &coffee)]).ok();
    }
    server.predict("/predict/bird", &[("a.txt", b"abc")]).refused(400, "");
    server.get("/nothing");
    send(server.address, "BREW", "/nothing", &[], &[]);
    let metrics = server.get("/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = metrics.text();
    for line in [
        "netc_requests_total{method=\"POST\",route=\"/predict/{model}\",status=\"200\"} 3",
        "netc_requests_total{method=\"POST\",route=\"/predict/{model}\",status=\"400\"} 1",
        "netc_requests_total{method=\"GET\",route=\"other\",status=\"404\"} 1",
        "netc_requests_total{method=\"other\",route=\"other\",status=\"404\"} 1",
        "netc_request_seconds_count{route=\"/predict/{model}\"} 4",
        "netc_batch_images_sum{model=\"bird\"} 3",
        "netc_queue_images{model=\"bird\"} 0",
        "netc_body_bytes 0",
        "# TYPE netc_request_seconds histogram",
    ] {
        assert!(text.lines().any(|found| found == line), "`{line}` is missing in\n{text}");
    }
}
