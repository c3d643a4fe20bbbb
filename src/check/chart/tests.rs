//! Texts and pictures.

use super::*;
use crate::bpf::{Action, Insn, opcode};
use crate::compile::Compiler;
use crate::policy::Target as For;
use crate::profile::Profile;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;

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
    // The space between two words counts.
    let broken = |last: usize| super::lines(&format!("{} {}", "1".repeat(80), "2".repeat(last))).len();
    assert_eq!([1, 2, 3, 4, 5].map(broken), [1, 1, 1, 2, 2]);
    assert_eq!(escaped("a<b>&\"\u{1b}c"), "a&lt;b&gt;&amp;&quot;\u{fffd}c");
}

/// One box of each kind, and every colour.
fn small_chart() -> Chart {
    let row = |text: &str, target: Target| Row { text: text.into(), target };
    let end = |words: &str, colour| Target::End(words.to_string(), colour);
    let long = ["twelve chars"; 7].join(" ");
    let first = Node {
        calls: Vec::new(),
        title: "architecture".into(),
        rows: vec![
            row("one", Target::Box(1)),
            row(&long, end("LOG", Colour::Logged)),
            row("", end("KILL_PROCESS", Colour::Killed)),
        ],
    };
    let second = Node {
        calls: vec!["read", "write"],
        title: "argument <0>".into(),
        rows: vec![
            row("0", end("ALLOW", Colour::Allowed)),
            row("1", end("USER_NOTIF", Colour::Asked)),
            row("2", end("ERRNO(1) EPERM", Colour::Failed)),
            row("anything else", end("what was computed", Colour::Unknown)),
        ],
    };
    Chart { title: "small & exact".into(), root: Target::Box(0), boxes: vec![first, second] }
}

/// Compares with `tests/golden/NAME`. `BLESS=1 cargo test --lib chart` writes it again; look at the picture then.
#[track_caller]
fn golden(name: &str, text: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == wanted, "not as in {path}:\n{text}");
}

#[test]
fn pictures_are_exact() {
    golden("chart.svg", &small_chart().to_svg());
    golden("chart.dot", &small_chart().to_dot());
    // A program without a test is one line.
    let end = Target::End("ERRNO(1) EPERM".to_string(), Colour::Failed);
    golden("chart-of-one-answer.svg", &Chart { boxes: Vec::new(), root: end, ..small_chart() }.to_svg());
}

/// Every line from box to box begins at the right frame of one and ends at the left frame of another.
#[test]
fn lines_meet_the_boxes() {
    let chart = default_chart(&[Arch::X86_64, Arch::X86]);
    let (placed, ..) = layout::place(&chart);
    let svg = chart.to_svg();
    let near = |a: f64, b: f64| (a - b).abs() < 0.1;
    let mut seen = 0;
    for path in svg.split("<path class=\"e\"").skip(1) {
        let (_, path) = path.split_once(" d=\"M").unwrap();
        let (path, _) = path.split_once('"').unwrap();
        let numbers: Vec<f64> = path.split([' ', 'C']).map(|number| number.parse().unwrap()).collect();
        let [x, y, .., to_x, to_y] = numbers[..] else { panic!("{path}") };
        assert!(placed.iter().any(|it| near(it.x + it.width, x) && y > it.y && y < it.y + it.height), "{path}");
        assert!(placed.iter().any(|it| near(it.x - 1.0, to_x) && to_y > it.y && to_y < it.y + it.height), "{path}");
        seen += 1;
    }
    assert!(seen > 3, "{seen}");
}
