//! Where a report goes: `bench` in the folder of what was built, and on demand the pages of this repository.

use std::fs;
use std::path::Path;

use harness::top;

use crate::plot::plot;
use crate::report::Report;

/// What the README holds between them is a table of a run.
const AROUND: [&str; 2] = ["<!-- bench: begin -->\n", "<!-- bench: end -->"];

/// Writes `result.json` and `bench.svg`, and the pages too if they are to be saved.
pub fn write(report: &Report, saves: bool) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = program.ancestors().nth(2).unwrap_or(Path::new(".")).join("bench");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    put(&folder.join("result.json"), &format!("{:#}\n", report.json()))?;
    put(&folder.join("bench.svg"), &plot(report))?;
    eprintln!("bench: written to {}", folder.display());
    if saves {
        put(&top().join("docs/bench.svg"), &plot(report))?;
        let readme = top().join("README.md");
        let text = fs::read_to_string(&readme).map_err(|error| format!("{}: {error}", readme.display()))?;
        put(&readme, &replaced(&text, &report.markdown()).ok_or("README.md has no place for the table")?)?;
        eprintln!("bench: docs/bench.svg and README.md hold it too");
    }
    Ok(())
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The page with this table instead of the one that it has.
fn replaced(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(AROUND[0])?;
    let (_, after) = rest.split_once(AROUND[1])?;
    Some(format!("{before}{}\n{}\n\n{}{after}", AROUND[0], table.trim(), AROUND[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = "# A\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nB\n";
        let new = "# A\n<!-- bench: begin -->\n\nnew\n\n<!-- bench: end -->\nB\n";
        assert_eq!(replaced(page, "new\n").as_deref(), Some(new));
        assert_eq!(replaced(new, "new\n").as_deref(), Some(new));
        assert_eq!(replaced("# A\n", "new"), None);
    }
}
