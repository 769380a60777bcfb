//! A model while it is converted, and what is known of its values.

use crate::graph::type_inference::infer;
use crate::graph::{Value, ValueKind};
use crate::import::keras::config::Layer;
use crate::import::layers::Layers;
use crate::import::tree::{Call, Val, literal};
use crate::import::unsupported::Unsupported;
use crate::ops;
use crate::source::{Sources, Span};
use crate::tensor::TensorType;
use std::collections::BTreeSet;

/// A value of the model that a layer gives.
#[derive(Clone, Debug)]
pub(in super::super) struct Known {
    pub item: usize,
    /// Its sizes in the net, without the batch.
    pub sizes: Vec<usize>,
    /// Whether Keras has these features as an image of one pixel, (1, 1, c).
    pub pixel: bool,
    /// Whether a layer before could not be expressed, so that the sizes are a guess.
    pub guessed: bool,
}

impl Known {
    /// The number of axes that it has in Keras, with the batch.
    pub(super) fn rank(&self) -> usize {
        1 + if self.pixel { 3 } else { self.sizes.len() }
    }

    pub(super) fn channels(&self) -> usize {
        self.sizes.last().copied().unwrap_or(1)
    }

    /// The number of an axis that may count from the end; the batch is axis 0, which no layer acts along.
    pub(super) fn axis(&self, axis: i64) -> Result<usize, String> {
        let rank = self.rank() as i64;
        let at = if axis < 0 { axis + rank } else { axis };
        (1..rank).contains(&at).then_some(at as usize).ok_or_else(|| format!("it acts along axis {axis}"))
    }

    /// Whether these axes are the channels alone.
    pub(super) fn is_last(&self, axes: &[i64]) -> Result<bool, String> {
        let axes = axes.iter().map(|&axis| self.axis(axis)).collect::<Result<Vec<_>, _>>()?;
        Ok(axes == [self.rank() - 1])
    }
}

/// What a call is given in a place.
#[derive(Clone, Debug)]
pub(in super::super) enum Argument<'v> {
    Value(Known),
    Constant(&'v serde_json::Value),
}

/// What a call is given.
#[derive(Debug, Default)]
pub(in super::super) struct Given<'v> {
    pub operands: Vec<Argument<'v>>,
    pub keywords: Vec<(&'v str, Argument<'v>)>,
    /// Whether something is missing, because a layer before could not be expressed.
    pub missing: bool,
}

impl<'v> Given<'v> {
    /// All values, in order.
    pub fn values(&self) -> Vec<Known> {
        let all = self.operands.iter().chain(self.keywords.iter().map(|(_, argument)| argument));
        all.filter_map(|argument| if let Argument::Value(known) = argument { Some(known.clone()) } else { None })
            .collect()
    }

    /// The only value.
    pub(super) fn one(&self) -> Result<Known, String> {
        let mut values = self.values();
        match values.len() {
            1 => Ok(values.remove(0)),
            0 => Err("it takes no value of the model".into()),
            count => Err(format!("it takes {count} values of the model")),
        }
    }

    /// A keyword that is a truth value.
    pub(super) fn is(&self, name: &str) -> bool {
        let found = self.keywords.iter().find(|(known, _)| *known == name);
        matches!(found, Some((_, Argument::Constant(serde_json::Value::Bool(true)))))
    }

    pub(super) fn keyword(&self, name: &str) -> Option<&Argument<'v>> {
        self.keywords.iter().find(|(known, _)| *known == name).map(|(_, argument)| argument)
    }
}

/// What a call gives, or why it cannot be expressed.
pub(super) type Converted = Result<Known, String>;

/// A model while it is converted.
pub(in super::super) struct Context<'v> {
    /// The layers of the net that is being made: the main one, or that of a nested model.
    pub layers: Layers,
    /// The nets of nested models.
    pub parts: Vec<Part>,
    /// The names of the nested models around, from the outermost.
    pub path: Vec<&'v str>,
    /// Whether Keras 3 wrote the model, which redefines some functions.
    pub keras3: bool,
    /// Names of layers that several nested models have: their weights are found under longer ones.
    pub names_in_file: Option<BTreeSet<String>>,
    /// Words that are taken: names of nets, and of shared layers.
    pub words: BTreeSet<String>,
    pub unsupported: Vec<Unsupported>,
    /// Layers that act only in training and have no counterpart.
    pub left_out: Vec<String>,
    /// Whether the present layer is called several times, with the same parameters.
    pub(super) shared: bool,
    /// Whether a model that is called several times is being written out.
    pub within_shared: bool,
    span: Span,
}

/// The net of a nested model.
#[derive(Debug)]
pub(in super::super) struct Part {
    pub name: String,
    /// The names of the models around and its own.
    pub path: Vec<String>,
    pub layers: Layers,
    pub input: Vec<usize>,
    pub output: Known,
}

impl<'v> Context<'v> {
    pub fn new(keras3: bool, names_in_file: Option<BTreeSet<String>>, words: BTreeSet<String>) -> Self {
        let file = Sources::default().add_text("model", "");
        Context {
            layers: Layers::default(),
            parts: Vec::new(),
            path: Vec::new(),
            keras3,
            names_in_file,
            words,
            unsupported: Vec::new(),
            left_out: Vec::new(),
            shared: false,
            within_shared: false,
            span: Span { file, start: 0, end: 0 },
        }
    }

    /// The layers that were made so far.
    pub fn made(&self) -> usize {
        self.layers.items.len() + self.parts.iter().map(|part| part.layers.items.len()).sum::<usize>()
    }

    /// Adds a layer; what it gives is what the language says of it.
    ///
    /// # Errors
    /// Arguments and inputs that it does not take.
    pub fn add(&mut self, mut call: Call, inputs: &[&Known]) -> Converted {
        let definition = ops::find(&call.function).ok_or_else(|| format!("it needs the layer `{}`", call.function))?;
        // A default that is an integer is written as one.
        for (name, value) in &mut call.arguments {
            let argument = definition.arguments.iter().find(|argument| argument.name == *name);
            if let (Some(default @ Val::Int(number)), Val::Float(given)) =
                (argument.and_then(|argument| literal(argument.default)), &*value)
                && number as f64 == *given
            {
                *value = default;
            }
        }
        let default = |name: &str| definition.arguments.iter().find(|argument| argument.name == name);
        let is_default = |(name, value): &&(String, Val)| {
            default(name).and_then(|argument| literal(argument.default)).as_ref() == Some(value)
        };
        let given = call.arguments.iter().filter(|argument| !is_default(argument));
        let given = given.map(|(name, value)| (Some((name.clone(), self.span)), self.value(value))).collect();
        let operation = definition.make(given, self.span).map_err(|errors| {
            let first = errors.iter().next();
            first.map_or("its arguments are wrong".into(), |error| error.message.clone())
        })?;
        let types: Vec<TensorType> = inputs.iter().map(|known| TensorType::of(&known.sizes)).collect();
        let (output, _) =
            infer(&*operation, &types.iter().collect::<Vec<_>>()).map_err(|error| error.message.to_string())?;
        let sizes = output.known().ok_or("it leaves a size open")?;
        Ok(self.push(call, inputs, sizes))
    }

    fn value(&self, value: &Val) -> Value {
        let of = |kind| Value { kind, span: self.span };
        let size = |&size: &usize| i64::try_from(size).unwrap_or(i64::MAX);
        of(match value {
            Val::Int(value) => ValueKind::Int(*value),
            Val::Float(value) => ValueKind::Float(*value),
            Val::Bool(value) => ValueKind::Bool(*value),
            Val::Word(word) => ValueKind::Word(word.clone()),
            Val::Sizes(sizes) => ValueKind::Sizes(sizes.iter().map(|each| Some(size(each))).collect()),
            Val::List(list) => ValueKind::List(list.iter().map(|&value| of(ValueKind::Int(value))).collect()),
            Val::Numbers(list) => ValueKind::List(list.iter().map(|&value| of(ValueKind::Float(value))).collect()),
            // Only folding makes these.
            Val::Text(_) | Val::Parameter(_) | Val::Times(..) => ValueKind::Open,
        })
    }

    /// Adds a layer or a net that gives these sizes. One with parameters that is called several times is shared.
    pub fn push(&mut self, call: Call, inputs: &[&Known], sizes: Vec<usize>) -> Known {
        let is_net = ops::find(&call.function).is_none();
        let call = match self.shared && (call.name.is_some() || is_net) {
            true => self.share(call),
            false => call,
        };
        let item = self.layers.add(call, &inputs.iter().map(|known| known.item).collect::<Vec<_>>());
        let guessed = inputs.iter().any(|known| known.guessed);
        Known { item, sizes, pixel: false, guessed }
    }

    /// Adds the mention of the net of a nested model.
    pub fn push_model(&mut self, call: Call, input: &Known, sizes: Vec<usize>) -> Known {
        self.shared = self.within_shared;
        let known = self.push(call, &[input], sizes);
        self.shared = false;
        known
    }

    /// The mention of a shared layer.
    fn share(&mut self, call: Call) -> Call {
        let word = match self.layers.shares.iter().find(|(_, known)| *known == call) {
            Some((word, _)) => word.clone(),
            None => {
                let name = call.name.as_ref().map_or(call.function.clone(), crate::import::tree::plain_text);
                let word = self.word(&name);
                self.layers.shares.push((word.clone(), call));
                word
            }
        };
        Call { function: word, arguments: Vec::new(), name: None }
    }

    /// A word for a net or a shared layer, and from now on taken.
    pub fn word(&mut self, name: &str) -> String {
        let base = crate::elaborate::identifier(name);
        // `a`, `b2` and so on are the values of a block.
        let short = base.chars().count() < 2 || base.chars().skip(1).all(|c| c.is_ascii_digit());
        let nothing = base.chars().all(|c| c == '_');
        let base = if short || nothing { format!("net_{base}") } else { base };
        let free = |word: &String| {
            !self.words.contains(word) && ops::find(word).is_none() && !crate::syntax::KEYWORDS.contains(&word.as_str())
        };
        let numbered = (2..).map(|number| format!("{base}_{number}"));
        let word = std::iter::once(base.clone()).chain(numbered).find(free).unwrap_or(base);
        self.words.insert(word.clone());
        word
    }

    /// The name of a layer, under which its weights are found in the file.
    pub(super) fn name(&self, layer: &Layer) -> String {
        let Some(names) = &self.names_in_file else { return layer.name.to_string() };
        let outer = [self.path.last(), self.path.first()].into_iter().flatten();
        let qualified = outer.map(|outer| format!("{outer}/{}", layer.name));
        let known = |name: &String| names.iter().any(|known| known == name || known.starts_with(&format!("{name}/")));
        qualified.into_iter().find(known).unwrap_or_else(|| layer.name.to_string())
    }

    /// A layer with parameters, under its name.
    pub(super) fn named(&self, function: &str, layer: &Layer) -> Call {
        Call::layer(function).named(Some(&self.name(layer)))
    }

    /// An image of one pixel, where it has been features.
    pub fn image(&mut self, known: Known) -> Converted {
        match known.pixel {
            true => {
                let shape = Val::Sizes(vec![1, 1, known.channels()]);
                self.add(Call::layer("Reshape").with("shape", shape), &[&known])
            }
            false => Ok(known),
        }
    }

    /// A layer that acts on an image, applied to a sequence that is taken for an image one pixel wide.
    pub(super) fn on_sequence(&mut self, x: &Known, apply: impl FnOnce(&mut Self, &Known) -> Converted) -> Converted {
        let &[steps, features] = &x.sizes[..] else { return Err(format!("its input {:?} is not a sequence", x.sizes)) };
        let reshape = |sizes| Call::layer("Reshape").with("shape", Val::Sizes(sizes));
        let image = self.add(reshape(vec![steps, 1, features]), &[x])?;
        let image = apply(self, &image)?;
        let &[steps, _, features] = &image.sizes[..] else { return Err("its output is not an image".into()) };
        self.add(reshape(vec![steps, features]), &[&image])
    }
}

/// A number as an argument.
pub(super) fn number(value: f64) -> Val {
    Val::Float(value)
}

/// A size as an argument.
pub(super) fn int(value: usize) -> Val {
    Val::Int(i64::try_from(value).unwrap_or(i64::MAX))
}
