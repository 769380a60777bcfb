//! The syntactic context of the cursor. It is found from tokens alone, so that it works in text that does not parse.

use super::paths::{self, PathKind};
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
    /// The value of a key in the block of `train` or `weights`.
    Entry { item: &'static str, key: String },
    /// The path of a file or folder, as far as it is written.
    Path { kind: PathKind, written: String },
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

/// The call that the cursor is in.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub callee: String,
    pub argument: Argument,
    /// Whether it is in a recipe.
    pub in_recipe: bool,
    /// Whether it is in an expectation.
    pub in_expectation: bool,
}

/// The argument that the cursor is in.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    Position(usize),
    Name(String),
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
    let mut list = scan(before);
    if list.last().is_some_and(|last| last.kind == TokenKind::Comment && last.end == before.len()) {
        return nothing(before);
    }
    list.retain(|token| token.kind != TokenKind::Comment);
    if list.last().is_some_and(|last| last.kind == TokenKind::Unterminated && last.start == before.len()) {
        return in_string(before, list).unwrap_or_else(|| nothing(before));
    }
    let typing = list.last().copied().filter(|last| last.kind == TokenKind::Word && last.end == before.len());
    if typing.is_some() {
        list.pop();
    }
    let walk = Walk::along(before, &list);
    let start = typing.map_or(before.len(), |token| token.start);
    let context = walk.context(&list, start);
    let start = match &context {
        Context::Cut { .. } => walk.end_of_cut(),
        _ => start,
    };
    walk.cursor(context, start)
}

fn nothing(before: &str) -> Cursor {
    Cursor { context: Context::Nothing, start: before.len(), recipe: false, scope: Vec::new() }
}

/// The context in a string that has no end yet; `None` if it is not the path of a file.
fn in_string(before: &str, mut list: Vec<Token>) -> Option<Cursor> {
    list.pop();
    let chars = list.last().copied().filter(|last| last.kind == TokenKind::Chars && last.end == before.len());
    if chars.is_some() {
        list.pop();
    }
    let quote = list.pop().filter(|quote| quote.kind == TokenKind::OpenQuote)?;
    let written = before.get(quote.end..)?.to_string();
    let walk = Walk::along(before, &list);
    let kind = walk.path(&list)?;
    let start = quote.end + written.rfind('/').map_or(0, |slash| slash + 1);
    Some(walk.cursor(Context::Path { kind, written }, start))
}

/// The innermost call around an offset, from the text before it.
pub fn call(text: &str, offset: usize) -> Option<Call> {
    let before = text.get(..offset).unwrap_or(text);
    let mut list = scan(before);
    if list.last().is_some_and(|last| last.kind == TokenKind::Comment && last.end == before.len()) {
        return None;
    }
    list.retain(|token| token.kind != TokenKind::Comment);
    let walk = Walk::along(before, &list);
    let open = walk.stack.iter().rev().find(|open| open.sign == "(" && open.name.is_some() && !open.parameters)?;
    let (index, from) = walk.arguments(&list, open);
    let argument = match list.get(from..).unwrap_or_default() {
        [name, equals, ..] if name.kind == TokenKind::Word && equals.is(before, "=") => {
            Argument::Name(name.text(before).to_string())
        }
        _ => Argument::Position(index),
    };
    Some(Call {
        callee: open.name?.to_string(),
        argument,
        in_recipe: walk.in_block("train"),
        in_expectation: walk.item == Some("expect"),
    })
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
    /// The state after some tokens of a text.
    fn along(text: &'t str, list: &[Token]) -> Self {
        let mut walk = Walk { text, stack: Vec::new(), scope: Vec::new(), item: None, closed: None };
        for index in 0..list.len() {
            walk.step(list, index);
        }
        walk
    }

    fn cursor(self, context: Context, start: usize) -> Cursor {
        let recipe = self.in_block("train");
        Cursor { context, start, recipe, scope: self.scope.into_iter().map(|(_, name)| name.to_string()).collect() }
    }

    /// Whether the block of an item is open.
    fn in_block(&self, item: &str) -> bool {
        self.stack.first().is_some_and(|open| open.block == Some(item))
    }

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
                let (item, key) = self.entry(list).unwrap_or_default();
                Context::Entry { item, key: key.to_string() }
            }
            ("(", _) if open.parameters && text != "=" => Context::Nothing,
            ("(", Some(callee)) => self.argument(list, open, callee),
            _ => Context::Expression,
        }
    }

    /// The item and the key whose value, possibly a list, is being typed.
    fn entry(&self, list: &[Token]) -> Option<(&'static str, &'t str)> {
        let [block, inner @ ..] = &self.stack[..] else { return None };
        let is_list = |open: &Open| open.sign == "[" && open.name.is_none();
        let item = block.block.filter(|_| inner.iter().all(is_list))?;
        // The value starts at its first bracket, else at the cursor.
        let start = inner.first().map_or(list.len(), |open| open.next - 1);
        let [.., key, equals] = list.get(..start)? else { return None };
        (equals.is(self.text, "=") && key.kind == TokenKind::Word).then(|| (item, key.text(self.text)))
    }

    /// What the string names that begins after some tokens.
    fn path(&self, list: &[Token]) -> Option<PathKind> {
        let word = |back: usize| {
            let token = list.len().checked_sub(back).and_then(|index| list.get(index));
            token.filter(|token| token.kind == TokenKind::Word).map(|token| token.text(self.text))
        };
        // A list of files counts as one.
        let open = self.stack.iter().rev().find(|open| open.sign != "[" || open.name.is_some());
        let Some(open) = open else {
            return match (word(1), word(3)) {
                (Some("use"), _) => Some(PathKind::Spec),
                (_, Some("weights")) => Some(paths::WEIGHTS),
                (_, Some("labels")) if self.stack.is_empty() => Some(paths::LABELS),
                _ => None,
            };
        };
        let source = open.name.filter(|_| open.sign == "(")?;
        let (index, from) = self.arguments(list, open);
        let named = list.get(from..).is_some_and(|argument| argument.iter().any(|token| token.is(self.text, "=")));
        let is_file = match source {
            "images" | "csv" => index == 0,
            "top1" => index == 1,
            // Without `file` the arrays are files themselves.
            "arrays" => index == 0 || named && !self.has_argument(list, open, "file"),
            _ => false,
        };
        paths::of_source(source).filter(|_| is_file)
    }

    /// Whether an argument of a name is written before the cursor.
    fn has_argument(&self, list: &[Token], open: &Open, name: &str) -> bool {
        let given = list.get(open.next..).unwrap_or_default();
        given.windows(2).any(|pair| pair[0].is(self.text, name) && pair[1].is(self.text, "="))
            || given.first().is_some_and(|first| first.kind == TokenKind::OpenQuote) && self.arguments(list, open).0 > 0
    }

    /// The index of the argument at the end of some tokens, and that of its first token.
    fn arguments(&self, list: &[Token], open: &Open) -> (usize, usize) {
        let mut depth = 0usize;
        let mut place = (0, open.next);
        for (index, token) in list.iter().enumerate().skip(open.next) {
            match token.text(self.text) {
                "(" | "[" | "{" if token.kind == TokenKind::Symbol => depth += 1,
                ")" | "]" | "}" if token.kind == TokenKind::Symbol => depth = depth.saturating_sub(1),
                "," if depth == 0 && token.kind == TokenKind::Symbol => place = (place.0 + 1, index + 1),
                _ => {}
            }
        }
        place
    }

    fn argument(&self, list: &[Token], open: &Open, callee: &str) -> Context {
        let (_, from) = self.arguments(list, open);
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
        let entry = |key: &str| Context::Entry { item: "train", key: key.into() };
        assert_eq!(context("train a {\n  batch = 2\n  optimizer = Mo"), entry("optimizer"));
        assert_eq!(context("train a { schedule = [warm_up(10), "), entry("schedule"));
        assert_eq!(context("train a { schedule = [warm_up(10)]\n "), Context::Key { item: "train" });
        let argument = Context::Argument { callee: "Momentum".into() };
        assert_eq!(context("train a { optimizer = Momentum(st"), argument);
        let layout = Context::Entry { item: "weights", key: "layout".into() };
        assert_eq!(context("weights a = \"a.h5\" { layout = "), layout);
    }

    #[test]
    fn strings_that_are_paths_are_found() {
        let path = |kind, written: &str| Context::Path { kind, written: written.into() };
        assert_eq!(context("use \"blo"), path(PathKind::Spec, "blo"));
        assert_eq!(context("weights a = \"data/we"), path(paths::WEIGHTS, "data/we"));
        assert_eq!(cursor("weights a = \"data/we", 20).start, 18);
        assert_eq!(context("labels a = \""), path(paths::LABELS, ""));
        assert_eq!(context("labels a = [\""), Context::Nothing);
        assert_eq!(context("train a { data = images(\"pho"), path(PathKind::Folder, "pho"));
        let arrays = |written| path(paths::of_source("arrays").expect("a source"), written);
        assert_eq!(context("train a { data = arrays(\"a.h5"), arrays("a.h5"));
        assert_eq!(context("train a { data = arrays(x=[\"a.npy\", \"b"), arrays("b"));
        assert_eq!(context("train a { data = arrays(\"a.h5\", x=\"im"), Context::Nothing);
        assert_eq!(context("train a { data = arrays(file=\"a.h5\", x=\"im"), Context::Nothing);
        let photo = paths::of_source("top1").expect("a function");
        assert_eq!(context("expect top1(a, \"ow"), path(photo, "ow"));
        for text in ["net a = Relu as \"b", "weights a = \"a.h5\" { rename = { \"x", "\"a\\\"b"] {
            assert_eq!(context(text), Context::Nothing, "{text}");
        }
    }

    #[test]
    fn calls_are_found_with_the_argument() {
        let found = |text: &str| call(text, text.len()).map(|call| (call.callee, call.argument));
        let (position, name) = (Argument::Position, |name: &str| Argument::Name(name.into()));
        assert_eq!(found("net a = Conv("), Some(("Conv".into(), position(0))));
        assert_eq!(found("net a = Conv(3x3, [1, 2], "), Some(("Conv".into(), position(2))));
        assert_eq!(found("net a = Conv(3x3, stride="), Some(("Conv".into(), name("stride"))));
        assert_eq!(found("net a = f(Conv(3x3, 4), "), Some(("f".into(), position(1))));
        assert_eq!(found("net a = f(if x == 2 { (a | "), Some(("f".into(), position(0))));
        assert_eq!(found("train a { data = images(\"a"), Some(("images".into(), position(0))));
        for text in ["net a(", "net a = Relu", "net a = Conv(3x3) ", "net a = (", "net a = Conv( # x"] {
            assert_eq!(found(text), None, "{text}");
        }
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
