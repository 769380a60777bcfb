//! The shipped architectures at a reduced size, each as a test of its own or all in a list.

/// Hands `NAME: "EXPRESSION"` of each to a macro. `bird` and `clothing` are cuts of two of them.
macro_rules! architectures {
    ($then:ident) => {
        $then! {
            alexnet: "alexnet(7, size=67x67x3)",
            bert_tiny: "bert_tiny(steps=6, pieces=20, width=8)",
            bigru_text: "bigru_text(words=30, length=7, classes=2, features=5, units=6)",
            convnext_tiny: "convnext_tiny(5, size=64x64x3, width=8, shallow=1, deep=2)",
            dcgan: "dcgan(noise=5, width=2)",
            deeplab_v3: "deeplab_v3(3, size=65x65x3)",
            deit_tiny: "deit_tiny(5, size=32x32x3)",
            densenet121: "densenet121(10, size=64x64x3, growth=8)",
            efficientnet_b0: "efficientnet_b0(5, size=64x64x3)",
            efficientnet_lite0: "efficientnet_lite0(10, size=64x64x3)",
            googlenet: "googlenet(10, size=64x64x3)",
            inception_v3: "inception_v3(5, size=107x107x3)",
            lstm_text: "lstm_text(50, length=9, features=8, units=6)",
            mixture_of_experts: "Input(6) >> mixture_of_experts(experts=(Relu(4) | Tanh(4) | Sigmoid(4)), gate=Softmax(3))",
            mobilenet_v2: "mobilenet_v2(size=64x64x3)",
            mobilenet_v3_large: "mobilenet_v3_large(5, size=64x64x3)",
            mobilenet_v3_small: "mobilenet_v3_small(5, size=64x64x3)",
            regnet_y_400mf: "regnet_y_400mf(5, size=64x64x3)",
            resnet50: "resnet50(5, size=64x64x3)",
            resnet50_keras: "resnet50_keras(10, size=64x64x3)",
            resnext50: "resnext50(5, size=64x64x3)",
            shufflenet_v2: "shufflenet_v2(5, size=64x64x3, width=8, last=24)",
            siamese: "siamese(size=105x105x1, features=16)",
            squeezenet: "squeezenet(5, size=95x95x3)",
            squeezenet1_1: "squeezenet1_1(size=95x95x3)",
            unet: "unet(size=64x64x1, width=4)",
            vgg16: "vgg16(5, size=32x32x3)",
            vgg19: "vgg19(5, size=32x32x3)",
            yolov3_tiny: "yolov3_tiny(3, size=64x64x3)",
        }
    };
}
