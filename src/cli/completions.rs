//! `netc completions`

use super::{Done, Program, report};
use clap::CommandFactory;
use clap_complete::Shell;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The shell whose completions are printed
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: &Args) -> Done {
    // Written to memory first: the generator panics where its output cannot be written, such as into a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Program::command(), "netc", &mut script);
    report::print(String::from_utf8_lossy(&script));
    Ok(())
}
