//! The arrays of a batch: whether their shapes are those of a net's inputs.

use crate::diagnostics::{Code, Diagnostic, counted};
use crate::plan::Port;

/// The number of images in the arrays of a net's inputs, which have the shapes `(images, sizes…)`. `source` names them in
/// messages, such as a file.
///
/// # Errors
/// An array of another shape, or different numbers of images; [`Code::Array`].
pub fn images(source: &str, shapes: &[&[usize]], ports: &[Port]) -> Result<usize, Diagnostic> {
    for (shape, port) in shapes.iter().zip(ports) {
        check_shape(source, shape, port)?;
    }
    let rows = |shape: &[usize]| shape.first().copied().unwrap_or(0);
    let all = shapes.first().map_or(0, |shape| rows(shape));
    if let Some(other) = shapes.iter().position(|shape| rows(shape) != all) {
        let describe = |index: usize| format!("`{}` has {}", ports[index].name, counted(rows(shapes[index]), "row"));
        let message = format!("{source}: {}, but {}", describe(0), describe(other));
        return Err(Diagnostic::new(Code::Array, message).help("row i of each is image i"));
    }
    Ok(all)
}

/// Checks that an array has the shape `(images, sizes…)` of an input.
///
/// # Errors
/// [`Code::Array`].
pub fn check_shape(source: &str, shape: &[usize], port: &Port) -> Result<(), Diagnostic> {
    if shape.get(1..) == Some(&port.sizes[..]) {
        return Ok(());
    }
    let sizes: Vec<String> = port.sizes.iter().map(usize::to_string).collect();
    let message = format!("{source} has the shape {shape:?}, but `{}` takes (n, {})", port.name, sizes.join(", "));
    Err(Diagnostic::new(Code::Array, message))
}
