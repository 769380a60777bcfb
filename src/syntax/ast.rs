//! The abstract syntax tree, with spans. The formatter prints it back.

use crate::source::Span;

/// A `.net` file.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// The language's edition, from a first line `netc 1`.
    pub edition: Option<(u64, Span)>,
    /// The items in source order.
    pub items: Vec<Item>,
    /// The expression of a file without items, which defines the net named after the file.
    pub expression: Option<Expr>,
}

/// A word with its span.
#[derive(Clone, Debug, PartialEq)]
pub struct Ident {
    pub text: String,
    pub span: Span,
}

/// An item and its documentation: the `##` lines before it, without the signs.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub docs: Vec<String>,
    pub kind: ItemKind,
    pub span: Span,
}

/// The kinds of items.
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

/// The shapes of a net's inputs and outputs: `(?, h, w, c) -> (?, h, w, 2*c)`; several on a side are in brackets.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    pub inputs: Vec<ShapePattern>,
    pub outputs: Vec<ShapePattern>,
    pub span: Span,
}

/// One shape of a signature, batch first; an open size is [`ExprKind::Open`].
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

/// The training recipe of a net.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainItem {
    pub net: Ident,
    pub entries: Vec<Entry>,
}

/// An expectation, checked by `netc test`.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpectItem {
    /// `expect bird: (?, 224, 224, 3) -> (?, 10)`
    Signature { net: Ident, signature: Signature },
    /// `expect top1(bird, "owl.jpg") == "owl"`: any condition over calls.
    Condition(Expr),
}

/// `key = value` in a block.
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

/// A string, which may contain `{expressions}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    pub parts: Vec<TextPart>,
    pub span: Span,
}

/// A part of a string.
#[derive(Clone, Debug, PartialEq)]
pub enum TextPart {
    /// Characters, with escapes resolved.
    Literal(String),
    /// `{i + 1}`
    Value(Expr),
}

/// The kinds of expressions.
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
    /// A word: a layer, a net, a parameter, a value or a keyword such as `same`.
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
    /// `x[a..b]`; if x is a list, `x[0]` is an item.
    Cut { inner: Box<Expr>, range: CutRange },
    /// `repeat(3) { x }`, `repeat i in 1..=3 { x }`, `repeat l in list { x }`
    Repeat { over: RepeatOver, body: Box<Expr> },
    /// `{ let a = x  share f = y  z }`
    Block { statements: Vec<Statement>, result: Box<Expr> },
    /// `if a { x } else if b { y } else { z }`: conditions with their arms, then the `else`.
    If { arms: Vec<(Expr, Expr)>, otherwise: Option<Box<Expr>> },
    /// `frozen(x)`
    Frozen(Box<Expr>),
    /// `-a`, `not a`
    Unary { operator: UnaryOperator, operand: Box<Expr> },
    /// `a + b` and the like
    Binary { operator: BinaryOperator, left: Box<Expr>, right: Box<Expr> },
}

/// An argument of a call, by position or by name.
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

/// The range of a `repeat`.
#[derive(Clone, Debug, PartialEq)]
pub enum RepeatOver {
    /// `repeat(n)`
    Count(Box<Expr>),
    /// `repeat i in a..b` or `a..=b`
    Range { variable: Ident, start: Box<Expr>, end: Box<Expr>, inclusive: bool },
    /// `repeat l in list`, `repeat [a, b] in pairs`
    List { pattern: Pattern, list: Box<Expr> },
}

/// The names that an iteration of a `repeat` binds.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// `l`
    Item(Ident),
    /// `[a, b]` and its span: the elements of each item.
    Parts(Vec<Ident>, Span),
}

impl Pattern {
    /// All names that it binds.
    pub fn names(&self) -> &[Ident] {
        match self {
            Pattern::Item(name) => std::slice::from_ref(name),
            Pattern::Parts(names, _) => names,
        }
    }
}

/// The name of a layer or scope: bare (`conv-1`, `fire2/squeeze1x1`) or a quoted template.
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
    /// An index, from the start or, if negative, from the end.
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

/// An operator before its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOperator {
    Negate,
    Not,
}

/// An operator between its operands.
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
