//! Measures what this filter costs inside Envoy, beside a bare Envoy and what else could be used instead, and prints it.
//!
//! usage: `bench [--save] [NAME,…]`
//!
//! A name is that of a variant, or `weights` for size, load time and memory; `hot` is short for the few that a change of the hot
//! path is held against; without names everything runs. `--save` puts the plot into `docs` and the table into the README.
//!
//! Each proxy is a process of its own, so that its memory can be told and nothing of one lies in the caches of another. All run
//! from the beginning to the end, on one core; the one that is asked has it alone, for the others sleep. The load runs on
//! another core. How slices of time become figures: [`measure`].
//!
//! It fails where a proxy does not start or does not refuse what it must; no figure fails it.

mod authorizer;
mod checks;
mod load;
mod machine;
mod measure;
mod plot;
mod proofs;
mod proxies;
mod quiet;
mod report;
mod save;
mod stage;
mod usage;
mod variants;
mod weights;

use std::process::ExitCode;
use std::time::Instant;

use harness::Envoy;

use crate::load::{Load, Requests};
use crate::machine::Machine;
use crate::measure::{Comparison, Figures, Running, SLICE, Slice, calmest, median};
use crate::proxies::Proxy;
use crate::report::{Report, Row};
use crate::stage::{PATH, Stage};
use crate::usage::memory_of_process;
use crate::variants::{HOT, VARIANTS, Variant};
use crate::weights::Weight;

/// What was asked for.
struct Plan {
    variants: Vec<Variant>,
    weighs: bool,
    saves: bool,
    rounds: usize,
}

/// A proxy that runs, and its memory in KiB before it was asked anything.
struct Started {
    proxy: Proxy,
    envoy: Envoy,
    memory: u64,
}

/// Of everything.
const ROUNDS: usize = 40;
/// Of a few variants, what fits into so many milliseconds.
const SHORT: u128 = 36_000;

fn main() -> ExitCode {
    let done = Plan::parse(std::env::args().skip(1)).and_then(|plan| {
        let report = run(&plan)?;
        println!("{}", report.markdown());
        save::write(&report, plan.saves)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Plan {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (options, names): (Vec<String>, Vec<String>) = arguments.partition(|argument| argument.starts_with("--"));
        if let Some(option) = options.iter().find(|option| *option != "--save") {
            return Err(format!("there is no option {option}; there is --save"));
        }
        let names: Vec<&str> =
            names.iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty()).collect();
        match (names.is_empty(), options.is_empty()) {
            (true, _) => {
                Ok(Self { variants: VARIANTS.to_vec(), weighs: true, saves: !options.is_empty(), rounds: ROUNDS })
            }
            (false, true) => Self::of(&names),
            (false, false) => Err("only what everything came to is saved; leave out the names".into()),
        }
    }

    fn of(names: &[&str]) -> Result<Self, String> {
        let known = |name: &str| matches!(name, "hot" | "weights") || VARIANTS.iter().any(|other| other.name == name);
        if let Some(name) = names.iter().find(|name| !known(name)) {
            let known: Vec<&str> = VARIANTS.iter().map(|variant| variant.name).collect();
            return Err(format!("there is no {name:?}; there are hot, weights, {}", known.join(", ")));
        }
        let is_chosen = |name| names.contains(&name) || (names.contains(&"hot") && HOT.contains(&name));
        let variants: Vec<Variant> = VARIANTS.iter().filter(|variant| is_chosen(variant.name)).copied().collect();
        let slices = usize::try_from(SHORT / SLICE.as_millis()).unwrap_or(ROUNDS);
        let rounds = (slices / (2 * variants.len().max(1))).clamp(10, 60);
        Ok(Self { variants, weighs: names.contains(&"weights"), saves: false, rounds })
    }
}

fn run(plan: &Plan) -> Result<Report, String> {
    let _alone = quiet::alone()?;
    let _priority = quiet::Priority::high();
    let clock = Instant::now();
    let say = |what: &str| eprintln!("bench: {:5.1} s: {what}", clock.elapsed().as_secs_f32());
    say("tokens are signed");
    let stage = Stage::set(&plan.variants);
    let mut weights = Vec::new();
    if plan.weighs {
        say("module, load and workers are weighed");
        weights = weights::weigh(&stage);
    }
    say("proxies start, and are asked what they must refuse");
    let core = quiet::cores();
    let mut started = vec![Started::new(Proxy::Bare, &stage, core)?];
    for variant in &plan.variants {
        if started.iter().all(|other| other.proxy != variant.proxy) {
            started.push(Started::new(variant.proxy, &stage, core)?);
        }
    }
    say("they see their tokens for the first time");
    let mut bare = open(VARIANTS[0], &started[0], &stage)?;
    let of = |variant: &Variant| started.iter().find(|other| other.proxy == variant.proxy).expect("started above");
    let opened = plan.variants.iter().map(|variant| open(*variant, of(variant), &stage));
    let mut running = opened.collect::<Result<Vec<_>, _>>()?;
    say(&format!("{} rounds of {} variants", plan.rounds, running.len()));
    let (of_bare, comparisons) = compare(&mut bare, &mut running, plan)?;
    let bare_cost = median(&mut of_bare.iter().map(|slice| slice.cost).collect::<Vec<_>>());
    weights.extend(started.iter().filter_map(Started::cache));
    let rows = plan.variants.iter().zip(&comparisons).zip(&mut running).map(|((variant, comparisons), running)| {
        let elsewhere = running.asks.map(|_| {
            median(&mut calmest(comparisons).iter().map(|comparison| comparison.own.elsewhere).collect::<Vec<_>>())
        });
        let above_bare = of(variant).memory_now() as f64 - started[0].memory_now() as f64;
        let figures = Figures::of(comparisons, bare_cost, &mut running.latencies);
        Row { variant: *variant, figures, elsewhere, memory: above_bare / 1024.0 }
    });
    let rows = rows.collect();
    let machine = Machine::this(&started[0].envoy);
    say("done");
    Ok(Report { machine, rounds: plan.rounds, bare: bare_cost, rows, weights })
}

/// Slices of every variant, each between two of the bare Envoy.
fn compare(
    bare: &mut Running<'_>,
    running: &mut [Running<'_>],
    plan: &Plan,
) -> Result<(Vec<Slice>, Vec<Vec<Comparison>>), String> {
    let mut comparisons = vec![Vec::new(); running.len()];
    let mut before = bare.slice()?;
    let mut of_bare = vec![before];
    for _ in 0..plan.rounds {
        for (number, running) in running.iter_mut().enumerate() {
            let own = running.slice().map_err(|error| format!("{}: {error}", plan.variants[number].name))?;
            let after = bare.slice()?;
            comparisons[number].push(Comparison { own, around: [before, after] });
            of_bare.push(after);
            before = after;
        }
    }
    Ok((of_bare, comparisons))
}

impl Started {
    fn new(proxy: Proxy, stage: &Stage, core: Option<usize>) -> Result<Self, String> {
        let envoy = proxy.start(stage, core, 1);
        checks::check(proxy, &envoy, stage).map_err(|error| format!("{proxy:?}: {error}"))?;
        let memory = memory_of_process(envoy.pid());
        Ok(Self { proxy, envoy, memory })
    }

    fn memory_now(&self) -> u64 {
        memory_of_process(self.envoy.pid())
    }

    /// What its tokens take, where they are many.
    fn cache(&self) -> Option<Weight> {
        let (name, title, most) = match self.proxy {
            Proxy::Holdfast { tokens: 120_000 } => ("cache", "memory of 100,000 tokens in a worker", Some(110.0)),
            Proxy::Native { tokens: 200_000 } => ("cache-native", "memory of 10,000 tokens in jwt_authn", None),
            _ => return None,
        };
        let value = (self.memory_now() as f64 - self.memory as f64) / 1024.0;
        Some(Weight { name, title, value, unit: "MiB", most })
    }
}

fn open<'a>(variant: Variant, started: &Started, stage: &'a Stage) -> Result<Running<'a>, String> {
    let requests = Requests::new(PATH, variant.tokens(stage));
    let client = started.envoy.client(variant.caller(stage));
    let load = Load::open(&client, requests, variant.status()).map_err(|error| error.to_string());
    let warm = load.and_then(|mut load| load.warm().map(|_| load));
    let load = warm.map_err(|error| format!("{}: {error}", variant.name))?;
    let asks = (started.proxy == Proxy::ExtAuthz).then_some(&stage.authorizer);
    Ok(Running { pid: started.envoy.pid(), load, asks, latencies: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arguments: &[&str]) -> Result<Plan, String> {
        Plan::parse(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    fn names(arguments: &[&str]) -> Vec<&'static str> {
        plan(arguments).expect("a plan").variants.iter().map(|variant| variant.name).collect()
    }

    #[test]
    fn without_names_everything_runs_and_may_be_saved() {
        let all: Vec<&str> = VARIANTS.iter().map(|variant| variant.name).collect();
        assert_eq!(names(&[]), all);
        assert_eq!(names(&["--save"]), all);
        assert!(plan(&["--save"]).is_ok_and(|plan| plan.saves && plan.weighs));
    }

    #[test]
    fn names_choose_and_hot_is_short_for_some() {
        assert_eq!(names(&["native,known"]), ["known", "native"]);
        assert_eq!(names(&["hot"]).len(), HOT.len());
        assert_eq!(names(&["hot,stolen"]).len(), HOT.len() + 1);
        assert!(names(&["weights"]).is_empty());
    }

    #[test]
    fn what_is_not_known_is_said() {
        assert!(
            plan(&["konwn"]).is_err_and(|error| error.starts_with("there is no \"konwn\"; there are hot, weights,"))
        );
        assert!(plan(&["--slow"]).is_err_and(|error| error == "there is no option --slow; there is --save"));
        assert!(plan(&["--save", "hot"]).is_err());
    }
}
