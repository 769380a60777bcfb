//! What passes may fuse.

use crate::kernels::elementwise::activation::Activation;

/// What a layer can fuse into its epilogue: what it does to a result before storing it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Supports {
    pub activation: bool,
    pub residual: bool,
    pub pool: bool,
    pub softmax: bool,
}

/// A layer that scales and shifts each channel at inference.
pub trait Affine {
    /// Scale and shift per channel, from the layer's parameters in order.
    fn scale_shift(&self, parameters: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>);
}

/// How a pass can fuse a layer into the one before it, or remove it.
#[derive(Clone, Copy)]
pub enum FusionRole<'a> {
    /// Not at all: it needs a step of its own.
    None,
    /// Its output is its input at inference (dropout, noise, an `Input` inside a net).
    Identity,
    /// An elementwise function. [`Activation::Linear`] is an identity.
    Activation(Activation),
    /// Softmax over the last axis, without parameters.
    Softmax,
    /// On an image, the maximum over 2x2 pixels without overlap, borders dropped.
    MaxPool2x2,
    /// The sum of its inputs.
    Sum,
    /// A scale and shift per channel.
    Affine(&'a dyn Affine),
}

impl<'a> FusionRole<'a> {
    /// Whether the layer does nothing at inference.
    pub fn is_identity(self) -> bool {
        matches!(self, FusionRole::Identity | FusionRole::Activation(Activation::Linear))
    }

    /// The scale and shift, if it is one.
    pub fn affine(self) -> Option<&'a dyn Affine> {
        match self {
            FusionRole::Affine(affine) => Some(affine),
            _ => None,
        }
    }
}
