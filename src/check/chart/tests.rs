//! Texts and pictures.

use super::*;
use crate::bpf::{Action, Insn, opcode};
use crate::compile::Compiler;
use crate::policy::Target as For;
use crate::profile::Profile;

fn default_chart(arches: &[Arch]) -> Chart {
    let policy = Profile::container_default().unwrap().resolve(&For::exactly(arches)).unwrap();
    let filter = Compiler::new().compile(&policy).unwrap();
    chart("container-default & <more>", filter.program(), filter.endian(), arches[0]).unwrap()
}

/// Opening and closing tags match, and there is no bare `&` or `<`.
fn assert_well_formed(xml: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml;
    while let Some(at) = rest.find('<') {
        let text = &rest[..at];
        for piece in text.split('&').skip(1) {
            assert!(
                piece.split_once(';').is_some_and(|(name, _)| ["amp", "lt", "gt", "quot"].contains(&name)),
                "{text}"
            );
        }
        let (tag, behind) = rest[at + 1..].split_once('>').unwrap();
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split_whitespace().next().unwrap()),
        }
        rest = behind;
    }
    assert_eq!(open, [""; 0]);
}

#[test]
fn svg_is_well_formed_and_boxes_do_not_overlap() {
    for arches in [&[Arch::X86_64][..], &[Arch::X86_64, Arch::X86, Arch::X32], &[Arch::S390x]] {
        let chart = default_chart(arches);
        assert_well_formed(&chart.to_svg());
        let (placed, width, height) = layout::place(&chart);
        for (index, a) in placed.iter().enumerate() {
            assert!(a.x >= 0.0 && a.y >= 0.0 && a.x + a.width <= width && a.y + a.height <= height);
            for b in &placed[index + 1..] {
                let apart =
                    a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
                assert!(apart, "{:?} and {:?}", a.heading, b.heading);
            }
        }
    }
}

#[test]
fn what_a_person_looks_for_is_there() {
    let chart = default_chart(&[Arch::X86_64]);
    assert!(chart.boxes.len() < 20, "{}", chart.boxes.len());
    let texts: Vec<&str> = chart.boxes.iter().flat_map(|node| &node.rows).map(|row| row.text.as_str()).collect();
    assert!(texts.iter().any(|text| text.contains("read ") && text.contains("write ")), "{texts:?}");
    assert!(texts.contains(&"x86_64, x32"), "{texts:?}");
    assert!(chart.boxes.iter().any(|node| node.calls == ["personality"]));
    let dot = chart.to_dot();
    assert_eq!(dot.matches(" [label=<").count(), chart.boxes.len());
}

#[test]
fn a_program_without_a_test() {
    let program = Program::new(vec![Insn::stmt(opcode::RET_K, Action::Errno(38).to_raw())]).unwrap();
    let chart = chart("all", &program, Endian::Little, Arch::X86_64).unwrap();
    assert!(chart.to_svg().contains("ERRNO(38) ENOSYS"));
    assert!(chart.to_dot().contains("ERRNO(38) ENOSYS"));
    assert_well_formed(&chart.to_svg());
}

#[test]
fn long_texts_are_broken_between_words() {
    let text = vec!["12345"; 50].join(" ");
    let lines = lines(&text);
    assert!(lines.iter().all(|line| line.len() <= TEXT_WIDTH));
    assert_eq!(lines.join(" "), text);
    assert_eq!(escaped("a<b>&\"\u{1b}c"), "a&lt;b&gt;&amp;&quot;\u{fffd}c");
}
