//! The lines of a formatted file, and its comments: each is written once, in the order of the source.

use std::ops::Range;

/// Lines are broken where they would be longer.
pub(crate) const WIDTH: usize = 100;

/// Columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.chars().count()
}

/// Beyond this column trailing comments are not aligned.
const ALIGNED: usize = 80;

/// One line: code, and the comment behind it.
#[derive(Default)]
struct Line {
    code: String,
    comment: Option<String>,
}

impl Line {
    /// Whether it is neither empty nor a comment only.
    fn holds_code(&self) -> bool {
        let code = self.code.trim_start();
        !code.is_empty() && !code.starts_with('#')
    }
}

/// A page that is being written.
pub(crate) struct Page<'a> {
    source: &'a str,
    comments: Vec<Range<usize>>,
    /// The first comment that is not written yet.
    next: usize,
    lines: Vec<Line>,
    /// Where in the source the last item ended.
    end: usize,
    /// Whether the last item took one line; none where no empty line is wanted after what was written.
    one_line: Option<bool>,
}

impl<'a> Page<'a> {
    /// An empty page for a source with these comments.
    pub fn new(source: &'a str, comments: Vec<Range<usize>>) -> Self {
        Self { source, comments, next: 0, lines: Vec::new(), end: 0, one_line: None }
    }

    /// Writes on the present line. Code never lands behind a comment.
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

    /// Begins a line, after an empty one if `blank`.
    pub fn next_line(&mut self, indent: usize, blank: bool) {
        if blank && self.lines.last().is_some_and(|line| !line.code.is_empty() || line.comment.is_some()) {
            self.lines.push(Line::default());
        }
        self.lines.push(Line { code: " ".repeat(indent), comment: None });
    }

    /// Begins a line, the first one too.
    pub fn start_line(&mut self, indent: usize) {
        if !self.lines.is_empty() {
            self.next_line(indent, false);
        }
    }

    /// The column of the next character.
    pub fn column(&self) -> usize {
        self.lines.last().map_or(0, |line| line.code.chars().count())
    }

    /// Whether an unwritten comment stands before a place.
    pub fn has_comment_before(&self, end: usize) -> bool {
        self.comments.get(self.next).is_some_and(|comment| comment.start < end)
    }

    /// Whether a comment stands in a range.
    pub fn has_comment(&self, range: &Range<usize>) -> bool {
        let first = self.comments.partition_point(|comment| comment.start < range.start);
        self.comments.get(first).is_some_and(|comment| comment.start < range.end)
    }

    /// Whether the author left an empty line before a place.
    pub fn blank_before(&self, place: usize) -> bool {
        let before = &self.source[..place];
        let blanks = &before[before.trim_end().len()..];
        blanks.matches('\n').count() > 1
    }

    /// Writes the comments up to `before`: those of the line that was written last behind it, the others on lines of
    /// their own. What stands before `end`, the end of what was written last, had no better place than behind it.
    pub fn comments(&mut self, end: usize, before: usize, indent: usize, blanks: bool) {
        while let Some(comment) = self.comments.get(self.next).filter(|comment| comment.start < before).cloned() {
            self.next += 1;
            let text = self.source[comment.clone()].trim_end();
            let line_start = self.source[..comment.start].rfind('\n').map_or(0, |at| at + 1);
            let behind = !self.source[line_start..comment.start].trim_start_matches('\u{feff}').trim().is_empty();
            match self.lines.last_mut() {
                Some(line) if (behind || comment.start < end) && line.holds_code() => match &mut line.comment {
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

    /// Writes the comments before an item. Between two items is one empty line, unless both take one line and the author
    /// set them close. Gives the first line of what belongs to the item.
    pub fn item_comments(&mut self, start: usize, follows: bool) -> usize {
        // What stands on the last item's line is its own.
        let end = self.end;
        let line_end = self.source[end..].find('\n').map_or(self.source.len(), |at| end + at);
        if follows {
            self.comments(end, line_end.min(start), 0, true);
        }
        let before = self.lines.len();
        self.comments(end, start, 0, true);
        let blank = self.blank_before(start);
        // The comments that touch the item.
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

    /// After an item whose first line, or that of the comments touching it, is `first`.
    pub fn close_item(&mut self, first: usize, end: usize) {
        let code = self.lines[first..].iter().filter(|line| line.holds_code()).count();
        let one_line = code == 1;
        let apart = first == 0 || self.lines.get(first - 1).is_none_or(|line| line.code.is_empty());
        if !apart && self.one_line.is_some_and(|last_one| !(last_one && one_line)) {
            self.lines.insert(first, Line::default());
        }
        self.end = end;
        self.one_line = Some(one_line);
    }

    /// The comments inside of what was written and not yet placed go behind it.
    pub fn inner_comments(&mut self, end: usize) {
        self.comments(end, end, 0, false);
    }

    /// Remembers the end of what is no item and stands before items.
    pub fn mark(&mut self, end: usize) {
        self.end = end;
    }

    /// The text, with trailing comments of neighbouring lines aligned.
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
                    let gap = if widest <= ALIGNED { widest - width + 2 } else { 2 };
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
