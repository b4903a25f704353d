//! A whole installation for one test: MariaDB, a simulated tenant, `kodo serve` as a process, and the command line.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use kodo_simulator::{Options, Simulator};
use serde_json::Value;
use tempfile::TempDir;

use super::managed::ManagedDb;
use super::mariadb::MariaDb;

const START_TIME_MAX: Duration = Duration::from_secs(90);
const STOP_TIME_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(25);

/// The pieces of an installation, and what a test does with them.
pub struct Stage {
    pub tenant: Simulator,
    // Fields are dropped in this order: kodo would start a managed database again.
    serve: Option<Process>,
    database: Database,
    pub dir: TempDir,
    state: PathBuf,
}

/// A server of the test's own, or the one that kodo manages.
enum Database {
    Separate(MariaDb),
    Managed(ManagedDb),
}

/// A `kodo` that runs until it is told to stop; killed when dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub fn start(config: &Path, command: &str, log: &Path) -> anyhow::Result<Self> {
        let file = std::fs::File::options().create(true).append(true).open(log)?;
        let child = kodo_command(config)
            .arg(command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .context("cannot start kodo")?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// `kill -9`: no handler runs, nothing is flushed.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for the end, which must be a success.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let code = self.wait()?;
        ensure!(code == Some(0), "kodo ended with {code:?}; its log:\n{}", self.log_text());
        Ok(())
    }

    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The most memory that it has had in use.
    pub fn peak_memory_kib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next());
        peak.and_then(|kib| kib.parse().ok()).context("the kernel does not tell the peak of memory")
    }

    /// Waits for the end and returns the exit code.
    pub fn wait(&mut self) -> anyhow::Result<Option<i32>> {
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            ensure!(asked.elapsed() < STOP_TIME_MAX, "kodo did not end; its log:\n{}", self.log_text());
            std::thread::sleep(POLL);
        }
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn kodo_command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kodo"));
    command.arg("--config").arg(config).env_remove("KODO_TOKEN").env_remove("KODO_SERVER");
    command
}

impl Stage {
    /// An installation that is ready: tenant, storage and policy are added, resources are synced.
    pub async fn ready(options: Options) -> anyhow::Result<Self> {
        let stage = Self::serving(options).await?;
        stage.add_everything()?;
        Ok(stage)
    }

    /// `kodo init` and `kodo serve`, and nothing configured.
    pub async fn serving(options: Options) -> anyhow::Result<Self> {
        let mut stage = Self::fresh(options).await?;
        stage.expect(&["init"])?;
        stage.start_serve()?;
        Ok(stage)
    }

    /// A database, a tenant and a configuration file.
    pub async fn fresh(options: Options) -> anyhow::Result<Self> {
        let (tenant, database) = tokio::try_join!(Simulator::start(options), MariaDb::start())?;
        Self::put_together(tenant, Path::new("state"), |_| Database::Separate(database))
    }

    /// A tenant and a configuration file without a database: kodo runs one below the state directory.
    pub async fn fresh_managed(options: Options, state: &Path) -> anyhow::Result<Self> {
        let tenant = Simulator::start(options).await?;
        Self::put_together(tenant, state, |state| Database::Managed(ManagedDb::under(state)))
    }

    fn put_together(tenant: Simulator, state: &Path, database: impl FnOnce(&Path) -> Database) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("kodo-stage-").tempdir()?;
        std::fs::create_dir(dir.path().join("storage"))?;
        if let Some(ca) = tenant.ca_pem() {
            std::fs::write(dir.path().join("tenant-ca.pem"), ca)?;
        }
        let state = dir.path().join(state);
        let stage = Self { tenant, serve: None, database: database(&state), dir, state };
        stage.configure("")?;
        Ok(stage)
    }

    /// Writes the configuration, with `more` at its end.
    pub fn configure(&self, more: &str) -> anyhow::Result<()> {
        let database = match &self.database {
            Database::Separate(server) => format!("url = {:?}\n", server.url()),
            Database::Managed(_) => String::new(),
        };
        let ca_file = self.dir.path().join("tenant-ca.pem");
        let ca = if ca_file.exists() { format!("ca_file = {ca_file:?}\n") } else { String::new() };
        let text = format!(
            "[state]\ndir = {:?}\n[database]\n{database}pool_size = 8\n[server]\nlisten = \"127.0.0.1:0\"\n\
             [graph]\nbase_url = {:?}\nlogin_url = {:?}\n{ca}drive_units_per_min = 1000000\n\
             [agent]\nname = \"serve\"\nworkers = 2\nlease_s = 5\npoll_s = 1\ncommit_items = 25\ncommit_s = 1\n{more}",
            self.state,
            self.tenant.base_url(),
            self.tenant.login_url(),
        );
        std::fs::write(self.config(), text)?;
        Ok(())
    }

    /// How many tasks each agent that starts from now on works on at once.
    pub fn set_workers(&self, workers: u32) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(self.config())?;
        let lines = text.lines().map(|line| match line.starts_with("workers = ") {
            true => format!("workers = {workers}\n"),
            false => format!("{line}\n"),
        });
        std::fs::write(self.config(), lines.collect::<String>())?;
        Ok(())
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("kodo.toml")
    }

    pub fn database_url(&self) -> &str {
        self.separate().url()
    }

    /// The test's own server, to bring about what takes long otherwise.
    pub fn separate(&self) -> &MariaDb {
        match &self.database {
            Database::Separate(server) => server,
            Database::Managed(_) => panic!("kodo manages the database of this stage"),
        }
    }

    pub fn managed(&self) -> &ManagedDb {
        match &self.database {
            Database::Managed(server) => server,
            Database::Separate(_) => panic!("this stage has a database of its own"),
        }
    }

    pub fn state(&self) -> &Path {
        &self.state
    }

    pub fn storage(&self) -> PathBuf {
        self.dir.path().join("storage")
    }

    /// Starts `kodo serve` and returns when it answers.
    pub fn start_serve(&mut self) -> anyhow::Result<()> {
        let listen = self.state.join("listen.json");
        std::fs::remove_file(&listen).ok();
        let mut process = Process::start(&self.config(), "serve", &self.dir.path().join("serve.log"))?;
        let started = Instant::now();
        while !listen.exists() || self.run(&["status"]).code != 0 {
            ensure!(!process.has_ended(), "kodo serve ended; its log:\n{}", process.log_text());
            ensure!(started.elapsed() < START_TIME_MAX, "kodo serve does not answer:\n{}", process.log_text());
            std::thread::sleep(POLL);
        }
        self.serve = Some(process);
        Ok(())
    }

    /// An agent of its own, as on another machine.
    pub fn start_worker(&self, name: &str) -> anyhow::Result<Process> {
        let config = self.dir.path().join(format!("{name}.toml"));
        let text = std::fs::read_to_string(self.config())?.replace("name = \"serve\"", &format!("name = {name:?}"));
        std::fs::write(&config, text)?;
        Process::start(&config, "worker", &self.dir.path().join(format!("{name}.log")))
    }

    pub fn serve(&mut self) -> &mut Process {
        self.serve.as_mut().expect("kodo serve was started")
    }

    pub fn stop_serve(&mut self) -> anyhow::Result<()> {
        self.serve.take().context("kodo serve does not run")?.stop()
    }

    /// Organization, tenant, storage and policy; and what the directory holds.
    pub fn add_everything(&self) -> anyhow::Result<()> {
        let secret = self.dir.path().join("client-secret");
        std::fs::write(&secret, self.tenant.client_secret())?;
        self.expect(&["organization", "add", "Contoso"])?;
        let (tenant, client) = (self.tenant.tenant_id(), self.tenant.client_id());
        let add = ["tenant", "add", "contoso", "--entra-tenant-id", &tenant, "--client-id", &client, "--secret-file"];
        self.expect(&[&add[..], &[&secret.to_string_lossy()]].concat())?;
        self.expect(&["storage", "add", "disk", "--path", &self.storage().to_string_lossy()])?;
        self.expect(&["policy", "add", "standard", "--storage", "disk"])?;
        self.expect(&["resource", "sync", "contoso", "--wait"])?;
        Ok(())
    }

    /// Runs the command line and returns what it printed, whatever its exit code.
    pub fn run(&self, args: &[&str]) -> Ran {
        let output = kodo_command(&self.config()).args(args).stdin(Stdio::null()).output().expect("kodo can be run");
        Ran::of(output)
    }

    /// Runs a command that must succeed, and returns its JSON.
    pub fn expect(&self, args: &[&str]) -> anyhow::Result<Value> {
        let ran = self.run(&[args, &["--json"]].concat());
        if ran.code != 0 {
            bail!("kodo {} ended with {}:\n{}{}\n{}", args.join(" "), ran.code, ran.stdout, ran.stderr, self.log());
        }
        let last = ran.stdout.lines().last().unwrap_or("null");
        serde_json::from_str(&ran.stdout)
            .or_else(|_| serde_json::from_str(last))
            .with_context(|| format!("kodo {} printed no JSON:\n{}", args.join(" "), ran.stdout))
    }

    /// The end of the server's log, for a failed test.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.dir.path().join("serve.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Backs up one mailbox, to the end.
    pub fn back_up(&self, user: &str) -> anyhow::Result<Value> {
        let backed_up = self.expect(&["backup", "--user", user, "--feature", "mailbox", "--wait"]);
        backed_up.with_context(|| {
            format!("what could not be captured:\n{}", self.run(&["issue", "list", "--user", user]).stdout)
        })
    }

    /// The addresses of ordinary users, in their order.
    pub fn users(&self) -> Vec<String> {
        let users = self.tenant.users();
        let list = users["users"].as_array().into_iter().flatten();
        list.filter(|user| user["kind"] == "member")
            .filter_map(|user| user["user_principal_name"].as_str())
            .map(str::to_owned)
            .collect()
    }

    /// What the tenant holds of a mailbox, to compare with.
    pub fn mailbox(&self, user: &str) -> anyhow::Result<Mailbox> {
        Mailbox::parse(&self.tenant.restorable_fingerprint(user)?)
    }

    /// How many items a backup of a mailbox holds besides its messages: settings, categories and rules.
    pub fn n_settings(&self, user: &str) -> anyhow::Result<usize> {
        let all = self.tenant.settings_fingerprint(user)?;
        let count = |name: &str| all[name].as_array().map_or(0, Vec::len);
        Ok(1 + count("categories") + count("rules"))
    }

    /// Requests that no client should send.
    pub fn assert_polite(&self) {
        let violations = self.tenant.violations();
        assert!(violations.is_empty(), "requests that no client should send: {violations:#?}");
        let breaches = self.tenant.contract_breaches();
        assert!(breaches.is_empty(), "answers that Graph could not give: {breaches:#?}");
    }
}

/// The canonical description of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    pub folders: Vec<Value>,
    pub messages: Vec<Value>,
}

impl Mailbox {
    fn parse(text: &[u8]) -> anyhow::Result<Self> {
        let value: Value = serde_json::from_slice(text)?;
        let list = |name: &str| value[name].as_array().cloned().with_context(|| format!("no {name} in a fingerprint"));
        Ok(Self { folders: list("folders")?, messages: list("messages")? })
    }

    /// What stands in only one of two mailboxes, for people.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let lines = |mailbox: &Self| -> Vec<String> {
            let folders = mailbox.folders.iter().map(|folder| format!("folder {folder}"));
            folders.chain(mailbox.messages.iter().map(|message| format!("message {message}"))).collect()
        };
        let (mut ours, mut theirs) = (lines(self), lines(other));
        ours.sort();
        theirs.sort();
        let mut differences = Vec::new();
        let mut left = ours.iter().peekable();
        let mut right = theirs.iter().peekable();
        loop {
            match (left.peek(), right.peek()) {
                (None, None) => return differences,
                (Some(a), Some(b)) if a == b => {
                    left.next();
                    right.next();
                }
                (Some(a), other) if other.is_none_or(|b| a < b) => {
                    differences.push(format!("- {a}"));
                    left.next();
                }
                (_, Some(b)) => {
                    differences.push(format!("+ {b}"));
                    right.next();
                }
                (Some(_), None) => unreachable!("covered by the arm above"),
            }
        }
    }
}

/// Asserts that two mailboxes hold the same, and says what does not.
pub fn assert_same(before: &Mailbox, after: &Mailbox) {
    let differences = before.differences(after);
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}
