//! How the axes of an ONNX model are read.

/// How the axes of a model become those of a spec.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axes {
    /// The axes in front of those of the model: 1 for a batch that it lacks.
    pub front: usize,
    /// Whether the spec moves axes wherever the model's order needs it, so that weights are bound in their own order.
    pub explicit: bool,
}

/// The ways to write a model, the best ones first. A model whose first axis is no batch is one in which all axes are those of a
/// sample; what is an image is not known then.
pub(super) const WAYS: [Axes; 3] =
    [Axes { front: 0, explicit: false }, Axes { front: 0, explicit: true }, Axes { front: 1, explicit: true }];
