use crate::graph::Graph;
pub fn table(graph: &Graph, _docs: &[String], _width: Option<usize>) -> String {
    graph.to_string()
}
pub fn json(_graph: &Graph) -> serde_json::Value {
    serde_json::Value::Null
}
pub fn terminal_width() -> Option<usize> {
    None
}
