//! The report as a picture: a group of bars for each row, the shorter the better.

use std::fmt::Write;

use crate::bridges::Bridge;
use crate::cases::Row;
use crate::report::{Report, figure};

/// Two columns, each of them bars between names and figures.
const COLUMN: f64 = 500.0;
const BAR_LEFT: f64 = 150.0;
const BAR_FULL: f64 = 280.0;
const BAR_STEP: f64 = 16.0;
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
    let mut top = 0.0;
    let rows: Vec<_> = report.rows().map(|(_, row)| row).collect();
    for pair in rows.chunks(2) {
        let ends = pair.iter().zip([0.0, COLUMN]).map(|(row, left)| {
            let group = Group { report, row, left };
            group.draw(&mut body, top)
        });
        top = ends.fold(top, f64::max);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0} {:.0}\" role=\"img\">\n\
         <title>What a unit of work costs each bridge; shorter is better</title>\n{body}</svg>\n",
        2.0 * COLUMN,
        top + 8.0
    )
}

/// The bars of one row.
struct Group<'a> {
    report: &'a Report<'a>,
    row: &'a Row,
    left: f64,
}

impl Group<'_> {
    /// Draws below `top`; returns where the group ends.
    fn draw(&self, body: &mut String, top: f64) -> f64 {
        let bars: Vec<_> = self
            .report
            .bridges
            .iter()
            .filter_map(|bridge| Some((*bridge, self.value(bridge.id)?)))
            .collect();
        let full = self.full(bars.iter().map(|(_, value)| *value));
        let mut top = top + TITLE_STEP;
        let (left, title, unit) = (self.left + 8.0, self.row.title, self.row.unit);
        let baseline = top - 8.0;
        let _ = writeln!(
            body,
            "<text class=\"title\" x=\"{left:.0}\" y=\"{baseline:.0}\">{title}, {unit}</text>"
        );
        for (bridge, value) in bars {
            self.draw_bar(body, top, bridge, value, full);
            top += BAR_STEP;
        }
        top
    }

    fn value(&self, bridge: &'static str) -> Option<f64> {
        self.report.results.median(self.row, bridge).filter(|value| value.is_finite())
    }

    /// The value that a bar of full length stands for.
    fn full(&self, values: impl Iterator<Item = f64>) -> f64 {
        let largest = values.fold(f64::MIN_POSITIVE, f64::max);
        self.value("websocksy").map_or(largest, |ours| largest.min(ours * CLIP))
    }

    fn draw_bar(&self, body: &mut String, top: f64, bridge: &Bridge, value: f64, full: f64) {
        let class = match bridge.id {
            "websocksy" => "ours",
            "relay16" | "relay256" => "floor",
            _ => "rival",
        };
        let (left, length) = (self.left + BAR_LEFT, (value / full).min(1.0) * BAR_FULL);
        let (name_end, figure_start, baseline) = (left - 8.0, left + length + 6.0, top + 11.0);
        let (name, figure) = (bridge.title, figure(value));
        let broken = if value > full { " …" } else { "" };
        let _ = writeln!(
            body,
            "<text x=\"{name_end:.0}\" y=\"{baseline:.0}\" text-anchor=\"end\">{name}</text>\
             <rect class=\"{class}\" x=\"{left}\" y=\"{top:.0}\" width=\"{length:.1}\" height=\"12\"/>\
             <text x=\"{figure_start:.1}\" y=\"{baseline:.0}\">{figure}{broken}</text>"
        );
    }
}
