//! `netc fmt`

use crate::cli::output::messages;
use crate::cli::output::output_guard::write_file;
use crate::cli::result::{CommandResult, Failed};
use crate::elaborate::project::source_files::{from_disk, read_source};
use crate::source::Sources;
use crate::syntax;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Spec files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Change nothing; fail if a file is not formatted
    #[arg(long)]
    check: bool,
}

pub fn run(args: &Args) -> CommandResult {
    let mut done = Ok(());
    for path in &args.files {
        let mut sources = Sources::default();
        let file = match read_source(&mut sources, path, &from_disk) {
            Ok(file) => file,
            Err(diagnostic) => {
                done = Err(messages::fail_with(diagnostic));
                continue;
            }
        };
        let (tree, errors) = syntax::parse(&sources, file);
        if errors.has_errors() {
            done = Err(messages::fail(&errors, &sources));
            continue;
        }
        let text = &sources.file(file).text;
        let formatted = syntax::format(text, &tree);
        if formatted == *text {
            continue;
        }
        if args.check {
            messages::print(format!("{} is not formatted\n", path.display()));
            done = Err(Failed::Error);
        } else {
            write_file(path, formatted.as_bytes())?;
        }
    }
    done
}
