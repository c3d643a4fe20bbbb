//! Where boxes stand.
//!
//! Boxes stand in columns: one to the right of all that lead to it. In a column they are ordered by the height of the rows
//! that lead to them, and as close to that height as the box above allows.

use super::{Chart, Node, Target, lines};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Width of a letter and height of a line.
pub(super) const LETTER: f64 = 6.65;
pub(super) const LINE: f64 = 14.0;
/// Between the frame of a row and its text.
pub(super) const PADDING: f64 = 6.0;
const BETWEEN_COLUMNS: f64 = 90.0;
const BETWEEN_BOXES: f64 = 18.0;
pub(super) const MARGIN: f64 = 16.0;
/// Calls that a heading names.
const CALLS_SHOWN: usize = 6;

/// A box in its place.
pub(super) struct Placed {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    /// Width of the column of actions.
    pub(super) actions: f64,
    pub(super) heading: Vec<String>,
    /// For each row its lines and its top, seen from the top of the box.
    pub(super) rows: Vec<(Vec<String>, f64)>,
    pub(super) height: f64,
}

/// The lines at the top of a box.
pub(super) fn heading(node: &Node) -> Vec<String> {
    let mut heading = Vec::new();
    if !node.calls.is_empty() {
        let shown: Vec<&str> = node.calls.iter().take(CALLS_SHOWN).copied().collect();
        let more = node.calls.len().saturating_sub(CALLS_SHOWN);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        heading.extend(lines(&format!("{}{more}", shown.join(" "))));
    }
    heading.extend(lines(&node.title));
    heading
}

/// The places of all boxes, and width and height of the whole.
pub(super) fn place(chart: &Chart) -> (Vec<Placed>, f64, f64) {
    let mut placed: Vec<Placed> = chart.boxes.iter().map(measure).collect();
    let columns = columns(chart);
    let (mut x, mut bottom) = (MARGIN, 0.0_f64);
    for column in &columns {
        let width = column.iter().filter_map(|&index| placed.get(index)).map(|it| it.width).fold(0.0, f64::max);
        let mut order: Vec<(f64, usize)> = column.iter().map(|&index| (wish(chart, &placed, index), index)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut top = MARGIN + 2.0 * LINE;
        for (wish, index) in order {
            if let Some(it) = placed.get_mut(index) {
                (it.x, it.y) = (x, top.max(wish));
                top = it.y + it.height + BETWEEN_BOXES;
                bottom = bottom.max(it.y + it.height);
            }
        }
        x += width + BETWEEN_COLUMNS;
    }
    (placed, (x - BETWEEN_COLUMNS + MARGIN).max(400.0), bottom + MARGIN)
}

fn measure(node: &Node) -> Placed {
    let text = |lines: &[String]| lines.iter().map(|line| text_width(line)).fold(0.0, f64::max);
    let heading = heading(node);
    let mut height = lines_height(heading.len());
    let (mut left, mut actions) = (0.0_f64, LETTER * 2.0);
    let mut rows = Vec::new();
    for row in &node.rows {
        let lines = lines(&row.text);
        left = left.max(text(&lines));
        if let Target::End(words, _) = &row.target {
            actions = actions.max(text_width(words));
        }
        let top = height;
        height += lines_height(lines.len());
        rows.push((lines, top));
    }
    let actions = actions + 2.0 * PADDING;
    let width = (left + 2.0 * PADDING + actions).max(text(&heading) + 2.0 * PADDING);
    Placed { x: 0.0, y: 0.0, width, actions, heading, rows, height }
}

#[allow(clippy::cast_precision_loss)] // Lines of text are few.
fn lines_height(count: usize) -> f64 {
    count.max(1) as f64 * LINE + PADDING
}

#[allow(clippy::cast_precision_loss)] // So are letters.
fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}

/// The boxes of each column. Rows lead to later boxes only, so one pass is enough.
fn columns(chart: &Chart) -> Vec<Vec<usize>> {
    let mut depths = vec![0_usize; chart.boxes.len()];
    for (index, node) in chart.boxes.iter().enumerate() {
        let next = depths.get(index).copied().unwrap_or_default().saturating_add(1);
        for row in &node.rows {
            if let Target::Box(to) = row.target
                && let Some(depth) = depths.get_mut(to)
            {
                *depth = next.max(*depth);
            }
        }
    }
    let mut columns: Vec<Vec<usize>> = vec![Vec::new(); depths.iter().max().map_or(0, |most| most.saturating_add(1))];
    for (index, &depth) in depths.iter().enumerate() {
        if let Some(column) = columns.get_mut(depth) {
            column.push(index);
        }
    }
    columns
}

/// The mean height of the rows that lead to a box.
fn wish(chart: &Chart, placed: &[Placed], to: usize) -> f64 {
    let mut heights = Vec::new();
    for (node, it) in chart.boxes.iter().zip(placed) {
        for (row, (_, top)) in node.rows.iter().zip(&it.rows) {
            if row.target == Target::Box(to) {
                heights.push(it.y + top);
            }
        }
    }
    #[allow(clippy::cast_precision_loss)] // At most some thousand rows.
    let count = heights.len().max(1) as f64;
    heights.iter().sum::<f64>() / count
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
