//! What keys do.

use ratatui::crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Quit,
    /// Sort clients by the next key.
    Sort,
    /// Keep what is shown, or go on.
    Pause,
    /// Show what keys there are, or figures again.
    Help,
}

/// What an input asks for. None: nothing but another look.
pub(super) fn deed(input: &Event) -> Option<Deed> {
    let Event::Key(key) = input else { return None };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    match key.code {
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Deed::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Deed::Quit),
        KeyCode::Char('s') => Some(Deed::Sort),
        KeyCode::Char('p' | ' ') => Some(Deed::Pause),
        KeyCode::Char('?' | 'h') => Some(Deed::Help),
        _ => None,
    }
}
