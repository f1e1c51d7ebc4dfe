//! What the screen shows: the last figures, rates between the last two, the last signals, and what keys have chosen.

use std::collections::VecDeque;
use std::time::Instant;

use serde_json::Value;

use super::figures::Figures;

/// Rates that are drawn, one for each look.
const HISTORY: usize = 240;

/// Signals that are kept.
const SIGNALS: usize = 20;

/// What clients are sorted by, the largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Queue,
    Bytes,
    Age,
    Idle,
    Errors,
}

impl Sort {
    pub(super) fn name(self) -> &'static str {
        match self {
            Sort::Queue => "queue",
            Sort::Bytes => "bytes",
            Sort::Age => "age",
            Sort::Idle => "idle",
            Sort::Errors => "errors",
        }
    }

    fn next(self) -> Sort {
        match self {
            Sort::Queue => Sort::Bytes,
            Sort::Bytes => Sort::Age,
            Sort::Age => Sort::Idle,
            Sort::Idle => Sort::Errors,
            Sort::Errors => Sort::Queue,
        }
    }
}

/// What hurt, or does no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signal {
    /// The time of day.
    pub(super) time: String,
    pub(super) is_pain: bool,
    pub(super) message: String,
}

/// All that is shown.
#[derive(Debug)]
pub(super) struct State {
    pub(super) figures: Option<Figures>,
    /// Messages a second, the newest last.
    pub(super) history: VecDeque<u64>,
    /// The newest first.
    pub(super) signals: VecDeque<Signal>,
    pub(super) sort: Sort,
    pub(super) is_paused: bool,
    pub(super) is_explaining: bool,
    /// Why the figures are old.
    pub(super) fault: Option<String>,
    pub(super) colour: bool,
}

impl State {
    pub(super) fn new(colour: bool) -> State {
        State {
            figures: None,
            history: VecDeque::new(),
            signals: VecDeque::new(),
            sort: Sort::default(),
            is_paused: false,
            is_explaining: false,
            fault: None,
            colour,
        }
    }

    /// Figures have come.
    pub(super) fn take(&mut self, answer: Value) {
        self.fault = None;
        if self.is_paused {
            return;
        }
        let figures = Figures::of(answer, Instant::now(), self.figures.as_ref());
        if let Some(rate) = figures.rate {
            self.history.push_back(rate.round() as u64);
            while self.history.len() > HISTORY {
                self.history.pop_front();
            }
        }
        self.figures = Some(figures);
    }

    /// None have come.
    pub(super) fn miss(&mut self, why: String) {
        self.fault = Some(why);
    }

    pub(super) fn hear(&mut self, signal: &Value) {
        let text = |value: &Value| crate::cli::style::cell(value);
        let stamp = text(&signal["timestamp"]);
        self.signals.push_front(Signal {
            time: stamp.get(11..19).unwrap_or_default().to_owned(),
            is_pain: signal["event"] == "pain",
            message: text(&signal["data"]["message"]),
        });
        self.signals.truncate(SIGNALS);
    }

    pub(super) fn sort_next(&mut self) -> Sort {
        self.sort = self.sort.next();
        self.sort
    }

    pub(super) fn pause(&mut self) {
        self.is_paused = !self.is_paused;
    }

    pub(super) fn explain(&mut self) {
        self.is_explaining = !self.is_explaining;
    }
}
