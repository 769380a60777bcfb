//! A cut of a net, as the axis orders see it.

use super::order::Order;
use std::rc::Rc;

/// A cut that separated a layer from its neighbours, with the orders that the uncut net has there.
#[derive(Clone, Debug)]
pub struct Cut {
    /// The net that was cut: for its weights files, the orders around the layer are those before the cut.
    pub net: Rc<str>,
    /// Inputs that came from removed layers, and their orders.
    pub inputs: Vec<(usize, Order)>,
    /// The order of the output, if layers that read it were removed.
    pub output: Option<Order>,
}
