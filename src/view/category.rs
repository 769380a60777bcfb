//! The names and colours of layer categories in drawings.

pub(crate) use crate::graph::Category;

impl Category {
    /// The name in the legend.
    pub fn name(self) -> &'static str {
        match self {
            Category::Input => "input",
            Category::Convolution => "convolution",
            Category::Dense => "dense",
            Category::Recurrent => "recurrent",
            Category::Pool => "pooling",
            Category::Activation => "activation",
            Category::Norm => "normalisation",
            Category::Merge => "merge",
            Category::Shape => "shape",
            Category::Regulariser => "regulariser",
        }
    }

    /// The colours of fill and line. Light fills with dark text are readable on light and dark pages.
    pub fn colours(self) -> (&'static str, &'static str) {
        match self {
            Category::Input => ("#e6e8eb", "#8c959f"),
            Category::Convolution => ("#d4e3f7", "#5b8bc7"),
            Category::Dense => ("#e3dbf5", "#8a6fc4"),
            Category::Recurrent => ("#d0edf1", "#4a98a8"),
            Category::Pool => ("#f9dcd7", "#cc7768"),
            Category::Activation => ("#fbeec8", "#c29a2e"),
            Category::Norm => ("#d5efe1", "#4f9e78"),
            Category::Merge => ("#fde2c4", "#cf8a3c"),
            Category::Shape => ("#efece4", "#9a9484"),
            Category::Regulariser => ("#f3dcea", "#b8709c"),
        }
    }

    /// Whether its layers keep the shape, and are drawn as tags in the box of the layer before them.
    pub fn is_pointwise(self) -> bool {
        matches!(self, Category::Activation | Category::Norm | Category::Regulariser)
    }

    /// Whether its layers are drawn with a single line of text.
    pub fn is_compact(self) -> bool {
        matches!(self, Category::Merge | Category::Shape)
    }
}
