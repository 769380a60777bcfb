//! Explains parse failures: checks for common mistakes look at the tokens around the failure, and the first match gives the
//! diagnostic.

use super::item_errors::*;
use super::parse_failure::Failure;
use super::token_errors::*;
use crate::diagnostics::{Code, Diagnostic};
use crate::syntax::grammar::Rule;
use crate::syntax::scan::TokenKind;
use crate::syntax::words::{ITEMS, KEYWORDS, span};

/// The diagnostic for a failure.
pub(crate) fn explain(failure: &Failure) -> Diagnostic {
    let checks: [fn(&Failure) -> Option<Diagnostic>; 18] = [
        invalid_character,
        invalid_number,
        string,
        item_keyword,
        capitalized_keyword,
        item_head,
        foreign_operator,
        dotted_name,
        keyword_form,
        unnamed_value,
        spaced_bracket,
        comma_in_parentheses,
        colon,
        bar,
        missing_comma,
        called_twice,
        missing_chain,
        missing_operand,
    ];
    checks.iter().find_map(|check| check(failure)).unwrap_or_else(|| unexpected(failure))
}

/// The forms of `repeat`, `if`, `frozen`, `let`, `share` and `as`.
fn keyword_form(failure: &Failure) -> Option<Diagnostic> {
    let found = failure.found();
    let missing = |what: &str, after: &str, help: &str| {
        Some(failure.error(format!("{what} is missing after {after}"), format!("found {found}")).help(help.to_string()))
    };
    let repeat_form = "write `repeat(3) { … }`, `repeat i in 1..=3 { … }` or `repeat l in [\"b\", \"c\"] { … }`";
    // As in Python: `elif`, and the head of a loop in parentheses.
    if matches!(failure.word(0), "elif" | "elseif" | "elsif") && failure.word(-1) == "}" {
        return Some(
            failure
                .error(format!("there is no `{}`", failure.word(0)), "a keyword of another language")
                .help("write `else if`")
                .fix(failure.here(), failure.word(0), "else if"),
        );
    }
    if failure.word(0) == "in" && failure.word(-2) == "(" && failure.word(-3) == "repeat" {
        let help = format!("write `repeat {} in … {{ … }}`", failure.word(-1));
        return Some(failure.error("the variable of `repeat` must not be in parentheses", "found `in`").help(help));
    }
    // `as c{i}`: a template without quotes.
    if failure.word(0) == "{" && failure.word(-2) == "as" && failure.touches(failure.index) {
        let (name, value) = (failure.word(-1), failure.operand_at(failure.index).unwrap_or("{…}"));
        let diagnostic = failure.error("a name with a value in it must be in quotes", "not part of the name");
        return Some(diagnostic.help(format!("write `as \"{name}{value}\"`")));
    }
    match failure.word(-1) {
        "repeat" if failure.kind(0) == Some(TokenKind::Number) => {
            let help = format!("write `repeat({}) {{ … }}`", failure.word(0));
            return missing("a `(`", "`repeat`", &help);
        }
        "repeat" => return missing("a count or a variable", "`repeat`", repeat_form),
        "frozen" => {
            let net = failure.operand_at(failure.index).unwrap_or("…");
            return missing("a `(`", "`frozen`", &format!("write `frozen({net})`"));
        }
        "else" => return missing("a `{`", "`else`", "write `else { … }`"),
        "as" if failure.after_operand() || failure.kind(-2).is_some() => {
            return missing("a name", "`as`", "write `Relu as name`; names with other characters need quotes");
        }
        "let" | "share" if KEYWORDS.contains(&failure.word(0)) => {
            return Some(
                Diagnostic::new(Code::ReservedName, format!("`{}` is a reserved word", failure.word(0)))
                    .at(failure.here(), "choose another name for this value"),
            );
        }
        word @ ("let" | "share") => {
            return missing("a name", &format!("`{word}`"), &format!("write `{word} name = …`"));
        }
        _ => {}
    }
    if matches!(failure.word(-2), "let" | "share")
        && failure.kind(-1) == Some(TokenKind::Word)
        && !KEYWORDS.contains(&failure.word(-1))
        && failure.expects(Rule::assign)
    {
        let name = failure.word(-1);
        return missing(
            "an `=`",
            &format!("`{} {name}`", failure.word(-2)),
            &format!("write `{} {name} = …`", failure.word(-2)),
        );
    }
    if failure.word(-2) == "repeat" && failure.expects(Rule::kw_in) {
        return missing("`in`", &format!("`repeat {}`", failure.word(-1)), repeat_form);
    }
    if !failure.after_operand() {
        return None;
    }
    // An `if` or `repeat` inside this bracket without a `{`.
    let from = failure.open.last().map_or(0, |index| index + 1);
    let mut index = failure.index;
    while index > from {
        index = failure.opening(index - 1)?;
        match failure.tokens[index].text(failure.source) {
            "{" | "," | "|" | "=" => return None,
            word @ ("if" | "repeat") if failure.tokens[index].kind == TokenKind::Word => {
                let what = if word == "if" { "the condition" } else { "the range of `repeat`" };
                return missing(
                    "a `{`",
                    what,
                    if word == "if" { "write `if a == b { … } else { … }`" } else { repeat_form },
                );
            }
            _ => {}
        }
    }
    None
}

/// `{ x = Relu  x }`, `{ epochs 100 }`.
fn unnamed_value(failure: &Failure) -> Option<Diagnostic> {
    let (brace, sign) = failure.bracket()?;
    if sign != "{" {
        return None;
    }
    let (name, assign) = (failure.tokens.get(brace + 1)?, failure.tokens.get(brace + 2)?);
    if failure.expects(Rule::infix)
        && name.kind == TokenKind::Word
        && assign.is(failure.source, "=")
        && brace + 3 < failure.index
        && !failure.expects(Rule::entry)
    {
        let word = name.text(failure.source);
        return Some(
            Diagnostic::new(Code::Syntax, "a `let` is missing before a value of a block")
                .at(failure.span(*name), "read as the key of a map")
                .and(failure.here(), format!("which cannot continue with {}", failure.found()))
                .help(format!("write `let {word} = …`"))
                .insert(failure.span(*name), "let "),
        );
    }
    let key = failure.word(-1);
    (failure.expects(Rule::assign)
        && !failure.expects(Rule::infix)
        && failure.kind(-1) == Some(TokenKind::Word)
        && failure.word(0) != ":")
        .then(|| {
            failure
                .error(format!("an `=` is missing after `{key}`"), format!("found {}", failure.found()))
                .help(format!("write `{key} = …`"))
                .insert(failure.here(), "= ")
        })
}

/// `f(a b)`, `[a b]`.
fn missing_comma(failure: &Failure) -> Option<Diagnostic> {
    let (index, sign) = failure.bracket()?;
    let listed = failure.is_call(index) || (sign == "[" && !failure.is_cut(index));
    if !listed || !failure.after_operand() || !failure.at_operand() {
        return None;
    }
    let what = if sign == "[" { "two values of a list" } else { "two arguments" };
    let gap = failure
        .token(-1)
        .map_or(failure.here(), |before| span(failure.file, before.end, failure.here().start as usize));
    let mut help = "write a `,` between them".to_string();
    if failure.kind(1) == Some(TokenKind::Symbol) && failure.word(1) != "=" && failure.kind(0) == Some(TokenKind::Word)
    {
        help.push_str("; if one layer feeds the other, write `>>`");
    }
    Some(
        Diagnostic::new(Code::Syntax, format!("a `,` is missing between {what}"))
            .at(if gap.start == gap.end { failure.here() } else { gap }, "missing here")
            .help(help)
            .insert(gap, ","),
    )
}

/// `f(x)(y)`
fn called_twice(failure: &Failure) -> Option<Diagnostic> {
    (failure.word(0) == "(" && failure.touches(failure.index) && matches!(failure.word(-1), ")" | "]")).then(|| {
        failure
            .error("only a name can be called", "this calls a result")
            .help("write all arguments in one pair of parentheses: `f(a, b)`")
    })
}

/// Two layers side by side.
fn missing_chain(failure: &Failure) -> Option<Diagnostic> {
    if !failure.after_operand() || !failure.at_operand() || !failure.expects(Rule::infix) {
        return None;
    }
    if failure.bracket().is_some_and(|(index, _)| failure.is_cut(index)) {
        return None;
    }
    let (left, right) = (failure.operand_before(failure.index), failure.operand_at(failure.index));
    let join = match (left, right) {
        (Some(left), Some(right)) => format!("`{left} >> {right}`"),
        _ => "`a >> b`".to_string(),
    };
    if failure.on_new_line() {
        return Some(
            failure
                .error(
                    format!("unexpected {} after an expression", failure.unexpected()),
                    "no operator connects this line to the previous one",
                )
                .and(
                    failure.token(-1).map_or(failure.here(), |before| failure.span(before)),
                    "the expression ends here",
                )
                .help(format!("to continue the chain, start the line with `>>`: {join}"))
                .insert(failure.here(), ">> "),
        );
    }
    Some(
        failure
            .error(format!("an operator is missing before {}", failure.found()), "no operator connects these two")
            .and(failure.token(-1).map_or(failure.here(), |before| failure.span(before)), "the first ends here")
            .help(format!("if the first feeds the second, write {join}"))
            .insert(failure.here(), ">> "),
    )
}

/// An operator, comma or bracket without an operand after it.
fn missing_operand(failure: &Failure) -> Option<Diagnostic> {
    let wanted = [Rule::expr, Rule::prefix, Rule::operand].iter().any(|&rule| failure.expects(rule));
    let before = failure.word(-1);
    if !wanted || failure.after_operand() && before != "?" || before.is_empty() {
        return None;
    }
    let what = match before {
        ">>" | "|" => "a layer or net",
        "if" => "a condition",
        _ => "a value or layer",
    };
    let diagnostic = failure.error(format!("{what} is missing after `{before}`"), format!("found {}", failure.found()));
    Some(if ITEMS.contains(&failure.word(0)) || KEYWORDS.contains(&failure.word(0)) {
        diagnostic.note(format!(
            "`{}` is a reserved word, allowed only as a key or as the name of an argument",
            failure.word(0)
        ))
    } else {
        diagnostic
    })
}

/// Without a known mistake: what was found and what was expected.
fn unexpected(failure: &Failure) -> Diagnostic {
    let mut words: Vec<&str> = Vec::new();
    for rule in &failure.expected {
        let word = match rule {
            Rule::infix => "an operator such as `>>`",
            Rule::naming | Rule::kw_as => "`as`",
            Rule::expr | Rule::prefix | Rule::operand | Rule::argument => "a value or layer",
            Rule::ident | Rule::word | Rule::parameter => "a name",
            Rule::entry => "an entry `key = value`",
            Rule::layer_name | Rule::cut_end | Rule::index => "the name or index of a layer",
            Rule::assign => "`=`",
            Rule::arrow => "`->`",
            Rule::colon => "`:`",
            Rule::comma => "`,`",
            Rule::bar => "`|`",
            Rule::range => "`..`",
            Rule::open_paren | Rule::parameters => "`(`",
            Rule::close_paren => "`)`",
            Rule::open_square => "`[`",
            Rule::close_square => "`]`",
            Rule::open_brace | Rule::body | Rule::entries => "`{`",
            Rule::close_brace => "`}`",
            Rule::text => "a string in quotes",
            Rule::shape | Rule::shapes | Rule::signature => "a shape such as `(?, 10)`",
            Rule::item | Rule::EOI if failure.lone => "the end",
            Rule::item => "an item",
            Rule::kw_in => "`in`",
            Rule::kw_else => "`else`",
            _ => continue,
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    let label = match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("expected {} or {last}", rest.join(", ")),
        Some((last, _)) => format!("expected {last}"),
        None => "not allowed here".to_string(),
    };
    failure.error(format!("unexpected {}", failure.unexpected()), label)
}
