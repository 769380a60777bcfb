//! Snapshot tests of diagnostics: every file of `tests/diagnostics` is a spec with an error, and its snapshot has the spec and
//! the output. A first line `# $ netc …` is the command to run; the default is `netc check` of the file. Progress lines are
//! left out. The file name starts with the code under test.

use netc::diagnostics::{Code, Diagnostic};
use netc::{check, elaborate};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Output;

mod program;

/// Codes that have no case, and why.
const WITHOUT_CASE: &[(&str, &str)] = &[
    ("E0606", "it needs a concurrent training: see `tests/runs.rs`"),
    ("E0802", "no known net has a layer that cannot be lowered"),
    ("E0804", "not every build has a server: see `tests/serve/`"),
    ("E0908", "it needs an artifact of this version: see `tests/export.rs`"),
    ("W1016", "not every build draws PNGs: see `tests/command_manners.rs`"),
];

/// Commands that report on stdout also on errors.
const REPORTS: [&str; 2] = ["test", "verify"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics")
}

/// The names of all cases, in order.
fn cases() -> Vec<String> {
    let files = std::fs::read_dir(folder()).expect("the cases");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.file_name().into_string().ok();
    let mut cases: Vec<String> =
        files.filter_map(name).filter_map(|name| name.strip_suffix(".net").map(str::to_string)).collect();
    cases.sort();
    cases
}

/// Runs the program in the folder of the cases.
fn netc(arguments: &[&str]) -> Output {
    let cache = tempfile::tempdir().expect("a folder");
    let mut command = program::command(&folder(), arguments);
    command.env("NETC_CACHE", cache.path()).output().expect("the program runs")
}

/// Whether the command of a case writes next to the spec: then it runs on a copy of the case and its files.
fn writes(case: &str, command: &str) -> bool {
    command == "train" || command == "build" && case.starts_with('W')
}

/// The arguments of the command in the first line of a source.
fn given(source: &str) -> Option<Vec<&str>> {
    source.lines().next()?.strip_prefix("# $ netc ").map(|command| command.split_whitespace().collect())
}

/// The source of a case and the output of the program.
fn run(case: &str) -> (String, Output) {
    let file = format!("{case}.net");
    let source = std::fs::read_to_string(folder().join(&file)).expect("a case is text");
    let output = match given(&source) {
        Some(arguments) if writes(case, arguments[0]) => {
            let copied = program::folder(&[(&file, &source)]);
            copy(&folder().join("files"), &copied.path().join("files"));
            program::netc(copied.path(), &arguments)
        }
        Some(arguments) => netc(&arguments),
        None => netc(&["check", &file]),
    };
    (source, output)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("the files") {
        let path = entry.expect("a file").path();
        let copied = to.join(path.file_name().unwrap_or_default());
        match path.is_dir() {
            true => copy(&path, &copied),
            false => _ = std::fs::copy(&path, &copied).expect("a copy"),
        }
    }
}

/// Whether a line reports progress: `    Training 42 parameters by mse`.
fn is_progress(line: &str) -> bool {
    let verb = line.get(..12).unwrap_or_default().trim_start();
    (4..12).contains(&verb.len()) && verb.starts_with(char::is_uppercase) && verb.chars().all(char::is_alphabetic)
}

#[test]
fn mistakes_are_answered() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("diagnostics/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut wrong = Vec::new();
    for case in cases() {
        let (source, output) = run(&case);
        let messages = String::from_utf8(output.stderr).expect("messages are UTF-8");
        let stdout = String::from_utf8(output.stdout).expect("results are UTF-8");
        let code = case.split('_').next().unwrap_or_default();
        let lint = code.starts_with('W');
        let command = given(&source).map_or("check", |arguments| arguments[0]);
        // Lints leave the result as it is, which some commands do not print.
        let reports = REPORTS.contains(&command) || lint && !writes(&case, command);
        if output.status.code() != Some(i32::from(!lint)) || stdout.is_empty() == reports && command != "train" {
            wrong.push(format!("{case}: {} and on stdout {stdout:?}", output.status));
        }
        if code.parse::<Code>().is_ok() && !messages.contains(&format!("[{code}]")) {
            wrong.push(format!("{case}: does not report {code}"));
        }
        let kept = |line: &&str| !writes(&case, command) || !is_progress(line);
        let messages: Vec<&str> = messages.lines().map(str::trim_end).filter(kept).collect();
        let text = format!("{}\n\n{}", source.trim_end(), messages.join("\n").trim_end());
        let held = settings.bind(|| catch_unwind(AssertUnwindSafe(|| insta::assert_snapshot!(case.clone(), text))));
        if held.is_err() {
            wrong.push(format!("{case}: its snapshot differs"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_case() {
    let cases = cases();
    let with: BTreeSet<&str> = cases.iter().filter_map(|case| case.split('_').next()).collect();
    let without: Vec<&str> = Code::ALL.iter().map(|code| code.text()).filter(|code| !with.contains(code)).collect();
    let allowed: Vec<&str> = WITHOUT_CASE.iter().map(|(code, _)| *code).collect();
    assert_eq!(without, allowed);
}

/// `--format json` has the same diagnostics as the text output.
#[test]
fn json_has_the_same_diagnostics() {
    for case in cases() {
        let (_, text) = run(&case);
        let source = std::fs::read_to_string(folder().join(format!("{case}.net"))).expect("a case is text");
        if given(&source).is_some() {
            continue;
        }
        let json = netc(&["check", &format!("{case}.net"), "--format", "json"]);
        assert_eq!(json.status.code(), text.status.code(), "{case}");
        assert!(json.stderr.is_empty(), "{case}: stderr");
        let document: serde_json::Value = serde_json::from_slice(&json.stdout).expect("one JSON document");
        let list = document["diagnostics"].as_array().expect("a list");
        let messages = String::from_utf8(text.stderr).expect("messages are UTF-8");
        assert!(!list.is_empty(), "{case}");
        for diagnostic in list {
            let (severity, code) = (&diagnostic["severity"], &diagnostic["code"]);
            let heading = [severity, code, &diagnostic["message"]].map(|text| text.as_str().unwrap_or("?"));
            assert!(
                messages.contains(&format!("{}[{}]: {}", heading[0], heading[1], heading[2])),
                "{case}: {heading:?}"
            );
            for label in diagnostic["labels"].as_array().expect("a list") {
                let place = format!("{}:", label["file"].as_str().unwrap_or("?"));
                assert!(messages.contains(&place) && label["line"].as_u64() >= Some(1), "{case}: {label}");
            }
            for fix in diagnostic["fixes"].as_array().expect("a list") {
                let number = |key: &str| fix[key].as_u64().expect("a number") as usize;
                let word = |key: &str| fix[key].as_str().expect("a text");
                if word("file") == format!("{case}.net") {
                    let rest = source.split('\n').skip(number("line") - 1).collect::<Vec<_>>().join("\n");
                    let place: String = rest.chars().skip(number("column") - 1).collect();
                    assert!(place.starts_with(word("replace")) && word("with") != word("replace"), "{case}: {fix}");
                }
            }
        }
    }
}

/// A fix applies at its span, and removes the error that it is for.
#[test]
fn fixes_remove_their_errors() {
    let mut count = 0;
    for case in cases() {
        let path = folder().join(format!("{case}.net"));
        // Cases of the command line, and texts that are not UTF-8, cannot be fixed by edits.
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if given(&text).is_some() {
            continue;
        }
        let read = |text: &str| elaborate::load_text(&path, text, &elaborate::project::source_files::from_disk);
        let spec = read(&text);
        let checked = check::check(&spec, None);
        for diagnostic in checked.diagnostics.iter() {
            for fix in diagnostic.fixes_in(&spec.sources).filter(|fix| fix.span.file == spec.root()) {
                let mut mended = text.clone();
                assert_eq!(mended[fix.span.range()], fix.found, "{case}");
                mended.replace_range(fix.span.range(), &fix.text);
                let after = check::check(&read(&mended), None);
                let same = after.diagnostics.iter().find(|left| left.message == diagnostic.message);
                let place = |of: &Diagnostic| of.labels.first().map(|label| label.span.start);
                assert!(same.is_none_or(|left| place(left) != place(diagnostic)), "{case}: {}\n{mended}", fix.title());
                count += 1;
            }
        }
    }
    assert!(count > 20, "only {count} fixes are offered");
}
