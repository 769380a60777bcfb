//! The metadata of server and models.

use super::NUMBERS;
use crate::plan::Port;
use crate::serve::model::{Model, VERSION};
use serde_json::{Value, json};

/// The server: `GET /v2`.
pub fn server() -> Value {
    json!({
        "name": "netc",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "classification"],
    })
}

/// A model: `GET /v2/models/{name}`.
pub fn model(model: &Model) -> Value {
    let plan = &model.manifest().plan;
    json!({
        "name": model.name,
        "versions": [VERSION],
        "platform": "netc",
        "inputs": plan.inputs.iter().map(tensor).collect::<Vec<_>>(),
        "outputs": plan.outputs.iter().map(tensor).collect::<Vec<_>>(),
    })
}

/// A tensor with any number of images: -1.
fn tensor(port: &Port) -> Value {
    let sizes = port.sizes.iter().map(|&size| Value::from(size));
    let shape: Vec<Value> = std::iter::once(Value::from(-1)).chain(sizes).collect();
    json!({ "name": port.name, "datatype": NUMBERS, "shape": shape })
}
