//! A model while it is converted, and what is known of its values.

use super::known::{Displaced, Known, Strided};
use super::sequences::view::{Mask, Scores, Source, View};
use crate::import::axes::Axes;
use crate::import::layers::Layers;
use crate::import::tree::{Call, Val, has};
use crate::import::unsupported::Unsupported;
use crate::onnx::Node;
use crate::onnx::constants::{Constant, Constants};
use crate::onnx::parameters::Layer;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Why a node cannot be expressed, in words that follow "it is" or stand alone.
pub(super) type Converted = Result<(), String>;

/// A branch times its share of a gate.
#[derive(Clone, Debug)]
pub(super) struct Share {
    /// The layer that gives the gate, and which of its values it is.
    pub gate: usize,
    pub index: i64,
    pub branch: Known,
}

/// A model while it is converted.
pub(in crate::import) struct Context<'m> {
    pub constants: Constants<'m>,
    pub layers: Layers,
    pub opset: i64,
    /// The axes in front of those of the model: 1 where the model has no axis for the batch, else 0.
    pub front: usize,
    /// Whether flattened images have the model's order in the spec too.
    pub(super) explicit: bool,
    pub(super) known: HashMap<String, Known>,
    /// Sequences whose axes are split or moved, and the scores of attentions.
    pub(super) views: HashMap<String, View>,
    pub(super) scores: HashMap<String, Scores>,
    pub(super) masks: HashMap<String, Mask>,
    /// Branches times their share of a gate, until their sum is known.
    pub(super) shares: HashMap<String, Vec<Share>>,
    /// Values whose batch is not their first axis.
    pub(super) displaced: HashMap<String, Displaced>,
    /// Images of some rows and columns of others.
    pub(super) strided: HashMap<String, Strided>,
    /// Values that nodes or the outputs read.
    pub(super) read: HashSet<String>,
    /// Final states of several recurrent layers beside each other.
    pub(super) beside: HashMap<String, Vec<View>>,
    /// Recurrent layers of which all states are read as well as the last.
    pub(super) whole: HashSet<usize>,
    /// Layers with parameters, by their nodes, and the second direction of recurrent ones.
    pub(super) parameters: BTreeMap<usize, &'m Layer>,
    pub(super) backwards: BTreeMap<usize, &'m Layer>,
    /// Values that nothing gives because a node before could not be expressed.
    pub(super) missing: HashSet<String>,
    pub unsupported: Vec<Unsupported>,
    /// Values that are read as indices only.
    pub(super) indices: HashSet<String>,
    pub(super) node: usize,
}

impl<'m> Context<'m> {
    pub fn new(constants: Constants<'m>, layers: &'m [Layer], opset: i64, axes: Axes) -> Self {
        let (mut parameters, mut backwards) = (BTreeMap::new(), BTreeMap::new());
        for layer in layers {
            match parameters.entry(layer.node) {
                Entry::Vacant(place) => drop(place.insert(layer)),
                Entry::Occupied(_) => drop(backwards.insert(layer.node, layer)),
            }
        }
        Context {
            constants,
            layers: Layers::default(),
            opset,
            front: axes.front,
            explicit: axes.explicit,
            known: HashMap::new(),
            views: HashMap::new(),
            scores: HashMap::new(),
            masks: HashMap::new(),
            shares: HashMap::new(),
            displaced: HashMap::new(),
            strided: HashMap::new(),
            read: HashSet::new(),
            beside: HashMap::new(),
            whole: HashSet::new(),
            parameters,
            backwards,
            missing: HashSet::new(),
            unsupported: Vec::new(),
            indices: HashSet::new(),
            node: 0,
        }
    }

    /// Whether a value is read as indices only.
    pub fn is_index(&self, name: &str) -> bool {
        self.indices.contains(name)
    }

    /// What gives a value, if it was converted.
    pub fn value(&self, name: &str) -> Option<&Known> {
        self.known.get(name)
    }

    /// Sets that an input is a sequence whose time is before the batch in the model.
    pub fn define_time_first(&mut self, name: &str, item: usize, steps: usize, features: usize) {
        let view = View::sequence(Source::Layer(item), steps, features);
        let (shape, axes) = (vec![steps, 1, features], vec![view.axes[1], None, view.axes[2]]);
        self.views.insert(name.to_string(), View { shape, axes, ..view });
    }

    /// Sets what gives a value.
    pub fn define(&mut self, name: &str, known: Known) {
        self.known.insert(name.to_string(), known);
    }

    /// An input of a node that is no constant.
    pub fn input(&self, node: &Node, index: usize) -> Result<Known, String> {
        let name = node.input(index).ok_or_else(|| format!("without input {index}"))?;
        match (self.known.get(name), self.constants.get(name)) {
            (Some(known), _) => Ok(known.clone()),
            (None, Some(_)) => Err(format!("its input {name} is a constant")),
            (None, None) => Err(format!("its input {name} is not known")),
        }
    }

    /// The input of a layer that takes images: features that stand for one pixel become an image.
    pub fn image(&mut self, node: &Node, index: usize) -> Result<Known, String> {
        let known = self.input(node, index)?;
        self.as_image(known)
    }

    pub fn as_image(&mut self, known: Known) -> Result<Known, String> {
        self.has_batch()?;
        match known.shape.len() {
            4 => Ok(self.ordered(known, &[2, 3, 1])),
            rank => Err(format!("its input has {rank} axes: only images are taken")),
        }
    }

    /// The input of a layer along a sequence: the channels, which ONNX has before the steps, are the features of each.
    pub fn as_sequence(&mut self, known: Known) -> Result<Known, String> {
        self.has_batch()?;
        Ok(self.ordered(known, &[2, 1]))
    }

    /// Whether the first axis of values is the batch, as operators on images and sequences have it.
    pub fn has_batch(&self) -> Converted {
        if self.front == 0 { Ok(()) } else { Err("it takes a batch, which the model's inputs are not".into()) }
    }

    /// An axis of a value by its number in the model, which may count from the end.
    pub fn axis(&self, known: &Known, axis: i64) -> Result<usize, String> {
        let rank = (known.shape.len() - self.front) as i64;
        let at = if axis < 0 { axis + rank } else { axis };
        let place = usize::try_from(at).ok().filter(|_| at < rank).map(|at| at + self.front);
        place.filter(|&place| place > 0).ok_or_else(|| format!("along axis {axis}"))
    }

    /// The parameters of the present node.
    pub fn layer(&self) -> Option<&'m Layer> {
        self.parameters.get(&self.node).copied()
    }

    /// The parameters of the present node.
    pub fn parameters(&self) -> Result<&'m Layer, String> {
        self.layer().ok_or_else(|| "its parameters are not constants of the forms that layers have".to_string())
    }

    /// Adds a layer on one input that keeps its shape.
    pub fn pointwise(&mut self, node: &Node, call: Call, known: Known) -> Converted {
        let item = self.layers.add(call, &[known.item]);
        self.give(node, Known { item, ..known })
    }

    /// Sets the first output of a node, or what the layer gives with the nodes that it took in.
    pub fn give(&mut self, node: &Node, known: Known) -> Converted {
        let layer = self.layer();
        let name = layer.map_or(node.output(), |layer| layer.output.as_str()).to_string();
        let known = match layer.and_then(|layer| layer.moved.as_ref()) {
            Some(order) if order.len() == known.shape.len() => known.permuted(order),
            _ => known,
        };
        self.define(&name, known);
        Ok(())
    }

    /// The integers of an input, or of an attribute in older models.
    pub fn integers(&self, node: &Node, index: usize, attribute: &str) -> Option<Vec<i64>> {
        let by_input = node.input(index).and_then(|name| self.constants.integers(name));
        by_input.or_else(|| node.ints(attribute).map(<[i64]>::to_vec))
    }

    pub fn constant(&self, node: &Node, index: usize) -> Option<&Constant> {
        self.constants.get(node.input(index)?)
    }
}

/// A layer that this version may not have.
pub(super) fn needs(layer: &str, argument: Option<&str>) -> Result<(), String> {
    match (has(layer, argument), argument) {
        (true, _) => Ok(()),
        (false, None) => Err(format!("it needs the layer `{layer}`")),
        (false, Some(argument)) => Err(format!("it needs `{layer}({argument}=…)`")),
    }
}

/// A number as it is written: a short one whose last bits differ at most, else the shortest that gives the same `f32`.
pub(super) fn number(value: f32) -> Val {
    let written = |digits: usize| format!("{value:.digits$e}").parse::<f64>().unwrap_or(f64::from(value));
    let near = |near: &f64| ((near - f64::from(value)) / f64::from(value).abs().max(1e-30)).abs() < 2e-7;
    let short = (0..4).map(written).find(near);
    let exact = || (4..9).map(written).find(|&written| written as f32 == value);
    Val::Float(short.or_else(exact).unwrap_or(f64::from(value)))
}
