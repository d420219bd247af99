//! What a run of the load measured.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bench::data::{Case, Spread};
use crate::bench::load::contenders::{Place, Sender};
use crate::bench::machine::Machine;

/// Later than this, in ms, a tenth of the requests is not sent on a machine that has time for it.
const LATE: f64 = 50.0;

/// All that was measured in one run.
#[derive(Debug, Serialize)]
pub(super) struct LoadRun {
    pub(super) machine: Machine,
    /// How many processes wanted to run, at the end of each round.
    pub(super) loads: Vec<f64>,
    pub(super) rounds: u32,
    pub(super) quick: bool,
    pub(super) runtimes: BTreeMap<String, String>,
    pub(super) backend: Backend,
    pub(super) senders: Vec<Sender>,
    pub(super) cells: Vec<Cell>,
    /// A client for each provider object, beside a shared one.
    pub(super) objects: Vec<Case>,
}

/// The backend, as it was found.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Backend {
    /// How many it takes at once.
    pub(super) max: u32,
    /// How long it works on one, on average.
    pub(super) millis: f64,
    /// How many that is a second.
    pub(super) capacity: f64,
}

/// How much load there is, and whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Offered {
    /// How many times what the backend can do.
    pub(super) times: u32,
    /// Whether callers give up.
    pub(super) impatient: bool,
}

impl Offered {
    pub(super) const STEPS: [u32; 4] = [1, 2, 5, 20];

    pub(super) const fn patient(times: u32) -> Self {
        Self { times, impatient: false }
    }

    /// Returns all that is measured, in the order of the tables.
    pub(super) fn all() -> Vec<Self> {
        let impatient = Self { times: 5, impatient: true };
        Self::STEPS.map(Self::patient).into_iter().chain([impatient]).collect()
    }

    pub(super) fn title(self) -> String {
        let who = if self.impatient { ", callers give up" } else { "" };
        format!("{} ×{who}", self.times)
    }
}

/// What one sender did under one load.
#[derive(Debug, Serialize)]
pub(super) struct Cell {
    pub(super) place: Place,
    pub(super) sender: &'static str,
    pub(super) offered: Offered,
    /// The figures of each round by their names.
    pub(super) rounds: Vec<BTreeMap<String, Option<f64>>>,
    /// Why there are none, if so.
    pub(super) failed: Option<String>,
}

impl Cell {
    /// Returns what the rounds say of a figure.
    pub(super) fn spread(&self, name: &str) -> Option<Spread> {
        let of = |round: &BTreeMap<String, Option<f64>>| *round.get(name)?;
        let all: Vec<f64> = self.rounds.iter().filter_map(of).collect();
        Spread::of(&all)
    }

    pub(super) fn median(&self, name: &str) -> Option<f64> {
        self.spread(name).map(|spread| spread.median)
    }
}

impl LoadRun {
    pub(super) fn cell(&self, place: Place, sender: &str, offered: Offered) -> Option<&Cell> {
        let mut cells = self.cells.iter().filter(|cell| cell.place == place);
        cells.find(|cell| cell.sender == sender && cell.offered == offered)
    }

    /// Returns who was measured there.
    pub(super) fn senders_in(&self, place: Place) -> impl Iterator<Item = &Sender> {
        self.senders.iter().filter(move |sender| sender.place == place)
    }

    /// Returns where anything was measured.
    pub(super) fn places(&self) -> Vec<Place> {
        let measured = |place: &Place| self.cells.iter().any(|cell| cell.place == *place);
        Place::ALL.into_iter().filter(measured).collect()
    }

    /// Says how busy the machine was meanwhile.
    pub(super) fn busy(&self) -> String {
        let loads: Vec<String> = self.loads.iter().map(|load| format!("{load:.1}")).collect();
        format!("load average after each round: {}", loads.join(", "))
    }

    /// Says how many measurements the machine was too busy for: their senders were late.
    pub(super) fn late(&self) -> Option<String> {
        let rounds = || self.cells.iter().flat_map(|cell| &cell.rounds);
        let is_late = |round: &&BTreeMap<String, Option<f64>>| {
            round.get("late").copied().flatten().is_some_and(|late| late > LATE)
        };
        let (late, all) = (rounds().filter(is_late).count(), rounds().count());
        (late > 0).then(|| {
            format!(
                "The machine was too busy in {late} of {all} measurements: requests were sent late \
                 there, and their figures say more of it than of the senders."
            )
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::load::contenders;

    /// A sender, how many times the load, and its figures.
    type Measured<'a> = (&'static str, u32, &'a [(&'a str, f64)]);

    /// Makes a run with these figures of senders in Node, each at one load.
    pub(in crate::bench::load) fn run_of(cells: &[Measured<'_>]) -> LoadRun {
        let cell = |(sender, times, figures): &Measured<'_>| Cell {
            place: Place::Node,
            sender,
            offered: Offered::patient(*times),
            rounds: vec![
                figures.iter().map(|(name, value)| ((*name).to_owned(), Some(*value))).collect(),
            ],
            failed: None,
        };
        LoadRun {
            machine: Machine::default(),
            loads: vec![0.5],
            rounds: 1,
            quick: false,
            runtimes: BTreeMap::new(),
            backend: Backend { max: 8, millis: 320.0, capacity: 25.0 },
            senders: contenders::all(),
            cells: cells.iter().map(cell).collect(),
            objects: Vec::new(),
        }
    }

    #[test]
    fn a_figure_is_the_median_of_the_rounds_that_have_one() {
        let mut run = run_of(&[("edgepool", 5, &[("goodput", 20.0)])]);
        let round = |value| BTreeMap::from([("goodput".to_owned(), value)]);
        run.cells[0].rounds.extend([round(None), round(Some(30.0))]);
        let cell = run.cell(Place::Node, "edgepool", Offered::patient(5)).unwrap();
        assert_eq!(cell.median("goodput"), Some(25.0));
        assert_eq!(cell.median("refused"), None);
        assert!(run.cell(Place::Node, "edgepool", Offered::patient(20)).is_none());
        assert_eq!(run.places(), [Place::Node]);
    }

    #[test]
    fn a_machine_that_is_too_busy_is_told() {
        let run = run_of(&[("edgepool", 5, &[("late", 3.0)]), ("fetch", 5, &[("late", 4.0)])]);
        assert_eq!(run.late(), None);
        let run = run_of(&[("edgepool", 5, &[("late", 90.0)]), ("fetch", 5, &[("late", 4.0)])]);
        assert!(run.late().unwrap().contains("in 1 of 2 measurements"));
    }
}
