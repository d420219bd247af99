//! What the programs print: one JSON object a line.

use serde::Serialize;

/// A contender: what it is called, and how it is set up.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct About {
    /// What it is called in the output.
    pub id: &'static str,
    /// What it is called in a table.
    pub name: &'static str,
    /// The package in the lock file that it comes from, if it is not of this project.
    pub package: Option<&'static str>,
    /// How it is set up.
    pub settings: &'static str,
}

/// What a case measures.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Head {
    /// What it is called in the output.
    pub id: &'static str,
    /// What it is called in a table.
    pub title: &'static str,
    /// What one of it is: `ns`, `bytes`, or what is counted.
    pub unit: &'static str,
    /// How it is made.
    pub about: &'static str,
}

/// What was measured of one contender.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// Who it is of.
    pub contender: About,
    /// One figure a round, in the order of the rounds.
    pub samples: Vec<f64>,
}

/// A line of output.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// What is about to be measured.
    Progress {
        /// How many measurements are done.
        done: usize,
        /// How many there are in all.
        of: usize,
        /// What comes next.
        next: String,
    },
    /// A case that is done.
    Case {
        /// What it measures.
        #[serde(flatten)]
        head: Head,
        /// What was measured, in the order of the table.
        series: Vec<Series>,
    },
}

impl Line {
    /// Prints it. Standard output is flushed at the end of each line.
    pub fn print(&self) {
        println!("{}", serde_json::to_string(self).expect("a line of plain values"));
    }
}
