//! Shows the filter at work: `envoy/complete.yaml` in a real Envoy, tokens of a real authorization server, requests of a bank,
//! of a wallet and of a thief. With KEYCLOAK=1 it is `envoy/keycloak.yaml` and Keycloak. Exits with 1 if anything is not as it
//! must be.

mod keycloak;

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use harness::{
    Algorithm, Authority, Certificate, Envoy, Leaf, OidcProvider, Proof, Request, Response, SigningKey, Upstream,
    wait_until,
};
use serde_json::Value;

const API: &str = "https://api.market.example";

/// One row: what is sent, and what must come of it.
struct Row {
    sent: &'static str,
    by: Option<Certificate>,
    request: Request,
    status: u16,
    reason: &'static str,
}

/// The proxy and the service behind it.
struct Stage {
    envoy: Envoy,
    upstream: Upstream,
}

/// An authorization server with those who have tokens of it, around a stage.
trait Play {
    fn stage(&self) -> &Stage;
    /// The server, as it is called.
    fn server(&self) -> &'static str;
    /// Shows every row, and counts those that are not as they must be.
    fn play(&self) -> usize;
    /// Who may be played by hand, and a command that fetches a token of the bank.
    fn to_try(&self) -> ([(&'static str, &Certificate); 2], String);
}

struct WithOidcProvider {
    stage: Stage,
    provider: OidcProvider,
    bank: Certificate,
    insurer: Certificate,
    legacy: Certificate,
    thief: Certificate,
}

fn main() {
    let started = Instant::now();
    // Whatever was started is stopped before the process ends.
    let wrong = if is_set("KEYCLOAK") {
        run(&keycloak::WithKeycloak::set(), started)
    } else {
        run(&WithOidcProvider::set(), started)
    };
    std::process::exit(i32::from(wrong > 0));
}

fn run(play: &impl Play, started: Instant) -> usize {
    let up = format!("up after {:.1} s: Envoy, {}, a service", started.elapsed().as_secs_f32(), play.server());
    println!("{}\n", dim(&up));
    let wrong = play.play();
    println!();
    let took = format!("after {:.0} s", started.elapsed().as_secs_f32());
    match wrong {
        0 => println!("{} {}", green("every request got what it must get"), dim(&took)),
        wrong => println!("{}", red(&format!("{wrong} requests did not get what they must get"))),
    }
    if is_set("KEEP") {
        keep(play);
    }
    wrong
}

fn is_set(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| !value.is_empty() && value != "0")
}

impl WithOidcProvider {
    fn set() -> Self {
        let ca = Authority::new("Market CA");
        let issue = |name: &str| ca.issue(Leaf::client(name));
        let (bank, insurer, legacy, thief) = (issue("bank"), issue("insurer"), issue("legacy"), issue("thief"));
        let provider = OidcProvider::start(&ca);
        let upstream = Upstream::start();
        let login_ca = ca.certificate.clone();
        let secret = [("RS_SECRET", provider.rs_secret.as_str())];
        let envoy =
            Envoy::start_example(ca, "complete.yaml", upstream.address(), provider.address(), &login_ca, &secret);
        Self { stage: Stage { envoy, upstream }, provider, bank, insurer, legacy, thief }
    }

    fn token(&self, scope: &str, resource: &str) -> String {
        self.provider.token("bank", &self.bank, scope, &format!("{API}{resource}"))
    }
}

impl Play for WithOidcProvider {
    fn stage(&self) -> &Stage {
        &self.stage
    }

    fn server(&self) -> &'static str {
        "node-oidc-provider"
    }

    fn play(&self) -> usize {
        let good = self.token("prices.read", "");
        let opaque = self.token("prices.read", "/opaque");
        let unbound = self.provider.token("legacy", &self.legacy, "prices.read", API);
        let other_scope = self.token("prices.write", "");
        let no_role = self.provider.token("insurer", &self.insurer, "prices.write", API);
        let short = self.token("prices.read", "/short");
        let row = |sent, by: Option<&Certificate>, request, status, reason| Row {
            sent,
            by: by.cloned(),
            request,
            status,
            reason,
        };
        let prices = |token: &str| Request::get("/prices/DE0007100000").bearer(token);
        let order = |token: &str| Request::new("POST", "/orders").bearer(token).body("buy");
        let bank = Some(&self.bank);
        let mut rows = vec![
            row("the bank, its own token and certificate", bank, prices(&good), 200, "granted"),
            row(
                "a thief, the bank's token, another certificate",
                Some(&self.thief),
                prices(&good),
                401,
                "binding.other_certificate",
            ),
            row("a thief, the bank's token, no certificate", None, prices(&good), 401, "binding.no_certificate"),
            row("a token that is bound to nobody", Some(&self.legacy), prices(&unbound), 401, "binding.unbound"),
            row("a token without the scope", bank, prices(&other_scope), 403, "token.scope"),
            row("the bank's order, with its role", bank, order(&other_scope), 200, "granted"),
            row("an insurer's order, without the role", Some(&self.insurer), order(&no_role), 403, "policy.no_rule"),
            row("an opaque token", bank, prices(&opaque), 200, "granted"),
            row("no token at all", bank, Request::get("/prices/DE0007100000"), 401, "credential.missing"),
            row("nobody asks for the health of the service", None, Request::get("/healthz"), 200, "public"),
        ];
        heading();
        let mut wrong = self.stage.show(&rows);

        note("a wallet has no certificate: it proves with each request that it holds the key of its token (DPoP)");
        let key = SigningKey::new(Algorithm::Es256, "wallet");
        wrong += self.stage.show(&wallet(&key, &self.provider.dpop_token(&key, "prices.read", API)));

        self.provider.revoke("bank", &self.bank, &opaque);
        note("the bank revokes its opaque token; the answer about it is remembered for 2 s");
        let revoked = row("the revoked token", bank, prices(&opaque), 401, "token.inactive");
        // Two seconds, and the one that the clock is read by.
        self.stage.until_status(&revoked, Duration::from_secs(3));
        rows = vec![revoked];
        wrong += self.stage.show(&rows);

        note("a token of one second has ended; clocks may differ by 5 s, so this takes a moment");
        let expired = row("an expired token", bank, prices(&short), 401, "token.expired");
        self.stage.until_status(&expired, Duration::from_secs(40));
        rows = vec![expired];
        wrong + self.stage.show(&rows)
    }

    fn to_try(&self) -> ([(&'static str, &Certificate); 2], String) {
        let login = self.provider.issuer();
        let form = format!("-d grant_type=client_credentials -d client_id=bank -d scope=prices.read -d resource={API}");
        ([("bank", &self.bank), ("thief", &self.thief)], format!("bank -s {login}/token {form}"))
    }
}

impl Stage {
    /// Waits until a request gets what it must get in the end; the row itself is sent once more.
    fn until_status(&self, row: &Row, most: Duration) {
        wait_until(most, || {
            std::thread::sleep(Duration::from_millis(200));
            self.send(row).status == row.status
        });
        self.upstream.take();
    }

    fn send(&self, row: &Row) -> Response {
        match &row.by {
            Some(certificate) => self.envoy.client(certificate).send(&row.request),
            None => self.envoy.anonymous().send(&row.request),
        }
    }

    fn show(&self, rows: &[Row]) -> usize {
        rows.iter().filter(|row| !self.show_row(row)).count()
    }

    fn show_row(&self, row: &Row) -> bool {
        let before = self.envoy.access_log().len();
        let answer = self.send(row);
        let lines = self.envoy.access_lines(before + 1);
        let logged: Value = lines.get(before).and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        let reason = logged["reason"].as_str().unwrap_or("not logged");
        let reached = self.upstream.take();
        let passes = row.status == 200;
        let right = answer.status == row.status && reason == row.reason && reached.len() == usize::from(passes);
        let upstream = match reached.first() {
            None => "nothing".to_owned(),
            Some(got) if got.values("authorization").is_empty() => format!("{} {}, no token", got.method, got.path),
            Some(got) => format!("{} {}, with the token", got.method, got.path),
        };
        let status = format!("{} {}", answer.status, error_of(&answer));
        let status = if passes { green(&pad(&status, 24)) } else { yellow(&pad(&status, 24)) };
        let mark = if right { green("✓") } else { red("✗") };
        println!("{mark} {} {status} {} {upstream}", pad(row.sent, 47), pad(reason, 26));
        right
    }
}

/// A caller without a certificate who has this key, and who has stolen from it.
fn wallet(own: &SigningKey, token: &str) -> Vec<Row> {
    let other = SigningKey::new(Algorithm::Es256, "thief");
    let path = "/prices/DE0007100000";
    let proof = |key: &SigningKey| Proof::new(key, "GET", &format!("{API}{path}")).with(token).sign(key);
    let shown = proof(own);
    let dpop = |path: &str, proof: &str| {
        Request::get(path).field("authorization", format!("DPoP {token}")).field("dpop", proof)
    };
    let row = |sent, request, status, reason| Row { sent, by: None, request, status, reason };
    vec![
        row("the wallet, its own token and proof", dpop(path, &shown), 200, "granted"),
        row("a thief, the wallet's token as bearer", Request::get(path).bearer(token), 401, "binding.bearer_downgrade"),
        row("a thief, its token, a proof by another key", dpop(path, &proof(&other)), 401, "binding.other_key"),
        row("a thief, its token and proof, another path", dpop("/prices/XX", &shown), 401, "proof.uri"),
        row("a thief, its token and proof, once more", dpop(path, &shown), 401, "proof.replayed"),
    ]
}

/// Leaves everything up, and says how to try it by hand.
fn keep(play: &impl Play) {
    let envoy = &play.stage().envoy;
    let (certificates, fetch) = play.to_try();
    let folder = envoy.directory().join("try");
    std::fs::create_dir_all(&folder).expect("a folder for certificates");
    for (name, certificate) in certificates {
        std::fs::write(folder.join(format!("{name}.crt")), &certificate.cert_pem).expect("a certificate");
        std::fs::write(folder.join(format!("{name}.key")), &certificate.key_pem).expect("a key");
    }
    std::fs::write(folder.join("ca.crt"), &envoy.authority().certificate.cert_pem).expect("a certificate");
    let port = envoy.address().port();
    println!("\nEverything stays up until you press Enter, or say: kill {}\n", std::process::id());
    println!("  cd {}", folder.display());
    println!("  bank() {{ curl --cacert ca.crt --cert bank.crt --key bank.key \"$@\"; }}");
    println!("  thief() {{ curl --cacert ca.crt --cert thief.crt --key thief.key \"$@\"; }}");
    println!("  TOKEN=$({fetch} \\\n    | sed 's/.*\"access_token\":\"\\([^\"]*\\).*/\\1/')");
    println!("  bank -i https://localhost:{port}/prices/DE0007100000 -H \"Authorization: Bearer $TOKEN\"");
    println!("  thief -i https://localhost:{port}/prices/DE0007100000 -H \"Authorization: Bearer $TOKEN\"");
    println!("  tail -f ../access.log ../envoy.log");
    let _ = std::io::stdout().flush();
    // Where nobody can press a key, it is the signal that ends this.
    while std::io::stdin().read_line(&mut String::new()).is_ok_and(|size| size == 0) {
        std::thread::park();
    }
}

fn error_of(answer: &Response) -> String {
    let challenge = answer.values("www-authenticate").concat();
    let error = challenge.split("error=\"").nth(1).and_then(|rest| rest.split('"').next());
    error.unwrap_or_default().to_owned()
}

fn heading() {
    let text = format!(
        "  {} {} {} {}",
        pad("sent", 47),
        pad("came back", 24),
        pad("why (from the log)", 26),
        "the service received"
    );
    println!("{}", dim(&text));
}

fn note(text: &str) {
    println!("{}", dim(&format!("  … {text}")));
}

fn pad(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

fn coloured(code: &str, text: &str) -> String {
    if std::io::stdout().is_terminal() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

fn green(text: &str) -> String {
    coloured("32", text)
}

fn yellow(text: &str) -> String {
    coloured("33", text)
}

fn red(text: &str) -> String {
    coloured("31", text)
}

fn dim(text: &str) -> String {
    coloured("2", text)
}
