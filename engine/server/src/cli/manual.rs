//! What is made from the definition of the commands: completions for shells, man pages, and the page `docs/cli.md`.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::admin::AdminFailure;
use super::{Cli, Failure};

/// Which shell.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// bash, zsh or fish
    #[arg(value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

/// Which pages, and where to.
#[derive(Debug, Args)]
pub(super) struct Manual {
    /// The command, such as `dlq list` [default: weir itself]
    #[arg(conflicts_with_all = ["dir", "markdown"])]
    command: Vec<String>,
    /// Write a page for each command into this folder, which must be there
    #[arg(long, value_name = "DIR", conflicts_with = "markdown")]
    dir: Option<PathBuf>,
    /// All commands on one page, as Markdown
    #[arg(long)]
    markdown: bool,
}

/// Prints the completions of one shell.
pub(super) fn completions(order: &Completions) -> ExitCode {
    let shell = match order.shell.as_str() {
        "zsh" => Shell::Zsh,
        "fish" => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "weir", &mut out);
    print(&out)
}

/// Prints one page, or writes all.
///
/// # Errors
/// There is no such command, or the folder cannot be written.
pub(super) fn manual(order: &Manual) -> Result<ExitCode, Failure> {
    let root = built();
    if order.markdown {
        return Ok(print(markdown(&root).as_bytes()));
    }
    if let Some(dir) = &order.dir {
        let written = write_all(&root, "weir", dir);
        return written
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| AdminFailure::Folder(dir.clone(), error).into());
    }
    let mut command = &root;
    for word in &order.command {
        let unknown = AdminFailure::Usage("there is no such command; `weir --help` names them");
        command = command.find_subcommand(word).ok_or(unknown)?;
    }
    Ok(print(&page(command)))
}

/// The definition, with what clap adds to it by itself.
fn built() -> Command {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    root
}

/// A page in roff.
fn page(command: &Command) -> Vec<u8> {
    let mut out = Vec::new();
    // A vector takes all that is written.
    let _ = Man::new(command.clone()).render(&mut out);
    out
}

fn write_all(command: &Command, name: &str, dir: &std::path::Path) -> io::Result<()> {
    fs::write(dir.join(format!("{name}.1")), page(command))?;
    let mut commands = command.get_subcommands();
    commands.try_for_each(|command| write_all(command, &format!("{name}-{}", command.get_name()), dir))
}

/// All commands on one page.
fn markdown(root: &Command) -> String {
    let mut out = "# Commands\n\n\
        This page is printed by `weir man --markdown`; a test holds it to the definition of the commands.\n\n\
        Commands that ask a gateway go to the admin port of this machine, or of `--url`; those that are its clients\n\
        (`publish`, `tail`, `stdio`) to its data listener. Colours are for terminals: `NO_COLOR` switches them off,\n\
        `CLICOLOR_FORCE=1` on.\n\n\
        | exit code | |\n|---|---|\n\
        | 0 | done |\n\
        | 1 | nobody answers, refused, not found; for `doctor`: there is something to mend |\n\
        | 2 | wrong words or configuration |\n"
        .to_owned();
    describe(&mut out, root, "weir");
    out
}

fn describe(out: &mut String, command: &Command, name: &str) {
    let mut command = command.clone();
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    // A text takes all that is written.
    let _ = write!(out, "\n## {name}\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        describe(out, command, &format!("{name} {}", command.get_name()));
    }
}

/// Bytes on standard output, whether or not somebody still reads them.
fn print(bytes: &[u8]) -> ExitCode {
    let mut output = io::stdout().lock();
    let _ = output.write_all(bytes).and_then(|()| output.flush());
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_of_all_commands_is_of_this_version() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == markdown(&built()),
            "docs/cli.md is old: `weir man --markdown > docs/cli.md` makes it anew"
        );
    }

    #[test]
    fn every_command_has_a_page() {
        let root = built();
        let name = |command: &Command| String::from_utf8(page(command)).expect("text");
        assert!(root.get_subcommands().all(|command| name(command).contains(".SH SYNOPSIS")));
    }
}
