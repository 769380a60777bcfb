//! Values whose axes stand in another order than a layer needs them in.

use crate::import::convert::context::Context;
use crate::import::convert::known::Known;
use crate::import::tree::{Call, Val};
use crate::size::product;

impl Context<'_> {
    /// The value with its axes in this order, which has all of those with more than one value.
    pub(in crate::import::convert) fn ordered(&mut self, known: Known, axes: &[usize]) -> Known {
        let known = self.unflattened(known);
        if known.axes == axes {
            return known;
        }
        let (from, to): (Vec<usize>, Vec<usize>) = (known.large(&known.axes).collect(), known.large(axes).collect());
        let mut item = known.item;
        let mut now = known.axes.clone();
        if from != to {
            // The others follow, so that as many axes are moved as there are.
            let wanted: Vec<usize> = match axes.len() == now.len() && axes.iter().all(|axis| now.contains(axis)) {
                true => axes.to_vec(),
                false => to.iter().copied().chain(now.iter().copied().filter(|axis| !to.contains(axis))).collect(),
            };
            let place = |axis: &usize| now.iter().position(|known| known == axis).map_or(0, |place| place as i64 + 1);
            let moves = std::iter::once(0).chain(wanted.iter().map(place)).collect();
            item = self.layers.add(Call::layer("Transpose").with("perm", Val::List(moves)), &[item]);
            now = wanted;
        }
        if now != axes {
            let sizes: Vec<usize> = axes.iter().map(|&axis| known.size(axis)).collect();
            item = self.reshaped(item, &sizes);
        }
        Known { item, axes: axes.to_vec(), ..known }
    }

    /// The value with all axes of the model in their order, and those of size 1 as well.
    pub(in crate::import::convert) fn in_order(&mut self, known: Known) -> Known {
        let axes: Vec<usize> = (1..known.shape.len().max(2)).collect();
        self.ordered(known, &axes)
    }

    /// The same values in other sizes.
    pub(in crate::import::convert) fn reshaped(&mut self, item: usize, sizes: &[usize]) -> usize {
        let call = match sizes {
            [_] => Call::layer("Flatten"),
            sizes => Call::layer("Reshape").with("shape", Val::Sizes(sizes.to_vec())),
        };
        self.layers.add(call, &[item])
    }

    /// Features with the values of flattened images in the model's order.
    pub(in crate::import::convert) fn unflattened(&mut self, known: Known) -> Known {
        let images = known.images.clone();
        let mut parts = Vec::new();
        let mut from = 0;
        for &[height, width, channels] in &images {
            let size = product([height, width, channels]);
            let flat = &self.layers.items[known.item];
            let mut item = match images.len() {
                1 if flat.call.is(&["Flatten"]) => flat.inputs[0],
                1 => self.reshaped(known.item, &[height, width, channels]),
                _ => {
                    let range = Call::layer("Slice").with("from", Val::Int(from as i64));
                    let part = self.layers.add(range.with("to", Val::Int((from + size) as i64)), &[known.item]);
                    if height * width == 1 { part } else { self.reshaped(part, &[height, width, channels]) }
                }
            };
            if height * width > 1 {
                let moves = Val::List(vec![0, 3, 1, 2]);
                item = self.layers.add(Call::layer("Transpose").with("perm", moves), &[item]);
                item = self.reshaped(item, &[size]);
            }
            parts.push(item);
            from += size;
        }
        let item = match parts[..] {
            [] => known.item,
            [one] => one,
            _ => self.layers.add(Call::layer("Concatenate"), &parts),
        };
        Known { item, images: Vec::new(), ..known }
    }

    /// An output as the spec gives it: images have their channels last where the inputs have, all else has the model's order.
    pub fn as_output(&mut self, known: Known, images_last: bool) -> Known {
        let known = self.unflattened(known);
        if (self.front == 0 && known.is_image()) || known.axes.is_sorted() {
            return known;
        }
        let axes = match known.shape.len() {
            4 if images_last && self.front == 0 && known.axes.len() == 3 => vec![2, 3, 1],
            _ => {
                let mut axes = known.axes.clone();
                axes.sort_unstable();
                axes
            }
        };
        self.ordered(known, &axes)
    }
}
