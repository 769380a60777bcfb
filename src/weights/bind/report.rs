//! The report of what was bound.

use crate::diagnostics::counted;
use std::fmt;

/// What was bound from one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileReport {
    pub file: String,
    pub layout: String,
    pub tensors: usize,
    pub values: usize,
    /// Tensors of layers that are not in the net, and those layers.
    pub unused: usize,
    pub unused_layers: Vec<String>,
    /// Conversions and remarks.
    pub notes: Vec<String>,
}

impl FileReport {
    /// Adds a note unless it is there already.
    pub(crate) fn add_note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// What was bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub files: Vec<FileReport>,
    /// Parameters that are not bound, and their layers in order.
    pub untrained: usize,
    pub untrained_layers: Vec<String>,
    /// Every parameter, its shape and where it comes from.
    pub(crate) lines: Vec<(String, String, String)>,
}

impl fmt::Display for Report {
    /// Every parameter with its shape and source: what `netc build --emit weights` prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |pick: fn(&(String, String, String)) -> &String| {
            self.lines.iter().map(|line| pick(line).chars().count()).max().unwrap_or(0)
        };
        let (first, second) = (width(|line| &line.0), width(|line| &line.1));
        for (path, shape, from) in &self.lines {
            writeln!(f, "{path:first$}  {shape:second$}  {from}")?;
        }
        for file in &self.files {
            writeln!(f, "{file}")?;
        }
        let total = self.lines.len();
        writeln!(f, "{} of {total} parameters bound, {} untrained", total - self.untrained, self.untrained)
    }
}

impl fmt::Display for FileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}) {}, {}",
            self.file,
            self.layout,
            counted(self.tensors, "tensor"),
            counted(self.values, "parameter")
        )?;
        if self.unused > 0 {
            write!(f, "; {} not used ({})", self.unused, shortened(&self.unused_layers))?;
        }
        for note in &self.notes {
            write!(f, "; {note}")?;
        }
        Ok(())
    }
}

/// The first few names, and how many there are.
pub fn shortened(names: &[String]) -> String {
    match names.len() {
        0..=4 => names.join(", "),
        more => format!("{}, … {} in all", names[..3].join(", "), more),
    }
}
