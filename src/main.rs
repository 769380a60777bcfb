//! The program; the library has all of it.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: netc::cli::out_of_memory::Allocator = netc::cli::out_of_memory::Allocator;

fn main() -> ExitCode {
    netc::cli::main()
}
