; Later patterns have priority, as in Neovim, Helix and Zed.

(identifier) @variable

(comment) @comment
(doc_comment) @comment.line.documentation
(edition) @keyword.directive

[
  "use"
  "net"
  "weights"
  "labels"
  "train"
  "expect"
  "let"
  "share"
  "as"
  "frozen"
] @keyword

["repeat" "in"] @keyword.control.repeat
["if" "else"] @keyword.control.conditional
["and" "or" "not"] @keyword.operator

[">>" "|" "->" ".." "..=" "=" "==" "!=" "<" "<=" ">" ">=" "+" "-" "*" "/"] @operator
["," ":"] @punctuation.delimiter
["(" ")" "[" "]" "{" "}"] @punctuation.bracket

(boolean) @constant.builtin.boolean
(integer) @constant.numeric
(index) @constant.numeric
(float) @constant.numeric.float
(sizes) @constant.numeric
(open) @constant.builtin

(string) @string
(escape) @constant.character.escape
(interpolation "{" @punctuation.special "}" @punctuation.special)

; Layers begin with a capital letter.
((identifier) @type
  (#match? @type "^[A-Z]"))

(call function: (identifier) @function)
(call
  function: (identifier) @type
  (#match? @type "^[A-Z]"))
(cut . (identifier) @function)

(net_item name: (identifier) @function)
(weights_item net: (identifier) @function)
(labels_item net: (identifier) @function)
(train_item net: (identifier) @function)
(expect_item net: (identifier) @function)

(parameter name: (identifier) @variable.parameter)
(argument name: (identifier) @variable.parameter)
(entry key: (identifier) @variable.other.member)
(use_item path: (string) @string.special.path)

(layer_name) @label
(named name: (string) @label)
