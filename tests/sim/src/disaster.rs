//! What befalls everybody at once: the process dies and comes back, or the network drops all connections.

use crate::disk;
use crate::fault::Fault;
use crate::history::Fact;
use crate::net::{self, Client, Place, errno};
use crate::options::MS;
use crate::pipe::End;
use crate::rng::Rng;
use crate::stage::{Event, Stage};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disaster {
    /// SIGKILL, and a new process a little later.
    Restart,
    /// All connections break, and all clients come back at once.
    Rush,
    /// Another process goes on with the streams, and this one ends.
    Succession,
}

/// Disasters by the turn of the storm before which they strike, the next one last.
pub fn draw(rng: &mut Rng, turns: u64) -> Vec<(u64, Disaster)> {
    let mut drawn = Vec::new();
    for (disaster, often) in [(Disaster::Restart, 550), (Disaster::Rush, 300), (Disaster::Succession, 350)] {
        if rng.chance(often) {
            let times = rng.between(1, 3);
            drawn.extend((0..times).map(|_| (rng.between(turns / 10, turns), disaster)));
        }
    }
    drawn.sort_by_key(|(turn, _)| std::cmp::Reverse(*turn));
    drawn
}

/// The process is killed: what it held is gone, and so are its sockets. Until the time returned nobody
/// listens.
pub fn kill(stage: &mut Stage) -> u64 {
    stage.faults.count(Fault::Restart);
    disk::tear(stage);
    let keeps = stage.options.disk.is_some() && !disk::damage(stage);
    end(stage, keeps, 500)
}

/// The process ends when a successor has all that it keeps.
pub fn succeed(stage: &mut Stage) -> u64 {
    stage.faults.count(Fault::Succession);
    end(stage, true, 20)
}

/// The process is gone, and another is there after so many ms at most.
fn end(stage: &mut Stage, keeps: bool, most: u64) -> u64 {
    stage.history.add(Fact::Restarted { keeps });
    for conn in 0..stage.net.conns.len() {
        if !matches!(stage.net.conns[conn].place, Place::Gone | Place::Between) {
            abandon(stage, conn);
        }
    }
    let back = stage.now + stage.rng.between(1, most) * MS;
    stage.net.restart(back);
    stage.forget_moves();
    stage.mesh.clear();
    stage.heard.clear();
    back
}

/// The kernel closes a socket whose process is gone: in order, or with a reset if input was unread.
pub fn abandon(stage: &mut Stage, conn: usize) {
    let reset = stage.rng.chance(500);
    let it = &mut stage.net.conns[conn];
    it.place = Place::Gone;
    it.closed = Some((stage.now, true));
    let end = if reset { End::Broken(errno::ECONNRESET) } else { End::Orderly };
    let due = it.down.finish(end, stage.now);
    if !it.outbound {
        stage.history.add(Fact::Released { conn });
    }
    stage.at(due, Event::ArriveDown { conn });
}

/// Every client's connection breaks, at both ends.
pub fn rush(stage: &mut Stage) {
    stage.faults.count(Fault::Rush);
    for conn in 0..stage.net.conns.len() {
        let it = &stage.net.conns[conn];
        if !it.outbound && it.client == Client::Open && it.place != Place::Gone {
            net::snap(stage, conn);
        }
    }
}
