//! Every code, its title and what `netc explain` teaches. Numbers are stable: a code is never given another meaning.

use std::fmt;
use std::str::FromStr;

macro_rules! codes {
    ($($name:ident = $text:literal, $title:literal, $explain:literal;)*) => {
        /// The stable number of a kind of mistake (`E…`) or lint (`W…`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $(#[doc = $title] $name,)* }

        impl Code {
            /// Every code in order.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// As it is printed, `E0301`.
            pub fn text(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// What kind of mistake it is, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }

            /// What one should know about it.
            pub fn explain(self) -> &'static str {
                match self { $(Code::$name => $explain,)* }
            }
        }
    };
}

codes! {
    NotUtf8 = "E0001", "the file is not UTF-8 text",
        "A spec is text in UTF-8. This file holds bytes that are none: it is likely a weights file, a photo or an artifact that was named in place of the spec.";
    Unreadable = "E0002", "a file cannot be read",
        "The file is not there, is a folder, or may not be read by this user. Relative paths in a spec start at the spec's folder, those on the command line at the working directory.";
    Syntax = "E0101", "the text does not follow the grammar",
        "The message says what was found and what could stand there. An item starts with `net`, `weights`, `labels`, `train`, `use` or `expect`; an expression chains layers with `>>`.\n\n    net small = Input(28x28x1) >> Flatten >> Softmax(10)";
    Unclosed = "E0102", "a bracket or quote is not closed",
        "Each `(`, `[`, `{` and `\"` needs its partner. The label shows the one that is left open.";
    Literal = "E0103", "a number or text cannot be read",
        "Integers have up to 18 digits, sizes are written `3x3` or `224x224x3`, texts stand in double quotes with the escapes \\\" \\\\ \\n \\t, and a brace in a text is `{{`.";
    TooDeep = "E0104", "the text is nested too deeply or too large",
        "A spec may have up to 4 MB and 64 levels of brackets; both are far above what networks need. Use `repeat` and nets of your own in place of nesting.";
    Edition = "E0105", "an edition that this program does not know",
        "A first line `netc 1` pins the language's edition. This program knows edition 1.";
    UnknownName = "E0201", "no layer, net or value has this name",
        "Names are looked up among the parameters and `let`s in scope, the file's nets, the nets that `use` brings, the nets that ship with netc, and the layers. `netc help` lists the layers.";
    DuplicateItem = "E0202", "two items of one kind have one name",
        "A net, and the weights, labels or recipe of a net, are defined once per file. Rename one of them.";
    DuplicateLayer = "E0203", "two layers of one net have one name",
        "Every layer of a net has a name of its own, so that cuts and weights can name it. Wrap one of the two mentions in a scope: `(…) as left` makes its layers `left/…`.";
    UnknownArgument = "E0204", "no argument has this name",
        "`netc help LAYER` lists a layer's arguments; a net's stand in its definition.";
    MissingArgument = "E0205", "an argument without a default is missing",
        "`netc help LAYER` shows which arguments a layer needs.";
    TooManyArguments = "E0206", "more arguments than there are parameters",
        "Arguments go by position in the order of the documentation, or by name.";
    WrongArgument = "E0207", "an argument's value cannot be used",
        "The message says what the argument takes and what it was given.";
    Recursion = "E0208", "a net contains itself",
        "Networks are finite: a net cannot be built from itself. `repeat(n) { … }` chains an expression n times.";
    ReservedName = "E0209", "this name cannot be taken",
        "The names of layers (`Dense`) and the language's words cannot name a net or a parameter.";
    Use = "E0210", "a used file cannot be brought in",
        "`use \"blocks.net\"` names a file beside this one or below the project's root (the folder of the file that is built). Files may not use each other in a circle, nor bring in a net twice.";
    NoNet = "E0211", "it is not clear which net is meant",
        "A file's net is the one named like the file, else its only complete net (one that starts at `Input`). `--net NAME` picks one.";
    NotANet = "E0212", "a value stands where a net is needed, or the other way round",
        "`>>` joins nets: layers, nets and expressions of them. Numbers and texts are arguments.";
    ValueInChain = "E0213", "what comes in is not used",
        "A `let` is a value: it was computed already and takes no input. `x >> a` would throw x away. Use the value at the start of a chain or as a branch: `(x | a) >> Concatenate`.";
    Arithmetic = "E0214", "a calculation has no result",
        "Integer division must be exact, numbers stay within 64 bits, and arithmetic takes numbers.";
    Limit = "E0215", "the expansion is too large",
        "Limits keep a mistyped number from eating the machine: 10,000 repeats, 100,000 layers, 64 nets inside nets.";
    Fragment = "E0216", "the net has no input",
        "A net that does not start at `Input` is a fragment: it says what happens to an input, but not which. Put `Input(224x224x3) >>` before it, or use it in another net.";
    Expectation = "E0218", "an expectation does not hold",
        "`expect bird: (?, 224, 224, 3) -> (?, 10)` and `expect top1(bird, \"owl.jpg\") == \"owl\"` are promises that `netc test` checks. The message shows what was found: correct the net, or the promise.";
    ExpectationForm = "E0219", "an expectation cannot be evaluated",
        "An expectation is a signature of a net, or a condition over `top1(net, \"photo\")` (a label, or the class's number where the net has no labels), `parameters(net)`, `layers(net)`, numbers and texts, compared and joined with `and`, `or` and `not`. A photo's path starts at the spec's folder.\n\n    expect parameters(bird) < 140000000";
    WrongRank = "E0301", "a layer gets a tensor with the wrong number of dimensions",
        "Images are (batch, height, width, channels), sequences (batch, time, features), features (batch, features). `Flatten` makes features of an image, `GlobalPool(avg)` averages it.";
    Mismatch = "E0302", "two shapes that must agree differ",
        "An `Input` in the middle of a chain asserts the shape there, and a fragment that was cut from a net needs the shape it was cut at.";
    MergeMismatch = "E0303", "branches that are merged do not fit together",
        "`Add`, `Multiply` and the like need equal shapes; `Concatenate` needs shapes that differ only along its axis.";
    NeedsMerge = "E0304", "several outputs meet a layer that takes one",
        "Parallel branches must be joined by a merge: `(a | b) >> Concatenate`, `Add`, `Multiply`, `Average` or `GatedAverage`.";
    Window = "E0305", "a window is larger than what it slides over",
        "With `padding=valid` a convolution or pool needs at least one whole window. Use `padding=same`, a smaller size, or fewer pools before.";
    Reshape = "E0306", "the sizes do not hold the same number of values",
        "A reshape keeps all values: the product of the new sizes must equal that of the old ones. One size may be open (`?`).";
    OpenSize = "E0307", "a size must be known here",
        "A `?` in `Input` leaves a size open. Layers whose parameters depend on it, and a plan, need it known.";
    Channels = "E0308", "channels and groups do not divide",
        "In a grouped convolution the input's and the output's channels must both be multiples of `groups`.";
    TooLarge = "E0309", "a tensor is too large",
        "A layer's output and each of its parameters may have up to 2^33 values per image. A size is likely mistyped.";
    Contract = "E0310", "a net's signature does not hold",
        "`net f: (?, h, w, c) -> (?, h, w, 2*c)` is a promise: the caller must give the left side, the net's body the right side. The message says who breaks it.";
    WeightsMissing = "E0401", "the weights file is not there",
        "`weights NAME = \"file\"` starts at the spec's folder. `--weights NAME=path` on the command line replaces the file.";
    WeightsUnreadable = "E0402", "the weights file cannot be read",
        "Weights are read from HDF5 files (NeuPy, Keras), `.keras` archives and safetensors. The message says what the file looks like instead.";
    WeightsMismatch = "E0403", "the weights do not fit the net",
        "Every parameter of the net must be found in the file with its exact shape. All that do not fit are listed, with the nearest names in the file. `rename = { \"name in the file\" = \"layer\" }` maps names; `missing = initialize` lets the rest start from its initialiser.";
    WeightsCorrupt = "E0404", "the weights file is damaged",
        "The file ends too early or contradicts itself. Fetch it again and compare its checksum; `sha256 = \"…\"` pins it.";
    WeightsLayout = "E0405", "the layout of the weights is not known",
        "netc knows the layouts of NeuPy, Keras 1 to 3 and safetensors, and finds out by itself. `layout = …` insists on one.";
    WeightsDigest = "E0406", "the weights file is another one than was pinned",
        "`sha256 = \"…\"` in the weights block names the file's digest, and this file has another.";
    WeightsNet = "E0407", "weights, labels or a recipe for a net that is not there",
        "The name after `weights`, `labels` and `train` is the name of a net: of this file, of a used file, or one that ships with netc.";
    Untrained = "E0408", "parameters that nothing has trained",
        "An artifact with random parameters predicts nonsense, so `netc build` refuses. Bind weights, train the net (`netc train`), or say `--allow-untrained`.";
    WeightsOption = "E0409", "a weights block has an entry that means nothing",
        "The entries are layout, missing, rename, sha256 and image.";
    UnknownLayer = "E0501", "the net that is cut has no such layer",
        "`netc show NET` lists the names that can stand in a cut. An index counts from the start, or with a minus from the end; scopes (`fire2`) are ends too.";
    EmptyCut = "E0502", "a cut keeps nothing",
        "`..a` leaves a out: it keeps what leads to a. `..=a` takes it in.";
    HangingEdge = "E0503", "a cut would leave an edge hanging",
        "On a net with branches, an end keeps all that leads to it and a start all that follows from it. A start inside one branch of a merge leaves the other branch without its source: start before the branches part.";
    Recipe = "E0601", "a training recipe has an entry that means nothing",
        "The keys are data, validation, optimizer, loss, epochs, batch, seed, shuffle, metrics, regularizer, schedule, stop, augment, checkpoint and class_weights.";
    RecipeValue = "E0602", "a value in a training recipe cannot be used",
        "The message says what the key takes. `netc explain E0602` and the documentation list optimizers, losses and schedules.";
    Untrainable = "E0603", "a net cannot be trained",
        "The message names the layer and the reason. Freeze it and what stands before it with `frozen(…)`, or leave it out. A net is trained by one output, and something in it must not be frozen.";
    Diverged = "E0604", "training diverged",
        "The loss is no number any more. A smaller `step`, a warm-up, or `clip_norm` in the optimizer usually helps; check that inputs are scaled as the net expects and that targets are right. What was written before stays: the last checkpoint holds the epoch before.";
    Resume = "E0605", "there is no run to go on with",
        "`netc train --resume` continues a run from its last checkpoint, which stands in the folder NAME.run beside the spec. It must have been written by the same recipe, net and data.";
    Photo = "E0701", "a photo cannot be used",
        "JPEG and PNG files up to 64 megapixels are read. The message says what is wrong with this one.";
    Labels = "E0702", "the labels do not fit the net",
        "A net with n outputs has n labels: one per line of the file, or in a list.";
    Array = "E0703", "an array cannot be used",
        "Arrays are read from .npy, .npz and HDF5 files. The first dimension counts the images; the others must be the net's input.";
    Inputs = "E0704", "there is nothing to predict",
        "`netc predict M.netb photo.jpg` takes photos, folders of photos, and .npy or .npz arrays.";
    Preprocessing = "E0705", "the net does not say how a photo becomes its input",
        "Write `Input(224x224x3, image=Caffe)` (or Torch, Unit, Symmetric, or the full form) in the spec; it then travels with the net into the artifact. Arrays need none.";
    Dataset = "E0706", "the data of a recipe cannot be used",
        "`images(\"folder\")` takes one folder of photos per class, `csv(\"list.csv\")` rows of path and label, `arrays(\"file.h5\", x=\"images\", y=\"targets\")` arrays whose first dimension counts the images. Classes must be as many as the net's outputs.";
    Memory = "E0801", "the plan does not fit the memory that it may use",
        "`--max-memory` bounds the arena and the constants. A smaller batch needs less.";
    Unsupported = "E0802", "this is not compiled yet",
        "The net is right, but netc cannot lower one of its layers in this place. The message names it.";
    Deviation = "E0803", "the compiled net is not what its reference is",
        "`netc verify` runs the compiled net beside plain loops in f64 on the graph as it was written. More than 1e-4 of the output's range is a fault of netc, or numbers so large that f32 cannot hold them.";
    NotAnArtifact = "E0901", "the file is no artifact",
        "`netc build` writes artifacts with the ending .netb.";
    ArtifactVersion = "E0902", "the artifact was written by another version",
        "Build it again from its spec: `netc inspect` shows the spec that it was made from.";
    ArtifactDamaged = "E0903", "the artifact is damaged",
        "A checksum does not hold: the file was changed or cut off after it was written. Build it again.";
    Output = "E0904", "the output cannot be written",
        "The folder is not there, is not writable, or the disk is full. Nothing half-written is left behind.";
    SoftmaxTwice = "W1001", "softmax after softmax",
        "A second softmax flattens the probabilities of the first. One of the two is likely not meant.";
    BiasBeforeNorm = "W1002", "a bias before batch normalisation",
        "The normalisation subtracts it again. Write `bias=false`.";
    UnusedNet = "W1003", "a net that nothing uses",
        "Neither another net nor the command mentions it.";
    FrozenUntrained = "W1004", "random weights are frozen",
        "`frozen` keeps parameters as they are, and these come from no file: they stay random for ever.";
    HugeDense = "W1005", "a very large dense layer behind a flatten",
        "More than 50 million parameters in one layer. A `GlobalPool(avg)` in place of `Flatten` often serves as well.";
    PoolDropsBorder = "W1006", "a pool drops the border",
        "The size is not a multiple of the stride: with `padding=valid` the last rows or columns are never looked at.";
    ShadowedWord = "W1007", "a parameter hides a word with a meaning",
        "Where a choice such as `same` is expected, a parameter of that name wins.";
    WeightsAway = "W1008", "the weights file is not there yet",
        "`netc check` does not need it, `netc build` does.";
    PreprocessingDiffers = "W1009", "the net's preprocessing is not that of its weights",
        "The weights were trained on photos that were prepared in another way; predictions will be worse.";
}

impl Code {
    /// Whether it is a lint: legal, and likely not meant.
    pub fn is_lint(self) -> bool {
        self.text().starts_with('W')
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl FromStr for Code {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Code::ALL.iter().copied().find(|code| code.text().eq_ignore_ascii_case(text)).ok_or(())
    }
}
