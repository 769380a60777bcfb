//! `netc man`

use crate::cli::output::messages;
use crate::cli::output::output_guard::{unwritable, write_file};
use crate::cli::result::CommandResult;
use crate::source::plain;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The folder to write them to, which is created
    folder: PathBuf,
}

/// Writes a page for the program and one for each command, from the definitions that the help comes from.
pub fn run(args: &Args, mut program: clap::Command) -> CommandResult {
    let cannot = |error: std::io::Error| messages::fail_with(unwritable(&args.folder, &plain(&error)));
    std::fs::create_dir_all(&args.folder).map_err(cannot)?;
    program.build();
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set());
    let mut count = 0;
    for command in std::iter::once(&program).chain(commands) {
        // Clap calls the pages like git's: netc-check.
        let name = command.get_display_name().unwrap_or(command.get_name());
        let path = args.folder.join(format!("{name}.1"));
        let mut page = Vec::new();
        clap_mangen::Man::new(command.clone()).render(&mut page).map_err(cannot)?;
        write_file(&path, &page)?;
        count += 1;
    }
    messages::line("Writing", format!("{count} pages to {}", args.folder.display()));
    Ok(())
}
