//! Groups of nodes, which are joined two at a time.

/// Nodes in groups; each group is named by its first node.
#[derive(Clone, Debug)]
pub(crate) struct DisjointSets(Vec<usize>);

impl DisjointSets {
    /// So many nodes, each in a group of its own.
    pub fn new(count: usize) -> Self {
        DisjointSets((0..count).collect())
    }

    /// The first node of the group of a node.
    pub fn first(&self, mut of: usize) -> usize {
        while self.0[of] != of {
            of = self.0[of];
        }
        of
    }

    /// Joins the groups of two nodes.
    pub fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.first(a), self.first(b));
        self.0[a.max(b)] = a.min(b);
    }
}
