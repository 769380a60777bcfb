//! Fuzz targets: each interprets arbitrary bytes as a kind of input and processes it as commands do. A panic, a hang or high memory
//! use is a bug; errors are expected.
//!
//! `tests/fuzz` runs them on seeds and mutations; `fuzz/` runs them under libFuzzer.

#[path = "words.rs"]
mod words;

use lsp_server::{Connection, Message, Notification, Request, RequestId};
use netc::artifact::Artifact;
use netc::compile::{self, BuildOptions};
use netc::data::arrays::array_file;
use netc::data::photos::photo;
use netc::data::samples::labels;
use netc::data::{Dataset, Policy, thumbnail};
use netc::diagnostics::{Diagnostics, render};
use netc::elaborate::{Spec, load_text};
use netc::graph::Graph;
use netc::import::{Options, import};
use netc::ops::input::preprocessing::{Preprocessing, Resize};
use netc::request::Layout;
use netc::runtime::Session;
use netc::source::Sources;
use netc::train::run::record::{FILE, RunRecord};
use netc::view;
use netc::weights::open;
use netc::{check, lsp, syntax};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A kind of input.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// The dictionary: words separated by `~`.
    pub words: &'static [u8],
}

pub static TARGETS: [Target; 16] = [
    Target { name: "spec", run: spec, words: words::SPEC },
    Target { name: "recipe", run: recipe, words: words::SPEC },
    Target { name: "editor", run: editor, words: words::SPEC },
    Target { name: "safetensors", run: weights, words: words::SAFETENSORS },
    Target { name: "hdf5_weights", run: weights, words: words::HDF5 },
    Target { name: "keras_archive", run: weights, words: words::ZIP },
    Target { name: "keras_model", run: keras_model, words: words::KERAS },
    Target { name: "pickle", run: pickle, words: words::PICKLE },
    Target { name: "onnx", run: onnx, words: words::ONNX },
    Target { name: "npy", run: arrays, words: words::NPY },
    Target { name: "npz", run: arrays, words: words::NPY },
    Target { name: "hdf5_arrays", run: arrays, words: words::HDF5 },
    Target { name: "image", run: image, words: words::IMAGE },
    Target { name: "artifact", run: artifact, words: words::ARTIFACT },
    Target { name: "lists", run: lists, words: words::LIST },
    Target { name: "record", run: record, words: words::RECORD },
];

/// The maximum number of layers of a net that is drawn or planned.
const MAX_LAYERS: usize = 200;
/// The maximum number of values of a tensor that is read.
const MAX_NUMBERS: usize = 1 << 20;
/// The maximum number of values that a run of an artifact needs.
const MAX_FLOATS: usize = 1 << 22;

thread_local! {
    /// Writes bytes to a file for readers of files. After a crash, the last input is still there.
    static FOLDER: TempDir = tempfile::Builder::new().prefix("netc-fuzz-").tempdir().expect("a folder");
}

fn place(name: &str) -> PathBuf {
    FOLDER.with(|folder| folder.path().join(name))
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = place(name);
    fs::write(&path, bytes).expect("a file");
    path
}

fn read_nothing(_: &Path) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::NotFound.into())
}

fn show(errors: &Diagnostics, sources: &Sources) {
    let _ = (render::text(errors, sources, true), render::json(errors, sources));
}

/// `netc check`, `netc show`, `netc fmt`, and the plan.
pub fn spec(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        look_at(text);
    }
}

/// The same, with the bytes as the content of a recipe.
pub fn recipe(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        look_at(&format!(
            "net m = Input(8x8x3, image=Unit) >> Conv(3x3, 4) as conv >> Relu >> GlobalPool(avg) >> Softmax(3)\n\ntrain m {{\n{text}\n}}\n"
        ));
    }
}

fn look_at(text: &str) {
    let spec = load_text(&place("fuzz.net"), text, &read_nothing);
    let checked = check::check(&spec, None);
    show(&checked.diagnostics, &spec.sources);
    checked.graphs.iter().filter(|graph| graph.nodes.len() <= MAX_LAYERS).take(3).for_each(view);
    format(text);
}

fn view(graph: &Graph) {
    let _ = (
        view::table(graph, &[], view::TableOptions { width: Some(80), depth: Some(1), plan: None }),
        view::json(graph, None),
        view::svg(graph),
        view::network(graph, view::DrawingOptions::default(), &view::LayerDetails::default()),
        view::dot(graph),
        graph.to_string(),
    );
    let _ = compile::plan_text(graph.clone(), false);
}

/// A valid text is formatted to a valid text, and formatting is idempotent.
fn format(text: &str) {
    let formatted = |text: &str| {
        let mut sources = Sources::default();
        let file = sources.add_text("fuzz.net", text);
        let (tree, errors) = syntax::parse(&sources, file);
        (!errors.has_errors()).then(|| syntax::format(text, &tree))
    };
    if let Some(once) = formatted(text) {
        let twice = formatted(&once).unwrap_or_else(|| panic!("formatting breaks a spec:\n{once}"));
        assert_eq!(once, twice, "formatting changes a formatted spec");
    }
}

/// `netc lsp`: a text, or two separated by NUL, with all requests at some positions.
pub fn editor(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (server, client) = Connection::memory();
    let served = std::thread::spawn(move || lsp::serve_connection(&server).map_err(|error| error.to_string()));
    let mut next = 0;
    let mut ask = |method: &str, params: Value| {
        next += 1;
        let _ = client.sender.send(Message::Request(Request::new(RequestId::from(next), method.to_owned(), params)));
        // Skips notifications.
        while let Ok(message) = client.receiver.recv() {
            if matches!(message, Message::Response(_)) {
                break;
            }
        }
    };
    let tell = |method: &str, params: Value| {
        let _ = client.sender.send(Message::Notification(Notification::new(method.to_owned(), params)));
    };
    ask("initialize", json!({ "capabilities": {} }));
    tell("initialized", json!({}));
    let uri = format!("file://{}", place("editor.net").display());
    for (version, text) in text.split('\0').take(2).enumerate() {
        if version == 0 {
            let document = json!({ "uri": uri, "languageId": "netc", "version": version, "text": text });
            tell("textDocument/didOpen", json!({ "textDocument": document }));
        } else {
            let document = json!({ "uri": uri, "version": version });
            tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [{ "text": text }] }));
        }
        let document = json!({ "uri": uri });
        let lines: Vec<&str> = text.lines().collect();
        let end = json!({ "line": lines.len() + 1, "character": 0 });
        let range = json!({ "start": { "line": 0, "character": 0 }, "end": end });
        for method in ["documentSymbol", "formatting", "inlayHint", "codeAction"] {
            let options = json!({ "tabSize": 2, "insertSpaces": true });
            let context = json!({ "diagnostics": [], "includeDeclaration": true });
            let params = json!({ "textDocument": document, "range": range, "options": options, "context": context });
            ask(&format!("textDocument/{method}"), params);
        }
        // A few positions, which depend only on the text.
        for part in 0..4 {
            let line = lines.len() * part / 3;
            let width = lines.get(line).map_or(3, |line| line.encode_utf16().count());
            let position = json!({ "line": line, "character": width * (part + 2) / 4 });
            let context = json!({ "includeDeclaration": part % 2 == 0 });
            let params =
                json!({ "textDocument": document, "position": position, "newName": "new_name", "context": context });
            for method in
                ["hover", "completion", "definition", "references", "documentHighlight", "prepareRename", "rename"]
            {
                ask(&format!("textDocument/{method}"), params.clone());
            }
        }
    }
    ask("shutdown", Value::Null);
    tell("exit", Value::Null);
    match served.join() {
        Ok(served) => served.expect("the server ends as it is asked to"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The pickle of an archive of PyTorch, with the storages of `tests/data/torch_archives/state.pth`.
pub fn pickle(bytes: &[u8]) {
    let sizes = [432, 16, 16, 16, 16, 16, 8, 192, 12];
    let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let storages = sizes.iter().enumerate().map(|(key, &size)| (format!("state/data/{key}"), vec![1; size]));
    for (name, data) in std::iter::once(("state/data.pkl".to_string(), bytes.to_vec())).chain(storages) {
        archive.start_file(name, options).and_then(|()| Ok(archive.write_all(&data)?)).expect("a member");
    }
    weights(archive.finish().expect("an archive").get_ref());
}

/// A weights file: its contents, and a net that is bound to it.
pub fn weights(bytes: &[u8]) {
    let path = file("weights", bytes);
    for &layout in Layout::ALL {
        let _ = open(&path, Some(layout)).map_err(|error| error.to_string());
    }
    match open(&path, None) {
        Ok(store) => {
            let small = store.entries().iter().enumerate().filter(|(_, entry)| entry.elements() <= MAX_NUMBERS);
            for (index, _) in small.take(100) {
                let _ = store.read(index).map_err(|error| error.to_string());
            }
        }
        Err(error) => _ = error.to_string(),
    }
    let text = "net m = Input(6x6x2) >> Conv(3x3, 3) as conv >> BatchNorm as norm >> Relu >> Flatten >> Dense(2) as fc\n\n\
         weights m = \"weights\" { missing = initialize }\n";
    let spec = load_text(&place("fuzz.net"), text, &read_nothing);
    build(&spec);
}

/// `netc import`, and the same bytes as a file of weights.
pub fn onnx(bytes: &[u8]) {
    imported(&file("model.onnx", bytes));
    weights(bytes);
}

/// `netc import` of an archive of Keras with these bytes as the model's configuration.
pub fn keras_model(bytes: &[u8]) {
    let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file("config.json", stored).expect("a member");
    archive.write_all(bytes).expect("a member");
    imported(&file("model.keras", &archive.finish().expect("an archive").into_inner()));
}

fn imported(path: &Path) {
    let options = Options { size: Some([32, 32]), until: None };
    match import(path, &place("model.net"), &options) {
        Ok(imported) => format(&imported.text),
        Err(errors) => show(&errors, &Sources::default()),
    }
}

fn build(spec: &Spec) {
    match compile::build(spec, &BuildOptions { allow_untrained: true, ..BuildOptions::default() }) {
        Ok((build, messages)) => {
            show(&messages, &spec.sources);
            let _ = build.in_memory();
        }
        Err(errors) => show(&errors, &spec.sources),
    }
}

/// An array file: its list, each array, rows.
pub fn arrays(bytes: &[u8]) {
    let path = file("arrays", bytes);
    let names: Vec<String> = match array_file::list(&path) {
        Ok(list) => list.into_iter().map(|info| info.name).collect(),
        Err(error) => {
            let _ = error.to_string();
            Vec::new()
        }
    };
    let _ = array_file::read(&path, None).map_err(|error| error.to_string());
    for name in names.iter().map(|name| Some(name.as_str()).filter(|name| !name.is_empty())).take(20) {
        let _ = array_file::read(&path, name).map_err(|error| error.to_string());
        if let Ok(Some(table)) = array_file::table(&path, name, 64)
            && table.floats() <= MAX_NUMBERS
        {
            let mut row = vec![0.0; table.floats()];
            for at in [0, 1, table.len().saturating_sub(1)].into_iter().filter(|&at| at < table.len()) {
                let _ = table.read(at, &mut row).map_err(|error| error.to_string());
            }
        }
    }
}

/// A photo, as inputs of one and three channels and as a thumbnail.
pub fn image(bytes: &[u8]) {
    let caffe = Preprocessing::caffe().with_resize(Resize::ShorterSide(20));
    for (preprocessing, size) in [(Preprocessing::unit(), (9, 7, 1)), (caffe, (16, 16, 3))] {
        let mut values = vec![f32::NAN; size.0 * size.1 * size.2];
        match photo::read_bytes(bytes, "fuzz", &preprocessing, size, &mut values) {
            Ok(()) => assert!(values.iter().all(|value| value.is_finite())),
            Err(error) => _ = error.to_string(),
        }
    }
    let _ = thumbnail(&file("photo", bytes), 12).map_err(|error| error.to_string());
}

/// An artifact with corrected checksums: it is opened and, if it is small, run once.
pub fn artifact(bytes: &[u8]) {
    let path = file("fuzz.netb", &sealed(bytes));
    let artifact = match Artifact::open(&path) {
        Ok(artifact) => Arc::new(artifact),
        Err(error) => {
            let _ = error.to_string();
            return;
        }
    };
    let plan = &artifact.manifest.plan;
    let ports = plan.inputs.iter().chain(&plan.outputs).fold(0usize, |sum, port| sum.saturating_add(port.len()));
    let chunk = plan.micro_batch_floats(1).unwrap_or(usize::MAX);
    let sum = [ports, chunk, plan.batch_floats, plan.scratch_floats(1, 1)].into_iter().fold(0, usize::saturating_add);
    if sum > MAX_FLOATS {
        return;
    }
    let inputs: Vec<Vec<f32>> = plan.inputs.iter().map(|port| vec![0.5; port.len()]).collect();
    let mut outputs: Vec<Vec<f32>> = plan.outputs.iter().map(|port| vec![0.0; port.len()]).collect();
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let mut outputs: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    let run = Session::new(artifact.clone(), 1).run(1, &inputs, &mut outputs);
    let _ = run.map_err(|error| error.to_string());
}

const MAGIC: &[u8; 8] = b"NETC\x00\x1a\x01\n";
const HEADER: usize = 64;
const PAGE: usize = 1 << 14;
const BLOCK: usize = 1 << 22;

/// An artifact with correct lengths and checksums: from an artifact, its manifest and constants; from other bytes, only a
/// manifest.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let number = |at: usize| bytes.get(at..at + 8).and_then(|x| x.try_into().ok()).map_or(0, u64::from_le_bytes);
    let (mut manifest, mut constants) = (bytes, &[][..]);
    if bytes.starts_with(MAGIC) {
        let begin = HEADER.min(bytes.len());
        let end = (HEADER as u64).saturating_add(number(16)).min(bytes.len() as u64) as usize;
        let offset = number(24).clamp(end as u64, bytes.len() as u64) as usize;
        (manifest, constants) = (&bytes[begin..end.max(begin)], &bytes[offset..]);
    }
    let constants = &constants[..constants.len() / 4 * 4];
    let mut text = manifest.to_vec();
    if let Ok(mut document) = serde_json::from_slice::<Value>(manifest)
        && let Some(entries) = document.as_object_mut()
    {
        entries.insert("blocks".to_owned(), constants.chunks(BLOCK).map(crc32fast::hash).collect());
        text = document.to_string().into_bytes();
    }
    let offset = (HEADER + text.len()).next_multiple_of(PAGE);
    let mut sealed = vec![0; offset];
    sealed[..8].copy_from_slice(MAGIC);
    sealed[8..12].copy_from_slice(&netc::artifact::VERSION.to_le_bytes());
    sealed[16..24].copy_from_slice(&(text.len() as u64).to_le_bytes());
    sealed[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
    sealed[32..40].copy_from_slice(&(constants.len() as u64).to_le_bytes());
    sealed[40..44].copy_from_slice(&crc32fast::hash(&text).to_le_bytes());
    let sum = crc32fast::hash(&sealed[16..HEADER]);
    sealed[12..16].copy_from_slice(&sum.to_le_bytes());
    sealed[HEADER..HEADER + text.len()].copy_from_slice(&text);
    sealed.extend_from_slice(constants);
    sealed
}

/// Class names, and a list of photos.
pub fn lists(bytes: &[u8]) {
    let _ = labels::parse(Path::new("labels.txt"), bytes).map_err(|error| error.to_string());
    let _ = Dataset::csv(&file("list.csv", bytes), Policy::default()).map_err(|error| error.to_string());
}

/// The record of a run, and its curves.
pub fn record(bytes: &[u8]) {
    file(FILE, bytes);
    match FOLDER.with(|folder| RunRecord::read(folder.path())) {
        Ok(record) => _ = view::curves(&record),
        Err(error) => _ = error.to_string(),
    }
}
