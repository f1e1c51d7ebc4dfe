//! What can go wrong in a run, and how often it did.

/// One kind of fault. Each must fire in at least a tenth of all seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Fault {
    /// A write arrived in several pieces.
    Cut,
    /// A piece arrived late.
    Delay,
    /// A send was placed in part although there was room.
    ShortSend,
    /// A send found the peer's window (nearly) closed.
    FullPipe,
    /// A client cut its connection with RST.
    Reset,
    /// A client vanished without a word.
    HalfOpen,
    /// A client read a few bytes at a time.
    SlowReader,
    /// Many connections at once, most of which say nothing.
    AcceptBurst,
    /// Accepting failed or found the table full.
    AcceptFailed,
    /// A hand-over failed.
    HandOverFailed,
    /// A moved socket arrived before its state.
    ArrivedFirst,
    /// A moved connection's state arrived before its socket.
    MailFirst,
    /// A letter waited long.
    MeshDelay,
    /// A queue between shards was full.
    MeshFull,
    /// A shard took no turn for long.
    Stall,
    /// A turn got only some of the completions that were there.
    PartialBatch,
    /// Input of the old mode was reported after another mode was set.
    RacingRecv,
    /// A close with input unread destroyed what was on its way to the client.
    CloseReset,
    /// The wall clock jumped.
    ClockJump,
    /// A client sent what no protocol allows.
    Garbage,
    /// A client resumed from a cursor it never got.
    ForgedCursor,
    /// A client switched transports with its cursor.
    Switch,
    /// A client opened a second connection beside its first.
    Double,
    /// A connect of a shard was refused or timed out.
    ConnectFailed,
    /// A server answered late.
    LateAnswer,
    /// A server never answered.
    Hang,
    /// A server ended the connection in the middle of an answer.
    BrokenAnswer,
    /// A server answered twice.
    DoubleAnswer,
    /// A server answered what nobody asked.
    WrongId,
    /// A server sent what is no MCP.
    GarbageAnswer,
    /// A server closed a connection between two requests.
    ClosedIdle,
    /// A server ended the connection instead of answering.
    Death,
    /// A server forgot a session.
    LostSession,
    /// A server refused a request with an HTTP status.
    RefusedRequest,
    /// A server answered over a pipe what was asked later before what was asked earlier.
    Reordered,
    /// A server went down with everything, and came back.
    Outage,
    /// An MCP client cancelled a request.
    Cancelled,
    /// An MCP client closed the connection of a request.
    Abandoned,
    /// An MCP client did not answer a question.
    Silence,
    /// The process was killed, and came back.
    Restart,
    /// All connections broke at once.
    Rush,
    /// A client had its transports come and go in turn.
    Flap,
    /// A client took the place of its earlier connection with a recovery token.
    Fence,
    /// It did so with a token that was made up.
    ForgedToken,
    /// A publish was said again under its key, because its answer was lost.
    Repeat,
    /// An append to the log failed.
    DiskError,
    /// The disk was full.
    DiskFull,
    /// The process died while it wrote to its log.
    TornTail,
    /// A restart read other bits than were written.
    BitFlip,
    /// A client stayed away for a while.
    Away,
    /// A shard took no turn for seconds.
    Freeze,
    /// A connection was refused for the network address that it came from.
    TurnedAway,
    /// The process used more memory than it may.
    Squeeze,
    /// A shard's turns took long for a while.
    Overload,
    /// A publish was refused for its priority.
    Shed,
    /// A turn left some of a topic's subscribers to the next.
    Spread,
    /// Another process went on with the streams.
    Succession,
    /// It went on with a connection.
    Emigrated,
    /// One brought what does not prove who he is.
    Impostor,
    /// A connection ended with what had proved who its client is.
    Disproved,
}

/// Names in the order of the enum, as the report prints them.
pub const NAMES: [&str; 60] = [
    "cut",
    "delay",
    "short-send",
    "full-pipe",
    "reset",
    "half-open",
    "slow-reader",
    "accept-burst",
    "accept-failed",
    "hand-over-failed",
    "arrived-first",
    "mail-first",
    "mesh-delay",
    "mesh-full",
    "stall",
    "partial-batch",
    "racing-recv",
    "close-reset",
    "clock-jump",
    "garbage",
    "forged-cursor",
    "switch",
    "double",
    "connect-failed",
    "late-answer",
    "hang",
    "broken-answer",
    "double-answer",
    "wrong-id",
    "garbage-answer",
    "closed-idle",
    "death",
    "lost-session",
    "refused-request",
    "reordered",
    "outage",
    "cancelled",
    "abandoned",
    "silence",
    "restart",
    "rush",
    "flap",
    "fence",
    "forged-token",
    "repeat",
    "disk-error",
    "disk-full",
    "torn-tail",
    "bit-flip",
    "away",
    "freeze",
    "turned-away",
    "squeeze",
    "overload",
    "shed",
    "spread",
    "succession",
    "emigrated",
    "impostor",
    "disproved",
];

/// Counts of one run.
#[derive(Clone, Debug)]
pub struct Faults([u64; NAMES.len()]);

impl Default for Faults {
    fn default() -> Faults {
        Faults([0; NAMES.len()])
    }
}

impl Faults {
    /// Adds another run's.
    pub fn add(&mut self, other: &Faults) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }

    /// 1 for each kind that fired.
    pub fn fired(&self) -> Faults {
        Faults(self.0.map(|count| count.min(1)))
    }

    /// One more of `fault`.
    pub fn count(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// Counts in the order of [`NAMES`].
    pub fn counts(&self) -> &[u64; NAMES.len()] {
        &self.0
    }
}
