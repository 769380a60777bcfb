//! One net for pieces that are alike: what differs between them becomes its parameters.

use super::pieces::{Leaf, leaves, with_leaves};
use super::texts::{self, Names, Token};
use crate::import::tree::{Call, Chain, Expr, Net, Part, Text, Val, literal};
use crate::ops;
use std::collections::BTreeSet;

/// A net for some pieces, and what each of them passes to it.
pub(super) struct Unified {
    pub parameters: Vec<(String, Option<Val>)>,
    pub body: Chain,
    /// For each piece the values of the parameters.
    values: Vec<Vec<Val>>,
}

impl Unified {
    /// The calls in place of the pieces.
    pub fn calls(&self, net: &str) -> Vec<Call> {
        let call = |values: &Vec<Val>| {
            let names = self.parameters.iter().map(|(name, _)| name.clone());
            Call { function: net.into(), arguments: names.zip(values.iter().cloned()).collect(), name: None }
        };
        self.values.iter().map(call).collect()
    }
}

/// What stands in the body for a leaf.
enum Template {
    Value(Val),
    Text(Text),
}

/// A parameter while it is found: its values by piece.
struct Column {
    name: String,
    default: Option<Val>,
    values: Vec<Val>,
}

pub(super) fn unify(pieces: &[&[Expr]], nets: &[Net]) -> Unified {
    let lists: Vec<Vec<Leaf>> = pieces
        .iter()
        .map(|piece| {
            let mut list = Vec::new();
            leaves(piece, &mut Vec::new(), &mut list);
            list
        })
        .collect();
    let texts: Vec<Names> = lists
        .iter()
        .map(|list| {
            let texts: Vec<&str> = list
                .iter()
                .filter_map(|leaf| if let Leaf::Text(text) = leaf { Some(text.as_str()) } else { None })
                .collect();
            Names::of(&texts)
        })
        .collect();
    let mut columns: Vec<Column> = Vec::new();
    let prefix = part(texts.iter().map(|names| names.prefix.as_str()), "name", &mut columns, |text| {
        Val::Text(texts::decoded(text))
    });
    let suffix = part(texts.iter().map(|names| names.suffix.as_str()), "n", &mut columns, |text| {
        text.parse().map_or(Val::Word(text.into()), Val::Int)
    });
    let mut texts_before = 0;
    let mut templates = Vec::new();
    for at in 0..lists[0].len() {
        templates.push(match &lists[0][at] {
            Leaf::Text(_) => {
                let middles: Vec<&str> =
                    texts.iter().map(|names| names.middles.get(texts_before).map_or("", String::as_str)).collect();
                texts_before += 1;
                Template::Text(joined([prefix.clone(), middle(&middles, &mut columns), suffix.clone()].concat()))
            }
            Leaf::Value { function, name, .. } => {
                let values: Vec<Val> = lists
                    .iter()
                    .filter_map(
                        |list| if let Leaf::Value { value, .. } = &list[at] { Some(value.clone()) } else { None },
                    )
                    .collect();
                Template::Value(value(function, name, values, &mut columns, nets))
            }
        });
    }
    let body = {
        let templates = std::cell::RefCell::new(templates.into_iter());
        let next = || templates.borrow_mut().next();
        with_leaves(
            pieces[0],
            &mut |value| match next() {
                Some(Template::Value(value)) => value,
                Some(Template::Text(text)) => Val::Text(text),
                None => value.clone(),
            },
            &mut |text| match next() {
                Some(Template::Text(text)) => text,
                _ => text.clone(),
            },
        )
    };
    // Those with a default come last.
    columns.sort_by_key(|column| column.default.is_some());
    let values = (0..pieces.len()).map(|piece| columns.iter().map(|column| column.values[piece].clone()).collect());
    Unified {
        values: values.collect(),
        parameters: columns.into_iter().map(|column| (column.name, column.default)).collect(),
        body,
    }
}

/// The middle of a text: what numbers and letters differ become parameters, or are so much more than a parameter.
fn middle(middles: &[&str], columns: &mut Vec<Column>) -> Text {
    let all: Vec<Vec<Token>> = middles.iter().map(|middle| texts::tokens(middle)).collect();
    let mut out = Text::new();
    let mut encoded = String::new();
    for (at, token) in all[0].iter().enumerate() {
        let numbers: Option<Vec<i64>> = all
            .iter()
            .map(|tokens| match tokens.get(at) {
                Some(Token::Number(number)) => Some(*number),
                _ => None,
            })
            .collect();
        let letters: Option<Vec<char>> = all
            .iter()
            .map(|tokens| match tokens.get(at) {
                Some(Token::Letter(letter)) => Some(*letter),
                _ => None,
            })
            .collect();
        if let Some(letters) = letters.filter(|letters| letters.iter().any(|letter| *letter != letters[0])) {
            out.extend(texts::decoded(&std::mem::take(&mut encoded)));
            out.push(Part::Parameter(letter(&letters, columns)));
            continue;
        }
        match (token, numbers) {
            (_, Some(numbers)) if numbers.iter().any(|number| *number != numbers[0]) => {
                out.extend(texts::decoded(&std::mem::take(&mut encoded)));
                out.push(number(&numbers, columns));
            }
            (Token::Number(number), _) => encoded.push_str(&number.to_string()),
            (Token::Letter(letter), _) => encoded.push(*letter),
            (Token::Other(other), _) => encoded.push_str(other),
        }
    }
    out.extend(texts::decoded(&encoded));
    out
}

/// The parameter for a letter in a name.
fn letter(letters: &[char], columns: &mut Vec<Column>) -> String {
    let values: Vec<Val> = letters.iter().map(|letter| Val::Text(vec![Part::Literal(letter.to_string())])).collect();
    if let Some(known) = columns.iter().find(|column| column.values == values) {
        return known.name.clone();
    }
    let name = unique("letter", columns);
    columns.push(Column { name: name.clone(), default: None, values });
    name
}

/// A number in a name: a parameter, or so much more than one.
fn number(numbers: &[i64], columns: &mut Vec<Column>) -> Part {
    for column in columns.iter().filter(|column| column.name.starts_with('n') && column.default.is_none()) {
        let more: Option<BTreeSet<i64>> = column
            .values
            .iter()
            .zip(numbers)
            .map(|(value, number)| if let Val::Int(value) = value { Some(number - value) } else { None })
            .collect();
        match more.filter(|more| more.len() == 1).and_then(|more| more.into_iter().next()) {
            Some(0) => return Part::Parameter(column.name.clone()),
            Some(more) if more > 0 => return Part::Sum(column.name.clone(), more),
            _ => {}
        }
    }
    let name = unique("n", columns);
    columns.push(Column { name: name.clone(), default: None, values: numbers.iter().map(|&n| Val::Int(n)).collect() });
    Part::Parameter(name)
}

/// A name that no parameter has.
fn unique(name: &str, columns: &[Column]) -> String {
    let taken = |candidate: &String| columns.iter().all(|column| column.name != *candidate);
    std::iter::once(name.to_string())
        .chain((2..).map(|number| format!("{name}_{number}")))
        .find(taken)
        .unwrap_or_else(|| name.to_string())
}

/// The beginning or end of all texts: the same in all pieces, or a parameter.
fn part<'t>(
    texts: impl Iterator<Item = &'t str>,
    name: &str,
    columns: &mut Vec<Column>,
    value: impl Fn(&str) -> Val,
) -> Text {
    let texts: Vec<&str> = texts.collect();
    if texts.iter().all(|text| *text == texts[0]) && !texts::has_parameter(texts[0]) {
        return texts::decoded(texts[0]);
    }
    columns.push(Column { name: name.into(), default: None, values: texts.iter().map(|text| value(text)).collect() });
    vec![Part::Parameter(name.into())]
}

/// Neighbouring literals as one.
fn joined(text: Text) -> Text {
    let mut out: Text = Vec::new();
    for part in text {
        match (out.last_mut(), part) {
            (Some(Part::Literal(before)), Part::Literal(literal)) => before.push_str(&literal),
            (_, part) => out.push(part),
        }
    }
    out
}

/// What stands for values: one that all have, a parameter, or a multiple of a parameter.
fn value(function: &str, name: &str, values: Vec<Val>, columns: &mut Vec<Column>, nets: &[Net]) -> Val {
    let is_own = |value: &Val| !matches!(value, Val::Parameter(_) | Val::Times(..));
    if values.iter().all(|value| *value == values[0] && is_own(value)) {
        return values[0].clone();
    }
    let default = default_of(function, name, nets).filter(|default| values.contains(default));
    for column in columns.iter() {
        if column.values == values && column.default == default {
            return Val::Parameter(column.name.clone());
        }
        let factors: Option<BTreeSet<i64>> =
            column.values.iter().zip(&values).map(|(one, other)| quotient(other, one)).collect();
        // A factor between two numbers may hold by chance; between parameters it does not.
        let certain = values.len() > 2 || !values.iter().any(|value| matches!(value, Val::Int(_)));
        if let Some(factors) = factors.filter(|factors| factors.len() == 1 && certain)
            && let Some(&factor) = factors.iter().next().filter(|&&factor| factor > 1)
        {
            return Val::Times(factor, column.name.clone());
        }
    }
    // A parameter of a net inside may have a number: `filters_2`.
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let name = unique(base.strip_suffix('_').unwrap_or(name), columns);
    columns.push(Column { name: name.clone(), default, values });
    Val::Parameter(name)
}

/// How many times a whole number, or a parameter, is another.
fn quotient(of: &Val, by: &Val) -> Option<i64> {
    let parts = |value: &Val| match value {
        Val::Int(value) => Some((*value, None)),
        Val::Parameter(name) => Some((1, Some(name.clone()))),
        Val::Times(factor, name) => Some((*factor, Some(name.clone()))),
        _ => None,
    };
    let ((a, of), (b, by)) = (parts(of)?, parts(by)?);
    (of == by && b > 0 && a % b == 0).then(|| a / b)
}

/// The default of an argument of a layer or net.
fn default_of(function: &str, name: &str, nets: &[Net]) -> Option<Val> {
    if let Some(net) = nets.iter().find(|net| net.name == function) {
        return net.parameters.iter().find(|(known, _)| known == name)?.1.clone();
    }
    let argument = ops::find(function)?.arguments.iter().find(|argument| argument.name == name)?;
    literal(argument.default)
}
