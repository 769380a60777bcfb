//! The result of a command, and the formats of its output.

/// The exit code of a command that did what it was to do.
pub const EXIT_SUCCESS: u8 = 0;
/// The exit code for wrong arguments, as in most programs.
pub const EXIT_USAGE: u8 = 2;
/// The exit code for errors in the user's input or files.
pub const EXIT_ERROR: u8 = 1;
/// The exit code after Ctrl-C: 128 and the number of the signal, as in shells.
pub const EXIT_INTERRUPTED: u8 = 130;

/// A command that failed; the error has been reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The input or files of the user are wrong.
    Error,
    /// Ended by Ctrl-C.
    Interrupted,
}

/// The result of a command.
pub type CommandResult = Result<(), Failed>;

/// The format of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Readable text
    Text,
    /// One JSON document
    Json,
}
