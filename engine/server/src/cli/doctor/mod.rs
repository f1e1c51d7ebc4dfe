//! `weir doctor`: what on this host holds a gateway back, and the command that mends it.

mod host;
mod knob;
mod plan;

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::json;
use weir_ring::affinity;
use weir_ring::settings::Settings;
use weir_ring::uring::Uring;
use weir_ring::waker::Waker;

use self::host::Host;
use self::knob::{Knob, Want};
use super::admin::Target;
use super::style::{bad, dim, good, printable, table, warning};
use super::{Failure, say};

/// Sockets of the ring that is made to see whether one can be.
const SOCKETS: u32 = 16;

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Say instead which machine so many clients and messages take
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    load: plan::Load,
    /// Also print what cannot be told here, and what no value is better for
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    target: Target,
}

/// What is thought of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Fine,
    /// It holds a gateway back.
    Mend,
    /// No value is better.
    Leave,
    /// It is not there, or not to be read.
    Absent,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: String,
    verdict: Verdict,
    /// None: it is not there.
    value: Option<String>,
    want: String,
    why: String,
    effect: String,
    /// The command that mends it; may be empty.
    apply: String,
    revert: String,
}

/// Looks at the host, or plans one.
///
/// # Errors
/// For a plan: a gateway was named that does not answer.
pub(super) fn run(doctor: &Doctor, environment: &[(String, String)]) -> Result<ExitCode, Failure> {
    if doctor.plan {
        return plan::run(&doctor.load, &doctor.target, environment);
    }
    let root = environment.iter().find(|(name, _)| name == "WEIR_ROOT").map_or("", |(_, root)| root);
    let checks = checks(&Host::new(root));
    let mends = checks.iter().filter(|check| check.verdict == Verdict::Mend).count();
    if doctor.target.is_json() {
        say(&format!("{:#}", json!({ "mend": mends, "checks": checks })));
    } else {
        say(text(&checks, doctor.all, mends).trim_end());
    }
    Ok(ExitCode::from(u8::from(mends > 0)))
}

fn checks(host: &Host) -> Vec<Check> {
    let knobs = knob::all().unwrap_or_default();
    let knobs = knobs.into_iter().map(|knob| check(knob, host));
    [io_uring(), cores(host)].into_iter().chain(knobs).collect()
}

/// Whether a ring can be made.
fn io_uring() -> Check {
    let made = Waker::new().map_err(|error| error.to_string()).and_then(|waker| {
        let settings = Settings {
            entries: 16,
            completions: 32,
            buffers: 16,
            ..Settings::new(Vec::new(), SOCKETS, waker)
        };
        Uring::new(settings).map(drop).map_err(|error| error.to_string())
    });
    let (verdict, value, apply) = match made {
        Ok(()) => (Verdict::Fine, "works", String::new()),
        Err(error) => (Verdict::Mend, "refused", error),
    };
    Check {
        name: "io_uring".to_owned(),
        verdict,
        value: Some(value.to_owned()),
        want: "works".to_owned(),
        why: "Every shard is one ring: what connections are read and written by. Here one was set up, with all its \
              registrations."
            .to_owned(),
        effect: "Without it the gateway has no fast driver.".to_owned(),
        apply,
        revert: String::new(),
    }
}

/// Whether this process may use all cores.
fn cores(host: &Host) -> Check {
    let allowed = affinity::cores().len();
    let fine = allowed >= host.cores.len();
    Check {
        name: "cores".to_owned(),
        verdict: if fine { Verdict::Fine } else { Verdict::Mend },
        value: Some(allowed.to_string()),
        want: format!(">= {}", host.cores.len()),
        why: "One shard runs on each core that this process may run on (sched_setaffinity, cpuset)."
            .to_owned(),
        effect: "Throughput is about proportional to cores.".to_owned(),
        apply: match fine {
            true => String::new(),
            false => {
                "taskset -pc 0- PID, CPUAffinity= or AllowedCPUs= in a unit, --cpuset-cpus for a container"
                    .to_owned()
            }
        },
        revert: String::new(),
    }
}

/// One knob on this host: what several files have is the first that is to be mended.
fn check(knob: Knob, host: &Host) -> Check {
    let values = host.values(&knob);
    // The list is tested to want nothing else.
    let want = Want::of(&knob.want).unwrap_or(Want::Any);
    let holds = |(at, value): &(usize, &String)| want.holds(value, knob.kind, *at, &host.cores);
    let wrong = values.iter().enumerate().find(|found| !holds(found)).map(|(_, value)| value.clone());
    let verdict = match (&wrong, values.is_empty()) {
        (_, true) => Verdict::Absent,
        (Some(_), false) => Verdict::Mend,
        (None, false) if want == Want::Any => Verdict::Leave,
        (None, false) => Verdict::Fine,
    };
    let value = wrong.or_else(|| values.into_iter().next());
    let Knob { name, want, why, effect, apply, revert, .. } = knob;
    Check { name, verdict, value, want, why, effect, apply, revert }
}

/// What was found, for people; with each thing to be mended why and how.
fn text(checks: &[Check], all: bool, mends: usize) -> String {
    let shown = |check: &&Check| all || matches!(check.verdict, Verdict::Fine | Verdict::Mend);
    let row = |check: &Check| {
        let verdict = match check.verdict {
            Verdict::Fine => good("fine"),
            Verdict::Mend => bad("mend"),
            Verdict::Leave => dim("leave"),
            Verdict::Absent => dim("absent"),
        };
        let value = check.value.as_deref().map_or_else(|| "-".to_owned(), printable);
        vec![verdict, check.name.clone(), value, check.want.clone()]
    };
    let rows: Vec<Vec<String>> = checks.iter().filter(shown).map(row).collect();
    let mut out = table(&["verdict", "what", "is", "wanted"], &rows);
    for check in checks.iter().filter(|check| check.verdict == Verdict::Mend) {
        out += &format!("\n{}: {}\n", warning(&check.name), check.why);
        if !check.apply.is_empty() {
            out += &format!("    {}\n", check.apply);
        }
    }
    out + &match mends {
        0 => format!("\n{}\n", good("nothing here holds the gateway back")),
        1 => "\n1 thing to mend; tuning/apply does what commands can\n".to_owned(),
        count => format!("\n{count} things to mend; tuning/apply does what commands can\n"),
    }
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    fn example(verdict: Verdict) -> Check {
        let text = |text: &str| text.to_owned();
        Check {
            name: text("net.core.somaxconn"),
            verdict,
            value: Some(text("128")),
            want: text(">= 4096"),
            why: text("Caps the queue."),
            effect: text("Not measured."),
            apply: text("sysctl -w net.core.somaxconn=4096"),
            revert: String::new(),
        }
    }

    #[test]
    fn what_is_to_be_mended_has_its_command() {
        let plain = |verdict, mends| strip_str(&text(&[example(verdict)], false, mends)).to_string();
        let mend = plain(Verdict::Mend, 1);
        assert!(mend.contains("mend     net.core.somaxconn  128  >= 4096"), "{mend}");
        assert!(mend.contains("Caps the queue.\n    sysctl -w net.core.somaxconn=4096\n"), "{mend}");
        assert!(!plain(Verdict::Leave, 0).contains("somaxconn"), "only with --all");
    }

    #[test]
    fn every_knob_of_this_host_has_a_verdict() {
        let checks = checks(&Host::new(""));
        assert!(checks.iter().any(|check| check.name == "nofile" && check.verdict != Verdict::Absent));
        assert_eq!(checks.iter().filter(|check| check.name == "kernel").count(), 1);
    }
}
