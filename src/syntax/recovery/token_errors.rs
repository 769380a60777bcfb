//! Errors in single tokens: invalid characters, numbers, strings and operators, often from other languages.

use super::parse_failure::Failure;
use crate::diagnostics::{Code, Diagnostic};
use crate::syntax::grammar::Rule;
use crate::syntax::scan::TokenKind;
use crate::syntax::words::{KEYWORDS, span};

/// Characters that the language does not have, mostly from word processors and other languages.
pub(crate) fn invalid_character(failure: &Failure) -> Option<Diagnostic> {
    let c = failure.source.get(failure.at..)?.chars().next()?;
    let here = span(failure.file, failure.at, failure.at + c.len_utf8());
    let code = u32::from(c);
    let invisible = c.is_control() || c.is_whitespace() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{ad}');
    if invisible && !c.is_ascii_whitespace() {
        return Some(
            Diagnostic::new(Code::Syntax, format!("unexpected invisible character U+{code:04X}"))
                .at(here, "not a plain space")
                .help("replace it by a space; it often comes from copied text")
                .fix(here, c, " "),
        );
    }
    if failure.kind(0) != Some(TokenKind::Symbol) {
        return None;
    }
    let help = match c {
        '“' | '”' | '„' | '\'' | '‘' | '’' | '`' | '«' => {
            "strings are written in double quotes: `\"…\"`".to_string()
        }
        '×' => "sizes are written with the letter x: `3x3`".to_string(),
        '→' | '⇒' | '»' | '▷' => "layers are chained with `>>`".to_string(),
        '–' | '—' | '−' => "write the plain minus sign `-`".to_string(),
        '…' => "a range is written with two dots, `..`".to_string(),
        ';' => "remove it: entries and items need no `;`".to_string(),
        '%' if failure.kind(-1) == Some(TokenKind::Number)
            && !matches!(failure.kind(1), Some(TokenKind::Number | TokenKind::Word)) =>
        {
            "write a percentage as a fraction: `0.1` for 10 %".to_string()
        }
        '%' => "there is no remainder operator; `/` of integers must be exact".to_string(),
        '!' if failure.word(0) == "!" => "write `not` to negate a condition".to_string(),
        '&' if failure.word(0) == "&" => {
            "write `and` between conditions, and `|` between branches in parentheses".to_string()
        }
        '^' => "there is no power operator: multiply".to_string(),
        '@' | '$' | '~' | '\\' => String::new(),
        _ if !c.is_ascii() => String::new(),
        _ => return None,
    };
    let named = if c.is_ascii() { format!("`{c}`") } else { format!("`{c}` (U+{code:04X})") };
    let diagnostic =
        Diagnostic::new(Code::Syntax, format!("unexpected character {named}")).at(here, "not part of the language");
    let diagnostic = if help.is_empty() { diagnostic } else { diagnostic.help(help) };
    let replacement = match c {
        '×' => "x",
        '→' | '⇒' | '»' | '▷' => ">>",
        '–' | '—' | '−' => "-",
        '…' => "..",
        ';' => "",
        _ => return Some(diagnostic),
    };
    Some(diagnostic.fix(here, c, replacement))
}

/// Invalid numbers.
pub(crate) fn invalid_number(failure: &Failure) -> Option<Diagnostic> {
    let invalid = |span, written: &str, label: &str, help: String| {
        Diagnostic::new(Code::Literal, format!("invalid number `{written}`")).at(span, label.to_string()).help(help)
    };
    let replaced = |span, written: &str, label: &str, number: String| {
        Some(invalid(span, written, label, format!("write `{number}`")).fix(span, written, number))
    };
    let word = failure.word(0);
    if word == "." && failure.kind(-1) == Some(TokenKind::Number) && failure.touches(failure.index) {
        let digits = failure.word(-1);
        let label = "digits are missing after the decimal point";
        return replaced(failure.both(), &format!("{digits}."), label, format!("{digits}.0"));
    }
    if word == "." && failure.kind(1) == Some(TokenKind::Number) && failure.touches(failure.index + 1) {
        let digits = failure.word(1).to_string();
        let number = failure.token(1).map_or(failure.here(), |next| failure.here().to(failure.span(next)));
        let label = "a digit is missing before the decimal point";
        return replaced(number, &format!(".{digits}"), label, format!("0.{digits}"));
    }
    if failure.kind(0) != Some(TokenKind::Number) || is_number(word) {
        return None;
    }
    if failure.word(-1) == "as" || failure.bracket().is_some_and(|(index, _)| failure.is_cut(index)) {
        return Some(
            failure
                .error(format!("`{word}` is not a valid layer name"), "a name starts with a letter or `_`")
                .help(format!("put it in quotes: `\"{word}\"`"))
                .fix(failure.here(), word, format!("\"{word}\"")),
        );
    }
    let lower = word.to_ascii_lowercase();
    let digits = word.replace('_', "");
    if let Some(hexadecimal) = lower.strip_prefix("0x").filter(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        let value = u64::from_str_radix(hexadecimal, 16).map_or(String::new(), |value| format!(": `{value}`"));
        return Some(invalid(failure.here(), word, "numbers are decimal", format!("write it in decimal{value}")));
    }
    if is_number(&lower) {
        return replaced(failure.here(), word, "sizes are separated by a lower-case x", lower);
    }
    if is_number(&digits) {
        return replaced(failure.here(), word, "numbers must not contain `_`", digits);
    }
    if lower.ends_with('x') {
        let help = format!("write `{word}?` for an open size");
        return Some(invalid(failure.here(), word, "a size is missing after the `x`", help));
    }
    let help = "integers are `64`, floats `0.5` or `1e-3`, sizes `3x3`; a name starts with a letter";
    Some(invalid(failure.here(), word, "digits and letters are mixed", help.into()))
}

/// Whether it is an integer, a float or sizes in the grammar.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split('x').all(|size| digits(size) || size == "?") || {
        let (mantissa, exponent) =
            text.split_once(['e', 'E']).map_or((text, None), |(mantissa, exponent)| (mantissa, Some(exponent)));
        let is_valid = |exponent: &str| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
        exponent.is_none_or(is_valid)
            && mantissa.split_once('.').map_or(digits(mantissa), |(whole, part)| digits(whole) && digits(part))
    }
}

/// Errors inside strings.
pub(crate) fn string(failure: &Failure) -> Option<Diagnostic> {
    if failure.kind(0) == Some(TokenKind::Chars) {
        return Some(
            Diagnostic::new(Code::Literal, "unmatched `}` in a string")
                .at(span(failure.file, failure.at, failure.at + 1), "no `{` is open here")
                .help("write `}}` for a brace")
                .fix(span(failure.file, failure.at, failure.at + 1), "}", "}}"),
        );
    }
    let (brace, sign) = failure.bracket()?;
    let inside = sign == "{"
        && failure.open.len() > 1
        && failure.tokens[failure.open[failure.open.len() - 2]].kind == TokenKind::OpenQuote;
    if !inside {
        return None;
    }
    let message = if brace + 1 == failure.index {
        "a value is missing between these braces".to_string()
    } else {
        format!("unexpected {} in the template of a string", failure.unexpected())
    };
    Some(
        failure
            .error(message, "in a string")
            .and(failure.span(failure.tokens[brace]), "the template starts here")
            .help("`{name}` inserts a value into a string; write `{{` and `}}` for braces"),
    )
}

/// Operators of other languages.
pub(crate) fn foreign_operator(failure: &Failure) -> Option<Diagnostic> {
    let (before, found, after) = (failure.word(-1), failure.word(0), failure.word(1));
    if found == "/" && matches!(after, "/" | "*") {
        return Some(
            failure
                .error(format!("there is no `/{after}`"), "a comment of another language")
                .help("a comment starts with `#`"),
        );
    }
    if found == ">" && matches!(before, "|" | ">" | "-" | ">>" | "=") {
        return Some(
            Diagnostic::new(Code::Syntax, format!("unknown operator `{before}>`"))
                .at(failure.both(), "not an operator of the language")
                .help("layers are chained with `>>`")
                .fix(failure.both(), format!("{before}>"), ">>"),
        );
    }
    if found == "*" && before == "*" {
        return Some(
            Diagnostic::new(Code::Syntax, "unknown operator `**`")
                .at(failure.both(), "not an operator of the language")
                .help("there is no power operator; multiply: `n * n`"),
        );
    }
    if found == "/" && before == "/" {
        return Some(
            Diagnostic::new(Code::Syntax, "unknown operator `//`")
                .at(failure.both(), "not an operator of the language")
                .help("integer division is `/` and must be exact; a comment starts with `#`"),
        );
    }
    let (help, replacement) = match found {
        "&&" => ("write `and` between conditions", "and"),
        "->" | "=>" => ("layers are chained with `>>`", ">>"),
        "|" | "=" if after == ">" => ("layers are chained with `>>`", ""),
        ":=" => ("values are assigned with `=`", "="),
        "||" => ("write `or` between conditions, and one `|` between branches in parentheses", ""),
        "**" => ("there is no power operator; multiply: `n * n`", ""),
        "==" if failure.expects(Rule::assign) => ("values are assigned with a single `=`", "="),
        "=" if failure.expects(Rule::infix) && !failure.expects(Rule::assign) => {
            return Some(failure.error("unexpected `=`", "there is nothing to assign to").help(
                "write `==` to compare, `net NAME = …` to name a net, `let NAME = …` to name a value of a block",
            ));
        }
        _ => return None,
    };
    let diagnostic = failure.error(format!("unexpected `{found}`"), "not an operator here").help(help);
    Some(if replacement.is_empty() { diagnostic } else { diagnostic.fix(failure.here(), found, replacement) })
}

/// `nn.ReLU()`, `vgg16.h5`: words with a dot between them.
pub(crate) fn dotted_name(failure: &Failure) -> Option<Diagnostic> {
    let words = failure.kind(-1) == Some(TokenKind::Word) && failure.kind(1) == Some(TokenKind::Word);
    if failure.word(0) != "." || !words || !failure.touches(failure.index) || !failure.touches(failure.index + 1) {
        return None;
    }
    let (first, last) = (failure.word(-1), failure.word(1));
    let whole = format!("{first}.{last}");
    let file =
        matches!(last, "h5" | "hdf5" | "keras" | "safetensors" | "txt" | "csv" | "npy" | "npz" | "net" | "jpg" | "png");
    let help = match file {
        true => format!("write the name of a file in quotes: `\"{whole}\"`"),
        false => {
            format!(
                "write layers without a prefix: `{last}`; a dot is allowed only in layer names, after `as` and in cuts"
            )
        }
    };
    let name = failure.both().to(failure.token(1).map_or(failure.here(), |token| failure.span(token)));
    Some(
        Diagnostic::new(Code::Syntax, format!("`{whole}` is not a valid name"))
            .at(name, "a name consists of letters, digits and `_`")
            .help(help),
    )
}

/// `Conv (3x3)`, `vgg16 [..3]`: the bracket must touch the name.
pub(crate) fn spaced_bracket(failure: &Failure) -> Option<Diagnostic> {
    let inside = failure
        .bracket()
        .filter(|(index, _)| failure.word(0) == "," && !failure.is_call(*index))
        .map(|(index, _)| index);
    let after = failure
        .index
        .checked_sub(1)
        .filter(|&index| failure.tokens[index].is(failure.source, ")"))
        .and_then(|index| failure.opening(index));
    let index = [Some(failure.index), inside, after].into_iter().flatten().find(|&index| {
        let Some(token) = failure
            .tokens
            .get(index)
            .filter(|token| matches!(token.text(failure.source), "(" | "[") && token.kind == TokenKind::Symbol)
        else {
            return false;
        };
        let Some(before) = index.checked_sub(1).map(|index| failure.tokens[index]) else { return false };
        let gap = failure.source.get(before.end..token.start).unwrap_or("");
        let named = before.kind == TokenKind::Word && !KEYWORDS.contains(&before.text(failure.source));
        let cut = token.is(failure.source, "[") && matches!(before.text(failure.source), ")" | "]");
        (named || cut) && !gap.is_empty() && !gap.contains('\n')
    })?;
    let (name, bracket) = (failure.tokens[index - 1], failure.tokens[index]);
    let (text, sign) = (name.text(failure.source), bracket.text(failure.source));
    let what = if sign == "(" { "a call" } else { "a cut" };
    Some(
        Diagnostic::new(Code::Syntax, format!("unexpected space before the `{sign}` of {what}"))
            .at(span(failure.file, name.start, bracket.end), "no space is allowed here")
            .fix(
                span(failure.file, name.end, bracket.start),
                failure.source.get(name.end..bracket.start).unwrap_or(""),
                "",
            )
            .help(if name.kind == TokenKind::Word {
                format!("write `{text}{sign}…`")
            } else {
                format!("write `{text}{sign}…` without the space")
            }),
    )
}

/// `(3, 3, 64)`, `(a, b)`: parentheses group, or contain branches.
pub(crate) fn comma_in_parentheses(failure: &Failure) -> Option<Diagnostic> {
    let (index, sign) = failure.bracket()?;
    if failure.word(0) != "," || sign != "(" || failure.is_call(index) {
        return None;
    }
    let mut inside = failure.tokens[index + 1..].iter().take_while(|token| !token.is(failure.source, ")"));
    let end = inside.clone().last().map_or(0, |token| token.end);
    let numeric =
        inside.all(|token| token.kind == TokenKind::Number || matches!(token.text(failure.source), "," | "-" | "?"));
    let list = failure.source.get(failure.tokens[index].end..end).unwrap_or("").trim().trim_end_matches(',');
    let numbers: Vec<&str> = list.split(',').map(str::trim).collect();
    let whole = numbers.iter().all(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let function = (index > 1 && failure.is_call(index - 1)).then(|| failure.tokens[index - 2].text(failure.source));
    let help = match (numeric, whole, numbers.len()) {
        (true, _, 1) => format!("write `{list}` alone"),
        (true, true, 3) if function.is_some_and(|name| name.starts_with("Conv")) => {
            format!(
                "write the kernel size and the filters as two arguments: `{}x{}, {}`",
                numbers[0], numbers[1], numbers[2]
            )
        }
        (true, true, _) => format!("sizes are written `{}`, lists `[{list}]`", numbers.join("x")),
        (true, false, _) => format!("a list is written `[{list}]`"),
        (false, ..) => "write branches with `|`, `(a | b)`, and lists as `[a, b]`".to_string(),
    };
    Some(
        failure
            .error("unexpected `,` in parentheses", "they contain one value, or branches")
            .and(failure.span(failure.tokens[index]), "opened here")
            .help(help),
    )
}

/// `stride: 2`, `epochs: 100`, and errors after a `:`.
pub(crate) fn colon(failure: &Failure) -> Option<Diagnostic> {
    if failure.expects(Rule::arrow) {
        return Some(
            failure
                .error("a `->` is missing in the signature", format!("found {}", failure.found()))
                .help("write `(?, h, w, c) -> (?, n)`"),
        );
    }
    if failure.word(-1) == ":" && failure.open.is_empty() {
        return Some(
            failure
                .error("a shape is missing after `:`", format!("found {}", failure.found()))
                .help("write a signature as `(?, h, w, c) -> (?, n)`, and the body of a net after `=`"),
        );
    }
    if failure.word(0) != ":" {
        return None;
    }
    let word = failure.word(-1);
    if failure.bracket().is_some_and(|(index, _)| index > 1 && failure.tokens[index - 2].is(failure.source, "net")) {
        return Some(
            failure
                .error("parameters have no types", "only the net has a signature")
                .help(format!("write `{word}` alone, or `{word}=…` for a default")),
        );
    }
    // The fix also changes the space after the colon, to the canonical `stride=2` or `epochs = 100`.
    let end = failure.token(1).map_or(failure.here().end as usize, |next| next.start);
    let colon = span(failure.file, failure.here().start as usize, end);
    let equals = if failure.bracket().is_some_and(|(_, sign)| sign == "{") { " = " } else { "=" };
    let diagnostic = failure.error("unexpected `:`", "values are assigned with `=`").fix(
        colon,
        failure.source.get(colon.range()).unwrap_or(""),
        equals,
    );
    Some(match failure.bracket() {
        Some((index, _)) if failure.is_cut(index) => failure
            .error("unexpected `:` in a cut", "a range is written with `..`")
            .help("`[..a]` ends before a, `[..=a]` includes it, `[a..]` starts at a")
            .fix(failure.here(), ":", ".."),
        Some(_) if failure.kind(-1) == Some(TokenKind::Word) => diagnostic.help(format!("write `{word} = …`")),
        Some(_) => diagnostic.help("write `\"key\" = value`"),
        None => failure
            .error("unexpected `:`", "only a signature starts with `:`")
            .help("a signature follows the name and parameters of a net: `net f(n): (?, h) -> (?, n) = …`"),
    })
}

/// `a | b` without parentheses.
pub(crate) fn bar(failure: &Failure) -> Option<Diagnostic> {
    (failure.word(0) == "|" && failure.after_operand()).then(|| {
        failure
            .error("`|` is allowed only directly inside parentheses", "branches without parentheses")
            .help("write `(a | b) >> Concatenate`")
    })
}
