//! `netc test`

use super::output::messages;
use super::show::write_whole;
use super::{Done, Failed};
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

/// How deep folders are searched.
const MAX_DEPTH: usize = 32;

/// A stage whose text a snapshot holds; none of them needs weights.
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
    /// Specs, and folders that are searched for them; default: the working directory
    files: Vec<PathBuf>,
    /// The stages that are compared with snapshots beside the spec
    #[arg(long, value_enum, value_delimiter = ',', default_value = "graph")]
    stage: Vec<Stage>,
    /// Write the snapshots that are new or differ
    #[arg(long)]
    accept: bool,
    /// A missing snapshot is a failure; so it is where the environment variable CI is set
    #[arg(long, conflicts_with = "accept")]
    check: bool,
}

pub fn run(args: &Args) -> Done {
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
        let good = test(file, args, strict).is_ok();
        *(if good { &mut passed } else { &mut failed }) += 1;
        messages::print(format!("{}  {}\n", painted(if good { "pass" } else { "FAIL" }, good), file.display()));
    }
    messages::print(format!("{passed} passed, {failed} failed\n"));
    if failed > 0 { Err(Failed::Misclassification) } else { Ok(()) }
}

/// The specs below a path, sorted; hidden folders are not entered and links not followed.
fn find(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Done {
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
        // What was named on the command line as `.` is shown without it.
        let inner = if path == Path::new(".") { PathBuf::from(&name) } else { entry.path() };
        if kind.is_dir() && depth < MAX_DEPTH && !name.to_string_lossy().starts_with('.') {
            find(&inner, depth + 1, files)?;
        } else if !kind.is_dir() && inner.extension().is_some_and(|ending| ending == "net") {
            files.push(inner);
        }
    }
    Ok(())
}

/// Checks all of one spec; what fails has been told.
fn test(file: &Path, args: &Args, strict: bool) -> Done {
    let spec = elaborate::load(&file.display().to_string(), &from_disk)
        .map_err(|(sources, errors)| messages::fail(&errors, &sources))?;
    if spec.errors.has_errors() {
        return Err(messages::fail(&spec.errors, &spec.sources));
    }
    let graphs = graphs(&spec).map_err(|errors| messages::fail(&errors, &spec.sources))?;
    let broken = expectations::check(&spec, &BuildOptions::default());
    let mut done = if broken.has_errors() { Err(messages::fail(&broken, &spec.sources)) } else { Ok(()) };
    for &stage in args.stage.iter().filter(|_| !graphs.is_empty()) {
        let mut texts = Vec::new();
        for graph in &graphs {
            texts.push(stage.text(graph.clone()).map_err(|errors| messages::fail(&errors, &spec.sources))?);
        }
        if !compare(file, stage, &texts.join("\n"), args.accept, strict)? {
            done = Err(Failed::Misclassification);
        }
    }
    done
}

/// The net that the spec is about, else all its complete ones; none where it holds only pieces for other specs.
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

/// Compares a stage with its snapshot, and writes that where it is accepted; returns whether all is well.
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
        write_whole(&path, new.as_bytes())?;
        messages::print(format!("wrote {}\n", path.display()));
        return Ok(true);
    }
    if old.is_none() {
        let hint = if strict { "is missing" } else { "is new" };
        messages::print(format!("{} {hint}: `--accept` writes it\n", path.display()));
        return Ok(!strict);
    }
    Ok(false)
}

/// A YAML text: a file's name may hold any sign.
fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

/// A snapshot without insta's header and the blank lines at its ends, which insta does not compare either.
fn contents(snapshot: &str) -> &str {
    let body = snapshot.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n")).map(|(_, body)| body);
    body.unwrap_or(snapshot).trim_end()
}

/// The lines that differ, with three around them.
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

/// Green or red, on a terminal.
fn painted(text: &str, good: bool) -> String {
    let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    match color {
        true => format!("\x1b[{}m{text}\x1b[0m", if good { 32 } else { 31 }),
        false => text.to_string(),
    }
}
