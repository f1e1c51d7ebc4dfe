//! Handlers: endpoints that answer what clients push, by its type. A shard hands a push over and goes on; the answer comes
//! back to it as a letter.

use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task;
use tracing::{info, warn};
use ureq::Agent;
use weir_shard::error::Error;
use weir_shard::mail::{Errand, Mail};

use super::hook::{Untaken, post};
use super::https;
use super::mailbox::Mailbox;
use crate::config::{Handler, Hook};

/// Pushes that wait for one handler; with more the push is refused.
pub(super) const WAITING_MAX: usize = 1_000;

/// Requests to one handler at a time.
const REQUESTS_MAX: usize = 32;

/// The answer of a handler that says nothing.
const NOTHING: &str = "{}";

/// Hands each push to its handler.
pub(super) struct Handlers {
    mailbox: Mailbox,
    desks: Vec<Sender<Box<Errand>>>,
}

/// Serves one handler.
struct Desk {
    hook: Arc<Hook>,
    agent: Agent,
    mailbox: Mailbox,
    requests: Arc<Semaphore>,
    /// The last request failed.
    failing: bool,
}

/// A push that was not answered.
struct Failed {
    why: Untaken,
    /// The trace that it is part of, if it is sampled.
    trace_id: Option<String>,
}

impl Handlers {
    pub(super) fn new(handlers: Vec<Handler>, mailbox: Mailbox) -> Handlers {
        let desk = |handler: Handler| {
            let (sender, waiting) = channel(WAITING_MAX);
            let hook = Arc::new(handler.hook);
            let agent = https::agent(&hook.url, hook.timeout);
            let requests = Arc::new(Semaphore::new(REQUESTS_MAX));
            let desk = Desk { hook, agent, mailbox: mailbox.clone(), requests, failing: false };
            tokio::spawn(desk.run(waiting));
            sender
        };
        let desks = handlers.into_iter().map(desk).collect();
        Handlers { mailbox, desks }
    }

    /// Takes what shards hand over, until they are gone.
    pub(super) async fn run(self, mut errands: Receiver<Box<Errand>>) {
        while let Some(errand) = errands.recv().await {
            let desk = self.desks.get(usize::from(errand.handler));
            let refused = match desk.map(|desk| desk.try_send(errand)) {
                Some(Err(refused)) => refused.into_inner(),
                Some(Ok(())) | None => continue,
            };
            answer(&self.mailbox, *refused, Err(Error::insufficient_resources())).await;
        }
    }
}

impl Desk {
    async fn run(mut self, mut waiting: Receiver<Box<Errand>>) {
        let (ended, mut results) = channel(REQUESTS_MAX);
        loop {
            tokio::select! {
                Some(result) = results.recv() => self.note(result),
                errand = waiting.recv() => {
                    let Some(errand) = errand else { return };
                    // It is never closed.
                    let Ok(permit) = self.requests.clone().acquire_owned().await else { return };
                    self.begin(*errand, permit, ended.clone());
                }
            }
        }
    }

    /// Posts a push on a thread that may wait.
    fn begin(&self, errand: Errand, permit: OwnedSemaphorePermit, ended: Sender<Result<(), Failed>>) {
        let (hook, agent, mailbox) = (self.hook.clone(), self.agent.clone(), self.mailbox.clone());
        tokio::spawn(async move {
            let trace_id = errand.trace.as_ref().map(|trace| trace.parent.trace.to_string());
            let (body, headers) = (errand.body.clone(), trace_headers(&errand));
            let asked = task::spawn_blocking(move || post(&agent, &hook, body.get().as_bytes(), &headers));
            // It fails only when the runtime ends.
            let Ok(answered) = asked.await else { return };
            drop(permit);
            let (outcome, result) = match answered {
                Ok(body) => (reply(&body), Ok(())),
                Err(why) => (Err(Error::handler()), Err(Failed { why, trace_id })),
            };
            answer(&mailbox, errand, outcome).await;
            let _ = ended.try_send(result);
        });
    }

    /// Says the first failure, and the end of all.
    fn note(&mut self, result: Result<(), Failed>) {
        let name = &*self.hook.name;
        match result {
            Err(Failed { why, trace_id }) if !std::mem::replace(&mut self.failing, true) => {
                warn!(
                    handler = name,
                    trace_id, "the handler does not answer: {why}; pushes of its types are refused"
                );
            }
            Ok(()) if std::mem::take(&mut self.failing) => {
                info!(handler = name, "the handler answers again");
            }
            _ => {}
        }
    }
}

/// What a push is answered: a JSON object.
fn reply(body: &[u8]) -> Result<Box<str>, Error> {
    if body.trim_ascii().is_empty() {
        return Ok(NOTHING.into());
    }
    let read: Result<Box<RawValue>, _> = serde_json::from_slice(body);
    let object = read.ok().filter(|value| value.get().starts_with('{'));
    object.map(|value| value.get().into()).ok_or_else(Error::handler)
}

/// The span that a handler is asked in (W3C Trace Context).
fn trace_headers(errand: &Errand) -> Vec<(&'static str, String)> {
    let Some(trace) = &errand.trace else { return Vec::new() };
    let state = trace.state.as_deref().map(|state| ("tracestate", state.to_owned()));
    [("traceparent", trace.parent.to_string())].into_iter().chain(state).collect()
}

async fn answer(mailbox: &Mailbox, errand: Errand, outcome: Result<Box<str>, Error>) {
    let Errand { from, connection, push, .. } = errand;
    if let Some(push) = push {
        mailbox.send(from, Mail::Handled { connection, push, outcome }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_object_is_an_answer() {
        let said = |body: &[u8]| reply(body).ok();
        assert_eq!(said(b" {\"a\": [1]}\n").as_deref(), Some("{\"a\": [1]}"));
        assert_eq!(said(b"\n").as_deref(), Some("{}"));
        for body in [&b"[]"[..], b"7", b"{", b"<html>", b"{}{}", b"\xff"] {
            assert_eq!(said(body), None);
        }
    }
}
