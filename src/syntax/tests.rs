//! The grammar by examples: what is right parses, what is wrong is answered.

use super::parse;
use crate::diagnostics::render;
use crate::source::Sources;

/// Each mistake of `tests/syntax/mistakes.txt` with what the user is told.
#[test]
fn mistakes_are_explained() {
    let mut out = String::new();
    for case in include_str!("../../tests/syntax/mistakes.txt").split("\n----\n") {
        let mut sources = Sources::default();
        let file = sources.add_text("a.net", case);
        let (_, diagnostics) = parse(&sources, file);
        out.push_str(&format!("{case}\n\n{}\n{}\n", render::text(&diagnostics, &sources, false).trim_end(), "-".repeat(80)));
    }
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path("../../tests/syntax/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("mistakes", out));
}
