//! Bar charts as SVG, readable on light and on dark pages.

use std::fmt::Write;

/// One bar.
pub struct Bar {
    pub name: String,
    pub value: f64,
    pub kind: Kind,
}

/// Whose bar it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Ours,
    Peer,
    Quoted,
}

const WIDTH: f64 = 720.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 70.0;
const TOP: f64 = 56.0;
const ROW: f64 = 24.0;

/// A chart with one row a bar. Bars longer than `limit` are cut, with their value beside them.
pub fn bars(title: &str, subtitle: &str, bars: &[Bar], limit: f64, digits: usize) -> String {
    let height = TOP + ROW * bars.len() as f64 + 14.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"{title}\">\n<style>\n{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>\n\
         <text class=\"title\" x=\"12\" y=\"22\">{title}</text>\n<text class=\"note\" x=\"12\" y=\"41\">{subtitle}</text>\n"
    );
    let scale = (WIDTH - LEFT - RIGHT) / limit.min(bars.iter().map(|bar| bar.value).fold(1.0, f64::max));
    for (row, bar) in bars.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        let length = bar.value.min(limit) * scale;
        let (class, end) = (class(bar.kind), LEFT + length);
        let _ = writeln!(
            svg,
            "<text class=\"name {class}-name\" x=\"{:.0}\" y=\"{:.0}\">{}</text>\n\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.0}\" width=\"{length:.1}\" height=\"16\" rx=\"2\"/>",
            LEFT - 8.0,
            y + 12.5,
            bar.name,
            y,
        );
        if bar.value > limit {
            let _ = writeln!(svg, "<path class=\"cut\" d=\"M{:.1} {:.0}l8 -20\"/>", end - 22.0, y + 18.0);
        }
        let _ = writeln!(
            svg,
            "<text class=\"value\" x=\"{:.1}\" y=\"{:.0}\">{:.digits$}</text>",
            end + 6.0,
            y + 12.5,
            bar.value
        );
    }
    svg + "</svg>\n"
}

const fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Ours => "ours",
        Kind::Peer => "peer",
        Kind::Quoted => "quoted",
    }
}

const STYLE: &str = "\
text { font-family: system-ui, 'Segoe UI', 'DejaVu Sans', Arial, sans-serif; font-size: 13px; fill: #1f2328; }
.page { fill: #ffffff; }
.title { font-size: 15px; font-weight: 600; }
.note { font-size: 12px; fill: #59636e; }
.name { text-anchor: end; }
.ours-name { font-weight: 600; }
.ours { fill: #0969da; }
.peer { fill: #818b98; }
.quoted { fill: #818b98; fill-opacity: 0.35; stroke: #818b98; }
.cut { fill: none; stroke: #ffffff; stroke-width: 4; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .page { fill: #0d1117; }
  .note { fill: #9198a1; }
  .ours { fill: #4493f8; }
  .cut { stroke: #0d1117; }
}
";
