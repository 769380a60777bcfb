//! pest's parser of `grammar/net.pest`.

use pest_derive::Parser;

/// The parser; its rules are the kinds of pairs.
#[derive(Parser)]
#[grammar = "grammar/net.pest"]
pub(crate) struct Grammar;
