//! The screen. It is made for 80 columns and 24 rows, and uses what more there is for clients.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Row, Sparkline, Table, Wrap};
use serde_json::Value;

use super::figures::{Core, Figures, lasting, shown};
use super::state::State;
use crate::cli::style::cell;

/// Columns of clients: what figures call them, what people do, and how wide.
const CLIENTS: [(&str, &str, u16); 8] = [
    ("client_id", "client", 0),
    ("transport", "via", 9),
    ("connections", "conn", 5),
    ("age_seconds", "age", 7),
    ("idle_seconds", "idle", 7),
    ("queue", "queue", 7),
    ("bytes", "bytes", 8),
    ("errors", "errors", 6),
];

/// Rows of the panels above the clients beside those of cores: heads, borders, transports.
const UPPER: u16 = 9;

/// Rows of cores at most.
const CORES: u16 = 8;

const HELP: [&str; 9] = [
    "q, Esc, Ctrl-C   end",
    "s                sort clients by queue, bytes, age, idle, errors",
    "p, Space         keep what is shown; again: go on",
    "?, h             this page; again: figures",
    "",
    "load    the largest part of what a core may have: connections, turns, bytes, calls",
    "turn    mean of what a turn of the core takes, ms",
    "p99     of deliveries in the last minute, ms",
    "errors  of transports: connections lost in a minute; of clients: refusals kept of it",
];

/// Draws all.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State) {
    let rows = [Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)];
    let [head, middle, foot] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(title(state), head);
    frame.render_widget(Line::styled(" q end  s sort  p pause  ? help", dim()), foot);
    if state.is_explaining {
        let help: Vec<Line<'_>> = HELP.iter().map(|line| Line::raw(*line)).collect();
        frame.render_widget(Paragraph::new(help).block(Block::bordered().title(" keys and words ")), middle);
        return;
    }
    let Some(figures) = &state.figures else { return };
    let cores = (figures.cores.len() as u16).clamp(1, CORES);
    let heights = [Constraint::Length(1), Constraint::Length(UPPER + cores), Constraint::Min(0)];
    let [rate, upper, clients] = Layout::vertical(heights).areas(middle);
    throughput(frame, state, figures, rate);
    let [left, right] = Layout::horizontal([Constraint::Length(46), Constraint::Min(0)]).areas(upper);
    let parts = [Constraint::Length(6), Constraint::Length(3 + cores)];
    let [transports, cores] = Layout::vertical(parts).areas(left);
    let breakers_height = (figures.list("/breakers").len() as u16 + 2).min(upper.height / 2);
    let parts = [Constraint::Length(breakers_height), Constraint::Min(0)];
    let [breakers, signals] = Layout::vertical(parts).areas(right);
    frame.render_widget(transports_table(figures, state), transports);
    frame.render_widget(cores_table(figures, state), cores);
    frame.render_widget(breakers_list(figures, state), breakers);
    frame.render_widget(signals_list(state), signals);
    frame.render_widget(clients_table(figures, state), clients);
}

/// Who it is, how it is, or why nothing is known of it.
fn title(state: &State) -> Line<'static> {
    if let Some(fault) = &state.fault {
        return Line::styled(format!(" {fault}"), bad(state));
    }
    let Some(figures) = &state.figures else { return Line::default() };
    let admission = cell(figures.at("/control/admission"));
    let shedding = cell(figures.at("/control/shedding"));
    let calm = admission == "open" && shedding == "0";
    let paused = if state.is_paused { "  paused" } else { "" };
    Line::from(vec![
        Span::styled(format!(" weir {}", cell(figures.at("/stats/version"))), bold()),
        Span::styled(paused, warning(state)),
        Span::raw(format!("  up {}", lasting(figures.at("/stats/uptime_seconds")))),
        Span::raw(format!("  connections {}", cell(figures.at("/stats/connections")))),
        Span::raw(format!("  clients {}", cell(figures.at("/clients/count")))),
        Span::styled(
            format!("  admission {admission}  shedding {shedding}"),
            if calm { good(state) } else { bad(state) },
        ),
    ])
}

fn throughput(frame: &mut Frame<'_>, state: &State, figures: &Figures, area: Rect) {
    let [text, chart] = Layout::horizontal([Constraint::Length(46), Constraint::Min(0)]).areas(area);
    let bits = |bits: Option<f64>| shown(bits.map(|bits| bits / 1e6));
    let (received, sent) = figures.bits.unzip();
    let text_line =
        format!(" {} msg/s   in {} out {} Mbit/s", shown(figures.rate), bits(received), bits(sent));
    frame.render_widget(Line::styled(text_line, bold()), text);
    let skipped = state.history.len().saturating_sub(chart.width.into());
    let history: Vec<u64> = state.history.iter().skip(skipped).copied().collect();
    frame.render_widget(Sparkline::default().data(&history).style(good(state)), chart);
}

fn transports_table<'a>(figures: &'a Figures, state: &State) -> Table<'a> {
    let rows = figures.transports.iter().map(|it| {
        let cells = [it.name, &it.connections, &it.received, &it.sent, &it.p99, &it.errors];
        let row = Row::new(cells.map(|text| Line::raw(text.to_owned())));
        if it.is_healthy { row } else { row.style(bad(state)) }
    });
    let widths = [9, 7, 6, 6, 6, 5].map(Constraint::Length);
    let head = Row::new(["", "conn", "in/s", "out/s", "p99", "err"]).style(bold());
    Table::new(rows, widths).header(head).block(Block::bordered().title(" transports "))
}

fn cores_table<'a>(figures: &'a Figures, state: &State) -> Table<'a> {
    let rows = figures.cores.iter().enumerate().map(|(shard, core)| {
        let cells = [
            Line::raw(shard.to_string()),
            Line::raw(core.connections.as_str()),
            Line::raw(core.keys.as_str()),
            Line::raw(core.operations.as_str()),
            Line::raw(core.turn_ms.as_str()),
            bar(core, state),
        ];
        Row::new(cells)
    });
    let widths = [4, 6, 6, 6, 6, 11].map(Constraint::Length);
    let head = Row::new(["core", "conn", "keys", "msg/s", "turn", "load"]).style(bold());
    Table::new(rows, widths).header(head).block(Block::bordered().title(" cores "))
}

/// A core's load as a bar and a percentage.
fn bar(core: &Core, state: &State) -> Line<'static> {
    let full = (core.load.min(1.0) * 6.0).round() as usize;
    let style = match core.load {
        load if load >= 1.0 => bad(state),
        load if load >= 0.7 => warning(state),
        _ => good(state),
    };
    let percent = format!(" {:.0}%", core.load * 100.0);
    Line::from(vec![Span::styled("|".repeat(full), style), Span::raw(percent)])
}

fn breakers_list(figures: &Figures, state: &State) -> Paragraph<'static> {
    let lines = figures.list("/breakers").iter().map(|breaker| {
        let status = cell(&breaker["state"]);
        let style = match status.as_str() {
            "closed" => good(state),
            "open" => bad(state),
            _ => warning(state),
        };
        let name = format!("{:<14.14} ", cell(&breaker["name"]));
        Line::from(vec![Span::raw(name), Span::styled(status, style)])
    });
    Paragraph::new(lines.collect::<Vec<_>>()).block(Block::bordered().title(" breakers "))
}

fn signals_list(state: &State) -> Paragraph<'_> {
    let lines = state.signals.iter().map(|signal| {
        let style = if signal.is_pain { bad(state) } else { good(state) };
        Line::from(vec![Span::styled(format!("{} ", signal.time), style), Span::raw(signal.message.as_str())])
    });
    let lines: Vec<Line<'_>> = lines.collect();
    let nothing = vec![Line::styled("nothing has hurt since this began", dim())];
    let lines = if lines.is_empty() { nothing } else { lines };
    Paragraph::new(lines).wrap(Wrap { trim: true }).block(Block::bordered().title(" signals "))
}

fn clients_table<'a>(figures: &Figures, state: &State) -> Table<'a> {
    let text = |client: &Value, name: &str| match name {
        "age_seconds" | "idle_seconds" => lasting(&client[name]),
        _ => cell(&client[name]),
    };
    let rows = figures
        .list("/clients/clients")
        .iter()
        .map(|client| Row::new(CLIENTS.map(|(name, _, _)| text(client, name))));
    let widths = CLIENTS.map(|(_, _, width)| match width {
        0 => Constraint::Min(12),
        width => Constraint::Length(width),
    });
    let head = CLIENTS.map(|(_, name, _)| match name == state.sort.name() {
        true => Line::styled(name, Style::new().add_modifier(Modifier::REVERSED)),
        false => Line::raw(name),
    });
    let title = format!(" clients by {} ", state.sort.name());
    Table::new(rows, widths).header(Row::new(head).style(bold())).block(Block::bordered().title(title))
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

fn good(state: &State) -> Style {
    coloured(state, Color::Green)
}

fn warning(state: &State) -> Style {
    coloured(state, Color::Yellow)
}

fn bad(state: &State) -> Style {
    coloured(state, Color::Red).add_modifier(Modifier::BOLD)
}

fn coloured(state: &State, colour: Color) -> Style {
    if state.colour { Style::new().fg(colour) } else { Style::new() }
}
