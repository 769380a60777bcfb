//! The program. All of it stands in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    netc::cli::main()
}
