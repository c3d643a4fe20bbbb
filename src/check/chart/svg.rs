//! A chart as SVG.

use super::layout::{LETTER, LINE, MARGIN, PADDING, Placed, place};
use super::{Chart, Node, ROW_FILL, TITLE_FILL, Target, escaped};
use alloc::string::String;
use core::fmt::Write;

const STYLE: &str = "text{font:11px 'DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre;fill:#1a1c24}\
    .h{font-weight:bold}.f{fill:none;stroke:#606880}rect{stroke:#b8bccb;stroke-width:.6}\
    .e{fill:none;stroke:#606880;stroke-width:1.1}";

pub(super) fn write(chart: &Chart) -> String {
    let (placed, width, height) = place(chart);
    let height = height.max(80.0);
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path d=\"M0 0L8 4L0 8z\" fill=\"#606880\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\" stroke=\"none\"/>",
        title = escaped(&chart.title)
    );
    words(&mut svg, MARGIN, MARGIN + LINE * 0.5, &chart.title, " class=\"h\"");
    if let Target::End(text, colour) = &chart.root {
        rectangle(&mut svg, MARGIN, MARGIN + LINE, 300.0, LINE + PADDING, colour.fill());
        words(&mut svg, MARGIN + PADDING, MARGIN + 2.0 * LINE, &alloc::format!("every call: {text}"), "");
    }
    // Lines first, so that boxes lie on them.
    for (node, from) in chart.boxes.iter().zip(&placed) {
        for (row, line) in node.rows.iter().zip(&from.rows) {
            if let Target::Box(to) = row.target
                && let Some(to) = placed.get(to)
            {
                edge(&mut svg, from, line.1, line.0.len(), to);
            }
        }
    }
    for (node, it) in chart.boxes.iter().zip(&placed) {
        draw(&mut svg, node, it);
    }
    svg.push_str("</svg>\n");
    svg
}

#[allow(clippy::cast_precision_loss)] // Lines of text are few.
fn edge(svg: &mut String, from: &Placed, top: f64, lines: usize, to: &Placed) {
    let start = (from.x + from.width, from.y + top + f64::midpoint(lines.max(1) as f64 * LINE, PADDING));
    let end = (to.x - 1.0, to.y + f64::midpoint(LINE, PADDING));
    let bend = ((end.0 - start.0) / 2.0).min(70.0);
    let _ = writeln!(
        svg,
        "<path class=\"e\" marker-end=\"url(#a)\" d=\"M{:.1} {:.1}C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}\"/>",
        start.0,
        start.1,
        start.0 + bend,
        start.1,
        end.0 - bend,
        end.1,
        end.0,
        end.1
    );
}

fn draw(svg: &mut String, node: &Node, it: &Placed) {
    let first = it.rows.first().map_or(it.height, |row| row.1);
    rectangle(svg, it.x, it.y, it.width, first, TITLE_FILL);
    for (index, line) in it.heading.iter().enumerate() {
        words(svg, it.x + PADDING, baseline(it.y, index), line, " class=\"h\"");
    }
    let bottoms = it.rows.iter().skip(1).map(|row| row.1).chain([it.height]);
    for ((row, (lines, top)), bottom) in node.rows.iter().zip(&it.rows).zip(bottoms) {
        let (fill, action) = match &row.target {
            Target::End(words, colour) => (colour.fill(), words.as_str()),
            Target::Box(_) => (ROW_FILL, ""),
        };
        let y = it.y + top;
        rectangle(svg, it.x, y, it.width, bottom - top, fill);
        for (index, line) in lines.iter().enumerate() {
            words(svg, it.x + PADDING, baseline(y, index), line, "");
        }
        if action.is_empty() {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"#606880\"/>",
                it.x + it.width,
                y + (bottom - top) / 2.0
            );
        } else {
            words(svg, it.x + it.width - it.actions + PADDING, baseline(y, 0), action, " class=\"h\"");
        }
    }
    let _ = writeln!(
        svg,
        "<rect class=\"f\" style=\"stroke:#606880;stroke-width:1\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
        it.x, it.y, it.width, it.height
    );
}

#[allow(clippy::cast_precision_loss)] // Lines of text are few.
fn baseline(top: f64, line: usize) -> f64 {
    top + PADDING / 2.0 + (line as f64 + 0.78) * LINE
}

fn rectangle(svg: &mut String, x: f64, y: f64, width: f64, height: f64, fill: &str) {
    let _ =
        writeln!(svg, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{fill}\"/>");
}

/// A line of text. Its length is given, so that other fonts fill the same place.
#[allow(clippy::cast_precision_loss)] // Letters are few.
fn words(svg: &mut String, x: f64, y: f64, text: &str, class: &str) {
    if text.is_empty() {
        return;
    }
    let length = text.chars().count() as f64 * LETTER;
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\" lengthAdjust=\"spacingAndGlyphs\"{class}>{}</text>",
        escaped(text)
    );
}
