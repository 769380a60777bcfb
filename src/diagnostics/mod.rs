//! Diagnostics: one value per error or warning, with a stable code, the spans involved and the likely fix.
//!
//! [`render`] prints them; [`codes`] has the explanation of each code.

pub mod codes;
pub mod foreign_names;
pub mod numbers;
pub mod render;
pub mod suggest;

pub use codes::Code;
pub use numbers::counted;

use crate::source::{Sources, Span};
use foreign_names::Meaning;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The severity of a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The input is invalid.
    Error,
    /// The input is valid, but probably not what the user intended.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A span with a message.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Label {
    pub span: Span,
    pub text: String,
    /// Whether the error is here; secondary labels show related code.
    pub primary: bool,
}

/// A change of the source that fixes an error.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Fix {
    /// The text to replace; empty for an insertion.
    pub span: Span,
    /// The expected text at the span.
    pub found: String,
    /// The replacement.
    pub text: String,
}

impl Fix {
    /// A description for menus: "replace `a` with `b`".
    pub fn title(&self) -> String {
        match (self.found.trim(), self.text.trim()) {
            ("", "") => "remove the space".into(),
            ("", text) => format!("insert `{text}`"),
            (found, "") => format!("remove `{found}`"),
            (found, text) => format!("replace `{found}` with `{text}`"),
        }
    }
}

/// An error or warning.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    /// One sentence without a full stop.
    pub message: String,
    pub labels: Vec<Label>,
    /// Facts and figures.
    pub notes: Vec<String>,
    /// Advice.
    pub help: Vec<String>,
    /// Alternative changes of the source. (A box keeps `Result`s small.)
    pub fixes: Box<[Fix]>,
}

impl Diagnostic {
    /// An error, or a warning if the code is that of a lint.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let severity = if code.is_lint() { Severity::Warning } else { Severity::Error };
        Self {
            code,
            severity,
            message: message.into(),
            labels: Vec::new(),
            notes: Vec::new(),
            help: Vec::new(),
            fixes: Box::default(),
        }
    }

    /// Adds a primary label: the location of the error.
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into(), primary: true });
        self
    }

    /// Adds a secondary label: related code.
    pub fn and(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into(), primary: false });
        self
    }

    /// Adds a secondary label if there is a span.
    pub fn maybe_and(self, span: Option<Span>, text: &str) -> Self {
        match span {
            Some(span) => self.and(span, text),
            None => self,
        }
    }

    /// Adds a note: a fact.
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Adds advice.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Adds advice if there is any.
    pub fn maybe_help(self, text: Option<String>) -> Self {
        match text {
            Some(text) => self.help(text),
            None => self,
        }
    }

    /// Adds a fix: replaces `found` with `text`.
    pub fn fix(mut self, span: Span, found: impl Into<String>, text: impl Into<String>) -> Self {
        let mut fixes = std::mem::take(&mut self.fixes).into_vec();
        fixes.push(Fix { span, found: found.into(), text: text.into() });
        self.fixes = fixes.into();
        self
    }

    /// Adds a fix: inserts `text` before a span.
    pub fn insert(self, before: Span, text: impl Into<String>) -> Self {
        self.fix(Span { end: before.start, ..before }, "", text)
    }

    /// Adds a name to write instead of the one found, as advice and as a fix, if there is one.
    pub fn suggest_name(self, span: Span, found: &str, name: Option<&str>) -> Self {
        self.suggest(span, found, name.map(Meaning::Name))
    }

    /// Adds the likely meaning of an unknown word, if there is one: a name to write instead, or advice.
    pub fn suggest(self, span: Span, found: &str, meaning: Option<Meaning>) -> Self {
        match meaning {
            Some(Meaning::Name(name)) => self.help(suggest::question(name)).fix(span, found, name),
            Some(Meaning::Advice(text)) => self.help(text),
            None => self,
        }
    }

    /// The fixes that can be applied: not in shipped specs, and not where the source differs from the expected text (the
    /// word came there as the value of a parameter).
    pub fn fixes_in<'d>(&'d self, sources: &'d Sources) -> impl Iterator<Item = &'d Fix> {
        let applies = |fix: &&Fix| sources.text(fix.span) == fix.found && !sources.file(fix.span.file).shipped;
        self.fixes.iter().filter(applies)
    }
}

/// The diagnostics of one run, without duplicates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// Hashes of those in the list, which keep the search for duplicates fast.
    hashes: HashSet<u64>,
}

/// The result of a compilation stage, or all its errors.
pub type Result<T> = std::result::Result<T, Diagnostics>;

impl Diagnostics {
    /// Adds a diagnostic unless an equal one is present (a net that is used twice reports its errors once).
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let new = self.hashes.insert(hash(&diagnostic));
        if new || !self.list.contains(&diagnostic) {
            self.list.push(diagnostic);
        }
    }

    /// Adds all diagnostics of another list.
    pub fn extend(&mut self, other: Diagnostics) {
        for diagnostic in other.list {
            self.push(diagnostic);
        }
    }

    /// Whether there is any error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// The errors among them.
    pub fn errors(&self) -> Diagnostics {
        let mut errors = Diagnostics::default();
        let list = self.list.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        list.for_each(|diagnostic| errors.push(diagnostic.clone()));
        errors
    }

    /// The number of diagnostics.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The diagnostics in source order: by file and span, those without a primary label last.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut list: Vec<&Diagnostic> = self.list.iter().collect();
        let position = |diagnostic: &Diagnostic| {
            let label = diagnostic.labels.iter().find(|label| label.primary);
            label.map_or((1, None), |label| (0, Some(label.span)))
        };
        list.sort_by_key(|diagnostic| position(diagnostic));
        list
    }

    /// The diagnostics in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// The value with the warnings.
    ///
    /// # Errors
    /// All diagnostics, if there is an error among them.
    pub fn or_errors<T>(self, value: T) -> Result<(T, Diagnostics)> {
        if self.has_errors() { Err(self) } else { Ok((value, self)) }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        let mut list = Self::default();
        list.push(diagnostic);
        list
    }
}

fn hash(diagnostic: &Diagnostic) -> u64 {
    let mut hasher = DefaultHasher::new();
    diagnostic.hash(&mut hasher);
    hasher.finish()
}
