//! Layers of other libraries.

use super::lookup::same_name;

/// What replaces the name of a layer of another library.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Replacement {
    /// A name: its arguments have the same order.
    Name(&'static str),
    /// A name, if all arguments are named or there are none: they have another order.
    NamedArguments(&'static str),
    /// A name, and the arguments in the order of the other library; those without a name are left out.
    Positional(&'static str, &'static [&'static str]),
    /// A text, if there are no arguments.
    Alone(&'static str),
    /// Nothing of the same form.
    None,
}

/// The arguments of convolutions in Keras, and in PyTorch, which has the input channels first.
const OF_KERAS: &[&str] = &["filters", "size", "stride", "padding"];
const OF_TORCH: &[&str] = &["", "filters", "size", "stride", "padding"];

/// Layers of other libraries, what replaces each, and the advice.
const LAYERS: &[(&[&str], Replacement, &str)] = &[
    (
        &["Conv1D", "Convolution1D"],
        Replacement::Positional("Conv", OF_KERAS),
        "write `Conv(3, 64)`: over a sequence it slides along the time axis",
    ),
    (
        &["Conv1d"],
        Replacement::Positional("Conv", OF_TORCH),
        "write `Conv(3, 64)`: over a sequence it slides along the time axis; the input channels are inferred",
    ),
    (
        &["Conv2D", "Convolution2D"],
        Replacement::Positional("Conv", OF_KERAS),
        "write `Conv(3x3, 64)`: the kernel size, then the filters",
    ),
    (
        &["Conv2d"],
        Replacement::Positional("Conv", OF_TORCH),
        "write `Conv(3x3, 64)`: the kernel size, then the filters; the input channels are inferred",
    ),
    (
        &["Conv2DTranspose", "Convolution2DTranspose"],
        Replacement::Positional("ConvTranspose", OF_KERAS),
        "write `ConvTranspose(4x4, 64, stride=2, padding=1)`",
    ),
    (
        &["ConvTranspose2d", "TransposedConv"],
        Replacement::Positional("ConvTranspose", OF_TORCH),
        "write `ConvTranspose(4x4, 64, stride=2, padding=1)`",
    ),
    (&["DepthwiseConv2D"], Replacement::Name("DepthwiseConv"), "write `DepthwiseConv(3x3)`"),
    (
        &["SeparableConv2D", "SeparableConv1D", "SeparableConvolution2D"],
        Replacement::Positional("SeparableConv", OF_KERAS),
        "write `SeparableConv(3x3, 64)`",
    ),
    (&["FC", "FullyConnected", "InnerProduct"], Replacement::Name("Dense"), "write `Dense(10)`"),
    (&["MaxPool2d", "MaxPooling2D"], Replacement::Name("MaxPool"), "write `MaxPool(2x2)`"),
    (&["AvgPool2d", "AveragePooling2D"], Replacement::Name("AvgPool"), "write `AvgPool(2x2)`"),
    (
        &[
            "GlobalAvgPool",
            "GlobalAveragePool",
            "GlobalAveragePooling",
            "GlobalAveragePooling2D",
            "GlobalAvgPool2D",
            "AdaptiveAvgPool2d",
            "GAP",
        ],
        Replacement::Alone("GlobalPool(avg)"),
        "write `GlobalPool(avg)`",
    ),
    (
        &["GlobalMaxPool", "GlobalMaxPooling", "GlobalMaxPooling2D", "GlobalMaxPool2D", "AdaptiveMaxPool2d"],
        Replacement::Alone("GlobalPool(max)"),
        "write `GlobalPool(max)`",
    ),
    (
        &["BatchNorm1d", "BatchNorm2d"],
        Replacement::NamedArguments("BatchNorm"),
        "write `BatchNorm`: the channels are inferred",
    ),
    (&["Dropout2d", "SpatialDropout2D", "AlphaDropout"], Replacement::Name("Dropout"), "write `Dropout(0.5)`"),
    (
        &["UpSampling2D", "Upsample", "Upsampling", "UpsamplingNearest2d"],
        Replacement::Name("Upscale"),
        "write `Upscale(2)`",
    ),
    (&["UpsamplingBilinear2d", "Interpolate", "Resizing"], Replacement::None, "write `Resize(scale=2, mode=bilinear)`"),
    (&["ZeroPadding2D", "ZeroPad2d"], Replacement::Name("ZeroPad"), "write `ZeroPad(1)`"),
    (&["ReflectionPad2d", "ReflectPad"], Replacement::None, "write `Pad(1, mode=reflect)`"),
    (&["ReplicationPad2d", "EdgePad"], Replacement::None, "write `Pad(1, mode=edge)`"),
    (&["Cropping2D", "CenterCrop"], Replacement::Name("Crop"), "write `Crop(1)`: the pixels to cut off each side"),
    (&["PixelShuffle"], Replacement::None, "write `DepthToSpace(2, order=crd)`"),
    (&["PixelUnshuffle"], Replacement::None, "write `SpaceToDepth(2, order=crd)`"),
    (&["InputLayer"], Replacement::NamedArguments("Input"), "write `Input(224x224x3)`: the sizes without the batch"),
    (
        &["View", "Unsqueeze", "Squeeze", "ExpandDims"],
        Replacement::None,
        "write `Reshape(…)`: the sizes without the batch",
    ),
    (&["Permute"], Replacement::None, "write `Transpose([…])`"),
    (&["Plus"], Replacement::Alone("Add"), "write `(a | b) >> Add`"),
    (&["Cat", "Merge"], Replacement::Alone("Concatenate"), "write `(a | b) >> Concatenate`"),
    (&["Mul", "Product"], Replacement::Alone("Multiply"), "write `(a | b) >> Multiply`"),
    (&["Sub", "Difference", "Minus"], Replacement::Alone("Subtract"), "write `(a | b) >> Subtract`"),
    (&["Div", "Quotient"], Replacement::Alone("Divide"), "write `(a | b) >> Divide`"),
    (&["Pow"], Replacement::None, "write `Power(2)`"),
    (&["Clamp", "Hardtanh", "ClipByValue"], Replacement::NamedArguments("Clip"), "write `Clip(-1, 1)`"),
    (
        &["ReduceMean", "ReduceSum", "ReduceMax"],
        Replacement::None,
        "write `Mean`, `Sum` or `Max` with an axis: `Mean([height, width])`",
    ),
    (&["Activation"], Replacement::None, "activations are layers: `Relu`, `Tanh`, `Softmax`"),
    (
        &["Sequential", "Model", "Module"],
        Replacement::None,
        "layers are chained with `>>`: `net small = Input(784) >> Relu(100) >> Softmax(10)`",
    ),
    (&["LogSoftmax"], Replacement::Alone("Softmax"), "write `Softmax`: the loss takes the logarithm"),
    (
        &["Softmax2d"],
        Replacement::Alone("Softmax"),
        "write `Softmax`: on an image it is over the channels of each pixel",
    ),
    (&["NoOp", "Pass"], Replacement::Alone("Identity"), "write `Identity` for a branch without layers"),
    (
        &["Lambda"],
        Replacement::None,
        "a net has no code of its own: put it together from layers, such as `Scale`, `Power`, `Clip` or `Slice`; `netc help` lists them",
    ),
    (&["SimpleRNN", "RNN"], Replacement::None, "recurrent layers are `LSTM` and `GRU`"),
    (
        &["Bidirectional", "BiLSTM", "BiGRU"],
        Replacement::None,
        "write both directions: `(LSTM(64) | LSTM(64, backwards=true)) >> Concatenate`",
    ),
    (
        &["TimeDistributed"],
        Replacement::None,
        "leave it out: on a sequence `Dense`, norms, activations and `Dropout` act on each step",
    ),
    (
        &["MatMul", "Gemm"],
        Replacement::None,
        "write `Dense(10)` for a product with learnt weights, `Attention(8)` for attention",
    ),
    (
        &[
            "Conv3D",
            "Conv3DTranspose",
            "ConvTranspose3d",
            "MaxPool3d",
            "MaxPooling3D",
            "AvgPool3d",
            "AveragePooling3D",
            "GlobalAveragePooling3D",
            "GlobalMaxPooling3D",
            "AdaptiveAvgPool3d",
            "AdaptiveMaxPool3d",
            "BatchNorm3d",
            "InstanceNorm3d",
            "Dropout3d",
            "SpatialDropout3D",
            "UpSampling3D",
            "ZeroPadding3D",
            "Cropping3D",
        ],
        Replacement::None,
        "there are no layers on volumes: images and sequences only",
    ),
    (
        &["Rescaling", "Normalization", "Normalize2d", "ToTensor"],
        Replacement::None,
        "preprocessing is the input's: `Input(224x224x3, image=Torch)`; `netc help Image` describes it",
    ),
    (
        &["RandomFlip", "RandomRotation", "RandomCrop"],
        Replacement::None,
        "random changes are the recipe's: `augment = [flip, crop(0.5)]`",
    ),
    (
        &["MultiheadAttention", "SelfAttention", "SelfAttn", "MHA", "ScaledDotProductAttention"],
        Replacement::NamedArguments("Attention"),
        "write `Attention(8)`: the number of heads; the features are inferred",
    ),
    (
        &["PositionalEncoding", "PositionalEmbedding", "PosEmbed"],
        Replacement::NamedArguments("PositionEmbedding"),
        "write `PositionEmbedding`: learnt values of each step",
    ),
    (&["ClsToken", "CLS"], Replacement::NamedArguments("ClassToken"), "write `ClassToken`"),
    (
        &["LayerNormalization", "LayerNorm2d"],
        Replacement::NamedArguments("LayerNorm"),
        "write `LayerNorm`: the channels are inferred",
    ),
    (&["InstanceNorm2d"], Replacement::None, "write `GroupNorm(n)` with as many groups as channels"),
];

fn entry(word: &str) -> Option<(Replacement, &'static str)> {
    let (_, replacement, advice) = same_name(LAYERS, word, |(words, ..)| words)?;
    Some((*replacement, advice))
}

/// Advice for a layer of another library.
pub fn layer(word: &str) -> Option<&'static str> {
    entry(word).map(|(_, advice)| advice)
}

/// What to write in place of a layer of another library, `word` or a call of it: the part of `written` that is replaced, in bytes
/// from its start, and the text. `None` where its arguments would change their meaning.
pub fn layer_fix(word: &str, written: &str) -> Option<(usize, String)> {
    let (replacement, _) = entry(word)?;
    let arguments = written.strip_prefix(word)?.trim();
    let arguments = arguments.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(arguments).trim();
    let given = pieces(arguments);
    let name_alone = |name: &str| Some((word.len(), name.to_string()));
    match replacement {
        Replacement::Name(name) => name_alone(name),
        Replacement::NamedArguments(name) | Replacement::Positional(name, _)
            if given.iter().all(|piece| is_named(piece)) =>
        {
            name_alone(name)
        }
        Replacement::Positional(name, order) => {
            let mut named = Vec::with_capacity(given.len());
            for (index, piece) in given.into_iter().enumerate() {
                match order.get(index) {
                    _ if is_named(&piece) => named.push(piece),
                    Some(&"") => {}
                    Some(argument) => named.push(format!("{argument}={piece}")),
                    None => return None,
                }
            }
            Some((written.len(), format!("{name}({})", named.join(", "))))
        }
        Replacement::Alone(text) => arguments.is_empty().then(|| (written.len(), text.to_string())),
        Replacement::NamedArguments(_) | Replacement::None => None,
    }
}

/// The arguments of a call, which are separated by commas.
fn pieces(arguments: &str) -> Vec<String> {
    let mut depth = 0usize;
    let mut pieces = vec![String::new()];
    for c in arguments.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => pieces.push(String::new()),
            _ => {}
        }
        if let Some(piece) = pieces.last_mut().filter(|_| c != ',' || depth > 0) {
            piece.push(c);
        }
    }
    pieces.into_iter().map(|piece| piece.trim().to_string()).filter(|piece| !piece.is_empty()).collect()
}

/// Whether an argument of a call has a name.
fn is_named(piece: &str) -> bool {
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
    piece.split_once('=').is_some_and(|(name, _)| is_name(name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_replaced_where_their_arguments_keep_their_meaning() {
        for (word, written, fixed) in [
            ("MaxPool2d", "MaxPool2d(2)", Some((9, "MaxPool"))),
            ("GAP", "GAP", Some((3, "GlobalPool(avg)"))),
            ("GlobalAveragePooling2D", "GlobalAveragePooling2D( )", Some((25, "GlobalPool(avg)"))),
            ("GlobalAveragePooling2D", "GlobalAveragePooling2D(keepdims=true)", None),
            ("Conv2D", "Conv2D(filters=64, kernel_size=(3))", Some((6, "Conv"))),
            // Keras has the filters first, PyTorch the input channels.
            ("Conv2D", "Conv2D(64, kernel_size=3)", Some((25, "Conv(filters=64, kernel_size=3)"))),
            ("Conv2D", "Conv2D", Some((6, "Conv"))),
            ("Conv2d", "Conv2d(3, 64, 3)", Some((16, "Conv(filters=64, size=3)"))),
            ("Conv2d", "Conv2d(3, 64, 3, 1, 1, 1)", None),
            ("LayerNormalization", "LayerNormalization(3)", None),
            ("Model", "Model", None),
        ] {
            assert_eq!(layer_fix(word, written), fixed.map(|(bytes, text)| (bytes, text.to_string())), "{written}");
        }
    }

    #[test]
    fn names_differ_by_more_than_their_case() {
        let names = LAYERS.iter().flat_map(|(words, ..)| words.iter());
        let mut folded: Vec<String> = names.map(|word| crate::diagnostics::suggest::fold(word)).collect();
        folded.sort();
        let twice: Vec<&str> = folded.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &*pair[0]).collect();
        // Keras and PyTorch have other arguments.
        assert_eq!(twice, ["conv1d", "conv2d"]);
        assert_eq!(layer("MaxPool3D"), layer("Conv3d"));
    }
}
