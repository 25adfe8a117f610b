//! A plot of the rows: a bar each, in SVG, for a page that is light or dark.

use std::fmt::Write as _;

use crate::report::{Report, Row};
use crate::variants::Asked;

const WIDTH: f64 = 800.0;
/// Where bars begin and where the longest ends.
const BARS: [f64; 2] = [300.0, 640.0];
const LINE: f64 = 22.0;
const HEAD: f64 = 38.0;

/// Known and unknown tokens apart, each part by its own scale: a signature costs more than all else.
pub fn plot(report: &Report) -> String {
    let is_unknown = |row: &&Row| matches!(row.variant.asked, Asked::Cold(_));
    let (unknown, known): (Vec<&Row>, Vec<&Row>) = report.rows.iter().partition(is_unknown);
    let (mut body, mut top) = (String::new(), 0.0);
    for (title, rows) in
        [("tokens that were verified before", known), ("tokens that are new: a signature each", unknown)]
    {
        if !rows.is_empty() {
            top = part(&mut body, top, title, &rows);
        }
    }
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-label="CPU time for one request above a bare Envoy">
<style>
text {{ font: 13px system-ui, sans-serif; fill: #57606a }}
.title {{ font-weight: 600; fill: #24292f }}
.own {{ fill: #1a7f64 }}
.other {{ fill: #8c959f }}
.elsewhere {{ fill: #8c959f; opacity: 0.5 }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #9da7b1 }}
.title {{ fill: #e6edf3 }}
.own {{ fill: #3fb68b }}
.other {{ fill: #6e7681 }}
.elsewhere {{ fill: #6e7681 }}
}}
</style>
{body}</svg>
"#,
        height = top + 8.0
    )
}

/// Writes one part and says where the next begins.
fn part(body: &mut String, top: f64, title: &str, rows: &[&Row]) -> f64 {
    let total = |row: &Row| row.figures.above.max(0.0) + row.elsewhere.unwrap_or(0.0);
    let most = rows.iter().map(|row| total(row)).fold(1.0, f64::max);
    let scale = (BARS[1] - BARS[0]) / most;
    let _ = writeln!(body, r#"<text class="title" x="12" y="{}">CPU µs for one request, {title}</text>"#, top + 24.0);
    for (number, row) in rows.iter().enumerate() {
        let y = top + HEAD + LINE * number as f64;
        let own = row.figures.above.max(0.0) * scale;
        let elsewhere = row.elsewhere.unwrap_or(0.0) * scale;
        let class = if row.variant.proxy.is_own() { "own" } else { "other" };
        let [left, text, end] = [BARS[0], y + 14.0, BARS[0] + own + elsewhere + 6.0];
        let _ = writeln!(body, r#"<text x="{}" y="{text}" text-anchor="end">{}</text>"#, left - 8.0, row.variant.title);
        let _ =
            writeln!(body, r#"<rect class="{class}" x="{left}" y="{}" width="{own:.1}" height="16" rx="2"/>"#, y + 1.0);
        let mut told = format!("{:+.1}", row.figures.above);
        if let Some(cost) = row.elsewhere {
            let _ = writeln!(
                body,
                r#"<rect class="elsewhere" x="{:.1}" y="{}" width="{elsewhere:.1}" height="16" rx="2"/>"#,
                left + own,
                y + 1.0
            );
            let _ = write!(told, ", service {cost:.1}");
        }
        let _ = writeln!(body, r#"<text x="{end:.1}" y="{text}">{told}</text>"#);
    }
    top + HEAD + LINE * rows.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn the_longest_bar_fills_its_part_and_the_others_are_in_proportion() {
        let text = plot(&report(19.4, &[("known", 4.0), ("native", 8.0), ("cold-es256", 50.0)]));
        assert!(text.contains(r#"<rect class="own" x="300" y="39" width="170.0""#), "{text}");
        assert!(text.contains(r#"<rect class="other" x="300" y="61" width="340.0""#), "{text}");
        assert!(
            text.contains(
                r#"width="340.0" height="16" rx="2"/>
<text x="646.0" y="134">+50.0</text>"#
            ),
            "{text}"
        );
    }

    #[test]
    fn a_cost_below_the_bare_envoy_is_no_bar() {
        assert!(plot(&report(19.4, &[("bare-again", -0.2)])).contains(r#"width="0.0""#));
    }
}
