// The grammar of `.net` files for editors that highlight by tree-sitter. grammar/net.pest defines the language; this one accepts
// the same texts, and goes on after errors.

const PREC = { chain: 1, or: 2, and: 3, not: 4, compare: 5, add: 6, multiply: 7, negate: 8, postfix: 9 };

const KEYWORDS = [
  "use", "net", "weights", "labels", "train", "expect", "let", "share", "repeat", "in", "if", "else", "as", "frozen", "true",
  "false", "and", "or", "not",
];

const separated = (separator, rule) => seq(rule, repeat(seq(separator, rule)));
const listed = (rule) => seq(separated(",", rule), optional(","));

module.exports = grammar({
  name: "netc",

  word: ($) => $.identifier,

  extras: ($) => [/[\s\uFEFF]/, $.comment, $.doc_comment],

  supertypes: ($) => [$._item, $._expression],

  rules: {
    source_file: ($) => seq(optional($.edition), optional(choice(repeat1($._item), $._expression))),

    edition: (_) => token(prec(1, /netc[ \t]+[0-9]+/)),

    doc_comment: (_) => token(prec(1, /##[^\n]*/)),
    comment: (_) => token(/#[^\n]*/),

    // ---- Items

    _item: ($) =>
      choice($.use_item, $.net_item, $.weights_item, $.labels_item, $.train_item, $.expect_item),

    use_item: ($) => seq("use", field("path", $.string)),

    net_item: ($) =>
      seq(
        "net",
        field("name", $.identifier),
        optional($.parameters),
        optional(seq(":", $.signature)),
        "=",
        field("body", $._expression),
      ),
    parameters: ($) => seq(choice("(", alias($._call_paren, "(")), optional(listed($.parameter)), ")"),
    parameter: ($) => seq(field("name", $.identifier), optional(seq("=", $._expression))),

    weights_item: ($) =>
      seq("weights", field("net", $.identifier), "=", field("file", $._expression), optional($.entries)),
    labels_item: ($) => seq("labels", field("net", $.identifier), "=", field("source", $._expression)),
    train_item: ($) => seq("train", field("net", $.identifier), $.entries),
    expect_item: ($) => seq("expect", choice(seq(field("net", $.identifier), ":", $.signature), $._expression)),

    entries: ($) => seq("{", repeat(seq($.entry, optional(","))), "}"),
    entry: ($) => seq(field("key", $._word), "=", field("value", $._expression)),

    signature: ($) => seq($._shapes, "->", $._shapes),
    _shapes: ($) => choice($.shape, seq("[", listed($.shape), "]")),
    shape: ($) => seq("(", listed($._expression), ")"),

    // ---- Expressions

    _expression: ($) =>
      choice(
        $.chain,
        $.binary,
        $.unary,
        $.named,
        $.cut,
        $.call,
        $.frozen,
        $.repeat,
        $.if,
        $.branches,
        $.list,
        $.block,
        $.string,
        $.sizes,
        $.float,
        $.integer,
        $.open,
        $.boolean,
        $.identifier,
      ),

    chain: ($) => prec.left(PREC.chain, seq($._expression, ">>", $._expression)),

    binary: ($) =>
      choice(
        ...[
          ["or", PREC.or],
          ["and", PREC.and],
          ["==", PREC.compare],
          ["!=", PREC.compare],
          ["<", PREC.compare],
          ["<=", PREC.compare],
          [">", PREC.compare],
          [">=", PREC.compare],
          ["+", PREC.add],
          ["-", PREC.add],
          ["*", PREC.multiply],
          ["/", PREC.multiply],
        ].map(([operator, precedence]) =>
          prec.left(
            precedence,
            seq(field("left", $._expression), field("operator", operator), field("right", $._expression)),
          ),
        ),
      ),

    unary: ($) =>
      choice(
        prec(PREC.not, seq(field("operator", "not"), $._expression)),
        prec(PREC.negate, seq(field("operator", "-"), $._expression)),
      ),

    named: ($) => prec.left(PREC.postfix, seq($._expression, "as", field("name", choice($.layer_name, $.string)))),

    // No whitespace is allowed before the bracket, so that a list may start the next line of a block.
    cut: ($) =>
      prec.left(
        PREC.postfix,
        seq(
          $._expression,
          alias(token.immediate(prec(1, "[")), "["),
          optional($._cut_end),
          optional(seq(field("range", choice("..", "..=")), optional($._cut_end))),
          "]",
        ),
      ),
    _cut_end: ($) => choice($.index, $.layer_name, $.string),
    index: (_) => token(prec(1, /-?[0-9]+/)),

    call: ($) =>
      seq(field("function", $.identifier), alias($._call_paren, "("), optional(listed($.argument)), ")"),
    _call_paren: (_) => token.immediate(prec(1, "(")),
    argument: ($) =>
      seq(
        optional(seq(field("name", $._word), "=")),
        field("value", $._expression),
        optional(seq(choice("..", "..="), $._expression)),
      ),

    frozen: ($) => seq("frozen", choice("(", alias($._call_paren, "(")), $._expression, optional(","), ")"),

    repeat: ($) =>
      seq(
        "repeat",
        choice(
          seq(choice("(", alias($._call_paren, "(")), $._expression, ")"),
          seq(field("pattern", $._pattern), "in", $._expression, optional(seq(choice("..", "..="), $._expression))),
        ),
        field("body", $.block),
      ),
    _pattern: ($) => choice($.identifier, seq("[", listed($.identifier), "]")),

    if: ($) =>
      prec.right(
        seq(
          "if",
          field("condition", $._expression),
          field("then", $.block),
          repeat(seq("else", "if", field("condition", $._expression), field("then", $.block))),
          optional(seq("else", field("otherwise", $.block))),
        ),
      ),

    branches: ($) => seq("(", separated("|", $._expression), ")"),

    list: ($) => seq("[", optional(listed($._expression)), "]"),

    // A block `{ let a = x  share f = y  z }`, or a map `{ "a" = b, "c" = d }`.
    block: ($) =>
      seq(
        "{",
        choice(seq(repeat($.statement), optional($._expression)), seq($.pair, repeat(seq(optional(","), $.pair)), optional(","))),
        "}",
      ),
    statement: ($) => seq(choice("let", "share"), field("name", $.identifier), "=", field("value", $._expression)),
    pair: ($) => seq(field("key", $._expression), "=", field("value", $._expression)),

    // ---- Values

    string: ($) =>
      seq(
        '"',
        repeat(choice($._characters, $.escape, $.interpolation)),
        token.immediate('"'),
      ),
    _characters: (_) => token.immediate(prec(2, /[^"\\{}\n]+/)),
    escape: (_) => token.immediate(prec(2, choice(/\\[^\n]/, "{{", "}}"))),
    interpolation: ($) => seq(token.immediate(prec(1, "{")), $._expression, "}"),

    sizes: (_) => token(/([0-9]+|\?)(x([0-9]+|\?))+/),
    float: (_) => token(/[0-9]+(\.[0-9]+([eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)/),
    integer: (_) => token(/[0-9]+/),
    open: (_) => "?",
    boolean: (_) => choice("true", "false"),

    // ---- Names

    identifier: (_) => /[\p{L}_][\p{L}0-9_]*/,
    // Any word, reserved or not: keys and the names of arguments.
    _word: ($) => choice($.identifier, alias(choice(...KEYWORDS), $.identifier)),
    // After `as` and in cuts: `conv-1`, `fire2/squeeze1x1`.
    layer_name: (_) => token(/[\p{L}_][\p{L}0-9_]*(([-/]+|\.)[\p{L}0-9_]+)*/),
  },
});
