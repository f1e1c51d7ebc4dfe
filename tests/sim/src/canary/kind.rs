//! What a saboteur can do, and which invariant each breaks.

/// One kind of sabotage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canary {
    /// Changes a byte of a message.
    AlterBytes,
    /// Invents a message.
    Fabricate,
    /// Delivers a message twice.
    Duplicate,
    /// Delivers a message after its successor.
    Swap,
    /// Loses a message in the middle.
    Drop,
    /// Loses every message of one stream from some point on, cursor's replay included.
    LoseTail,
    /// Moves a message to another epoch.
    AlterEpoch,
    /// Does not say of a repeated message that it may have come before.
    Unmark,
    /// Says so of one that has not.
    Mark,
    /// Delivers to a connection whose place was taken.
    Unfence,
    /// Does not show a client to another.
    Hide,
    /// Loses the end of a stream when the server stops.
    Spill,
    /// Says that a message is gone that must be there.
    Evict,
    /// Tells a publisher another place than its message has.
    Misplace,
    /// Gives a message up too late.
    Insist,
    /// Delivers a message to another client.
    Stray,
    /// Loses a shard's log with its process.
    LoseLog,
    /// Loses what a log had answered last.
    LieOfLog,
    /// Moves a message to another lane.
    Relane,
    /// Lets a lane wait for long.
    Starve,
    /// Says that a message has expired that has no time to live.
    Expire,
    /// Says `recovered: true` for a cursor that is worth nothing.
    ClaimRecovered,
    /// Says `recovered: false` although all was there.
    DenyRecovered,
    /// Loses the first message after a resume.
    Seam,
    /// Answers twice.
    ReplyTwice,
    /// Answers in another join's name.
    ForeignJoin,
    /// Pretends that queues may hold only a quarter of what they may.
    Bound,
    /// Counts a connection of a network address that is gone.
    Miscount,
    /// Loses the answer to an MCP request.
    McpLose,
    /// Answers an MCP request twice.
    McpTwice,
    /// Gives an MCP client the text of another answer.
    McpSwap,
    /// Answers under an id of another type.
    McpRetype,
    /// Answers on another connection.
    McpElsewhere,
    /// Answers an MCP request that was cancelled and is over.
    McpRevive,
    /// Shows a server's question to another client.
    McpStray,
    /// Gives a server what was said to another question.
    McpMishear,
    /// Runs a tool call twice.
    McpRerun,
    /// Loses a lease.
    McpLeak,
    /// Pretends that an MCP request may take no time.
    McpPatience,
    /// Says that an urgent message was shed.
    Shed,
    /// Refuses without a reason.
    Mute,
    /// Goes on shedding.
    StayShut,
    /// Closes all connections at once when the server stops.
    Stampede,
    /// Does not say that the server stops.
    Unwarned,
    /// Ends what is under way when the server stops.
    HangUp,
    /// Loses what shards hand over to a successor.
    Disinherit,
    /// Tells a successor that a connection was sent less than it was.
    Misdirect,
    /// Lets one in who proves nothing.
    LetIn,
    /// Serves one whose proof has run out.
    Overstay,
    /// Calls a proof over that holds.
    CutShort,
}

/// All canaries with their names on the command line and the invariant each breaks.
pub const ALL: [(Canary, &str, u8); 50] = [
    (Canary::AlterBytes, "alter-bytes", 1),
    (Canary::Fabricate, "fabricate", 1),
    (Canary::Duplicate, "duplicate", 2),
    (Canary::Swap, "swap", 2),
    (Canary::Drop, "drop", 3),
    (Canary::LoseTail, "lose-tail", 4),
    (Canary::AlterEpoch, "alter-epoch", 5),
    (Canary::Unmark, "unmark", 2),
    (Canary::Mark, "mark", 2),
    (Canary::Unfence, "unfence", 7),
    (Canary::Hide, "hide", 16),
    (Canary::Spill, "spill", 14),
    (Canary::Evict, "evict", 8),
    (Canary::Misplace, "misplace", 9),
    (Canary::Insist, "insist", 13),
    (Canary::Stray, "stray", 15),
    (Canary::LoseLog, "lose-log", 5),
    (Canary::LieOfLog, "lie-of-log", 1),
    (Canary::Relane, "relane", 12),
    (Canary::Starve, "starve", 12),
    (Canary::Expire, "expire", 3),
    (Canary::ClaimRecovered, "claim-recovered", 5),
    (Canary::DenyRecovered, "deny-recovered", 5),
    (Canary::Seam, "seam", 6),
    (Canary::ReplyTwice, "reply-twice", 10),
    (Canary::ForeignJoin, "foreign-join", 10),
    (Canary::Bound, "bound", 11),
    (Canary::Miscount, "miscount", 11),
    (Canary::McpLose, "mcp-lose", 18),
    (Canary::McpTwice, "mcp-twice", 18),
    (Canary::McpSwap, "mcp-swap", 18),
    (Canary::McpRetype, "mcp-retype", 18),
    (Canary::McpElsewhere, "mcp-elsewhere", 18),
    (Canary::McpRevive, "mcp-revive", 18),
    (Canary::McpStray, "mcp-stray", 19),
    (Canary::McpMishear, "mcp-mishear", 19),
    (Canary::McpRerun, "mcp-rerun", 20),
    (Canary::McpLeak, "mcp-leak", 21),
    (Canary::McpPatience, "mcp-patience", 17),
    (Canary::Shed, "shed", 22),
    (Canary::Mute, "mute", 22),
    (Canary::StayShut, "stay-shut", 22),
    (Canary::Stampede, "stampede", 14),
    (Canary::Unwarned, "unwarned", 14),
    (Canary::HangUp, "hang-up", 18),
    (Canary::Disinherit, "disinherit", 5),
    (Canary::Misdirect, "misdirect", 2),
    (Canary::LetIn, "let-in", 15),
    (Canary::Overstay, "overstay", 15),
    (Canary::CutShort, "cut-short", 15),
];
