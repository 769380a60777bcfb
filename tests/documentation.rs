//! The generated pages of `docs/` are what the program prints, and their examples report the documented codes.

use netc::diagnostics::Code;
use netc::{check, elaborate, ops};
use std::path::PathBuf;

fn same(page: &str, command: &str, printed: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let held = std::fs::read_to_string(path).unwrap_or_default();
    assert!(held == printed, "docs/{page} is old; renew it: netc {command} > docs/{page}");
}

#[test]
fn the_page_of_diagnostics_is_what_explain_prints() {
    same("diagnostics.md", "explain --all", &Code::page());
}

#[test]
fn the_page_of_layers_is_what_help_prints() {
    same("layers.md", "help --all", &ops::page());
}

/// Examples that need other files, or that commands other than `netc check` report.
const ELSEWHERE: [&str; 12] =
    ["E0218", "E0219", "E0401", "E0403", "E0405", "E0406", "E0410", "E0411", "E0702", "E0216", "W1004", "E0801"];

#[test]
fn examples_of_diagnostics_have_their_codes() {
    let mut silent = Vec::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    for code in Code::ALL.iter().filter(|code| !ELSEWHERE.contains(&code.text())) {
        let example = code.example();
        if example.starts_with('$') {
            continue;
        }
        let path = folder.path().join("spec.net");
        std::fs::write(&path, example).expect("a file can be written");
        let spec = elaborate::load(&path.display().to_string(), &elaborate::project::source_files::from_disk);
        let diagnostics = match spec {
            Ok(spec) => check::check(&spec, None).diagnostics,
            Err((_, errors)) => errors,
        };
        let found: Vec<Code> = diagnostics.iter().map(|error| error.code).collect();
        if !found.contains(code) {
            silent.push(format!("{code}: its example gives {found:?}\n{example}"));
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n\n"));
}

#[test]
fn the_readme_names_every_key_of_recipes_and_its_values() {
    let readme =
        std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("the readme");
    let training = readme.split_once("## Training").expect("a chapter").1;
    for key in netc::train::recipe::keys::KEYS.iter() {
        assert!(training.contains(&format!("`{}`", key.name)), "{}", key.name);
        for choice in (key.choices)().into_iter().filter(|choice| !choice.summary.is_empty()) {
            let name = choice.name;
            let is_named = [format!("`{name}`"), format!("{name}("), format!("[{name}")]
                .iter()
                .any(|form| training.contains(form));
            assert!(is_named, "{name} of {}", key.name);
        }
    }
}

#[test]
fn every_option_of_weights_has_a_section_of_the_language() {
    for option in netc::request::WEIGHTS_OPTIONS {
        assert!(netc::syntax::manual::section(option).is_some(), "{option}");
    }
}

/// Each example of the book's chapters, marked ```` ```net ````, is a whole spec without errors and in the formatter's style.
#[test]
fn examples_of_the_book_are_specs_without_errors() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("spec.net");
    let mut faults = Vec::new();
    let mut count = 0;
    for page in ["language.md", "from-neupy.md", "from-keras.md", "from-pytorch.md"] {
        let text = std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(page));
        let text = text.expect("the page");
        for example in text.split("```net\n").skip(1).filter_map(|after| after.split("```").next()) {
            count += 1;
            std::fs::write(&path, example).expect("a file can be written");
            let spec = elaborate::load(&path.display().to_string(), &elaborate::project::source_files::from_disk);
            let (sources, diagnostics) = match spec {
                Ok(spec) => {
                    let diagnostics = check::check(&spec, None).diagnostics;
                    (spec.sources, diagnostics)
                }
                Err(found) => found,
            };
            let (tree, _) = netc::syntax::parse(&sources, spec_file(&sources));
            if netc::syntax::format(example, &tree) != example {
                faults.push(format!("{page} has an example that is not formatted:\n{example}"));
            }
            if diagnostics.has_errors() {
                faults.push(netc::diagnostics::render::text(&diagnostics, &sources, false));
            }
        }
    }
    assert!(faults.is_empty() && count >= 20, "{count} examples\n{}", faults.join("\n"));
}

/// The example among the files of its spec.
fn spec_file(sources: &netc::source::Sources) -> netc::source::FileId {
    let is_example = |name: &str| name.ends_with("spec.net");
    sources.iter().find(|(_, file)| is_example(&file.name)).map(|(id, _)| id).expect("the example")
}

/// The commands of the tutorial run in the folder that it says, and what they need ships.
#[test]
fn the_tutorial_can_be_followed() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/ten-minutes.md")).expect("the tutorial");
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::copy(root.join("specs/samples/squeezenet1_1.hdf5"), folder.path().join("squeezenet1_1.hdf5"))
        .expect("room");
    let photos = folder.path().join("clothing");
    copy_folder(&root.join("specs/samples/clothing"), &photos);
    let examples = page.split("```console\n").skip(1).filter_map(|after| after.split("```").next());
    let commands: Vec<&str> = examples.flat_map(str::lines).filter_map(|line| line.strip_prefix("$ ")).collect();
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        // A shell splits quoted words.
        let words = command.replace('\'', "");
        let words: Vec<&str> = words.split(' ').collect();
        let words = if command.contains(" >> ") {
            vec!["netc", "show", command.split('\'').nth(1).expect("quotes")]
        } else {
            words
        };
        let program = if words[0] == "netc" { env!("CARGO_BIN_EXE_netc") } else { words[0] };
        let output = std::process::Command::new(program)
            .args(&words[1..])
            .current_dir(folder.path())
            .env("NETC_CACHE", folder.path().join("cache"))
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    for file in ["clothes/clothes.netb", "clothes/clothes.run/report.html", "features.photos.csv"] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => _ = std::fs::copy(entry.path(), target).expect("room"),
        }
    }
}
