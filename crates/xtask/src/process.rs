//! Child processes. Each runs in a process group of its own, which ends when its owner is dropped.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, ChildStdout};

use crate::cli::GUARD;
use crate::progress::Step;
use crate::workspace;

/// How long a process group may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// A command to run: a program, its arguments, its folder, and what of its environment is not that
/// of this process.
///
/// It has no `Debug`: the environment of a gateway holds keys.
#[derive(Clone)]
pub(crate) struct Cmd {
    program: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    withheld: Vec<String>,
    dir: PathBuf,
}

impl Cmd {
    /// Makes a command that runs in the root of the checkout.
    pub(crate) fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            withheld: Vec::new(),
            dir: workspace::path(""),
        }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_string_lossy().into_owned());
        self
    }

    pub(crate) fn args<I: IntoIterator<Item: AsRef<OsStr>>>(self, args: I) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_string_lossy().into_owned()));
        self
    }

    /// Keeps variables of this process from the command, but for those that [`Cmd::env`] sets.
    pub(crate) fn withhold<I: IntoIterator<Item: Into<String>>>(mut self, names: I) -> Self {
        self.withheld.extend(names.into_iter().map(Into::into));
        self
    }

    pub(crate) fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = dir.into();
        self
    }

    /// Returns the line that repeats this command in a shell, from the root of the checkout.
    pub(crate) fn shell_line(&self) -> String {
        let dir = workspace::relative(&self.dir);
        let at_root = dir == ".";
        let word = |word: &str| match at_root {
            true => quoted(&workspace::relative(Path::new(word))),
            false => quoted(word),
        };
        let variable = |value: &str| if at_root { variable(value) } else { quoted(value) };
        let mut words: Vec<String> = Vec::new();
        words.extend(self.env.iter().map(|(name, value)| format!("{name}={}", variable(value))));
        words.push(word(&self.program.to_string_lossy()));
        words.extend(self.args.iter().map(|arg| word(arg)));
        let line = words.join(" ");
        if at_root { line } else { format!("(cd {} && {line})", quoted(&dir)) }
    }

    fn command(&self) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.args).current_dir(&self.dir).stdin(Stdio::null()).process_group(0);
        // Logs are read by people and counted by this program: no colours.
        command.env("CARGO_TERM_COLOR", "never").env("NO_COLOR", "1").env_remove("FORCE_COLOR");
        command.env_remove("CLICOLOR_FORCE").env("npm_config_update_notifier", "false");
        for name in &self.withheld {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    fn spawn(&self, mut command: tokio::process::Command) -> anyhow::Result<Group> {
        let child = command
            .spawn()
            .with_context(|| format!("{} cannot be started", workspace::relative(&self.program)))?;
        Ok(Group::of(child))
    }

    /// Has another command run this one, which is named behind `--`.
    pub(crate) fn behind(self, wrapper: Self) -> Self {
        let Self { program, args, env, withheld, dir } = self;
        let wrapper = wrapper.withhold(withheld);
        let wrapper = env.iter().fold(wrapper, |wrapper, (name, value)| wrapper.env(name, value));
        Self { dir, ..wrapper.arg("--").arg(program).args(args) }
    }

    /// Wraps a command so that it ends with this process, even if that is killed.
    pub(crate) fn guarded(self) -> Self {
        let own = std::process::id().to_string();
        self.behind(Self::new(workspace::program()).args([GUARD, &own]))
    }

    /// Starts a process that stays. What it prints goes to this program's standard error.
    pub(crate) fn start(&self) -> anyhow::Result<Group> {
        let mut command = self.command();
        command.stdout(Stdio::from(std::io::stderr().as_fd().try_clone_to_owned()?));
        self.spawn(command)
    }

    /// Starts a process that stays, whose standard output this program reads.
    pub(crate) fn start_piped(&self) -> anyhow::Result<(Group, ChildStdout)> {
        let mut command = self.command();
        command.stdout(Stdio::piped());
        let mut group = self.spawn(command)?;
        let stdout = group.child.stdout.take().expect("standard output is piped");
        Ok((group, stdout))
    }

    /// Starts a process that prints where this program does.
    pub(crate) fn start_here(&self) -> anyhow::Result<Group> {
        self.spawn(self.command())
    }

    /// Starts a process with its output in `log`, in order.
    pub(crate) fn start_to(&self, log: &File) -> anyhow::Result<Group> {
        let mut command = self.command();
        command.stdout(log.try_clone()?).stderr(log.try_clone()?);
        self.spawn(command)
    }

    /// Runs the command to its end with its output in `log`, in order.
    pub(crate) async fn run_to(&self, log: &File) -> anyhow::Result<ExitStatus> {
        self.start_to(log)?.wait().await
    }

    /// Runs the command to its end and returns what it wrote to standard output.
    pub(crate) async fn output(&self) -> anyhow::Result<String> {
        let mut command = self.command();
        let output = command.kill_on_drop(true).output().await?;
        if !output.status.success() {
            bail!("{} failed: {}", self.shell_line(), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Runs the command as a named step: quiet when it passes, all its output when it fails.
    pub(crate) async fn step(&self, name: &str) -> anyhow::Result<()> {
        let step = Step::start(name);
        let folder = workspace::path("target/step-logs");
        std::fs::create_dir_all(&folder)?;
        let path =
            folder.join(format!("{}-{}.log", name.replace([' ', '/'], "-"), std::process::id()));
        let result = self.run_to(&File::create(&path)?).await;
        let output = std::fs::read(&path).unwrap_or_default();
        std::fs::remove_file(&path).ok();
        let status = result?;
        if status.success() {
            step.done();
            return Ok(());
        }
        drop(step);
        let mut message = format!("{name} failed ({status})\n");
        writeln!(message, "{}", String::from_utf8_lossy(&output))?;
        write!(message, "to repeat: {}", self.shell_line())?;
        bail!(message)
    }
}

/// Writes the value of a variable, which may be read in another folder: paths stay absolute.
fn variable(value: &str) -> String {
    match workspace::relative(Path::new(value)) {
        inside if inside != value => format!("\"$PWD\"/{}", quoted(&inside)),
        _ => quoted(value),
    }
}

/// Becomes another program, which is killed when `parent` ends: the process that started this one.
/// It returns only if that fails.
///
/// The signal comes at the end of the thread that started this process, not of its process. Both
/// are one: a command runs in the main thread, which polls the future of `main`, and no spawned
/// task starts a guarded process. The thread that would start one elsewhere must outlive it.
pub(crate) fn become_guarded(parent: u32, command: &[OsString]) -> anyhow::Error {
    // Elsewhere a program that is killed leaves its children behind.
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL) {
        return error.into();
    }
    // A parent that ended before the signal was asked for will never cause it.
    if u32::try_from(nix::unistd::getppid().as_raw()) != Ok(parent) {
        return anyhow::anyhow!("process {parent}, which started this one, has ended");
    }
    let (program, args) = command.split_first().expect("the command line requires a program");
    let error = std::process::Command::new(program).args(args).exec();
    anyhow::Error::new(error).context(format!("{} cannot be started", program.display()))
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A process and its descendants. Dropping it ends them: first asked, then killed.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    id: Pid,
}

impl Group {
    fn of(child: Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { child, id: Pid::from_raw(id.expect("a child that was just started has an id")) }
    }

    /// Waits until the process ends.
    pub(crate) async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// Sends a signal to the process alone.
    pub(crate) fn signal(&self, signal: Signal) {
        // One that has ended needs none.
        nix::sys::signal::kill(self.id, signal).ok();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.has_ended() {
            killpg(self.id, Signal::SIGTERM).ok();
            let deadline = Instant::now() + PATIENCE;
            while !self.has_ended() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        // The group outlives its leader while any descendant lives. An empty group is no error.
        killpg(self.id, Signal::SIGKILL).ok();
        while !self.has_ended() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_group_takes_its_descendants_along() {
        let script = "sleep 600 & echo $!; wait";
        let (group, stdout) = Cmd::new("sh").args(["-c", script]).start_piped().unwrap();
        let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(stdout));
        let grandchild: i32 = lines.next_line().await.unwrap().unwrap().parse().unwrap();
        drop(group);
        // It is a child of init now, so it may be a zombie for a moment.
        let gone = || nix::sys::signal::kill(Pid::from_raw(grandchild), None).is_err();
        for _ in 0..200 {
            if gone() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("process {grandchild} is still there");
    }

    #[tokio::test]
    async fn a_command_has_no_variable_that_is_withheld() {
        let script = "echo ${HOME-none} ${X-none}";
        let cmd = Cmd::new("/bin/sh").args(["-c", script]).env("X", "a");
        let cmd = cmd.withhold(["HOME", "X"]);
        assert_eq!(cmd.output().await.unwrap(), "none a");
        let behind = cmd.behind(Cmd::new("/bin/sh").args(["-c", "shift; exec \"$@\"", "sh"]));
        assert_eq!(behind.output().await.unwrap(), "none a");
    }

    #[test]
    fn a_command_is_shown_as_a_shell_line() {
        let cmd = Cmd::new("node").args(["a b", "it's"]).env("X", "1").dir(workspace::path("www"));
        assert_eq!(cmd.shell_line(), r"(cd www && X=1 node 'a b' 'it'\''s')");
        let cmd = Cmd::new("node").arg(workspace::path("a.mjs")).env("X", workspace::path("b"));
        assert_eq!(cmd.shell_line(), r#"X="$PWD"/b node a.mjs"#);
        let cmd = cmd.behind(Cmd::new("nice").arg("-5").env("Y", "2"));
        assert_eq!(cmd.shell_line(), r#"Y=2 X="$PWD"/b nice -5 -- node a.mjs"#);
    }
}
