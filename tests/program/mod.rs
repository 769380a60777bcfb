//! Running the program in tests.
#![allow(dead_code, reason = "each test needs a part of it")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// The program in a folder, with its own cache and without `CI` in the environment.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netc"));
    command.args(arguments).current_dir(folder).env("NETC_CACHE", folder.join("cache")).env_remove("RUST_BACKTRACE");
    command.env_remove("CI").env("NO_COLOR", "1");
    command
}

pub fn netc(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("the program runs")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The output of a command that succeeds.
#[track_caller]
pub fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// The output of a command that fails with this exit code; it must contain all of these words.
#[track_caller]
pub fn refused(output: &Output, code: &str, words: &[&str]) -> String {
    let messages = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{messages}");
    assert!(messages.contains(&format!("error[{code}]")), "{code} is missing in {messages}");
    for word in words {
        assert!(messages.contains(word), "`{word}` is missing in {messages}");
    }
    messages
}

/// A folder with these files.
pub fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}
