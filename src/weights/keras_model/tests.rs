//! Configurations in each dialect, and malicious ones.

use super::super::store::StoreError;
use super::Model;

fn model(text: &str, version: &str) -> Model {
    Model::read(&Model::parse(text, "config").unwrap(), Some(version), "config").unwrap()
}

fn inputs<'m>(model: &'m Model, name: &str) -> Option<Vec<&'m str>> {
    let inputs = model.layers[model.find(name).unwrap()].inputs.as_ref()?;
    Some(inputs.iter().map(|&at| model.layers[at].name.as_str()).collect())
}

#[test]
fn each_dialect_has_its_edges() {
    let keras1 = model(
        r#"{"class_name": "Sequential", "config": [{"class_name": "Convolution2D", "config": {"name": "a"}},
            {"class_name": "Dense", "config": {"name": "b"}}]}"#,
        "1.2.2",
    );
    assert_eq!((inputs(&keras1, "a"), inputs(&keras1, "b")), (Some(vec![]), Some(vec!["a"])));
    let keras2 = model(
        r#"{"class_name": "Model", "config": {"layers": [
            {"class_name": "InputLayer", "config": {"name": "in"}, "name": "in", "inbound_nodes": []},
            {"class_name": "Dense", "config": {"name": "a"}, "name": "a", "inbound_nodes": [[["in", 0, 0, {}]]]},
            {"class_name": "Dense", "config": {}, "name": "twice", "inbound_nodes": [[["in", 0, 0, {}]], [["a", 0, 0, {}]]]},
            {"class_name": "Add", "config": {}, "name": "sum", "inbound_nodes": [[["in", 0, 0, {}], ["a", 0, 0, {}]]]}]}}"#,
        "2.2.4",
    );
    assert_eq!(inputs(&keras2, "sum"), Some(vec!["in", "a"]));
    assert_eq!((inputs(&keras2, "twice"), inputs(&keras2, "in")), (None, Some(vec![])));
    let tensor = r#"{"class_name": "__keras_tensor__", "config": {"keras_history": ["in", 0, 0]}}"#;
    let keras3 = model(
        &format!(
            r#"{{"class_name": "Functional", "config": {{"layers": [
            {{"class_name": "InputLayer", "config": {{"name": "in"}}, "name": "in", "inbound_nodes": []}},
            {{"class_name": "Package>Dense", "config": {{"name": "a", "units": NaN}}, "name": "a",
              "inbound_nodes": [{{"args": [{tensor}], "kwargs": {{"mask": null}}}}]}}]}}}}"#
        ),
        "3.15.1",
    );
    assert_eq!((inputs(&keras3, "a"), keras3.class_of("a"), keras3.keras3), (Some(vec!["in"]), Some("Dense"), true));
}

#[test]
fn layers_of_nested_models_are_found_by_both_names() {
    let inner = |name: &str| {
        format!(
            r#"{{"class_name": "Sequential", "config": {{"name": "{name}", "layers": [
            {{"class_name": "Dense", "config": {{"name": "same"}}}},
            {{"class_name": "Dense", "config": {{"name": "of_{name}"}}}}]}}}}"#
        )
    };
    let text =
        format!(r#"{{"class_name": "Sequential", "config": {{"layers": [{}, {}]}}}}"#, inner("left"), inner("right"));
    let model = model(&text, "3.0.0");
    assert!(model.find("same").is_none());
    assert!(model.find("left/same").is_some() && model.find("right/same").is_some() && model.find("of_left").is_some());
}

#[test]
fn malicious_configurations_are_refused_or_harmless() {
    assert!(matches!(Model::parse("{", "here"), Err(StoreError::Corrupt { location, .. }) if location == "here"));
    let deep = |depth: usize| {
        let mut text = r#"{"class_name": "Dense", "config": {}}"#.to_string();
        for _ in 0..depth {
            text = format!(r#"{{"class_name": "Sequential", "config": {{"layers": [{text}]}}}}"#);
        }
        text
    };
    let value = Model::parse(&deep(40), "here").unwrap();
    assert!(matches!(Model::read(&value, None, "here"), Err(StoreError::Refused { .. })));
    // A cycle, a layer that is its own input, and invalid window sizes.
    model(
        r#"{"class_name": "Model", "config": {"layers": [
            {"class_name": "ReLU", "config": {}, "name": "a", "inbound_nodes": [[["b", 0, 0, {}]]]},
            {"class_name": "ReLU", "config": {}, "name": "b", "inbound_nodes": [[["a", 0, 0, {}]]]},
            {"class_name": "Dense", "config": {}, "name": "c", "inbound_nodes": [[["b", 0, 0, {}]]]},
            {"class_name": "MaxPooling2D", "config": {"pool_size": [0, 0], "strides": 0}, "name": "d",
             "inbound_nodes": [[["d", 0, 0, {}]]]}]}}"#,
        "2.2.4",
    );
}
