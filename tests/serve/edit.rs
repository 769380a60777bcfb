//! The editor: what its page asks the server.

use crate::client::{Response, send};
use crate::server::{Server, done, netc};
use std::fs;

const LOCAL: (&str, &str) = ("host", "localhost:8080");

fn ask(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
    send(server.address, method, path, &[&[LOCAL], headers].concat(), body.as_bytes())
}

fn check(server: &Server, query: &str, text: &str) -> serde_json::Value {
    ask(server, "POST", &format!("/edit/check{query}"), &[], text).ok()
}

#[test]
fn a_text_is_checked_and_drawn_as_the_commands_do() {
    let server = Server::start(&["bird"], &["--edit", "bird.net"]);
    let opened = ask(&server, "GET", "/edit/spec", &[], "").ok();
    let text = opened["text"].as_str().expect("a text");
    assert_eq!(text, fs::read_to_string(server.folder.path().join("bird.net")).expect("a file"));
    let answer = check(&server, "", text);
    let shown = |arguments: &[&str]| {
        let output = done(server.folder.path(), arguments);
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert_eq!(answer["svg"], shown(&["show", "bird.net", "--svg"]));
    assert_eq!(answer["diagnostics"], serde_json::json!([]));
    assert!(answer["table"].as_str().is_some_and(|table| table.contains("kind") && table.contains("Softmax")));

    let wrong = check(&server, "", &text.replace("Conv(3x3, 6)", "Conv(3x3, 6, filters=2)"));
    assert!(wrong["svg"].is_null() && wrong["table"].is_null(), "{wrong}");
    assert_eq!(wrong["diagnostics"][0]["labels"][0]["file"], opened["file"]);
    assert_eq!(wrong["diagnostics"][0]["severity"], "error");

    let two = "net a = Input(4) >> Relu(2)\nnet b = a >> Softmax(3)\n";
    let second = check(&server, "?net=b", two);
    assert_eq!((&second["nets"], &second["net"]), (&serde_json::json!(["a", "b"]), &serde_json::json!("b")));
    assert!(second["table"].as_str().is_some_and(|table| table.contains("Softmax")));
    // A net that has been renamed while the page still shows its name.
    assert_eq!(check(&server, "?net=gone", two)["net"], "a");
}

#[test]
fn a_spec_is_saved_unless_it_has_changed_meanwhile() {
    let server = Server::start(&["rows"], &["--edit", "rows.net"]);
    let path = server.folder.path().join("rows.net");
    let opened = ask(&server, "GET", "/edit/spec", &[], "").ok();
    let tag = |version: &serde_json::Value| format!("\"{}\"", version.as_str().expect("a version"));
    let first = tag(&opened["version"]);
    let saved = ask(&server, "PUT", "/edit/spec", &[("if-match", &first)], "net rows = Input(3) >> Relu(2)\n").ok();
    assert_eq!(fs::read_to_string(&path).expect("a file"), "net rows = Input(3) >> Relu(2)\n");
    // Another program has written it.
    fs::write(&path, "# mine\n").expect("a file");
    let second = tag(&saved["version"]);
    ask(&server, "PUT", "/edit/spec", &[("if-match", &second)], "lost").refused(412, "has changed");
    ask(&server, "PUT", "/edit/spec", &[], "lost").refused(428, "If-Match");
    assert_eq!(fs::read_to_string(&path).expect("a file"), "# mine\n");
    fs::remove_file(&path).expect("removed");
    ask(&server, "GET", "/edit/spec", &[], "").refused(409, "cannot be read");
}

#[test]
fn other_sites_are_refused() {
    let server = Server::start(&["rows"], &["--edit", "rows.net"]);
    for headers in [[("host", "evil.example"), ("accept", "*/*")], [LOCAL, ("origin", "http://evil.example")]] {
        for (method, path) in [("GET", "/edit/spec"), ("PUT", "/edit/spec"), ("POST", "/edit/check")] {
            send(server.address, method, path, &headers, b"net a = Input(1)\n").refused(403, "the editor answers");
        }
    }
    let own = [LOCAL, ("origin", "http://localhost:8080")];
    assert_eq!(send(server.address, "POST", "/edit/check", &own, b"").status, 200);
    let page = ask(&server, "GET", "/edit", &[], "");
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("frame-ancestors 'none'")));
    assert!(page.text().contains("/edit/editor.js"));
    // Without `--edit` there is no editor.
    let plain = Server::start(&["rows"], &[]);
    ask(&plain, "GET", "/edit/spec", &[], "").refused(404, "nothing at /edit/spec");
}

#[test]
fn a_spec_is_edited_on_this_machine_alone() {
    let folder = crate::server::artifacts(&["rows"]);
    let run = |arguments: &[&str]| {
        let output = netc(folder.path(), arguments).output().expect("the program runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, messages) = run(&["serve", "--edit", "rows.net", "--host", "0.0.0.0", "--port", "0"]);
    assert_eq!(code, Some(1), "{messages}");
    assert!(messages.contains("E0804") && messages.contains("0.0.0.0"), "{messages}");
    let (code, messages) = run(&["serve", "--edit", "none.net", "--port", "0"]);
    assert_eq!(code, Some(1), "{messages}");
    assert!(messages.contains("`none.net` cannot be read"), "{messages}");
}
