//! Errors at the start of an item: its keyword, its name, its `=` or `{`.

use super::parse_failure::Failure;
use crate::diagnostics::{Code, Diagnostic, suggest};
use crate::syntax::grammar::Rule;
use crate::syntax::scan::{Token, TokenKind};
use crate::syntax::words::{ITEMS, KEYWORDS, span};

/// A word in place of the keyword of an item.
pub(crate) fn item_keyword(failure: &Failure) -> Option<Diagnostic> {
    let ended = [Rule::infix, Rule::item, Rule::EOI].iter().any(|&rule| failure.expects(rule));
    let at_start =
        failure.index == 0 || (ended && failure.after_operand() && failure.open.is_empty() && failure.on_new_line());
    let first = if at_start { failure.token(0)? } else { *failure.tokens.first()? };
    let word = first.text(failure.source);
    if first.kind != TokenKind::Word || ITEMS.contains(&word) || failure.lone {
        return None;
    }
    let start = if at_start { failure.index } else { 0 };
    let next = |distance: usize| failure.tokens.get(start + distance).map_or("", |token| token.text(failure.source));
    let is_name = |token: &Token| token.kind == TokenKind::Word && !KEYWORDS.contains(&token.text(failure.source));
    let names = failure.tokens.get(start + 1).is_some_and(is_name);
    let item = |message: String, label: &str| {
        Some(Diagnostic::new(Code::Syntax, message).at(failure.span(first), label.to_string()))
    };
    if word == "netc" && failure.tokens.get(start + 1).is_some_and(|token| token.kind == TokenKind::Number) {
        return if start == 0 && failure.source[..first.start].trim().is_empty() {
            None
        } else {
            item("the edition is allowed only once, at the start of a file".into(), "not allowed between items")
                .map(|diagnostic| diagnostic.help(format!("move `netc {}` to the first line", next(1))))
        };
    }
    if next(1) == "=" || next(1) == ":=" {
        return item(format!("unexpected `{word}`"), "an item starts with a keyword")
            .map(|diagnostic| diagnostic.help(format!("write `net {word} = …` to define a net")))
            .map(|diagnostic| diagnostic.insert(failure.span(first), "net "));
    }
    if names && matches!(next(2), "=" | "(" | "{" | ":" | ":=") {
        let keyword = match word {
            "let" | "share" => {
                return item(format!("`{word}` is allowed only in a block"), "not allowed between items")
                    .map(|diagnostic| diagnostic.help(format!("write `net {} = …` here", next(1))))
                    .map(|diagnostic| diagnostic.fix(failure.span(first), word, "net"));
            }
            "import" | "include" | "from" | "load" => Some("use"),
            "def" | "fn" | "func" | "fun" | "function" | "model" | "network" | "module" | "class" | "layer"
            | "const" | "var" | "define" => Some("net"),
            "pretrained" | "params" | "checkpoint" => Some("weights"),
            "classes" | "names" => Some("labels"),
            "training" | "fit" | "recipe" => Some("train"),
            "assert" | "check" | "test" | "promise" => Some("expect"),
            _ => suggest::nearest(word, ITEMS),
        };
        return item(format!("unknown item `{word}`"), "not the keyword of an item").map(|diagnostic| match keyword {
            Some(keyword) => {
                diagnostic.help(format!("write `{keyword} {} …`", next(1))).fix(failure.span(first), word, keyword)
            }
            None => diagnostic.help(format!("items start with {}", suggest::one_of(ITEMS))),
        });
    }
    if matches!(word, "import" | "include") && failure.index <= start + 1 {
        return item(format!("unknown item `{word}`"), "not the keyword of an item")
            .map(|diagnostic| diagnostic.help("write `use \"file.net\"`"));
    }
    None
}

/// `Repeat`, `NET`: reserved words are lower case.
pub(crate) fn capitalized_keyword(failure: &Failure) -> Option<Diagnostic> {
    let before = (failure.index.saturating_sub(1)..=failure.index).rev();
    let call =
        failure.index.checked_sub(1).and_then(|index| failure.opening(index)).and_then(|index| index.checked_sub(1));
    before.chain(call).find_map(|index| {
        let token = *failure.tokens.get(index)?;
        let word = token.text(failure.source);
        let lower = word.to_lowercase();
        (token.kind == TokenKind::Word && lower != word && KEYWORDS.contains(&lower.as_str())).then(|| {
            Diagnostic::new(Code::Syntax, format!("`{word}` must be lower case"))
                .at(failure.span(token), "a reserved word")
                .help(format!("write `{lower}`"))
                .fix(failure.span(token), word, lower)
        })
    })
}

/// The head of an item: its name, its `=` or `{`.
pub(crate) fn item_head(failure: &Failure) -> Option<Diagnostic> {
    if failure.lone {
        return None;
    }
    let start = (0..failure.index.min(failure.tokens.len())).rev().find(|&index| {
        ITEMS.contains(&failure.tokens[index].text(failure.source)) && failure.tokens[index].kind == TokenKind::Word
    })?;
    let word = failure.tokens[start].text(failure.source);
    let form = match word {
        "use" => "use \"blocks.net\"",
        "net" => "net NAME = …",
        "weights" => "weights NAME = \"file.h5\"",
        "labels" => "labels NAME = \"file.txt\"",
        "train" => "train NAME { … }",
        "expect" if failure.index == start + 2 => "expect NAME: (?, 224, 224, 3) -> (?, 10)",
        _ => return None,
    };
    let name = failure.tokens.get(start + 1).map_or("", |token| token.text(failure.source));
    let found = failure.word(0);
    match (failure.index - start, word) {
        (1, "use") => {
            let bare = failure.kind(0) == Some(TokenKind::Word);
            let mut end = failure.index;
            while failure.tokens.get(end + 1).is_some() && failure.touches(end + 1) {
                end += 1;
            }
            let path =
                failure.tokens.get(end).and_then(|last| failure.source.get(failure.here().start as usize..last.end));
            let diagnostic = failure.error("`use` needs a file name in quotes", format!("found {}", failure.found()));
            Some(match path.filter(|_| bare) {
                Some(path) => diagnostic.help(format!("write `use \"{path}\"`")).fix(
                    failure.here().head(path.len()),
                    path,
                    format!("\"{path}\""),
                ),
                None => diagnostic.help(format!("write `{form}`")),
            })
        }
        (1, _) if KEYWORDS.contains(&found) => Some(
            Diagnostic::new(Code::ReservedName, format!("`{found}` is a reserved word"))
                .at(failure.here(), "choose another name for this net"),
        ),
        (1, _) => Some(
            failure
                .error(format!("a name is missing after `{word}`"), format!("found {}", failure.found()))
                .help(format!("write `{form}`")),
        ),
        (2, _) if matches!(found, "-" | "/" | ".") && failure.touches(failure.index) => {
            let mut end = failure.index;
            while failure.tokens.get(end + 1).is_some()
                && failure.touches(end + 1)
                && !matches!(failure.tokens[end + 1].text(failure.source), "(" | "=" | "{" | ":")
            {
                end += 1;
            }
            let from = failure.tokens[start + 1].start;
            let written = failure.source.get(from..failure.tokens[end].end)?;
            let valid: String =
                written.chars().map(|c| if crate::syntax::scan::in_word(c) { c } else { '_' }).collect();
            let name = span(failure.file, from, failure.tokens[end].end);
            Some(
                Diagnostic::new(Code::Syntax, format!("`{written}` is not a valid name for a net"))
                    .at(name, format!("a name consists of letters, digits and `_`; found `{found}`"))
                    .help(format!("write `{valid}`; only names of layers may contain `-`, `/` and `.`"))
                    .fix(name, written, valid),
            )
        }
        (2, "train") if found == "=" => Some(
            failure
                .error("unexpected `=` before a recipe", "not needed here")
                .help("write `train NAME { key = value … }`"),
        ),
        (2, "expect") if found == "(" && !failure.touches(failure.index) => Some(
            failure
                .error(format!("a `:` is missing after `expect {name}`"), "found `(`")
                .help(format!("write `{form}`")),
        ),
        (2, "train") => Some(
            failure
                .error(format!("a `{{` is missing after `train {name}`"), format!("found {}", failure.found()))
                .help("write the entries of the recipe in braces: `train NAME { key = value … }`"),
        ),
        (2, _) if matches!(found, "==" | ":=" | "->" | "=>" | "{" | "") || failure.at_operand() && found != "(" => {
            let diagnostic = failure
                .error(format!("an `=` is missing after `{word} {name}`"), format!("found {}", failure.found()))
                .help(format!("write `{form}`"));
            Some(match found {
                "==" | ":=" | "->" | "=>" => diagnostic.fix(failure.here(), found, "="),
                "{" | "" => diagnostic,
                _ => diagnostic.insert(failure.here(), "= "),
            })
        }
        _ => None,
    }
}
