//! The output of the formatter: lines of code with the comments of the source, each written once and in source order.

use std::ops::Range;

/// The line width, in columns.
pub(crate) const WIDTH: usize = 100;

/// The width of a text, in columns.
pub(crate) fn width(text: &str) -> usize {
    text.chars().count()
}

/// The column beyond which trailing comments are not aligned.
const MAX_ALIGNED: usize = 80;

/// A line of code with its trailing comment.
#[derive(Default)]
struct Line {
    code: String,
    comment: Option<String>,
}

impl Line {
    /// Whether it is neither empty nor a comment.
    fn has_code(&self) -> bool {
        let code = self.code.trim_start();
        !code.is_empty() && !code.starts_with('#')
    }
}

/// The output that is being written.
pub(crate) struct Page<'a> {
    source: &'a str,
    comments: Vec<Range<usize>>,
    /// The first comment that is not written yet.
    next: usize,
    lines: Vec<Line>,
    /// The end of the last item in the source.
    end: usize,
    /// Whether the last item took one line; `None` if no empty line is needed after the output so far.
    one_line: Option<bool>,
}

impl<'a> Page<'a> {
    /// An empty output for a source with these comments.
    pub fn new(source: &'a str, comments: Vec<Range<usize>>) -> Self {
        Self { source, comments, next: 0, lines: Vec::new(), end: 0, one_line: None }
    }

    /// Appends to the current line, or to a new one after a trailing comment.
    pub fn push(&mut self, text: &str) {
        match self.lines.last_mut() {
            Some(line) if line.comment.is_none() => line.code.push_str(text),
            Some(line) => {
                let indent = line.code.len() - line.code.trim_start().len();
                let code = format!("{}{}", " ".repeat(indent), text.trim_start());
                self.lines.push(Line { code, comment: None });
            }
            None => self.lines.push(Line { code: text.to_string(), comment: None }),
        }
    }

    /// Starts a line, after an empty one if `blank`.
    pub fn next_line(&mut self, indent: usize, blank: bool) {
        if blank && self.lines.last().is_some_and(|line| !line.code.is_empty() || line.comment.is_some()) {
            self.lines.push(Line::default());
        }
        self.lines.push(Line { code: " ".repeat(indent), comment: None });
    }

    /// Starts a line unless the output is empty.
    pub fn start_line(&mut self, indent: usize) {
        if !self.lines.is_empty() {
            self.next_line(indent, false);
        }
    }

    /// The current column.
    pub fn column(&self) -> usize {
        self.lines.last().map_or(0, |line| line.code.chars().count())
    }

    /// Whether there is an unwritten comment before an offset.
    pub fn has_comment_before(&self, end: usize) -> bool {
        self.comments.get(self.next).is_some_and(|comment| comment.start < end)
    }

    /// Whether there is a comment in a range.
    pub fn has_comment(&self, range: &Range<usize>) -> bool {
        let first = self.comments.partition_point(|comment| comment.start < range.start);
        self.comments.get(first).is_some_and(|comment| comment.start < range.end)
    }

    /// Whether the author left an empty line before an offset.
    pub fn blank_before(&self, offset: usize) -> bool {
        let before = &self.source[..offset];
        let whitespace = &before[before.trim_end().len()..];
        whitespace.matches('\n').count() > 1
    }

    /// Writes the comments up to `before`: trailing ones after the last line, the others on lines of their own. Comments
    /// before `end`, the end of the last written code, become trailing too.
    pub fn comments(&mut self, end: usize, before: usize, indent: usize, blanks: bool) {
        while let Some(comment) = self.comments.get(self.next).filter(|comment| comment.start < before).cloned() {
            self.next += 1;
            let text = self.source[comment.clone()].trim_end();
            let line_start = self.source[..comment.start].rfind('\n').map_or(0, |at| at + 1);
            let is_trailing = !self.source[line_start..comment.start].trim_start_matches('\u{feff}').trim().is_empty();
            match self.lines.last_mut() {
                Some(line) if (is_trailing || comment.start < end) && line.has_code() => match &mut line.comment {
                    Some(present) => *present = format!("{present} {text}"),
                    None => line.comment = Some(text.to_string()),
                },
                Some(_) => {
                    self.next_line(indent, blanks && self.blank_before(comment.start));
                    self.push(text);
                }
                None => self.push(text),
            }
        }
    }

    /// Writes the comments before an item. There is one empty line between two items, unless both take one line and the
    /// author left none. Returns the first line that belongs to the item.
    pub fn item_comments(&mut self, start: usize, follows: bool) -> usize {
        // Comments on the line of the last item belong to it.
        let end = self.end;
        let line_end = self.source[end..].find('\n').map_or(self.source.len(), |at| end + at);
        if follows {
            self.comments(end, line_end.min(start), 0, true);
        }
        let before = self.lines.len();
        self.comments(end, start, 0, true);
        let blank = self.blank_before(start);
        // The comments directly above the item.
        let mut first = self.lines.len();
        while !blank && first > before && !self.lines[first - 1].code.is_empty() {
            first -= 1;
        }
        if self.lines.is_empty() {
            return 0;
        }
        self.next_line(0, blank);
        if blank { self.lines.len() - 1 } else { first }
    }

    /// Ends an item whose first line, or that of the comments directly above it, is `first`.
    pub fn close_item(&mut self, first: usize, end: usize) {
        let code = self.lines[first..].iter().filter(|line| line.has_code()).count();
        let one_line = code == 1;
        let apart = first == 0 || self.lines.get(first - 1).is_none_or(|line| line.code.is_empty());
        if !apart && self.one_line.is_some_and(|last_one| !(last_one && one_line)) {
            self.lines.insert(first, Line::default());
        }
        self.end = end;
        self.one_line = Some(one_line);
    }

    /// Writes the remaining comments inside the last written code as trailing comments.
    pub fn inner_comments(&mut self, end: usize) {
        self.comments(end, end, 0, false);
    }

    /// Records the end of the edition or of an expression without an item.
    pub fn mark(&mut self, end: usize) {
        self.end = end;
    }

    /// The output, with trailing comments of adjacent lines aligned.
    pub fn finish(self) -> String {
        let mut out = String::new();
        let indent = |line: &Line| line.code.len() - line.code.trim_start().len();
        let mut index = 0;
        while index < self.lines.len() {
            let run = self.lines[index..]
                .iter()
                .take_while(|line| line.comment.is_some() && indent(line) == indent(&self.lines[index]))
                .count();
            let widest = self.lines[index..index + run]
                .iter()
                .map(|line| line.code.trim_end().chars().count())
                .max()
                .unwrap_or(0);
            for line in &self.lines[index..index + run.max(1)] {
                let code = line.code.trim_end();
                out.push_str(code);
                if let Some(comment) = &line.comment {
                    let width = code.chars().count();
                    let gap = if widest <= MAX_ALIGNED { widest - width + 2 } else { 2 };
                    out.push_str(&" ".repeat(gap));
                    out.push_str(comment);
                }
                out.push('\n');
            }
            index += run.max(1);
        }
        out
    }
}
