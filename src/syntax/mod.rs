//! The syntax of `.net` files: [`parse`] reads a file into the [`ast`], [`format`](fn@format) prints it in canonical style.
//!
//! The grammar is `grammar/net.pest`. Around it, `scan` limits the text before it is parsed, `parse::build` applies operator
//! precedence and converts literals, and `recovery` splits a broken file into items and explains errors.

pub mod ast;
mod grammar;
pub mod manual;
mod parse;
pub(crate) mod print;
mod recovery;
pub(crate) mod scan;
#[cfg(test)]
mod tests;
pub mod visit;
mod words;

pub use parse::{parse, parse_expression, parse_expression_from};
pub use print::format::format;
pub use print::inline::{expression_text, layer_name_text};
pub use print::tree::ast_text;
pub use words::{ITEMS, KEYWORDS};
