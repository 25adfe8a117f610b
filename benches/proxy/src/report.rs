//! What a run came to, as a table in Markdown, as JSON, and as the rows of a plot.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::machine::Machine;
use crate::measure::Figures;
use crate::variants::{Target, Variant};
use crate::weights::Weight;

pub struct Report {
    pub machine: Machine,
    pub rounds: usize,
    /// Microseconds that a request takes in a bare Envoy.
    pub bare: f64,
    pub rows: Vec<Row>,
    pub weights: Vec<Weight>,
}

pub struct Row {
    pub variant: Variant,
    pub figures: Figures,
    /// Microseconds of another service for each request.
    pub elsewhere: Option<f64>,
    /// MiB of the whole proxy above the bare one, when all was over.
    pub memory: f64,
}

/// What a bare Envoy took where the targets in microseconds were set; elsewhere they grow with what it takes there.
const SET_AT: f64 = 19.4;

/// A target as it is told, and whether it was met; not known where what it is compared with was left out.
struct Verdict {
    told: String,
    met: Option<bool>,
}

impl Report {
    fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.variant.name == name)
    }

    fn judge(&self, row: &Row, target: Target) -> Verdict {
        let above = row.figures.above;
        let of = |name: &str| self.row(name).map(|other| other.figures.above);
        match target {
            Target::AtMost(most) => {
                Verdict { told: format!("≤ {most} µs"), met: Some(above * SET_AT / self.bare <= most) }
            }
            Target::Below(name) => Verdict { told: format!("< {name}"), met: of(name).map(|other| above < other) },
            Target::Times(times, name) => {
                Verdict { told: format!("≤ {times} × {name}"), met: of(name).map(|other| above <= times * other) }
            }
        }
    }

    /// Every target of a row with its mark.
    fn judged(&self, row: &Row) -> String {
        let told = row.variant.targets.iter().map(|target| {
            let verdict = self.judge(row, *target);
            format!("{} {}", verdict.told, mark(verdict.met))
        });
        told.collect::<Vec<_>>().join(", ")
    }

    pub fn markdown(&self) -> String {
        let mut table = vec![vec!["", "", "CPU µs", "±", "ratio", "p50 µs", "p99 µs", "MiB", "target"]];
        let rows = self.rows.iter().map(|row| {
            let figures = &row.figures;
            let cost = format!("{:+.1}", figures.above);
            let elsewhere = row.elsewhere.map(|cost| format!(" and {cost:.1} there")).unwrap_or_default();
            [
                format!("`{}`", row.variant.name),
                row.variant.title.to_owned(),
                cost + &elsewhere,
                format!("{:.1}", figures.error),
                format!("{:.2}", figures.ratio),
                format!("{:.0}", figures.p50),
                format!("{:.0}", figures.p99),
                format!("{:+.0}", row.memory),
                self.judged(row),
            ]
        });
        let rows: Vec<[String; 9]> = rows.collect();
        table.extend(rows.iter().map(|row| row.iter().map(String::as_str).collect()));
        let mut text = format!("{}\n\n{}", self.caption(), aligned(&table));
        if !self.weights.is_empty() {
            let rows: Vec<[String; 3]> = self.weights.iter().map(weight_row).collect();
            let mut table = vec![vec!["", "", "target"]];
            table.extend(rows.iter().map(|row| row.iter().map(String::as_str).collect()));
            let _ = write!(text, "\n{}", aligned(&table));
        }
        text
    }

    fn caption(&self) -> String {
        let Machine { envoy, processor, cores, date, commit, .. } = &self.machine;
        format!(
            "Above a bare Envoy {envoy}, which takes {:.1} µs of CPU time for a request; medians of the {} calmest of {} slices, {processor}, {cores} cores, \
             {date}, commit {commit}.",
            self.bare,
            self.rounds.div_ceil(2),
            self.rounds
        )
    }

    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(|row| self.row_json(row)).collect();
        let weights = self.weights.iter().map(|weight| {
            json!({
                "name": weight.name, "title": weight.title, "value": weight.value, "unit": weight.unit, "most": weight.most
            })
        });
        let Machine { envoy, processor, cores, kernel, date, commit } = &self.machine;
        json!({
            "machine": {
                "envoy": envoy, "processor": processor, "cores": cores, "kernel": kernel, "date": date, "commit": commit
            },
            "rounds": self.rounds, "bare_us": self.bare, "variants": rows, "weights": weights.collect::<Vec<_>>()
        })
    }

    fn row_json(&self, row: &Row) -> Value {
        let targets = row.variant.targets.iter().map(|target| {
            let Verdict { told, met } = self.judge(row, *target);
            json!({"target": told, "met": met})
        });
        let Figures { ratio, above, error, p50, p99 } = row.figures;
        json!({
            "name": row.variant.name, "title": row.variant.title, "above_us": above, "error_us": error, "ratio": ratio,
            "p50_us": p50, "p99_us": p99, "elsewhere_us": row.elsewhere, "memory_mib": row.memory,
            "targets": targets.collect::<Vec<_>>()
        })
    }
}

fn weight_row(weight: &Weight) -> [String; 3] {
    let Weight { title, value, unit, most, .. } = weight;
    let target = most.map(|most| format!("≤ {most} {unit} {}", mark(Some(*value <= most)))).unwrap_or_default();
    [(*title).to_owned(), format!("{value:.2} {unit}"), target]
}

fn mark(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "✓",
        Some(false) => "✗",
        None => "?",
    }
}

/// A table in Markdown whose columns line up in the source too. All but the first two columns stand right.
fn aligned(rows: &[Vec<&str>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(2);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let is_right = |column: usize| column > 1 && column + 1 < columns;
    let line = |row: &[&str]| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if is_right(column) { format!(" {cell:>width$} |") } else { format!(" {cell:<width$} |") }
        });
        format!("|{}\n", cells.collect::<String>())
    };
    let rule = widths.iter().enumerate().map(|(column, width)| {
        let dashes = "-".repeat(width + 1);
        if is_right(column) { format!("{dashes}:|") } else { format!("{dashes}-|") }
    });
    let (head, body) = rows.split_first().expect("a head");
    let body: String = body.iter().map(|row| line(row)).collect();
    format!("{}|{}\n{body}", line(head), rule.collect::<String>())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::variants::VARIANTS;

    fn row(name: &str, above: f64) -> Row {
        let variant = VARIANTS.iter().find(|variant| variant.name == name).copied().expect("a variant");
        let figures = Figures { ratio: 1.0 + above / 20.0, above, error: 0.1, p50: 70.0, p99: 90.0 };
        Row { variant, figures, elsewhere: None, memory: 30.0 }
    }

    pub fn report(bare: f64, rows: &[(&str, f64)]) -> Report {
        let rows = rows.iter().map(|(name, above)| row(name, *above)).collect();
        Report { machine: Machine::default(), rounds: 40, bare, rows, weights: Vec::new() }
    }

    fn judged(report: &Report, name: &str) -> String {
        report.judged(report.row(name).expect("a row"))
    }

    #[test]
    fn targets_are_held_against_the_other_variants_of_the_same_run() {
        let report = report(19.4, &[("known", 3.9), ("native", 6.0), ("opaque", 4.2), ("stolen", 4.0)]);
        assert_eq!(judged(&report, "known"), "≤ 4 µs ✓, < native ✓");
        assert_eq!(judged(&report, "opaque"), "≤ 1.1 × known ✓");
        assert_eq!(judged(&report, "stolen"), "< known ✗");
        assert_eq!(judged(&report, "native"), "");
    }

    #[test]
    fn a_target_whose_other_variant_was_left_out_is_not_judged() {
        assert_eq!(judged(&report(19.4, &[("stolen", 4.0)]), "stolen"), "< known ?");
    }

    #[test]
    fn microseconds_of_a_slower_machine_count_less() {
        assert_eq!(judged(&report(38.8, &[("known", 7.9), ("native", 20.0)]), "known"), "≤ 4 µs ✓, < native ✓");
        assert_eq!(judged(&report(38.8, &[("known", 8.1), ("native", 20.0)]), "known"), "≤ 4 µs ✗, < native ✓");
    }

    #[test]
    fn every_target_names_a_variant() {
        for target in VARIANTS.iter().flat_map(|variant| variant.targets) {
            let (Target::Below(name) | Target::Times(_, name)) = target else { continue };
            assert!(VARIANTS.iter().any(|variant| variant.name == *name), "{name}");
        }
    }

    #[test]
    fn columns_line_up() {
        let table = aligned(&[vec!["", "", "µs", "target"], vec!["a", "bcd", "+3.9", ""]]);
        assert_eq!(table, "|    |     |   µs | target |\n|----|-----|-----:|--------|\n| a  | bcd | +3.9 |        |\n");
    }
}
