//! `weir top`: a running gateway, live on a terminal.

mod feed;
mod figures;
mod keys;
mod state;
#[cfg(test)]
mod tests;
mod view;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use clap::Args;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use self::feed::Feed;
use self::keys::Deed;
use self::state::{Sort, State};
use super::admin::{AdminFailure, Target};
use super::publish::time;
use super::{Failure, say};

#[derive(Debug, Args)]
pub(super) struct Top {
    /// How often figures are fetched
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "1s")]
    interval: Duration,
    /// With --json: end after so many lines
    #[arg(long, value_name = "N", requires = "json")]
    count: Option<u64>,
    #[command(flatten)]
    target: Target,
}

/// What happens to the screen.
enum News {
    /// Figures, or why there are none.
    Figures(Result<Value, AdminFailure>),
    /// What hurts, or does no more.
    Signal(Value),
    Input(event::Event),
    /// A signal asks for the end.
    End,
}

/// Shows figures until somebody has seen enough. With `--json` one object a line, for programs.
///
/// # Errors
/// Nobody answers at first, or there is no terminal.
pub(super) fn run(top: &Top, environment: &[(String, String)]) -> Result<ExitCode, Failure> {
    let feed = Feed::new(top.target.admin(environment)?, top.interval);
    let first = feed.look(Sort::default())?;
    if top.target.is_json() {
        return lines(top, &feed, first);
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(AdminFailure::Usage(
            "top wants a terminal; `weir top --json` and `weir stats` do without",
        )
        .into());
    }
    let signals = top.target.admin(environment)?;
    let (told, news) = channel();
    let sorted = feed.start(told.clone());
    feed::signals(signals, told.clone());
    listen(told).map_err(Failure::Broken)?;
    let colour = environment.iter().all(|(name, value)| name != "NO_COLOR" || value.is_empty());
    let mut state = State::new(colour);
    state.take(first);
    // From here on a panic restores the terminal, too.
    let mut terminal = ratatui::try_init().map_err(Failure::Broken)?;
    let ended = show(&mut terminal, &mut state, &news, &sorted);
    ratatui::restore();
    ended.map(|()| ExitCode::SUCCESS).map_err(Failure::Broken)
}

fn lines(top: &Top, feed: &Feed, first: Value) -> Result<ExitCode, Failure> {
    say(&first.to_string());
    let mut shown = 1;
    while top.count.is_none_or(|count| shown < count) {
        thread::sleep(top.interval);
        say(&feed.look(Sort::default())?.to_string());
        shown += 1;
    }
    Ok(ExitCode::SUCCESS)
}

/// Draws, and draws again with each news, until the end is asked for.
fn show(
    terminal: &mut DefaultTerminal,
    state: &mut State,
    news: &Receiver<News>,
    sorted: &Sender<Sort>,
) -> io::Result<()> {
    loop {
        terminal.draw(|frame| view::draw(frame, state))?;
        // All senders are gone only if all threads are.
        let Ok(news) = news.recv() else { return Ok(()) };
        match news {
            News::Figures(Ok(figures)) => state.take(figures),
            News::Figures(Err(failure)) => state.miss(failure.to_string()),
            News::Signal(signal) => state.hear(&signal),
            News::End => return Ok(()),
            News::Input(input) => match keys::deed(&input) {
                Some(Deed::Quit) => return Ok(()),
                Some(Deed::Sort) => {
                    // A feed that has ended has nothing to sort.
                    let _ = sorted.send(state.sort_next());
                }
                Some(Deed::Pause) => state.pause(),
                Some(Deed::Help) => state.explain(),
                None => {}
            },
        }
    }
}

/// From now on tells of keys, new sizes, and signals that ask for the end.
fn listen(told: Sender<News>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Here, not on the thread: a signal that comes once something is drawn must not kill.
    let (mut terminate, mut interrupt, mut hangup) = {
        let _context = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?)
    };
    let ended = told.clone();
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {}
            }
            let _ = ended.send(News::End);
        });
    });
    thread::spawn(move || {
        while let Ok(input) = event::read() {
            if told.send(News::Input(input)).is_err() {
                return;
            }
        }
        let _ = told.send(News::End);
    });
    Ok(())
}
