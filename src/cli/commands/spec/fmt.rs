//! `netc fmt`

use crate::cli::args::spec_files;
use crate::cli::output::output_guard::write_file;
use crate::cli::output::{diff_text, messages};
use crate::cli::result::{CommandResult, Failed};
use crate::diagnostics::counted;
use crate::elaborate::project::source_files::{from_disk, piped, read_piped, read_source};
use crate::source::Sources;
use crate::syntax;
use std::path::{Path, PathBuf};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Spec files, or folders of them; - formats stdin to stdout
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Change nothing; fail if a file is not formatted
    #[arg(long)]
    check: bool,
    /// Print what would change, and change nothing
    #[arg(long)]
    diff: bool,
}

pub fn run(args: &Args) -> CommandResult {
    let mut result = Ok(());
    let mut differing = 0;
    for path in spec_files::find(&args.files)? {
        // The other files are formatted all the same.
        match format(&path, args) {
            Ok(true) => differing += 1,
            Ok(false) => {}
            Err(failed) => result = Err(failed),
        }
    }
    if args.check && differing > 0 {
        if !args.diff {
            let files = counted(differing, "file");
            messages::print(format!("{files} would change: `--check --diff` shows how, `netc fmt` formats\n"));
        }
        result = result.and(Err(Failed::Error));
    }
    result
}

/// Formats one file. Returns whether its text was another one.
fn format(path: &Path, args: &Args) -> Result<bool, Failed> {
    let mut sources = Sources::default();
    // Another pipe than stdin may never end, and cannot be replaced.
    let pipe = piped(path).filter(|_| path == Path::new("-"));
    let read = match pipe {
        Some(name) => read_piped(&mut sources, path, name),
        None => read_source(&mut sources, path, &from_disk),
    };
    let file = read.map_err(messages::fail_with)?;
    let (tree, errors) = syntax::parse(&sources, file);
    if errors.has_errors() {
        return Err(messages::fail(&errors, &sources));
    }
    let text = &sources.file(file).text;
    let formatted = syntax::format(text, &tree);
    let differs = formatted != *text;
    let name = pipe.map_or_else(|| path.display().to_string(), str::to_string);
    if args.diff && differs {
        messages::print(diff_text::coloured(&diff_text::unified(text, &formatted, &name)));
    }
    match () {
        () if args.check && differs => messages::print(format!("{name} is not formatted\n")),
        () if args.check || args.diff => {}
        () if pipe.is_some() => messages::print(formatted),
        () if differs => write_file(path, formatted.as_bytes())?,
        () => {}
    }
    Ok(differs)
}
