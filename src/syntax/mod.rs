//! Text to tree and back: [`parse`] reads a file into the [`ast`], [`format`] prints it in the one style.
//!
//! The grammar is `grammar/net.pest`. What it cannot say is checked beside it: [`scan`] bounds the text before it is
//! parsed, [`build`] knows the operators' precedence and the values of numbers, [`error`] writes the messages.

pub mod ast;
mod breaks;
mod build;
mod build_block;
mod build_item;
mod error;
mod failure;
mod format;
mod format_list;
mod grammar;
mod habits;
mod inline;
mod layout;
mod list;
mod literals;
mod mistaken_items;
mod mistaken_signs;
mod mistakes;
mod parse;
pub(crate) mod scan;
mod tree;
mod words;

pub use format::format;
pub use inline::{expression_text, layer_name_text};
pub use parse::{parse, parse_expression};
pub use tree::ast_text;
pub use words::{ITEMS, KEYWORDS};

#[cfg(test)]
mod tests;
