//! The syntactic context of the cursor. It is found from tokens alone, so that it works in text that does not parse.

use crate::syntax::ITEMS;
use crate::syntax::scan::{Token, TokenKind, scan};
use std::ops::Range;

/// The syntactic context at the cursor.
#[derive(Clone, Debug, PartialEq)]
pub enum Context {
    /// No completion: a comment, a string, a new name.
    Nothing,
    /// An item; at the start of a file also an expression.
    Item { first: bool },
    /// An end of a cut of a net.
    Cut { net: String },
    /// The name of a net, after `weights`, `labels`, `train` or `expect`.
    Net,
    /// A key in the block of `train` or `weights`.
    Key { item: &'static str },
    /// The value of a key of a recipe.
    Entry { key: String },
    /// A net or layer, a value.
    Expression,
    /// An argument of a call, by position or by name.
    Argument { callee: String },
    /// The value of a named argument.
    Value { callee: String, argument: String },
}

/// The cursor and its surroundings.
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    pub context: Context,
    /// The start of the word that is being typed.
    pub start: usize,
    /// Whether the cursor is in a recipe.
    pub recipe: bool,
    /// The parameters and values in scope.
    pub scope: Vec<String>,
}

/// A bracket that is open at the cursor.
#[derive(Debug)]
struct Open<'t> {
    sign: &'t str,
    /// The index of the token after it.
    next: usize,
    /// The name directly before it: what is called or cut.
    name: Option<&'t str>,
    /// Whether it contains the parameters of a net.
    parameters: bool,
    /// The item whose entries it contains.
    block: Option<&'static str>,
}

/// The items with a block of entries.
const WITH_BLOCK: [&str; 2] = ["train", "weights"];

/// Symbols after which an expression continues.
const CONTINUING: [&str; 20] =
    [">>", "|", "=", "(", ",", "[", "{", "+", "-", "*", "/", "==", "!=", "<", "<=", ">", ">=", ":", "->", "}"];

/// The word at an offset.
pub fn word(text: &str, offset: usize) -> Option<Range<usize>> {
    let at = |token: &Token| token.kind == TokenKind::Word && (token.start..=token.end).contains(&offset);
    scan(text).into_iter().find(at).map(|token| token.start..token.end)
}

/// Whether a word occurs in a part of a text, other than as the name of an argument or a key.
pub fn is_used_in(text: &str, part: Range<usize>, word: &str) -> bool {
    let within =
        |token: &Token| token.kind == TokenKind::Word && part.contains(&token.start) && token.text(text) == word;
    scan(text).iter().any(|token| within(token) && !is_assigned(text, token.end))
}

/// Whether a single `=` follows an offset, as after the name of an argument.
pub fn is_assigned(text: &str, end: usize) -> bool {
    let rest = text.get(end..).unwrap_or("").trim_start();
    rest.starts_with('=') && !rest.starts_with("==")
}

/// The context at an offset, from the text before it.
pub fn cursor(text: &str, offset: usize) -> Cursor {
    let before = text.get(..offset).unwrap_or(text);
    let tokens = scan(before);
    let mut walk = Walk { text: before, stack: Vec::new(), scope: Vec::new(), item: None, closed: None };
    let mut list: Vec<Token> = tokens.iter().copied().filter(|token| token.kind != TokenKind::Comment).collect();
    let inside = tokens.last().is_some_and(|last| {
        (last.kind == TokenKind::Comment && last.end == before.len())
            || (last.kind == TokenKind::Unterminated && last.start == before.len())
    });
    if inside {
        return Cursor { context: Context::Nothing, start: before.len(), recipe: false, scope: Vec::new() };
    }
    let typing = list.last().copied().filter(|last| last.kind == TokenKind::Word && last.end == before.len());
    if typing.is_some() {
        list.pop();
    }
    for index in 0..list.len() {
        walk.step(&list, index);
    }
    let start = typing.map_or(before.len(), |token| token.start);
    let context = walk.context(&list, start);
    let start = match &context {
        Context::Cut { .. } => walk.end_of_cut(),
        _ => start,
    };
    let recipe = walk.stack.first().is_some_and(|open| open.block == Some("train"));
    Cursor { context, start, recipe, scope: walk.scope.into_iter().map(|(_, name)| name.to_string()).collect() }
}

struct Walk<'t> {
    text: &'t str,
    stack: Vec<Open<'t>>,
    /// The names in scope, and the number of brackets that must be open for them to stay in scope.
    scope: Vec<(usize, &'t str)>,
    /// The keyword of the current item.
    item: Option<&'t str>,
    /// The name before the last closed bracket: `vgg16` in `vgg16(10)[`.
    closed: Option<&'t str>,
}

impl<'t> Walk<'t> {
    fn step(&mut self, list: &[Token], index: usize) {
        let token = list[index];
        let word = |index: Option<usize>| {
            let token = index.and_then(|index| list.get(index)).filter(|token| token.kind == TokenKind::Word);
            token.map(|token| token.text(self.text))
        };
        let text = token.text(self.text);
        let previous = index.checked_sub(1);
        match (token.kind, text) {
            // The keyword of an item closes all open brackets.
            (TokenKind::Word, _) if ITEMS.contains(&text) && self.begins(list, index) => {
                self.stack.clear();
                self.scope.clear();
                self.item = Some(text);
            }
            (TokenKind::Word, _) => {
                let depth = self.stack.len();
                let binds = match word(previous) {
                    Some("let" | "share") => Some(depth),
                    Some("repeat") => Some(depth + 1),
                    _ => None,
                };
                let parameter = depth == 1
                    && self.stack[0].parameters
                    && previous.is_some_and(|before| matches!(list[before].text(self.text), "(" | ","));
                if let Some(depth) = binds.or(parameter.then_some(0)) {
                    self.scope.push((depth, text));
                }
            }
            (TokenKind::Symbol, "(" | "[" | "{") => {
                let touches = previous.filter(|&before| list[before].end == token.start);
                let name = match touches.map(|before| list[before].text(self.text)) {
                    Some(")" | "]") => self.closed,
                    _ => word(touches),
                };
                let parameters = self.stack.is_empty() && index >= 2 && word(Some(index - 2)) == Some("net");
                let block = WITH_BLOCK.into_iter().find(|&item| self.item == Some(item));
                let block = block.filter(|_| self.stack.is_empty() && text == "{");
                self.stack.push(Open { sign: text, next: index + 1, name, parameters, block });
            }
            (TokenKind::Symbol, ")" | "]" | "}") => {
                self.closed = self.stack.pop().and_then(|open| open.name);
                let depth = self.stack.len();
                self.scope.retain(|(needs, _)| *needs <= depth);
            }
            _ => {}
        }
    }

    /// Whether an item keyword starts an item, and is not a key or the name of an argument.
    fn begins(&self, list: &[Token], index: usize) -> bool {
        !list.get(index + 1).is_some_and(|next| next.is(self.text, "="))
            && !index.checked_sub(1).is_some_and(|before| list[before].is(self.text, "as"))
    }

    fn context(&self, list: &[Token], start: usize) -> Context {
        let Some(last) = list.last().copied() else { return Context::Item { first: true } };
        let text = last.text(self.text);
        if last.kind == TokenKind::Word {
            match text {
                "weights" | "labels" | "train" | "expect" if self.stack.is_empty() => return Context::Net,
                "as" | "let" | "share" | "net" | "use" => return Context::Nothing,
                _ => {}
            }
        }
        let Some(open) = self.stack.last() else {
            let new_line = self.text.get(last.end..start).is_some_and(|gap| gap.contains('\n'));
            let continues = CONTINUING.contains(&text) && text != "}";
            return if new_line && !continues { Context::Item { first: false } } else { Context::Expression };
        };
        match (open.sign, open.name) {
            ("[", Some(net)) => Context::Cut { net: net.to_string() },
            ("{", _) if text != "=" && open.block.is_some() => Context::Key { item: open.block.unwrap_or_default() },
            ("{", _) | ("[", None) if self.entry(list).is_some() => {
                Context::Entry { key: self.entry(list).unwrap_or_default().to_string() }
            }
            ("(", _) if open.parameters && text != "=" => Context::Nothing,
            ("(", Some(callee)) => self.argument(list, open, callee),
            _ => Context::Expression,
        }
    }

    /// The key of a recipe whose value, possibly a list, is being typed.
    fn entry(&self, list: &[Token]) -> Option<&'t str> {
        let [block, inner @ ..] = &self.stack[..] else { return None };
        let is_list = |open: &Open| open.sign == "[" && open.name.is_none();
        if block.block != Some("train") || !inner.iter().all(is_list) {
            return None;
        }
        // The value starts at its first bracket, else at the cursor.
        let start = inner.first().map_or(list.len(), |open| open.next - 1);
        let [.., key, equals] = list.get(..start)? else { return None };
        (equals.is(self.text, "=") && key.kind == TokenKind::Word).then(|| key.text(self.text))
    }

    fn argument(&self, list: &[Token], open: &Open, callee: &str) -> Context {
        let mut depth = 0usize;
        let mut from = open.next;
        for (index, token) in list.iter().enumerate().skip(open.next) {
            match token.text(self.text) {
                "(" | "[" | "{" if token.kind == TokenKind::Symbol => depth += 1,
                ")" | "]" | "}" if token.kind == TokenKind::Symbol => depth = depth.saturating_sub(1),
                "," if depth == 0 && token.kind == TokenKind::Symbol => from = index + 1,
                _ => {}
            }
        }
        match list.get(from..).unwrap_or_default() {
            [] => Context::Argument { callee: callee.to_string() },
            [name, equals] if name.kind == TokenKind::Word && equals.is(self.text, "=") => {
                Context::Value { callee: callee.to_string(), argument: name.text(self.text).to_string() }
            }
            _ => Context::Expression,
        }
    }

    /// The start of the layer name that is being typed in a cut.
    fn end_of_cut(&self) -> usize {
        let in_name = |c: char| c.is_alphanumeric() || "_-/.".contains(c);
        let name = self
            .text
            .rfind(|c| !in_name(c))
            .map_or(0, |at| at + self.text[at..].chars().next().map_or(1, char::len_utf8));
        // The `..` and `..=` of a range are not part of the name.
        self.text[name..].rfind("..").map_or(name, |dots| name + dots + 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(text: &str) -> Context {
        cursor(text, text.len()).context
    }

    #[test]
    fn contexts_are_found_in_broken_text() {
        let cut = || Context::Cut { net: "vgg16".into() };
        assert_eq!(context("net a = vgg16[..drop"), cut());
        assert_eq!(cursor("vgg16[..=max-po", 15).start, 9);
        assert_eq!(cursor("vgg16[..dropout-2", 17).start, 8);
        assert_eq!(context("net a = frozen(vgg16(classes=10)["), cut());
        assert_eq!(context(""), Context::Item { first: true });
        assert_eq!(context("net a = Relu\n"), Context::Item { first: false });
        assert_eq!(context("net a = Relu\n  >> "), Context::Expression);
        assert_eq!(context("net a = Conv("), Context::Argument { callee: "Conv".into() });
        assert_eq!(context("net a = Conv(3x3, pad"), Context::Argument { callee: "Conv".into() });
        let value = Context::Value { callee: "Conv".into(), argument: "padding".into() };
        assert_eq!(context("net a = Conv(3x3, padding="), value);
        assert_eq!(context("net a = Relu # as"), Context::Nothing);
        assert_eq!(context("net a = Relu as"), Context::Expression);
        assert_eq!(context("net a = Relu as b"), Context::Nothing);
        assert_eq!(context("weights "), Context::Net);
        assert_eq!(context("train a {\n  "), Context::Key { item: "train" });
        assert_eq!(context("weights a = \"a.h5\" { "), Context::Key { item: "weights" });
        let entry = |key: &str| Context::Entry { key: key.into() };
        assert_eq!(context("train a {\n  batch = 2\n  optimizer = Mo"), entry("optimizer"));
        assert_eq!(context("train a { schedule = [warm_up(10), "), entry("schedule"));
        assert_eq!(context("train a { schedule = [warm_up(10)]\n "), Context::Key { item: "train" });
        let argument = Context::Argument { callee: "Momentum".into() };
        assert_eq!(context("train a { optimizer = Momentum(st"), argument);
    }

    #[test]
    fn scopes_close_with_their_blocks() {
        let text = "net f(a, b=2) = { let c = Relu  repeat i in 1..=3 { Conv(i) } c >> ";
        assert_eq!(cursor(text, text.len()).scope, ["a", "b", "c"]);
        let text = "net f(a) = Relu\nnet g(d) = repeat i in 1..=3 { Conv(";
        assert_eq!(cursor(text, text.len()).scope, ["d", "i"]);
    }

    #[test]
    fn every_prefix_of_a_text_has_a_context() {
        let text = "net f(a) = { let ü = Conv(3x3)[..x-1] \"t{a}\" # c\n } train f { epochs = [1, {}] } ))]} as \"";
        for (offset, _) in text.char_indices() {
            cursor(text, offset);
            word(text, offset);
        }
    }
}
