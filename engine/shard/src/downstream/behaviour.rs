//! What the operator is told of how clients behave.

use crate::metrics::Behaviour;
use crate::turn::{Cx, Shard};

impl Shard {
    /// How clients behave, with the `most` most suspicious among them. Looks at every connection.
    pub(crate) fn behaviour(&self, most: usize, cx: &Cx<'_>) -> Box<Behaviour> {
        let mut behaviour = Behaviour::default();
        let now = cx.now.mono.as_secs();
        for since in self.conns.iter().filter_map(|(_, conn)| conn.since()) {
            behaviour.ages.count(now.saturating_sub(since));
        }
        behaviour.suspects = self.suspicion.worst(most, cx.now.mono);
        Box::new(behaviour)
    }
}
