//! The parser that pest generates from `grammar/net.pest`.

use pest_derive::Parser;

/// The parser. Its rules are the kinds of parse-tree nodes.
#[derive(Parser)]
#[grammar = "grammar/net.pest"]
pub(crate) struct Grammar;
