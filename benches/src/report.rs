//! The report of a run: figures beside their peers', and the machine they were measured on.

use serde::Serialize;

/// What a benchmark prints, as one JSON object.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
    machine: Machine,
}

/// A figure of ours beside a peer's from the same run.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    figure: String,
    unit: &'static str,
    ours: f64,
    peer: String,
    theirs: f64,
    ratio: f64,
    bar: Option<f64>,
    at_most: bool,
    pass: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Machine {
    cpus: usize,
    cpu: String,
    load_before: String,
    load_after: String,
}

impl Report {
    /// An empty report; notes the load.
    pub(crate) fn new() -> Self {
        let machine = Machine {
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: cpu(),
            load_before: load(),
            load_after: String::new(),
        };
        Self { rows: Vec::new(), notes: Vec::new(), machine }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds a line for people.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Prints the report.
    pub(crate) fn print(mut self) -> Result<(), crate::Failure> {
        self.machine.load_after = load();
        serde_json::to_writer(std::io::stdout().lock(), &self)?;
        Ok(())
    }
}

impl Row {
    /// A figure of which more is better: the ratio is ours by theirs.
    pub(crate) fn rate(figure: impl Into<String>, unit: &'static str, ours: f64) -> Self {
        let figure = figure.into();
        let peer = String::new();
        Self {
            figure,
            unit,
            ours,
            peer,
            theirs: 0.0,
            ratio: 0.0,
            bar: None,
            at_most: false,
            pass: None,
        }
    }

    /// Sets the peer and what it reached.
    pub(crate) fn beside(mut self, peer: impl Into<String>, theirs: f64) -> Self {
        (self.peer, self.theirs, self.ratio) = (peer.into(), theirs, self.ours / theirs);
        self
    }

    /// As [`Row::beside`] for a figure of which less is better: the ratio is theirs by ours.
    pub(crate) fn faster_than(mut self, peer: impl Into<String>, theirs: f64) -> Self {
        (self.peer, self.theirs, self.ratio) = (peer.into(), theirs, theirs / self.ours);
        self
    }

    /// The ratio must reach `bar`.
    pub(crate) fn at_least(mut self, bar: f64) -> Self {
        (self.bar, self.pass) = (Some(bar), Some(self.ratio >= bar));
        self
    }

    /// The ratio must not exceed `bar`.
    pub(crate) fn at_most(mut self, bar: f64) -> Self {
        (self.bar, self.at_most, self.pass) = (Some(bar), true, Some(self.ratio <= bar));
        self
    }
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|it| it.strip_prefix("model name"));
    name.map_or("unknown CPU", |it| it.trim_start_matches([' ', '\t', ':'])).to_owned()
}
