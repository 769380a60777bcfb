//! Dictionaries for mutations, by kind of input: words separated by `~`.

/// Specs and recipes.
pub const SPEC: &[u8] =
    b" >> ~ | ~(~)~{~}~[~]~[..~..]~=~,~\"~?~\n~\r~#~\xc3\xa4~-1~0~1.5~true~net ~let ~share ~use ~ as ~\
    repeat(3) { Relu }~frozen(~if true { Relu } else { Tanh }~3x3~Input(4)~Input(8x8x3)~Input(20x64)~\
    Input(?x?x3)~Conv(3x3, 4)~Dense(3)~Flatten~Add~Concatenate~Softmax~Reshape(3x5)~Slice(0, 20)~\
    Upscale(2x2)~ZeroPad(1)~Deconv(3x3, 4, stride=2)~GlobalPool(avg)~MaxPool(2x2)~Resize(scale=1.5)~mode=bilinear~\
    Pad(1, mode=reflect)~Crop(1)~Shuffle(2)~DepthToSpace(2)~ConvTranspose(3x3, 4, stride=2)~Conv(3, 4)~MaxPool(2)~LSTM(4)~GRU(4)~BatchNorm~\
    Embedding(10, 4)~Transpose([0, 2, 1])~padding=same~stride=2~bias=false~image=Caffe~weights m = \"x.h5\"~\
    labels m = \"x.txt\"~expect m: (?, 4) -> (?, 2)~train m {~data = images(\"x\")~batch = 8~epochs = 3~\
    optimizer = Momentum(step=0.1)~Adam(~loss = mse~validation = split(0.1)~augment = flip~resnet50~\
    vgg16[..dropout-2]";

/// Headers of safetensors.
pub const SAFETENSORS: &[u8] =
    b"{~}~[~]~\"dtype\":\"F32\"~\"BF16\"~\"F16\"~\"F64\"~\"I64\"~\"BOOL\"~\"shape\":[~\"data_offsets\":[0,4]~\
    \"__metadata__\":{}~fc.weight~running_mean~\0\0\0\0\0\0\0\0~\xff\xff\xff\xff\xff\xff\xff\xff";

/// HDF5: signatures of structures, names in layouts.
pub const HDF5: &[u8] =
    b"\x89HDF\r\n\x1a\n~OHDR~OCHK~TREE~SNOD~HEAP~GCOL~FRHP~BTHD~FADB~\xff\xff\xff\xff\xff\xff\xff\xff~\
    \0\0\0\0\0\0\0\0~\x01\0\0\0\0\0\0\0~layer_names~weight_names~layers~metadata~weight~bias";

/// ZIP archives, and names in those of Keras.
pub const ZIP: &[u8] =
    b"PK\x03\x04~PK\x01\x02~PK\x05\x06~PK\x06\x06~PK\x06\x07~config.json~model.weights.h5~metadata.json~../~/~\
    \x08\0~\0\0~\xff\xff\xff\xff";

/// Configurations of Keras: classes, arguments, references.
pub const KERAS: &[u8] =
    b"{~}~[~]~,~:~null~true~false~0~1~-1~2~3~4~7~0.5~1e300~1073741823~18446744073709551615~\"\"~\"a\"~[[\"a\",0,0,{}]]~\
    {\"class_name\":\"__keras_tensor__\",\"config\":{\"keras_history\":[\"a\",0,0]}}~\"args\":~\"kwargs\":~\"inbound_nodes\":~\"layers\":~\
    \"input_layers\":~\"output_layers\":~\"batch_shape\":[null,8,8,3]~[null,8,8,3]~[null,null]~\"class_name\":~\"config\":~\"name\":~\
    \"Dense\"~\"Conv2D\"~\"Conv1D\"~\"DepthwiseConv2D\"~\"Conv2DTranspose\"~\"BatchNormalization\"~\"LayerNormalization\"~\"Activation\"~\
    \"PReLU\"~\"MaxPooling2D\"~\"GlobalAveragePooling2D\"~\"Add\"~\"Multiply\"~\"Concatenate\"~\"Flatten\"~\"Reshape\"~\"Permute\"~\
    \"ZeroPadding2D\"~\"Cropping2D\"~\"UpSampling2D\"~\"Embedding\"~\"LSTM\"~\"GRU\"~\"Bidirectional\"~\"TimeDistributed\"~\
    \"MultiHeadAttention\"~\"Rescaling\"~\"Normalization\"~\"CenterCrop\"~\"Dropout\"~\"Lambda\"~\"Sequential\"~\"Functional\"~\
    \"TFOpLambda\"~\"units\":~\"filters\":~\"kernel_size\":~\"strides\":~\"padding\":~\"same\"~\"causal\"~\"axis\":~\"activation\":~\
    \"selu\"~\"target_shape\":~\"dims\":~\"size\":~\"keepdims\":true~\"module\":\"keras.src.ops.numpy\"";

/// Pickles of PyTorch: opcodes, and functions by their names.
pub const PICKLE: &[u8] =
    b"\x80\x02~}q\0~(X\x01\0\0\0a~ctorch._utils\n_rebuild_tensor_v2\n~ccollections\nOrderedDict\n~ctorch\nFloatStorage\n~\
    ctorch\nHalfStorage\n~cos\nsystem\n~X\x07\0\0\0storage~Q~R~)~\x85~\x86~\x87~t~u.~s~h\0~q\0~j\0\0\0\0~K\0~K\xff~J\xff\xff\xff\x7f~\
    \x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f~\x88~N~2~0~b~\x93~\x94";

/// Models of ONNX: tags of fields, operators, attributes.
pub const ONNX: &[u8] =
    b"\x08\x08~\x3a~\x0a~\x12~\x1a~\x22~\x2a~\x5a~\x62~\x42\x02\x10\x0d~\x4a~\x32~\x3a\0~\xff\xff\xff\xff\x0f~\
    \xff\xff\xff\xff\xff\xff\xff\xff\xff\x01~\0~x~y~Conv~Gemm~MatMul~Add~Mul~Relu~Clip~Concat~Reshape~Transpose~Flatten~\
    MaxPool~AveragePool~BatchNormalization~Constant~ConstantOfShape~Shape~Gather~Unsqueeze~Slice~Split~Pad~Resize~\
    Softmax~Sum~GlobalAveragePool~Identity~kernel_shape~strides~pads~dilations~group~axis~axes~perm~value~transB~\
    auto_pad~SAME_UPPER~ceil_mode~epsilon~alpha~external.data~location~offset~length";

/// Headers of NumPy.
pub const NPY: &[u8] =
    b"\x93NUMPY\x01\0~\x93NUMPY\x02\0~{'descr': '<f4', ~'fortran_order': True, ~'shape': (3, 4), }~'>f8'~'|b1'~\
    '<u2'~'|O'~'<c8'~()~(0,)~(18446744073709551615,)~PK\x03\x04~PK\x01\x02~x.npy";

/// Markers of JPEGs, chunks of PNGs, EXIF.
pub const IMAGE: &[u8] =
    b"\xff\xd8~\xff\xd9~\xff\xda~\xff\xc0~\xff\xc2~\xff\xc3~\xff\xc4~\xff\xc9~\xff\xdb~\xff\xdd~\xff\xe1~\
    \xff\xee~\xff\xd0~\xff\x00~Exif\0\0~II*\0~MM\0*~\x12\x01\x03\0\x01\0\0\0\x06\0\0\0~Adobe~IHDR~IDAT~PLTE~\
    tRNS~eXIf~iCCP~IEND~\x11~\x22~\x41~\x14";

/// The JSON of a plan.
pub const ARTIFACT: &[u8] =
    b"0~1~4294967295~18446744073709551615~9223372036854775808~1e999~null~[]~{}~true~\"Relu\"~-1~\"chunk\"~\
    \"batch\"~\"constants\"~\"steps\"~\"scratch\"~4096~65537";

/// CSV and class names.
pub const LIST: &[u8] = b",~\"~\n~\r\n~\xef\xbb\xbf~/~..~a.jpg~label~path~;~\t~\xff~/dev/null";

/// YAML.
pub const RECORD: &[u8] = b": ~- ~&a ~*a~!!float ~[~]~{~}~|~\"~\n~.nan~.inf~null~epochs:~1e400";
