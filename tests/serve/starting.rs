//! Servers that do not start.

use crate::server::{artifacts, netc};
use std::net::TcpListener;
use std::path::Path;

/// The messages of a server that does not start.
#[track_caller]
fn refused(folder: &Path, arguments: &[&str], code: &str, words: &str) {
    let output = netc(folder, &[&["serve"], arguments].concat()).output().expect("the program runs");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{messages}");
    assert!(messages.contains(&format!("error[{code}]")) && messages.contains(words), "{messages}");
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let folder = artifacts(&["rows"]);
    let folder = folder.path();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    refused(folder, &["rows.netb", "--port", &port], "E0804", "--port 0");
    refused(folder, &["rows.netb", "rows.netb", "--port", "0"], "E0804", "two models are named `rows`");
    refused(folder, &["a b.netb", "--port", "0"], "E0804", "cannot be the name of a model");
    refused(folder, &["none.netb", "--port", "0"], "E0002", "none.netb");
    std::fs::write(folder.join("text.netb"), "text").expect("a file");
    refused(folder, &["text.netb", "--port", "0"], "E0901", "is not an artifact");
    refused(folder, &["rows.netb", "--port", "0", "--max-batch", "99999999999999"], "E0801", "--max-batch");
}

#[test]
fn options_are_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    for wrong in
        [["--max-delay", "2"], ["--max-body", "0"], ["--queue", "0"], ["--connections", "0"], ["--port", "99999"]]
    {
        let output =
            netc(folder.path(), &["serve", "rows.netb", wrong[0], wrong[1]]).output().expect("the program runs");
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}
