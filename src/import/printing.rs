//! A spec's tree as text, before `netc fmt`: only chains are broken here, the formatter does the rest.

use super::tree::{Call, Chain, Expr, Net, Part, Text, Val, literal};
use crate::graph::signature::definition::Default;
use crate::ops;
use crate::syntax::layer_name_text;
use std::fmt::Write;

/// From this width on a chain is broken.
const WIDTH: usize = 92;

/// Prints calls: of layers by their definitions, of nets by their parameters.
pub(super) struct Printer<'n> {
    pub nets: &'n [Net],
}

impl Printer<'_> {
    /// `net f(a, b=1) = …`
    pub fn net(&self, net: &Net) -> String {
        let parameter = |(name, default): &(String, Option<Val>)| match default {
            Some(default) => format!("{name}={}", value(default)),
            None => name.clone(),
        };
        let parameters: Vec<String> = net.parameters.iter().map(parameter).collect();
        let parameters = if parameters.is_empty() { String::new() } else { format!("({})", parameters.join(", ")) };
        if net.shares.is_empty() {
            return format!("net {}{parameters} ={}", net.name, self.body(&net.body));
        }
        let mut out = format!("net {}{parameters} = {{\n", net.name);
        for (word, chain) in &net.shares {
            let _ = writeln!(out, "  share {word} = {}", self.chain(chain));
        }
        // A body that is a block is part of this one.
        match &net.body[..] {
            [Expr::Block { lets, result }] => out += &self.lines_of_block(lets, result),
            body => out += &format!("  {}", self.lines(&body.to_vec())),
        }
        out + "\n}"
    }

    /// The lines of a block between its braces.
    fn lines_of_block(&self, lets: &[(String, Chain)], result: &Chain) -> String {
        let mut out = String::new();
        for (name, value) in lets {
            let _ = writeln!(out, "let {name} = {}", self.branch(value));
        }
        out + &self.branch(result)
    }

    fn body(&self, chain: &Chain) -> String {
        let flat = self.chain(chain);
        match flat.len() > WIDTH - 10 && !chain.is_empty() {
            true => format!("\n  {}", self.lines(chain)),
            false => format!(" {flat}"),
        }
    }

    /// A chain on lines, as many layers on each as fit.
    fn lines(&self, chain: &Chain) -> String {
        let (mut out, mut column) = (String::new(), 0);
        for (index, expr) in chain.iter().enumerate() {
            let text = self.expr(expr);
            // A merge stays beside its branches, an activation beside what it follows.
            let joins = match index.checked_sub(1).map(|before| &chain[before]) {
                None => true,
                Some(Expr::Branches(_)) => true,
                Some(_) => column + text.len() + 4 <= WIDTH && !starts_line(expr),
            };
            if !joins {
                out.push_str("\n  >> ");
                column = 5;
            } else if index > 0 {
                out.push_str(" >> ");
                column += 4;
            }
            out.push_str(&text);
            // Branches that take several lines end with a line of their own: `)`.
            column = if text.contains('\n') { 3 } else { column + text.len() };
        }
        out
    }

    /// A chain on one line, but for what breaks by itself.
    fn chain(&self, chain: &Chain) -> String {
        chain.iter().map(|expr| self.expr(expr)).collect::<Vec<_>>().join(" >> ")
    }

    /// A chain in branches: on lines of its own where it is long.
    fn branch(&self, chain: &Chain) -> String {
        let flat = self.chain(chain);
        if flat.len() <= WIDTH - 20 && !flat.contains('\n') {
            return flat;
        }
        let mut out = String::new();
        for (index, expr) in chain.iter().enumerate() {
            let joins = index == 0 || matches!(chain[index - 1], Expr::Branches(_)) || !starts_line(expr);
            out += match (index, joins) {
                (0, _) => "",
                (_, true) => " >> ",
                (_, false) => "\n>> ",
            };
            out += &self.expr(expr);
        }
        out
    }

    fn expr(&self, expr: &Expr) -> String {
        match expr {
            Expr::Call(call) => self.call(call),
            Expr::Value(name) => name.clone(),
            Expr::Branches(branches) => {
                let branches: Vec<String> = branches.iter().map(|branch| self.branch(branch)).collect();
                let length: usize = branches.iter().map(|branch| branch.len() + 3).sum();
                let between =
                    if length > 60 || branches.iter().any(|branch| branch.contains('\n')) { "\n| " } else { " | " };
                format!("({})", branches.join(between))
            }
            Expr::Block { lets, result } => {
                format!("{{\n{}\n}}", self.lines_of_block(lets, result))
            }
            Expr::Repeat { variable, from, to, body } => {
                let over = match variable {
                    Some(variable) => format!(" {variable} in {}..={}", value(from), value(to)),
                    None => format!("({})", value(to)),
                };
                format!("repeat{over} {{ {} }}", self.chain(body))
            }
        }
    }

    fn call(&self, call: &Call) -> String {
        let mut arguments = Vec::new();
        let mut by_position = true;
        for (index, (name, default)) in self.signature(call).into_iter().enumerate() {
            let given = call.argument(&name);
            // What a layer is chosen by is said even where it is the default: `GlobalPool(avg)`.
            let chooses = index == 0 && matches!(default, Some(Some(Val::Word(_))));
            let is_default = |given: &&Val| matches!(&default, Some(Some(default)) if default == *given);
            let Some(given) = given.filter(|given| chooses || !is_default(given)) else {
                by_position = false;
                continue;
            };
            // What is required goes by position, and what comes first.
            let text = value(given);
            let by_name = matches!(given, Val::Int(_) | Val::Float(_)) && matches!(default, Some(Some(_)));
            let in_place = default.is_none() || index == 0 && !by_name;
            match by_position && in_place {
                true => arguments.push(text),
                false => arguments.push(format!("{name}={text}")),
            }
        }
        let arguments = if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
        let name = call.name.as_ref().map_or(String::new(), |name| format!(" as {}", layer_name(name)));
        format!("{}{arguments}{name}", call.function)
    }

    /// The parameters of what is called, with their defaults: none if required, `Some(None)` without a value.
    fn signature(&self, call: &Call) -> Vec<(String, Option<Option<Val>>)> {
        if let Some(net) = self.nets.iter().find(|net| net.name == call.function) {
            return net.parameters.iter().map(|(name, default)| (name.clone(), default.clone().map(Some))).collect();
        }
        let definition = ops::find(&call.function);
        let arguments = definition.map_or(&[][..], |definition| definition.arguments);
        let default = |default| match default {
            Default::Required => None,
            other => Some(literal(other)),
        };
        arguments.iter().map(|argument| (argument.name.to_string(), default(argument.default))).collect()
    }
}

/// Whether a layer begins a line of a chain: those that have a name do.
fn starts_line(expr: &Expr) -> bool {
    match expr {
        Expr::Call(call) => {
            call.name.is_some() && !call.is(&["BatchNorm"]) || crate::ops::find(&call.function).is_none()
        }
        Expr::Value(_) => false,
        _ => true,
    }
}

fn value(value: &Val) -> String {
    match value {
        Val::Int(value) => value.to_string(),
        Val::Float(value) => number(*value),
        Val::Bool(value) => value.to_string(),
        Val::Word(word) => word.clone(),
        Val::Sizes(sizes) => sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("x"),
        Val::Numbers(list) => format!("[{}]", list.iter().map(|&value| number(value)).collect::<Vec<_>>().join(", ")),
        Val::List(list) => format!("[{}]", list.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")),
        // A text that is one parameter is that parameter.
        Val::Text(text) => match &text[..] {
            [Part::Parameter(name)] => name.clone(),
            _ => quoted(text),
        },
        Val::Parameter(name) => name.clone(),
        Val::Times(factor, name) => format!("{factor} * {name}"),
    }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e6 { format!("{value:.0}") } else { format!("{value:?}") }
}

/// A text in quotes, with the values of parameters in braces.
fn quoted(text: &Text) -> String {
    let mut out = String::from("\"");
    for part in text {
        match part {
            Part::Parameter(name) => {
                let _ = write!(out, "{{{name}}}");
            }
            Part::Sum(name, more) => {
                let _ = write!(out, "{{{name} + {more}}}");
            }
            Part::Literal(literal) => {
                for c in literal.chars() {
                    match c {
                        '"' | '\\' => out.extend(['\\', c]),
                        '{' | '}' => out.extend([c, c]),
                        c => out.push(c),
                    }
                }
            }
        }
    }
    out.push('"');
    out
}

fn layer_name(name: &Text) -> String {
    match &name[..] {
        [Part::Literal(name)] => layer_name_text(name),
        _ => quoted(name),
    }
}
