//! The distribution of failovers as a picture: a dot for each trial on a logarithmic scale.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use metallb_benches::speakers::Kind;

/// The trials of one cause.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) kind: Kind,
    pub(crate) cause: &'static str,
    /// In milliseconds.
    pub(crate) times: Vec<f64>,
}

/// Writes it as SVG.
pub(crate) fn draw(path: &Path, lines: &[Line]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, svg(lines)).with_context(|| format!("cannot write {}", path.display()))
}

fn svg(lines: &[Line]) -> String {
    let height = TOP + ROW * f64::from(u32::try_from(lines.len()).unwrap_or(u32::MAX)) + 40.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\">Time until another node answers</text>\n"
    );
    for (at, text) in [
        (100.0, "0.1 s"),
        (300.0, "0.3 s"),
        (1000.0, "1 s"),
        (3000.0, "3 s"),
        (10_000.0, "10 s"),
        (60_000.0, "60 s"),
    ] {
        let (x, end) = (across(at), height - 30.0);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{end}\" stroke=\"#ddd\"/>"
        );
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#666\">{text}</text>",
            end + 16.0
        );
    }
    let mut y = TOP + ROW / 2.0;
    for line in lines {
        let (name, colour) = match line.kind {
            Kind::Ours => ("ours", "#1a7f37"),
            Kind::Metallb => ("MetalLB", "#b35900"),
        };
        let _ = writeln!(
            svg,
            "<text x=\"10\" y=\"{:.1}\" fill=\"{colour}\">{name}: {}</text>",
            y + 4.0,
            line.cause
        );
        for time in &line.times {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\" fill-opacity=\"0.45\"/>",
                across(*time)
            );
        }
        y += ROW;
    }
    svg.push_str("</svg>\n");
    svg
}

/// Where a number of milliseconds is.
fn across(milliseconds: f64) -> f64 {
    let decades =
        (milliseconds.clamp(50.0, 70_000.0) / 50.0).log10() / (70_000.0_f64 / 50.0).log10();
    LEFT + decades * (WIDTH - LEFT - 30.0)
}

const WIDTH: f64 = 820.0;
const LEFT: f64 = 210.0;
const TOP: f64 = 36.0;
const ROW: f64 = 26.0;
