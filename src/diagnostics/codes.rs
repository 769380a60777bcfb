//! All diagnostic codes with their titles and explanations. Codes are stable: none is ever reused for another meaning.

use std::fmt;
use std::str::FromStr;

macro_rules! codes {
    ($($name:ident = $text:literal, $title:literal, $explain:literal, $example:literal;)*) => {
        /// The stable code of a kind of error (`E…`) or lint (`W…`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $(#[doc = $title] $name,)* }

        impl Code {
            /// All codes in order.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as it is printed: `E0301`.
            pub fn text(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// A short description of the kind of error.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }

            /// The explanation that `netc explain` prints.
            pub fn explain(self) -> &'static str {
                match self { $(Code::$name => $explain,)* }
            }

            /// A spec with this error or, after a `$`, a command that fails with it.
            pub fn example(self) -> &'static str {
                match self { $(Code::$name => $example,)* }
            }
        }
    };
}

codes! {
    NotASpec = "E0001", "the file is not a spec",
        "A spec is a text file in UTF-8. This file contains other bytes: it is a weights file, a photo or an artifact, given in place of a spec. Layers are cut out of the net of a spec, not out of an artifact.",
        "$ netc check vgg16.h5";
    Unreadable = "E0002", "a file cannot be read",
        "The file does not exist, is a folder, or this user has no permission to read it. Relative paths in a spec start at the folder of the spec, those on the command line at the working directory.",
        "use \"blcoks.net\"\n\nnet small = Input(4) >> Softmax(2)";
    Syntax = "E0101", "syntax error",
        "The message says what was found and what was expected. An item starts with `net`, `weights`, `labels`, `train`, `use` or `expect`; an expression chains layers with `>>`.",
        "net small = Input(28x28x1) Flatten >> Softmax(10)   # a `>>` is missing";
    Unclosed = "E0102", "a bracket or quote is not closed",
        "Every `(`, `[`, `{` and `\"` must be closed. The label shows the one that is still open.",
        "net small = Input(28x28x1) >> Dense(10";
    Literal = "E0103", "invalid number or string",
        "Integers have up to 18 digits, sizes are written `3x3` or `224x224x3`, strings are written in double quotes with the escapes \\\" \\\\ \\n \\t, and a brace in a string is written `{{`.",
        "Input(4) >> Dense(99999999999999999999)";
    TooDeep = "E0104", "the text is nested too deeply or too large",
        "A spec may have up to 4 MB and 64 levels of brackets, far more than networks need. Use `repeat` and nets of your own instead of nesting.",
        "net deep = Input(4) >> ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((Relu(4)))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))";
    Edition = "E0105", "unknown edition",
        "A first line `netc 1` selects the edition of the language. This version of netc supports edition 1.",
        "netc 7\n\nnet small = Input(4) >> Softmax(2)";
    UnknownName = "E0201", "no layer, net or value has this name",
        "Names are looked up among the parameters and `let`s in scope, the nets of the file, the nets of the files it uses, the nets that ship with netc, and the layers. `netc help` lists the layers.",
        "Input(28x28x1) >> Flaten >> Softmax(10)";
    DuplicateItem = "E0202", "duplicate definition",
        "A net, and the weights, labels or recipe of a net, can be defined only once per file; so can the parameters of a net and the values of a block. Rename or remove one of the definitions.",
        "net a = Input(4) >> Relu\nnet a = Input(4) >> Tanh";
    DuplicateLayer = "E0203", "two layers of a net have the same name",
        "Cuts and weights refer to layers by name, so every layer of a net needs a unique one. Put one of the two into a scope: `(…) as left` names its layers `left/…`.",
        "Input(4) >> Relu(4) as hidden >> Relu(4) as hidden";
    UnknownArgument = "E0204", "no argument has this name",
        "`netc help LAYER` lists the arguments of a layer; those of a net are in its definition.",
        "Input(28x28x1) >> Conv(3x3, 8, strides=2)";
    MissingArgument = "E0205", "a required argument is missing",
        "Arguments without a default are required. `netc help LAYER` lists them.",
        "Input(28x28x1) >> Conv(3x3)";
    TooManyArguments = "E0206", "more arguments than there are parameters",
        "Arguments are given by position, in the order of the documentation, or by name. Each can be given once.",
        "Input(28x28x1) >> Flatten(1, 2)";
    WrongArgument = "E0207", "invalid value",
        "The message says which values are allowed and what was given.",
        "Input(28x28x1) >> Conv(3x3, 8, padding=smae)";
    Recursion = "E0208", "a net contains itself",
        "Networks are finite, so a net cannot contain itself. Write `repeat(n) { … }` to chain an expression n times.",
        "net a = Input(4) >> b\nnet b = Relu(4) >> b";
    ReservedName = "E0209", "reserved name",
        "The names of layers (`Dense`) and the keywords of the language cannot be names of nets, parameters or values.",
        "net Relu = Input(4) >> Tanh";
    Use = "E0210", "invalid `use`",
        "`use \"blocks.net\"` names a file relative to this one. It must be inside the folder of the root file (the one that is built). Files cannot use each other in a cycle.",
        "use \"../blocks.net\"\n\nnet small = Input(4) >> Softmax(2)";
    NoNet = "E0211", "no net, or several, to choose from",
        "The net of a file is the one named like the file, else its only complete net (one that starts at `Input`). `--net NAME` selects another.",
        "$ netc show bird.net --net brid";
    NotANet = "E0212", "a value in place of a net, or the reverse",
        "`>>` chains layers, nets and expressions of them. Numbers, strings and lists are values: they are passed as arguments.",
        "Input(4) >> 10";
    ValueInChain = "E0213", "an output in a chain is not used",
        "A `let` names a tensor that is computed already, so it takes no input: `x >> a` would discard x. Use the value at the start of a chain or as a branch: `(x | a) >> Concatenate`.",
        "Input(4) >> { let a = Relu(4)  Tanh(4) >> a }";
    Arithmetic = "E0214", "invalid arithmetic",
        "Arithmetic needs numbers, integer division must be exact, and results must fit in 64 bits.",
        "Input(7 / 2) >> Softmax(2)";
    Limit = "E0215", "the expansion is too large",
        "Limits keep a mistyped number from using up time and memory: 10,000 repetitions, 100,000 layers, nets nested 64 levels deep.",
        "Input(4) >> repeat(1000000) { Relu(4) }";
    Fragment = "E0216", "the net has no input",
        "A net that does not start at `Input` is a fragment. Put `Input(224x224x3) >>` before it, or use it in another net.",
        "$ netc build 'Flatten >> Softmax(10)'";
    Expectation = "E0218", "an expectation is not met",
        "`netc test` checks expectations such as `expect bird: (?, 224, 224, 3) -> (?, 10)` and `expect top1(bird, \"owl.jpg\") == \"owl\"`. The message shows the actual result: correct the net or the expectation.",
        "net bird = Input(4) >> Softmax(10)\n\nexpect bird: (?, 4) -> (?, 11)   # reported by `netc test`";
    ExpectationForm = "E0219", "an expectation cannot be evaluated",
        "An expectation is the signature of a net, or a condition. Conditions compare `top1(net, \"photo\")` (a label, or the index of the class if the net has no labels), `parameters(net)`, `layers(net)`, numbers and strings, combined with `and`, `or` and `not`. The path of a photo starts at the folder of the spec.",
        "net bird = Input(4) >> Softmax(10)\n\nexpect top5(bird, \"owl.jpg\") == \"owl\"   # reported by `netc test`";
    WrongRank = "E0301", "a layer gets a tensor with the wrong number of dimensions",
        "Images have the shape (batch, height, width, channels), sequences (batch, time, features), feature vectors (batch, features). `Flatten` turns an image into a feature vector, `GlobalPool(avg)` averages it over height and width.",
        "Input(28x28x1) >> Softmax(10)";
    Mismatch = "E0302", "two shapes that must agree differ",
        "An `Input` in the middle of a chain asserts the shape there, and a fragment that was cut from a net needs an input of the shape at the cut.",
        "vgg16[..dropout-2] >> Input(1000) >> Softmax(10)";
    MergeMismatch = "E0303", "merged branches have incompatible shapes",
        "`Add`, `Multiply` and other elementwise merges need equal shapes; `Concatenate` needs shapes that differ only along its axis.",
        "Input(28x28x1) >> (Conv(3x3, 8) | Identity) >> Add";
    NeedsMerge = "E0304", "wrong number of input tensors",
        "Most layers take a single tensor. Merge parallel branches first, with `Concatenate`, `Add`, `Multiply`, `Average` or `GatedAverage`: `(a | b) >> Concatenate`.",
        "Input(4) >> (Relu(4) | Tanh(4)) >> Softmax(2)";
    Window = "E0305", "a window is larger than its input",
        "With `padding=valid` the window of a convolution or pool must fit into the input at least once. Use `padding=same`, a smaller window, or fewer pools before it. What `Crop` cuts off, a reflected border of `Pad`, and the blocks of `SpaceToDepth` must fit into the image too.",
        "Input(4x4x3) >> Conv(5x5, 8)";
    Reshape = "E0306", "a reshape changes the number of values",
        "A reshape keeps all values: the product of the new sizes must equal that of the old ones. One size can be open (`?`).",
        "Input(28x28x1) >> Reshape(28x27)";
    OpenSize = "E0307", "a size must be known here",
        "A `?` in `Input` leaves a size open. Layers whose parameters depend on the size need a known one, and so does a plan.",
        "Input(?x?x3) >> Flatten >> Softmax(10)";
    Channels = "E0308", "invalid channels or groups",
        "In a grouped convolution the input channels and the output channels must both be multiples of `groups`. `Shuffle` needs a multiple of its groups, `DepthToSpace` a multiple of the pixels of a block.",
        "Input(28x28x3) >> Conv(3x3, 8, groups=2)";
    TooLarge = "E0309", "a tensor is too large",
        "The output of a layer and each of its parameters can have up to 2^33 values per image, and a compiled net can take up to 2^46 multiply-adds per image. A size is probably mistyped.",
        "Input(4) >> Dense(9999999999)";
    Contract = "E0310", "a net violates its signature",
        "`net f: (?, h, w, c) -> (?, h, w, 2*c)` is a contract: the caller must pass inputs of the shapes on the left, and the body must return outputs of those on the right. The message says which side violates it.",
        "net halves: (?, n) -> (?, n / 2) = Dense(8)\n\nnet small = Input(4) >> halves";
    WeightsMissing = "E0401", "the weights file does not exist",
        "The path in `weights NAME = \"file\"` starts at the folder of the spec. `--weights NAME=path` on the command line overrides it.",
        "weights vgg16 = \"no_such_file.h5\"   # reported by `netc build`; `netc check` warns\n\nnet bird = vgg16[..dropout-2] >> Softmax(10)";
    WeightsUnreadable = "E0402", "the weights file cannot be read",
        "Weights are read from HDF5 files (NeuPy, Keras), `.keras` archives, safetensors, PyTorch archives (`.pth`) and ONNX models. The message says what this file looks like.",
        "$ netc build bird.net --weights vgg16=photo.jpg";
    WeightsMismatch = "E0403", "the weights do not fit the net",
        "Every parameter of the net must be in the file, with exactly the same shape. All mismatches are listed, with the nearest names in the file. `rename = { \"name in the file\" = \"layer\" }` maps names; `missing = initialize` initialises missing parameters.",
        "weights vgg16 = \"resnet50.h5\"   # reported by `netc build`\n\nnet bird = vgg16[..dropout-2] >> Softmax(10)";
    WeightsCorrupt = "E0404", "the weights file is damaged",
        "The file is truncated or inconsistent. Download it again and compare its checksum; `sha256 = \"…\"` pins it.",
        "$ netc build bird.net --weights vgg16=half_a_download.h5";
    WeightsLayout = "E0405", "the layout of the weights is unknown",
        "netc reads the layouts of NeuPy, Keras 1 to 3, safetensors, PyTorch and ONNX, and detects which one a file has. `layout = …` requires one.",
        "weights vgg16 = \"vgg16.h5\" { layout = neupy }   # but the file has a Keras layout";
    WeightsDigest = "E0406", "the weights file is not the pinned one",
        "`sha256 = \"…\"` in the weights block pins the digest of the file, and the digest of this file differs.",
        "weights vgg16 = \"vgg16.h5\" {\n  sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"\n}";
    WeightsNet = "E0407", "weights, labels or a recipe for a net that does not exist",
        "`weights`, `labels` and `train` are followed by the name of a net: of this file, of a file that it uses, or one that ships with netc.",
        "net bird = Input(4) >> Softmax(2)\n\nlabels brid = [\"owl\", \"wren\"]";
    Untrained = "E0408", "untrained parameters",
        "An artifact with random parameters predicts nonsense, so `netc build` refuses. Bind weights, train the net (`netc train`), or pass `--allow-untrained`.",
        "$ netc build 'Input(4) >> Softmax(2)'";
    WeightsOption = "E0409", "an unknown entry in a weights block",
        "The entries are layout, missing, rename, sha256, image, config and axes. `config = ignore` accepts a Keras file that describes different layers than the net has; with the default, `check`, that is an error.",
        "net bird = Input(4) >> Softmax(2)\n\nweights bird = \"bird.h5\" { mising = initialize }";
    WeightsConfiguration = "E0410", "the file describes a different layer than the net has",
        "Keras stores the configuration of a model with its weights (`model_config` in `.h5`, `config.json` in `.keras`). The configuration of the layers that are bound is compared with the net: epsilon, strides, dilation, padding (with any preceding zero padding), activations, pools, merges and their branches, the layer before each, directions and outputs of recurrent layers. Weights give wrong results in a layer that differs from the one they were trained in. The message shows both; change the net, or write `config = ignore` in the weights block if the net is meant to differ.",
        "weights bird = \"bird.keras\"   # its BatchNormalization has epsilon 0.001, the default of Keras\n\nnet bird = Input(4) >> BatchNorm(epsilon=0.00001) >> Softmax(2)";
    WeightsAmbiguous = "E0411", "layers of the file cannot be matched to those of the net",
        "Keras 2.12 to 3.5 writes `.weights.h5` without layer names: layers are numbered within each class, by their depth in the model. Layers of the same class and size in different branches are then ambiguous, and so is part of a chain of equal layers. `.keras` files, and those of Keras 3.6 or later, keep the names; `rename = { \"conv2d_1\" = \"layer\" }` assigns a layer explicitly.",
        "weights two = \"two.weights.h5\"   # written by Keras 3.5\n\nnet two = Input(8x8x3) >> (Conv(1x1, 4) as a | Conv(1x1, 4) as b) >> Add >> Flatten >> Softmax(2)";
    AxisOrder = "E0412", "the axis order of a layer's values in the weights file is unknown",
        "PyTorch orders the axes of an image as (channels, height, width), netc as (height, width, channels). netc follows the axis order from layer to layer and permutes the weights accordingly. It cannot do so past a slice across a flattened image, a reshape that mixes axes, or a merge of branches with different orders: there the framework of the file computes something different. Sequences are (batch, features, steps) in PyTorch around convolutions, pools and batch normalisations, and (batch, steps, features) around recurrent layers, attention, dense layers, layer normalisations and embeddings. A sequence between layers of both kinds is transposed somewhere in PyTorch's code, and the file does not show where: if it is flattened, or is made of features by a `Reshape`, its order is unknown. The message names the layer and shows how to write it so that both agree. In a net that moves axes exactly where the file's framework does, with `Transpose` around layers that take images, `axes = explicit` in the weights block turns the permutation off.",
        "$ netc build m.net   # net m = Input(8x8x3) >> Conv(3x3, 4) >> Flatten >> Slice(0, 10) >> Dense(2), with weights of PyTorch";
    UnknownLayer = "E0501", "a cut refers to an unknown layer",
        "`netc show NET` lists the names of the layers. A cut refers to a layer by its name or its index, from the start or, with a minus, from the end; it can also refer to a scope (`fire2`).",
        "vgg16[..dropout-3] >> Softmax(10)";
    EmptyCut = "E0502", "an empty cut",
        "`..a` ends before a, `..=a` includes it. The start must not come after the end.",
        "vgg16[dropout-2..conv1_1]";
    HangingEdge = "E0503", "a cut leaves an edge dangling",
        "On a net with branches, the end of a cut keeps all layers that lead to it, and the start all layers that depend on it. A start inside one branch of a merge cuts off the source of the other branch: start before the branches split.",
        "squeezenet[fire2/expand1x1..]";
    Recipe = "E0601", "an unknown entry in a training recipe",
        "A recipe's entries are `key = value`; the message suggests the key that is probably meant, also for keys of other libraries. Editors complete the keys, and `netc help epochs` describes one. Entries from the command line (`--set`) are checked like those of the spec.",
        "net bird = Input(4) >> Softmax(2)\n\ntrain bird { data = images(\"birds\"), epoch = 10 }";
    RecipeValue = "E0602", "an invalid value in a training recipe",
        "The message says which values the key takes. `netc help Momentum` describes an optimizer; it does the same for losses, schedules, regularizers, data and augmentation.",
        "net bird = Input(4) >> Softmax(2)\n\ntrain bird { data = images(\"birds\"), epochs = many }";
    Untrainable = "E0603", "a net cannot be trained",
        "The message names the layer and the reason. Freeze it, and the layers before it, with `frozen(…)`, or remove it. A net to be trained has at least one layer that is not frozen, and each of its losses depends on one.",
        "$ netc train bird.net   # net bird = frozen(vgg16)";
    Diverged = "E0604", "training diverged",
        "The loss is no longer finite. A smaller `step`, a warm-up, or `clip_norm` in the optimizer usually helps; check that inputs are scaled as the net expects and that targets are correct. Files already written are kept: the last checkpoint contains the previous epoch.",
        "$ netc train bird.net   # optimizer = Momentum(step=1000)";
    Resume = "E0605", "there is no run to resume",
        "`netc train --resume` continues a run from its last checkpoint, in the folder NAME.run next to the spec. Recipe, net and data must be those that the run was started with.",
        "$ netc train bird.net --resume   # nothing has been trained yet";
    Busy = "E0606", "the net is being trained already",
        "Two runs of the same net in the same folder would overwrite each other's checkpoints and weights. Wait for the other run or stop it, or train under another name or in another folder. A run that was killed does not count.",
        "$ netc train bird.net   # while another `netc train bird.net` runs";
    Photo = "E0701", "a photo cannot be used",
        "JPEG and PNG files up to 64 megapixels are read. The message says what is wrong with this one.",
        "$ netc predict bird.netb half_a_photo.jpg";
    Labels = "E0702", "the labels do not fit the net",
        "A net with n outputs has n labels: one per line of the file, or in a list.",
        "net bird = Input(4) >> Softmax(3)\n\nlabels bird = [\"owl\", \"wren\"]   # reported by `netc build`";
    Array = "E0703", "an array cannot be used",
        "Arrays are read from .npy, .npz and HDF5 files. The first dimension is the number of samples; the others must match the input of the net.",
        "$ netc predict bird.netb features.npy   # its shape is not that of the net's input";
    Inputs = "E0704", "there is nothing to predict",
        "`netc predict M.netb photo.jpg` takes photos, folders of photos, and .npy or .npz arrays.",
        "$ netc predict bird.netb no_such_photo.jpg";
    Preprocessing = "E0705", "the net does not define how photos are preprocessed",
        "Write `Input(224x224x3, image=Caffe)` (or Torch, Unit, Symmetric, or the full form) in the spec; the artifact then contains it too. Arrays need no preprocessing.",
        "$ netc predict 'Input(224x224x3) >> …' photo.jpg";
    Dataset = "E0706", "the data of a recipe cannot be used",
        "`images(\"folder\")` takes one folder of photos per class, `csv(\"list.csv\")` rows of path and label, `arrays(\"file.h5\", x=\"images\", y=\"targets\")` arrays whose first dimension is the number of samples. There must be as many classes as the net has outputs. A net whose output is an image takes targets of the same shape, or a class index for each pixel, (n, height, width). Targets must be in the range of the loss: 0 to 1 for `binary_crossentropy`, rows that sum to 1 for `categorical_crossentropy`, two values for `binary_hinge`.",
        "$ netc train bird.net   # data = images(\"no_such_folder\")";
    NoNumber = "E0707", "the net predicts NaN",
        "A prediction contains NaN: the sample or the weights contain it, or a value overflowed on the way. The message names the first such sample and the first layer whose output is not finite. No metrics are computed then: leaving the sample out would make them look better than they are.",
        "$ netc eval bird.netb --x x.npy --y y.npy   # a row of x.npy contains NaN";
    Calibration = "E0708", "an int8 build cannot be calibrated",
        "`--precision int8` rounds activations to bytes. The ranges that the bytes stand for are measured by running the net in f32 on photos like those that it will see. A few dozen are enough; name their folder with `--calibrate`. A net with a recipe is calibrated on the photos that it is trained on.",
        "$ netc build squeezenet1_1 --precision int8";
    Memory = "E0801", "there is not enough memory",
        "Either `--max-memory`, which limits the arena and the constants, is less than any plan of the net needs, or the system refuses memory (`ulimit -v`, the limit of a container). A smaller batch and fewer threads need less. Unfinished files never replace complete ones.",
        "$ netc build vgg16 --max-memory 1MB";
    Unsupported = "E0802", "not supported by the compiler yet",
        "The net is valid, but netc cannot lower one of its layers here. The message names it.",
        "$ netc build bird.net";
    Deviation = "E0803", "the compiled net deviates from its reference",
        "`netc verify` compares the compiled net with a reference: plain loops in f64 over the graph before any pass. A deviation of more than 1e-4 of the output's range is a bug in netc, or comes from numbers too large for f32.",
        "$ netc verify bird.net";
    Serve = "E0804", "the server cannot start",
        "`netc serve` listens on `--host` and `--port`: another program may use the port, and ports below 1024 need privileges. Each model needs a unique name, that of its file. A build without the feature `serve` has no server.",
        "$ netc serve a/bird.netb b/bird.netb   # two models with the same name";
    NotAnArtifact = "E0901", "the file is not an artifact",
        "`netc build` writes artifacts, with the extension .netb.",
        "$ netc predict bird.net.bak photo.jpg";
    ArtifactVersion = "E0902", "the artifact was written by another version",
        "Build it again from its spec, which `netc inspect` shows.",
        "$ netc predict built_long_ago.netb photo.jpg";
    ArtifactDamaged = "E0903", "the artifact is damaged",
        "A checksum does not match, or the contents are inconsistent: the file was changed or truncated after it was written. Build it again. Replace an artifact by renaming a new file over it, as `netc build` does. Artifacts up to 16 MiB are copied into memory when they are opened; larger ones are memory-mapped, and writing to such a file during a prediction changes the result or crashes the program.",
        "$ netc predict half_copied.netb photo.jpg";
    Output = "E0904", "the output cannot be written",
        "The folder does not exist or is not writable, or the disk is full. No partial file is left behind.",
        "$ netc build bird.net -o no_such_folder/bird.netb";
    ImportModel = "E0905", "the model cannot be imported",
        "`netc import` reads models of ONNX and of Keras (`.keras`, `.h5`). The file is cut short, damaged or neither, has inputs whose sizes it leaves open (`--size 224x224` sets height and width), or refers to files outside its folder. A file that Keras' `save_weights` wrote has only the weights: `model.save(\"model.keras\")` writes the layers too.",
        "$ netc import half_a_download.onnx";
    ImportUnsupported = "E0906", "parts of a model cannot be expressed",
        "Every ONNX operator or Keras layer without a counterpart is listed, with the reason and the nodes, and nothing is written. Code in a Keras file (`Lambda`, layers of your own) is never run. `--until NODE` imports the part before a node or up to a layer: the front of a detector without its decoding, for example.",
        "$ netc import detector.onnx";
    ExportUnsupported = "E0907", "a layer cannot be exported",
        "The file format cannot express this layer. Every such layer is listed, and nothing is written.",
        "$ netc export 'Input(8x8x4) >> LRN(alpha=-1)' -o m.onnx";
    Rebuild = "E0908", "an artifact cannot be built again",
        "An artifact contains weights that are fused and packed for the kernels, not the parameters of its layers: `netc export` builds it again, from the spec in it and the files that it was built from. Their digests must be those in the artifact, so that the export is the same net. Their paths start at the folder of the artifact.",
        "$ netc export bird.netb -o bird.onnx   # vgg16.h5 is elsewhere, or has changed";
    Option = "E0909", "an option does not apply",
        "An artifact is compiled: `netc build` has chosen its weights, its number format and its algorithms, so that options such as `--precision` and `--weights` apply where a spec is compiled. `netc export` writes the parameters of a net, in f32, before anything is compiled; `--nhwc` and `--preprocess` apply to ONNX models only. Options of drawings say nothing about a table, those of weights nothing about a stage that needs none, and those of batches nothing about a spec that is edited.",
        "$ netc predict bird.netb photo.jpg --precision bf16";
    SoftmaxTwice = "W1001", "softmax after softmax",
        "A second softmax flattens the probabilities of the first. One of the two is probably a mistake.",
        "Input(4) >> Softmax(3) >> Softmax";
    BiasBeforeNorm = "W1002", "a bias before batch normalisation",
        "The normalisation subtracts the bias again: it has no effect. Write `bias=false`.",
        "Input(28x28x1) >> Conv(3x3, 8) >> BatchNorm";
    UnusedNet = "W1003", "an unused net",
        "Neither another net nor the command refers to it.",
        "net bird = Input(4) >> Softmax(2)\nnet head = Softmax(3)";
    FrozenUntrained = "W1004", "random weights are frozen",
        "`frozen` excludes parameters from training, and no file provides values for these: they stay random.",
        "net bird = Input(4) >> frozen(Relu(3)) >> Softmax(2)   # reported by `netc build --allow-untrained`";
    HugeDense = "W1005", "a very large dense layer after a flatten",
        "The layer has more than 50 million parameters. `GlobalPool(avg)` in place of `Flatten` often works as well.",
        "Input(64x64x16) >> Flatten >> Dense(4096)";
    PoolDropsBorder = "W1006", "a pool drops the border",
        "The size is not a multiple of the stride: with `padding=valid` the last rows or columns are ignored.",
        "Input(9x9x3) >> MaxPool(2x2)";
    ShadowedWord = "W1007", "a parameter shadows a keyword value",
        "Where a keyword such as `same` is expected, a parameter of that name takes precedence.",
        "net small = Input(28x28x1) >> block(3)\nnet block(same) = Conv(3x3, 8, padding=same)";
    WeightsAway = "W1008", "a file of weights or labels does not exist yet",
        "`netc check` does not need it, `netc build` does. Relative paths start at the folder of the spec.",
        "net bird = Input(4) >> Softmax(2)\n\nweights bird = \"not_yet.h5\"";
    PreprocessingDiffers = "W1009", "the preprocessing of the net is not that of its weights",
        "The weights were trained with different preprocessing of photos; predictions will be worse.",
        "net bird = Input(224x224x3, image=Torch) >> GlobalPool(avg) >> Softmax(2)\n\nweights bird = \"bird.h5\" { image = Caffe }";
    LabelsOrder = "W1010", "the classes of the data are not named like the labels",
        "There are as many classes as labels, but no names match, so they are paired in order: folders sorted by name, labels as listed. To be sure, name the folders like the labels.",
        "$ netc train bird.net   # labels bird = [\"owl\", \"wren\"], folders 0 and 1";
    LossMismatch = "W1011", "the loss does not fit the output of the net",
        "A crossentropy takes probabilities: `categorical_crossentropy` those of a `Softmax(n)`, `binary_crossentropy` those of a `Sigmoid(n)`. After a `Dense(n)` it gets unbounded numbers, clipped to the range from 0 to 1, and the net learns poorly or not at all. `binary_hinge` takes positive and negative values, from a `Tanh(n)` or `Dense(n)`, and classes as -1 and 1. A single unbounded output that learns two classes separates them by its sign, whatever the loss. Targets between 0 and 1 for a `Sigmoid(1)` are learnt as proportions. Without `loss` the last layer decides: `Softmax(n)` and `Sigmoid(n)` learn classes, `Dense(n)` learns numbers with the mean squared error.",
        "net bird = Input(4) >> Dense(2)\n\ntrain bird { data = arrays(\"birds.h5\", x=\"x\", y=\"y\"), loss = categorical_crossentropy }";
    NotFinite = "W1012", "weights are infinite or NaN",
        "The file contains infinite values or NaN for these layers, and predictions that depend on them will be no better. The training that wrote the file has probably diverged: use an earlier checkpoint, or train again with a smaller step.",
        "$ netc build bird.net   # bird.h5 was written by a run that diverged";
    KerasOrder = "W1013", "Keras may swap layers of different branches",
        "`load_weights` of Keras matches layers by their order, not by their names, and orders them by their depth in the Keras model. Layers of the same shape in different branches may be swapped silently if that model has one layer more or fewer in a branch. `by_name=True` matches by name; the names are those of the spec.",
        "$ netc train two.net --layout keras   # two branches with layers of the same shape";
    NoEffect = "W1014", "an activation without effect",
        "The activation leaves the output of the one before it unchanged: `Relu` after `Relu` or `Exp`, `Clip(0, 1)` after `Sigmoid`. One of the two is probably meant to be another function, or to be elsewhere.",
        "Input(20) >> Relu(8) >> Relu >> Softmax(2)";
    ConfigurationDiffers = "W1015", "the configuration beside weights is not that of the net",
        "A `config.json` beside the weights, as timm writes one, says how photos became their input (mean, standard deviation, size, interpolation, and the part of a photo that is used) and how many classes there are. The net differs, so predictions will be worse, or the file cannot be read. Give `Input` the preprocessing that the message shows, or state the right one with `image = …` in the weights block; `config = ignore` there leaves the file aside.",
        "net bird = Input(224x224x3, image=Caffe) >> GlobalPool(avg) >> Softmax(2)\n\nweights bird = \"resnet50/model.safetensors\"";
    MissingCharacters = "W1016", "a PNG lacks characters",
        "PNGs of `netc show` are drawn with fonts that ship with netc, so that they are the same on every machine; these have Latin, Greek and some signs, but no Chinese, Japanese or Korean characters, for example. A .svg or .html file is drawn with the fonts of the machine that shows it.",
        "$ netc show 'Input(4) >> Softmax(2) as \"出力\"' -o net.png";
}

impl Code {
    /// The output of `netc explain`: title, explanation and example.
    pub fn lesson(self) -> String {
        let example: String = self.example().lines().map(|line| format!("    {line}\n")).collect();
        let example: Vec<&str> = example.lines().map(str::trim_end).collect();
        format!("{self}: {}\n\n{}\n\nExample:\n\n{}\n", self.title(), self.explain(), example.join("\n"))
    }

    /// All codes as a Markdown page: `docs/diagnostics.md`.
    pub fn page() -> String {
        let mut text = String::from(
            "# Diagnostics\n\nAll diagnostic codes of netc, with an explanation and an example: codes that start with `E` are errors, with `W` lints. \
             `netc explain E0301` prints one,\n`netc explain --all` this page.\n",
        );
        for code in Code::ALL {
            let language = if code.example().starts_with('$') { "sh" } else { "net" };
            text += &format!(
                "\n## {code}: {}\n\n{}\n\n```{language}\n{}\n```\n",
                code.title(),
                code.explain(),
                code.example()
            );
        }
        text
    }

    /// Whether it is a lint: valid, but probably not intended.
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
