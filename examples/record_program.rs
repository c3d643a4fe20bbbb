//! Records a program, refines the recording, and prints the profile: `cargo run --example record_program -- ls /`.

use callsieve::kernel::{Stream, Supervised};
use callsieve::record::{Arguments, Recorder, Recording, Refine};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().unwrap_or_else(|| "date".into());
    let arguments: Vec<_> = words.collect();
    let command = || Supervised::new(&program).args(&arguments).stdout(Stream::Null);

    let recorder = Recorder::new().arguments(Arguments::Sets);
    let mut recording = Recording::new();
    let run = recorder.record(command(), &mut recording)?;
    eprintln!("{} calls, {}", run.counted(), run.status());

    // Known calls run at their own speed now.
    let settled = recorder.refine(command, Refine::new().quiet(2), &mut recording, |run| {
        eprintln!("{} new, {} asked about", run.new_calls().len(), run.asked());
    })?;
    eprintln!("{}", if settled { "nothing new any more" } else { "new calls still show" });

    for note in recording.notes() {
        eprintln!("{note}");
    }
    let draft = recorder.draft(&recording)?;
    for doubt in draft.doubts() {
        eprintln!("{doubt}");
    }
    print!("{}", draft.profile().to_json()?);
    Ok(())
}
