//! Between a client on standard input and output and a gateway over Streamable HTTP: one POST for each line, an event
//! stream for what the gateway says by itself.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ureq::http::{Method, Response, header, request};
use ureq::{Agent, Body};
use weir_transports::mcp::headers::PROTOCOL_VERSION;

use super::message::{Message, answered, failure, one_line, refusal};
use super::session::{Known, SESSION, Session};
use super::tools::Tools;
use crate::cli::Failure;
use crate::cli::admin::{ANSWER_BYTES_MAX, AdminFailure};
use crate::cli::data::Caller;
use crate::cli::events::Events;

/// The endpoint.
const PATH: &str = "/mcp";

/// Requests under way at a time.
const REQUESTS_MAX: usize = 256;

/// The pause before what failed is tried again, unless the gateway says another, and the longest.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How often the rest of a broken answer is asked for.
const RESUMES: usize = 5;

/// How long the end waits for what is under way, and for the gateway to end the session.
const LAST: Duration = Duration::from_secs(5);

/// The code of JSON-RPC for what the gateway did not answer.
const LOST: i64 = -32_000;

pub(super) struct Bridge {
    caller: Caller,
    /// For what has one answer.
    posts: Agent,
    /// For what goes on.
    streams: Agent,
    patience: Duration,
    session: Session,
    tools: Tools,
    /// Held while a line is written.
    output: Mutex<()>,
    /// What is to be answered, by its id, with the agent that waits for it alone.
    calls: Mutex<BTreeMap<String, Option<Agent>>>,
    under_way: Mutex<usize>,
    changed: Condvar,
}

impl Bridge {
    pub(super) fn new(caller: Caller, patience: Duration) -> Bridge {
        let (posts, streams) = (caller.agent(None, false), caller.agent(None, true));
        Bridge {
            caller,
            posts,
            streams,
            patience,
            session: Session::default(),
            tools: Tools::default(),
            output: Mutex::default(),
            calls: Mutex::default(),
            under_way: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// A line to the client. One that is gone ends the input, too.
    pub(super) fn write(&self, line: &str) {
        let _one = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let mut output = io::stdout().lock();
        let _ = writeln!(output, "{line}").and_then(|()| output.flush());
    }

    /// One more request is under way. False: there are too many.
    pub(super) fn enter(&self) -> bool {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = *under_way < REQUESTS_MAX;
        *under_way += usize::from(fits);
        fits
    }

    /// One less.
    pub(super) fn leave(&self) {
        *self.under_way.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.changed.notify_all();
    }

    /// Begins a session.
    pub(super) fn begin(&self, line: &str, message: &Message) {
        self.expect(message, None);
        let answer = self.post(&self.posts, line, message, &Known::default());
        if let Ok(answer) = &answer
            && answer.status().is_success()
        {
            let mut session = self.session.lock();
            session.keep(message, line);
            session.begun(answer);
        }
        self.finish(answer, message, |line| self.session.lock().agreed(line));
    }

    /// Passes on what is not answered.
    pub(super) fn tell(self: &Arc<Bridge>, line: &str, message: &Message) {
        if let Some(agent) = message.cancels.as_ref().and_then(|id| self.forget(id)).flatten() {
            // Without a session the end of the connection says it.
            return agent.shutdown();
        }
        if message.is_of_session() && self.session.known().generation == 0 {
            // There is nothing else to say then but requests.
            return;
        }
        self.session.lock().keep(message, line);
        match self.send(&self.posts, line, message) {
            Ok(answer) if answer.status().is_success() => {
                if message.is("notifications/initialized") {
                    self.listen();
                }
            }
            Ok(answer) => note(&format!("{} answers {}", self.caller.url, answer.status())),
            Err(failure) => note(&failure.to_string()),
        }
    }

    /// Passes on a request, and what is said to it until it is answered.
    pub(super) fn ask(self: &Arc<Bridge>, line: &str, mut message: Message) {
        if message.is_of_session() {
            self.expect(&message, None);
            return self.finish(self.send(&self.posts, line, &message), &message, |_| {});
        }
        let agent = self.caller.agent(None, false);
        self.expect(&message, Some(&agent));
        if message.is("tools/call") {
            message.headers.extend(self.tools.headers(line));
        }
        let learn = |answer: &str| {
            if message.is("tools/list") {
                self.tools.learn(answer);
            }
        };
        self.finish(self.send(&agent, line, &message), &message, learn);
    }

    /// From now on answers are awaited, by `own` alone if there is one.
    fn expect(&self, message: &Message, own: Option<&Agent>) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.extend(message.asks.iter().map(|id| (id.clone(), own.cloned())));
    }

    /// Whether any of the answers is still awaited.
    fn awaits(&self, message: &Message) -> bool {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        message.asks.iter().any(|id| calls.contains_key(id))
    }

    /// No answer is awaited any more. None: none was.
    fn forget(&self, id: &str) -> Option<Option<Agent>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }

    /// Waits for what is under way, and ends the session.
    pub(super) fn end(&self) {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(under_way, LAST, |count| *count > 0));
        let known = self.session.known();
        if known.id.is_some()
            && let Ok(request) = self.request(Method::DELETE, &known)
            && let Ok(request) = request.body(())
        {
            // It would end by itself.
            let _ = self.caller.agent(Some(LAST), false).run(request);
        }
    }

    /// Posts a line, in a new session if the gateway does not know this one any more.
    fn send(
        self: &Arc<Bridge>,
        agent: &Agent,
        line: &str,
        message: &Message,
    ) -> Result<Response<Body>, Failure> {
        let known = self.session.known();
        let answer = self.post(agent, line, message, &known)?;
        let is_lost = answer.status() == 404 && known.id.is_some() && message.is_of_session();
        if is_lost { self.post(agent, line, message, &self.renew(known.generation)?) } else { Ok(answer) }
    }

    /// Posts a line; while nobody listens again and again.
    fn post(
        &self,
        agent: &Agent,
        line: &str,
        message: &Message,
        known: &Known,
    ) -> Result<Response<Body>, Failure> {
        let end = Instant::now() + self.patience;
        loop {
            let mut request = match message.is_of_session() {
                true => self.request(Method::POST, known)?,
                false => self.caller.request(Method::POST, PATH)?,
            };
            for (name, value) in &message.headers {
                request = request.header(&**name, &**value);
            }
            let request = request
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::ACCEPT, "application/json, text/event-stream")
                .body(line.to_owned())
                .map_err(|error| self.caller.unreachable(error.into()))?;
            match agent.run(request) {
                // Nothing was sent.
                Err(ureq::Error::Io(error))
                    if error.kind() == io::ErrorKind::ConnectionRefused && Instant::now() < end =>
                {
                    thread::sleep(PAUSE / 5);
                }
                answer => return answer.map_err(|error| self.caller.unreachable(error).into()),
            }
        }
    }

    fn request(&self, method: Method, known: &Known) -> Result<request::Builder, Failure> {
        let mut request = self.caller.request(method, PATH)?;
        for (name, value) in [(SESSION, &known.id), (PROTOCOL_VERSION, &known.version)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        Ok(request)
    }

    /// Begins the session again of which `generation` is gone, unless somebody has.
    fn renew(self: &Arc<Bridge>, generation: u64) -> Result<Known, Failure> {
        let mut session = self.session.lock();
        let Some(line) = session.initialize.clone() else { return Ok(session.known.clone()) };
        if session.known.generation != generation {
            return Ok(session.known.clone());
        }
        let garbled = || Failure::from(AdminFailure::Garbled { url: self.caller.url.clone() });
        let again = |line: &str, known: &Known| {
            let message = Message::read(line).map_err(|_| garbled())?;
            self.post(&self.posts, line, &message, known)
        };
        let answer = again(&line, &Known::default())?;
        if !answer.status().is_success() {
            return Err(garbled());
        }
        session.begun(&answer);
        for line in lines(answer) {
            session.agreed(&line);
        }
        if let Some(line) = session.initialized.clone() {
            again(&line, &session.known)?;
        }
        let known = session.known.clone();
        drop(session);
        self.listen();
        Ok(known)
    }

    /// Writes what was answered to `message`, each line also to `seen`. Every request that is still awaited gets an answer.
    fn finish(&self, answer: Result<Response<Body>, Failure>, message: &Message, mut seen: impl FnMut(&str)) {
        let mut open = message.asks.clone();
        let mut pass = |line: String| {
            if let Some(id) = answered(&line) {
                open.retain(|ask| *ask != id);
                self.forget(&id);
            }
            seen(&line);
            self.write(&line);
            open.is_empty()
        };
        let why = match answer {
            Err(failure) => failure.to_string(),
            Ok(answer) if !answer.status().is_success() => {
                let status = answer.status().as_u16();
                let body = body(answer);
                let awaited = message.asks.iter().filter(|id| self.forget(id).is_some());
                return awaited.for_each(|id| self.write(&refusal(id, status, &body)));
            }
            Ok(answer) if is_stream(&answer) => {
                let mut events = Events::of(answer);
                self.relay(&mut events, message, &mut pass);
                "the gateway's answer broke off; whether it was done is not known".to_owned()
            }
            Ok(answer) => {
                for line in lines(answer) {
                    pass(line);
                }
                "the gateway has no answer".to_owned()
            }
        };
        let awaited = open.iter().filter(|id| self.forget(id).is_some());
        awaited.for_each(|id| self.write(&failure(id, LOST, &why)));
    }

    /// Passes on events until all is answered, and asks for the rest if the stream breaks before.
    fn relay(&self, events: &mut Events, message: &Message, pass: &mut impl FnMut(String) -> bool) {
        let mut is_over = message.asks.is_empty();
        for _ in 0..=RESUMES {
            while let Some(event) = events.next() {
                if !event.data.is_empty() {
                    is_over = pass(one_line(&event.data));
                }
            }
            let cursor = events.last_event_id().to_owned();
            if is_over || cursor.is_empty() || !message.is_of_session() || !self.awaits(message) {
                return;
            }
            thread::sleep(events.retry().map_or(PAUSE, Duration::from_millis).min(PAUSE_MAX));
            if let Ok(answer) = self.get(&self.session.known(), &cursor)
                && answer.status().is_success()
            {
                *events = Events::of(answer);
            }
        }
    }

    /// Opens a stream, behind `cursor` if there is one.
    fn get(&self, known: &Known, cursor: &str) -> Result<Response<Body>, Failure> {
        let mut request = self.request(Method::GET, known)?.header(header::ACCEPT, "text/event-stream");
        if !cursor.is_empty() {
            request = request.header("Last-Event-ID", cursor);
        }
        let request = request.body(()).map_err(|error| self.caller.unreachable(error.into()))?;
        self.streams.run(request).map_err(|error| self.caller.unreachable(error).into())
    }

    /// From now on passes on what the gateway says by itself in this session.
    fn listen(self: &Arc<Bridge>) {
        let (bridge, known) = (self.clone(), self.session.known());
        if known.id.is_some() {
            thread::spawn(move || bridge.follow(&known));
        }
    }

    /// Until there is another session, or the gateway has no such stream.
    fn follow(self: &Arc<Bridge>, known: &Known) {
        let (mut cursor, mut pause) = (String::new(), PAUSE);
        while self.session.known().generation == known.generation {
            match self.get(known, &cursor).map(|answer| (answer.status().as_u16(), answer)) {
                Ok((200, answer)) => {
                    let mut events = Events::of(answer);
                    while let Some(event) = events.next() {
                        if !event.data.is_empty() {
                            self.write(&one_line(&event.data));
                        }
                    }
                    if !events.last_event_id().is_empty() {
                        events.last_event_id().clone_into(&mut cursor);
                    }
                    pause = events.retry().map_or(PAUSE, Duration::from_millis).min(PAUSE_MAX);
                }
                // A new session has a stream of its own.
                Ok((404, _)) => match self.renew(known.generation) {
                    Ok(_) => return,
                    Err(failure) => {
                        note(&failure.to_string());
                        pause = (pause * 2).min(PAUSE_MAX);
                    }
                },
                // It may not have noticed yet that the last stream is gone (409), or cannot now.
                Ok((409 | 500.., _)) | Err(_) => pause = (pause * 2).min(PAUSE_MAX),
                Ok(_) => return,
            }
            thread::sleep(pause);
        }
    }
}

/// The lines of an answer that has an end.
fn lines(answer: Response<Body>) -> Vec<String> {
    if is_stream(&answer) {
        let mut events = Events::of(answer);
        let lines = std::iter::from_fn(|| events.next()).map(|event| one_line(&event.data));
        return lines.filter(|line| !line.is_empty()).collect();
    }
    let body = body(answer);
    let text = String::from_utf8_lossy(&body);
    if text.trim().is_empty() { Vec::new() } else { vec![one_line(text.trim())] }
}

fn is_stream(answer: &Response<Body>) -> bool {
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

/// What can be read of it.
fn body(mut answer: Response<Body>) -> Vec<u8> {
    answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().unwrap_or_default()
}

/// For whoever reads the log of the client.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "weir stdio: {text}");
}
