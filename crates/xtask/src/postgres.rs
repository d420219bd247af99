//! `cargo xtask postgres`: a PostgreSQL of its own on loopback, around a command.
//!
//! The command finds it by the variables that clients of PostgreSQL read, and may stop and start it:
//! a line `stop`, `crash` or `start` to the address in `EDGEPOOL_POSTGRES_CONTROL` is answered by a
//! line, `ok` or what went wrong.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::cli::PostgresArgs;
use crate::process::{Cmd, Group};
use crate::workspace;

/// Who the cluster belongs to where this program runs as root, which PostgreSQL refuses.
const OWNER: &str = "postgres";
const FOLDER: &str = "edgepool-postgres-";
const USER: &str = "edgepool";
const CONTROL: &str = "EDGEPOOL_POSTGRES_CONTROL";
/// How long the server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a command beside a server that ends with it; without one, the server runs until this
/// program is stopped.
pub(crate) async fn run(args: PostgresArgs) -> anyhow::Result<ExitCode> {
    install().await?;
    let mut cluster = Cluster::create(args.port).await?;
    cluster.start().await?;
    let control = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut env = cluster.variables();
    env.push((CONTROL, control.local_addr()?.to_string()));
    let Some((program, words)) = args.command.split_first() else {
        env.iter().for_each(|(name, value)| println!("{name}={value}"));
        return Err(cluster.serve(&control).await);
    };
    let command = Cmd::new(program).args(words).dir(std::env::current_dir()?);
    let command = env.iter().fold(command, |command, (name, value)| command.env(name, value));
    let mut command = command.start_here()?;
    let status = tokio::select! {
        status = command.wait() => status?,
        error = cluster.serve(&control) => return Err(error),
    };
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Installs PostgreSQL where that is Debian's and this program may; elsewhere it says how.
pub(crate) async fn install() -> anyhow::Result<()> {
    const HOW: &str = "PostgreSQL is missing: run `apt-get install postgresql`, or put its programs \
                       on the PATH";
    if programs().is_some() {
        return Ok(());
    }
    if !nix::unistd::geteuid().is_root() || !Path::new("/usr/bin/apt-get").exists() {
        bail!(HOW);
    }
    // The package would make a cluster, and start it.
    let settings = Path::new("/etc/postgresql-common/createcluster.conf");
    if !settings.exists() {
        fs::create_dir_all(settings.parent().expect("it is in a folder"))?;
        fs::write(settings, "create_main_cluster = false\n")?;
    }
    let apt = |words: &[&str]| {
        let keep = ["--yes", "-o", "Dpkg::Options::=--force-confold"];
        Cmd::new("apt-get").args(words).args(keep).env("DEBIAN_FRONTEND", "noninteractive")
    };
    apt(&["update"]).step("list of Debian's packages").await?;
    let install = apt(&["install", "--no-install-recommends", "postgresql"]);
    install.step("PostgreSQL from Debian's packages").await?;
    programs().map(drop).context(HOW)
}

/// Returns the folder with the server's programs: that of the newest version.
fn programs() -> Option<PathBuf> {
    let version = |folder: &PathBuf| -> Option<u32> { folder.file_name()?.to_str()?.parse().ok() };
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = debian.map(|entry| entry.path()).collect();
    found.retain(|folder| folder.join("bin/postgres").is_file());
    found.sort_by_key(version);
    let newest = found.pop().map(|folder| folder.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = || std::env::split_paths(&path).find(|folder| folder.join("postgres").is_file());
    newest.or_else(on_path)
}

/// A cluster in a folder of its own, which goes with it.
struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    password: String,
    server: Option<Group>,
}

impl Cluster {
    async fn create(port: Option<u16>) -> anyhow::Result<Self> {
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0)))
            .context("the port of PostgreSQL")?;
        let port = free.local_addr()?.port();
        drop(free);
        let mut random = [0; 16];
        std::io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut random)?;
        let password = random.iter().map(|byte| format!("{byte:02x}")).collect();
        clear_up();
        let folder = std::env::temp_dir().join(format!("{FOLDER}{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        let programs = programs().expect("it is installed");
        let cluster = Self { programs, folder, port, password, server: None };
        cluster.initialise().await?;
        Ok(cluster)
    }

    async fn initialise(&self) -> anyhow::Result<()> {
        let secret = self.folder.join("password");
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700))?;
        fs::write(&secret, &self.password)?;
        if let Some(id) = owner().await? {
            chown(&self.folder, Some(id), None)?;
            chown(&secret, Some(id), None)?;
        }
        let initdb = self.program("initdb").arg("-D").arg(self.folder.join("data"));
        let initdb = initdb.args(["-U", USER, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C"]);
        initdb.arg("--no-sync").arg("--pwfile").arg(&secret).output().await.map(drop)
    }

    /// Returns a command of PostgreSQL, run as whom it may be.
    fn program(&self, name: &str) -> Cmd {
        let program = self.programs.join(name);
        if !nix::unistd::geteuid().is_root() {
            return Cmd::new(program).dir(&self.folder);
        }
        // As `runuser` does, but without a process between: signals reach the server itself, and it
        // ends with this program, even if that is killed.
        let user = ["--reuid", OWNER, "--regid", OWNER, "--init-groups", "--pdeathsig", "QUIT"];
        Cmd::new("setpriv").args(user).arg("--").arg(program).dir(&self.folder)
    }

    /// Returns the variables by which clients find the server.
    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PGHOST", Ipv4Addr::LOCALHOST.to_string()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", USER.to_owned()),
            ("PGPASSWORD", self.password.clone()),
            ("PGDATABASE", "postgres".to_owned()),
        ]
    }

    async fn start(&mut self) -> anyhow::Result<()> {
        if self.server.is_some() {
            bail!("the server runs");
        }
        let log = self.folder.join("server.log");
        let server = self.program("postgres").arg("-D").arg(self.folder.join("data"));
        let server = server.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-k"]);
        // What it holds is thrown away: nothing has to reach the disk.
        let server = server.arg(&self.folder).args(["-c", "fsync=off"]);
        // What changes its user asks for that itself.
        let is_root = nix::unistd::geteuid().is_root();
        let server = if is_root { server } else { server.guarded() };
        let mut server = server.start_to(&File::create(&log)?)?;
        let ready = async {
            while !server.has_ended() {
                let ready = self.program("pg_isready").args(["-q", "-h", "127.0.0.1", "-p"]);
                if ready.arg(self.port.to_string()).output().await.is_ok() {
                    return true;
                }
                sleep(Duration::from_millis(50)).await;
            }
            false
        };
        if timeout(PATIENCE, ready).await != Ok(true) {
            bail!("PostgreSQL did not start: {}", fs::read_to_string(&log).unwrap_or_default());
        }
        self.server = Some(server);
        Ok(())
    }

    async fn stop(&mut self, signal: Signal) -> anyhow::Result<()> {
        let mut server = self.server.take().context("the server is stopped")?;
        server.signal(signal);
        timeout(PATIENCE, server.wait()).await.context("PostgreSQL did not stop")?.map(drop)
    }

    /// Does as it is told by whoever connects. It returns if that fails for good.
    async fn serve(&mut self, control: &TcpListener) -> anyhow::Error {
        loop {
            match control.accept().await {
                // Whoever goes away without waiting for the answer has no use for it.
                Ok((client, _)) => drop(self.obey(client).await),
                Err(error) => return error.into(),
            }
        }
    }

    async fn obey(&mut self, mut client: TcpStream) -> anyhow::Result<()> {
        let mut line = String::new();
        BufReader::new(&mut client).read_line(&mut line).await?;
        let done = match line.trim() {
            "start" => self.start().await,
            "stop" => self.stop(Signal::SIGINT).await,
            "crash" => self.stop(Signal::SIGQUIT).await,
            other => Err(anyhow::anyhow!("{other:?} is not start, stop or crash")),
        };
        let answer = done.map_or_else(|error| format!("{error:#}"), |()| "ok".to_owned());
        Ok(client.write_all(format!("{answer}\n").as_bytes()).await?)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            // It does not wait for its clients then, nor for what it would write.
            server.signal(Signal::SIGQUIT);
        }
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// Removes what programs left that were killed; their servers went with them.
fn clear_up() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix(FOLDER)?.parse().ok());
        // Anything else, such as that it is another user's, says that it is there.
        let is_gone = |id| nix::sys::signal::kill(Pid::from_raw(id), None) == Err(Errno::ESRCH);
        if id.is_some_and(is_gone) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// Returns the id of the user that the server runs as, if that is not this program's.
async fn owner() -> anyhow::Result<Option<u32>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    Ok(Some(Cmd::new("id").args(["-u", OWNER]).output().await?.parse()?))
}

/// Returns a command that runs beside a server of its own.
pub(crate) fn beside(command: Cmd) -> Cmd {
    command.behind(Cmd::new(workspace::program()).arg("postgres"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_cluster_leaves_is_nothing() {
        // Where it is missing the suites that need it say so. A guard is not in the program of tests.
        if programs().is_none() || !nix::unistd::geteuid().is_root() {
            return;
        }
        let mut cluster = Cluster::create(None).await.unwrap();
        cluster.start().await.unwrap();
        let (folder, port) = (cluster.folder.clone(), cluster.port);
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok());
        cluster.stop(Signal::SIGINT).await.unwrap();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err());
        cluster.start().await.unwrap();
        drop(cluster);
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err());
        assert!(!folder.exists());
    }
}
