//! The measures of boxes, and where they stand.

use super::super::{Colour, Row};
use super::*;

fn allow() -> Target {
    Target::End("ALLOW".into(), Colour::Allowed)
}

fn node(title: &str, rows: &[(&str, Target)]) -> Node {
    let row = |(text, target): &(&str, Target)| Row { text: (*text).into(), target: target.clone() };
    Node { calls: Vec::new(), title: title.into(), rows: rows.iter().map(row).collect() }
}

fn chart(boxes: Vec<Node>) -> Chart {
    Chart { title: "chart".into(), root: Target::Box(0), boxes }
}

#[track_caller]
fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
}

#[test]
fn a_heading_names_six_calls() {
    let calls = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let heading = |count: usize| heading(&Node { calls: calls[..count].to_vec(), ..node("title", &[]) });
    assert_eq!(heading(0), ["title"]);
    assert_eq!(heading(1), ["a", "title"]);
    assert_eq!(heading(6), ["a b c d e f", "title"]);
    assert_eq!(heading(7), ["a b c d e f and 1 more", "title"]);
    assert_eq!(heading(8), ["a b c d e f and 2 more", "title"]);
}

#[test]
fn a_box_has_room_for_its_texts() {
    let title = "a title that is longer than its rows are";
    let long = ["0123456789"; 10].join(" ");
    let letters = |count: f64| count * LETTER;
    // The widest row, the widest action, and the frame of each.
    let it = measure(&node("title", &[("row", allow()), ("", Target::Box(1)), (&long, allow())]));
    // Seven words of ten letters fit a line of 84.
    assert_eq!(it.rows.iter().map(|(lines, _)| lines.len()).collect::<Vec<_>>(), [1, 1, 2]);
    assert_near(it.actions, letters(5.0) + 2.0 * PADDING);
    assert_near(it.width, letters(76.0) + 2.0 * PADDING + it.actions);
    // One line of the heading, of the first two rows, and two of the last.
    for ((_, top), lines) in it.rows.iter().zip([1.0, 2.0, 3.0]) {
        assert_near(*top, lines * (LINE + PADDING));
    }
    assert_near(it.height, 3.0 * (LINE + PADDING) + 2.0 * LINE + PADDING);
    // The heading counts too.
    let it = measure(&node(title, &[("row", allow())]));
    assert_near(it.width, letters(40.0) + 2.0 * PADDING);
    // Rows that lead on have room for the dot.
    let it = measure(&node("", &[("row", Target::Box(1))]));
    assert_near(it.actions, letters(2.0) + 2.0 * PADDING);
    assert_near(it.width, letters(3.0) + 2.0 * PADDING + it.actions);
}

/// Two boxes that one leads to, and one to which both lead.
#[test]
fn boxes_stand_beside_the_rows_that_lead_to_them() {
    let chart = chart(vec![
        node("first", &[("to the second", Target::Box(1)), ("allowed", allow()), ("to the third", Target::Box(2))]),
        node("second", &[("allowed", allow()), ("to the last", Target::Box(3))]),
        node("third", &[("to the last", Target::Box(3)), ("allowed", allow())]),
        node("last", &[("allowed", allow())]),
    ]);
    let (placed, width, height) = place(&chart);
    let [first, second, third, last] = &placed[..] else { panic!("four boxes") };
    let row = LINE + PADDING;
    // Columns: the widest box of one, and a gap.
    assert_near(first.x, MARGIN);
    assert_near(second.x, first.x + first.width + BETWEEN_COLUMNS);
    assert_near(third.x, second.x);
    assert_near(last.x, second.x + second.width.max(third.width) + BETWEEN_COLUMNS);
    // The title of the chart is above all.
    let top = MARGIN + 2.0 * LINE;
    assert_near(first.y, top);
    // Beside its row, and below the box above.
    assert_near(second.y, top + row);
    assert_near(third.y, second.y + 3.0 * row + BETWEEN_BOXES);
    // In the middle between the two rows.
    assert_near(last.y, f64::midpoint(second.y + 2.0 * row, third.y + row));
    assert_near(width, last.x + last.width + MARGIN);
    assert_near(height, third.y + 3.0 * row + MARGIN);
}

#[test]
fn a_small_chart_has_room_for_its_title() {
    let (placed, width, height) = place(&chart(vec![node("only", &[("allowed", allow())])]));
    assert_near(width, 400.0);
    assert_near(height, placed[0].y + placed[0].height + MARGIN);
    let (placed, width, height) = place(&chart(Vec::new()));
    assert!(placed.is_empty());
    assert_near(width, 400.0);
    assert_near(height, MARGIN);
}
