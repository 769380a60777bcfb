//! Completions in bash: its words are those of the line, with the quotes that are typed and cut at `=` and `:`, so the program
//! takes the line apart itself.

use clap::Command;
use clap_complete::engine::complete;
use clap_complete::env::EnvCompleter;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

/// `LC_ALL=C` makes the shell count bytes, as COMP_POINT does.
const SCRIPT: &str = r#"_NAME() {
    local IFS=$'\n' LC_ALL=C
    COMPREPLY=($(VAR=bash COMPLETER -- "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null))
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[/=.] ]]; then
        compopt -o nospace
    fi
}
complete -o nosort -F _NAME BIN 2>/dev/null || complete -F _NAME BIN
"#;

/// Bash, from version 4.
pub struct Bash;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        "bash"
    }

    fn is(&self, name: &str) -> bool {
        name == "bash"
    }

    fn write_registration(
        &self,
        variable: &str,
        name: &str,
        program: &str,
        completer: &str,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let script = SCRIPT.replace("NAME", name).replace("VAR", variable);
        out.write_all(script.replace("BIN", program).replace("COMPLETER", completer).as_bytes())
    }

    fn write_complete(
        &self,
        program: &mut Command,
        args: Vec<OsString>,
        folder: Option<&Path>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let text = |index: usize| args.get(index).map(|arg| arg.to_string_lossy().into_owned()).unwrap_or_default();
        let (line, current) = (text(0), text(1));
        let Line { words, quote } = Line::of(&line);
        let typed = words.last().cloned().unwrap_or_default();
        // The shell replaces the part of the word after the last break.
        let replaced = Line::of(&current).words.pop().unwrap_or_default();
        let kept = typed.strip_suffix(&replaced).unwrap_or_default();
        let last = words.len().saturating_sub(1);
        let words = words.into_iter().map(OsString::from).collect();
        for candidate in complete(program, words, last, folder)? {
            let value = candidate.get_value().to_string_lossy();
            let Some(rest) = value.strip_prefix(kept) else { continue };
            match quote {
                Some(_) => writeln!(out, "{rest}")?,
                None => writeln!(out, "{}", escaped(rest))?,
            }
        }
        Ok(())
    }
}

/// A line of the shell up to the cursor.
#[derive(Debug, PartialEq)]
struct Line {
    /// Its words without quotes; the last one ends at the cursor.
    words: Vec<String>,
    /// The quote that is open at the cursor.
    quote: Option<char>,
}

impl Line {
    fn of(line: &str) -> Self {
        let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
        let mut chars = line.chars();
        let mut is_open = false;
        while let Some(c) = chars.next() {
            match (quote, c) {
                (None, c) if c.is_whitespace() => {
                    if std::mem::take(&mut is_open) {
                        words.push(std::mem::take(&mut word));
                    }
                    continue;
                }
                (None, '\'' | '"') => quote = Some(c),
                (Some(open), c) if open == c => quote = None,
                (None | Some('"'), '\\') => word.extend(chars.next()),
                (_, c) => word.push(c),
            }
            is_open = true;
        }
        words.push(word);
        Line { words, quote }
    }
}

/// A word with a backslash before each sign that the shell would not take as it is.
fn escaped(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        if c.is_whitespace() || "\\'\"$`&|;<>()!*?#".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_by_the_shell() {
        let split = |line: &str| {
            let Line { words, quote } = Line::of(line);
            (words.join("|"), quote)
        };
        assert_eq!(split("netc show 'vgg16[..=co"), ("netc|show|vgg16[..=co".into(), Some('\'')));
        assert_eq!(split("netc  show \"a b\" "), ("netc|show|a b|".into(), None));
        assert_eq!(split("netc show a\\ b"), ("netc|show|a b".into(), None));
        assert_eq!(split("netc check ''"), ("netc|check|".into(), None));
        assert_eq!(split("a 'b\\c' \"d\\\"e"), ("a|b\\c|d\"e".into(), Some('"')));
        assert_eq!(split(""), ("".into(), None));
    }

    #[test]
    fn words_are_escaped() {
        assert_eq!(escaped("a b/ü(1).net"), "a\\ b/ü\\(1\\).net");
        assert_eq!(escaped("vgg16[..=conv1_1]"), "vgg16[..=conv1_1]");
    }
}
