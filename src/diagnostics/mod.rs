//! What a user is told: one value per mistake, with a stable code, the places that matter and the likely fix.
//! How it looks is [`render`]'s matter, what each code teaches stands in [`codes`].

pub mod codes;
pub mod foreign_names;
pub mod render;
pub mod suggest;

pub use codes::Code;

use crate::source::{Sources, Span};
use foreign_names::Meant;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How grave it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing can be made of the input.
    Error,
    /// Legal, and likely not meant.
    Warning,
}

/// A place, and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Label {
    pub span: Span,
    pub text: String,
    /// Whether the mistake is here; other labels show what it disagrees with.
    pub primary: bool,
}

/// A change of the text that mends a mistake.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Fix {
    /// The place; an empty one to insert something.
    pub span: Span,
    /// What is replaced there.
    pub found: String,
    /// What to write.
    pub text: String,
}

impl Fix {
    /// What it does, in words.
    pub fn title(&self) -> String {
        match (self.found.trim(), self.text.trim()) {
            ("", "") => "take the blank away".into(),
            ("", text) => format!("insert `{text}`"),
            (found, "") => format!("take `{found}` away"),
            (found, text) => format!("write `{text}` in place of `{found}`"),
        }
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    /// One sentence, without a full stop.
    pub message: String,
    pub labels: Vec<Label>,
    /// Facts, figures, lists.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Vec<String>,
    /// Changes of the text, each of which does it. (In a box, as results carry diagnostics.)
    pub fixes: Box<[Fix]>,
}

impl Diagnostic {
    /// An error of a code, or a warning for a code of the lints.
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

    /// With the place of the mistake.
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into(), primary: true });
        self
    }

    /// With another place that matters.
    pub fn and(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into(), primary: false });
        self
    }

    /// With another place where there is one.
    pub fn maybe_and(self, span: Option<Span>, text: &str) -> Self {
        match span {
            Some(span) => self.and(span, text),
            None => self,
        }
    }

    /// With a fact.
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// With a fix.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// With a fix where there is one.
    pub fn maybe_help(self, text: Option<String>) -> Self {
        match text {
            Some(text) => self.help(text),
            None => self,
        }
    }

    /// With a change that mends it: `text` in place of `found`.
    pub fn fix(mut self, span: Span, found: impl Into<String>, text: impl Into<String>) -> Self {
        let mut fixes = std::mem::take(&mut self.fixes).into_vec();
        fixes.push(Fix { span, found: found.into(), text: text.into() });
        self.fixes = fixes.into();
        self
    }

    /// With a change that mends it: `text` before a place.
    pub fn insert(self, before: Span, text: impl Into<String>) -> Self {
        self.fix(Span { end: before.start, ..before }, "", text)
    }

    /// With the word that is likely meant in place of the one found, where there is one.
    pub fn meant(self, span: Span, found: &str, word: Option<&str>) -> Self {
        self.spelled(span, found, word.map(Meant::Name))
    }

    /// With what is likely meant by the word that was found, where something is.
    pub fn spelled(self, span: Span, found: &str, meant: Option<Meant>) -> Self {
        match meant {
            Some(Meant::Name(word)) => self.help(suggest::question(word)).fix(span, found, word),
            Some(Meant::Words(words)) => self.help(words),
            None => self,
        }
    }

    /// The changes that can be made. A place that holds something else than what is replaced is left alone (the word came
    /// there as a parameter's value), and so is a spec that ships.
    pub fn fixes_in<'d>(&'d self, sources: &'d Sources) -> impl Iterator<Item = &'d Fix> {
        let stands = |fix: &&Fix| sources.text(fix.span) == fix.found && !sources.file(fix.span.file).shipped;
        self.fixes.iter().filter(stands)
    }
}

/// All that is to be said of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// Of those in the list, so that thousands of mistakes are told apart in time.
    hashes: HashSet<u64>,
}

/// What a step of the road gives: its result, or everything that is wrong.
pub type Result<T> = std::result::Result<T, Diagnostics>;

impl Diagnostics {
    /// Adds one, unless the very same was said already (a net that is mentioned twice is told once).
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let new = self.hashes.insert(hash(&diagnostic));
        if new || !self.list.contains(&diagnostic) {
            self.list.push(diagnostic);
        }
    }

    /// Adds all of another run's.
    pub fn extend(&mut self, other: Diagnostics) {
        for diagnostic in other.list {
            self.push(diagnostic);
        }
    }

    /// Whether there is an error among them.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nothing is to be said.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// In the order of the text: by file and place, those without a place last.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut list: Vec<&Diagnostic> = self.list.iter().collect();
        let place = |diagnostic: &Diagnostic| {
            let label = diagnostic.labels.iter().find(|label| label.primary);
            label.map_or((1, None), |label| (0, Some(label.span)))
        };
        list.sort_by_key(|diagnostic| place(diagnostic));
        list
    }

    /// Them all, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// Splits off what is not an error.
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

/// A number and its noun: `1 step`, `3 steps`.
pub fn counted(count: usize, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}
