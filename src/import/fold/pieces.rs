//! Pieces of chains: where they are, what they consist of, and what tells them apart.

use super::texts::{self, Names};
use crate::graph::Category;
use crate::import::tree::{Call, Chain, Expr, Text, Val};
use crate::ops;

/// A piece of a chain: `length` elements from `start` on, in the chain at a path of a body.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Piece {
    body: usize,
    /// Element of a chain, and which of its inner chains.
    path: Vec<(usize, usize)>,
    start: usize,
    pub length: usize,
    /// Layers and calls in it.
    pub weight: usize,
    /// Whether it has all layers of a module.
    pub is_module: bool,
    /// Its activations without arguments, in order, where they may differ.
    pub activations: Vec<String>,
}

impl Piece {
    /// A piece of the one body that there is.
    pub fn at(path: Vec<(usize, usize)>, start: usize, length: usize) -> Piece {
        Piece { body: 0, path, start, length, weight: 0, is_module: false, activations: Vec::new() }
    }

    pub fn slice<'b>(&self, bodies: &'b [Chain]) -> &'b [Expr] {
        let mut chain = &bodies[self.body];
        for &(element, inner) in &self.path {
            match chains(&chain[element]).nth(inner) {
                Some(found) => chain = found,
                None => return &[],
            }
        }
        &chain[self.start..self.start + self.length]
    }

    pub fn replace(&self, bodies: &mut [Chain], by: Expr) {
        let mut chain = &mut bodies[self.body];
        for &(element, inner) in &self.path {
            match chains_mut(&mut chain[element]).into_iter().nth(inner) {
                Some(found) => chain = found,
                None => return,
            }
        }
        chain.splice(self.start..self.start + self.length, [by]);
    }
}

/// Those that share no element, from the first on.
pub(super) fn apart(places: Vec<Piece>) -> Vec<Piece> {
    let mut kept: Vec<Piece> = Vec::new();
    for piece in places {
        let clash = kept.iter().rev().any(|other| {
            other.body == piece.body && other.path == piece.path && other.start + other.length > piece.start
        });
        if !clash {
            kept.push(piece);
        }
    }
    kept
}

/// The chains inside an expression.
pub(super) fn chains(expr: &Expr) -> Box<dyn Iterator<Item = &Chain> + '_> {
    match expr {
        Expr::Branches(branches) => Box::new(branches.iter()),
        Expr::Block { lets, result } => Box::new(lets.iter().map(|(_, chain)| chain).chain([result])),
        Expr::Repeat { body, .. } => Box::new(std::iter::once(body)),
        Expr::Call(_) | Expr::Value(_) => Box::new(std::iter::empty()),
    }
}

pub(super) fn chains_mut(expr: &mut Expr) -> Vec<&mut Chain> {
    match expr {
        Expr::Branches(branches) => branches.iter_mut().collect(),
        Expr::Block { lets, result } => lets.iter_mut().map(|(_, chain)| chain).chain([result]).collect(),
        Expr::Repeat { body, .. } => vec![body],
        Expr::Call(_) | Expr::Value(_) => Vec::new(),
    }
}

/// Elements of a chain and of all chains in it.
pub(super) fn elements(chain: &Chain) -> usize {
    chain.iter().map(|expr| 1 + chains(expr).map(elements).sum::<usize>()).sum()
}

/// Every call in a chain, in order.
pub(super) fn calls(chain: &[Expr], f: &mut dyn FnMut(&Call)) {
    for expr in chain {
        if let Expr::Call(call) = expr {
            f(call);
        }
        chains(expr).for_each(|chain| calls(chain, f));
    }
}

/// What differs between pieces that are alike: an argument of a call or the end of a repeat, or a text.
#[derive(Clone, Debug)]
pub(super) enum Leaf {
    /// What is called, the argument and its value.
    Value {
        function: String,
        name: String,
        value: Val,
    },
    Text(String),
}

/// All leaves of a piece, in order. `variables` are those of the repeats around.
pub(super) fn leaves(chain: &[Expr], variables: &mut Vec<String>, out: &mut Vec<Leaf>) {
    for expr in chain {
        match expr {
            Expr::Call(call) if activation(call).is_some() => out.extend(activation(call).map(|value| Leaf::Value {
                function: String::new(),
                name: ACTIVATION.into(),
                value,
            })),
            Expr::Call(call) => {
                for (name, value) in &call.arguments {
                    out.push(match value {
                        Val::Text(text) => Leaf::Text(texts::encoded(text, variables)),
                        value => {
                            Leaf::Value { function: call.function.clone(), name: name.clone(), value: value.clone() }
                        }
                    });
                }
                out.extend(call.name.iter().map(|text| Leaf::Text(texts::encoded(text, variables))));
            }
            Expr::Repeat { variable, from, to, body } => {
                for (name, value) in [("from", from), ("count", to)] {
                    let (function, name, value) = ("repeat".to_string(), name.to_string(), value.clone());
                    out.push(Leaf::Value { function, name, value });
                }
                variables.extend(variable.clone());
                leaves(body, variables, out);
                variables.truncate(variables.len() - usize::from(variable.is_some()));
            }
            other => chains(other).for_each(|chain| leaves(chain, variables, out)),
        }
    }
}

/// The same piece with other leaves, in the same order.
pub(super) fn with_leaves(
    chain: &[Expr],
    next: &mut dyn FnMut(&Val) -> Val,
    name: &mut dyn FnMut(&Text) -> Text,
) -> Chain {
    let mut out = Vec::with_capacity(chain.len());
    for expr in chain {
        out.push(match expr {
            Expr::Call(call) if activation(call).is_some() => {
                Expr::Call(match activation(call).map(|value| next(&value)) {
                    Some(Val::Parameter(name)) => Call { function: name, arguments: Vec::new(), name: None },
                    Some(Val::Word(layer)) => Call::layer(&layer),
                    _ => call.clone(),
                })
            }
            Expr::Call(call) => {
                let arguments = call.arguments.iter().map(|(key, value)| (key.clone(), next(value))).collect();
                let name = call.name.as_ref().map(&mut *name);
                Expr::Call(Call { function: call.function.clone(), arguments, name })
            }
            Expr::Value(value) => Expr::Value(value.clone()),
            Expr::Branches(branches) => {
                Expr::Branches(branches.iter().map(|chain| with_leaves(chain, next, name)).collect())
            }
            Expr::Block { lets, result } => Expr::Block {
                lets: lets.iter().map(|(key, chain)| (key.clone(), with_leaves(chain, next, name))).collect(),
                result: with_leaves(result, next, name),
            },
            Expr::Repeat { variable, from, to, body } => {
                let (from, to) = (next(from), next(to));
                Expr::Repeat { variable: variable.clone(), from, to, body: with_leaves(body, next, name) }
            }
        });
    }
    out
}

/// The parameter of a net that is an activation.
const ACTIVATION: &str = "act";
/// Layers that a net may take as its activation.
const ACTIVATIONS: [&str; 9] =
    ["Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Relu", "Relu6", "Sigmoid", "Swish"];

/// An activation without arguments, or the parameter that stands for one.
fn activation(call: &Call) -> Option<Val> {
    let is_parameter = call.arguments.is_empty() && call.name.is_none() && is_activation_parameter(&call.function);
    if is_parameter {
        return Some(Val::Parameter(call.function.clone()));
    }
    (call.is(&ACTIVATIONS) && *call == Call::layer(&call.function)).then(|| Val::Word(call.function.clone()))
}

/// `act`, `act_2`
pub(super) fn is_activation_parameter(function: &str) -> bool {
    let number = function.strip_prefix(ACTIVATION).map(|rest| rest.strip_prefix('_').unwrap_or(rest));
    number.is_some_and(|number| number.bytes().all(|c| c.is_ascii_digit()))
}

/// The activations of a piece that nets may take as arguments.
fn activations(chain: &[Expr]) -> Vec<String> {
    let mut found = Vec::new();
    calls(chain, &mut |call| found.extend(activation(call).map(|_| call.function.clone())));
    found
}

/// What an element consists of, without the values of arguments and names; with `any_activation` also without which activations
/// it has.
fn key(expr: &Expr, any_activation: bool) -> String {
    let keys = |chain: &[Expr]| -> Vec<String> { chain.iter().map(|expr| key(expr, any_activation)).collect() };
    match expr {
        Expr::Call(call) if any_activation && activation(call).is_some() => ACTIVATION.into(),
        Expr::Call(call) => {
            let arguments: Vec<&str> = call.arguments.iter().map(|(name, _)| name.as_str()).collect();
            format!("{}({}){}", call.function, arguments.join(","), if call.name.is_some() { " as" } else { "" })
        }
        Expr::Value(name) => format!("={name}"),
        Expr::Branches(branches) => {
            let branches: Vec<String> = branches.iter().map(|chain| keys(chain).join(">")).collect();
            format!("[{}]", branches.join("|"))
        }
        Expr::Block { lets, result } => {
            let lets: Vec<String> =
                lets.iter().map(|(name, chain)| format!("{name}:{}", keys(chain).join(">"))).collect();
            format!("{{{};{}}}", lets.join(";"), keys(result).join(">"))
        }
        Expr::Repeat { variable, body, .. } => {
            format!("*{}{{{}}}", variable.as_deref().unwrap_or(""), keys(body).join(">"))
        }
    }
}

pub(super) fn keys(chain: &[Expr]) -> Vec<String> {
    chain.iter().map(|expr| key(expr, false)).collect()
}

/// Layers and calls of an element; an `Identity` is nothing.
fn weight(expr: &Expr) -> usize {
    match expr {
        Expr::Call(call) => usize::from(!call.is(&["Identity"])),
        other => chains(other).flatten().map(weight).sum(),
    }
}

/// Whether a layer is one that a normalisation after it belongs to.
fn is_normalised(expr: Option<&Expr>) -> bool {
    matches!(expr, Some(Expr::Call(call)) if call.is(&["Conv", "DepthwiseConv", "ConvTranspose", "Dense"]))
}

fn is_norm(expr: Option<&Expr>) -> bool {
    matches!(expr, Some(Expr::Call(call)) if call.is(&["BatchNorm"]))
}

/// Whether a person would let a net begin here: at a layer with parameters, at branches, at a pool over the image.
fn begins(before: Option<&Expr>, expr: &Expr) -> bool {
    match expr {
        Expr::Call(_) if is_norm(Some(expr)) && is_normalised(before) => false,
        Expr::Call(call) if activation(call).is_some() => false,
        Expr::Call(call) => call.name.is_some() || call.is(&["GlobalPool"]) || ops::find(&call.function).is_none(),
        _ => true,
    }
}

/// Whether a net may end here: what joins branches and the activation after belong to what they follow.
fn ends(last: &Expr, next: Option<&Expr>) -> bool {
    let follows = |call: &Call| {
        let category = ops::find(&call.function).map(|definition| definition.category);
        activation(call).is_some()
            || call.name.is_none() && matches!(category, Some(Category::Activation | Category::Merge))
    };
    let parts = is_normalised(Some(last)) && is_norm(next);
    !parts && !matches!(last, Expr::Branches(_)) && !matches!(next, Some(Expr::Call(call)) if follows(call))
}

/// Whether an element mentions a `let` of a block around it, or what is shared.
pub(super) fn is_bound(expr: &Expr, names: &[&str]) -> bool {
    match expr {
        Expr::Value(name) => !names.contains(&name.as_str()),
        Expr::Block { lets, result } => {
            let names: Vec<&str> = names.iter().copied().chain(lets.iter().map(|(name, _)| name.as_str())).collect();
            lets.iter().flat_map(|(_, chain)| chain).chain(result).any(|expr| is_bound(expr, &names))
        }
        other => chains(other).flatten().any(|expr| is_bound(expr, names)),
    }
}

/// What pieces must have in common: their layers, and the middles of their texts. Pieces that may differ in their activations are
/// apart from others.
pub(super) type Key = (Vec<String>, Vec<String>, bool);

/// The texts of a piece of a chain, in order.
fn texts_of(chain: &[Expr]) -> Vec<String> {
    let mut list = Vec::new();
    // A variable of a repeat around is a parameter of the piece.
    leaves(chain, &mut Vec::new(), &mut list);
    list.into_iter().filter_map(|leaf| if let Leaf::Text(text) = leaf { Some(text) } else { None }).collect()
}

/// The modules, and the last the layer itself, that a name tells: `layer1.0.conv1`.
fn modules(name: &str) -> Vec<&str> {
    name.split(['.', '/']).collect()
}

/// How many of the modules of a name are those of another.
fn common(a: &str, b: &str) -> usize {
    modules(a).iter().zip(modules(b)).take_while(|(a, b)| **a == *b).count()
}

/// The texts around a piece.
#[derive(Clone, Debug, Default)]
struct Around<'t> {
    before: Option<&'t str>,
    after: Option<&'t str>,
    /// Those in other branches.
    beside: Vec<&'t str>,
}

impl Around<'_> {
    /// How a piece with these texts lies to the modules that its first and last layers are in: it may not begin or end inside of a
    /// module and have layers of another. Whether it has all layers of a module, several ones; none if it is cut across one.
    fn is_module(&self, texts: &[&str]) -> Option<bool> {
        let (Some(first), Some(last)) = (texts.first(), texts.last()) else { return Some(false) };
        let own = texts.iter().map(|text| common(first, text)).min().unwrap_or(0);
        let left = self.before.map_or(0, |before| common(before, first));
        let right = self.after.map_or(0, |after| common(last, after));
        // The modules that are open at an end have all of the piece.
        let is_open = |open: usize, of: &str| texts.iter().any(|text| common(of, text) < open);
        if is_open(left, first) || is_open(right, last) {
            return None;
        }
        let others = self.beside.iter().map(|text| common(first, text)).chain([left, right]).max().unwrap_or(0);
        Some(own > others && others > 0 && texts.len() > 1)
    }
}

/// Every piece of a body that could be a net.
pub(super) fn of(body: usize, chain: &Chain, search: &Search, found: &mut impl FnMut(Key, Piece)) {
    walk(body, chain, &mut Vec::new(), &Around::default(), search, found);
}

/// What pieces are looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// The longest, in elements.
    pub longest: usize,
    /// Whether names may differ in any numbers.
    pub any_numbers: bool,
}

/// Whether the end of a piece repeats what is before it, but for names: that becomes a net, and a `repeat`, first.
fn repeats(piece: &[Expr], keys: &[String], weights: &[usize]) -> bool {
    let values = |piece: &[Expr]| -> Vec<Val> {
        let mut list = Vec::new();
        leaves(piece, &mut Vec::new(), &mut list);
        list.into_iter()
            .filter_map(|leaf| if let Leaf::Value { value, .. } = leaf { Some(value) } else { None })
            .collect()
    };
    (1..=keys.len() / 2).any(|period| {
        let (second, first) = (keys.len() - period, keys.len() - 2 * period);
        keys[second..] == keys[first..second]
            && weights[second..].iter().sum::<usize>() > 1
            && values(&piece[second..]) == values(&piece[first..second])
    })
}

fn walk(
    body: usize,
    chain: &Chain,
    path: &mut Vec<(usize, usize)>,
    around: &Around,
    search: &Search,
    found: &mut dyn FnMut(Key, Piece),
) {
    let all = keys(chain);
    let weights: Vec<usize> = chain.iter().map(weight).collect();
    let texts: Vec<Vec<String>> = chain.iter().map(|expr| texts_of(std::slice::from_ref(expr))).collect();
    let whole_net = body > 0 && path.is_empty();
    let before =
        |at: usize| texts[..at].iter().rev().find_map(|texts| texts.last()).map(String::as_str).or(around.before);
    let after = |at: usize| texts[at..].iter().find_map(|texts| texts.first()).map(String::as_str).or(around.after);
    for start in 0..chain.len() {
        let mut weighs = 0;
        for end in start + 1..=chain.len().min(start + search.longest) {
            let last = &chain[end - 1];
            // An input or a value of a block does not belong into another net.
            let input = matches!(last, Expr::Call(call) if call.is(&["Input"]));
            if input || is_bound(last, &[]) || repeats(&chain[start..end], &all[start..end], &weights[start..end]) {
                break;
            }
            weighs += weight(last);
            if !begins(start.checked_sub(1).map(|before| &chain[before]), &chain[start]) {
                break;
            }
            if weighs < 2 || (whole_net && end - start == chain.len()) || !ends(last, chain.get(end)) {
                continue;
            }
            let piece = &chain[start..end];
            let names: Vec<&str> = texts[start..end].iter().flatten().map(String::as_str).collect();
            let beside = around.beside.clone();
            let Some(is_module) = (Around { before: before(start), after: after(end), beside }).is_module(&names)
            else {
                continue;
            };
            let Names { mut middles, .. } = Names::of(&names);
            if middles.iter().any(|middle| texts::has_parameter(middle)) {
                continue;
            }
            if search.any_numbers {
                middles.iter_mut().for_each(|middle| *middle = texts::without_numbers(middle));
            }
            let (path, length) = (path.clone(), end - start);
            let activations = activations(piece);
            if !activations.is_empty() {
                let keys = piece.iter().map(|expr| key(expr, true)).collect();
                let place = Piece { body, path: path.clone(), start, length, weight: weighs, is_module, activations };
                found((keys, middles.clone(), true), place);
            }
            let place = Piece { body, path, start, length, weight: weighs, is_module, activations: Vec::new() };
            found((all[start..end].to_vec(), middles, false), place);
        }
    }
    for (element, expr) in chain.iter().enumerate() {
        let inside: Vec<Vec<String>> = chains(expr).map(|chain| texts_of(chain)).collect();
        for (inner, chain) in chains(expr).enumerate() {
            let others = inside.iter().enumerate().filter(|(at, _)| *at != inner).flat_map(|(_, texts)| texts);
            let beside = around.beside.iter().copied().chain(others.map(String::as_str)).collect();
            path.push((element, inner));
            walk(
                body,
                chain,
                path,
                &Around { before: before(element), after: after(element + 1), beside },
                search,
                found,
            );
            path.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_not_cut_across_modules() {
        let is_module = |texts: &[&str], before: Option<&str>, after: Option<&str>, beside: &[&str]| {
            Around { before, after, beside: beside.to_vec() }.is_module(texts)
        };
        let block = ["a.0.block.0", "a.0.block.1", "a.0.block.2"];
        assert_eq!(is_module(&block, Some("a.stem"), Some("a.1.block.0"), &[]), Some(true));
        assert_eq!(is_module(&block, Some("a.stem"), None, &["a.0.downsample"]), Some(true));
        assert_eq!(is_module(&block, Some("a.stem"), None, &["a.0.block.3"]), Some(false));
        assert_eq!(is_module(&block[..2], Some("a.stem"), Some(block[2]), &[]), Some(false));
        assert_eq!(is_module(&block, None, None, &[]), Some(false));
        // The end of one block and another.
        assert_eq!(is_module(&["a.0.block.2", "a.1.block.0", "a.1.block.1"], Some(block[1]), Some("b"), &[]), None);
        assert_eq!(is_module(&["a.0.block.0", "a.1.block.0"], None, Some("a.1.block.1"), &[]), None);
        // Layers of one list, or of no modules.
        assert_eq!(is_module(&["a.3", "a.5"], Some("a.0"), Some("a.7"), &[]), Some(false));
        assert_eq!(is_module(&["conv1", "bn1"], Some("stem"), Some("layer1.0"), &[]), Some(false));
    }
}
