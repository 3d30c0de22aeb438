//! The report as a picture: a group of bars for each row, the shorter the better.

use std::fmt::Write;

use crate::cases::Row;
use crate::report::{Report, figure};

const WIDTH: f64 = 960.0;
const BAR_LEFT: f64 = 170.0;
const BAR_FULL: f64 = 640.0;
const BAR_STEP: f64 = 17.0;
const TITLE_STEP: f64 = 34.0;

/// A bar that would be longer than this many times ours is broken off, so that one slow rival does
/// not flatten the rest.
const CLIP: f64 = 6.0;

const HEAD: &str = "<style>text{font:12px sans-serif;fill:#24292f}.title{font-weight:bold}\
    .rival{fill:#afb8c1}.floor{fill:#d8dee4}.ours{fill:#1a7f37}\
    @media(prefers-color-scheme:dark){text{fill:#d1d7e0}.rival{fill:#656c76}.floor{fill:#3d444d}\
    .ours{fill:#57ab5a}}</style>\n";

/// An SVG document.
pub(crate) fn draw(report: &Report) -> String {
    let mut body = String::from(HEAD);
    let mut top = 8.0;
    for (_, row) in report.rows() {
        top = draw_row(&mut body, report, row, top);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\">\n\
         <title>What a unit of work costs each bridge; shorter is better</title>\n{body}</svg>\n",
        top + 8.0
    )
}

/// Draws one group below `top`; returns where the next begins.
fn draw_row(body: &mut String, report: &Report, row: &Row, mut top: f64) -> f64 {
    let value = |id| report.results.median(row, id).filter(|value| value.is_finite());
    let bars: Vec<_> = report.bridges.iter().filter_map(|b| Some((*b, value(b.id)?))).collect();
    let largest = bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let full = value("websocksy").map_or(largest, |ours| largest.min(ours * CLIP));
    top += TITLE_STEP;
    let title = row.title.trim_start_matches("– ");
    let _ = writeln!(
        body,
        "<text class=\"title\" x=\"8\" y=\"{:.0}\">{title}, {}</text>",
        top - 10.0,
        row.unit
    );
    for (bridge, value) in bars {
        let class = match bridge.id {
            "websocksy" => "ours",
            "relay16" | "relay256" => "floor",
            _ => "rival",
        };
        let length = (value / full).min(1.0) * BAR_FULL;
        let broken = if value > full { " …" } else { "" };
        let _ = writeln!(
            body,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{class}\" x=\"{BAR_LEFT}\" y=\"{:.0}\" width=\"{length:.1}\" height=\"13\"/>\
             <text x=\"{:.1}\" y=\"{:.0}\">{}{broken}</text>",
            BAR_LEFT - 8.0,
            top + 11.0,
            bridge.title,
            top,
            BAR_LEFT + length + 6.0,
            top + 11.0,
            figure(value),
        );
        top += BAR_STEP;
    }
    top
}
