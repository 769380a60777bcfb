//! Entries of recipes that are set from the command line: `--set epochs=3`, `--set optimizer.step=0.01`.

use super::spec::{Setting, Spec};
use crate::diagnostics::{Code, Diagnostic, Result};
use crate::source::Span;
use crate::syntax::ast::Ident;
use crate::syntax::parse_expression_from;

/// The name that diagnostics show for the place of a setting.
const OPTION: &str = "--set";

impl Spec {
    /// Adds a setting, `KEY=VALUE` or `KEY.PART=VALUE`, to the recipes. Its key and value are checked with theirs.
    ///
    /// # Errors
    /// A text of another form.
    pub fn set(&mut self, option: &str) -> Result<()> {
        let file = self.sources.add_text(OPTION, option);
        let span = |from: usize, to: usize| Span { file, start: from as u32, end: to as u32 };
        let Some(equals) = option.find('=').filter(|&equals| !option[..equals].trim().is_empty()) else {
            return Err(Diagnostic::new(Code::Recipe, "`--set` takes KEY=VALUE")
                .at(span(0, option.len()), "this has no key and value")
                .help("as in `--set epochs=3` or `--set optimizer.step=0.01`")
                .into());
        };
        let ident = |from: usize, to: usize| {
            let text = &option[from..to];
            let from = from + (text.len() - text.trim_start().len());
            let text = text.trim();
            Ident { text: text.to_string(), span: span(from, from + text.len()) }
        };
        let (key, part) = match option[..equals].find('.') {
            Some(dot) => (ident(0, dot), Some(ident(dot + 1, equals))),
            None => (ident(0, equals), None),
        };
        let value = parse_expression_from(&self.sources, file, equals + 1)?;
        self.settings.push(Setting { key, part, value, file, text: option.to_string() });
        Ok(())
    }
}
