//! What was written, with the places where it was written. The formatter prints it back.

use crate::source::Span;

/// A whole `.net` file.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// The language's edition, from a first line `netc 1`.
    pub edition: Option<(u64, Span)>,
    /// The items in the order of the text.
    pub items: Vec<Item>,
    /// The one expression of a file without items: the net named after the file.
    pub expression: Option<Expr>,
}

/// A word with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Ident {
    pub text: String,
    pub span: Span,
}

/// One item and the `##` lines before it (without the signs).
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub docs: Vec<String>,
    pub kind: ItemKind,
    pub span: Span,
}

/// What an item is.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemKind {
    /// `use "blocks.net"`
    Use(Text),
    /// `net NAME(params): signature = EXPR`
    Net(NetItem),
    /// `weights NAME = "file" { … }`
    Weights(WeightsItem),
    /// `labels NAME = "file"` or a list
    Labels(LabelsItem),
    /// `train NAME { … }`
    Train(TrainItem),
    /// `expect …`
    Expect(ExpectItem),
}

/// A net's definition.
#[derive(Clone, Debug, PartialEq)]
pub struct NetItem {
    pub name: Ident,
    pub parameters: Vec<Parameter>,
    pub signature: Option<Signature>,
    pub body: Expr,
}

/// A net's parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub name: Ident,
    pub default: Option<Expr>,
}

/// A contract on shapes: `(?, h, w, c) -> (?, h, w, 2*c)`, several in brackets.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    pub inputs: Vec<ShapePattern>,
    pub outputs: Vec<ShapePattern>,
    pub span: Span,
}

/// One shape of a signature; an open size is [`ExprKind::Open`]. The batch stands first.
#[derive(Clone, Debug, PartialEq)]
pub struct ShapePattern {
    pub sizes: Vec<Expr>,
    pub span: Span,
}

/// The pretrained weights of a net.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightsItem {
    pub net: Ident,
    pub file: Expr,
    pub options: Vec<Entry>,
}

/// The class names of a net.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelsItem {
    pub net: Ident,
    pub source: Expr,
}

/// The recipe by which a net is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainItem {
    pub net: Ident,
    pub entries: Vec<Entry>,
}

/// A promise that `netc test` checks.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpectItem {
    /// `expect bird: (?, 224, 224, 3) -> (?, 10)`
    Signature { net: Ident, signature: Signature },
    /// `expect top1(bird, "owl.jpg") == "owl"`: any condition over calls.
    Condition(Expr),
}

/// `key = value` of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: Ident,
    pub value: Expr,
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

/// A string, which may hold `{expressions}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    pub parts: Vec<TextPart>,
    pub span: Span,
}

/// A piece of a string.
#[derive(Clone, Debug, PartialEq)]
pub enum TextPart {
    /// Characters, escapes resolved.
    Literal(String),
    /// `{i + 1}`
    Value(Expr),
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `64`
    Int(i64),
    /// `0.5`, `1e-3`
    Float(f64),
    /// `3x3`, `?x512`; `None` is an open size.
    Sizes(Vec<Option<i64>>),
    /// `?`
    Open,
    /// `"text"`, `"conv{i}"`
    Text(Text),
    /// `true`
    Bool(bool),
    /// `[a, b]`
    List(Vec<Expr>),
    /// `1..=3` as an argument: the list of its integers.
    Range { start: Box<Expr>, end: Box<Expr>, inclusive: bool },
    /// `{ "a" = b }`
    Map(Vec<(Expr, Expr)>),
    /// A word: a layer, a net, a parameter, a value or a choice.
    Name(String),
    /// `f(a, b=c)`
    Call { function: Ident, arguments: Vec<Argument> },
    /// `a >> b >> c`, at least two.
    Chain(Vec<Expr>),
    /// `(a | b)`, at least two.
    Branches(Vec<Expr>),
    /// `(a)`
    Paren(Box<Expr>),
    /// `x as name`
    As { inner: Box<Expr>, name: LayerName },
    /// `x[a..b]`; `x[0]` of a list is its item.
    Cut { inner: Box<Expr>, range: CutRange },
    /// `repeat(3) { x }`, `repeat i in 1..=3 { x }`, `repeat l in list { x }`
    Repeat { over: RepeatOver, body: Box<Expr> },
    /// `{ let a = x  share f = y  z }`
    Block { statements: Vec<Statement>, result: Box<Expr> },
    /// `if a { x } else if b { y } else { z }`: conditions with their expressions, then the last one.
    If { arms: Vec<(Expr, Expr)>, otherwise: Option<Box<Expr>> },
    /// `frozen(x)`
    Frozen(Box<Expr>),
    /// `-a`, `not a`
    Unary { operator: UnaryOperator, operand: Box<Expr> },
    /// `a + b` and the like
    Binary { operator: BinaryOperator, left: Box<Expr>, right: Box<Expr> },
}

/// An argument of a call; the name is there where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    pub name: Option<Ident>,
    pub value: Expr,
}

/// `let a = x` or `share f = x` in a block.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub shared: bool,
    pub name: Ident,
    pub value: Expr,
}

/// What a repeat goes over.
#[derive(Clone, Debug, PartialEq)]
pub enum RepeatOver {
    /// `repeat(n)`
    Count(Box<Expr>),
    /// `repeat i in a..b` or `a..=b`
    Range { variable: Ident, start: Box<Expr>, end: Box<Expr>, inclusive: bool },
    /// `repeat l in list`, `repeat [a, b] in pairs`
    List { pattern: Pattern, list: Box<Expr> },
}

/// What a repeat calls each item, or the parts of each.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// `l`
    Item(Ident),
    /// `[a, b]`, and its place.
    Parts(Vec<Ident>, Span),
}

impl Pattern {
    /// All names that it gives.
    pub fn names(&self) -> &[Ident] {
        match self {
            Pattern::Item(name) => std::slice::from_ref(name),
            Pattern::Parts(names, _) => names,
        }
    }
}

/// A layer's or scope's name: bare (`conv-1`, `fire2/squeeze1x1`) or a quoted template.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerName {
    pub text: Text,
    /// Whether it was written in quotes.
    pub quoted: bool,
}

/// An end of a cut.
#[derive(Clone, Debug, PartialEq)]
pub enum CutEnd {
    /// A layer or a scope.
    Name(LayerName),
    /// An index, from the start or (negative) the end.
    Index(i64, Span),
}

/// The range of a cut.
#[derive(Clone, Debug, PartialEq)]
pub enum CutRange {
    /// `[5]`, `[conv1_1]`
    One(CutEnd),
    /// `[a..b]`, `[a..=b]`; `[..]` is the whole net.
    Range { start: Option<CutEnd>, end: Option<CutEnd>, inclusive: bool },
}

/// A sign before its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOperator {
    Negate,
    Not,
}

/// A sign between its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOperator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
}
