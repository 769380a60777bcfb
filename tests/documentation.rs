//! The generated pages of `docs/` are what the program prints, their examples report the documented codes, and those of the
//! book's chapters compile and run.

#[path = "documentation/artifact_reader.rs"]
mod artifact_reader;

use netc::diagnostics::Code;
use netc::{check, compile, elaborate, ops};
use std::path::{Path, PathBuf};

fn page_path(page: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(page)
}

fn page(page: &str) -> String {
    std::fs::read_to_string(page_path(page)).expect("the page")
}

/// Compares a generated page; like snapshots it is written with `INSTA_UPDATE=always`.
fn same(page: &str, command: &str, printed: &str) {
    let held = std::fs::read_to_string(page_path(page)).unwrap_or_default();
    if held != printed && std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
        std::fs::write(page_path(page), printed).expect("the page can be written");
        return;
    }
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

#[test]
fn the_page_of_recipes_is_what_help_prints() {
    same("recipes.md", "help --recipes", &netc::train::recipe::help::page());
}

/// Chapters say of the seed what its help says.
#[test]
fn chapters_say_what_initial_weights_depend_on() {
    let help = netc::train::recipe::help::documentation("seed").expect("help");
    let sentence =
        help.split_once("augmentation; ").and_then(|(_, rest)| rest.split_once(".\n")).expect("a sentence").0;
    for chapter in ["determinism.md", "training.md"] {
        let text = page(chapter).split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        assert!(text.contains(sentence), "docs/{chapter} does not say: {sentence}");
    }
}

/// A build without `serve` has no options of that command.
#[cfg(feature = "serve")]
#[test]
fn the_page_of_commands_is_what_help_prints() {
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_netc")).args(["help", "--commands"]).output().expect("it runs");
    same("commands.md", "help --commands", &String::from_utf8(output.stdout).expect("text"));
}

/// Examples that need other files, or that commands other than `netc check` report.
const ELSEWHERE: [&str; 13] = [
    "E0218", "E0219", "E0401", "E0403", "E0405", "E0406", "E0410", "E0411", "E0702", "E0216", "W1004", "W1015", "E0801",
];

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
fn the_chapter_on_training_names_every_key_of_recipes() {
    let chapter = page("training.md");
    for key in netc::train::recipe::keys::KEYS.iter() {
        let name = key.name;
        let is_named = [format!("`{name}`"), format!("`{name} ="), format!("  {name} ")];
        assert!(is_named.iter().any(|form| chapter.contains(form)), "{name}");
    }
}

/// Links in the book and the README lead to files of the checkout, and to headings that exist.
#[test]
fn links_lead_somewhere() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let chapters = std::fs::read_dir(root.join("docs")).expect("the book").map(|entry| entry.expect("an entry").path());
    let pages = chapters.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let mut faults = Vec::new();
    for path in pages.chain([root.join("README.md"), root.join("SECURITY.md"), root.join("CONTRIBUTING.md")]) {
        let text = std::fs::read_to_string(&path).expect("the page");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let of = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
            let is_there = of.exists() && (heading.is_empty() || headings(&of).iter().any(|known| known == heading));
            // What the package leaves out: see Cargo.toml.
            if !is_there && !file.contains("benches/peers") && !file.contains("python/") {
                faults.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn headings(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("a page");
    let anchor = |line: &str| -> Option<String> {
        let heading = line.strip_prefix('#')?.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        Some(kept.map(|c| if c == ' ' { '-' } else { c }).collect())
    };
    text.lines().filter_map(anchor).collect()
}

#[test]
fn every_option_of_weights_has_a_section_of_the_language() {
    for option in netc::request::WeightsOption::ALL.iter().map(|option| option.name()) {
        assert!(netc::syntax::manual::section(option).is_some(), "{option}");
    }
}

/// The chapters with specs that are complete and correct.
const CHAPTERS: [&str; 6] =
    ["language.md", "training.md", "weights.md", "from-neupy.md", "from-keras.md", "from-pytorch.md"];

/// Each example of the book's chapters, marked ```` ```net ````, is a whole spec without errors and in the formatter's style.
#[test]
fn examples_of_the_book_are_specs_without_errors() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("spec.net");
    let mut faults = Vec::new();
    let mut count = 0;
    for page in CHAPTERS {
        let text = self::page(page);
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

/// The chapters whose commands continue those of the tutorial, in this order.
const FOLLOWED: [&str; 6] =
    ["ten-minutes.md", "training.md", "weights.md", "speed.md", "determinism.md", "artifact.md"];

/// The commands of the tutorial, and those of further chapters on the project that it makes, run in the folder that it says,
/// and what they need ships.
#[test]
fn commands_of_the_book_can_be_followed() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::copy(root.join("specs/samples/squeezenet1_1.hdf5"), folder.path().join("squeezenet1_1.hdf5"))
        .expect("room");
    let photos = folder.path().join("clothing");
    copy_folder(&root.join("specs/samples/clothing"), &photos);
    for name in FOLLOWED {
        let text = page(name);
        let examples = text.split("```console\n").skip(1).filter_map(|after| after.split("```").next());
        let commands: Vec<&str> = examples.flat_map(str::lines).filter_map(|line| line.strip_prefix("$ ")).collect();
        assert!(commands.len() >= 2, "{name}: {commands:?}");
        for command in commands {
            run(command, folder.path(), name);
        }
    }
    for file in ["clothes/clothes.netb", "clothes/clothes.run/report.html", "features.photos.csv", "page.html"] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
}

/// Runs a command of a page, whose words may be quoted.
fn run(command: &str, folder: &Path, page: &str) {
    let words: Vec<&str> = match command.split_once('\'') {
        Some((before, quoted)) => {
            let (quoted, after) = quoted.split_once('\'').expect("quotes");
            before.split_whitespace().chain([quoted]).chain(after.split_whitespace()).collect()
        }
        None => command.split_whitespace().collect(),
    };
    let program = if words[0] == "netc" { env!("CARGO_BIN_EXE_netc") } else { words[0] };
    let output = std::process::Command::new(program)
        .args(&words[1..])
        .current_dir(folder)
        .env("NETC_CACHE", folder.join("cache"))
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{page}, {command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The reader in the chapter on the artifact reads what `netc build` writes, and finds damage.
#[test]
fn the_reader_of_artifacts_in_the_book_reads_them() {
    let code = include_str!("documentation/artifact_reader.rs");
    assert!(page("artifact.md").contains(&format!("```rust\n{code}```")), "docs/artifact.md has another reader");
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let spec = root.join("specs/squeezenet1_1.net").display().to_string();
    let spec = elaborate::load(&spec, &elaborate::project::source_files::from_disk).expect("the spec");
    let (build, _) = compile::build(&spec, &compile::BuildOptions::default()).expect("its weights are there");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("net.netb");
    build.write(&path).expect("room");
    let mut bytes = std::fs::read(&path).expect("the artifact");
    let (manifest, constants) = artifact_reader::read(&bytes).expect("an artifact");
    assert_eq!(manifest["net"], "squeezenet1_1");
    assert_eq!(constants, build.in_memory().expect("memory").constants());
    // Every key is explained.
    let chapter = page("artifact.md");
    let keys = |value: &serde_json::Value| value.as_object().expect("a map").keys().cloned().collect::<Vec<_>>();
    let plan = &manifest["plan"];
    for key in [keys(&manifest), keys(plan), keys(&plan["steps"][0]), keys(&plan["constants"][0])].concat() {
        assert!(chapter.contains(&format!("`{key}`")), "{key}");
    }
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    assert_eq!(artifact_reader::read(&bytes), Err("a checksum of its constants is wrong"));
    bytes[20] ^= 1;
    assert_eq!(artifact_reader::read(&bytes), Err("the checksum of its header is wrong"));
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => _ = std::fs::copy(entry.path(), target).expect("room"),
        }
    }
}
