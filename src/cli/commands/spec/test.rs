//! `netc test`

use crate::check::expectations;
use crate::check::stage_snapshots::{Snapshot, Stage, tested_graphs};
use crate::cli::args::spec_files;
use crate::cli::output::{diff_text, messages, output_guard};
use crate::cli::result::{CommandResult, Failed};
use crate::compile::BuildOptions;
use crate::diagnostics::{Code, Diagnostics, counted};
use crate::elaborate;
use crate::elaborate::project::source_files::from_disk;
use crate::source::plain;
use std::path::{Path, PathBuf};

/// A stage with snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum StageArg {
    Graph,
    Fused,
    Plan,
}

impl From<StageArg> for Stage {
    fn from(stage: StageArg) -> Stage {
        match stage {
            StageArg::Graph => Stage::Graph,
            StageArg::Fused => Stage::Fused,
            StageArg::Plan => Stage::Plan,
        }
    }
}

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Specs, or folders to search for specs; default: the working directory
    files: Vec<PathBuf>,
    /// The stages to compare with the snapshots next to the spec
    #[arg(long, value_enum, value_delimiter = ',', default_value = "graph")]
    stage: Vec<StageArg>,
    /// Write new and changed snapshots
    #[arg(long)]
    accept: bool,
    /// Fail if a snapshot is missing; the default if the environment variable CI is set
    #[arg(long, conflicts_with = "accept")]
    check: bool,
}

pub fn run(args: &Args) -> CommandResult {
    let strict = args.check || std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    let roots = if args.files.is_empty() { vec![PathBuf::from(".")] } else { args.files.clone() };
    let files = spec_files::find(&roots)?;
    let (mut passed, mut failed, mut new) = (0, 0, 0);
    for file in &files {
        let is_passed = test(file, args, strict, &mut new).is_ok();
        *(if is_passed { &mut passed } else { &mut failed }) += 1;
        messages::print(format!(
            "{}  {}\n",
            diff_text::painted(if is_passed { "pass" } else { "FAIL" }, is_passed),
            file.display()
        ));
    }
    messages::print(format!("{passed} passed, {failed} failed\n"));
    if new > 0 {
        let them = if new == 1 { "it" } else { "them" };
        let command = "`netc test --accept`";
        let text = format!(
            "{} to write: {command} writes {them}, and later runs show what has changed\n",
            counted(new, "snapshot")
        );
        messages::print(text);
    }
    if failed > 0 { Err(Failed::Error) } else { Ok(()) }
}

/// Checks one spec, and counts its snapshots that do not exist yet.
///
/// # Errors
/// The errors, which have been reported.
fn test(file: &Path, args: &Args, strict: bool, new: &mut usize) -> CommandResult {
    let spec = elaborate::load(&file.display().to_string(), &from_disk)
        .map_err(|(sources, errors)| messages::fail(&errors, &sources))?;
    if spec.errors.has_errors() {
        return Err(messages::fail(&spec.errors, &spec.sources));
    }
    let report = |errors: Diagnostics| messages::fail(&errors, &spec.sources);
    let graphs = tested_graphs(&spec).map_err(report)?;
    let failures = expectations::check(&spec, &BuildOptions::default());
    let mut result = if failures.has_errors() { Err(report(failures)) } else { Ok(()) };
    for &stage in args.stage.iter().filter(|_| !graphs.is_empty()) {
        let stage = Stage::from(stage);
        let text = stage.text(&graphs).map_err(report)?;
        match compare(file, stage, &text, args.accept)? {
            Comparison::Same => {}
            Comparison::New(path) if strict => {
                messages::print(format!("{} is missing: `--accept` writes it\n", path.display()));
                result = Err(Failed::Error);
            }
            Comparison::New(_) => *new += 1,
            Comparison::Different => result = Err(Failed::Error),
        }
    }
    result
}

/// A stage and its snapshot.
enum Comparison {
    Same,
    Different,
    /// There is no snapshot at this path.
    New(PathBuf),
}

/// Compares a stage with its snapshot; writes the snapshot if `accept` is given.
fn compare(file: &Path, stage: Stage, text: &str, accept: bool) -> Result<Comparison, Failed> {
    let snapshot = Snapshot::read(file, stage, text).map_err(|(path, error)| {
        messages::error(Code::Unreadable, format!("`{}` cannot be read: {}", path.display(), plain(&error)))
    })?;
    if snapshot.is_current() {
        return Ok(Comparison::Same);
    }
    if let Some(diff) = snapshot.diff() {
        messages::print(diff_text::coloured(&diff));
    }
    if accept {
        snapshot
            .accept()
            .map_err(|error| messages::fail_with(output_guard::unwritable(&snapshot.path, &error.to_string())))?;
        messages::print(format!("wrote {}\n", snapshot.path.display()));
        return Ok(Comparison::Same);
    }
    Ok(if snapshot.is_new() { Comparison::New(snapshot.path) } else { Comparison::Different })
}
