//! Nets as ONNX models. A table says which layer becomes what; the inverse is that of `import::convert`.
//!
//! ONNX has images as (batch, channels, height, width), netc as (batch, height, width, channels). `context::Value` says of every
//! value where its axes are, so that a transpose stands only where a layer needs an order that its input does not have.

mod activation;
mod attention;
mod context;
mod convolution;
mod dense;
mod merge;
mod norm;
mod pool;
mod ports;
mod sequence;
mod shape;

pub use ports::Options;

use self::context::{Context, Exported};
use crate::compile::Build;
use crate::diagnostics::{Code, Diagnostic, Diagnostics};
use crate::file;
use crate::graph::{Node, NodeId};
use crate::onnx::write::{Initializer, MAX_MODEL, WriteError, length, write};
use crate::onnx::{Graph, Model};
use crate::ops::activation::prelu::PRelu;
use crate::ops::attention::Attention;
use crate::ops::convolution::Convolution;
use crate::ops::convolution::separable::SeparableConvolution;
use crate::ops::convolution::transposed_convolution::TransposedConvolution;
use crate::ops::dense::Dense;
use crate::ops::input::Input;
use crate::ops::merge::Elementwise;
use crate::ops::merge::concatenate::Concatenate;
use crate::ops::merge::gated_average::GatedAverage;
use crate::ops::norm::batch_norm::BatchNorm;
use crate::ops::norm::layer_norm::LayerNorm;
use crate::ops::norm::{GroupNorm, LocalResponseNorm, Normalize};
use crate::ops::pool::reduce::Reduce;
use crate::ops::pool::{GlobalPool, Pool};
use crate::ops::scale::Scale;
use crate::ops::sequence::embedding::Embedding;
use crate::ops::sequence::recurrent::Recurrent;
use crate::ops::sequence::tokens::{ClassToken, PositionEmbedding};
use crate::ops::shape::pad::{Crop, Pad};
use crate::ops::shape::rearrange::Rearrange;
use crate::ops::shape::resize::{Resize, Upscale};
use crate::ops::shape::{Reshape, Slice, Transpose};
use crate::ops::stochastic::{DROPOUT, Stochastic};
use std::path::Path;

/// The version of ONNX's operators: that of PyTorch's exporter, which ONNX Runtime runs since 1.17. `Gelu` needs 20,
/// `LayerNormalization` 17.
pub const OPSET: i64 = 20;
/// The version of the format that belongs to it.
const IR_VERSION: u64 = 9;

/// A layer's function: none if the layer is of another type.
type Express = fn(&mut Context<'_>, &Node, NodeId) -> Option<Exported>;

macro_rules! layers {
    ($($layer:ty => $express:expr,)*) => {
        &[$(|cx, node, id| {
            let layer = node.operation.as_any().downcast_ref::<$layer>()?;
            let express: fn(&mut Context<'_>, &Node, &$layer, NodeId) -> Exported = $express;
            Some(express(cx, node, layer, id))
        },)*]
    };
}

/// Every type of layer but the input.
static LAYERS: &[Express] = layers! {
    Dense => |cx, node, layer, _| dense::dense(cx, node, layer),
    PRelu => |cx, node, layer, _| dense::prelu(cx, node, layer),
    Scale => |cx, node, _, _| norm::scale(cx, node),
    Convolution => |cx, node, layer, _| convolution::convolution(cx, node, layer),
    SeparableConvolution => |cx, node, layer, _| convolution::separable(cx, node, layer),
    TransposedConvolution => |cx, node, layer, _| convolution::transposed(cx, node, layer),
    Upscale => |cx, node, layer, _| shape::upscale(cx, node, layer),
    Resize => |cx, node, layer, _| shape::resize(cx, node, layer),
    Pad => |cx, node, layer, _| shape::pad(cx, node, layer),
    Crop => |cx, node, layer, _| shape::crop(cx, node, layer),
    Rearrange => |cx, node, layer, _| shape::rearrange(cx, node, layer),
    Pool => |cx, node, layer, _| pool::pool(cx, node, layer),
    GlobalPool => |cx, node, layer, _| pool::global(cx, node, layer),
    Reduce => |cx, node, layer, _| pool::reduce(cx, node, layer),
    BatchNorm => |cx, node, layer, _| norm::batch(cx, node, layer),
    LayerNorm => |cx, node, layer, _| norm::layer(cx, node, layer),
    GroupNorm => |cx, node, layer, _| norm::group(cx, node, layer),
    LocalResponseNorm => |cx, node, layer, _| norm::local_response(cx, node, layer),
    Normalize => |cx, node, layer, _| norm::normalize(cx, node, layer),
    Embedding => |cx, node, _, _| sequence::embedding(cx, node),
    Attention => |cx, node, layer, _| attention::attention(cx, node, layer),
    ClassToken => |cx, node, _, _| sequence::class_token(cx, node),
    PositionEmbedding => |cx, node, _, _| sequence::positions(cx, node),
    Recurrent => |cx, node, layer, _| sequence::recurrent(cx, node, layer),
    Reshape => |cx, node, _, id| shape::reshape(cx, node, id),
    Transpose => |cx, node, layer, _| shape::transpose(cx, node, layer),
    Slice => |cx, node, layer, _| shape::slice(cx, node, layer),
    Stochastic => |cx, node, layer, _| stochastic(cx, node, layer),
    Concatenate => |cx, node, layer, _| merge::concatenate(cx, node, layer),
    Elementwise => |cx, node, layer, _| merge::elementwise(cx, node, layer),
    GatedAverage => |cx, node, layer, _| merge::gated(cx, node, layer),
};

/// Layers that act in training only. `Dropout` does nothing in ONNX either unless it is asked to.
fn stochastic(cx: &mut Context<'_>, node: &Node, layer: &Stochastic) -> Exported {
    let x = cx.input(node, 0)?;
    let ratio = layer.settings.first().filter(|_| layer.definition.name == DROPOUT.name);
    let Some((_, ratio)) = ratio else { return Ok(x) };
    let ratio = cx.scalar(*ratio as f32);
    let name = cx.emit("Dropout", &[&x.name, &ratio], Vec::new());
    Ok(context::Value { name, ..x })
}

/// A model that was made of a net.
struct Made<'b> {
    model: Model,
    initializers: Vec<Initializer<'b>>,
}

/// Writes a net as an ONNX model. Returns the number of its nodes.
///
/// # Errors
/// All layers that ONNX cannot express, a model above 2 GiB, weights that cannot be read, and errors of the file system; the old file
/// is kept then.
pub fn onnx(build: &Build, path: &Path, options: &Options) -> Result<usize, Diagnostics> {
    let Made { model, initializers } = made(build, options)?;
    let bytes = length(&model, &initializers);
    if bytes > MAX_MODEL {
        let what = format!(
            "{} would have {:.1} GiB; protocol buffers, and so ONNX files, have at most 2",
            path.display(),
            bytes as f64 / f64::from(1 << 30)
        );
        return Err(Diagnostic::new(Code::Output, what)
            .help("`-o NAME.safetensors` writes the parameters alone, without this limit")
            .into());
    }
    let written = file::replace(path, |out| {
        write(&model, &initializers, out).map_err(|error| match error {
            WriteError::Io(error) => error,
            WriteError::Values(what) => std::io::Error::other(what),
        })
    });
    match written {
        Ok(()) => Ok(model.graph.nodes.len()),
        Err(error) => {
            let what = format!("{}: {}", path.display(), crate::source::plain(&error));
            Err(Diagnostic::new(Code::Output, what).into())
        }
    }
}

fn made<'b>(build: &'b Build, options: &Options) -> Result<Made<'b>, Diagnostics> {
    let graph = &build.graph;
    let mut cx = Context::new(build);
    let mut inputs = Vec::new();
    let mut errors = Diagnostics::default();
    for id in graph.ids() {
        let node = graph.node(id);
        // Layers after a refused one are not checked.
        if node.inputs.iter().any(|input| cx.values[input.0].is_none()) {
            continue;
        }
        let expressed = cx.layer(id, |cx, node| match node.operation.as_any().downcast_ref::<Input>() {
            Some(layer) => ports::input(cx, node, layer, options, &mut inputs),
            None => LAYERS
                .iter()
                .find_map(|express| express(cx, node, id))
                .unwrap_or_else(|| Err("no operator computes this".into())),
        });
        if let Err(reason) = expressed {
            let name = node.operation.definition().name;
            let what = format!("`{}` cannot be expressed in ONNX: {reason}", node.name);
            errors.push(Diagnostic::new(Code::ExportUnsupported, what).at(node.origin.span, format!("this {name}")));
        }
    }
    if errors.has_errors() {
        return Err(errors);
    }
    let outputs = ports::outputs(&mut cx, options, &inputs).map_err(|reason| {
        Diagnostic::new(Code::ExportUnsupported, format!("an output of `{}`: {reason}", graph.name))
    })?;
    let (nodes, initializers) = (cx.nodes, cx.initializers);
    let model = Model {
        ir_version: IR_VERSION,
        producer: "netc".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        opsets: vec![(String::new(), OPSET)],
        metadata: ports::metadata(build),
        graph: Graph { name: graph.name.clone(), nodes, initializers: Vec::new(), inputs, outputs },
    };
    Ok(Made { model, initializers })
}
