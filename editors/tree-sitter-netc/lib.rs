//! The grammar of netc's specs for tree-sitter, with its highlights.

use tree_sitter_language::LanguageFn;

unsafe extern "C" {
    fn tree_sitter_netc() -> *const ();
}

/// The language, for `tree_sitter::Parser::set_language`.
// SAFETY: the generated parser's function of this name gives its language.
pub const LANGUAGE: LanguageFn = unsafe { LanguageFn::from_raw(tree_sitter_netc) };

/// The query of its highlights.
pub const HIGHLIGHTS: &str = include_str!("queries/highlights.scm");
