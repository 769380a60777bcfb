//! A spec while it is being written: calls of layers and nets, chains, branches, blocks and repeats.

use crate::graph::signature::definition::Default;
use crate::ops;

/// A value of an argument.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Val {
    Int(i64),
    Float(f64),
    Bool(bool),
    Word(String),
    /// `3x3`
    Sizes(Vec<usize>),
    /// `[0, 1]`
    List(Vec<i64>),
    /// `[0.5, 2]`
    Numbers(Vec<f64>),
    Text(Text),
    /// A parameter of the net that is being written.
    Parameter(String),
    /// `4 * filters`
    Times(i64, String),
}

/// A text with the values of parameters in it.
pub(super) type Text = Vec<Part>;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Literal(String),
    Parameter(String),
    /// `{n + 1}`
    Sum(String, i64),
}

/// A chain of expressions, each fed by the one before.
pub(super) type Chain = Vec<Expr>;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Call(Call),
    Branches(Vec<Chain>),
    Block {
        lets: Vec<(String, Chain)>,
        result: Chain,
    },
    /// A `let`, by its name.
    Value(String),
    /// `repeat i in FROM..=TO { … }`; without a name of a variable `repeat(TO)`.
    Repeat {
        variable: Option<String>,
        from: Val,
        to: Val,
        body: Chain,
    },
}

/// A layer or a net with its arguments, in any order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub function: String,
    pub arguments: Vec<(String, Val)>,
    pub name: Option<Text>,
}

/// A net with parameters and their defaults.
#[derive(Clone, Debug)]
pub(super) struct Net {
    pub name: String,
    pub parameters: Vec<(String, Option<Val>)>,
    /// Layers and nets that its body mentions several times, with one set of parameters.
    pub shares: Vec<(String, Chain)>,
    pub body: Chain,
}

impl Net {
    /// A net without parameters.
    pub fn new(name: impl Into<String>, shares: Vec<(String, Chain)>, body: Chain) -> Net {
        Net { name: name.into(), parameters: Vec::new(), shares, body }
    }

    /// The net without names such as `linear-3`, which netc gives to layers that have none.
    pub fn without_generated_names(&self) -> Net {
        let shares = self.shares.iter().map(|(word, chain)| (word.clone(), unnamed(chain))).collect();
        Net { shares, body: unnamed(&self.body), ..self.clone() }
    }
}

impl Call {
    /// A layer with the defaults of its arguments, so that calls that differ in what they leave out are alike.
    pub fn layer(function: &str) -> Call {
        let definition = ops::find(function);
        let defaults = definition.into_iter().flat_map(|definition| definition.arguments);
        let arguments =
            defaults.filter_map(|argument| Some((argument.name.to_string(), literal(argument.default)?))).collect();
        Call { function: function.into(), arguments, name: None }
    }

    /// The same with an argument.
    pub fn with(mut self, name: &str, value: Val) -> Call {
        match self.arguments.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.arguments.push((name.into(), value)),
        }
        self
    }

    /// The same with a name.
    pub fn named(mut self, name: Option<&str>) -> Call {
        self.name = name.map(|name| vec![Part::Literal(name.into())]);
        self
    }

    /// An argument by its name.
    pub fn argument(&self, name: &str) -> Option<&Val> {
        self.arguments.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Whether it calls one of these layers.
    pub fn is(&self, functions: &[&str]) -> bool {
        functions.contains(&self.function.as_str())
    }
}

/// A text whose parameters are left out.
pub(super) fn plain_text(text: &Text) -> String {
    text.iter().filter_map(|part| if let Part::Literal(text) = part { Some(text.as_str()) } else { None }).collect()
}

/// A chain without names that netc gives.
fn unnamed(chain: &[Expr]) -> Chain {
    let each = |expr: &Expr| match expr {
        Expr::Call(call) => {
            let name = call.name.clone().filter(|name| !is_generated(name));
            Expr::Call(Call { name, ..call.clone() })
        }
        Expr::Branches(branches) => Expr::Branches(branches.iter().map(|branch| unnamed(branch)).collect()),
        Expr::Block { lets, result } => Expr::Block {
            lets: lets.iter().map(|(name, value)| (name.clone(), unnamed(value))).collect(),
            result: unnamed(result),
        },
        other => other.clone(),
    };
    chain.iter().map(each).collect()
}

/// Whether netc gives such names: a kind in small letters, and a number.
fn is_generated(name: &[Part]) -> bool {
    let [Part::Literal(name)] = name else { return false };
    let of_letters =
        |kind: &str| !kind.is_empty() && kind.bytes().all(|c| c.is_ascii_lowercase() || c == b'-' || c == b'_');
    let is_number = |number: &str| !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit());
    name.rsplit_once('-').is_some_and(|(kind, number)| of_letters(kind) && is_number(number))
}

/// The value of a default that is one.
pub(super) fn literal(default: Default) -> Option<Val> {
    match default {
        Default::Int(value) => Some(Val::Int(value)),
        Default::Float(value) => Some(Val::Float(value)),
        Default::Bool(value) => Some(Val::Bool(value)),
        Default::Word(word) => Some(Val::Word(word.into())),
        Default::Required | Default::Absent(_) => None,
    }
}

/// Whether a layer is there, with an argument of this name.
pub(super) fn has(layer: &str, argument: Option<&str>) -> bool {
    let takes = |name| move |known: &crate::graph::Argument| known.name == name;
    ops::find(layer).is_some_and(|definition| argument.is_none_or(|name| definition.arguments.iter().any(takes(name))))
}

/// An integer, or a pair of two that differ.
pub(super) fn pair(pair: [usize; 2]) -> Val {
    if pair[0] == pair[1] { Val::Int(pair[0] as i64) } else { Val::List(pair.map(|side| side as i64).to_vec()) }
}
