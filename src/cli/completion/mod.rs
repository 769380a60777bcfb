//! What a shell completes: its script (`netc completions SHELL`) asks the program at each TAB.

mod bash;
mod candidates;

use clap::Command;
use clap_complete::CompleteEnv;
use clap_complete::env::{Elvish, Fish, Powershell, Shells, Zsh};
use std::ffi::OsString;

/// The variable of the environment that says which shell asks.
const VARIABLE: &str = "NETC_COMPLETE";

/// The shells, by the names of [`clap_complete::Shell`].
const SHELLS: Shells<'static> = Shells(&[&bash::Bash, &Elvish, &Fish, &Powershell, &Zsh]);

/// Answers a shell that asks for completions, on stdout; whether one did.
pub fn answer(args: &[OsString], program: impl Fn() -> Command) -> bool {
    let folder = std::env::current_dir().ok();
    let environment = CompleteEnv::with_factory(|| candidates::with_candidates(program())).var(VARIABLE);
    // A shell shows no errors while one types.
    environment.shells(SHELLS).try_complete(args, folder.as_deref()).unwrap_or(true)
}

/// The script of a shell; `None` if it is not known.
pub fn script(shell: &str) -> Option<String> {
    let mut script = Vec::new();
    SHELLS.completer(shell)?.write_registration(VARIABLE, "netc", "netc", "netc", &mut script).ok()?;
    Some(String::from_utf8_lossy(&script).into_owned())
}
