//! Runs of equal calls, which differ at most in a number that counts up, as `repeat`.

use super::pieces::{Leaf, chains_mut, keys, leaves, with_leaves};
use super::texts::{self, Token};
use crate::import::tree::{Chain, Expr, Part, Text, Val};
use crate::ops;

/// The variable of a repeat.
const VARIABLE: &str = "i";

/// Finds the runs of a chain and of all chains in it.
pub(super) fn find(chain: &mut Chain) {
    for expr in chain.iter_mut() {
        chains_mut(expr).into_iter().for_each(find);
    }
    let mut start = 0;
    while start < chain.len() {
        if let Some((length, repeat)) = run(&chain[start..]) {
            chain.splice(start..start + length, [repeat]);
        }
        start += 1;
    }
}

/// The run that a chain begins with.
fn run(chain: &[Expr]) -> Option<(usize, Expr)> {
    // What is shared, applied again and again.
    if let Some(shared @ Expr::Value(_)) = chain.first() {
        let length = chain.iter().take_while(|expr| *expr == shared).count();
        let (from, to) = (Val::Int(1), Val::Int(length as i64));
        return (length > 2).then(|| (length, Expr::Repeat { variable: None, from, to, body: vec![shared.clone()] }));
    }
    let Expr::Call(first) = chain.first()? else { return None };
    let key = keys(&chain[..1]);
    let alike = chain
        .iter()
        .take_while(|expr| matches!(expr, Expr::Call(_)) && keys(std::slice::from_ref(expr)) == key)
        .count();
    let least = if ops::find(&first.function).is_some() { 3 } else { 2 };
    let tokens: Vec<Vec<Vec<Token>>> = chain[..alike].iter().map(|expr| tokens(std::slice::from_ref(expr))).collect();
    // What counts is where the second differs from the first.
    let from = counts_from(tokens.first()?, tokens.get(1)?);
    let fits = |(step, list): &(usize, &Vec<Vec<Token>>)| match from {
        Ok(None) => **list == tokens[0],
        Ok(Some(from)) => counted(&tokens[0], list, from, *step as i64),
        Err(()) => false,
    };
    let length = tokens.iter().enumerate().take_while(fits).count();
    if length < least {
        return None;
    }
    let repeat = match from.ok()? {
        None => {
            Expr::Repeat { variable: None, from: Val::Int(1), to: Val::Int(length as i64), body: chain[..1].to_vec() }
        }
        Some(from) => Expr::Repeat {
            variable: Some(VARIABLE.into()),
            from: Val::Int(from),
            to: Val::Int(from + length as i64 - 1),
            body: body(&chain[..1], &tokens[0], &tokens[1]),
        },
    };
    Some((length, repeat))
}

/// The parts of the leaves of an element.
fn tokens(expr: &[Expr]) -> Vec<Vec<Token>> {
    let mut list = Vec::new();
    leaves(expr, &mut Vec::new(), &mut list);
    list.iter()
        .map(|leaf| match leaf {
            Leaf::Value { value: Val::Int(value), name, .. } if name == "n" => vec![Token::Number(*value)],
            Leaf::Value { value, .. } => vec![Token::Other(format!("{value:?}"))],
            Leaf::Text(text) => texts::tokens(text),
        })
        .collect()
}

/// The number from which the first differing parts of two elements count: all that differ are the same number and the next.
fn counts_from(first: &[Vec<Token>], second: &[Vec<Token>]) -> Result<Option<i64>, ()> {
    let mut found = None;
    for (a, b) in first.iter().zip(second) {
        if a.len() != b.len() {
            return Err(());
        }
        for (a, b) in a.iter().zip(b).filter(|(a, b)| a != b) {
            match (a, b, found) {
                (Token::Number(a), Token::Number(b), None) if *b == a + 1 => found = Some(*a),
                (Token::Number(a), Token::Number(b), Some(from)) if *b == a + 1 && *a == from => {}
                _ => return Err(()),
            }
        }
    }
    Ok(found)
}

/// Whether an element differs from the first by a number that is `step` more.
fn counted(first: &[Vec<Token>], other: &[Vec<Token>], from: i64, step: i64) -> bool {
    let mut moved = step == 0;
    let same = first.iter().zip(other).all(|(a, b)| {
        a.len() == b.len()
            && a.iter().zip(b).all(|(a, b)| {
                a == b || {
                    moved = true;
                    matches!((a, b), (Token::Number(a), Token::Number(b)) if *a == from && *b == from + step)
                }
            })
    });
    same && moved
}

/// The element with the variable where the numbers are that differ.
fn body(expr: &[Expr], first: &[Vec<Token>], second: &[Vec<Token>]) -> Chain {
    let leaves = std::cell::RefCell::new(first.iter().zip(second));
    let text = |old: &Text| -> Text {
        let Some((a, b)) = leaves.borrow_mut().next() else { return old.clone() };
        // Parameters may be several tokens, so the text is put together before it is decoded.
        let mut out = Text::new();
        let mut encoded = String::new();
        for (a, b) in a.iter().zip(b) {
            match a {
                Token::Number(_) if a != b => {
                    out.extend(texts::decoded(&std::mem::take(&mut encoded)));
                    out.push(Part::Parameter(VARIABLE.into()));
                }
                Token::Number(number) => encoded.push_str(&number.to_string()),
                Token::Letter(letter) => encoded.push(*letter),
                Token::Other(other) => encoded.push_str(other),
            }
        }
        out.extend(texts::decoded(&encoded));
        out
    };
    with_leaves(
        expr,
        &mut |value| match value {
            Val::Text(old) => Val::Text(text(old)),
            value => match leaves.borrow_mut().next() {
                Some((a, b)) if a != b => Val::Parameter(VARIABLE.into()),
                _ => value.clone(),
            },
        },
        &mut |old| text(old),
    )
}
