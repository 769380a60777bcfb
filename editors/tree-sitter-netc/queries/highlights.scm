; Later patterns have priority, as in Neovim, Helix and Zed.

(identifier) @variable

(comment) @comment
(doc_comment) @comment.documentation
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

["repeat" "in"] @keyword.repeat
["if" "else"] @keyword.conditional
["and" "or" "not"] @keyword.operator

[">>" "|" "->" ".." "..=" "=" "==" "!=" "<" "<=" ">" ">=" "+" "-" "*" "/"] @operator
["," ":"] @punctuation.delimiter
["(" ")" "[" "]" "{" "}"] @punctuation.bracket

(boolean) @boolean
(integer) @number
(index) @number
(float) @number.float
(sizes) @number
(open) @constant.builtin

(string) @string
(escape) @string.escape
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
(entry key: (identifier) @property)
(use_item path: (string) @string.special.path)

(layer_name) @label
(named name: (string) @label)
