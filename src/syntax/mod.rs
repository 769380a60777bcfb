//! Text to tree and back: [`parse`] reads a file into the [`ast`], [`format`] prints it in the one style.
//!
//! The grammar is `grammar/net.pest`. What it cannot say is checked beside it: [`scan`] bounds the text before it is
//! parsed, [`build`] knows the operators' precedence and the values of numbers, [`error`] writes the messages.

pub mod ast;
mod parse;
pub(crate) mod print;
mod recovery;
pub(crate) mod scan;
#[cfg(test)]
mod tests;
mod words;

pub use parse::{parse, parse_expression};
pub use print::format::format;
pub use print::inline::{expression_text, layer_name_text};
pub use print::tree::ast_text;
pub use words::{ITEMS, KEYWORDS};
