//! A real certificate authority: step-ca, and `step`, by which its clients get certificates and renew them.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::certificate::Certificate;
use crate::directory::Directory;
use crate::module::set_up;
use crate::process::Process;
use crate::{base64url, wait_until};

pub struct StepCa {
    _process: Process,
    step: Step,
    /// What all its certificates descend from, by way of another.
    pub root: Certificate,
}

/// The command line, and what authority and clients share.
struct Step {
    programs: PathBuf,
    directory: Directory,
}

/// Where a client has its certificate and its key.
struct Files {
    directory: Directory,
    crt: String,
    key: String,
}

/// What certificates of clients say. The names are those that were asked for.
const TEMPLATE: &str = r#"{
  "subject": {{ toJson .Subject }},
  "sans": {{ toJson .SANs }},
  "keyUsage": ["digitalSignature"],
  "extKeyUsage": ["clientAuth"]
}"#;

const PROVISIONER: &str = "clients";

impl StepCa {
    /// Issues to clients for as short as ten seconds, its own minute of grace included.
    pub fn start() -> Self {
        let programs = set_up("step-ca");
        // It does not tell which port it chose, so one is chosen before; somebody else may take it in between.
        for _ in 0..5 {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let step = Step { programs: programs.clone(), directory: Directory::new() };
            step.init(free.expect("a free port").port());
            let mut process = step.serve();
            let listens = || step.run(&["ca", "health"]).is_ok() || !process.is_alive();
            if wait_until(Duration::from_secs(20), listens) && process.is_alive() {
                let root = std::fs::read_to_string(step.file("certs/root_ca.crt")).expect("its root");
                return Self { _process: process, step, root: Certificate::read(root, String::new()) };
            }
        }
        panic!("step-ca does not listen");
    }

    /// A certificate for these names, good for so long (`5m`), with a minute before now.
    pub fn issue(&self, names: &[&str], lifetime: &str) -> Certificate {
        let files = Files::new();
        let mut arguments = vec!["ca", "certificate", names[0], &files.crt, &files.key, "--not-after", lifetime];
        let password = self.step.path("password");
        arguments.extend(["--provisioner", PROVISIONER, "--provisioner-password-file", &password]);
        arguments.extend(names.iter().flat_map(|name| ["--san", name]));
        self.step.run(&arguments).unwrap_or_else(|error| panic!("no certificate for {names:?}: {error}"));
        files.read()
    }

    /// Another certificate for the same key, or what the authority says against it.
    pub fn renew(&self, certificate: &Certificate) -> Result<Certificate, String> {
        self.exchange("renew", certificate)
    }

    /// Another certificate for another key.
    pub fn rekey(&self, certificate: &Certificate) -> Result<Certificate, String> {
        self.exchange("rekey", certificate)
    }

    fn exchange(&self, verb: &str, certificate: &Certificate) -> Result<Certificate, String> {
        let files = Files::new();
        files.directory.write("crt", &certificate.cert_pem);
        files.directory.write("key", &certificate.key_pem);
        self.step.run(&["ca", verb, "--force", &files.crt, &files.key]).map(|()| files.read())
    }
}

impl Files {
    fn new() -> Self {
        let directory = Directory::new();
        let [crt, key] = ["crt", "key"].map(|name| directory.path().join(name).display().to_string());
        Self { directory, crt, key }
    }

    fn read(&self) -> Certificate {
        let [crt, key] = [&self.crt, &self.key].map(|path| std::fs::read_to_string(path).expect("what step wrote"));
        Certificate::read(crt, key)
    }
}

impl Step {
    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    /// Keys and configuration of an authority, with a password of this run.
    fn init(&self, port: u16) {
        let mut octets = [0; 24];
        getrandom::fill(&mut octets).expect("random octets");
        self.directory.write("password", base64url(&octets));
        self.directory.write("client.tpl", TEMPLATE);
        let (password, address) = (self.path("password"), format!("127.0.0.1:{port}"));
        let init = ["ca", "init", "--deployment-type", "standalone", "--name", "Test CA", "--dns", "localhost"];
        let passwords = ["--password-file", &password, "--provisioner-password-file", &password];
        let first = ["--address", &address, "--provisioner", "others"];
        self.run(&[&init[..], &first, &passwords].concat()).expect("an authority");
        let (template, configuration) = (self.path("client.tpl"), self.path("config/ca.json"));
        let add = ["ca", "provisioner", "add", PROVISIONER, "--type", "JWK", "--create", "--password-file", &password];
        let rules = ["--x509-min-dur", "10s", "--x509-template", &template, "--ca-config", &configuration];
        self.run(&[&add[..], &rules].concat()).expect("a provisioner");
    }

    fn serve(&self) -> Process {
        let mut command = self.command("step-ca");
        command.arg(self.file("config/ca.json")).arg("--password-file").arg(self.file("password"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(self.file("log")).expect("a log file"));
        Process::start(&mut command, self.directory.path())
    }

    /// Runs `step`, or says what it said.
    fn run(&self, arguments: &[&str]) -> Result<(), String> {
        let output = self.command("step").args(arguments).stdin(Stdio::null()).output().expect("step starts");
        let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok(()) } else { Err(said()) }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.env("STEPPATH", self.directory.path());
        command
    }
}
