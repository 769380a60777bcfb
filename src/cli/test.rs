//! `netc test`

use super::output::messages;
use super::output::output_guard::write_file;
use super::result::{CommandResult, Failed};
use crate::check::expectations;
use crate::compile::{self, BuildOptions};
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::elaborate::project::source_files::from_disk;
use crate::elaborate::{self, Spec};
use crate::graph::Graph;
use crate::source::plain;
use similar::TextDiff;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// The maximum depth of searched folders.
const MAX_DEPTH: usize = 32;

/// A stage with snapshots; none needs weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Stage {
    Graph,
    Fused,
    Plan,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Stage::Graph => "graph",
            Stage::Fused => "fused",
            Stage::Plan => "plan",
        }
    }

    fn text(self, graph: Graph) -> Result<String, Diagnostics> {
        match self {
            Stage::Graph => Ok(graph.to_string()),
            Stage::Fused => Ok(compile::fused_text(graph)),
            Stage::Plan => compile::plan_text(graph, false),
        }
    }
}

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Specs, or folders to search for specs; default: the working directory
    files: Vec<PathBuf>,
    /// The stages to compare with the snapshots next to the spec
    #[arg(long, value_enum, value_delimiter = ',', default_value = "graph")]
    stage: Vec<Stage>,
    /// Write new and different snapshots
    #[arg(long)]
    accept: bool,
    /// Fail if a snapshot is missing; the default if the environment variable CI is set
    #[arg(long, conflicts_with = "accept")]
    check: bool,
}

pub fn run(args: &Args) -> CommandResult {
    let strict = args.check || std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    let roots = if args.files.is_empty() { vec![PathBuf::from(".")] } else { args.files.clone() };
    let mut files = Vec::new();
    for root in &roots {
        find(root, 0, &mut files)?;
    }
    if files.is_empty() {
        return Err(messages::fail_with(Diagnostic::new(Code::Inputs, "there are no specs (*.net) to test")));
    }
    let (mut passed, mut failed) = (0, 0);
    for file in &files {
        let is_passed = test(file, args, strict).is_ok();
        *(if is_passed { &mut passed } else { &mut failed }) += 1;
        messages::print(format!(
            "{}  {}\n",
            painted(if is_passed { "pass" } else { "FAIL" }, is_passed),
            file.display()
        ));
    }
    messages::print(format!("{passed} passed, {failed} failed\n"));
    if failed > 0 { Err(Failed::Error) } else { Ok(()) }
}

/// Adds the specs below a path, sorted by name; skips hidden folders and links.
fn find(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> CommandResult {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    let unreadable = |error: std::io::Error| {
        let message = format!("`{}` cannot be read: {}", path.display(), plain(&error));
        messages::fail_with(Diagnostic::new(Code::Unreadable, message))
    };
    let mut entries =
        std::fs::read_dir(path).map_err(unreadable)?.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let kind = entry.file_type().map_err(unreadable)?;
        let name = entry.file_name();
        // Paths below `.` are shown without it.
        let inner = if path == Path::new(".") { PathBuf::from(&name) } else { entry.path() };
        if kind.is_dir() && depth < MAX_DEPTH && !name.to_string_lossy().starts_with('.') {
            find(&inner, depth + 1, files)?;
        } else if !kind.is_dir() && inner.extension().is_some_and(|ending| ending == "net") {
            files.push(inner);
        }
    }
    Ok(())
}

/// Checks one spec.
///
/// # Errors
/// The errors, which have been reported.
fn test(file: &Path, args: &Args, strict: bool) -> CommandResult {
    let spec = elaborate::load(&file.display().to_string(), &from_disk)
        .map_err(|(sources, errors)| messages::fail(&errors, &sources))?;
    if spec.errors.has_errors() {
        return Err(messages::fail(&spec.errors, &spec.sources));
    }
    let graphs = graphs(&spec).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    let failures = expectations::check(&spec, &BuildOptions::default());
    let mut result = if failures.has_errors() { Err(messages::fail(&failures, &spec.sources)) } else { Ok(()) };
    for &stage in args.stage.iter().filter(|_| !graphs.is_empty()) {
        let mut texts = Vec::new();
        for graph in &graphs {
            texts.push(stage.text(graph.clone()).map_err(|errors| messages::fail(&errors, &spec.sources))?);
        }
        if !compare(file, stage, &texts.join("\n"), args.accept, strict)? {
            result = Err(Failed::Error);
        }
    }
    result
}

/// The main net of a spec, else all complete nets; none if all its nets are fragments.
fn graphs(spec: &Spec) -> Result<Vec<Graph>, Diagnostics> {
    let errors = spec.check_recipes();
    if errors.has_errors() {
        return Err(errors);
    }
    let complete = spec.complete_nets();
    let nets = match spec.choose(None) {
        Ok(net) if complete.contains(&net) => vec![net],
        _ => complete,
    };
    nets.into_iter().map(|net| spec.graph(net).map(|(graph, _)| graph)).collect()
}

/// Compares a stage with its snapshot; writes the snapshot if `accept` is given. Returns whether the test passes.
fn compare(file: &Path, stage: Stage, text: &str, accept: bool, strict: bool) -> Result<bool, Failed> {
    let path = file.with_extension(format!("{}.snap", stage.name()));
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let new = format!("---\nsource: {}\nexpression: {}\n---\n{}\n", quoted(&name), stage.name(), text.trim_end());
    let old = match from_disk(&path) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).replace("\r\n", "\n")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            let message = format!("`{}` cannot be read: {}", path.display(), plain(&error));
            return Err(messages::fail_with(Diagnostic::new(Code::Unreadable, message)));
        }
    };
    if let Some(old) = &old {
        if contents(old) == contents(&new) {
            return Ok(true);
        }
        messages::print(difference(&path, contents(old), contents(&new)));
    }
    if accept {
        write_file(&path, new.as_bytes())?;
        messages::print(format!("wrote {}\n", path.display()));
        return Ok(true);
    }
    if old.is_none() {
        let state = if strict { "is missing" } else { "is new" };
        messages::print(format!("{} {state}: `--accept` writes it\n", path.display()));
        return Ok(!strict);
    }
    Ok(false)
}

/// A quoted YAML string, as file names may have special characters.
fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

/// A snapshot without insta's header and without blank lines at its ends, as insta compares it.
fn contents(snapshot: &str) -> &str {
    let body = snapshot.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n")).map(|(_, body)| body);
    body.unwrap_or(snapshot).trim_end()
}

/// A unified diff with three lines of context.
fn difference(path: &Path, old: &str, new: &str) -> String {
    let lines = TextDiff::from_lines(old, new);
    let header = (path.display().to_string(), "now".to_string());
    let plain =
        lines.unified_diff().context_radius(3).missing_newline_hint(false).header(&header.0, &header.1).to_string();
    let mut out = String::new();
    for line in plain.lines() {
        match line.chars().next() {
            Some('+') => out += &painted(line, true),
            Some('-') => out += &painted(line, false),
            _ => out += line,
        }
        out.push('\n');
    }
    out
}

/// Green or red text on a terminal.
fn painted(text: &str, is_good: bool) -> String {
    let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match color {
        true => format!("\x1b[{}m{text}\x1b[0m", if is_good { 32 } else { 31 }),
        false => text.to_string(),
    }
}
