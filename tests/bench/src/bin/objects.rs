//! Measures provider objects that share a client, and those that have one each. `objects ROUNDS`
//! starts itself again for each variant in each round.
#![forbid(unsafe_code)]

use std::process::Stdio;

use edgepool_bench::objects::{Measured, OBJECTS, REQUESTS, Server, Variant, measure};
use edgepool_bench::output::{About, Head, Line, Series};
use tokio::process::Command;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut args = std::env::args().skip(1);
    let first = args.next().unwrap_or_default();
    if let (Ok(rounds), None) = (first.parse(), args.next()) {
        return run(rounds).await;
    }
    let variant: Variant = serde_json::from_str(&first).expect("a number of rounds, or a variant");
    let measured = measure(&variant).await;
    println!("{}", serde_json::to_string(&measured).expect("plain values"));
}

/// Who is measured: whether they share, and whether it is TLS.
const VARIANTS: [(About, bool, bool); 4] = [
    (about("edgepool", "shared", "One transport and one registry."), true, false),
    (about("each", "one each", "A transport and a registry in each object."), false, false),
    (about("edgepool-timed", "shared, TLS", "The same over TLS."), true, true),
    (about("each-tls", "one each, TLS", "The same over TLS."), false, true),
];

const fn about(id: &'static str, name: &'static str, settings: &'static str) -> About {
    About { id, name, package: None, settings }
}

async fn run(rounds: usize) {
    let servers = [Server::start(false).await, Server::start(true).await];
    let mut measured = [const { Vec::new() }; 4];
    for round in 0..rounds {
        for turn in 0..VARIANTS.len() {
            let at = (round + turn) % VARIANTS.len();
            let (about, shared, tls) = VARIANTS[at];
            let (done, of) = (round * VARIANTS.len() + turn, rounds * VARIANTS.len());
            let next = format!("provider objects in Rust: {}", about.name);
            Line::Progress { done, of, next }.print();
            let server = &servers[usize::from(tls)];
            let certificate = server.certificate.clone();
            let variant = Variant { shared, certificate, url: server.url.clone() };
            let figures = of_child(&variant).await;
            measured[at].push((figures, server.connections() as f64));
        }
    }
    report(&measured);
}

async fn of_child(variant: &Variant) -> Measured {
    let program = std::env::current_exe().expect("the system tells");
    let variant = serde_json::to_string(variant).expect("plain values");
    let child = Command::new(program).arg(variant).stderr(Stdio::inherit()).output().await;
    let child = child.expect("this program can be started");
    assert!(child.status.success(), "a variant failed");
    serde_json::from_slice(&child.stdout).expect("what it measured")
}

fn report(measured: &[Vec<(Measured, f64)>; 4]) {
    let head = |id, title, unit, about| Head { id, title, unit, about };
    type Figure = fn(&(Measured, f64)) -> f64;
    let cases: [(Head, Figure); 5] = [
        (head("objects-first", "Rust: first request of an object", "ns", FIRST), |it| it.0.first),
        (head("objects-later", "Rust: its later requests", "ns", LATER), |it| it.0.later),
        (head("objects-each", "Rust: processor time of a request", "ns", EACH), |it| it.0.each),
        (head("objects-memory", "Rust: memory", "bytes", MEMORY), |it| it.0.memory),
        (head("objects-connections", "Rust: connections", "connections", OPENED), |it| it.1),
    ];
    for (head, figure) in cases {
        let series = VARIANTS.iter().zip(measured).map(|((about, ..), rounds)| Series {
            contender: *about,
            samples: rounds.iter().map(figure).collect(),
        });
        Line::Case { head, series: series.collect() }.print();
    }
}

const FIRST: &str = "50 provider objects, each asked for the first time, one after the other: the \
                     median. What has no connection yet makes one, on loopback.";
const LATER: &str = "The same objects, each asked 19 times more: the median.";
const EACH: &str = "What the client's process had of the processors for all 1,000 requests and for \
                    making the objects, by request.";
const MEMORY: &str = "What the process has grown by with 50 objects that were asked.";
const OPENED: &str = "Connections that the server has counted.";

// The texts say them.
const _: () = assert!(OBJECTS == 50 && REQUESTS == 20);
