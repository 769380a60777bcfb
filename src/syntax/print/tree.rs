//! Prints the tree with one node per line, for `--emit ast` and snapshots.

use super::inline::{Inline, binary, escape, pattern_text, text_of, unary};
use crate::syntax::ast::*;

/// The tree of a file, indented by two spaces per level, without spans.
pub fn ast_text(file: &File) -> String {
    let mut tree = Tree { out: String::new(), depth: 0 };
    if let Some((edition, _)) = file.edition {
        tree.line(format!("edition {edition}"));
    }
    for item in &file.items {
        tree.item(item);
    }
    if let Some(expression) = &file.expression {
        tree.under("expression", |tree| tree.expr(expression));
    }
    tree.out
}

struct Tree {
    out: String,
    depth: usize,
}

impl Tree {
    fn line(&mut self, text: impl AsRef<str>) {
        self.out.push_str(&"  ".repeat(self.depth));
        self.out.push_str(text.as_ref());
        self.out.push('\n');
    }

    fn under(&mut self, text: impl AsRef<str>, children: impl FnOnce(&mut Self)) {
        self.line(text);
        self.depth += 1;
        children(self);
        self.depth -= 1;
    }

    fn item(&mut self, item: &Item) {
        for line in &item.docs {
            self.line(format!("## {line}").trim_end());
        }
        match &item.kind {
            ItemKind::Use(file) => {
                self.line(format!("use {}", text_of(|out| Inline { source: None, tight: false }.text(file, true, out))))
            }
            ItemKind::Net(net) => self.under(format!("net {}", net.name.text), |tree| {
                for parameter in &net.parameters {
                    tree.under(format!("parameter {}", parameter.name.text), |tree| tree.exprs(&parameter.default));
                }
                if let Some(signature) = &net.signature {
                    tree.signature(signature);
                }
                tree.expr(&net.body);
            }),
            ItemKind::Weights(weights) => self.under(format!("weights {}", weights.net.text), |tree| {
                tree.expr(&weights.file);
                tree.entries(&weights.options);
            }),
            ItemKind::Labels(labels) => {
                self.under(format!("labels {}", labels.net.text), |tree| tree.expr(&labels.source))
            }
            ItemKind::Train(train) => {
                self.under(format!("train {}", train.net.text), |tree| tree.entries(&train.entries))
            }
            ItemKind::Expect(ExpectItem::Signature { net, signature }) => {
                self.under(format!("expect {}", net.text), |tree| tree.signature(signature));
            }
            ItemKind::Expect(ExpectItem::Condition(condition)) => self.under("expect", |tree| tree.expr(condition)),
        }
    }

    fn signature(&mut self, signature: &Signature) {
        self.line(format!(
            "signature {}",
            text_of(|out| Inline { source: None, tight: false }.signature(signature, out))
        ));
    }

    fn entries(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.under(format!("{} =", entry.key.text), |tree| tree.expr(&entry.value));
        }
    }

    fn exprs<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>) {
        for expr in exprs {
            self.expr(expr);
        }
    }

    fn expr(&mut self, expr: &Expr) {
        let inline = Inline { source: None, tight: false };
        match &expr.kind {
            ExprKind::Int(value) => self.line(format!("int {value}")),
            ExprKind::Float(value) => self.line(format!("float {value:?}")),
            ExprKind::Sizes(_) => self.line(format!("sizes {}", text_of(|out| inline.expr(expr, out)))),
            ExprKind::Open => self.line("open"),
            ExprKind::Text(text) => self.text("text", text),
            ExprKind::Bool(value) => self.line(format!("bool {value}")),
            ExprKind::Name(name) => self.line(format!("name {name}")),
            ExprKind::List(parts) => self.under("list", |tree| tree.exprs(parts)),
            ExprKind::Range { start, end, inclusive } => {
                let to = if *inclusive { "through" } else { "to" };
                self.under("from", |tree| tree.expr(start));
                self.under(to, |tree| tree.expr(end));
            }
            ExprKind::Map(pairs) => self.under("map", |tree| {
                for (key, value) in pairs {
                    tree.under("pair", |tree| tree.exprs([key, value]));
                }
            }),
            ExprKind::Call { function, arguments } => self.under(format!("call {}", function.text), |tree| {
                for argument in arguments {
                    match &argument.name {
                        Some(name) => tree.under(format!("{} =", name.text), |tree| tree.expr(&argument.value)),
                        None => tree.expr(&argument.value),
                    }
                }
            }),
            ExprKind::Chain(parts) => self.under("chain", |tree| tree.exprs(parts)),
            ExprKind::Branches(parts) => self.under("branches", |tree| tree.exprs(parts)),
            ExprKind::Paren(inner) => self.under("paren", |tree| tree.expr(inner)),
            ExprKind::Frozen(inner) => self.under("frozen", |tree| tree.expr(inner)),
            ExprKind::As { inner, name } => {
                self.under(format!("as {}", text_of(|out| inline.layer_name(name, out))), |tree| tree.expr(inner));
            }
            ExprKind::Cut { inner, range } => {
                self.under(format!("cut {}", text_of(|out| inline.cut(range, out))), |tree| tree.expr(inner));
            }
            ExprKind::Repeat { over, body } => self.under("repeat", |tree| {
                match over {
                    RepeatOver::Count(count) => tree.under("count", |tree| tree.expr(count)),
                    RepeatOver::Range { variable, start, end, inclusive } => {
                        let to = if *inclusive { "through" } else { "to" };
                        tree.under(format!("{} from", variable.text), |tree| tree.expr(start));
                        tree.under(to, |tree| tree.expr(end));
                    }
                    RepeatOver::List { pattern, list } => {
                        tree.under(format!("{} in", pattern_text(pattern)), |tree| tree.expr(list))
                    }
                }
                tree.expr(body);
            }),
            ExprKind::Block { statements, result } => self.under("block", |tree| {
                for statement in statements {
                    let word = if statement.shared { "share" } else { "let" };
                    tree.under(format!("{word} {}", statement.name.text), |tree| tree.expr(&statement.value));
                }
                tree.expr(result);
            }),
            ExprKind::If { arms, otherwise } => self.under("if", |tree| {
                for (condition, body) in arms {
                    tree.under("when", |tree| tree.expr(condition));
                    tree.under("then", |tree| tree.expr(body));
                }
                if let Some(body) = otherwise {
                    tree.under("else", |tree| tree.expr(body));
                }
            }),
            ExprKind::Unary { operator, operand } => self.under(unary(*operator).trim(), |tree| tree.expr(operand)),
            ExprKind::Binary { operator, left, right } => {
                self.under(binary(*operator), |tree| tree.exprs([left.as_ref(), right.as_ref()]));
            }
        }
    }

    /// A plain string on one line; a template as its parts.
    fn text(&mut self, word: &str, text: &Text) {
        let quoted = |literal: &str| text_of(|out| escape(literal, out));
        match text.parts.as_slice() {
            [] => self.line(format!("{word} \"\"")),
            [TextPart::Literal(literal)] => self.line(format!("{word} \"{}\"", quoted(literal))),
            parts => self.under(word, |tree| {
                for part in parts {
                    match part {
                        TextPart::Literal(literal) => tree.line(format!("\"{}\"", quoted(literal))),
                        TextPart::Value(value) => tree.expr(value),
                    }
                }
            }),
        }
    }
}
