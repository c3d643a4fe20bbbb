//! The options that say for what a profile is read and resolved, and what is done with them.

use crate::guess;
use crate::input::{self, CONTAINER_DEFAULT, Input};
use crate::outcome::{Failure, complain, count};
use crate::values::{self, ActionWord, X32Word};
use callsieve::arch::{Arch, KernelVersion};
use callsieve::import::{Imported, Importer, Language};
use callsieve::policy::{ArgWidth, Capabilities, Policy, ResolveError, Semantics, Target, Unlisted, UnlistedX32};
use callsieve::profile::{Diagnostic, Format, Profile, ProfileError, Severity};
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use std::sync::LazyLock;

/// What PROFILE may be, for messages.
pub const PROFILE_IS: &str = "a profile is a JSON file, - for standard input, or container-default";

/// How a profile is written.
#[derive(Clone, Copy, Debug, Default)]
pub enum Dialect {
    #[default]
    Auto,
    Oci,
    Docker,
    /// The language of another program.
    Of(Language),
}

impl ValueEnum for Dialect {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<Dialect>> = LazyLock::new(|| {
            let own = [Dialect::Auto, Dialect::Oci, Dialect::Docker];
            own.into_iter().chain(Language::ALL.iter().copied().map(Dialect::Of)).collect()
        });
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Auto => PossibleValue::new("auto").help("By the keys that occur"),
            Self::Oci => PossibleValue::new("oci").help("The linux.seccomp object of the OCI runtime specification"),
            Self::Docker => PossibleValue::new("docker").help("The superset that Docker and Podman read"),
            Self::Of(language) => language_word(*language),
        })
    }
}

/// A language of another program as a word of the command line.
pub fn language_word(language: Language) -> PossibleValue {
    let help = match language {
        Language::Seccompiler => "The JSON of the Rust crate seccompiler: a filter for each thread",
        Language::Firecracker => "The JSON of Firecracker",
        Language::Minijail => "A .policy file of minijail",
        Language::Kafel => "A policy of kafel, as nsjail takes it",
        Language::Systemd => "A unit of systemd with SystemCallFilter=, or what systemctl cat UNIT prints",
        Language::Operator => "A SeccompProfile object of the security profiles operator, in YAML or JSON",
        _ => "",
    };
    PossibleValue::new(language.name()).help(help)
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Meaning {
    /// As container runtimes read a profile; doubtful overlaps are diagnostics
    Oci,
    /// Rules that contradict each other are errors
    Strict,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Widths {
    /// The whole register, as container runtimes compare
    Written,
    /// As much as the kernel reads of the parameter
    Typed,
}

/// How a profile is read, and for what machine it is resolved.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "How the profile is read, and for which machine")]
pub struct TargetOptions {
    /// The dialect of the profile, or the program whose file it is
    #[arg(long, value_enum, value_name = "DIALECT", default_value_t)]
    from: Dialect,

    /// Of a file with a filter for each thread, the one with this name
    #[arg(long, value_name = "NAME")]
    thread: Option<String>,

    /// Exactly these ABIs, such as x86_64,x86,x32 or s390x
    ///
    /// The first is the machine's own: it answers includes.arches and archMap. Without this option the list of the
    /// profile counts, and the ABI of this machine is added to it as container runtimes do.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = values::arch)]
    arch: Vec<Arch>,

    /// Capabilities of the container: docker, podman, none, all, or a list CAP_X,CAP_Y
    ///
    /// They answer includes.caps and excludes.caps. docker and podman are what these give a container by default.
    #[arg(long, value_name = "CAPS", default_value = "docker", value_parser = values::capabilities)]
    caps: Capabilities,

    /// The kernel that answers minKernel [default: the newest known one; for run the running one]
    #[arg(long, value_name = "X.Y")]
    kernel: Option<KernelVersion>,

    /// What rules mean that can match the same call [default: oci for JSON]
    #[arg(long, value_enum, value_name = "MEANING")]
    semantics: Option<Meaning>,

    /// Answer to numbers that no rule names: default, enosys:X.Y, or runc [default: default]
    ///
    /// enosys:6.12 gives ENOSYS to calls that came after Linux 6.12, and the default action to older ones. runc gives
    /// it to numbers above the highest that the profile names, as runc does.
    #[arg(long, value_name = "ANSWER", value_parser = values::unlisted)]
    unlisted: Option<Unlisted>,

    /// What conditions see of an argument [default: written for JSON, typed for container-default and strict semantics]
    ///
    /// typed: as much as the kernel reads of the parameter, of an int the low 32 bits.
    #[arg(long, value_enum, value_name = "WIDTH")]
    arg_width: Option<Widths>,

    /// Action for calls of ABIs that are not listed [default: kill-thread, with strict semantics kill-process]
    ///
    /// One of allow, log, kill-process, kill-thread, trap, errno:N, errno:NAME, trace:N, notify.
    #[arg(long, value_name = "ACTION", value_parser = values::action)]
    bad_arch: Option<ActionWord>,

    /// Action for x32 calls where x86_64 is listed and x32 is not [default: that of --bad-arch]
    ///
    /// default stands for the default action of the profile, which makes the filter shorter.
    #[arg(long, value_name = "ACTION|default", value_parser = values::unlisted_x32)]
    unlisted_x32: Option<X32Word>,
}

/// A profile and how messages call it.
#[derive(Debug)]
pub struct Source {
    pub name: String,
    pub profile: Profile,
    /// How often calls are made, if the file says so.
    pub frequencies: Vec<(String, u64)>,
}

/// Why a profile gave no policy.
#[derive(Debug)]
pub enum Trouble {
    /// It could not be read at all.
    Failure(Failure),
    /// It is no profile.
    Profile(String, ProfileError),
    /// It has no meaning on this target.
    Resolve(String, ResolveError),
}

impl TargetOptions {
    /// The ABIs of `--arch`; empty without it.
    pub fn arches(&self) -> &[Arch] {
        &self.arch
    }

    /// The kernel of `--kernel`.
    pub fn kernel(&self) -> Option<KernelVersion> {
        self.kernel
    }

    /// Reads a profile.
    pub fn read(&self, path: &str) -> Result<Source, Trouble> {
        if path == CONTAINER_DEFAULT {
            let profile = Profile::container_default().map_err(|error| Trouble::Profile(path.to_owned(), error))?;
            return Ok(Source { name: path.to_owned(), profile, frequencies: Vec::new() });
        }
        self.parse(&Input::read(path, PROFILE_IS).map_err(Trouble::Failure)?)
    }

    /// Reads a profile from bytes that are already here.
    pub fn parse(&self, input: &Input) -> Result<Source, Trouble> {
        if input.bytes.is_empty() {
            return Err(Trouble::Failure(Failure::new(format!("{} is empty; {PROFILE_IS}", input.name))));
        }
        if input.is_program() {
            let hint = "callsieve show, simulate and diff take one";
            return Err(Trouble::Failure(Failure::new(format!(
                "{} is no JSON, it looks like a raw filter; {hint}",
                input.name
            ))));
        }
        if input.is_binary() {
            return Err(Trouble::Failure(Failure::new(format!("{} is no text; {PROFILE_IS}", input.name))));
        }
        self.read_as(input).map_err(|trouble| match (trouble, guess::other_than(self.from, &input.bytes)) {
            (Trouble::Profile(name, _), Some(other)) => Trouble::Failure(Failure::new(format!("{name} is {other}"))),
            (Trouble::Profile(name, error), None)
                if matches!(self.from, Dialect::Auto) && !guess::is_json(&input.bytes) =>
            {
                let hint = "a file of another program needs --from: minijail, kafel, systemd or operator";
                Trouble::Failure(Failure::new(format!("{name}: {error}\n  {hint}")))
            }
            (trouble, _) => trouble,
        })
    }

    /// Reads a text as what `--from` says.
    fn read_as(&self, input: &Input) -> Result<Source, Trouble> {
        if let Dialect::Of(language) = self.from {
            return self.of_thread(&input.name, self.import(language, input)?);
        }
        let format = match self.from {
            Dialect::Oci => Format::Oci,
            Dialect::Docker => Format::Docker,
            _ => Format::Auto,
        };
        let profile =
            Profile::from_slice(&input.bytes, format).map_err(|error| Trouble::Profile(input.name.clone(), error))?;
        Ok(Source { name: input.name.clone(), profile, frequencies: Vec::new() })
    }

    /// Reads a file of another program.
    fn import(&self, language: Language, input: &Input) -> Result<Vec<Imported>, Trouble> {
        let text = std::str::from_utf8(&input.bytes)
            .map_err(|error| {
                let at = error.valid_up_to();
                Failure::new(format!("{}: the bytes are no UTF-8 text from offset {at} on", input.name))
            })
            .map_err(Trouble::Failure)?;
        let arch = self.arch.first().copied().map_or_else(values::native, Ok)?;
        let importer = Importer::new(language, arch).path(&input.name).files(&input::text);
        importer.read(text).map_err(|error| Trouble::Profile(input.name.clone(), error))
    }

    /// The filter that `--thread` names, or the only one.
    fn of_thread(&self, name: &str, mut imported: Vec<Imported>) -> Result<Source, Trouble> {
        let names: Vec<&str> = imported.iter().filter_map(Imported::name).collect();
        let index = match &self.thread {
            Some(thread) => names.iter().position(|own| own == thread),
            None if imported.len() == 1 => Some(0),
            None => None,
        };
        let Some(index) = index else {
            let has = if names.is_empty() { "one filter without a name".into() } else { names.join(", ") };
            let what = match &self.thread {
                Some(thread) => format!("has no filter {thread:?}; it has {has}"),
                None => format!("has several filters: {has}; choose one with --thread"),
            };
            return Err(Trouble::Failure(Failure::new(format!("{name} {what}"))));
        };
        let imported = imported.swap_remove(index);
        let name = imported.name().map_or_else(|| name.to_owned(), |thread| format!("{name} ({thread})"));
        let frequencies = imported.frequencies().to_vec();
        Ok(Source { name, profile: imported.into_profile(), frequencies })
    }

    /// The machine that the options describe. Without `--kernel` it has the newest kernel of the table.
    pub fn target(&self) -> Result<Target, Failure> {
        let target = match self.arch.as_slice() {
            [] => Target::new(values::native()?),
            arches => Target::exactly(arches),
        };
        let native = target.native();
        let mut target = target.capabilities(self.caps);
        if let Some(kernel) = self.kernel {
            target = target.kernel(kernel);
        }
        if let Some(meaning) = self.semantics {
            target = target.semantics(match meaning {
                Meaning::Oci => Semantics::Oci,
                Meaning::Strict => Semantics::Strict,
            });
        }
        if let Some(unlisted) = self.unlisted {
            target = target.unlisted(unlisted);
        }
        if let Some(width) = self.arg_width {
            target = target.arg_width(match width {
                Widths::Written => ArgWidth::Written,
                Widths::Typed => ArgWidth::Typed,
            });
        }
        if let Some(action) = &self.bad_arch {
            target = target.bad_arch(action.on(native)?);
        }
        if let Some(answer) = &self.unlisted_x32 {
            target = target.unlisted_x32(match answer {
                X32Word::Default => UnlistedX32::Default,
                X32Word::Action(action) => UnlistedX32::Action(action.on(native)?),
            });
        }
        Ok(target)
    }

    /// The same options, and conditions as written if nothing else was asked for: as files are read.
    pub fn as_files(&self) -> Self {
        Self { arg_width: self.arg_width.or(Some(Widths::Written)), ..self.clone() }
    }

    /// Reads a profile and says what it means on the machine of the options. Findings are only counted, on standard
    /// error: `check` prints them.
    pub fn policy(&self, path: &str) -> Result<Policy, Failure> {
        self.policy_of(&self.read(path)?)
    }

    /// The same for a profile that has been read.
    pub fn policy_of(&self, source: &Source) -> Result<Policy, Failure> {
        let policy = source.resolve(&self.target()?)?;
        mention_warnings(&source.name, &policy);
        Ok(policy)
    }
}

impl Source {
    /// What the profile means on a machine.
    pub fn resolve(&self, target: &Target) -> Result<Policy, Trouble> {
        self.profile.resolve(target).map_err(|error| Trouble::Resolve(self.name.clone(), error))
    }
}

/// The warnings of a policy.
pub fn warnings(policy: &Policy) -> impl Iterator<Item = &Diagnostic> {
    policy.diagnostics().iter().filter(|found| found.severity() == Severity::Warning)
}

/// Says in one line that there are warnings. Those about our own profile are known and documented, and its user can do
/// nothing about them.
pub fn mention_warnings(name: &str, policy: &Policy) {
    if name == CONTAINER_DEFAULT {
        return;
    }
    match warnings(policy).count() {
        0 => {}
        number => complain(&format!("{name}: {} (callsieve check prints them)", count(number, "warning"))),
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Failure(failure) => failure,
            Trouble::Profile(name, error) => Self::new(format!("{name}: {error}")),
            Trouble::Resolve(name, error) => Self::new(format!("{name}: {error}")),
        }
    }
}
