//! An editor that talks to `netc lsp` over pipes.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The timeout of a request, longer than any takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// An editor connected to a server.
pub struct Editor {
    server: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    /// Messages received while waiting for another one.
    kept: Vec<Value>,
    next: i64,
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn read_message(from: &mut impl BufRead) -> Option<Value> {
    let mut length = None;
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim() {
            "" => break,
            header => {
                if let Some(value) = header.strip_prefix("Content-Length: ") {
                    length = value.parse().ok();
                }
            }
        }
    }
    let mut body = vec![0; length?];
    from.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

impl Editor {
    pub fn start() -> Editor {
        Editor::start_with(&[])
    }

    /// Starts a server with some variables of the environment.
    pub fn start_with(variables: &[(&str, &Path)]) -> Editor {
        let mut editor = Editor::connect(variables);
        let answer = editor.ask("initialize", json!({ "processId": null, "rootUri": null, "capabilities": {} }));
        assert_eq!(answer["capabilities"]["hoverProvider"], true);
        editor.tell("initialized", json!({}));
        editor
    }

    /// Starts a server and says nothing to it.
    pub fn connect(variables: &[(&str, &Path)]) -> Editor {
        let mut server = Command::new(env!("CARGO_BIN_EXE_netc"))
            .arg("lsp")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = server.stdout.take().expect("a pipe");
        let (send, messages) = channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Some(message) = read_message(&mut output) {
                if send.send(message).is_err() {
                    return;
                }
            }
        });
        let input = server.stdin.take();
        Editor { server, input, messages, kept: Vec::new(), next: 0 }
    }

    fn write(&mut self, message: &Value) {
        let text = message.to_string();
        let input = self.input.as_mut().expect("the server is running");
        write!(input, "Content-Length: {}\r\n\r\n{text}", text.len()).expect("the server reads");
        input.flush().expect("the server reads");
    }

    /// Sends raw bytes.
    pub fn send(&mut self, bytes: &str) {
        let input = self.input.as_mut().expect("the server is running");
        input.write_all(bytes.as_bytes()).and_then(|()| input.flush()).expect("the server reads");
    }

    /// The code of the next error that has no request.
    pub fn slip(&mut self) -> i64 {
        self.wait(|message| message["error"].is_object() && message["id"].is_null())["error"]["code"]
            .as_i64()
            .expect("a number")
    }

    pub fn tell(&mut self, method: &str, params: Value) {
        self.write(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn wait(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(place) = self.kept.iter().position(&wanted) {
            return self.kept.remove(place);
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let message = self.messages.recv_timeout(left).expect("the server answers in time");
            if wanted(&message) {
                return message;
            }
            self.kept.push(message);
        }
    }

    /// The complete response to a request.
    pub fn request(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        self.wait(|message| message["id"] == id)
    }

    /// The result of a request that succeeds.
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let answer = self.request(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    pub fn open(&mut self, uri: &str, text: &str) -> Vec<Value> {
        let document = json!({ "uri": uri, "languageId": "netc", "version": 1, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": document }));
        self.diagnostics(uri, 1)
    }

    pub fn change(&mut self, uri: &str, version: i64, text: &str) -> Vec<Value> {
        self.tell(
            "textDocument/didChange",
            json!({ "textDocument": { "uri": uri, "version": version }, "contentChanges": [{ "text": text }] }),
        );
        self.diagnostics(uri, version)
    }

    pub fn diagnostics(&mut self, uri: &str, version: i64) -> Vec<Value> {
        let message = self.wait(|message| {
            message["method"] == "textDocument/publishDiagnostics"
                && message["params"]["uri"] == uri
                && message["params"]["version"] == version
        });
        message["params"]["diagnostics"].as_array().expect("a list").clone()
    }

    /// Sends a request about the first occurrence of a text.
    pub fn ask_at(&mut self, method: &str, uri: &str, text: &str, piece: &str) -> Value {
        let place = at(text, piece);
        self.ask(method, json!({ "textDocument": { "uri": uri }, "position": place }))
    }

    /// Shuts the server down as an editor does.
    pub fn stop(mut self) {
        assert_eq!(self.ask("shutdown", Value::Null), Value::Null);
        self.leave();
    }

    /// Sends `exit`, and waits until the server has ended well.
    pub fn leave(mut self) {
        self.tell("exit", Value::Null);
        self.input = None;
        let until = Instant::now() + PATIENCE;
        loop {
            match self.server.try_wait().expect("it can be waited for") {
                Some(status) => return assert!(status.success(), "{status}"),
                None if Instant::now() > until => panic!("the server does not end"),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

/// The position of a substring, or of the `|` in it.
pub fn at(text: &str, piece: &str) -> Value {
    let (before, after) = piece.split_once('|').unwrap_or(("", piece));
    let offset = text.find(&format!("{before}{after}")).expect("the piece is there") + before.len();
    let line = text[..offset].matches('\n').count();
    let start = text[..offset].rfind('\n').map_or(0, |end| end + 1);
    json!({ "line": line, "character": text[start..offset].encode_utf16().count() })
}

/// The text after some edits.
pub fn edited(text: &str, edits: &Value) -> String {
    let offset = |position: &Value| {
        let line = position["line"].as_u64().expect("a line") as usize;
        let character = position["character"].as_u64().expect("a column") as usize;
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        let mut units = 0;
        let found = text[start..].char_indices().find(|(_, c)| {
            let here = units >= character;
            units += c.len_utf16();
            here
        });
        found.map_or(text.len(), |(at, _)| start + at)
    };
    let mut places: Vec<(usize, usize, String)> = edits
        .as_array()
        .expect("a list of edits")
        .iter()
        .map(|edit| {
            let range = &edit["range"];
            let new = edit["newText"].as_str().expect("a text").to_string();
            (offset(&range["start"]), offset(&range["end"]), new)
        })
        .collect();
    places.sort();
    let mut out = text.to_string();
    for (start, end, new) in places.into_iter().rev() {
        out.replace_range(start..end, &new);
    }
    out
}

pub fn labels(list: &Value) -> Vec<String> {
    let items = list.as_array().expect("a list");
    items.iter().map(|item| item["label"].as_str().expect("a label").to_string()).collect()
}

/// A file that does not exist.
pub const BIRD: &str = "file:///nowhere/bird.net";

pub const RIGHT: &str = "## Ten 🐦 birds.
net bird(classes=10) = Input(32x32x3) >> block(8) as one >> block(16, size=5x5) >> MaxPool(2x2)
  >> Flatten >> Softmax(classes) as species

net block(filters, size=3x3) = { let x = Conv(size, filters, padding=same) >> Relu  (x | x >> Sigmoid) >> Add }
";
