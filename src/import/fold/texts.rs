//! The names of layers in a piece: what they have in common, and what tells them from those of another piece.

use crate::import::tree::{Part, Text};

/// Around the name of a parameter in a text that is compared; the variable of a repeat inside the piece has another sign.
const PARAMETER: char = '\u{1}';
const VARIABLE: char = '\u{3}';
const END: char = '\u{2}';

/// A text as characters.
pub(super) fn encoded(text: &Text, variables: &[String]) -> String {
    let mut out = String::new();
    for part in text {
        match part {
            Part::Literal(literal) => out.push_str(literal),
            Part::Parameter(name) => {
                out.push(if variables.contains(name) { VARIABLE } else { PARAMETER });
                out.push_str(name);
                out.push(END);
            }
            Part::Sum(name, more) => {
                out.push(if variables.contains(name) { VARIABLE } else { PARAMETER });
                // Between two parts of a parameter's name there is no plus.
                out.push_str(&format!("{name}+{more}"));
                out.push(END);
            }
        }
    }
    out
}

/// The text of such characters.
pub(super) fn decoded(text: &str) -> Text {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find([PARAMETER, VARIABLE]) {
        if at > 0 {
            parts.push(Part::Literal(rest[..at].into()));
        }
        let end = rest[at..].find(END).map_or(rest.len(), |end| at + end);
        let name = &rest[at + 1..end];
        parts.push(match name.split_once('+').and_then(|(name, more)| Some((name, more.parse().ok()?))) {
            Some((name, more)) => Part::Sum(name.into(), more),
            None => Part::Parameter(name.into()),
        });
        rest = rest.get(end + 1..).unwrap_or("");
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.into()));
    }
    parts
}

/// Whether a text has a parameter of the net around it.
pub(super) fn has_parameter(text: &str) -> bool {
    text.contains(PARAMETER)
}

/// A part of a text: a number, a letter that counts after one (`4b`), or anything else.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(i64),
    Letter(char),
    Other(String),
}

/// A text as numbers and what is between; the names of parameters are no numbers.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut rest, mut inside) = (text, false);
    while !rest.is_empty() {
        let digit = |c: char| c.is_ascii_digit();
        let digits = if inside { 0 } else { rest.len() - rest.trim_start_matches(digit).len() };
        let end = match digits {
            0 if inside => rest.find(END).map_or(rest.len(), |at| at + END.len_utf8()),
            0 => rest.find(|c| digit(c) || c == PARAMETER || c == VARIABLE).filter(|&at| at > 0).unwrap_or(match rest
                .starts_with([PARAMETER, VARIABLE])
            {
                true => 1,
                false => rest.len(),
            }),
            digits => digits,
        };
        inside = !inside && digits == 0 && rest.starts_with([PARAMETER, VARIABLE]);
        let (part, after) = rest.split_at(end);
        rest = after;
        match part.parse::<u32>() {
            Ok(value) if digits > 0 && value.to_string() == part => tokens.push(Token::Number(value.into())),
            _ => {
                tokens.push(Token::Other(part.into()));
                continue;
            }
        }
        let mut next = rest.chars();
        if let (Some(letter @ 'a'..='z'), false) = (next.next(), next.next().is_some_and(char::is_alphanumeric)) {
            tokens.push(Token::Letter(letter));
            rest = &rest[1..];
        }
    }
    tokens
}

/// A text with a sign in place of each number and letter that counts.
pub(super) fn without_numbers(text: &str) -> String {
    let sign = |token: &Token| match token {
        Token::Number(_) => "#".to_string(),
        Token::Letter(_) => "@".to_string(),
        Token::Other(other) => other.clone(),
    };
    tokens(text).iter().map(sign).collect()
}

/// The texts of a piece as `prefix + middle + suffix`: the prefix is common to all, the suffix a number that ends all.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Names {
    pub prefix: String,
    pub middles: Vec<String>,
    pub suffix: String,
}

impl Names {
    pub fn of(texts: &[&str]) -> Names {
        let (Some(first), [_, others @ ..]) = (texts.first(), texts) else { return Names::default() };
        let shared = others.iter().fold(first.len(), |length, other| {
            first.bytes().zip(other.bytes()).take(length).take_while(|(a, b)| a == b).count()
        });
        // Up to a separator, which belongs to the middles.
        let shared = (0..=shared).rev().find(|&at| first.is_char_boundary(at)).unwrap_or(0);
        // A whole name may be the beginning of the others.
        let ends = |text: &&str| text.len() == shared || text[shared..].starts_with(['.', '/', '_', '-']);
        let cut = match shared > 0 && texts.iter().all(ends) {
            true => shared,
            false => first[..shared]
                .rfind(['.', '/', '_', '-'])
                .unwrap_or_else(|| first[..shared].rfind(END).map_or(0, |at| at + END.len_utf8())),
        };
        // The variable of a repeat inside the piece is no matter of those outside.
        let cut = match first[..cut].find(VARIABLE) {
            Some(at) => first[..at].trim_end_matches(['.', '/', '_', '-']).len(),
            None => cut,
        };
        let prefix = first[..cut].to_string();
        let rests: Vec<&str> = texts.iter().map(|text| &text[cut..]).collect();
        let digits = |text: &str| text.len() - text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let number = &rests[0][rests[0].len() - digits(rests[0])..];
        let suffix = match number.parse::<u32>() {
            // A number by which all end, and not all that a name is.
            Ok(value)
                if !others.is_empty()
                    && value.to_string() == number
                    && rests.iter().all(|rest| {
                        let before = rest.len() - digits(rest);
                        rest[before..] == *number && rest[..before].ends_with(|c: char| c.is_alphabetic())
                    }) =>
            {
                number.to_string()
            }
            _ => String::new(),
        };
        let middles = rests.iter().map(|rest| rest[..rest.len() - suffix.len()].to_string()).collect();
        Names { prefix, middles, suffix }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_after_a_number_counts() {
        let letters = |text: &str| tokens(text).into_iter().filter(|token| matches!(token, Token::Letter(_))).count();
        assert_eq!(["res4e_branch2a", "conv2d_1", "4bc", "a1", "2b"].map(letters), [2, 1, 0, 0, 1]);
        assert_eq!(without_numbers("bn4e_branch2a"), "bn#@_branch#@");
    }

    #[test]
    fn names_have_a_prefix_and_a_number() {
        let of = |texts: &[&str]| {
            let Names { prefix, middles, suffix } = Names::of(texts);
            (prefix, middles.join(" "), suffix)
        };
        let found = |a: &str, b: &str, c: &str| (a.to_string(), b.to_string(), c.to_string());
        assert_eq!(of(&["layer1.0.conv1", "layer1.0.bn1"]), found("layer1.0", ".conv .bn", "1"));
        assert_eq!(of(&["features.0.0", "features.0.1"]), found("features.0", ".0 .1", ""));
        assert_eq!(of(&["a.0", "a.0.block.1", "a.0.block.2"]), found("a.0", " .block.1 .block.2", ""));
        assert_eq!(of(&["conv1_1"]), found("conv1_1", "", ""));
        assert_eq!(
            of(&["fire2/squeeze1x1", "fire2/expand1x1", "fire2/expand3x3"]),
            found("fire2", "/squeeze1x1 /expand1x1 /expand3x3", "")
        );
        assert_eq!(of(&["conv1_\u{3}i\u{2}"]), found("conv1", "_\u{3}i\u{2}", ""));
        assert_eq!(of(&[]), found("", "", ""));
    }
}
